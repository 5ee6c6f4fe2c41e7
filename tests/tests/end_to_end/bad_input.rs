//! Bad input, to the real function: a clear error or `misconfigured`, and no call that changes anything.

use rescind::Status;
use rescind_tests::account::permission;
use rescind_tests::{World, cloudtrail};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_event_is_a_clear_error_and_reaches_nobody() {
    let world = World::new("enforce").await;
    let nested = "[".repeat(500_000) + &"]".repeat(500_000);
    let in_detail = format!(r#"{{"detail-type":"AWS API Call via CloudTrail","source":"aws.ec2","detail":{nested}}}"#);
    for (name, input, expected) in [
        ("empty object", "{}".to_owned(), "detail-type"),
        ("a number", "5".to_owned(), "`input`"),
        ("nesting", nested, "recursion limit"),
        ("nesting in the detail", in_detail, "recursion limit"),
        (
            "unknown source",
            json!({"source": "aws.health", "detail-type": "AWS Health Event", "detail": {}}).to_string(),
            "aws.health",
        ),
        ("another service's call", other_call().to_string(), "listens to cloudtrail"),
    ] {
        let error = world.function.invoke_raw(input).await.expect_err(name);
        assert!(error.error_type.starts_with("Rescind.") && error.message.contains(expected), "{name}: {error:?}");
    }
    assert!(world.proxy.calls().is_empty(), "{:?}", world.proxy.operations());
    let is_count = |line: &String| line.starts_with("{\"_aws\"") && line.contains("\"Malformed\":1");
    let log = world.function.log_until(|lines| lines.iter().filter(|line| is_count(line)).count() >= 5).await;
    let counted = log.iter().filter(|line| is_count(line)).count();
    assert_eq!(counted, 5, "each is counted but the well-formed call of another service");
}

fn other_call() -> serde_json::Value {
    let who = cloudtrail::Who::Root;
    cloudtrail::record("111122223333", &who, "aws.s3", "PutBucketPolicy", &json!({}), &json!(null))
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_json_do_not_end_the_function() {
    let world = World::new("enforce").await;
    for input in ["", "this is no JSON", "{\"rule\":", "\u{0}"] {
        world.function.invoke_raw(input).await.expect_err(input);
    }
    assert!(world.proxy.calls().is_empty());
    // It still works.
    world.function.invoke_raw("{}").await.expect_err("no event");
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_that_do_not_parse_change_nothing_and_name_themselves() {
    let mut world = World::new("enforce").await;
    let group = world.account.group("web", None).await;
    let made = world.account.authorize(&group, &[permission("tcp", 22, 22, "0.0.0.0/0")]).await;
    let before = world.account.rules(&group).await;
    let event = cloudtrail::authorized(&world.account.id, &world.alice(), &group, &made);
    let rule = world.account.rule("OpenSecurityGroupIngress").clone();
    for (key, value) in [
        ("rescind:modus", "enforce"),
        ("rescind:mode", "enforced"),
        ("rescind:ports", "ssh"),
        ("rescind:ports", "22/tcp"),
        ("rescind:allowed-cidrs", "10.0.0.0/33"),
        ("rescind:allowed-cidrs.x", "10.0.0.0/8"),
        ("rescind:widest-source", "/8 /32 /64"),
        ("rescind:exempt-principals", "everyone"),
        ("rescind:trusted-accounts", "1234"),
        ("rescind:remediation", "open-everything"),
        ("rescind:notify", "arn:aws:sns:us-east-1:111122223333:topic"),
    ] {
        world.account.tag_rule("OpenSecurityGroupIngress", key, value).await;
        world.function.restart();
        world.proxy.clear();
        let outcome = world.outcome(&event).await;
        assert_eq!(outcome.status, Status::Misconfigured, "{key}={value}: {}", outcome.reason);
        assert!(outcome.reason.contains(&format!("`{key}`")), "{key}={value}: {}", outcome.reason);
        assert!(world.proxy.changes().is_empty(), "{key}={value}");
        match rule.tags.get(key) {
            Some(value) => {
                world
                    .account
                    .tag_rule("OpenSecurityGroupIngress", key, if key == "rescind:mode" { "enforce" } else { value })
                    .await
            }
            None => world.account.untag_rule("OpenSecurityGroupIngress", key).await,
        }
    }
    assert_eq!(world.account.rules(&group).await, before);
    // With its own tags again it acts.
    world.function.restart();
    assert_eq!(world.outcome(&event).await.status, Status::Reverted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_tag_takes_effect_without_a_deployment() {
    let mut world = World::new("off").await;
    let group = world.account.group("web", None).await;
    let made = world.account.authorize(&group, &[permission("tcp", 22, 22, "0.0.0.0/0")]).await;
    for (mode, status) in [
        ("off", Status::Ignored),
        ("dry-run", Status::WouldRevert),
        ("approve", Status::AwaitingApproval),
        ("enforce", Status::Reverted),
    ] {
        world.account.tag_rule("OpenSecurityGroupIngress", "rescind:mode", mode).await;
        // A new process remembers no tags; a running one forgets them after a minute.
        world.function.restart();
        let event = cloudtrail::authorized(&world.account.id, &world.alice(), &group, &made);
        assert_eq!(world.outcome(&event).await.status, status, "{mode}");
    }
}
