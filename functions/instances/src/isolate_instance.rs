//! `isolate-instance`: GuardDuty finds that something hostile is on an instance.
//!
//! ## What it takes back
//! The instance's way to the network. In this order: snapshots of its volumes are begun, and the end of its console output is
//! kept; each network interface gets one security group that lets nothing in or out; connections in flight are cut; the
//! instance gets tags that say why and what stood before, and termination protection. It goes on running, for
//! whoever looks into it. An instance on which others merely call is not isolated: its open port is closed.
//!
//! ## Why it is risky
//! It mines, attacks others, takes orders from outside or carries malware; what it can reach inside is next. MITRE ATT&CK
//! T1496, T1071, T1041.
//!
//! ## Example
//! `Backdoor:EC2/C&CActivity.B` with severity 8.0: the two network interfaces of the instance are cut off after three
//! round trips, and connections in flight after six.
//!
//! ## Safety
//! Interrupts all that the instance does, so `rescind:blast-limit` holds. It can be undone: the interfaces get back their
//! groups, the instance its tags and its protection as it was; the snapshots stay, and so do the two groups. Earlier state:
//! live. Connections that are tracked outlive a swap of groups. So, once isolated, an interface gets a group that lets
//! everything through, whose connections are not tracked, and then the isolating one again, which ends them: for a moment
//! it can be reached. `rescind:connections` = `leave` leaves these steps out. At rest that group lets nothing through. Where the isolating
//! group itself lets everything out again, the next finding has it closed and the connections cut. What is always tracked
//! (ICMP; connections by way of load balancers, NAT gateways and interface endpoints) goes on until it ends, and security
//! groups don't filter DNS by the VPC's resolver. Interfaces in other VPCs and branches of a trunk interface are not cut off, and are told. An Auto Scaling group may terminate the instance when it fails its health
//! checks, whatever protects it. `rescind:detach` = `auto-scaling-group` takes it out, if it is in service there, and the group starts another one in
//! its place. `rescind:detach` = `target-groups` takes it out of the target groups of its VPC in which it is registered as an instance, if
//! the VPC has no more than 50. Only then are they read, which takes one or two round trips more before the cut; what can't be read hinders no
//! cut, and the next delivery tries again. An undo attaches it again, beside the one that took its place: the group's desired
//! capacity is one more then, and scale-in protection is as the group gives it to new instances. Where the group's largest size forbids that, or
//! the instance does not run, nothing is undone and the undo says so; ask again when there is room. It is registered again with the same ports; a
//! group that is gone can't be put back, and the undo says that it is missing. Other instances with the same instance profile, so with the
//! same role, are named in the evidence, if the finding tells the profile.
//!
//! ## Tags
//! `rescind:severity`, `rescind:connections`, `rescind:detach`, and those of every remediation.
//!
//! ## References
//! Amazon GuardDuty user guide: *Remediating a potentially compromised Amazon EC2 instance*. Amazon EC2 user guide:
//! *Security group connection tracking*. Amazon EC2 Auto Scaling user guide: *Detach or attach instances from your Auto Scaling
//! group*. AWS Security Incident Response guide: *Containment*.

use rescind::Outcome;
use rescind::findings::Told;
use rescind::signal::Involved;
use rescind_lambda::prelude::*;

use crate::containment::{self as calls, action};
use crate::detachment::{self, Scopes, Targets, Ties};
use crate::instance::{self, ISOLATED, Instance, Interface, Rules, State, UNTRACKED};
use crate::isolation::{Named, Part, Wanted, evidence, leak, limits, marks, parts, prepare};

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct IsolateInstance;

const NAME: &str = "isolate-instance";

const OPERATIONS: &[Operation] = &[
    Operation::reads(instance::action::DESCRIBE),
    Operation::reads(instance::action::DESCRIBE_ATTRIBUTE),
    Operation::reads(instance::action::DESCRIBE_GROUPS),
    Operation::reads(instance::action::DESCRIBE_SNAPSHOTS),
    Operation::reads(instance::action::CONSOLE_OUTPUT),
    Operation::reads(detachment::action::DESCRIBE_MEMBERS),
    Operation::reads(detachment::action::DESCRIBE_TARGET_GROUPS),
    Operation::reads(detachment::action::DESCRIBE_TARGETS),
    Operation::changes(action::CREATE_SNAPSHOTS),
    Operation::changes(action::CREATE_GROUP),
    Operation::changes(action::REVOKE_INGRESS),
    Operation::changes(action::REVOKE_EGRESS),
    Operation::changes(action::AUTHORIZE_INGRESS),
    Operation::changes(action::AUTHORIZE_EGRESS),
    Operation::changes(action::MODIFY_INTERFACE),
    Operation::changes(action::MODIFY_INSTANCE),
    Operation::changes(action::CREATE_TAGS),
    Operation::changes(detachment::action::DETACH),
    Operation::changes(detachment::action::DEREGISTER),
    // Inverses.
    Operation::changes(action::DELETE_TAGS),
    Operation::changes(detachment::action::ATTACH),
    Operation::changes(detachment::action::REGISTER),
];

/// What a finding says of an instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    finding: Told,
    /// The outcome that this will be.
    outcome: String,
    /// The instance as the finding tells it.
    told: Instance,
}

impl Remediation for IsolateInstance {
    const NAME: &'static str = NAME;
    const CALLS: &'static [&'static str] = &[];
    const OPERATIONS: &'static [Operation] = OPERATIONS;
    const INTERRUPTS_SERVICE: bool = true;

    type Target = Target;
    type State = State;
    type Settings = Wanted;
    type Offender = Part;

    fn listen(&self, signal: &Signal) -> Vec<Heard<Target>> {
        let Some(finding) = signal.finding() else { return Vec::new() };
        let about = |Involved { resource, .. }: &Involved| {
            let (outcome, told) =
                (Outcome::id_of(signal, NAME, resource), Instance::told(&finding.detail, &resource.id));
            vec![Heard::about(resource.clone(), Target { finding: Told::of(finding), outcome, told })]
        };
        let left = |Involved { resource: Resource { id, .. }, .. }: &Involved| {
            let called = "others call on it, and nothing tells that it did something itself";
            format!("{id} is left alone: {called} ({})", Told::of(finding).kind)
        };
        Heard::of_finding(NAME, finding, about, left)
    }

    fn state_of_event(&self, _: &Resource, target: &Target, live: Option<&State>) -> Option<State> {
        // What has to be put back, only the live instance tells.
        let told = Some(&target.told).filter(|told| live.is_none() && !told.interfaces.is_empty())?;
        Some(State { instance: Some(told.clone()), is_from_event: true, ..State::default() })
    }

    async fn read(&self, scope: &Scope, resource: &Resource, target: &Target) -> Result<State, CallError> {
        State::read(scope, resource, &target.outcome, target.told.profile.as_deref()).await
    }

    async fn read_further(
        &self,
        scope: &Scope,
        _: &Resource,
        state: State,
        further: Further<'_, Wanted>,
    ) -> Result<State, CallError> {
        let Some(instance) = &state.instance else { return Ok(state) };
        let scopes = match further {
            Further::Wanted(wanted) => Scopes {
                group: wanted.detaches_group,
                targets: if wanted.detaches_targets { Targets::All } else { Targets::None },
            },
            Further::Undone(steps) => Scopes::of_steps(steps.iter().map(|step| &step.call)),
        };
        let ties = Ties::read(scope, &instance.id, &instance.vpc, &scopes).await;
        Ok(State { ties, ..state })
    }

    fn assess(&self, subject: &Subject<'_, Self>) -> Assessment<Part> {
        let Subject { resource, target, state, settings, .. } = subject;
        let (id, finding) = (&resource.id, &target.finding);
        if let Some(reason) = finding.too_mild(id, settings.severity) {
            return Assessment::harmless(reason);
        }
        let Some(instance) = &state.instance else {
            return Assessment::harmless(format!("{id} is gone, or about to be ({finding})"));
        };
        let can_be_used =
            |group: &instance::Group| matches!(group.rules, Rules::Nothing | Rules::AsMade | Rules::HalfClosed);
        if let Some(group) = state.isolated.as_ref().filter(|group| !can_be_used(group)) {
            let reason = format!(
                "{id} is to be isolated ({finding}), and {}, the group for it in {}, lets something through: somebody changed it. Remove its rules",
                group.id, instance.vpc
            );
            return Assessment::unclear(reason);
        }
        let offenders = parts(state, instance, **settings);
        let leak = leak(state, instance).unwrap_or_default();
        let why = format!("{id}: {} ({finding}){leak}{}", finding.reason, limits(&state.ties, instance));
        if offenders.is_empty() {
            return Assessment::already_safe(format!("{why}; it is isolated already"));
        }
        Assessment::risky(why, evidence(state, instance, &finding.kind, target.told.profile.as_ref()), offenders)
    }

    fn plan(&self, subject: &Subject<'_, Self>, offenders: &[Part]) -> Plan {
        let Subject { target, state, settings, .. } = subject;
        let Some(instance) = &state.instance else { return Plan::default() };
        let reachable: Vec<&Interface> = offenders.iter().filter_map(Part::interface).collect();
        let (isolated, untracked) = (
            Named::of(state.isolated.as_ref(), ISOLATED, instance),
            Named::of(state.untracked.as_ref(), UNTRACKED, instance),
        );
        let is_to_close = offenders.contains(&Part::LeftOpen) || (!reachable.is_empty() && settings.cuts_connections);
        let close = calls::close_untracked(&untracked.id).map(|call| Step::lasting(call).may_fail());
        let close = close.into_iter().filter(|_| is_to_close);
        let detach = offenders.iter().filter_map(|part| part.detached(&instance.id));
        // The last is undone first: what AWS may refuse to put back is tried before the instance is let loose.
        let end = marks(state, instance, offenders, &target.outcome, &target.finding.kind)
            .into_iter()
            .chain(close)
            .chain(detach);
        if reachable.is_empty() {
            return Plan::of(Plan::side_by_side(end));
        }
        let mut steps = prepare(state, instance, settings.cuts_connections);
        let snapshots =
            (!state.has_snapshots).then(|| Step::lasting(calls::snapshots(&instance.id, &target.outcome)).may_fail());
        let swap = |interface: &Interface, to: &Named| {
            let call = calls::swap(&interface.id, &to.id);
            // Where an earlier delivery was cut off, its steps tell what stood before.
            let is_begun = state.has_isolating_group(interface) || interface.groups.iter().eq([&untracked.id]);
            if is_begun {
                Step::lasting(call)
            } else {
                Step::planned(call, calls::swap_back(&interface.id, &interface.groups))
            }
        };
        let standing = reachable.iter().filter(|interface| !state.has_isolating_group(interface));
        let first = snapshots.into_iter().chain(standing.map(|interface| swap(interface, &isolated)));
        if settings.cuts_connections {
            let last = reachable.iter().map(|interface| swap(interface, &isolated));
            let open = || calls::open_untracked(&untracked.id).map(Step::lasting);
            steps.extend(Plan::side_by_side(first.chain(open())));
            steps.extend(Plan::side_by_side(reachable.iter().map(|interface| swap(interface, &untracked))));
            // Whoever isolated another instance of the VPC may have closed it meanwhile, and connections would go on.
            steps.extend(Plan::side_by_side(open()));
            steps.extend(Plan::side_by_side(last.chain(end)));
        } else {
            steps.extend(Plan::side_by_side(first.chain(end)));
        }
        Plan::of(steps)
    }

    async fn make(&self, scope: &Scope, call: &Call) -> Result<(), CallError> {
        if detachment::is_own(call) { detachment::make(scope, call).await } else { calls::make(scope, call).await }
    }
}

#[cfg(test)]
mod tests;
