//! `role-trusts-stranger`, beside what every remediation promises: what becomes of a role whose earlier trust nobody knows.

use rescind::Status;
use rescind_tests::scenes::identity;
use rescind_tests::scenes::trust::{STRANGER, in_words, recorded_role, set, trusting};
use rescind_tests::{World, cloudtrail};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn only_the_stranger_goes_where_the_earlier_trust_is_not_known() {
    let world = World::of("identity", "enforce", []).await;
    let ours = format!("arn:aws:iam::{}:root", world.account.id);
    identity::role(&world, "/", "web").await;
    let event = set(&world, "web", &trusting(&[&ours, STRANGER]), &world.alice()).await;
    let changed = in_words(&world, "web").await;
    let outcome = world.outcome(&event).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    let expected = set(&world, "web", &trusting(&[&ours]), &world.alice()).await;
    assert_eq!(
        outcome.steps[0].call.parameters["PolicyDocument"],
        expected["detail"]["requestParameters"]["policyDocument"]
    );
    let undone = world.invoke(&json!({"undo": outcome.id})).await.expect("an outcome").outcomes.remove(0);
    assert_eq!(undone.status, Status::Undone, "{}", undone.reason);
    assert_eq!(in_words(&world, "web").await, changed, "byte for byte");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_role_that_lets_in_only_strangers_lets_in_nobody() {
    let world = World::of("identity", "enforce", []).await;
    let document = trusting(&[STRANGER]);
    let request = world.account.iam().create_role().role_name("backdoor").assume_role_policy_document(&document);
    request.send().await.expect("a role");
    let event = cloudtrail::role_created(&world.account.id, &world.alice(), "backdoor", &document);
    let outcome = world.outcome(&event).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    assert!(outcome.reason.contains("nobody may assume it"), "{}", outcome.reason);
    assert!(in_words(&world, "backdoor").await[0].contains("Deny"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_who_was_let_in_before_and_one_whom_the_owner_trusts_stay() {
    let world = World::of("identity", "enforce", []).await;
    let ours = format!("arn:aws:iam::{}:root", world.account.id);
    identity::role(&world, "/", "shared").await;
    set(&world, "shared", &trusting(&[STRANGER]), &world.alice()).await;
    rescind_tests::scenes::trust::record(&world, "shared").await;
    let event = set(&world, "shared", &trusting(&[STRANGER, &ours]), &world.alice()).await;
    let outcome = world.outcome(&event).await;
    assert_eq!(outcome.status, Status::Reported, "{}", outcome.reason);

    world.account.tag_rule("RoleTrustsStranger", "rescind:trusted-accounts", "999999999999").await;
    let mut world = world;
    world.function.restart();
    recorded_role(&world, "partner").await;
    let event = set(&world, "partner", &trusting(&[STRANGER]), &world.alice()).await;
    let outcome = world.outcome(&event).await;
    assert_eq!(outcome.status, Status::Ignored, "{}", outcome.reason);
    assert!(world.proxy.changes().is_empty(), "{:?}", world.proxy.operations());
}

/// The call of somebody is told after another one set whom the role lets in: that is not taken for his.
#[tokio::test(flavor = "multi_thread")]
async fn what_another_call_set_since_is_left_to_that_one() {
    let world = World::of("identity", "enforce", []).await;
    let ours = format!("arn:aws:iam::{}:root", world.account.id);
    recorded_role(&world, "web").await;
    let event = set(&world, "web", &trusting(&[&ours]), &world.alice()).await;
    set(&world, "web", &trusting(&[&ours, STRANGER]), &world.alice()).await;
    let stands = in_words(&world, "web").await;
    world.proxy.clear();
    let outcome = world.outcome(&event).await;
    assert_eq!(outcome.status, Status::Ignored, "{}", outcome.reason);
    assert!(world.proxy.changes().is_empty(), "{:?}", world.proxy.operations());
    assert_eq!(in_words(&world, "web").await, stands);
}
