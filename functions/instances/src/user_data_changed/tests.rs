use proptest::prelude::*;
use rescind_lambda::testing::{self, called};
use serde_json::{Value, json};

use super::*;

fn signal(request: &Value) -> Signal {
    called("ec2:ModifyInstanceAttribute", request, &json!({"_return": true})).unwrap()
}

fn state(lifecycle: &str, tag: &str, is: &str, earlier: Earlier) -> State {
    let instance = Instance {
        id: "i-1".to_owned(),
        lifecycle: lifecycle.to_owned(),
        tags: vec![(tag.to_owned(), String::new())],
        user_data: UserData::new(is),
    };
    State { instance: Some(instance), earlier }
}

fn known(value: &str) -> Earlier {
    Earlier::Known { user_data: UserData::new(value), read: "2026-11-24T08:00:00Z".to_owned() }
}

fn judged(state: &State, tags: &[(&str, &str)]) -> (Assessment<Changed>, Plan) {
    let signal = signal(&json!({"instanceId": "i-1", "userData": "<sensitiveDataRemoved>"}));
    testing::judged(&UserDataChanged, &testing::about(&UserDataChanged, &signal).unwrap(), state, tags).unwrap()
}

const PROTECTED: &str = "rescind:protected";

#[test]
fn user_data_is_heard_in_every_way_that_a_call_names_it() {
    let masked = "<sensitiveDataRemoved>";
    for request in [
        json!({"instanceId": "i-1", "userData": masked}),
        json!({"instanceId": "i-1", "userData": {"value": masked}}),
        json!({"instanceId": "i-1", "userData": {}}),
        json!({"instanceId": "i-1", "attribute": "userData", "value": masked}),
        json!({"instanceId": "i-1", "attribute": "UserData", "value": masked}),
        json!({"ModifyInstanceAttributeRequest": {"InstanceId": "i-1", "UserData": {"Value": masked}}}),
    ] {
        let heard = UserDataChanged.listen(&signal(&request));
        assert!(matches!(&heard[..], [Heard::About { resource, .. }] if resource.id == "i-1"), "{request}: {heard:?}");
    }
}

#[test]
fn other_attributes_are_harmless_and_a_record_of_no_instance_is_told() {
    for request in [
        json!({"instanceId": "i-1", "instanceType": {"value": "t3.nano"}}),
        json!({"instanceId": "i-1", "attribute": "disableApiTermination", "value": "<sensitiveDataRemoved>"}),
        json!({"instanceId": "i-1", "userData": null, "groupSet": {}}),
    ] {
        let heard = UserDataChanged.listen(&signal(&request));
        assert!(matches!(heard[..], [Heard::Harmless { .. }]), "{request}: {heard:?}");
    }
    for request in [json!({}), json!({"userData": "x"}), json!({"instanceId": 1, "userData": "x"}), Value::Null] {
        let heard = UserDataChanged.listen(&signal(&request));
        assert!(matches!(heard[..], [Heard::Unreadable { .. }]), "{request}: {heard:?}");
    }
}

#[test]
fn a_stopped_instance_gets_back_what_it_had() {
    let (assessment, plan) = judged(&state("stopped", PROTECTED, "bad", known("good")), &[]);
    let Assessment::Risky { evidence, .. } = assessment else { panic!("{assessment:?}") };
    assert!(evidence[0].0["was"].starts_with("sha256:") && evidence[0].0["was"].ends_with("(4 bytes)"), "{evidence:?}");
    let call = |value: &str| user_data::set("i-1", &UserData::new(value));
    assert_eq!(plan.steps, [Step::planned(call("good"), call("bad"))]);
    // There was none, or there is none.
    assert_eq!(
        judged(&state("stopped", PROTECTED, "bad", known("")), &[]).1.steps,
        [Step::planned(call(""), call("bad"))]
    );
    assert_eq!(
        judged(&state("stopped", PROTECTED, "", known("good")), &[]).1.steps,
        [Step::planned(call("good"), call(""))]
    );
}

#[test]
fn what_cannot_be_put_back_is_told() {
    for (lifecycle, earlier, says) in [
        ("running", known("good"), "only while it is stopped"),
        ("pending", known("good"), "only while it is stopped"),
        ("stopped", Earlier::Unknown, "not known"),
        ("running", Earlier::Unknown, "not known"),
    ] {
        let (assessment, _) = judged(&state(lifecycle, PROTECTED, "bad", earlier), &[]);
        let Assessment::Report { reason, evidence } = assessment else { panic!("{assessment:?}") };
        assert!(reason.contains(says), "{reason}");
        assert!(evidence[0].0["is"].contains("(3 bytes)"), "{evidence:?}");
    }
    for (lifecycle, earlier) in [("stopping", known("good")), ("stopped", Earlier::Unread("no answer".to_owned()))] {
        let (assessment, _) = judged(&state(lifecycle, PROTECTED, "bad", earlier), &[]);
        assert!(matches!(assessment, Assessment::Unclear { .. }), "another time it may be: {assessment:?}");
    }
}

#[test]
fn unprotected_unchanged_and_gone_instances_are_left_alone() {
    let unprotected = state("stopped", "Name", "bad", known("good"));
    assert!(matches!(judged(&unprotected, &[]).0, Assessment::Harmless { .. }));
    let other = [("rescind:protected-tag", "Name")];
    assert!(matches!(judged(&unprotected, &other).0, Assessment::Risky { .. }));
    let unchanged = state("running", PROTECTED, "good", known("good"));
    assert!(matches!(judged(&unchanged, &[]).0, Assessment::AlreadySafe { .. }));
    let gone = State { instance: None, earlier: known("good") };
    assert!(matches!(judged(&gone, &[]).0, Assessment::Harmless { .. }));
}

proptest! {
    #[test]
    fn a_plan_makes_the_state_safe_its_inverse_undoes_it_and_no_value_is_in_either(is in "[a-z]{8,40}", was in "[A-Z]{8,40}") {
        let before = state("stopped", PROTECTED, &is, known(&was));
        let (assessment, plan) = judged(&before, &[]);
        let [step] = &plan.steps[..] else { panic!("one step") };
        let after = before.after(&step.call);
        let is_safe = matches!(judged(&after, &[]).0, Assessment::AlreadySafe { .. });
        prop_assert!(is_safe);
        prop_assert_eq!(&after.after(&step.call), &after, "twice is once");
        let undone = after.after(step.inverse.as_ref().unwrap());
        prop_assert_eq!(undone.facts(), before.facts());
        let shown = format!("{assessment:?} {plan:?} {before:?} {:?}", before.facts());
        prop_assert!(!shown.contains(&is) && !shown.contains(&was));
    }
}
