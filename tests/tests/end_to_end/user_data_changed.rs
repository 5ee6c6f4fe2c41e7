//! `user-data-changed`: a protected instance gets its user data back, byte for byte, and nobody is told what is in it.

use aws_smithy_types::base64;
use rescind::{Outcome, Status, Verdict};
use rescind_tests::scenes::user_data::{BAD, GOOD, changed, in_words, record, run, stop, user_data};
use rescind_tests::{World, delivery};
use serde_json::json;

async fn world(mode: &str) -> World {
    World::of("instances", mode, []).await
}

/// A stopped instance with this user data, recorded where that is wanted.
async fn stopped(world: &World, was: Option<&str>, is_recorded: bool) -> String {
    let instance = run(world, "web", was, true).await;
    stop(world, &instance).await;
    if is_recorded {
        assert_eq!(record(world, &instance).await, 1);
    }
    instance
}

async fn undo(world: &World, outcome: &Outcome) -> Outcome {
    world.invoke(&json!({"undo": outcome.id})).await.expect("an outcome").outcomes.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn user_data_is_what_it_was_and_undo_brings_the_other_back() {
    let world = world("enforce").await;
    let (instance, other) = (stopped(&world, Some(GOOD), true).await, stopped(&world, Some("other"), true).await);
    let (before, untouched) = (in_words(&world, &instance).await, in_words(&world, &other).await);
    let event = changed(&world, &instance, BAD, &world.alice()).await;
    let risky = in_words(&world, &instance).await;
    assert_ne!(risky, before);
    world.proxy.clear();
    let outcome = world.outcome(&event).await;
    assert_eq!((outcome.verdict, outcome.status), (Verdict::Risky, Status::Reverted), "{}", outcome.reason);
    let changes = world.proxy.changes();
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert_eq!(in_words(&world, &instance).await, before);
    assert_eq!(user_data(&world, &instance).await, GOOD.as_bytes());
    assert_eq!(in_words(&world, &other).await, untouched);
    let name = |value: &str| format!("sha256:{}", rescind::text::sha256(value.as_bytes()));
    let parameters = |value: &str| json!({"InstanceId": instance, "UserData": {"Value": name(value)}});
    assert_eq!(outcome.steps[0].call.parameters, parameters(GOOD));
    assert_eq!(outcome.steps[0].inverse.as_ref().expect("an inverse").parameters, parameters(BAD));

    let undone = undo(&world, &outcome).await;
    assert_eq!(undone.status, Status::Undone, "{}", undone.reason);
    assert_eq!(in_words(&world, &instance).await, risky);
    assert_eq!(in_words(&world, &other).await, untouched);
    nothing_tells_a_value(&world, &[&outcome, &undone]).await;
}

/// Neither value is in an outcome, a notification, the log or the journal, as it is or in Base64.
async fn nothing_tells_a_value(world: &World, outcomes: &[&Outcome]) {
    let dynamodb = world.account.dynamodb();
    let environment = &world.account.deployed.functions["instances"].environment;
    let journal = dynamodb.scan().table_name(&environment["RESCIND_JOURNAL"]).send().await.expect("the journal");
    assert!(journal.count() > 0);
    let told = delivery::wait_for(&world.account, "OutcomeNotification").await;
    assert!(!told.is_empty());
    let log = world.function.log().join("\n");
    assert!(log.contains(&outcomes[0].id), "{log}");
    for (place, text) in [
        ("the outcomes", serde_json::to_string(outcomes).expect("JSON")),
        ("the journal", format!("{:?}", journal.items())),
        ("the notifications", format!("{told:?}")),
        ("the log", log),
    ] {
        for value in [GOOD, BAD] {
            // Whatever a middle part of it is aligned to.
            let encoded = (0..3).map(|skip| base64::encode(&value[skip..skip + 24])[..28].to_owned());
            let parts = value.split_whitespace().filter(|word| word.len() > 8).map(str::to_owned);
            for secret in encoded.chain(parts) {
                assert!(!text.contains(&secret), "{secret} is in {place}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_user_data_comes_back_too() {
    let world = world("enforce").await;
    let instance = stopped(&world, None, true).await;
    let event = changed(&world, &instance, BAD, &world.alice()).await;
    let outcome = world.outcome(&event).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    assert!(outcome.reason.contains("from none to sha256:"), "{}", outcome.reason);
    assert!(user_data(&world, &instance).await.is_empty());
    let undone = undo(&world, &outcome).await;
    assert_eq!(undone.status, Status::Undone, "{}", undone.reason);
    assert_eq!(user_data(&world, &instance).await, BAD.as_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_told_is_told_once_and_kept_as_evidence() {
    let world = world("enforce").await;
    // It runs again by the time the event comes; and what nobody recorded.
    let running = run(&world, "running", Some(GOOD), true).await;
    record(&world, &running).await;
    let unknown = stopped(&world, Some(GOOD), false).await;
    for (instance, says) in [(&running, "only while it is stopped"), (&unknown, "is not known")] {
        let event = changed(&world, instance, BAD, &world.alice()).await;
        let after = in_words(&world, instance).await;
        world.proxy.clear();
        let outcome = world.outcome(&event).await;
        assert_eq!((outcome.verdict, outcome.status), (Verdict::Risky, Status::Reported), "{}", outcome.reason);
        assert!(outcome.reason.contains(says), "{}", outcome.reason);
        assert!(world.proxy.operations().contains(&"PutItem".to_owned()), "{:?}", world.proxy.operations());
        assert!(world.proxy.changes().is_empty(), "{:?}", world.proxy.operations());
        assert_eq!(in_words(&world, instance).await, after);
        nothing_tells_a_value(&world, &[&outcome]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_after_the_change_is_not_what_was_before_it() {
    let world = world("enforce").await;
    let instance = stopped(&world, Some(GOOD), true).await;
    // AWS Config saw the instance stop a minute ago, before the change; it is read only after it.
    let event = changed(&world, &instance, BAD, &world.alice()).await;
    record(&world, &instance).await;
    let outcome = world.outcome(&event).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    assert_eq!(user_data(&world, &instance).await, GOOD.as_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn dry_run_shows_the_call_and_makes_none() {
    let world = world("dry-run").await;
    let instance = stopped(&world, Some(GOOD), true).await;
    let event = changed(&world, &instance, BAD, &world.alice()).await;
    let outcome = world.outcome(&event).await;
    assert_eq!(outcome.status, Status::WouldRevert, "{}", outcome.reason);
    assert_eq!(outcome.steps[0].call.call, "ec2:ModifyInstanceAttribute");
    assert!(world.proxy.changes().is_empty(), "{:?}", world.proxy.operations());
    assert_eq!(user_data(&world, &instance).await, BAD.as_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn unprotected_exempt_and_unchanged_instances_are_left_alone() {
    let world = world("enforce").await;
    let unprotected = run(&world, "unprotected", Some(GOOD), false).await;
    stop(&world, &unprotected).await;
    assert_eq!(record(&world, &unprotected).await, 0, "its user data is not kept");
    let exempt = stopped(&world, Some(GOOD), true).await;
    world.account.tag(&exempt, "rescind:exempt", "yes").await;
    for (instance, verdict) in [(&unprotected, Verdict::Harmless), (&exempt, Verdict::Exempt)] {
        let event = changed(&world, instance, BAD, &world.alice()).await;
        let outcome = world.outcome(&event).await;
        assert_eq!((outcome.verdict, outcome.status), (verdict, Status::Ignored), "{}", outcome.reason);
        assert_eq!(user_data(&world, instance).await, BAD.as_bytes());
    }
    let same = stopped(&world, Some(GOOD), true).await;
    let event = changed(&world, &same, GOOD, &world.alice()).await;
    let outcome = world.outcome(&event).await;
    assert_eq!(outcome.status, Status::AlreadySafe, "{}", outcome.reason);
    assert!(world.proxy.changes().is_empty(), "{:?}", world.proxy.operations());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_somebody_put_into_the_baseline_is_not_put_back() {
    let world = world("approve").await;
    let instance = stopped(&world, Some(GOOD), true).await;
    let event = changed(&world, &instance, BAD, &world.alice()).await;
    let outcome = world.outcome(&event).await;
    assert_eq!(outcome.status, Status::AwaitingApproval, "{}", outcome.reason);
    let approved = world.invoke(&json!({"approve": outcome.id})).await.expect("an outcome").outcomes.remove(0);
    assert_eq!(approved.status, Status::Reverted, "{}", approved.reason);
    // Under the name of the value that an undo needs, there is another one by now.
    let table = &world.account.deployed.functions["instances"].environment["RESCIND_BASELINE"];
    let key = |text: String| aws_sdk_dynamodb::types::AttributeValue::S(text);
    let value = aws_sdk_dynamodb::types::AttributeValue::B(aws_smithy_types::Blob::new("forged"));
    let digest = rescind::text::sha256(BAD.as_bytes());
    let put = world.account.dynamodb().put_item().table_name(table).item("resource", key(format!("value/{digest}")));
    put.item("captured", key("value".to_owned())).item("value", value).send().await.expect("it is written");
    let error = world.invoke(&json!({"undo": outcome.id})).await.expect_err("there is nothing of that name");
    assert!(error.message.contains("the baseline does not have sha256:"), "{}", error.message);
    assert_eq!(user_data(&world, &instance).await, GOOD.as_bytes());
}
