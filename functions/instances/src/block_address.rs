//! `block-address`: GuardDuty finds that somebody outside guesses passwords of an instance, or is on the owner's threat list.
//!
//! ## What it takes back
//! The way of that one address to the instance, for a time: the network ACL of each subnet in which the instance has a network
//! interface gets an inbound entry that denies it. The entry stands before all that would let the address in, within the numbers of
//! `rescind:rule-numbers`. The block ends by itself: a one-time schedule of EventBridge Scheduler has the outcome undone.
//!
//! ## Why it is risky
//! Who guesses passwords long enough finds one. MITRE ATT&CK T1110.
//!
//! ## Example
//! `UnauthorizedAccess:EC2/SSHBruteForce` from `198.51.100.7` on an instance: entry 1 of the ACL denies `198.51.100.7/32` for 24 hours.
//!
//! ## Safety
//! Interrupts whatever the address does with any instance in these subnets, so `rescind:blast-limit` holds. It can be undone, by a person
//! at once and by the schedule at its end. Earlier state: live. Never blocked: private ranges, the account's own addresses in the Region
//! (Elastic IP addresses and those of network interfaces and NAT gateways), the ranges of AWS's own prefix lists, and `rescind:never-block`.
//! Never for a source that can be forged: a probed port, UDP; and never an address that the instance itself called. An address counts where
//! TCP connections carried guessed passwords, or where one came from whom the owner's own list has: a forged sender could have cut off only whom
//! that list already calls hostile. Where an ACL has no more room, the block that ends first goes. No end of a block ends a later one of the
//! same address. ACLs of a VPC that another account shares can't be changed: that is told.
//!
//! ## Tags
//! `rescind:block-for`, `rescind:never-block`, `rescind:rule-numbers`, and those of every remediation.
//!
//! ## References
//! Amazon EC2 API: `CreateNetworkAclEntry`, `DeleteNetworkAclEntry`. Amazon VPC user guide: *Network ACL rules*, *Amazon VPC
//! quotas*. Amazon GuardDuty user guide: *UnauthorizedAccess:EC2/SSHBruteForce*. Amazon EventBridge Scheduler user guide: *One-time
//! schedules*.

use std::collections::BTreeSet;
use std::net::IpAddr;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use rescind::Outcome;
use rescind::findings::{self, Told};
use rescind::signal::Involved;
use rescind_lambda::prelude::*;

use crate::blocking::{self as calls, Wanted, action};
use crate::network_acl::{Acl, State, action as reading};
use crate::{instance, schedule};

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct BlockAddress;

const NAME: &str = "block-address";

const OPERATIONS: &[Operation] = &[
    Operation::reads(instance::action::DESCRIBE),
    Operation::reads(reading::DESCRIBE_ACLS),
    Operation::reads(reading::DESCRIBE_ADDRESSES),
    Operation::reads(reading::DESCRIBE_GATEWAYS),
    Operation::reads(reading::DESCRIBE_INTERFACES),
    Operation::reads(reading::DESCRIBE_LISTS),
    Operation::reads(reading::GET_LIST),
    Operation::changes(schedule::action::CREATE),
    Operation::changes(action::CREATE_TAGS),
    Operation::changes(action::CREATE_ENTRY),
    // The inverses, and what makes room.
    Operation::changes(action::DELETE_TAGS),
    Operation::changes(action::DELETE_ENTRY),
];

/// What is left of a block has to be worth it, and in the future when Scheduler hears of it.
const WORTH_IT: TimeDelta = TimeDelta::minutes(2);

/// What a finding says.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// The finding's type; cleaned.
    kind: String,
    /// Why.
    reason: String,
    /// The outcome that this will be.
    outcome: String,
    /// When it was found, or found again.
    time: DateTime<Utc>,
    /// The instance.
    instance: String,
    /// Who called; nobody whose address can be forged.
    caller: IpAddr,
}

/// An address that a network ACL lets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetIn {
    acl: String,
    address: IpAddr,
}

impl Remediation for BlockAddress {
    const NAME: &'static str = NAME;
    const CALLS: &'static [&'static str] = &[];
    const OPERATIONS: &'static [Operation] = OPERATIONS;
    const INTERRUPTS_SERVICE: bool = true;

    type Target = Target;
    type State = State;
    type Settings = Wanted;
    type Offender = LetIn;

    /// Who attacks an instance gets, together with all others who do, one finding, which tells of the latest of them in each of its updates. So each
    /// address and each update is a resource of its own here: what stands already is safe, and whoever is new, or comes again after
    /// a block has ended, is blocked.
    fn listen(&self, signal: &Signal) -> Vec<Heard<Target>> {
        let Some(finding) = signal.finding() else { return Vec::new() };
        let callers: BTreeSet<IpAddr> = findings::callers(finding).map(|(address, _)| address).collect();
        let Told { kind, reason, .. } = Told::of(finding);
        let about = |involved: &Involved| {
            let hear = |caller: &IpAddr| {
                let (instance, time) = (involved.resource.id.clone(), signal.time);
                let id = format!("{instance}/{caller}/{}", time.to_rfc3339_opts(SecondsFormat::Secs, true));
                let resource = Resource { id, ..involved.resource.clone() };
                let outcome = Outcome::id_of(signal, NAME, &resource);
                let (kind, reason) = (kind.clone(), reason.clone());
                Heard::about(resource, Target { kind, reason, outcome, time, instance, caller: *caller })
            };
            callers.iter().map(hear).collect()
        };
        let left = |involved: &Involved| {
            let id = &involved.resource.id;
            let nobody = format!("tells of nobody who called on {id} and whose address can't be forged");
            format!("nobody is blocked: the finding ({kind}) {nobody}")
        };
        Heard::of_finding(NAME, finding, about, left)
    }

    /// The instance and the address.
    fn remembered_as<'a>(&self, id: &'a str) -> &'a str {
        id.rsplit_once('/').map_or(id, |(instance_and_address, _)| instance_and_address)
    }

    fn state_of_event(&self, _: &Resource, _: &Target, _: Option<&State>) -> Option<State> {
        // No finding tells of network ACLs.
        None
    }

    async fn read(&self, scope: &Scope, resource: &Resource, target: &Target) -> Result<State, CallError> {
        State::read(scope, resource, &target.instance, target.caller, &target.outcome).await
    }

    fn assess(&self, subject: &Subject<'_, Self>) -> Assessment<LetIn> {
        let Subject { target, state, settings, .. } = subject;
        let Target { instance: id, caller: address, kind, .. } = target;
        if state.instance.is_none() {
            return Assessment::harmless(format!("{id} is gone, or about to be ({kind})"));
        }
        if state.read_at + WORTH_IT >= target.time + settings.block_for {
            let reason =
                format!("{address} is not blocked any more: what was found ({kind}) is older than `rescind:block-for`");
            return Assessment::harmless(reason);
        }
        if let Some(why) = state.spares(*address, &settings.never) {
            return Assessment::harmless(format!("{address} is not blocked ({kind}): {why}"));
        }
        let why = format!("{address} calls on {id} ({kind}): {}", target.reason);
        let (acls, unknown) = state.in_front();
        let evidence = |acl: &&Acl| {
            let subnets = few(acl.subnets.clone());
            let parts = [("finding", kind.clone()), ("address", address.to_string()), ("network_acl", acl.id.clone())];
            Evidence::new(parts.into_iter().chain([("subnets", subnets)]))
        };
        let evidence: Vec<Evidence> = acls.iter().map(evidence).collect();
        let left = |reason: String| Assessment::report(format!("{why}; {reason}"), evidence.clone());
        if let Some(subnet) = unknown.first() {
            return left(format!("the network ACL of {subnet} is not this account's, so nobody is blocked"));
        }
        let open: Vec<&&Acl> = acls.iter().filter(|acl| !acl.denies(*address)).collect();
        if open.is_empty() {
            return Assessment::already_safe(format!("{why}; it is kept out already"));
        }
        if let Some(full) = open.iter().find(|acl| acl.place(*address, settings.numbers).is_none()) {
            let (first, last) = settings.numbers;
            return left(format!(
                "{} has no room for one more entry of {first} to {last} before those that let it in, and no block there that could go",
                full.id
            ));
        }
        if state.expiry.is_none() {
            return left(
                "no end of a block can be scheduled, so none is made: RESCIND_EXPIRY_ROLE and RESCIND_CONSOLE are not set".to_owned(),
            );
        }
        let offenders = open.iter().map(|acl| LetIn { acl: acl.id.clone(), address: *address }).collect();
        Assessment::risky(why, evidence, offenders)
    }

    fn plan(&self, subject: &Subject<'_, Self>, offenders: &[LetIn]) -> Plan {
        let Subject { target, state, settings, .. } = subject;
        let Some(expiry) = &state.expiry else { return Plan::default() };
        let until = target.time + settings.block_for;
        let end = Step::lasting(schedule::undo_at(expiry, &target.outcome, until));
        // First its end, since a block that nothing ends must not stand, and room for it; then the block.
        let mut first = vec![end];
        let mut blocks = Vec::new();
        for LetIn { acl, address } in offenders {
            let standing = state.acls.iter().find(|one| one.id == *acl);
            let Some(place) = standing.and_then(|acl| acl.place(*address, settings.numbers)) else { continue };
            if let Some((entry, tag)) = &place.displaced {
                first.push(Step::lasting(calls::allow_again(acl, entry.source.addr(), entry.number)));
                first.push(Step::lasting(calls::untag(acl, std::slice::from_ref(tag))).may_fail());
            }
            let tag = calls::tag_of(*address, until, &target.outcome, place.number);
            let end = calls::end(acl, *address, place.number, &tag);
            blocks.push(Step::planned(calls::deny(acl, *address, place.number), end));
            // It is for people, for making room, and for ending no block of another outcome.
            let tag = [tag];
            first.push(Step::planned(calls::tag(acl, &tag), calls::untag(acl, &tag)).may_fail());
        }
        let steps = Plan::side_by_side(first).into_iter().chain(Plan::side_by_side(blocks));
        Plan::of(steps).noting(format!("until {}", until.format("%Y-%m-%d %H:%M UTC")))
    }

    async fn make(&self, scope: &Scope, call: &Call) -> Result<(), CallError> {
        calls::make(scope, call).await
    }
}

impl Offender for LetIn {
    fn fingerprint(&self) -> String {
        format!("{} in {}", self.address, self.acl)
    }
}

#[cfg(test)]
mod tests;
