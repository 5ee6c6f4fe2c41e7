//! Roles that let in their own account, as AWS Config recorded, and come to let in somebody else.

use serde_json::{Value, json};

use super::{Kind, identity};
use crate::cloudtrail::{self, Who};
use crate::{World, now};

pub(super) const OPENED: Kind = Kind {
    remediation: "role-trusts-stranger",
    function: "identity",
    mutation: ("UpdateAssumeRolePolicy", 1),
    rule: "RoleTrustsStranger",
    set: |world, name| Box::pin(recorded_role(world, name)),
    change: |world, role, who| Box::pin(async move { set(world, role, &trusting(&[STRANGER]), who).await }),
    harmless: Some(|world, role, who| {
        Box::pin(async move {
            let ours = format!("arn:aws:iam::{}:root", world.account.id);
            set(world, role, &trusting(&[&ours]), who).await
        })
    }),
    words: |world, role| Box::pin(in_words(world, role)),
    contained: None,
};

/// An account that nobody trusts.
pub const STRANGER: &str = "arn:aws:iam::999999999999:root";

/// A trust policy that lets these in.
pub fn trusting(principals: &[&str]) -> String {
    let statement = json!({"Effect": "Allow", "Principal": {"AWS": principals}, "Action": "sts:AssumeRole"});
    json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
}

/// A role that AWS Config has recorded as it is; then it waits, since a record of CloudTrail tells a time in whole seconds.
pub async fn recorded_role(world: &World, name: &str) -> String {
    identity::role(world, "/", name).await;
    record(world, name).await;
    crate::next_second().await;
    name.to_owned()
}

/// Lets AWS Config report a role, so that the baseline has its trust policy.
pub async fn record(world: &World, role: &str) {
    let answer = world.account.iam().get_role().role_name(role).send().await.expect("the role");
    let role = answer.role().expect("a role");
    let configuration =
        json!({"assumeRolePolicyDocument": role.assume_role_policy_document(), "attachedManagedPolicies": []});
    let captured = now() - chrono::TimeDelta::minutes(1);
    let kind = ("AWS::IAM::Role", role.role_id());
    let item = cloudtrail::principal_item(&world.account.id, kind, &configuration, captured);
    let answers = world.deliver(&item).await;
    assert_eq!(answers.len(), 1, "one rule lets it through");
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|one| one.outcomes.is_empty())), "{answers:?}");
}

/// Somebody sets whom a role lets in.
pub async fn set(world: &World, role: &str, document: &str, who: &Who) -> Value {
    let request = world.account.iam().update_assume_role_policy().role_name(role).policy_document(document);
    request.send().await.expect("the trust is set");
    cloudtrail::trust_updated(&world.account.id, who, role, document)
}

/// The trust policy of a role, as IAM tells it.
pub async fn in_words(world: &World, role: &str) -> Vec<String> {
    let answer = world.account.iam().get_role().role_name(role).send().await.expect("the role");
    vec![answer.role().and_then(|role| role.assume_role_policy_document()).expect("a document").to_owned()]
}
