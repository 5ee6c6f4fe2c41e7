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
//! AWS Config's history; else these tell all of it. What AWS Config had not seen in the group before is not put back. From a
//! request alone nothing is, either: in a default VPC it may name rules that were never there.
//!
//! ## Tags
//! `rescind:protected-tag`; `rescind:ports`, `rescind:allowed-cidrs` and `rescind:widest-source` say which rules are not
//! put back; and those of every remediation.
//!
//! ## References
//! Amazon EC2 API: `AuthorizeSecurityGroupIngress`, `AuthorizeSecurityGroupEgress`, `RevokeSecurityGroupIngress`
//! (`UnknownIpPermissions`). AWS Config developer guide: *Components of a configuration item*.

use rescind::signal::{Resource, Signal};
use rescind::verdict::{Assessment, Evidence};
use rescind::{Call, Plan, Step};
use rescind_lambda::{
    CallError, EARLIER_STATE_OPERATIONS, Heard, Operation, Remediation, ResourceState, Scope, Subject,
};

use crate::calls;
use crate::earlier::Earlier;
use crate::ec2::action;
use crate::protected::{Protection, protected};
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

    fn listen(&self, signal: &Signal) -> Vec<Heard<Target>> {
        signal.called(Self::CALLS).map(|call| told::removed(signal, call)).into_iter().collect()
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
            return Assessment::Harmless { reason: "no rule was removed".to_owned() };
        };
        if let Some(reason) = settings.spares(state) {
            return Assessment::Harmless { reason: format!("a rule was removed, and {reason}") };
        }
        let group = state.id().unwrap_or(&resource.id);
        let (unseen, told): (Vec<&Told>, Vec<&Told>) = told.iter().partition(|told| is_unseen(told, state));
        let removed: Vec<Rule> = told.iter().filter_map(|told| removed_rule(told, *is_certain, state)).collect();
        let (back, gone): (Vec<Rule>, Vec<Rule>) =
            removed.iter().cloned().partition(|rule| state.rules().iter().any(|live| live.is_same_as(rule)));
        let open = settings.open_ones(&gone, state, &resource.account, &common.trusted_accounts);
        let missing: Vec<Rule> = gone.iter().filter(|rule| !open.contains(rule)).cloned().collect();
        if let Earlier::Unread(problem) = &state.earlier
            && !missing.is_empty()
        {
            // Another time it may be read, and then the rules come back with their tags.
            return Assessment::Unclear {
                reason: format!("{} has lost {}; {problem}", protected(group, state), list(&missing)),
            };
        }
        if !missing.is_empty() {
            return Assessment::Risky {
                reason: format!("{} has lost {}", protected(group, state), list(&missing)),
                evidence: missing.iter().map(evidence).collect(),
                offenders: missing,
            };
        }
        if removed.len() < told.len() {
            let why = if *is_certain { "a removed rule can't be read".to_owned() } else { state.earlier.why_unknown() };
            return Assessment::Unclear {
                reason: format!("{group} is protected and may have lost rules; which, is not known: {why}"),
            };
        }
        if !back.is_empty() {
            return Assessment::AlreadySafe {
                reason: format!("{group} is protected and had lost {}; it is there again", list(&back)),
            };
        }
        Assessment::Harmless {
            reason: if !unseen.is_empty() && open.is_empty() {
                format!("what {group} has lost, AWS Config had not seen there: it stays removed")
            } else if open.is_empty() {
                format!("the call removed no rule of {group}")
            } else {
                format!("what {group} has lost would open a guarded port; it stays removed: {}", list(&gone))
            },
        }
    }

    fn plan(&self, subject: &Subject<'_, Self>, offenders: &[Rule]) -> Plan {
        let Some(group) = &subject.state.group else { return Plan::default() };
        let (rules, too_large) = calls::with_tags_that_fit(offenders.iter().cloned());
        let steps = calls::by_call(&rules).into_iter().map(|(direction, rules)| {
            let back = calls::authorize(&group.id, direction, &rules);
            Step::planned(back, calls::revoke_alike(&group.id, direction, &rules))
        });
        let note = too_large.map_or_else(|| format!("put back {}", subject.state.earlier.as_of()), str::to_owned);
        Plan { steps: steps.collect(), note: Some(note) }
    }

    async fn make(&self, scope: &Scope, call: &Call) -> Result<(), CallError> {
        calls::make(scope, call).await
    }
}

/// Whether the earlier state is known and did not have the rule: it stood for a short time only, or never, and an event
/// alone is not believed.
fn is_unseen(told: &Told, state: &State) -> bool {
    let Some(rule) = &told.rule else { return false };
    matches!(state.earlier, Earlier::Rules { .. })
        && !state.earlier.of_removed(told).is_some_and(|earlier| earlier.is_same_as(rule))
}

/// The rule as it was: what the event tells of it, if that is certain, with the tags that the earlier state tells.
fn removed_rule(told: &Told, is_certain: bool, state: &State) -> Option<Rule> {
    let earlier = state.earlier.of_removed(told);
    match &told.rule {
        Some(rule) if is_certain => {
            let tags = earlier.map(|earlier| earlier.tags.clone()).unwrap_or_default();
            Some(Rule { tags, ..rule.clone() })
        }
        // Nothing else can be known where nothing may be read.
        Some(rule) if state.is_from_event => Some(rule.clone()),
        _ => earlier.cloned(),
    }
}

fn list(rules: &[Rule]) -> String {
    rescind::text::few(rules.iter().map(Rule::permits).collect())
}

fn evidence(rule: &Rule) -> Evidence {
    let direction = if rule.is_egress { "outbound" } else { "inbound" };
    let (permits, other) = (rule.ports(), rule.source.to_string());
    Evidence::new([("rule", rule.id.as_str()), ("removed", direction), ("permits", &permits), ("peer", &other)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use rescind::settings::{OwnSettings, Settings, Tags};
    use serde_json::{Value, json};

    fn rule(id: &str, port: u16, range: &str) -> Value {
        json!({"securityGroupRuleId": id, "ipProtocol": "tcp", "fromPort": port, "toPort": port, "cidrIpv4": range})
    }

    fn read(rule: &Value) -> Rule {
        Rule::from_rule_set(rule).unwrap()
    }

    /// What becomes of a removal that the response tells, or else only the request.
    fn judged(response: &Value, request: &Value, earlier: &[Rule], is: &[Rule]) -> Assessment<Rule> {
        let event: Value = json!({"detail-type": "AWS API Call via CloudTrail", "source": "aws.ec2", "id": "1",
            "time": "2026-11-24T12:00:00Z", "account": "111122223333", "region": "eu-central-1",
            "detail": {"eventName": "RevokeSecurityGroupIngress", "eventSource": "ec2.amazonaws.com",
                "requestParameters": request, "responseElements": response}});
        let signal = rescind::signal::decode(event).unwrap().signal;
        let Some(Heard::About { resource, target }) = SecurityGroupRuleRemoved.listen(&signal).pop() else {
            panic!("heard")
        };
        let tags = vec![("rescind:protected".to_owned(), String::new())];
        let group = crate::ec2::SecurityGroup { id: "sg-1".to_owned(), tags, rules: is.to_vec() };
        let earlier = Earlier::Rules { rules: earlier.to_vec(), captured: String::new() };
        let state = State { group: Some(group), earlier, ..State::default() };
        let common = Settings::parse(&Tags::default(), &[]).unwrap();
        let settings = Protection::of_tags(&Tags::default()).unwrap();
        let subject = Subject {
            resource: &resource,
            target: &target,
            state: &state,
            common: &common,
            settings: &settings,
            own_roles: &[],
        };
        SecurityGroupRuleRemoved.assess(&subject)
    }

    #[test]
    fn what_the_response_tells_is_put_back_unless_it_is_there_or_was_open() {
        let (fine, open) = (rule("sgr-1", 5432, "10.0.0.0/8"), rule("sgr-2", 22, "0.0.0.0/0"));
        let seen = [read(&fine), read(&open)];
        let (request, response) =
            (json!({"groupId": "sg-1"}), json!({"revokedSecurityGroupRuleSet": {"items": [fine, open]}}));
        let Assessment::Risky { offenders, .. } = judged(&response, &request, &seen, &[]) else { panic!("risky") };
        assert_eq!(offenders, [read(&fine)]);
        let again = read(&rule("sgr-9", 5432, "10.0.0.0/8"));
        assert!(matches!(judged(&response, &request, &seen, &[again]), Assessment::AlreadySafe { .. }));
        let response = json!({"revokedSecurityGroupRuleSet": {"items": open}});
        assert!(matches!(judged(&response, &request, &seen, &[]), Assessment::Harmless { .. }));
    }

    #[test]
    fn what_aws_config_had_not_seen_is_not_put_back_on_an_events_word() {
        let told = rule("sgr-1", 8080, "0.0.0.0/0");
        let (request, response) = (json!({"groupId": "sg-1"}), json!({"revokedSecurityGroupRuleSet": {"items": told}}));
        for seen in
            [vec![], vec![read(&rule("sgr-1", 5432, "10.0.0.0/8"))], vec![read(&rule("sgr-2", 8080, "10.0.0.0/8"))]]
        {
            assert!(matches!(judged(&response, &request, &seen, &[]), Assessment::Harmless { .. }), "{seen:?}");
        }
        assert!(matches!(judged(&response, &request, &[read(&told)], &[]), Assessment::Risky { .. }));
    }

    #[test]
    fn sources_that_were_too_wide_together_stay_apart() {
        let halves: Vec<Value> =
            (0..4_u8).map(|n| rule(&format!("sgr-{n}"), 22, &format!("{}.0.0.0/9", 40 + n))).collect();
        let (gone, stay) = halves.split_first().unwrap();
        let stay: Vec<Rule> = stay.iter().map(read).collect();
        let response = json!({"revokedSecurityGroupRuleSet": {"items": gone}});
        assert!(matches!(
            judged(&response, &json!({"groupId": "sg-1"}), &[read(gone)], &stay),
            Assessment::Harmless { .. }
        ));
    }

    #[test]
    fn a_request_is_believed_as_far_as_the_earlier_state_confirms_it() {
        let was = read(&rule("sgr-1", 5432, "10.0.0.0/8"));
        let ranges = json!({"items": [{"cidrIp": "10.0.0.0/8"}]});
        let permission =
            json!({"items": [{"ipProtocol": "tcp", "fromPort": 5432, "toPort": 5432, "ipRanges": ranges}]});
        for request in [
            json!({"groupId": "sg-1", "ipPermissions": permission}),
            json!({"groupId": "sg-1", "ipProtocol": "tcp", "fromPort": 5432, "toPort": 5432, "cidrIp": "10.0.0.0/8"}),
            json!({"groupId": "sg-1", "securityGroupRuleIds": {"items": ["sgr-1"]}}),
            json!({"groupId": "sg-1", "securityGroupRuleIds": {"items": [{"securityGroupRuleId": "sgr-1"}]}}),
        ] {
            let Assessment::Risky { offenders, .. } = judged(&Value::Null, &request, std::slice::from_ref(&was), &[])
            else {
                panic!("risky: {request}")
            };
            assert_eq!(offenders, std::slice::from_ref(&was));
            assert!(!matches!(judged(&Value::Null, &request, &[], &[]), Assessment::Risky { .. }), "{request}");
        }
    }
}
