use aws_sdk_kms::types::KeyMetadata;
use rescind_lambda::testing::{about, called, done, judged, undone};

use super::*;
use chrono::DateTime;

const ID: &str = "1234abcd-12ab-34cd-56ef-1234567890ab";
const ARN: &str = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

fn scheduled() -> (Resource, Called) {
    let request = json!({"keyId": ID, "pendingWindowInDays": 7});
    let response = json!({"keyId": ARN, "keyState": "PendingDeletion", "deletionDate": "Dec 1, 2026 09:30:00 AM"});
    about(&KeyGoingAway, &called("kms:ScheduleKeyDeletion", &request, &response).unwrap()).unwrap()
}

fn disabled() -> (Resource, Called) {
    about(&KeyGoingAway, &called("kms:DisableKey", &json!({"keyId": ID}), &json!({"keyId": ARN})).unwrap()).unwrap()
}

fn standing(state: &str, was_enabled: Option<bool>) -> Standing<Known> {
    key::standing(Some(&KeyState::from(state)), was_enabled, 7)
}

fn calls(plan: &Plan) -> Vec<&str> {
    plan.steps.iter().map(|step| step.call.call.as_str()).collect()
}

#[test]
fn a_key_is_named_by_its_id_or_its_arn_and_old_records_answer_nothing() {
    for (request, response) in [
        (json!({"keyId": ID}), json!({"keyId": ARN})),
        (json!({"keyId": ARN}), json!({"keyId": ARN})),
        (json!({"keyId": ARN}), Value::Null),
        (json!({"keyId": ID}), Value::Null),
        (Value::Null, json!({"keyId": ARN})),
    ] {
        let signal = called("kms:DisableKey", &request, &response).unwrap();
        assert_eq!(about(&KeyGoingAway, &signal), Some(disabled()), "{request} {response}");
    }
    assert_eq!((disabled().0.id.as_str(), disabled().1.days), (ID, None));
    let replica = json!({"keyId": "mrk-1234abcd12ab34cd56ef1234567890ab"});
    let signal = called("kms:DisableKey", &replica, &Value::Null).unwrap();
    assert_eq!(about(&KeyGoingAway, &signal).unwrap().0.id, "mrk-1234abcd12ab34cd56ef1234567890ab");
}

#[test]
fn the_waiting_period_is_that_of_the_request_or_else_thirty_days() {
    assert_eq!(scheduled().1.days, Some(7));
    let signal = called("kms:ScheduleKeyDeletion", &json!({"keyId": ID}), &Value::Null).unwrap();
    assert_eq!(about(&KeyGoingAway, &signal).unwrap().1.days, Some(30));
}

#[test]
fn what_tells_no_key_of_this_account_is_not_guessed() {
    for named in [
        json!(null),
        json!(""),
        json!(5),
        json!("alias/orders"),
        json!("a b"),
        json!("arn:aws:kms:eu-central-1:111122223333:alias/orders"),
        json!("arn:aws:kms:eu-central-1:111122223333:key/"),
        json!("arn:aws:kms:eu-central-1:444455556666:key/1234abcd-12ab-34cd-56ef-1234567890ab"),
        json!("arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"),
    ] {
        let signal = called("kms:DisableKey", &json!({"keyId": named}), &Value::Null).unwrap();
        assert!(matches!(KeyGoingAway.listen(&signal)[..], [Heard::Unreadable { .. }]), "{named}");
    }
}

#[test]
fn it_hears_of_its_calls_alone() {
    for other in ["kms:EnableKey", "kms:CancelKeyDeletion", "kms:DisableKeyRotation", "ec2:DisableKey"] {
        let signal = called(other, &json!({"keyId": ID}), &Value::Null).unwrap();
        assert_eq!(KeyGoingAway.listen(&signal), [], "{other}");
    }
}

#[test]
fn a_deletion_is_canceled_and_the_key_enabled_only_if_it_is_known_to_have_been() {
    for state in ["PendingDeletion", "PendingReplicaDeletion"] {
        for (was_enabled, expected, words) in [
            (Some(true), vec![CANCEL, ENABLE], "as it was before"),
            (Some(false), vec![CANCEL], "as AWS Config saw it before"),
            (None, vec![CANCEL], "nothing tells whether"),
        ] {
            let live = standing(state, was_enabled);
            let (assessment, plan) = judged(&KeyGoingAway, &scheduled(), &live, &[]).unwrap();
            assert!(matches!(assessment, Assessment::Risky { .. }), "{assessment:?}");
            assert_eq!(calls(&plan), expected);
            assert!(plan.note.as_ref().is_some_and(|note| note.contains(words)), "{plan:?}");
            let after = done(&live, &plan);
            let (assessment, plan_after) = judged(&KeyGoingAway, &scheduled(), &after, &[]).unwrap();
            assert!(matches!(assessment, Assessment::AlreadySafe { .. }), "{assessment:?}");
            assert_eq!(plan_after, Plan::default());
            assert_eq!(undone(&after, &plan), live, "undone, it is as it was found");
        }
    }
}

#[test]
fn an_undo_schedules_the_deletion_with_the_same_waiting_period() {
    let (_, plan) = judged(&KeyGoingAway, &scheduled(), &standing("PendingDeletion", Some(true)), &[]).unwrap();
    let inverses: Vec<Call> = plan.steps.into_iter().rev().filter_map(|step| step.inverse).collect();
    let schedule = json!({"KeyId": ID, "PendingWindowInDays": 7});
    assert_eq!(inverses, [Call::new(DISABLE, json!({"KeyId": ID})), Call::new(SCHEDULE, schedule)]);
}

#[test]
fn the_waiting_period_of_a_pending_deletion_is_read_from_the_key() {
    let at = DateTime::parse_from_rfc3339("2026-11-24T09:30:00Z").unwrap().to_utc();
    let key = || KeyMetadata::builder().key_id(ID);
    let after = |seconds: i64| aws_sdk_kms::primitives::DateTime::from_secs(at.timestamp() + seconds);
    let day = 86_400;
    for (date, days) in [(7 * day, 7), (7 * day + 2, 7), (20 * day - 2, 20), (30 * day, 30), (40 * day, 30), (0, 7)] {
        let live = key().deletion_date(after(date)).build().unwrap();
        assert_eq!(key::waiting_period(&live, at), Some(days), "{date}");
    }
    let with_replicas = key().pending_deletion_window_in_days(9).build().unwrap();
    assert_eq!(key::waiting_period(&with_replicas, at), Some(9));
    assert_eq!(key::waiting_period(&key().build().unwrap(), at), None);
}

#[test]
fn a_disabled_key_is_enabled_unless_it_was_disabled_already() {
    for was_enabled in [Some(true), None] {
        let live = standing("Disabled", was_enabled);
        let (_, plan) = judged(&KeyGoingAway, &disabled(), &live, &[]).unwrap();
        assert_eq!(calls(&plan), [ENABLE]);
        assert_eq!(undone(&done(&live, &plan), &plan), live);
    }
    for state in ["Disabled", "PendingDeletion"] {
        let (assessment, _) = judged(&KeyGoingAway, &disabled(), &standing(state, Some(false)), &[]).unwrap();
        assert!(matches!(assessment, Assessment::Report { .. }), "{state}: {assessment:?}");
    }
}

#[test]
fn who_disables_a_key_and_then_schedules_its_deletion_gets_neither() {
    let (_, plan) = judged(&KeyGoingAway, &disabled(), &standing("PendingDeletion", None), &[]).unwrap();
    assert_eq!(calls(&plan), [CANCEL, ENABLE]);
}

#[test]
fn what_was_cut_off_between_the_steps_is_finished() {
    let (_, plan) = judged(&KeyGoingAway, &scheduled(), &standing("Disabled", Some(true)), &[]).unwrap();
    assert_eq!(calls(&plan), [ENABLE]);
}

#[test]
fn what_is_enabled_again_is_safe_and_what_is_gone_is_reported() {
    for what in [scheduled(), disabled()] {
        let (assessment, _) = judged(&KeyGoingAway, &what, &standing("Enabled", None), &[]).unwrap();
        assert!(matches!(assessment, Assessment::AlreadySafe { .. }), "{assessment:?}");
        let (assessment, _) = judged(&KeyGoingAway, &what, &key::standing(None, Some(true), 30), &[]).unwrap();
        assert!(matches!(assessment, Assessment::Report { reason, .. } if reason.contains("gone")));
        let (assessment, _) = judged(&KeyGoingAway, &what, &standing("SomethingNew", None), &[]).unwrap();
        assert!(matches!(assessment, Assessment::Report { reason, .. } if reason.contains("SomethingNew")));
    }
}

#[test]
fn a_key_that_waits_for_its_material_or_its_store_is_not_deleted_and_not_known_to_be_enabled() {
    for odd in ["PendingImport", "Unavailable", "Updating", "Creating"] {
        let (assessment, _) = judged(&KeyGoingAway, &scheduled(), &standing(odd, Some(true)), &[]).unwrap();
        assert!(matches!(assessment, Assessment::AlreadySafe { reason } if reason.contains(odd)), "{odd}");
        let (assessment, _) = judged(&KeyGoingAway, &disabled(), &standing(odd, None), &[]).unwrap();
        assert!(matches!(assessment, Assessment::Report { reason, .. } if reason.contains(odd)), "{odd}");
    }
}

#[test]
fn an_event_tells_what_was_done_and_the_live_key_what_it_was() {
    let of_event = |(resource, target): &(Resource, Called), live| KeyGoingAway.state_of_event(resource, target, live);
    assert_eq!(of_event(&scheduled(), None), Some(standing("PendingDeletion", None)));
    let live = standing("Enabled", Some(true)).tagged(vec![("team".to_owned(), "data".to_owned())]);
    let told = of_event(&disabled(), Some(&live)).unwrap();
    assert_eq!((told.get(ENABLED), told.more.was_enabled, &told.tags), (Some("false"), Some(true), &live.tags));
}
