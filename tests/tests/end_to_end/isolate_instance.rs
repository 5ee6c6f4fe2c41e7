//! `isolate-instance`: an instance is cut off, and comes back as it was.

use std::time::Duration;

use aws_sdk_ec2::types::{IpPermission, IpRange};
use rescind::{Outcome, Status, Verdict};
use rescind_tests::scenes::instances::{describe, in_words, run};
use rescind_tests::{World, guardduty};
use serde_json::{Value, json};

async fn world(mode: &str) -> World {
    World::of("instances", mode, []).await
}

async fn ask(world: &World, request: &Value) -> Outcome {
    world.invoke(request).await.expect("an outcome").outcomes.remove(0)
}

async fn snapshots(world: &World) -> usize {
    let answer = world.account.ec2().describe_snapshots().owner_ids("self").send().await.expect("snapshots");
    answer.snapshots().iter().filter(|one| one.tags().iter().any(|tag| tag.key() == Some("rescind:outcome"))).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_is_cut_off_and_comes_back_as_it_was() {
    // For so long after a containment began, no other finding begins one.
    let lease = ("RESCIND_LEASE_MS".to_owned(), "6000".to_owned());
    let world = World::of("instances", "enforce", [lease]).await;
    let instance = run(&world, "web").await;
    let other = run(&world, "other").await;
    let (before, untouched) = (in_words(&world, &instance).await, in_words(&world, &other).await);
    let outcome = world.outcome(&guardduty::hostile_instance(&world.account.id, &instance)).await;
    assert_eq!((outcome.verdict, outcome.status), (Verdict::Risky, Status::Reverted), "{}", outcome.reason);
    let contained = in_words(&world, &instance).await;
    assert!(contained.contains(&"protected: true".to_owned()), "{contained:?}");
    assert!(contained.contains(&"rescind:isolated".to_owned()), "{contained:?}");
    assert!(!contained.iter().any(|line| line.contains("is open")), "{contained:?}");
    let tags = describe(&world, &instance).await.tags().to_vec();
    let told = tags.iter().filter(|tag| tag.key().is_some_and(|key| key.starts_with("rescind:groups-of-eni-")));
    assert_eq!(told.count(), 2, "the groups from before, of each interface: {tags:?}");
    assert_eq!(in_words(&world, &other).await, untouched);
    assert!(snapshots(&world).await > 0, "evidence");

    let undone = ask(&world, &json!({"undo": outcome.id})).await;
    assert_eq!(undone.status, Status::Undone, "{}", undone.reason);
    assert_eq!(in_words(&world, &instance).await, before);
    let kept = snapshots(&world).await;
    assert!(kept > 0, "evidence stays");

    // An update of the same finding, and another one that was known before the undo: a person has decided.
    world.proxy.clear();
    let mut known_before = guardduty::hostile_instance(&world.account.id, &instance);
    known_before["detail"]["createdAt"] = json!("2026-01-01T00:00:00.000Z");
    let again = world.outcome(&known_before).await;
    assert_eq!((again.verdict, again.status), (Verdict::Exempt, Status::Ignored), "{}", again.reason);
    assert!(world.proxy.changes().is_empty(), "{:?}", world.proxy.operations());

    // A new one is news, once the claim of the first does not hold any more. The VPC has the groups already.
    let news = world.route(&guardduty::hostile_instance(&world.account.id, &instance)).await.remove(0).input;
    world.proxy.set_latency(Duration::from_millis(300));
    let answered = async {
        loop {
            world.proxy.clear();
            if let Ok(mut answer) = world.invoke(&news).await {
                break answer.outcomes.remove(0);
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    let outcome = tokio::time::timeout(Duration::from_secs(60), answered).await.expect("an answer");
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    let trips = world.proxy.round_trips_until("ModifyNetworkInterfaceAttribute");
    assert_eq!(trips, 3, "until it is cut off: {:?}", world.proxy.operations());
    rescind_tests::say(&format!("{} calls, cut off after {trips} round trips", world.proxy.operations().len()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_finding_ten_times_and_five_of_one_instance_are_one_isolation() {
    let mut world = world("enforce").await;
    world.function.add_process();
    let instance = run(&world, "web").await;
    let finding = guardduty::hostile_instance(&world.account.id, &instance);
    let mut findings = vec![finding.clone(); 10];
    for (number, one) in findings.iter_mut().enumerate() {
        one["detail"]["updatedAt"] = json!(format!("2026-11-25T10:00:{number:02}.000Z"));
    }
    findings.extend((0..4).map(|_| guardduty::hostile_instance(&world.account.id, &instance)));
    let world = &world;
    let outcomes = crate::deliver_all(world, findings).await;
    let isolated: std::collections::BTreeSet<&str> =
        outcomes.iter().filter(|one| one.status == Status::Reverted).map(|one| one.id.as_str()).collect();
    assert_eq!(isolated.len(), 1, "{:?}", outcomes.iter().map(|one| (one.status, &one.reason)).collect::<Vec<_>>());
    let swaps = world.proxy.calls();
    let swaps = swaps.iter().filter(|call| call.operation == "ModifyNetworkInterfaceAttribute").count();
    assert_eq!(swaps, 6, "each of the two interfaces: isolated, untracked, isolated");
}

#[tokio::test(flavor = "multi_thread")]
async fn dry_run_shows_the_whole_plan_and_changes_nothing() {
    let world = world("dry-run").await;
    let instance = run(&world, "web").await;
    let before = in_words(&world, &instance).await;
    let outcome = world.outcome(&guardduty::hostile_instance(&world.account.id, &instance)).await;
    assert_eq!(outcome.status, Status::WouldRevert, "{}", outcome.reason);
    assert!(outcome.steps.len() > 12, "{:?}", outcome.steps);
    assert!(world.proxy.changes().is_empty(), "{:?}", world.proxy.operations());
    assert_eq!(in_words(&world, &instance).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_instances_are_contained_than_the_limit_allows() {
    let world = world("enforce").await;
    world.account.tag_rule("IsolateInstance", "rescind:blast-limit", "2/1h").await;
    let mut statuses = Vec::new();
    for number in 0..3 {
        let instance = run(&world, &format!("web-{number}")).await;
        let outcome = world.outcome(&guardduty::hostile_instance(&world.account.id, &instance)).await;
        statuses.push((outcome, instance));
    }
    let (third, instance) = statuses.pop().expect("three");
    assert!(statuses.iter().all(|(outcome, _)| outcome.status == Status::Reverted));
    assert_eq!(third.status, Status::AwaitingApproval, "{}", third.reason);
    assert!(!in_words(&world, &instance).await.contains(&"protected: true".to_owned()));
    let approved = ask(&world, &json!({"approve": third.id})).await;
    assert_eq!(approved.status, Status::Reverted, "{}", approved.reason);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_isolating_group_with_rules_is_refused_aloud() {
    let world = world("enforce").await;
    let instance = run(&world, "web").await;
    let outcome = world.outcome(&guardduty::hostile_instance(&world.account.id, &instance)).await;
    let undone = ask(&world, &json!({"undo": outcome.id})).await;
    assert_eq!(undone.status, Status::Undone);
    let groups = world.account.ec2().describe_security_groups().send().await.expect("groups");
    let isolating = groups.security_groups().iter().find(|group| group.group_name() == Some("rescind-isolated"));
    let isolating = isolating.and_then(|group| group.group_id()).expect("it was made");
    world.account.authorize(isolating, &[rescind_tests::account::permission("tcp", 22, 22, "10.0.0.0/8")]).await;
    let before = in_words(&world, &instance).await;
    let event = guardduty::hostile_instance(&world.account.id, &instance);
    let error = world.deliver(&event).await.remove(0).expect_err("it is refused");
    assert!(error.message.contains("lets something through"), "{error:?}");
    assert_eq!(in_words(&world, &instance).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_whose_isolating_group_lets_it_out_again_is_cut_off_anew() {
    let lease = ("RESCIND_LEASE_MS".to_owned(), "500".to_owned());
    let world = World::of("instances", "enforce", [lease]).await;
    let instance = run(&world, "web").await;
    // A containment that is being worked on lets no other begin: it comes again.
    let finding = || vec![guardduty::hostile_instance(&world.account.id, &instance)];
    let first = crate::deliver_all(&world, finding()).await.remove(0);
    assert_eq!(first.status, Status::Reverted, "{}", first.reason);
    let isolated = in_words(&world, &instance).await;
    let ec2 = world.account.ec2();
    let groups = ec2.describe_security_groups().send().await.expect("groups");
    let isolating = groups.security_groups().iter().find(|group| group.group_name() == Some("rescind-isolated"));
    let isolating = isolating.and_then(|group| group.group_id()).expect("it was made");
    let everywhere = IpPermission::builder().ip_protocol("-1");
    let everywhere = everywhere.ip_ranges(IpRange::builder().cidr_ip("0.0.0.0/0").build()).build();
    let request = ec2.authorize_security_group_egress().group_id(isolating).ip_permissions(everywhere);
    request.send().await.expect("it lets everything out");
    assert_ne!(in_words(&world, &instance).await, isolated);
    let again = crate::deliver_all(&world, finding()).await.remove(0);
    assert_eq!(again.status, Status::Reverted, "{}", again.reason);
    assert!(again.reason.contains("lets something out"), "{}", again.reason);
    assert_eq!(in_words(&world, &instance).await, isolated);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_of_a_vpc_with_ipv6_is_cut_off() {
    let world = world("enforce").await;
    let instance = run(&world, "web").await;
    let vpc = describe(&world, &instance).await.vpc_id().expect("a VPC").to_owned();
    let request = world.account.ec2().associate_vpc_cidr_block().vpc_id(vpc).amazon_provided_ipv6_cidr_block(true);
    request.send().await.expect("addresses");
    let outcome = world.outcome(&guardduty::hostile_instance(&world.account.id, &instance)).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    let groups = world.account.ec2().describe_security_groups().send().await.expect("groups");
    for group in
        groups.security_groups().iter().filter(|one| one.group_name().unwrap_or_default().starts_with("rescind-"))
    {
        assert!(group.ip_permissions().is_empty() && group.ip_permissions_egress().is_empty(), "{group:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interface_that_is_gone_keeps_no_undo_by_force_from_the_others() {
    let world = world("enforce").await;
    let instance = run(&world, "web").await;
    let ec2 = world.account.ec2();
    let groups_of = |instance: &aws_sdk_ec2::types::Instance| {
        let first = &instance.network_interfaces()[0];
        let mut groups: Vec<String> =
            first.groups().iter().filter_map(|one| one.group_id().map(str::to_owned)).collect();
        groups.sort();
        groups
    };
    let before = groups_of(&describe(&world, &instance).await);
    let outcome = world.outcome(&guardduty::hostile_instance(&world.account.id, &instance)).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    let contained = describe(&world, &instance).await;
    let second = &contained.network_interfaces()[1];
    let attachment = second.attachment().and_then(|one| one.attachment_id()).expect("an id");
    ec2.detach_network_interface().attachment_id(attachment).send().await.expect("detached");
    ec2.delete_network_interface()
        .network_interface_id(second.network_interface_id().expect("an id"))
        .send()
        .await
        .expect("deleted");
    let refused = ask(&world, &json!({"undo": outcome.id})).await;
    assert_eq!(refused.status, Status::Ignored, "{}", refused.reason);
    let undone = ask(&world, &json!({"undo": outcome.id, "force": true})).await;
    assert_eq!(undone.status, Status::Undone, "{}", undone.reason);
    assert!(undone.reason.contains("is gone"), "{}", undone.reason);
    assert_eq!(groups_of(&describe(&world, &instance).await), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_rid_of_isolation_for_good_by_a_quarrel() {
    let lease = ("RESCIND_LEASE_MS".to_owned(), "500".to_owned());
    let world = World::of("instances", "enforce", [lease]).await;
    world.account.tag_rule("IsolateInstance", "rescind:repeat-limit", "1/8s").await;
    let instance = run(&world, "web").await;
    let group = world.account.group("again", describe(&world, &instance).await.vpc_id()).await;
    let let_loose = async || {
        for interface in describe(&world, &instance).await.network_interfaces() {
            let request = world.account.ec2().modify_network_interface_attribute().groups(&group);
            let id = interface.network_interface_id().expect("an id");
            request.network_interface_id(id).send().await.expect("changed");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    let found = async || world.outcome(&guardduty::hostile_instance(&world.account.id, &instance)).await;
    assert_eq!(found().await.status, Status::Reverted);
    let_loose().await;
    assert_eq!(found().await.status, Status::StandingBack);
    tokio::time::sleep(Duration::from_secs(8)).await;
    let again = found().await;
    assert_eq!(again.status, Status::Reverted, "{}", again.reason);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_text_harms_neither_tags_nor_outcome() {
    let world = world("enforce").await;
    let instance = run(&world, "web").await;
    let mut event = guardduty::hostile_instance(&world.account.id, &instance);
    event["detail"]["title"] = json!("<script>\u{202e}\u{0}".repeat(10_000));
    event["detail"]["description"] = json!("\"}\n\\".repeat(20_000));
    let outcome = world.outcome(&event).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    let text = serde_json::to_string(&outcome).expect("JSON");
    assert!(!text.contains(['<', '\u{202e}']) && text.len() < 20_000, "{text}");
}
