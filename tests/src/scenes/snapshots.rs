//! Snapshots that are shared with a friend alone.

use aws_sdk_ec2::types::{OperationType, SnapshotAttributeName};
use serde_json::{Value, json};

use super::Kind;
use crate::World;
use crate::cloudtrail::{self, Who};

pub(super) const SHARED: Kind = Kind {
    remediation: "snapshot-shared",
    function: "sharing",
    mutation: ("ModifySnapshotAttribute", 1),
    rule: "SnapshotShared",
    set: |world, name| Box::pin(set(world, name)),
    change: |world, snapshot, who| Box::pin(share(world, snapshot, &["all", "444455556666"], who)),
    harmless: Some(|world, snapshot, who| {
        Box::pin(async move { share(world, snapshot, &[&world.account.id], who).await })
    }),
    words: |world, snapshot| Box::pin(in_words(world, snapshot)),
    contained: None,
};

/// Another account that it is shared with for long.
const BEFORE: &str = "777788889999";

async fn set(world: &World, name: &str) -> String {
    let ec2 = world.account.ec2();
    let volume = ec2.create_volume().size(1).availability_zone(format!("{}a", crate::REGION)).send().await;
    let volume = volume.expect("a volume").volume_id().expect("an id").to_owned();
    let snapshot = ec2.create_snapshot().volume_id(volume).description(name).send().await.expect("a snapshot");
    let snapshot = snapshot.snapshot_id().expect("an id").to_owned();
    modify(world, &snapshot, &[BEFORE]).await;
    world.account.tag(&snapshot, "team", name).await;
    snapshot
}

async fn modify(world: &World, snapshot: &str, with: &[&str]) {
    let (groups, accounts): (Vec<String>, Vec<String>) =
        with.iter().map(|who| (*who).to_owned()).partition(|who| who == "all");
    let request = world.account.ec2().modify_snapshot_attribute().snapshot_id(snapshot);
    let request = request.attribute(SnapshotAttributeName::CreateVolumePermission).operation_type(OperationType::Add);
    let request = request.set_user_ids(Some(accounts)).set_group_names(Some(groups));
    request.send().await.expect("it is shared");
}

/// Somebody shares a snapshot with these.
async fn share(world: &World, snapshot: &str, with: &[&str], who: &Who) -> Value {
    modify(world, snapshot, with).await;
    let items: Vec<Value> =
        with.iter().map(|one| if *one == "all" { json!({"group": one}) } else { json!({"userId": one}) }).collect();
    let request = json!({"snapshotId": snapshot, "attributeType": "CREATE_VOLUME_PERMISSION",
        "createVolumePermission": {"add": {"items": items}}});
    let response = json!({"requestId": cloudtrail::event_id(), "_return": true});
    cloudtrail::record(&world.account.id, who, "aws.ec2", "ModifySnapshotAttribute", &request, &response)
}

async fn in_words(world: &World, snapshot: &str) -> Vec<String> {
    let request = world.account.ec2().describe_snapshot_attribute().snapshot_id(snapshot);
    let answer = request.attribute(SnapshotAttributeName::CreateVolumePermission).send().await.expect("permissions");
    let mut words: Vec<String> = answer
        .create_volume_permissions()
        .iter()
        .map(|one| format!("{:?} {:?}", one.group().map(|group| group.as_str()), one.user_id()))
        .collect();
    words.sort();
    words
}
