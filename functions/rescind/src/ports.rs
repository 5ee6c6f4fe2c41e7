//! Guarded ports: what may not be reached from everywhere, and how wide a source may be that reaches it. What lets traffic in is
//! judged by that, be it a rule of a security group or an entry of a network ACL.

use std::collections::BTreeSet;
use std::fmt;

use ipnet::IpNet;

use crate::addresses::{self, AddressSet, Widest};
use crate::settings::{OwnSettings, SettingsError, TagKey, Tags};

/// `rescind:ports`.
pub const PORTS: TagKey = TagKey {
    key: "ports",
    list: true,
    value: "what is guarded: `22`, `20-25` (TCP), `udp/53`, `tcp/20-25`, `icmp`, `icmpv6`, `all`",
    default: "`22 3389`",
};

/// `rescind:allowed-cidrs`, where only ranges can be named.
pub const ALLOWED_CIDRS: TagKey = TagKey {
    key: "allowed-cidrs",
    list: true,
    value: "the only ranges that may reach what is guarded",
    default: "any but the world",
};

/// `rescind:widest-source`.
pub const WIDEST_SOURCE: TagKey = TagKey {
    key: "widest-source",
    list: true,
    value: "how wide a public source may be: a prefix length for IPv4, then one for IPv6",
    default: "`/8 /32`",
};

/// Who may reach what, where sources are ranges of addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guards {
    /// What is guarded.
    pub guarded: Vec<Guarded>,
    /// The only ranges that may reach it, when there is such a list.
    pub allowed: Option<AddressSet>,
    /// How wide public sources may be, when there is no list.
    pub widest: Widest,
}

impl OwnSettings for Guards {
    const TAGS: &'static [TagKey] = &[PORTS, ALLOWED_CIDRS, WIDEST_SOURCE];

    fn of_tags(tags: &Tags) -> Result<Self, SettingsError> {
        let ranges = "ranges such as `10.0.0.0/8` or `2001:db8::/32`";
        let allowed: Option<Vec<IpNet>> = tags.parsed_list(ALLOWED_CIDRS.key, ranges, addresses::parse)?;
        Ok(Self { guarded: guarded(tags)?, allowed: allowed.map(AddressSet::new), widest: widest(tags)? })
    }
}

/// The value of [`PORTS`].
///
/// # Errors
/// [`SettingsError::Value`] when it is none.
pub fn guarded(tags: &Tags) -> Result<Vec<Guarded>, SettingsError> {
    let expected = "ports or protocols such as `22`, `tcp/20-25`, `udp/53`, `icmp` or `all`";
    let told = tags.parsed_list(PORTS.key, expected, Guarded::parse)?;
    Ok(told.unwrap_or_else(|| ["22", "3389"].iter().filter_map(|port| Guarded::parse(port)).collect()))
}

/// The value of [`WIDEST_SOURCE`].
///
/// # Errors
/// [`SettingsError::Value`] when it is none.
pub fn widest(tags: &Tags) -> Result<Widest, SettingsError> {
    const EXPECTED: &str = "a prefix length for IPv4 and one for IPv6, such as `/8 /32`";
    let key = WIDEST_SOURCE.key;
    let length = |word: &str| word.strip_prefix('/').unwrap_or(word).parse::<u8>().ok();
    let Some(lengths) = tags.parsed_list(key, EXPECTED, length)? else { return Ok(Widest::default()) };
    match lengths.as_slice() {
        [v4] if *v4 <= 32 => Ok(Widest { v4: *v4, ..Widest::default() }),
        [v4, v6] if *v4 <= 32 && *v6 <= 128 => Ok(Widest { v4: *v4, v6: *v6 }),
        _ => Err(SettingsError::value(key, tags.one(key).unwrap_or_default(), EXPECTED)),
    }
}

/// A protocol, by name or number (IANA protocol numbers; Amazon EC2 API, *`IpPermission`*).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// Every protocol, and so every port.
    All,
    /// TCP, 6.
    Tcp,
    /// UDP, 17.
    Udp,
    /// ICMP, 1.
    Icmp,
    /// ICMP for IPv6, 58.
    Icmpv6,
    /// Another one, which has no ports.
    Number(u8),
}

impl Protocol {
    /// Reads a protocol; `None` for what is none.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        // By their value: EC2 reads a number, so that `06` is TCP.
        Some(match (text.as_str(), text.parse::<u8>().ok()) {
            ("-1" | "all", _) => Self::All,
            ("tcp", _) | (_, Some(6)) => Self::Tcp,
            ("udp", _) | (_, Some(17)) => Self::Udp,
            ("icmp", _) | (_, Some(1)) => Self::Icmp,
            ("icmpv6", _) | (_, Some(58)) => Self::Icmpv6,
            (_, number) => Self::Number(number?),
        })
    }

    /// The protocol as the EC2 API takes it.
    pub fn as_ec2_writes_it(self) -> String {
        match self {
            Self::All => "-1".to_owned(),
            Self::Number(number) => number.to_string(),
            named => named.to_string(),
        }
    }

    /// Whether it has ports: TCP and UDP.
    pub fn has_ports(self) -> bool {
        matches!(self, Self::Tcp | Self::Udp)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Tcp => f.write_str("tcp"),
            Self::Udp => f.write_str("udp"),
            Self::Icmp => f.write_str("icmp"),
            Self::Icmpv6 => f.write_str("icmpv6"),
            Self::Number(number) => write!(f, "protocol {number}"),
        }
    }
}

/// A guarded port range or protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guarded {
    /// Ports of TCP or UDP.
    Ports {
        /// [`Protocol::Tcp`] or [`Protocol::Udp`].
        protocol: Protocol,
        /// The first port.
        first: u16,
        /// The last port.
        last: u16,
    },
    /// A protocol without ports.
    Protocol(Protocol),
    /// Everything.
    All,
}

impl Guarded {
    /// Reads `22` (TCP), `20-25`, `tcp/22`, `udp/3389`, `icmp`, `icmpv6` or `all`.
    pub fn parse(text: &str) -> Option<Self> {
        let (protocol, ports) = match text {
            "all" => return Some(Self::All),
            "icmp" => return Some(Self::Protocol(Protocol::Icmp)),
            "icmpv6" => return Some(Self::Protocol(Protocol::Icmpv6)),
            _ => match text.split_once('/') {
                Some(("tcp", ports)) => (Protocol::Tcp, ports),
                Some(("udp", ports)) => (Protocol::Udp, ports),
                Some(_) => return None,
                None => (Protocol::Tcp, text),
            },
        };
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        let port =
            |digits: &str| digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<u16>().ok()).flatten();
        let (first, last) = (port(first)?, port(last)?);
        (first <= last).then_some(Self::Ports { protocol, first, last })
    }

    /// The parts of this that are judged one by one, given the protocols that are named by what is judged.
    pub fn parts(self, protocols: &BTreeSet<Protocol>) -> Vec<(Protocol, u16, u16)> {
        match self {
            Self::Ports { protocol, first, last } => vec![(protocol, first, last)],
            Self::Protocol(protocol) => vec![(protocol, 0, 0)],
            Self::All => {
                let always = [Protocol::Tcp, Protocol::Udp, Protocol::Icmp, Protocol::Icmpv6];
                let named = protocols.iter().copied().filter(|protocol| *protocol != Protocol::All);
                let all: BTreeSet<Protocol> = always.into_iter().chain(named).collect();
                all.into_iter().map(|protocol| (protocol, 0, u16::MAX)).collect()
            }
        }
    }
}

impl fmt::Display for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ports { protocol, first, last } if first == last => write!(f, "{protocol}/{first}"),
            Self::Ports { protocol, first, last } => write!(f, "{protocol}/{first}-{last}"),
            Self::Protocol(protocol) => write!(f, "{protocol}"),
            Self::All => f.write_str("anything"),
        }
    }
}
