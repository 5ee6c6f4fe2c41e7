//! Users with a device for MFA, another policy and a key, who lose the device; the owner wants them denied until there is one again.

use identity::denial::{POLICY, denying};
use identity::principal::decode;
use serde_json::{Value, json};

use super::{Kind, identity as keys};
use crate::World;
use crate::cloudtrail::{self, Who};

pub(super) const DEACTIVATED: Kind = Kind {
    remediation: "mfa-deactivated",
    function: "identity",
    mutation: ("PutUserPolicy", 1),
    rule: RULE,
    set: |world, name| {
        Box::pin(async move {
            world.account.tag_rule(RULE, "rescind:contain", "deny-until-mfa").await;
            user(world, name).await
        })
    },
    change: |world, user, who| Box::pin(deactivated(world, user, who)),
    harmless: Some(|world, user, _| Box::pin(deactivated_by_oneself(world, user))),
    words: |world, user| Box::pin(in_words(world, user)),
    contained: Some(|world, user| Box::pin(contained(world, user))),
};

/// The rule that hears of it.
pub const RULE: &str = "MfaDeactivated";

/// A user with a key, another policy and a device.
pub async fn user(world: &World, name: &str) -> String {
    keys::user(world, name).await;
    let other = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]});
    put_policy(world, name, "other", &other.to_string()).await;
    enable(world, name, name).await;
    name.to_owned()
}

/// Gives a user an inline policy.
pub async fn put_policy(world: &World, user: &str, policy: &str, document: &str) {
    let request = world.account.iam().put_user_policy().user_name(user).policy_name(policy);
    request.policy_document(document).send().await.expect("the policy is put");
}

/// Enables a virtual device of this name for a user.
pub async fn enable(world: &World, user: &str, device: &str) {
    let iam = world.account.iam();
    // It is there already, if it was deactivated.
    drop(iam.create_virtual_mfa_device().virtual_mfa_device_name(device).send().await);
    let request = iam.enable_mfa_device().user_name(user).serial_number(serial(world, device));
    request.authentication_code1("123456").authentication_code2("654321").send().await.expect("it is enabled");
}

fn serial(world: &World, device: &str) -> String {
    format!("arn:aws:iam::{}:mfa/{device}", world.account.id)
}

/// Makes the user as it was, and somebody deactivates the device.
pub async fn deactivated(world: &World, user: &str, who: &Who) -> Value {
    let iam = world.account.iam();
    let devices = iam.list_mfa_devices().user_name(user).send().await.expect("devices");
    if devices.mfa_devices().is_empty() {
        enable(world, user, user).await;
    }
    if let Some(denial) = policies(world, user).await.into_iter().find(|(name, _)| name == POLICY) {
        iam.delete_user_policy().user_name(user).policy_name(denial.0).send().await.expect("it is deleted");
    }
    let serial = serial(world, user);
    iam.deactivate_mfa_device().user_name(user).serial_number(&serial).send().await.expect("it is deactivated");
    cloudtrail::mfa_deactivated(&world.account.id, who, user, &serial)
}

/// The user does it, in a session with MFA.
async fn deactivated_by_oneself(world: &World, user: &str) -> Value {
    let mut event = deactivated(world, user, &Who::User(user.to_owned())).await;
    event["detail"]["userIdentity"]["sessionContext"] = json!({"attributes": {"mfaAuthenticated": "true"}});
    event
}

/// The inline policies of a user.
pub async fn policies(world: &World, user: &str) -> Vec<(String, String)> {
    let iam = world.account.iam();
    let names = iam.list_user_policies().user_name(user).send().await.expect("policies");
    let mut all = Vec::new();
    for name in names.policy_names() {
        let policy = iam.get_user_policy().user_name(user).policy_name(name).send().await.expect("a policy");
        all.push((name.clone(), decode(policy.policy_document()).expect("a document")));
    }
    all
}

/// The user's inline policies, keys and devices.
pub async fn in_words(world: &World, user: &str) -> Vec<String> {
    let iam = world.account.iam();
    let all = policies(world, user).await.into_iter();
    let mut words: Vec<String> = all.map(|(name, document)| format!("policy {name} = {document}")).collect();
    let keys = iam.list_access_keys().user_name(user).send().await.expect("keys");
    words.extend(
        keys.access_key_metadata().iter().map(|key| format!("key {:?} {:?}", key.access_key_id(), key.status())),
    );
    let devices = iam.list_mfa_devices().user_name(user).send().await.expect("devices");
    words.extend(devices.mfa_devices().iter().map(|device| format!("device {}", device.serial_number())));
    words.sort();
    words
}

/// Without the device, and denied.
async fn contained(world: &World, user: &str) -> Vec<String> {
    let mut words = in_words(world, user).await;
    words.retain(|line| !line.starts_with("device "));
    words.push(format!("policy {POLICY} = {}", denying()));
    words.sort();
    words
}
