//! Who may assume a role: what records tell of it, its trust policy as it stands and stood, and the call that changes that. What the
//! policy means, `trust` tells.

use chrono::{DateTime, Utc};
use rescind_lambda::prelude::*;

use crate::principal::{self, Kind, Principal, action, client, decode, earlier, named};

/// `UpdateAssumeRolePolicy`.
pub const UPDATE: &str = "iam:UpdateAssumeRolePolicy";

/// The one piece: the role's trust policy.
pub const TRUST: &str = "assume role policy";

/// All that is called here.
pub const OPERATIONS: &[Operation] = &[
    Operation::reads(action::GET_ROLE),
    EARLIER_STATE_OPERATIONS[0],
    EARLIER_STATE_OPERATIONS[1],
    Operation::changes(UPDATE),
];

/// What the call says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// When.
    pub time: DateTime<Utc>,
    /// The trust policy that it set; `None` where CloudTrail left it out.
    pub document: Option<String>,
    /// A role that was just made had no other one before.
    pub is_new: bool,
}

impl Given {
    /// What a record tells.
    pub fn heard(signal: &Signal, call: &ApiCall) -> Vec<Heard<Self>> {
        let Some(name) = Kind::Role.name_in(call.request()) else {
            let resource = signal.resource(Kind::Role.resource_type(), "unknown");
            return vec![Heard::unreadable(resource, "the record does not tell which role it is about")];
        };
        let is_new = call.operation() == "CreateRole";
        let document = text(call.request(), if is_new { "assumeRolePolicyDocument" } else { "policyDocument" });
        let target = Self { time: signal.time, document: document.map(str::to_owned), is_new };
        vec![Heard::about(signal.resource(Kind::Role.resource_type(), name), target)]
    }
}

/// What else is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known {
    /// `None` when the role is gone.
    pub role: Option<Principal>,
    /// The trust policy that AWS Config saw last before the call, and when.
    pub before: Option<(String, String)>,
}

/// How a role stands, as far as an event tells it.
pub fn told(resource: &Resource, target: &Given, live: Option<&Standing<Known>>) -> Option<Standing<Known>> {
    let document = target.document.as_ref()?;
    let arn = || format!("arn:aws:iam::{}:role/{}", resource.account, resource.id);
    let told = || Known { role: Some(Principal { arn: arn(), ..Principal::default() }), before: None };
    let more = live.map_or_else(told, |live| live.more.clone());
    Some(Standing::new(effect).fact(TRUST, document).tagged_as(live).with(more))
}

/// Reads how a role stands, and whom it let in before.
///
/// # Errors
/// When IAM, or who knows how it stood, could not be asked.
pub async fn read(scope: &Scope, resource: &Resource, target: &Given) -> Result<Standing<Known>, CallError> {
    let role = principal::read(&client(scope), Kind::Role, &resource.id).await?;
    let before = match &role {
        Some(role) if !target.is_new => earlier(scope, &resource.account, (Kind::Role, &role.id), target.time).await?,
        _ => None,
    };
    let before = before.and_then(|state| {
        let encoded = text(&state.configuration, "assumeRolePolicyDocument")?;
        Some((decode(encoded)?, state.captured_text()))
    });
    let tags = role.as_ref().map(|role| role.tags.clone()).unwrap_or_default();
    let document = role.as_ref().and_then(|role| role.trust.clone());
    Ok(Standing::new(effect).optional_fact(TRUST, document).tagged(tags).with(Known { role, before }))
}

/// Makes one of the calls of this module.
///
/// # Errors
/// When IAM does not accept it.
pub async fn make(scope: &Scope, call: &Call) -> Result<(), CallError> {
    let (_, name) = named(call)?;
    let request = client(scope).update_assume_role_policy().role_name(name);
    let answer = request.policy_document(parameter(call, "policyDocument")?).send().await;
    CallError::or(UPDATE, answer).map(drop)
}

/// What such a call makes of the one piece.
pub fn effect(call: &Call) -> Vec<(String, Option<String>)> {
    vec![(TRUST.to_owned(), text(&call.parameters, "policyDocument").map(str::to_owned))]
}
