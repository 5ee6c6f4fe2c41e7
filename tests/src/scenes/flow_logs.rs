//! A VPC whose traffic is recorded in a bucket, by a flow log with a tag that AWS Config has recorded; somebody deletes the flow log.
//! The one that is made anew has another id, so the VPC is what is looked at.

use aws_sdk_ec2::types::{
    Filter, FlowLog, FlowLogsResourceType, LogDestinationType, ResourceType, Tag, TagSpecification, TrafficType,
};
use serde_json::{Value, json};

use super::Kind;
use crate::cloudtrail::{self, Who};
use crate::{World, now};

pub(super) const DELETED: Kind = Kind {
    remediation: "flow-logs-deleted",
    function: "detection",
    mutation: ("CreateFlowLogs", 1),
    rule: "FlowLogsDeleted",
    set: |world, name| Box::pin(set(world, name)),
    change: |world, vpc, who| Box::pin(deleted(world, vpc, who)),
    harmless: None,
    words: |world, vpc| Box::pin(in_words(world, vpc)),
    contained: None,
};

/// A VPC with a flow log. The emulator takes no spaces in a signed form, so the format has one field.
pub async fn set(world: &World, name: &str) -> String {
    let ec2 = world.account.ec2();
    let made = ec2.create_vpc().cidr_block("10.0.0.0/16").send().await.expect("a VPC");
    let vpc = made.vpc().and_then(|vpc| vpc.vpc_id()).expect("an id").to_owned();
    let bucket = format!("flows-{}-{name}", world.account.id);
    world.account.s3().create_bucket().bucket(&bucket).send().await.expect("a bucket");
    let tag = Tag::builder().key("ticket").value("OPS-1").build();
    let tags = TagSpecification::builder().resource_type(ResourceType::VpcFlowLog).tags(tag).build();
    let request = ec2.create_flow_logs().resource_ids(&vpc).resource_type(FlowLogsResourceType::Vpc);
    let request = request.traffic_type(TrafficType::Reject).log_destination_type(LogDestinationType::S3);
    let request = request.log_destination(format!("arn:aws:s3:::{bucket}")).log_format("${srcaddr}");
    let made = request.max_aggregation_interval(60).tag_specifications(tags).send().await.expect("a flow log");
    assert!(made.unsuccessful().is_empty(), "{made:?}");
    vpc
}

/// The flow logs of a VPC.
pub async fn of(world: &World, vpc: &str) -> Vec<FlowLog> {
    let filter = Filter::builder().name("resource-id").values(vpc).build();
    world
        .account
        .ec2()
        .describe_flow_logs()
        .filter(filter)
        .send()
        .await
        .expect("flow logs")
        .flow_logs
        .unwrap_or_default()
}

/// Lets AWS Config report a flow log as it stood a minute ago, so that the baseline has it.
pub async fn record(world: &World, log: &FlowLog) {
    let id = log.flow_log_id().expect("an id");
    let captured = now() - chrono::TimeDelta::minutes(1);
    let mut event = cloudtrail::configuration_item(&world.account.id, id, &[], captured, false);
    let item = &mut event["detail"]["configurationItem"];
    item["resourceType"] = json!("AWS::EC2::FlowLog");
    item["configuration"] = json!({
        "flowLogId": id, "flowLogStatus": "ACTIVE", "resourceId": log.resource_id(),
        "trafficType": log.traffic_type().map(TrafficType::as_str), "logFormat": log.log_format(),
        "logDestinationType": log.log_destination_type().map(LogDestinationType::as_str),
        "logDestination": log.log_destination(), "maxAggregationInterval": log.max_aggregation_interval(),
    });
    let answers = world.deliver(&event).await;
    assert_eq!(answers.len(), 1, "one rule lets it through: {answers:?}");
    assert!(answers.iter().flatten().all(|answer| answer.outcomes.is_empty()), "it is kept: {answers:?}");
}

/// Somebody deletes the flow log of a VPC, which AWS Config has recorded.
async fn deleted(world: &World, vpc: &str, who: &Who) -> Value {
    let log = of(world, vpc).await.remove(0);
    record(world, &log).await;
    delete(world, log.flow_log_id().expect("an id"), who).await
}

/// Somebody deletes a flow log.
pub async fn delete(world: &World, id: &str, who: &Who) -> Value {
    world.account.ec2().delete_flow_logs().flow_log_ids(id).send().await.expect("it is deleted");
    let request = json!({"DeleteFlowLogsRequest": {"FlowLogId": {"tag": 1, "content": id}}});
    let response = json!({"DeleteFlowLogsResponse": {"requestId": cloudtrail::event_id(), "unsuccessful": "",
        "xmlns": "http://ec2.amazonaws.com/doc/2016-11-15/"}});
    cloudtrail::record(&world.account.id, who, "aws.ec2", "DeleteFlowLogs", &request, &response)
}

async fn in_words(world: &World, vpc: &str) -> Vec<String> {
    let words = |log: &FlowLog| {
        let (traffic, kind) = (log.traffic_type(), log.log_destination_type());
        let (destination, format) = (log.log_destination(), log.log_format());
        let (interval, tags) = (log.max_aggregation_interval(), log.tags());
        format!("{traffic:?} {kind:?} {destination:?} {format:?} {interval:?} {tags:?}")
    };
    of(world, vpc).await.iter().map(words).collect()
}
