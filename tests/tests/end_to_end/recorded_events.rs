//! Events that others recorded, each sent to the function in `enforce`: an outcome or a clear error, and no changing call
//! but for what is really risky.

use std::collections::BTreeMap;
use std::fs;

use rescind::Status;
use rescind_tests::World;
use rescind_tests::account::permission;
use serde_json::{Value, json};

/// A file of lines `{"key": …, "event": {…}}`.
const VARIABLE: &str = "RESCIND_RECORDED_EVENTS";

#[tokio::test(flavor = "multi_thread")]
async fn recorded_events_lead_to_an_outcome_or_a_clear_error() {
    let Some(path) = std::env::var_os(VARIABLE) else {
        rescind_tests::say(&format!("not run: {VARIABLE} names no file of recorded events"));
        return;
    };
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    // The events are of many accounts; without an account of its own the function takes each for its own.
    let world = World::with_environment("enforce", [("RESCIND_ACCOUNT".to_owned(), String::new())]).await;
    let rule = world.account.rule("OpenSecurityGroupIngress").arn.clone();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut attacks = 0;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let case: Value = serde_json::from_str(line).expect("a line is JSON");
        let key = case["key"].as_str().unwrap_or_default();
        world.proxy.clear();
        let is_attack = key.contains("ec2-security-group-open-port-22-ingress");
        if is_attack && case["event"]["detail"]["eventName"] == "AuthorizeSecurityGroupIngress" {
            take_back_the_attack(&world, &rule, &case["event"]).await;
            attacks += 1;
            continue;
        }
        let told = match world.invoke(&json!({"rule": rule, "event": case["event"]})).await {
            Ok(answer) => {
                answer.outcomes.iter().map(|outcome| outcome.status.as_str().to_owned()).collect::<Vec<_>>().join(" ")
            }
            Err(error) => {
                assert!(error.error_type.starts_with("Rescind.") && error.message.len() > 20, "{key}: {error:?}");
                error.error_type
            }
        };
        assert!(world.proxy.changes().is_empty(), "{key}: {told}: {:?}", world.proxy.operations());
        *counts.entry(told).or_default() += 1;
    }
    rescind_tests::say(&format!("{attacks} attacks taken back; the others: {counts:?}"));
    assert_eq!(attacks, 1, "the file holds the record of an attack that opens port 22");
}

/// The record of an attack, made to speak of a group that exists here.
async fn take_back_the_attack(world: &World, rule: &str, event: &Value) {
    let group = world.account.group("attacked", None).await;
    world.account.authorize(&group, &[permission("tcp", 443, 443, "0.0.0.0/0")]).await;
    let before = world.account.rules(&group).await;
    let made = world.account.authorize(&group, &[permission("tcp", 22, 22, "0.0.0.0/0")]).await;
    let detail = &event["detail"];
    let theirs = &detail["responseElements"]["securityGroupRuleSet"]["items"][0];
    let text = event
        .to_string()
        .replace(
            theirs["securityGroupRuleId"].as_str().expect("the record tells the rule"),
            made[0].security_group_rule_id().expect("an id"),
        )
        .replace(theirs["groupId"].as_str().expect("the record tells the group"), &group)
        .replace(detail["awsRegion"].as_str().expect("the record tells the Region"), rescind_tests::REGION);
    let event: Value = serde_json::from_str(&text).expect("it is JSON still");
    let answer = world.invoke(&json!({"rule": rule, "event": event})).await.expect("an answer");
    assert_eq!(answer.outcomes[0].status, Status::Reverted, "{}", answer.outcomes[0].reason);
    assert_eq!(world.account.rules(&group).await, before);
}
