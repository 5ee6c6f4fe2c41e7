//! What is read of EC2: a group, its rules, and the prefix lists that they name.

use std::collections::BTreeSet;
use std::sync::Arc;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{Filter, SecurityGroupRule, Tag};
use futures_util::future::{join_all, try_join};
use rescind::addresses;
use rescind_lambda::{CallError, Scope, client};

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
    /// As [`REVOKE_INGRESS`], for traffic that leaves.
    pub const REVOKE_EGRESS: &str = "ec2:RevokeSecurityGroupEgress";
    /// As [`AUTHORIZE_INGRESS`], for traffic that leaves.
    pub const AUTHORIZE_EGRESS: &str = "ec2:AuthorizeSecurityGroupEgress";
    /// Makes rules what they were: its own inverse.
    pub const MODIFY_RULES: &str = "ec2:ModifySecurityGroupRules";
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

pub(crate) fn client(scope: &Scope) -> Arc<Client> {
    client!(scope, aws_sdk_ec2)
}

fn filter(name: &str, value: &str) -> Filter {
    Filter::builder().name(name).values(literal(value)).build()
}

/// A filter value that matches this text alone. EC2 takes `*` and `?` in filters for wildcards unless a backslash stands
/// before them, and a group's name may have a `*` (Amazon EC2 user guide, *List and filter using the CLI and API*).
fn literal(text: &str) -> String {
    let escaped = |character| matches!(character, '*' | '?' | '\\').then_some('\\').into_iter().chain([character]);
    text.chars().flat_map(escaped).collect()
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
            (groups.pop().map(|found| SecurityGroup { rules, ..found.group }), lists)
        }
        GroupRef::Name(name) => {
            let group =
                async { try_join(describe_group(&client, filter("group-name", name)), default_vpc(&client)).await };
            let (group, lists) = futures_util::future::join(group, lists).await;
            let (groups, vpc) = group?;
            let mut named = groups.into_iter().filter(|found| found.name.as_ref() == Some(name));
            match named.find(|found| found.vpc.is_some() && found.vpc == vpc) {
                None => (None, lists),
                Some(Found { group, .. }) => {
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

/// A group that a filter found.
struct Found {
    /// Without its rules.
    group: SecurityGroup,
    name: Option<String>,
    vpc: Option<String>,
}

/// The groups that a filter finds.
async fn describe_group(client: &Client, filter: Filter) -> Result<Vec<Found>, CallError> {
    let answer = client.describe_security_groups().filters(filter).send().await;
    let answer = CallError::or(action::DESCRIBE_GROUPS, answer)?;
    let group = |group: &aws_sdk_ec2::types::SecurityGroup| {
        let found = SecurityGroup { id: group.group_id()?.to_owned(), tags: tags(group.tags()), rules: Vec::new() };
        Some(Found {
            group: found,
            name: group.group_name().map(str::to_owned),
            vpc: group.vpc_id().map(str::to_owned),
        })
    };
    Ok(answer.security_groups().iter().filter_map(group).collect())
}

async fn default_vpc(client: &Client) -> Result<Option<String>, CallError> {
    let answer = client.describe_vpcs().filters(filter("is-default", "true")).send().await;
    let answer = CallError::or(action::DESCRIBE_VPCS, answer)?;
    Ok(answer.vpcs().first().and_then(|vpc| vpc.vpc_id()).map(str::to_owned))
}

/// The rules of a group, inbound and outbound, by id; none when there is no such group.
///
/// # Errors
/// When EC2 could not be asked, or tells a rule that can't be read.
pub async fn read_rules(scope: &Scope, group: &str) -> Result<Vec<Rule>, CallError> {
    describe_rules(&client(scope), group).await
}

/// Reads these prefix lists, and which of these groups are there.
///
/// # Errors
/// When EC2 could not be asked for the groups.
pub async fn read_named(
    scope: &Scope,
    lists: &BTreeSet<String>,
    groups: BTreeSet<String>,
) -> Result<(PrefixLists, BTreeSet<String>), CallError> {
    let client = client(scope);
    let groups = async {
        if groups.is_empty() {
            return Ok(Vec::new());
        }
        let ids = groups.into_iter().collect();
        describe_group(&client, Filter::builder().name("group-id").set_values(Some(ids)).build()).await
    };
    let (lists, groups) = futures_util::future::join(read_prefix_lists(&client, lists), groups).await;
    Ok((lists, groups?.into_iter().map(|found| found.group.id).collect()))
}

async fn describe_rules(client: &Client, group: &str) -> Result<Vec<Rule>, CallError> {
    let mut pages = client.describe_security_group_rules().filters(filter("group-id", group)).into_paginator().send();
    let mut rules = Vec::new();
    while let Some(page) = pages.next().await {
        let page = CallError::or(action::DESCRIBE_RULES, page)?;
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

#[cfg(test)]
mod tests {
    #[test]
    fn a_name_is_no_pattern() {
        assert_eq!(super::literal(r"w* (?\) web"), r"w\* (\?\\) web");
    }
}
