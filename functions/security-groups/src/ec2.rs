//! The calls of EC2 that the remediations of this function make.

use std::collections::BTreeSet;
use std::sync::Arc;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{
    Filter, IpPermission, IpRange, Ipv6Range, PrefixListId, ResourceType, SecurityGroupRule, Tag, TagSpecification,
    UserIdGroupPair,
};
use futures_util::future::{join_all, try_join};
use rescind::{Call, addresses};
use rescind_lambda::{CallError, CallFailure, Scope};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::exposure::PrefixLists;
use crate::rule::{Protocol, Rule, Source};

/// The IAM actions, as the API names them.
pub mod action {
    /// Reads a group: its tags, its VPC.
    pub const DESCRIBE_GROUPS: &str = "ec2:DescribeSecurityGroups";
    /// Reads a group's rules, with their ids.
    pub const DESCRIBE_RULES: &str = "ec2:DescribeSecurityGroupRules";
    /// Finds the default VPC, in which a group may be named by its name.
    pub const DESCRIBE_VPCS: &str = "ec2:DescribeVpcs";
    /// Reads what is in a prefix list.
    pub const GET_PREFIX_LIST: &str = "ec2:GetManagedPrefixListEntries";
    /// Takes rules away, by their ids.
    pub const REVOKE_INGRESS: &str = "ec2:RevokeSecurityGroupIngress";
    /// Puts rules back: the inverse of a revoke.
    pub const AUTHORIZE_INGRESS: &str = "ec2:AuthorizeSecurityGroupIngress";
    /// What EC2 asks for when rules are put back with their tags.
    pub const CREATE_TAGS: &str = "ec2:CreateTags";
}

/// A group as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SecurityGroup {
    /// `sg-…`
    pub id: String,
    /// Its tags.
    pub tags: Vec<(String, String)>,
    /// Its rules, inbound and outbound, by id.
    pub rules: Vec<Rule>,
}

/// How a group is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupRef {
    /// By id.
    Id(String),
    /// By name, which EC2 accepts for groups of the default VPC.
    Name(String),
}

fn client(scope: &Scope) -> Arc<Client> {
    scope.client(|config, counter| {
        Client::from_conf(aws_sdk_ec2::config::Builder::from(config).interceptor(counter).build())
    })
}

fn filter(name: &str, value: &str) -> Filter {
    Filter::builder().name(name).values(value).build()
}

/// Reads a group, its rules, and the prefix lists that they name; side by side as far as `known_lists` tells which
/// lists there are. `None` when there is no such group.
///
/// # Errors
/// When EC2 could not be asked. A prefix list that can't be read is no error here: it may not matter.
pub async fn read_group(
    scope: &Scope,
    group: &GroupRef,
    known_lists: &BTreeSet<String>,
) -> Result<(Option<SecurityGroup>, PrefixLists), CallError> {
    let client = client(scope);
    let lists = read_prefix_lists(&client, known_lists);
    let (found, mut lists) = match group {
        GroupRef::Id(id) => {
            let group =
                async { try_join(describe_group(&client, filter("group-id", id)), describe_rules(&client, id)).await };
            let (group, lists) = futures_util::future::join(group, lists).await;
            let (mut groups, rules) = group?;
            (groups.pop().map(|group| SecurityGroup { rules, ..group.0 }), lists)
        }
        GroupRef::Name(name) => {
            let group =
                async { try_join(describe_group(&client, filter("group-name", name)), default_vpc(&client)).await };
            let (group, lists) = futures_util::future::join(group, lists).await;
            let (groups, vpc) = group?;
            let in_default_vpc = groups.into_iter().find(|(_, of)| of.is_some() && *of == vpc);
            match in_default_vpc {
                None => (None, lists),
                Some((group, _)) => {
                    let rules = describe_rules(&client, &group.id).await?;
                    (Some(SecurityGroup { rules, ..group }), lists)
                }
            }
        }
    };
    // Lists that only the live rules name; the change itself named none of them.
    let missing: BTreeSet<String> = found
        .iter()
        .flat_map(|group| &group.rules)
        .filter_map(|rule| match &rule.source {
            Source::PrefixList(id) if !rule.is_egress && !lists.contains_key(id) => Some(id.clone()),
            _ => None,
        })
        .collect();
    lists.extend(read_prefix_lists(&client, &missing).await);
    Ok((found, lists))
}

/// The groups that a filter finds, without their rules, and the VPC of each.
async fn describe_group(client: &Client, filter: Filter) -> Result<Vec<(SecurityGroup, Option<String>)>, CallError> {
    let answer = client
        .describe_security_groups()
        .filters(filter)
        .send()
        .await
        .map_err(|error| CallError::from_sdk(action::DESCRIBE_GROUPS, &error))?;
    let group = |group: &aws_sdk_ec2::types::SecurityGroup| {
        let found = SecurityGroup { id: group.group_id()?.to_owned(), tags: tags(group.tags()), rules: Vec::new() };
        Some((found, group.vpc_id().map(str::to_owned)))
    };
    Ok(answer.security_groups().iter().filter_map(group).collect())
}

async fn default_vpc(client: &Client) -> Result<Option<String>, CallError> {
    let answer = client
        .describe_vpcs()
        .filters(filter("is-default", "true"))
        .send()
        .await
        .map_err(|error| CallError::from_sdk(action::DESCRIBE_VPCS, &error))?;
    Ok(answer.vpcs().first().and_then(|vpc| vpc.vpc_id()).map(str::to_owned))
}

async fn describe_rules(client: &Client, group: &str) -> Result<Vec<Rule>, CallError> {
    let mut pages = client.describe_security_group_rules().filters(filter("group-id", group)).into_paginator().send();
    let mut rules = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| CallError::from_sdk(action::DESCRIBE_RULES, &error))?;
        for rule in page.security_group_rules() {
            rules.push(live_rule(rule).ok_or_else(|| {
                let id = rule.security_group_rule_id().unwrap_or("a rule without id");
                CallError::malformed(
                    action::DESCRIBE_RULES,
                    format!("{id} has a protocol or source that can't be read"),
                )
            })?);
        }
    }
    rules.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(rules)
}

fn live_rule(rule: &SecurityGroupRule) -> Option<Rule> {
    let source = if let Some(range) = rule.cidr_ipv4().or_else(|| rule.cidr_ipv6()) {
        Source::Cidr(addresses::parse(range)?)
    } else if let Some(list) = rule.prefix_list_id() {
        Source::PrefixList(list.to_owned())
    } else {
        let group = rule.referenced_group_info()?;
        Source::Group {
            id: group.group_id()?.to_owned(),
            account: group.user_id().filter(|account| rule.group_owner_id() != Some(*account)).map(str::to_owned),
            peering: group.vpc_peering_connection_id().map(str::to_owned),
        }
    };
    Some(Rule {
        id: rule.security_group_rule_id()?.to_owned(),
        is_egress: rule.is_egress().unwrap_or_default(),
        protocol: Protocol::parse(rule.ip_protocol()?)?,
        from: rule.from_port(),
        to: rule.to_port(),
        source,
        description: rule.description().map(str::to_owned),
        tags: tags(rule.tags()),
    })
}

fn tags(tags: &[Tag]) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = tags
        .iter()
        .filter_map(|tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned())))
        .collect();
    pairs.sort();
    pairs
}

async fn read_prefix_lists(client: &Client, ids: &BTreeSet<String>) -> PrefixLists {
    let read = |id: String| async move {
        let mut pages = client.get_managed_prefix_list_entries().prefix_list_id(&id).into_paginator().send();
        let mut ranges = Vec::new();
        while let Some(page) = pages.next().await {
            match page {
                Ok(page) => {
                    ranges.extend(page.entries().iter().filter_map(|entry| entry.cidr()).filter_map(addresses::parse));
                }
                Err(error) => return (id, Err(CallError::from_sdk(action::GET_PREFIX_LIST, &error).to_string())),
            }
        }
        (id, Ok(ranges))
    };
    join_all(ids.iter().cloned().map(read)).await.into_iter().collect()
}

/// The parameters of a revoke by rule ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct RevokeParameters {
    /// The group.
    pub group_id: String,
    /// The rules.
    pub security_group_rule_ids: Vec<String>,
}

/// The parameters of an authorization, as the AWS CLI takes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct AuthorizeParameters {
    /// The group.
    pub group_id: String,
    /// The rules.
    pub ip_permissions: Vec<Permission>,
    /// The rules' tags: all rules of one call get the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tag_specifications: Vec<Tagging>,
}

/// `IpPermission`, for one source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields of EC2's IpPermission, under its names")]
pub struct Permission {
    pub ip_protocol: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_port: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_port: Option<i32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ip_ranges: Vec<PermittedSource>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ipv6_ranges: Vec<PermittedSource>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prefix_list_ids: Vec<PermittedSource>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub user_id_group_pairs: Vec<PermittedSource>,
}

/// A source within [`Permission`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "the fields of EC2's IpRange, Ipv6Range, PrefixListId and UserIdGroupPair, under their names"
)]
pub struct PermittedSource {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cidr_ip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cidr_ipv6: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix_list_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpc_peering_connection_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// `TagSpecification`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields of EC2's TagSpecification, under its names")]
pub struct Tagging {
    pub resource_type: String,
    pub tags: Vec<KeyValue>,
}

/// `Tag`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields of EC2's Tag, under its names")]
pub struct KeyValue {
    pub key: String,
    pub value: String,
}

/// The call that takes rules away from a group by their ids.
pub fn revoke_ingress(group: &str, rules: &[&Rule]) -> Call {
    let parameters = RevokeParameters {
        group_id: group.to_owned(),
        security_group_rule_ids: rules.iter().map(|rule| rule.id.clone()).collect(),
    };
    Call { call: action::REVOKE_INGRESS.to_owned(), parameters: json(&parameters) }
}

/// The call that puts rules with the same tags back, descriptions and tags included.
pub fn authorize_ingress(group: &str, rules: &[&Rule]) -> Call {
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
    Call { call: action::AUTHORIZE_INGRESS.to_owned(), parameters: json(&parameters) }
}

fn json(parameters: &impl Serialize) -> Value {
    serde_json::to_value(parameters).unwrap_or_default()
}

fn permission(rule: &Rule) -> Permission {
    let protocol = match rule.protocol {
        Protocol::All => "-1".to_owned(),
        Protocol::Number(number) => number.to_string(),
        named => named.to_string(),
    };
    let described = PermittedSource { description: rule.description.clone(), ..PermittedSource::default() };
    let ports = |port: Option<i32>| port.filter(|_| rule.protocol != Protocol::All);
    let mut permission = Permission {
        ip_protocol: protocol,
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

/// Makes one of the changing calls of this module.
///
/// # Errors
/// When EC2 does not accept it, or the call is none of these.
pub async fn make(scope: &Scope, call: &Call) -> Result<(), CallError> {
    let client = client(scope);
    match call.call.as_str() {
        action::REVOKE_INGRESS => {
            let parameters: RevokeParameters = parameters(action::REVOKE_INGRESS, call)?;
            client
                .revoke_security_group_ingress()
                .group_id(parameters.group_id)
                .set_security_group_rule_ids(Some(parameters.security_group_rule_ids))
                .send()
                .await
                .map(drop)
                .map_err(|error| CallError::from_sdk(action::REVOKE_INGRESS, &error))
        }
        action::AUTHORIZE_INGRESS => {
            let parameters: AuthorizeParameters = parameters(action::AUTHORIZE_INGRESS, call)?;
            let answer = client
                .authorize_security_group_ingress()
                .group_id(parameters.group_id)
                .set_ip_permissions(Some(parameters.ip_permissions.into_iter().map(Permission::into_sdk).collect()))
                .set_tag_specifications(specifications(parameters.tag_specifications))
                .send()
                .await
                .map_err(|error| CallError::from_sdk(action::AUTHORIZE_INGRESS, &error));
            match answer {
                Err(error) if error.failure == CallFailure::Exists => Ok(()),
                answer => answer.map(drop),
            }
        }
        other => Err(CallError::malformed("ec2", format!("`{other}` is not a call that this function makes"))),
    }
}

fn parameters<T: for<'de> Deserialize<'de>>(action: &'static str, call: &Call) -> Result<T, CallError> {
    T::deserialize(&call.parameters).map_err(|error| CallError::malformed(action, error))
}

fn specifications(taggings: Vec<Tagging>) -> Option<Vec<TagSpecification>> {
    let specification = |tagging: Tagging| {
        let tags = tagging.tags.into_iter().map(|tag| Tag::builder().key(tag.key).value(tag.value).build()).collect();
        TagSpecification::builder()
            .resource_type(ResourceType::from(tagging.resource_type.as_str()))
            .set_tags(Some(tags))
            .build()
    };
    (!taggings.is_empty()).then(|| taggings.into_iter().map(specification).collect())
}

impl Permission {
    fn into_sdk(self) -> IpPermission {
        let some = |list: Vec<PermittedSource>| (!list.is_empty()).then_some(list);
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
