//! IAM's users, roles and groups: how they are read, how they were before, and which of them Rescind leaves alone.

use std::sync::Arc;

use aws_sdk_iam::Client;
use aws_sdk_iam::types::{AttachedPermissionsBoundary, Tag};
use chrono::{DateTime, Utc};
use rescind::arn::Arn;
use rescind::settings::{PrincipalPattern, TagKey};
use rescind::signal::{Resource, text};
use rescind::text::clean;
use rescind::{Call, Snapshot};
use rescind_lambda::{CallError, Scope, client, unless_gone};
use serde_json::Value;

/// The IAM actions by which they are read.
pub mod action {
    /// `GetUser`.
    pub const GET_USER: &str = "iam:GetUser";
    /// `GetRole`.
    pub const GET_ROLE: &str = "iam:GetRole";
    /// `GetGroup`.
    pub const GET_GROUP: &str = "iam:GetGroup";
}

/// What somebody or something with permissions is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A user.
    User,
    /// A role.
    Role,
    /// A group of users.
    Group,
}

impl Kind {
    /// What an operation of IAM, or a call of a plan, is about: `AttachUserPolicy` is about a user.
    pub fn of_operation(name: &str) -> Option<Self> {
        [Self::User, Self::Role, Self::Group].into_iter().find(|kind| name.contains(kind.word()))
    }

    /// As it stands in the names of operations.
    pub fn word(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Role => "Role",
            Self::Group => "Group",
        }
    }

    /// As AWS Config names it.
    pub const fn resource_type(self) -> &'static str {
        match self {
            Self::User => "AWS::IAM::User",
            Self::Role => "AWS::IAM::Role",
            Self::Group => "AWS::IAM::Group",
        }
    }

    /// The parameter that names one.
    pub fn parameter(self) -> String {
        format!("{}Name", self.word())
    }

    /// The name that a request has of one; `None` for what can be none.
    pub fn name_in(self, request: &Value) -> Option<&str> {
        let longest = if self == Self::Group { 128 } else { LONGEST };
        // A record has it as `userName`, a call of ours as `UserName`: asked for the first, both are found.
        let parameter = format!("{}Name", self.word().to_lowercase());
        text(request, &parameter).filter(|name| is_name_up_to(name, longest))
    }
}

/// The longest name of a user or role (IAM user guide, *IAM and AWS STS quotas*).
const LONGEST: usize = 64;

/// Whether a text can be the name of a user or role.
pub fn is_name(text: &str) -> bool {
    is_name_up_to(text, LONGEST)
}

/// Whether a text can be a name of IAM's that has at most so many characters.
pub fn is_name_up_to(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c))
}

/// A user, a role or a group, as IAM tells it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Principal {
    /// Its ARN.
    pub arn: String,
    /// Its unique id, by which AWS Config knows it; empty where only an event tells of it.
    pub id: String,
    /// When a user was made, in whole seconds: a later one may have the name of an earlier one.
    pub created: Option<DateTime<Utc>>,
    /// Its tags; a group has none.
    pub tags: Vec<(String, String)>,
    /// The policy that limits what it may do at most.
    pub boundary: Option<String>,
    /// Who may assume the role, byte for byte.
    pub trust: Option<String>,
}

/// The client of IAM.
pub fn client(scope: &Scope) -> Arc<Client> {
    client!(scope, aws_sdk_iam)
}

/// Reads one; `None` when it is gone.
///
/// # Errors
/// When IAM could not be asked.
pub async fn read(client: &Client, kind: Kind, name: &str) -> Result<Option<Principal>, CallError> {
    let principal = |arn: &str, id: &str| Principal { arn: arn.to_owned(), id: id.to_owned(), ..Principal::default() };
    Ok(match kind {
        Kind::User => {
            let answer = CallError::or(action::GET_USER, client.get_user().user_name(name).send().await);
            unless_gone(answer)?.and_then(|answer| answer.user).map(|user| Principal {
                created: DateTime::from_timestamp(user.create_date().secs(), 0),
                tags: pairs(user.tags()),
                boundary: user.permissions_boundary().and_then(boundary),
                ..principal(user.arn(), user.user_id())
            })
        }
        Kind::Role => {
            let answer = CallError::or(action::GET_ROLE, client.get_role().role_name(name).send().await);
            let Some(role) = unless_gone(answer)?.and_then(|answer| answer.role) else { return Ok(None) };
            let encoded = role.assume_role_policy_document();
            let unreadable = || CallError::malformed(action::GET_ROLE, "its trust policy is not URL-encoded text");
            Some(Principal {
                tags: pairs(role.tags()),
                boundary: role.permissions_boundary().and_then(boundary),
                trust: encoded.map(|encoded| decode(encoded).ok_or_else(unreadable)).transpose()?,
                ..principal(role.arn(), role.role_id())
            })
        }
        Kind::Group => {
            // It answers with the users, too, of whom none is asked for.
            let request = client.get_group().group_name(name).max_items(1);
            let answer = unless_gone(CallError::or(action::GET_GROUP, request.send().await))?;
            answer.and_then(|answer| answer.group).map(|group| principal(group.arn(), group.group_id()))
        }
    })
}

fn boundary(boundary: &AttachedPermissionsBoundary) -> Option<String> {
    boundary.permissions_boundary_arn().map(str::to_owned)
}

/// The tags of a user or role.
pub fn pairs(tags: &[Tag]) -> Vec<(String, String)> {
    tags.iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect()
}

/// IAM answers with documents URL-encoded by RFC 3986 (IAM API reference, `GetRolePolicy`), in which a plus sign is itself.
pub fn decode(encoded: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// How one was before a time, as AWS Config recorded it: of no Region, and under its unique id.
///
/// # Errors
/// When the baseline or AWS Config could not be asked.
pub async fn earlier(
    scope: &Scope,
    account: &str,
    (kind, id): (Kind, &str),
    time: DateTime<Utc>,
) -> Result<Option<Snapshot>, CallError> {
    let resource = Resource {
        kind: kind.resource_type().to_owned(),
        id: id.to_owned(),
        account: account.to_owned(),
        region: "global".to_owned(),
    };
    scope.earlier_state(&resource, time).await
}

/// Who is never locked out.
pub const BREAK_GLASS: TagKey = TagKey {
    key: "break-glass",
    list: true,
    value: "ARNs of roles or users that are never locked out, whatever is found or done; one that ends in `/` covers the path below it",
    default: "nobody",
};

/// Why somebody is not locked out, if the owner says so by [`BREAK_GLASS`].
pub fn behind_glass(patterns: &[PrincipalPattern], arn: &str) -> Option<String> {
    let is_covered = patterns.iter().any(|pattern| pattern.covers(arn));
    is_covered.then(|| format!("`rescind:break-glass` covers {}", clean(arn, 200)))
}

/// Why a user or role is left as it is, if it is Rescind's own or AWS's.
pub fn left_alone(arn: &str, own_roles: &[String]) -> Option<String> {
    let of_aws = Arn::parse(arn).map(|arn| arn.resource().to_owned()).unwrap_or_default();
    let arn_told = clean(arn, 200);
    if own_roles.iter().any(|own| is_own(own, arn)) {
        Some(format!("{arn_told} is Rescind's own: it never locks itself out"))
    } else if of_aws.starts_with("role/aws-service-role/") {
        Some(format!("{arn_told} is a service-linked role, which AWS alone can change"))
    } else if of_aws.starts_with("role/aws-reserved/") {
        Some(format!(
            "{arn_told} is a role of AWS, such as IAM Identity Center's: change it, or revoke its sessions, there"
        ))
    } else {
        None
    }
}

/// Whether a role is Rescind's own, or has that part in its stack of another Region: CloudFormation ends names at random.
fn is_own(own: &str, arn: &str) -> bool {
    let before_the_end = |arn: &str| arn.rsplit_once('-').map(|(start, _)| start.to_owned());
    own == arn || before_the_end(own).is_some_and(|start| before_the_end(arn).as_ref() == Some(&start))
}

/// The name in a call of a plan, and what it is about.
///
/// # Errors
/// When the call has none: the journal was written by somebody else.
pub fn named(call: &Call) -> Result<(Kind, &str), CallError> {
    let kind = Kind::of_operation(&call.call);
    let named = kind.and_then(|kind| Some((kind, kind.name_in(&call.parameters)?)));
    named.ok_or_else(|| CallError::malformed("parameters", format!("{} names no user, role or group", call.call)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_decoded_and_a_plus_stays_one() {
        assert_eq!(decode("%7B%22a%22%3A+1%2B%C3%A9%7D").as_deref(), Some("{\"a\":+1+é}"));
        for broken in ["%", "%7", "%zz", "%ff"] {
            assert_eq!(decode(broken), None, "{broken}");
        }
    }

    #[test]
    fn names_are_those_of_iam() {
        for name in ["alice", "ci.deploy@web-1", "A+b=c,_"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "<root_account>", "a b", "a/b", "ä", &"x".repeat(65)] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn rescinds_own_roles_and_those_of_aws_are_left_alone() {
        let own = ["arn:aws:iam::111122223333:role/rescind-IdentityRole-AbC1".to_owned()];
        let role = |name: &str| format!("arn:aws:iam::111122223333:role/{name}");
        for name in [
            "rescind-IdentityRole-AbC1",
            "rescind-IdentityRole-Other",
            "aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS",
            "aws-reserved/sso.amazonaws.com/AWSReservedSSO_Admin_0123",
        ] {
            assert!(left_alone(&role(name), &own).is_some(), "{name}");
        }
        for name in ["web", "rescind-IdentityRoleX", "team/aws-reserved/x"] {
            assert_eq!(left_alone(&role(name), &own), None, "{name}");
        }
    }

    #[test]
    fn operations_tell_what_they_are_about() {
        assert_eq!(Kind::of_operation("AttachGroupPolicy"), Some(Kind::Group));
        assert_eq!(Kind::of_operation("iam:DetachRolePolicy"), Some(Kind::Role));
        assert_eq!(Kind::of_operation("CreatePolicy"), None);
        let request = serde_json::json!({"userName": "../admin", "groupName": "ops"});
        assert_eq!((Kind::User.name_in(&request), Kind::Group.name_in(&request)), (None, Some("ops")));
    }
}
