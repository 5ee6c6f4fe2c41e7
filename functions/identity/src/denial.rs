//! The inline policy that denies a user everything without multi-factor authentication (MFA), until a device is back.

use aws_sdk_iam::Client;
use rescind::settings::PrincipalPattern;
use rescind_lambda::prelude::*;

use crate::principal::{BREAK_GLASS, client, decode};

/// The IAM actions of what is called.
pub mod action {
    /// `GetUserPolicy`.
    pub const GET_POLICY: &str = "iam:GetUserPolicy";
    /// `PutUserPolicy`.
    pub const PUT_POLICY: &str = "iam:PutUserPolicy";
    /// `DeleteUserPolicy`.
    pub const DELETE_POLICY: &str = "iam:DeleteUserPolicy";
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
        let contains = tags.departs(TAG.key, "report", "deny-until-mfa")?;
        Ok(Self { contains, break_glass: tags.principals(BREAK_GLASS.key)? })
    }
}

/// Whether the owner asks for the policy.
pub const TAG: TagKey = TagKey {
    key: "contain",
    list: false,
    value: "`report` or `deny-until-mfa`: whether a user whose device somebody else deactivated is denied everything until MFA is used again",
    default: "`report`",
};

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

/// What stands in the policy [`POLICY`] of a user, if there is one.
///
/// # Errors
/// When IAM could not be asked.
pub async fn read(client: &Client, user: &str) -> Result<Option<String>, CallError> {
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
pub fn step(user: &str, before: Option<&str>) -> Step {
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
