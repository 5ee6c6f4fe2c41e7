//! A trail that records and has a tag; somebody stops it, by its name or by its ARN.

use aws_sdk_cloudtrail::types::Tag;
use serde_json::{Value, json};

use super::Kind;
use crate::cloudtrail::{self, Who};
use crate::{REGION, World};

pub(super) const STOPPED: Kind = Kind {
    remediation: "trail-stopped",
    function: "detection",
    mutation: ("StartLogging", 1),
    rule: "TrailStopped",
    set: |world, name| Box::pin(set(world, name)),
    change: |world, trail, who| Box::pin(stopped(world, trail, who)),
    harmless: None,
    words: |world, trail| Box::pin(in_words(world, trail)),
    contained: None,
};

/// A trail that records, and its ARN.
pub async fn set(world: &World, name: &str) -> String {
    let bucket = format!("trails-{}-{name}", world.account.id);
    world.account.s3().create_bucket().bucket(&bucket).send().await.expect("a bucket");
    let tag = Tag::builder().key("ticket").value("OPS-1").build().expect("a tag");
    let made = world.account.cloudtrail().create_trail().name(name).s3_bucket_name(bucket).tags_list(tag).send().await;
    let arn = made.expect("a trail").trail_arn().expect("an ARN").to_owned();
    world.account.cloudtrail().start_logging().name(name).send().await.expect("it is started");
    arn
}

/// Somebody stops a trail.
pub async fn stopped(world: &World, arn: &str, who: &Who) -> Value {
    let name = arn.rsplit('/').next().unwrap_or_default();
    world.account.cloudtrail().stop_logging().name(name).send().await.expect("it is stopped");
    let event = cloudtrail::record(
        &world.account.id,
        who,
        "aws.cloudtrail",
        "StopLogging",
        &json!({"name": name}),
        &Value::Null,
    );
    assert_eq!(arn, format!("arn:aws:cloudtrail:{REGION}:{}:trail/{name}", world.account.id));
    event
}

async fn in_words(world: &World, arn: &str) -> Vec<String> {
    let client = world.account.cloudtrail();
    let status = client.get_trail_status().name(arn).send().await.expect("a status");
    let trail = client.get_trail().name(arn).send().await.expect("a trail").trail;
    let tags = client.list_tags().resource_id_list(arn).send().await.expect("tags").resource_tag_list;
    vec![format!("records: {:?}", status.is_logging()), format!("{trail:?}"), format!("{tags:?}")]
}
