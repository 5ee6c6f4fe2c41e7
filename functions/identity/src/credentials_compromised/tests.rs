use proptest::prelude::*;
use rescind_lambda::ResourceState;
use serde_json::{Value, json};

use super::*;
use crate::credential::Holder;
use rescind_lambda::testing;

const ACCOUNT: &str = "111122223333";
const OWN: &str = "arn:aws:iam::111122223333:role/rescind-IdentityRole-EXAMPLE";
const EARLIER: &str = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "*", "Resource": "*",
    "Condition": {"DateLessThan": {"aws:TokenIssueTime": "2026-01-01T00:00:00Z"}}}}"#;

fn signal(severity: f64, key: &Value, service: &Value) -> Signal {
    let mut told = json!({"eventFirstSeen": "2026-11-24T09:11:00Z", "eventLastSeen": "2026-11-24T09:24:00Z"});
    told.as_object_mut().unwrap().extend(service.as_object().unwrap().clone());
    let detail = json!({
        "id": "f1", "type": "UnauthorizedAccess:IAMUser/TorIPCaller", "accountId": ACCOUNT, "region": "eu-central-1",
        "severity": severity, "updatedAt": "2026-11-24T09:29:51.070Z", "title": "x", "service": told,
        "resource": {"resourceType": "AccessKey", "accessKeyDetails": key},
    });
    let event = json!({"id": "1", "source": "aws.guardduty", "detail-type": "GuardDuty Finding", "time": "2026-11-24T09:30:00Z",
        "account": ACCOUNT, "region": "eu-central-1", "detail": detail});
    rescind::signal::decode(event).unwrap().signal
}

fn key(id: &str, principal: &str, name: &str, kind: &str) -> Value {
    json!({"accessKeyId": id, "principalId": principal, "userName": name, "userType": kind})
}

fn of_alice() -> Value {
    key("AKIA1", "AIDA1", "alice", "IAMUser")
}

fn of_web() -> Value {
    key("ASIA1", "AROA1:session", "web", "AssumedRole")
}

fn holder(kind: &str, name: &str) -> Holder {
    let arn = format!("arn:aws:iam::{ACCOUNT}:{kind}/{name}");
    let name = name.rsplit('/').next().unwrap().to_owned();
    Holder { arn, name, tags: Vec::new() }
}

fn user_with(status: &str) -> State {
    let key = Some(Key { id: "AKIA1".to_owned(), status: status.to_owned() });
    State { holder: Some(holder("user", "alice")), key, read: "2026-11-24T09:31:00Z".parse().ok(), ..State::default() }
}

fn role_with(policy: Option<&str>) -> State {
    let policy = policy.map(str::to_owned);
    State { holder: Some(holder("role", "web")), policy, read: "2026-11-24T09:31:00Z".parse().ok(), ..State::default() }
}

fn heard(signal: &Signal) -> (Resource, Target) {
    let mut heard = CredentialsCompromised.listen(signal);
    assert_eq!(heard.len(), 1, "{heard:?}");
    match heard.remove(0) {
        Heard::About { resource, target } => (resource, target),
        other => panic!("{other:?}"),
    }
}

fn judged_of(signal: &Signal, state: &State, tags: &[(&str, &str)]) -> (Assessment<Usable>, Plan) {
    testing::judged(&CredentialsCompromised, &heard(signal), state, tags).unwrap()
}

fn judged(key: &Value, state: &State, tags: &[(&str, &str)]) -> (Assessment<Usable>, Plan) {
    judged_of(&signal(8.0, key, &json!({})), state, tags)
}

fn reported(key: &Value, state: &State, tags: &[(&str, &str)], says: &str) {
    let Assessment::Report { reason, .. } = judged(key, state, tags).0 else { panic!("{key} in {state:?}") };
    assert!(reason.contains(says), "{reason}");
}

#[test]
fn an_active_key_is_deactivated_and_its_state_comes_back() {
    let (_, plan) = judged(&of_alice(), &user_with(ACTIVE), &[]);
    let step = Step::planned(calls::set_key("alice", "AKIA1", INACTIVE), calls::set_key("alice", "AKIA1", ACTIVE));
    assert_eq!(plan.steps, [step]);
    assert!(matches!(judged(&of_alice(), &user_with(INACTIVE), &[]).0, Assessment::AlreadySafe { .. }));
    let gone = State { key: None, ..user_with(ACTIVE) };
    assert!(matches!(judged(&of_alice(), &gone, &[]).0, Assessment::Harmless { .. }));
}

/// A finding about an instance with the role `web`, or one that tells no role.
fn of_instance(role: &str, profile: &Value) -> Signal {
    let mut signal = signal(8.0, &json!(null), &json!({"resourceRole": role}));
    let Fact::Finding(finding) = &signal.fact else { panic!("{signal:?}") };
    let mut detail = finding.detail.clone();
    detail["type"] = json!("Backdoor:EC2/C&CActivity.B");
    let details = json!({"instanceId": "i-1", "iamInstanceProfile": profile});
    detail["resource"] = json!({"resourceType": "Instance", "instanceDetails": details});
    let event = json!({"id": "1", "source": "aws.guardduty", "detail-type": "GuardDuty Finding",
        "time": "2026-11-24T09:30:00Z", "account": ACCOUNT, "region": "eu-central-1", "detail": detail});
    signal = rescind::signal::decode(event).unwrap().signal;
    signal
}

fn web_profile() -> Value {
    json!({"arn": format!("arn:aws:iam::{ACCOUNT}:instance-profile/team/web"), "id": "AIPA1"})
}

#[test]
fn the_role_of_an_instance_is_denied_only_where_the_owner_says_so() {
    let signal = of_instance("ACTOR", &web_profile());
    let (resource, target) = heard(&signal);
    assert_eq!((resource.kind.as_str(), resource.id.as_str()), ("AWS::IAM::InstanceProfile", "web"));
    let profile = Profile { instance: "i-1".to_owned(), id: Some("AIPA1".to_owned()) };
    assert_eq!(target.credential, Credential::OfInstance(profile.clone()));
    let state = State { profile: Some(profile), ..role_with(None) };
    for tags in [&[][..], &[("rescind:instance-roles", "leave")]] {
        let (assessment, _) = judged_of(&signal, &state, tags);
        assert!(matches!(&assessment, Assessment::Harmless { reason } if reason.contains("`leave`")), "{assessment:?}");
    }
    let deny = [("rescind:instance-roles", "deny")];
    let (assessment, plan) = judged_of(&signal, &state, &deny);
    let Assessment::Risky { reason, .. } = assessment else { panic!("{assessment:?}") };
    assert!(reason.contains(":role/web") && reason.contains("other instances"), "{reason}");
    let sent = "2026-11-24T09:30:00Z".parse().unwrap();
    let step = Step::planned(calls::put_policy("web", &denying(None, sent).unwrap()), calls::delete_policy("web"));
    assert_eq!(plan.steps, [step]);
    // Nobody's break glass, nor Rescind itself, is locked out by it.
    let own = State { holder: Some(holder("role", "rescind-IdentityRole-EXAMPLE")), ..state.clone() };
    assert!(matches!(judged_of(&signal, &own, &deny).0, Assessment::Report { .. }));
    let gone = State { holder: None, ..state };
    assert!(matches!(judged_of(&signal, &gone, &deny).0, Assessment::Harmless { .. }));
    assert!(Wanted::of_tags(&Tags::of_rule([("rescind:instance-roles", "yes")])).is_err());
}

#[test]
fn an_instance_that_is_a_target_or_has_no_role_is_answered_and_left_alone() {
    let mut called_upon = of_instance("TARGET", &web_profile());
    if let Fact::Finding(finding) = &mut called_upon.fact {
        finding.contacts.clear();
    }
    // As GuardDuty tells who was only called upon.
    let kind = "UnauthorizedAccess:EC2/SSHBruteForce";
    if let Fact::Finding(finding) = &mut called_upon.fact {
        kind.clone_into(&mut finding.kind);
    }
    let hostile = "arn:aws:iam::111122223333:instance-profile/<b>";
    let nameless =
        [json!(null), json!({}), json!({"arn": "x"}), json!({"arn": hostile})].map(|p| of_instance("ACTOR", &p));
    for signal in [called_upon].iter().chain(&nameless) {
        let heard = CredentialsCompromised.listen(signal);
        assert!(matches!(&heard[..], [Heard::Harmless { resource, .. }] if resource.id == "i-1"), "{heard:?}");
    }
}

#[test]
fn sessions_from_before_the_finding_was_sent_are_denied() {
    let (_, plan) = judged(&of_web(), &role_with(None), &[]);
    let sent = "2026-11-24T09:30:00Z".parse().unwrap();
    let step = Step::planned(calls::put_policy("web", &denying(None, sent).unwrap()), calls::delete_policy("web"));
    assert_eq!(plan.steps, [step]);
    let (_, plan) = judged(&of_web(), &role_with(Some(EARLIER)), &[]);
    assert_eq!(plan.steps[0].inverse, Some(calls::put_policy("web", EARLIER)));
}

#[test]
fn a_denial_counts_from_when_the_activity_was_first_seen() {
    for (time, is_enough) in [("2026-11-24T09:10:59.999Z", false), ("2026-11-24T09:11:00Z", true), ("2027-01-01", true)]
    {
        let document = EARLIER.replace("2026-01-01T00:00:00Z", time);
        let (assessment, _) = judged(&of_web(), &role_with(Some(&document)), &[]);
        assert_eq!(matches!(assessment, Assessment::AlreadySafe { .. }), is_enough, "{time}: {assessment:?}");
    }
    // A time that is not told, or lies after the finding's own, is the finding's.
    for first in [Value::Null, json!("2030-01-01T00:00:00Z"), json!("x")] {
        let (_, target) = heard(&signal(8.0, &of_web(), &json!({"eventFirstSeen": first})));
        assert_eq!(target.seen, target.sent);
    }
}

#[test]
fn of_an_attack_sequence_the_last_activity_counts() {
    let mut sequence = signal(8.0, &of_web(), &json!({}));
    let Fact::Finding(finding) = &mut sequence.fact else { panic!("{sequence:?}") };
    finding.kind = "AttackSequence:IAM/CompromisedCredentials".to_owned();
    for (time, is_enough) in [("2026-11-24T09:11:00Z", false), ("2026-11-24T09:24:00Z", true)] {
        let document = EARLIER.replace("2026-01-01T00:00:00Z", time);
        let (assessment, _) = judged_of(&sequence, &role_with(Some(&document)), &[]);
        assert_eq!(matches!(assessment, Assessment::AlreadySafe { .. }), is_enough, "{time}: {assessment:?}");
    }
}

#[test]
fn a_time_to_come_denies_nothing() {
    let read = State { read: "2026-11-24T09:20:00Z".parse().ok(), ..role_with(None) };
    assert!(matches!(judged(&of_web(), &read, &[]).0, Assessment::Unclear { .. }));
}

#[test]
fn nobody_is_locked_out() {
    let root = key("AKIA1", ACCOUNT, "Root", "Root");
    reported(&root, &user_with(ACTIVE), &[], "root user");
    let nobodys = State { is_of_no_user: true, ..State::default() };
    reported(&of_alice(), &nobodys, &[], "no user");
    let own = State { holder: Some(holder("role", "rescind-IdentityRole-EXAMPLE")), ..role_with(None) };
    reported(&of_web(), &own, &[], "Rescind's own");
    let own = State { holder: Some(holder("role", "rescind-IdentityRole-ELSEWHERE")), ..role_with(None) };
    reported(&of_web(), &own, &[], "Rescind's own");
    for (path, says) in
        [("aws-service-role/ecs.amazonaws.com/x", "service-linked"), ("aws-reserved/sso/x", "role of AWS")]
    {
        let state = State { holder: Some(holder("role", path)), ..role_with(None) };
        reported(&of_web(), &state, &[], says);
    }
    let glass = [("rescind:break-glass", "arn:aws:iam::111122223333:user/alice arn:aws:iam::111122223333:role/sre/")];
    reported(&of_alice(), &user_with(ACTIVE), &glass, "`rescind:break-glass` covers");
    let sre = State { holder: Some(holder("role", "sre/web")), ..role_with(None) };
    reported(&of_web(), &sre, &glass, "`rescind:break-glass` covers");
    assert!(matches!(judged(&of_web(), &role_with(None), &glass).0, Assessment::Risky { .. }));
    for (session, says) in [
        (key("ASIA1", "AIDA1", "alice", "IAMUser"), "a session of a user"),
        (key("", "AIDA1", "alice", "IAMUser"), "a session of a user"),
        (key("ASIA1", "x", "x", "FederatedUser"), "neither"),
        (key("AKIA1", "x", "x", "AWSAccount"), "another account's"),
        (key("ASIA1", "AROA1:s", "not a name", "AssumedRole"), "which role"),
        (key("ASIA1", "", "web", "AssumedRole"), "which role"),
    ] {
        reported(&session, &State::default(), &[], says);
    }
    reported(&of_web(), &role_with(Some("no JSON")), &[], "can't be read");
}

#[test]
fn a_finding_below_the_tag_is_left_alone() {
    for (severity, tag, is_enough) in [(6.9, "high", false), (6.9, "medium", true), (7.0, "high", true)] {
        let signal = signal(severity, &of_alice(), &json!({}));
        let (assessment, _) = judged_of(&signal, &user_with(ACTIVE), &[("rescind:severity", tag)]);
        assert_eq!(matches!(assessment, Assessment::Risky { .. }), is_enough, "{severity} {tag}");
    }
}

#[test]
fn a_finding_without_credentials_is_harmless_unless_it_is_of_the_root_user() {
    let nobody = signal(8.0, &json!({}), &json!({}));
    assert!(matches!(judged_of(&nobody, &State::default(), &[]).0, Assessment::Harmless { .. }));
    reported(&json!({"userType": "Root"}), &State::default(), &[], "root user");
}

#[test]
fn tags_that_do_not_parse_are_named() {
    for (key, value) in [("rescind:severity", "urgent"), ("rescind:break-glass", "alice"), ("rescind:break-glass", "")]
    {
        let error = Wanted::of_tags(&Tags::of_rule([(key, value)])).unwrap_err();
        assert!(error.to_string().contains(key), "{error}");
    }
}

fn any_key() -> impl Strategy<Value = Value> {
    let id = proptest::sample::select(vec!["AKIA1", "ASIA1", "AKIA2", "", "x"]);
    let principal = proptest::sample::select(vec!["AIDA1", "AROA1:session", "AROA1", "", ":"]);
    let name = proptest::sample::select(vec!["alice", "web", "", "a b", "root"]);
    let kind = proptest::sample::select(vec!["IAMUser", "AssumedRole", "Role", "Root", "FederatedUser", ""]);
    (id, principal, name, kind).prop_map(|(id, principal, name, kind)| key(id, principal, name, kind))
}

fn any_state() -> impl Strategy<Value = State> {
    let earlier = vec![None, Some(EARLIER.to_owned()), Some("{}".to_owned()), Some(EARLIER.replace("Deny", "Allow"))];
    let policy = proptest::sample::select(earlier);
    let status = proptest::sample::select(vec![None, Some(ACTIVE), Some(INACTIVE), Some("Expired")]);
    let holders = vec![
        None,
        Some(holder("user", "alice")),
        Some(holder("role", "web")),
        Some(holder("role", "rescind-IdentityRole-EXAMPLE")),
    ];
    (policy, status, proptest::sample::select(holders), any::<bool>()).prop_map(|(policy, status, holder, is_read)| {
        State {
            key: status.map(|status| Key { id: "AKIA1".to_owned(), status: status.to_owned() }),
            policy,
            holder,
            is_of_no_user: false,
            profile: None,
            read: is_read.then(|| "2026-11-24T09:31:00Z".parse().unwrap()),
        }
    })
}

proptest! {
    #[test]
    fn nothing_but_the_named_credential_is_changed_and_the_inverse_restores_it(key in any_key(), state in any_state()) {
        let signal = signal(8.0, &key, &json!({}));
        let (resource, target) = heard(&signal);
        let (assessment, plan) = judged_of(&signal, &state, &[]);
        let Assessment::Risky { .. } = assessment else {
            prop_assert!(plan.steps.is_empty());
            return Ok(());
        };
        prop_assert!(key["userType"] != "Root");
        prop_assert!(state.holder.as_ref().is_some_and(|holder| holder.arn != OWN));
        prop_assert_eq!(plan.steps.len(), 1);
        let step = &plan.steps[0];
        let named = &step.call.parameters;
        match step.call.call.as_str() {
            action::UPDATE_KEY => {
                prop_assert_eq!(&target.credential, &Credential::Key);
                prop_assert_eq!(&named["AccessKeyId"], "AKIA1");
                prop_assert_eq!(&named["Status"], INACTIVE);
            }
            action::PUT_POLICY => {
                prop_assert_eq!(&named["RoleName"], &state.holder.as_ref().unwrap().name);
                prop_assert_eq!(&resource.kind, "AWS::IAM::Role");
                prop_assert_eq!(&named["PolicyName"], POLICY);
            }
            other => prop_assert!(false, "{}", other),
        }
        let done = state.after(&step.call);
        prop_assert!(matches!(judged_of(&signal, &done, &[]).0, Assessment::AlreadySafe { .. }), "{done:?}");
        prop_assert_eq!(&done.after(&step.call), &done);
        prop_assert_eq!(done.after(step.inverse.as_ref().unwrap()), state);
    }
}
