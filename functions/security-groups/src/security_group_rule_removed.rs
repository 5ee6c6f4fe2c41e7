//! `security-group-rule-removed`: a protected security group has lost a rule.
//!
//! ## What it takes back
//! The removal of rules, inbound or outbound, from a security group that its owner protects with a tag: those that one
//! call of `RevokeSecurityGroupIngress` or `RevokeSecurityGroupEgress` removed are authorized again, with their
//! descriptions and tags. A rule that would let a forbidden source reach a guarded port stays removed.
//!
//! ## Why it is risky
//! Whoever removes a rule cuts connections off: a database from its clients, monitoring from what it watches, an agent
//! that reports from where it reports to. MITRE ATT&CK T1562.007, T1489.
//!
//! ## Example
//! A group with the tag `rescind:protected` loses its outbound rule for tcp/443 to the log collector. It is put back.
//!
//! ## Safety
//! Interrupts nothing: it lets in or out again what was let before. It can be undone: the inverse revokes the rules again.
//! They come back under new ids. Earlier state: the event, where it tells the removed rules, their tags by the baseline or
//! AWS Config's history; else these tell all of it, and what a rule was that was modified before it was removed. What AWS
//! Config had not seen in the group before is not put back. From a request alone nothing is, either: in a default VPC it may
//! name rules that were never there.
//!
//! ## Tags
//! `rescind:protected-tag`; `rescind:ports`, `rescind:allowed-cidrs` and `rescind:widest-source` say which rules are not
//! put back; and those of every remediation.
//!
//! ## References
//! Amazon EC2 API: `AuthorizeSecurityGroupIngress`, `AuthorizeSecurityGroupEgress`, `RevokeSecurityGroupIngress`
//! (`UnknownIpPermissions`). AWS Config developer guide: *Components of a configuration item*.
use rescind_lambda::prelude::*;

use crate::calls;
use crate::earlier::Earlier;
use crate::ec2::action;
use crate::protected::{Protection, protected};
use crate::put_back;
use crate::rule::Rule;
use crate::state::State;
use crate::told::{self, Changed, Target, Told};

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct SecurityGroupRuleRemoved;

const OPERATIONS: &[Operation] = &[
    Operation::reads(action::DESCRIBE_GROUPS),
    Operation::reads(action::DESCRIBE_RULES),
    Operation::reads(action::DESCRIBE_VPCS),
    Operation::reads(action::GET_PREFIX_LIST),
    EARLIER_STATE_OPERATIONS[0],
    EARLIER_STATE_OPERATIONS[1],
    Operation::changes(action::AUTHORIZE_INGRESS),
    Operation::changes(action::AUTHORIZE_EGRESS),
    Operation::changes(action::CREATE_TAGS),
    // The inverses.
    Operation::changes(action::REVOKE_INGRESS),
    Operation::changes(action::REVOKE_EGRESS),
];

impl Remediation for SecurityGroupRuleRemoved {
    const NAME: &'static str = "security-group-rule-removed";
    const CALLS: &'static [&'static str] = &["ec2:RevokeSecurityGroupIngress", "ec2:RevokeSecurityGroupEgress"];
    const OPERATIONS: &'static [Operation] = OPERATIONS;

    type Target = Target;
    type State = State;
    type Settings = Protection;
    type Offender = Rule;

    fn hear(&self, signal: &Signal, call: &ApiCall) -> Vec<Heard<Target>> {
        vec![told::removed(signal, call)]
    }

    fn state_of_event(&self, _: &Resource, target: &Target, live: Option<&State>) -> Option<State> {
        // The tags of the removed rules, an event never tells.
        let group = State::of_event(target, live).filter(|_| live.is_none())?.group?;
        let group = crate::ec2::SecurityGroup { rules: Vec::new(), ..group };
        Some(State { group: Some(group), is_from_event: true, ..State::default() })
    }

    async fn read(&self, scope: &Scope, resource: &Resource, target: &Target) -> Result<State, CallError> {
        State::read(scope, resource, target).await
    }

    fn assess(&self, subject: &Subject<'_, Self>) -> Assessment<Rule> {
        let Subject { resource, target, state, common, settings, .. } = subject;
        let Changed::Removed { rules: told, is_certain } = &target.changed else {
            return Assessment::harmless("no rule was removed".to_owned());
        };
        if let Some(reason) = settings.spares(state) {
            return Assessment::harmless(format!("a rule was removed, and {reason}"));
        }
        let group = state.id().unwrap_or(&resource.id);
        let (unseen, told): (Vec<&Told>, Vec<&Told>) = told.iter().partition(|told| is_unseen(told, state));
        let removed: Vec<Rule> = told.iter().filter_map(|told| removed_rule(told, *is_certain, state)).collect();
        let (back, gone) = still_lost(&removed, state);
        let open = settings.open_ones(&gone, state, &resource.account, &common.trusted_accounts);
        let missing: Vec<Rule> = gone.iter().filter(|rule| !open.contains(rule)).cloned().collect();
        if let Earlier::Unread(problem) = &state.earlier
            && !missing.is_empty()
        {
            // Another time it may be read, and then the rules come back with their tags.
            return Assessment::unclear(format!("{} has lost {}; {problem}", protected(group, state), list(&missing)));
        }
        if !missing.is_empty() {
            return Assessment::risky(
                format!("{} has lost {}", protected(group, state), list(&missing)),
                missing.iter().map(evidence).collect(),
                missing,
            );
        }
        if removed.len() < told.len() {
            let why = if *is_certain { "a removed rule can't be read".to_owned() } else { state.earlier.why_unknown() };
            return Assessment::unclear(format!(
                "{group} is protected and may have lost rules; which, is not known: {why}"
            ));
        }
        if let Some(rule) =
            back.iter().find(|rule| stands_in(rule, state).is_some_and(|live| state.earlier.was_another(live)))
        {
            return Assessment::unclear(format!(
                "{group} is protected and has lost {}; another rule, which was modified, permits that as long as it is not put back",
                rule.permits()
            ));
        }
        if !back.is_empty() {
            return Assessment::already_safe(format!(
                "{group} is protected and had lost {}; it is there again",
                list(&back)
            ));
        }
        Assessment::harmless(if !unseen.is_empty() && open.is_empty() {
            format!("what {group} has lost, AWS Config had not seen there: it stays removed")
        } else if open.is_empty() {
            format!("the call removed no rule of {group}")
        } else {
            format!("what {group} has lost would open a guarded port; it stays removed: {}", list(&gone))
        })
    }

    fn plan(&self, subject: &Subject<'_, Self>, offenders: &[Rule]) -> Plan {
        let Some(group) = &subject.state.group else { return Plan::default() };
        let (steps, too_large) = put_back::authorized(&group.id, offenders.iter().cloned());
        let note = too_large.map_or_else(|| format!("put back {}", subject.state.earlier.as_of()), str::to_owned);
        Plan::of(steps).noting(note)
    }

    async fn make(&self, scope: &Scope, call: &Call) -> Result<(), CallError> {
        calls::put_back(scope, call).await
    }
}

/// Whether the earlier state is known and did not have the rule: it stood for a short time only, or never, and an event
/// alone is not believed.
fn is_unseen(told: &Told, state: &State) -> bool {
    told.rule.is_some() && matches!(state.earlier, Earlier::Rules { .. }) && state.earlier.of_removed(told).is_none()
}

/// The rule as it was: what the event tells of it, if that is certain, with what the earlier state tells beside. Where that knows
/// another one by this id, the rule was modified before it was removed, and the other one is what the group has lost.
fn removed_rule(told: &Told, is_certain: bool, state: &State) -> Option<Rule> {
    match (&told.rule, state.earlier.of_removed(told)) {
        (Some(rule), Some(earlier)) if is_certain && earlier.is_same_as(rule) => {
            Some(rule.clone().completed_by(earlier))
        }
        (Some(rule), None) if is_certain => Some(Rule { tags: Vec::new(), ..rule.clone() }),
        // Nothing else can be known where nothing may be read.
        (Some(rule), None) if state.is_from_event => Some(rule.clone()),
        (_, earlier) => earlier.cloned(),
    }
}

/// The live rule that permits what this one did.
fn stands_in<'s>(rule: &Rule, state: &'s State) -> Option<&'s Rule> {
    state.rules().iter().find(|live| live.is_same_as(rule))
}

/// Those of the rules that are permitted again, and those that are not; each once.
fn still_lost(removed: &[Rule], state: &State) -> (Vec<Rule>, Vec<Rule>) {
    let is_first = |(index, rule): &(usize, &Rule)| !removed.iter().take(*index).any(|one| one.is_same_as(rule));
    let each = removed.iter().enumerate().filter(is_first).map(|(_, rule)| rule.clone());
    each.partition(|rule| stands_in(rule, state).is_some())
}

fn list(rules: &[Rule]) -> String {
    few(rules.iter().map(Rule::permits).collect())
}

fn evidence(rule: &Rule) -> Evidence {
    let direction = if rule.is_egress { "outbound" } else { "inbound" };
    let (permits, other) = (rule.ports(), rule.source.to_string());
    Evidence::new([("rule", rule.id.as_str()), ("removed", direction), ("permits", &permits), ("peer", &other)])
}

#[cfg(test)]
mod tests;
