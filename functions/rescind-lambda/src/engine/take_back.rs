//! Takes a change back: judges it, asks the guard, makes the calls and looks again.

use std::time::Duration;

use rescind::guard::{self, Permission, Question};
use rescind::plan::StepState;
use rescind::verdict::Assessment;
use rescind::{Outcome, Plan, Status, Step, Verdict};

use super::{Engine, Work};
use crate::aws::{CallError, CallFailure, Scope};
use crate::clock;
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
    ) -> Outcome {
        if let Some(id) = work.remediation.resource_id(&state) {
            outcome.resource.id = id.to_owned();
        }
        let mut assessment = work.assess(&state);
        let is_fresh = clock::now() - work.delivery.signal.time < SETTLED_AFTER;
        if is_fresh && !self.environment.from_event_alone {
            // "Gone already" may be "not to be seen yet".
            for wait in LOOKS.iter().take(3) {
                if !matches!(assessment, Assessment::AlreadySafe { .. }) {
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
            Assessment::AlreadySafe { reason } => outcome.concluded(Verdict::Risky, Status::AlreadySafe, &reason),
            Assessment::Unclear { reason } => outcome.concluded(Verdict::Risky, Status::Failed, &reason),
            Assessment::Risky { reason, evidence, offenders } => {
                let outcome = Outcome { evidence, ..outcome };
                self.answer_risk(work, &state, &offenders, &reason, outcome).await
            }
        }
    }

    async fn answer_risk<R: Remediation>(
        &self,
        work: &Work<'_, R>,
        state: &R::State,
        offenders: &[R::Offender],
        reason: &str,
        mut outcome: Outcome,
    ) -> Outcome {
        let permission = guard::may_act(&Question {
            signal: &work.delivery.signal,
            settings: &work.wanted.common,
            resource_tags: work.remediation.resource_tags(state),
            now: clock::now(),
            from_event_alone: self.environment.from_event_alone,
        });
        let plan = work.plan(state, offenders);
        let reason = match &plan.note {
            Some(note) => format!("{reason}; {note}"),
            None => reason.to_owned(),
        };
        match permission {
            Permission::Exempt(by) => {
                outcome.concluded(Verdict::Exempt, Status::Ignored, &format!("{reason}; left alone: {by}"))
            }
            Permission::Misconfigured(problem) => outcome.concluded(
                Verdict::Risky,
                Status::Misconfigured,
                &format!("{reason}; nothing was changed: {problem}"),
            ),
            Permission::ShowOnly => {
                outcome.steps = plan.steps;
                let alone = if self.environment.from_event_alone {
                    "; judged by the event alone, nothing was read"
                } else {
                    ""
                };
                outcome.concluded(Verdict::Risky, Status::WouldRevert, &format!("{reason}{alone}"))
            }
            Permission::Act => match self.aws.scope(&work.resource).await {
                Ok(scope) => self.take_back(work, &scope, plan, &reason, outcome).await,
                Err(problem) => outcome.concluded(Verdict::Risky, Status::Failed, &format!("{reason}; {problem}")),
            },
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
    ) -> Outcome {
        let failed = |outcome: Outcome, what: String| {
            outcome.concluded(Verdict::Risky, Status::Failed, &format!("{reason}; {what}"))
        };
        for _ in 0..ROUNDS {
            let problem = self.make(work, scope, plan, &mut outcome.steps).await.err();
            match (self.look_again(work, problem.is_none()).await, problem) {
                (Seen::Safe, problem) => {
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
                    Assessment::Harmless { .. } | Assessment::AlreadySafe { .. } => return Seen::Safe,
                    Assessment::Unclear { reason } => Seen::Unclear(reason),
                    Assessment::Risky { reason, offenders, .. } => Seen::Risky { reason, offenders, state },
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
    Safe,
    Risky { reason: String, offenders: Vec<R::Offender>, state: R::State },
    Unclear(String),
}
