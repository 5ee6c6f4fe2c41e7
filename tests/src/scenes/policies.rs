//! Roles that have a policy attached and an inline one, and are given another that makes an administrator.

use serde_json::{Value, json};

use super::{Kind, identity};
use crate::World;
use crate::cloudtrail::{self, Who};

pub(super) const ATTACHED: Kind = Kind {
    remediation: "admin-policy-attached",
    function: "identity",
    mutation: ("DetachRolePolicy", 1),
    rule: "AdminPolicyAttached",
    set: |world, name| Box::pin(set(world, name)),
    change: |world, role, who| Box::pin(attached(world, role, "all", who)),
    harmless: Some(|world, role, who| Box::pin(attached(world, role, "little", who))),
    words: |world, role| Box::pin(in_words(world, role)),
    contained: None,
};

async fn set(world: &World, name: &str) -> String {
    identity::role(world, "/", name).await;
    let inline = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]});
    let request = world.account.iam().put_role_policy().role_name(name).policy_name("inline");
    request.policy_document(inline.to_string()).send().await.expect("a policy");
    // It stood there before, so nobody minds. The emulator has none of AWS's policies.
    let earlier = policy(world, &format!("{name}-earlier"), "lambda:*").await;
    world.account.iam().attach_role_policy().role_name(name).policy_arn(earlier).send().await.expect("attached");
    for (what, action) in [("all", "iam:*"), ("little", "s3:GetObject")] {
        policy(world, &format!("{name}-{what}"), action).await;
    }
    name.to_owned()
}

/// A policy of one's own that allows an action on everything; its ARN.
pub async fn policy(world: &World, name: &str, action: &str) -> String {
    let document =
        json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]});
    let request = world.account.iam().create_policy().policy_name(name).policy_document(document.to_string());
    let answer = request.send().await.expect("a policy");
    answer.policy().and_then(|policy| policy.arn()).expect("an ARN").to_owned()
}

async fn attached(world: &World, role: &str, what: &str, who: &Who) -> Value {
    let policy = format!("arn:aws:iam::{}:policy/{role}-{what}", world.account.id);
    world.account.iam().attach_role_policy().role_name(role).policy_arn(&policy).send().await.expect("it is attached");
    cloudtrail::policy_attached(&world.account.id, who, ("Role", role), &policy)
}

/// The attached policies of a role, and the names of its inline ones.
pub async fn in_words(world: &World, role: &str) -> Vec<String> {
    let iam = world.account.iam();
    let attached = iam.list_attached_role_policies().role_name(role).send().await.expect("policies");
    let names = iam.list_role_policies().role_name(role).send().await.expect("policies");
    let arns = attached.attached_policies().iter().filter_map(|policy| policy.policy_arn().map(str::to_owned));
    let mut words: Vec<String> = arns.chain(names.policy_names().to_vec()).collect();
    words.sort();
    words
}
