use rescind::journal::Revert;
use rescind::policy::Friends;
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

fn accounts(ids: &[&str]) -> Value {
    let arns: Vec<String> = ids.iter().map(|id| format!("arn:aws:iam::{id}:root")).collect();
    allow(&json!({"AWS": arns}), &json!(null))
}

/// Denies all but these accounts.
fn only(accounts: &[&str]) -> Value {
    denied_unless(&json!({"StringNotEquals": {"aws:PrincipalAccount": accounts}}))
}

fn denied_unless(condition: &Value) -> Value {
    json!({"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": ["arn:aws:s3:::b", "arn:aws:s3:::b/*"],
        "Condition": condition})
}

const A: &str = "444455556666";
const B: &str = "888888888888";
const C: &str = "999999999999";
const OURS: &str = "111122223333";

#[test]
fn who_was_let_in_before_is_not_cut_off_by_a_call_that_only_tightens_or_edits() {
    let renamed = |mut statement: Value| {
        statement["Sid"] = json!("Renamed");
        statement
    };
    let all = allow(&json!("*"), &json!(null));
    let role = json!({"AWS": format!("arn:aws:iam::{A}:role/x")});
    let from = |accounts: &[&str]| allow(&json!("*"), &json!({"StringEquals": {"aws:PrincipalAccount": accounts}}));
    let denied_to_us = json!({"Effect": "Deny", "Principal": {"AWS": format!("arn:aws:iam::{OURS}:role/x")}, "Action": "s3:*",
        "Resource": "arn:aws:s3:::b/*"});
    let tls = denied_unless(&json!({"Bool": {"aws:SecureTransport": "false"}}));
    let endpoint = denied_unless(&json!({"StringNotEquals": {"aws:SourceVpce": "vpce-0a1b2c3d4e5f60718"}}));
    for (earlier, put) in [
        // One of two goes, or one of ours comes in, or the statement is named, divided or joined.
        (vec![accounts(&[A, B])], vec![accounts(&[A])]),
        (vec![accounts(&[A, B])], vec![accounts(&[A, B, OURS])]),
        (vec![accounts(&[A, B])], vec![renamed(accounts(&[B, A]))]),
        (vec![accounts(&[A, B])], vec![account(B), account(A)]),
        (vec![account(B), account(A)], vec![accounts(&[A, B])]),
        (vec![account(A)], vec![allow(&role, &json!(null))]),
        // The rest is denied, or denied to more.
        (vec![all.clone(), only(&[A, B])], vec![all.clone(), only(&[A])]),
        (vec![all.clone(), only(&[A, B])], vec![account(A)]),
        (vec![all.clone()], vec![all.clone(), only(&[A])]),
        (vec![all.clone()], vec![account(A)]),
        (vec![from(&[A, B])], vec![from(&[A])]),
        (vec![all.clone()], vec![from(&[A])]),
        // What is denied to others, or whoever it is, keeps nobody in.
        (vec![accounts(&[A, B]), denied_to_us, tls.clone()], vec![accounts(&[A])]),
        (vec![accounts(&[A, B]), tls.clone(), only(&[A, B])], vec![accounts(&[A]), only(&[A])]),
        (vec![accounts(&[A, B]), endpoint.clone()], vec![accounts(&[A]), endpoint]),
    ] {
        let put = policy(&put);
        let (assessment, ..) = judged(Some(&put), Some(&put), before(&earlier));
        let Assessment::Report { reason, .. } = &assessment else { panic!("{put}: {assessment:?}") };
        assert!(reason.contains("AWS Config saw that before the call already"), "{reason}");
    }
}

#[test]
fn what_gives_more_to_who_was_let_in_before_is_new() {
    let with = |field: &str, value: Value| {
        let mut statement = account(A);
        statement[field] = value;
        statement
    };
    let all = allow(&json!("*"), &json!(null));
    let tls = json!({"Bool": {"aws:SecureTransport": "true"}});
    let a = json!({"AWS": format!("arn:aws:iam::{A}:root")});
    let role = json!({"AWS": format!("arn:aws:iam::{A}:role/x")});
    let mut no_writing = only(&[OURS]);
    no_writing["Action"] = json!("s3:Put*");
    let office = denied_unless(&json!({"NotIpAddress": {"aws:SourceIp": "198.51.100.0/24"}}));
    let endpoint = denied_unless(&json!({"StringNotEquals": {"aws:SourceVpce": "vpce-0a1b2c3d4e5f60718"}}));
    for (earlier, put) in [
        (vec![account(A)], vec![with("Action", json!(["s3:GetObject", "s3:PutObject"]))]),
        (vec![account(A)], vec![with("Resource", json!(["arn:aws:s3:::b", "arn:aws:s3:::b/*"]))]),
        (vec![with("Resource", json!("arn:aws:s3:::b/${aws:username}"))], vec![account(A)]),
        (vec![allow(&a, &tls)], vec![account(A)]),
        (vec![allow(&role, &json!(null))], vec![account(A)]),
        (vec![account(A)], vec![account(B)]),
        (vec![account(A)], vec![all.clone()]),
        (vec![all.clone(), only(&[A])], vec![all.clone(), only(&[A, B])]),
        (vec![all.clone(), only(&[A])], vec![all.clone(), only(&[B])]),
        (vec![all.clone(), only(&[A])], vec![account(B)]),
        // It was denied, as a part of what the statement allowed, or beside another condition.
        (vec![with("Action", json!("s3:*")), no_writing], vec![with("Action", json!("s3:PutObject"))]),
        (vec![all.clone(), only(&[A]), office], vec![account(A)]),
        (vec![accounts(&[A, B]), endpoint], vec![accounts(&[A])]),
    ] {
        let put = policy(&put);
        let (assessment, ..) = judged(Some(&put), Some(&put), before(&earlier));
        assert!(matches!(assessment, Assessment::Risky { .. }), "{put}: {assessment:?}");
    }
}

#[test]
fn of_a_statement_that_lets_in_one_more_only_that_one_goes() {
    let (put, earlier) = (policy(&[accounts(&[OURS, A, C])]), before(&[account(A)]));
    let (assessment, plan, state) = judged(Some(&put), Some(&put), earlier.clone());
    let Assessment::Risky { reason, offenders, .. } = assessment else { panic!("{assessment:?}") };
    assert!(reason.contains(C) && !reason.contains(A), "who stays is blamed for nothing: {reason}");
    let rest = left(&plan, &state);
    assert_eq!(rest, Some(policy(&[accounts(&[OURS, A])])));
    let (assessment, ..) = judged(Some(&put), rest.as_ref(), earlier);
    assert!(matches!(assessment, Assessment::AlreadySafe { .. }), "{assessment:?}");
    // AWS Config saw the policy before that one was taken out: the other one still is from before.
    let revert = Revert { outcome: "1".to_owned(), at: "2026-11-24T08:00:10Z".parse().unwrap(), changes: offenders };
    let (assessment, plan, state) = judged_after(&[revert], Some(&put), Some(&put), before(&[accounts(&[OURS, A, C])]));
    assert!(matches!(assessment, Assessment::Risky { .. }), "{assessment:?}");
    assert_eq!(left(&plan, &state), rest);
}

#[test]
fn who_may_do_more_than_before_may_do_no_more_than_before() {
    let mut more = account(A);
    more["Action"] = json!("s3:PutObject");
    let (put, earlier) = (policy(&[account(A), more]), before(&[account(A)]));
    let (_, plan, state) = judged(Some(&put), Some(&put), earlier.clone());
    let rest = left(&plan, &state);
    assert_eq!(rest, Some(policy(&[account(A)])));
    let (assessment, ..) = judged(Some(&put), rest.as_ref(), earlier);
    assert!(matches!(assessment, Assessment::AlreadySafe { .. }), "{assessment:?}");
}

#[test]
fn whom_a_statement_does_not_mean_may_be_written_anew() {
    let all_but = |principal: Value| {
        let mut statement = everybody();
        statement["NotPrincipal"] = principal;
        statement.as_object_mut().unwrap().remove("Principal");
        policy(&[statement])
    };
    let id = json!({"CanonicalUser": "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"});
    let live = all_but(json!({"AWS": "arn:aws:iam::111122223333:root"}));
    let (assessment, plan, state) = judged(Some(&all_but(id)), Some(&live), Earlier::Unknown);
    assert!(matches!(assessment, Assessment::Risky { .. }), "{assessment:?}");
    assert_eq!(left(&plan, &state), None);
}

#[test]
fn what_is_not_understood_beside_who_was_let_in_before_is_told() {
    let cloudfront = json!({"AWS": format!("arn:aws:iam::{A}:root"),
        "CanonicalUser": "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"});
    let put = policy(&[allow(&cloudfront, &json!(null))]);
    let (assessment, ..) = judged(Some(&put), Some(&put), before(&[account(A)]));
    let Assessment::Report { reason, .. } = &assessment else { panic!("{assessment:?}") };
    assert!(reason.contains("canonical user") && !reason.contains(A), "{reason}");
    // It is from before, too.
    let (assessment, ..) = judged(Some(&put), Some(&put), before(&[allow(&cloudfront, &json!(null)), account(B)]));
    let Assessment::Report { reason, .. } = &assessment else { panic!("{assessment:?}") };
    assert!(reason.contains("AWS Config saw that before"), "{reason}");
}

#[test]
fn what_was_not_sure_before_excuses_nothing_that_is_sure_now() {
    let unclear = denied_unless(&json!({"StringNotEquals": {"corp:team": "red"}}));
    let put = policy(&[everybody()]);
    let (assessment, plan, state) = judged(Some(&put), Some(&put), before(&[everybody(), unclear]));
    assert!(matches!(assessment, Assessment::Risky { .. }), "{assessment:?}");
    assert_eq!(left(&plan, &state), None);
    assert!(plan.note.unwrap().contains("may have let strangers in"));
    let limited = allow(&json!("*"), &json!({"StringEquals": {"corp:team": "red"}}));
    let (assessment, ..) = judged(Some(&put), Some(&put), before(&[limited]));
    assert!(matches!(assessment, Assessment::Risky { .. }), "{assessment:?}");
}

#[test]
fn what_is_left_alone_does_not_go_with_the_rest() {
    let put = policy(&[account(OURS), account(A), everybody()]);
    let signal = signal(&json!({"bucketName": "b", "bucketPolicy": put}));
    let state = State { policy: Some(put.to_string()), earlier: before(&[account(OURS)]), tags: Vec::new() };
    let policies = Policy::from_value(put.clone()).unwrap();
    let told = Put { policy: Some(put), time: signal.time };
    let friends = Friends::new(OURS);
    let opened = Opened::of(
        "b".to_owned(),
        state.policy.as_deref(),
        told.policy.clone().and_then(|told| Policy::from_value(told).ok()),
        &state.earlier,
        &friends,
        |_, _| false,
    )
    .unwrap();
    let Assessment::Risky { offenders, .. } = opened.assessment() else { panic!("{opened:?}") };
    assert_eq!(offenders.len(), 2, "{offenders:?}");
    let (back, note) = opened.back(&offenders);
    assert_eq!(back.as_deref(), Some(policy(&[account(OURS)]).to_string().as_str()), "{note}");
    let one = crate::opened::piece(&policies.statements()[2]);
    let (back, note) = opened.back(&[one]);
    assert_eq!(back, Some(policy(&[account(OURS), account(A)]).to_string()));
    assert!(note.contains("left alone"), "{note}");
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
    // What it put itself is still there, beside what another call put.
    let (assessment, plan, state) =
        judged(Some(&put), Some(&policy(&[accounts(&[A, C])])), before(&[account("111122223333")]));
    let Assessment::Risky { reason, .. } = &assessment else { panic!("{assessment:?}") };
    assert!(!reason.contains(C), "{reason}");
    assert_eq!(left(&plan, &state), Some(policy(&[accounts(&[C])])));
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
