//! AWS answers late, wrongly or not at all: at every call, in every way, before and after the call took effect.

use std::time::Duration;

use rescind::Status;
use rescind_tests::account::permission;
use rescind_tests::{Fault, When, World, cloudtrail};

/// Disturbs every try of one call in each way, delivers, and delivers once more when the function failed. The rule that is
/// risky is gone in the end, nothing else is, and it went in one call.
async fn survives(operation: &str, skip: usize) {
    // A claim that could not be given up is free again before the next delivery.
    let lease = ("RESCIND_LEASE_MS".to_owned(), "200".to_owned());
    let mut world = World::with_environment("enforce", [lease]).await;
    let mut tried = 0;
    for fault in Fault::ALL {
        for when in [When::Before, When::After] {
            // Once: the SDK's own retry meets no more of it. Always: every retry does.
            for times in [1, 100] {
                let group = world.account.group(&format!("web-{tried}"), None).await;
                world
                    .account
                    .authorize(
                        &group,
                        &[permission("tcp", 443, 443, "0.0.0.0/0"), permission("tcp", 22, 22, "10.0.0.0/8")],
                    )
                    .await;
                let before = world.account.rules(&group).await;
                let made = world.account.authorize(&group, &[permission("tcp", 22, 22, "0.0.0.0/0")]).await;
                let event = cloudtrail::authorized(&world.account.id, &world.alice(), &group, &made);
                // A new process remembers no tags, so that they are read each time.
                world.function.restart();
                let input = world.route(&event).await.remove(0).input;
                let case = format!("{operation} (after {skip}), {fault:?} {when:?}, {times} times");
                world.proxy.disturb(operation, skip, times, fault, when);
                let first = world.invoke(&input).await;
                world.proxy.calm();
                let last = match first {
                    Ok(answer) => answer,
                    Err(error) => {
                        assert!(error.error_type.starts_with("Rescind."), "{case}: {error:?}");
                        tokio::time::sleep(Duration::from_millis(250)).await;
                        world
                            .invoke(&input)
                            .await
                            .unwrap_or_else(|error| panic!("{case}: the next delivery fails, too: {error:?}"))
                    }
                };
                let status = last.outcomes[0].status;
                assert!(
                    matches!(status, Status::Reverted | Status::AlreadySafe),
                    "{case}: {}",
                    last.outcomes[0].reason
                );
                assert_eq!(world.account.rules(&group).await, before, "{case}");
                tried += 1;
            }
        }
    }
    println!("{operation}: {tried} faults tried");
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_the_settings() {
    survives("ListTagsForResource", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_the_group() {
    survives("DescribeSecurityGroups", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_the_rules() {
    survives("DescribeSecurityGroupRules", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn revoking() {
    survives("RevokeSecurityGroupIngress", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_back() {
    survives("DescribeSecurityGroupRules", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn publishing_the_outcome() {
    survives("PutEvents", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn claiming() {
    survives("UpdateItem", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_what_was_taken_back_of_late() {
    survives("GetItem", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn remembering_the_revert() {
    survives("UpdateItem", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keeping_the_outcome() {
    survives("UpdateItem", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn noting_that_it_was_told() {
    survives("UpdateItem", 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_else_is_faster() {
    let world = World::new("enforce").await;
    let group = world.account.group("web", None).await;
    let made = world
        .account
        .authorize(&group, &[permission("tcp", 22, 22, "0.0.0.0/0"), permission("tcp", 3389, 3389, "0.0.0.0/0")])
        .await;
    let event = cloudtrail::authorized(&world.account.id, &world.alice(), &group, &made);
    let input = world.route(&event).await.remove(0).input;
    // While the function looks at the group, its owner takes one of the two rules back.
    world.proxy.set_latency(Duration::from_millis(700));
    let owner = async {
        tokio::time::sleep(Duration::from_millis(1000)).await;
        let rule = made[0].security_group_rule_id().expect("an id");
        world
            .account
            .ec2()
            .revoke_security_group_ingress()
            .group_id(&group)
            .security_group_rule_ids(rule)
            .send()
            .await
            .expect("it is revoked");
    };
    let (answer, ()) = tokio::join!(world.invoke(&input), owner);
    let outcome = answer.expect("an answer").outcomes.remove(0);
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    assert!(world.account.rules(&group).await.iter().all(|rule| rule.is_egress() == Some(true)));
}
