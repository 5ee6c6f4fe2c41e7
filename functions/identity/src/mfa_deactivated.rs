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
//! Only told are: the root user's device, since no policy binds the root user; users of `rescind:break-glass`; an own device that was
//! deactivated without MFA in the session, as by a stolen key; and a device that was enabled since, or within a day before, which may be
//! anybody's. Left alone are an own device in a session with MFA, and a user who still has another one that was enabled more than a day before.
//! Whoever resets devices as a job, `rescind:exempt-principals` names. IAM is global: its events come in us-east-1 alone.
//!
//! ## Tags
//! `rescind:contain` (`report` or `deny-until-mfa`), `rescind:break-glass`, and those of every remediation. The tag of an exemption is looked for at the user.
//!
//! ## References
//! IAM API: `DeactivateMFADevice`, `ListMFADevices`, `PutUserPolicy`. IAM user guide: *AWS: Allows MFA-authenticated IAM users to manage their own
//! credentials on the Security credentials page*, whose statement `DenyAllExceptListedIfNoMFA` the policy is.

use rescind_lambda::prelude::*;

use crate::denial::{self, PIECE, POLICY, Wanted};
use crate::mfa::{self, Deactivated, Known, Whose};
use crate::principal::behind_glass;

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct MfaDeactivated;

impl Remediation for MfaDeactivated {
    const NAME: &'static str = "mfa-deactivated";
    const CALLS: &'static [&'static str] = &["iam:DeactivateMFADevice"];
    const OPERATIONS: &'static [Operation] = mfa::OPERATIONS;
    const INTERRUPTS_SERVICE: bool = true;

    type Target = Deactivated;
    type State = Standing<Known>;
    type Settings = Wanted;
    type Offender = String;

    fn hear(&self, signal: &Signal, call: &ApiCall) -> Vec<Heard<Deactivated>> {
        Deactivated::heard(signal, call)
    }

    fn state_of_event(&self, resource: &Resource, _: &Deactivated, live: Option<&Self::State>) -> Option<Self::State> {
        mfa::told(resource, live)
    }

    async fn read(&self, scope: &Scope, resource: &Resource, target: &Deactivated) -> Result<Self::State, CallError> {
        mfa::read(scope, resource, target).await
    }

    fn assess(&self, subject: &Subject<'_, Self>) -> Assessment<String> {
        let Subject { resource, target, state, settings, .. } = subject;
        let Deactivated { whose, serial, actor, time } = target;
        let (name, serial, actor) = (clean(&resource.id, 64), clean(serial, 160), clean(actor, 200));
        let evidence = vec![Evidence::new([("device", serial.clone()), ("deactivated by", actor.clone())])];
        let left = |why: String, step: &str| {
            let ask = format!("ask by another channel whether that was agreed, {step}, look at what {actor} did since");
            let reason = format!("{why}; {ask}, and at who may call iam:DeactivateMFADevice");
            Assessment::report(reason, evidence.clone())
        };
        if *whose == Whose::Root {
            let why = format!("{actor} deactivated {serial}, a device of the root user, whom no policy can contain");
            return left(why, "sign in as root and enable a new one");
        }
        // A later user of that name is another one.
        let Known { user, devices } = &state.more;
        let Some(user) = user.as_ref().filter(|user| user.created.is_none_or(|created| created <= *time)) else {
            return Assessment::harmless(format!("the user {name}, whose MFA device was deactivated, is gone"));
        };
        let why = format!("{actor} deactivated {serial}, an MFA device of the user {name}");
        if state.get(PIECE).is_some_and(denial::denies) {
            return Assessment::already_safe(format!("{why}; {POLICY} denies everything without MFA already"));
        }
        if let Some(other) = target.from_before(devices) {
            let other = clean(&other.serial, 160);
            return Assessment::already_safe(format!("{why}, who still has {other} from before"));
        }
        let renew = "have a new device enabled";
        if let Some(new) = target.of_late(devices) {
            return left(format!("{why}; {new}, by whom the event does not tell"), renew);
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
        let steps = offenders.iter().map(|piece| denial::step(&subject.resource.id, subject.state.get(piece)));
        Plan::of(steps).noting("until MFA is used again, the user is denied everything but to enrol a device")
    }

    async fn make(&self, scope: &Scope, call: &Call) -> Result<(), CallError> {
        denial::make(scope, call).await
    }
}

#[cfg(test)]
mod tests;
