//! Reads what has to be known: the owner's settings and the live state; and claims the outcome, side by side.

use rescind::settings::{Mode, OwnSettings, Settings, SettingsError, TagKey, Tags};
use rescind::{Delivery, Resource};

use super::contain::containments_key;
use super::{Cause, Engine, Wanted, history_key, remembered};
use crate::aws::CallError;
use crate::environment::Environment;
use crate::journal::{Claim, Containments, History};
use crate::remediation::{Further, Remediation};

/// What has been found out.
pub(super) struct Looked<R: Remediation> {
    /// The settings, or `None` when the rule is for other remediations.
    pub(super) wanted: Result<Option<Wanted<R>>, SettingsError>,
    /// The live state; `None` when it was not read.
    pub(super) state: Option<Result<R::State, CallError>>,
    /// What was taken back and contained of late.
    pub(super) history: Result<(History, Containments), CallError>,
    /// The claim; `None` when there is no journal, or nothing to claim for.
    pub(super) claim: Option<Result<Claim, CallError>>,
}

impl Engine {
    /// Settings, state, history and claim, side by side; the settings first only when they are at hand and may make the
    /// rest needless.
    pub(super) async fn look<R: Remediation>(
        &self,
        remediation: &R,
        delivery: &Delivery,
        cause: Cause<'_>,
        resource: &Resource,
        target: &R::Target,
        id: &str,
    ) -> Looked<R> {
        let settings_are_at_hand = delivery.rule.is_none() || self.tags.remembered(delivery).is_some();
        let at_hand = if settings_are_at_hand { Some(self.settings::<R>(delivery).await) } else { None };
        let is_worth_it =
            at_hand.as_ref().is_none_or(|wanted| matches!(wanted, Ok(Some(wanted)) if wanted.common.mode != Mode::Off));
        if let Some(wanted) = at_hand {
            if !is_worth_it {
                return Looked { wanted, state: None, history: Ok(Default::default()), claim: None };
            }
            if self.environment.from_event_alone {
                let state = remediation.state_of_event(resource, target, None).map(Ok);
                return Looked { wanted, state, history: Ok(Default::default()), claim: None };
            }
            let (state, history, claim) = tokio::join!(
                self.read_first(remediation, resource, target),
                self.history(remediation, delivery, resource),
                self.claim(delivery, cause, id),
            );
            let state = self.further(remediation, resource, wanted_of(&wanted, claim.as_ref()), state).await;
            return Looked { wanted, state: Some(state), history, claim };
        }
        let (wanted, state, history, claim) = tokio::join!(
            self.settings::<R>(delivery),
            self.read_first(remediation, resource, target),
            self.history(remediation, delivery, resource),
            self.claim(delivery, cause, id),
        );
        let state = self.further(remediation, resource, wanted_of(&wanted, claim.as_ref()), state).await;
        Looked { wanted, state: Some(state), history, claim }
    }

    async fn history<R: Remediation>(
        &self,
        remediation: &R,
        delivery: &Delivery,
        resource: &Resource,
    ) -> Result<(History, Containments), CallError> {
        let Some(journal) = &self.journal else { return Ok(Default::default()) };
        let key = history_key(R::NAME, &remembered(remediation, resource), &delivery.signal);
        let contained = async {
            if R::INTERRUPTS_SERVICE {
                journal.containments(&self.aws, &containments_key(R::NAME, resource)).await
            } else {
                Ok(Containments::default())
            }
        };
        let (history, contained) = tokio::join!(journal.history(&self.aws, &key), contained);
        Ok((history?, contained?))
    }

    pub(super) async fn claim(
        &self,
        delivery: &Delivery,
        cause: Cause<'_>,
        id: &str,
    ) -> Option<Result<Claim, CallError>> {
        let journal = self.journal.as_ref().filter(|_| !self.environment.from_event_alone)?;
        let from = Self::phases_to_claim_from(cause);
        Some(journal.claim(&self.aws, id, &delivery.input, from, self.lease()).await)
    }

    /// The live state, with what the settings ask for or what is to be undone.
    pub(super) async fn read<R: Remediation>(
        &self,
        remediation: &R,
        resource: &Resource,
        target: &R::Target,
        further: Further<'_, R::Settings>,
    ) -> Result<R::State, CallError> {
        let scope = self.aws.scope(resource).await?;
        let state = remediation.read(&scope, resource, target).await?;
        remediation.read_further(&scope, resource, state, further).await
    }

    /// Adds what the settings ask for, once these are known, too.
    async fn further<R: Remediation>(
        &self,
        remediation: &R,
        resource: &Resource,
        wanted: Option<&Wanted<R>>,
        state: Result<R::State, CallError>,
    ) -> Result<R::State, CallError> {
        let Some(wanted) = wanted else { return state };
        let scope = self.aws.scope(resource).await?;
        remediation.read_further(&scope, resource, state?, Further::Wanted(&wanted.own)).await
    }

    /// What is read of every resource of the kind, whatever the settings say.
    async fn read_first<R: Remediation>(
        &self,
        remediation: &R,
        resource: &Resource,
        target: &R::Target,
    ) -> Result<R::State, CallError> {
        let scope = self.aws.scope(resource).await?;
        remediation.read(&scope, resource, target).await
    }

    /// `None` when the rule is for other remediations.
    pub(super) async fn settings<R: Remediation>(
        &self,
        delivery: &Delivery,
    ) -> Result<Option<Wanted<R>>, SettingsError> {
        let known = self.function.known_tags();
        let tags = if delivery.rule.is_some() {
            self.tags.read(&self.aws, delivery).await?
        } else if let Some(name) = unknown_setting(&self.environment, &known) {
            return Err(SettingsError::unknown(&name, &known));
        } else {
            Tags::of_environment(&self.environment.settings, &known)
        };
        tags.check(&known)?;
        let common = Settings::parse(&tags, &self.function.names())?;
        let is_meant = common.remediations.as_ref().is_none_or(|names| names.iter().any(|name| name == R::NAME));
        if !is_meant {
            return Ok(None);
        }
        let own = R::Settings::of_tags(&tags)?;
        Ok(Some(Wanted { common, own }))
    }
}

/// The settings by which this delivery goes on, if it does.
fn wanted_of<'w, R: Remediation>(
    wanted: &'w Result<Option<Wanted<R>>, SettingsError>,
    claim: Option<&Result<Claim, CallError>>,
) -> Option<&'w Wanted<R>> {
    let is_ours = claim.is_none_or(|claim| matches!(claim, Ok(Claim::Ours(_))));
    wanted.as_ref().ok()?.as_ref().filter(|wanted| is_ours && wanted.common.mode != Mode::Off)
}

/// A variable of the environment that looks like a setting and is none.
fn unknown_setting(environment: &Environment, known: &[TagKey]) -> Option<String> {
    environment
        .settings
        .iter()
        .find(|(name, value)| {
            let alone = std::collections::BTreeMap::from([((*name).clone(), (*value).clone())]);
            Tags::of_environment(&alone, known) == Tags::default()
        })
        .map(|(name, _)| name.clone())
}
