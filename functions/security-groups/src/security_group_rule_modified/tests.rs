use rescind_lambda::testing;

use super::*;
use crate::earlier::Earlier;
use crate::ec2::SecurityGroup;
use serde_json::{Value, json};

fn rule(id: &str, range: &str, description: &str) -> Rule {
    let item = json!({"securityGroupRuleId": id, "ipProtocol": "tcp", "fromPort": 5432, "toPort": 5432, "cidrIpv4": range,
        "description": description});
    Rule::from_rule_set(&item).unwrap()
}

/// What becomes of a modification of `sgr-1` to 10.9.9.9/32, given how the rule was and how it is.
fn judged(was: Option<&Rule>, is: &[Rule]) -> Assessment<Modified> {
    let was = was.map(std::slice::from_ref);
    judged_all(&[("sgr-1", "10.9.9.9/32")], was, is).0
}

/// What becomes of one call by which rules became other ones, given how the rules of the group were and how they are; the calls, and the
/// rules after these.
fn judged_all(
    to: &[(&str, &str)],
    was: Option<&[Rule]>,
    is: &[Rule],
) -> (Assessment<Modified>, Vec<String>, Vec<Rule>) {
    let update = |(id, range): &(&str, &str)| {
        let to = json!({"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "CidrIpv4": range, "Description": "to"});
        json!({"SecurityGroupRuleId": id, "SecurityGroupRule": to})
    };
    let updates: Vec<Value> = to.iter().map(update).collect();
    let request = json!({"ModifySecurityGroupRulesRequest": {"GroupId": "sg-1", "SecurityGroupRule": updates}});
    let signal = testing::called("ec2:ModifySecurityGroupRules", &request, &Value::Null).unwrap();
    let about = testing::about(&SecurityGroupRuleModified, &signal).unwrap();
    let tags = vec![("rescind:protected".to_owned(), String::new())];
    let earlier =
        was.map_or(Earlier::Unknown, |rules| Earlier::Rules { rules: rules.to_vec(), captured: String::new() });
    let group = SecurityGroup { id: "sg-1".to_owned(), tags, rules: is.to_vec() };
    let state = State { group: Some(group), earlier, ..State::default() };
    let (assessment, plan) = testing::judged(&SecurityGroupRuleModified, &about, &state, &[]).unwrap();
    let calls = plan.steps.iter().map(|step| step.call.call.clone()).collect();
    let done = testing::done(&state, &plan);
    assert_eq!(testing::undone(&done, &plan).facts(), state.facts());
    (assessment, calls, done.rules().to_vec())
}

#[test]
fn what_stands_as_it_was_modified_is_put_back() {
    let (was, is) = (rule("sgr-1", "10.0.0.0/16", "was"), rule("sgr-1", "10.9.9.9/32", "to"));
    let Assessment::Risky { offenders, .. } = judged(Some(&was), std::slice::from_ref(&is)) else { panic!("risky") };
    assert_eq!(offenders, [Modified { now: is.clone(), before: Some(was) }]);
    // Only the description.
    let was = rule("sgr-1", "10.9.9.9/32", "was");
    let Assessment::Risky { reason, .. } = judged(Some(&was), &[is]) else { panic!("risky") };
    assert!(reason.contains("the description of tcp/5432 in 10.9.9.9/32 was changed"), "{reason}");
}

#[test]
fn what_is_back_gone_or_changed_once_more_is_not() {
    let was = rule("sgr-1", "10.0.0.0/16", "was");
    assert!(matches!(judged(Some(&was), std::slice::from_ref(&was)), Assessment::AlreadySafe { .. }));
    for is in [vec![], vec![rule("sgr-1", "10.8.8.8/32", "to")]] {
        assert!(matches!(judged(Some(&was), &is), Assessment::Harmless { .. }), "{is:?}");
    }
    let unchanged = rule("sgr-1", "10.9.9.9/32", "to");
    assert!(matches!(judged(Some(&unchanged), std::slice::from_ref(&unchanged)), Assessment::Harmless { .. }));
}

#[test]
fn what_it_was_is_not_guessed() {
    assert!(matches!(judged(None, &[rule("sgr-1", "10.9.9.9/32", "to")]), Assessment::Unclear { .. }));
}

#[test]
fn another_description_since_then_keeps_no_rule_modified() {
    let (was, is) = (rule("sgr-1", "10.0.0.0/16", "was"), rule("sgr-1", "10.9.9.9/32", "other"));
    let (assessment, _, after) =
        judged_all(&[("sgr-1", "10.9.9.9/32")], Some(std::slice::from_ref(&was)), std::slice::from_ref(&is));
    assert!(matches!(assessment, Assessment::Risky { .. }), "{assessment:?}");
    assert_eq!(after, [was]);
    // What it was is not known: that is told.
    assert!(matches!(judged(None, std::slice::from_ref(&is)), Assessment::Unclear { .. }));
    // The call changed nothing but the description.
    let was = rule("sgr-1", "10.9.9.9/32", "was");
    assert!(matches!(judged(Some(&was), &[is]), Assessment::Harmless { .. }));
}

#[test]
fn where_another_rule_is_by_now_what_it_was_it_goes() {
    let was = [rule("sgr-1", "10.0.0.0/16", "was"), rule("sgr-3", "10.3.0.0/16", "was")];
    let is =
        [rule("sgr-1", "10.9.9.9/32", "to"), rule("sgr-2", "10.0.0.0/16", "new"), rule("sgr-3", "10.9.9.8/32", "to")];
    let (_, calls, after) = judged_all(&[("sgr-1", "10.9.9.9/32"), ("sgr-3", "10.9.9.8/32")], Some(&was), &is);
    assert_eq!(calls, [action::MODIFY_RULES, action::REVOKE_INGRESS]);
    assert_eq!(after, [rule("sgr-2", "10.0.0.0/16", "new"), was[1].clone()]);
}

#[test]
fn rules_that_took_each_others_place_become_what_they_were_one_after_the_other() {
    let was = [rule("sgr-1", "10.0.0.0/16", "was"), rule("sgr-2", "10.2.0.0/16", "was")];
    let is = [rule("sgr-1", "10.9.9.9/32", "to"), rule("sgr-2", "10.0.0.0/16", "to")];
    let (_, calls, after) = judged_all(&[("sgr-1", "10.9.9.9/32"), ("sgr-2", "10.0.0.0/16")], Some(&was), &is);
    assert_eq!(calls, [action::MODIFY_RULES; 2]);
    assert_eq!(after, was);
    // Another call tells of the second one. Should the first one go, none would permit what it did once the second is put back.
    let (assessment, calls, _) = judged_all(&[("sgr-1", "10.9.9.9/32")], Some(&was), &is);
    assert!(matches!(assessment, Assessment::Unclear { .. }), "{assessment:?}");
    assert!(calls.is_empty());
    // They changed places: what the group permits is the same, and nothing is done that EC2 refuses.
    let is = [rule("sgr-1", "10.2.0.0/16", "to"), rule("sgr-2", "10.0.0.0/16", "to")];
    let (assessment, ..) = judged_all(&[("sgr-1", "10.2.0.0/16"), ("sgr-2", "10.0.0.0/16")], Some(&was), &is);
    assert!(matches!(assessment, Assessment::Unclear { .. }), "{assessment:?}");
}

#[test]
fn a_rule_that_is_not_known_or_has_to_wait_keeps_no_other_from_being_put_back() {
    let was =
        [rule("sgr-1", "10.0.0.0/16", "was"), rule("sgr-2", "10.2.0.0/16", "was"), rule("sgr-3", "10.3.0.0/16", "was")];
    let is = [
        rule("sgr-1", "10.9.9.9/32", "to"),
        rule("sgr-2", "10.0.0.0/16", "to"),
        rule("sgr-3", "10.9.9.8/32", "to"),
        rule("sgr-4", "10.9.9.7/32", "to"),
    ];
    let to = [("sgr-1", "10.9.9.9/32"), ("sgr-3", "10.9.9.8/32"), ("sgr-4", "10.9.9.7/32")];
    let (_, calls, after) = judged_all(&to, Some(&was), &is);
    assert_eq!(calls, [action::MODIFY_RULES]);
    assert_eq!(after, [is[0].clone(), is[1].clone(), was[2].clone(), is[3].clone()]);
    let (assessment, ..) = judged_all(&to, Some(&was), &after);
    assert!(matches!(assessment, Assessment::Unclear { .. }), "it is told: {assessment:?}");
}
