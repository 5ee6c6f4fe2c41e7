//! `serial-console-enabled`: nobody gets onto an instance past its security groups. The emulator knows nothing of serial consoles,
//! so the proxy stands in for these three calls.

use rescind::{Status, Verdict};
use rescind_tests::{World, cloudtrail};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn access_is_disabled_again_and_undo_enables_it() {
    let world = World::of("instances", "enforce", []).await;
    world.proxy.set_serial_console(true);
    let event = cloudtrail::serial_console_enabled(&world.account.id, &world.alice());
    let outcome = world.outcome(&event).await;
    assert_eq!((outcome.verdict, outcome.status), (Verdict::Risky, Status::Reverted), "{}", outcome.reason);
    assert!(!world.proxy.serial_console());
    let changes: Vec<String> = world.proxy.changes().into_iter().map(|call| call.operation).collect();
    assert_eq!(changes, ["DisableSerialConsoleAccess"]);

    let undone = world.invoke(&json!({"undo": outcome.id})).await.expect("an outcome").outcomes.remove(0);
    assert_eq!(undone.status, Status::Undone, "{}", undone.reason);
    assert!(world.proxy.serial_console());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_disabled_already_needs_nothing() {
    let world = World::of("instances", "enforce", []).await;
    let event = cloudtrail::serial_console_enabled(&world.account.id, &world.alice());
    let outcome = world.outcome(&event).await;
    assert_eq!((outcome.verdict, outcome.status), (Verdict::Risky, Status::AlreadySafe), "{}", outcome.reason);
    assert!(world.proxy.changes().is_empty(), "{:?}", world.proxy.operations());
}
