//! `key-going-away`: what a KMS key encrypts becomes unreadable, for now or for good.
//!
//! ## What it takes back
//! `ScheduleKeyDeletion` and `DisableKey` of a customer managed key: the deletion is canceled, and the key is enabled if it was enabled
//! before. Its policy, aliases, grants and rotation stay as they are.
//!
//! ## Why it is risky
//! Volumes, buckets, databases and secrets that the key encrypts can't be read while it is disabled or waits for its deletion, and never
//! again once it is deleted. Security Hub control KMS.3; MITRE ATT&CK T1485.
//!
//! ## Example
//! `aws kms schedule-key-deletion --key-id … --pending-window-in-days 7`: seconds later the key is enabled.
//!
//! ## Safety
//! It interrupts nothing. It can be undone: the key is disabled again, and its deletion scheduled with the same waiting period, which
//! begins anew. Earlier state: the event, and the baseline or AWS Config's history for whether the key was enabled, which no event tells:
//! where they don't know, a key that was disabled is enabled, and one that was to be deleted stays disabled, which the outcome says. One
//! that was disabled already when somebody disabled it is reported. A key can't be enabled while its deletion is pending: where it was
//! disabled and then scheduled for that, both are taken back. A multi-Region key is looked at in its own Region alone. A disabled key
//! without its key material, or of a custom key store that is disconnected, is reported. Where the key's policy does not let the account's IAM policies
//! in, it is `failed`.
//!
//! ## Tags
//! Those of every remediation.
//!
//! ## References
//! AWS KMS API: `ScheduleKeyDeletion`, `CancelKeyDeletion`, `DisableKey`, `EnableKey`, `DescribeKey`, `ListResourceTags`. AWS KMS developer
//! guide: *Key states of AWS KMS keys*, *Delete an AWS KMS key*.

use aws_sdk_kms::types::KeyState;
use rescind_lambda::prelude::*;

use crate::key::{self, CANCEL, Called, DAYS, DISABLE, ENABLE, ENABLED, Known, PENDING, SCHEDULE};

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct KeyGoingAway;

impl Remediation for KeyGoingAway {
    const NAME: &'static str = "key-going-away";
    const CALLS: &'static [&'static str] = &[SCHEDULE, DISABLE];
    const OPERATIONS: &'static [Operation] = key::OPERATIONS;

    type Target = Called;
    type State = Standing<Known>;
    type Settings = ();
    type Offender = String;

    fn hear(&self, signal: &Signal, call: &ApiCall) -> Vec<Heard<Called>> {
        Called::heard(signal, call)
    }

    fn state_of_event(&self, _: &Resource, called: &Called, live: Option<&Standing<Known>>) -> Option<Standing<Known>> {
        let state = if called.days.is_some() { KeyState::PendingDeletion } else { KeyState::Disabled };
        let was_enabled = live.and_then(|live| live.more.was_enabled);
        Some(key::standing(Some(&state), was_enabled, called.days.unwrap_or(DAYS)).tagged_as(live))
    }

    async fn read(&self, scope: &Scope, key: &Resource, called: &Called) -> Result<Standing<Known>, CallError> {
        key::read(scope, key, called.at).await
    }

    fn assess(&self, subject: &Subject<'_, Self>) -> Assessment<String> {
        let (key, called) = (&subject.resource.id, subject.target);
        let what = match called.days {
            Some(days) => format!(
                "the deletion of the key {key} was scheduled, after {days} days: what it encrypts would be lost"
            ),
            None => format!("the key {key} was disabled: what it encrypts can't be read"),
        };
        let (was_enabled, words) = before(subject);
        let state = subject.state.more.odd.as_deref().unwrap_or("gone");
        let (pending, enabled) = (subject.state.get(PENDING), subject.state.get(ENABLED));
        let evidence = vec![Evidence::new([(PENDING, pending.unwrap_or(state)), (ENABLED, enabled.unwrap_or(state))])];
        match (pending, enabled) {
            (_, Some("true")) => Assessment::already_safe(format!("{what}; it is enabled again")),
            // What AWS Config saw last may be what a person, or Rescind, has changed since.
            _ if called.days.is_none() && !was_enabled => Assessment::report(format!("{what}; {words}"), evidence),
            (Some("true"), _) => Assessment::risky(what, evidence, vec![PENDING.to_owned()]),
            (Some(_), None) if called.days.is_some() => {
                Assessment::already_safe(format!("{what}; that is canceled, and by now it is {state}"))
            }
            (_, None) => Assessment::report(format!("{what}; by now it is {state}, so look at it"), evidence),
            _ if was_enabled => Assessment::risky(what, evidence, vec![ENABLED.to_owned()]),
            _ => Assessment::already_safe(format!("{what}; that is canceled, and {words}")),
        }
    }

    fn plan(&self, subject: &Subject<'_, Self>, offenders: &[String]) -> Plan {
        let (was_enabled, words) = before(subject);
        let call = |action| Call::new(action, json!({"KeyId": subject.resource.id}));
        let schedule = json!({"KeyId": subject.resource.id, "PendingWindowInDays": subject.state.more.days});
        let cancel = || Step::planned(call(CANCEL), Call::new(SCHEDULE, schedule));
        let is_pending = offenders.iter().any(|piece| piece == PENDING);
        let enable = || Step::planned(call(ENABLE), call(DISABLE));
        Plan::of(is_pending.then(cancel).into_iter().chain(was_enabled.then(enable))).noting(words)
    }

    async fn make(&self, scope: &Scope, call: &Call) -> Result<(), CallError> {
        key::make(scope, call).await
    }
}

/// Whether a key was enabled before the call, and what that means for it. Who disables one is believed that it was, where nothing tells;
/// who schedules its deletion says nothing of that: many disable a key long before.
fn before(subject: &Subject<'_, KeyGoingAway>) -> (bool, &'static str) {
    match (subject.state.more.was_enabled, subject.target.days) {
        (Some(true), _) => (true, "it goes back to enabled, as it was before"),
        (Some(false), _) => (false, "it stays disabled, as AWS Config saw it before"),
        (None, None) => (true, "it goes back to enabled, since nothing tells that it was not before"),
        (None, Some(_)) => {
            (false, "it stays disabled until `aws kms enable-key`: nothing tells whether it was enabled")
        }
    }
}

#[cfg(test)]
mod tests;
