//! A user's devices for multi-factor authentication, and the inline policy that denies the user everything without one.

use aws_sdk_iam::Client;
use chrono::{DateTime, Utc};
use rescind::settings::PrincipalPattern;
use rescind_lambda::prelude::*;

use crate::principal::{self, BREAK_GLASS, Kind, Principal, client, decode};

/// The IAM actions of what is called.
pub mod action {
    /// `ListMFADevices`.
    pub const LIST_DEVICES: &str = "iam:ListMFADevices";
    /// `GetUserPolicy`.
    pub const GET_POLICY: &str = "iam:GetUserPolicy";
    /// `PutUserPolicy`.
    pub const PUT_POLICY: &str = "iam:PutUserPolicy";
    /// `DeleteUserPolicy`.
    pub const DELETE_POLICY: &str = "iam:DeleteUserPolicy";
}

/// All that is called here.
pub const OPERATIONS: &[Operation] = &[
    Operation::reads(principal::action::GET_USER),
    Operation::reads(action::LIST_DEVICES),
    Operation::reads(action::GET_POLICY),
    Operation::changes(action::PUT_POLICY),
    // The inverse.
    Operation::changes(action::DELETE_POLICY),
];

/// Whose device it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The root user's.
    Root,
    /// The caller's own, in a session without MFA.
    Own,
    /// Of another user.
    Another,
}

/// Whose device was deactivated, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deactivated {
    /// Whose.
    pub whose: Whose,
    /// The device.
    pub serial: String,
    /// By whom: an ARN.
    pub actor: String,
    /// When.
    pub time: DateTime<Utc>,
}

impl Deactivated {
    /// What a record tells.
    pub fn heard(signal: &Signal, call: &ApiCall) -> Vec<Heard<Self>> {
        let (request, actor) = (call.request(), &call.actor);
        let (named, serial) = (Kind::User.name_in(request), text(request, "serialNumber").unwrap_or_default());
        let about = |resource, whose| {
            let (serial, actor) = (serial.to_owned(), actor.arn.clone());
            vec![Heard::about(resource, Self { whose, serial, actor, time: signal.time })]
        };
        // Nobody but root can take root's device; in some records that one has a name that no user can have.
        let is_roots = serial.ends_with(":mfa/root-account-mfa-device") || (named.is_none() && !serial.is_empty());
        if actor.kind == "Root" && is_roots {
            return about(signal.resource("AWS::::Account", signal.account.as_str()), Whose::Root);
        }
        // Where none is named, it is the caller's own. A user's ARN ends in the name, after the path.
        let caller = actor.arn.rsplit('/').next().filter(|_| actor.kind == "IAMUser");
        let is_unnamed = !serial.is_empty() && field(request, "userName").is_none();
        let Some(name) = named.or(caller.filter(|_| is_unnamed)) else {
            let resource = signal.resource(Kind::User.resource_type(), "unknown");
            return vec![Heard::unreadable(resource, "the record does not tell whose device it was")];
        };
        let resource = signal.resource(Kind::User.resource_type(), name);
        // IAM has no two names that differ in case alone.
        let is_own = caller.is_some_and(|caller| caller.eq_ignore_ascii_case(name));
        if is_own && actor.with_mfa {
            let reason = "the user deactivated an own MFA device, in a session that MFA had authenticated";
            return vec![Heard::harmless(resource, reason)];
        }
        about(resource, if is_own { Whose::Own } else { Whose::Another })
    }
}

/// What the owner wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Whether the user is to be denied everything.
    pub contains: bool,
    /// Who must never be.
    pub break_glass: Vec<PrincipalPattern>,
}

impl OwnSettings for Wanted {
    const TAGS: &'static [TagKey] = &[TAG, BREAK_GLASS];

    fn of_tags(tags: &Tags) -> Result<Self, SettingsError> {
        Ok(Self { contains: is_to_be_contained(tags)?, break_glass: tags.principals(BREAK_GLASS.key)? })
    }
}

/// What else is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known {
    /// `None` when the user is gone.
    pub user: Option<Principal>,
    /// The devices that are there.
    pub devices: Vec<Device>,
}

/// How a user stands, as far as an event tells it.
pub fn told(resource: &Resource, live: Option<&Standing<Known>>) -> Option<Standing<Known>> {
    // What has to be put back, IAM alone tells.
    if live.is_some() {
        return None;
    }
    let arn = format!("arn:aws:iam::{}:user/{}", resource.account, resource.id);
    let user = Some(Principal { arn, ..Principal::default() });
    Some(Standing::new(effect).with(Known { user, ..Known::default() }))
}

/// Reads the user, with the devices and the policy that are there. Of the root user there is nothing to read.
///
/// # Errors
/// When IAM could not be asked.
pub async fn read(scope: &Scope, resource: &Resource, target: &Deactivated) -> Result<Standing<Known>, CallError> {
    if target.whose == Whose::Root {
        return Ok(Standing::new(effect).with(Known::default()));
    }
    let client = client(scope);
    let (user, devices, policy) = tokio::join!(
        Box::pin(principal::read(&client, Kind::User, &resource.id)),
        Box::pin(devices(&client, &resource.id)),
        Box::pin(policy(&client, &resource.id)),
    );
    let more = Known { user: user?, devices: devices? };
    let tags = more.user.as_ref().map(|user| user.tags.clone()).unwrap_or_default();
    Ok(Standing::new(effect).optional_fact(PIECE, policy?).tagged(tags).with(more))
}

/// Whether the owner asks for the policy.
pub const TAG: TagKey = TagKey {
    key: "contain",
    list: false,
    value: "`report` or `deny-until-mfa`: whether a user whose device somebody else deactivated is denied everything until MFA is used again",
    default: "`report`",
};

/// Whether the tag asks for the policy.
///
/// # Errors
/// [`SettingsError`] for another value.
pub fn is_to_be_contained(tags: &Tags) -> Result<bool, SettingsError> {
    match tags.one(TAG.key) {
        None | Some("report") => Ok(false),
        Some("deny-until-mfa") => Ok(true),
        Some(other) => Err(SettingsError::value(TAG.key, other, "`report` or `deny-until-mfa`")),
    }
}

/// The policy's name.
pub const POLICY: &str = "rescind-deny-until-mfa";
/// The policy among the pieces of a user's state; its value is the document, byte for byte.
pub const PIECE: &str = "policy rescind-deny-until-mfa";

/// What is allowed without MFA: what it takes to enrol a device, and to sign in with it.
const ALLOWED: [&str; 8] = [
    "iam:CreateVirtualMFADevice",
    "iam:EnableMFADevice",
    "iam:GetMFADevice",
    "iam:GetUser",
    "iam:ListMFADevices",
    "iam:ListVirtualMFADevices",
    "iam:ResyncMFADevice",
    "sts:GetSessionToken",
];

/// A device that is enabled for a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its serial number; of a virtual one, its ARN.
    pub serial: String,
    /// When it was enabled for the user, in whole seconds.
    pub enabled: DateTime<Utc>,
}

/// The devices of a user; none of one who is gone.
///
/// # Errors
/// When IAM could not be asked.
pub async fn devices(client: &Client, user: &str) -> Result<Vec<Device>, CallError> {
    let mut all = Vec::new();
    let mut pages = client.list_mfa_devices().user_name(user).into_paginator().send();
    while let Some(page) = pages.next().await {
        let Some(page) = unless_gone(CallError::or(action::LIST_DEVICES, page))? else { break };
        all.extend(page.mfa_devices().iter().map(|device| Device {
            serial: device.serial_number().to_owned(),
            enabled: DateTime::from_timestamp(device.enable_date().secs(), 0).unwrap_or(DateTime::UNIX_EPOCH),
        }));
    }
    Ok(all)
}

/// What stands in the policy [`POLICY`] of a user, if there is one.
///
/// # Errors
/// When IAM could not be asked.
pub async fn policy(client: &Client, user: &str) -> Result<Option<String>, CallError> {
    let answer = client.get_user_policy().user_name(user).policy_name(POLICY).send().await;
    let Some(answer) = unless_gone(CallError::or(action::GET_POLICY, answer))? else { return Ok(None) };
    let unreadable = || CallError::malformed(action::GET_POLICY, "its document is not URL-encoded text");
    decode(answer.policy_document()).map(Some).ok_or_else(unreadable)
}

/// The document that denies everything but [`ALLOWED`] to who has not authenticated by MFA, a long-term key included: that has no
/// such key in its requests, hence `IfExists`.
pub fn denying() -> String {
    let statement = json!({
        "Sid": "DenyAllExceptListedIfNoMFA", "Effect": "Deny", "NotAction": ALLOWED, "Resource": "*",
        "Condition": {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}},
    });
    json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
}

/// Whether a document is that one, however it is written.
pub fn denies(document: &str) -> bool {
    let read = |document: &str| serde_json::from_str::<Value>(document).ok();
    read(document).is_some_and(|document| Some(document) == read(&denying()))
}

/// Gives a user the policy [`POLICY`].
pub fn put_policy(user: &str, document: &str) -> Call {
    Call::new(action::PUT_POLICY, json!({"UserName": user, "PolicyName": POLICY, "PolicyDocument": document}))
}

/// Takes the policy [`POLICY`] from a user.
pub fn delete_policy(user: &str) -> Call {
    Call::new(action::DELETE_POLICY, json!({"UserName": user, "PolicyName": POLICY}))
}

/// Denies a user everything without MFA; the inverse puts back the document that stood there, or takes the policy away.
pub fn denial(user: &str, before: Option<&str>) -> Step {
    let back = before.map_or_else(|| delete_policy(user), |document| put_policy(user, document));
    Step::planned(put_policy(user, &denying()), back)
}

/// What these calls make of the pieces.
pub fn effect(call: &Call) -> Vec<(String, Option<String>)> {
    vec![(PIECE.to_owned(), text(&call.parameters, "policyDocument").map(str::to_owned))]
}

/// Makes one of these calls. A policy that is gone already is as it should be.
///
/// # Errors
/// When IAM does not accept it, or the call is none of these.
pub async fn make(scope: &Scope, call: &Call) -> Result<(), CallError> {
    let (client, user) = (client(scope), parameter(call, "userName")?);
    match call.call.as_str() {
        action::PUT_POLICY => {
            let request = client.put_user_policy().user_name(user).policy_name(POLICY);
            let answer = request.policy_document(parameter(call, "policyDocument")?).send().await;
            CallError::or(action::PUT_POLICY, answer).map(drop)
        }
        action::DELETE_POLICY => {
            let answer = client.delete_user_policy().user_name(user).policy_name(POLICY).send().await;
            unless_gone(CallError::or(action::DELETE_POLICY, answer)).map(drop)
        }
        _ => Err(not_ours(call)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_denial_is_the_one_of_the_iam_user_guide() {
        let guide = r#"{ "Version": "2012-10-17", "Statement": [{ "Sid": "DenyAllExceptListedIfNoMFA", "Effect": "Deny",
            "NotAction": ["iam:CreateVirtualMFADevice", "iam:EnableMFADevice", "iam:GetMFADevice", "iam:GetUser",
                "iam:ListMFADevices", "iam:ListVirtualMFADevices", "iam:ResyncMFADevice", "sts:GetSessionToken"],
            "Resource": "*", "Condition": { "BoolIfExists": { "aws:MultiFactorAuthPresent": "false" } } }] }"#;
        assert!(denies(guide) && denies(&denying()));
        // All inline policies of a user share 2048 characters.
        assert!(denying().len() < 500 && !denying().contains(' '), "{}", denying());
    }

    #[test]
    fn what_denies_less_is_no_denial() {
        for (part, less) in [
            ("\"Deny\"", "\"Allow\""),
            ("BoolIfExists", "Bool"),
            ("\"false\"", "\"true\""),
            ("\"sts:GetSessionToken\"", "\"sts:GetSessionToken\",\"iam:DeleteUserPolicy\""),
            ("\"Resource\":\"*\"", "\"Resource\":\"arn:aws:s3:::x\""),
            ("NotAction", "Action"),
        ] {
            let document = denying().replace(part, less);
            assert!(document != denying() && !denies(&document), "{document}");
        }
        for document in ["", "{}", "[]", "null"] {
            assert!(!denies(document), "{document}");
        }
    }
}
