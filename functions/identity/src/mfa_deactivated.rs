//! `mfa-deactivated`: somebody takes another user's device for multi-factor authentication (MFA).
//!
//! ## What it takes back
//! Nothing: the secret of a device is gone, and only its holder can enable one again. You are told, with the next steps. On the owner's word
//! alone (`rescind:contain`) the user is denied everything until a device is back: the inline policy `rescind-deny-until-mfa` leaves no more than to
//! enrol one and to sign in with it. It denies only what is done without MFA, so a user who has a device again is free; the policy stays until you undo it.
//!
//! ## Why it is risky
//! Without the device a password or key is enough to be that user, and whoever took it away may have just set the password. MITRE ATT&CK T1556.006.
//!
//! ## Example
//! `aws iam deactivate-mfa-device --user-name alice --serial-number arn:aws:iam::111122223333:mfa/alice`, called by `mallory`.
//!
//! ## Safety
//! A denial interrupts whatever the user does without MFA, programs with long-term keys included, so `rescind:blast-limit` holds; roles that
//! the user has taken on already go on. It can be undone: the policy goes, or becomes what stood there. Earlier state: live. Whoever has the password, and
//! may enable a device for the user, can enrol one of his own and is in: set the password anew where that may be. Whoever may change the user's policies
//! can take the denial away. A user who is being deleted loses the device first, and can't be deleted while the policy is there.
//!
//! Only told are: the root user's device, since no policy binds the root user; users of `rescind:break-glass`; an own device that was deactivated without MFA
//! in the session, as by a stolen key; and a device that was enabled since, which may be anybody's. Left alone are an own device in a session with MFA, and a
//! user who still has another one from before. Whoever resets devices as a job, `rescind:exempt-principals` names. IAM is global: its events come in us-east-1
//! alone.
//!
//! ## Tags
//! `rescind:contain` (`report` or `deny-until-mfa`), `rescind:break-glass`, and those of every remediation. The tag of an exemption is looked for at the user.
//!
//! ## References
//! IAM API: `DeactivateMFADevice`, `ListMFADevices`, `PutUserPolicy`. IAM user guide: *AWS: Allows MFA-authenticated IAM users to manage their own
//! credentials on the Security credentials page*, whose statement `DenyAllExceptListedIfNoMFA` the policy is.

use chrono::{DateTime, Utc};
use rescind::settings::PrincipalPattern;
use rescind_lambda::prelude::*;

use crate::mfa::{self, Device, PIECE, action};
use crate::principal::{self, BREAK_GLASS, Kind, Principal, behind_glass, client};

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct MfaDeactivated;

/// Whose device it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    Root,
    /// The caller's own, in a session without MFA.
    Own,
    Another,
}

/// Whose device was deactivated, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    whose: Whose,
    serial: String,
    actor: String,
    time: DateTime<Utc>,
}

/// What the owner wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    contains: bool,
    break_glass: Vec<PrincipalPattern>,
}

/// What else is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct More {
    /// `None` when the user is gone.
    user: Option<Principal>,
    devices: Vec<Device>,
}

impl Remediation for MfaDeactivated {
    const NAME: &'static str = "mfa-deactivated";
    const CALLS: &'static [&'static str] = &["iam:DeactivateMFADevice"];
    const OPERATIONS: &'static [Operation] = &[
        Operation::reads(principal::action::GET_USER),
        Operation::reads(action::LIST_DEVICES),
        Operation::reads(action::GET_POLICY),
        Operation::changes(action::PUT_POLICY),
        // The inverse.
        Operation::changes(action::DELETE_POLICY),
    ];
    const INTERRUPTS_SERVICE: bool = true;

    type Target = Target;
    type State = Standing<More>;
    type Settings = Wanted;
    type Offender = String;

    fn hear(&self, signal: &Signal, call: &ApiCall) -> Vec<Heard<Target>> {
        let (request, actor) = (call.request(), &call.actor);
        let (named, serial) = (Kind::User.name_in(request), text(request, "serialNumber").unwrap_or_default());
        let about = |resource, whose| {
            let (serial, actor) = (serial.to_owned(), actor.arn.clone());
            vec![Heard::about(resource, Target { whose, serial, actor, time: signal.time })]
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

    fn state_of_event(&self, resource: &Resource, _: &Target, live: Option<&Self::State>) -> Option<Self::State> {
        // What has to be put back, IAM alone tells.
        if live.is_some() {
            return None;
        }
        let arn = format!("arn:aws:iam::{}:user/{}", resource.account, resource.id);
        let user = Some(Principal { arn, ..Principal::default() });
        Some(Standing::new(mfa::effect).with(More { user, ..More::default() }))
    }

    async fn read(&self, scope: &Scope, resource: &Resource, target: &Target) -> Result<Self::State, CallError> {
        if target.whose == Whose::Root {
            return Ok(Standing::new(mfa::effect).with(More::default()));
        }
        let client = client(scope);
        let (user, devices, policy) = tokio::join!(
            Box::pin(principal::read(&client, Kind::User, &resource.id)),
            Box::pin(mfa::devices(&client, &resource.id)),
            Box::pin(mfa::policy(&client, &resource.id)),
        );
        let more = More { user: user?, devices: devices? };
        let tags = more.user.as_ref().map(|user| user.tags.clone()).unwrap_or_default();
        Ok(Standing::new(mfa::effect).optional_fact(PIECE, policy?).tagged(tags).with(more))
    }

    fn assess(&self, subject: &Subject<'_, Self>) -> Assessment<String> {
        let Subject { resource, target, state, settings, .. } = subject;
        let Target { whose, serial, actor, time } = target;
        let (name, serial, actor) = (clean(&resource.id, 64), clean(serial, 160), clean(actor, 200));
        let evidence = vec![Evidence::new([("device", serial.clone()), ("deactivated by", actor.clone())])];
        let left = |why: String, step: &str| {
            Assessment::report(
                format!(
                    "{why}; ask by another channel whether that was agreed, {step}, look at what {actor} did since, and at who may call iam:DeactivateMFADevice"
                ),
                evidence.clone(),
            )
        };
        if *whose == Whose::Root {
            let why = format!("{actor} deactivated {serial}, a device of the root user, whom no policy can contain");
            return left(why, "sign in as root and enable a new one");
        }
        // A later user of that name is another one.
        let user = state.more.user.as_ref().filter(|user| user.created.is_none_or(|created| created <= *time));
        let Some(user) = user else {
            return Assessment::harmless(format!("the user {name}, whose MFA device was deactivated, is gone"));
        };
        let why = format!("{actor} deactivated {serial}, an MFA device of the user {name}");
        if state.get(PIECE).is_some_and(mfa::denies) {
            let reason = format!("{why}; {} denies everything without MFA already", mfa::POLICY);
            return Assessment::already_safe(reason);
        }
        // A read that lags behind may still show the one that is gone.
        let devices = &state.more.devices;
        if let Some(other) = devices.iter().find(|one| one.enabled < *time && one.serial != target.serial) {
            let other = clean(&other.serial, 160);
            return Assessment::already_safe(format!("{why}, who still has {other} from before"));
        }
        let renew = "have a new device enabled";
        if let Some(new) = devices.iter().find(|one| one.enabled >= *time) {
            let new = clean(&new.serial, 160);
            return left(format!("{why}; {new} was enabled since, by whom the event does not tell"), renew);
        }
        if *whose == Whose::Own {
            return left(format!("{why}, without MFA in the session: whoever has a key of the user could"), renew);
        }
        let why = format!("{why}: a password or key is enough now, and the device can't be put back");
        match behind_glass(&settings.break_glass, &user.arn) {
            _ if !settings.contains => left(why, renew),
            Some(protection) => left(format!("{why}; {protection}"), renew),
            None => Assessment::risky(why, evidence, vec![PIECE.to_owned()]),
        }
    }

    fn plan(&self, subject: &Subject<'_, Self>, offenders: &[String]) -> Plan {
        let Subject { resource, state, .. } = subject;
        let steps = offenders.iter().map(|piece| {
            let delete = || mfa::delete_policy(&resource.id);
            let back = state.get(piece).map_or_else(delete, |document| mfa::put_policy(&resource.id, document));
            Step::planned(mfa::put_policy(&resource.id, &mfa::denying()), back)
        });
        let note = "until MFA is used again, the user is denied everything but to enrol a device".to_owned();
        Plan::of(steps).noting(note)
    }

    async fn make(&self, scope: &Scope, call: &Call) -> Result<(), CallError> {
        mfa::make(scope, call).await
    }
}

impl OwnSettings for Wanted {
    const TAGS: &'static [TagKey] = &[mfa::TAG, BREAK_GLASS];

    fn of_tags(tags: &Tags) -> Result<Self, SettingsError> {
        Ok(Self { contains: mfa::is_to_be_contained(tags)?, break_glass: tags.principals(BREAK_GLASS.key)? })
    }
}

#[cfg(test)]
mod tests;
