//! The one engine that runs every remediation: the way of one event, from what was heard to what became of it.
//!
//! `look` reads the owner's settings and the live state and claims the outcome, side by side; `take_back` judges, asks the
//! guard, makes the calls and looks again; `undo` puts things back as they were found; here stands what comes before and
//! after.

mod contain;
mod keep;
mod look;
mod take_back;
mod undo;

pub(crate) use undo::Undoing;

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rescind::arn::Arn;
use rescind::guard;
use rescind::journal::Phase;
use rescind::settings::{Mode, Settings, SettingsError};
use rescind::signal::{Fact, Signal};
use rescind::verdict::Assessment;
use rescind::{Delivery, Outcome, Plan, Resource, Status, Step, Verdict};
use tracing::{error, info};

use crate::aws::{Aws, CallFailure};
use crate::environment::Environment;
use crate::journal::{Claim, Containments, Ending, Entry, Held, History, Journal, is_taken_over};
use crate::remediation::{Function, Heard, Remediation, Subject};
use crate::settings::RuleTags;
use crate::{bus, clock, metrics};

/// Deliveries after which a failure is told: Lambda tries an event three times.
const TELL_FAILURE_AFTER: u64 = 3;

/// The engine of one function.
#[derive(Debug)]
pub struct Engine {
    function: Function,
    environment: Environment,
    aws: Aws,
    tags: RuleTags,
    journal: Option<Journal>,
}

/// Why a remediation is run.
#[derive(Debug, Clone, Copy)]
pub enum Cause<'a> {
    /// A signal came in.
    Signal,
    /// A person approved the plan of one outcome.
    Approval {
        /// The outcome.
        id: &'a str,
        /// The plan.
        steps: &'a [Step],
    },
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
    cause: Cause<'a>,
    resource: Resource,
    target: R::Target,
    wanted: Wanted<R>,
    held: Option<Box<Held>>,
    history: History,
    containments: Containments,
    own_roles: &'a [String],
}

/// What came out.
enum Conclusion {
    /// An outcome of this delivery, to be kept and told.
    New { outcome: Outcome, held: Option<Box<Held>>, ending: Ending },
    /// An earlier delivery's outcome, and whether somebody still has to tell it.
    Old { outcome: Outcome, is_untold: bool },
    /// Another delivery works on it; it is neither kept nor told.
    Busy(Outcome),
}

impl<R: Remediation> Work<'_, R> {
    fn subject<'s>(&'s self, state: &'s R::State) -> Subject<'s, R> {
        Subject {
            resource: &self.resource,
            target: &self.target,
            state,
            common: &self.wanted.common,
            settings: &self.wanted.own,
            own_roles: self.own_roles,
            taken_back: &self.history.reverts,
        }
    }

    fn assess(&self, state: &R::State) -> Assessment<R::Offender> {
        self.remediation.assess(&self.subject(state))
    }

    fn plan(&self, state: &R::State, offenders: &[R::Offender]) -> Plan {
        self.remediation.plan(&self.subject(state), offenders)
    }

    /// The plan as far as the event tells it.
    fn plan_of_event(&self, live: &R::State) -> Plan {
        let told = self.remediation.state_of_event(&self.resource, &self.target, Some(live));
        let Some(state) = told else { return Plan::default() };
        match self.assess(&state) {
            Assessment::Risky { offenders, .. } => self.plan(&state, &offenders),
            _ => Plan::default(),
        }
    }

    fn history_key(&self) -> String {
        history_key(R::NAME, &self.remembered(), &self.delivery.signal)
    }

    /// The resource as the journal remembers it.
    fn remembered(&self) -> Resource {
        remembered(self.remediation, &self.resource)
    }
}

/// A resource as the journal remembers it.
fn remembered<R: Remediation>(remediation: &R, resource: &Resource) -> Resource {
    Resource { id: remediation.remembered_as(&resource.id).to_owned(), ..resource.clone() }
}

/// Where the journal remembers what was taken back from a principal on a resource.
fn history_key(remediation: &str, resource: &Resource, signal: &Signal) -> String {
    let principal = signal.actor().map_or(ANYBODY, |actor| actor.principal.as_deref().unwrap_or(&actor.arn));
    repeat_key(remediation, resource, principal)
}

/// Stands for the principal where a service reports a state, and not who made it so.
const ANYBODY: &str = "*";

fn repeat_key(remediation: &str, resource: &Resource, principal: &str) -> String {
    let Resource { account, region, id, .. } = resource;
    format!("repeat/{remediation}/{account}/{region}/{id}/{principal}").chars().take(1000).collect()
}

impl Engine {
    pub(crate) fn new(function: Function, environment: Environment) -> Self {
        let aws = Aws::new(&environment);
        let journal = environment
            .journal
            .clone()
            .filter(|_| !environment.from_event_alone)
            .map(|table| Journal::new(table, environment.function_name.clone()));
        Self { function, environment, aws, tags: RuleTags::default(), journal }
    }

    /// The outcomes of every remediation that the delivery concerns.
    pub(crate) async fn run(&self, delivery: &Delivery) -> Vec<Outcome> {
        let mut remediations = self.function.remediations.to_vec();
        // The template names a rule for its remediation. Run first, that one need not wait for the tags; and when it is
        // the others' turn, the tags are known, and nothing is read for those that the rule is not for.
        let rule = delivery.rule.as_ref().map(Arn::resource).unwrap_or_default();
        remediations.sort_by_key(|remediation| !rule.contains(remediation.name()));
        let mut outcomes = Vec::new();
        for remediation in remediations {
            outcomes.extend(remediation.run(self, delivery, Cause::Signal).await);
        }
        outcomes
    }

    /// Runs one remediation for one delivery, for each resource that it is about, and tells what became of it.
    pub(crate) async fn remediate<R: Remediation>(
        &self,
        remediation: &R,
        delivery: &Delivery,
        cause: Cause<'_>,
    ) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        for heard in remediation.listen(&delivery.signal) {
            if let Cause::Approval { id, .. } = cause
                && Outcome::id_of(&delivery.signal, R::NAME, heard.resource()) != id
            {
                continue;
            }
            outcomes.extend(Box::pin(self.remediate_one(remediation, delivery, cause, heard)).await);
        }
        outcomes
    }

    /// As [`Engine::remediate`], for one resource.
    async fn remediate_one<R: Remediation>(
        &self,
        remediation: &R,
        delivery: &Delivery,
        cause: Cause<'_>,
        heard: Heard<R::Target>,
    ) -> Option<Outcome> {
        let (started, calls) = (Instant::now(), self.aws.calls());
        let signal = &delivery.signal;
        let outcome = Outcome::begin(signal, R::NAME, heard.resource());
        let mut conclusion = self.conclude(remediation, delivery, cause, heard, outcome).await?;
        if let Conclusion::New { outcome, held: Some(held), .. } = &mut conclusion
            && outcome.steps.is_empty()
        {
            // What earlier deliveries made stays known, and can be undone, however this one ended.
            outcome.steps = held.earlier.steps_made(&[], |_| false);
        }
        if let Conclusion::New { outcome, ending, .. } = &mut conclusion {
            let came_to_nothing = matches!(outcome.status, Status::Failed | Status::Misconfigured);
            ending.still_awaits = came_to_nothing && matches!(cause, Cause::Approval { .. });
        }
        if let Conclusion::New { outcome, .. } | Conclusion::Busy(outcome) = &mut conclusion {
            let since_event = |time: DateTime<Utc>| (time - signal.time).num_milliseconds().max(0);
            outcome.timing.event_to_ingested_ms = delivery.ingested.map(since_event);
            outcome.timing.event_to_done_ms = since_event(clock::now());
            outcome.timing.handler_ms = i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX);
            outcome.timing.aws_calls = self.aws.calls() - calls;
        }
        Some(self.record(conclusion).await)
    }

    /// Everything between hearing of a change and recording what became of it.
    async fn conclude<R: Remediation>(
        &self,
        remediation: &R,
        delivery: &Delivery,
        cause: Cause<'_>,
        heard: Heard<R::Target>,
        mut outcome: Outcome,
    ) -> Option<Conclusion> {
        let signal = &delivery.signal;
        if let Some(reason) = changed_nothing(signal) {
            return Some(Conclusion::unkept(outcome.concluded(Verdict::Harmless, Status::Ignored, &reason)));
        }
        if guard::is_own_change(signal.actor(), &self.environment.own_roles) {
            let outcome = outcome.concluded(Verdict::NotApplicable, Status::Ignored, "Rescind itself made this change");
            return Some(Conclusion::unkept(outcome));
        }
        let (resource, target) = match heard {
            Heard::About { resource, target } => (resource, target),
            Heard::Harmless { reason, .. } => return self.harmless::<R>(delivery, &reason, outcome).await,
            Heard::Unreadable { reason, .. } => {
                return self.unreadable::<R>(delivery, cause, &reason, outcome).await;
            }
        };
        let looked = self.look(remediation, delivery, cause, &resource, &target, &outcome.id).await;
        let held = match looked.claim {
            None => None,
            Some(Ok(Claim::Ours(held))) => Some(held),
            Some(Ok(Claim::Closed(entry))) => {
                return Some(Conclusion::old(*entry, outcome));
            }
            Some(Ok(Claim::Busy)) => return Some(Conclusion::Busy(busy(outcome))),
            Some(Err(problem)) => {
                let reason = format!("nothing was changed, since the journal could not be written: {problem}");
                return Some(Conclusion::Busy(outcome.concluded(Verdict::NotApplicable, Status::Failed, &reason)));
            }
        };
        let wanted = match looked.wanted {
            Ok(Some(wanted)) => wanted,
            Ok(None) => {
                self.give_up(held.as_deref()).await;
                return None;
            }
            Err(problem) => {
                let try_again = matches!(problem, SettingsError::Unreadable(_));
                let outcome = outcome.concluded(Verdict::NotApplicable, Status::Misconfigured, &problem.to_string());
                return Some(Conclusion::New {
                    outcome: Outcome { try_again, ..outcome },
                    held,
                    ending: Ending::default(),
                });
            }
        };
        outcome.mode = wanted.common.mode;
        if wanted.common.mode == Mode::Off {
            let outcome = outcome.concluded(Verdict::NotApplicable, Status::Ignored, "`rescind:mode` is `off`");
            return Some(Conclusion::New { outcome, held, ending: Ending::default() });
        }
        let (state, (history, containments)) = match (looked.state, looked.history) {
            (Some(Ok(state)), Ok(history)) => (state, history),
            (Some(Err(problem)), _) | (_, Err(problem)) => {
                let reason = format!("nothing was changed: {problem}");
                let outcome = outcome.concluded(Verdict::NotApplicable, Status::Failed, &reason);
                return Some(Conclusion::New { outcome, held, ending: Ending::default() });
            }
            (None, Ok(_)) => {
                let reason =
                    "this event does not tell how the resource stands, and `RESCIND_STATE=event` forbids to look";
                return Some(Conclusion::unkept(outcome.concluded(Verdict::NotApplicable, Status::Ignored, reason)));
            }
        };
        let own_roles = &self.environment.own_roles;
        let work =
            Work { remediation, delivery, cause, resource, target, wanted, held, history, containments, own_roles };
        let mut ending = Ending::default();
        let outcome = self.judge(&work, state, outcome, &mut ending).await;
        if ending.is_busy {
            self.give_up(work.held.as_deref()).await;
            return Some(Conclusion::Busy(outcome));
        }
        Some(Conclusion::New { outcome, held: work.held, ending })
    }

    /// What the signal itself tells to be harmless. It needs no claim: told twice, it says the same.
    async fn harmless<R: Remediation>(
        &self,
        delivery: &Delivery,
        reason: &str,
        mut outcome: Outcome,
    ) -> Option<Conclusion> {
        let outcome = match self.settings::<R>(delivery).await {
            Ok(None) => return None,
            Ok(Some(wanted)) => {
                outcome.mode = wanted.common.mode;
                outcome.concluded(Verdict::Harmless, Status::Ignored, reason)
            }
            Err(problem) => {
                let try_again = matches!(problem, SettingsError::Unreadable(_));
                let outcome = outcome.concluded(Verdict::NotApplicable, Status::Misconfigured, &problem.to_string());
                Outcome { try_again, ..outcome }
            }
        };
        Some(Conclusion::unkept(outcome))
    }

    /// What can't be judged, since the signal does not tell what it is about.
    async fn unreadable<R: Remediation>(
        &self,
        delivery: &Delivery,
        cause: Cause<'_>,
        reason: &str,
        mut outcome: Outcome,
    ) -> Option<Conclusion> {
        if let Ok(wanted) = self.settings::<R>(delivery).await {
            let wanted = wanted?;
            outcome.mode = wanted.common.mode;
            if wanted.common.mode == Mode::Off {
                let outcome = outcome.concluded(Verdict::NotApplicable, Status::Ignored, "`rescind:mode` is `off`");
                return Some(Conclusion::unkept(outcome));
            }
        }
        let held = match self.claim(delivery, cause, &outcome.id).await {
            Some(Ok(Claim::Ours(held))) => Some(held),
            Some(Ok(Claim::Closed(entry))) => return Some(Conclusion::old(*entry, outcome)),
            Some(Ok(Claim::Busy)) => return Some(Conclusion::Busy(busy(outcome))),
            Some(Err(_)) | None => None,
        };
        let outcome = outcome.concluded(Verdict::Risky, Status::Failed, reason);
        Some(Conclusion::New { outcome, held, ending: Ending::default() })
    }

    /// Keeps and tells a conclusion. None of it can change what became of the change.
    async fn record(&self, conclusion: Conclusion) -> Outcome {
        match conclusion {
            Conclusion::Busy(outcome) => {
                info!(outcome_id = outcome.id, reason = outcome.reason, "left to another delivery");
                Outcome { try_again: true, ..outcome }
            }
            Conclusion::Old { outcome, is_untold } => {
                let try_again = is_untold && !self.publish(&outcome).await;
                Outcome { try_again, ..outcome }
            }
            Conclusion::New { mut outcome, held, ending } => {
                self.log(&outcome);
                let Some((journal, held)) = self.journal.as_ref().zip(held) else {
                    self.tell(&outcome).await;
                    return outcome;
                };
                let is_news = ending.is_another_plan || held.told() != Some(outcome.status.as_str());
                let is_early = outcome.status == Status::Failed && held.earlier.attempts + 1 < TELL_FAILURE_AFTER;
                let is_to_be_told = is_news && !is_early && !outcome.is_told;
                let telling = (is_to_be_told || outcome.is_told).then(|| self.lease());
                if let Err(problem) = journal.finish(&self.aws, &held, &outcome, &ending, telling).await {
                    error!(outcome_id = outcome.id, "the outcome was not journaled: {problem}");
                    // Whoever took it over tells it; else the next delivery does, unless it will meet the same.
                    outcome.try_again = !is_taken_over(&problem);
                    if outcome.try_again && problem.failure != CallFailure::Transient && is_to_be_told {
                        self.tell(&outcome).await;
                    }
                    return outcome;
                }
                if outcome.is_told {
                    self.mark_told(&outcome).await;
                } else if is_to_be_told && !self.publish(&outcome).await {
                    self.give_up(Some(&held)).await;
                    outcome.try_again = true;
                }
                outcome
            }
        }
    }

    /// Writes an outcome into the log and counts it.
    fn log(&self, outcome: &Outcome) {
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
    }

    /// Puts an outcome that is kept on the bus, and remembers that it was. Answers whether it is there.
    async fn publish(&self, outcome: &Outcome) -> bool {
        let is_there = self.tell(outcome).await;
        if is_there && self.environment.bus.is_some() {
            self.mark_told(outcome).await;
        }
        is_there
    }

    /// Puts an outcome on the bus. Answers whether it is there.
    async fn tell(&self, outcome: &Outcome) -> bool {
        let Some(bus) = self.environment.bus.as_ref().filter(|_| !self.environment.from_event_alone) else {
            return true;
        };
        let told = bus::publish(&self.aws, bus, outcome).await;
        told.inspect_err(|problem| error!(outcome_id = outcome.id, "the outcome was not published: {problem}")).is_ok()
    }

    async fn mark_told(&self, outcome: &Outcome) {
        if let Some(journal) = &self.journal
            && let Err(problem) = journal.mark_told(&self.aws, &outcome.id, outcome.status.as_str()).await
        {
            error!(outcome_id = outcome.id, "that people know of the outcome was not journaled: {problem}");
        }
    }

    async fn give_up(&self, held: Option<&Held>) {
        if let Some((journal, held)) = self.journal.as_ref().zip(held)
            && let Err(problem) = journal.release(&self.aws, held).await
        {
            error!("a claim was not given up: {problem}");
        }
    }

    /// How long a claim holds: longer than the function can run.
    fn lease(&self) -> Duration {
        self.environment.lease
    }

    /// From which phases an outcome may be claimed. An approval that was cut off leaves the plan that it was about open.
    fn phases_to_claim_from(cause: Cause<'_>) -> &'static [Phase] {
        match cause {
            Cause::Signal => &[Phase::Open],
            Cause::Approval { .. } => &[Phase::Awaiting, Phase::Open],
        }
    }
}

impl Conclusion {
    /// What another delivery left; `outcome` is for the case that it left nothing to read.
    fn old(entry: Entry, outcome: Outcome) -> Self {
        let Some(kept) = entry.outcome else { return Self::Busy(busy(outcome)) };
        let is_untold = entry.told.as_deref() != Some(kept.status.as_str());
        // Should the one that tells it be cut off, this delivery comes again and tells it.
        if is_untold && entry.is_held { Self::Busy(busy(outcome)) } else { Self::Old { outcome: kept, is_untold } }
    }

    /// One that needs no entry in the journal: nothing was read.
    fn unkept(outcome: Outcome) -> Self {
        Self::New { outcome, held: None, ending: Ending::default() }
    }
}

fn busy(outcome: Outcome) -> Outcome {
    outcome.concluded(Verdict::NotApplicable, Status::Failed, "another delivery of this event is being worked on")
}

/// Why a signal reports no change at all, if it does not.
fn changed_nothing(signal: &Signal) -> Option<String> {
    match &signal.fact {
        Fact::ApiCall(call) => call.changed_nothing(),
        Fact::ConfigurationItemChange(_) | Fact::ComplianceChange(_) => None,
        Fact::Finding(finding) => finding.calls_for_nothing().map(str::to_owned),
    }
}
