//! `role-trusts-stranger`: a role lets in somebody who is neither ours nor trusted.
//!
//! ## What it takes back
//! The trust that `UpdateAssumeRolePolicy` or `CreateRole` gave to everybody, to another account that has to show no external ID, as third
//! parties should, or to an identity provider whose tokens anybody can have. The role gets the trust policy that
//! it had before, where that is known and let in none of them, and nobody has changed it since; else the live one without those principals. Where nobody is
//! left, it gets one that denies everybody, since IAM takes none that is empty. Whom another call let in since stays: that call is judged for itself.
//!
//! ## Why it is risky
//! Whoever may assume the role has what the role may do, from his own account, with credentials that are none of ours.
//! MITRE ATT&CK T1098, T1199.
//!
//! ## Example
//! `aws iam update-assume-role-policy --role-name admin --policy-document …` with `"Principal": {"AWS":
//! "arn:aws:iam::999999999999:root"}`: seconds later the role has its earlier trust policy.
//!
//! ## Safety
//! Sessions that the stranger has begun live on until they expire, twelve hours at most: deny them by `AWSRevokeOlderSessions` if need be.
//! The call replaces the whole policy, so what else it changed goes with it where the earlier one comes back. It can be undone: the role
//! gets the policy that it had, byte for byte. Earlier state: the baseline, then AWS Config; what changed between its last
//! record and the call is not known. A stranger who was trusted before stays, and you are told. What is let in under a condition that is not understood is
//! left to a person (`reported`), and so are Rescind's own roles and those of AWS. IAM refuses a policy that names users or roles which are gone: that
//! ends as `failed`. Any external ID is taken for one that was agreed upon. Accounts of the organization are no strangers only if the rule names it. IAM is global: its events come
//! in us-east-1 alone.
//!
//! ## Tags
//! `rescind:organization`, `rescind:trusted-accounts` and `rescind:allowed-cidrs` say who is no stranger; and those of every remediation.
//!
//! ## References
//! IAM API: `UpdateAssumeRolePolicy`, `CreateRole`. IAM user guide: *Access to AWS accounts owned by third parties*, *Update a
//! role trust policy*, *The confused deputy problem*.

use rescind::policy::{Friends, Networks};
use rescind_lambda::prelude::*;

use crate::assumed::{self, Given, Known, TRUST, UPDATE};
use crate::principal::left_alone;
use crate::trust::{Trust, nobody};

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct RoleTrustsStranger;

impl Remediation for RoleTrustsStranger {
    const NAME: &'static str = "role-trusts-stranger";
    const CALLS: &'static [&'static str] = &[UPDATE, "iam:CreateRole"];
    const OPERATIONS: &'static [Operation] = assumed::OPERATIONS;

    type Target = Given;
    type State = Standing<Known>;
    type Settings = Networks;
    type Offender = String;

    fn hear(&self, signal: &Signal, call: &ApiCall) -> Vec<Heard<Given>> {
        Given::heard(signal, call)
    }

    fn state_of_event(&self, resource: &Resource, target: &Given, live: Option<&Self::State>) -> Option<Self::State> {
        assumed::told(resource, target, live)
    }

    async fn read(&self, scope: &Scope, resource: &Resource, target: &Given) -> Result<Self::State, CallError> {
        assumed::read(scope, resource, target).await
    }

    fn assess(&self, subject: &Subject<'_, Self>) -> Assessment<String> {
        let (role, friends) = (clean(&subject.resource.id, 64), subject.friends_and(subject.settings));
        let told = subject.target.document.as_deref().map(|document| judged(document, None, subject, &friends));
        let was_risky = told.is_some_and(|told| told.is_ok_and(|told| told.is_risky()));
        let settled = |reason: String| {
            if was_risky { Assessment::already_safe(reason) } else { Assessment::harmless(reason) }
        };
        let Known { role: Some(principal), .. } = &subject.state.more else {
            return settled(format!("the role {role} is gone"));
        };
        let trust = match live(subject, &friends) {
            Ok(trust) => trust,
            Err(problem) => {
                return Assessment::unclear(format!("the trust of {role} can't be judged: {problem}"));
            }
        };
        let mut evidence = vec![Evidence::new([("role", clean(&principal.arn, 200))])];
        evidence.extend(trust.evidence());
        if trust.is_risky() {
            let reason = format!("the role {role} lets in a stranger: {}", trust.in_words());
            return match left_alone(&principal.arn, subject.own_roles) {
                Some(why) => Assessment::report(format!("{reason}; {why}"), evidence),
                None => Assessment::risky(reason, evidence, vec![TRUST.to_owned()]),
            };
        }
        match trust.doubtful() {
            Some(doubt) if was_risky => {
                settled(format!("nobody new is let in by the role {role} any more; still: {doubt}"))
            }
            Some(doubt) => Assessment::report(format!("the role {role} may let in a stranger: {doubt}"), evidence),
            None => settled(format!("the role {role} lets in no stranger by this call: {}", trust.in_words())),
        }
    }

    fn plan(&self, subject: &Subject<'_, Self>, offenders: &[String]) -> Plan {
        let friends = subject.friends_and(subject.settings);
        let Ok(trust) = live(subject, &friends) else { return Plan::default() };
        let before = subject.state.more.before.as_ref();
        // What somebody else has made of it since, the earlier one knows nothing of.
        let is_that_of_the_call = subject.target.document.as_ref().is_none_or(|told| trust.is_that_of(told));
        let compliant = before
            .filter(|(document, _)| Trust::of(document, None, &friends).is_ok_and(|one| one.is_ours()))
            .filter(|_| is_that_of_the_call);
        let unfit = match before {
            _ if subject.target.is_new => "the role is new",
            _ if !is_that_of_the_call => "its trust was changed since the call",
            Some(_) => "its earlier trust was no better, or not surely",
            None => "its earlier trust is not known",
        };
        let (document, note) = match (compliant, trust.without_strangers()) {
            (Some((document, captured)), _) => {
                (document.clone(), format!("it gets the trust policy that AWS Config saw at {captured}"))
            }
            (None, Some(rest)) => (rest, format!("{unfit}: it loses those principals")),
            (None, None) => (nobody(), format!("{unfit}: nobody may assume it any more")),
        };
        let set =
            |document: &str| Call::new(UPDATE, json!({"RoleName": subject.resource.id, "PolicyDocument": document}));
        let steps = offenders.iter().map(|_| Step::planned(set(&document), set(standing(subject))));
        Plan::of(steps).noting(note)
    }

    async fn make(&self, scope: &Scope, call: &Call) -> Result<(), CallError> {
        assumed::make(scope, call).await
    }
}

/// What the call opened of the trust policy that stands, beyond what the earlier one did.
fn live(subject: &Subject<'_, RoleTrustsStranger>, friends: &Friends) -> Result<Trust, String> {
    judged(standing(subject), subject.target.document.as_deref(), subject, friends)
}

fn standing<'a>(subject: &Subject<'a, RoleTrustsStranger>) -> &'a str {
    subject.state.get(TRUST).unwrap_or_default()
}

fn judged(
    document: &str,
    told: Option<&str>,
    subject: &Subject<'_, RoleTrustsStranger>,
    friends: &Friends,
) -> Result<Trust, String> {
    let before = subject.state.more.before.as_ref().map(|(document, _)| document.as_str());
    Trust::of_call(told, document, before, friends)
}

#[cfg(test)]
mod tests;
