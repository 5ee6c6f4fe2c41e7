//! Which rules of a group let a forbidden source reach a guarded port.
//!
//! Without a list of allowed ranges, a source is the world when it is public and wider than may stand, or when the
//! sources of all rules for a port together cover that much. With a list, whatever is not inside it is forbidden.
//! Another group is forbidden when it belongs to a stranger.

mod together;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ipnet::IpNet;
use rescind::addresses::{AddressSet, Widest};
pub use rescind::ports::Guarded;
use rescind::text::few;
use rescind::verdict::{Evidence, Offender};

use crate::rule::{Protocol, Rule, Source};

/// Who may reach what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// What is guarded.
    pub guarded: Vec<Guarded>,
    /// The only ranges that may reach it, when there is such a list.
    pub allowed: Option<AddressSet>,
    /// The prefix lists that may reach it whatever is in them.
    pub allowed_lists: BTreeSet<String>,
    /// How wide a public source may be, when there is no list.
    pub widest: Widest,
    /// Accounts whose groups are no strangers', the own one included.
    pub known_accounts: BTreeSet<String>,
}

/// The ranges of managed prefix lists, or why one could not be read.
pub type PrefixLists = BTreeMap<String, Result<Vec<IpNet>, String>>;

/// Why a rule is forbidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// Its source is public and too wide.
    World,
    /// Its source, put together with others, is.
    Together,
    /// Its source is outside of the allowed ranges.
    NotAllowed,
    /// Its source is a group of an account that is not known.
    Stranger,
}

/// A rule that lets a forbidden source reach something guarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offence {
    /// The rule.
    pub rule: Rule,
    /// Why it is forbidden.
    pub why: Why,
    /// What guarded things it opens: `tcp/22`.
    pub opens: Vec<String>,
}

impl Offence {
    /// What is risky about it.
    pub fn evidence(&self) -> Evidence {
        let rule = &self.rule;
        let opens = format!("{} to {}", self.opens.join(", "), rule.source);
        let why = match self.why {
            Why::World => "too wide a public source",
            Why::Together => "too wide together with the other sources",
            Why::NotAllowed => "outside of rescind:allowed-cidrs",
            Why::Stranger => "a group of an account that is not trusted",
        };
        Evidence::new([("rule", rule.id.as_str()), ("opens", &opens), ("permits", &rule.ports()), ("why", why)])
    }
}

impl Offender for Offence {
    fn fingerprint(&self) -> String {
        self.rule.permits()
    }
}

/// What a rule may be found forbidden for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// Nothing. It only counts when sources are put together.
    Nothing,
    /// What its own source is. It may have stood for long, so that sources are too wide together is not its doing.
    Alone,
    /// That, and what it adds to the sources of the others.
    Full,
}

impl From<bool> for Blame {
    fn from(is_suspect: bool) -> Self {
        if is_suspect { Self::Full } else { Self::Nothing }
    }
}

/// What [`judge`] finds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Findings {
    /// The forbidden rules among those that may be taken back, in the order of the rules.
    pub offences: Vec<Offence>,
    /// Prefix lists that would have to be read to be sure, and why they could not be.
    pub unread: Vec<(String, String)>,
    /// Guarded things that too wide sources reach together without the offences, too: no rule is to blame for that.
    pub too_wide_together: Vec<String>,
}

/// Finds the forbidden rules.
///
/// `blame` tells what a rule may be found forbidden for: a boolean says whether it is one of the change. Of the rules that
/// are only too wide together, those go that add to what the others cover, and as few as will do: with any one of them
/// back, it would be too much again.
pub fn judge<B: Into<Blame>>(
    rules: &[Rule],
    blame: impl Fn(&Rule) -> B,
    policy: &Policy,
    lists: &PrefixLists,
) -> Findings {
    let ingress: Vec<(&Rule, Blame)> =
        rules.iter().filter(|rule| !rule.is_egress).map(|rule| (rule, blame(rule).into())).collect();
    let protocols: BTreeSet<Protocol> = ingress.iter().map(|(rule, _)| rule.protocol).collect();
    let mut findings = Findings::default();
    let mut found: BTreeMap<usize, (Why, Vec<String>)> = BTreeMap::new();
    let mut left: Vec<Vec<Reach>> = Vec::new();
    for (protocol, first, last) in policy.guarded.iter().flat_map(|guarded| guarded.parts(&protocols)) {
        let mut part = Vec::new();
        for (index, (rule, blame)) in ingress.iter().enumerate() {
            let Some(ports) = rule.overlap(protocol, first, last) else { continue };
            let reach = Reach { index, protocol, ports };
            match policy.forbids(&rule.source, lists) {
                Ok(Some(why)) if *blame != Blame::Nothing => note(&mut found, reach, why),
                Ok(None) => part.push(reach),
                Err(unread) if *blame != Blame::Nothing && !findings.unread.contains(&unread) => {
                    findings.unread.push(unread);
                }
                Ok(Some(_)) | Err(_) => {}
            }
        }
        left.push(part);
    }
    if policy.allowed.is_none() {
        let sources: Vec<together::Source> = ingress
            .iter()
            .map(|(rule, blame)| together::Source { nets: ranges(&rule.source, lists), may_go: *blame == Blame::Full })
            .collect();
        let too_wide = together::too_wide(&left, &sources, policy.widest);
        for reach in too_wide.go {
            note(&mut found, reach, Why::Together);
        }
        findings.too_wide_together = too_wide.stay.iter().map(Reach::to_string).collect();
    }
    for (index, (why, opens)) in found {
        if let Some((rule, _)) = ingress.get(index) {
            findings.offences.push(Offence { rule: (*rule).clone(), why, opens });
        }
    }
    findings
}

/// The guarded ports of one protocol that a rule opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Reach {
    /// Of the rule, among those that are judged.
    index: usize,
    protocol: Protocol,
    ports: (u16, u16),
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { protocol, ports: (first, last), .. } = self;
        match protocol {
            Protocol::Tcp | Protocol::Udp if first == last => write!(f, "{protocol}/{first}"),
            Protocol::Tcp | Protocol::Udp => write!(f, "{protocol}/{first}-{last}"),
            _ => write!(f, "{protocol}"),
        }
    }
}

fn note(found: &mut BTreeMap<usize, (Why, Vec<String>)>, reach: Reach, why: Why) {
    let text = reach.to_string();
    let entry = found.entry(reach.index).or_insert_with(|| (why, Vec::new()));
    entry.0 = entry.0.min(why);
    if !entry.1.contains(&text) {
        entry.1.push(text);
    }
}

fn ranges(source: &Source, lists: &PrefixLists) -> Vec<IpNet> {
    match source {
        Source::Cidr(net) => vec![*net],
        Source::PrefixList(id) => lists.get(id).and_then(|list| list.clone().ok()).unwrap_or_default(),
        Source::Group { .. } => Vec::new(),
    }
}

impl Policy {
    /// What a group lets in, in one sentence.
    pub fn sentence(&self, group: &str, offences: &[Offence]) -> String {
        let opens: BTreeSet<&str> =
            offences.iter().flat_map(|offence| offence.opens.iter().map(String::as_str)).collect();
        let sources: BTreeSet<String> = offences.iter().map(|offence| offence.rule.source.to_string()).collect();
        let opens = opens.into_iter().collect::<Vec<_>>().join(", ");
        let sources = few(sources.into_iter().collect());
        match offences.first().map(|offence| offence.why) {
            Some(Why::Stranger) => format!("{group} lets a stranger's group ({sources}) reach {opens}"),
            Some(Why::NotAllowed) => {
                format!("{group} lets {sources}, which is outside of the allowed ranges, reach {opens}")
            }
            Some(Why::Together) => {
                let Widest { v4, v6 } = self.widest;
                format!(
                    "{group} lets sources that together are wider than /{v4} (IPv4) or /{v6} (IPv6) reach {opens}: {sources}"
                )
            }
            _ => format!("{group} lets the world ({sources}) reach {opens}"),
        }
    }

    /// That a group lets nothing in, in one sentence.
    pub fn harmless(&self, group: &str) -> String {
        let guarded = self.guarded.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        format!("nothing that was changed in {group} lets a forbidden source reach {guarded}")
    }

    /// This policy with the accounts that are no strangers.
    #[must_use]
    pub fn with_known_accounts(&self, own: &str, trusted: &[String]) -> Self {
        let known_accounts = trusted.iter().cloned().chain([own.to_owned()]).collect();
        Self { known_accounts, ..self.clone() }
    }

    /// Whether a source is forbidden by itself. The error names a prefix list that could not be read.
    fn forbids(&self, source: &Source, lists: &PrefixLists) -> Result<Option<Why>, (String, String)> {
        match source {
            Source::Cidr(net) => Ok(self.forbids_range(net)),
            Source::Group { account: None, .. } => Ok(None),
            Source::Group { account: Some(account), .. } => {
                Ok((!self.known_accounts.contains(account)).then_some(Why::Stranger))
            }
            Source::PrefixList(id) if self.allowed_lists.contains(id) => Ok(None),
            Source::PrefixList(id) => match lists.get(id) {
                Some(Ok(nets)) => Ok(self.forbids_list(nets)),
                Some(Err(problem)) => Err((id.clone(), problem.clone())),
                None => Err((id.clone(), "it was not read".to_owned())),
            },
        }
    }

    fn forbids_range(&self, net: &IpNet) -> Option<Why> {
        match &self.allowed {
            Some(allowed) => (!allowed.contains(net)).then_some(Why::NotAllowed),
            None => self.widest.is_exceeded_by(net).then_some(Why::World),
        }
    }

    fn forbids_list(&self, nets: &[IpNet]) -> Option<Why> {
        let one = nets.iter().find_map(|net| self.forbids_range(net));
        one.or_else(|| (self.allowed.is_none() && self.widest.is_exceeded_by_all(nets)).then_some(Why::World))
    }
}

#[cfg(test)]
mod tests;
