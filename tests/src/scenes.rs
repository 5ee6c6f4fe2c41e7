//! For each remediation, a change of the kind that it takes back, made for real: what the tests work with that try every
//! remediation in every way.

use std::future::Future;
use std::pin::Pin;

use serde_json::Value;

use crate::account::permission;
use crate::{World, cloudtrail};

/// A change that was made, with how things have to be in the end.
#[derive(Debug)]
pub struct Scene {
    /// What was changed.
    pub group: String,
    /// What the function is invoked with.
    pub input: Value,
    /// What the group has to permit once the change is taken back, in words.
    pub safe: Vec<String>,
    /// The same as it stands before that.
    pub risky: Vec<String>,
}

type Making<'a> = Pin<Box<dyn Future<Output = Scene> + Send + 'a>>;

/// How a change is made for a remediation.
#[derive(Clone, Copy)]
pub struct Stage {
    /// The remediation.
    pub remediation: &'static str,
    /// The one call by which it takes the change back.
    pub mutation: &'static str,
    /// Makes the change, in a resource of this name.
    pub make: for<'a> fn(&'a World, &'a str) -> Making<'a>,
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stage").field("remediation", &self.remediation).finish_non_exhaustive()
    }
}

/// One for each remediation.
pub const STAGES: [Stage; 3] = [
    Stage {
        remediation: "open-security-group-ingress",
        mutation: "RevokeSecurityGroupIngress",
        make: |world, name| Box::pin(opened(world, name)),
    },
    Stage {
        remediation: "security-group-rule-modified",
        mutation: "ModifySecurityGroupRules",
        make: |world, name| Box::pin(modified(world, name)),
    },
    Stage {
        remediation: "security-group-rule-removed",
        mutation: "AuthorizeSecurityGroupIngress",
        make: |world, name| Box::pin(removed(world, name)),
    },
];

impl Stage {
    /// Makes the change, in a resource of this name.
    pub async fn scene(&self, world: &World, name: &str) -> Scene {
        (self.make)(world, name).await
    }
}

/// A group that says how it has to be: one rule that the world may know, and one that is tagged.
async fn group(world: &World, name: &str) -> (String, String) {
    let group = world.account.group(name, None).await;
    let standing = [permission("tcp", 443, 443, "0.0.0.0/0"), permission("tcp", 5432, 5432, "10.0.0.0/8")];
    let made = world.account.authorize(&group, &standing).await;
    let rule = made[1].security_group_rule_id().expect("an id").to_owned();
    world.account.tag(&rule, "ticket", "OPS-1").await;
    (group, rule)
}

/// A protected group, as AWS Config has recorded it.
async fn protected(world: &World, name: &str) -> (String, String) {
    let (group, rule) = group(world, name).await;
    world.account.tag(&group, "rescind:protected", "yes").await;
    world.record(&group).await;
    (group, rule)
}

async fn scene(world: &World, group: String, safe: Vec<String>, rule: &str, event: &Value) -> Scene {
    let delivered = world.route(event).await.into_iter().find(|one| one.rule == rule);
    let input = delivered.unwrap_or_else(|| panic!("{rule} matches")).input;
    let risky = world.account.in_words(&group).await;
    Scene { group, input, safe, risky }
}

async fn opened(world: &World, name: &str) -> Scene {
    let (group, _) = group(world, name).await;
    let safe = world.account.in_words(&group).await;
    let made = world.account.authorize(&group, &[permission("tcp", 22, 22, "0.0.0.0/0")]).await;
    let event = cloudtrail::authorized(&world.account.id, &world.alice(), &group, &made);
    scene(world, group, safe, "OpenSecurityGroupIngress", &event).await
}

async fn modified(world: &World, name: &str) -> Scene {
    let (group, rule) = protected(world, name).await;
    let safe = world.account.in_words(&group).await;
    let to = world.account.modify(&group, &rule, 5432, "10.9.9.9/32", "now-another").await;
    let event = cloudtrail::modified(&world.account.id, &world.alice(), &group, &rule, &to);
    scene(world, group, safe, "SecurityGroupRuleModified", &event).await
}

async fn removed(world: &World, name: &str) -> Scene {
    let (group, rule) = protected(world, name).await;
    let safe = world.account.in_words(&group).await;
    let mut lost = world.account.rules(&group).await;
    lost.retain(|one| one.security_group_rule_id() == Some(&rule));
    world.account.revoke(&group, &lost).await;
    let event = cloudtrail::revoked(&world.account.id, &world.alice(), &group, &lost);
    scene(world, group, safe, "SecurityGroupRuleRemoved", &event).await
}
