//! How a resource stood before a change: the baseline, a DynamoDB table of what AWS Config recorded, and behind it AWS
//! Config's own history.
//!
//! The table has one item for each resource and each moment at which AWS Config recorded it, so that an item that arrives
//! late never stands in for a newer one. The newest of a resource stays; older ones expire.
//!
//! Beside them it has values that must not stand in an outcome, a log or the journal, since they may hold secrets: each under
//! its digest, which stands there in its place.

use std::sync::Arc;

use aws_sdk_config::types::{ConfigurationItem, ConfigurationItemStatus, ResourceType};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_types::{Blob, DateTime as SdkTime};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use rescind::Resource;
use rescind::snapshot::{self, Snapshot};
use rescind::text;
use serde_json::Value;

use crate::aws::{CallError, CallFailure, Scope};
use crate::client;
use crate::remediation::Operation;
use crate::{clock, journal};

/// What a remediation declares that asks for an earlier state.
pub const EARLIER_STATE_OPERATIONS: [Operation; 2] = [Operation::reads(QUERY), Operation::reads(HISTORY)];
/// What keeping states calls, beside what completes them.
pub const KEEPING_OPERATIONS: [Operation; 4] =
    [Operation::changes(PUT), Operation::changes(UPDATE), Operation::reads(QUERY), Operation::reads(HISTORY)];

/// What a remediation declares that keeps values by their digests, and asks for them.
pub const KEPT_VALUE_OPERATIONS: [Operation; 2] = [Operation::changes(PUT), Operation::reads(QUERY)];

/// How long a state is kept after a newer one has come: longer than an event may be late.
const KEPT_AFTER_NEWER: TimeDelta = TimeDelta::days(30);
/// The largest state that is kept, in bytes: an item may hold 400 KB.
const LARGEST: usize = 380_000;
/// Pages of AWS Config's history that are asked for: each covers at most seven days.
const PAGES: usize = 8;
/// States of a resource that are looked at for those that have become old.
const LATEST: i32 = 10;

const PUT: &str = "dynamodb:PutItem";
const QUERY: &str = "dynamodb:Query";
const UPDATE: &str = "dynamodb:UpdateItem";
const HISTORY: &str = "config:GetResourceConfigHistory";

/// The table, in the function's own account and region.
#[derive(Debug)]
pub(crate) struct Baseline {
    table: Arc<str>,
    home: Scope,
}

impl Baseline {
    pub(crate) fn new(table: Arc<str>, home: Scope) -> Self {
        Self { table, home }
    }

    fn client(&self) -> Arc<Client> {
        client!(self.home, aws_sdk_dynamodb)
    }

    /// Keeps a state. Keeping it twice is keeping it once.
    pub(crate) async fn keep(&self, resource: &Resource, state: &Snapshot) -> Result<(), CallError> {
        let text = serde_json::to_string(state).unwrap_or_default();
        // Without its content, it still says that AWS Config's history has to be asked.
        let content = (text.len() <= LARGEST).then_some(("snapshot", AttributeValue::S(text)));
        self.put(resource, state.captured, content).await
    }

    /// Keeps that a resource was gone at a time: how it stood before is nothing to another one that is made under its name.
    pub(crate) async fn keep_end(&self, resource: &Resource, time: DateTime<Utc>) -> Result<(), CallError> {
        // Whatever it stands before expires earlier.
        let expires = (clock::now() + KEPT_AFTER_NEWER * 2).timestamp().to_string();
        self.put(resource, time, Some(("expires", AttributeValue::N(expires)))).await
    }

    async fn put(
        &self,
        resource: &Resource,
        captured: DateTime<Utc>,
        content: Option<(&str, AttributeValue)>,
    ) -> Result<(), CallError> {
        let put = self
            .client()
            .put_item()
            .table_name(&*self.table)
            .item("resource", AttributeValue::S(key(resource)))
            .item("captured", AttributeValue::S(moment(captured)))
            .condition_expression("attribute_not_exists(captured)");
        let put = match content {
            Some((name, value)) => put.item(name, value),
            None => put,
        };
        match put.send().await.map_err(|error| CallError::from_sdk(PUT, &error)) {
            Err(error) if error.code.as_deref() != Some("ConditionalCheckFailedException") => Err(error),
            _ => self.let_older_expire(resource).await,
        }
    }

    async fn let_older_expire(&self, resource: &Resource) -> Result<(), CallError> {
        let latest = self
            .client()
            .query()
            .table_name(&*self.table)
            .key_condition_expression("#resource = :resource")
            .expression_attribute_names("#resource", "resource")
            .expression_attribute_values(":resource", AttributeValue::S(key(resource)))
            .projection_expression("captured, expires")
            .consistent_read(true)
            .scan_index_forward(false)
            .limit(LATEST);
        let latest = latest.send().await.map_err(|error| CallError::from_sdk(QUERY, &error))?;
        let expires = (clock::now() + KEPT_AFTER_NEWER).timestamp().to_string();
        for older in latest.items().iter().skip(1).filter(|item| !item.contains_key("expires")) {
            let Some(captured) = older.get("captured") else { continue };
            let update = self
                .client()
                .update_item()
                .table_name(&*self.table)
                .key("resource", AttributeValue::S(key(resource)))
                .key("captured", captured.clone())
                .update_expression("SET expires = :expires")
                .condition_expression("attribute_exists(captured)")
                .expression_attribute_values(":expires", AttributeValue::N(expires.clone()));
            update.send().await.map_err(|error| CallError::from_sdk(UPDATE, &error))?;
        }
        Ok(())
    }

    /// The last state captured before `time`, if it is kept.
    async fn last_before(&self, resource: &Resource, time: DateTime<Utc>) -> Result<Option<Snapshot>, CallError> {
        let query = self
            .client()
            .query()
            .table_name(&*self.table)
            .key_condition_expression("#resource = :resource AND captured < :time")
            .expression_attribute_names("#resource", "resource")
            .expression_attribute_values(":resource", AttributeValue::S(key(resource)))
            .expression_attribute_values(":time", AttributeValue::S(moment(time)))
            .consistent_read(true)
            .scan_index_forward(false)
            .limit(1);
        let answer = query.send().await.map_err(|error| CallError::from_sdk(QUERY, &error))?;
        let text = answer.items().first().and_then(|item| item.get("snapshot")).and_then(|text| text.as_s().ok());
        Ok(text.and_then(|text| serde_json::from_str(text).ok()))
    }
}

impl Baseline {
    async fn keep_value(&self, value: &[u8]) -> Result<(), CallError> {
        let expires = (clock::now() + journal::KEPT).timestamp().to_string();
        let put = self
            .client()
            .put_item()
            .table_name(&*self.table)
            .item("resource", AttributeValue::S(value_key(&text::sha256(value))))
            .item("captured", AttributeValue::S(VALUE.to_owned()))
            .item("value", AttributeValue::B(Blob::new(value)))
            .item("expires", AttributeValue::N(expires));
        put.send().await.map(drop).map_err(|error| CallError::from_sdk(PUT, &error))
    }

    async fn kept_value(&self, digest: &str) -> Result<Option<Vec<u8>>, CallError> {
        let query = self
            .client()
            .query()
            .table_name(&*self.table)
            .key_condition_expression("#resource = :resource AND captured = :value")
            .expression_attribute_names("#resource", "resource")
            .expression_attribute_values(":resource", AttributeValue::S(value_key(digest)))
            .expression_attribute_values(":value", AttributeValue::S(VALUE.to_owned()))
            .consistent_read(true);
        let answer = query.send().await.map_err(|error| CallError::from_sdk(QUERY, &error))?;
        let value = answer.items().first().and_then(|item| item.get("value")).and_then(|value| value.as_b().ok());
        // Whoever can write into the table can't have anything else put back.
        Ok(value.filter(|value| text::sha256(value.as_ref()) == digest).map(|value| value.as_ref().to_vec()))
    }
}

impl Scope {
    /// Keeps a value that must not stand in an outcome, for as long as an outcome is kept. [`Scope::kept_value`] finds it by
    /// its digest, [`rescind::text::sha256`]. Without a baseline it is not kept.
    ///
    /// # Errors
    /// When DynamoDB could not be asked.
    pub async fn keep_value(&self, value: &[u8]) -> Result<(), CallError> {
        match &self.baseline {
            Some(baseline) => baseline.keep_value(value).await,
            None => Ok(()),
        }
    }

    /// The value that is kept under a digest; `None` when there is none.
    ///
    /// # Errors
    /// When DynamoDB could not be asked.
    pub async fn kept_value(&self, digest: &str) -> Result<Option<Vec<u8>>, CallError> {
        match &self.baseline {
            Some(baseline) => baseline.kept_value(digest).await,
            None => Ok(None),
        }
    }

    /// How a resource stood before `time`: what the baseline has, else what AWS Config's history has, always the last
    /// state captured *before* that time. `None` when neither has any, or AWS Config records no such resources.
    ///
    /// # Errors
    /// When DynamoDB or AWS Config could not be asked.
    pub async fn earlier_state(&self, resource: &Resource, time: DateTime<Utc>) -> Result<Option<Snapshot>, CallError> {
        if let Some(baseline) = &self.baseline
            && let Some(state) = baseline.last_before(resource, time).await?
        {
            return Ok(Some(state));
        }
        self.recorded_state(resource, time, |captured| captured < time).await
    }

    /// The newest state that AWS Config's history has up to `time`, and whose moment is `wanted`.
    pub(crate) async fn recorded_state(
        &self,
        resource: &Resource,
        time: DateTime<Utc>,
        wanted: impl Fn(DateTime<Utc>) -> bool,
    ) -> Result<Option<Snapshot>, CallError> {
        let client = config_client(self);
        let mut pages = client
            .get_resource_config_history()
            .resource_type(ResourceType::from(resource.kind.as_str()))
            .resource_id(&resource.id)
            .later_time(SdkTime::from_millis(time.timestamp_millis()))
            .into_paginator()
            .send();
        for _ in 0..PAGES {
            let page = match pages.next().await {
                None => break,
                Some(page) => page.map_err(|error| CallError::from_sdk(HISTORY, &error)),
            };
            let page = match page {
                Err(error) if has_no_history(&error) => return Ok(None),
                page => page?,
            };
            let found = page.configuration_items().iter().find_map(|item| {
                let captured = captured(item)?;
                wanted(captured).then_some((item, captured))
            });
            if let Some((item, captured)) = found {
                return Ok(recorded(item, captured));
            }
        }
        Ok(None)
    }
}

/// AWS Config's client in a scope.
pub(crate) fn config_client(scope: &Scope) -> Arc<aws_sdk_config::Client> {
    client!(scope, aws_sdk_config)
}

/// Whether an error says that AWS Config does not know the resource, or records nothing at all.
fn has_no_history(error: &CallError) -> bool {
    const NONE: [&str; 2] = ["ResourceNotDiscoveredException", "NoAvailableConfigurationRecorderException"];
    error.failure == CallFailure::Gone || error.code.as_deref().is_some_and(|code| NONE.contains(&code))
}

fn captured(item: &ConfigurationItem) -> Option<DateTime<Utc>> {
    let millis = item.configuration_item_capture_time()?.to_millis().ok()?;
    DateTime::from_timestamp_millis(millis)
}

/// `None` for an item that tells that the resource was gone.
fn recorded(item: &ConfigurationItem, captured: DateTime<Utc>) -> Option<Snapshot> {
    let is_there = matches!(
        item.configuration_item_status(),
        None | Some(ConfigurationItemStatus::Ok | ConfigurationItemStatus::ResourceDiscovered)
    );
    let configuration = snapshot::unwrapped(Value::from(item.configuration().filter(|_| is_there)?));
    let parts = item.supplementary_configuration().into_iter().flatten();
    let supplementary = parts.map(|(name, part)| (name.clone(), snapshot::unwrapped(Value::from(part.as_str()))));
    Some(Snapshot { captured, configuration, supplementary: supplementary.collect() })
}

/// A resource's key in the table.
fn key(resource: &Resource) -> String {
    let Resource { kind, id, account, region } = resource;
    format!("{account}/{region}/{kind}/{id}")
}

/// What stands for the moment at a value, which has none.
const VALUE: &str = "value";

/// A value's key in the table. No resource's begins so: those begin with an account.
fn value_key(digest: &str) -> String {
    format!("{VALUE}/{digest}")
}

/// A moment as it is sorted in the table: always as long as this, so that the order of texts is that of times.
fn moment(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}
