//! What an earlier delivery left behind when it failed or was cut off, and what is claimed of it: nothing is said that was
//! not done, and nothing that was done is forgotten.

use std::time::Duration;

use aws_sdk_ec2::types::{IpPermission, SecurityGroupRule, Tag};
use rescind::{Answer, Outcome, Resource, Status, Verdict};
use rescind_tests::account::permission;
use rescind_tests::cloudtrail::{self, Who};
use rescind_tests::{Fault, When, World, delivery};
use serde_json::{Value, json};

async fn world(mode: &str, lease_ms: u64) -> World {
    World::with_environment(mode, [("RESCIND_LEASE_MS".to_owned(), lease_ms.to_string())]).await
}

async fn permits(world: &World, group: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for rule in world.account.rules(group).await.iter().filter(|rule| rule.is_egress() == Some(false)) {
        let tags: Vec<_> = rule.tags().iter().map(|tag| (tag.key(), tag.value())).collect();
        all.push(format!(
            "{:?} {:?} {:?} {:?} {tags:?}",
            rule.ip_protocol(),
            rule.from_port(),
            rule.cidr_ipv4(),
            rule.cidr_ipv6()
        ));
    }
    all.sort();
    all
}

fn id(rule: &SecurityGroupRule) -> &str {
    rule.security_group_rule_id().expect("an id")
}

async fn revoke(world: &World, group: &str, rule: &str) {
    let call = world.account.ec2().revoke_security_group_ingress().group_id(group).security_group_rule_ids(rule);
    call.send().await.expect("it is revoked");
}

async fn ask(world: &World, request: Value) -> Result<Outcome, String> {
    let answer: Result<Answer, _> = world.invoke(&request).await;
    answer.map(|mut answer| answer.outcomes.remove(0)).map_err(|error| error.message)
}

async fn open(world: &World, group: &str, who: &Who, permissions: &[IpPermission]) -> Outcome {
    let made = world.account.authorize(group, permissions).await;
    world.outcome(&cloudtrail::authorized(&world.account.id, who, group, &made)).await
}

async fn kill_at(world: &mut World, input: &Value, operation: &str, skip: usize, when: When) {
    world.proxy.disturb(operation, skip, 1, Fault::Timeout, when);
    {
        let killed = async {
            while !world.proxy.is_held() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            world.function.kill();
        };
        let (answer, ()) = tokio::join!(world.function.invoke(input), killed);
        answer.expect_err("it was killed");
    }
    world.proxy.calm();
    world.function.restart();
}

fn ssh() -> IpPermission {
    permission("tcp", 22, 22, "0.0.0.0/0")
}

fn rdp() -> IpPermission {
    permission("tcp", 3389, 3389, "0.0.0.0/0")
}

#[tokio::test(flavor = "multi_thread")]
async fn reverted_is_not_said_of_what_a_person_took_back_after_a_refused_revoke() {
    let world = world("enforce", 200).await;
    let group = world.account.group("web", None).await;
    let made = world.account.authorize(&group, &[ssh()]).await;
    let event = cloudtrail::authorized(&world.account.id, &world.alice(), &group, &made);
    let input = world.route(&event).await.remove(0).input;
    // Every try of the revoke is throttled: EC2 never made it.
    world.proxy.disturb("RevokeSecurityGroupIngress", 0, 100, Fault::Throttle, When::Before);
    world.invoke(&input).await.expect_err("it fails");
    world.proxy.calm();
    // The owner is told and acts.
    revoke(&world, &group, id(&made[0])).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let outcome = world.invoke(&input).await.expect("an answer").outcomes.remove(0);
    assert_eq!(outcome.status, Status::AlreadySafe, "{} {:?}", outcome.reason, outcome.steps);
}

#[tokio::test(flavor = "multi_thread")]
async fn dry_run_never_says_reverted() {
    let mut world = world("dry-run", 1000).await;
    let group = world.account.group("web", None).await;
    let made = world.account.authorize(&group, &[ssh()]).await;
    let event = cloudtrail::authorized(&world.account.id, &world.alice(), &group, &made);
    let input = world.route(&event).await.remove(0).input;
    kill_at(&mut world, &input, "DescribeSecurityGroups", 0, When::Before).await;
    revoke(&world, &group, id(&made[0])).await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let outcome = world.invoke(&input).await.expect("an answer").outcomes.remove(0);
    assert!(world.proxy.changes().is_empty());
    assert_ne!(outcome.status, Status::Reverted, "mode {}: {}", outcome.mode, outcome.reason);
}

async fn two_rules_with_tags(world: &World) -> (String, Vec<String>, Value) {
    let group = world.account.group("web", None).await;
    let made = world.account.authorize(&group, &[ssh(), rdp()]).await;
    world.account.tag(id(&made[0]), "ticket", "OPS-1").await;
    world.account.tag(id(&made[1]), "ticket", "OPS-2").await;
    let opened = permits(world, &group).await;
    let event = cloudtrail::authorized(&world.account.id, &world.alice(), &group, &made);
    let input = world.route(&event).await.remove(0).input;
    (group, opened, input)
}

/// The second of two rules can't be revoked.
async fn fails_midway(world: &World, input: &Value) {
    world.proxy.disturb("RevokeSecurityGroupIngress", 1, 100, Fault::Throttle, When::Before);
    world.invoke(input).await.expect_err("the second step fails");
    world.proxy.calm();
}

#[tokio::test(flavor = "multi_thread")]
async fn undo_brings_back_what_an_earlier_delivery_took_back_before_it_failed() {
    let world = world("enforce", 200).await;
    let (group, opened, input) = two_rules_with_tags(&world).await;
    fails_midway(&world, &input).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let outcome = world.invoke(&input).await.expect("an answer").outcomes.remove(0);
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    assert!(permits(&world, &group).await.is_empty());
    let undone = ask(&world, json!({"undo": outcome.id})).await.expect("an outcome");
    assert_eq!(
        permits(&world, &group).await,
        opened,
        "{}: {} ({} steps)",
        undone.status.as_str(),
        undone.reason,
        outcome.steps.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn undo_brings_back_what_was_taken_back_before_a_kill_between_two_steps() {
    let mut world = world("enforce", 1000).await;
    let (group, opened, input) = two_rules_with_tags(&world).await;
    kill_at(&mut world, &input, "RevokeSecurityGroupIngress", 1, When::Before).await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let outcome = world.invoke(&input).await.expect("an answer").outcomes.remove(0);
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    let undone = ask(&world, json!({"undo": outcome.id})).await.expect("an outcome");
    assert_eq!(permits(&world, &group).await, opened, "{}: {}", undone.status.as_str(), undone.reason);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_is_still_to_be_made_is_not_told_as_made() {
    let mut world = world("enforce", 1000).await;
    let group = world.account.group("web", None).await;
    let made = world.account.authorize(&group, &[ssh()]).await;
    // The event does not tell the tag, so its plan is another one.
    world.account.tag(id(&made[0]), "ticket", "OPS-1").await;
    let event = cloudtrail::authorized(&world.account.id, &world.alice(), &group, &made);
    let input = world.route(&event).await.remove(0).input;
    kill_at(&mut world, &input, "UpdateItem", 0, When::After).await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let outcome = world.invoke(&input).await.expect("an answer").outcomes.remove(0);
    assert_eq!((outcome.status, outcome.steps.len()), (Status::Reverted, 1), "{:?}", outcome.steps);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_back_on_aws_configs_word_before_a_kill_can_be_undone() {
    let mut world = world("enforce", 1000).await;
    let group = world.account.group("web", None).await;
    let rules = world.account.authorize(&group, &[ssh()]).await;
    let opened = permits(&world, &group).await;
    let item = cloudtrail::configuration_item(&world.account.id, &group, &rules, rescind_tests::now(), false);
    let input = world.route(&item).await.remove(0).input;
    kill_at(&mut world, &input, "RevokeSecurityGroupIngress", 0, When::After).await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let outcome = world.invoke(&input).await.expect("an answer").outcomes.remove(0);
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    let undone = ask(&world, json!({"undo": outcome.id})).await.expect("an outcome");
    assert_eq!(permits(&world, &group).await, opened, "{}", undone.reason);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_do_between_a_kill_and_the_next_delivery_does_not_stand_in_the_way_of_an_undo() {
    let mut world = world("enforce", 1000).await;
    let (group, mut opened, input) = two_rules_with_tags(&world).await;
    kill_at(&mut world, &input, "RevokeSecurityGroupIngress", 1, When::Before).await;
    world.account.authorize(&group, &[permission("tcp", 443, 443, "10.0.0.0/8")]).await;
    opened.extend(permits(&world, &group).await.into_iter().filter(|rule| rule.contains("443")));
    opened.sort();
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let outcome = world.invoke(&input).await.expect("an answer").outcomes.remove(0);
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    let undone = ask(&world, json!({"undo": outcome.id})).await.expect("an outcome");
    assert_eq!((undone.status, permits(&world, &group).await), (Status::Undone, opened), "{}", undone.reason);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_that_was_cut_off_between_two_steps_is_finished_when_asked_for_again() {
    let mut world = world("enforce", 1000).await;
    let (group, opened, input) = two_rules_with_tags(&world).await;
    let outcome = world.invoke(&input).await.expect("an answer").outcomes.remove(0);
    let undo = json!({"undo": outcome.id});
    kill_at(&mut world, &undo, "AuthorizeSecurityGroupIngress", 1, When::Before).await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let undone = ask(&world, undo).await.expect("an outcome");
    assert_eq!((undone.status, permits(&world, &group).await), (Status::Undone, opened), "{}", undone.reason);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_that_failed_before_it_did_anything_looks_at_what_has_changed_since() {
    let world = world("enforce", 200).await;
    let group = world.account.group("web", None).await;
    let outcome = open(&world, &group, &world.alice(), &[ssh()]).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    let undo = json!({"undo": outcome.id});
    world.proxy.disturb("AuthorizeSecurityGroupIngress", 0, 100, Fault::Throttle, When::Before);
    ask(&world, undo.clone()).await.expect_err("EC2 is busy");
    world.proxy.calm();
    world.account.authorize(&group, &[permission("tcp", 443, 443, "10.0.0.0/8")]).await;
    let changed = permits(&world, &group).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let refused = ask(&world, undo).await.expect("an outcome");
    assert_eq!((refused.status, permits(&world, &group).await), (Status::Ignored, changed), "{}", refused.reason);
    assert!(refused.reason.contains("has changed since"), "{}", refused.reason);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_made_before_it_failed_can_be_undone() {
    let world = world("enforce", 200).await;
    let (group, opened, input) = two_rules_with_tags(&world).await;
    fails_midway(&world, &input).await;
    assert_eq!(permits(&world, &group).await.len(), 1, "half of it was taken back");
    let signal = rescind::signal::decode(input).expect("a signal").signal;
    let resource = Resource {
        kind: "AWS::EC2::SecurityGroup".to_owned(),
        id: group.clone(),
        account: world.account.id.clone(),
        region: rescind_tests::REGION.to_owned(),
    };
    let id = Outcome::id_of(&signal, "open-security-group-ingress", &resource);
    let undone = ask(&world, json!({"undo": id})).await.expect("an outcome");
    assert_eq!((undone.status, permits(&world, &group).await), (Status::Undone, opened), "{}", undone.reason);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_approval_made_before_it_failed_can_be_undone() {
    let world = world("approve", 200).await;
    let (group, opened, input) = two_rules_with_tags(&world).await;
    let outcome = world.invoke(&input).await.expect("an answer").outcomes.remove(0);
    assert_eq!(outcome.status, Status::AwaitingApproval, "{}", outcome.reason);
    fails_midway(&world, &json!({"approve": outcome.id})).await;
    assert_eq!(permits(&world, &group).await.len(), 1, "half of it was taken back");
    let undone = ask(&world, json!({"undo": outcome.id})).await.expect("an outcome");
    assert_eq!((undone.status, permits(&world, &group).await), (Status::Undone, opened), "{}", undone.reason);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_still_waits_after_an_approval_that_failed() {
    let world = world("approve", 200).await;
    let group = world.account.group("web", None).await;
    let outcome = open(&world, &group, &world.alice(), &[ssh()]).await;
    assert_eq!(outcome.status, Status::AwaitingApproval);
    world.proxy.disturb("DescribeSecurityGroupRules", 0, 100, Fault::Throttle, When::Before);
    ask(&world, json!({"approve": outcome.id})).await.expect_err("EC2 is busy");
    world.proxy.calm();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let again = ask(&world, json!({"approve": outcome.id})).await;
    assert_eq!(again.map(|outcome| outcome.status), Ok(Status::Reverted));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_approval_did_before_it_was_cut_off_can_be_asked_for_again_or_undone() {
    let mut world = world("approve", 1000).await;
    let group = world.account.group("web", None).await;
    let outcome = open(&world, &group, &world.alice(), &[ssh()]).await;
    kill_at(&mut world, &json!({"approve": outcome.id}), "RevokeSecurityGroupIngress", 0, When::After).await;
    assert!(permits(&world, &group).await.is_empty(), "it was revoked");
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let approved = ask(&world, json!({"approve": outcome.id})).await;
    let undone = ask(&world, json!({"undo": outcome.id})).await;
    assert!(approved.is_ok() || undone.is_ok(), "approve: {approved:?}\nundo: {undone:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn undone_by_force_is_said_of_what_is_there_again() {
    let world = world("enforce", 30_000).await;
    let group = world.account.group("web", None).await;
    let outcome = open(&world, &group, &world.alice(), &[ssh(), rdp()]).await;
    assert_eq!(outcome.status, Status::Reverted);
    // Somebody puts one of the two back meanwhile.
    world.account.authorize(&group, &[ssh()]).await;
    let undone = ask(&world, json!({"undo": outcome.id, "force": true})).await.expect("an outcome");
    let now = permits(&world, &group).await;
    assert!(
        now.iter().any(|rule| rule.contains("3389")) || undone.status != Status::Undone,
        "{}: {}: {now:?}",
        undone.status.as_str(),
        undone.reason
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_came_while_the_mode_was_off_can_be_delivered_again() {
    let mut world = world("off", 200).await;
    let warm = world.account.group("warm", None).await;
    open(&world, &warm, &world.alice(), &[ssh()]).await;
    let group = world.account.group("web", None).await;
    let made = world.account.authorize(&group, &[ssh()]).await;
    let event = cloudtrail::authorized(&world.account.id, &world.alice(), &group, &made);
    let input = world.route(&event).await.remove(0).input;
    let outcome = world.invoke(&input).await.expect("an answer").outcomes.remove(0);
    assert_eq!(outcome.status, Status::Ignored);
    world.account.tag_rule("OpenSecurityGroupIngress", "rescind:mode", "enforce").await;
    world.function.restart();
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        if let Ok(answer) = world.invoke(&input).await {
            assert_eq!(answer.outcomes[0].status, Status::Reverted);
            return;
        }
    }
    panic!("{:?}", world.invoke(&input).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_back_is_told_and_can_be_undone_however_large_the_groups_tags() {
    let world = world("enforce", 200).await;
    let group = world.account.group("web", None).await;
    // Harmless rules, far fewer than the 60 that a group may have, each with the 50 tags that EC2 allows.
    let fine: Vec<IpPermission> =
        (0..24).map(|number| permission("tcp", 443, 443, &format!("203.0.113.{number}/32"))).collect();
    for rule in world.account.authorize(&group, &fine).await {
        let mut call = world.account.ec2().create_tags().resources(id(&rule));
        for number in 0..50 {
            call = call.tags(Tag::builder().key(format!("{number:0>127}x")).value("y".repeat(256)).build());
        }
        call.send().await.expect("tagged");
    }
    let made = world.account.authorize(&group, &[ssh()]).await;
    let event = cloudtrail::authorized(&world.account.id, &world.alice(), &group, &made);
    let input = world.route(&event).await.remove(0).input;
    let first = world.invoke(&input).await.map(|answer| answer.outcomes[0].status).map_err(|error| error.message);
    let is_gone = !permits(&world, &group).await.iter().any(|rule| rule.contains("Some(22)"));
    // The emulator applies the refused update in part (DynamoDB does not), so later deliveries tell nothing about AWS.
    assert!(!is_gone || first.is_ok(), "revoked, neither journaled nor told: {first:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_risky_rule_goes_however_large_its_tags() {
    let world = world("enforce", 200).await;
    let group = world.account.group("web", None).await;
    let open: Vec<IpPermission> =
        (1..25).map(|number| permission("tcp", 22, 22, &format!("{}.0.0.0/7", number * 4 + 20))).collect();
    let made = world.account.authorize(&group, &open).await;
    // Before CloudTrail's event arrives: tags of its own for each rule.
    for (index, rule) in made.iter().enumerate() {
        let mut call = world.account.ec2().create_tags().resources(id(rule));
        for number in 0..50 {
            call = call.tags(Tag::builder().key(format!("{number:0>127}x")).value(format!("{index:y>256}")).build());
        }
        call.send().await.expect("tagged");
    }
    let event = cloudtrail::authorized(&world.account.id, &world.alice(), &group, &made);
    let input = world.route(&event).await.remove(0).input;
    let mut last = Vec::new();
    for _ in 0..3 {
        last.push(world.invoke(&input).await.map(|answer| answer.outcomes[0].status).map_err(|error| error.message));
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let left = permits(&world, &group).await.len();
    let told = delivery::wait_for(&world.account, "OutcomeNotification").await.len();
    assert_eq!(left, 0, "rules open to the world after three deliveries; told {told} times: {last:.200?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn reverted_is_not_said_while_a_part_of_the_change_stands() {
    let world = world("enforce", 30_000).await;
    let group = world.account.group("web", None).await;
    for _ in 0..3 {
        assert_eq!(open(&world, &group, &world.alice(), &[ssh()]).await.status, Status::Reverted);
    }
    // The fourth time, with a decoy.
    let outcome = open(&world, &group, &world.alice(), &[ssh(), rdp()]).await;
    let left = permits(&world, &group).await;
    let told = delivery::wait_for(&world.account, "OutcomeNotification").await;
    let about = told.iter().filter(|message| message.to_string().contains("standing-back")).count();
    assert!(
        left.is_empty() || about > 0,
        "told `{}`: {}; nobody was told that Rescind stands back, and this stands: {left:?}",
        outcome.status.as_str(),
        outcome.reason
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn standing_back_from_a_second_change_is_told_too() {
    let world = world("enforce", 30_000).await;
    let group = world.account.group("web", None).await;
    for opened in [rdp(), ssh()] {
        for _ in 0..3 {
            assert_eq!(
                open(&world, &group, &world.alice(), std::slice::from_ref(&opened)).await.status,
                Status::Reverted
            );
        }
        assert_eq!(
            open(&world, &group, &world.alice(), std::slice::from_ref(&opened)).await.status,
            Status::StandingBack
        );
    }
    let told = delivery::wait_for(&world.account, "OutcomeNotification").await;
    let about = |what: &str| {
        told.iter().map(Value::to_string).filter(|text| text.contains("standing-back") && text.contains(what)).count()
    };
    assert_eq!((about("tcp/3389"), about("tcp/22")), (1, 1), "each change that stands is told");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_exempt_principal_did_stays_when_aws_config_reports_it() {
    let world = world("enforce", 30_000).await;
    let role = format!("arn:aws:iam::{}:role/developer", world.account.id);
    for rule in ["OpenSecurityGroupIngress", "OpenSecurityGroupIngressItem"] {
        world.account.tag_rule(rule, "rescind:exempt-principals", &role).await;
    }
    let group = world.account.group("web", None).await;
    let outcome = open(&world, &group, &world.alice(), &[ssh()]).await;
    assert_eq!(outcome.verdict, Verdict::Exempt, "{}", outcome.reason);
    let before = permits(&world, &group).await;
    let rules = world.account.rules(&group).await;
    let item = cloudtrail::configuration_item(&world.account.id, &group, &rules, rescind_tests::now(), false);
    let config = world.outcome(&item).await;
    assert_eq!(permits(&world, &group).await, before, "{}: {}", config.status.as_str(), config.reason);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tag_exempted_does_not_stay_once_the_exemption_has_ended() {
    let world = world("enforce", 30_000).await;
    let group = world.account.group("web", None).await;
    world.account.tag(&group, "rescind:exempt", "2099-12-31").await;
    let outcome = open(&world, &group, &world.alice(), &[ssh()]).await;
    assert_eq!(outcome.verdict, Verdict::Exempt, "{}", outcome.reason);
    world.account.tag(&group, "rescind:exempt", "2020-01-01").await;
    let rules = world.account.rules(&group).await;
    let item = cloudtrail::configuration_item(&world.account.id, &group, &rules, rescind_tests::now(), false);
    let config = world.outcome(&item).await;
    assert_eq!(config.status, Status::Reverted, "{}", config.reason);
    assert!(permits(&world, &group).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_rescind_stands_back_from_it_does_not_fight_by_way_of_aws_config() {
    let world = world("enforce", 30_000).await;
    let group = world.account.group("web", None).await;
    for _ in 0..3 {
        assert_eq!(open(&world, &group, &world.alice(), &[ssh()]).await.status, Status::Reverted);
    }
    assert_eq!(open(&world, &group, &world.alice(), &[ssh()]).await.status, Status::StandingBack);
    let standing = permits(&world, &group).await;
    let rules = world.account.rules(&group).await;
    let item = cloudtrail::configuration_item(&world.account.id, &group, &rules, rescind_tests::now(), false);
    let config = world.outcome(&item).await;
    assert_eq!(permits(&world, &group).await, standing, "{}: {}", config.status.as_str(), config.reason);
}
