//! AWS Config: how a resource stands.
//!
//! Follows the AWS Config developer guide, *Example configuration item change notification*, *Example oversized
//! configuration item change notification* and *Example compliance change notification*.

use serde_json::Value;

use super::{Envelope, Fact, Resource, Signal, SignalError, fields, fields::Fields};

/// A new configuration item.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigurationItemChange {
    /// What it is about.
    pub resource: Resource,
    /// `configurationItemStatus`: `OK`, `ResourceDiscovered`, `ResourceDeleted` … absent in some summaries.
    pub status: Option<String>,
    /// The resource's configuration; `None` in an oversized notification, which leaves it out.
    pub configuration: Option<Value>,
    /// The whole item (or its summary), as it came.
    pub item: Value,
}

impl ConfigurationItemChange {
    /// AWS's name of the message.
    pub fn message_type(&self) -> &'static str {
        match self.configuration {
            Some(_) => "ConfigurationItemChangeNotification",
            None => "OversizedConfigurationItemChangeNotification",
        }
    }

    /// Whether the item reports that the resource is gone.
    pub fn is_deletion(&self) -> bool {
        self.status.as_deref().is_some_and(|status| status.starts_with("ResourceDeleted"))
    }
}

/// A Config rule's new judgement of a resource.
#[derive(Debug, Clone, PartialEq)]
pub struct ComplianceChange {
    /// What it is about.
    pub resource: Resource,
    /// The rule's name in this account.
    pub rule_name: String,
    /// The rule's ARN, when told. Its tags are settings, too.
    pub rule_arn: Option<String>,
    /// `COMPLIANT`, `NON_COMPLIANT`, `NOT_APPLICABLE` …
    pub compliance: String,
}

const TEXT: &str = "a text";
const ACCOUNT: &str = "an account id of twelve digits";

pub(super) fn decode_item_change(envelope: &Envelope<'_>) -> Result<Signal, SignalError> {
    let detail = envelope.detail()?;
    let (name, oversized) = if detail.get("configurationItemSummary").is_some() {
        ("configurationItemSummary", true)
    } else {
        ("configurationItem", false)
    };
    let item = detail.object(name)?;
    let path = detail.path(name);
    let fields = Fields::new(item, &path);
    let resource = resource(envelope, &fields)?;
    let configuration = match fields.get("configuration") {
        _ if oversized => None,
        Some(value) => Some(value.clone()),
        None => Some(Value::Null),
    };
    let time =
        fields.optional_time("configurationItemCaptureTime")?.or(detail.optional_time("notificationCreationTime")?);
    let captured = envelope.time(time, &fields.path("configurationItemCaptureTime"))?;
    // Config numbers the states of a resource; without a number the capture time tells them apart.
    let state = match fields.get("configurationStateId") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => captured.to_rfc3339(),
    };
    let id = format!("{}/{state}", resource.id);
    Ok(Signal {
        id: envelope.id(Some(&id), &fields.path("configurationStateId"))?,
        time: captured,
        account: resource.account.clone(),
        region: resource.region.clone(),
        fact: Fact::ConfigurationItemChange(Box::new(ConfigurationItemChange {
            status: fields.optional_text("configurationItemStatus", TEXT)?.map(str::to_owned),
            configuration,
            item: item.clone(),
            resource,
        })),
    })
}

pub(super) fn decode_compliance_change(envelope: &Envelope<'_>) -> Result<Signal, SignalError> {
    let detail = envelope.detail()?;
    let rule_name = detail.text("configRuleName", "the name of a Config rule")?;
    let result = detail.object("newEvaluationResult")?;
    let path = detail.path("newEvaluationResult");
    let result = Fields::new(result, &path);
    let resource = resource(envelope, &detail)?;
    let recorded = envelope.time(result.optional_time("resultRecordedTime")?, &result.path("resultRecordedTime"))?;
    let id = format!("{rule_name}/{}/{}", resource.id, recorded.to_rfc3339());
    Ok(Signal {
        id: envelope.id(Some(&id), &detail.path("configRuleName"))?,
        time: recorded,
        account: resource.account.clone(),
        region: resource.region.clone(),
        fact: Fact::ComplianceChange(Box::new(ComplianceChange {
            rule_name: rule_name.to_owned(),
            rule_arn: detail.optional_text("configRuleARN", TEXT)?.map(str::to_owned),
            compliance: result.text("complianceType", "`COMPLIANT` or `NON_COMPLIANT`")?.to_owned(),
            resource,
        })),
    })
}

fn resource(envelope: &Envelope<'_>, fields: &Fields<'_>) -> Result<Resource, SignalError> {
    let id = fields.text("resourceId", "the resource's id")?;
    if id.len() > 400 || id.chars().any(char::is_control) {
        return Err(fields::wrong(
            &fields.path("resourceId"),
            &Value::from(id),
            "an id of at most 400 printable characters",
        ));
    }
    Ok(Resource {
        kind: fields.text("resourceType", "a type such as `AWS::EC2::SecurityGroup`")?.to_owned(),
        id: id.to_owned(),
        account: envelope.account(fields.optional_text("awsAccountId", ACCOUNT)?, &fields.path("awsAccountId"))?,
        region: envelope.region(fields.optional_text("awsRegion", TEXT)?, &fields.path("awsRegion"))?,
    })
}
