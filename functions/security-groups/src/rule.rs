//! One rule of a security group, as CloudTrail's records and the EC2 API tell it.

use std::fmt;

use ipnet::IpNet;
use rescind::addresses;
pub use rescind::ports::Protocol;
use rescind::signal::{field, items, number, text};
use rescind::text::digest;
use rescind::verdict::Offender;
use serde_json::{Value, json};

/// A rule: who may reach what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// `sgr-…`; empty when a record does not tell.
    pub id: String,
    /// Whether it is about traffic that leaves.
    pub is_egress: bool,
    /// The protocol.
    pub protocol: Protocol,
    /// The first port, or the ICMP type; absent or -1 for all.
    pub from: Option<i32>,
    /// The last port, or the ICMP code; absent or -1 for all.
    pub to: Option<i32>,
    /// The other side.
    pub source: Source,
    /// The description, as its author wrote it.
    pub description: Option<String>,
    /// The rule's own tags, sorted.
    pub tags: Vec<(String, String)>,
}

/// The other side of a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A range of addresses, in canonical form.
    Cidr(IpNet),
    /// A managed prefix list, `pl-…`.
    PrefixList(String),
    /// Whatever is in another security group.
    Group {
        /// `sg-…`, or its name in old records.
        id: String,
        /// The account that owns it; absent for the own one.
        account: Option<String>,
        /// The VPC peering connection that it is reached over.
        peering: Option<String>,
    },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cidr(net) => write!(f, "{net}"),
            Self::Group { id, account: Some(account), .. } => write!(f, "{id} of account {account}"),
            Self::PrefixList(id) | Self::Group { id, account: None, .. } => f.write_str(id),
        }
    }
}

impl Offender for Rule {
    fn fingerprint(&self) -> String {
        self.permits()
    }
}

impl Rule {
    /// Whether the rule lets in on any port: its protocol has none, or they are not limited.
    pub fn is_for_all_ports(&self) -> bool {
        !self.protocol.has_ports() || matches!(self.from, None | Some(-1)) || matches!(self.to, None | Some(-1))
    }

    /// The part of the ports from `first` to `last` of `protocol` that the rule lets in; `None` when it lets in none.
    pub fn overlap(&self, protocol: Protocol, first: u16, last: u16) -> Option<(u16, u16)> {
        if self.protocol != Protocol::All && self.protocol != protocol {
            return None;
        }
        if self.is_for_all_ports() {
            return Some((first, last));
        }
        let port = |port: i32| u16::try_from(port.clamp(0, 65_535)).unwrap_or(u16::MAX);
        let (from, to) = (port(self.from?).max(first), port(self.to?).min(last));
        (from <= to).then_some((from, to))
    }

    /// Whether two rules are the same but for id, description and tags: EC2 allows no two of these in one group.
    pub fn is_same_as(&self, other: &Self) -> bool {
        let ports = |rule: &Self| {
            if rule.is_for_all_ports() && rule.protocol.has_ports() { (None, None) } else { (rule.from, rule.to) }
        };
        let icmp_or_all = |rule: &Self| (rule.from.unwrap_or(-1), rule.to.unwrap_or(-1));
        self.is_egress == other.is_egress
            && self.protocol == other.protocol
            && (self.protocol == Protocol::All
                || (self.protocol.has_ports() && ports(self) == ports(other))
                || (!self.protocol.has_ports() && icmp_or_all(self) == icmp_or_all(other)))
            && match (&self.source, &other.source) {
                (Source::Group { id: a, account: x, .. }, Source::Group { id: b, account: y, .. }) => {
                    a == b && (x == y || x.is_none() || y.is_none())
                }
                (a, b) => a == b,
            }
    }

    /// The rule, with what another record of the same one tells beside: its tags, and whose the other group is. The answer to a
    /// revoke tells neither.
    #[must_use]
    pub fn completed_by(self, known: &Self) -> Self {
        let source = match (self.source, &known.source) {
            (Source::Group { id, account, peering }, Source::Group { account: owner, peering: way, .. }) => {
                Source::Group { id, account: owner.clone().or(account), peering: way.clone().or(peering) }
            }
            (source, _) => source,
        };
        Self { source, tags: known.tags.clone(), ..self }
    }

    /// What the rule permits, without its id, description and tags: the same for the same rule made again.
    pub fn permits(&self) -> String {
        let direction = if self.is_egress { "out" } else { "in" };
        let ports = if matches!(self.protocol, Protocol::All) || self.protocol.has_ports() {
            self.ports()
        } else {
            format!("{} {}/{}", self.protocol, self.from.unwrap_or(-1), self.to.unwrap_or(-1))
        };
        format!("{ports} {direction} {}", self.source)
    }

    /// The rule's description and tags, for comparing; in place of a long text, its hash.
    pub fn notes(&self) -> String {
        let tags: Vec<String> = self.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let text = format!("{} [{}]", self.description.as_deref().unwrap_or_default(), tags.join(", "));
        if text.len() > 80 { digest([text.as_str()]) } else { text }
    }

    /// Whether two rules permit the same and are described the same.
    pub fn reads_as(&self, other: &Self) -> bool {
        self.is_same_as(other) && self.description == other.description
    }

    /// What the rule is for, in a few characters: `tcp/22`, `tcp/20-25`, `all traffic`.
    pub fn ports(&self) -> String {
        match (self.protocol, self.from, self.to) {
            (Protocol::All, ..) => "all traffic".to_owned(),
            (protocol, ..) if !protocol.has_ports() => protocol.to_string(),
            (protocol, ..) if self.is_for_all_ports() => format!("{protocol}/0-65535"),
            (protocol, Some(from), Some(to)) if from == to => format!("{protocol}/{from}"),
            (protocol, from, to) => format!("{protocol}/{}-{}", from.unwrap_or_default(), to.unwrap_or(65_535)),
        }
    }

    /// Reads an element of a response's `securityGroupRuleSet`, or the `SecurityGroupRule` of a modification.
    ///
    /// `None` when protocol or source can't be read.
    pub fn from_rule_set(item: &Value) -> Option<Self> {
        let source = if let Some(range) = text(item, "cidrIpv4").or_else(|| text(item, "cidrIpv6")) {
            Source::Cidr(addresses::parse(range)?)
        } else if let Some(list) = text(item, "prefixListId") {
            Source::PrefixList(list.to_owned())
        } else {
            let group = field(item, "referencedGroupInfo").unwrap_or(item);
            let id = text(group, "groupId").filter(|_| field(item, "referencedGroupInfo").is_some());
            Source::Group {
                id: id.or_else(|| text(item, "referencedGroupId"))?.to_owned(),
                account: text(group, "userId").map(str::to_owned),
                peering: text(group, "vpcPeeringConnectionId").map(str::to_owned),
            }
        };
        let tags = items(field(item, "tagSet").or_else(|| field(item, "tags"))).into_iter();
        let tag = |tag| Some((text(tag, "key")?.to_owned(), text(tag, "value").unwrap_or_default().to_owned()));
        let mut tags: Vec<(String, String)> = tags.filter_map(tag).collect();
        tags.sort();
        Some(Self {
            id: text(item, "securityGroupRuleId").unwrap_or_default().to_owned(),
            is_egress: field(item, "isEgress").is_some_and(is_true),
            tags,
            ..Self::new(item, source)?
        })
    }

    /// The rule as an element of a rule set, so that [`Rule::from_rule_set`] reads it again.
    pub fn to_rule_set(&self) -> Value {
        let tags: Vec<Value> = self.tags.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
        let (ipv4, ipv6, list, group) = match &self.source {
            Source::Cidr(net @ IpNet::V4(_)) => (Some(net), None, None, Value::Null),
            Source::Cidr(net @ IpNet::V6(_)) => (None, Some(net), None, Value::Null),
            Source::PrefixList(id) => (None, None, Some(id), Value::Null),
            Source::Group { id, account, peering } => {
                let group = json!({"groupId": id, "userId": account, "vpcPeeringConnectionId": peering});
                (None, None, None, group)
            }
        };
        json!({
            "securityGroupRuleId": self.id, "isEgress": self.is_egress, "ipProtocol": self.protocol.as_ec2_writes_it(),
            "fromPort": self.from, "toPort": self.to, "description": self.description, "tags": tags,
            "cidrIpv4": ipv4, "cidrIpv6": ipv6, "prefixListId": list, "referencedGroupInfo": group,
        })
    }

    /// The rules of a group as AWS Config records it: without their ids and tags.
    ///
    /// `None` stands for a rule that can't be read.
    pub fn from_configuration(configuration: &Value) -> Vec<Option<Self>> {
        let owner = text(configuration, "ownerId");
        let mut rules = Vec::new();
        for (list, is_egress) in [("ipPermissions", false), ("ipPermissionsEgress", true)] {
            for permission in items(field(configuration, list)) {
                let read = Self::from_permission(permission).into_iter();
                rules.extend(read.map(|rule| Some(Self { is_egress, ..rule?.of_owner(owner) })));
            }
        }
        rules
    }

    /// The rule of a group that `owner` owns: the owner's other groups are no strangers.
    fn of_owner(mut self, owner: Option<&str>) -> Self {
        if let Source::Group { account, .. } = &mut self.source
            && account.as_deref() == owner
        {
            *account = None;
        }
        self
    }

    /// Reads a request's permissions, in the nested form (`ipPermissions.items`) and in the flat one (`cidrIp` beside
    /// an empty `ipPermissions`); a request may hold both. `None` stands for a rule that can't be read.
    pub fn from_request(request: &Value) -> Vec<Option<Self>> {
        let mut rules = Vec::new();
        for permission in items(field(request, "ipPermissions")) {
            rules.extend(Self::from_permission(permission));
        }
        let flat_range = text(request, "cidrIp").or_else(|| text(request, "cidrIpv6"));
        let flat_group = text(request, "sourceSecurityGroupId").or_else(|| text(request, "sourceSecurityGroupName"));
        if let Some(range) = flat_range {
            rules.push(addresses::parse(range).and_then(|net| Self::new(request, Source::Cidr(net))));
        }
        if let Some(group) = flat_group {
            let source = Source::Group {
                id: group.to_owned(),
                account: text(request, "sourceSecurityGroupOwnerId").map(str::to_owned),
                peering: None,
            };
            rules.push(Self::new(request, source));
        }
        rules
    }

    fn from_permission(permission: &Value) -> Vec<Option<Self>> {
        let mut rules = Vec::new();
        let mut add = |element: &Value, source: Option<Source>| {
            let described = |rule| Self { description: text(element, "description").map(str::to_owned), ..rule };
            rules.push(source.and_then(|source| Self::new(permission, source)).map(described));
        };
        // AWS Config tells the ranges of IPv4 twice, in `ipRanges` as plain texts.
        let ranges = if items(field(permission, "ipv4Ranges")).is_empty() { "ipRanges" } else { "ipv4Ranges" };
        for (list, name) in [(ranges, "cidrIp"), ("ipv6Ranges", "cidrIpv6")] {
            for range in items(field(permission, list)) {
                // Old records hold the ranges as plain texts.
                let range_text = text(range, name).or_else(|| range.as_str());
                add(range, range_text.and_then(addresses::parse).map(Source::Cidr));
            }
        }
        for list in items(field(permission, "prefixListIds")) {
            add(list, text(list, "prefixListId").map(|id| Source::PrefixList(id.to_owned())));
        }
        for group in items(field(permission, "groups")).into_iter().chain(items(field(permission, "userIdGroupPairs")))
        {
            let source = text(group, "groupId").or_else(|| text(group, "groupName")).map(|id| Source::Group {
                id: id.to_owned(),
                account: text(group, "userId").map(str::to_owned),
                peering: text(group, "vpcPeeringConnectionId").map(str::to_owned),
            });
            add(group, source);
        }
        rules
    }

    fn new(item: &Value, source: Source) -> Option<Self> {
        let protocol = match field(item, "ipProtocol") {
            // A flat request that names only a group opens every protocol to it.
            None => Protocol::All,
            Some(Value::String(text)) => Protocol::parse(text)?,
            Some(Value::Number(number)) => Protocol::parse(&number.to_string())?,
            Some(_) => return None,
        };
        let port = |name| number(item, name).and_then(|port| i32::try_from(port).ok());
        Some(Self {
            id: String::new(),
            is_egress: false,
            protocol,
            from: port("fromPort"),
            to: port("toPort"),
            source,
            description: text(item, "description").map(str::to_owned),
            tags: Vec::new(),
        })
    }
}

fn is_true(value: &Value) -> bool {
    value.as_bool().unwrap_or_else(|| value.as_str().is_some_and(|text| text.eq_ignore_ascii_case("true")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(protocol: &str, from: i32, to: i32) -> Rule {
        let item = json!({"ipProtocol": protocol, "fromPort": from, "toPort": to, "cidrIpv4": "0.0.0.0/0"});
        Rule::from_rule_set(&item).unwrap()
    }

    #[test]
    fn a_rule_reaches_a_port_by_protocol_and_range() {
        for (protocol, from, to, reaches) in [
            ("tcp", 22, 22, true),
            ("6", 22, 22, true),
            ("-1", -1, -1, true),
            ("tcp", 20, 25, true),
            ("tcp", 0, 65535, true),
            ("tcp", -1, -1, true),
            ("tcp", 23, 25, false),
            ("udp", 22, 22, false),
            ("icmp", -1, -1, false),
            ("50", -1, -1, false),
        ] {
            assert_eq!(
                rule(protocol, from, to).overlap(Protocol::Tcp, 22, 22).is_some(),
                reaches,
                "{protocol} {from}-{to}"
            );
        }
        assert_eq!(rule("tcp", 24, 30).overlap(Protocol::Tcp, 20, 25), Some((24, 25)));
    }

    #[test]
    fn requests_are_read_in_both_forms_at_once() {
        let request = json!({
            "ipProtocol": "tcp", "fromPort": "22", "toPort": "22", "cidrIp": "198.51.100.7/0",
            "ipPermissions": {"items": {"ipProtocol": "tcp", "fromPort": 443, "toPort": 443, "groups": {},
                "ipv6Ranges": {"items": [{"cidrIpv6": "::/0", "description": "x"}]}, "ipRanges": {"items": [{"cidrIp": "bad"}]},
                "prefixListIds": [{"prefixListId": "pl-1"}]}}
        });
        let rules = Rule::from_request(&request);
        let told: Vec<String> = rules
            .iter()
            .map(|rule| rule.as_ref().map_or("?".into(), |rule| format!("{} {}", rule.ports(), rule.source)))
            .collect();
        assert_eq!(told, ["?", "tcp/443 ::/0", "tcp/443 pl-1", "tcp/22 0.0.0.0/0"]);
        assert_eq!(rules.get(1).unwrap().as_ref().unwrap().description.as_deref(), Some("x"));
    }

    #[test]
    fn equal_rules_are_known_whatever_way_all_is_written() {
        assert!(rule("-1", -1, -1).is_same_as(&rule("-1", 0, 65535)));
        assert!(rule("tcp", 22, 22).is_same_as(&rule("6", 22, 22)));
        assert!(!rule("tcp", 22, 22).is_same_as(&rule("tcp", 22, 23)));
        assert!(!rule("icmp", 8, 0).is_same_as(&rule("icmp", 8, -1)));
    }

    #[test]
    fn a_rule_of_another_group_is_read_from_a_response() {
        let item = json!({"securityGroupRuleId": "sgr-1", "groupId": "sg-own", "isEgress": false, "ipProtocol": "tcp", "fromPort": 22,
            "toPort": 22, "referencedGroupInfo": {"groupId": "sg-other", "userId": "444455556666"}});
        let rule = Rule::from_rule_set(&item).unwrap();
        let other = Source::Group { id: "sg-other".into(), account: Some("444455556666".into()), peering: None };
        assert_eq!((rule.source, rule.id.as_str()), (other, "sgr-1"));
        assert_eq!(Rule::from_rule_set(&json!({"groupId": "sg-own", "ipProtocol": "tcp"})), None);
    }

    #[test]
    fn a_rule_is_kept_with_all_that_it_says() {
        for source in [
            json!({"cidrIpv4": "10.0.0.0/8"}),
            json!({"cidrIpv6": "2001:db8::/32"}),
            json!({"prefixListId": "pl-1"}),
            json!({"referencedGroupInfo": {"groupId": "sg-other", "userId": "444455556666", "vpcPeeringConnectionId": "pcx-1"}}),
        ] {
            let mut item = json!({"securityGroupRuleId": "sgr-1", "isEgress": true, "ipProtocol": "50", "description": "x",
                "tagSet": {"items": [{"key": "b", "value": ""}, {"key": "a", "value": "1"}]}});
            item.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
            let rule = Rule::from_rule_set(&item).unwrap();
            assert_eq!(rule.tags, [("a".to_owned(), "1".to_owned()), ("b".to_owned(), String::new())]);
            assert_eq!(Rule::from_rule_set(&rule.to_rule_set()), Some(rule));
        }
    }

    #[test]
    fn a_group_is_read_as_aws_config_records_it() {
        let configuration = json!({"ownerId": "111122223333", "groupId": "sg-1",
            "ipPermissions": [{"ipProtocol": "tcp", "fromPort": 22, "toPort": 22, "ipRanges": ["10.0.0.0/8"],
                "ipv4Ranges": [{"cidrIp": "10.0.0.0/8", "description": "office"}], "ipv6Ranges": [], "prefixListIds": [],
                "userIdGroupPairs": [{"groupId": "sg-2", "userId": "111122223333"}]}],
            "ipPermissionsEgress": [{"ipProtocol": "-1", "ipRanges": ["0.0.0.0/0"]}]});
        let rules = Rule::from_configuration(&configuration);
        let told: Vec<String> = rules.iter().flatten().map(|rule| rule.permits() + "; " + &rule.notes()).collect();
        assert_eq!(told, ["tcp/22 in 10.0.0.0/8; office []", "tcp/22 in sg-2;  []", "all traffic out 0.0.0.0/0;  []"]);
    }
}
