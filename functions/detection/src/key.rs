//! A KMS key: how it stands, how it was, and the calls that change that.

use aws_sdk_kms::operation::list_resource_tags::ListResourceTagsOutput;
use aws_sdk_kms::types::{KeyMetadata, KeyState, Tag};
use chrono::{DateTime, Utc};
use rescind::arn::Arn;
use rescind_lambda::prelude::*;

/// As AWS Config names the type.
pub const KIND: &str = "AWS::KMS::Key";

/// `DescribeKey`.
pub const DESCRIBE: &str = "kms:DescribeKey";
/// `ListResourceTags`.
pub const TAGS: &str = "kms:ListResourceTags";
/// `ScheduleKeyDeletion`.
pub const SCHEDULE: &str = "kms:ScheduleKeyDeletion";
/// `CancelKeyDeletion`.
pub const CANCEL: &str = "kms:CancelKeyDeletion";
/// `DisableKey`.
pub const DISABLE: &str = "kms:DisableKey";
/// `EnableKey`.
pub const ENABLE: &str = "kms:EnableKey";

/// All that is called here.
pub const OPERATIONS: &[Operation] = &[
    Operation::reads(DESCRIBE),
    Operation::reads(TAGS),
    EARLIER_STATE_OPERATIONS[0],
    EARLIER_STATE_OPERATIONS[1],
    Operation::changes(CANCEL),
    Operation::changes(ENABLE),
    Operation::changes(DISABLE),
    Operation::changes(SCHEDULE),
];

/// The piece that tells whether the key waits for its deletion.
pub const PENDING: &str = "DeletionPending";
/// The piece that tells whether the key can be used.
pub const ENABLED: &str = "Enabled";

/// KMS waits so many days where a call does not say how many: the most that it allows.
pub const DAYS: i64 = 30;

/// What a call did to a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    /// When.
    pub at: DateTime<Utc>,
    /// The waiting period of the deletion that was scheduled; `None` where the key was disabled.
    pub days: Option<i64>,
}

impl Called {
    /// What a record tells. A request names a key by its id or its ARN, a response by its ARN; in records from before December 2022
    /// `DisableKey` has none.
    pub fn heard(signal: &Signal, call: &ApiCall) -> Vec<Heard<Self>> {
        let unreadable = |reason: &str| vec![Heard::unreadable(signal.resource(KIND, "unknown"), reason)];
        let Some(named) = text(call.response(), "keyId").or_else(|| text(call.request(), "keyId")) else {
            return unreadable("the record does not tell which key it was");
        };
        let arn = Arn::parse(named);
        // KMS lets nobody do it from another account.
        if arn.as_ref().is_some_and(|arn| arn.account() != signal.account || arn.region() != signal.region) {
            return unreadable("the key is not of the account and the Region that the record is of");
        }
        let id = arn.as_ref().map_or(Some(named), |arn| arn.resource().strip_prefix("key/"));
        let is_well_formed = |id: &&str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let Some(id) = id.filter(is_well_formed) else { return unreadable("what is named is no key") };
        let is_scheduled = call.operation() == "ScheduleKeyDeletion";
        let days = is_scheduled.then(|| number(call.request(), "pendingWindowInDays").unwrap_or(DAYS));
        vec![Heard::about(signal.resource(KIND, id), Self { at: signal.time, days })]
    }
}

/// What else is known of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Whether it was enabled before the call; `None` where neither the baseline nor AWS Config tells.
    pub was_enabled: Option<bool>,
    /// The waiting period of the deletion that is pending.
    pub days: i64,
    /// Its state, where that is none of the usual ones.
    pub odd: Option<String>,
}

/// A key in this state; `None` is for one that is gone.
pub fn standing(state: Option<&KeyState>, was_enabled: Option<bool>, days: i64) -> Standing<Known> {
    let (pending, enabled, odd) = match state {
        Some(KeyState::Enabled) => (Some(false), Some(true), None),
        Some(KeyState::Disabled) => (Some(false), Some(false), None),
        Some(KeyState::PendingDeletion | KeyState::PendingReplicaDeletion) => (Some(true), Some(false), None),
        Some(KeyState::Creating | KeyState::PendingImport | KeyState::Unavailable | KeyState::Updating) => {
            (Some(false), None, state)
        }
        other => (None, None, other),
    };
    let odd = odd.map(|state| state.as_str().to_owned());
    let standing = Standing::new(effect).optional_fact(PENDING, pending).optional_fact(ENABLED, enabled);
    standing.with(Known { was_enabled, days, odd })
}

/// How a key stands, and whether it was enabled before something was done to it.
///
/// # Errors
/// When KMS, or who knows how it was, could not be asked.
pub async fn read(scope: &Scope, key: &Resource, done: DateTime<Utc>) -> Result<Standing<Known>, CallError> {
    let client = client!(scope, aws_sdk_kms);
    let (described, tags, earlier) = tokio::join!(
        Box::pin(client.describe_key().key_id(&key.id).send()),
        Box::pin(client.list_resource_tags().key_id(&key.id).send()),
        Box::pin(scope.earlier_state(key, done)),
    );
    let described = unless_gone(CallError::or(DESCRIBE, described))?;
    let tags = unless_gone(CallError::or(TAGS, tags))?;
    let was_enabled = earlier?.and_then(|state| match text(&state.configuration, "keyState")? {
        "Enabled" => Some(true),
        "Disabled" => Some(false),
        _ => None,
    });
    let metadata = described.as_ref().and_then(|described| described.key_metadata());
    let days = metadata.and_then(|metadata| waiting_period(metadata, done)).unwrap_or(DAYS);
    let tags = tags.iter().flat_map(ListResourceTagsOutput::tags);
    let tags = tags.map(|tag: &Tag| (tag.tag_key().to_owned(), tag.tag_value().to_owned())).collect();
    Ok(standing(metadata.and_then(KeyMetadata::key_state), was_enabled, days).tagged(tags))
}

/// How many days KMS was told to wait. It tells that only of a key with replicas, of others the date of the deletion.
pub fn waiting_period(key: &KeyMetadata, scheduled: DateTime<Utc>) -> Option<i64> {
    let until = |date: &aws_sdk_kms::primitives::DateTime| (date.secs() - scheduled.timestamp() + 43_200) / 86_400;
    let days = key.pending_deletion_window_in_days().map(i64::from).or_else(|| key.deletion_date().map(until));
    days.map(|days| days.clamp(7, DAYS))
}

/// Makes one of the calls of this module.
///
/// # Errors
/// When KMS does not accept it.
pub async fn make(scope: &Scope, call: &Call) -> Result<(), CallError> {
    let client = client!(scope, aws_sdk_kms);
    let key = parameter(call, "keyId")?;
    match call.call.as_str() {
        CANCEL => CallError::or(CANCEL, client.cancel_key_deletion().key_id(key).send().await).map(drop),
        ENABLE => CallError::or(ENABLE, client.enable_key().key_id(key).send().await).map(drop),
        DISABLE => CallError::or(DISABLE, client.disable_key().key_id(key).send().await).map(drop),
        SCHEDULE => {
            let days = number(&call.parameters, "pendingWindowInDays").and_then(|days| i32::try_from(days).ok());
            let request = client.schedule_key_deletion().key_id(key).set_pending_window_in_days(days);
            CallError::or(SCHEDULE, request.send().await).map(drop)
        }
        _ => Err(not_ours(call)),
    }
}

fn effect(call: &Call) -> Vec<(String, Option<String>)> {
    let set = |piece: &str, to: bool| (piece.to_owned(), Some(to.to_string()));
    match call.call.as_str() {
        CANCEL => vec![set(PENDING, false)],
        SCHEDULE => vec![set(PENDING, true), set(ENABLED, false)],
        _ => vec![set(ENABLED, call.call == ENABLE)],
    }
}
