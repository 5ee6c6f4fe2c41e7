//! Takes a change back: judges it, asks the guard, makes the calls and looks again.

use std::time::Duration;

use futures_util::future::join_all;
use rescind::guard::{self, Permission, Question};
use rescind::journal::{Facts, Limit, Revert};
use rescind::plan::StepState;
use rescind::settings::Mode;
use rescind::signal::Fact;
use rescind::verdict::{Assessment, Offender};
use rescind::{Outcome, Plan, Resource, Status, Step, Verdict};
use tracing::error;

use super::contain::Room;
use super::{ANYBODY, Cause, Engine, Work, remembered, repeat_key};
use crate::aws::{CallError, CallFailure, Scope, counted};
use crate::clock;
use crate::journal::{Ending, LeftAlone};
use crate::remediation::{Further, Remediation, ResourceState};

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
        if let Some(id) = state.id() {
            outcome.resource.id = id.to_owned();
        }
        let mut assessment = work.assess(&state);
        let is_fresh = clock::now() - work.delivery.signal.time < SETTLED_AFTER;
        if is_fresh && !self.environment.from_event_alone {
            // "Gone already" may be "not to be seen yet".
            for wait in LOOKS.iter().take(3) {
                if !matches!(assessment, Assessment::AlreadySafe { .. }) || !work.made_before(&state, true).is_empty() {
                    break;
                }
                tokio::time::sleep(*wait).await;
                state = match self.look_at(work).await {
                    Ok(state) => state,
                    Err(_) => continue,
                };
                assessment = work.assess(&state);
            }
        }
        outcome.steps = work.made_before(&state, !matches!(assessment, Assessment::Harmless { .. }));
        if let Assessment::Risky { reason, .. } | Assessment::Report { reason, .. } = &assessment
            && !self.environment.from_event_alone
            && let Err(problem) = self.keep_evidence(work, &state).await
        {
            let text = format!("{reason}; nothing was changed: {problem}");
            return outcome.concluded(Verdict::Risky, Status::Failed, &text);
        }
        match assessment {
            Assessment::Harmless { reason } if outcome.steps.is_empty() => {
                outcome.concluded(Verdict::Harmless, Status::Ignored, &reason)
            }
            Assessment::AlreadySafe { reason } if outcome.steps.is_empty() => {
                outcome.concluded(Verdict::Risky, Status::AlreadySafe, &reason)
            }
            // Where the signal does not tell what was changed, a resource that is closed by now looks harmless.
            Assessment::Report { reason, evidence } if outcome.steps.is_empty() => {
                let outcome = Outcome { evidence, ..outcome };
                match self.may_act(work, &state) {
                    Permission::ExemptActor(by) | Permission::ExemptResource(by) => {
                        outcome.concluded(Verdict::Exempt, Status::Ignored, &format!("{reason}; left alone: {by}"))
                    }
                    _ => outcome.concluded(Verdict::Risky, Status::Reported, &reason),
                }
            }
            Assessment::Harmless { reason }
            | Assessment::AlreadySafe { reason }
            | Assessment::Report { reason, .. } => {
                ending.before = Some(facts_before(&state, &outcome.steps));
                ending.after = Some(state.facts());
                let text = format!("{reason}: an earlier delivery was cut off or failed after it had asked for that");
                outcome.concluded(Verdict::Risky, Status::Reverted, &text)
            }
            Assessment::Unclear { reason } => outcome.concluded(Verdict::Risky, Status::Failed, &reason),
            Assessment::Risky { reason, evidence, offenders } => {
                let outcome = Outcome { evidence, ..outcome };
                self.answer_risk(work, &state, offenders, &reason, outcome, ending).await
            }
        }
    }

    async fn keep_evidence<R: Remediation>(&self, work: &Work<'_, R>, state: &R::State) -> Result<(), CallError> {
        let scope = self.aws.scope(&work.resource).await?;
        work.remediation.keep_evidence(&scope, &work.subject(state)).await
    }

    /// What the guard says.
    fn may_act<R: Remediation>(&self, work: &Work<'_, R>, state: &R::State) -> Permission {
        guard::may_act(&Question {
            signal: &work.delivery.signal,
            settings: &work.wanted.common,
            resource_tags: state.tags(),
            now: clock::now(),
            from_event_alone: self.environment.from_event_alone,
            is_approved: matches!(work.cause, Cause::Approval { .. }),
        })
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
        let permission = self.may_act(work, state);
        match &permission {
            Permission::ExemptActor(by) | Permission::ExemptResource(by) => {
                // Who made it, only this event tells. The tag is read anew each time, and may end.
                if matches!(permission, Permission::ExemptActor(_)) {
                    let changes = fingerprints(&offenders);
                    let resource = remembered(work.remediation, &outcome.resource);
                    self.leave_alone(&outcome, &resource, LeftAlone::Exempt, &changes).await;
                }
                return outcome.concluded(Verdict::Exempt, Status::Ignored, &format!("{reason}; left alone: {by}"));
            }
            Permission::Misconfigured(problem) => {
                let text = format!("{reason}; nothing was changed: {problem}");
                return outcome.concluded(Verdict::Risky, Status::Misconfigured, &text);
            }
            Permission::ShowOnly | Permission::Ask | Permission::Act => {}
        }
        let Sorted { to_take_back, fought, left_alone } = work.sort(offenders);
        let reason = match left_alone.first() {
            Some((_, why)) if to_take_back.is_empty() && fought.is_empty() => {
                let text = format!("{reason}; left alone: {}", why.in_words());
                return outcome.concluded(Verdict::Exempt, Status::Ignored, &text);
            }
            Some((change, why)) => format!("{reason}; {change} is left alone: {}", why.in_words()),
            None => reason.to_owned(),
        };
        if to_take_back.is_empty() && !fought.is_empty() {
            return self.stand_back(work, &reason, outcome, fought).await;
        }
        let plan = work.plan(state, &to_take_back);
        let reason = match &plan.note {
            Some(note) => format!("{reason}; {note}"),
            None => reason,
        };
        match (permission, work.cause) {
            (Permission::ShowOnly, _) => {
                outcome.steps.extend(plan.steps);
                let alone = if self.environment.from_event_alone {
                    "; judged by the event alone, nothing was read"
                } else {
                    ""
                };
                outcome.concluded(Verdict::Risky, Status::WouldRevert, &format!("{reason}{alone}"))
            }
            (Permission::Ask, _) => {
                outcome.steps.extend(plan.steps);
                outcome.concluded(Verdict::Risky, Status::AwaitingApproval, &reason)
            }
            (_, Cause::Approval { steps: told, .. }) if !is_same_plan(&planned(told), &plan.steps) => {
                outcome.steps.extend(plan.steps);
                ending.is_another_plan = true;
                let text = format!(
                    "{reason}; the resource has changed since the plan was made, so this one waits for an approval of its own"
                );
                outcome.concluded(Verdict::Risky, Status::AwaitingApproval, &text)
            }
            _ => {
                ending.before = Some(facts_before(state, &outcome.steps));
                let outcome = self.act(work, state, plan, &reason, outcome, ending).await;
                if outcome.status == Status::Reverted {
                    self.remember_revert(work, &outcome.id, fingerprints(&to_take_back)).await;
                }
                if outcome.status == Status::Reverted && !fought.is_empty() {
                    return self.stand_back(work, &reason, outcome, fought).await;
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
        mut outcome: Outcome,
        ending: &mut Ending,
    ) -> Outcome {
        let failed = |outcome: Outcome, what: &dyn std::fmt::Display| {
            outcome.concluded(Verdict::Risky, Status::Failed, &format!("{reason}; nothing was changed: {what}"))
        };
        // Should there be no read-back, this is how it stands after the steps that were made before.
        ending.after = (!outcome.steps.is_empty()).then(|| state.facts());
        if let Some((journal, held)) = self.journal.as_ref().zip(work.held.as_deref()) {
            let steps: Vec<Step> = outcome.steps.iter().chain(&plan.steps).cloned().collect();
            let is_told = work.is_told_by_the_event(state, &plan, &outcome);
            let note = async { if is_told { Ok(()) } else { journal.note_steps(&self.aws, held, &steps).await } };
            let (noted, room) = tokio::join!(note, self.make_room(journal, work, &outcome.id));
            match noted.and(room) {
                Ok(Room::Taken) => {}
                Ok(Room::Full) => {
                    outcome.steps.extend(plan.steps);
                    let Limit { times, within } = work.wanted.common.blast_limit;
                    let text = format!(
                        "{reason}; {times} others were contained within {} minutes, which is the limit: this one waits for an approval",
                        within.num_minutes()
                    );
                    return outcome.concluded(Verdict::Risky, Status::AwaitingApproval, &text);
                }
                Ok(Room::Busy) => {
                    ending.is_busy = true;
                    return failed(outcome, &"another finding has it contained at this moment");
                }
                Err(problem) => return failed(outcome, &problem),
            }
        }
        match self.aws.scope(&work.resource).await {
            Ok(scope) => self.take_back(work, &scope, plan, reason, outcome, ending).await,
            Err(problem) => failed(outcome, &problem),
        }
    }

    /// Takes no part in a fight over these changes. Told once; what follows is only kept.
    async fn stand_back<R: Remediation>(
        &self,
        work: &Work<'_, R>,
        reason: &str,
        outcome: Outcome,
        fought: Vec<String>,
    ) -> Outcome {
        let limit = work.wanted.common.repeat_limit;
        let what = fought.join(", ");
        let rest = if outcome.steps.is_empty() { "" } else { "; the rest was taken back" };
        let text = format!(
            "{reason}; left as it is: {what}, which was taken back {} times within {} minutes and came again each time{rest}",
            limit.times,
            limit.within.num_minutes()
        );
        let mut outcome = outcome.concluded(Verdict::Risky, Status::StandingBack, &text);
        if let Some(journal) = &self.journal {
            let key = format!("{}/{}", work.history_key(), rescind::text::digest(fought.iter().map(String::as_str)));
            match journal.begins_to_stand_back(&self.aws, &key, &outcome.id, limit.within).await {
                Ok(begins) => outcome.is_told = !begins,
                Err(problem) => {
                    error!(outcome_id = outcome.id, "that Rescind stands back was not journaled: {problem}");
                }
            }
        }
        let resource = remembered(work.remediation, &outcome.resource);
        self.leave_alone(&outcome, &resource, LeftAlone::StoodBack, &fought).await;
        outcome
    }

    /// A service that only looks at the state, such as AWS Config, will report the change, too: it is left alone then.
    pub(super) async fn leave_alone(&self, outcome: &Outcome, resource: &Resource, why: LeftAlone, changes: &[String]) {
        let Some(journal) = &self.journal else { return };
        let key = repeat_key(&outcome.remediation, resource, ANYBODY);
        if let Err(problem) = journal.leave_alone(&self.aws, &key, why, changes).await {
            error!(outcome_id = outcome.id, "that a change is left alone was not journaled: {problem}");
        }
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
            let seen = self.look_again(work, problem.is_none()).await;
            if let Seen::Risky { state, .. } = &seen {
                // Should it end here, an undo starts from this.
                ending.after = Some(state.facts());
            }
            match (seen, problem) {
                (Seen::Safe(state), _) => {
                    ending.after = Some(state.facts());
                    // A call that got no answer has worked, as is seen now.
                    for step in outcome.steps.iter_mut().filter(|step| step.state == StepState::Unknown) {
                        step.state = StepState::Done;
                    }
                    if !outcome.steps.iter().any(|step| step.state == StepState::Done) {
                        // What was read at first may be older than what another delivery did before it gave up.
                        outcome.steps.extend(work.made_before(&state, true));
                        ending.before = Some(facts_before(&state, &outcome.steps));
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

    /// Makes the calls of a plan, group by group, until one fails that the others need.
    async fn make<R: Remediation>(
        &self,
        work: &Work<'_, R>,
        scope: &Scope,
        plan: Plan,
        made: &mut Vec<Step>,
    ) -> Result<(), CallError> {
        for group in plan.groups() {
            let calls = group.iter().map(|step| counted(work.remediation.make(scope, &step.call)));
            let results = join_all(calls).await;
            let mut problem = None;
            for (step, (result, sent)) in group.into_iter().zip(results) {
                let state = match &result {
                    Ok(()) => StepState::Done,
                    // An earlier try of this very call may have worked without our hearing of it.
                    Err(problem) if problem.failure == CallFailure::Gone && sent > 1 => StepState::Done,
                    Err(problem) if problem.failure == CallFailure::Gone => StepState::Gone,
                    Err(problem) if problem.may_have_worked() => StepState::Unknown,
                    Err(_) => StepState::Failed,
                };
                problem = problem.or(result.err().filter(|_| state != StepState::Done && !step.may_fail));
                made.push(Step { state, ..step });
            }
            problem.map_or(Ok(()), Err)?;
        }
        Ok(())
    }

    /// The live state, with what the settings ask for.
    async fn look_at<R: Remediation>(&self, work: &Work<'_, R>) -> Result<R::State, CallError> {
        let further = Further::Wanted(&work.wanted.own);
        self.read(work.remediation, &work.resource, &work.target, further).await
    }

    /// Reads the resource back. When the calls were accepted, a read may lag behind them, so it is given some time.
    async fn look_again<R: Remediation>(&self, work: &Work<'_, R>, calls_were_accepted: bool) -> Seen<R> {
        let mut waits = LOOKS.iter();
        loop {
            let seen = match self.look_at(work).await {
                Err(problem) => Seen::Unclear(problem.to_string()),
                Ok(state) => match work.assess(&state) {
                    Assessment::Harmless { .. } | Assessment::AlreadySafe { .. } => return Seen::Safe(state),
                    Assessment::Unclear { reason } | Assessment::Report { reason, .. } => Seen::Unclear(reason),
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
    /// Taken back so often that it is a fight; by their fingerprints.
    fought: Vec<String>,
    /// Left alone, though a service that only looks at the state reports them; by their fingerprints.
    left_alone: Vec<(String, LeftAlone)>,
}

impl<R: Remediation> Work<'_, R> {
    fn sort(&self, offenders: Vec<R::Offender>) -> Sorted<R::Offender> {
        let mut sorted = Sorted { to_take_back: Vec::new(), fought: Vec::new(), left_alone: Vec::new() };
        let is_a_change = self.delivery.signal.actor().is_some();
        // Of findings, those are left alone that were known when a person undid something here. From what contains, Rescind stands
        // back for no longer than the limit says: nobody gets rid of it for good by a quarrel of an hour.
        let is_finding = matches!(self.delivery.signal.fact, Fact::Finding(_));
        let is_over = |why: LeftAlone| match why {
            LeftAlone::Undone => is_finding,
            LeftAlone::StoodBack => R::INTERRUPTS_SERVICE,
            LeftAlone::Exempt => false,
        };
        let is_approved = matches!(self.cause, Cause::Approval { .. });
        let limit = self.wanted.common.repeat_limit;
        for offender in offenders {
            let change = offender.fingerprint();
            let left_alone =
                self.history.left_alone.iter().find(|(one, why)| !is_a_change && *one == change && !is_over(*why));
            if let Some((_, why)) = left_alone {
                sorted.left_alone.push((change, *why));
            } else if self.was_undone_since() {
                sorted.left_alone.push((change, LeftAlone::Undone));
            } else if !is_approved && limit.is_reached(&self.history.reverts, &change, clock::now()) {
                sorted.fought.push(change);
            } else {
                sorted.to_take_back.push(offender);
            }
        }
        sorted
    }

    /// Whether a person undid what was done here, after the finding was known.
    fn was_undone_since(&self) -> bool {
        let Fact::Finding(finding) = &self.delivery.signal.fact else { return false };
        self.history.undone_at.is_some_and(|undone| finding.created.unwrap_or(self.delivery.signal.time) < undone)
    }

    /// The steps that earlier deliveries made. What they did not note, they made only if the event tells of a risk, and
    /// where changes may be made.
    fn made_before(&self, live: &R::State, is_risk: bool) -> Vec<Step> {
        let Some(held) = &self.held else { return Vec::new() };
        let may_act = self.wanted.common.mode == Mode::Enforce || matches!(self.cause, Cause::Approval { .. });
        let is_told = held.earlier.was_cut_off && may_act && is_risk;
        let told = if is_told { self.plan_of_event(live).steps } else { Vec::new() };
        held.earlier.steps_made(&told, |step| live.after(&step.call) == *live)
    }

    /// Whether the event alone tells all that an undo needs, should this delivery be cut off: a single step, and its
    /// inverse.
    fn is_told_by_the_event(&self, live: &R::State, plan: &Plan, outcome: &Outcome) -> bool {
        let is_first = outcome.steps.is_empty() && matches!(self.cause, Cause::Signal);
        is_first && plan.steps.len() == 1 && is_same_plan(&self.plan_of_event(live).steps, &plan.steps)
    }
}

fn fingerprints<O: Offender>(offenders: &[O]) -> Vec<String> {
    offenders.iter().map(Offender::fingerprint).collect()
}

/// How a resource stood before these steps were made.
fn facts_before<S: ResourceState>(live: &S, made: &[Step]) -> Facts {
    let made = made.iter().rev().filter(|step| step.state == StepState::Done);
    let inverses = made.filter_map(|step| step.inverse.as_ref());
    inverses.fold(live.clone(), |state, inverse| state.after(inverse)).facts()
}

/// The steps that are still to be made.
fn planned(steps: &[Step]) -> Vec<Step> {
    steps.iter().filter(|step| step.state == StepState::Planned).cloned().collect()
}

/// Whether two plans make the same calls and are undone by the same ones.
fn is_same_plan(a: &[Step], b: &[Step]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.is_same_as(b))
}
