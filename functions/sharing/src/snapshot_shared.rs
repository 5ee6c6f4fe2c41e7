//! `snapshot-shared`: strangers, or everybody, may make volumes of a snapshot, and so read the disk that it was taken of.
//!
//! ## What it takes back
//! The permissions to make volumes that one call of `ModifySnapshotAttribute` added: that of `all`, and those of accounts that are neither
//! ours nor trusted. Other accounts that the same call added keep theirs.
//!
//! ## Why it is risky
//! Whoever may make a volume of a snapshot has a copy of the whole disk, with the keys and the data on it, and leaves no trace in this
//! account while reading it. Security Hub control EC2.1; MITRE ATT&CK T1537.
//!
//! ## Example
//! `aws ec2 modify-snapshot-attribute --snapshot-id snap-… --create-volume-permission "Add=[{Group=all}]"`: seconds later nobody else may
//! use it.
//!
//! ## Safety
//! Volumes and copies that were made meanwhile stay with who made them. It can be undone: the same accounts get the permission again.
//! Earlier state: the event. It does not tell an account that had the permission before and is added once more: that one loses it, too,
//! unless it is trusted.
//!
//! ## Tags
//! Those of every remediation; `rescind:trusted-accounts` tells who is no stranger.
//!
//! ## References
//! Amazon EC2 API: `ModifySnapshotAttribute`, `DescribeSnapshotAttribute`. Amazon EBS user guide: *Share an Amazon EBS snapshot with other
//! AWS accounts*.

use rescind_lambda::prelude::*;

use crate::snapshot::{self, MODIFY};

#[cfg(test)]
mod tests;

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct SnapshotShared;

impl Remediation for SnapshotShared {
    const NAME: &'static str = "snapshot-shared";
    const CALLS: &'static [&'static str] = &[MODIFY];
    const OPERATIONS: &'static [Operation] = snapshot::OPERATIONS;

    /// Whom the call let in: accounts, and `all`.
    type Target = Vec<String>;
    /// A piece for each that is let in.
    type State = Standing;
    type Settings = ();
    type Offender = String;

    fn hear(&self, signal: &Signal, call: &ApiCall) -> Vec<Heard<Vec<String>>> {
        snapshot::heard(signal, call)
    }

    fn state_of_event(&self, _: &Resource, target: &Vec<String>, live: Option<&Standing>) -> Option<Standing> {
        let standing = snapshot::standing().tagged_as(live);
        Some(target.iter().fold(standing, |standing, who| standing.fact(who, true)))
    }

    async fn read(&self, scope: &Scope, resource: &Resource, _: &Vec<String>) -> Result<Standing, CallError> {
        snapshot::read(scope, resource).await
    }

    fn assess(&self, subject: &Subject<'_, Self>) -> Assessment<String> {
        let Subject { resource, target, state, .. } = subject;
        let friends = subject.friends();
        let strangers: Vec<String> = target.iter().filter(|who| !friends.has_account(who)).cloned().collect();
        let names = |who: &[String]| few(who.iter().map(|who| snapshot::named(who)).collect());
        if strangers.is_empty() {
            let reason = format!("{} was shared with {}, ours or trusted", resource.id, names(target));
            return Assessment::harmless(reason);
        }
        let reason = format!("{} lets {} make volumes of it, neither ours nor trusted", resource.id, names(&strangers));
        let offenders: Vec<String> = strangers.into_iter().filter(|who| state.get(who).is_some()).collect();
        if offenders.is_empty() {
            return Assessment::already_safe(format!("{reason}; that is over already"));
        }
        let evidence = offenders
            .iter()
            .map(|who| Evidence::new([("snapshot", resource.id.clone()), ("shared with", snapshot::named(who))]));
        Assessment::risky(reason, evidence.collect(), offenders)
    }

    fn plan(&self, subject: &Subject<'_, Self>, offenders: &[String]) -> Plan {
        let modify = |operation| snapshot::modify(subject.resource, operation, offenders);
        Plan::of([Step::planned(modify("remove"), modify("add"))])
    }

    async fn make(&self, scope: &Scope, call: &Call) -> Result<(), CallError> {
        snapshot::make(scope, call).await
    }
}
