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

use chrono::TimeDelta;
use rescind::settings::{PrincipalPattern, SEVERITY};
use rescind::signal::Severity;
use rescind_lambda::prelude::*;

use crate::credential::{self as calls, ACTIVE, Credential, INACTIVE, Key, State, action};
use crate::instance_role::{self, GET_PROFILE, Profile};
use crate::principal::{BREAK_GLASS, behind_glass, left_alone};
use crate::sessions::{POLICY, denied_before, denying};
use crate::suspects::{self, Target};

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct CredentialsCompromised;

/// How far the clocks of AWS may be apart. A denial up to a later time would hit sessions that are still to be issued.
const CLOCKS_APART: TimeDelta = TimeDelta::minutes(5);

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
    const NAME: &'static str = suspects::REMEDIATION;
    const CALLS: &'static [&'static str] = &[];
    const OPERATIONS: &'static [Operation] = &[
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
    const INTERRUPTS_SERVICE: bool = true;

    type Target = Target;
    type State = State;
    type Settings = Wanted;
    type Offender = Usable;

    fn listen(&self, signal: &Signal) -> Vec<Heard<Target>> {
        signal.finding().map(|finding| suspects::hear(signal, finding)).unwrap_or_default()
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
        let finding = &target.finding;
        if let Some(reason) = finding.too_mild(&id, settings.severity) {
            return Assessment::harmless(reason);
        }
        let why = match (&target.credential, &state.holder) {
            (Credential::OfInstance(Profile { instance, .. }), Some(role)) => format!(
                "{instance}: {} ({finding}); its role is {}, and other instances that have it are hit, too",
                finding.reason,
                clean(&role.arn, 200)
            ),
            _ => format!("{id}: {} ({finding})", finding.reason),
        };
        let evidence = || target.evidence(state);
        let left = |to: &str| Assessment::report(format!("{why}; {to}"), evidence());
        let gone = || Assessment::harmless(format!("{id} is gone ({finding})"));
        let usable = match &target.credential {
            Credential::Unnamed => {
                return Assessment::harmless(format!("{finding} names no credentials of this account"));
            }
            Credential::Beyond(what) => return left(what),
            Credential::OfInstance(Profile { instance, .. }) if !settings.denies_instances => {
                let reason = format!(
                    "the role of {instance} is left alone: other instances may have it, and `rescind:instance-roles` is `leave` ({finding})"
                );
                return Assessment::harmless(reason);
            }
            Credential::OfInstance(_) if state.read.is_none() => {
                return Assessment::unclear(format!("{why}; the event does not tell which role the profile holds"));
            }
            Credential::Key if state.is_of_no_user => {
                return left(
                    "IAM knows no user whose key it is: if it is the root user's, only the root user can deactivate it",
                );
            }
            Credential::Key => match &state.key {
                None => return gone(),
                Some(key) if key.status == INACTIVE => {
                    return Assessment::already_safe(format!("{why}; the key is inactive already"));
                }
                Some(key) => Usable::Key(key.id.clone()),
            },
            Credential::Sessions { .. } | Credential::OfInstance(_) => {
                let denied = state.policy.as_deref().and_then(denied_before);
                if let Some(denied) = denied.filter(|denied| *denied >= target.seen) {
                    let reason = format!("{why}; its sessions from before {denied} are denied already");
                    return Assessment::already_safe(reason);
                }
                Usable::Sessions
            }
        };
        let Some(holder) = &state.holder else { return gone() };
        let covered = || behind_glass(&settings.break_glass, &holder.arn);
        if let Some(protection) = left_alone(&holder.arn, subject.own_roles).or_else(covered) {
            return left(&protection);
        }
        if usable == Usable::Sessions {
            if state.read.is_some_and(|read| target.sent > read + CLOCKS_APART) {
                let reason =
                    format!("{why}; its time, {}, has not come yet, so nothing is denied up to it", target.sent);
                return Assessment::unclear(reason);
            }
            if denying(state.policy.as_deref(), target.sent).is_none() {
                return left(&format!("its policy {POLICY} can't be read, and is not overwritten"));
            }
        }
        Assessment::risky(why, evidence(), vec![usable])
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
        Plan::of(offenders.iter().filter_map(step))
    }

    async fn make(&self, scope: &Scope, call: &Call) -> Result<(), CallError> {
        calls::make(scope, call).await
    }
}

impl OwnSettings for Wanted {
    const TAGS: &'static [TagKey] = &[SEVERITY, BREAK_GLASS, instance_role::TAG];

    fn of_tags(tags: &Tags) -> Result<Self, SettingsError> {
        let denies_instances = tags.departs(instance_role::TAG.key, "leave", "deny")?;
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

#[cfg(test)]
mod tests;
