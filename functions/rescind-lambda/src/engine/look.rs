//! Reads what has to be known: the owner's settings and the live state, side by side.

use rescind::settings::{Mode, Settings, SettingsError, TagKey, Tags};
use rescind::{Delivery, Resource};

use super::{Engine, Wanted};
use crate::aws::CallError;
use crate::environment::Environment;
use crate::remediation::Remediation;

/// The settings, or `None` when the rule is for other remediations; and the state, or `None` when it was not read.
type Looked<R> = (Result<Option<Wanted<R>>, SettingsError>, Option<Result<<R as Remediation>::State, CallError>>);

impl Engine {
    /// Settings and state; one after the other only when the settings are at hand and may make the reading needless.
    pub(super) async fn look<R: Remediation>(
        &self,
        remediation: &R,
        delivery: &Delivery,
        resource: &Resource,
        target: &R::Target,
    ) -> Looked<R> {
        let settings_are_at_hand = delivery.rule.is_none() || self.tags.remembered(delivery).is_some();
        if settings_are_at_hand {
            let wanted = self.settings(remediation, delivery).await;
            let is_worth_it = matches!(&wanted, Ok(Some(wanted)) if wanted.common.mode != Mode::Off);
            let state = match is_worth_it {
                false => None,
                true if self.environment.from_event_alone => remediation.state_of_event(resource, target).map(Ok),
                true => Some(self.read(remediation, resource, target).await),
            };
            return (wanted, state);
        }
        let (wanted, state) =
            tokio::join!(self.settings(remediation, delivery), self.read(remediation, resource, target));
        (wanted, Some(state))
    }

    /// The live state.
    pub(super) async fn read<R: Remediation>(
        &self,
        remediation: &R,
        resource: &Resource,
        target: &R::Target,
    ) -> Result<R::State, CallError> {
        let scope = self.aws.scope(resource).await?;
        remediation.read(&scope, resource, target).await
    }

    /// `None` when the rule is for other remediations.
    async fn settings<R: Remediation>(
        &self,
        remediation: &R,
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
        let is_meant =
            common.remediations.as_ref().is_none_or(|names| names.iter().any(|name| name == remediation.name()));
        if !is_meant {
            return Ok(None);
        }
        let own = remediation.settings(&tags)?;
        Ok(Some(Wanted { common, own }))
    }
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
