use rescind_lambda::ResourceState;

use super::*;
use crate::snapshot::{KIND, added};
use rescind_lambda::testing;

fn signal(request: &Value) -> Signal {
    let detail = json!({"eventName": "ModifySnapshotAttribute", "eventSource": "ec2.amazonaws.com", "eventID": "e",
        "requestParameters": request, "responseElements": {"_return": true}, "userIdentity": {"type": "Root"}});
    let event = json!({"id": "1", "source": "aws.ec2", "detail-type": "AWS API Call via CloudTrail", "account": "111122223333",
        "time": "2026-11-24T09:00:00Z", "region": "eu-central-1", "detail": detail});
    rescind::signal::decode(event).unwrap().signal
}

fn shared(with: &[&str]) -> Standing {
    with.iter().fold(snapshot::standing(), |standing, who| standing.fact(*who, true))
}

/// What is made of a call that let these in, and of how the snapshot stands.
fn judged(target: &[&str], state: &Standing) -> (Assessment<String>, Plan) {
    let resource = signal(&json!({})).resource(KIND, "snap-1");
    let target: Vec<String> = target.iter().map(|who| (*who).to_owned()).collect();
    testing::judged(&SnapshotShared, &(resource, target), state, &[("rescind:trusted-accounts", "777788889999")])
        .unwrap()
}

#[test]
fn whom_a_call_adds_is_read_in_every_form() {
    let who = |permission: Value| added(&json!({"snapshotId": "snap-1", "createVolumePermission": permission}));
    assert_eq!(who(json!({"add": {"items": [{"userId": "444455556666"}, {"group": "all"}]}})), ["444455556666", "all"]);
    assert_eq!(who(json!({"add": {"items": {"group": "all"}}})), ["all"]);
    assert_eq!(who(json!({"add": {"group": "all"}})), ["all"]);
    assert_eq!(who(json!({"add": [{"userId": 12_345_678_901_i64}]})), ["012345678901"]);
    assert!(who(json!({"remove": {"items": [{"group": "all"}]}})).is_empty());
    assert!(who(json!({})).is_empty());
    let flat = |operation: &str, name: &str, list: Value| added(&json!({"operationType": operation, name: list}));
    assert_eq!(flat("add", "userIds", json!(["444455556666"])), ["444455556666"]);
    assert_eq!(flat("add", "userIds", json!({"items": ["444455556666"]})), ["444455556666"]);
    assert_eq!(flat("Add", "userIds", json!({"items": [{"userId": "444455556666"}]})), ["444455556666"]);
    assert_eq!(flat("add", "groupNames", json!("all")), ["all"]);
    assert!(flat("remove", "groupNames", json!("all")).is_empty());
}

#[test]
fn a_record_that_names_no_snapshot_is_told() {
    let heard = SnapshotShared.listen(&signal(&Value::Null));
    assert!(matches!(heard[..], [Heard::Unreadable { .. }]), "{heard:?}");
}

#[test]
fn only_strangers_that_this_call_added_lose_it() {
    let state = shared(&["111122223333", "222233334444", "444455556666", "777788889999", "all"]);
    let (assessment, plan) = judged(&["111122223333", "444455556666", "777788889999", "all"], &state);
    assert!(matches!(assessment, Assessment::Risky { ref offenders, .. } if offenders == &["444455556666", "all"]));
    let [step] = &plan.steps[..] else { panic!("{plan:?}") };
    assert_eq!(step.call.parameters["UserIds"], json!(["444455556666"]));
    assert_eq!(step.call.parameters["GroupNames"], json!(["all"]));
    let after = state.after(&step.call);
    assert_eq!(after, shared(&["111122223333", "222233334444", "777788889999"]));
    assert_eq!(after.after(step.inverse.as_ref().unwrap()), state, "the inverse gives back what was there");
}

#[test]
fn what_is_over_already_and_what_is_ours_is_left_alone() {
    let (assessment, _) = judged(&["all"], &shared(&["444455556666"]));
    assert!(matches!(assessment, Assessment::AlreadySafe { .. }), "{assessment:?}");
    let (assessment, _) = judged(&["111122223333", "777788889999"], &shared(&["111122223333", "777788889999"]));
    assert!(matches!(assessment, Assessment::Harmless { .. }), "{assessment:?}");
}

#[test]
fn an_account_in_disguise_is_a_stranger() {
    for who in [" 111122223333", "11112222333", "ALL", "111122223333\u{200b}"] {
        let (assessment, _) = judged(&[who], &shared(&[who]));
        assert!(matches!(assessment, Assessment::Risky { .. }), "{who}: {assessment:?}");
    }
}
