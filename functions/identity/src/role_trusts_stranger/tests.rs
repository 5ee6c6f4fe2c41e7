use rescind_lambda::ResourceState;
use rescind_lambda::testing::{self, called};
use serde_json::{Value, json};

use super::*;
use crate::assumed::effect;
use crate::principal::Principal;

const ACCOUNT: &str = "111122223333";
const OURS: &str = "arn:aws:iam::111122223333:root";
const STRANGER: &str = "arn:aws:iam::999999999999:root";
const OWN: &str = "arn:aws:iam::111122223333:role/rescind-IdentityRole-EXAMPLE";

fn signal(name: &str, request: &Value) -> Signal {
    called(&format!("iam:{name}"), request, &Value::Null).unwrap()
}

fn trusting(principals: &[&str]) -> String {
    let statement = json!({"Effect": "Allow", "Principal": {"AWS": principals}, "Action": "sts:AssumeRole"});
    json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
}

fn updated(document: &str) -> (Resource, Given) {
    let heard = RoleTrustsStranger
        .listen(&signal("UpdateAssumeRolePolicy", &json!({"roleName": "web", "policyDocument": document})))
        .remove(0);
    match heard {
        Heard::About { resource, target } => (resource, target),
        other => panic!("{other:?}"),
    }
}

fn standing(document: &str, before: Option<&str>) -> Standing<Known> {
    let role = Principal { arn: format!("arn:aws:iam::{ACCOUNT}:role/web"), ..Principal::default() };
    let before = before.map(|document| (document.to_owned(), "2026-11-24T08:00:00Z".to_owned()));
    Standing::new(effect).fact(TRUST, document).with(Known { role: Some(role), before })
}

fn judged_as(about: &(Resource, Given), state: &Standing<Known>, tags: &[(&str, &str)]) -> (Assessment<String>, Plan) {
    testing::judged(&RoleTrustsStranger, about, state, tags).unwrap()
}

/// The trust policy that a change is answered with, and what becomes of it then.
fn taken_back(now: &str, before: Option<&str>) -> String {
    let about = updated(now);
    let state = standing(now, before);
    let (assessment, plan) = judged_as(&about, &state, &[]);
    let [step] = &plan.steps[..] else { panic!("{assessment:?}") };
    let after = state.after(&step.call);
    assert!(matches!(judged_as(&about, &after, &[]).0, Assessment::AlreadySafe { .. }), "{after:?}");
    assert_eq!(after.after(step.inverse.as_ref().unwrap()), state);
    after.get(TRUST).unwrap().to_owned()
}

#[test]
fn a_role_gets_its_earlier_trust_or_loses_the_stranger_or_everybody() {
    let (now, before) = (trusting(&[OURS, STRANGER]), trusting(&["arn:aws:iam::111122223333:role/ci"]));
    assert_eq!(taken_back(&now, Some(&before)), before);
    assert_eq!(taken_back(&now, None), trusting(&[OURS]));
    assert_eq!(taken_back(&trusting(&[STRANGER]), None), nobody());
    // What was no better is not put back.
    let other = trusting(&["arn:aws:iam::888888888888:root"]);
    assert_eq!(taken_back(&now, Some(&other)), trusting(&[OURS]));
}

#[test]
fn what_somebody_else_changed_since_is_not_lost() {
    let ci = "arn:aws:iam::111122223333:role/ci";
    let live = trusting(&[OURS, STRANGER, ci]);
    let (_, plan) = judged_as(&updated(&trusting(&[OURS, STRANGER])), &standing(&live, Some(&trusting(&[OURS]))), &[]);
    let [step] = &plan.steps[..] else { panic!("{plan:?}") };
    assert_eq!(step.call.parameters["PolicyDocument"], trusting(&[OURS, ci]));
    assert!(plan.note.unwrap().contains("was changed since"));
}

#[test]
fn what_another_call_set_since_is_not_of_this_one() {
    const VENDOR: &str = "arn:aws:iam::888888888888:root";
    let live = trusting(&[OURS, VENDOR]);
    let judge = |told: &str, live: &str| judged_as(&updated(told), &standing(live, None), &[]);
    // Somebody who may, let in a vendor.
    for told in [trusting(&[OURS]), trusting(&["arn:aws:iam::888888888888:role/x"])] {
        let (assessment, plan) = judge(&told, &live);
        assert!(matches!(assessment, Assessment::Harmless { .. } | Assessment::AlreadySafe { .. }), "{assessment:?}");
        assert!(plan.steps.is_empty());
    }
    let (assessment, _) = judge(&trusting(&[OURS]), &live);
    let Assessment::Harmless { reason } = &assessment else { panic!("{assessment:?}") };
    assert!(!reason.contains("888888888888"), "{reason}");
    // What it set itself goes, and nothing else.
    let (assessment, plan) = judge(&trusting(&[STRANGER]), &trusting(&[VENDOR, STRANGER]));
    let Assessment::Risky { reason, .. } = &assessment else { panic!("{assessment:?}") };
    assert!(reason.contains("999999999999") && !reason.contains("888888888888"), "{reason}");
    assert_eq!(plan.steps[0].call.parameters["PolicyDocument"], trusting(&[VENDOR]));
    assert!(matches!(judge(&trusting(&[STRANGER]), &trusting(&[VENDOR])).0, Assessment::AlreadySafe { .. }));
    // That a condition is not understood, is another call's, too.
    let mut odd: Value = serde_json::from_str(&live).unwrap();
    odd["Statement"][0]["Condition"] = json!({"StringEquals": {"aws:SomethingOfTomorrow": "x"}});
    assert!(matches!(judge(&trusting(&[OURS]), &odd.to_string()).0, Assessment::Harmless { .. }));
    // Where the record does not tell, it is judged by what is there.
    let (resource, mut given) = updated(&live);
    given.document = None;
    let (assessment, _) = judged_as(&(resource, given), &standing(&live, None), &[]);
    assert!(matches!(assessment, Assessment::Risky { .. }), "{assessment:?}");
}

#[test]
fn principals_that_iam_writes_anew_are_those_of_the_call() {
    for principal in ["999999999999", "AROAEXAMPLESTRANGER1", STRANGER] {
        let (assessment, plan) =
            judged_as(&updated(&trusting(&[OURS, principal])), &standing(&trusting(&[OURS, STRANGER]), None), &[]);
        assert!(matches!(assessment, Assessment::Risky { .. }), "{principal}: {assessment:?}");
        assert_eq!(plan.steps[0].call.parameters["PolicyDocument"], trusting(&[OURS]));
    }
}

#[test]
fn whom_the_owner_trusts_and_who_was_let_in_before_is_not_cut_off() {
    let now = trusting(&[OURS, STRANGER]);
    let (assessment, _) =
        judged_as(&updated(&now), &standing(&now, None), &[("rescind:trusted-accounts", "999999999999")]);
    assert!(matches!(assessment, Assessment::Harmless { .. }), "{assessment:?}");
    let (assessment, _) = judged_as(&updated(&now), &standing(&now, Some(&trusting(&[STRANGER]))), &[]);
    assert!(matches!(assessment, Assessment::Report { .. }), "{assessment:?}");
}

#[test]
fn rescinds_own_roles_and_what_is_not_understood_are_told() {
    let now = trusting(&[STRANGER]);
    let mut state = standing(&now, None);
    state.more.role = Some(Principal { arn: OWN.to_owned(), ..Principal::default() });
    assert!(matches!(judged_as(&updated(&now), &state, &[]).0, Assessment::Report { .. }));
    let mut odd: Value = serde_json::from_str(&now).unwrap();
    odd["Statement"][0]["Condition"] = json!({"StringEquals": {"aws:SomethingOfTomorrow": "x"}});
    let odd = odd.to_string();
    let (assessment, _) = judged_as(&updated(&odd), &standing(&odd, None), &[]);
    assert!(matches!(assessment, Assessment::Report { .. }), "{assessment:?}");
    assert!(matches!(judged_as(&updated(&now), &standing("{", None), &[]).0, Assessment::Unclear { .. }));
}

#[test]
fn what_is_gone_or_mended_already_is_safe() {
    let now = trusting(&[STRANGER]);
    let gone = Standing::new(effect).with(Known::default());
    assert!(matches!(judged_as(&updated(&now), &gone, &[]).0, Assessment::AlreadySafe { .. }));
    let mended = standing(&trusting(&[OURS]), None);
    assert!(matches!(judged_as(&updated(&now), &mended, &[]).0, Assessment::AlreadySafe { .. }));
    assert!(matches!(judged_as(&updated(&trusting(&[OURS])), &mended, &[]).0, Assessment::Harmless { .. }));
}

#[test]
fn a_new_role_is_read_by_its_own_parameter_and_a_record_that_tells_nothing_is_told() {
    let now = trusting(&[STRANGER]);
    let request = json!({"roleName": "new", "assumeRolePolicyDocument": now});
    let heard = RoleTrustsStranger.listen(&signal("CreateRole", &request)).remove(0);
    let Heard::About { resource, target } = heard else { panic!("{heard:?}") };
    assert!(target.is_new && target.document.as_deref() == Some(now.as_str()));
    let state = RoleTrustsStranger.state_of_event(&resource, &target, None).unwrap();
    assert_eq!(judged_as(&(resource, target), &state, &[]).1.steps.len(), 1);
    for request in [json!(null), json!({"roleName": "a/b"})] {
        let heard = RoleTrustsStranger.listen(&signal("CreateRole", &request));
        assert!(matches!(heard[..], [Heard::Unreadable { .. }]), "{heard:?}");
    }
}
