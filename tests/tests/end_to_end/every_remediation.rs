//! What every remediation promises, tried on a change of its kind: dry-run changes nothing, enforce takes back exactly the change,
//! the same event again does nothing more, an undo puts back what was there, and a compliant change is left alone.

use rescind::Status;
use rescind_tests::{Kind, Scene, World, delivery, kinds};
use serde_json::json;

/// So many remediations at the same time.
const AT_ONCE: usize = 4;

async fn keeps_its_promises(kind: Kind) {
    let name = kind.remediation;
    let mut world = World::of(kind.function, "dry-run", []).await;
    let scene = Scene::new(&world, kind, "promised").await;
    if let Some(harmless) = scene.harmless(&world, 0).await {
        world.proxy.clear();
        let outcome =
            world.invoke(&harmless.input).await.unwrap_or_else(|error| panic!("{name}: {error:?}")).outcomes.remove(0);
        assert_eq!(outcome.status, Status::Ignored, "{name}, compliant: {}", outcome.reason);
        assert!(world.proxy.changes().is_empty(), "{name}, compliant: {:?}", world.proxy.operations());
    }

    let scene = Scene::new(&world, kind, "shown").await;
    let change = scene.change(&world, 1).await;
    let delivered = delivery::deliver(&world.account, &change.event).await;
    assert!(
        delivered.iter().any(|one| one.rule == kind.rule),
        "{name}: {} lets the event through: {delivered:?}",
        kind.rule
    );
    world.proxy.clear();
    let shown =
        world.invoke(&change.input).await.unwrap_or_else(|error| panic!("{name}: {error:?}")).outcomes.remove(0);
    assert_eq!(shown.status, Status::WouldRevert, "{name}: {}", shown.reason);
    assert!(!shown.steps.is_empty(), "{name} shows what it would do");
    assert!(world.proxy.changes().is_empty(), "{name}, dry-run: {:?}", world.proxy.operations());
    assert_eq!(scene.in_words(&world).await, change.risky, "{name}, dry-run");

    world.account.tag_rule(kind.rule, "rescind:mode", "enforce").await;
    kind.lift_limits(&world).await;
    // A new process remembers no tags.
    world.function.restart();
    let scene = Scene::new(&world, kind, "taken-back").await;
    let change = scene.change(&world, 2).await;
    let outcome =
        world.invoke(&change.input).await.unwrap_or_else(|error| panic!("{name}: {error:?}")).outcomes.remove(0);
    assert_eq!(outcome.status, Status::Reverted, "{name}: {}", outcome.reason);
    assert_eq!(scene.in_words(&world).await, scene.safe, "{name}, enforce");
    world.proxy.clear();
    let again =
        world.invoke(&change.input).await.unwrap_or_else(|error| panic!("{name}: {error:?}")).outcomes.remove(0);
    assert_eq!(again, outcome, "{name}: the same event again");
    assert!(world.proxy.changes().is_empty(), "{name}, again: {:?}", world.proxy.operations());
    let undone = world
        .invoke(&json!({"undo": outcome.id}))
        .await
        .unwrap_or_else(|error| panic!("{name}: {error:?}"))
        .outcomes
        .remove(0);
    assert_eq!(undone.status, Status::Undone, "{name}: {}", undone.reason);
    assert_eq!(scene.in_words(&world).await, change.risky, "{name}, undone");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_remediation_keeps_its_promises() {
    let _alone = crate::alone().await;
    crate::in_turns(AT_ONCE, kinds().into_iter().map(keeps_its_promises)).await;
}
