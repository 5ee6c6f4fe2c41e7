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
//! knows, it is `reported`. For a destination in CloudWatch Logs the role may pass roles to VPC Flow Logs. The policy of a bucket is not
//! touched: it has to let the records in still. Where the network is gone, too, it is `failed`.
//!
//! ## Tags
//! Those of every remediation. A flow log that is gone has no tags: exempt the principal.
//!
//! ## References
//! Amazon EC2 API: `DeleteFlowLogs`, `CreateFlowLogs`, `DescribeFlowLogs`. Amazon VPC user guide: *Logging IP traffic using VPC Flow Logs*.

use std::collections::BTreeSet;

use chrono::{DateTime, SecondsFormat, Utc};
use rescind::text::digest;
use rescind_lambda::prelude::*;

use crate::flow_log::{self, Definition, KIND};

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct FlowLogsDeleted;

/// What a call deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deleted {
    at: DateTime<Utc>,
    /// The same for the same flow log and event: with it, EC2 makes one flow log and not two.
    token: String,
}

/// What is known of a flow log that was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// What it was, with its tags as far as these are known; else why that is not known.
    earlier: Result<(Definition, Option<flow_log::Tags>), String>,
    /// It is listed still, or again: ids don't come back.
    is_there: bool,
    /// When one like it was made.
    since: Option<String>,
}

impl Remediation for FlowLogsDeleted {
    const NAME: &'static str = "flow-logs-deleted";
    const CALLS: &'static [&'static str] = &[flow_log::DELETE];
    const OPERATIONS: &'static [Operation] = &[
        Operation::reads(flow_log::DESCRIBE),
        EARLIER_STATE_OPERATIONS[0],
        EARLIER_STATE_OPERATIONS[1],
        Operation::changes(flow_log::CREATE),
        Operation::changes(flow_log::DELETE),
        // What EC2 asks for beside `CreateFlowLogs`: for tags, for CloudWatch Logs, for S3 and Firehose.
        Operation::changes("ec2:CreateTags"),
        Operation::changes("iam:PassRole"),
        Operation::changes("logs:CreateLogDelivery"),
        Operation::changes("logs:DeleteLogDelivery"),
    ];

    type Target = Deleted;
    type State = Standing<Known>;
    type Settings = ();
    type Offender = String;

    /// One object or a list, each with its id as a text or below `content`.
    fn hear(&self, signal: &Signal, call: &ApiCall) -> Vec<Heard<Deleted>> {
        let told = field(call.request(), "flowLogId").or_else(|| field(call.request(), "flowLogIds"));
        let ids: BTreeSet<String> = texts(told).into_iter().filter(|text| text.starts_with("fl-")).collect();
        if ids.is_empty() {
            let resource = signal.resource(KIND, "unknown");
            return vec![Heard::unreadable(resource, "the record does not tell which flow logs were deleted")];
        }
        let refused = texts(field(call.response(), "unsuccessful"));
        let heard = |id: String| {
            if refused.contains(&id) {
                let reason = format!("the flow log {id} was not deleted, as the answer says");
                return Heard::harmless(signal.resource(KIND, id), reason);
            }
            let target = Deleted { at: signal.time, token: digest([signal.id.as_str(), &id]) };
            Heard::about(signal.resource(KIND, id), target)
        };
        ids.into_iter().map(heard).collect()
    }

    /// An event never tells what it was.
    fn state_of_event(&self, _: &Resource, _: &Deleted, _: Option<&Standing<Known>>) -> Option<Standing<Known>> {
        None
    }

    async fn read(&self, scope: &Scope, log: &Resource, deleted: &Deleted) -> Result<Standing<Known>, CallError> {
        let (all, earlier) =
            tokio::join!(Box::pin(flow_log::read_all(scope)), Box::pin(scope.earlier_state(log, deleted.at)));
        let all = all?;
        let earlier = match earlier? {
            Some(state) => Definition::of_state(&state).ok_or("what AWS Config saw of it is not whole"),
            None => Err("neither the baseline nor AWS Config knows what it was"),
        };
        let earlier = earlier.map_err(str::to_owned);
        let is_same = |one: &&flow_log::Standing| {
            one.definition.as_ref().zip(earlier.as_ref().ok()).is_some_and(|(live, (was, _))| live == was)
        };
        let same = all.iter().find(is_same);
        let is_there = all.iter().any(|one| one.id == log.id);
        let mut standing = Standing::new(effect);
        standing.facts.extend(same.and_then(|one| one.definition.as_ref()).map(piece));
        Ok(standing.with(Known { is_there, since: same.map(|one| one.since.clone()), earlier }))
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
        let (piece, _) = piece(was);
        if subject.state.get(&piece).is_some() {
            let since = since.as_deref().unwrap_or("later");
            let reason = format!(
                "{gone}; one like it is there since {since}, and what passed {network} in between is not recorded"
            );
            return Assessment::already_safe(reason);
        }
        Assessment::risky(
            format!(
                "{gone}: what passes {network} is not recorded in {destination} from then until one like it is made"
            ),
            vec![Evidence::new([("deleted", id.clone()), ("of", network), ("to", destination)])],
            vec![piece],
        )
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

/// A flow log among the facts, by whose it is and where it goes; and what it is.
fn piece(log: &Definition) -> (String, String) {
    (format!("flow log of {} to {}", log.resource, log.destination()), log.delete().parameters.to_string())
}

fn effect(call: &Call) -> Vec<(String, Option<String>)> {
    let piece = Definition::read(&call.parameters).map(|log| piece(&log));
    let is_made = call.call == flow_log::CREATE;
    piece.into_iter().map(|(name, value)| (name, Some(value).filter(|_| is_made))).collect()
}

#[cfg(test)]
mod tests;
