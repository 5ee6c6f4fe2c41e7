//! The one engine that runs every remediation: the way of one event, from what was heard to what became of it.
//!
//! `look` reads the owner's settings and the live state side by side; `take_back` judges, asks the guard, makes the calls
//! and looks again; here stands what comes before and after.

mod look;
mod take_back;

use std::time::Instant;

use rescind::guard;
use rescind::settings::{Mode, Settings, SettingsError};
use rescind::signal::{Fact, Signal};
use rescind::verdict::Assessment;
use rescind::{Delivery, Outcome, Plan, Resource, Status, Verdict};
use tracing::{error, info};

use crate::aws::Aws;
use crate::environment::Environment;
use crate::remediation::{Function, Heard, Remediation, Subject};
use crate::settings::RuleTags;
use crate::{bus, clock, metrics};

/// The engine of one function.
#[derive(Debug)]
pub struct Engine {
    function: Function,
    environment: Environment,
    aws: Aws,
    tags: RuleTags,
}

/// The settings of one remediation, for one delivery.
struct Wanted<R: Remediation> {
    common: Settings,
    own: R::Settings,
}

/// What is being worked on.
struct Work<'a, R: Remediation> {
    remediation: &'a R,
    delivery: &'a Delivery,
    resource: Resource,
    target: R::Target,
    wanted: Wanted<R>,
}

impl<R: Remediation> Work<'_, R> {
    fn subject<'s>(&'s self, state: &'s R::State) -> Subject<'s, R> {
        Subject {
            resource: &self.resource,
            target: &self.target,
            state,
            common: &self.wanted.common,
            settings: &self.wanted.own,
        }
    }

    fn assess(&self, state: &R::State) -> Assessment<R::Offender> {
        self.remediation.assess(&self.subject(state))
    }

    fn plan(&self, state: &R::State, offenders: &[R::Offender]) -> Plan {
        self.remediation.plan(&self.subject(state), offenders)
    }
}

impl Engine {
    pub(crate) fn new(function: Function, environment: Environment) -> Self {
        let aws = Aws::new(environment.account.clone());
        Self { function, environment, aws, tags: RuleTags::default() }
    }

    /// The outcomes of every remediation that the delivery concerns.
    pub(crate) async fn run(&self, delivery: &Delivery) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        for remediation in self.function.remediations {
            outcomes.extend(remediation.run(self, delivery).await);
        }
        outcomes
    }

    /// Runs one remediation for one delivery and tells what became of it.
    pub(crate) async fn remediate<R: Remediation>(&self, remediation: &R, delivery: &Delivery) -> Option<Outcome> {
        let (started, calls) = (Instant::now(), self.aws.calls());
        let signal = &delivery.signal;
        let (resource, heard) = match remediation.listen(signal) {
            Heard::Nothing => return None,
            Heard::About { resource, target } => (resource, Ok(target)),
            Heard::Unreadable { resource, reason } => (resource, Err(reason)),
        };
        let outcome = Outcome::begin(signal, remediation.name(), &resource);
        let mut outcome = self.conclude(remediation, delivery, resource, heard, outcome).await?;
        let since_event = |time: chrono::DateTime<chrono::Utc>| (time - signal.time).num_milliseconds().max(0);
        outcome.timing.event_to_ingested_ms = delivery.ingested.map(since_event);
        outcome.timing.event_to_done_ms = since_event(clock::now());
        outcome.timing.handler_ms = i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX);
        outcome.timing.aws_calls = self.aws.calls() - calls;
        self.tell(&outcome).await;
        Some(outcome)
    }

    /// Everything between hearing of a change and telling what became of it.
    async fn conclude<R: Remediation>(
        &self,
        remediation: &R,
        delivery: &Delivery,
        resource: Resource,
        heard: Result<R::Target, String>,
        mut outcome: Outcome,
    ) -> Option<Outcome> {
        let signal = &delivery.signal;
        if let Some(reason) = changed_nothing(signal) {
            return Some(outcome.concluded(Verdict::Harmless, Status::Ignored, &reason));
        }
        if guard::is_own_change(signal.actor(), &self.environment.own_roles) {
            return Some(outcome.concluded(Verdict::NotApplicable, Status::Ignored, "Rescind itself made this change"));
        }
        let target = match heard {
            Ok(target) => target,
            Err(reason) => return Some(outcome.concluded(Verdict::Risky, Status::Failed, &reason)),
        };
        let (wanted, state) = self.look(remediation, delivery, &resource, &target).await;
        let wanted = match wanted {
            Ok(Some(wanted)) => wanted,
            Ok(None) => return None,
            Err(problem) => {
                let try_again = matches!(problem, SettingsError::Unreadable(_));
                let outcome = outcome.concluded(Verdict::NotApplicable, Status::Misconfigured, &problem.to_string());
                return Some(Outcome { try_again, ..outcome });
            }
        };
        outcome.mode = wanted.common.mode;
        if wanted.common.mode == Mode::Off {
            return Some(outcome.concluded(Verdict::NotApplicable, Status::Ignored, "`rescind:mode` is `off`"));
        }
        let work = Work { remediation, delivery, resource, target, wanted };
        Some(match state {
            Some(Ok(state)) => self.judge(&work, state, outcome).await,
            Some(Err(problem)) => {
                outcome.concluded(Verdict::NotApplicable, Status::Failed, &format!("nothing was changed: {problem}"))
            }
            None => outcome.concluded(
                Verdict::NotApplicable,
                Status::Ignored,
                "this event does not tell how the resource stands, and `RESCIND_STATE=event` forbids to look",
            ),
        })
    }

    /// Tells an outcome: the log, metrics, the bus. None of it can change what became of the change.
    async fn tell(&self, outcome: &Outcome) {
        let json = serde_json::to_string(outcome).unwrap_or_default();
        info!(
            outcome_id = outcome.id,
            remediation = outcome.remediation,
            status = outcome.status.as_str(),
            stack = self.environment.stack.as_deref().unwrap_or_default(),
            reason = outcome.reason,
            outcome = json,
            "outcome"
        );
        if self.environment.from_event_alone {
            return;
        }
        if let Err(problem) = metrics::count_outcome(outcome, &mut std::io::stdout().lock()) {
            error!(outcome_id = outcome.id, "the outcome was not counted: {problem}");
        }
        if let Some(bus) = &self.environment.bus
            && let Err(problem) = bus::publish(&self.aws, bus, outcome).await
        {
            error!(outcome_id = outcome.id, "the outcome was not published: {problem}");
        }
    }
}

/// Why a signal reports no change at all, if it does not.
fn changed_nothing(signal: &Signal) -> Option<String> {
    match &signal.fact {
        Fact::ApiCall(call) => call.changed_nothing(),
        Fact::ConfigurationItemChange(_) | Fact::ComplianceChange(_) => None,
    }
}
