//! A flow log: what records tell of it, how it stands, and the calls that make it and delete it.

mod definition;

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{
    DestinationFileFormat, DestinationOptionsRequest, LogDestinationType, ResourceType, Tag, TagSpecification,
    TrafficType, UnsuccessfulItem,
};
use chrono::{DateTime, Utc};
use rescind::Snapshot;
use rescind::text::digest;
use rescind_lambda::Recorded;
use rescind_lambda::prelude::*;

pub use definition::{Definition, Tags};
use definition::{LEFT_OUT, kind};

/// As AWS Config names the type.
pub const KIND: &str = "AWS::EC2::FlowLog";

/// `DescribeFlowLogs`.
pub const DESCRIBE: &str = "ec2:DescribeFlowLogs";
/// `CreateFlowLogs`.
pub const CREATE: &str = "ec2:CreateFlowLogs";
/// `DeleteFlowLogs`.
pub const DELETE: &str = "ec2:DeleteFlowLogs";

/// All that is called here.
pub const OPERATIONS: &[Operation] = &[
    Operation::reads(DESCRIBE),
    EARLIER_STATE_OPERATIONS[0],
    EARLIER_STATE_OPERATIONS[1],
    Operation::changes(CREATE),
    Operation::changes(DELETE),
    // What EC2 asks for beside `CreateFlowLogs`: for tags, for CloudWatch Logs, for S3 and Firehose (Amazon CloudWatch Logs user guide, *Logs
    // sent to Firehose*).
    Operation::changes("ec2:CreateTags"),
    Operation::changes("firehose:TagDeliveryStream"),
    Operation::changes("iam:PassRole"),
    Operation::changes("logs:CreateLogDelivery"),
    Operation::changes("logs:DeleteLogDelivery"),
];

/// What a call deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deleted {
    /// When.
    pub at: DateTime<Utc>,
    /// The same for the same flow log and event: with it, EC2 makes one flow log and not two.
    pub token: String,
}

impl Deleted {
    /// What a record tells: one object or a list, each with its id as a text or below `content`.
    pub fn heard(signal: &Signal, call: &ApiCall) -> Vec<Heard<Self>> {
        let told = field(call.request(), "flowLogId").or_else(|| field(call.request(), "flowLogIds"));
        let ids: BTreeSet<String> = texts(told).into_iter().filter(|text| text.starts_with("fl-")).collect();
        if ids.is_empty() {
            let resource = signal.resource(KIND, "unknown");
            return vec![Heard::unreadable(resource, "the record does not tell which flow logs were deleted")];
        }
        let refused = texts(field(call.response(), "unsuccessful"));
        let heard = |id: String| {
            if refused.contains(&id) {
                let reason = format!("the flow log {id} was not deleted, as the answer says");
                return Heard::harmless(signal.resource(KIND, id), reason);
            }
            let target = Self { at: signal.time, token: digest([signal.id.as_str(), &id]) };
            Heard::about(signal.resource(KIND, id), target)
        };
        ids.into_iter().map(heard).collect()
    }
}

/// What is known of a flow log that was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// What it was, with its tags as far as these are known; else why that is not known.
    pub earlier: Result<(Definition, Option<Tags>), String>,
    /// It is listed still, or again: ids don't come back.
    pub is_there: bool,
    /// When one like it was made.
    pub since: Option<String>,
}

impl Known {
    /// Looks for what it was, and for one like it.
    ///
    /// # Errors
    /// When EC2, or who knows what it was, could not be asked.
    pub async fn read(scope: &Scope, log: &Resource, deleted: &Deleted) -> Result<Standing<Self>, CallError> {
        let (all, earlier) = tokio::join!(Box::pin(read_all(scope)), Box::pin(scope.earlier_state(log, deleted.at)));
        let all = all?;
        let earlier = match earlier? {
            Some(state) => Definition::of_state(&state).ok_or("what AWS Config saw of it is not whole"),
            None => Err("neither the baseline nor AWS Config knows what it was"),
        };
        let earlier = earlier.map_err(str::to_owned);
        let is_same = |one: &&Listed| {
            one.definition.as_ref().zip(earlier.as_ref().ok()).is_some_and(|(live, (was, _))| live == was)
        };
        let same = all.iter().find(is_same);
        let is_there = all.iter().any(|one| one.id == log.id);
        let mut standing = Standing::new(effect);
        standing.facts.extend(same.and_then(|one| one.definition.as_ref()).map(Definition::piece));
        Ok(standing.with(Self { is_there, since: same.map(|one| one.since.clone()), earlier }))
    }
}

/// A flow log that is there: its id, since when, its definition and what it is tagged with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub id: String,
    /// When it was made, as EC2 tells it.
    pub since: String,
    /// What it is made of; `None` where that can't be read.
    pub definition: Option<Definition>,
}

/// The flow logs of the account and Region.
///
/// # Errors
/// When EC2 could not be asked.
pub async fn read_all(scope: &Scope) -> Result<Vec<Listed>, CallError> {
    let mut pages = client(scope).describe_flow_logs().into_paginator().send();
    let mut all = Vec::new();
    while let Some(page) = pages.next().await {
        let page = CallError::or(DESCRIBE, page)?;
        all.extend(page.flow_logs().iter().map(|log| Listed {
            id: log.flow_log_id().unwrap_or_default().to_owned(),
            since: log.creation_time().map(ToString::to_string).unwrap_or_default(),
            definition: Definition::of_ec2(log),
        }));
    }
    Ok(all)
}

/// What such a call makes of the pieces: a flow log is there or not.
pub fn effect(call: &Call) -> Vec<(String, Option<String>)> {
    let piece = Definition::read(&call.parameters).map(|log| log.piece());
    let is_made = call.call == CREATE;
    piece.into_iter().map(|(name, value)| (name, Some(value).filter(|_| is_made))).collect()
}

/// Makes one of the calls of this module.
///
/// # Errors
/// When EC2 does not accept it.
pub async fn make(scope: &Scope, call: &Call) -> Result<(), CallError> {
    let definition = Definition::read(&call.parameters).ok_or_else(|| not_ours(call))?;
    match call.call.as_str() {
        CREATE => create(scope, &definition, &call.parameters).await,
        DELETE => {
            let all = read_all(scope).await?;
            let same = all.into_iter().filter(|log| log.definition.as_ref() == Some(&definition));
            let ids: Vec<String> = same.map(|log| log.id).collect();
            if ids.is_empty() {
                return Ok(());
            }
            let answer = client(scope).delete_flow_logs().set_flow_log_ids(Some(ids)).send().await;
            refused(DELETE, CallError::or(DELETE, answer)?.unsuccessful())
        }
        _ => Err(not_ours(call)),
    }
}

async fn create(scope: &Scope, definition: &Definition, named: &Value) -> Result<(), CallError> {
    let part = |name: &str| definition.part(name).map(str::to_owned);
    let options = part("FileFormat").map(|format| {
        let is = |name: &str| part(name).is_some_and(|value| value == "true");
        let options = DestinationOptionsRequest::builder().file_format(DestinationFileFormat::from(format.as_str()));
        let options = options.hive_compatible_partitions(is("HiveCompatiblePartitions"));
        options.per_hour_partition(is("PerHourPartition")).build()
    });
    let specifications = items(field(named, "tagSpecifications"));
    let tags = specifications.into_iter().flat_map(|specification| items(field(specification, "tags")));
    let tag = |tag: &Value| {
        Tag::builder()
            .set_key(text(tag, "key").map(str::to_owned))
            .value(text(tag, "value").unwrap_or_default())
            .build()
    };
    let tags: Vec<Tag> = tags.map(tag).collect();
    let tags = TagSpecification::builder().resource_type(ResourceType::VpcFlowLog).set_tags(Some(tags)).build();
    let tags = Some(vec![tags]).filter(|tags| tags.iter().any(|tags| !tags.tags().is_empty()));
    let interval = number(named, "maxAggregationInterval").and_then(|interval| i32::try_from(interval).ok());
    let request = client(scope).create_flow_logs().resource_ids(&definition.resource);
    let request = request.set_resource_type(kind(&definition.resource));
    let request = request.set_traffic_type(part("TrafficType").as_deref().map(TrafficType::from));
    let request = request.set_log_destination_type(part("LogDestinationType").as_deref().map(LogDestinationType::from));
    let request = request.set_log_destination(part("LogDestination")).set_log_group_name(part("LogGroupName"));
    let request = request.set_deliver_logs_permission_arn(part("DeliverLogsPermissionArn"));
    let request = request.set_deliver_cross_account_role(part("DeliverCrossAccountRole"));
    let request = request.set_log_format(part("LogFormat")).set_max_aggregation_interval(interval);
    let request = request.set_destination_options(options).set_tag_specifications(tags);
    let answer = request.set_client_token(text(named, "clientToken").map(str::to_owned)).send().await;
    refused(CREATE, CallError::or(CREATE, answer)?.unsuccessful())
}

/// An answer may say item by item that nothing was done.
fn refused(call: &'static str, items: &[UnsuccessfulItem]) -> Result<(), CallError> {
    let error = items.iter().find_map(UnsuccessfulItem::error);
    error.map_or(Ok(()), |error| {
        let (code, message) = (error.code().unwrap_or_default(), error.message().unwrap_or_default());
        Err(CallError::of_item(call, code, message))
    })
}

/// The client of EC2.
fn client(scope: &Scope) -> Arc<Client> {
    client!(scope, aws_sdk_ec2)
}

/// Keeps the states of flow logs, with their tags and what else AWS Config leaves out.
#[derive(Debug, Clone, Copy)]
pub struct RecordedFlowLogs;

impl Recorded for RecordedFlowLogs {
    fn resource_type(&self) -> &'static str {
        KIND
    }

    fn operations(&self) -> &'static [Operation] {
        const { &[Operation::reads(DESCRIBE)] }
    }

    fn complete<'a>(
        &'a self,
        scope: &'a Scope,
        resource: &'a Resource,
        state: &'a mut Snapshot,
    ) -> Pin<Box<dyn Future<Output = Result<(), CallError>> + Send + 'a>> {
        Box::pin(async move {
            // One that is gone by now is not in the answer, and no error.
            let filter = aws_sdk_ec2::types::Filter::builder().name("flow-log-id").values(&resource.id).build();
            let answer = CallError::or(DESCRIBE, client(scope).describe_flow_logs().filter(filter).send().await)?;
            if let Some(log) = answer.flow_logs().first() {
                let tags = log.tags().iter().map(|tag| json!({"key": tag.key(), "value": tag.value()}));
                let tags: Vec<Value> = tags.collect();
                let kept = json!({"tags": tags, "deliverCrossAccountRole": log.deliver_cross_account_role()});
                state.supplementary.insert(LEFT_OUT.to_owned(), kept);
            }
            Ok(())
        })
    }
}
