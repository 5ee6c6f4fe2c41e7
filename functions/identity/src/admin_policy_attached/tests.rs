use rescind_lambda::ResourceState;
use rescind_lambda::testing::{self, called};
use serde_json::{Value, json};

use super::*;
use crate::attachment::{ATTACHED, effect, had};
use crate::power::Power;
use crate::principal::Principal;
use rescind::Snapshot;
use rescind::journal::Revert;

const ACCOUNT: &str = "111122223333";
const ADMINISTRATOR: &str = "arn:aws:iam::aws:policy/AdministratorAccess";
const OWN: &str = "arn:aws:iam::111122223333:role/rescind-IdentityRole-EXAMPLE";

fn signal(name: &str, request: &Value) -> Signal {
    called(&format!("iam:{name}"), request, &Value::Null).unwrap()
}

fn heard(signal: &Signal) -> (Resource, Attached) {
    match AdminPolicyAttached.listen(signal).remove(0) {
        Heard::About { resource, target } => (resource, target),
        other => panic!("{other:?}"),
    }
}

fn attached(policy: &str) -> (Resource, Attached) {
    heard(&signal("AttachRolePolicy", &json!({"roleName": "web", "policyArn": policy})))
}

/// A role with a policy of this document, or one that its name tells.
fn more(policy: &str, document: &Value) -> Attachment {
    let arn = format!("arn:aws:iam::{ACCOUNT}:role/web");
    let principal = Principal { arn, id: "AROA1".to_owned(), ..Principal::default() };
    let power = Power::of_name(policy).unwrap_or_else(|| Power::of_document(&document.to_string(), ACCOUNT, None));
    Attachment { principal: Some(principal), power: Some(power), ..Attachment::default() }
}

fn standing(policy: &str, more: Attachment) -> Standing<Attachment> {
    Standing::new(effect).fact(policy, ATTACHED).with(more)
}

fn judged(about: &(Resource, Attached), state: &Standing<Attachment>) -> (Assessment<String>, Plan) {
    judged_after(&[], about, state)
}

/// What is made of it after these reverts.
fn judged_after(
    taken_back: &[Revert],
    about: &(Resource, Attached),
    state: &Standing<Attachment>,
) -> (Assessment<String>, Plan) {
    testing::judged_after(taken_back, &AdminPolicyAttached, about, state, &[]).unwrap()
}

fn allow(action: &str) -> Value {
    json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": action, "Resource": "*"}})
}

#[test]
fn each_kind_is_detached_and_attached_again_by_its_own_call() {
    for (word, parameter) in [("User", "userName"), ("Role", "roleName"), ("Group", "groupName")] {
        let mut request = json!({"policyArn": ADMINISTRATOR});
        request[parameter] = json!("ops");
        let about = heard(&signal(&format!("Attach{word}Policy"), &request));
        assert_eq!(about.0.kind, format!("AWS::IAM::{word}"));
        let state = AdminPolicyAttached.state_of_event(&about.0, &about.1, None).unwrap();
        let (_, plan) = judged(&about, &state);
        let [step] = &plan.steps[..] else { panic!("{plan:?}") };
        assert_eq!(step.call.call, format!("iam:Detach{word}Policy"));
        assert_eq!(step.call.parameters[format!("{word}Name")], "ops");
        let inverse = step.inverse.clone().unwrap();
        assert_eq!(
            (inverse.call, inverse.parameters),
            (format!("iam:Attach{word}Policy"), step.call.parameters.clone())
        );
        let after = state.after(&step.call);
        assert!(after.facts().is_empty() && after.after(step.inverse.as_ref().unwrap()) == state);
        assert!(matches!(judged(&about, &after).0, Assessment::AlreadySafe { .. }));
    }
}

#[test]
fn a_document_says_what_a_name_does_not() {
    let harmless_name = "arn:aws:iam::111122223333:policy/ReadOnlyAccess";
    for action in ["*", "iam:*", "iam:P*", "iam:AttachRolePolicy"] {
        let state = standing(harmless_name, more(harmless_name, &allow(action)));
        assert!(matches!(judged(&attached(harmless_name), &state).0, Assessment::Risky { .. }), "{action}");
    }
    let big_name = "arn:aws:iam::111122223333:policy/AdministratorAccess";
    let state = standing(big_name, more(big_name, &allow("s3:Get*")));
    assert!(matches!(judged(&attached(big_name), &state).0, Assessment::Harmless { .. }));
}

#[test]
fn a_detour_a_limit_and_what_was_there_before_are_left_to_a_person() {
    let reported = |policy: &str, more: Attachment| {
        let (assessment, _) = judged(&attached(policy), &standing(policy, more));
        assert!(matches!(assessment, Assessment::Report { .. }), "{assessment:?}");
    };
    let own = "arn:aws:iam::111122223333:policy/own";
    reported(own, more(own, &allow("lambda:UpdateFunctionCode")));
    reported("arn:aws:iam::aws:policy/PowerUserAccess", more("arn:aws:iam::aws:policy/PowerUserAccess", &json!({})));
    let administrator = || more(ADMINISTRATOR, &json!({}));
    let limited = Power::of_document(&allow("s3:*").to_string(), ACCOUNT, None);
    reported(ADMINISTRATOR, Attachment { boundary: Some(limited), ..administrator() });
    let before = Some(("2026-11-24T08:00:00Z".to_owned(), true));
    reported(ADMINISTRATOR, Attachment { before, ..administrator() });
    for arn in [OWN, "arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Admin_0"] {
        let principal = Some(Principal { arn: arn.to_owned(), ..Principal::default() });
        reported(ADMINISTRATOR, Attachment { principal, ..administrator() });
    }
}

#[test]
fn a_boundary_that_limits_nothing_saves_nobody() {
    let wide = Power::of_document(&allow("*").to_string(), ACCOUNT, None);
    let limited = Attachment { boundary: Some(wide), ..more(ADMINISTRATOR, &json!({})) };
    assert!(matches!(judged(&attached(ADMINISTRATOR), &standing(ADMINISTRATOR, limited)).0, Assessment::Risky { .. }));
    // Nor does that AWS Config saw the role without the policy.
    let before = Some(("2026-11-24T08:00:00Z".to_owned(), false));
    let (assessment, plan) = judged(
        &attached(ADMINISTRATOR),
        &standing(ADMINISTRATOR, Attachment { before, ..more(ADMINISTRATOR, &json!({})) }),
    );
    assert!(matches!(assessment, Assessment::Risky { .. }));
    assert_eq!(plan.note, None);
}

#[test]
fn awss_quarantine_is_never_touched_and_a_namesake_is_no_quarantine() {
    let hear = |policy: &str| {
        AdminPolicyAttached
            .listen(&signal("AttachUserPolicy", &json!({"userName": "a", "policyArn": policy})))
            .remove(0)
    };
    assert!(matches!(hear("arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV3"), Heard::Harmless { .. }));
    for namesake in [
        "arn:aws:iam::111122223333:policy/AWSCompromisedKeyQuarantineV3",
        "arn:aws:iam::111122223333:policy/x::aws:policy/AWSCompromisedKeyQuarantineV3",
    ] {
        assert!(matches!(hear(namesake), Heard::About { .. }), "{namesake}");
    }
}

#[test]
fn what_a_record_does_not_tell_is_told() {
    for request in [json!(null), json!({"roleName": "web"}), json!({"roleName": "../x", "policyArn": ADMINISTRATOR})] {
        let heard = AdminPolicyAttached.listen(&signal("AttachRolePolicy", &request));
        assert!(matches!(heard[..], [Heard::Unreadable { .. }]), "{heard:?}");
    }
    // A policy of one's own says nothing by its name.
    let (resource, target) = attached("arn:aws:iam::111122223333:policy/own");
    assert_eq!(AdminPolicyAttached.state_of_event(&resource, &target, None), None);
}

#[test]
fn what_is_gone_or_was_detached_needs_nothing() {
    let about = attached(ADMINISTRATOR);
    let gone = Standing::new(effect).with(Attachment { power: Power::of_name(ADMINISTRATOR), ..Attachment::default() });
    assert!(matches!(judged(&about, &gone).0, Assessment::AlreadySafe { .. }));
    let no_policy = Standing::new(effect).with(Attachment { power: None, ..more(ADMINISTRATOR, &json!({})) });
    assert!(matches!(judged(&about, &no_policy).0, Assessment::Harmless { .. }));
}

#[test]
fn aws_config_tells_what_was_attached() {
    let snapshot = |attached: Value| Snapshot {
        captured: "2026-11-24T08:00:00Z".parse().unwrap(),
        configuration: json!({"attachedManagedPolicies": attached}),
        supplementary: serde_json::Map::new(),
    };
    assert!(had(&snapshot(json!([{"policyName": "AdministratorAccess", "policyArn": ADMINISTRATOR}])), ADMINISTRATOR));
    assert!(!had(&snapshot(json!([])), ADMINISTRATOR) && !had(&snapshot(json!(null)), ADMINISTRATOR));
}

#[test]
fn who_does_it_again_before_aws_config_has_seen_that_it_was_taken_back_gains_nothing() {
    let attachment = |captured: &str| {
        let before = Some((captured.to_owned(), true));
        standing(ADMINISTRATOR, Attachment { before, ..more(ADMINISTRATOR, &json!({})) })
    };
    let revert = |change: &str| Revert {
        outcome: "1".to_owned(),
        at: "2026-11-24T09:28:00Z".parse().unwrap(),
        changes: vec![change.to_owned()],
    };
    let is_risky = |reverts: &[Revert], captured: &str| {
        let (assessment, _) = judged_after(reverts, &attached(ADMINISTRATOR), &attachment(captured));
        matches!(assessment, Assessment::Risky { .. })
    };
    assert!(is_risky(&[revert(ADMINISTRATOR)], "2026-11-24T09:27:59Z"));
    assert!(!is_risky(&[revert("arn:aws:iam::aws:policy/IAMFullAccess")], "2026-11-24T09:27:59Z"), "another policy");
    assert!(!is_risky(&[revert(ADMINISTRATOR)], "2026-11-24T09:50:00Z"), "attached since, and seen");
}
