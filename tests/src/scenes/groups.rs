//! Security groups: protected, as AWS Config has recorded them, with one rule that the world may know and one that is tagged.

use serde_json::Value;

use super::Kind;
use crate::World;
use crate::account::permission;
use crate::cloudtrail::{self, Who};

pub(super) const OPENED: Kind = Kind {
    remediation: "open-security-group-ingress",
    function: "security-groups",
    mutation: ("RevokeSecurityGroupIngress", 1),
    rule: "OpenSecurityGroupIngress",
    set: |world, name| Box::pin(set(world, name)),
    change: |world, group, who| Box::pin(opened(world, group, who)),
    harmless: None,
    words: |world, group| Box::pin(world.account.in_words(group)),
    contained: None,
};

pub(super) const MODIFIED: Kind = Kind {
    remediation: "security-group-rule-modified",
    function: "security-groups",
    mutation: ("ModifySecurityGroupRules", 1),
    rule: "SecurityGroupRuleModified",
    set: |world, name| Box::pin(set(world, name)),
    change: |world, group, who| Box::pin(modified(world, group, who)),
    harmless: None,
    words: |world, group| Box::pin(world.account.in_words(group)),
    contained: None,
};

pub(super) const REMOVED: Kind = Kind {
    remediation: "security-group-rule-removed",
    function: "security-groups",
    mutation: ("AuthorizeSecurityGroupIngress", 1),
    rule: "SecurityGroupRuleRemoved",
    set: |world, name| Box::pin(set(world, name)),
    change: |world, group, who| Box::pin(removed(world, group, who)),
    harmless: None,
    words: |world, group| Box::pin(world.account.in_words(group)),
    contained: None,
};

async fn set(world: &World, name: &str) -> String {
    let group = world.account.group(name, None).await;
    let standing = [permission("tcp", 443, 443, "0.0.0.0/0"), permission("tcp", 5432, 5432, "10.0.0.0/8")];
    let made = world.account.authorize(&group, &standing).await;
    world.account.tag(made[1].security_group_rule_id().expect("an id"), "ticket", "OPS-1").await;
    world.account.tag(&group, "rescind:protected", "yes").await;
    world.record(&group).await;
    group
}

async fn opened(world: &World, group: &str, who: &Who) -> Value {
    let made = world.account.authorize(group, &[permission("tcp", 22, 22, "0.0.0.0/0")]).await;
    cloudtrail::authorized(&world.account.id, who, group, &made)
}

async fn modified(world: &World, group: &str, who: &Who) -> Value {
    let rules = world.account.rules(group).await;
    let rule = rules.iter().find(|rule| rule.from_port() == Some(5432)).expect("the rule is there");
    let id = rule.security_group_rule_id().expect("an id");
    let to = world.account.modify(group, id, 5432, "10.9.9.9/32", "now-another").await;
    cloudtrail::modified(&world.account.id, who, group, id, &to)
}

async fn removed(world: &World, group: &str, who: &Who) -> Value {
    let mut lost = world.account.rules(group).await;
    lost.retain(|rule| rule.from_port() == Some(5432));
    world.account.revoke(group, &lost).await;
    cloudtrail::revoked(&world.account.id, who, group, &lost)
}
