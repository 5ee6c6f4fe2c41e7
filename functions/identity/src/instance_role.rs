//! The role of an instance on which something hostile is: which one it is, and by which findings it is meant.

use aws_sdk_iam::Client;
use rescind::findings;
use rescind::settings::TagKey;
use rescind::signal::{Finding, Resource, field, items, text};
use rescind::text::clean;
use rescind_lambda::{CallError, unless_gone};
use serde_json::Value;

use crate::principal::is_name_up_to;

/// `GetInstanceProfile`.
pub const GET_PROFILE: &str = "iam:GetInstanceProfile";

/// The type of the resource by which it is known.
pub const PROFILE: &str = "AWS::IAM::InstanceProfile";

/// The remediation that isolates the instance; by the findings that call for it, its role is meant.
const ISOLATES: &str = "isolate-instance";

/// What the tag asks for.
pub const TAG: TagKey = TagKey {
    key: "instance-roles",
    list: false,
    value: "`leave` or `deny`: whether the role of an instance on which something hostile is loses its earlier sessions, those of other instances with the role included",
    default: "`leave`",
};

/// The profile of an instance, which holds its role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The instance; cleaned.
    pub instance: String,
    /// The profile's unique id, where the finding tells it: another one may have the name by now.
    pub id: Option<String>,
}

/// What a finding says of one instance.
#[derive(Debug)]
pub enum Told {
    /// Something hostile is on it.
    Meant(Resource, Profile),
    /// Nothing is done about its role, and why.
    Left(Resource, String),
}

/// Whether findings of this type are about instances that are to be isolated, so that each has to be answered.
pub fn concerns(finding: &Finding) -> bool {
    findings::concerns(ISOLATES, finding)
}

/// The profiles of the instances that a finding calls hostile, and the instances that are not.
pub fn told(finding: &Finding) -> Vec<Told> {
    let judged = |(involved, is_meant): (&rescind::signal::Involved, bool)| {
        let instance = &involved.resource;
        let id = clean(&instance.id, 60);
        if !is_meant {
            let called = "others call on it, and nothing tells that it did something itself";
            return Told::Left(instance.clone(), format!("the role of {id} is left alone: {called}"));
        }
        let details = details(finding, &instance.id);
        let profile = details.and_then(|details| field(details, "iamInstanceProfile"));
        let arn = profile.and_then(|profile| text(profile, "arn")).unwrap_or_default();
        let name = arn.rsplit('/').next().filter(|name| arn.contains(":instance-profile/") && is_name_up_to(name, 128));
        let Some(name) = name else {
            return Told::Left(instance.clone(), format!("{id} has no role, as far as the finding tells"));
        };
        let resource = Resource { kind: PROFILE.to_owned(), id: name.to_owned(), ..instance.clone() };
        let unique = profile.and_then(|profile| text(profile, "id")).map(str::to_owned);
        Told::Meant(resource, Profile { instance: id, id: unique })
    };
    findings::candidates_for(ISOLATES, finding).into_iter().map(judged).collect()
}

/// What a finding tells of an instance: where it is about it, or among the resources of an attack sequence.
fn details<'f>(finding: &'f Finding, instance: &str) -> Option<&'f Value> {
    let about = field(&finding.detail, "resource").and_then(|resource| field(resource, "instanceDetails"));
    if let Some(about) = about.filter(|about| text(about, "instanceId") == Some(instance)) {
        return Some(about);
    }
    let sequence = field(field(field(&finding.detail, "service")?, "detection")?, "sequence")?;
    let is_it = |one: &&Value| text(one, "uid").is_some_and(|uid| uid.rsplit('/').next() == Some(instance));
    let found = items(field(sequence, "resources")).into_iter().find(is_it)?;
    field(field(found, "data")?, "ec2Instance")
}

/// The name and the unique id of the role that a profile holds; `None` when it is gone, holds none, or is another one.
///
/// # Errors
/// When IAM could not be asked.
pub async fn role_of(client: &Client, name: &str, id: Option<&str>) -> Result<Option<(String, String)>, CallError> {
    let answer = CallError::or(GET_PROFILE, client.get_instance_profile().instance_profile_name(name).send().await);
    let Some(profile) = unless_gone(answer)?.and_then(|answer| answer.instance_profile) else { return Ok(None) };
    let is_it = id.is_none_or(|id| id == profile.instance_profile_id());
    let role = profile.roles().first().filter(|_| is_it);
    Ok(role.map(|role| (role.role_name().to_owned(), role.role_id().to_owned())))
}
