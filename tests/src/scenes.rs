//! For each remediation, a change of the kind that it takes back, made for real: what the tests work with that try every
//! remediation in every way.

use std::future::Future;
use std::pin::Pin;

use chrono::SecondsFormat;
use serde_json::{Value, json};

use crate::account::permission;
use crate::cloudtrail::{self, Who};
use crate::{World, now};

type Making<'a> = Pin<Box<dyn Future<Output = Value> + Send + 'a>>;

/// What kind of change a remediation takes back.
#[derive(Clone, Copy)]
pub struct Kind {
    /// The remediation.
    pub remediation: &'static str,
    /// The one call by which it takes the change back.
    pub mutation: &'static str,
    /// The template's rule that hears of the change.
    rule: &'static str,
    /// Makes the change in a group, and answers its event.
    change: for<'a> fn(&'a World, &'a str, &'a Who) -> Making<'a>,
}

/// One for each remediation.
pub const KINDS: [Kind; 3] = [
    Kind {
        remediation: "open-security-group-ingress",
        mutation: "RevokeSecurityGroupIngress",
        rule: "OpenSecurityGroupIngress",
        change: |world, group, who| Box::pin(opened(world, group, who)),
    },
    Kind {
        remediation: "security-group-rule-modified",
        mutation: "ModifySecurityGroupRules",
        rule: "SecurityGroupRuleModified",
        change: |world, group, who| Box::pin(modified(world, group, who)),
    },
    Kind {
        remediation: "security-group-rule-removed",
        mutation: "AuthorizeSecurityGroupIngress",
        rule: "SecurityGroupRuleRemoved",
        change: |world, group, who| Box::pin(removed(world, group, who)),
    },
];

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kind").field("remediation", &self.remediation).finish_non_exhaustive()
    }
}

/// A group that says how it has to be: protected, as AWS Config has recorded it, with one rule that the world may know and
/// one that is tagged.
#[derive(Debug)]
pub struct Scene {
    kind: Kind,
    /// The group.
    pub group: String,
    /// What it permits, in words, when all is well.
    pub safe: Vec<String>,
}

/// A change that was made in a scene.
#[derive(Debug)]
pub struct Change {
    /// What the function is invoked with.
    pub input: Value,
    /// What the group permits now, in words.
    pub risky: Vec<String>,
}

impl Scene {
    /// A new group of this name.
    pub async fn new(world: &World, kind: Kind, name: &str) -> Self {
        let group = world.account.group(name, None).await;
        let standing = [permission("tcp", 443, 443, "0.0.0.0/0"), permission("tcp", 5432, 5432, "10.0.0.0/8")];
        let made = world.account.authorize(&group, &standing).await;
        world.account.tag(made[1].security_group_rule_id().expect("an id"), "ticket", "OPS-1").await;
        world.account.tag(&group, "rescind:protected", "yes").await;
        world.record(&group).await;
        let safe = world.account.in_words(&group).await;
        Self { kind, group, safe }
    }

    /// Somebody makes the change; each number stands for somebody else. It has to be taken back before it is made again.
    pub async fn change(&self, world: &World, number: usize) -> Change {
        let who = Who::Role(format!("arn:aws:iam::{}:role/developer-{number}", world.account.id));
        let event = (self.kind.change)(world, &self.group, &who).await;
        // As the rule delivers it; what the rules match, other tests tell.
        let ingested = now().to_rfc3339_opts(SecondsFormat::Secs, true);
        let input = json!({"rule": world.account.rule(self.kind.rule).arn, "ingested": ingested, "event": event});
        Change { input, risky: world.account.in_words(&self.group).await }
    }
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
