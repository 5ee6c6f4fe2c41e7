//! An inbound entry of a network ACL: how CloudTrail, AWS Config and EC2 tell it, the calls that make it, and what it lets in where it
//! stands among others.

use std::collections::BTreeSet;
use std::fmt;

use aws_sdk_ec2::types::{IcmpTypeCode, NetworkAclEntry, RuleAction};
use ipnet::IpNet;
use rescind::addresses::{self, Coverage};
use rescind::ports::{Guarded, Guards, Protocol};
use rescind::signal::{field, number, text};
use serde_json::{Value, json};

/// An inbound entry. Those of the highest number, which deny the rest, are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Entries are gone through by their numbers, the lowest first; the first that matches decides.
    pub number: i32,
    /// It allows; else it denies.
    pub is_allow: bool,
    /// The protocol.
    pub protocol: Protocol,
    /// The ports of TCP or UDP; `None` for all, and for what has no ports.
    pub ports: Option<(u16, u16)>,
    /// The type and code of ICMP; -1 is all.
    pub icmp: (i32, i32),
    /// From where.
    pub source: IpNet,
}

/// Why an entry may not stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// Its source is public and too wide.
    World,
    /// Its source, put together with those of other entries, is.
    Together,
    /// Its source is outside of the allowed ranges.
    NotAllowed,
}

impl Why {
    /// That a source may reach something, for a sentence: `the world (0.0.0.0/0) reach tcp/22`.
    pub fn in_words(self, source: &str, what: &str) -> String {
        match self {
            Self::World => format!("the world ({source}) reach {what}"),
            Self::Together => format!("{source} reach {what}: together with other entries, that is too wide"),
            Self::NotAllowed => format!("{source}, which is outside of the allowed ranges, reach {what}"),
        }
    }
}

impl Entry {
    /// Reads an entry from a request in CloudTrail, from what AWS Config records or from the parameters of a call; `None` for what
    /// is no inbound entry, or tells too little.
    pub fn read(told: &Value) -> Option<Self> {
        let words = |name: &str| match field(told, name)? {
            Value::String(text) => Some(text.to_ascii_lowercase()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
            other => Some(other.to_string()),
        };
        let (ports, icmp) = (field(told, "portRange"), field(told, "icmpTypeCode"));
        let of = |range: Option<&Value>, name: &str| range.and_then(|range| number(range, name));
        let wide = |number: i64| i32::try_from(number).ok();
        Self {
            number: wide(number(told, "ruleNumber")?)?,
            is_allow: match words("ruleAction")?.as_str() {
                "allow" => true,
                "deny" => false,
                _ => return None,
            },
            protocol: Protocol::parse(&words("aclProtocol").or_else(|| words("protocol"))?)?,
            ports: of(ports, "from").zip(of(ports, "to")).and_then(|(from, to)| range(from, to)),
            icmp: (of(icmp, "type").and_then(wide).unwrap_or(-1), of(icmp, "code").and_then(wide).unwrap_or(-1)),
            source: text(told, "cidrBlock").or_else(|| text(told, "ipv6CidrBlock")).and_then(addresses::parse)?,
        }
        .inbound(words("egress")? == "true")
    }

    /// An entry as EC2 tells it.
    pub fn of_ec2(entry: &NetworkAclEntry) -> Option<Self> {
        let (ports, icmp) = (entry.port_range(), entry.icmp_type_code());
        let ports = ports.and_then(|ports| Some((ports.from()?, ports.to()?)));
        let icmp = |part: fn(&IcmpTypeCode) -> Option<i32>| icmp.and_then(part).unwrap_or(-1);
        Self {
            number: entry.rule_number()?,
            is_allow: entry.rule_action() != Some(&RuleAction::Deny),
            protocol: Protocol::parse(entry.protocol()?)?,
            ports: ports.and_then(|(from, to)| range(from.into(), to.into())),
            icmp: (icmp(IcmpTypeCode::r#type), icmp(IcmpTypeCode::code)),
            source: entry.cidr_block().or_else(|| entry.ipv6_cidr_block()).and_then(addresses::parse)?,
        }
        .inbound(entry.egress()?)
    }

    /// The entry without what its protocol does not heed, so that the same entries are equal.
    fn inbound(self, is_egress: bool) -> Option<Self> {
        let ports = self.ports.filter(|ports| self.protocol.has_ports() && *ports != (0, u16::MAX));
        let is_icmp = matches!(self.protocol, Protocol::Icmp | Protocol::Icmpv6);
        let icmp = if is_icmp { self.icmp } else { (-1, -1) };
        (!is_egress && self.number < 32_767).then_some(Self { ports, icmp, ..self })
    }

    /// The parameters of the call that makes it, or puts it in the place of another one.
    pub fn parameters(&self, acl: &str) -> Value {
        let protocol = match self.protocol {
            Protocol::All => "-1".to_owned(),
            Protocol::Tcp => "6".to_owned(),
            Protocol::Udp => "17".to_owned(),
            Protocol::Icmp => "1".to_owned(),
            Protocol::Icmpv6 => "58".to_owned(),
            Protocol::Number(number) => number.to_string(),
        };
        let source = if self.source.addr().is_ipv4() { "CidrBlock" } else { "Ipv6CidrBlock" };
        let mut parameters = vec![
            ("NetworkAclId", json!(acl)),
            ("RuleNumber", json!(self.number)),
            ("Egress", json!(false)),
            ("Protocol", json!(protocol)),
            ("RuleAction", json!(if self.is_allow { "allow" } else { "deny" })),
            (source, json!(self.source.to_string())),
        ];
        if self.protocol.has_ports() {
            let (from, to) = self.ports.unwrap_or((0, u16::MAX));
            parameters.push(("PortRange", json!({"From": from, "To": to})));
        } else if matches!(self.protocol, Protocol::Icmp | Protocol::Icmpv6) {
            parameters.push(("IcmpTypeCode", json!({"Type": self.icmp.0, "Code": self.icmp.1})));
        }
        parameters.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// The part of these ports that it is about; a protocol without ports has one part.
    fn overlap(&self, protocol: Protocol, first: u16, last: u16) -> Option<(u16, u16)> {
        let is_meant = self.protocol == Protocol::All || self.protocol == protocol;
        let (from, to) = self.ports.unwrap_or((0, u16::MAX));
        let (from, to) = (from.max(first), to.min(last));
        (is_meant && from <= to).then_some((from, to))
    }

    /// Which guarded things it lets forbidden sources reach, and why these are. What entries with lower numbers deny, it does not let
    /// in; that they allow the same is no excuse.
    pub fn opens(&self, among: &[Self], guards: &Guards) -> Vec<(String, Why)> {
        let others: Vec<&Self> = among.iter().filter(|other| other.number != self.number).collect();
        let protocols: BTreeSet<Protocol> = among.iter().chain([self]).map(|entry| entry.protocol).collect();
        let mut opens: Vec<(String, Why)> = Vec::new();
        for (protocol, first, last) in guards.guarded.iter().flat_map(|guarded| guarded.parts(&protocols)) {
            let Some(ports) = self.overlap(protocol, first, last).filter(|_| self.is_allow) else { continue };
            let mut open: Vec<(u16, u16, Why)> = Vec::new();
            for (from, to) in alike(ports, &others) {
                let here: Vec<&Self> =
                    others.iter().filter(|other| other.overlap(protocol, from, to).is_some()).copied().collect();
                let Some(why) = self.forbidden(&here, guards) else { continue };
                match open.last_mut() {
                    Some((_, end, before)) if end.checked_add(1) == Some(from) && *before == why => *end = to,
                    _ => open.push((from, to, why)),
                }
            }
            opens.extend(open.into_iter().map(|(from, to, why)| (shown(protocol, from, to), why)));
        }
        opens.dedup();
        opens
    }

    /// Why it may not let in what is left of its source behind the entries that are there for the same ports.
    fn forbidden(&self, here: &[&Self], guards: &Guards) -> Option<Why> {
        let left = self.left_behind(here);
        if let Some(allowed) = &guards.allowed {
            return left.iter().any(|net| !allowed.contains(net)).then_some(Why::NotAllowed);
        }
        if left.iter().any(|net| guards.widest.is_exceeded_by(net)) || guards.widest.is_exceeded_by_all(&left) {
            return Some(Why::World);
        }
        let others: Vec<IpNet> =
            here.iter().filter(|other| other.is_allow).flat_map(|other| other.left_behind(here)).collect();
        let most = guards.widest.coverage().or_larger(Coverage::of(&others));
        let all: Vec<IpNet> = others.into_iter().chain(left).collect();
        (!Coverage::of(&all).fits_in(most)).then_some(Why::Together)
    }

    /// What is left of its source behind the entries with lower numbers that deny. One that denies some types of ICMP denies too little.
    fn left_behind(&self, here: &[&Self]) -> Vec<IpNet> {
        let denies_before = |other: &&&Self| !other.is_allow && other.number < self.number && other.icmp == (-1, -1);
        let denied: Vec<IpNet> = here.iter().filter(denies_before).map(|other| other.source).collect();
        addresses::without(self.source, &denied)
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let action = if self.is_allow { "allow" } else { "deny" };
        write!(f, "{action} ")?;
        match (self.protocol, self.ports, self.icmp) {
            (protocol, Some((first, last)), _) => f.write_str(&shown(protocol, first, last))?,
            (protocol, None, (-1, -1)) => write!(f, "{protocol}")?,
            (protocol, None, (kind, code)) => write!(f, "{protocol} type {kind} code {code}")?,
        }
        write!(f, " from {}", self.source)
    }
}

/// Ports in ranges for which the same of the others are there.
fn alike((first, last): (u16, u16), others: &[&Entry]) -> Vec<(u16, u16)> {
    let ends = others.iter().filter_map(|other| other.ports);
    let starts = ends.flat_map(|(from, to)| [Some(from), to.checked_add(1)]).flatten();
    let starts: BTreeSet<u16> = starts.filter(|start| (first..=last).contains(start)).chain([first]).collect();
    let next = starts.iter().skip(1).map(|start| start.saturating_sub(1)).chain([last]);
    starts.iter().copied().zip(next).collect()
}

fn shown(protocol: Protocol, first: u16, last: u16) -> String {
    if protocol.has_ports() {
        Guarded::Ports { protocol, first, last }.to_string()
    } else {
        Guarded::Protocol(protocol).to_string()
    }
}

/// A range of ports; `None` for all of them.
fn range(from: i64, to: i64) -> Option<(u16, u16)> {
    Some((u16::try_from(from).ok()?, u16::try_from(to).ok()?))
}

#[cfg(test)]
mod tests;
