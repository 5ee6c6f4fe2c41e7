use rescind::journal::Revert;
use rescind_lambda::ResourceState;
use rescind_lambda::testing::{self, about, called};
use serde_json::json;

use super::*;
use crate::opened::Earlier;

fn signal(request: &Value) -> Signal {
    called("s3:PutBucketPolicy", request, &Value::Null).unwrap()
}

fn allow(principal: &Value, condition: &Value) -> Value {
    let mut statement =
        json!({"Effect": "Allow", "Principal": principal, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"});
    if !condition.is_null() {
        statement["Condition"] = condition.clone();
    }
    statement
}

fn everybody() -> Value {
    allow(&json!("*"), &json!(null))
}

fn account(id: &str) -> Value {
    allow(&json!({"AWS": format!("arn:aws:iam::{id}:root")}), &json!(null))
}

fn policy(statements: &[Value]) -> Value {
    json!({"Version": "2012-10-17", "Statement": statements})
}

fn before(statements: &[Value]) -> Earlier {
    let policy = (!statements.is_empty()).then(|| policy(statements).to_string());
    Earlier::Policy(policy, "2026-11-24T08:00:00Z".to_owned())
}

/// What is made of a call that put one policy, of the one that is there now, and of the one before.
fn judged(put: Option<&Value>, live: Option<&Value>, earlier: Earlier) -> (Assessment<String>, Plan, State) {
    judged_after(&[], put, live, earlier)
}

/// What is made of it after these reverts.
fn judged_after(
    taken_back: &[Revert],
    put: Option<&Value>,
    live: Option<&Value>,
    earlier: Earlier,
) -> (Assessment<String>, Plan, State) {
    let signal = signal(&json!({"bucketName": "b"}));
    let about = (signal.resource(bucket::KIND, "b"), Put { policy: put.cloned(), time: signal.time });
    let state = State { policy: live.map(ToString::to_string), earlier, tags: Vec::new() };
    let tags = [("rescind:trusted-accounts", "777788889999")];
    let (assessment, plan) = testing::judged_after(taken_back, &PublicBucketPolicy, &about, &state, &tags).unwrap();
    (assessment, plan, state)
}

/// The policy that the plan leaves, `None` when it is deleted; after a look at the inverse.
fn left(plan: &Plan, state: &State) -> Option<Value> {
    let [step] = &plan.steps[..] else { panic!("{plan:?}") };
    let after = state.after(&step.call);
    assert_eq!(
        after.after(step.inverse.as_ref().unwrap()).policy,
        state.policy,
        "the inverse gives back what was written"
    );
    after.policy.map(|policy| serde_json::from_str(&policy).unwrap())
}

#[test]
fn the_earlier_policy_comes_back_whole() {
    let put = policy(&[account("111122223333"), everybody()]);
    let (assessment, plan, state) = judged(Some(&put), Some(&put), before(&[account("777788889999")]));
    assert!(matches!(assessment, Assessment::Risky { .. }), "{assessment:?}");
    assert_eq!(left(&plan, &state), Some(policy(&[account("777788889999")])));
    let (_, plan, state) = judged(Some(&put), Some(&put), before(&[]));
    assert_eq!(left(&plan, &state), None, "there was none");
}

#[test]
fn what_somebody_else_put_since_is_not_lost() {
    let put = policy(&[account("111122223333"), everybody()]);
    let live = policy(&[account("111122223333"), everybody(), account("777788889999")]);
    let (_, plan, state) = judged(Some(&put), Some(&live), before(&[account("111122223333")]));
    assert_eq!(left(&plan, &state), Some(policy(&[account("111122223333"), account("777788889999")])));
    assert!(plan.note.unwrap().contains("was changed since"));
}

#[test]
fn without_an_earlier_policy_only_what_is_risky_goes() {
    let both =
        allow(&json!({"AWS": ["arn:aws:iam::111122223333:root", "arn:aws:iam::444455556666:root"]}), &json!(null));
    let put = policy(&[account("111122223333"), both, everybody()]);
    let (_, plan, state) = judged(Some(&put), Some(&put), Earlier::Unknown);
    let one = allow(&json!({"AWS": ["arn:aws:iam::111122223333:root"]}), &json!(null));
    assert_eq!(left(&plan, &state), Some(policy(&[account("111122223333"), one])));
    assert!(plan.note.unwrap().contains("is not known"));
    let alone = policy(&[everybody()]);
    let (_, plan, state) = judged(Some(&alone), Some(&alone), Earlier::Unknown);
    assert_eq!(left(&plan, &state), None, "a policy without statements is none");
}

#[test]
fn what_let_strangers_in_before_stays() {
    let put = policy(&[account("444455556666"), everybody()]);
    let (_, plan, state) = judged(Some(&put), Some(&put), before(&[account("444455556666")]));
    assert_eq!(left(&plan, &state), Some(policy(&[account("444455556666")])));
    // The same as before, laid out anew.
    let again = policy(&[allow(&json!({"AWS": ["arn:aws:iam::444455556666:root"]}), &json!(null))]);
    let (assessment, ..) = judged(Some(&again), Some(&again), before(&[account("444455556666")]));
    assert!(matches!(assessment, Assessment::Report { .. }), "it is open, and nobody closed it: {assessment:?}");
    // Beside something that is not understood, too.
    let service = allow(&json!({"Service": "ses.amazonaws.com"}), &json!(null));
    let more = policy(&[account("444455556666"), service]);
    let (assessment, ..) = judged(Some(&more), Some(&more), before(&[account("444455556666")]));
    assert!(matches!(assessment, Assessment::Report { .. }), "{assessment:?}");
    // It says so of what is left, and not after something was taken back.
    let (_, plan, state) = judged(Some(&put), Some(&put), before(&[account("444455556666")]));
    let (assessment, ..) = judged(Some(&put), left(&plan, &state).as_ref(), before(&[account("444455556666")]));
    assert!(matches!(assessment, Assessment::AlreadySafe { .. }), "{assessment:?}");
    let (assessment, ..) = judged(Some(&again), None, before(&[account("444455556666")]));
    assert!(matches!(assessment, Assessment::AlreadySafe { .. }), "{assessment:?}");
}

#[test]
fn principals_that_amazon_s3_writes_anew_are_those_of_the_call() {
    let live = policy(&[account("111122223333"), account("999999999999")]);
    for principal in [
        json!({"CanonicalUser": "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"}),
        json!({"AWS": ["AROAEXAMPLESTRANGER1"]}),
    ] {
        let put = policy(&[account("111122223333"), allow(&principal, &json!(null))]);
        let (assessment, plan, state) = judged(Some(&put), Some(&live), Earlier::Unknown);
        assert!(matches!(assessment, Assessment::Risky { .. }), "{principal}: {assessment:?}");
        assert_eq!(left(&plan, &state), Some(policy(&[account("111122223333")])));
        // Another statement is another call's.
        let mut other = account("999999999999");
        other["Action"] = json!("s3:PutObject");
        let (assessment, ..) = judged(Some(&put), Some(&policy(&[other])), Earlier::Unknown);
        assert!(!matches!(assessment, Assessment::Risky { .. }), "{principal}: {assessment:?}");
    }
}

#[test]
fn who_is_gone_keeps_the_rest_from_nothing() {
    let gone = allow(&json!({"AWS": "AROAEXAMPLEGONE12345"}), &json!(null));
    let put = policy(&[account("111122223333"), gone, everybody()]);
    let (_, plan, state) = judged(Some(&put), Some(&put), Earlier::Unknown);
    assert_eq!(left(&plan, &state), Some(policy(&[account("111122223333")])));
    assert!(plan.note.unwrap().contains("gone"));
}

#[test]
fn a_deny_that_is_gone_opens_what_stood_before() {
    let deny = json!({"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": ["arn:aws:s3:::b", "arn:aws:s3:::b/*"],
        "Condition": {"StringNotEquals": {"aws:PrincipalAccount": "111122223333"}}});
    let put = policy(&[everybody()]);
    let (assessment, plan, state) = judged(Some(&put), Some(&put), before(&[everybody(), deny.clone()]));
    assert!(matches!(assessment, Assessment::Risky { .. }), "{assessment:?}");
    assert_eq!(left(&plan, &state), Some(policy(&[everybody(), deny])));
}

#[test]
fn what_another_call_put_meanwhile_is_not_of_this_one() {
    let put = policy(&[account("444455556666")]);
    let (assessment, ..) = judged(Some(&put), Some(&policy(&[everybody()])), Earlier::Unknown);
    assert!(matches!(assessment, Assessment::AlreadySafe { .. }), "{assessment:?}");
    let (assessment, ..) = judged(Some(&put), None, Earlier::Unknown);
    assert!(matches!(assessment, Assessment::AlreadySafe { .. }), "{assessment:?}");
    let (assessment, ..) =
        judged(Some(&policy(&[account("111122223333")])), Some(&policy(&[everybody()])), Earlier::Unknown);
    assert!(matches!(assessment, Assessment::Harmless { .. }), "{assessment:?}");
    // A record that does not tell is judged by what is there.
    let (assessment, ..) = judged(None, Some(&policy(&[everybody()])), Earlier::Unknown);
    assert!(matches!(assessment, Assessment::Risky { .. }), "{assessment:?}");
}

#[test]
fn what_is_unclear_and_services_are_told_and_left() {
    let unclear = allow(
        &json!({"CanonicalUser": "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"}),
        &json!(null),
    );
    let service = allow(&json!({"Service": "ses.amazonaws.com"}), &json!(null));
    for statement in [&unclear, &service] {
        let put = policy(std::slice::from_ref(statement));
        let (assessment, ..) = judged(Some(&put), Some(&put), Earlier::Unknown);
        assert!(matches!(assessment, Assessment::Report { .. }), "{statement}: {assessment:?}");
        // Beside something that is sure, it stays, and the read-back is content.
        let put = policy(&[statement.clone(), everybody()]);
        let (_, plan, state) = judged(Some(&put), Some(&put), Earlier::Unknown);
        assert_eq!(left(&plan, &state), Some(policy(std::slice::from_ref(statement))));
        let (assessment, ..) = judged(Some(&put), left(&plan, &state).as_ref(), Earlier::Unknown);
        assert!(matches!(assessment, Assessment::AlreadySafe { .. }), "{statement}: {assessment:?}");
    }
}

#[test]
fn what_lets_in_only_ours_is_left_alone() {
    for statement in [
        account("111122223333"),
        account("777788889999"),
        allow(&json!("*"), &json!({"StringEquals": {"aws:PrincipalAccount": "111122223333"}})),
        allow(&json!("*"), &json!({"StringEquals": {"aws:SourceVpce": "vpce-0a1b2c3d4e5f60718"}})),
    ] {
        let put = policy(std::slice::from_ref(&statement));
        let (assessment, ..) = judged(Some(&put), Some(&put), Earlier::Unknown);
        assert!(matches!(assessment, Assessment::Harmless { .. }), "{statement}: {assessment:?}");
    }
}

#[test]
fn what_can_not_be_read_is_told() {
    let heard = PublicBucketPolicy.listen(&signal(&Value::Null));
    assert!(matches!(heard[..], [Heard::Unreadable { .. }]), "{heard:?}");
    let (assessment, ..) = judged(None, Some(&json!("no policy")), Earlier::Unknown);
    assert!(matches!(assessment, Assessment::Unclear { .. }), "{assessment:?}");
}

#[test]
fn who_does_it_again_before_aws_config_has_seen_that_it_was_taken_back_gains_nothing() {
    let put = policy(&[account("111122223333"), everybody()]);
    let (first, ..) = judged(Some(&put), Some(&put), Earlier::Unknown);
    let Assessment::Risky { offenders, .. } = first else { panic!("{first:?}") };
    let revert = Revert { outcome: "1".to_owned(), at: "2026-11-24T08:00:10Z".parse().unwrap(), changes: offenders };
    // AWS Config saw the policy that was taken back.
    let seen = before(&[account("111122223333"), everybody()]);
    let (assessment, plan, state) = judged_after(&[revert], Some(&put), Some(&put), seen.clone());
    assert!(matches!(assessment, Assessment::Risky { .. }), "{assessment:?}");
    assert_eq!(left(&plan, &state), Some(policy(&[account("111122223333")])));
    let (assessment, ..) = judged(Some(&put), Some(&put), seen);
    assert!(matches!(assessment, Assessment::Report { .. }), "nobody took it back: {assessment:?}");
}

#[test]
fn an_office_that_the_owner_names_is_no_stranger() {
    let office = allow(&json!("*"), &json!({"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}));
    let put = policy(&[office]);
    let about = about(&PublicBucketPolicy, &signal(&json!({"bucketName": "b", "bucketPolicy": put}))).unwrap();
    let state = State { policy: Some(put.to_string()), ..State::default() };
    let judged = |tags| rescind_lambda::testing::judged(&PublicBucketPolicy, &about, &state, tags).unwrap().0;
    assert!(matches!(judged(&[]), Assessment::Risky { .. }));
    assert!(matches!(judged(&[("rescind:allowed-cidrs", "203.0.113.0/24")]), Assessment::Harmless { .. }));
    assert!(matches!(judged(&[("rescind:allowed-cidrs", "203.0.113.0/25")]), Assessment::Risky { .. }), "a part of it");
}
