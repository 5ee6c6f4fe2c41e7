//! Once: duplicates, deliveries side by side and out of order, a process killed after any step. One remediation, one
//! notification, one final outcome.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::time::Duration;

use futures_util::future::Either;
use rescind::{Outcome, Status};
use rescind_tests::account::permission;
use rescind_tests::proxy::only_reads;
use rescind_tests::{Call, Fault, Kind, Scene, When, World, cloudtrail, delivery, is_thorough, is_tried_alone, kinds};
use serde_json::{Value, json};

/// How long a claim holds where a process is killed, so that the next delivery need not wait long.
const LEASE: Duration = Duration::from_millis(2500);
/// How long a claim holds where none is: longer than a delivery takes on a busy machine.
const LONG_LEASE: Duration = Duration::from_secs(30);

async fn world(lease: Duration) -> World {
    world_of("security-groups", lease).await
}

async fn world_of(function: &'static str, lease: Duration) -> World {
    World::of(function, "enforce", [("RESCIND_LEASE_MS".to_owned(), lease.as_millis().to_string())]).await
}

/// A group that one call opened, and what is delivered for it.
async fn opened(world: &World, name: &str) -> (String, Value) {
    let group = world.account.group(name, None).await;
    world.account.authorize(&group, &[permission("tcp", 443, 443, "0.0.0.0/0")]).await;
    let made = world.account.authorize(&group, &[permission("tcp", 22, 22, "0.0.0.0/0")]).await;
    let event = cloudtrail::authorized(&world.account.id, &world.alice(), &group, &made);
    (group, world.route(&event).await.remove(0).input)
}

async fn inbound(world: &World, group: &str) -> Vec<String> {
    let rules = world.account.rules(group).await;
    rules.iter().filter(|rule| rule.is_egress() == Some(false)).map(|rule| format!("{:?}", rule.from_port())).collect()
}

/// The outcomes that were published, by their ids.
async fn told(world: &World) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for message in delivery::wait_for(&world.account, "OutcomeNotification").await {
        let text = message.to_string();
        let id = text
            .split(|c: char| !c.is_ascii_hexdigit())
            .find(|word| word.len() == 32)
            .expect("the notification has the id");
        *counts.entry(id.to_owned()).or_default() += 1;
    }
    counts
}

fn mutations(world: &World, operation: &str) -> usize {
    // Some answer with 204, that there is nothing to say.
    let is_made = |call: &&Call| call.operation == operation && matches!(call.status, Some(200..=299));
    world.proxy.calls().iter().filter(is_made).count()
}

fn revokes(world: &World) -> usize {
    mutations(world, "RevokeSecurityGroupIngress")
}

/// Delivers until the function answers, as Lambda does, but sooner.
async fn deliver_until_answered(world: &World, input: &Value) -> Outcome {
    for _ in 0..100 {
        match world.invoke(input).await {
            Ok(mut answer) => return answer.outcomes.remove(0),
            Err(_) => tokio::time::sleep(Duration::from_millis(300)).await,
        }
    }
    panic!("no answer after a hundred deliveries:\n{}", world.function.log().join("\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_event_again_is_answered_and_nothing_more() {
    let world = world(LONG_LEASE).await;
    world.proxy.set_latency(Duration::from_millis(300));
    let (group, input) = opened(&world, "web").await;
    let first = world.invoke(&input).await.expect("an answer").outcomes.remove(0);
    assert_eq!(first.status, Status::Reverted, "{}", first.reason);
    assert!(
        world.proxy.round_trips_until("RevokeSecurityGroupIngress") <= 2,
        "the claim costs no round trip: {:?}",
        world.proxy.operations()
    );
    for _ in 0..3 {
        let again = world.invoke(&input).await.expect("an answer").outcomes.remove(0);
        assert_eq!(again, first, "the outcome of the first delivery");
    }
    let (connections, calls) = (world.proxy.connections(), world.proxy.calls().len());
    assert!(connections < calls, "connections are kept: {connections} for {calls} calls");
    assert_eq!(revokes(&world), 1);
    assert_eq!(inbound(&world, &group).await, ["Some(443)"]);
    assert_eq!(told(&world).await, BTreeMap::from([(first.id, 1)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_whose_inverse_had_to_be_read_is_journaled_first() {
    let world = world(LONG_LEASE).await;
    world.proxy.set_latency(Duration::from_millis(300));
    let group = world.account.group("web", None).await;
    let made = world.account.authorize(&group, &[permission("tcp", 22, 22, "0.0.0.0/0")]).await;
    // The record does not tell the rule's tags.
    world.account.tag(made[0].security_group_rule_id().expect("an id"), "ticket", "OPS-1").await;
    let event = cloudtrail::authorized(&world.account.id, &world.alice(), &group, &made);
    let outcome = world.outcome(&event).await;
    assert_eq!(outcome.status, Status::Reverted);
    assert_eq!(world.proxy.round_trips_until("RevokeSecurityGroupIngress"), 3, "{:?}", world.proxy.operations());
}

/// The calls of one remediation are shared out, to be tried side by side.
const SHARES: usize = 3;
/// So many shares at the same time: more would wait for the emulators until calls time out.
const AT_ONCE: usize = 20;

/// Kills the function at calls of a remediation, before and after the call takes effect, and delivers again.
async fn survives_kills(kind: Kind, share: usize) -> usize {
    let mut tried = 0;
    let mut world = world_of(kind.function, LEASE).await;
    kind.lift_limits(&world).await;
    // Every call of a clean run, in its order.
    let clean = Scene::new(&world, kind, "clean").await.change(&world, 0).await;
    world.function.restart();
    world.proxy.clear();
    world.invoke(&clean.input).await.expect("an answer");
    let calls = world.proxy.operations();
    drop(told(&world).await);
    // Killed before it reads, it has done what it had before: that is alike whichever remediation it is.
    let is_tried = |operation: &str| is_thorough(kind) || is_tried_alone() || !only_reads(operation);
    let tried_here = calls.iter().enumerate().filter(|(_, operation)| is_tried(operation));
    let tried_here = tried_here.enumerate().filter(|(number, _)| number % SHARES == share).map(|(_, call)| call);
    for (position, operation) in tried_here {
        let skip = calls.iter().take(position).filter(|earlier| *earlier == operation).count();
        for &when in When::of(operation) {
            let case = format!("{}: killed at {operation} ({skip}), {when:?} it took effect", kind.remediation);
            let scene = Scene::new(&world, kind, &format!("killed-{tried}")).await;
            let change = scene.change(&world, 0).await;
            world.function.restart();
            world.proxy.clear();
            // Its retries wait, too, should the emulator be so slow that there are any.
            world.proxy.disturb(operation, skip, 100, Fault::Timeout, when);
            let is_killed = {
                let killed = async {
                    while !world.proxy.is_held() {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                };
                let invoked = world.function.invoke(&change.input);
                match futures_util::future::select(pin!(invoked), pin!(killed)).await {
                    Either::Right(((), invoked)) => {
                        world.function.kill();
                        invoked.await.expect_err("it was killed");
                        true
                    }
                    // In the clean run, a call was made twice since the emulator was slow; or now it is.
                    Either::Left(_) => false,
                }
            };
            if !is_killed {
                rescind_tests::say(&format!("{case}: it was not called"));
                world.proxy.calm();
                let outcome = deliver_until_answered(&world, &change.input).await;
                assert_eq!(outcome.status, Status::Reverted, "{case}: {}", outcome.reason);
                drop(told(&world).await);
                continue;
            }
            world.proxy.calm();
            world.function.restart();
            let outcome = deliver_until_answered(&world, &change.input).await;
            assert_eq!(outcome.status, Status::Reverted, "{case}: {}", outcome.reason);
            assert_eq!(scene.in_words(&world).await, scene.safe, "{case}");
            let (mutation, times) = kind.mutation;
            let unheard = usize::from(operation == mutation && when == When::After);
            // Of a plan that makes it several times, to the same effect, what was made may be made again, and need not be.
            let range = if times > 1 { times / 2..=2 * times } else { times - unheard..=times };
            let made = mutations(&world, mutation);
            assert!(range.contains(&made), "{case}: {made} times {mutation}");
            let news = told(&world).await;
            // Between the publishing and the note of it nobody can tell: the same outcome may be told once more.
            let unsure = operation == "PutEvents" || (operation == "UpdateItem" && position + 1 == calls.len());
            let times = news.get(&outcome.id).copied().unwrap_or_default();
            assert!(times == 1 || (unsure && times == 2), "{case}: told {times} times");
            assert_eq!(news.len(), 1, "{case}: one outcome");
            let undone = world.invoke(&json!({"undo": outcome.id})).await;
            let undone = undone.unwrap_or_else(|error| panic!("{case}: {error:?}")).outcomes.remove(0);
            assert_eq!(undone.status, Status::Undone, "{case}: {}", undone.reason);
            assert_eq!(scene.in_words(&world).await, change.risky, "{case}: as it was found");
            drop(told(&world).await);
            tried += 1;
        }
    }
    tried
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_killed_at_any_step_is_finished_by_the_next_delivery() {
    let _alone = crate::alone().await;
    let all = kinds().into_iter().flat_map(|kind| (0..SHARES).map(move |share| survives_kills(kind, share)));
    let tried: usize = crate::in_turns(AT_ONCE, all).await.into_iter().sum();
    assert!(tried >= 8 * kinds().len(), "{tried} kills are too few");
    rescind_tests::say(&format!("{tried} kills tried"));
}

/// 200 deliveries of 20 changes, shuffled, up to eight at the same time.
#[tokio::test(flavor = "multi_thread")]
async fn duplicates_in_any_order_and_side_by_side_are_one_remediation_each() {
    let _alone = crate::alone().await;
    for seed in [1, 2, 3] {
        let mut world = world(LONG_LEASE).await;
        for _ in 1..8 {
            world.function.add_process();
        }
        let mut changes = Vec::new();
        for number in 0..20 {
            changes.push(opened(&world, &format!("web-{number}")).await);
        }
        let mut deliveries: Vec<Value> = changes.iter().flat_map(|(_, input)| vec![input.clone(); 10]).collect();
        shuffle(&mut deliveries, seed);
        rescind_tests::say(&format!("seed {seed}"));
        let all = deliveries.iter().map(|input| deliver_until_answered(&world, input));
        let outcomes = crate::in_turns(8, all).await;
        let ids: BTreeSet<&str> = outcomes.iter().map(|outcome| outcome.id.as_str()).collect();
        assert_eq!(ids.len(), 20, "one outcome for each change");
        let other = outcomes.iter().find(|outcome| outcome.status != Status::Reverted);
        assert!(other.is_none(), "seed {seed}: {other:?}");
        assert_eq!(revokes(&world), 20, "seed {seed}: one change each");
        for (group, _) in &changes {
            assert_eq!(inbound(&world, group).await, ["Some(443)"], "seed {seed}");
        }
        let told = told(&world).await;
        assert!(told.len() == 20 && told.values().all(|times| *times == 1), "seed {seed}: {told:?}");
    }
}

/// Shuffles by a linear congruential generator, so that a seed tells the order.
fn shuffle<T>(list: &mut [T], seed: u64) {
    let mut state = seed;
    for index in (1..list.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        list.swap(index, usize::try_from(state >> 33).expect("31 bits") % (index + 1));
    }
}
