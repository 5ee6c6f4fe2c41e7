//! A user's devices for multi-factor authentication: whose was deactivated, and how the user stands without.

use aws_sdk_iam::Client;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use rescind_lambda::prelude::*;

use crate::denial::{self, PIECE, effect};
use crate::principal::{self, Kind, Principal, client};

/// `ListMFADevices`.
const LIST_DEVICES: &str = "iam:ListMFADevices";

/// All that is called here, and for the denial.
pub const OPERATIONS: &[Operation] = &[
    Operation::reads(principal::action::GET_USER),
    Operation::reads(LIST_DEVICES),
    Operation::reads(denial::action::GET_POLICY),
    Operation::changes(denial::action::PUT_POLICY),
    // The inverse.
    Operation::changes(denial::action::DELETE_POLICY),
];

/// Whose device it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The root user's.
    Root,
    /// The caller's own, in a session without MFA.
    Own,
    /// Of another user.
    Another,
}

/// Whose device was deactivated, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deactivated {
    /// Whose.
    pub whose: Whose,
    /// The device.
    pub serial: String,
    /// By whom: an ARN.
    pub actor: String,
    /// When.
    pub time: DateTime<Utc>,
}

impl Deactivated {
    /// What a record tells.
    pub fn heard(signal: &Signal, call: &ApiCall) -> Vec<Heard<Self>> {
        let (request, actor) = (call.request(), &call.actor);
        let (named, serial) = (Kind::User.name_in(request), text(request, "serialNumber").unwrap_or_default());
        let about = |resource, whose| {
            let (serial, actor) = (serial.to_owned(), actor.arn.clone());
            vec![Heard::about(resource, Self { whose, serial, actor, time: signal.time })]
        };
        // Nobody but root can take root's device; in some records that one has a name that no user can have.
        let is_roots = serial.ends_with(":mfa/root-account-mfa-device") || (named.is_none() && !serial.is_empty());
        if actor.kind == "Root" && is_roots {
            return about(signal.resource("AWS::::Account", signal.account.as_str()), Whose::Root);
        }
        // Where none is named, it is the caller's own. A user's ARN ends in the name, after the path.
        let caller = actor.arn.rsplit('/').next().filter(|_| actor.kind == "IAMUser");
        let is_unnamed = !serial.is_empty() && field(request, "userName").is_none();
        let Some(name) = named.or(caller.filter(|_| is_unnamed)) else {
            let resource = signal.resource(Kind::User.resource_type(), "unknown");
            return vec![Heard::unreadable(resource, "the record does not tell whose device it was")];
        };
        let resource = signal.resource(Kind::User.resource_type(), name);
        // IAM has no two names that differ in case alone.
        let is_own = caller.is_some_and(|caller| caller.eq_ignore_ascii_case(name));
        if is_own && actor.with_mfa {
            let reason = "the user deactivated an own MFA device, in a session that MFA had authenticated";
            return vec![Heard::harmless(resource, reason)];
        }
        about(resource, if is_own { Whose::Own } else { Whose::Another })
    }

    /// Another device, which the user has had for long. A read that lags behind may still show the one that is gone.
    pub fn from_before<'d>(&self, devices: &'d [Device]) -> Option<&'d Device> {
        devices.iter().find(|one| one.enabled < self.time - LATELY && one.serial != self.serial)
    }

    /// A device that may be anybody's, in words: it was enabled since, or not long before.
    pub fn of_late(&self, devices: &[Device]) -> Option<String> {
        let since = devices.iter().find(|one| one.enabled >= self.time);
        let lately = devices.iter().find(|one| one.enabled >= self.time - LATELY && one.serial != self.serial);
        since.or(lately).map(|one| {
            let (serial, enabled) = (clean(&one.serial, 160), one.enabled.to_rfc3339_opts(SecondsFormat::Secs, true));
            let only = since.is_none().then(|| format!("only at {enabled}"));
            format!("{serial} was enabled {}", only.unwrap_or_else(|| "since".to_owned()))
        })
    }
}

/// A device that was enabled within this time before is as doubtful as one that was enabled since: whoever takes a user's device away may
/// enrol an own one first.
const LATELY: TimeDelta = TimeDelta::days(1);

/// What else is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known {
    /// `None` when the user is gone.
    pub user: Option<Principal>,
    /// The devices that are there.
    pub devices: Vec<Device>,
}

/// How a user stands, as far as an event tells it.
pub fn told(resource: &Resource, live: Option<&Standing<Known>>) -> Option<Standing<Known>> {
    // What has to be put back, IAM alone tells.
    if live.is_some() {
        return None;
    }
    let arn = format!("arn:aws:iam::{}:user/{}", resource.account, resource.id);
    let user = Some(Principal { arn, ..Principal::default() });
    Some(Standing::new(effect).with(Known { user, ..Known::default() }))
}

/// Reads the user, with the devices and the policy that are there. Of the root user there is nothing to read.
///
/// # Errors
/// When IAM could not be asked.
pub async fn read(scope: &Scope, resource: &Resource, target: &Deactivated) -> Result<Standing<Known>, CallError> {
    if target.whose == Whose::Root {
        return Ok(Standing::new(effect).with(Known::default()));
    }
    let client = client(scope);
    let (user, devices, policy) = tokio::join!(
        Box::pin(principal::read(&client, Kind::User, &resource.id)),
        Box::pin(devices(&client, &resource.id)),
        Box::pin(denial::read(&client, &resource.id)),
    );
    let more = Known { user: user?, devices: devices? };
    let tags = more.user.as_ref().map(|user| user.tags.clone()).unwrap_or_default();
    Ok(Standing::new(effect).optional_fact(PIECE, policy?).tagged(tags).with(more))
}

/// A device that is enabled for a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its serial number; of a virtual one, its ARN.
    pub serial: String,
    /// When it was enabled for the user, in whole seconds.
    pub enabled: DateTime<Utc>,
}

/// The devices of a user; none of one who is gone.
///
/// # Errors
/// When IAM could not be asked.
pub async fn devices(client: &Client, user: &str) -> Result<Vec<Device>, CallError> {
    let mut all = Vec::new();
    let mut pages = client.list_mfa_devices().user_name(user).into_paginator().send();
    while let Some(page) = pages.next().await {
        let Some(page) = unless_gone(CallError::or(LIST_DEVICES, page))? else { break };
        all.extend(page.mfa_devices().iter().map(|device| Device {
            serial: device.serial_number().to_owned(),
            enabled: DateTime::from_timestamp(device.enable_date().secs(), 0).unwrap_or(DateTime::UNIX_EPOCH),
        }));
    }
    Ok(all)
}
