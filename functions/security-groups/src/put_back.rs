//! How rules that were modified become again what they were. EC2 allows no two rules of a group that permit the same, so one
//! becomes what it was only where no other permits that by now.

use rescind_lambda::prelude::*;

use crate::calls;
use crate::earlier::Earlier;
use crate::rule::{Rule, Source};

/// A rule as it stands, and as it was. It keeps its id and tags.
pub type Change<'a> = (&'a Rule, &'a Rule);

/// What can be done about rules that were modified.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ways<'a> {
    /// These become what they were, call by call: some can only after others have.
    pub calls: Vec<Vec<Change<'a>>>,
    /// What these permitted another rule permits, which is told beside each.
    pub taken: Vec<(&'a Rule, Rule)>,
}

/// Tells which of `changes` can be put back in a group of these rules, and in which order.
pub fn ways<'a>(mut changes: Vec<Change<'a>>, live: &[Rule]) -> Ways<'a> {
    let mut rules = live.to_vec();
    let mut calls = Vec::new();
    loop {
        let (mut call, mut left): (Vec<Change<'a>>, Vec<Change<'a>>) = (Vec::new(), Vec::new());
        for (now, before) in changes {
            let becomes = call.iter().any(|(_, other)| other.is_same_as(before));
            let is_taken = becomes || holder(now, before, &rules).is_some();
            if is_taken { &mut left } else { &mut call }.push((now, before));
        }
        if call.is_empty() {
            let taken = |(now, before): Change<'a>| Some((now, holder(now, before, &rules)?.clone()));
            return Ways { calls, taken: left.into_iter().filter_map(taken).collect() };
        }
        for rule in &mut rules {
            if let Some((_, before)) = call.iter().find(|(now, _)| now.id == rule.id) {
                *rule = Rule { id: rule.id.clone(), ..(*before).clone() };
            }
        }
        calls.push(call);
        changes = left;
    }
}

/// The other rule that permits what this one permitted.
fn holder<'r>(now: &Rule, before: &Rule, rules: &'r [Rule]) -> Option<&'r Rule> {
    rules.iter().find(|rule| rule.id != now.id && rule.is_same_as(before))
}

impl<'a> Ways<'a> {
    /// These may go: what they permitted stays permitted.
    pub fn surplus(&self, earlier: &Earlier) -> Vec<&'a Rule> {
        self.taken_where(|holder| !earlier.was_another(holder))
    }

    /// Of these nothing can be said yet: the rule that permits what they permitted may itself become what it was.
    pub fn waiting(&self, earlier: &Earlier) -> Vec<&'a Rule> {
        self.taken_where(|holder| earlier.was_another(holder))
    }

    fn taken_where(&self, is_meant: impl Fn(&Rule) -> bool) -> Vec<&'a Rule> {
        self.taken.iter().filter(|(_, holder)| is_meant(holder)).map(|(now, _)| *now).collect()
    }

    /// The steps that make the rules what they were.
    pub fn steps(&self, group: &str) -> Vec<Step> {
        let step = |call: &Vec<Change<'a>>| {
            let there: Vec<Change<'a>> = call.iter().map(|(now, _)| (*now, *now)).collect();
            Step::planned(calls::modify(group, call), calls::modify(group, &there))
        };
        self.calls.iter().map(step).collect()
    }
}

/// The steps that revoke rules, and a note where they can't come back with all that they had.
pub fn revoked(group: &str, rules: impl IntoIterator<Item = Rule>) -> (Vec<Step>, Option<&'static str>) {
    let (rules, too_large) = calls::with_tags_that_fit(rules);
    let step = |(direction, rules): (calls::Direction, Vec<&Rule>)| {
        Step::planned(calls::revoke(group, direction, &rules), calls::authorize(group, direction, &rules))
    };
    (calls::by_call(&rules).into_iter().map(step).collect(), too_large)
}

/// The steps that authorize rules which are gone, and a note where they can't come back with all that they had. What names
/// something that may be gone, too, comes last, one beside the other: whatever EC2 refuses of it, all else is put back.
pub fn authorized(group: &str, rules: impl IntoIterator<Item = Rule>) -> (Vec<Step>, Option<&'static str>) {
    let (rules, too_large) = calls::with_tags_that_fit(rules);
    let (ranges, others): (Vec<&Rule>, Vec<&Rule>) =
        rules.iter().partition(|rule| matches!(rule.source, Source::Cidr(_)));
    let step = |(direction, rules): (calls::Direction, Vec<&Rule>)| {
        Step::planned(calls::authorize(group, direction, &rules), calls::revoke_alike(group, direction, &rules))
    };
    let others = Plan::side_by_side(calls::by_call(others).into_iter().map(step));
    (calls::by_call(ranges).into_iter().map(step).chain(others).collect(), too_large)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rule(id: &str, port: u16) -> Rule {
        let item = json!({"securityGroupRuleId": id, "ipProtocol": "tcp", "fromPort": port, "toPort": port, "cidrIpv4": "10.0.0.0/8"});
        Rule::from_rule_set(&item).unwrap()
    }

    /// Which rules become what they were, call by call, and which are taken by which; given each rule as it is and as it was.
    fn told(rules: &[(u8, u16, Option<u16>)]) -> (Vec<Vec<String>>, Vec<(String, String)>) {
        let id = |number: u8| format!("sgr-{number}");
        let live: Vec<Rule> = rules.iter().map(|(number, now, _)| rule(&id(*number), *now)).collect();
        let before: Vec<Option<Rule>> =
            rules.iter().map(|(number, _, before)| before.map(|before| rule(&id(*number), before))).collect();
        let changes = live.iter().zip(&before).filter_map(|(now, before)| Some((now, before.as_ref()?))).collect();
        let Ways { calls, taken } = ways(changes, &live);
        let ids = |call: Vec<Change<'_>>| call.into_iter().map(|(now, _)| now.id.clone()).collect();
        let taken = taken.into_iter().map(|(now, holder)| (now.id.clone(), holder.id)).collect();
        (calls.into_iter().map(ids).collect(), taken)
    }

    #[test]
    fn a_rule_becomes_what_it_was_only_where_no_other_is_that() {
        let calls = |calls: &[&[&str]]| -> Vec<Vec<String>> {
            calls.iter().map(|call| call.iter().map(|id| (*id).to_owned()).collect()).collect()
        };
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(told(&[(1, 22, Some(80)), (2, 23, Some(81))]), (calls(&[&["sgr-1", "sgr-2"]]), vec![]));
        // Another rule is what it was.
        assert_eq!(
            told(&[(1, 22, Some(80)), (2, 80, None), (3, 23, Some(81))]),
            (calls(&[&["sgr-3"]]), vec![pair("sgr-1", "sgr-2")])
        );
        // The other one becomes something else first.
        assert_eq!(told(&[(1, 22, Some(80)), (2, 80, Some(81))]), (calls(&[&["sgr-2"], &["sgr-1"]]), vec![]));
        // They were the same.
        assert_eq!(told(&[(1, 22, Some(80)), (2, 23, Some(80))]), (calls(&[&["sgr-1"]]), vec![pair("sgr-2", "sgr-1")]));
        // Each is what the other was: nothing is first.
        assert_eq!(
            told(&[(1, 81, Some(80)), (2, 80, Some(81))]),
            (calls(&[]), vec![pair("sgr-1", "sgr-2"), pair("sgr-2", "sgr-1")])
        );
        // Only its description was changed.
        assert_eq!(told(&[(1, 22, Some(22))]), (calls(&[&["sgr-1"]]), vec![]));
    }
}
