//! `isolate-instance`, where its rule says so: an instance leaves its Auto Scaling group and its target groups, and comes back.

use std::time::Duration;

use rescind::Status;
use rescind_tests::scenes::instances::{in_words, run};
use rescind_tests::scenes::memberships::{auto_scaling_group, members, registered, target_group};
use rescind_tests::{Fault, When, World, guardduty};
use serde_json::json;

async fn world(detach: &str) -> World {
    // For so long after a containment began, no other delivery begins one.
    let lease = ("RESCIND_LEASE_MS".to_owned(), "500".to_owned());
    let world = World::of("instances", "enforce", [lease]).await;
    world.account.tag_rule("IsolateInstance", "rescind:detach", detach).await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn it_leaves_its_groups_and_comes_back_with_its_ports() {
    let world = world("auto-scaling-group target-groups").await;
    let (instance, other) = (run(&world, "web").await, run(&world, "other").await);
    auto_scaling_group(&world, "web", &instance, 3).await;
    let own = target_group(&world, "own", &instance, &[(&instance, 8080), (&other, 80)]).await;
    let others = target_group(&world, "others", &instance, &[(&other, 443)]).await;
    let (before, before_others) = (registered(&world, &own).await, registered(&world, &others).await);
    let words = in_words(&world, &instance).await;

    world.proxy.clear();
    world.proxy.set_latency(Duration::from_millis(300));
    let outcome = world.outcome(&guardduty::hostile_instance(&world.account.id, &instance)).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    // Its state, its settings and the claim; the target groups of its VPC; what is registered in them.
    let trips = world.proxy.round_trips_until("DescribeTargetHealth");
    assert_eq!(trips, 3, "{:?}", world.proxy.operations());
    assert!(world.proxy.round_trips_until("DescribeAutoScalingInstances") <= 2, "side by side with these");
    world.proxy.set_latency(Duration::ZERO);
    let now = members(&world, "web").await;
    assert!(now.len() == 1 && !now.contains(&instance), "another one took its place: {now:?}");
    let now = registered(&world, &own).await;
    assert!(now.iter().all(|one| !one.starts_with(&instance)), "{now:?}");
    assert_eq!(now.len(), before.len() - 1, "{now:?}");
    assert_eq!(registered(&world, &others).await, before_others);
    let changed: Vec<String> = world.proxy.changes().into_iter().map(|call| call.body).collect();
    assert!(!changed.iter().any(|body| body.contains(&other)), "{changed:?}");

    let undone = world.invoke(&json!({"undo": outcome.id})).await.expect("an outcome").outcomes.remove(0);
    assert_eq!(undone.status, Status::Undone, "{}", undone.reason);
    let now = members(&world, "web").await;
    assert!(now.len() == 2 && now.contains(&instance), "beside the one that took its place: {now:?}");
    assert_eq!(registered(&world, &own).await, before);
    assert_eq!(registered(&world, &others).await, before_others);
    let mut now = in_words(&world, &instance).await;
    now.sort();
    let mut words = words;
    words.sort();
    assert_eq!(now, words);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_tag_nothing_of_it_is_asked_or_changed() {
    let world = World::of("instances", "enforce", []).await;
    let instance = run(&world, "web").await;
    auto_scaling_group(&world, "web", &instance, 3).await;
    let group = target_group(&world, "own", &instance, &[(&instance, 8080)]).await;
    let before = registered(&world, &group).await;
    let outcome = world.outcome(&guardduty::hostile_instance(&world.account.id, &instance)).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    assert_eq!(outcome.evidence[0].0.get("auto_scaling_group").map(String::as_str), Some("web"));
    assert_eq!(members(&world, "web").await, [instance]);
    assert_eq!(registered(&world, &group).await, before);
    let asked = world
        .proxy
        .calls()
        .into_iter()
        .find(|call| ["autoscaling", "elasticloadbalancing"].contains(&call.service.as_str()));
    assert!(asked.is_none(), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_without_room_is_told_and_tried_again() {
    let world = world("auto-scaling-group").await;
    let instance = run(&world, "web").await;
    auto_scaling_group(&world, "web", &instance, 1).await;
    let before = in_words(&world, &instance).await;
    let outcome = world.outcome(&guardduty::hostile_instance(&world.account.id, &instance)).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    let contained = in_words(&world, &instance).await;
    let ask = || async { world.invoke(&json!({"undo": outcome.id})).await };
    let error = ask().await.expect_err("there is no room");
    assert!(error.message.contains("autoscaling:AttachInstances was refused"), "{error:?}");
    assert_eq!(in_words(&world, &instance).await, contained, "nothing is half undone");
    let client = world.account.auto_scaling();
    client.update_auto_scaling_group().auto_scaling_group_name("web").max_size(2).send().await.expect("there is room");
    tokio::time::sleep(Duration::from_millis(700)).await;
    let undone = ask().await.expect("an outcome").outcomes.remove(0);
    assert_eq!(undone.status, Status::Undone, "{}", undone.reason);
    assert!(members(&world, "web").await.contains(&instance));
    let (mut now, mut before) = (in_words(&world, &instance).await, before);
    now.sort();
    before.sort();
    assert_eq!(now, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_that_can_not_be_read_hinder_no_cut_and_are_left_later() {
    let world = world("auto-scaling-group target-groups").await;
    let instance = run(&world, "web").await;
    auto_scaling_group(&world, "web", &instance, 3).await;
    let group = target_group(&world, "own", &instance, &[(&instance, 8080)]).await;
    let event = guardduty::hostile_instance(&world.account.id, &instance);
    let input = world.route(&event).await.remove(0).input;
    world.proxy.disturb("DescribeAutoScalingInstances", 0, 100, Fault::Throttle, When::Before);
    world.proxy.disturb("DescribeTargetHealth", 0, 100, Fault::Http503, When::Before);
    let error = world.invoke(&input).await.expect_err("it is not done yet");
    assert!(error.message.contains("Auto Scaling group could not be read"), "{error:?}");
    let contained = in_words(&world, &instance).await;
    assert!(contained.contains(&"protected: true".to_owned()), "it is cut off all the same: {contained:?}");
    world.proxy.calm();
    tokio::time::sleep(Duration::from_millis(700)).await;
    let outcome = world.invoke(&input).await.expect("an answer").outcomes.remove(0);
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    assert!(!members(&world, "web").await.contains(&instance));
    assert!(registered(&world, &group).await.is_empty());
    let undone = world.invoke(&json!({"undo": outcome.id})).await.expect("an outcome").outcomes.remove(0);
    assert_eq!(undone.status, Status::Undone, "{}", undone.reason);
    assert_eq!(registered(&world, &group).await, [format!("{instance}:Some(8080)")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shares_its_instance_profile_is_named() {
    let world = World::of("instances", "dry-run", []).await;
    let instance = run(&world, "web").await;
    let profile = format!("arn:aws:iam::{}:instance-profile/web", world.account.id);
    let iam = world.account.iam();
    iam.create_instance_profile().instance_profile_name("web").send().await.expect("a profile");
    let specification = aws_sdk_ec2::types::IamInstanceProfileSpecification::builder().name("web").build();
    let request = world.account.ec2().associate_iam_instance_profile().instance_id(&instance);
    request.iam_instance_profile(specification).send().await.expect("the instance has it");
    // The emulator can't filter by it.
    let item = |id: &str| format!("<item><instanceId>{id}</instanceId></item>");
    let items = [instance.as_str(), "i-0aaa", "i-0bbb"].map(item).concat();
    let answer = format!(
        "<DescribeInstancesResponse><reservationSet><item><instancesSet>{items}</instancesSet></item></reservationSet></DescribeInstancesResponse>"
    );
    world.proxy.answer("DescribeInstances?iam-instance-profile.arn", &answer);
    let mut event = guardduty::hostile_instance(&world.account.id, &instance);
    event["detail"]["resource"]["instanceDetails"]["iamInstanceProfile"] = json!({"arn": profile, "id": "AIPAX"});
    let outcome = world.outcome(&event).await;
    assert_eq!(outcome.status, Status::WouldRevert, "{}", outcome.reason);
    let named = outcome.evidence[0].0.get("shares_instance_profile_with").map(String::as_str);
    assert_eq!(named, Some("i-0aaa, i-0bbb"), "{:?}", outcome.evidence);
}
