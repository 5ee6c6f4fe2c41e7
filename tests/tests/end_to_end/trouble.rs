//! AWS answers late, wrongly or not at all: at every call, before and after the call took effect.

use std::time::Duration;

use rescind::Status;
use rescind_tests::account::permission;
use rescind_tests::{Fault, KINDS, Kind, Scene, When, World, cloudtrail, is_thorough, is_tried_alone, kinds};
use serde_json::Value;

/// The calls of one remediation are shared out, to be disturbed side by side.
fn shares(kind: Kind) -> usize {
    if is_thorough(kind) || is_tried_alone() { 12 } else { 2 }
}

/// They wait more than they compute.
const AT_ONCE: usize = 28;

/// Disturbs calls in each way, delivers, and delivers once more when the function failed. The change is taken back in the
/// end, nothing else is touched, and there is one outcome.
async fn survives((number, kind): (usize, Kind), share: usize) -> usize {
    // A claim that could not be given up is free again before the next delivery.
    let lease = ("RESCIND_LEASE_MS".to_owned(), "200".to_owned());
    let mut world = World::of(kind.function, "enforce", [lease]).await;
    kind.lift_limits(&world).await;
    let scene = Scene::new(&world, kind, "disturbed").await;
    let clean = scene.change(&world, 0).await;
    world.function.restart();
    world.proxy.clear();
    world.invoke(&clean.input).await.expect("an answer");
    // Every call of a clean run. By name: those that are made side by side arrive in another order each time.
    let mut calls = world.proxy.operations();
    calls.sort_unstable();
    let mut tried = 0;
    let is_tried = |operation: &str| is_thorough(kind) || !ENGINES.contains(&operation);
    let tried_here = calls.iter().enumerate().filter(|(position, _)| position % shares(kind) == share);
    for (position, operation) in tried_here.filter(|(_, operation)| is_tried(operation)) {
        let skip = calls.iter().take(position).filter(|earlier| *earlier == operation).count();
        for &when in When::of(operation) {
            for fault in faults((number, kind), position, when) {
                for times in times(kind) {
                    tried += 1;
                    let change = scene.change(&world, tried).await;
                    if operation == "ListTagsForResource" {
                        // A new process remembers no tags.
                        world.function.restart();
                    }
                    world.proxy.disturb(operation, skip, times, fault, when);
                    let case = format!("{operation} (after {skip}), {fault:?} {when:?}, {times} times");
                    recovers(&world, &scene, &change.input, &format!("{}: {case}", kind.remediation)).await;
                }
            }
        }
    }
    tried
}

/// The ways in which a call is disturbed: all, for a plan of a single step, and for a remediation that is tried alone. Else they take
/// turns: the SDK and the engine answer them alike whichever remediation called. What took effect is always called again: no turn is
/// one that only makes it slow.
fn faults((number, kind): (usize, Kind), position: usize, when: When) -> Vec<Fault> {
    if kind.remediation == KINDS[0].remediation || is_tried_alone() {
        return Fault::ALL.to_vec();
    }
    let is_fit = |fault: &Fault| when == When::Before || *fault != Fault::Slow;
    let fit: Vec<Fault> = Fault::ALL.into_iter().filter(is_fit).collect();
    vec![fit[(number + position) % fit.len()]]
}

/// The engine's own calls: the same whatever the remediation.
const ENGINES: [&str; 4] = ["GetItem", "UpdateItem", "ListTagsForResource", "PutEvents"];

/// How many tries of a call are disturbed. Once: the SDK's own retry meets no more of it, whichever remediation called.
/// Always: every retry does.
fn times(kind: Kind) -> Vec<usize> {
    if kind.remediation == KINDS[0].remediation { vec![1, 100] } else { vec![100] }
}

async fn recovers(world: &World, scene: &Scene, input: &Value, case: &str) {
    let first = world.invoke(input).await;
    world.proxy.calm();
    let last = match first {
        Ok(answer) => answer,
        Err(error) => {
            assert!(error.error_type.starts_with("Rescind."), "{case}: {error:?}");
            tokio::time::sleep(Duration::from_millis(250)).await;
            let second = world.invoke(input).await;
            second.unwrap_or_else(|error| panic!("{case}: the next delivery fails, too: {error:?}"))
        }
    };
    assert_eq!(last.outcomes.len(), 1, "{case}");
    let outcome = &last.outcomes[0];
    assert!(matches!(outcome.status, Status::Reverted | Status::AlreadySafe), "{case}: {}", outcome.reason);
    assert_eq!(scene.in_words(world).await, scene.safe, "{case}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_of_every_remediation_may_fail() {
    let _alone = crate::alone().await;
    // What takes longest begins first.
    let mut all: Vec<(usize, Kind)> = kinds().into_iter().enumerate().collect();
    all.sort_by_key(|(_, kind)| !is_thorough(*kind));
    let all = all.into_iter().flat_map(|one| (0..shares(one.1)).map(move |share| survives(one, share)));
    let tried: usize = crate::in_turns(AT_ONCE, all).await.into_iter().sum();
    assert!(tried >= 8 * kinds().len(), "{tried} faults are too few");
    rescind_tests::say(&format!("{tried} faults tried"));
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
