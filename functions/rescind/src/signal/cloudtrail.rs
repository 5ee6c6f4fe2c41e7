//! CloudTrail records: somebody called an API.
//!
//! Follows the AWS CloudTrail user guide, *CloudTrail record contents* and *CloudTrail userIdentity element*. The
//! record's type in `aws_lambda_events` refuses about a fifth of real records, so this one asks for less.

use serde_json::Value;

use super::{Envelope, Fact, Signal, SignalError, fields, fields::Fields};

/// One call of an API, as CloudTrail recorded it.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiCall {
    /// The service's host name: `ec2.amazonaws.com`.
    pub service: String,
    /// The operation: `AuthorizeSecurityGroupIngress`.
    pub name: String,
    /// Set when the call failed, and so changed nothing: AWS's error code.
    pub error: Option<String>,
    /// Whether the call only reads; absent in old records.
    pub read_only: Option<bool>,
    /// Who called.
    pub actor: Actor,
    /// `requestParameters`: null when the record leaves them out, sometimes a text in place of an object.
    pub request: Value,
    /// `responseElements`, likewise. CloudTrail drops either above 100 KB.
    pub response: Value,
}

impl ApiCall {
    /// The operation without the date of its API, which Lambda and a few others add: `AddPermission` of
    /// `AddPermission20150331v2`.
    pub fn operation(&self) -> &str {
        let without_version = self.name.rsplit_once('v').filter(|(_, version)| is_number(version));
        let dated = without_version.map_or(self.name.as_str(), |(dated, _)| dated);
        let start = dated.trim_end_matches(|c: char| c.is_ascii_digit());
        if dated.len() == start.len() + 8 { start } else { &self.name }
    }

    /// The request without the wrapper that newer EC2 actions put around it (`ModifySecurityGroupRulesRequest`).
    pub fn request(&self) -> &Value {
        self.request.get(format!("{}Request", self.name)).unwrap_or(&self.request)
    }

    /// The response without its wrapper.
    pub fn response(&self) -> &Value {
        self.response.get(format!("{}Response", self.name)).unwrap_or(&self.response)
    }

    /// Why the call changed nothing, if it did not: it failed, or it only reads. Some services answer a failure without
    /// an error code.
    pub fn changed_nothing(&self) -> Option<String> {
        if let Some(error) = &self.error {
            return Some(format!("the call failed with {error} and changed nothing"));
        }
        if self.read_only == Some(true) {
            return Some("the call only reads".to_owned());
        }
        let answered_false = |name: &str| {
            self.response().get(name).is_some_and(|value| {
                value.as_bool() == Some(false) || value.as_str().is_some_and(|text| text.eq_ignore_ascii_case("false"))
            })
        };
        (answered_false("_return") || answered_false("return"))
            .then(|| "the call was answered with `false` and changed nothing".to_owned())
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Who made a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// `userIdentity.arn`, or `invokedBy` for an AWS service, or `unknown`.
    pub arn: String,
    /// `userIdentity.type`: `AssumedRole`, `IAMUser`, `Root`, `AWSService` …
    pub kind: String,
    /// Who stands behind the session: the role's ARN for a role's session, else the user's. This, and no name or user
    /// agent that the caller can choose, is what exemptions and the check for our own changes compare.
    pub principal: Option<String>,
    /// The account that the caller belongs to.
    pub account: Option<String>,
    /// By which way: `console`, the name of the AWS service that called on somebody's behalf (`cloudformation`), or
    /// `api`.
    pub via: String,
    /// Whether the session was authenticated by MFA, as the record says. A long-term key has no session, so never.
    pub with_mfa: bool,
}

const TEXT: &str = "a text";

pub(super) fn decode(envelope: &Envelope<'_>) -> Result<Signal, SignalError> {
    let detail = envelope.detail()?;
    let name = detail.text("eventName", "the name of an API operation")?;
    let service = detail.text("eventSource", "the service's host name, such as `ec2.amazonaws.com`")?;
    let error = match (detail.optional_text("errorCode", TEXT)?, detail.optional_text("errorMessage", TEXT)?) {
        (Some(code), _) => Some(code.to_owned()),
        // Some old records tell only the message.
        (None, Some(message)) => Some(crate::text::clean(message, 100)),
        (None, None) => None,
    };
    // A record that completes an earlier one names it: the fact is the same.
    let addendum = detail.get("addendum").unwrap_or(&Value::Null);
    let addendum_path = detail.path("addendum");
    let id = Fields::new(addendum, &addendum_path)
        .optional_text("originalEventID", TEXT)?
        .or(detail.optional_text("eventID", TEXT)?);
    let call = ApiCall {
        service: service.to_owned(),
        name: name.to_owned(),
        error,
        read_only: detail.optional_bool("readOnly")?,
        actor: actor(&detail)?,
        request: detail.get("requestParameters").cloned().unwrap_or(Value::Null),
        response: detail.get("responseElements").cloned().unwrap_or(Value::Null),
    };
    let owner = detail.optional_text("recipientAccountId", "an account id of twelve digits")?;
    Ok(Signal {
        id: envelope.id(id, &detail.path("eventID"))?,
        time: envelope.time(detail.optional_time("eventTime")?, &detail.path("eventTime"))?,
        account: envelope.account(owner, &detail.path("recipientAccountId"))?,
        region: envelope.region(detail.optional_text("awsRegion", TEXT)?, &detail.path("awsRegion"))?,
        fact: Fact::ApiCall(Box::new(call)),
    })
}

fn actor(detail: &Fields<'_>) -> Result<Actor, SignalError> {
    let identity = detail.get("userIdentity").unwrap_or(&Value::Null);
    if !identity.is_null() && !identity.is_object() {
        return Err(fields::wrong(&detail.path("userIdentity"), identity, "an object"));
    }
    let identity_path = detail.path("userIdentity");
    let identity = Fields::new(identity, &identity_path);
    let kind = identity.optional_text("type", TEXT)?.unwrap_or("Unknown");
    let arn = identity.optional_text("arn", TEXT)?;
    let invoked_by = identity.optional_text("invokedBy", TEXT)?;
    // `sessionIssuer` is an empty object in the sessions of IAM users.
    let session = identity.get("sessionContext").unwrap_or(&Value::Null);
    let issuer = Fields::new(session, "").get("sessionIssuer").unwrap_or(&Value::Null);
    let mfa = session.pointer("/attributes/mfaAuthenticated");
    let issuer_path = identity.path("sessionContext.sessionIssuer");
    let role = Fields::new(issuer, &issuer_path).optional_text("arn", TEXT)?;
    let principal = match role {
        Some(role) => Some(role.to_owned()),
        None => arn.filter(|_| kind != "AssumedRole").map(str::to_owned),
    };
    Ok(Actor {
        arn: arn.or(invoked_by).unwrap_or("unknown").to_owned(),
        kind: kind.to_owned(),
        principal,
        account: identity.optional_text("accountId", TEXT)?.map(str::to_owned),
        via: via(detail, invoked_by)?,
        with_mfa: mfa.is_some_and(|mfa| mfa == "true" || mfa == true),
    })
}

/// By which way a call came. For people to read and for counting repeats; never a reason to trust it, since user agents
/// can be chosen.
fn via(detail: &Fields<'_>, invoked_by: Option<&str>) -> Result<String, SignalError> {
    let service = |host: &str| host.strip_suffix(".amazonaws.com").filter(|name| *name != "signin").map(str::to_owned);
    if let Some(name) = invoked_by.and_then(service) {
        return Ok(name);
    }
    if let Some(name) = detail.optional_text("sourceIPAddress", TEXT)?.and_then(service) {
        return Ok(name);
    }
    if detail.optional_bool("sessionCredentialFromConsole")? == Some(true) {
        return Ok("console".to_owned());
    }
    let agent = detail.optional_text("userAgent", TEXT)?.unwrap_or_default();
    let is_console = |name: &str| name.starts_with("console.") && name.ends_with(".amazonaws.com");
    let from_console =
        invoked_by == Some("signin.amazonaws.com") || is_console(agent) || agent.starts_with("signin.amazonaws.com");
    Ok(if from_console { "console" } else { "api" }.to_owned())
}
