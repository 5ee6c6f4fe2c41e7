//! `trail-stopped`: a trail no longer records who calls what.
//!
//! ## What it takes back
//! `StopLogging` of a trail of CloudTrail: it is started again, in its home Region.
//!
//! ## Why it is risky
//! What is called while a trail stands still is missing from its log files for good; it is the first thing that somebody does who does
//! not want to be seen. MITRE ATT&CK T1562.008.
//!
//! ## Example
//! `aws cloudtrail stop-logging --name audit`: seconds later it records again.
//!
//! ## Safety
//! It interrupts nothing. The calls in between stay unrecorded, but for the event history, and where it was the account's last
//! trail EventBridge may not have heard of this call, either. It can be undone: the trail is stopped again. Earlier state: the event. A
//! trail of another account, such as its organization's, is reported: it is started there. So is one that was deleted meanwhile. To
//! start an organization's trail from its own account, CloudTrail may ask for more permissions than the role has; then it is `failed`.
//!
//! ## Tags
//! Those of every remediation.
//!
//! ## References
//! AWS CloudTrail API: `StartLogging`, `StopLogging`, `GetTrailStatus`, `ListTags`. AWS CloudTrail user guide: *Turning off logging for a
//! trail*.

use aws_sdk_cloudtrail::operation::list_tags::ListTagsOutput;
use aws_sdk_cloudtrail::types::ResourceTag;
use rescind::arn::{self, Arn};

use rescind_lambda::prelude::*;

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct TrailStopped;

const KIND: &str = "AWS::CloudTrail::Trail";
const STATUS: &str = "cloudtrail:GetTrailStatus";
const TAGS: &str = "cloudtrail:ListTags";
const START: &str = "cloudtrail:StartLogging";
const STOP: &str = "cloudtrail:StopLogging";

/// The one piece: whether the trail records.
const LOGGING: &str = "IsLogging";

impl Remediation for TrailStopped {
    const NAME: &'static str = "trail-stopped";
    const CALLS: &'static [&'static str] = &[STOP];
    const OPERATIONS: &'static [Operation] =
        &[Operation::reads(STATUS), Operation::reads(TAGS), Operation::changes(START), Operation::changes(STOP)];

    /// The trail's ARN.
    type Target = Arn;
    type State = Standing;
    type Settings = ();
    type Offender = String;

    /// A call names a trail by its name or by its ARN. One of ours is told by its name, which its home Region knows.
    fn hear(&self, signal: &Signal, call: &ApiCall) -> Vec<Heard<Arn>> {
        let unreadable = |reason| vec![Heard::unreadable(signal.resource(KIND, "unknown"), reason)];
        let Some(named) = text(call.request(), "name") else {
            return unreadable("the record does not tell which trail was stopped");
        };
        let Signal { account, region, .. } = signal;
        let caller = Arn::parse(&call.actor.arn);
        let partition = caller.as_ref().map_or("aws", Arn::partition);
        let of_name = || format!("arn:{partition}:cloudtrail:{region}:{account}:trail/{named}");
        let trail = Arn::parse(&if named.starts_with("arn:") { named.to_owned() } else { of_name() });
        let is_well_formed = |trail: &Arn| arn::is_region(trail.region()) && arn::is_account(trail.account());
        let Some(trail) = trail.filter(is_well_formed) else { return unreadable("what was stopped is no trail") };
        let mut resource = signal.resource(KIND, trail.as_str());
        if trail.account() == *account {
            trail.resource().strip_prefix("trail/").unwrap_or(named).clone_into(&mut resource.id);
            trail.region().clone_into(&mut resource.region);
        }
        vec![Heard::about(resource, trail)]
    }

    fn state_of_event(&self, _: &Resource, _: &Arn, _: Option<&Standing>) -> Option<Standing> {
        Some(Standing::new(effect).fact(LOGGING, false))
    }

    async fn read(&self, scope: &Scope, resource: &Resource, trail: &Arn) -> Result<Standing, CallError> {
        if trail.account() != resource.account {
            return Ok(Standing::new(effect));
        }
        let client = client!(scope, aws_sdk_cloudtrail);
        let (status, tags) = tokio::join!(
            Box::pin(client.get_trail_status().name(&resource.id).send()),
            Box::pin(client.list_tags().resource_id_list(trail.as_str()).send()),
        );
        let Some(status) = unless_gone(CallError::or(STATUS, status))? else { return Ok(Standing::new(effect)) };
        let tags = unless_gone(CallError::or(TAGS, tags))?;
        let tags = tags.iter().flat_map(ListTagsOutput::resource_tag_list).flat_map(ResourceTag::tags_list);
        let tags = tags.map(|tag| (tag.key().to_owned(), tag.value().unwrap_or_default().to_owned())).collect();
        // What is not told is taken for the worse.
        Ok(Standing::new(effect).fact(LOGGING, status.is_logging().unwrap_or(false)).tagged(tags))
    }

    fn assess(&self, subject: &Subject<'_, Self>) -> Assessment<String> {
        let trail = clean(subject.target.as_str(), 200);
        let stopped = format!("the trail {trail} was stopped, and what is called since then is not in its log files");
        let evidence = vec![Evidence::new([(LOGGING, "false")])];
        let owner = subject.target.account();
        if owner != subject.resource.account {
            let reason = format!("{stopped}; it belongs to account {owner}, and is to be started there");
            return Assessment::report(reason, evidence);
        }
        match subject.state.get(LOGGING) {
            Some("true") => Assessment::already_safe(format!("the trail {trail} was stopped; it records again")),
            Some(_) => Assessment::risky(stopped, evidence, vec![LOGGING.to_owned()]),
            None => Assessment::report(format!("{stopped}; by now it is gone"), evidence),
        }
    }

    fn plan(&self, subject: &Subject<'_, Self>, offenders: &[String]) -> Plan {
        let call = |action| Call::new(action, json!({"Name": subject.resource.id}));
        Plan::of(offenders.iter().map(|_| Step::planned(call(START), call(STOP))))
    }

    async fn make(&self, scope: &Scope, call: &Call) -> Result<(), CallError> {
        let client = client!(scope, aws_sdk_cloudtrail);
        let name = parameter(call, "name")?;
        match call.call.as_str() {
            START => CallError::or(START, client.start_logging().name(name).send().await).map(drop),
            STOP => CallError::or(STOP, client.stop_logging().name(name).send().await).map(drop),
            _ => Err(not_ours(call)),
        }
    }
}

fn effect(call: &Call) -> Vec<(String, Option<String>)> {
    vec![(LOGGING.to_owned(), Some((call.call == START).to_string()))]
}

#[cfg(test)]
mod tests;
