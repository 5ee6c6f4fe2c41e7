//! `open-security-group-ingress`: a rule lets the world, or a stranger, reach a guarded port.
//!
//! ## What it takes back
//! Rules of a security group that let a forbidden source reach a guarded port: those that one call of
//! `AuthorizeSecurityGroupIngress` or `ModifySecurityGroupRules` made, or, when AWS Config reports the group, all of
//! them; and all of those of the groups by which somebody calls on an instance, as GuardDuty finds it: scans, guessed
//! passwords. Other rules of the same call stay.
//!
//! Of sources that are too wide only together, those go that came last: of the call, or since AWS Config recorded the group
//! before. What stood before stays, and is no failure however long it stands. Where nothing tells what is new (the first
//! time that AWS Config records the group, or its history can't be read), nothing is revoked, and the outcome is
//! `failed`: aloud, since nobody else may have judged it, and not again and again, since the next record has this one before
//! it.
//!
//! ## Why it is risky
//! Ports for administration are found and attacked within minutes of being reachable from the internet. Security Hub
//! controls EC2.13, EC2.14, EC2.18 and EC2.19; MITRE ATT&CK T1190, T1562.007.
//!
//! ## Example
//! One call opens tcp/22 and tcp/443 to `0.0.0.0/0`. The rule for 22 is revoked by its id, the rule for 443 stays.
//!
//! ## Safety
//! Interrupts new connections from the sources of the revoked rules; connections that are being tracked go on until
//! they end. It can be undone: the inverse authorizes the same rules again, with their descriptions and tags, under new
//! rule ids. Earlier state: the event. A rule that was modified becomes what it was before, where the baseline or AWS
//! Config's history tells, that was compliant, and no other rule permits it by now; else it is revoked.
//!
//! ## Tags
//! `rescind:ports`, `rescind:allowed-cidrs`, `rescind:widest-source`, and those of every remediation.
//!
//! ## References
//! Amazon EC2 API: `RevokeSecurityGroupIngress`, `DescribeSecurityGroupRules`. Amazon VPC user guide: *Security group
//! rules*. AWS Config developer guide: *restricted-ssh*, *restricted-common-ports*. Amazon GuardDuty user guide: *Recon:EC2/PortProbeUnprotectedPort*,
//! *UnauthorizedAccess:EC2/SSHBruteForce*.

use rescind_lambda::{CONFIG_RULE_SETTINGS, prelude::*};

use crate::calls;
use crate::ec2::action;
use crate::exposure::{Blame, Findings, Offence, Policy, judge};
use crate::put_back;
use crate::rule::Rule;
use crate::state::State;
use crate::told::{self, Changed, Target};

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct OpenSecurityGroupIngress;

const OPERATIONS: &[Operation] = &[
    CONFIG_RULE_SETTINGS,
    Operation::reads(action::DESCRIBE_GROUPS),
    Operation::reads(action::DESCRIBE_RULES),
    Operation::reads(action::DESCRIBE_VPCS),
    Operation::reads(action::GET_PREFIX_LIST),
    EARLIER_STATE_OPERATIONS[0],
    EARLIER_STATE_OPERATIONS[1],
    Operation::changes(action::REVOKE_INGRESS),
    Operation::changes(action::MODIFY_RULES),
    // The inverse of a revoke, and the tags of the rules that it puts back.
    Operation::changes(action::AUTHORIZE_INGRESS),
    Operation::changes(action::CREATE_TAGS),
];

const GROUP: &str = "AWS::EC2::SecurityGroup";

/// The AWS Config rules whose judgement is heard, by the names of the managed rules and by those that Security Hub gives its
/// own.
const CONFIG_RULES: &[&str] = &["restricted-ssh", "restricted-rdp", "restricted-common-ports"];

impl Remediation for OpenSecurityGroupIngress {
    const NAME: &'static str = "open-security-group-ingress";
    const CALLS: &'static [&'static str] = &["ec2:AuthorizeSecurityGroupIngress", "ec2:ModifySecurityGroupRules"];
    const OPERATIONS: &'static [Operation] = OPERATIONS;

    type Target = Target;
    type State = State;
    type Settings = Policy;
    type Offender = Offence;

    fn listen(&self, signal: &Signal) -> Vec<Heard<Target>> {
        if let Some(call) = signal.called(Self::CALLS) {
            let is_modified = call.name == "ModifySecurityGroupRules";
            return vec![if is_modified { told::modified(signal, call) } else { told::added(signal, call) }];
        }
        if let Some(finding) = signal.finding() {
            return told::found(Self::NAME, signal, finding);
        }
        let group = signal.recorded(GROUP).or_else(|| signal.noncompliant(GROUP, CONFIG_RULES));
        group.map(|group| told::whole(signal, group)).into_iter().collect()
    }

    fn state_of_event(&self, _: &Resource, target: &Target, live: Option<&State>) -> Option<State> {
        // What a modified rule was before, an event never tells.
        let is_told = matches!(target.changed, Changed::Added(_)) || live.is_none();
        State::of_event(target, live).filter(|_| is_told)
    }

    async fn read(&self, scope: &Scope, resource: &Resource, target: &Target) -> Result<State, CallError> {
        State::read(scope, resource, target).await
    }

    fn assess(&self, subject: &Subject<'_, Self>) -> Assessment<Offence> {
        let policy = known_policy(subject);
        let told = subject.target.rules();
        let group_name = subject.state.id().unwrap_or(&subject.resource.id);
        let live = subject.state.rules();
        let earlier = &subject.state.earlier;
        let blame = |rule: &Rule| match told {
            Some(told) => told.iter().any(|told| told.is(rule)).into(),
            // The whole group is looked at. A rule that complied may not go for what has come since.
            None if earlier.is_new(rule) == Some(true) => Blame::Full,
            None => Blame::Alone,
        };
        let Findings { offences, unread, too_wide_together } = judge(live, blame, &policy, &subject.state.lists);
        if !offences.is_empty() {
            return Assessment::risky(
                policy.sentence(group_name, &offences),
                offences.iter().map(Offence::evidence).collect(),
                offences,
            );
        }
        if let Some((list, problem)) = unread.first() {
            return Assessment::unclear(format!("whether {group_name} is open depends on {list}, and {problem}"));
        }
        if let (Some(opens), None) = (too_wide_together.first(), told)
            && live.iter().any(|rule| earlier.is_new(rule).is_none())
        {
            return Assessment::unclear(format!(
                "{group_name} lets sources that are too wide together reach {opens}, and which of its rules is new is not known: {}",
                earlier.why_unknown()
            ));
        }
        // Nothing risky is there. Was it, when the change was made?
        let absent = told.into_iter().flatten().filter(|told| !live.iter().any(|rule| told.is_still(rule)));
        let absent: Vec<Rule> = absent.filter_map(|told| told.rule.clone()).collect();
        let all: Vec<Rule> = absent.iter().chain(live).cloned().collect();
        let was_risky = judge(&all, |rule| absent.contains(rule), &policy, &subject.state.lists);
        if was_risky.offences.is_empty() {
            return Assessment::harmless(policy.harmless(group_name));
        }
        let what = policy.sentence(group_name, &was_risky.offences);
        Assessment::already_safe(if subject.state.group.is_none() {
            format!("{what}; the group is gone already")
        } else {
            format!("{what}; that is gone already")
        })
    }

    fn plan(&self, subject: &Subject<'_, Self>, offenders: &[Offence]) -> Plan {
        let Some(group) = &subject.state.group else { return Plan::default() };
        let earlier = compliant_earlier(subject, offenders);
        let ways = put_back::ways(earlier.iter().map(|(now, before)| (*now, before)).collect(), subject.state.rules());
        let becomes = |rule: &Rule| ways.calls.iter().flatten().any(|(now, _)| now.id == rule.id);
        let others = offenders.iter().map(|offence| &offence.rule).filter(|rule| !becomes(rule)).cloned();
        // Should EC2 refuse to put one back, these are revoked already.
        let (mut steps, too_large) = put_back::revoked(&group.id, others);
        let back = ways.steps(&group.id);
        let note =
            (!back.is_empty()).then(|| format!("the earlier rule is put back, {}", subject.state.earlier.as_of()));
        steps.extend(back);
        Plan { steps, note: note.or(too_large.map(str::to_owned)) }
    }

    async fn make(&self, scope: &Scope, call: &Call) -> Result<(), CallError> {
        calls::make(scope, call).await
    }
}

/// The policy, with the accounts that are no strangers.
fn known_policy(subject: &Subject<'_, OpenSecurityGroupIngress>) -> Policy {
    subject.settings.with_known_accounts(&subject.resource.account, &subject.common.trusted_accounts)
}

/// The offenders that were modified and are known to have been compliant before, each with what it was.
fn compliant_earlier<'a>(
    subject: &Subject<'_, OpenSecurityGroupIngress>,
    offenders: &'a [Offence],
) -> Vec<(&'a Rule, Rule)> {
    let Changed::Modified(told) = &subject.target.changed else { return Vec::new() };
    let live = subject.state.rules();
    let of = |rule: &Rule| {
        let before = told.iter().find(|told| told.is(rule))?;
        let before = subject.state.earlier.of_modified(before, told, live)?;
        let before = subject.state.can_name(&before.source).then_some(before)?;
        Some(Rule { id: rule.id.clone(), tags: rule.tags.clone(), ..before.clone() })
    };
    let known: Vec<(&Rule, Rule)> =
        offenders.iter().filter_map(|offence| Some((&offence.rule, of(&offence.rule)?))).collect();
    let is_offender = |rule: &&Rule| offenders.iter().any(|offence| offence.rule.id == rule.id);
    let after: Vec<Rule> =
        live.iter().filter(|rule| !is_offender(rule)).chain(known.iter().map(|(_, before)| before)).cloned().collect();
    let is_back = |rule: &Rule| known.iter().any(|(_, before)| before.id == rule.id);
    let findings = judge(&after, is_back, &known_policy(subject), &subject.state.lists);
    let is_open = |rule: &Rule| findings.offences.iter().any(|offence| offence.rule.id == rule.id);
    if findings.unread.is_empty() {
        known.into_iter().filter(|(_, before)| !is_open(before)).collect()
    } else {
        Vec::new()
    }
}

#[cfg(test)]
mod tests;
