//! Events that others recorded, each sent to the function in `enforce`: an outcome or a clear error, and no changing call
//! but for what is really risky.

use std::collections::BTreeMap;
use std::fs;

use rescind::Status;
use rescind::signal::Fact;
use rescind_tests::account::permission;
use rescind_tests::{FUNCTIONS, World};
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

/// The findings of the same file, sent to every function as on a laptop: somebody answers, or the table only tells of such findings, or of
/// a remediation that is not there yet.
#[tokio::test]
async fn recorded_findings_are_answered() {
    let Some(path) = std::env::var_os(VARIABLE) else {
        rescind_tests::say(&format!("not run: {VARIABLE} names no file of recorded events"));
        return;
    };
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let names: Vec<&str> = FUNCTIONS.iter().flat_map(|function| function.names()).collect();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for line in text.lines().filter(|line| line.contains("aws.guardduty")) {
        let case: Value = serde_json::from_str(line).expect("a line is JSON");
        if case["event"]["detail-type"] != "GuardDuty Finding" {
            continue;
        }
        // Some accounts have a digit too many.
        let account = case["event"]["account"].as_str().unwrap_or_default();
        let event = case["event"].to_string().replace(account, &account.chars().take(12).collect::<String>());
        let event: Value = serde_json::from_str(&event).expect("it is JSON still");
        let signal = match rescind::signal::decode(event.clone()) {
            Ok(signal) => signal,
            // Made up by hand, with fields left out.
            Err(error) => {
                assert!(error.to_string().contains("`detail."), "{}: {error}", case["key"]);
                *counts.entry(error.to_string()).or_default() += 1;
                continue;
            }
        };
        let Fact::Finding(finding) = &signal.signal.fact else { panic!("{}: no finding", case["key"]) };
        let advice = rescind::findings::advice(finding);
        let mut outcomes = Vec::new();
        for function in FUNCTIONS {
            let answer = rescind_lambda::replay(*function, BTreeMap::new(), Vec::new(), event.clone()).await;
            outcomes.extend(answer.into_iter().flat_map(|answer| answer.outcomes));
        }
        let is_for_us = advice.responses.iter().any(|one| one.remediation().is_some_and(|name| names.contains(&name)));
        assert_eq!(is_for_us, !outcomes.is_empty(), "{} ({}): {outcomes:?}", case["key"], finding.kind);
        let told = outcomes.iter().map(|one| format!("{} {}", one.remediation, one.status.as_str()));
        let told =
            if outcomes.is_empty() { "told by GuardDuty".to_owned() } else { told.collect::<Vec<_>>().join(", ") };
        *counts.entry(told).or_default() += 1;
    }
    rescind_tests::say(&format!("recorded findings: {counts:?}"));
    assert!(counts.values().sum::<usize>() > 10, "the file holds findings of GuardDuty");
}
