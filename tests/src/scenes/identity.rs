//! Credentials: an access key beside another one, and a role that has a policy of that name already, of which a finding says
//! that somebody else uses them.

use chrono::{DateTime, Utc};
use identity::sessions::{POLICY, denied_before, denying};
use serde_json::{Value, json};

use super::Kind;
use crate::{World, guardduty};

pub(super) const KEY: Kind = Kind {
    remediation: "credentials-compromised",
    function: "identity",
    mutation: ("UpdateAccessKey", 1),
    rule: "CredentialsCompromised",
    set: |world, name| Box::pin(async move { key(world, &user(world, name).await).await }),
    change: |world, key, _| Box::pin(found_key(world, key)),
    harmless: None,
    words: |world, key| Box::pin(keys_in_words(world, key)),
    contained: Some(|world, key| Box::pin(contained_keys(world, key))),
};

pub(super) const SESSIONS: Kind = Kind {
    remediation: "credentials-compromised",
    function: "identity",
    mutation: ("PutRolePolicy", 1),
    rule: "CredentialsCompromised",
    set: |world, name| Box::pin(earlier_role(world, name)),
    change: |world, role, _| Box::pin(found_session(world, role)),
    harmless: None,
    words: |world, role| Box::pin(policies_in_words(world, role)),
    contained: Some(|world, role| Box::pin(contained_policies(world, role))),
};

/// What a role's policy of that name was before, with another statement and blanks that are not JSON's own. The emulator
/// does not take spaces in a signed form.
pub const EARLIER: &str = "{\"Version\":\"2012-10-17\",\n\"Statement\":[{\"Effect\":\"Deny\",\"Action\":[\"*\"],\"Resource\":[\"*\"],\"Condition\":{\"DateLessThan\":{\"aws:TokenIssueTime\":\"2026-01-01T00:00:00Z\"}}},\n{\"Sid\":\"Mine\",\"Effect\":\"Deny\",\"Action\":\"s3:DeleteBucket\",\"Resource\":\"*\"}]}";

/// A user, with a second access key that nobody minds.
pub async fn user(world: &World, name: &str) -> String {
    world.account.iam().create_user().user_name(name).send().await.expect("a user");
    key(world, name).await;
    name.to_owned()
}

/// A new access key of a user.
pub async fn key(world: &World, user: &str) -> String {
    let answer = world.account.iam().create_access_key().user_name(user).send().await.expect("a key");
    answer.access_key().expect("a key").access_key_id().to_owned()
}

/// A role, by its path and name.
pub async fn role(world: &World, path: &str, name: &str) -> String {
    let trust = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": {"Service": "ec2.amazonaws.com"}}]});
    let request = world.account.iam().create_role().role_name(name).path(path);
    request.assume_role_policy_document(trust.to_string()).send().await.expect("a role");
    name.to_owned()
}

/// An instance profile with a role; its ARN.
pub async fn profile(world: &World, name: &str, role: &str) -> String {
    let iam = world.account.iam();
    let answer = iam.create_instance_profile().instance_profile_name(name).send().await.expect("a profile");
    let request = iam.add_role_to_instance_profile().instance_profile_name(name).role_name(role);
    request.send().await.expect("it has the role");
    answer.instance_profile().expect("a profile").arn().to_owned()
}

async fn earlier_role(world: &World, name: &str) -> String {
    role(world, "/", name).await;
    let other = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}]});
    let request = world.account.iam().put_role_policy().role_name(name).policy_name("other");
    request.policy_document(other.to_string()).send().await.expect("a policy");
    put_policy(world, name, EARLIER).await;
    name.to_owned()
}

/// Gives a role the policy that denies its sessions.
pub async fn put_policy(world: &World, role: &str, document: &str) {
    let request = world.account.iam().put_role_policy().role_name(role).policy_name(POLICY);
    request.policy_document(document).send().await.expect("the policy is put");
}

/// That policy, as it stands.
pub async fn policy(world: &World, role: &str) -> Option<String> {
    let names = world.account.iam().list_role_policies().role_name(role).send().await.expect("policies");
    if !names.policy_names().iter().any(|name| name == POLICY) {
        return None;
    }
    let answer = world.account.iam().get_role_policy().role_name(role).policy_name(POLICY).send().await;
    let encoded = answer.expect("the policy").policy_document().to_owned();
    let mut bytes = Vec::new();
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        let mut digit = || char::from(rest.next().expect("two digits")).to_digit(16).expect("a digit");
        bytes.push(if byte == b'%' { u8::try_from(digit() * 16 + digit()).expect("a byte") } else { byte });
    }
    Some(String::from_utf8(bytes).expect("UTF-8"))
}

/// The state of each key of a key's user.
pub async fn keys_in_words(world: &World, key: &str) -> Vec<String> {
    let iam = world.account.iam();
    let used = iam.get_access_key_last_used().access_key_id(key).send().await.expect("the key's user");
    let answer = iam.list_access_keys().user_name(used.user_name().expect("a name")).send().await.expect("keys");
    let words = |one: &aws_sdk_iam::types::AccessKeyMetadata| {
        let status = one.status().map_or("unknown", |status| status.as_str());
        format!("{} is {status}", one.access_key_id().unwrap_or_default())
    };
    let mut words: Vec<String> = answer.access_key_metadata().iter().map(words).collect();
    words.sort();
    words
}

async fn contained_keys(world: &World, key: &str) -> Vec<String> {
    let mut words = keys_in_words(world, key).await;
    for line in words.iter_mut().filter(|line| line.starts_with(key)) {
        *line = format!("{key} is Inactive");
    }
    words
}

/// Makes the key one that can be used, and finds that somebody else uses it.
async fn found_key(world: &World, key: &str) -> Value {
    let iam = world.account.iam();
    let used = iam.get_access_key_last_used().access_key_id(key).send().await.expect("the key's user");
    let user = used.user_name().expect("a name");
    let request = iam.update_access_key().user_name(user).access_key_id(key);
    request.status(aws_sdk_iam::types::StatusType::Active).send().await.expect("it is active");
    guardduty::compromised(&world.account.id, &guardduty::credentials(key, "AIDAX", user, "IAMUser"))
}

/// The role's policies. The time of a denial differs with each finding, but for the earlier one.
async fn policies_in_words(world: &World, role: &str) -> Vec<String> {
    let answer = world.account.iam().list_role_policies().role_name(role).send().await.expect("policies");
    let mut words = answer.policy_names().to_vec();
    words.sort();
    words.extend(policy(world, role).await.map(|document| in_words(&document)));
    words
}

fn in_words(document: &str) -> String {
    let time = denied_before(document).expect("a denial");
    let told = time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    document.replace(&told, "then")
}

async fn contained_policies(world: &World, role: &str) -> Vec<String> {
    let mut words = policies_in_words(world, role).await;
    let time: DateTime<Utc> = "2026-11-24T09:30:00Z".parse().expect("a time");
    words.pop();
    words.push(in_words(&denying(Some(EARLIER), time).expect("a policy")));
    words
}

/// What a finding tells of a session of a role.
pub async fn session(world: &World, role: &str, key: &str) -> Value {
    let answer = world.account.iam().get_role().role_name(role).send().await.expect("the role");
    let id = answer.role().expect("a role").role_id().to_owned();
    guardduty::credentials(key, &format!("{id}:session"), role, "AssumedRole")
}

/// Gives the role its earlier policy, and finds that somebody else uses a session of it.
async fn found_session(world: &World, role: &str) -> Value {
    put_policy(world, role, EARLIER).await;
    guardduty::compromised(&world.account.id, &session(world, role, "ASIA1").await)
}
