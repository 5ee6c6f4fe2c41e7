//! What always holds of calls and their inverses: doing and undoing leaves a group as it was, and nothing else is touched.

use proptest::prelude::*;
use rescind_lambda::ResourceState;
use serde_json::json;

use super::*;
use crate::ec2::SecurityGroup;
use crate::state::State;

fn rule() -> impl Strategy<Value = Rule> {
    let protocol =
        prop_oneof![Just(("tcp", 22, 22)), Just(("udp", 53, 60)), Just(("-1", -1, -1)), Just(("icmp", 8, -1))];
    let other = prop_oneof![
        (0..4_u8).prop_map(|n| json!({"cidrIpv4": format!("10.{n}.0.0/16")})),
        (0..4_u8).prop_map(|n| json!({"cidrIpv6": format!("2001:db8:{n}::/48")})),
        (0..4_u8).prop_map(|n| json!({"prefixListId": format!("pl-{n}")})),
        (0..4_u8)
            .prop_map(|n| json!({"referencedGroupInfo": {"groupId": format!("sg-{n}"), "userId": "444455556666"}})),
    ];
    let tags = prop::collection::vec((0..3_u8).prop_map(|n| json!({"key": "k", "value": n.to_string()})), 0..=1);
    (protocol, other, any::<bool>(), prop::option::of("[a-z ]{1,5}"), tags).prop_map(
        |(ports, other, is_egress, text, tags)| {
            let mut item = json!({"ipProtocol": ports.0, "fromPort": ports.1, "toPort": ports.2, "isEgress": is_egress,
            "description": text, "tags": tags});
            item.as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
            Rule::from_rule_set(&item).unwrap()
        },
    )
}

/// Rules as they may stand in one group: no two that permit the same, each with an id. Some of them are chosen.
fn group() -> impl Strategy<Value = Vec<(Rule, bool)>> {
    prop::collection::vec((rule(), any::<bool>()), 1..10).prop_map(|rules| {
        let mut group: Vec<(Rule, bool)> = Vec::new();
        for (rule, is_chosen) in rules {
            if !group.iter().any(|(one, _)| one.is_same_as(&rule)) {
                let id = format!("sgr-{}", group.len());
                group.push((Rule { id, ..rule }, is_chosen));
            }
        }
        group
    })
}

fn facts(rules: &[Rule]) -> rescind::journal::Facts {
    let group = SecurityGroup { id: "sg-own".to_owned(), tags: Vec::new(), rules: rules.to_vec() };
    State { group: Some(group), ..State::default() }.facts()
}

fn all(rules: &[Rule], calls: &[Call]) -> Vec<Rule> {
    calls.iter().fold(rules.to_vec(), |rules, call| applied(&rules, call))
}

/// Does, and undoes backwards; twice each, which is once.
fn holds(before: &[Rule], done: &[Rule], calls: &[Call], inverses: &[Call]) -> Result<(), TestCaseError> {
    let after = all(&all(before, calls), calls);
    prop_assert_eq!(facts(&after), facts(done));
    let backwards: Vec<Call> = inverses.iter().rev().cloned().collect();
    prop_assert_eq!(facts(&all(&all(&after, &backwards), &backwards)), facts(before));
    Ok(())
}

proptest! {
    #[test]
    fn revoking_takes_the_chosen_and_the_inverse_brings_them_back(group in group()) {
        let before: Vec<Rule> = group.iter().map(|(rule, _)| rule.clone()).collect();
        let (gone, left): (Vec<_>, Vec<_>) = group.into_iter().partition(|(_, is_chosen)| *is_chosen);
        let rules = |part: Vec<(Rule, bool)>| part.into_iter().map(|(rule, _)| rule).collect::<Vec<_>>();
        let (gone, left) = (rules(gone), rules(left));
        let by_call = by_call(&gone);
        let calls: Vec<Call> = by_call.iter().map(|(way, rules)| revoke("sg-own", *way, rules)).collect();
        let inverses: Vec<Call> = by_call.iter().map(|(way, rules)| authorize("sg-own", *way, rules)).collect();
        holds(&before, &left, &calls, &inverses)?;
        // And the other way round: putting back, which is undone by what the rules permit.
        let alike: Vec<Call> = by_call.iter().map(|(way, rules)| revoke_alike("sg-own", *way, rules)).collect();
        holds(&left, &before, &inverses, &alike)?;
    }

    #[test]
    fn a_modification_is_its_own_inverse(group in group(), to in rule()) {
        let before: Vec<Rule> = group.into_iter().map(|(rule, _)| rule).collect();
        let now = &before[0];
        let to = Rule { id: now.id.clone(), tags: now.tags.clone(), is_egress: now.is_egress, ..to };
        prop_assume!(!before.iter().any(|rule| rule.is_same_as(&to)));
        // A modification names no account and no peering of the other group: these stay as they are.
        let is_group = |rule: &Rule| matches!(rule.source, Source::Group { .. });
        prop_assume!(!is_group(now) && !is_group(&to));
        let after: Vec<Rule> = before.iter().map(|rule| if rule.id == to.id { &to } else { rule }).cloned().collect();
        holds(&before, &after, &[modify("sg-own", &[(now, &to)])], &[modify("sg-own", &[(now, now)])])?;
    }
}
