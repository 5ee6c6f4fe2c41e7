//! How the rules of a group stood before a change: the earlier states that AWS Config recorded, with what it leaves out.

use std::future::Future;
use std::pin::Pin;

use chrono::{DateTime, Utc};
use rescind::signal::items;
use rescind::{Resource, Snapshot};
use rescind_lambda::{CallError, Operation, Recorded, Scope};
use serde_json::Value;

use crate::ec2::{self, action};
use crate::rule::Rule;
use crate::told::{Changed, Told};

/// Where a kept state has the rules with their ids and tags.
const RULES: &str = "SecurityGroupRules";

/// What is known of a group's rules before a change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Earlier {
    /// Nobody asked.
    #[default]
    NotAsked,
    /// Neither the baseline nor AWS Config knows.
    Unknown,
    /// It could not be read, and why.
    Unread(String),
    /// These rules, as AWS Config saw them at this moment.
    Rules {
        /// The rules; those whose id is not known have an empty one.
        rules: Vec<Rule>,
        /// The moment, in RFC 3339.
        captured: String,
    },
}

impl Earlier {
    /// Asks the baseline and AWS Config.
    pub async fn read(scope: &Scope, group: &Resource, time: DateTime<Utc>) -> Self {
        match scope.earlier_state(group, time).await {
            Ok(Some(state)) => Self::of_state(&state),
            Ok(None) => Self::Unknown,
            Err(problem) => Self::Unread(problem.to_string()),
        }
    }

    /// The rules of a recorded state. Ids and tags come from the rules that were read when the state was kept, as far as
    /// they permitted the same.
    pub fn of_state(state: &Snapshot) -> Self {
        let completed: Vec<Rule> =
            items(state.supplementary.get(RULES)).into_iter().filter_map(Rule::from_rule_set).collect();
        let complete = |rule: Rule| match completed.iter().find(|live| live.is_same_as(&rule)) {
            Some(live) => Rule { id: live.id.clone(), tags: live.tags.clone(), ..rule },
            None => rule,
        };
        let rules = Rule::from_configuration(&state.configuration).into_iter().flatten().map(complete).collect();
        Self::Rules { rules, captured: state.captured_text() }
    }

    fn rules(&self) -> &[Rule] {
        match self {
            Self::Rules { rules, .. } => rules,
            _ => &[],
        }
    }

    /// Whether a rule has come since; `None` when that is not known.
    pub fn is_new(&self, live: &Rule) -> Option<bool> {
        let is_known = matches!(self, Self::Rules { .. });
        is_known.then(|| !self.rules().iter().any(|rule| rule.is_same_as(live)))
    }

    /// The rule that was removed: by its id, else the one that permitted the same.
    pub fn of_removed(&self, told: &Told) -> Option<&Rule> {
        let by_id = self.rules().iter().find(|rule| !rule.id.is_empty() && told.id.as_ref() == Some(&rule.id));
        by_id.or_else(|| self.rules().iter().find(|rule| told.rule.as_ref().is_some_and(|told| told.is_same_as(rule))))
    }

    /// What a modified rule was before. By its id; without ids only when a single rule was modified and a single one is
    /// missing, since nothing else tells which became which.
    pub fn of_modified(&self, told: &Told, all: &[Told], live: &[Rule]) -> Option<&Rule> {
        if let Some(rule) = self.rules().iter().find(|rule| !rule.id.is_empty() && told.id.as_ref() == Some(&rule.id)) {
            return Some(rule);
        }
        let direction = live.iter().find(|rule| told.is(rule))?.is_egress;
        let mut missing = self.rules().iter().filter(|rule| {
            rule.id.is_empty() && rule.is_egress == direction && !live.iter().any(|live| live.is_same_as(rule))
        });
        let only = missing.next()?;
        (all.len() == 1 && missing.next().is_none()).then_some(only)
    }

    /// What a rule that was changed was before, as far as that is known.
    pub fn of_changed(&self, told: &Told, changed: &Changed, live: &[Rule]) -> Option<&Rule> {
        match changed {
            Changed::Modified(all) => self.of_modified(told, all, live),
            Changed::Removed { .. } => self.of_removed(told),
            Changed::Added(_) | Changed::Unknown => None,
        }
    }

    /// Whether a live rule is known to have permitted something else: it may become that again.
    pub fn was_another(&self, live: &Rule) -> bool {
        self.rules().iter().any(|rule| !rule.id.is_empty() && rule.id == live.id && !rule.is_same_as(live))
    }

    /// Why an earlier rule is not known, for a sentence.
    pub fn why_unknown(&self) -> String {
        match self {
            Self::NotAsked => "the event does not tell".to_owned(),
            Self::Unknown => "neither the event, the baseline nor AWS Config tells".to_owned(),
            Self::Unread(problem) => format!("the event does not tell, and {problem}"),
            Self::Rules { captured, .. } => {
                format!("it can't be told from the rules that AWS Config saw at {captured}")
            }
        }
    }

    /// From when the earlier rules are, for a sentence.
    pub fn as_of(&self) -> String {
        match self {
            Self::Rules { captured, .. } => format!("as AWS Config saw it at {captured}"),
            _ => "as the event tells it".to_owned(),
        }
    }
}

/// Keeps the states of security groups, with the ids and tags of their rules.
#[derive(Debug, Clone, Copy)]
pub struct RecordedGroups;

impl Recorded for RecordedGroups {
    fn resource_type(&self) -> &'static str {
        "AWS::EC2::SecurityGroup"
    }

    fn operations(&self) -> &'static [Operation] {
        const { &[Operation::reads(action::DESCRIBE_RULES)] }
    }

    fn complete<'a>(
        &'a self,
        scope: &'a Scope,
        resource: &'a Resource,
        state: &'a mut Snapshot,
    ) -> Pin<Box<dyn Future<Output = Result<(), CallError>> + Send + 'a>> {
        Box::pin(async move {
            let rules = ec2::read_rules(scope, &resource.id).await?;
            let rules: Vec<Value> = rules.iter().map(Rule::to_rule_set).collect();
            state.supplementary.insert(RULES.to_owned(), Value::from(rules));
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn state(configuration: &Value, rules: &Value) -> Earlier {
        let state = json!({"captured": "2026-11-24T09:30:00Z", "configuration": configuration, "supplementary": {RULES: rules}});
        Earlier::of_state(&serde_json::from_value(state).unwrap())
    }

    fn permission(port: u16, ranges: &[&str]) -> Value {
        json!({"ipProtocol": "tcp", "fromPort": port, "toPort": port, "ipRanges": ranges})
    }

    fn live(id: &str, port: u16, range: &str) -> Rule {
        let item = json!({"securityGroupRuleId": id, "ipProtocol": "tcp", "fromPort": port, "toPort": port, "cidrIpv4": range,
            "tags": [{"key": "of", "value": id}]});
        Rule::from_rule_set(&item).unwrap()
    }

    fn told(rule: &Rule) -> Told {
        Told { id: Some(rule.id.clone()), rule: Some(rule.clone()) }
    }

    #[test]
    fn ids_and_tags_come_from_the_rules_that_permitted_the_same() {
        let kept = [live("sgr-1", 22, "10.0.0.0/8").to_rule_set(), live("sgr-2", 22, "0.0.0.0/0").to_rule_set()];
        let earlier = state(
            &json!({"ipPermissions": [permission(22, &["10.0.0.0/8", "10.1.0.0/16"])]}),
            &Value::from(kept.to_vec()),
        );
        let ids: Vec<&str> = earlier.rules().iter().map(|rule| rule.id.as_str()).collect();
        assert_eq!(ids, ["sgr-1", ""], "the second had become another one by then");
        assert_eq!(earlier.rules().first().unwrap().tags, [("of".to_owned(), "sgr-1".to_owned())]);
    }

    #[test]
    fn a_modified_rule_is_known_by_its_id_or_when_nothing_else_is_possible() {
        let now = live("sgr-1", 22, "0.0.0.0/0");
        let other = live("sgr-2", 443, "0.0.0.0/0");
        let configuration =
            json!({"ipPermissions": [permission(22, &["10.0.0.0/8"]), permission(443, &["0.0.0.0/0"])]});
        let standing = [now.clone(), other.clone()];
        let by_id = state(&configuration, &json!([live("sgr-1", 22, "10.0.0.0/8").to_rule_set()]));
        let both = [told(&now), told(&other)];
        assert_eq!(by_id.of_modified(&told(&now), &both, &standing).unwrap().source.to_string(), "10.0.0.0/8");
        let without = state(&configuration, &json!([]));
        assert_eq!(
            without.of_modified(&told(&now), &[told(&now)], &standing).unwrap().source.to_string(),
            "10.0.0.0/8"
        );
        assert_eq!(without.of_modified(&told(&now), &both, &standing), None, "two were modified");
        let two = json!({"ipPermissions": [permission(22, &["10.0.0.0/8", "10.1.0.0/16"])]});
        assert_eq!(state(&two, &json!([])).of_modified(&told(&now), &[told(&now)], &standing), None, "two are missing");
    }

    #[test]
    fn a_removed_rule_is_known_by_its_id_or_by_what_it_permitted() {
        let kept = live("sgr-1", 22, "10.0.0.0/8");
        let configuration = json!({"ipPermissions": [permission(22, &["10.0.0.0/8"])]});
        let earlier = state(&configuration, &json!([kept.to_rule_set()]));
        let by_id = Told { id: Some("sgr-1".to_owned()), rule: None };
        let by_rule = Told { id: None, rule: Some(live("", 22, "10.0.0.0/8")) };
        for told in [by_id, by_rule] {
            assert_eq!(earlier.of_removed(&told).unwrap().tags, kept.tags);
        }
        assert_eq!(earlier.of_removed(&Told { id: Some("sgr-9".to_owned()), rule: None }), None);
    }
}
