//! Takes a change back: judges it, asks the guard, makes the calls and looks again.

use std::time::Duration;

use rescind::guard::{self, Permission, Question};
use rescind::journal::Revert;
use rescind::plan::StepState;
use rescind::verdict::Assessment;
use rescind::{Outcome, Plan, Status, Step, Verdict};
use tracing::error;

use super::{Cause, Engine, Work};
use crate::aws::{CallError, CallFailure, Scope};
use crate::clock;
use crate::journal::Ending;
use crate::remediation::Remediation;

/// Waits between looks at a resource that may not show a change yet: AWS's reads are eventually consistent (Amazon EC2
/// developer guide, *Eventual consistency*).
const LOOKS: [Duration; 4] =
    [Duration::from_millis(100), Duration::from_millis(200), Duration::from_millis(400), Duration::from_millis(800)];
/// How old a change has to be for a read to show it for certain.
const SETTLED_AFTER: chrono::TimeDelta = chrono::TimeDelta::seconds(30);
/// How often a plan is made anew because somebody else changed the resource meanwhile.
const ROUNDS: usize = 3;

impl Engine {
    /// Judges a resource as it stands, and answers.
    pub(super) async fn judge<R: Remediation>(
        &self,
        work: &Work<'_, R>,
        mut state: R::State,
        mut outcome: Outcome,
        ending: &mut Ending,
    ) -> Outcome {
        if let Some(id) = work.remediation.resource_id(&state) {
            outcome.resource.id = id.to_owned();
        }
        let mut assessment = work.assess(&state);
        let is_fresh = clock::now() - work.delivery.signal.time < SETTLED_AFTER;
        if is_fresh && !self.environment.from_event_alone {
            // "Gone already" may be "not to be seen yet".
            for wait in LOOKS.iter().take(3) {
                if !matches!(assessment, Assessment::AlreadySafe { .. }) || work.may_have_acted() {
                    break;
                }
                tokio::time::sleep(*wait).await;
                state = match self.read(work.remediation, &work.resource, &work.target).await {
                    Ok(state) => state,
                    Err(_) => continue,
                };
                assessment = work.assess(&state);
            }
        }
        match assessment {
            Assessment::Harmless { reason } => outcome.concluded(Verdict::Harmless, Status::Ignored, &reason),
            Assessment::AlreadySafe { reason } if work.may_have_acted() => {
                outcome.steps = work.steps_of_earlier(&state);
                ending.after = Some(work.remediation.facts(&state));
                let reason =
                    format!("{reason}: an earlier delivery took it back and was cut off before it could say so");
                outcome.concluded(Verdict::Risky, Status::Reverted, &reason)
            }
            Assessment::AlreadySafe { reason } => outcome.concluded(Verdict::Risky, Status::AlreadySafe, &reason),
            Assessment::Unclear { reason } => outcome.concluded(Verdict::Risky, Status::Failed, &reason),
            Assessment::Risky { reason, evidence, offenders } => {
                let outcome = Outcome { evidence, ..outcome };
                self.answer_risk(work, &state, offenders, &reason, outcome, ending).await
            }
        }
    }

    async fn answer_risk<R: Remediation>(
        &self,
        work: &Work<'_, R>,
        state: &R::State,
        offenders: Vec<R::Offender>,
        reason: &str,
        mut outcome: Outcome,
        ending: &mut Ending,
    ) -> Outcome {
        let permission = guard::may_act(&Question {
            signal: &work.delivery.signal,
            settings: &work.wanted.common,
            resource_tags: work.remediation.resource_tags(state),
            now: clock::now(),
            from_event_alone: self.environment.from_event_alone,
            is_approved: matches!(work.cause, Cause::Approval(_)),
        });
        match permission {
            Permission::Exempt(by) => {
                return outcome.concluded(Verdict::Exempt, Status::Ignored, &format!("{reason}; left alone: {by}"));
            }
            Permission::Misconfigured(problem) => {
                let text = format!("{reason}; nothing was changed: {problem}");
                return outcome.concluded(Verdict::Risky, Status::Misconfigured, &text);
            }
            Permission::ShowOnly | Permission::Ask | Permission::Act => {}
        }
        let Sorted { to_take_back, fought, put_back } = work.sort(offenders);
        if to_take_back.is_empty() && !put_back.is_empty() {
            let text = format!("{reason}; left alone: a person put it back with `undo`");
            return outcome.concluded(Verdict::Exempt, Status::Ignored, &text);
        }
        if to_take_back.is_empty() && !fought.is_empty() {
            return self.stand_back(work, reason, outcome).await;
        }
        let plan = work.plan(state, &to_take_back);
        let reason = match &plan.note {
            Some(note) => format!("{reason}; {note}"),
            None => reason.to_owned(),
        };
        match (permission, work.cause) {
            (Permission::ShowOnly, _) => {
                outcome.steps = plan.steps;
                let alone = if self.environment.from_event_alone {
                    "; judged by the event alone, nothing was read"
                } else {
                    ""
                };
                outcome.concluded(Verdict::Risky, Status::WouldRevert, &format!("{reason}{alone}"))
            }
            (Permission::Ask, _) => {
                outcome.steps = plan.steps;
                outcome.concluded(Verdict::Risky, Status::AwaitingApproval, &reason)
            }
            (_, Cause::Approval(planned)) if !is_same_plan(planned, &plan.steps) => {
                outcome.steps = plan.steps;
                let text = format!(
                    "{reason}; the resource has changed since the plan was made, so this one waits for an approval of its own"
                );
                outcome.concluded(Verdict::Risky, Status::AwaitingApproval, &text)
            }
            _ => {
                let changes = to_take_back.iter().map(|offender| work.remediation.fingerprint(offender)).collect();
                ending.before = Some(work.remediation.facts(state));
                let outcome = self.act(work, state, plan, &reason, outcome, ending).await;
                if outcome.status == Status::Reverted {
                    self.remember_revert(work, &outcome.id, changes).await;
                }
                outcome
            }
        }
    }

    /// Journals the steps where the event alone does not tell their inverses, and takes the change back.
    async fn act<R: Remediation>(
        &self,
        work: &Work<'_, R>,
        state: &R::State,
        plan: Plan,
        reason: &str,
        outcome: Outcome,
        ending: &mut Ending,
    ) -> Outcome {
        let failed = |outcome: Outcome, what: &CallError| {
            outcome.concluded(Verdict::Risky, Status::Failed, &format!("{reason}; nothing was changed: {what}"))
        };
        if let Some((journal, held)) = self.journal.as_ref().zip(work.held.as_deref())
            && !is_same_plan(&work.plan_of_event(state).steps, &plan.steps)
            && let Err(problem) = journal.note_steps(&self.aws, held, &plan.steps).await
        {
            return failed(outcome, &problem);
        }
        match self.aws.scope(&work.resource).await {
            Ok(scope) => self.take_back(work, &scope, plan, reason, outcome, ending).await,
            Err(problem) => failed(outcome, &problem),
        }
    }

    /// Takes no part in a fight. Told once; what follows is only kept.
    async fn stand_back<R: Remediation>(&self, work: &Work<'_, R>, reason: &str, outcome: Outcome) -> Outcome {
        let limit = work.wanted.common.repeat_limit;
        let text = format!(
            "{reason}; left as it is: it was taken back {} times within {} minutes and came again each time",
            limit.reverts,
            limit.within.num_minutes()
        );
        let mut outcome = outcome.concluded(Verdict::Risky, Status::StandingBack, &text);
        if let Some(journal) = &self.journal {
            match journal.begins_to_stand_back(&self.aws, &work.history_key(), &outcome.id, limit.within).await {
                Ok(begins) => outcome.is_told = !begins,
                Err(problem) => {
                    error!(outcome_id = outcome.id, "that Rescind stands back was not journaled: {problem}");
                }
            }
        }
        outcome
    }

    async fn remember_revert<R: Remediation>(&self, work: &Work<'_, R>, outcome: &str, changes: Vec<String>) {
        let Some(journal) = &self.journal else { return };
        let revert = Revert { outcome: outcome.to_owned(), at: clock::now(), changes };
        if let Err(problem) = journal.remember_revert(&self.aws, &work.history_key(), &work.history, &revert).await {
            error!("a revert was not remembered for the repeat limit: {problem}");
        }
    }

    /// Makes the calls of a plan and looks again. When somebody else changed the resource meanwhile, the plan is made
    /// anew for what is there now.
    async fn take_back<R: Remediation>(
        &self,
        work: &Work<'_, R>,
        scope: &Scope,
        mut plan: Plan,
        reason: &str,
        mut outcome: Outcome,
        ending: &mut Ending,
    ) -> Outcome {
        let failed = |outcome: Outcome, what: String| {
            outcome.concluded(Verdict::Risky, Status::Failed, &format!("{reason}; {what}"))
        };
        for _ in 0..ROUNDS {
            let problem = self.make(work, scope, plan, &mut outcome.steps).await.err();
            match (self.look_again(work, problem.is_none()).await, problem) {
                (Seen::Safe(state), problem) => {
                    ending.after = Some(work.remediation.facts(&state));
                    // A call that got no answer may well have worked.
                    let unheard = problem.is_some_and(|problem| problem.failure == CallFailure::Transient);
                    for step in &mut outcome.steps {
                        if step.state == StepState::Failed && unheard {
                            step.state = StepState::Done;
                        }
                    }
                    if outcome.steps.iter().any(|step| step.state == StepState::Done) {
                        return outcome.concluded(Verdict::Risky, Status::Reverted, reason);
                    }
                    if work.may_have_acted() {
                        outcome.steps = work.steps_of_earlier(&state);
                        return outcome.concluded(Verdict::Risky, Status::Reverted, reason);
                    }
                    let text = format!("{reason}; somebody else took it back first");
                    return outcome.concluded(Verdict::Risky, Status::AlreadySafe, &text);
                }
                // What was planned for is gone, and something risky is there: look at it as it is now.
                (Seen::Risky { state, offenders, .. }, Some(problem)) if problem.failure == CallFailure::Gone => {
                    plan = work.plan(&state, &offenders);
                }
                (_, Some(problem)) => return failed(outcome, format!("not taken back: {problem}")),
                (Seen::Risky { reason: still, .. }, None) => {
                    return failed(outcome, format!("the calls were accepted, but the read-back still shows: {still}"));
                }
                (Seen::Unclear(what), None) => {
                    return failed(outcome, format!("the calls were accepted, but not verified: {what}"));
                }
            }
        }
        failed(outcome, "the resource kept changing while it was taken back".to_owned())
    }

    /// Makes the calls of a plan, in their order, until one fails.
    async fn make<R: Remediation>(
        &self,
        work: &Work<'_, R>,
        scope: &Scope,
        plan: Plan,
        made: &mut Vec<Step>,
    ) -> Result<(), CallError> {
        for mut step in plan.steps {
            let sent = self.aws.calls();
            let result = work.remediation.make(scope, &step.call).await;
            step.state = match &result {
                Ok(()) => StepState::Done,
                // An earlier try of this very call may have worked without our hearing of it.
                Err(problem) if problem.failure == CallFailure::Gone && self.aws.calls() - sent > 1 => StepState::Done,
                Err(problem) if problem.failure == CallFailure::Gone => StepState::Gone,
                Err(_) => StepState::Failed,
            };
            let went_well = step.state == StepState::Done;
            made.push(step);
            if !went_well {
                return result;
            }
        }
        Ok(())
    }

    /// Reads the resource back. When the calls were accepted, a read may lag behind them, so it is given some time.
    async fn look_again<R: Remediation>(&self, work: &Work<'_, R>, calls_were_accepted: bool) -> Seen<R> {
        let mut waits = LOOKS.iter();
        loop {
            let seen = match self.read(work.remediation, &work.resource, &work.target).await {
                Err(problem) => Seen::Unclear(problem.to_string()),
                Ok(state) => match work.assess(&state) {
                    Assessment::Harmless { .. } | Assessment::AlreadySafe { .. } => return Seen::Safe(state),
                    Assessment::Unclear { reason } => Seen::Unclear(reason),
                    Assessment::Risky { reason, offenders, .. } => match work.sort(offenders).to_take_back {
                        left if left.is_empty() => return Seen::Safe(state),
                        offenders => Seen::Risky { reason, offenders, state },
                    },
                },
            };
            match waits.next() {
                Some(wait) if calls_were_accepted => tokio::time::sleep(*wait).await,
                _ => return seen,
            }
        }
    }
}

/// What the read-back shows.
enum Seen<R: Remediation> {
    Safe(R::State),
    Risky { reason: String, offenders: Vec<R::Offender>, state: R::State },
    Unclear(String),
}

/// Offenders by what is to be done about them.
struct Sorted<O> {
    to_take_back: Vec<O>,
    /// Taken back so often that it is a fight.
    fought: Vec<O>,
    /// Put back by a person, and reported once more by a service that only looks at the state.
    put_back: Vec<O>,
}

impl<R: Remediation> Work<'_, R> {
    fn sort(&self, offenders: Vec<R::Offender>) -> Sorted<R::Offender> {
        let mut sorted = Sorted { to_take_back: Vec::new(), fought: Vec::new(), put_back: Vec::new() };
        let is_a_change = self.delivery.signal.actor().is_some();
        let is_approved = matches!(self.cause, Cause::Approval(_));
        for offender in offenders {
            let change = self.remediation.fingerprint(&offender);
            if !is_a_change && self.history.undone.contains(&change) {
                sorted.put_back.push(offender);
            } else if !is_approved
                && self.wanted.common.repeat_limit.is_reached(&self.history.reverts, &change, clock::now())
            {
                sorted.fought.push(offender);
            } else {
                sorted.to_take_back.push(offender);
            }
        }
        sorted
    }

    fn may_have_acted(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.earlier.may_have_acted())
    }

    /// The steps that an earlier delivery made without being able to say so.
    fn steps_of_earlier(&self, live: &R::State) -> Vec<Step> {
        let noted = self.held.as_ref().map(|held| held.earlier.plan.clone()).unwrap_or_default();
        let steps = if noted.is_empty() { self.plan_of_event(live).steps } else { noted };
        steps.into_iter().map(|step| Step { state: StepState::Done, ..step }).collect()
    }
}

/// Whether two plans make the same calls and are undone by the same ones.
fn is_same_plan(a: &[Step], b: &[Step]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.call == b.call && a.inverse == b.inverse)
}
