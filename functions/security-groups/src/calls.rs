//! The changing calls of EC2, as data that can be shown, kept and made: parameters as the AWS CLI takes them.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{
    IpPermission, IpRange, Ipv6Range, PrefixListId, ResourceType, SecurityGroupRuleRequest, SecurityGroupRuleUpdate,
    Tag, TagSpecification, UserIdGroupPair,
};
use rescind::Call;
use rescind::signal::{field, items, text};
use rescind_lambda::{CallError, CallFailure, Scope};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ec2::{self, action};
use crate::one_by_one::{Part, Trouble, all_or_one_by_one};
use crate::rule::{Protocol, Rule, Source};

/// The parameters of a revoke: by rule ids, or by what the rules permit where ids can't be known beforehand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RevokeParameters {
    group_id: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    security_group_rule_ids: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ip_permissions: Vec<Permission>,
}

/// The parameters of `ModifySecurityGroupRules`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ModifyParameters {
    group_id: String,
    security_group_rules: Vec<RuleUpdate>,
}

/// `SecurityGroupRuleUpdate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RuleUpdate {
    security_group_rule_id: String,
    security_group_rule: RuleRequest,
}

/// `SecurityGroupRuleRequest`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RuleRequest {
    ip_protocol: String,
    from_port: Option<i32>,
    to_port: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cidr_ipv4: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cidr_ipv6: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix_list_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    referenced_group_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
}

/// The parameters of an authorization, as the AWS CLI takes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct AuthorizeParameters {
    /// The group.
    group_id: String,
    /// The rules.
    ip_permissions: Vec<Permission>,
    /// The rules' tags: all rules of one call get the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tag_specifications: Vec<Tagging>,
}

/// `IpPermission`, for one source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Permission {
    ip_protocol: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_port: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_port: Option<i32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ip_ranges: Vec<PermittedSource>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ipv6_ranges: Vec<PermittedSource>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    prefix_list_ids: Vec<PermittedSource>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    user_id_group_pairs: Vec<PermittedSource>,
}

/// A source within [`Permission`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PermittedSource {
    #[serde(skip_serializing_if = "Option::is_none")]
    cidr_ip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cidr_ipv6: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix_list_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vpc_peering_connection_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
}

/// `TagSpecification`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Tagging {
    resource_type: String,
    tags: Vec<KeyValue>,
}

/// `Tag`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct KeyValue {
    key: String,
    value: String,
}

/// Which way the traffic of a rule goes; EC2 has calls of their own for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// Into the group.
    Ingress,
    /// Out of it.
    Egress,
}

impl Direction {
    /// The direction of a rule.
    pub fn of(rule: &Rule) -> Self {
        if rule.is_egress { Self::Egress } else { Self::Ingress }
    }

    fn revoke(self) -> &'static str {
        match self {
            Self::Ingress => action::REVOKE_INGRESS,
            Self::Egress => action::REVOKE_EGRESS,
        }
    }

    fn authorize(self) -> &'static str {
        match self {
            Self::Ingress => action::AUTHORIZE_INGRESS,
            Self::Egress => action::AUTHORIZE_EGRESS,
        }
    }
}

/// The most that the tags of all rules of a plan may hold, in bytes: the journal keeps them in one item, and the rules have
/// to go whatever somebody has tagged them with.
const LARGEST_TAGS: usize = 64_000;

/// The rules, with their tags as far as a plan can hold them; and a note when it can't.
pub fn with_tags_that_fit(rules: impl IntoIterator<Item = Rule>) -> (Vec<Rule>, Option<&'static str>) {
    let mut rules: Vec<Rule> = rules.into_iter().collect();
    let size: usize = rules.iter().flat_map(|rule| &rule.tags).map(|(key, value)| key.len() + value.len()).sum();
    if size <= LARGEST_TAGS {
        return (rules, None);
    }
    for rule in &mut rules {
        rule.tags.clear();
    }
    (rules, Some("the tags of the rules are too large to be kept"))
}

/// Rules by direction and tags: EC2 gives all rules of one call the same tags.
pub fn by_call<'a>(rules: impl IntoIterator<Item = &'a Rule>) -> Vec<(Direction, Vec<&'a Rule>)> {
    let mut calls: BTreeMap<_, Vec<&Rule>> = BTreeMap::new();
    for rule in rules {
        calls.entry((Direction::of(rule), &rule.tags)).or_default().push(rule);
    }
    calls.into_iter().map(|((direction, _), rules)| (direction, rules)).collect()
}

/// The call that takes rules away from a group by their ids.
pub fn revoke(group: &str, direction: Direction, rules: &[&Rule]) -> Call {
    let parameters = RevokeParameters {
        group_id: group.to_owned(),
        security_group_rule_ids: rules.iter().map(|rule| rule.id.clone()).collect(),
        ip_permissions: Vec::new(),
    };
    Call { call: direction.revoke().to_owned(), parameters: json(&parameters) }
}

/// The call that takes rules away from a group by what they permit: rules that are about to be made have no id yet.
pub fn revoke_alike(group: &str, direction: Direction, rules: &[&Rule]) -> Call {
    let undescribed = |rule: &&Rule| permission(&Rule { description: None, ..(*rule).clone() });
    let parameters = RevokeParameters {
        group_id: group.to_owned(),
        security_group_rule_ids: Vec::new(),
        ip_permissions: rules.iter().map(undescribed).collect(),
    };
    Call { call: direction.revoke().to_owned(), parameters: json(&parameters) }
}

/// The call that puts rules with the same tags back, descriptions and tags included.
pub fn authorize(group: &str, direction: Direction, rules: &[&Rule]) -> Call {
    let tags: Vec<KeyValue> = rules
        .first()
        .map(|rule| rule.tags.iter().map(|(key, value)| KeyValue { key: key.clone(), value: value.clone() }).collect())
        .unwrap_or_default();
    let parameters = AuthorizeParameters {
        group_id: group.to_owned(),
        ip_permissions: rules.iter().map(|rule| permission(rule)).collect(),
        tag_specifications: (!tags.is_empty())
            .then(|| Tagging { resource_type: "security-group-rule".to_owned(), tags })
            .into_iter()
            .collect(),
    };
    Call { call: direction.authorize().to_owned(), parameters: json(&parameters) }
}

/// The call that makes each rule of `changes` (the first of a pair) what the second one says. It keeps its id and tags.
pub fn modify(group: &str, changes: &[(&Rule, &Rule)]) -> Call {
    let update = |(rule, to): &(&Rule, &Rule)| RuleUpdate {
        security_group_rule_id: rule.id.clone(),
        security_group_rule: rule_request(to),
    };
    let parameters =
        ModifyParameters { group_id: group.to_owned(), security_group_rules: changes.iter().map(update).collect() };
    Call { call: action::MODIFY_RULES.to_owned(), parameters: json(&parameters) }
}

fn json(parameters: &impl Serialize) -> Value {
    serde_json::to_value(parameters).unwrap_or_default()
}

fn rule_request(rule: &Rule) -> RuleRequest {
    let mut request = RuleRequest {
        ip_protocol: rule.protocol.as_ec2_writes_it(),
        // Unlike an authorization, a modification asks for them whatever the protocol; -1 stands for all.
        from_port: Some(rule.from.unwrap_or(-1)),
        to_port: Some(rule.to.unwrap_or(-1)),
        description: rule.description.clone(),
        ..RuleRequest::default()
    };
    match &rule.source {
        Source::Cidr(net @ ipnet::IpNet::V4(_)) => request.cidr_ipv4 = Some(net.to_string()),
        Source::Cidr(net @ ipnet::IpNet::V6(_)) => request.cidr_ipv6 = Some(net.to_string()),
        Source::PrefixList(id) => request.prefix_list_id = Some(id.clone()),
        Source::Group { id, .. } => request.referenced_group_id = Some(id.clone()),
    }
    request
}

fn permission(rule: &Rule) -> Permission {
    let described = PermittedSource { description: rule.description.clone(), ..PermittedSource::default() };
    let ports = |port: Option<i32>| port.filter(|_| rule.protocol != Protocol::All);
    let mut permission = Permission {
        ip_protocol: rule.protocol.as_ec2_writes_it(),
        from_port: ports(rule.from),
        to_port: ports(rule.to),
        ..Permission::default()
    };
    match &rule.source {
        Source::Cidr(net @ ipnet::IpNet::V4(_)) => {
            permission.ip_ranges.push(PermittedSource { cidr_ip: Some(net.to_string()), ..described });
        }
        Source::Cidr(net @ ipnet::IpNet::V6(_)) => {
            permission.ipv6_ranges.push(PermittedSource { cidr_ipv6: Some(net.to_string()), ..described });
        }
        Source::PrefixList(id) => {
            permission.prefix_list_ids.push(PermittedSource { prefix_list_id: Some(id.clone()), ..described });
        }
        Source::Group { id, account, peering } => permission.user_id_group_pairs.push(PermittedSource {
            group_id: Some(id.clone()),
            user_id: account.clone(),
            vpc_peering_connection_id: peering.clone(),
            ..described
        }),
    }
    permission
}

/// What a call of this module makes of a group's rules. Rules that are new have no id yet.
pub fn applied(rules: &[Rule], call: &Call) -> Vec<Rule> {
    let named = &call.parameters;
    let is_egress = [action::REVOKE_EGRESS, action::AUTHORIZE_EGRESS].contains(&call.call.as_str());
    let alike = Rule::from_request(named).into_iter().flatten().map(|rule| Rule { is_egress, ..rule });
    let mut rules = rules.to_vec();
    match call.call.as_str() {
        action::REVOKE_INGRESS | action::REVOKE_EGRESS => {
            let alike: Vec<Rule> = alike.collect();
            let ids = items(field(named, "securityGroupRuleIds"));
            let is_meant = |rule: &Rule| ids.iter().any(|id| id.as_str() == Some(&rule.id));
            rules.retain(|rule| !is_meant(rule) && !alike.iter().any(|one| one.is_same_as(rule)));
        }
        action::AUTHORIZE_INGRESS | action::AUTHORIZE_EGRESS => {
            let tags = items(field(named, "tagSpecifications")).into_iter().flat_map(|one| items(field(one, "tags")));
            let tag = |tag| Some((text(tag, "key")?.to_owned(), text(tag, "value").unwrap_or_default().to_owned()));
            let tags: Vec<(String, String)> = tags.filter_map(tag).collect();
            for rule in alike {
                if !rules.iter().any(|one| one.is_same_as(&rule)) {
                    rules.push(Rule { tags: tags.clone(), ..rule });
                }
            }
        }
        action::MODIFY_RULES => {
            for update in items(field(named, "securityGroupRules")) {
                let to = field(update, "securityGroupRule").and_then(Rule::from_rule_set);
                let rule = rules.iter_mut().find(|rule| text(update, "securityGroupRuleId") == Some(&rule.id));
                if let (Some(rule), Some(to)) = (rule, to)
                    && !to.reads_as(rule)
                {
                    let Rule { id, is_egress, tags, .. } = rule.clone();
                    *rule = Rule { id, is_egress, tags, ..to };
                }
            }
        }
        _ => {}
    }
    rules
}

/// Makes one of the changing calls of this module.
///
/// # Errors
/// When EC2 does not accept it, or the call is none of these.
pub async fn make(scope: &Scope, call: &Call) -> Result<(), CallError> {
    // An authorization is only the inverse of a revoke here. A modification puts back, too.
    let is_modification = call.call == action::MODIFY_RULES;
    let error = if is_modification { Trouble::of_putting_back } else { Trouble::of_undoing };
    made(scope, call).await.map_err(error)
}

/// As [`make`], where it is an authorization that puts rules back.
///
/// # Errors
/// As [`make`]; that a rule names what is gone is a refusal.
pub async fn put_back(scope: &Scope, call: &Call) -> Result<(), CallError> {
    made(scope, call).await.map_err(Trouble::of_putting_back)
}

async fn made(scope: &Scope, call: &Call) -> Result<(), Trouble> {
    let client = ec2::client(scope);
    match call.call.as_str() {
        action::REVOKE_INGRESS => {
            let RevokeParameters { group_id, security_group_rule_ids, ip_permissions } =
                parameters(action::REVOKE_INGRESS, call)?;
            let request = client.revoke_security_group_ingress().group_id(group_id);
            let request = request.set_security_group_rule_ids(some(security_group_rule_ids));
            let answer = request.set_ip_permissions(some(into_sdk(ip_permissions))).send().await;
            CallError::or(action::REVOKE_INGRESS, answer).map(drop).map_err(Trouble::from)
        }
        action::REVOKE_EGRESS => {
            let RevokeParameters { group_id, security_group_rule_ids, ip_permissions } =
                parameters(action::REVOKE_EGRESS, call)?;
            let request = client.revoke_security_group_egress().group_id(group_id);
            let request = request.set_security_group_rule_ids(some(security_group_rule_ids));
            let answer = request.set_ip_permissions(some(into_sdk(ip_permissions))).send().await;
            CallError::or(action::REVOKE_EGRESS, answer).map(drop).map_err(Trouble::from)
        }
        action::AUTHORIZE_INGRESS => {
            let AuthorizeParameters { group_id, ip_permissions, tag_specifications } =
                parameters(action::AUTHORIZE_INGRESS, call)?;
            all_or_one_by_one(&group_id, ip_permissions, |permissions| {
                let is_one = permissions.len() == 1;
                let request = client.authorize_security_group_ingress().group_id(&group_id);
                let request = request.set_tag_specifications(specifications(&tag_specifications));
                let request = request.set_ip_permissions(some(into_sdk(permissions)));
                async move { unless_there(is_one, CallError::or(action::AUTHORIZE_INGRESS, request.send().await)) }
            })
            .await
        }
        action::AUTHORIZE_EGRESS => {
            let AuthorizeParameters { group_id, ip_permissions, tag_specifications } =
                parameters(action::AUTHORIZE_EGRESS, call)?;
            all_or_one_by_one(&group_id, ip_permissions, |permissions| {
                let is_one = permissions.len() == 1;
                let request = client.authorize_security_group_egress().group_id(&group_id);
                let request = request.set_tag_specifications(specifications(&tag_specifications));
                let request = request.set_ip_permissions(some(into_sdk(permissions)));
                async move { unless_there(is_one, CallError::or(action::AUTHORIZE_EGRESS, request.send().await)) }
            })
            .await
        }
        action::MODIFY_RULES => {
            let ModifyParameters { group_id, security_group_rules } = parameters(action::MODIFY_RULES, call)?;
            all_or_one_by_one(&group_id, security_group_rules, |updates| {
                let updates = updates.into_iter().map(RuleUpdate::into_sdk).collect();
                let request = client.modify_security_group_rules().group_id(&group_id);
                let request = request.set_security_group_rules(Some(updates));
                async move { CallError::or(action::MODIFY_RULES, request.send().await).map(drop) }
            })
            .await
        }
        other => Err(CallError::malformed("ec2", format!("`{other}` is not a call that this function makes")).into()),
    }
}

/// The answer to an authorization: what is there already need not be made. Of several, the others are still to be made then.
fn unless_there<T>(is_one: bool, answer: Result<T, CallError>) -> Result<(), CallError> {
    match answer {
        Err(error) if is_one && error.failure == CallFailure::Exists => Ok(()),
        answer => answer.map(drop),
    }
}

impl Part for Permission {
    fn named(&self) -> Option<&str> {
        let group = self.user_id_group_pairs.iter().find_map(|pair| pair.group_id.as_deref());
        group.or_else(|| self.prefix_list_ids.iter().find_map(|list| list.prefix_list_id.as_deref()))
    }
}

impl Part for RuleUpdate {
    fn named(&self) -> Option<&str> {
        let rule = &self.security_group_rule;
        rule.referenced_group_id.as_deref().or(rule.prefix_list_id.as_deref())
    }
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn into_sdk(permissions: Vec<Permission>) -> Vec<IpPermission> {
    permissions.into_iter().map(Permission::into_sdk).collect()
}

fn parameters<T: for<'de> Deserialize<'de>>(action: &'static str, call: &Call) -> Result<T, CallError> {
    T::deserialize(&call.parameters).map_err(|error| CallError::malformed(action, error))
}

fn specifications(taggings: &[Tagging]) -> Option<Vec<TagSpecification>> {
    let specification = |tagging: &Tagging| {
        let tags = tagging.tags.iter().map(|tag| Tag::builder().key(&tag.key).value(&tag.value).build()).collect();
        TagSpecification::builder()
            .resource_type(ResourceType::from(tagging.resource_type.as_str()))
            .set_tags(Some(tags))
            .build()
    };
    some(taggings.iter().map(specification).collect())
}

impl RuleUpdate {
    fn into_sdk(self) -> SecurityGroupRuleUpdate {
        let rule = self.security_group_rule;
        let request = SecurityGroupRuleRequest::builder()
            .ip_protocol(rule.ip_protocol)
            .set_from_port(rule.from_port)
            .set_to_port(rule.to_port)
            .set_cidr_ipv4(rule.cidr_ipv4)
            .set_cidr_ipv6(rule.cidr_ipv6)
            .set_prefix_list_id(rule.prefix_list_id)
            .set_referenced_group_id(rule.referenced_group_id)
            .set_description(rule.description);
        SecurityGroupRuleUpdate::builder()
            .security_group_rule_id(self.security_group_rule_id)
            .security_group_rule(request.build())
            .build()
    }
}

impl Permission {
    fn into_sdk(self) -> IpPermission {
        let range = |range: PermittedSource| {
            IpRange::builder().set_cidr_ip(range.cidr_ip).set_description(range.description).build()
        };
        let range6 = |range: PermittedSource| {
            Ipv6Range::builder().set_cidr_ipv6(range.cidr_ipv6).set_description(range.description).build()
        };
        let list = |list: PermittedSource| {
            PrefixListId::builder().set_prefix_list_id(list.prefix_list_id).set_description(list.description).build()
        };
        let pair = |pair: PermittedSource| {
            UserIdGroupPair::builder()
                .set_group_id(pair.group_id)
                .set_user_id(pair.user_id)
                .set_vpc_peering_connection_id(pair.vpc_peering_connection_id)
                .set_description(pair.description)
                .build()
        };
        IpPermission::builder()
            .ip_protocol(self.ip_protocol)
            .set_from_port(self.from_port)
            .set_to_port(self.to_port)
            .set_ip_ranges(some(self.ip_ranges).map(|ranges| ranges.into_iter().map(range).collect()))
            .set_ipv6_ranges(some(self.ipv6_ranges).map(|ranges| ranges.into_iter().map(range6).collect()))
            .set_prefix_list_ids(some(self.prefix_list_ids).map(|lists| lists.into_iter().map(list).collect()))
            .set_user_id_group_pairs(some(self.user_id_group_pairs).map(|pairs| pairs.into_iter().map(pair).collect()))
            .build()
    }
}

#[cfg(test)]
mod tests;
