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
//! that list already calls hostile. Where an ACL has no more room, the block that ends first goes. ACLs of a VPC that
//! another account shares can't be changed: that is told.
//!
//! ## Tags
//! `rescind:block-for`, `rescind:never-block`, `rescind:rule-numbers`, and those of every remediation.
//!
//! ## References
//! Amazon EC2 API: `CreateNetworkAclEntry`, `DeleteNetworkAclEntry`. Amazon VPC user guide: *Network ACL rules*, *Amazon VPC
//! quotas*. Amazon GuardDuty user guide: *UnauthorizedAccess:EC2/SSHBruteForce*. Amazon EventBridge Scheduler user guide: *One-time
//! schedules*.

use std::net::IpAddr;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use ipnet::IpNet;
use rescind::settings::{OwnSettings, SettingsError, TagKey, Tags};
use rescind::signal::{Fact, Involved, Resource, Signal};
use rescind::verdict::{Assessment, Evidence, Offender};
use rescind::{Call, Outcome, Plan, Step, addresses, findings, journal, text};
use rescind_lambda::{CallError, Heard, Operation, Remediation, Scope, Subject};

use crate::blocking::{self as calls, action};
use crate::network_acl::{Acl, State, action as reading};
use crate::{instance, schedule};

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct BlockAddress;

const NAME: &str = "block-address";

const BLOCK_FOR: TagKey = TagKey {
    key: "block-for",
    list: false,
    value: "how long an address is blocked, from the time of the finding: a number and `m`, `h` or `d`",
    default: "`24h`",
};
const NEVER_BLOCK: TagKey = TagKey {
    key: "never-block",
    list: true,
    value: "ranges of which no address is ever blocked",
    default: "none beside those of the account and of AWS",
};
const RULE_NUMBERS: TagKey = TagKey {
    key: "rule-numbers",
    list: false,
    value: "the numbers of network ACL entries that are kept for blocks: `first-last`",
    default: "`1-49`",
};
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

/// The shortest block: GuardDuty takes some minutes until it sends a finding.
const SHORTEST: TimeDelta = TimeDelta::minutes(15);
/// The longest one.
const LONGEST: TimeDelta = TimeDelta::days(365);
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

/// What the owner wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    block_for: TimeDelta,
    never: Vec<IpNet>,
    numbers: (i32, i32),
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
        let Fact::Finding(finding) = &signal.fact else { return Vec::new() };
        let mut callers: Vec<IpAddr> = findings::callers(finding).map(|(address, _)| address).collect();
        callers.sort();
        callers.dedup();
        let kind = text::clean(&finding.kind, 120);
        let hear = |(involved, is_meant): (&Involved, bool)| -> Vec<Heard<Target>> {
            let instance = &involved.resource.id;
            if !is_meant {
                let nobody = || {
                    format!(
                        "nobody is blocked: the finding ({kind}) tells of nobody who called on {instance} and whose address can't be forged"
                    )
                };
                let reason = findings::found_by_owner(finding).unwrap_or_else(nobody);
                return vec![Heard::Harmless { resource: involved.resource.clone(), reason }];
            }
            let about = |address: &IpAddr| {
                let update = signal.time.to_rfc3339_opts(SecondsFormat::Secs, true);
                let resource = Resource { id: format!("{instance}/{address}/{update}"), ..involved.resource.clone() };
                let target = Target {
                    kind: kind.clone(),
                    reason: findings::advice(finding).reason.into_owned(),
                    outcome: Outcome::id_of(signal, NAME, &resource),
                    time: signal.time,
                    instance: instance.clone(),
                    caller: *address,
                };
                Heard::About { resource, target }
            };
            callers.iter().map(about).collect()
        };
        findings::candidates_for(NAME, finding).into_iter().flat_map(hear).collect()
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
        State::read(scope, resource, &target.instance, target.caller).await
    }

    fn assess(&self, subject: &Subject<'_, Self>) -> Assessment<LetIn> {
        let Subject { target, state, settings, .. } = subject;
        let Target { instance: id, caller: address, kind, .. } = target;
        if state.instance.is_none() {
            return Assessment::Harmless { reason: format!("{id} is gone, or about to be ({kind})") };
        }
        if state.read_at + WORTH_IT >= target.time + settings.block_for {
            let reason =
                format!("{address} is not blocked any more: what was found ({kind}) is older than `rescind:block-for`");
            return Assessment::Harmless { reason };
        }
        if let Some(why) = state.spares(*address, &settings.never) {
            return Assessment::Harmless { reason: format!("{address} is not blocked ({kind}): {why}") };
        }
        let why = format!("{address} calls on {id} ({kind}): {}", target.reason);
        let (acls, unknown) = state.in_front();
        let evidence = |acl: &&Acl| {
            let subnets = text::few(acl.subnets.clone());
            let parts = [("finding", kind.clone()), ("address", address.to_string()), ("network_acl", acl.id.clone())];
            Evidence::new(parts.into_iter().chain([("subnets", subnets)]))
        };
        let evidence: Vec<Evidence> = acls.iter().map(evidence).collect();
        let left =
            |reason: String| Assessment::Report { reason: format!("{why}; {reason}"), evidence: evidence.clone() };
        if let Some(subnet) = unknown.first() {
            return left(format!("the network ACL of {subnet} is not this account's, so nobody is blocked"));
        }
        let open: Vec<&&Acl> = acls.iter().filter(|acl| !acl.denies(*address)).collect();
        if open.is_empty() {
            return Assessment::AlreadySafe { reason: format!("{why}; it is kept out already") };
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
        Assessment::Risky { reason: why, evidence, offenders }
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
            let tag = [calls::tag_of(*address, until, &target.outcome)];
            // It is for people, and for making room.
            first.push(Step::planned(calls::tag(acl, &tag), calls::untag(acl, &tag)).may_fail());
            let deny = calls::deny(acl, *address, place.number);
            blocks.push(Step::planned(deny, calls::allow_again(acl, *address, place.number)));
        }
        let steps = Plan::side_by_side(first).into_iter().chain(Plan::side_by_side(blocks)).collect();
        Plan { steps, note: Some(format!("until {}", until.format("%Y-%m-%d %H:%M UTC"))) }
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

impl OwnSettings for Wanted {
    const TAGS: &'static [TagKey] = &[BLOCK_FOR, NEVER_BLOCK, RULE_NUMBERS];

    fn of_tags(tags: &Tags) -> Result<Self, SettingsError> {
        let block_for = match tags.one(BLOCK_FOR.key) {
            None => TimeDelta::hours(24),
            Some(text) => journal::duration(text)
                .filter(|time| (SHORTEST..=LONGEST).contains(time))
                .ok_or_else(|| SettingsError::value(BLOCK_FOR.key, text, "a time from `15m` to `365d`"))?,
        };
        let never = tags.parsed_list(NEVER_BLOCK.key, "ranges such as `192.0.2.0/24`", addresses::parse)?;
        let numbers = match tags.one(RULE_NUMBERS.key) {
            None => (1, 49),
            Some(text) => numbers(text)
                .ok_or_else(|| SettingsError::value(RULE_NUMBERS.key, text, "`first-last`, from 1 to 32766"))?,
        };
        Ok(Self { block_for, never: never.unwrap_or_default(), numbers })
    }
}

/// Reads `1-49`.
fn numbers(text: &str) -> Option<(i32, i32)> {
    let (first, last) = text.split_once('-')?;
    let (first, last): (i32, i32) = (first.parse().ok()?, last.parse().ok()?);
    (1 <= first && first <= last && last <= 32_766).then_some((first, last))
}

#[cfg(test)]
mod tests;
