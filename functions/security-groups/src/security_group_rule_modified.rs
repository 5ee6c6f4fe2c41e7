//! `security-group-rule-modified`: a rule of a protected security group says something else.
//!
//! ## What it takes back
//! What one call of `ModifySecurityGroupRules` changed in a security group that its owner protects with a tag: each rule
//! becomes what it was, its description included, and keeps its id and tags. Where another rule permits by now what it
//! permitted, EC2 allows no second one, and it is revoked. A rule that let a forbidden source reach a guarded port before
//! stays as it is now.
//!
//! ## Why it is risky
//! A rule that is modified leaves no trace in the number of rules, and cuts off or lets in at one stroke. MITRE ATT&CK
//! T1562.007.
//!
//! ## Example
//! In a group with the tag `rescind:protected`, the rule for tcp/5432 from `10.0.0.0/16` is changed to `10.9.9.9/32`. It is
//! changed back.
//!
//! ## Safety
//! Interrupts new connections that only the modified rule permits, and lets in again what the rule permitted before. It
//! can be undone: the inverse modifies the rules again, or authorizes what was revoked. Earlier state: the baseline, then
//! AWS Config's history, always the last state before the event; an event never tells what a rule was. Where neither knows,
//! nothing is changed.
//!
//! ## Tags
//! `rescind:protected-tag`; `rescind:ports`, `rescind:allowed-cidrs` and `rescind:widest-source` say which rules are not
//! put back; and those of every remediation.
//!
//! ## References
//! Amazon EC2 API: `ModifySecurityGroupRules`. AWS Config developer guide: *Components of a configuration item*.
use rescind_lambda::prelude::*;

use crate::calls;
use crate::ec2::action;
use crate::protected::{Protection, protected};
use crate::put_back::{self, Change};
use crate::rule::Rule;
use crate::state::State;
use crate::told::{self, Changed, Target, Told};

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct SecurityGroupRuleModified;

/// A rule that was modified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Modified {
    /// As it is.
    pub now: Rule,
    /// As it was; not known where only the event is looked at.
    pub before: Option<Rule>,
}

const OPERATIONS: &[Operation] = &[
    Operation::reads(action::DESCRIBE_GROUPS),
    Operation::reads(action::DESCRIBE_RULES),
    Operation::reads(action::GET_PREFIX_LIST),
    EARLIER_STATE_OPERATIONS[0],
    EARLIER_STATE_OPERATIONS[1],
    Operation::changes(action::MODIFY_RULES),
    Operation::changes(action::REVOKE_INGRESS),
    Operation::changes(action::REVOKE_EGRESS),
    // The inverses of a revoke.
    Operation::changes(action::AUTHORIZE_INGRESS),
    Operation::changes(action::AUTHORIZE_EGRESS),
    Operation::changes(action::CREATE_TAGS),
];

impl Remediation for SecurityGroupRuleModified {
    const NAME: &'static str = "security-group-rule-modified";
    const CALLS: &'static [&'static str] = &["ec2:ModifySecurityGroupRules"];
    const OPERATIONS: &'static [Operation] = OPERATIONS;

    type Target = Target;
    type State = State;
    type Settings = Protection;
    type Offender = Modified;

    fn hear(&self, signal: &Signal, call: &ApiCall) -> Vec<Heard<Target>> {
        vec![told::modified(signal, call)]
    }

    fn state_of_event(&self, _: &Resource, target: &Target, live: Option<&State>) -> Option<State> {
        // What a rule was before, an event never tells.
        State::of_event(target, live).filter(|_| live.is_none())
    }

    async fn read(&self, scope: &Scope, resource: &Resource, target: &Target) -> Result<State, CallError> {
        State::read(scope, resource, target).await
    }

    fn assess(&self, subject: &Subject<'_, Self>) -> Assessment<Modified> {
        let Subject { resource, target, state, common, settings, .. } = subject;
        let Changed::Modified(told) = &target.changed else {
            return Assessment::harmless("no rule was modified".to_owned());
        };
        if let Some(reason) = settings.spares(state) {
            return Assessment::harmless(format!("a rule was modified, and {reason}"));
        }
        let group = state.id().unwrap_or(&resource.id);
        let found: Vec<Found> = told.iter().map(|one| find(one, told, state)).collect();
        let before: Vec<Rule> = found.iter().filter_map(Found::before).cloned().collect();
        let open = settings.open_ones(&before, state, &resource.account, &common.trusted_accounts);
        let is_open = |modified: &Modified| modified.before.as_ref().is_some_and(|before| open.contains(&before));
        let changed = found.iter().filter_map(Found::changed).filter(|modified| !is_open(modified)).cloned();
        let (known, unknown): (Vec<Modified>, Vec<Modified>) =
            changed.partition(|one| one.before.is_some() || state.is_from_event);
        let ways = put_back::ways(changes(&known), state.rules());
        let waiting = ways.waiting(&state.earlier);
        let (waiting, offenders): (Vec<Modified>, Vec<Modified>) =
            known.iter().cloned().partition(|one| waiting.contains(&&one.now));
        if !offenders.is_empty() {
            let what: Vec<String> = offenders.iter().map(Modified::in_words).collect();
            return Assessment::risky(
                format!("in {}, {}", protected(group, state), what.join("; ")),
                offenders.iter().map(Modified::evidence).collect(),
                offenders,
            );
        }
        if let Some(one) = unknown.first() {
            return Assessment::unclear(format!(
                "{group} is protected, and a rule became {}; what it was, is not known: {}",
                one.now.permits(),
                state.earlier.why_unknown()
            ));
        }
        if let Some(one) = waiting.first() {
            return Assessment::unclear(format!(
                "{group} is protected, and {}; it can't become that again as long as another rule, which was modified, too, permits it",
                one.in_words()
            ));
        }
        if found.iter().any(|one| matches!(one, Found::Back)) {
            return Assessment::already_safe(format!("{group} is protected; its modified rule is as it was before"));
        }
        Assessment::harmless(format!(
            "no rule of {group} is to be put back: none is as it was modified, or none was compliant"
        ))
    }

    fn plan(&self, subject: &Subject<'_, Self>, offenders: &[Modified]) -> Plan {
        let Some(group) = &subject.state.group else { return Plan::default() };
        let known = changes(offenders);
        if known.is_empty() {
            let note = "what it was, the event does not tell: in an account, the baseline and AWS Config are asked";
            return Plan::default().noting(note);
        }
        let ways = put_back::ways(known, subject.state.rules());
        let surplus = ways.surplus(&subject.state.earlier).into_iter().cloned();
        let (revoked, too_large) = put_back::revoked(&group.id, surplus);
        let note = too_large.map_or_else(|| format!("put back {}", subject.state.earlier.as_of()), str::to_owned);
        Plan::of(ways.steps(&group.id).into_iter().chain(revoked)).noting(note)
    }

    async fn make(&self, scope: &Scope, call: &Call) -> Result<(), CallError> {
        calls::make(scope, call).await
    }
}

/// What has become of a modified rule.
enum Found {
    /// It is as it was modified.
    Changed(Box<Modified>),
    /// It is as it was before, and that is not how it was modified.
    Back,
    /// It is gone or was changed once more, which is another event's affair; or nothing about it was changed.
    Other,
}

fn find(told: &Told, all: &[Told], state: &State) -> Found {
    let Some(now) = state.rules().iter().find(|rule| told.is(rule)) else { return Found::Other };
    let permits_as_told = told.is_still(now);
    let is_described = |rule: &Rule| rule.description.is_none() || rule.description == now.description;
    let is_as_told = permits_as_told && told.rule.as_ref().is_none_or(is_described);
    let before = state.earlier.of_modified(told, all, state.rules());
    let before = before.map(|before| Rule { id: now.id.clone(), tags: now.tags.clone(), ..before.clone() });
    let is_changed = match &before {
        Some(before) if before.reads_as(now) => {
            return if is_as_told { Found::Other } else { Found::Back };
        }
        Some(before) if before.is_same_as(now) => is_as_told,
        // What it permits was changed, however it is described by now: no event tells of that.
        Some(_) | None => permits_as_told,
    };
    if is_changed { Found::Changed(Box::new(Modified { now: now.clone(), before })) } else { Found::Other }
}

/// The rules that were modified, each with what it was.
fn changes(modified: &[Modified]) -> Vec<Change<'_>> {
    modified.iter().filter_map(|one| Some((&one.now, one.before.as_ref()?))).collect()
}

impl Found {
    fn changed(&self) -> Option<&Modified> {
        match self {
            Self::Changed(modified) => Some(modified),
            Self::Back | Self::Other => None,
        }
    }

    fn before(&self) -> Option<&Rule> {
        self.changed().and_then(|modified| modified.before.as_ref())
    }
}

impl Modified {
    fn in_words(&self) -> String {
        match &self.before {
            None => format!("a rule became {}", self.now.permits()),
            Some(before) if before.is_same_as(&self.now) => {
                format!("the description of {} was changed", self.now.permits())
            }
            Some(before) => format!("{} became {}", before.permits(), self.now.permits()),
        }
    }

    fn evidence(&self) -> Evidence {
        let was = self.before.as_ref().map_or_else(|| "not known".to_owned(), Rule::permits);
        Evidence::new([("rule", self.now.id.as_str()), ("was", &was), ("is", &self.now.permits())])
    }
}

impl Offender for Modified {
    fn fingerprint(&self) -> String {
        self.now.permits()
    }
}

#[cfg(test)]
mod tests;
