//! How a resource stood at one moment, as AWS Config recorded it: what it can go back to.
//!
//! Follows the AWS Config developer guide, *Components of a configuration item*.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::signal::ConfigurationItemChange;

/// A resource's state at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// When AWS Config saw it so, or what was added to it was read.
    pub captured: DateTime<Utc>,
    /// `configuration`: what the service's own API tells of the resource.
    pub configuration: Value,
    /// `supplementaryConfiguration`: what AWS Config adds to it, and what Rescind adds because AWS Config leaves it out.
    pub supplementary: Map<String, Value>,
}

impl Snapshot {
    /// The state that an event of AWS Config tells. `None` when the event leaves it out for its size, or tells that the
    /// resource is gone.
    pub fn of_change(change: &ConfigurationItemChange, captured: DateTime<Utc>) -> Option<Self> {
        if change.is_deletion() {
            return None;
        }
        let configuration = change.configuration.as_ref().filter(|configuration| !configuration.is_null())?;
        Some(Self {
            captured,
            configuration: unwrapped(configuration.clone()),
            supplementary: supplementary(change.item.get("supplementaryConfiguration")),
        })
    }

    /// The moment as people read it.
    pub fn captured_text(&self) -> String {
        self.captured.to_rfc3339_opts(SecondsFormat::AutoSi, true)
    }
}

/// A configuration that may come as a text of JSON: `GetResourceConfigHistory` answers so.
pub fn unwrapped(configuration: Value) -> Value {
    match &configuration {
        Value::String(text) => serde_json::from_str(text).unwrap_or(configuration),
        _ => configuration,
    }
}

fn supplementary(told: Option<&Value>) -> Map<String, Value> {
    let parts = told.and_then(Value::as_object).cloned().unwrap_or_default();
    parts.into_iter().map(|(name, part)| (name, unwrapped(part))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::{Fact, decode};
    use serde_json::json;

    fn change(name: &str, item: &Value) -> (ConfigurationItemChange, DateTime<Utc>) {
        let mut whole = json!({"resourceType": "AWS::S3::Bucket", "resourceId": "b", "awsAccountId": "111122223333",
            "awsRegion": "eu-central-1", "configurationItemCaptureTime": "2026-11-24T09:30:00.123Z"});
        whole.as_object_mut().unwrap().extend(item.as_object().unwrap().clone());
        let event = json!({"id": "1", "source": "aws.config", "detail-type": "Config Configuration Item Change",
            "detail": {name: whole}});
        let signal = decode(event).unwrap().signal;
        let Fact::ConfigurationItemChange(change) = signal.fact else { panic!("an item") };
        (*change, signal.time)
    }

    #[test]
    fn parts_that_are_texts_of_json_are_read() {
        let (change, time) = change(
            "configurationItem",
            &json!({"configuration": "{\"name\":\"b\"}", "supplementaryConfiguration": {"BucketPolicy": "{\"a\":1}", "x": "y"}}),
        );
        let snapshot = Snapshot::of_change(&change, time).unwrap();
        assert_eq!(snapshot.configuration, json!({"name": "b"}));
        assert_eq!(Value::from(snapshot.supplementary.clone()), json!({"BucketPolicy": {"a": 1}, "x": "y"}));
        assert_eq!(snapshot.captured_text(), "2026-11-24T09:30:00.123Z");
    }

    #[test]
    fn summaries_and_deletions_tell_no_state() {
        let (summary, time) = change("configurationItemSummary", &json!({}));
        assert_eq!(Snapshot::of_change(&summary, time), None);
        let status = json!({"configuration": {"a": 1}, "configurationItemStatus": "ResourceDeleted"});
        let (deleted, time) = change("configurationItem", &status);
        assert_eq!(Snapshot::of_change(&deleted, time), None);
    }
}
