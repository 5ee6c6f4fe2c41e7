//! `flow-logs-deleted`: the traffic of a network is no longer recorded.
//!
//! ## What it takes back
//! `DeleteFlowLogs`: each flow log that one call deleted is made anew as it was: for the same VPC, subnet or network interface, to the
//! same destination, in the same format, with its tags. It gets a new id.
//!
//! ## Why it is risky
//! Nobody sees who talks to whom, and what watches the records sees nothing either. Security Hub control EC2.6; MITRE ATT&CK T1562.008.
//!
//! ## Example
//! `aws ec2 delete-flow-logs --flow-log-ids fl-…`: seconds later there is one like it.
//!
//! ## Safety
//! It interrupts nothing. The traffic from the deletion until the outcome's end stays unrecorded, and AWS needs some minutes to begin. It
//! can be undone: the new one is deleted, found by its definition. Earlier state: the baseline or AWS Config's history; where neither
//! knows, it is `reported`. Repeats count by network and destination: ids differ. For a destination in CloudWatch Logs the role may pass
//! roles to VPC Flow Logs; for one in Firehose it may give streams the tag `LogDeliveryEnabled`, as AWS does then. The policy of a bucket
//! is not touched: it has to let the records in still. Where the network is gone, too, it is `failed`.
//!
//! ## Tags
//! Those of every remediation. A flow log that is gone has no tags: exempt the principal.
//!
//! ## References
//! Amazon EC2 API: `DeleteFlowLogs`, `CreateFlowLogs`, `DescribeFlowLogs`. Amazon VPC user guide: *Logging IP traffic using VPC Flow Logs*.

use chrono::SecondsFormat;
use rescind_lambda::prelude::*;

use crate::flow_log::{self, Deleted, Known};

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct FlowLogsDeleted;

impl Remediation for FlowLogsDeleted {
    const NAME: &'static str = "flow-logs-deleted";
    const CALLS: &'static [&'static str] = &[flow_log::DELETE];
    const OPERATIONS: &'static [Operation] = flow_log::OPERATIONS;

    type Target = Deleted;
    type State = Standing<Known>;
    type Settings = ();
    type Offender = String;

    fn hear(&self, signal: &Signal, call: &ApiCall) -> Vec<Heard<Deleted>> {
        Deleted::heard(signal, call)
    }

    /// All as one: each that is made anew has another id, and its offender tells whose traffic it records, and where.
    fn remembered_as<'a>(&self, _: &'a str) -> &'a str {
        flow_log::KIND
    }

    /// An event never tells what it was.
    fn state_of_event(&self, _: &Resource, _: &Deleted, _: Option<&Standing<Known>>) -> Option<Standing<Known>> {
        None
    }

    async fn read(&self, scope: &Scope, log: &Resource, deleted: &Deleted) -> Result<Standing<Known>, CallError> {
        Known::read(scope, log, deleted).await
    }

    fn assess(&self, subject: &Subject<'_, Self>) -> Assessment<String> {
        let (id, Known { earlier, is_there, since }) = (&subject.resource.id, &subject.state.more);
        let at = subject.target.at.to_rfc3339_opts(SecondsFormat::Secs, true);
        if *is_there {
            // The answer did not say so, or `hear` would have: what EC2 lists is older than the call.
            let reason = format!("the flow log {id} is still listed, though the call that deleted it was accepted");
            return Assessment::unclear(reason);
        }
        let gone = format!("the flow log {id} was deleted at {at}");
        let (was, _) = match earlier {
            Ok(was) => was,
            Err(why) => {
                let reason = format!("{gone}; {why}, so it is to be made anew by hand: `aws ec2 create-flow-logs`");
                return Assessment::report(reason, vec![Evidence::new([("deleted", id.as_str())])]);
            }
        };
        let (network, destination) = (clean(&was.resource, 60), clean(was.destination(), 200));
        let (piece, _) = was.piece();
        if subject.state.get(&piece).is_some() {
            let since = since.as_deref().unwrap_or("later");
            let gap = format!("what passed {network} in between is not recorded");
            return Assessment::already_safe(format!("{gone}; one like it is there since {since}, and {gap}"));
        }
        let gap = format!("what passes {network} is not recorded in {destination} from then until one like it is made");
        let evidence = Evidence::new([("deleted", id.clone()), ("of", network), ("to", destination)]);
        Assessment::risky(format!("{gone}: {gap}"), vec![evidence], vec![piece])
    }

    fn plan(&self, subject: &Subject<'_, Self>, offenders: &[String]) -> Plan {
        let Ok((was, tags)) = &subject.state.more.earlier else { return Plan::default() };
        let told = tags.as_deref().unwrap_or_default();
        let step = || Step::planned(was.create(told, &subject.target.token), was.delete());
        let note = if tags.is_some() { "" } else { ", and no tags, since nobody knows those that it had" };
        Plan::of(offenders.iter().map(|_| step())).noting(format!("it gets a new id{note}"))
    }

    async fn make(&self, scope: &Scope, call: &Call) -> Result<(), CallError> {
        flow_log::make(scope, call).await
    }
}

#[cfg(test)]
mod tests;
