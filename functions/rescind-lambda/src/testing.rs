//! For the unit tests of remediations: signals as AWS sends them, and judgements with no network.

use rescind::journal::Revert;
use rescind::settings::{OwnSettings, Settings, SettingsError, Tags};
use rescind::signal::{Resource, Signal, SignalError, decode};
use rescind::verdict::Assessment;
use rescind::{Call, Plan};
use serde_json::{Value, json};

use crate::remediation::{Heard, Remediation, ResourceState, Subject};

/// The account in which everything happens.
pub const ACCOUNT: &str = "111122223333";

/// A role of Rescind's own.
pub const OWN_ROLE: &str = "arn:aws:iam::111122223333:role/rescind-IdentityRole-EXAMPLE";

/// A call as CloudTrail records it: of `ec2:RunInstances`, with this request and this response, by a user of the account. IAM's
/// are in us-east-1, all others in eu-central-1.
///
/// # Errors
/// [`SignalError`], when that is no signal.
pub fn called(action: &str, request: &Value, response: &Value) -> Result<Signal, SignalError> {
    let (service, operation) = action.split_once(':').unwrap_or((action, ""));
    let region = if service == "iam" { "us-east-1" } else { "eu-central-1" };
    let caller =
        json!({"type": "IAMUser", "arn": format!("arn:aws:iam::{ACCOUNT}:user/mallory"), "userName": "mallory"});
    let detail = json!({"eventName": operation, "eventSource": format!("{service}.amazonaws.com"), "eventID": "e1",
        "userIdentity": caller, "requestParameters": request, "responseElements": response});
    let event = json!({"id": "1", "source": format!("aws.{service}"), "detail-type": "AWS API Call via CloudTrail",
        "account": ACCOUNT, "time": "2026-11-24T09:30:00Z", "region": region, "detail": detail});
    Ok(decode(event)?.signal)
}

/// What a signal is about, if it is about one resource and nothing else.
pub fn about<R: Remediation>(remediation: &R, signal: &Signal) -> Option<(Resource, R::Target)> {
    match (remediation.listen(signal).pop(), remediation.listen(signal).len()) {
        (Some(Heard::About { resource, target }), 1) => Some((resource, target)),
        _ => None,
    }
}

/// What a remediation makes of a resource that stands like this, and its plan; with these tags on its rule.
///
/// # Errors
/// [`SettingsError`], which names the tag.
pub fn judged<R: Remediation>(
    remediation: &R,
    about: &(Resource, R::Target),
    state: &R::State,
    tags: &[(&str, &str)],
) -> Result<(Assessment<R::Offender>, Plan), SettingsError> {
    judged_after(&[], remediation, about, state, tags)
}

/// As [`judged`], where this was taken back before.
///
/// # Errors
/// [`SettingsError`], which names the tag.
pub fn judged_after<R: Remediation>(
    taken_back: &[Revert],
    remediation: &R,
    (resource, target): &(Resource, R::Target),
    state: &R::State,
    tags: &[(&str, &str)],
) -> Result<(Assessment<R::Offender>, Plan), SettingsError> {
    let tags = Tags::of_rule(tags.iter().copied());
    let common = Settings::parse(&tags, &[R::NAME])?;
    let (settings, own_roles) = (R::Settings::of_tags(&tags)?, [OWN_ROLE.to_owned()]);
    let subject =
        Subject { resource, target, state, common: &common, settings: &settings, own_roles: &own_roles, taken_back };
    let assessment = remediation.assess(&subject);
    let plan = match &assessment {
        Assessment::Risky { offenders, .. } => remediation.plan(&subject, offenders),
        _ => Plan::default(),
    };
    Ok((assessment, plan))
}

/// A state after all calls of a plan.
pub fn done<S: ResourceState>(state: &S, plan: &Plan) -> S {
    made(state, plan.steps.iter().map(|step| &step.call))
}

/// A state after all inverses of a plan, the last step's first.
pub fn undone<S: ResourceState>(state: &S, plan: &Plan) -> S {
    made(state, plan.steps.iter().rev().filter_map(|step| step.inverse.as_ref()))
}

fn made<'a, S: ResourceState>(state: &S, calls: impl Iterator<Item = &'a Call>) -> S {
    calls.fold(state.clone(), |state, call| state.after(call))
}
