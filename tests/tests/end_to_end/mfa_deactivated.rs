//! `mfa-deactivated`: who is only told, and who is left alone, by what IAM says of the user.

use rescind::{Outcome, Status, Verdict};
use rescind_tests::scenes::mfa::{RULE, deactivated, enable, in_words, user};
use rescind_tests::{World, cloudtrail, now};
use serde_json::json;

async fn world() -> World {
    let world = World::of("identity", "enforce", []).await;
    world.account.tag_rule(RULE, "rescind:contain", "deny-until-mfa").await;
    world
}

/// Nothing was changed, and the user stands as before.
async fn left(world: &World, name: &str) -> Outcome {
    let event = deactivated(world, name, &world.alice()).await;
    let before = in_words(world, name).await;
    world.proxy.clear();
    let outcome = world.outcome(&event).await;
    assert!(world.proxy.changes().is_empty(), "{:?}", world.proxy.operations());
    assert_eq!(in_words(world, name).await, before);
    outcome
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_only_told_unless_the_owner_asks_for_more() {
    let mut world = World::of("identity", "enforce", []).await;
    let outcome = left(&world, &user(&world, "carol").await).await;
    assert_eq!((outcome.verdict, outcome.status), (Verdict::Risky, Status::Reported), "{}", outcome.reason);
    assert!(outcome.reason.contains("have a new device enabled"), "{}", outcome.reason);
    world.account.tag_rule(RULE, "rescind:contain", "deny").await;
    // A new process remembers no tags.
    world.function.restart();
    let outcome = left(&world, &user(&world, "dave").await).await;
    assert_eq!(outcome.status, Status::Misconfigured, "{}", outcome.reason);
    assert!(outcome.reason.contains("`rescind:contain`"), "{}", outcome.reason);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_from_long_before_is_enough_and_one_from_lately_or_since_is_told() {
    let world = world().await;
    let name = user(&world, "carol").await;
    enable(&world, &name, "carol-2").await;
    // IAM and CloudTrail tell times in whole seconds.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let mut event = deactivated(&world, &name, &world.alice()).await;
    world.proxy.clear();
    let outcome = world.outcome(&event).await;
    assert_eq!(outcome.status, Status::Reported, "{}", outcome.reason);
    assert!(outcome.reason.contains(":mfa/carol-2 was enabled only at "), "{}", outcome.reason);
    // The same, more than a day later.
    let later = now() + chrono::TimeDelta::hours(25);
    event["detail"]["eventTime"] = json!(later.to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
    event["detail"]["eventID"] = json!(cloudtrail::event_id());
    let outcome = world.outcome(&event).await;
    assert_eq!((outcome.verdict, outcome.status), (Verdict::Risky, Status::AlreadySafe), "{}", outcome.reason);
    assert!(outcome.reason.contains(":mfa/carol-2 from before"), "{}", outcome.reason);
    assert!(world.proxy.changes().is_empty(), "{:?}", world.proxy.operations());

    let name = user(&world, "dave").await;
    let event = deactivated(&world, &name, &world.alice()).await;
    enable(&world, &name, "mallory").await;
    world.proxy.clear();
    let outcome = world.outcome(&event).await;
    assert_eq!(outcome.status, Status::Reported, "{}", outcome.reason);
    assert!(outcome.reason.contains(":mfa/mallory was enabled since"), "{}", outcome.reason);
    assert!(world.proxy.changes().is_empty(), "{:?}", world.proxy.operations());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_denied_who_is_behind_glass_exempt_or_gone() {
    let world = world().await;
    let iam = world.account.iam();
    let glass = format!("arn:aws:iam::{}:user/keepers/", world.account.id);
    world.account.tag_rule(RULE, "rescind:break-glass", &glass).await;
    let name = user(&world, "keeper").await;
    iam.update_user().user_name(&name).new_path("/keepers/").send().await.expect("another path");
    let outcome = left(&world, &name).await;
    assert_eq!(outcome.status, Status::Reported, "{}", outcome.reason);
    assert!(outcome.reason.contains("`rescind:break-glass` covers"), "{}", outcome.reason);

    let name = user(&world, "robot").await;
    let exempt = aws_sdk_iam::types::Tag::builder().key("rescind:exempt").value("yes").build().expect("a tag");
    iam.tag_user().user_name(&name).tags(exempt).send().await.expect("a tag");
    let outcome = left(&world, &name).await;
    assert_eq!((outcome.verdict, outcome.status), (Verdict::Exempt, Status::Ignored), "{}", outcome.reason);

    let event = cloudtrail::mfa_deactivated(&world.account.id, &world.alice(), "ghost", "GAHT12345678");
    let outcome = world.outcome(&event).await;
    assert_eq!((outcome.verdict, outcome.status), (Verdict::Harmless, Status::Ignored), "{}", outcome.reason);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_denied_already_is_not_denied_again_and_an_undo_survives_a_new_device() {
    let world = world().await;
    let name = user(&world, "carol").await;
    let event = deactivated(&world, &name, &world.alice()).await;
    let outcome = world.outcome(&event).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    let mut again = event.clone();
    again["detail"]["eventID"] = json!(cloudtrail::event_id());
    let outcome_again = world.outcome(&again).await;
    assert_eq!(outcome_again.status, Status::AlreadySafe, "{}", outcome_again.reason);
    enable(&world, &name, &name).await;
    let undone = world.invoke(&json!({"undo": outcome.id})).await.expect("an outcome").outcomes.remove(0);
    assert_eq!(undone.status, Status::Undone, "{}", undone.reason);
    let words = in_words(&world, &name).await;
    assert!(words.iter().any(|line| line.starts_with("device ")), "{words:?}");
    assert!(!words.iter().any(|line| line.contains("rescind-deny")), "{words:?}");
}
