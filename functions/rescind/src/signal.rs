//! What happened: an EventBridge event, decoded.
//!
//! A Lambda function gets either the bare event or, from the rules of `template.yaml`, the event together with the ARN
//! of the rule that matched: `{"rule": "<rule ARN>", "ingested": "<time>", "event": {…}}`.
//!
//! Records are read by types of our own that ask for no more than is needed, since real records leave out or change
//! almost everything else. What can't be read is an error that names the field and what was expected there.

pub mod cloudtrail;
pub mod config;
mod fields;
pub mod finding;
mod guardduty;

use aws_lambda_events::event::eventbridge::EventBridgeEvent;
use chrono::{DateTime, Datelike, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::arn::{self, Arn};
pub use cloudtrail::{Actor, ApiCall};
pub use config::{ComplianceChange, ConfigurationItemChange};
use fields::Fields;
pub use fields::{field, items, number, text, texts};
pub use finding::{Contact, Direction, Finding, Holder, Involved, Proof, Role, Severity};

/// What a function is invoked with, decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// The rule that matched, when its input transformer told it. Its tags are the settings.
    pub rule: Option<Arn>,
    /// When EventBridge received the event, when the input transformer told it.
    pub ingested: Option<DateTime<Utc>>,
    /// What happened.
    pub signal: Signal,
    /// The input as it came, for doing it all again later.
    pub input: Value,
}

/// A decoded event.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    /// The id that stays the same whenever the same fact is delivered again (CloudTrail's `eventID`, say, or
    /// a finding's id, whose updates are the same fact).
    pub id: String,
    /// When it happened, by the service that reports it; never the time of delivery.
    pub time: DateTime<Utc>,
    /// The account in which it happened.
    pub account: String,
    /// The region in which it happened.
    pub region: String,
    /// What is reported.
    pub fact: Fact,
}

/// What a signal reports, by the service that reports it.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// CloudTrail: somebody called an API.
    ApiCall(Box<ApiCall>),
    /// AWS Config: a resource has a new configuration.
    ConfigurationItemChange(Box<ConfigurationItemChange>),
    /// AWS Config: a rule finds that a resource complies or no longer complies.
    ComplianceChange(Box<ComplianceChange>),
    /// A service that watches: something is wrong.
    Finding(Box<Finding>),
}

impl Signal {
    /// The service that reports, as outcomes name it: `cloudtrail`, `config` or `guardduty`.
    pub fn source(&self) -> &'static str {
        match &self.fact {
            Fact::ApiCall(_) => "cloudtrail",
            Fact::ConfigurationItemChange(_) | Fact::ComplianceChange(_) => "config",
            Fact::Finding(finding) => finding.service,
        }
    }

    /// What the service calls it: the API's name, the rule's name, the message's kind, or the finding's type.
    pub fn name(&self) -> &str {
        match &self.fact {
            Fact::ApiCall(call) => &call.name,
            Fact::ConfigurationItemChange(change) => change.message_type(),
            Fact::ComplianceChange(change) => &change.rule_name,
            Fact::Finding(finding) => &finding.kind,
        }
    }

    /// The call, if one of these operations was called: each is `service:Operation`, as in IAM's actions, and without the date that
    /// Lambda adds to some of its operations (`AddPermission20150331v2`).
    pub fn called(&self, operations: &[&str]) -> Option<&ApiCall> {
        let Fact::ApiCall(call) = &self.fact else { return None };
        let service = call.service.strip_suffix(".amazonaws.com")?;
        let is_it = |one: &&str| one.split_once(':') == Some((service, call.operation()));
        operations.iter().any(is_it).then_some(call)
    }

    /// The finding, if it is one.
    pub fn finding(&self) -> Option<&Finding> {
        match &self.fact {
            Fact::Finding(finding) => Some(finding),
            Fact::ApiCall(_) | Fact::ConfigurationItemChange(_) | Fact::ComplianceChange(_) => None,
        }
    }

    /// The resource that one of these AWS Config rules calls noncompliant. Security Hub, organizations and conformance packs put their own
    /// words before and after the name of a rule.
    pub fn noncompliant(&self, kind: &str, rules: &[&str]) -> Option<&Resource> {
        let Fact::ComplianceChange(change) = &self.fact else { return None };
        let is_meant = change.resource.kind == kind && change.compliance == "NON_COMPLIANT";
        (is_meant && rules.iter().any(|name| change.rule_name.contains(name))).then_some(&change.resource)
    }

    /// The resource of this type that AWS Config recorded, and that is still there.
    pub fn recorded(&self, kind: &str) -> Option<&Resource> {
        let Fact::ConfigurationItemChange(change) = &self.fact else { return None };
        (change.resource.kind == kind && !change.is_deletion()).then_some(&change.resource)
    }

    /// A resource of the account and the Region in which it happened.
    pub fn resource(&self, kind: &str, id: impl Into<String>) -> Resource {
        Resource { kind: kind.to_owned(), id: id.into(), account: self.account.clone(), region: self.region.clone() }
    }

    /// Who did it, where the signal tells. A finding's suspects are among its resources.
    pub fn actor(&self) -> Option<&Actor> {
        match &self.fact {
            Fact::ApiCall(call) => Some(&call.actor),
            Fact::ConfigurationItemChange(_) | Fact::ComplianceChange(_) | Fact::Finding(_) => None,
        }
    }
}

/// A resource, as AWS Config names its types.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Resource {
    /// Such as `AWS::EC2::SecurityGroup`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The id, or the name where the signal gives no id.
    pub id: String,
    /// The account that owns it.
    pub account: String,
    /// The region it is in.
    pub region: String,
}

/// Why an event can't be read. The message names the field and what was expected there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignalError {
    /// A field is missing, or holds something else than expected.
    #[error("`{field}` {problem}: expected {expected}")]
    Field {
        /// The field's path from the top of the input.
        field: String,
        /// `is missing`, or what stands there.
        problem: String,
        /// What was expected.
        expected: &'static str,
    },
    /// The envelope is not that of an EventBridge event.
    #[error("this is no EventBridge event: {reason}")]
    Envelope {
        /// What does not fit, with the field's name.
        reason: String,
    },
    /// A well-formed event of a kind that Rescind does not read.
    #[error("Rescind reads no events of source `{source_name}` and detail-type `{detail_type}`")]
    Unknown {
        /// The event's `source`.
        source_name: String,
        /// The event's `detail-type`.
        detail_type: String,
    },
}

/// Decodes what a function was invoked with.
///
/// # Errors
/// [`SignalError`] when it is neither form of input, or the event is none that Rescind reads.
pub fn decode(input: Value) -> Result<Delivery, SignalError> {
    let whole = input.clone();
    let Value::Object(mut map) = input else {
        return Err(fields::wrong(
            "input",
            &input,
            "an EventBridge event, or an object with `rule`, `ingested` and `event`",
        ));
    };
    // A bare event has a `detail-type`; the wrapper has not.
    if map.contains_key("detail-type") || !(map.contains_key("event") || map.contains_key("rule")) {
        return Ok(Delivery {
            rule: None,
            ingested: None,
            signal: decode_event(Value::Object(map), "")?,
            input: whole,
        });
    }
    let event = map.remove("event").unwrap_or(Value::Null);
    let wrapper = Value::Object(map);
    let top = Fields::new(&wrapper, "");
    let rule = top.text("rule", "the ARN of an EventBridge or AWS Config rule")?;
    let rule = Arn::parse(rule)
        .filter(|arn| {
            matches!(arn.service(), "events" | "config")
                && arn::is_region(arn.region())
                && arn::is_account(arn.account())
        })
        .ok_or_else(|| fields::wrong("rule", &Value::from(rule), "the ARN of an EventBridge or AWS Config rule"))?;
    let ingested = top.optional_time("ingested")?;
    Ok(Delivery { rule: Some(rule), ingested, signal: decode_event(event, "event.")?, input: whole })
}

/// Decodes one EventBridge event; `path` is where it stands in the input, for messages.
fn decode_event(event: Value, path: &str) -> Result<Signal, SignalError> {
    if !event.is_object() {
        return Err(fields::wrong(&format!("{path}(event)"), &event, "an EventBridge event"));
    }
    let event: EventBridgeEvent<Value> = serde_path_to_error::deserialize(event).map_err(|error| {
        let place = error.path().to_string();
        let place = if place == "." { String::new() } else { format!("`{path}{place}`: ") };
        // It repeats what stands there, however long.
        SignalError::Envelope { reason: format!("{place}{}", crate::text::clean(&error.into_inner().to_string(), 200)) }
    })?;
    let envelope = Envelope { event: &event, detail_path: format!("{path}detail") };
    match (event.source.as_str(), event.detail_type.as_str()) {
        (
            _,
            "AWS API Call via CloudTrail"
            | "AWS Service Event via CloudTrail"
            | "AWS Console Action via CloudTrail"
            | "AWS Console Sign In via CloudTrail",
        ) => cloudtrail::decode(&envelope),
        ("aws.config", "Config Configuration Item Change") => config::decode_item_change(&envelope),
        ("aws.config", "Config Rules Compliance Change") => config::decode_compliance_change(&envelope),
        ("aws.guardduty", "GuardDuty Finding") => guardduty::decode(&envelope),
        (source, detail_type) => Err(SignalError::Unknown {
            source_name: crate::text::clean(source, 100),
            detail_type: crate::text::clean(detail_type, 100),
        }),
    }
}

/// The envelope of an event, from which a detail may take what it does not tell itself.
struct Envelope<'a> {
    event: &'a EventBridgeEvent<Value>,
    detail_path: String,
}

impl Envelope<'_> {
    fn detail(&self) -> Result<Fields<'_>, SignalError> {
        if self.event.detail.is_object() {
            Ok(Fields::new(&self.event.detail, &self.detail_path))
        } else {
            Err(fields::wrong(&self.detail_path, &self.event.detail, "an object"))
        }
    }

    /// The signal's account: the detail's own word, else the envelope's.
    fn account(&self, told: Option<&str>, field: &str) -> Result<String, SignalError> {
        let account = told.or(self.event.account.as_deref()).unwrap_or_default();
        if arn::is_account(account) {
            Ok(account.to_owned())
        } else {
            Err(fields::wrong(field, &Value::from(account), "an account id of twelve digits"))
        }
    }

    /// The signal's region: the detail's own word, else the envelope's.
    fn region(&self, told: Option<&str>, field: &str) -> Result<String, SignalError> {
        let region = told.or(self.event.region.as_deref()).unwrap_or_default();
        if arn::is_region(region) {
            Ok(region.to_owned())
        } else {
            Err(fields::wrong(field, &Value::from(region), "an AWS region such as `eu-central-1`"))
        }
    }

    /// The signal's time: the detail's own word, else the envelope's.
    fn time(&self, told: Option<DateTime<Utc>>, field: &str) -> Result<DateTime<Utc>, SignalError> {
        const EXPECTED: &str = "a time such as `2026-11-24T09:30:00Z`";
        let time = told.or(self.event.time).ok_or_else(|| fields::wrong(field, &Value::Null, EXPECTED))?;
        // Other years can't be written in RFC 3339, as outcomes tell the time.
        if (0..=9999).contains(&time.year()) {
            Ok(time)
        } else {
            Err(fields::wrong(field, &Value::from(time.to_string()), EXPECTED))
        }
    }

    /// The signal's id: the detail's own word, else the envelope's.
    fn id(&self, told: Option<&str>, field: &str) -> Result<String, SignalError> {
        let id = told.or(self.event.id.as_deref()).unwrap_or_default();
        if id.is_empty() || id.len() > 512 || id.chars().any(char::is_control) {
            return Err(fields::wrong(field, &Value::from(id), "an id of 1 to 512 printable characters"));
        }
        Ok(id.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A CloudTrail event with this detail, in the wrapper of our rules.
    fn decoded(detail: &Value) -> Result<Signal, String> {
        let event = json!({
            "detail-type": "AWS API Call via CloudTrail", "source": "aws.ec2", "account": "111122223333",
            "time": "2026-11-24T09:30:00Z", "region": "eu-central-1", "detail": detail,
        });
        let rule = "arn:aws:events:eu-central-1:111122223333:rule/rescind";
        let delivery = decode(json!({"rule": rule, "event": event}));
        delivery.map(|delivery| delivery.signal).map_err(|error| error.to_string())
    }

    #[test]
    fn an_error_names_the_field_from_the_top_of_the_input() {
        let call = json!({"eventName": "x", "eventSource": "x", "eventID": "x"});
        for (name, value, field) in [
            ("eventTime", json!(5), "event.detail.eventTime"),
            ("addendum", json!({"originalEventID": 5}), "event.detail.addendum.originalEventID"),
            (
                "userIdentity",
                json!({"sessionContext": {"sessionIssuer": {"arn": 5}}}),
                "event.detail.userIdentity.sessionContext.sessionIssuer.arn",
            ),
        ] {
            let mut detail = call.clone();
            detail[name] = value;
            let message = decoded(&detail).unwrap_err();
            assert!(message.starts_with(&format!("`{field}` is the number 5")), "{message}");
        }
    }

    #[test]
    fn a_time_that_outcomes_cannot_tell_is_refused() {
        let at = |time: &str| {
            decoded(&json!({"eventName": "x", "eventSource": "x", "eventID": "x", "eventTime": time}))
                .map(|signal| signal.time.to_rfc3339())
        };
        assert_eq!(at("9999-12-31T23:59:59Z").as_deref(), Ok("9999-12-31T23:59:59+00:00"));
        for outside in ["9999-12-31T23:59:59-01:00", "0000-01-01T00:00:00+01:00"] {
            let message = at(outside).unwrap_err();
            assert!(message.starts_with("`event.detail.eventTime` is `"), "{message}");
        }
    }

    #[test]
    fn an_error_repeats_no_more_than_the_beginning_of_an_envelope() {
        let hostile = format!("<a href=\"x\">{}", "x".repeat(100_000));
        let event = json!({"detail-type": "x", "source": "x", "resources": hostile, "detail": {}});
        let message = decode(event).unwrap_err().to_string();
        assert!(message.starts_with("this is no EventBridge event: `resources`: ") && message.len() < 300, "{message}");
        assert!(!message.contains(['<', '"']), "{message}");
    }
}
