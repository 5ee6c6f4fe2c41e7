//! What a flow log is made of, as AWS Config, EC2 and a call tell it.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{DestinationFileFormat, FlowLog, FlowLogsResourceType, LogDestinationType, TrafficType};
use rescind::Snapshot;
use rescind_lambda::prelude::*;
use serde_json::Map;

use super::{CREATE, DELETE};

/// Where a kept state has what AWS Config leaves out: the tags and the role for another account.
pub(super) const LEFT_OUT: &str = "FlowLog";

/// The tags of a flow log: key and value.
pub type Tags = Vec<(String, String)>;

/// What a flow log is made of, but for its id and its tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// The VPC, subnet, network interface or gateway whose traffic is logged.
    pub resource: String,
    /// By its name in a call: `TrafficType`, `LogDestination`, …
    parts: BTreeMap<&'static str, String>,
}

/// The parts of a definition that are texts or numbers.
const PARTS: [(&str, &str); 8] = [
    ("TrafficType", "trafficType"),
    ("LogDestinationType", "logDestinationType"),
    ("LogDestination", "logDestination"),
    ("LogGroupName", "logGroupName"),
    ("DeliverLogsPermissionArn", "deliverLogsPermissionArn"),
    ("DeliverCrossAccountRole", "deliverCrossAccountRole"),
    ("LogFormat", "logFormat"),
    ("MaxAggregationInterval", "maxAggregationInterval"),
];

/// The options of a destination in S3, and what holds where they are not told.
const OPTIONS: [(&str, &str, &str); 3] = [
    ("FileFormat", "fileFormat", "plain-text"),
    ("HiveCompatiblePartitions", "hiveCompatiblePartitions", "false"),
    ("PerHourPartition", "perHourPartition", "false"),
];

impl Definition {
    /// Reads what AWS Config recorded, or the parameters of a call. `None` where that is not enough to make it again.
    pub fn read(told: &Value) -> Option<Self> {
        let ids = items(field(told, "resourceIds"));
        let resource = text(told, "resourceId").or_else(|| ids.first()?.as_str())?.to_owned();
        let word = |value: &Value| match value {
            Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
            Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        };
        let mut parts: BTreeMap<&'static str, String> =
            PARTS.iter().filter_map(|(name, told_as)| Some((*name, word(field(told, told_as)?)?))).collect();
        if parts.get("LogDestinationType").is_some_and(|kind| kind == "s3") {
            let options = field(told, "destinationOptions");
            let of = |told_as: &str| options.and_then(|options| word(field(options, told_as)?));
            parts.extend(
                OPTIONS.map(|(name, told_as, default)| (name, of(told_as).unwrap_or_else(|| default.to_owned()))),
            );
        }
        // A log group of the own account is told by its name, and may be told by its ARN besides. Only one of them may be asked for.
        if parts.contains_key("LogGroupName") && !parts.contains_key("DeliverCrossAccountRole") {
            parts.remove("LogDestination");
        } else {
            parts.remove("LogGroupName");
        }
        let is_whole = (parts.contains_key("LogDestination") || parts.contains_key("LogGroupName"))
            && ["LogFormat", "MaxAggregationInterval"].iter().all(|name| parts.contains_key(name));
        (is_whole && kind(&resource).is_some()).then_some(Self { resource, parts })
    }

    /// A flow log as EC2 tells it.
    pub(super) fn of_ec2(log: &FlowLog) -> Option<Self> {
        let options = log.destination_options().map(|options| {
            json!({
                "fileFormat": options.file_format().map(DestinationFileFormat::as_str),
                "hiveCompatiblePartitions": options.hive_compatible_partitions(),
                "perHourPartition": options.per_hour_partition(),
            })
        });
        Self::read(&json!({
            "resourceId": log.resource_id(), "trafficType": log.traffic_type().map(TrafficType::as_str),
            "logDestinationType": log.log_destination_type().map(LogDestinationType::as_str),
            "logDestination": log.log_destination(), "logGroupName": log.log_group_name(),
            "deliverLogsPermissionArn": log.deliver_logs_permission_arn(),
            "deliverCrossAccountRole": log.deliver_cross_account_role(), "logFormat": log.log_format(),
            "maxAggregationInterval": log.max_aggregation_interval(), "destinationOptions": options,
        }))
    }

    /// A state that was kept, with the tags that the flow log had; `None` for these where only AWS Config tells of it, and not the
    /// baseline.
    pub fn of_state(state: &Snapshot) -> Option<(Self, Option<Tags>)> {
        let kept = state.supplementary.get(LEFT_OUT);
        let left_out = kept.unwrap_or(&Value::Null);
        let mut whole = state.configuration.clone();
        if let (Some(whole), Some(role)) = (whole.as_object_mut(), field(left_out, "deliverCrossAccountRole")) {
            whole.insert("deliverCrossAccountRole".to_owned(), role.clone());
        }
        let tag = |tag: &Value| Some((text(tag, "key")?.to_owned(), text(tag, "value").unwrap_or_default().to_owned()));
        let tags = kept.map(|kept| items(field(kept, "tags")).into_iter().filter_map(tag).collect());
        Some((Self::read(&whole)?, tags))
    }

    /// Where the records go.
    pub fn destination(&self) -> &str {
        self.part("LogDestination").or_else(|| self.part("LogGroupName")).unwrap_or_default()
    }

    /// A part, by its name in a call.
    pub(super) fn part(&self, name: &str) -> Option<&str> {
        self.parts.get(name).map(String::as_str)
    }

    /// It among the facts, by whose it is and where it goes; and what it is.
    pub fn piece(&self) -> (String, String) {
        (format!("flow log of {} to {}", self.resource, self.destination()), self.delete().parameters.to_string())
    }

    /// The parameters that make it.
    fn parameters(&self) -> Map<String, Value> {
        let mut parameters = Map::new();
        parameters.insert("ResourceIds".to_owned(), json!([self.resource]));
        parameters.insert("ResourceType".to_owned(), json!(kind(&self.resource).map(|kind| kind.as_str().to_owned())));
        let mut options = Map::new();
        for (name, value) in &self.parts {
            let told = match *name {
                "MaxAggregationInterval" => json!(value.parse::<i32>().unwrap_or(600)),
                "HiveCompatiblePartitions" | "PerHourPartition" => json!(value == "true"),
                _ => json!(value),
            };
            let is_option = OPTIONS.iter().any(|(option, ..)| option == name);
            if is_option { &mut options } else { &mut parameters }.insert((*name).to_owned(), told);
        }
        if !options.is_empty() {
            parameters.insert("DestinationOptions".to_owned(), Value::Object(options));
        }
        parameters
    }

    /// The call that makes it anew, once for each token.
    pub fn create(&self, tags: &[(String, String)], token: &str) -> Call {
        let mut parameters = self.parameters();
        parameters.insert("ClientToken".to_owned(), json!(token));
        // EC2 keeps tags that begin so for itself.
        let tags = tags.iter().filter(|(key, _)| !key.starts_with("aws:"));
        let tags: Vec<Value> = tags.map(|(key, value)| json!({"Key": key, "Value": value})).collect();
        if !tags.is_empty() {
            let tags = json!([{"ResourceType": "vpc-flow-log", "Tags": tags}]);
            parameters.insert("TagSpecifications".to_owned(), tags);
        }
        Call::new(CREATE, Value::Object(parameters))
    }

    /// The call that deletes it, whichever id it has.
    pub fn delete(&self) -> Call {
        Call::new(DELETE, Value::Object(self.parameters()))
    }
}

/// What the id is one of.
pub(super) fn kind(resource: &str) -> Option<FlowLogsResourceType> {
    let (start, _) = resource.rsplit_once('-')?;
    Some(match start {
        "vpc" => FlowLogsResourceType::Vpc,
        "subnet" => FlowLogsResourceType::Subnet,
        "eni" => FlowLogsResourceType::NetworkInterface,
        "tgw" => FlowLogsResourceType::TransitGateway,
        "tgw-attach" => FlowLogsResourceType::TransitGatewayAttachment,
        _ => return None,
    })
}
