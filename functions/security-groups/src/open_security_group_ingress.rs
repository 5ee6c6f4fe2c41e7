//! `open-security-group-ingress`: a rule lets the world, or a stranger, reach a guarded port.
//!
//! ## What it takes back
//! Rules of a security group that let a forbidden source reach a guarded port: those that one call of
//! `AuthorizeSecurityGroupIngress` or `ModifySecurityGroupRules` made, or, when AWS Config reports the group, all of
//! them. Other rules of the same call stay.
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
//! rule ids. Earlier state: the event. A modified rule is revoked, not modified back, since the event does not tell
//! what it was before.
//!
//! ## Tags
//! `rescind:ports`, `rescind:allowed-cidrs`, `rescind:widest-source`, and those of every remediation.
//!
//! ## References
//! Amazon EC2 API: `RevokeSecurityGroupIngress`, `DescribeSecurityGroupRules`. Amazon VPC user guide: *Security group
//! rules*. AWS Config developer guide: *restricted-ssh*, *restricted-common-ports*.

use std::collections::{BTreeMap, BTreeSet};

use rescind::addresses::{self, AddressSet, Widest};
use rescind::journal::Facts;
use rescind::settings::{SettingsError, TagKey, Tags};
use rescind::signal::{ApiCall, ComplianceChange, ConfigurationItemChange, Fact, Resource, Signal, field, items, text};
use rescind::verdict::{Assessment, Evidence};
use rescind::{Call, Plan, Step};
use rescind_lambda::{CallError, Heard, Operation, Remediation, Scope, Subject};

use crate::ec2::{self, GroupRef, SecurityGroup, action};
use crate::exposure::{Findings, Guarded, Offence, Policy, PrefixLists, Why, judge};
use crate::rule::{Rule, Source};

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct OpenSecurityGroupIngress;

/// What a signal says of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The group, in the way that the signal names it.
    pub group: GroupRef,
    /// What changed.
    pub changed: Changed,
}

/// What changed in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// These rules.
    Rules(Vec<Told>),
    /// Not told: every rule is looked at.
    Unknown,
}

/// A rule as a record tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The rule's id, in records since 2021.
    pub id: Option<String>,
    /// What it says, where the record can be read.
    pub rule: Option<Rule>,
}

impl Told {
    fn is(&self, live: &Rule) -> bool {
        match (&self.id, &self.rule) {
            (Some(id), _) => *id == live.id,
            (None, Some(rule)) => rule.is_same_as(live),
            (None, None) => false,
        }
    }
}

/// How a group stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// The group; `None` when it is gone.
    pub group: Option<SecurityGroup>,
    /// The prefix lists that its rules name.
    pub lists: PrefixLists,
}

const TAGS: &[TagKey] = &[
    TagKey {
        key: "ports",
        list: true,
        value: "what is guarded: `22`, `20-25` (TCP), `udp/53`, `tcp/20-25`, `icmp`, `icmpv6`, `all`",
        default: "`22 3389`",
    },
    TagKey {
        key: "allowed-cidrs",
        list: true,
        value: "the only ranges, or prefix lists by id, that may reach what is guarded",
        default: "any but the world",
    },
    TagKey {
        key: "widest-source",
        list: true,
        value: "how wide a public source may be: a prefix length for IPv4, then one for IPv6",
        default: "`/8 /32`",
    },
];

const OPERATIONS: &[Operation] = &[
    Operation::reads(action::DESCRIBE_GROUPS),
    Operation::reads(action::DESCRIBE_RULES),
    Operation::reads(action::DESCRIBE_VPCS),
    Operation::reads(action::GET_PREFIX_LIST),
    Operation::changes(action::REVOKE_INGRESS),
    // The inverse, and the tags of the rules that it puts back.
    Operation::changes(action::AUTHORIZE_INGRESS),
    Operation::changes(action::CREATE_TAGS),
];

/// The AWS Config rules whose judgement is heard, by the names of the managed rules. Security Hub and conformance packs
/// put their own words before and after them.
const CONFIG_RULES: &[&str] = &["restricted-ssh", "restricted-common-ports"];

impl Remediation for OpenSecurityGroupIngress {
    type Target = Target;
    type State = State;
    type Settings = Policy;
    type Offender = Offence;

    fn name(&self) -> &'static str {
        "open-security-group-ingress"
    }

    fn tags(&self) -> &'static [TagKey] {
        TAGS
    }

    fn operations(&self) -> &'static [Operation] {
        OPERATIONS
    }

    fn listen(&self, signal: &Signal) -> Heard<Target> {
        match &signal.fact {
            Fact::ApiCall(call) if call.service == "ec2.amazonaws.com" => match call.name.as_str() {
                "AuthorizeSecurityGroupIngress" => hear_authorize(signal, call),
                "ModifySecurityGroupRules" => hear_modify(signal, call),
                _ => Heard::Nothing,
            },
            Fact::ConfigurationItemChange(change) => hear_item(change),
            Fact::ComplianceChange(change) => hear_compliance(change),
            Fact::ApiCall(_) => Heard::Nothing,
        }
    }

    fn settings(&self, tags: &Tags) -> Result<Policy, SettingsError> {
        policy(tags)
    }

    fn state_of_event(&self, _: &Resource, target: &Target, live: Option<&State>) -> Option<State> {
        let (GroupRef::Id(id) | GroupRef::Name(id)) = &target.group;
        let Changed::Rules(told) = &target.changed else { return None };
        let rules = told.iter().filter_map(|told| told.rule.clone()).collect();
        let lists = live.map(|state| state.lists.clone()).unwrap_or_default();
        Some(State { group: Some(SecurityGroup { id: id.clone(), tags: Vec::new(), rules }), lists })
    }

    async fn read(&self, scope: &Scope, _: &Resource, target: &Target) -> Result<State, CallError> {
        let told = match &target.changed {
            Changed::Rules(told) => told.as_slice(),
            Changed::Unknown => &[],
        };
        let lists = told.iter().filter_map(|told| match told.rule.as_ref().map(|rule| &rule.source) {
            Some(Source::PrefixList(id)) => Some(id.clone()),
            _ => None,
        });
        let (group, lists) = ec2::read_group(scope, &target.group, &lists.collect()).await?;
        Ok(State { group, lists })
    }

    fn resource_id<'a>(&self, state: &'a State) -> Option<&'a str> {
        state.group.as_ref().map(|group| group.id.as_str())
    }

    fn facts(&self, state: &State) -> Facts {
        state.group.iter().flat_map(|group| &group.rules).map(|rule| (rule.permits(), rule.notes())).collect()
    }

    fn fingerprint(&self, offender: &Offence) -> String {
        offender.rule.permits()
    }

    fn resource_tags<'a>(&self, state: &'a State) -> &'a [(String, String)] {
        state.group.as_ref().map(|group| group.tags.as_slice()).unwrap_or_default()
    }

    fn assess(&self, subject: &Subject<'_, Self>) -> Assessment<Offence> {
        let policy = subject.settings.with_known_accounts(&subject.resource.account, &subject.common.trusted_accounts);
        let told = match &subject.target.changed {
            Changed::Unknown => None,
            Changed::Rules(told) => Some(told),
        };
        let group_name = subject.state.group.as_ref().map_or(subject.resource.id.as_str(), |group| group.id.as_str());
        let live = subject.state.group.as_ref().map(|group| group.rules.as_slice()).unwrap_or_default();
        let is_changed = |rule: &Rule| told.is_none_or(|told| told.iter().any(|told| told.is(rule)));
        let Findings { offences, unread } = judge(live, is_changed, &policy, &subject.state.lists);
        if !offences.is_empty() {
            return Assessment::Risky {
                reason: sentence(group_name, &offences, &policy),
                evidence: offences.iter().map(evidence).collect(),
                offenders: offences,
            };
        }
        if let Some((list, problem)) = unread.first() {
            return Assessment::Unclear {
                reason: format!("whether {group_name} is open depends on {list}, and {problem}"),
            };
        }
        // Nothing risky is there. Was it, when the change was made?
        let absent = told.into_iter().flatten().filter(|told| !live.iter().any(|rule| told.is(rule)));
        let absent: Vec<Rule> = absent.filter_map(|told| told.rule.clone()).collect();
        let all: Vec<Rule> = absent.iter().chain(live).cloned().collect();
        let was_risky = judge(&all, |rule| absent.contains(rule), &policy, &subject.state.lists);
        if was_risky.offences.is_empty() {
            return Assessment::Harmless { reason: harmless(group_name, &policy) };
        }
        let what = sentence(group_name, &was_risky.offences, &policy);
        Assessment::AlreadySafe {
            reason: if subject.state.group.is_none() {
                format!("{what}; the group is gone already")
            } else {
                format!("{what}; that is gone already")
            },
        }
    }

    fn plan(&self, subject: &Subject<'_, Self>, offenders: &[Offence]) -> Plan {
        let Some(group) = &subject.state.group else { return Plan::default() };
        // The inverse gives all rules of one call the same tags, so rules with other tags need a call of their own.
        let mut by_tags: BTreeMap<&[(String, String)], Vec<&Rule>> = BTreeMap::new();
        for offence in offenders {
            by_tags.entry(&offence.rule.tags).or_default().push(&offence.rule);
        }
        let steps = by_tags.values().map(|rules| {
            Step::planned(ec2::revoke_ingress(&group.id, rules), ec2::authorize_ingress(&group.id, rules))
        });
        Plan { steps: steps.collect(), note: None }
    }

    async fn make(&self, scope: &Scope, call: &Call) -> Result<(), CallError> {
        ec2::make(scope, call).await
    }
}

fn group_resource(signal: &Signal, group: &str) -> Resource {
    Resource {
        kind: "AWS::EC2::SecurityGroup".to_owned(),
        id: group.to_owned(),
        account: signal.account.clone(),
        region: signal.region.clone(),
    }
}

fn hear_authorize(signal: &Signal, call: &ApiCall) -> Heard<Target> {
    let (request, response) = (call.request(), call.response());
    let made = items(field(response, "securityGroupRuleSet"));
    // What the response tells is what was made; the request may name the group by name and write ranges as it likes.
    let told: Vec<Told> = if made.is_empty() {
        Rule::from_request(request).into_iter().map(|rule| Told { id: None, rule }).collect()
    } else {
        made.iter()
            .map(|item| Told {
                id: text(item, "securityGroupRuleId").map(str::to_owned),
                rule: Rule::from_rule_set(item),
            })
            .collect()
    };
    let group = made
        .iter()
        .find_map(|item| text(item, "groupId"))
        .or_else(|| text(request, "groupId"))
        .map(|id| GroupRef::Id(id.to_owned()))
        .or_else(|| text(request, "groupName").map(|name| GroupRef::Name(name.to_owned())));
    hear(signal, group, told)
}

fn hear_modify(signal: &Signal, call: &ApiCall) -> Heard<Target> {
    let request = call.request();
    let group = text(request, "groupId").map(|id| GroupRef::Id(id.to_owned()));
    let updates = items(field(request, "securityGroupRule").or_else(|| field(request, "securityGroupRules")));
    let told = updates.into_iter().map(|update| {
        let id = text(update, "securityGroupRuleId").map(str::to_owned);
        let rule = field(update, "securityGroupRule").and_then(Rule::from_rule_set);
        Told { rule: rule.map(|rule| Rule { id: id.clone().unwrap_or_default(), ..rule }), id }
    });
    hear(signal, group, told.collect())
}

fn hear(signal: &Signal, group: Option<GroupRef>, told: Vec<Told>) -> Heard<Target> {
    let Some(group) = group else {
        return Heard::Unreadable {
            resource: group_resource(signal, "unknown"),
            reason: "the record does not tell which security group was changed; CloudTrail leaves out requests and responses above 100 KB"
                .to_owned(),
        };
    };
    let (GroupRef::Id(id) | GroupRef::Name(id)) = &group;
    let resource = group_resource(signal, id);
    if told.is_empty() || told.iter().any(|told| told.id.is_none() && told.rule.is_none()) {
        return Heard::Unreadable {
            resource,
            reason: "the record does not tell which rules were made, or one of them has a protocol or source that can't be read".to_owned(),
        };
    }
    Heard::About { resource, target: Target { group, changed: Changed::Rules(told) } }
}

fn hear_item(change: &ConfigurationItemChange) -> Heard<Target> {
    if change.resource.kind != "AWS::EC2::SecurityGroup" || change.is_deletion() {
        return Heard::Nothing;
    }
    whole_group(&change.resource)
}

fn hear_compliance(change: &ComplianceChange) -> Heard<Target> {
    let is_ours = CONFIG_RULES.iter().any(|name| change.rule_name.contains(name));
    if change.resource.kind != "AWS::EC2::SecurityGroup" || change.compliance != "NON_COMPLIANT" || !is_ours {
        return Heard::Nothing;
    }
    whole_group(&change.resource)
}

fn whole_group(resource: &Resource) -> Heard<Target> {
    let target = Target { group: GroupRef::Id(resource.id.clone()), changed: Changed::Unknown };
    Heard::About { resource: resource.clone(), target }
}

fn policy(tags: &Tags) -> Result<Policy, SettingsError> {
    let ports = "ports or protocols such as `22`, `tcp/20-25`, `udp/53`, `icmp` or `all`";
    let guarded = tags
        .parsed_list("ports", ports, Guarded::parse)?
        .unwrap_or_else(|| ["22", "3389"].iter().filter_map(|port| Guarded::parse(port)).collect());
    let is_list = |word: &&str| word.starts_with("pl-");
    let allowed = tags.parsed_list(
        "allowed-cidrs",
        "ranges such as `10.0.0.0/8` or `2001:db8::/32`, or prefix lists such as `pl-0123`",
        |word| {
            if is_list(&word) { Some(Err(word.to_owned())) } else { addresses::parse(word).map(Ok) }
        },
    )?;
    let allowed_lists = allowed.iter().flatten().filter_map(|entry| entry.clone().err()).collect();
    let allowed = allowed.map(|entries| AddressSet::new(entries.into_iter().filter_map(Result::ok)));
    Ok(Policy { guarded, allowed, allowed_lists, widest: widest(tags)?, known_accounts: BTreeSet::new() })
}

fn widest(tags: &Tags) -> Result<Widest, SettingsError> {
    const EXPECTED: &str = "a prefix length for IPv4 and one for IPv6, such as `/8 /32`";
    let length = |word: &str| word.strip_prefix('/').unwrap_or(word).parse::<u8>().ok();
    let Some(lengths) = tags.parsed_list("widest-source", EXPECTED, length)? else { return Ok(Widest::default()) };
    match lengths.as_slice() {
        [v4] if *v4 <= 32 => Ok(Widest { v4: *v4, ..Widest::default() }),
        [v4, v6] if *v4 <= 32 && *v6 <= 128 => Ok(Widest { v4: *v4, v6: *v6 }),
        _ => Err(SettingsError::value("widest-source", tags.one("widest-source").unwrap_or_default(), EXPECTED)),
    }
}

fn evidence(offence: &Offence) -> Evidence {
    let rule = &offence.rule;
    let opens = format!("{} to {}", offence.opens.join(", "), rule.source);
    let why = match offence.why {
        Why::World => "too wide a public source",
        Why::Together => "too wide together with the other sources",
        Why::NotAllowed => "outside of rescind:allowed-cidrs",
        Why::Stranger => "a group of an account that is not trusted",
    };
    Evidence::new([("rule", rule.id.as_str()), ("opens", &opens), ("permits", &rule.ports()), ("why", why)])
}

fn sentence(group: &str, offences: &[Offence], policy: &Policy) -> String {
    let opens: BTreeSet<&str> = offences.iter().flat_map(|offence| offence.opens.iter().map(String::as_str)).collect();
    let sources: BTreeSet<String> = offences.iter().map(|offence| offence.rule.source.to_string()).collect();
    let opens = opens.into_iter().collect::<Vec<_>>().join(", ");
    let mut named: Vec<String> = sources.into_iter().collect();
    if named.len() > 4 {
        let more = named.len() - 3;
        named.truncate(3);
        named.push(format!("{more} more"));
    }
    let sources = named.join(", ");
    match offences.first().map(|offence| offence.why) {
        Some(Why::Stranger) => format!("{group} lets a stranger's group ({sources}) reach {opens}"),
        Some(Why::NotAllowed) => {
            format!("{group} lets {sources}, which is outside of the allowed ranges, reach {opens}")
        }
        Some(Why::Together) => {
            let Widest { v4, v6 } = policy.widest;
            format!(
                "{group} lets sources that together are wider than /{v4} (IPv4) or /{v6} (IPv6) reach {opens}: {sources}"
            )
        }
        _ => format!("{group} lets the world ({sources}) reach {opens}"),
    }
}

fn harmless(group: &str, policy: &Policy) -> String {
    let guarded = policy.guarded.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    format!("nothing that was changed in {group} lets a forbidden source reach {guarded}")
}
