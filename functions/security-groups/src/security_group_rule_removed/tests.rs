use rescind_lambda::testing;

use super::*;
use serde_json::{Value, json};

fn rule(id: &str, port: u16, range: &str) -> Value {
    json!({"securityGroupRuleId": id, "ipProtocol": "tcp", "fromPort": port, "toPort": port, "cidrIpv4": range})
}

fn read(rule: &Value) -> Rule {
    Rule::from_rule_set(rule).unwrap()
}

/// What becomes of a removal that the response tells, or else only the request.
fn judged(response: &Value, request: &Value, earlier: &[Rule], is: &[Rule]) -> Assessment<Rule> {
    let signal = testing::called("ec2:RevokeSecurityGroupIngress", request, response).unwrap();
    let about = testing::about(&SecurityGroupRuleRemoved, &signal).unwrap();
    let tags = vec![("rescind:protected".to_owned(), String::new())];
    let group = crate::ec2::SecurityGroup { id: "sg-1".to_owned(), tags, rules: is.to_vec() };
    let earlier = Earlier::Rules { rules: earlier.to_vec(), captured: String::new() };
    let state = State { group: Some(group), earlier, ..State::default() };
    testing::judged(&SecurityGroupRuleRemoved, &about, &state, &[]).unwrap().0
}

#[test]
fn what_the_response_tells_is_put_back_unless_it_is_there_or_was_open() {
    let (fine, open) = (rule("sgr-1", 5432, "10.0.0.0/8"), rule("sgr-2", 22, "0.0.0.0/0"));
    let seen = [read(&fine), read(&open)];
    let (request, response) =
        (json!({"groupId": "sg-1"}), json!({"revokedSecurityGroupRuleSet": {"items": [fine, open]}}));
    let Assessment::Risky { offenders, .. } = judged(&response, &request, &seen, &[]) else { panic!("risky") };
    assert_eq!(offenders, [read(&fine)]);
    let again = read(&rule("sgr-9", 5432, "10.0.0.0/8"));
    assert!(matches!(judged(&response, &request, &seen, &[again]), Assessment::AlreadySafe { .. }));
    let response = json!({"revokedSecurityGroupRuleSet": {"items": open}});
    assert!(matches!(judged(&response, &request, &seen, &[]), Assessment::Harmless { .. }));
}

#[test]
fn what_aws_config_had_not_seen_is_not_put_back_on_an_events_word() {
    let told = rule("sgr-1", 8080, "0.0.0.0/0");
    let (request, response) = (json!({"groupId": "sg-1"}), json!({"revokedSecurityGroupRuleSet": {"items": told}}));
    for seen in [vec![], vec![read(&rule("sgr-2", 5432, "10.0.0.0/8"))], vec![read(&rule("sgr-2", 8080, "10.0.0.0/8"))]]
    {
        assert!(matches!(judged(&response, &request, &seen, &[]), Assessment::Harmless { .. }), "{seen:?}");
    }
    assert!(matches!(judged(&response, &request, &[read(&told)], &[]), Assessment::Risky { .. }));
}

#[test]
fn sources_that_were_too_wide_together_stay_apart() {
    let halves: Vec<Value> = (0..4_u8).map(|n| rule(&format!("sgr-{n}"), 22, &format!("{}.0.0.0/9", 40 + n))).collect();
    let (gone, stay) = halves.split_first().unwrap();
    let stay: Vec<Rule> = stay.iter().map(read).collect();
    let response = json!({"revokedSecurityGroupRuleSet": {"items": gone}});
    assert!(matches!(
        judged(&response, &json!({"groupId": "sg-1"}), &[read(gone)], &stay),
        Assessment::Harmless { .. }
    ));
}

#[test]
fn a_request_is_believed_as_far_as_the_earlier_state_confirms_it() {
    let was = read(&rule("sgr-1", 5432, "10.0.0.0/8"));
    let ranges = json!({"items": [{"cidrIp": "10.0.0.0/8"}]});
    let permission = json!({"items": [{"ipProtocol": "tcp", "fromPort": 5432, "toPort": 5432, "ipRanges": ranges}]});
    for request in [
        json!({"groupId": "sg-1", "ipPermissions": permission}),
        json!({"groupId": "sg-1", "ipProtocol": "tcp", "fromPort": 5432, "toPort": 5432, "cidrIp": "10.0.0.0/8"}),
        json!({"groupId": "sg-1", "securityGroupRuleIds": {"items": ["sgr-1"]}}),
        json!({"groupId": "sg-1", "securityGroupRuleIds": {"items": [{"securityGroupRuleId": "sgr-1"}]}}),
    ] {
        let Assessment::Risky { offenders, .. } = judged(&Value::Null, &request, std::slice::from_ref(&was), &[])
        else {
            panic!("risky: {request}")
        };
        assert_eq!(offenders, std::slice::from_ref(&was));
        assert!(!matches!(judged(&Value::Null, &request, &[], &[]), Assessment::Risky { .. }), "{request}");
    }
}

/// What is lost and what is done about it, where these rules were removed as the response tells.
fn lost(told: &[Value], earlier: &[Rule], is: &[Rule]) -> Vec<Rule> {
    let response = json!({"revokedSecurityGroupRuleSet": {"items": told}});
    match judged(&response, &json!({"groupId": "sg-1"}), earlier, is) {
        Assessment::Risky { offenders, .. } => offenders,
        other => panic!("risky: {other:?}"),
    }
}

#[test]
fn a_rule_that_was_modified_and_then_removed_comes_back_as_it_was_before_both() {
    let was =
        Rule { tags: vec![("ticket".to_owned(), "OPS-1".to_owned())], ..read(&rule("sgr-1", 5432, "10.0.0.0/16")) };
    let (seen, told) = (std::slice::from_ref(&was), rule("sgr-1", 5432, "10.9.9.9/32"));
    assert_eq!(lost(std::slice::from_ref(&told), seen, &[]), seen);
    // With another rule that came in between, and permits the same: it is put back once.
    assert_eq!(lost(&[told.clone(), rule("sgr-2", 5432, "10.0.0.0/16")], seen, &[]), seen);
    // It stands again.
    let response = json!({"revokedSecurityGroupRuleSet": {"items": told}});
    let request = json!({"groupId": "sg-1"});
    let again = read(&rule("sgr-9", 5432, "10.0.0.0/16"));
    assert!(matches!(judged(&response, &request, seen, &[again]), Assessment::AlreadySafe { .. }));
    // So it does, in a rule that was modified to be that, and is to become again what it was.
    let nine = read(&rule("sgr-9", 5432, "10.9.0.0/16"));
    let (seen, is) = ([was.clone(), nine], [read(&rule("sgr-9", 5432, "10.0.0.0/16"))]);
    assert!(matches!(judged(&response, &request, &seen, &is), Assessment::Unclear { .. }));
    // What was open before stays away.
    let open = read(&rule("sgr-1", 22, "0.0.0.0/0"));
    assert!(matches!(judged(&response, &request, &[open], &[]), Assessment::Harmless { .. }));
}

#[test]
fn a_rule_of_another_accounts_group_comes_back_with_its_account() {
    let told = |port: u16| {
        json!({"securityGroupRuleId": "sgr-1", "ipProtocol": "tcp", "fromPort": port, "toPort": port,
            "referencedGroupId": "sg-other"})
    };
    let info = json!({"groupId": "sg-other", "userId": "444455556666", "vpcPeeringConnectionId": "pcx-1"});
    let was = |id: &str, port: u16| {
        let item = json!({"securityGroupRuleId": id, "ipProtocol": "tcp", "fromPort": port, "toPort": port,
            "referencedGroupInfo": info});
        read(&item)
    };
    for id in ["sgr-1", ""] {
        let offenders = lost(&[told(5432)], &[was(id, 5432)], &[]);
        assert_eq!(offenders, [was("sgr-1", 5432)], "the earlier state knows the rule by its id: {id:?}");
    }
    // A stranger's group does not count as one of its own.
    let response = json!({"revokedSecurityGroupRuleSet": {"items": told(22)}});
    let judgement = judged(&response, &json!({"groupId": "sg-1"}), &[was("sgr-1", 22)], &[]);
    assert!(matches!(judgement, Assessment::Harmless { .. }), "{judgement:?}");
}

#[test]
fn what_names_something_that_may_be_gone_keeps_nothing_else_away() {
    let group = |id: &str, peer: &str, tag: &str| {
        let item = json!({"securityGroupRuleId": id, "ipProtocol": "tcp", "fromPort": 5432, "toPort": 5432,
            "referencedGroupId": peer, "tagSet": {"items": [{"key": "of", "value": tag}]}});
        read(&item)
    };
    let rules =
        [group("sgr-1", "sg-gone", "a"), group("sgr-2", "sg-there", "b"), read(&rule("sgr-3", 5432, "10.0.0.0/8"))];
    let (steps, _) = put_back::authorized("sg-1", rules);
    let lists: Vec<(bool, &str)> = steps
        .iter()
        .map(|step| {
            let permission = items(field(&step.call.parameters, "ipPermissions")).into_iter().next().unwrap();
            let pairs = items(field(permission, "userIdGroupPairs"));
            (step.is_beside, pairs.first().and_then(|pair| text(pair, "groupId")).unwrap_or("range"))
        })
        .collect();
    assert_eq!(lists, [(false, "range"), (false, "sg-gone"), (true, "sg-there")]);
}
