//! `flow-logs-deleted`: who deletes flow logs again and again.

use rescind::Status;
use rescind_tests::World;
use rescind_tests::scenes::flow_logs::{delete, of, record, set};

/// Each one that is made anew has another id: the network and the destination are what the fight is about.
#[tokio::test(flavor = "multi_thread")]
async fn a_fight_over_flow_logs_ends_after_the_limit_and_another_network_is_still_served() {
    let world = World::of("detection", "enforce", []).await;
    let deleted = async |vpc: &str| {
        let log = of(&world, vpc).await.remove(0);
        record(&world, &log).await;
        let id = log.flow_log_id().expect("an id");
        world.outcome(&delete(&world, id, &world.alice()).await).await.status
    };
    let (vpc, other) = (set(&world, "fought").await, set(&world, "other").await);
    let mut statuses = Vec::new();
    while !of(&world, &vpc).await.is_empty() && statuses.len() < 6 {
        statuses.push(deleted(&vpc).await);
    }
    assert_eq!(statuses, [Status::Reverted, Status::Reverted, Status::Reverted, Status::StandingBack]);
    assert_eq!(deleted(&other).await, Status::Reverted);
}
