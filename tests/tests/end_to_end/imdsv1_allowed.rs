//! `imdsv1-allowed`: the metadata service needs tokens again.

use rescind::{Status, Verdict};
use rescind_tests::scenes::metadata::{allowed, in_words, run};
use rescind_tests::{World, cloudtrail};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_required_again_and_undo_makes_them_optional() {
    let world = World::of("instances", "enforce", []).await;
    let (instance, other) = (run(&world, "web").await, run(&world, "other").await);
    let (before, untouched) = (in_words(&world, &instance).await, in_words(&world, &other).await);
    let event = allowed(&world, &instance, &world.alice()).await;
    let risky = in_words(&world, &instance).await;
    assert_ne!(risky, before);
    world.proxy.set_latency(std::time::Duration::from_millis(200));
    world.proxy.clear();
    let outcome = world.outcome(&event).await;
    assert_eq!((outcome.verdict, outcome.status), (Verdict::Risky, Status::Reverted), "{}", outcome.reason);
    assert_eq!(world.proxy.round_trips_until("ModifyInstanceMetadataOptions"), 2, "{:?}", world.proxy.operations());
    let changes = world.proxy.changes();
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert!(!changes[0].body.contains("HttpEndpoint"), "the other options are left out: {}", changes[0].body);
    assert_eq!(in_words(&world, &instance).await, before);
    assert_eq!(in_words(&world, &other).await, untouched);

    world.proxy.set_latency(std::time::Duration::ZERO);
    let undone = world.invoke(&json!({"undo": outcome.id})).await.expect("an outcome").outcomes.remove(0);
    assert_eq!(undone.status, Status::Undone, "{}", undone.reason);
    assert_eq!(in_words(&world, &instance).await, risky);
    assert_eq!(in_words(&world, &other).await, untouched);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_the_instances_that_one_call_started_those_go_that_need_no_token() {
    let world = World::of("instances", "enforce", []).await;
    let (safe, risky, unsaid) = (run(&world, "a").await, run(&world, "b").await, run(&world, "c").await);
    for one in [&risky, &unsaid] {
        allowed(&world, one, &world.alice()).await;
    }
    let mut event = cloudtrail::instances_started(
        &world.account.id,
        &world.alice(),
        &[(&safe, "required"), (&risky, "optional"), (&unsaid, "optional")],
    );
    // Old records tell nothing of it.
    event["detail"]["responseElements"]["instancesSet"]["items"][2]
        .as_object_mut()
        .expect("an instance")
        .remove("metadataOptions");
    let untouched = in_words(&world, &safe).await;
    let answer = world.deliver(&event).await.remove(0).expect("an answer");
    let told: Vec<_> = answer.outcomes.iter().map(|one| (one.resource.id.as_str(), one.status)).collect();
    assert_eq!(told, [(risky.as_str(), Status::Reverted), (unsaid.as_str(), Status::Reverted)]);
    assert_eq!(in_words(&world, &safe).await, untouched);
    for one in [&risky, &unsaid] {
        assert!(in_words(&world, one).await.contains(&"tokens: Some(Required)".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_is_exempt_or_gone_is_left_alone() {
    let world = World::of("instances", "enforce", []).await;
    let (exempt, gone) = (run(&world, "exempt").await, run(&world, "gone").await);
    world.account.tag(&exempt, "rescind:exempt", "imdsv1-allowed").await;
    let event = allowed(&world, &exempt, &world.alice()).await;
    let before = in_words(&world, &exempt).await;
    let outcome = world.outcome(&event).await;
    assert_eq!((outcome.verdict, outcome.status), (Verdict::Exempt, Status::Ignored), "{}", outcome.reason);
    assert_eq!(in_words(&world, &exempt).await, before);

    let event = allowed(&world, &gone, &world.alice()).await;
    world.account.ec2().terminate_instances().instance_ids(&gone).send().await.expect("it is terminated");
    let outcome = world.outcome(&event).await;
    assert_eq!((outcome.verdict, outcome.status), (Verdict::Risky, Status::AlreadySafe), "{}", outcome.reason);
    assert!(world.proxy.changes().is_empty(), "{:?}", world.proxy.operations());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_undid_stays_when_aws_config_reports_it() {
    let world = World::of("instances", "enforce", []).await;
    let instance = run(&world, "web").await;
    let event = allowed(&world, &instance, &world.alice()).await;
    let outcome = world.outcome(&event).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    let undone = world.invoke(&json!({"undo": outcome.id})).await.expect("an outcome").outcomes.remove(0);
    assert_eq!(undone.status, Status::Undone, "{}", undone.reason);
    let risky = in_words(&world, &instance).await;
    let arn = world.account.config_rule("ec2-imdsv2-check", "EC2_IMDSV2_CHECK").await;
    let rule = ("ec2-imdsv2-check", arn.as_str());
    let judged = cloudtrail::non_compliant(&world.account.id, rule, ("AWS::EC2::Instance", &instance));
    let left = world.outcome(&judged).await;
    assert_eq!((left.verdict, left.status), (Verdict::Exempt, Status::Ignored), "{}", left.reason);
    assert_eq!(in_words(&world, &instance).await, risky);
}
