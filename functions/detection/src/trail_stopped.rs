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

use rescind::arn::Arn;
use rescind_lambda::prelude::*;

use crate::trail::{self, LOGGING, START, STOP};

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct TrailStopped;

impl Remediation for TrailStopped {
    const NAME: &'static str = "trail-stopped";
    const CALLS: &'static [&'static str] = &[STOP];
    const OPERATIONS: &'static [Operation] = trail::OPERATIONS;

    /// The trail's ARN.
    type Target = Arn;
    type State = Standing;
    type Settings = ();
    type Offender = String;

    fn hear(&self, signal: &Signal, call: &ApiCall) -> Vec<Heard<Arn>> {
        trail::heard(signal, call)
    }

    fn state_of_event(&self, _: &Resource, _: &Arn, _: Option<&Standing>) -> Option<Standing> {
        Some(trail::standing().fact(LOGGING, false))
    }

    async fn read(&self, scope: &Scope, resource: &Resource, trail: &Arn) -> Result<Standing, CallError> {
        trail::read(scope, resource, trail).await
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
        trail::make(scope, call).await
    }
}

#[cfg(test)]
mod tests;
