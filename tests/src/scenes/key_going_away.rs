//! Keys that are enabled and have a tag; somebody schedules the deletion of one that AWS Config has recorded, or of one that it has not, or
//! disables one.

use aws_sdk_kms::types::{KeyState, Tag};
use serde_json::{Value, json};

use super::Kind;
use crate::cloudtrail::{self, Who};
use crate::{REGION, World, now};

pub(super) const SCHEDULED: Kind = Kind {
    remediation: "key-going-away",
    function: "detection",
    mutation: ("CancelKeyDeletion", 1),
    rule: "KeyGoingAway",
    set: |world, name| Box::pin(set(world, name)),
    change: |world, key, who| Box::pin(scheduled(world, key, who)),
    harmless: None,
    words: |world, key| Box::pin(in_words(world, key)),
    contained: None,
};

pub(super) const DISABLED: Kind =
    Kind { mutation: ("EnableKey", 1), change: |world, key, who| Box::pin(disabled(world, key, who)), ..SCHEDULED };

/// Nobody knows that it was enabled, so it stays disabled.
pub(super) const SCHEDULED_UNKNOWN: Kind = Kind {
    change: |world, key, who| Box::pin(scheduled_unknown(world, key, who)),
    contained: Some(|world, key| Box::pin(in_words_disabled(world, key))),
    ..SCHEDULED
};

/// A key that is enabled.
pub async fn set(world: &World, name: &str) -> String {
    let tag = Tag::builder().tag_key("ticket").tag_value("OPS-1").build().expect("a tag");
    let made = world.account.kms().create_key().description(name).tags(tag).send().await.expect("a key");
    made.key_metadata().expect("a key").key_id().to_owned()
}

/// Lets AWS Config report a key as it stood a minute ago, so that the baseline has it.
pub async fn record(world: &World, key: &str) {
    let client = world.account.kms();
    let metadata = client.describe_key().key_id(key).send().await.expect("a key").key_metadata.expect("a key");
    let captured = now() - chrono::TimeDelta::minutes(1);
    let mut event = cloudtrail::configuration_item(&world.account.id, key, &[], captured, false);
    let item = &mut event["detail"]["configurationItem"];
    item["resourceType"] = json!("AWS::KMS::Key");
    item["configuration"] = json!({
        "keyId": key, "arn": metadata.arn(), "enabled": metadata.enabled(),
        "keyState": metadata.key_state().map(|state| state.as_str()),
    });
    let answers = world.deliver(&event).await;
    assert_eq!(answers.len(), 1, "one rule lets it through: {answers:?}");
    assert!(answers.iter().flatten().all(|answer| answer.outcomes.is_empty()), "it is kept: {answers:?}");
}

/// Somebody schedules the deletion of a key, which AWS Config has recorded.
async fn scheduled(world: &World, key: &str, who: &Who) -> Value {
    record(world, key).await;
    scheduled_unknown(world, key, who).await
}

/// Somebody schedules the deletion of a key.
pub async fn scheduled_unknown(world: &World, key: &str, who: &Who) -> Value {
    let request = world.account.kms().schedule_key_deletion().key_id(key).pending_window_in_days(7);
    request.send().await.expect("it is scheduled");
    let response = json!({"keyId": arn(world, key), "keyState": "PendingDeletion", "pendingWindowInDays": 7});
    let request = json!({"keyId": key, "pendingWindowInDays": 7});
    cloudtrail::record(&world.account.id, who, "aws.kms", "ScheduleKeyDeletion", &request, &response)
}

/// Somebody disables a key.
pub async fn disabled(world: &World, key: &str, who: &Who) -> Value {
    world.account.kms().disable_key().key_id(key).send().await.expect("it is disabled");
    let (request, response) = (json!({"keyId": key}), json!({"keyId": arn(world, key)}));
    cloudtrail::record(&world.account.id, who, "aws.kms", "DisableKey", &request, &response)
}

fn arn(world: &World, key: &str) -> String {
    format!("arn:aws:kms:{REGION}:{}:key/{key}", world.account.id)
}

/// The state of a key.
pub async fn state(world: &World, key: &str) -> Option<KeyState> {
    let answer = world.account.kms().describe_key().key_id(key).send().await.expect("a key");
    answer.key_metadata().and_then(|metadata| metadata.key_state().cloned())
}

async fn in_words(world: &World, key: &str) -> Vec<String> {
    let client = world.account.kms();
    let metadata = client.describe_key().key_id(key).send().await.expect("a key").key_metadata.expect("a key");
    let tags = client.list_resource_tags().key_id(key).send().await.expect("tags").tags;
    let waits = metadata.deletion_date().map(|date| (date.secs() - now().timestamp() + 43_200) / 86_400);
    let (state, description) = (metadata.key_state(), metadata.description());
    vec![format!("{state:?}"), format!("deleted after {waits:?} days"), format!("{description:?} {tags:?}")]
}

/// The same key, disabled.
async fn in_words_disabled(world: &World, key: &str) -> Vec<String> {
    let words = in_words(world, key).await.into_iter();
    words.map(|word| word.replace("Some(Enabled)", "Some(Disabled)")).collect()
}
