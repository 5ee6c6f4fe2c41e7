use rescind_lambda::testing::{self, called};

use super::*;
use crate::entry::Entry;
use rescind::plan::StepState;
use rescind_lambda::ResourceState;
use serde_json::{Value, json};

fn signal(name: &str, request: &Value) -> Signal {
    called(&format!("ec2:{name}"), request, &Value::Null).unwrap()
}

fn request(number: i32, ports: (u16, u16), source: &str) -> Value {
    json!({"networkAclId": "acl-1", "ruleNumber": number, "egress": false, "ruleAction": "allow", "aclProtocol": "6",
        "cidrBlock": source, "portRange": {"from": ports.0, "to": ports.1}, "icmpTypeCode": {}})
}

fn entry(number: i32, ports: (u16, u16), source: &str) -> Entry {
    Entry::read(&request(number, ports, source)).unwrap()
}

fn heard(name: &str, request: &Value) -> Heard<Made> {
    OpenNetworkAclEntry.listen(&signal(name, request)).remove(0)
}

/// Judges a call by a live network ACL, and plans.
fn judged(name: &str, request: &Value, acl: Acl) -> (Assessment<String>, Plan, Standing<Acl>) {
    let about = testing::about(&OpenNetworkAclEntry, &signal(name, request)).unwrap();
    let state = acl::standing(acl, about.1.entry.number);
    let (assessment, plan) = testing::judged(&OpenNetworkAclEntry, &about, &state, &[]).unwrap();
    (assessment, plan, state)
}

const OPEN: (u16, u16) = (22, 22);

fn replaced(earlier: Earlier) -> (Assessment<String>, Plan, Standing<Acl>) {
    let entries = vec![entry(100, OPEN, "0.0.0.0/0"), entry(200, (443, 443), "0.0.0.0/0")];
    judged("ReplaceNetworkAclEntry", &request(100, OPEN, "0.0.0.0/0"), Acl { entries, earlier })
}

#[test]
fn an_entry_that_was_made_is_deleted_and_comes_back_exactly() {
    let entries = vec![entry(100, OPEN, "0.0.0.0/0"), entry(200, (443, 443), "0.0.0.0/0")];
    let acl = Acl { entries, ..Acl::default() };
    let (assessment, plan, state) = judged("CreateNetworkAclEntry", &request(100, OPEN, "0.0.0.0/0"), acl);
    assert!(matches!(assessment, Assessment::Risky { .. }), "{assessment:?}");
    let [step] = plan.steps.as_slice() else { panic!("{plan:?}") };
    assert_eq!(step.call.parameters, json!({"NetworkAclId": "acl-1", "RuleNumber": 100, "Egress": false}));
    let after = state.after(&step.call);
    assert!(after.facts().is_empty());
    assert_eq!(after.after(step.inverse.as_ref().unwrap()), state);
    assert_eq!((step.state, plan.note.as_deref()), (StepState::Planned, None));
}

#[test]
fn an_entry_that_is_another_one_by_now_is_not_touched() {
    let narrow = entry(100, OPEN, "10.0.0.0/8");
    let wider = entry(100, (22, 23), "0.0.0.0/0");
    for entries in [vec![], vec![narrow], vec![wider]] {
        let acl = Acl { entries, ..Acl::default() };
        let (assessment, ..) = judged("CreateNetworkAclEntry", &request(100, OPEN, "0.0.0.0/0"), acl);
        assert!(matches!(assessment, Assessment::AlreadySafe { .. }), "{assessment:?}");
    }
}

#[test]
fn an_entry_behind_a_deny_is_harmless() {
    let mut deny = request(90, OPEN, "0.0.0.0/0");
    deny["ruleAction"] = json!("deny");
    let entries = vec![Entry::read(&deny).unwrap(), entry(100, OPEN, "0.0.0.0/0")];
    let acl = Acl { entries, ..Acl::default() };
    let (assessment, ..) = judged("CreateNetworkAclEntry", &request(100, OPEN, "0.0.0.0/0"), acl);
    assert!(matches!(assessment, Assessment::Harmless { .. }), "{assessment:?}");
}

#[test]
fn an_entry_that_was_replaced_becomes_what_it_was_if_that_was_compliant() {
    let before = entry(100, OPEN, "10.0.0.0/8");
    let (_, plan, state) = replaced(Earlier::Known(Some(before), "2026-11-24T09:00:00Z".to_owned()));
    let [step] = plan.steps.as_slice() else { panic!("{plan:?}") };
    assert_eq!(step.call.call, acl::REPLACE);
    let after = state.after(&step.call);
    assert_eq!(after.get("inbound entry 100"), Some("allow tcp/22 from 10.0.0.0/8"));
    assert_eq!(after.after(step.inverse.as_ref().unwrap()), state);
    assert!(plan.note.unwrap().contains("2026-11-24T09:00:00Z"));
}

#[test]
fn else_it_is_deleted_and_the_outcome_says_why() {
    let at = || "2026-11-24T09:00:00Z".to_owned();
    let open = entry(100, (20, 30), "0.0.0.0/0");
    for (earlier, why) in [
        (Earlier::Known(Some(open), at()), "open, too"),
        (Earlier::Known(None, at()), "saw no such entry"),
        (Earlier::Unknown("nobody knows".to_owned()), "nobody knows"),
    ] {
        let (_, plan, _) = replaced(earlier);
        let note = plan.note.unwrap();
        assert_eq!(plan.steps.first().unwrap().call.call, acl::DELETE);
        assert!(note.contains("it is deleted") && note.contains(why), "{note}");
    }
}

fn denying(number: i32, ports: (u16, u16), source: &str) -> Value {
    let mut deny = request(number, ports, source);
    deny["ruleAction"] = json!("deny");
    deny
}

#[test]
fn a_deny_that_was_replaced_comes_back_where_it_kept_something_out() {
    let was = Entry::read(&denying(90, OPEN, "0.0.0.0/0")).unwrap();
    let all = entry(100, (0, 65535), "0.0.0.0/0");
    let at = || "2026-11-24T09:00:00Z".to_owned();
    for now in
        [denying(90, OPEN, "10.0.0.0/8"), denying(90, (23, 23), "0.0.0.0/0"), request(90, (443, 443), "0.0.0.0/0")]
    {
        let entries = vec![Entry::read(&now).unwrap(), all];
        let acl = |earlier| Acl { entries: entries.clone(), earlier };
        let (assessment, plan, state) = judged("ReplaceNetworkAclEntry", &now, acl(Earlier::Known(Some(was), at())));
        assert!(matches!(assessment, Assessment::Risky { .. }), "{now}: {assessment:?}");
        let [step] = plan.steps.as_slice() else { panic!("{plan:?}") };
        let after = state.after(&step.call);
        assert_eq!(after.get("inbound entry 90"), Some("deny tcp/22 from 0.0.0.0/0"));
        assert_eq!(after.after(step.inverse.as_ref().unwrap()), state);
        // Put back already, by Rescind or by somebody else.
        let back = Acl { entries: vec![was, all], earlier: Earlier::Known(Some(was), at()) };
        let (assessment, ..) = judged("ReplaceNetworkAclEntry", &now, back);
        assert!(matches!(assessment, Assessment::AlreadySafe { .. }), "{now}: {assessment:?}");
        // Nobody knows that there was a deny.
        let (assessment, ..) = judged("ReplaceNetworkAclEntry", &now, acl(Earlier::default()));
        assert!(matches!(assessment, Assessment::Harmless { .. }), "{now}: {assessment:?}");
    }
    // What it kept out, nothing lets in.
    let now = denying(90, OPEN, "10.0.0.0/8");
    let entries = vec![Entry::read(&now).unwrap(), entry(100, (443, 443), "0.0.0.0/0")];
    let acl = Acl { entries, earlier: Earlier::Known(Some(was), at()) };
    assert!(matches!(judged("ReplaceNetworkAclEntry", &now, acl).0, Assessment::Harmless { .. }));
}

#[test]
fn a_protocol_is_known_by_its_value() {
    for protocol in [json!("06"), json!("+6"), json!(6), json!("tcp")] {
        let mut told = request(100, OPEN, "0.0.0.0/0");
        told["aclProtocol"] = protocol;
        assert_eq!(Entry::read(&told), Some(entry(100, OPEN, "0.0.0.0/0")));
    }
}

#[test]
fn what_lets_nothing_in_needs_no_look() {
    for (name, value) in [("egress", json!(true)), ("egress", json!("true")), ("ruleAction", json!("deny"))] {
        let mut request = request(100, OPEN, "0.0.0.0/0");
        request[name] = value;
        assert!(matches!(heard("CreateNetworkAclEntry", &request), Heard::Harmless { .. }), "{request}");
    }
}

#[test]
fn what_a_record_does_not_tell_is_not_guessed() {
    let mut without = request(100, OPEN, "0.0.0.0/0");
    without.as_object_mut().unwrap().remove("networkAclId");
    let mut strange = request(100, OPEN, "0.0.0.0/0");
    strange["aclProtocol"] = json!([]);
    for request in [json!(null), json!({}), json!("x"), without, strange] {
        assert!(matches!(heard("ReplaceNetworkAclEntry", &request), Heard::Unreadable { .. }), "{request}");
    }
}

#[test]
fn the_event_alone_tells_the_plan_of_an_entry_that_was_made() {
    let Heard::About { resource, target } = heard("CreateNetworkAclEntry", &request(100, OPEN, "0.0.0.0/0")) else {
        panic!("it is about an entry")
    };
    let acl = Acl { entries: vec![entry(200, (443, 443), "0.0.0.0/0")], ..Acl::default() };
    let live = acl::standing(acl, 100);
    for live in [None, Some(&live)] {
        let state = OpenNetworkAclEntry.state_of_event(&resource, &target, live).unwrap();
        assert_eq!(state.get("inbound entry 100"), Some("allow tcp/22 from 0.0.0.0/0"));
    }
    let made = Made { replaced: Some("2026-11-24T09:30:00Z".parse().unwrap()), ..target };
    assert_eq!(OpenNetworkAclEntry.state_of_event(&resource, &made, Some(&live)), None);
}
