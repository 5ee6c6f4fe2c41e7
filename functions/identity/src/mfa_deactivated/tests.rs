use rescind::settings::Tags;
use rescind_lambda::ResourceState;
use serde_json::{Value, json};

use super::*;
use crate::mfa::Device;
use crate::principal::Principal;
use chrono::{DateTime, Utc};
use rescind_lambda::testing;

const ACCOUNT: &str = "111122223333";
const VIRTUAL: &str = "arn:aws:iam::111122223333:mfa/alice";
const AT: &str = "2026-11-24T09:00:00Z";

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn signal(identity: &Value, request: &Value) -> Signal {
    let detail = json!({"eventName": "DeactivateMFADevice", "eventSource": "iam.amazonaws.com", "eventID": "e", "eventTime": AT,
        "requestParameters": request, "responseElements": null, "userIdentity": identity});
    let event = json!({"id": "1", "source": "aws.iam", "detail-type": "AWS API Call via CloudTrail", "account": ACCOUNT,
        "time": AT, "region": "us-east-1", "detail": detail});
    rescind::signal::decode(event).unwrap().signal
}

fn heard(identity: &Value, request: &Value) -> Heard<Deactivated> {
    MfaDeactivated.listen(&signal(identity, request)).remove(0)
}

fn about(identity: &Value, request: &Value) -> (Resource, Deactivated) {
    match heard(identity, request) {
        Heard::About { resource, target } => (resource, target),
        other => panic!("{other:?}"),
    }
}

fn user(path_and_name: &str, mfa: Option<Value>) -> Value {
    let mut identity =
        json!({"type": "IAMUser", "arn": format!("arn:aws:iam::{ACCOUNT}:user/{path_and_name}"), "accountId": ACCOUNT});
    if let Some(mfa) = mfa {
        identity["sessionContext"] = json!({"attributes": {"mfaAuthenticated": mfa}});
    }
    identity
}

fn role(session: &str) -> Value {
    json!({"type": "AssumedRole", "arn": format!("arn:aws:sts::{ACCOUNT}:assumed-role/dev/{session}"), "accountId": ACCOUNT,
        "sessionContext": {"sessionIssuer": {"arn": format!("arn:aws:iam::{ACCOUNT}:role/dev")},
            "attributes": {"mfaAuthenticated": "true"}}})
}

fn of_alice() -> Value {
    json!({"userName": "alice", "serialNumber": VIRTUAL})
}

fn anothers() -> (Resource, Deactivated) {
    about(&user("mallory", None), &of_alice())
}

fn standing(devices: &[(&str, &str)], policy: Option<&str>) -> Standing<Known> {
    let arn = format!("arn:aws:iam::{ACCOUNT}:user/staff/alice");
    let user = Principal { arn, created: Some(at("2026-01-01T00:00:00Z")), ..Principal::default() };
    let device = |(serial, enabled): &(&str, &str)| Device { serial: (*serial).to_owned(), enabled: at(enabled) };
    let more = Known { user: Some(user), devices: devices.iter().map(device).collect() };
    Standing::new(denial::effect).optional_fact(PIECE, policy).with(more)
}

const CONTAINS: &[(&str, &str)] = &[("rescind:contain", "deny-until-mfa")];

fn judged(
    about: &(Resource, Deactivated),
    state: &Standing<Known>,
    tags: &[(&str, &str)],
) -> (Assessment<String>, Plan) {
    testing::judged(&MfaDeactivated, about, state, tags).unwrap()
}

fn reported(assessment: &Assessment<String>) -> &str {
    match assessment {
        Assessment::Report { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn another_users_device_is_told_with_the_next_steps_and_contained_where_that_is_asked_for() {
    for by in [user("mallory", None), user("mallory", Some(json!("true"))), role("alice"), user("x/alice2", None)] {
        let about = about(&by, &of_alice());
        assert_eq!((about.0.kind.as_str(), about.0.id.as_str()), ("AWS::IAM::User", "alice"));
        let (told, _) = judged(&about, &standing(&[], None), &[]);
        assert!(reported(&told).contains("have a new device enabled"), "{told:?}");
        let (risky, plan) = judged(&about, &standing(&[], None), CONTAINS);
        assert!(matches!(risky, Assessment::Risky { .. }), "{risky:?}");
        let [step] = &plan.steps[..] else { panic!("{plan:?}") };
        assert_eq!(
            (step.call.call.as_str(), &step.call.parameters["UserName"]),
            (denial::action::PUT_POLICY, &json!("alice"))
        );
    }
}

#[test]
fn the_denial_is_undone_to_what_stood_there() {
    for before in [None, Some(r#"{"Version":"2012-10-17","Statement":[]}"#)] {
        let state = standing(&[], before);
        let (_, plan) = judged(&anothers(), &state, CONTAINS);
        let [step] = &plan.steps[..] else { panic!("{plan:?}") };
        let after = state.after(&step.call);
        assert!(after != state && matches!(judged(&anothers(), &after, CONTAINS).0, Assessment::AlreadySafe { .. }));
        assert_eq!(after.after(step.inverse.as_ref().unwrap()), state);
    }
}

#[test]
fn an_own_device_is_harmless_with_mfa_and_told_without_it() {
    let unnamed = json!({"serialNumber": VIRTUAL});
    for request in [of_alice(), unnamed, json!({"userName": "Alice", "serialNumber": VIRTUAL})] {
        for mfa in [json!("true"), json!(true)] {
            let heard = heard(&user("staff/alice", Some(mfa)), &request);
            assert!(matches!(heard, Heard::Harmless { .. }), "{heard:?}");
        }
        for mfa in [None, Some(json!("false")), Some(json!("yes"))] {
            let about = about(&user("staff/alice", mfa), &request);
            assert_eq!(about.1.whose, Whose::Own);
            assert!(reported(&judged(&about, &standing(&[], None), CONTAINS).0).contains("without MFA"));
        }
    }
}

#[test]
fn the_device_of_root_is_told_and_never_contained() {
    let root = json!({"type": "Root", "arn": format!("arn:aws:iam::{ACCOUNT}:root"), "accountId": ACCOUNT});
    let virtual_one = format!("arn:aws:iam::{ACCOUNT}:mfa/root-account-mfa-device");
    for request in [
        json!({"serialNumber": "GAHT12345678"}),
        json!({"userName": "AWS ROOT USER", "serialNumber": "GAHT12345678"}),
        json!({"userName": "example", "serialNumber": virtual_one}),
    ] {
        let about = about(&root, &request);
        assert_eq!((about.0.kind.as_str(), about.1.whose), ("AWS::::Account", Whose::Root));
        let nothing = Standing::new(denial::effect).with(Known::default());
        assert!(reported(&judged(&about, &nothing, CONTAINS).0).contains("root"));
    }
    // Root can take the device of a user, and a user's device may be called as root's is.
    assert_eq!(about(&root, &of_alice()).1.whose, Whose::Another);
    let named_so = json!({"userName": "alice", "serialNumber": virtual_one});
    assert_eq!(about(&user("mallory", None), &named_so).1.whose, Whose::Another);
}

#[test]
fn another_device_counts_only_if_it_was_there_long_before() {
    let judge = |devices: &[(&str, &str)]| judged(&anothers(), &standing(devices, None), CONTAINS).0;
    let (long_before, a_day, lately) = ("2026-11-23T08:59:59Z", "2026-11-23T09:00:00Z", "2026-11-24T08:59:59Z");
    assert!(matches!(judge(&[("GAHT1", long_before)]), Assessment::AlreadySafe { .. }));
    // It may be the attacker's own, enabled since or first.
    for since in [AT, "2026-11-24T09:00:01Z"] {
        assert!(reported(&judge(&[("GAHT1", since)])).contains("GAHT1 was enabled since"));
        assert!(reported(&judge(&[(VIRTUAL, since)])).contains("was enabled since"));
    }
    for first in [a_day, lately] {
        let told = judge(&[("GAHT1", first)]);
        assert!(reported(&told).contains(&format!("GAHT1 was enabled only at {first}")), "{told:?}");
        assert!(reported(&told).contains("by whom the event does not tell"), "{told:?}");
        assert!(matches!(judge(&[("GAHT1", first), ("GAHT2", long_before)]), Assessment::AlreadySafe { .. }));
    }
    // A read that lags behind.
    assert!(matches!(judge(&[(VIRTUAL, lately)]), Assessment::Risky { .. }));
    assert!(matches!(judge(&[(VIRTUAL, long_before)]), Assessment::Risky { .. }));
}

#[test]
fn nobody_is_denied_who_is_gone_or_behind_glass() {
    let gone = Standing::new(denial::effect).with(Known::default());
    assert!(matches!(judged(&anothers(), &gone, CONTAINS).0, Assessment::Harmless { .. }));
    let mut later = standing(&[], None);
    later.more.user.as_mut().unwrap().created = Some(at("2026-11-24T09:00:01Z"));
    assert!(matches!(judged(&anothers(), &later, CONTAINS).0, Assessment::Harmless { .. }));
    for pattern in ["arn:aws:iam::111122223333:user/staff/alice", "arn:aws:iam::111122223333:user/staff/"] {
        let tags = [CONTAINS[0], ("rescind:break-glass", pattern)];
        let (told, _) = judged(&anothers(), &standing(&[], None), &tags);
        assert!(reported(&told).contains("`rescind:break-glass` covers"), "{told:?}");
    }
}

#[test]
fn what_the_record_does_not_tell_is_not_guessed() {
    for request in [
        Value::Null,
        json!({}),
        json!({"userName": 5, "serialNumber": VIRTUAL}),
        json!({"userName": "../root", "serialNumber": VIRTUAL}),
    ] {
        let heard = heard(&user("mallory", Some(json!("true"))), &request);
        assert!(matches!(heard, Heard::Unreadable { .. }), "{request}: {heard:?}");
    }
    // A role has no device of its own.
    assert!(matches!(heard(&role("alice"), &json!({"serialNumber": VIRTUAL})), Heard::Unreadable { .. }));
}

#[test]
fn a_tag_that_says_anything_else_is_refused() {
    for value in ["", "deny", "Deny-until-MFA", "true"] {
        let error = Wanted::of_tags(&Tags::of_rule([("rescind:contain", value)])).unwrap_err();
        assert!(error.to_string().contains("`rescind:contain`"), "{error}");
    }
}
