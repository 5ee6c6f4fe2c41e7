//! How much a managed policy gives away, by its name or by its document.

use aws_sdk_iam::Client;
use rescind::policy::{Policy, Power as Reach, PowerReading, Strength, identity_policy, managed_policy};
use rescind_lambda::{CallError, unless_gone};

use crate::principal::decode;

/// The IAM actions by which a policy is read.
pub mod action {
    /// `GetPolicy`.
    pub const GET_POLICY: &str = "iam:GetPolicy";
    /// `GetPolicyVersion`.
    pub const GET_VERSION: &str = "iam:GetPolicyVersion";
}

/// What follows from what a policy gives away. The later, the more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// No known way to more is open.
    Light,
    /// A way to more that hangs on what else is there, or on a condition: a person has to judge.
    Doubtful,
    /// Administrator, or as good as one: certain, and at once.
    Heavy,
}

/// What a policy gives away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Power {
    /// How much.
    pub weight: Weight,
    /// One clause: `it allows everything`.
    pub reason: String,
}

impl Power {
    /// By the name of an AWS managed policy that is known.
    pub fn of_name(arn: &str) -> Option<Self> {
        let managed = managed_policy(arn)?;
        let weight = if managed.power == Reach::Administrator { Weight::Heavy } else { Weight::Doubtful };
        Some(Self { weight, reason: managed.sentence.to_owned() })
    }

    /// By its document; and by who has it, as `user/…` without the path, where what he may do to himself matters.
    pub fn of_document(document: &str, account: &str, holder: Option<&str>) -> Self {
        match Policy::parse(document) {
            Ok(policy) => Self::of_reading(&identity_policy([&policy], account, holder)),
            Err(problem) => Self { weight: Weight::Doubtful, reason: problem.to_string() },
        }
    }

    fn of_reading(reading: &PowerReading) -> Self {
        let is_certain = reading.strength == Strength::Certain;
        let gives_all_at_once = reading.paths.iter().any(|one| one.path.is_direct && one.strength == Strength::Certain);
        let weight = if gives_all_at_once || (reading.power == Reach::Administrator && is_certain) {
            Weight::Heavy
        } else if reading.power > Reach::Limited || reading.unclear.is_some() {
            Weight::Doubtful
        } else {
            Weight::Light
        };
        let unclear = reading.unclear.as_ref().filter(|_| reading.power == Reach::Limited);
        Self { weight, reason: unclear.unwrap_or(&reading.reason).clone() }
    }

    /// Reads a managed policy, as [`Power::of_document`] takes it; `None` when it is gone.
    ///
    /// # Errors
    /// When IAM could not be asked.
    pub async fn read(
        client: &Client,
        arn: &str,
        account: &str,
        holder: Option<&str>,
    ) -> Result<Option<Self>, CallError> {
        if let Some(known) = Self::of_name(arn) {
            return Ok(Some(known));
        }
        let answer = CallError::or(action::GET_POLICY, client.get_policy().policy_arn(arn).send().await);
        let Some(policy) = unless_gone(answer)?.and_then(|answer| answer.policy) else { return Ok(None) };
        let request = client.get_policy_version().policy_arn(arn);
        let request = request.version_id(policy.default_version_id().unwrap_or_default());
        let answer = CallError::or(action::GET_VERSION, request.send().await)?;
        let document = answer.policy_version().and_then(|version| version.document()).and_then(decode);
        let unreadable = || CallError::malformed(action::GET_VERSION, "its document is not URL-encoded text");
        Ok(Some(Self::of_document(&document.ok_or_else(unreadable)?, account, holder)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn weight(action: &str, resource: &str, condition: &serde_json::Value) -> Weight {
        let statement = json!({"Effect": "Allow", "Action": action, "Resource": resource, "Condition": condition});
        Power::of_document(&json!({"Version": "2012-10-17", "Statement": statement}).to_string(), "111122223333", None)
            .weight
    }

    #[test]
    fn administrators_by_any_wording_weigh_most() {
        for action in ["*", "*:*", "iam:*", "IAM:Put*Policy", "iam:AttachUserPolicy", "iam:CreatePolicyVersion"] {
            assert_eq!(weight(action, "*", &json!({})), Weight::Heavy, "{action}");
        }
    }

    #[test]
    fn a_condition_that_everybody_meets_is_none() {
        for condition in [
            json!({"Bool": {"aws:SecureTransport": "true"}}),
            json!({"StringLike": {"aws:PrincipalArn": "*"}, "BoolIfExists": {"aws:SecureTransport": true}}),
            json!({"IpAddress": {"aws:SourceIp": ["0.0.0.0/0", "::/0"]}}),
        ] {
            assert_eq!(weight("*", "*", &condition), Weight::Heavy, "{condition}");
        }
        for condition in [
            json!({"Bool": {"aws:SecureTransport": "false"}}),
            json!({"StringNotLike": {"aws:PrincipalArn": "*"}}),
            json!({"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}),
        ] {
            assert_eq!(weight("*", "*", &condition), Weight::Doubtful, "{condition}");
        }
    }

    #[test]
    fn a_detour_or_a_condition_is_left_to_a_person() {
        let mfa = json!({"Bool": {"aws:MultiFactorAuthPresent": "true"}});
        assert_eq!(weight("*", "*", &mfa), Weight::Doubtful);
        assert_eq!(weight("lambda:UpdateFunctionCode", "*", &json!({})), Weight::Doubtful);
        let bounded = json!({"StringEquals": {"iam:PermissionsBoundary": "arn:aws:iam::111122223333:policy/b"}});
        assert_eq!(weight("iam:AttachRolePolicy", "*", &bounded), Weight::Doubtful);
        assert_eq!(Power::of_document("no policy", "111122223333", None).weight, Weight::Doubtful);
    }

    #[test]
    fn what_leads_nowhere_weighs_nothing() {
        assert_eq!(weight("s3:*", "*", &json!({})), Weight::Light);
        assert_eq!(weight("iam:AttachRolePolicy", "arn:aws:iam::111122223333:role/app-*", &json!({})), Weight::Light);
    }

    #[test]
    fn a_policy_of_ones_own_is_none_of_awss_whatever_its_name() {
        assert_eq!(Power::of_name("arn:aws:iam::aws:policy/AdministratorAccess").unwrap().weight, Weight::Heavy);
        assert_eq!(Power::of_name("arn:aws:iam::aws:policy/PowerUserAccess").unwrap().weight, Weight::Doubtful);
        assert_eq!(Power::of_name("arn:aws:iam::111122223333:policy/AdministratorAccess"), None);
    }
}
