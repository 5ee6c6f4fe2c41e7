//! What the people of the model let in, and rules as texts that can be compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use aws_sdk_ec2::types::{IpPermission, IpRange, Ipv6Range, SecurityGroupRule};
use rescind::{Call, Step};
use serde_json::Value;

/// What a rule may let in.
#[derive(PartialEq, Eq)]
pub(super) struct Opening {
    pub(super) protocol: &'static str,
    pub(super) from: i32,
    pub(super) to: i32,
    pub(super) range: &'static str,
    /// With the template's settings. Written down here, so that the product's judgement is not held against itself.
    pub(super) is_risky: bool,
}

const fn opening(protocol: &'static str, from: i32, to: i32, range: &'static str, is_risky: bool) -> Opening {
    Opening { protocol, from, to, range, is_risky }
}

/// A small pool, so that people get in each other's way.
pub(super) const OPENINGS: [Opening; 10] = [
    opening("tcp", 22, 22, "0.0.0.0/0", true),
    opening("tcp", 22, 22, "::/0", true),
    opening("tcp", 3389, 3389, "0.0.0.0/0", true),
    opening("tcp", 20, 25, "0.0.0.0/0", true),
    opening("-1", -1, -1, "::/0", true),
    opening("tcp", 443, 443, "0.0.0.0/0", false),
    opening("tcp", 22, 22, "10.0.0.0/8", false),
    opening("tcp", 3389, 3389, "203.0.113.7/32", false),
    opening("udp", 22, 22, "0.0.0.0/0", false),
    opening("tcp", 443, 443, "::/0", false),
];

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}-{} to {}", self.protocol, self.from, self.to, self.range)
    }
}

impl Opening {
    /// What a rule lets in; `None` for the outbound rule that every group has.
    pub(super) fn of(rule: &SecurityGroupRule) -> Option<&'static Self> {
        let range = rule.cidr_ipv4().or(rule.cidr_ipv6());
        OPENINGS.iter().filter(|_| rule.is_egress() == Some(false)).find(|opening| {
            let is_same_port = (rule.from_port(), rule.to_port()) == (Some(opening.from), Some(opening.to));
            rule.ip_protocol() == Some(opening.protocol)
                && (is_same_port || opening.protocol == "-1")
                && range == Some(opening.range)
        })
    }

    pub(super) fn is_ipv4(&self) -> bool {
        !self.range.contains(':')
    }

    pub(super) fn is_one_port(&self) -> bool {
        self.is_ipv4() && self.protocol == "tcp" && self.from == self.to
    }

    pub(super) fn permission(&self, description: &str) -> IpPermission {
        let permission = IpPermission::builder().ip_protocol(self.protocol).from_port(self.from).to_port(self.to);
        if self.is_ipv4() {
            let range = IpRange::builder().cidr_ip(self.range).description(description);
            permission.ip_ranges(range.build()).build()
        } else {
            let range = Ipv6Range::builder().cidr_ipv6(self.range).description(description);
            permission.ipv6_ranges(range.build()).build()
        }
    }
}

pub(super) fn id(rule: &SecurityGroupRule) -> &str {
    rule.security_group_rule_id().expect("a rule has an id")
}

/// All of a rule but its id, which is a new one when the rule is put back.
pub(super) fn content(rule: &SecurityGroupRule) -> String {
    let ports = rule.from_port().zip(rule.to_port()).filter(|_| rule.ip_protocol() != Some("-1"));
    let direction = if rule.is_egress() == Some(false) { "in" } else { "out" };
    let tags = rule.tags().iter().map(|tag| (tag.key().unwrap_or_default(), tag.value().unwrap_or_default()));
    let tags: BTreeMap<&str, &str> = tags.collect();
    format!(
        "{direction} {} {ports:?} {} {:?} {tags:?}",
        rule.ip_protocol().unwrap_or_default(),
        rule.cidr_ipv4().or(rule.cidr_ipv6()).unwrap_or_default(),
        rule.description()
    )
}

/// What rules are, but for their ids: what two moments are compared by.
pub(super) fn contents(rules: &[SecurityGroupRule]) -> BTreeSet<String> {
    rules.iter().map(content).collect()
}

pub(super) fn is_risky(rule: &SecurityGroupRule) -> bool {
    Opening::of(rule).is_some_and(|opening| opening.is_risky)
}

pub(super) fn is_ipv4(rule: &SecurityGroupRule) -> bool {
    Opening::of(rule).is_some_and(Opening::is_ipv4)
}

/// The rules that the inverse of a step puts back, as [`content`] tells them.
pub(super) fn contents_of_inverse(step: &Step) -> Vec<String> {
    let Some(Call { parameters, .. }) = &step.inverse else { return Vec::new() };
    let list = |value: &Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
    let specification = list(parameters, "TagSpecifications").into_iter().next().unwrap_or_default();
    let tags = list(&specification, "Tags");
    let tags =
        tags.iter().map(|tag| (tag["Key"].as_str().unwrap_or_default(), tag["Value"].as_str().unwrap_or_default()));
    let tags: BTreeMap<&str, &str> = tags.collect();
    let mut contents = Vec::new();
    for permission in list(parameters, "IpPermissions") {
        let protocol = permission["IpProtocol"].as_str().unwrap_or_default();
        let ports = permission["FromPort"].as_i64().zip(permission["ToPort"].as_i64());
        for (ranges, name) in [("IpRanges", "CidrIp"), ("Ipv6Ranges", "CidrIpv6")] {
            for range in list(&permission, ranges) {
                let (source, description) = (range[name].as_str().unwrap_or_default(), range["Description"].as_str());
                contents.push(format!("in {protocol} {ports:?} {source} {description:?} {tags:?}"));
            }
        }
    }
    contents
}

/// The ids of the rules that a step takes away.
pub(super) fn revoked_by(step: &Step) -> Vec<String> {
    let ids = step.call.parameters["SecurityGroupRuleIds"].as_array();
    ids.into_iter().flatten().filter_map(|id| id.as_str().map(str::to_owned)).collect()
}
