//! How a credential stands: an access key, or the sessions of a role; and the calls that change it, as data that can be
//! shown, kept and made: parameters as the AWS CLI takes them.

use aws_sdk_iam::Client;
use aws_sdk_iam::types::StatusType;
use chrono::{DateTime, Utc};
use rescind::journal::Facts;
use rescind::signal::text;
use rescind::{Call, Resource};
use rescind_lambda::{CallError, ResourceState, Scope, not_ours, parameter, unless_gone};
use serde_json::{Value, json};

use crate::instance_role::{Profile, role_of};
use crate::principal::{client, decode, is_name, pairs};
use crate::sessions::POLICY;

/// The IAM actions of what is called.
pub mod action {
    /// `GetAccessKeyLastUsed`, which tells whose key it is.
    pub const KEY_USED: &str = "iam:GetAccessKeyLastUsed";
    /// `GetUser`.
    pub const GET_USER: &str = "iam:GetUser";
    /// `ListAccessKeys`.
    pub const LIST_KEYS: &str = "iam:ListAccessKeys";
    /// `UpdateAccessKey`.
    pub const UPDATE_KEY: &str = "iam:UpdateAccessKey";
    /// `GetRole`.
    pub const GET_ROLE: &str = "iam:GetRole";
    /// `GetRolePolicy`.
    pub const GET_POLICY: &str = "iam:GetRolePolicy";
    /// `PutRolePolicy`.
    pub const PUT_POLICY: &str = "iam:PutRolePolicy";
    /// `DeleteRolePolicy`.
    pub const DELETE_POLICY: &str = "iam:DeleteRolePolicy";
}

/// What a key is when it can be used.
pub const ACTIVE: &str = "Active";
/// What it is when it can't.
pub const INACTIVE: &str = "Inactive";

/// What the credentials of a finding are, and what can be done about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// The long-term access key that the resource is.
    Key,
    /// The sessions of the role that the resource is.
    Sessions {
        /// The role's unique id: another role may have the name by now.
        role: String,
    },
    /// The sessions of the role of an instance; the resource is its profile, and only if the owner asks for it is the role read.
    OfInstance(Profile),
    /// None that can be taken out of use, and why: a person has to act.
    Beyond(String),
    /// None at all.
    Unnamed,
}

/// How a credential stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// The user or role; `None` when it is gone, or another one of its name is there.
    pub holder: Option<Holder>,
    /// The key is none of a user's, by IAM's own word.
    pub is_of_no_user: bool,
    /// The key; `None` when it is gone.
    pub key: Option<Key>,
    /// The role's policy [`POLICY`], byte for byte.
    pub policy: Option<String>,
    /// The profile that holds the role, where the role of an instance is meant.
    pub profile: Option<Profile>,
    /// When this was read; `None` when it is what the event alone tells.
    pub read: Option<DateTime<Utc>>,
}

/// A user or a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// Its tags.
    pub tags: Vec<(String, String)>,
}

/// An access key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its id.
    pub id: String,
    /// [`ACTIVE`] or [`INACTIVE`], or what else IAM says.
    pub status: String,
}

impl State {
    /// Reads how a credential stands.
    ///
    /// # Errors
    /// When IAM could not be asked.
    pub async fn read(scope: &Scope, resource: &Resource, credential: &Credential) -> Result<Self, CallError> {
        let client = client(scope);
        let state = match credential {
            Credential::Key => read_key(&client, &resource.id).await?,
            Credential::Sessions { role } => read_role(&client, &resource.id, role).await?,
            Credential::OfInstance(_) | Credential::Beyond(_) | Credential::Unnamed => Self::default(),
        };
        let profile = match credential {
            Credential::OfInstance(profile) => Some(profile.clone()),
            _ => None,
        };
        Ok(Self { read: Some(scope.now()), profile, ..state })
    }

    /// Reads the role of an instance, too, by its profile; another credential stays as it was read.
    ///
    /// # Errors
    /// When IAM could not be asked.
    pub async fn with_role(self, scope: &Scope, resource: &Resource) -> Result<Self, CallError> {
        let Some(profile) = &self.profile else { return Ok(self) };
        let client = client(scope);
        let Some((name, id)) = role_of(&client, &resource.id, profile.id.as_deref()).await? else { return Ok(self) };
        let role = read_role(&client, &name, &id).await?;
        Ok(Self { holder: role.holder, policy: role.policy, ..self })
    }
}

async fn read_key(client: &Client, id: &str) -> Result<State, CallError> {
    let answer = client.get_access_key_last_used().access_key_id(id).send().await;
    let answer = CallError::or(action::KEY_USED, answer);
    let Some(answer) = unless_gone(answer)? else { return Ok(State::default()) };
    // The root user's keys have a name that no user can have, or none.
    let Some(name) = answer.user_name().filter(|name| is_name(name)) else {
        return Ok(State { is_of_no_user: true, ..State::default() });
    };
    let (user, key) = tokio::join!(Box::pin(read_user(client, name)), Box::pin(find_key(client, name, id)));
    Ok(State { holder: user?, key: key?, ..State::default() })
}

async fn read_user(client: &Client, name: &str) -> Result<Option<Holder>, CallError> {
    let answer = client.get_user().user_name(name).send().await;
    let answer = unless_gone(CallError::or(action::GET_USER, answer))?;
    let holder = |user: &aws_sdk_iam::types::User| Holder {
        arn: user.arn().to_owned(),
        name: user.user_name().to_owned(),
        tags: pairs(user.tags()),
    };
    Ok(answer.as_ref().and_then(|answer| answer.user()).map(holder))
}

async fn find_key(client: &Client, user: &str, id: &str) -> Result<Option<Key>, CallError> {
    let mut pages = client.list_access_keys().user_name(user).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = unless_gone(CallError::or(action::LIST_KEYS, page))?;
        let Some(page) = page else { return Ok(None) };
        let found = page.access_key_metadata().iter().find(|key| key.access_key_id() == Some(id));
        if let Some(key) = found {
            let status = key.status().map_or("unknown", StatusType::as_str).to_owned();
            return Ok(Some(Key { id: id.to_owned(), status }));
        }
    }
    Ok(None)
}

async fn read_role(client: &Client, name: &str, id: &str) -> Result<State, CallError> {
    let policy = client.get_role_policy().role_name(name).policy_name(POLICY).send();
    let (role, policy) = tokio::join!(Box::pin(client.get_role().role_name(name).send()), Box::pin(policy));
    let role = unless_gone(CallError::or(action::GET_ROLE, role))?;
    let policy = unless_gone(CallError::or(action::GET_POLICY, policy))?;
    let Some(role) = role.as_ref().and_then(|answer| answer.role()).filter(|role| role.role_id() == id) else {
        return Ok(State::default());
    };
    let unreadable = || CallError::malformed(action::GET_POLICY, "its document is not URL-encoded text");
    let decoded = |document: &str| decode(document).ok_or_else(unreadable);
    Ok(State {
        holder: Some(Holder {
            arn: role.arn().to_owned(),
            name: role.role_name().to_owned(),
            tags: pairs(role.tags()),
        }),
        policy: policy.map(|policy| decoded(policy.policy_document())).transpose()?,
        ..State::default()
    })
}

/// The name of a key among the facts.
pub fn key_fact(id: &str) -> String {
    format!("access key {id}")
}

/// The name of the policy among the facts.
pub fn policy_fact() -> String {
    format!("policy {POLICY}")
}

impl ResourceState for State {
    fn id(&self) -> Option<&str> {
        None
    }

    /// Those of the user or role: keys and sessions have none.
    fn tags(&self) -> &[(String, String)] {
        self.holder.as_ref().map(|holder| holder.tags.as_slice()).unwrap_or_default()
    }

    /// The key, or the policy: what is changed, and what has to be as it was for an undo.
    fn facts(&self) -> Facts {
        let key = self.key.iter().map(|key| (key_fact(&key.id), key.status.clone()));
        key.chain(self.policy.iter().map(|document| (policy_fact(), document.clone()))).collect()
    }

    fn after(&self, call: &Call) -> Self {
        let named = &call.parameters;
        let mut after = self.clone();
        let is_role = text(named, "roleName") == self.holder.as_ref().map(|holder| holder.name.as_str());
        match call.call.as_str() {
            action::UPDATE_KEY => {
                let is_it = |key: &&mut Key| text(named, "accessKeyId") == Some(key.id.as_str());
                if let Some((key, status)) = after.key.as_mut().filter(is_it).zip(text(named, "status")) {
                    status.clone_into(&mut key.status);
                }
            }
            action::PUT_POLICY if is_role => after.policy = text(named, "policyDocument").map(str::to_owned),
            action::DELETE_POLICY if is_role => after.policy = None,
            _ => {}
        }
        after
    }
}

/// Makes a key one that can be used, or one that can't.
pub fn set_key(user: &str, key: &str, status: &str) -> Call {
    call(action::UPDATE_KEY, json!({"UserName": user, "AccessKeyId": key, "Status": status}))
}

/// Gives a role the policy [`POLICY`].
pub fn put_policy(role: &str, document: &str) -> Call {
    call(action::PUT_POLICY, json!({"RoleName": role, "PolicyName": POLICY, "PolicyDocument": document}))
}

/// Takes the policy [`POLICY`] from a role.
pub fn delete_policy(role: &str) -> Call {
    call(action::DELETE_POLICY, json!({"RoleName": role, "PolicyName": POLICY}))
}

fn call(action: &str, parameters: Value) -> Call {
    Call { call: action.to_owned(), parameters }
}

/// Makes one of the calls of this module. A policy that is gone already is as it should be.
///
/// # Errors
/// When IAM does not accept it, or the call is none of these.
pub async fn make(scope: &Scope, call: &Call) -> Result<(), CallError> {
    let client = client(scope);
    match call.call.as_str() {
        action::UPDATE_KEY => {
            let request = client.update_access_key().user_name(parameter(call, "userName")?);
            let status = StatusType::from(parameter(call, "status")?);
            let answer = request.access_key_id(parameter(call, "accessKeyId")?).status(status).send().await;
            CallError::or(action::UPDATE_KEY, answer).map(drop)
        }
        action::PUT_POLICY => {
            let request = client.put_role_policy().role_name(parameter(call, "roleName")?).policy_name(POLICY);
            let answer = request.policy_document(parameter(call, "policyDocument")?).send().await;
            CallError::or(action::PUT_POLICY, answer).map(drop)
        }
        action::DELETE_POLICY => {
            let request = client.delete_role_policy().role_name(parameter(call, "roleName")?).policy_name(POLICY);
            unless_gone(CallError::or(action::DELETE_POLICY, request.send().await)).map(drop)
        }
        _ => Err(not_ours(call)),
    }
}
