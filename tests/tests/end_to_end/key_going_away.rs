//! `key-going-away`: who makes both calls after each other, and keys of which AWS Config knows more than the event.

use aws_sdk_kms::types::KeyState;
use rescind::{Outcome, Status};
use rescind_tests::World;
use rescind_tests::scenes::key_going_away::{disabled, record, scheduled_unknown, set, state};

fn calls(outcome: &Outcome) -> Vec<&str> {
    outcome.steps.iter().map(|step| step.call.call.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_disabled_and_then_scheduled_for_deletion_comes_back_whichever_is_heard_first() {
    let world = World::of("detection", "enforce", []).await;
    let alice = world.alice();
    for is_in_order in [true, false] {
        let key = set(&world, &format!("both-{is_in_order}")).await;
        let first = disabled(&world, &key, &alice).await;
        let second = scheduled_unknown(&world, &key, &alice).await;
        let (heard, later) = if is_in_order { (&first, &second) } else { (&second, &first) };
        let (heard, later) = (world.outcome(heard).await, world.outcome(later).await);
        assert_eq!(heard.status, Status::Reverted, "{}", heard.reason);
        if is_in_order {
            assert_eq!(calls(&heard), ["kms:CancelKeyDeletion", "kms:EnableKey"]);
            assert_eq!(later.status, Status::AlreadySafe, "{}", later.reason);
        } else {
            assert_eq!((calls(&heard), calls(&later)), (vec!["kms:CancelKeyDeletion"], vec!["kms:EnableKey"]));
            assert_eq!(later.status, Status::Reverted, "{}", later.reason);
        }
        assert_eq!(state(&world, &key).await, Some(KeyState::Enabled), "in order: {is_in_order}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_aws_config_knows_as_disabled_stays_disabled() {
    let world = World::of("detection", "enforce", []).await;
    let alice = world.alice();
    let key = set(&world, "retired").await;
    disabled(&world, &key, &alice).await;
    record(&world, &key).await;
    let outcome = world.outcome(&scheduled_unknown(&world, &key, &alice).await).await;
    assert_eq!(outcome.status, Status::Reverted, "{}", outcome.reason);
    assert_eq!(calls(&outcome), ["kms:CancelKeyDeletion"]);
    assert_eq!(state(&world, &key).await, Some(KeyState::Disabled));
    let outcome = world.outcome(&disabled(&world, &key, &alice).await).await;
    assert_eq!(outcome.status, Status::Reported, "{}", outcome.reason);
    assert_eq!(state(&world, &key).await, Some(KeyState::Disabled));
}
