//! What of an instance is not contained yet, and the steps that contain it.

use rescind::settings::SEVERITY;
use rescind::signal::Severity;
use rescind_lambda::prelude::*;

use crate::containment as calls;
use crate::detachment::{self, GROUP_FACT, MOST_TARGET_GROUPS, Ties};
use crate::instance::{self, ISOLATED, Instance, Interface, Rules, State, UNTRACKED};

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

/// What the owner wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// The mildest finding that has an instance isolated.
    pub severity: Severity,
    /// Whether connections in flight are cut.
    pub cuts_connections: bool,
    /// Whether it is taken out of its Auto Scaling group.
    pub detaches_group: bool,
    /// Whether it is taken out of its target groups.
    pub detaches_targets: bool,
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

impl OwnSettings for Wanted {
    const TAGS: &'static [TagKey] = &[SEVERITY, CONNECTIONS, DETACH];

    fn of_tags(tags: &Tags) -> Result<Self, SettingsError> {
        let severity = tags.severity()?;
        let cuts_connections = !tags.departs(CONNECTIONS.key, "cut", "leave")?;
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
    /// The interface that can be reached.
    pub fn interface(&self) -> Option<&Interface> {
        match self {
            Self::Reachable(interface) => Some(interface),
            _ => None,
        }
    }

    /// The step that takes an instance out of it.
    pub fn detached(&self, instance: &str) -> Option<Step> {
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

/// What is not contained yet.
pub fn parts(state: &State, instance: &Instance, settings: Wanted) -> Vec<Part> {
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

/// That the group by which an instance is cut off lets something out, for the outcome's sentence: somebody gave it rules again, or closed
/// it only half.
pub fn leak(state: &State, instance: &Instance) -> Option<String> {
    let is_leaking = |interface: &&Interface| state.has_isolating_group(interface) && !state.is_isolated(interface);
    let group = instance.interfaces.iter().find(is_leaking).and(state.isolated.as_ref())?;
    Some(format!("; {}, which is to isolate it, lets something out", group.id))
}

/// What could not be looked at of that which the owner wants it taken out of, for the outcome's sentence.
pub fn limits(ties: &Ties, instance: &Instance) -> String {
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
#[derive(Debug)]
pub struct Named {
    /// The id.
    pub id: String,
}

impl Named {
    /// The group of this name in the VPC of an instance.
    pub fn of(group: Option<&instance::Group>, name: &str, instance: &Instance) -> Self {
        Self { id: group.map_or_else(|| calls::unmade(name, &instance.vpc), |group| group.id.clone()) }
    }
}

/// Makes the groups by which instances of a VPC are cut off, as far as they are not there.
pub fn prepare(state: &State, instance: &Instance, cuts_connections: bool) -> Vec<Step> {
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

/// Tags and protection, for the outcome of this id.
pub fn marks(standing: &State, instance: &Instance, offenders: &[Part], outcome: &str, finding: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    if offenders.contains(&Part::Unmarked) {
        let mut tags = vec![
            ("rescind:isolated".to_owned(), outcome.to_owned()),
            ("rescind:finding".to_owned(), finding.to_owned()),
        ];
        // As many as there is room for, and as are known where another delivery began; the journal has them all.
        for interface in instance.interfaces.iter().take(6).filter(|one| !standing.has_isolating_group(one)) {
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

/// The instance and its interfaces, for a finding of this type that tells this instance profile.
pub fn evidence(state: &State, instance: &Instance, finding: &str, profile: Option<&String>) -> Vec<Evidence> {
    let mut parts = vec![("finding", finding.to_owned()), ("instance", clean(&instance.description, 400))];
    if let Some(group) = instance.tags.iter().find(|(key, _)| key == "aws:autoscaling:groupName") {
        parts.push(("auto_scaling_group", clean(&group.1, 100)));
    }
    // They have the same role, whose sessions may have been taken from here.
    if instance.profile.is_some() && instance.profile.as_ref() == profile && !state.sharers.is_empty() {
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
