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
//! it can be reached. `rescind:connections` = `leave` leaves these steps out. At rest that group lets nothing through. What is always tracked
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

use rescind::findings;
use rescind::settings::{OwnSettings, SEVERITY, SettingsError, TagKey, Tags};
use rescind::signal::{Fact, Involved, Resource, Severity, Signal, field, items, text};
use rescind::text::{clean, few};
use rescind::verdict::{Assessment, Evidence, Offender};
use rescind::{Call, Outcome, Plan, Step};
use rescind_lambda::{CallError, Further, Heard, Operation, Remediation, Scope, Subject};

use crate::containment::{self as calls, action};
use crate::detachment::{self, GROUP_FACT, MOST_TARGET_GROUPS, Scopes, Targets, Ties};
use crate::instance::{self, ISOLATED, Instance, Interface, Rules, State, UNTRACKED};

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct IsolateInstance;

const NAME: &str = "isolate-instance";

const CONNECTIONS: TagKey = TagKey {
    key: "connections",
    list: false,
    value: "`cut` or `leave`: what becomes of connections in flight",
    default: "`cut`",
};
const DETACH: TagKey = TagKey {
    key: "detach",
    list: true,
    value: "`auto-scaling-group`, `target-groups`: what the instance is taken out of, besides",
    default: "neither",
};
/// An instance may have 50 tags; ours would not fit beside more than these.
const MOST_TAGS: usize = 40;

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
    /// The finding's type; cleaned.
    kind: String,
    /// How bad it is.
    severity: Option<Severity>,
    /// Why it calls for isolation.
    reason: String,
    /// The outcome that this will be.
    outcome: String,
    /// The instance as the finding tells it.
    told: Instance,
}

/// What the owner wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    severity: Severity,
    cuts_connections: bool,
    detaches_group: bool,
    detaches_targets: bool,
}

/// A part of an instance that is not contained yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// A network interface that can be reached.
    Reachable(Interface),
    /// Nothing tells why it is isolated.
    Unmarked,
    /// Whoever may can terminate it.
    Unprotected,
    /// The group by which connections are cut was left open by a delivery that was cut off.
    LeftOpen,
    /// The Auto Scaling group that it is in, and is to be taken out of.
    InGroup(String),
    /// A target group, by its ARN, in which it is registered with these ports, and is to be taken out of.
    InTargetGroup(String, Vec<i32>),
    /// What it is to be taken out of, and could not be read.
    Unread(&'static str),
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
        let Fact::Finding(finding) = &signal.fact else { return Vec::new() };
        let hear = |(involved, is_meant): (&Involved, bool)| {
            let (resource, kind) = (involved.resource.clone(), clean(&finding.kind, 120));
            if !is_meant {
                let id = &resource.id;
                let called = || {
                    format!(
                        "{id} is left alone: others call on it, and nothing tells that it did something itself ({kind})"
                    )
                };
                let reason = findings::found_by_owner(finding).unwrap_or_else(called);
                return Heard::Harmless { resource, reason };
            }
            let target = Target {
                kind,
                severity: finding.severity,
                reason: findings::advice(finding).reason.into_owned(),
                outcome: Outcome::id_of(signal, NAME, &resource),
                told: told(&finding.detail, &resource.id),
            };
            Heard::About { resource, target }
        };
        findings::candidates_for(NAME, finding).into_iter().map(hear).collect()
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
        let finding = match target.severity {
            Some(severity) => format!("{}, severity {severity}", target.kind),
            None => format!("{}, without a severity", target.kind),
        };
        let id = &resource.id;
        if target.severity.is_none_or(|severity| severity < settings.severity) {
            let reason = format!("{id} is left alone: {finding}; `rescind:severity` asks for {}", settings.severity);
            return Assessment::Harmless { reason };
        }
        let Some(instance) = &state.instance else {
            return Assessment::Harmless { reason: format!("{id} is gone, or about to be ({finding})") };
        };
        let can_be_used =
            |group: &instance::Group| matches!(group.rules, Rules::Nothing | Rules::AsMade | Rules::HalfClosed);
        if let Some(group) = state.isolated.as_ref().filter(|group| !can_be_used(group)) {
            let reason = format!(
                "{id} is to be isolated ({finding}), and {}, the group for it in {}, lets something through: somebody changed it. Remove its rules",
                group.id, instance.vpc
            );
            return Assessment::Unclear { reason };
        }
        let offenders = parts(state, instance, **settings);
        let why = format!("{id}: {} ({finding}){}", target.reason, limits(&state.ties, instance));
        if offenders.is_empty() {
            return Assessment::AlreadySafe { reason: format!("{why}; it is isolated already") };
        }
        Assessment::Risky { reason: why, evidence: evidence(state, instance, target), offenders }
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
        let end = marks(subject, instance, offenders).into_iter().chain(close).chain(detach);
        if reachable.is_empty() {
            return Plan { steps: Plan::side_by_side(end), note: None };
        }
        let mut steps = prepare(state, instance, settings.cuts_connections);
        let snapshots =
            (!state.has_snapshots).then(|| Step::lasting(calls::snapshots(&instance.id, &target.outcome)).may_fail());
        let swap = |interface: &Interface, to: &Named| {
            let call = calls::swap(&interface.id, &to.id);
            // Where an earlier delivery was cut off, its steps tell what stood before.
            let is_begun = state.is_isolated(interface) || interface.groups.iter().eq([&untracked.id]);
            if is_begun {
                Step::lasting(call)
            } else {
                Step::planned(call, calls::swap_back(&interface.id, &interface.groups))
            }
        };
        let standing = reachable.iter().filter(|interface| !state.is_isolated(interface));
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
        Plan { steps, note: None }
    }

    async fn make(&self, scope: &Scope, call: &Call) -> Result<(), CallError> {
        if detachment::is_own(call) { detachment::make(scope, call).await } else { calls::make(scope, call).await }
    }
}

impl OwnSettings for Wanted {
    const TAGS: &'static [TagKey] = &[SEVERITY, CONNECTIONS, DETACH];

    fn of_tags(tags: &Tags) -> Result<Self, SettingsError> {
        let severity = tags.severity()?;
        let cuts_connections = match tags.one(CONNECTIONS.key) {
            None | Some("cut") => true,
            Some("leave") => false,
            Some(other) => return Err(SettingsError::value(CONNECTIONS.key, other, "`cut` or `leave`")),
        };
        let out_of = |word: &str| ["auto-scaling-group", "target-groups"].into_iter().find(|known| *known == word);
        let expected = "`auto-scaling-group`, `target-groups`";
        let detach = tags.parsed_list(DETACH.key, expected, out_of)?.unwrap_or_default();
        let (detaches_group, detaches_targets) =
            (detach.contains(&"auto-scaling-group"), detach.contains(&"target-groups"));
        Ok(Self { severity, cuts_connections, detaches_group, detaches_targets })
    }
}

impl Offender for Part {
    fn fingerprint(&self) -> String {
        match self {
            Self::Reachable(interface) => format!("network interface {}", interface.id),
            Self::Unmarked => "marks".to_owned(),
            Self::Unprotected => "termination protection".to_owned(),
            Self::LeftOpen => format!("rules of {UNTRACKED}"),
            Self::InGroup(_) => GROUP_FACT.to_owned(),
            Self::InTargetGroup(arn, _) => detachment::target_fact(arn),
            Self::Unread(what) => (*what).to_owned(),
        }
    }
}

impl Part {
    fn interface(&self) -> Option<&Interface> {
        match self {
            Self::Reachable(interface) => Some(interface),
            _ => None,
        }
    }

    /// The step that takes an instance out of it.
    fn detached(&self, instance: &str) -> Option<Step> {
        match self {
            Self::InGroup(group) => {
                Some(Step::planned(detachment::detach(group, instance), detachment::attach(group, instance)))
            }
            Self::InTargetGroup(group, ports) => Some(Step::planned(
                detachment::deregister(group, instance, ports),
                detachment::register(group, instance, ports),
            )),
            _ => None,
        }
    }
}

/// The instance as a finding tells it: its interfaces and their groups.
fn told(detail: &serde_json::Value, id: &str) -> Instance {
    let details = field(detail, "resource").and_then(|resource| field(resource, "instanceDetails"));
    let details = details.filter(|details| text(details, "instanceId") == Some(id));
    let interfaces = items(details.and_then(|details| field(details, "networkInterfaces")));
    let interface = |interface: &&serde_json::Value| {
        let groups = items(field(interface, "securityGroups"));
        let groups = groups.into_iter().filter_map(|group| text(group, "groupId").map(str::to_owned)).collect();
        Some(Interface { id: text(interface, "networkInterfaceId")?.to_owned(), groups })
    };
    let vpc = interfaces.iter().find_map(|interface| text(interface, "vpcId")).unwrap_or("its VPC");
    let profile = details.and_then(|details| field(details, "iamInstanceProfile"));
    let profile = profile.and_then(|profile| text(profile, "arn"));
    Instance {
        id: id.to_owned(),
        vpc: vpc.to_owned(),
        description: "as the finding tells it".to_owned(),
        profile: profile.map(str::to_owned),
        interfaces: interfaces.iter().filter_map(interface).collect(),
        ..Instance::default()
    }
}

fn parts(state: &State, instance: &Instance, settings: Wanted) -> Vec<Part> {
    let can_be_marked = instance.tags.len() <= MOST_TAGS;
    let is_marked = instance.tags.iter().any(|(key, _)| key == "rescind:isolated");
    // The mark comes last. Without it, connections in flight may not have been cut yet.
    let is_begun_at_most = settings.cuts_connections && can_be_marked && !is_marked;
    let reachable = instance.interfaces.iter().filter(|interface| is_begun_at_most || !state.is_isolated(interface));
    let mut parts: Vec<Part> = reachable.cloned().map(Part::Reachable).collect();
    if !is_marked && can_be_marked {
        parts.push(Part::Unmarked);
    }
    if !instance.is_protected && !instance.is_spot {
        parts.push(Part::Unprotected);
    }
    let is_open = |group: &instance::Group| !matches!(group.rules, Rules::Nothing | Rules::HalfClosed | Rules::Others);
    if state.untracked.as_ref().is_some_and(is_open) {
        parts.push(Part::LeftOpen);
    }
    if settings.detaches_targets {
        let registered = state.ties.targets.iter();
        parts.extend(registered.map(|(group, ports)| Part::InTargetGroup(group.clone(), ports.clone())));
    }
    if let Some(member) = state.ties.group.as_ref().filter(|member| settings.detaches_group && member.is_in_service) {
        parts.push(Part::InGroup(member.group.clone()));
    }
    parts.extend(state.ties.unread.iter().map(|(what, _)| Part::Unread(what)));
    parts
}

/// What could not be looked at of that which the owner wants it taken out of, for the outcome's sentence.
fn limits(ties: &Ties, instance: &Instance) -> String {
    let unread =
        ties.unread.iter().map(|(what, problem)| format!("; its {what} could not be read: {}", clean(problem, 200)));
    let too_many = ties.has_too_many_target_groups.then(|| {
        format!("; its target groups were not looked at: {} has more than {MOST_TARGET_GROUPS}", instance.vpc)
    });
    let waiting = ties.group.as_ref().filter(|member| !member.is_in_service).map(|member| {
        format!("; it stays in the Auto Scaling group {}, in which it is not in service", clean(&member.group, 100))
    });
    let uncut = instance.uncut.iter().map(|what| format!("; {}", clean(what, 200)));
    unread.chain(too_many).chain(waiting).chain(uncut).collect()
}

/// One of our groups: its id, or what stands for it until it is made.
struct Named {
    id: String,
}

impl Named {
    fn of(group: Option<&instance::Group>, name: &str, instance: &Instance) -> Self {
        Self { id: group.map_or_else(|| calls::unmade(name, &instance.vpc), |group| group.id.clone()) }
    }
}

/// Makes the groups by which instances of a VPC are cut off, as far as they are not there.
fn prepare(state: &State, instance: &Instance, cuts_connections: bool) -> Vec<Step> {
    let make = |name: &str| Step::lasting(calls::create_group(name, &instance.vpc));
    let isolated = state.isolated.is_none().then(|| make(ISOLATED));
    let untracked = (cuts_connections && state.untracked.is_none()).then(|| make(UNTRACKED));
    let mut steps = Plan::side_by_side(isolated.into_iter().chain(untracked));
    if state.isolated.as_ref().is_none_or(|group| group.rules != Rules::Nothing) {
        let [v4, v6] = calls::close_isolated(&Named::of(state.isolated.as_ref(), ISOLATED, instance).id);
        // Whether it lets nothing through then, is looked at before it is used.
        steps.extend([Step::lasting(v4), Step::lasting(v6).may_fail().beside()]);
    }
    steps
}

/// Tags and protection.
fn marks(subject: &Subject<'_, IsolateInstance>, instance: &Instance, offenders: &[Part]) -> Vec<Step> {
    let Subject { target, .. } = subject;
    let mut steps = Vec::new();
    if offenders.contains(&Part::Unmarked) {
        let mut tags = vec![
            ("rescind:isolated".to_owned(), target.outcome.clone()),
            ("rescind:finding".to_owned(), target.kind.clone()),
        ];
        // As many as there is room for, and as are known where another delivery began; the journal has them all.
        for interface in instance.interfaces.iter().take(6).filter(|one| !subject.state.is_isolated(one)) {
            let groups: String = interface.groups.join(",").chars().take(256).collect();
            tags.push((format!("rescind:groups-of-{}", interface.id), groups));
        }
        let old = |tag: &(String, String)| instance.tags.iter().find(|(key, _)| *key == tag.0).cloned();
        let (stale, fresh): (Vec<_>, Vec<_>) = tags.into_iter().partition(|tag| old(tag).is_some());
        steps.push(Step::planned(calls::tag(&instance.id, &fresh), calls::untag(&instance.id, &fresh)));
        if !stale.is_empty() {
            let before: Vec<(String, String)> = stale.iter().filter_map(old).collect();
            steps.push(Step::planned(calls::tag(&instance.id, &stale), calls::tag(&instance.id, &before)));
        }
    }
    if offenders.contains(&Part::Unprotected) {
        steps.push(Step::planned(calls::protect(&instance.id, true), calls::protect(&instance.id, false)));
    }
    steps
}

fn evidence(state: &State, instance: &Instance, target: &Target) -> Vec<Evidence> {
    let mut parts = vec![("finding", target.kind.clone()), ("instance", clean(&instance.description, 400))];
    if let Some(group) = instance.tags.iter().find(|(key, _)| key == "aws:autoscaling:groupName") {
        parts.push(("auto_scaling_group", clean(&group.1, 100)));
    }
    // They have the same role, whose sessions may have been taken from here.
    if instance.profile.is_some() && instance.profile == target.told.profile && !state.sharers.is_empty() {
        parts.push(("shares_instance_profile_with", few(state.sharers.clone())));
    }
    if let Some(console) = state.console.as_ref().filter(|console| !console.trim().is_empty()) {
        parts.push(("console", console.clone()));
    }
    let mut evidence = vec![Evidence::new(parts)];
    evidence.extend(
        instance.interfaces.iter().map(|interface| {
            Evidence::new([("interface", interface.id.clone()), ("groups", interface.groups.join(" "))])
        }),
    );
    evidence
}

#[cfg(test)]
mod tests;
