//! GuardDuty: something hostile goes on, or seems to.
//!
//! Follows the Amazon GuardDuty user guide, *Finding details* and *Processing GuardDuty findings with Amazon
//! EventBridge*, and the API reference, *Finding*. EventBridge writes field names with a small first letter; the AWS CLI
//! and what is exported with it, with a capital one: both are read.
//!
//! Asked for are the finding's id and type, its account (a delegated administrator gets its members' findings) and its
//! region. Whatever else is missing, new or not understood, the finding is decoded, and what it names and we can't place
//! is told.

mod contacts;
mod resources;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Datelike, NaiveDateTime, Utc};
use serde_json::Value;

use super::fields::{field, text};
use super::{Envelope, Fact, Finding, Severity, Signal, SignalError};
use crate::text::{LONGEST, clean};

pub(super) fn decode(envelope: &Envelope<'_>) -> Result<Signal, SignalError> {
    let fields = envelope.detail()?;
    let detail = &envelope.event.detail;
    let spelled = |name| if field(detail, name).is_some() && detail.get(name).is_none() { capital(name) } else { name };
    let required = |name, expected| fields.text(spelled(name), expected);
    let id = required("id", "the finding's id")?;
    let kind = required("type", "the finding's type, such as `UnauthorizedAccess:EC2/SSHBruteForce`")?;
    let account = required("accountId", "an account id of twelve digits")?;
    let account = envelope.account(Some(account), &fields.path(spelled("accountId")))?;
    let region = required("region", "an AWS region such as `eu-central-1`")?;
    let region = envelope.region(Some(region), &fields.path(spelled("region")))?;

    let service = field(detail, "service").unwrap_or(&Value::Null);
    let title = text(detail, "title").unwrap_or_default();
    let found = resources::read(detail, service, &account, &region);
    let finding = Finding {
        service: "guardduty",
        kind: kind.to_owned(),
        title: clean(title, LONGEST),
        severity: field(detail, "severity").and_then(severity),
        created: text(detail, "createdAt").and_then(time),
        seen: (text(service, "eventFirstSeen").and_then(time), text(service, "eventLastSeen").and_then(time)),
        sent: envelope.event.time.filter(is_tellable),
        is_archived: may_be_set(service, "archived"),
        is_sample: is_sample(title, service),
        custom_rule: text(detail, "customDetectionRuleName").map(|name| clean(name, LONGEST)),
        resources: found.resources,
        contacts: contacts::read(kind, service),
        unread: found.unread,
        detail: detail.clone(),
    };
    Ok(Signal {
        id: envelope.id(Some(id), &fields.path(spelled("id")))?,
        time: envelope.time(text(detail, "updatedAt").and_then(time), &fields.path(spelled("updatedAt")))?,
        account,
        region,
        fact: Fact::Finding(Box::new(finding)),
    })
}

/// The fields that have to be there, as the API writes them.
fn capital(name: &'static str) -> &'static str {
    match name {
        "id" => "Id",
        "type" => "Type",
        "accountId" => "AccountId",
        "region" => "Region",
        "updatedAt" => "UpdatedAt",
        other => other,
    }
}

/// A time in RFC 3339, or as attack sequences have it: `2025-02-25 20:40:06.721`. Others count as missing, and so do
/// those that outcomes can't tell.
fn time(text: &str) -> Option<DateTime<Utc>> {
    let told = DateTime::parse_from_rfc3339(text).map(|time| time.to_utc());
    let told = told.or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").map(|time| time.and_utc()));
    told.ok().filter(is_tellable)
}

fn is_tellable(time: &DateTime<Utc>) -> bool {
    (0..=9999).contains(&time.year())
}

fn severity(value: &Value) -> Option<Severity> {
    match value {
        Value::Number(number) => Severity::of_number(number.as_f64()?),
        Value::String(text) => Severity::parse(text),
        _ => None,
    }
}

/// Whether a mark that keeps us from acting is there. Only a plain no is one.
fn may_be_set(value: &Value, name: &str) -> bool {
    match field(value, name) {
        None | Some(Value::Bool(false)) => false,
        Some(Value::String(text)) => !text.eq_ignore_ascii_case("false"),
        Some(_) => true,
    }
}

/// Samples are marked by `additionalInfo.sample`, which the API has inside of a text, and in the title.
fn is_sample(title: &str, service: &Value) -> bool {
    let Some(info) = field(service, "additionalInfo") else { return title.starts_with("[SAMPLE]") };
    let inner = text(info, "value").and_then(|text| serde_json::from_str::<Value>(text).ok());
    title.starts_with("[SAMPLE]")
        || may_be_set(info, "sample")
        || inner.is_some_and(|inner| may_be_set(&inner, "sample"))
}
