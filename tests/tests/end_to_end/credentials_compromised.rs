//! `credentials-compromised`: keys and sessions are taken out of use, and come back as they were; and what must not be
//! touched is not.

use rescind::{Outcome, Status, Verdict};
use rescind_tests::guardduty::{attack_sequence, compromised, credentials, hostile_instance_with, read_bucket};
use rescind_tests::scenes::identity::{EARLIER, key, keys_in_words, policy, profile, put_policy, role, session, user};
use rescind_tests::{World, delivery};
use serde_json::{Value, json};

const RULE: &str = "CredentialsCompromised";

async fn world(mode: &str) -> World {
    World::of("identity", mode, []).await
}

async fn ask(world: &World, request: &Value) -> Outcome {
    world.invoke(request).await.expect("an outcome").outcomes.remove(0)
}

/// The outcomes of one event, in the order of what it names.
async fn outcomes(world: &World, event: &Value) -> Vec<Outcome> {
    world.deliver(event).await.remove(0).expect("outcomes").outcomes
}

/// The finding that somebody else uses a key.
fn of_key(world: &World, key: &str, user: &str) -> Value {
    compromised(&world.account.id, &credentials(key, "AIDAX", user, "IAMUser"))
}

async fn of_session(world: &World, role: &str) -> Value {
    compromised(&world.account.id, &session(world, role, "ASIA1").await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_deactivated_and_comes_back() {
    let world = world("enforce").await;
    let stolen = key(&world, &user(&world, "alice").await).await;
    let other = key(&world, &user(&world, "bob").await).await;
    let (before, of_bob) = (keys_in_words(&world, &stolen).await, keys_in_words(&world, &other).await);
    // The finding names somebody else; IAM knows better.
    let outcome = world.outcome(&of_key(&world, &stolen, "bob")).await;
    assert_eq!((outcome.verdict, outcome.status), (Verdict::Risky, Status::Reverted), "{}", outcome.reason);
    assert!(outcome.evidence[0].0["holder"].ends_with(":user/alice"), "{:?}", outcome.evidence);
    let now = keys_in_words(&world, &stolen).await;
    assert!(now.contains(&format!("{stolen} is Inactive")), "{now:?}");
    assert_eq!(now.iter().filter(|line| line.ends_with("is Active")).count(), 1, "her other key: {now:?}");
    assert_eq!(keys_in_words(&world, &other).await, of_bob);
    assert_eq!(world.proxy.changes().len(), 1, "{:?}", world.proxy.operations());

    let undone = ask(&world, &json!({"undo": outcome.id})).await;
    assert_eq!(undone.status, Status::Undone, "{}", undone.reason);
    assert_eq!(keys_in_words(&world, &stolen).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_inactive_or_gone_needs_nothing_and_an_undo_makes_none() {
    let world = world("enforce").await;
    let stolen = key(&world, &user(&world, "alice").await).await;
    let iam = world.account.iam();
    let outcome = world.outcome(&of_key(&world, &stolen, "alice")).await;
    let again = world.outcome(&of_key(&world, &stolen, "alice")).await;
    assert_eq!(again.status, Status::AlreadySafe, "{}", again.reason);
    iam.delete_access_key().user_name("alice").access_key_id(&stolen).send().await.expect("it is deleted");
    world.proxy.clear();
    let undone = ask(&world, &json!({"undo": outcome.id})).await;
    assert_eq!(undone.status, Status::Ignored, "{}", undone.reason);
    assert!(undone.reason.contains("changed since"), "{}", undone.reason);
    let gone = world.outcome(&of_key(&world, &stolen, "alice")).await;
    assert_eq!((gone.verdict, gone.status), (Verdict::Harmless, Status::Ignored), "{}", gone.reason);
    assert!(world.proxy.changes().is_empty(), "{:?}", world.proxy.operations());
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_denied_and_the_policy_comes_back_byte_for_byte() {
    let world = world("enforce").await;
    world.account.tag_rule(RULE, "rescind:blast-limit", "30/1h").await;
    for (name, before) in [("none", None), ("earlier", Some(EARLIER))] {
        role(&world, "/service/", name).await;
        if let Some(document) = before {
            put_policy(&world, name, document).await;
        }
        let event = of_session(&world, name).await;
        let outcome = world.outcome(&event).await;
        assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
        assert_eq!((outcome.resource.kind.as_str(), outcome.resource.id.as_str()), ("AWS::IAM::Role", name));
        let document = policy(&world, name).await.expect("a policy");
        let sent = event["detail"]["updatedAt"].as_str().expect("a time");
        assert!(
            document.contains(&format!("{{\"DateLessThan\":{{\"aws:TokenIssueTime\":\"{sent}\"}}}}")),
            "{document}"
        );
        assert_eq!(document.contains("\"Mine\""), before.is_some(), "what else stood there stays: {document}");
        assert!(!document.contains("2026-01-01"), "{document}");

        let undone = ask(&world, &json!({"undo": outcome.id})).await;
        assert_eq!(undone.status, Status::Undone, "{}", undone.reason);
        assert_eq!(policy(&world, name).await.as_deref(), before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_refuses_where_somebody_changed_the_policy_since() {
    let world = world("enforce").await;
    role(&world, "/", "web").await;
    let outcome = world.outcome(&of_session(&world, "web").await).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    put_policy(&world, "web", EARLIER).await;
    world.proxy.clear();
    let refused = ask(&world, &json!({"undo": outcome.id})).await;
    assert_eq!(refused.status, Status::Ignored, "{}", refused.reason);
    assert!(refused.reason.contains("policy AWSRevokeOlderSessions was changed"), "{}", refused.reason);
    assert!(world.proxy.changes().is_empty(), "{:?}", world.proxy.operations());
    assert_eq!(policy(&world, "web").await.as_deref(), Some(EARLIER));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_that_goes_further_is_not_weakened() {
    let world = world("enforce").await;
    role(&world, "/", "web").await;
    let later = EARLIER.replace("2026-01-01", "2099-01-01");
    put_policy(&world, "web", &later).await;
    let outcome = world.outcome(&of_session(&world, "web").await).await;
    assert_eq!((outcome.verdict, outcome.status), (Verdict::Risky, Status::AlreadySafe), "{}", outcome.reason);
    assert!(world.proxy.changes().is_empty(), "{:?}", world.proxy.operations());
    assert_eq!(policy(&world, "web").await, Some(later));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_locked_out_of_the_account_by_a_finding() {
    let world = world("enforce").await;
    let account = &world.account;
    let stolen = key(&world, &user(&world, "keeper").await).await;
    for (path, name) in
        [("/emergency/", "rescue"), ("/aws-service-role/ecs.amazonaws.com/", "AWSServiceRoleForECS"), ("/", "web")]
    {
        role(&world, path, name).await;
    }
    let glass = format!("arn:aws:iam::{0}:user/keeper arn:aws:iam::{0}:role/emergency/", account.id);
    account.tag_rule(RULE, "rescind:break-glass", &glass).await;
    let mut findings = vec![
        ("root", compromised(&account.id, &credentials("AKIAROOT", &account.id, "Root", "Root"))),
        ("keeper", of_key(&world, &stolen, "keeper")),
        ("rescue", of_session(&world, "rescue").await),
        ("service-linked", of_session(&world, "AWSServiceRoleForECS").await),
        ("session of a user", compromised(&account.id, &credentials("ASIA2", "AIDAX", "keeper", "IAMUser"))),
        ("stranger", compromised(&account.id, &credentials("ASIA3", "AIDAY", "mallory", "AWSAccount"))),
        ("nameless role", compromised(&account.id, &credentials("ASIA4", "", "web", "AssumedRole"))),
    ];
    for function in account.deployed.functions.values() {
        let name = function.role_arn.rsplit('/').next().expect("a name");
        findings.push(("Rescind's own", of_session(&world, name).await));
    }
    let count = findings.len();
    for (what, event) in findings {
        let outcome = world.outcome(&event).await;
        assert_eq!((outcome.verdict, outcome.status), (Verdict::Risky, Status::Reported), "{what}: {}", outcome.reason);
        assert!(outcome.steps.is_empty(), "{what}: {:?}", outcome.steps);
    }
    // Another role has the name by now: the sessions are those of one that is gone.
    let old = compromised(&account.id, &credentials("ASIA5", "AROAOLD:session", "web", "AssumedRole"));
    let outcome = world.outcome(&old).await;
    assert_eq!((outcome.verdict, outcome.status), (Verdict::Harmless, Status::Ignored), "{}", outcome.reason);
    assert!(world.proxy.changes().is_empty(), "{:?}", world.proxy.operations());
    let told = delivery::wait_for(account, "OutcomeNotification").await;
    assert_eq!(told.len(), count, "each is told: {told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_finding_ten_times_and_five_of_one_session_are_one_denial() {
    let mut world = world("enforce").await;
    world.function.add_process();
    role(&world, "/", "web").await;
    let finding = of_session(&world, "web").await;
    let mut findings = vec![finding.clone(); 10];
    for _ in 0..4 {
        // Found later, of what the same session had done before.
        let mut other = of_session(&world, "web").await;
        other["detail"]["service"]["eventFirstSeen"] = json!("2026-11-24T09:00:00Z");
        findings.push(other);
    }
    let world = &world;
    let outcomes = crate::deliver_all(world, findings).await;
    let denied: std::collections::BTreeSet<&str> =
        outcomes.iter().filter(|one| one.status == Status::Reverted).map(|one| one.id.as_str()).collect();
    assert_eq!(denied.len(), 1, "{:?}", outcomes.iter().map(|one| (one.status, &one.reason)).collect::<Vec<_>>());
    let puts = world.proxy.calls();
    assert_eq!(puts.iter().filter(|call| call.operation == "PutRolePolicy").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attack_sequence_and_a_read_bucket_call_for_each_of_their_credentials() {
    let world = world("enforce").await;
    let stolen = key(&world, &user(&world, "alice").await).await;
    role(&world, "/", "web").await;
    let of_alice = credentials(&stolen, "AIDAX", "alice", "IAMUser");
    let all = [of_alice.clone(), session(&world, "web", "ASIA1").await, session(&world, "web", "ASIA2").await];
    let both = outcomes(&world, &attack_sequence(&world.account.id, &all)).await;
    let told: Vec<_> = both.iter().map(|one| (one.resource.id.as_str(), one.status)).collect();
    assert_eq!(told, [(stolen.as_str(), Status::Reverted), ("web", Status::Reverted)], "{both:?}");
    assert_eq!(both[1].evidence[0].0["keys"], "ASIA1, ASIA2");
    assert!(policy(&world, "web").await.is_some());
    let undone = ask(&world, &json!({"undo": both[0].id})).await;
    assert_eq!(undone.status, Status::Undone, "{}", undone.reason);
    assert!(policy(&world, "web").await.is_some(), "the other one's outcome is its own");

    let other = key(&world, &user(&world, "bob").await).await;
    let outcome = world.outcome(&read_bucket(&world.account.id, &credentials(&other, "AIDAY", "bob", "IAMUser"))).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    assert!(keys_in_words(&world, &other).await.contains(&format!("{other} is Inactive")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_limit_leaves_waits_and_is_approved() {
    let world = world("enforce").await;
    world.account.tag_rule(RULE, "rescind:blast-limit", "1/1h").await;
    role(&world, "/", "web").await;
    role(&world, "/", "batch").await;
    let first = world.outcome(&of_session(&world, "web").await).await;
    assert_eq!(first.status, Status::Reverted, "{}", first.reason);
    let second = world.outcome(&of_session(&world, "batch").await).await;
    assert_eq!(second.status, Status::AwaitingApproval, "{}", second.reason);
    assert_eq!(policy(&world, "batch").await, None);
    let approved = ask(&world, &json!({"approve": second.id})).await;
    assert_eq!(approved.status, Status::Reverted, "{}", approved.reason);
    assert!(policy(&world, "batch").await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn dry_run_exemptions_and_times_to_come_change_nothing() {
    let world = world("dry-run").await;
    role(&world, "/", "web").await;
    let shown = world.outcome(&of_session(&world, "web").await).await;
    assert_eq!((shown.status, shown.steps.len()), (Status::WouldRevert, 1), "{}", shown.reason);
    world.account.tag_rule(RULE, "rescind:mode", "enforce").await;
    // Tags of rules are remembered for a minute; a new process has none.
    let world = world_again(world).await;
    let mut to_come = of_session(&world, "web").await;
    to_come["detail"]["updatedAt"] = json!("2099-01-01T00:00:00.000Z");
    let error = world.deliver(&to_come).await.remove(0).expect_err("it is refused");
    assert!(error.message.contains("has not come yet"), "{error:?}");
    let tag = aws_sdk_iam::types::Tag::builder().key("rescind:exempt").value("yes").build().expect("a tag");
    world.account.iam().tag_role().role_name("web").tags(tag).send().await.expect("the role is tagged");
    let exempt = world.outcome(&of_session(&world, "web").await).await;
    assert_eq!((exempt.verdict, exempt.status), (Verdict::Exempt, Status::Ignored), "{}", exempt.reason);
    assert!(world.proxy.changes().is_empty(), "{:?}", world.proxy.operations());
    assert_eq!(policy(&world, "web").await, None);
}

async fn world_again(mut world: World) -> World {
    world.function.restart();
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_harm_nothing() {
    let world = world("enforce").await;
    for name in ["<script>\u{202e}\"}\n", "../admin", "web server", ""] {
        let hostile = credentials("ASIA\u{202e}<b>", "AROAX:s", name, "AssumedRole");
        let outcome = world.outcome(&compromised(&world.account.id, &hostile)).await;
        assert_eq!(outcome.status, Status::Reported, "{name}: {}", outcome.reason);
        let text = serde_json::to_string(&outcome).expect("JSON");
        assert!(!text.contains(['<', '\u{202e}']), "{text}");
    }
    assert!(world.proxy.changes().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_role_of_a_hostile_instance_is_denied_where_the_owner_says_so() {
    let world = world("enforce").await;
    role(&world, "/", "web").await;
    let event =
        hostile_instance_with(&world.account.id, "i-0123456789abcdef0", &profile(&world, "web-profile", "web").await);
    let left = world.outcome(&event).await;
    assert_eq!((left.verdict, left.status), (Verdict::Harmless, Status::Ignored), "{}", left.reason);
    assert!(!world.proxy.operations().iter().any(|one| one == "GetInstanceProfile"), "{:?}", world.proxy.operations());

    world.account.tag_rule("InstanceRoleSessions", "rescind:instance-roles", "deny").await;
    let world = world_again(world).await;
    let event = hostile_instance_with(
        &world.account.id,
        "i-0123456789abcdef0",
        &format!("arn:aws:iam::{}:instance-profile/web-profile", world.account.id),
    );
    let outcome = world.outcome(&event).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    assert!(outcome.reason.contains(":role/web,"), "{}", outcome.reason);
    assert!(policy(&world, "web").await.is_some());
    // A finding about a session of the role needs nothing more, if what it saw was before that.
    let mut other = of_session(&world, "web").await;
    other["detail"]["service"]["eventFirstSeen"] = json!("2026-11-24T09:00:00Z");
    assert_eq!(world.outcome(&other).await.status, Status::AlreadySafe);
    let undone = ask(&world, &json!({"undo": outcome.id})).await;
    assert_eq!(undone.status, Status::Undone, "{}", undone.reason);
    assert_eq!(policy(&world, "web").await, None);
}
