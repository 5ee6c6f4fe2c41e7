//! Whether a managed policy is attached to a user, role or group, and the calls that attach and detach it.

use aws_sdk_iam::Client;
use chrono::{DateTime, Utc};
use rescind::Snapshot;
use rescind::arn::Arn;
use rescind_lambda::prelude::*;

use crate::power::{self, Power};
use crate::principal::{self, Kind, Principal, client, earlier, named};

const ATTACH: [&str; 3] = ["iam:AttachUserPolicy", "iam:AttachRolePolicy", "iam:AttachGroupPolicy"];
const DETACH: [&str; 3] = ["iam:DetachUserPolicy", "iam:DetachRolePolicy", "iam:DetachGroupPolicy"];
const LIST: [&str; 3] =
    ["iam:ListAttachedUserPolicies", "iam:ListAttachedRolePolicies", "iam:ListAttachedGroupPolicies"];

/// What is called to judge an attachment, to end it, and to bring it back.
pub const OPERATIONS: &[Operation] = &[
    Operation::reads(principal::action::GET_USER),
    Operation::reads(principal::action::GET_ROLE),
    Operation::reads(principal::action::GET_GROUP),
    Operation::reads(power::action::GET_POLICY),
    Operation::reads(power::action::GET_VERSION),
    Operation::reads(LIST[0]),
    Operation::reads(LIST[1]),
    Operation::reads(LIST[2]),
    EARLIER_STATE_OPERATIONS[0],
    EARLIER_STATE_OPERATIONS[1],
    Operation::changes(DETACH[0]),
    Operation::changes(DETACH[1]),
    Operation::changes(DETACH[2]),
    // The inverses.
    Operation::changes(ATTACH[0]),
    Operation::changes(ATTACH[1]),
    Operation::changes(ATTACH[2]),
];

/// Takes a policy away; the inverse attaches it again.
pub fn detachment(kind: Kind, name: &str, policy: &str) -> Step {
    let parameters = json!({(kind.parameter()): name, "PolicyArn": policy});
    let call = |actions: [&'static str; 3]| Call::new(one_of(actions, kind), parameters.clone());
    Step::planned(call(DETACH), call(ATTACH))
}

fn one_of(actions: [&'static str; 3], kind: Kind) -> &'static str {
    let [user, role, group] = actions;
    match kind {
        Kind::User => user,
        Kind::Role => role,
        Kind::Group => group,
    }
}

/// What such a call makes of the pieces: a policy, by its ARN, is attached or it is not there.
pub fn effect(call: &Call) -> Vec<(String, Option<String>)> {
    let policy = text(&call.parameters, "policyArn").unwrap_or_default().to_owned();
    vec![(policy, ATTACH.contains(&call.call.as_str()).then(|| ATTACHED.to_owned()))]
}

/// The value of the piece that is there.
pub const ATTACHED: &str = "attached";

/// What was attached to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// What the holder is.
    pub kind: Kind,
    /// The policy's ARN.
    pub policy: String,
    /// When.
    pub time: DateTime<Utc>,
}

impl Attached {
    /// What a record tells.
    pub fn heard(signal: &Signal, call: &ApiCall) -> Vec<Heard<Self>> {
        let kind = Kind::of_operation(call.operation()).unwrap_or(Kind::User);
        let named = kind.name_in(call.request()).zip(text(call.request(), "policyArn"));
        let Some((name, policy)) = named else {
            let resource = signal.resource(kind.resource_type(), "unknown");
            return vec![Heard::unreadable(resource, "the record does not tell which policy was attached to whom")];
        };
        let resource = signal.resource(kind.resource_type(), name);
        // AWS's own, and not one of that name.
        let of_aws = Arn::parse(policy).filter(|arn| arn.account() == "aws");
        if of_aws.is_some_and(|arn| arn.resource().starts_with("policy/AWSCompromisedKeyQuarantine")) {
            let reason = format!("{} contains a leaked key: it only denies", clean(policy, 200));
            return vec![Heard::harmless(resource, reason)];
        }
        vec![Heard::about(resource, Self { kind, policy: policy.to_owned(), time: signal.time })]
    }

    /// Who has it now, in words.
    pub fn holder(&self, resource: &Resource) -> String {
        format!("the {} {}", self.kind.word().to_lowercase(), clean(&resource.id, 128))
    }
}

/// How an attachment stands, as far as an event tells it; `None` for a policy whose name does not say what it gives away.
pub fn told(
    resource: &Resource,
    target: &Attached,
    live: Option<&Standing<Attachment>>,
) -> Option<Standing<Attachment>> {
    let known = match live {
        Some(live) => live.more.clone(),
        None => Attachment::told(resource, target.kind, &target.policy)?,
    };
    Some(Standing::new(effect).fact(&target.policy, ATTACHED).tagged_as(live).with(known))
}

/// Reads how an attachment stands, and what it gives away.
///
/// # Errors
/// When IAM, or who knows how it stood, could not be asked.
pub async fn read(scope: &Scope, resource: &Resource, target: &Attached) -> Result<Standing<Attachment>, CallError> {
    let (Attached { kind, policy, time }, client) = (target, client(scope));
    let (known, is_attached) = tokio::join!(
        Box::pin(Attachment::read(scope, resource, *kind, policy, *time)),
        Box::pin(is_attached(&client, *kind, &resource.id, policy)),
    );
    let (known, piece) = (known?, is_attached?.then_some(ATTACHED));
    let tags = known.principal.as_ref().map(|principal| principal.tags.clone()).unwrap_or_default();
    Ok(Standing::new(effect).optional_fact(policy, piece).tagged(tags).with(known))
}

/// What is known of an attachment, besides that it is there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attachment {
    /// Who has it; `None` when it is gone.
    pub principal: Option<Principal>,
    /// What the policy gives away; `None` when it is gone.
    pub power: Option<Power>,
    /// What the permissions boundary gives away at most, if there is one.
    pub boundary: Option<Power>,
    /// What AWS Config saw last before the call: when, and whether the policy was attached.
    pub before: Option<(String, bool)>,
}

impl Attachment {
    /// As far as an event tells it; `None` for a policy whose name does not say what it gives away.
    pub fn told(resource: &Resource, kind: Kind, policy: &str) -> Option<Self> {
        let (partition, word) = (policy.split(':').nth(1).unwrap_or("aws"), kind.word().to_lowercase());
        let arn = format!("arn:{partition}:iam::{}:{word}/{}", resource.account, resource.id);
        let principal = Principal { arn, ..Principal::default() };
        Some(Self { principal: Some(principal), power: Some(Power::of_name(policy)?), ..Self::default() })
    }

    /// Reads who has a policy, what it gives away, what limits that, and what was before `time`.
    ///
    /// # Errors
    /// When IAM, the baseline or AWS Config could not be asked.
    pub async fn read(
        scope: &Scope,
        resource: &Resource,
        kind: Kind,
        policy: &str,
        time: DateTime<Utc>,
    ) -> Result<Self, CallError> {
        let client = client(scope);
        let holder = async {
            let Some(principal) = principal::read(&client, kind, &resource.id).await? else {
                return Ok(Self::default());
            };
            let limit = async {
                match &principal.boundary {
                    Some(arn) => Power::read(&client, arn, &resource.account, None).await,
                    None => Ok(None),
                }
            };
            let before = earlier(scope, &resource.account, (kind, &principal.id), time);
            let (boundary, before) = tokio::join!(Box::pin(limit), Box::pin(before));
            let before = before?.map(|state| (state.captured_text(), had(&state, policy)));
            Ok(Self { boundary: boundary?, before, principal: Some(principal), power: None })
        };
        let name = format!("{}/{}", kind.word().to_lowercase(), resource.id);
        let power = Power::read(&client, policy, &resource.account, Some(&name));
        let (holder, power) = tokio::join!(Box::pin(holder), Box::pin(power));
        Ok(Self { power: power?, ..holder? })
    }
}

/// Whether a policy was attached, as AWS Config records it.
pub fn had(state: &Snapshot, policy: &str) -> bool {
    let attached = items(state.configuration.get("attachedManagedPolicies"));
    attached.iter().any(|one| text(one, "policyArn") == Some(policy))
}

/// Looks for a policy on every page.
macro_rules! is_listed {
    ($request:expr, $action:expr, $policy:expr) => {{
        let mut pages = $request.into_paginator().send();
        while let Some(page) = pages.next().await {
            let Some(page) = unless_gone(CallError::or($action, page))? else { return Ok(false) };
            if page.attached_policies().iter().any(|one| one.policy_arn() == Some($policy)) {
                return Ok(true);
            }
        }
        Ok(false)
    }};
}

/// Whether a policy is attached; it is not to what is gone.
///
/// # Errors
/// When IAM could not be asked.
pub async fn is_attached(client: &Client, kind: Kind, name: &str, policy: &str) -> Result<bool, CallError> {
    let action = one_of(LIST, kind);
    match kind {
        Kind::User => is_listed!(client.list_attached_user_policies().user_name(name), action, policy),
        Kind::Role => is_listed!(client.list_attached_role_policies().role_name(name), action, policy),
        Kind::Group => is_listed!(client.list_attached_group_policies().group_name(name), action, policy),
    }
}

/// Makes one of these calls.
///
/// # Errors
/// When IAM does not accept it, or the call is none of these.
pub async fn make(scope: &Scope, call: &Call) -> Result<(), CallError> {
    let client = client(scope);
    let (policy, (kind, name)) = (parameter(call, "policyArn")?, named(call)?);
    let (attach, detach) = (one_of(ATTACH, kind), one_of(DETACH, kind));
    macro_rules! make {
        ($action:expr, $request:expr) => {
            CallError::or($action, $request.policy_arn(policy).send().await).map(drop)
        };
    }
    match (kind, call.call == detach) {
        _ if call.call != detach && call.call != attach => Err(not_ours(call)),
        (Kind::User, true) => make!(detach, client.detach_user_policy().user_name(name)),
        (Kind::User, false) => make!(attach, client.attach_user_policy().user_name(name)),
        (Kind::Role, true) => make!(detach, client.detach_role_policy().role_name(name)),
        (Kind::Role, false) => make!(attach, client.attach_role_policy().role_name(name)),
        (Kind::Group, true) => make!(detach, client.detach_group_policy().group_name(name)),
        (Kind::Group, false) => make!(attach, client.attach_group_policy().group_name(name)),
    }
}
