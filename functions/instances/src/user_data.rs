//! The user data of an instance: what is told of it, and its value, which may hold secrets and is told to nobody.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{InstanceAttributeName, SecureBlobAttributeValue};
use aws_smithy_types::{Blob, base64};
use chrono::{DateTime, Utc};
use rescind::signal::field;
use rescind::{Call, Resource, Snapshot};
use rescind_lambda::{CallError, CallFailure, Operation, Recorded, Scope, lacks, parameter};
use serde_json::{Value, json};

use crate::instance::{self, action};

/// `ModifyInstanceAttribute`.
pub const MODIFY: &str = "ec2:ModifyInstanceAttribute";

/// Where a kept state has the user data.
const USER_DATA: &str = "UserData";
/// What begins the name of a value in a call's parameters.
const SHA256: &str = "sha256:";

/// The user data of an instance, which may be none. Told apart by their names.
#[derive(Clone, Default)]
pub struct UserData {
    name: String,
    value: Vec<u8>,
}

impl UserData {
    /// User data of this value.
    pub fn new(value: impl Into<Vec<u8>>) -> Self {
        let value = value.into();
        let name = if value.is_empty() { String::new() } else { format!("{SHA256}{}", rescind::text::sha256(&value)) };
        Self { name, value }
    }

    /// User data of which only the name is known.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), value: Vec::new() }
    }

    /// Its name in a call's parameters: its digest, as `sha256sum` tells it, or nothing for none.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its bytes.
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    /// Reads it encoded in Base64, as EC2 answers it; empty is none.
    fn decoded(encoded: &str) -> Option<Self> {
        base64::decode(encoded).ok().map(Self::new)
    }
}

impl PartialEq for UserData {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for UserData {}

/// Its name and its length.
impl fmt::Display for UserData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.as_str() {
            "" => f.write_str("none"),
            name => write!(f, "{name} ({} bytes)", self.value.len()),
        }
    }
}

/// Its value is not shown, wherever this ends up.
impl fmt::Debug for UserData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserData({self})")
    }
}

/// Reads the user data of an instance; `None` when the instance is gone.
pub(crate) async fn read(client: &Client, id: &str) -> Result<Option<UserData>, CallError> {
    let attribute = InstanceAttributeName::UserData;
    let answer = client.describe_instance_attribute().instance_id(id).attribute(attribute).send().await;
    let answer = match CallError::or(action::DESCRIBE_ATTRIBUTE, answer) {
        Err(error) if error.failure == CallFailure::Gone => return Ok(None),
        answer => answer?,
    };
    let encoded = answer.user_data().and_then(|attribute| attribute.value()).unwrap_or_default();
    let user_data = UserData::decoded(encoded);
    user_data.map(Some).ok_or_else(|| CallError::malformed(action::DESCRIBE_ATTRIBUTE, "it is not encoded in Base64"))
}

/// What the user data of an instance was before a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Earlier {
    /// The baseline does not know. AWS Config never does: it records no user data.
    Unknown,
    /// It could not be asked, and why.
    Unread(String),
    /// This.
    Known {
        /// The user data.
        user_data: UserData,
        /// When it was read, in RFC 3339.
        read: String,
    },
}

impl Earlier {
    /// Asks the baseline for what was read last before `time`.
    pub(crate) async fn read(scope: &Scope, instance: &Resource, time: DateTime<Utc>) -> Self {
        match scope.earlier_state(instance, time).await {
            Ok(state) => state.as_ref().and_then(Self::of_state).unwrap_or(Self::Unknown),
            Err(problem) => Self::Unread(problem.to_string()),
        }
    }

    fn of_state(state: &Snapshot) -> Option<Self> {
        let encoded = state.supplementary.get(USER_DATA)?.get("Value")?.as_str()?;
        Some(Self::Known { user_data: UserData::decoded(encoded)?, read: state.captured_text() })
    }
}

/// Keeps the user data of instances.
///
/// AWS Config tells that an instance changed, and not its user data: that is read here, and may be newer than what AWS Config
/// saw. Under AWS Config's time, user data that an attacker set a moment later would count as what was there before. So
/// the state is kept under the time of the reading.
#[derive(Debug, Clone, Copy)]
pub struct RecordedInstances;

impl Recorded for RecordedInstances {
    fn resource_type(&self) -> &'static str {
        instance::KIND
    }

    fn operations(&self) -> &'static [Operation] {
        const { &[Operation::reads(action::DESCRIBE_ATTRIBUTE)] }
    }

    fn complete<'a>(
        &'a self,
        scope: &'a Scope,
        resource: &'a Resource,
        state: &'a mut Snapshot,
    ) -> Pin<Box<dyn Future<Output = Result<(), CallError>> + Send + 'a>> {
        Box::pin(async move {
            if let Some(user_data) = read(&instance::client(scope), &resource.id).await? {
                let kept = json!({"Value": base64::encode(user_data.value())});
                state.supplementary.insert(USER_DATA.to_owned(), kept);
                state.captured = scope.now();
            }
            Ok(())
        })
    }
}

/// The call that sets the user data of an instance. Its parameters name the value, and do not hold it.
pub(crate) fn set(id: &str, user_data: &UserData) -> Call {
    let parameters = json!({"InstanceId": id, "UserData": {"Value": user_data.name()}});
    Call { call: MODIFY.to_owned(), parameters }
}

/// The name of the value that such a call sets.
pub(crate) fn name_in(call: &Call) -> Option<&str> {
    let is_it = call.call == MODIFY;
    field(&call.parameters, "userData")
        .filter(|_| is_it)
        .and_then(|value| field(value, "value"))
        .and_then(Value::as_str)
}

/// Makes such a call, with the value that is kept under its name.
pub(crate) async fn make(scope: &Scope, call: &Call) -> Result<(), CallError> {
    let id = parameter(call, "instanceId")?;
    let name = name_in(call).ok_or_else(|| lacks(call, "UserData"))?;
    let request = instance::client(scope).modify_instance_attribute().instance_id(id);
    // Each as the Amazon EC2 user guide has it, *Work with instance user data*: encoded already, or cleared.
    let request = if name.is_empty() {
        request.user_data(SecureBlobAttributeValue::builder().value(Blob::new([])).build())
    } else {
        let digest =
            name.strip_prefix(SHA256).ok_or_else(|| CallError::malformed(MODIFY, "the user data has no name"))?;
        let value = scope.kept_value(digest).await?;
        let value = value.ok_or_else(|| CallError::malformed(MODIFY, format!("the baseline does not have {name}")))?;
        request.attribute(InstanceAttributeName::UserData).value(base64::encode(value))
    };
    CallError::or(MODIFY, request.send().await).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn user_data_is_told_by_its_digest_and_never_shown(value in prop::collection::vec(any::<u8>(), 8..200)) {
            let user_data = UserData::new(value.clone());
            let call = set("i-1", &user_data);
            let shown = format!("{user_data} {user_data:?} {call:?}");
            prop_assert!(!shown.contains(&base64::encode(&value)));
            prop_assert!(!shown.contains(&*String::from_utf8_lossy(&value)));
            prop_assert_eq!(name_in(&call), Some(user_data.name()));
            prop_assert_eq!(UserData::decoded(&base64::encode(&value)), Some(user_data));
        }
    }

    #[test]
    fn no_user_data_is_a_value_like_others() {
        let none = UserData::decoded("").unwrap();
        assert_eq!(none, UserData::default());
        assert_eq!(none.to_string(), "none");
        assert_eq!(name_in(&set("i-1", &none)), Some(""));
        assert_eq!(
            UserData::new("abc").to_string(),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad (3 bytes)"
        );
    }

    #[test]
    fn a_state_tells_its_user_data_only_where_that_was_read() {
        let state = |supplementary: Value| {
            let state =
                json!({"captured": "2026-11-24T09:30:00Z", "configuration": {}, "supplementary": supplementary});
            Earlier::of_state(&serde_json::from_value(state).unwrap())
        };
        let read = "2026-11-24T09:30:00Z".to_owned();
        assert_eq!(
            state(json!({"UserData": {"Value": "YWJj"}})),
            Some(Earlier::Known { user_data: UserData::new("abc"), read: read.clone() })
        );
        let none = Some(Earlier::Known { user_data: UserData::default(), read });
        assert_eq!(state(json!({"UserData": {"Value": ""}})), none, "that there was none, is known");
        assert_eq!(state(json!({})), None);
        assert_eq!(state(json!({"UserData": {"Value": "no Base64!"}})), None);
    }
}
