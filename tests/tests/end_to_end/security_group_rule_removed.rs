//! `security-group-rule-removed`: what a protected group has lost is put back as it was, and nothing else.

use aws_sdk_ec2::types::{IpPermission, SecurityGroupRule, UserIdGroupPair};
use rescind::{Status, Verdict};
use rescind_tests::account::permission;
use rescind_tests::{World, cloudtrail, now};
use serde_json::{Value, json};

/// A group with two described inbound rules, one of them tagged, and its outbound rule; protected or not.
async fn group(world: &World, is_protected: bool) -> (String, Vec<SecurityGroupRule>) {
    let group = world.account.group("db", None).await;
    let made = world
        .account
        .authorize(&group, &[permission("tcp", 5432, 5432, "10.0.0.0/16"), permission("tcp", 443, 443, "0.0.0.0/0")])
        .await;
    world.account.tag(made[0].security_group_rule_id().expect("an id"), "ticket", "OPS-1").await;
    if is_protected {
        world.account.tag(&group, "rescind:protected", "yes").await;
    }
    (group.clone(), world.account.rules(&group).await)
}

fn inbound(rules: &[SecurityGroupRule], port: i32) -> Vec<SecurityGroupRule> {
    let is_it = |rule: &&SecurityGroupRule| rule.is_egress() == Some(false) && rule.from_port() == Some(port);
    rules.iter().filter(is_it).cloned().collect()
}

fn outbound(rules: &[SecurityGroupRule]) -> Vec<SecurityGroupRule> {
    rules.iter().filter(|rule| rule.is_egress() == Some(true)).cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_rule_comes_back_with_its_description_and_tags() {
    let world = World::new("enforce").await;
    let (group, rules) = group(&world, true).await;
    world.record(&group).await;
    let before = world.account.in_words(&group).await;
    let lost = inbound(&rules, 5432);
    world.account.revoke(&group, &lost).await;
    world.proxy.clear();
    world.proxy.set_latency(std::time::Duration::from_millis(300));
    let outcome = world.outcome(&cloudtrail::revoked(&world.account.id, &world.alice(), &group, &lost)).await;
    assert_eq!((outcome.verdict, outcome.status), (Verdict::Risky, Status::Reverted), "{}", outcome.reason);
    assert_eq!(world.account.in_words(&group).await, before);
    assert_eq!(world.proxy.changes().len(), 1, "{:?}", world.proxy.operations());
    assert_eq!(world.proxy.round_trips_until("AuthorizeSecurityGroupIngress"), 3, "{:?}", world.proxy.operations());
    let kept: Vec<SecurityGroupRule> = rules.into_iter().filter(|rule| !lost.contains(rule)).collect();
    let standing = world.account.rules(&group).await;
    assert!(kept.iter().all(|rule| standing.contains(rule)), "the others were not touched");

    world.proxy.set_latency(std::time::Duration::ZERO);
    let undone = world.invoke(&json!({"undo": outcome.id})).await.expect("an outcome").outcomes.remove(0);
    assert_eq!(undone.status, Status::Undone, "{}", undone.reason);
    let mut expected = kept;
    expected.sort_by(|a, b| a.security_group_rule_id().cmp(&b.security_group_rule_id()));
    assert_eq!(world.account.rules(&group).await, expected, "as it was found");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outbound_rule_comes_back_too() {
    let world = World::new("enforce").await;
    let (group, rules) = group(&world, true).await;
    let before = world.account.in_words(&group).await;
    let lost = outbound(&rules);
    assert_eq!(lost.len(), 1);
    world.account.revoke(&group, &lost).await;
    let outcome = world.outcome(&cloudtrail::revoked(&world.account.id, &world.alice(), &group, &lost)).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    assert_eq!(world.account.in_words(&group).await, before);
    let undone = world.invoke(&json!({"undo": outcome.id})).await.expect("an outcome").outcomes.remove(0);
    assert_eq!(undone.status, Status::Undone, "{}", undone.reason);
    assert!(outbound(&world.account.rules(&group).await).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn dry_run_shows_the_call_and_makes_none() {
    let world = World::new("dry-run").await;
    let (group, rules) = group(&world, true).await;
    let lost = inbound(&rules, 5432);
    world.account.revoke(&group, &lost).await;
    let after = world.account.rules(&group).await;
    let outcome = world.outcome(&cloudtrail::revoked(&world.account.id, &world.alice(), &group, &lost)).await;
    assert_eq!(outcome.status, Status::WouldRevert);
    assert_eq!(outcome.steps[0].call.call, "ec2:AuthorizeSecurityGroupIngress");
    assert_eq!(world.account.rules(&group).await, after);
    assert!(world.proxy.changes().is_empty(), "{:?}", world.proxy.operations());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_protected_or_was_open_stays_removed() {
    let world = World::new("enforce").await;
    let (unprotected, rules) = group(&world, false).await;
    let lost = inbound(&rules, 5432);
    world.account.revoke(&unprotected, &lost).await;
    let outcome = world.outcome(&cloudtrail::revoked(&world.account.id, &world.alice(), &unprotected, &lost)).await;
    assert_eq!((outcome.verdict, outcome.status), (Verdict::Harmless, Status::Ignored), "{}", outcome.reason);

    // Somebody mends a protected group: the open rule must not come back, the one beside it does.
    let (group, _) = group(&world, true).await;
    let open = world.account.authorize(&group, &[permission("tcp", 22, 22, "0.0.0.0/0")]).await;
    world.account.revoke(&group, &open).await;
    let after = world.account.in_words(&group).await;
    let outcome = world.outcome(&cloudtrail::revoked(&world.account.id, &world.alice(), &group, &open)).await;
    assert_eq!((outcome.verdict, outcome.status), (Verdict::Harmless, Status::Ignored), "{}", outcome.reason);
    let lost: Vec<SecurityGroupRule> =
        open.into_iter().chain(inbound(&world.account.rules(&group).await, 5432)).collect();
    world.account.revoke(&group, &lost[1..]).await;
    let outcome = world.outcome(&cloudtrail::revoked(&world.account.id, &world.alice(), &group, &lost)).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    assert_eq!(outcome.evidence.len(), 1);
    // The tag is only known to the baseline, which has nothing of this group.
    let after: Vec<String> =
        after.into_iter().map(|line| line.replace("Some(\"ticket\")=Some(\"OPS-1\")", "")).collect();
    assert_eq!(world.account.in_words(&group).await, after);
    assert_eq!(world.proxy.changes().len(), 1, "{:?}", world.proxy.operations());
}

/// A record that tells no rules, only what was asked for.
fn without_response(mut event: Value, request: Value) -> Value {
    event["detail"]["responseElements"] = json!({"requestId": "r", "_return": true});
    event["detail"]["requestParameters"] = request;
    event
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_alone_is_believed_only_as_far_as_the_earlier_state_confirms_it() {
    let world = World::new("enforce").await;
    let (group, rules) = group(&world, true).await;
    let before = world.account.in_words(&group).await;
    let lost = inbound(&rules, 5432);
    let event = cloudtrail::revoked(&world.account.id, &world.alice(), &group, &lost);
    let by_rule = |port: i32| {
        let ranges = json!({"items": [{"cidrIp": "10.0.0.0/16"}]});
        let permission = json!({"ipProtocol": "tcp", "fromPort": port, "toPort": port, "ipRanges": ranges});
        without_response(event.clone(), json!({"groupId": group, "ipPermissions": {"items": [permission]}}))
    };
    let new_event = |mut event: Value| {
        event["detail"]["eventID"] = json!(cloudtrail::event_id());
        event
    };
    world.account.revoke(&group, &lost).await;
    let after = world.account.in_words(&group).await;

    // Nothing is known of the time before.
    let input = world.route(&by_rule(5432)).await.remove(0).input;
    let error = world.invoke(&input).await.expect_err("it can't be told");
    assert!(error.message.contains("neither the event, the baseline nor AWS Config tells"), "{}", error.message);
    assert_eq!(world.account.in_words(&group).await, after);

    // AWS Config's history knows, when the baseline does not; states after the event do not count.
    let configuration = cloudtrail::configuration(&world.account.id, &group, &rules);
    let emptied = cloudtrail::configuration(&world.account.id, &group, &[]);
    let minute = chrono::TimeDelta::minutes(1);
    let history = [(now() + minute, emptied), (now() - minute, configuration.clone())];
    world.proxy.answer("GetResourceConfigHistory", &cloudtrail::history(&history));
    // A rule that was never there: in a default VPC, the request is accepted all the same.
    let never = world.outcome(&new_event(by_rule(6379))).await;
    assert_eq!((never.verdict, never.status), (Verdict::Harmless, Status::Ignored), "{}", never.reason);
    assert_eq!(world.account.in_words(&group).await, after);
    let outcome = world.outcome(&new_event(by_rule(5432))).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    assert!(outcome.reason.contains("as AWS Config saw it"), "{}", outcome.reason);
    let untagged: Vec<String> =
        before.iter().map(|line| line.replace("Some(\"ticket\")=Some(\"OPS-1\")", "")).collect();
    assert_eq!(world.account.in_words(&group).await, untagged, "AWS Config does not know tags of rules");

    // By ids alone: only the baseline knows these.
    let lost = inbound(&world.account.rules(&group).await, 5432);
    world.account.tag(lost[0].security_group_rule_id().expect("an id"), "ticket", "OPS-1").await;
    world.record(&group).await;
    world.account.revoke(&group, &lost).await;
    let ids = json!({"groupId": group, "securityGroupRuleIds": {"items": [lost[0].security_group_rule_id()]}});
    let outcome = world.outcome(&new_event(without_response(event.clone(), ids))).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    assert_eq!(world.account.in_words(&group).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_was_modified_and_then_removed_comes_back_as_it_was_before_both() {
    let world = World::new("enforce").await;
    let (group, rules) = group(&world, true).await;
    world.record(&group).await;
    let before = world.account.in_words(&group).await;
    let id = inbound(&rules, 5432)[0].security_group_rule_id().expect("an id").to_owned();
    world.account.modify(&group, &id, 5432, "10.9.9.9/32", "now-another").await;
    let lost = inbound(&world.account.rules(&group).await, 5432);
    world.account.revoke(&group, &lost).await;
    let outcome = world.outcome(&cloudtrail::revoked(&world.account.id, &world.alice(), &group, &lost)).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    assert_eq!(world.account.in_words(&group).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_names_a_group_which_is_gone_keeps_no_other_away() {
    let world = World::new("enforce").await;
    let (group, rules) = group(&world, true).await;
    let mut others = Vec::new();
    for name in ["gone", "there"] {
        others.push(world.account.group(name, None).await);
    }
    let permissions: Vec<IpPermission> = others
        .iter()
        .map(|other| {
            let pair = UserIdGroupPair::builder().group_id(other).build();
            let permission = IpPermission::builder().ip_protocol("tcp").from_port(6379).to_port(6379);
            permission.user_id_group_pairs(pair).build()
        })
        .collect();
    let mut lost = world.account.authorize(&group, &permissions).await;
    world.record(&group).await;
    let before = world.account.in_words(&group).await;
    lost.extend(inbound(&rules, 5432));
    world.account.revoke(&group, &lost).await;
    let request = world.account.ec2().delete_security_group().group_id(&others[0]);
    request.send().await.expect("the group is deleted");
    let event = cloudtrail::revoked(&world.account.id, &world.alice(), &group, &lost);
    let input = world.route(&event).await.remove(0).input;
    let error = world.invoke(&input).await.expect_err("one rule can't be put back");
    assert!(error.message.contains(&format!("{} can't be named", others[0])), "{}", error.message);
    let expected: Vec<String> = before.into_iter().filter(|line| !line.contains(&others[0])).collect();
    assert_eq!(world.account.in_words(&group).await, expected);
}
