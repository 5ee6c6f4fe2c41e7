//! The harness itself: what the end-to-end tests stand on does what it says.

use std::time::{Duration, Instant};

use rescind_tests::account::permission;
use rescind_tests::cloudtrail::{self, Who};
use rescind_tests::{Account, Fault, Proxy, When, World, delivery, emulator, http};
use serde_json::json;

/// The answer to one call through a proxy: the status, or that there was none.
async fn ask(proxy: &Proxy, body: &'static str) -> Option<u16> {
    let answer = http::post(proxy.port, "/", "application/x-www-form-urlencoded", body);
    match tokio::time::timeout(Duration::from_secs(3), answer).await {
        Ok(Ok(answer)) => Some(answer.status().as_u16()),
        _ => None,
    }
}

/// A server that answers every call with 200, after a moment.
async fn server() -> Proxy {
    // A proxy in front of nothing, whose only answers are the faults that it is told.
    let server = Proxy::start(0).await;
    server.disturb("Describe", 0, usize::MAX, Fault::Malformed, When::Before);
    server.disturb("Revoke", 0, usize::MAX, Fault::Malformed, When::Before);
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_disturbs_the_calls_it_is_told_to_and_no_others() {
    for when in [When::Before, When::After] {
        for fault in Fault::ALL {
            let server = server().await;
            let proxy = Proxy::start(server.port).await;
            proxy.disturb("Revoke", 1, 1, fault, when);
            let started = Instant::now();
            assert_eq!(ask(&proxy, "Action=Describe").await, Some(200));
            assert_eq!(ask(&proxy, "Action=Revoke").await, Some(200), "the first is let through");
            let disturbed = ask(&proxy, "Action=Revoke").await;
            let expected = match fault {
                Fault::Throttle | Fault::Http503 => Some(503),
                Fault::Http500 => Some(500),
                Fault::Reset | Fault::Timeout => None,
                Fault::Slow | Fault::Malformed => Some(200),
            };
            assert_eq!(disturbed, expected, "{fault:?} {when:?}");
            if fault == Fault::Slow {
                assert!(started.elapsed() > Duration::from_secs(1));
            }
            assert_eq!(ask(&proxy, "Action=Revoke").await, Some(200), "and what comes after");
            assert_eq!(proxy.operations(), ["Describe", "Revoke", "Revoke", "Revoke"]);
            // Whether the disturbed call had its effect.
            let arrived = server.operations().iter().filter(|operation| *operation == "Revoke").count();
            let lost = when == When::Before && fault != Fault::Slow;
            assert_eq!(arrived, if lost { 2 } else { 3 }, "{fault:?} {when:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_counts_round_trips_that_wait_for_each_other() {
    let server = server().await;
    let proxy = Proxy::start(server.port).await;
    proxy.set_latency(Duration::from_millis(100));
    tokio::join!(ask(&proxy, "Action=Describe"), ask(&proxy, "Action=Describe"), ask(&proxy, "Action=Describe"));
    ask(&proxy, "Action=Describe&Version=1").await;
    ask(&proxy, "Version=1&Action=Revoke").await;
    assert_eq!(proxy.round_trips_until("Revoke"), 3);
    let changes = proxy.changes();
    assert_eq!(changes.len(), 1);
    assert_eq!((changes[0].operation.as_str(), changes[0].status), ("Revoke", Some(200)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_emulator_enforces_the_roles_of_the_template() {
    let account: Account = emulator::account();
    let role = &account.deployed.functions["security-groups"].role_arn;
    let session = account.config(&account.assume(role).await);
    let ec2 = aws_sdk_ec2::Client::new(&session);
    ec2.describe_security_groups().send().await.expect("the role may read groups");
    let refused = ec2.create_vpc().cidr_block("10.0.0.0/16").send().await.expect_err("the role may not make a VPC");
    assert!(format!("{refused:?}").contains("AccessDenied"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_do_not_see_each_other() {
    let (one, other) = (emulator::account(), emulator::account());
    assert_ne!((&one.id, one.port), (&other.id, other.port));
    let group = one.group("web", None).await;
    let made = one.authorize(&group, &[permission("tcp", 22, 22, "192.0.2.0/24")]).await;
    assert_eq!(made.len(), 1);
    assert!(other.rules(&group).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_delivered_by_the_rule_that_matches_it_as_eventbridge_writes_it() {
    let account = emulator::account();
    let group = account.group("web", None).await;
    let made = account.authorize(&group, &[permission("tcp", 22, 22, "0.0.0.0/0")]).await;
    let event = cloudtrail::authorized(&account.id, &Who::Root, &group, &made);
    let delivered = delivery::deliver(&account, &event).await;
    assert_eq!(delivered.len(), 1, "{delivered:?}");
    assert_eq!(delivered[0].rule, "OpenSecurityGroupIngress");
    assert_eq!(delivered[0].input["rule"], json!(account.rule("OpenSecurityGroupIngress").arn));
    assert_eq!(delivered[0].input["event"], event);
    assert!(delivered[0].input["ingested"].as_str().is_some_and(|time| time.ends_with('Z')), "{delivered:?}");
    assert!(delivery::received(&account, |_| true).await.is_empty(), "a message is taken once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_answers_fails_dies_and_starts_again() {
    let mut world = World::new("dry-run").await;
    let error = world.function.invoke_raw("[]").await.expect_err("it is no event");
    assert_eq!(error.error_type, "Rescind.MalformedEvent");

    let group = world.account.group("web", None).await;
    let made = world.account.authorize(&group, &[permission("tcp", 22, 22, "0.0.0.0/0")]).await;
    let event = cloudtrail::authorized(&world.account.id, &world.alice(), &group, &made);
    let delivered = world.route(&event).await;
    let first = world.invoke(&delivered[0].input).await.expect("an answer");
    assert_eq!(first.outcomes.len(), 1);
    assert!(!world.function.log().is_empty(), "what it writes is kept");

    // Killed while it waits for AWS: an error like Lambda's, and no endless wait.
    world.proxy.clear();
    world.proxy.set_latency(Duration::from_secs(2));
    let (error, ()) = tokio::join!(world.function.invoke(&delivered[0].input), async {
        while world.proxy.calls().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        world.function.kill();
    });
    assert_eq!(error.expect_err("it is dead").error_type, "Runtime.ExitError");

    world.proxy.set_latency(Duration::ZERO);
    world.function.restart();
    let again = world.invoke(&delivered[0].input).await.expect("an answer of the new process");
    assert_eq!(again.outcomes[0].id, first.outcomes[0].id);
}
