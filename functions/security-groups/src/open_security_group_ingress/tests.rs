use rescind_lambda::testing;

use super::*;
use crate::earlier::Earlier;
use crate::ec2::{GroupRef, SecurityGroup};
use crate::rule::Source;
use crate::told::Told;

fn rule(id: &str, source: &Value) -> Rule {
    let mut item = json!({"securityGroupRuleId": id, "ipProtocol": "tcp", "fromPort": 22, "toPort": 22});
    item.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
    Rule::from_rule_set(&item).unwrap()
}

fn range(id: &str, range: &str) -> Rule {
    rule(id, &json!({"cidrIpv4": range}))
}

fn state(was: &[Rule], is: &[Rule]) -> State {
    let group = SecurityGroup { id: "sg-1".to_owned(), tags: Vec::new(), rules: is.to_vec() };
    let earlier = Earlier::Rules { rules: was.to_vec(), captured: String::new() };
    State { group: Some(group), earlier, ..State::default() }
}

/// What is done about a group, rules of which were modified by one call, with their ids; and what remains then.
fn taken_back(modified: &[&str], state: &State) -> (Vec<(String, Vec<String>)>, State) {
    let signal = testing::called("ec2:ModifySecurityGroupRules", &json!({"groupId": "sg-1"}), &Value::Null).unwrap();
    let told = state.rules().iter().filter(|rule| modified.contains(&rule.id.as_str()));
    let told = told.map(|rule| Told { id: Some(rule.id.clone()), rule: Some(rule.clone()) }).collect();
    let target = Target { group: GroupRef::Id("sg-1".to_owned()), changed: Changed::Modified(told), time: signal.time };
    let about = (signal.resource(GROUP, "sg-1"), target);
    let (assessment, plan) = testing::judged(&OpenSecurityGroupIngress, &about, state, &[]).unwrap();
    assert!(matches!(assessment, Assessment::Risky { .. }), "{assessment:?}");
    let ids = |call: &Call| {
        let updates = items(field(&call.parameters, "securityGroupRules")).into_iter();
        let ids = items(field(&call.parameters, "securityGroupRuleIds")).into_iter().filter_map(Value::as_str);
        updates.filter_map(|update| text(update, "securityGroupRuleId")).chain(ids).map(str::to_owned).collect()
    };
    let steps = plan.steps.iter().map(|step| (step.call.call.clone(), ids(&step.call))).collect();
    let done = testing::done(state, &plan);
    assert_eq!(testing::undone(&done, &plan).facts(), state.facts());
    (steps, done)
}

fn call(action: &str, ids: &[&str]) -> (String, Vec<String>) {
    (action.to_owned(), ids.iter().map(|id| (*id).to_owned()).collect())
}

#[test]
fn a_modified_rule_becomes_what_it_was() {
    let (was, is) = (range("sgr-1", "10.0.0.0/8"), range("sgr-1", "0.0.0.0/0"));
    let (steps, done) = taken_back(&["sgr-1"], &state(std::slice::from_ref(&was), &[is]));
    assert_eq!((steps.as_slice(), done.rules()), (&[call(action::MODIFY_RULES, &["sgr-1"])][..], &[was][..]));
}

#[test]
fn what_stands_under_another_id_by_now_keeps_no_rule_open() {
    let was = [range("sgr-1", "10.0.0.0/8"), range("sgr-3", "10.3.0.0/16"), range("sgr-5", "10.5.0.0/16")];
    let (one, three) = (range("sgr-1", "0.0.0.0/0"), rule("sgr-3", &json!({"cidrIpv6": "::/0"})));
    // Authorized anew.
    let two = range("sgr-2", "10.0.0.0/8");
    let is = [one.clone(), two.clone(), three.clone()];
    let (steps, done) = taken_back(&["sgr-1", "sgr-3"], &state(&was, &is));
    assert_eq!(steps, [call(action::REVOKE_INGRESS, &["sgr-1"]), call(action::MODIFY_RULES, &["sgr-3"])]);
    assert_eq!(done.rules(), [two, range("sgr-3", "10.3.0.0/16")]);
    // Another one was modified to be that.
    let five = range("sgr-5", "10.0.0.0/8");
    let (steps, done) = taken_back(&["sgr-1", "sgr-5"], &state(&was, &[one.clone(), five.clone()]));
    assert_eq!((steps.as_slice(), done.rules()), (&[call(action::REVOKE_INGRESS, &["sgr-1"])][..], &[five][..]));
    // Two were the same, of what AWS Config tells.
    let was = [range("sgr-1", "10.0.0.0/8"), range("sgr-3", "10.0.0.0/8")];
    let (steps, _) = taken_back(&["sgr-1", "sgr-3"], &state(&was, &[one, three]));
    assert_eq!(steps, [call(action::REVOKE_INGRESS, &["sgr-3"]), call(action::MODIFY_RULES, &["sgr-1"])]);
}

#[test]
fn what_a_modification_could_not_name_keeps_no_rule_open() {
    let is = range("sgr-1", "0.0.0.0/0");
    let of_account = json!({"referencedGroupInfo": {"groupId": "sg-9", "userId": "444455556666"}});
    for (source, is_known, is_put_back) in [
        (json!({"referencedGroupInfo": {"groupId": "sg-9"}}), true, true),
        (json!({"referencedGroupInfo": {"groupId": "sg-9"}}), false, false),
        (json!({"referencedGroupInfo": {"groupId": "sg-1"}}), false, true),
        (of_account, true, false),
        (json!({"prefixListId": "pl-1"}), true, true),
        (json!({"prefixListId": "pl-1"}), false, false),
    ] {
        let was = rule("sgr-1", &source);
        let mut state = state(std::slice::from_ref(&was), std::slice::from_ref(&is));
        if is_known {
            state.groups.insert("sg-9".to_owned());
            state.lists.insert("pl-1".to_owned(), Ok(vec!["10.0.0.0/8".parse().unwrap()]));
        }
        let action = if is_put_back { action::MODIFY_RULES } else { action::REVOKE_INGRESS };
        let (steps, done) = taken_back(&["sgr-1"], &state);
        assert_eq!(steps, [call(action, &["sgr-1"])], "{source}");
        let sources: Vec<&Source> = done.rules().iter().map(|rule| &rule.source).collect();
        assert_eq!(sources, is_put_back.then_some(&was.source).into_iter().collect::<Vec<_>>(), "{source}");
    }
}
