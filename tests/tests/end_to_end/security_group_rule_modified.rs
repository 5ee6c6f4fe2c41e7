//! `security-group-rule-modified`: in a protected group, a rule becomes what it was before, and nothing else changes.

use aws_sdk_ec2::types::SecurityGroupRule;
use rescind::{Outcome, Status, Verdict};
use rescind_tests::account::permission;
use rescind_tests::{World, cloudtrail, now};
use serde_json::{Value, json};

const RULE: &str = "SecurityGroupRuleModified";

/// A protected group with two rules of TCP, and the id of the first.
async fn group(world: &World) -> (String, String) {
    let group = world.account.group("db", None).await;
    let made = world
        .account
        .authorize(&group, &[permission("tcp", 5432, 5432, "10.0.0.0/16"), permission("tcp", 443, 443, "0.0.0.0/0")])
        .await;
    let rule = made[0].security_group_rule_id().expect("an id").to_owned();
    world.account.tag(&rule, "ticket", "OPS-1").await;
    world.account.tag(&group, "rescind:protected", "yes").await;
    (group, rule)
}

/// Somebody makes the rule another one; what is delivered for it.
async fn modified(world: &World, group: &str, rule: &str, range: &str) -> Value {
    let to = world.account.modify(group, rule, 5432, range, "now-another").await;
    cloudtrail::modified(&world.account.id, &world.alice(), group, rule, &to)
}

async fn undo(world: &World, outcome: &Outcome) -> Outcome {
    world.invoke(&json!({"undo": outcome.id})).await.expect("an outcome").outcomes.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_modified_rule_becomes_what_it_was_and_undo_makes_it_what_it_became() {
    let world = World::new("enforce").await;
    let (group, rule) = group(&world).await;
    world.record(&group).await;
    let before = world.account.rules(&group).await;
    let event = modified(&world, &group, &rule, "10.9.9.9/32").await;
    let changed = world.account.rules(&group).await;
    world.proxy.clear();
    world.proxy.set_latency(std::time::Duration::from_millis(300));
    let outcome = world.outcome_by(RULE, &event).await;
    assert_eq!((outcome.verdict, outcome.status), (Verdict::Risky, Status::Reverted), "{}", outcome.reason);
    assert_eq!(world.account.rules(&group).await, before, "ids, descriptions and tags included");
    assert_eq!(world.proxy.changes().len(), 1, "{:?}", world.proxy.operations());
    assert_eq!(world.proxy.round_trips_until("ModifySecurityGroupRules"), 3, "{:?}", world.proxy.operations());
    world.proxy.set_latency(std::time::Duration::ZERO);
    assert_eq!(undo(&world, &outcome).await.status, Status::Undone);
    assert_eq!(world.account.rules(&group).await, changed);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_earlier_state_is_the_last_before_the_event_in_whatever_order_states_arrive() {
    let world = World::new("enforce").await;
    let (group, rule) = group(&world).await;
    let before = world.account.rules(&group).await;
    let older: Vec<SecurityGroupRule> =
        before.iter().filter(|one| one.security_group_rule_id() != Some(&rule)).cloned().collect();
    let event = modified(&world, &group, &rule, "10.9.9.9/32").await;
    let bad = world.account.rules(&group).await;
    // The newest state has the change already; the right one comes late; the oldest comes last.
    for (rules, minutes) in [(&bad, 1), (&before, -5), (&older, -10)] {
        let captured = now() + chrono::TimeDelta::minutes(minutes);
        world.outcome(&cloudtrail::configuration_item(&world.account.id, &group, rules, captured, false)).await;
    }
    let outcome = world.outcome_by(RULE, &event).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    assert_eq!(world.account.rules(&group).await, before);
    // All states but the newest expire.
    let table = world.account.deployed.outputs["BaselineTable"].as_str().expect("a name");
    let items = world.account.dynamodb().scan().table_name(table).send().await.expect("the table can be read");
    let expiring = items.items().iter().filter(|item| item.contains_key("expires")).count();
    assert_eq!((items.items().len(), expiring), (3, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_too_large_for_an_event_is_fetched() {
    let world = World::new("enforce").await;
    let (group, rule) = group(&world).await;
    let before = world.account.rules(&group).await;
    let captured = now() - chrono::TimeDelta::minutes(1);
    let summary = cloudtrail::configuration_item(&world.account.id, &group, &before, captured, true);
    let input = world.route(&summary).await.remove(0).input;
    let error = world.invoke(&input).await.expect_err("AWS Config does not have it yet");
    assert!(error.message.contains("was not kept in the baseline"), "{}", error.message);
    let configuration = cloudtrail::configuration(&world.account.id, &group, &before);
    world.proxy.answer("GetResourceConfigHistory", &cloudtrail::history(&[(captured, configuration)]));
    world.invoke(&input).await.expect("the next delivery fetches it");
    world.proxy.answer("GetResourceConfigHistory", &cloudtrail::history(&[]));
    let event = modified(&world, &group, &rule, "10.9.9.9/32").await;
    let outcome = world.outcome_by(RULE, &event).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    assert_eq!(world.account.rules(&group).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_was_is_not_guessed() {
    let world = World::new("enforce").await;
    let (group, rule) = group(&world).await;
    let event = modified(&world, &group, &rule, "10.9.9.9/32").await;
    let changed = world.account.rules(&group).await;
    let routed = world.route(&event).await;
    let input = &routed.iter().find(|one| one.rule == RULE).expect("the rule matches").input;
    let error = world.invoke(input).await.expect_err("nobody knows");
    assert!(error.message.contains("what it was, is not known"), "{}", error.message);
    assert_eq!(world.account.rules(&group).await, changed);
    assert!(world.proxy.changes().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn unprotected_groups_and_rules_that_were_open_are_left_alone() {
    let world = World::new("enforce").await;
    // States are kept whatever this rule's mode is.
    world.account.tag_rule("OpenSecurityGroupIngressItem", "rescind:mode", "off").await;
    let unprotected = world.account.group("web", None).await;
    let made = world.account.authorize(&unprotected, &[permission("tcp", 5432, 5432, "10.0.0.0/16")]).await;
    let rule = made[0].security_group_rule_id().expect("an id");
    world.record(&unprotected).await;
    let event = modified(&world, &unprotected, rule, "10.9.9.9/32").await;
    let outcome = world.outcome_by(RULE, &event).await;
    assert_eq!((outcome.verdict, outcome.status), (Verdict::Harmless, Status::Ignored), "{}", outcome.reason);

    // Somebody mends an open rule of a protected group.
    let (group, _) = group(&world).await;
    let open = world.account.authorize(&group, &[permission("tcp", 22, 22, "0.0.0.0/0")]).await;
    let rule = open[0].security_group_rule_id().expect("an id");
    world.record(&group).await;
    world.account.modify(&group, rule, 22, "10.0.0.0/8", "mended").await;
    let mended = world.account.rules(&group).await;
    let to =
        json!({"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIpv4": "10.0.0.0/8", "Description": "mended"});
    let event = cloudtrail::modified(&world.account.id, &world.alice(), &group, rule, &to);
    let outcome = world.outcome_by(RULE, &event).await;
    assert_eq!((outcome.verdict, outcome.status), (Verdict::Harmless, Status::Ignored), "{}", outcome.reason);
    assert_eq!(world.account.rules(&group).await, mended);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_was_modified_to_be_open_becomes_what_it_was_where_that_is_known() {
    // The affair of open-security-group-ingress, in any group.
    let world = World::new("enforce").await;
    let group = world.account.group("web", None).await;
    let made = world
        .account
        .authorize(&group, &[permission("tcp", 22, 22, "10.0.0.0/16"), permission("tcp", 3389, 3389, "10.0.0.0/16")])
        .await;
    let rule = made[0].security_group_rule_id().expect("an id");
    world.record(&group).await;
    let before = world.account.rules(&group).await;
    let to = world.account.modify(&group, rule, 22, "0.0.0.0/0", "open").await;
    let event = cloudtrail::modified(&world.account.id, &world.alice(), &group, rule, &to);
    let outcome = world.outcome_by("OpenSecurityGroupIngress", &event).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    assert_eq!(world.account.rules(&group).await, before);
    assert_eq!(undo(&world, &outcome).await.status, Status::Undone);
    assert_eq!(world.account.rules(&group).await.len(), before.len());
    // What was as open before is revoked.
    world.record(&group).await;
    let to = world.account.modify(&group, rule, 3390, "0.0.0.0/0", "x").await;
    drop(to);
    let to = world.account.modify(&group, rule, 22, "0.0.0.0/0", "open").await;
    let event = cloudtrail::modified(&world.account.id, &world.alice(), &group, rule, &to);
    let outcome = world.outcome_by("OpenSecurityGroupIngress", &event).await;
    assert_eq!(
        (outcome.status, outcome.steps[0].call.call.as_str()),
        (Status::Reverted, "ec2:RevokeSecurityGroupIngress")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_modified_rule_goes_where_another_one_is_by_now_what_it_was() {
    let world = World::new("enforce").await;
    let (group, rule) = group(&world).await;
    world.record(&group).await;
    let event = modified(&world, &group, &rule, "10.9.9.9/32").await;
    let again = world.account.authorize(&group, &[permission("tcp", 5432, 5432, "10.0.0.0/16")]).await;
    let changed = world.account.rules(&group).await;
    let in_words = world.account.in_words(&group).await;
    let outcome = world.outcome_by(RULE, &event).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    let left: Vec<SecurityGroupRule> =
        changed.into_iter().filter(|one| one.security_group_rule_id() != Some(&rule)).collect();
    assert_eq!(world.account.rules(&group).await, left);
    assert!(left.contains(&again[0]));
    assert_eq!(undo(&world, &outcome).await.status, Status::Undone);
    assert_eq!(world.account.in_words(&group).await, in_words);
}
