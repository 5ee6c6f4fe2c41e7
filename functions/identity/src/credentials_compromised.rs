//! `credentials-compromised`: GuardDuty finds that somebody else uses an access key or the session of a role.
//!
//! ## What it takes back
//! The use of the credentials. A long-term access key is deactivated. For a role, everything is denied to the sessions
//! that were issued before the finding was sent out, by the inline policy `AWSRevokeOlderSessions`, as the IAM console
//! does it; sessions issued after that work. What else stands in a policy of that name is kept. Whose key it is, IAM is
//! asked, and a role is the one that is meant only if it has the unique id that the finding tells.
//!
//! On the owner's word alone (`rescind:instance-roles`), so does the role of an instance on which something hostile is, by the findings
//! that have it isolated: whoever was on it may have taken its credentials along.
//!
//! ## Why it is risky
//! Whoever has the credentials has all that their holder may do, from anywhere. MITRE ATT&CK T1078.004, T1552.005.
//!
//! ## Example
//! `UnauthorizedAccess:IAMUser/InstanceCredentialExfiltration.OutsideAWS` with severity 8.0: the sessions of the
//! instance's role are denied everything until the instance gets new credentials.
//!
//! ## Safety
//! Interrupts whoever uses the key or a session of the role honestly, so `rescind:blast-limit` holds. EC2 gives an
//! instance new credentials before the old ones expire, which takes up to six hours; stopping and starting it gets new
//! ones at once. It can be undone: the key gets the state that it had, the role the policy that it had, or none; sessions
//! that have not expired work again. Where somebody has changed the key or the policy since, the undo refuses. Earlier
//! state: live. Nobody is locked out of the account by a finding. Told, and left to a person, are: the root user;
//! Rescind's own roles, those of its stacks of the same name in other Regions included; the principals of
//! `rescind:break-glass`; service-linked roles and those of IAM Identity Center, which only AWS can change; and sessions
//! of users (of the console, or by `GetSessionToken`) and of others that are no role's. A denial that the role has
//! already counts if it is from after the activity of the finding was first seen (of an attack sequence: last seen): the
//! session was issued before that. So several findings about one session are one denial, and whoever goes on trying the
//! session causes no new one.
//!
//! The role of an instance may be that of others: they lose their sessions, too, until they get new ones. Of an instance on which others only
//! call, the role is left alone. Its outcome is about the instance profile, which the finding names, and names the role.
//!
//! ## Tags
//! `rescind:severity`, `rescind:break-glass`, `rescind:instance-roles` (`leave` or `deny`), and those of every remediation. The tag of an exemption is looked for at
//! the user or role.
//!
//! ## References
//! Amazon GuardDuty user guide: *Remediating potentially compromised AWS credentials*. IAM user guide: *Revoke IAM role
//! temporary security credentials*. AWS Security Incident Response guide: *Containment*.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use rescind::findings;
use rescind::settings::{OwnSettings, PrincipalPattern, SEVERITY, SettingsError, TagKey, Tags};
use rescind::signal::{Fact, Finding, Involved, Resource, Severity, Signal, field, text};
use rescind::text::clean;
use rescind::verdict::{Assessment, Evidence, Offender};
use rescind::{Call, Plan, Step};
use rescind_lambda::{CallError, Further, Heard, Operation, Remediation, Scope, Subject};

use crate::credential::{self as calls, ACTIVE, Credential, Holder, INACTIVE, Key, State, action};
use crate::instance_role::{self, GET_PROFILE, Profile, Told};
use crate::principal::{is_name, left_alone};
use crate::sessions::{POLICY, denied_before, denying};

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct CredentialsCompromised;

const NAME: &str = "credentials-compromised";

const BREAK_GLASS: TagKey = TagKey {
    key: "break-glass",
    list: true,
    value: "ARNs of roles or users whose credentials stay in use whatever a finding says; one that ends in `/` covers the path below it",
    default: "nobody",
};
/// How far the clocks of AWS may be apart. A denial up to a later time would hit sessions that are still to be issued.
const CLOCKS_APART: TimeDelta = TimeDelta::minutes(5);

const OPERATIONS: &[Operation] = &[
    Operation::reads(action::KEY_USED),
    Operation::reads(action::GET_USER),
    Operation::reads(action::LIST_KEYS),
    Operation::reads(action::GET_ROLE),
    Operation::reads(action::GET_POLICY),
    Operation::reads(GET_PROFILE),
    Operation::changes(action::UPDATE_KEY),
    Operation::changes(action::PUT_POLICY),
    // An inverse.
    Operation::changes(action::DELETE_POLICY),
];

/// What a finding says of credentials.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// The finding's type; cleaned.
    kind: String,
    /// How bad it is.
    severity: Option<Severity>,
    /// Why it calls for this.
    reason: String,
    /// What they are.
    credential: Credential,
    /// The ids of the access keys, those of sessions included; cleaned.
    keys: Vec<String>,
    /// The user or role, as the finding tells it.
    told: Option<Holder>,
    /// When the session was in use.
    seen: DateTime<Utc>,
    /// When the finding was sent out: sessions from before are denied.
    sent: DateTime<Utc>,
}

/// What the owner wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    severity: Severity,
    break_glass: Vec<PrincipalPattern>,
    /// Whether the roles of hostile instances are meant, too.
    denies_instances: bool,
}

/// Credentials that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Usable {
    /// An access key, by its id.
    Key(String),
    /// Sessions of a role.
    Sessions,
}

impl Remediation for CredentialsCompromised {
    const NAME: &'static str = NAME;
    const CALLS: &'static [&'static str] = &[];
    const OPERATIONS: &'static [Operation] = OPERATIONS;
    const INTERRUPTS_SERVICE: bool = true;

    type Target = Target;
    type State = State;
    type Settings = Wanted;
    type Offender = Usable;

    fn listen(&self, signal: &Signal) -> Vec<Heard<Target>> {
        let Fact::Finding(finding) = &signal.fact else { return Vec::new() };
        if !findings::concerns(NAME, finding) && !instance_role::concerns(finding) {
            return Vec::new();
        }
        if let Some(reason) = findings::found_by_owner(finding) {
            return vec![Heard::Harmless { resource: account(signal), reason }];
        }
        let advice = findings::advice(finding);
        let mut all: Vec<(Resource, Target)> = Vec::new();
        let (of_instances, left) = of_instances(finding);
        let named = credentials(signal, finding, of_instances.is_empty() && left.is_empty());
        for (resource, credential, key) in named.into_iter().chain(of_instances) {
            // Several sessions of one role are one affair.
            if let Some((_, target)) = all.iter_mut().find(|(one, _)| *one == resource) {
                target.keys.extend(key);
                continue;
            }
            let (seen, sent) = times(signal, finding);
            let target = Target {
                kind: clean(&finding.kind, 120),
                severity: finding.severity,
                reason: advice.reason.clone().into_owned(),
                told: told(finding, &resource, &credential),
                credential,
                keys: key.into_iter().collect(),
                seen,
                sent,
            };
            all.push((resource, target));
        }
        let about = |(resource, target)| Heard::About { resource, target };
        all.into_iter().map(about).chain(left).collect()
    }

    fn state_of_event(&self, resource: &Resource, target: &Target, live: Option<&State>) -> Option<State> {
        // What has to be put back, IAM alone tells.
        if live.is_some() {
            return None;
        }
        let key = matches!(target.credential, Credential::Key)
            .then(|| Key { id: resource.id.clone(), status: ACTIVE.to_owned() });
        Some(State { holder: target.told.clone(), key, ..State::default() })
    }

    async fn read(&self, scope: &Scope, resource: &Resource, target: &Target) -> Result<State, CallError> {
        State::read(scope, resource, &target.credential).await
    }

    async fn read_further(
        &self,
        scope: &Scope,
        resource: &Resource,
        state: State,
        further: Further<'_, Wanted>,
    ) -> Result<State, CallError> {
        match further {
            Further::Wanted(wanted) if !wanted.denies_instances => Ok(state),
            _ => state.with_role(scope, resource).await,
        }
    }

    fn assess(&self, subject: &Subject<'_, Self>) -> Assessment<Usable> {
        let Subject { resource, target, state, settings, .. } = subject;
        let id = clean(&resource.id, 140);
        let finding = match target.severity {
            Some(severity) => format!("{}, severity {severity}", target.kind),
            None => format!("{}, without a severity", target.kind),
        };
        if target.severity.is_none_or(|severity| severity < settings.severity) {
            let reason = format!("{id} is left alone: {finding}; `rescind:severity` asks for {}", settings.severity);
            return Assessment::Harmless { reason };
        }
        let why = match (&target.credential, &state.holder) {
            (Credential::OfInstance(Profile { instance, .. }), Some(role)) => format!(
                "{instance}: {} ({finding}); its role is {}, and other instances that have it are hit, too",
                target.reason,
                clean(&role.arn, 200)
            ),
            _ => format!("{id}: {} ({finding})", target.reason),
        };
        let evidence = || evidence(state, target);
        let left = |to: &str| Assessment::Report { reason: format!("{why}; {to}"), evidence: evidence() };
        let gone = || Assessment::Harmless { reason: format!("{id} is gone ({finding})") };
        let usable = match &target.credential {
            Credential::Unnamed => {
                return Assessment::Harmless { reason: format!("{finding} names no credentials of this account") };
            }
            Credential::Beyond(what) => return left(what),
            Credential::OfInstance(Profile { instance, .. }) if !settings.denies_instances => {
                let reason = format!(
                    "the role of {instance} is left alone: other instances may have it, and `rescind:instance-roles` is `leave` ({finding})"
                );
                return Assessment::Harmless { reason };
            }
            Credential::OfInstance(_) if state.read.is_none() => {
                return Assessment::Unclear {
                    reason: format!("{why}; the event does not tell which role the profile holds"),
                };
            }
            Credential::Key if state.is_of_no_user => {
                return left(
                    "IAM knows no user whose key it is: if it is the root user's, only the root user can deactivate it",
                );
            }
            Credential::Key => match &state.key {
                None => return gone(),
                Some(key) if key.status == INACTIVE => {
                    return Assessment::AlreadySafe { reason: format!("{why}; the key is inactive already") };
                }
                Some(key) => Usable::Key(key.id.clone()),
            },
            Credential::Sessions { .. } | Credential::OfInstance(_) => {
                let denied = state.policy.as_deref().and_then(denied_before);
                if let Some(denied) = denied.filter(|denied| *denied >= target.seen) {
                    let reason = format!("{why}; its sessions from before {denied} are denied already");
                    return Assessment::AlreadySafe { reason };
                }
                Usable::Sessions
            }
        };
        let Some(holder) = &state.holder else { return gone() };
        if let Some(protection) = protection(subject, holder) {
            return left(&protection);
        }
        if usable == Usable::Sessions {
            if state.read.is_some_and(|read| target.sent > read + CLOCKS_APART) {
                let reason =
                    format!("{why}; its time, {}, has not come yet, so nothing is denied up to it", target.sent);
                return Assessment::Unclear { reason };
            }
            if denying(state.policy.as_deref(), target.sent).is_none() {
                return left(&format!("its policy {POLICY} can't be read, and is not overwritten"));
            }
        }
        Assessment::Risky { reason: why, evidence: evidence(), offenders: vec![usable] }
    }

    fn plan(&self, subject: &Subject<'_, Self>, offenders: &[Usable]) -> Plan {
        let Subject { target, state, .. } = subject;
        let Some(holder) = &state.holder else { return Plan::default() };
        let step = |usable: &Usable| match usable {
            Usable::Key(id) => {
                let key = state.key.as_ref().filter(|key| key.id == *id)?;
                let back = calls::set_key(&holder.name, id, &key.status);
                Some(Step::planned(calls::set_key(&holder.name, id, INACTIVE), back))
            }
            Usable::Sessions => {
                let before = state.policy.as_deref();
                let back = before.map_or_else(
                    || calls::delete_policy(&holder.name),
                    |document| calls::put_policy(&holder.name, document),
                );
                Some(Step::planned(calls::put_policy(&holder.name, &denying(before, target.sent)?), back))
            }
        };
        Plan { steps: offenders.iter().filter_map(step).collect(), note: None }
    }

    async fn make(&self, scope: &Scope, call: &Call) -> Result<(), CallError> {
        calls::make(scope, call).await
    }
}

impl OwnSettings for Wanted {
    const TAGS: &'static [TagKey] = &[SEVERITY, BREAK_GLASS, instance_role::TAG];

    fn of_tags(tags: &Tags) -> Result<Self, SettingsError> {
        let denies_instances = instance_role::is_to_be_denied(tags)?;
        Ok(Self { severity: tags.severity()?, break_glass: tags.principals(BREAK_GLASS.key)?, denies_instances })
    }
}

impl Offender for Usable {
    fn fingerprint(&self) -> String {
        match self {
            Self::Key(id) => calls::key_fact(id),
            Self::Sessions => calls::policy_fact(),
        }
    }
}

/// Each of the credentials that a finding names: what is to be changed, what it is, and the access key.
///
/// Where none is named, that is answered, too, if nothing else is: `is_alone`.
fn credentials(signal: &Signal, finding: &Finding, is_alone: bool) -> Vec<(Resource, Credential, Option<String>)> {
    let named = findings::resources_for(NAME, finding);
    if !named.is_empty() || !is_alone {
        return named.into_iter().map(credential).collect();
    }
    // Of the root user's sign-in, a finding need not name a key; of somebody without credentials, it can't.
    let details = field(&finding.detail, "resource").and_then(|resource| field(resource, "accessKeyDetails"));
    let is_root = details.and_then(|details| text(details, "userType")).is_some_and(|kind| kind == "Root");
    let credential = if is_root { Credential::Beyond(OF_ROOT.to_owned()) } else { Credential::Unnamed };
    vec![(account(signal), credential, None)]
}

/// The roles of the instances that a finding calls hostile, and the instances whose roles are left alone.
#[expect(clippy::type_complexity, reason = "as `credentials` has them, and what is left")]
fn of_instances(finding: &Finding) -> (Vec<(Resource, Credential, Option<String>)>, Vec<Heard<Target>>) {
    let (mut meant, mut left) = (Vec::new(), Vec::new());
    for told in instance_role::told(finding) {
        match told {
            Told::Meant(resource, profile) => meant.push((resource, Credential::OfInstance(profile), None)),
            Told::Left(resource, reason) => left.push(Heard::Harmless { resource, reason }),
        }
    }
    (meant, left)
}

fn account(signal: &Signal) -> Resource {
    Resource {
        kind: "AWS::::Account".to_owned(),
        id: signal.account.clone(),
        account: signal.account.clone(),
        region: signal.region.clone(),
    }
}

const OF_ROOT: &str = "they are the root user's, which nobody but the root user can take out of use";

fn credential(involved: &Involved) -> (Resource, Credential, Option<String>) {
    let Resource { kind, id, .. } = &involved.resource;
    let same = || involved.resource.clone();
    let is_key = kind == "AWS::IAM::AccessKey";
    let key = is_key.then(|| clean(id, 140));
    let holder = involved.holder.as_ref();
    let of = holder.and_then(|holder| holder.kind.as_deref()).unwrap_or_default();
    let name = holder.and_then(|holder| holder.name.as_deref()).filter(|name| is_name(name));
    // A session is known by the unique id of its role, `:` and the session's name.
    let role = holder.and_then(|holder| holder.principal.as_deref()?.split(':').next()).filter(|id| !id.is_empty());
    let beyond = |what: &str| Credential::Beyond(what.to_owned());
    match (of, name, role) {
        ("Root", ..) => (same(), beyond(OF_ROOT), key),
        ("AWSAccount" | "AWSService", ..) => {
            (same(), beyond("they are another account's, or a service's, as far as the finding tells"), key)
        }
        _ if is_key && id.starts_with("AKIA") => (same(), Credential::Key, key),
        ("AssumedRole" | "Role", Some(name), Some(role)) => {
            let resource = Resource { kind: "AWS::IAM::Role".to_owned(), id: name.to_owned(), ..same() };
            (resource, Credential::Sessions { role: role.to_owned() }, key)
        }
        ("AssumedRole" | "Role", ..) => (same(), beyond("the finding does not tell which role's session it is"), key),
        ("IAMUser", ..) => {
            (same(), beyond("it is a session of a user, who has to be denied by hand, or given another password"), key)
        }
        _ => (
            same(),
            beyond("it is the session of neither a role nor a user of this account, as far as the finding tells"),
            key,
        ),
    }
}

/// When the session was in use, and when the finding was sent out. The session was issued before its activity was first seen.
/// An attack sequence tells the times of several activities, so there it is the last one.
fn times(signal: &Signal, finding: &Finding) -> (DateTime<Utc>, DateTime<Utc>) {
    // A policy has them in milliseconds.
    let sent = finding.sent.map_or(signal.time, |sent| sent.max(signal.time)).trunc_subsecs(3);
    let (first, last) = finding.seen;
    let seen = if finding.kind.starts_with("AttackSequence:") { last } else { first };
    (seen.map_or(sent, |seen| seen.min(sent)), sent)
}

/// The user or role as a finding tells it.
fn told(finding: &Finding, resource: &Resource, credential: &Credential) -> Option<Holder> {
    let (kind, name) = match credential {
        Credential::Key => {
            let is_it = |involved: &&Involved| involved.resource == *resource;
            let involved = finding.resources.iter().find(is_it)?;
            ("user", involved.holder.as_ref()?.name.as_deref().filter(|name| is_name(name))?)
        }
        Credential::Sessions { .. } => ("role", resource.id.as_str()),
        Credential::OfInstance(_) | Credential::Beyond(_) | Credential::Unnamed => return None,
    };
    let partition = text(&finding.detail, "partition").unwrap_or("aws");
    let arn = format!("arn:{partition}:iam::{}:{kind}/{name}", resource.account);
    Some(Holder { arn, name: name.to_owned(), tags: Vec::new() })
}

/// Why the credentials of a principal stay in use, if they do.
fn protection(subject: &Subject<'_, CredentialsCompromised>, holder: &Holder) -> Option<String> {
    let is_covered = subject.settings.break_glass.iter().any(|pattern| pattern.covers(&holder.arn));
    let covered = is_covered.then(|| format!("`rescind:break-glass` covers {}", clean(&holder.arn, 200)));
    left_alone(&holder.arn, subject.own_roles).or(covered)
}

fn evidence(state: &State, target: &Target) -> Vec<Evidence> {
    let mut parts = vec![("finding", target.kind.clone())];
    if !target.keys.is_empty() {
        parts.push(("keys", rescind::text::few(target.keys.clone())));
    }
    if let Some(holder) = &state.holder {
        parts.push(("holder", clean(&holder.arn, 200)));
    }
    if state.policy.is_some() {
        parts.push(("policy", format!("{POLICY} is there already; an undo puts it back as it was")));
    }
    vec![Evidence::new(parts)]
}

#[cfg(test)]
mod tests;
