//! Which group, and which of its rules, a signal is about.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use rescind::findings;
use rescind::signal::{ApiCall, Finding, Involved, Resource, Signal, field, items, text};
use rescind_lambda::Heard;
use serde_json::Value;

use crate::ec2::GroupRef;
use crate::rule::Rule;

/// What a signal says of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The group, in the way that the signal names it.
    pub group: GroupRef,
    /// What changed.
    pub changed: Changed,
    /// When.
    pub time: DateTime<Utc>,
}

/// What changed in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// These rules were added.
    Added(Vec<Told>),
    /// These rules were modified; they are told as they are since then.
    Modified(Vec<Told>),
    /// These rules were removed.
    Removed {
        /// The rules.
        rules: Vec<Told>,
        /// Whether they were really there: a request may name rules that are not.
        is_certain: bool,
    },
    /// Not told: every rule is looked at.
    Unknown,
}

/// A rule as a record tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The rule's id, in records since 2021.
    pub id: Option<String>,
    /// What it says, where the record can be read.
    pub rule: Option<Rule>,
}

impl Told {
    /// Whether `live` is this rule, whatever it says by now.
    pub fn is(&self, live: &Rule) -> bool {
        match (&self.id, &self.rule) {
            (Some(id), _) if !live.id.is_empty() => *id == live.id,
            (_, Some(rule)) => rule.is_same_as(live),
            _ => false,
        }
    }

    /// Whether `live` is this rule, and permits what the record says.
    pub fn is_still(&self, live: &Rule) -> bool {
        self.is(live) && self.rule.as_ref().is_none_or(|rule| rule.is_same_as(live))
    }

    fn is_readable(&self) -> bool {
        self.id.is_some() || self.rule.is_some()
    }
}

impl Target {
    /// The whole group, whichever rules changed.
    pub fn whole(group: &str, time: DateTime<Utc>) -> Self {
        Self { group: GroupRef::Id(group.to_owned()), changed: Changed::Unknown, time }
    }

    /// The rules that changed; `None` when that is not told.
    pub fn rules(&self) -> Option<&[Told]> {
        match &self.changed {
            Changed::Added(rules) | Changed::Modified(rules) | Changed::Removed { rules, .. } => Some(rules),
            Changed::Unknown => None,
        }
    }

    /// Whether the event does not tell how the rules stood before.
    pub fn needs_earlier_state(&self) -> bool {
        !matches!(self.changed, Changed::Added(_))
    }
}

/// Reads a record of `AuthorizeSecurityGroupIngress`.
pub fn added(signal: &Signal, call: &ApiCall) -> Heard<Target> {
    let made = items(field(call.response(), "securityGroupRuleSet"));
    // What the response tells is what was made; the request may name the group by name and write ranges as it likes.
    let rules = if made.is_empty() { of_request(call.request(), false) } else { of_rule_set(&made) };
    heard(signal, group(call.request(), &made), Changed::Added(rules))
}

/// Reads a record of `ModifySecurityGroupRules`.
pub fn modified(signal: &Signal, call: &ApiCall) -> Heard<Target> {
    let request = call.request();
    let updates = items(field(request, "securityGroupRule").or_else(|| field(request, "securityGroupRules")));
    let told = updates.into_iter().map(|update| {
        let id = text(update, "securityGroupRuleId").map(str::to_owned);
        let rule = field(update, "securityGroupRule").and_then(Rule::from_rule_set);
        Told { rule: rule.map(|rule| Rule { id: id.clone().unwrap_or_default(), ..rule }), id }
    });
    heard(signal, group(request, &[]), Changed::Modified(told.collect()))
}

/// Reads a record of `RevokeSecurityGroupIngress` or `RevokeSecurityGroupEgress`.
pub fn removed(signal: &Signal, call: &ApiCall) -> Heard<Target> {
    let (request, set) = (call.request(), field(call.response(), "revokedSecurityGroupRuleSet"));
    let gone = items(set);
    let is_egress = call.name.ends_with("Egress");
    let rules = if set.is_some() {
        of_rule_set(&gone)
    } else {
        let by_id = of_ids(request).into_iter().map(|id| Told { id: Some(id), rule: None });
        by_id.chain(of_request(request, is_egress)).collect()
    };
    heard(signal, group(request, &gone), Changed::Removed { rules, is_certain: set.is_some() })
}

fn of_rule_set(items: &[&Value]) -> Vec<Told> {
    let told = |item: &&Value| Told {
        id: text(item, "securityGroupRuleId").map(str::to_owned),
        rule: Rule::from_rule_set(item),
    };
    items.iter().map(told).collect()
}

fn of_request(request: &Value, is_egress: bool) -> Vec<Told> {
    let rules = Rule::from_request(request).into_iter();
    rules.map(|rule| Told { id: None, rule: rule.map(|rule| Rule { is_egress, ..rule }) }).collect()
}

/// The rule ids of a request, in the ways that EC2's records write lists of texts.
fn of_ids(request: &Value) -> Vec<String> {
    let list = field(request, "securityGroupRuleIds").or_else(|| field(request, "securityGroupRuleId"));
    if let Some(Value::String(id)) = list {
        return vec![id.clone()];
    }
    let id = |item: &Value| {
        let id = item.as_str().or_else(|| text(item, "securityGroupRuleId")).or_else(|| text(item, "content"));
        id.map(str::to_owned)
    };
    items(list).into_iter().filter_map(id).collect()
}

fn group(request: &Value, rules: &[&Value]) -> Option<GroupRef> {
    let id = rules.iter().find_map(|item| text(item, "groupId")).or_else(|| text(request, "groupId"));
    id.map(|id| GroupRef::Id(id.to_owned()))
        .or_else(|| text(request, "groupName").map(|name| GroupRef::Name(name.to_owned())))
}

fn heard(signal: &Signal, group: Option<GroupRef>, changed: Changed) -> Heard<Target> {
    let Some(group) = group else {
        return Heard::unreadable(resource(signal, "unknown"), "the record does not tell which security group was changed; CloudTrail leaves out requests and responses above 100 KB"
                .to_owned());
    };
    let (GroupRef::Id(id) | GroupRef::Name(id)) = &group;
    let resource = resource(signal, id);
    let target = Target { group, changed, time: signal.time };
    let told = target.rules().unwrap_or_default();
    // A call that removed nothing says so.
    let may_be_empty = matches!(target.changed, Changed::Removed { is_certain: true, .. });
    if (told.is_empty() && !may_be_empty) || !told.iter().all(Told::is_readable) {
        return Heard::unreadable(resource, "the record does not tell which rules were changed, or one of them has a protocol or source that can't be read".to_owned());
    }
    Heard::about(resource, target)
}

fn resource(signal: &Signal, group: &str) -> Resource {
    signal.resource("AWS::EC2::SecurityGroup", group)
}

/// The whole group, whichever of its rules are new.
pub fn whole(signal: &Signal, group: &Resource) -> Heard<Target> {
    Heard::about(group.clone(), Target::whole(&group.id, signal.time))
}

/// All groups by which somebody can have come to the instances of a finding, for the remediation of this name: whoever calls on an instance comes in by one of the
/// groups of its network interfaces.
pub fn found(remediation: &str, signal: &Signal, finding: &Finding) -> Vec<Heard<Target>> {
    let candidates = findings::candidates_for(remediation, finding);
    if !candidates.iter().any(|(_, is_meant)| *is_meant) {
        let harmless = |(involved, _): &(&Involved, bool)| {
            let resource = involved.resource.clone();
            let nobody = || format!("nothing tells that somebody calls on {} by an open port", resource.id);
            let reason = findings::found_by_owner(finding).unwrap_or_else(nobody);
            Heard::harmless(resource, reason)
        };
        return candidates.iter().map(harmless).collect();
    }
    let details = field(&finding.detail, "resource").and_then(|resource| field(resource, "instanceDetails"));
    let interfaces = items(details.and_then(|details| field(details, "networkInterfaces")));
    let groups = interfaces.into_iter().flat_map(|interface| items(field(interface, "securityGroups")));
    let ids: BTreeSet<&str> = groups.filter_map(|group| text(group, "groupId")).collect();
    ids.into_iter().map(|id| whole(signal, &resource(signal, id))).collect()
}
