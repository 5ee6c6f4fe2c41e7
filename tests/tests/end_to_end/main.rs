//! End to end: people change things on the emulator, the template's rules deliver, the real function answers, with the
//! role that the template gives it, and the state before and after is compared.

mod admin_policy_attached;
mod bad_input;
mod block_address;
mod credentials_compromised;
mod detached_instances;
mod every_remediation;
mod flow_logs_deleted;
mod imdsv1_allowed;
mod isolate_instance;
mod key_going_away;
mod left_behind;
mod mfa_deactivated;
mod model;
mod once;
mod open_security_group_ingress;
mod patterns;
mod permissions;
mod public_bucket_policy;
mod recorded_events;
mod requests;
mod role_trusts_stranger;
mod security_group_rule_modified;
mod security_group_rule_removed;
mod serial_console_enabled;
mod trouble;
mod user_data_changed;

use std::time::Duration;

use rescind::Outcome;
use rescind_tests::World;
use serde_json::Value;
use tokio::sync::{Mutex, MutexGuard, Semaphore};

/// What tries every remediation in every way keeps all processors busy by itself: one such test at a time, or calls take so long
/// that they are given up.
async fn alone() -> MutexGuard<'static, ()> {
    static BUSY: Mutex<()> = Mutex::const_new(());
    BUSY.lock().await
}

/// Does things side by side, so many at the same time, in the order in which they are given.
async fn in_turns<T>(at_once: usize, things: impl IntoIterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let gate = &Semaphore::new(at_once);
    let gated = things.into_iter().map(|thing| async move {
        let _turn = gate.acquire().await.expect("the gate stays open");
        thing.await
    });
    futures_util::future::join_all(gated).await
}

/// Delivers events of one rule side by side, each until it is answered, as Lambda does, but sooner.
async fn deliver_all(world: &World, events: Vec<Value>) -> Vec<Outcome> {
    let routed = world.route(events.first().expect("an event")).await.remove(0).input;
    let delivered = events.into_iter().map(|event| {
        let mut input = routed.clone();
        input["event"] = event;
        async move {
            for _ in 0..100 {
                if let Ok(mut answer) = world.invoke(&input).await {
                    return answer.outcomes.remove(0);
                }
                tokio::time::sleep(Duration::from_millis(700)).await;
            }
            panic!("no answer:\n{}", world.function.log().join("\n"))
        }
    });
    futures_util::future::join_all(delivered).await
}
