//! `admin-policy-attached`: a user, role or group is given a policy that makes an administrator.
//!
//! ## What it takes back
//! A managed policy that `AttachUserPolicy`, `AttachRolePolicy` or `AttachGroupPolicy` attached, if it allows nearly everything by which
//! it is decided who may do what (`AdministratorAccess`, `IAMFullAccess`, `*` on `*`, `iam:*`, …), or an action by which one gives
//! oneself all of that at once (`iam:PutUserPolicy`, …): it is detached. The event does not tell what a policy says, so its default
//! version is read.
//!
//! ## Why it is risky
//! Who has it has the account. It is the first thing that somebody does who wants to stay. MITRE ATT&CK T1098.003; Security
//! Hub control IAM.1.
//!
//! ## Example
//! `aws iam attach-user-policy --user-name intern --policy-arn arn:aws:iam::aws:policy/AdministratorAccess`: seconds later
//! it is detached.
//!
//! ## Safety
//! Whoever works with these permissions loses them at once, so a stack or pipeline that attaches such a policy on purpose fails or drifts:
//! exempt its principal, or tag the role. It can be undone: the policy is attached again. To attach what is attached already
//! changes nothing and is recorded all the same: what AWS Config saw attached before is left to a person; where it saw
//! nothing, the policy is detached, and the outcome says so. Left to a person too (`reported`) are policies that lead to more by
//! a detour (to pass a role to a function, …) or under a condition; policies that a permissions boundary limits; Rescind's
//! own roles; and those of AWS: service-linked roles and IAM Identity Center's. `AWSCompromisedKeyQuarantine…`, by which
//! AWS contains a leaked key, is never touched. A group has no tags, so it can't be exempted by one. IAM is global: its
//! events come in us-east-1 alone.
//!
//! ## Tags
//! Those of every remediation.
//!
//! ## References
//! IAM API: `AttachUserPolicy`, `DetachUserPolicy`, `GetPolicyVersion`. IAM user guide: *AWS managed policies for job functions*.
//! Rhino Security Labs: *AWS IAM Privilege Escalation*.

use rescind_lambda::prelude::*;

use crate::attachment::{self, Attached, Attachment, detachment};
use crate::power::Weight;
use crate::principal::left_alone;

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct AdminPolicyAttached;

impl Remediation for AdminPolicyAttached {
    const NAME: &'static str = "admin-policy-attached";
    const CALLS: &'static [&'static str] = &["iam:AttachUserPolicy", "iam:AttachRolePolicy", "iam:AttachGroupPolicy"];
    const OPERATIONS: &'static [Operation] = attachment::OPERATIONS;

    type Target = Attached;
    type State = Standing<Attachment>;
    type Settings = ();
    type Offender = String;

    fn hear(&self, signal: &Signal, call: &ApiCall) -> Vec<Heard<Attached>> {
        Attached::heard(signal, call)
    }

    fn state_of_event(&self, resource: &Resource, to: &Attached, live: Option<&Self::State>) -> Option<Self::State> {
        attachment::told(resource, to, live)
    }

    async fn read(&self, scope: &Scope, resource: &Resource, target: &Attached) -> Result<Self::State, CallError> {
        attachment::read(scope, resource, target).await
    }

    fn assess(&self, subject: &Subject<'_, Self>) -> Assessment<String> {
        let Subject { resource, target, state, own_roles, .. } = subject;
        let Attachment { principal, power, boundary, before } = &state.more;
        let (who, policy) = (target.holder(resource), clean(&target.policy, 200));
        let Some(power) = power else {
            return Assessment::harmless(format!("{policy} is gone, so {who} does not have it"));
        };
        let reason = format!("{who} was given {policy}: {}", power.reason);
        if power.weight == Weight::Light {
            return Assessment::harmless(reason);
        }
        let Some(principal) = principal.as_ref().filter(|_| state.get(&target.policy).is_some()) else {
            return Assessment::already_safe(format!("{reason}; it is not attached any more"));
        };
        let parts = [("policy", policy), ("holder", clean(&principal.arn, 200)), ("allows", power.reason.clone())];
        let limit = principal.boundary.as_ref().map(|arn| ("permissions boundary", clean(arn, 200)));
        let evidence = vec![Evidence::new(parts.into_iter().chain(limit))];
        let why_not = left_alone(&principal.arn, own_roles).or_else(|| match (boundary, before) {
            _ if power.weight < Weight::Heavy => Some("whether that is too much, a person has to judge".to_owned()),
            (Some(boundary), _) if boundary.weight < Weight::Heavy => {
                Some("its permissions boundary takes away from that what would make it an administrator".to_owned())
            }
            (_, Some((captured, true))) if !subject.was_taken_back(&target.policy, captured) => {
                Some(format!("AWS Config saw it attached already at {captured}, so this call need not have done it"))
            }
            _ => None,
        });
        match why_not {
            Some(why_not) => Assessment::report(format!("{reason}; {why_not}"), evidence),
            None => Assessment::risky(reason, evidence, vec![target.policy.clone()]),
        }
    }

    fn plan(&self, subject: &Subject<'_, Self>, offenders: &[String]) -> Plan {
        let Subject { resource, target, state, .. } = subject;
        let plan = Plan::of(offenders.iter().map(|policy| detachment(target.kind, &resource.id, policy)));
        let is_told = state.more.principal.as_ref().is_some_and(|principal| principal.id.is_empty());
        match state.more.before {
            Some(_) => plan,
            None if is_told => plan.noting("whether it was attached before, the event does not tell"),
            None => plan.noting("AWS Config knows nothing from before, so it may have been attached already"),
        }
    }

    async fn make(&self, scope: &Scope, call: &Call) -> Result<(), CallError> {
        attachment::make(scope, call).await
    }
}

#[cfg(test)]
mod tests;
