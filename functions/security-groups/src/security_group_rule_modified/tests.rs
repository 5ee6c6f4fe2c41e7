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
    let to =
        json!({"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "CidrIpv4": "10.9.9.9/32", "Description": "to"});
    let update = json!({"SecurityGroupRuleId": "sgr-1", "SecurityGroupRule": to});
    let request = json!({"ModifySecurityGroupRulesRequest": {"GroupId": "sg-1", "SecurityGroupRule": update}});
    let signal = testing::called("ec2:ModifySecurityGroupRules", &request, &Value::Null).unwrap();
    let about = testing::about(&SecurityGroupRuleModified, &signal).unwrap();
    let tags = vec![("rescind:protected".to_owned(), String::new())];
    let earlier =
        was.map_or(Earlier::Unknown, |rule| Earlier::Rules { rules: vec![rule.clone()], captured: String::new() });
    let group = SecurityGroup { id: "sg-1".to_owned(), tags, rules: is.to_vec() };
    let state = State { group: Some(group), earlier, ..State::default() };
    testing::judged(&SecurityGroupRuleModified, &about, &state, &[]).unwrap().0
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
    for is in [vec![], vec![rule("sgr-1", "10.8.8.8/32", "to")], vec![rule("sgr-1", "10.9.9.9/32", "other")]] {
        assert!(matches!(judged(Some(&was), &is), Assessment::Harmless { .. }), "{is:?}");
    }
    let unchanged = rule("sgr-1", "10.9.9.9/32", "to");
    assert!(matches!(judged(Some(&unchanged), std::slice::from_ref(&unchanged)), Assessment::Harmless { .. }));
}

#[test]
fn what_it_was_is_not_guessed() {
    assert!(matches!(judged(None, &[rule("sgr-1", "10.9.9.9/32", "to")]), Assessment::Unclear { .. }));
}
