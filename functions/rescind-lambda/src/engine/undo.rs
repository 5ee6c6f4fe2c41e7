//! What a person asks for, or a schedule: undoing what was done, approving what was planned.

use std::time::Instant;

use rescind::journal::{Facts, Phase, difference};
use rescind::plan::StepState;
use rescind::request::Why;
use rescind::settings::Mode;
use rescind::{Call, Delivery, Outcome, Resource, Status, Step, Verdict};

use super::{Cause, Conclusion, Engine, busy, remembered};
use crate::aws::{CallError, CallFailure};
use crate::clock;
use crate::journal::{Claim, Ending, Entry, Held, Journal, LeftAlone};
use crate::remediation::{AnyRemediation, Further, Heard, Remediation, ResourceState};

/// What is to be undone.
#[derive(Debug)]
pub struct Undoing {
    original: Outcome,
    delivery: Delivery,
    before: Option<Facts>,
    after: Option<Facts>,
    why: Why,
}

/// What an undo starts from.
struct Found<'a, R: Remediation> {
    resource: &'a Resource,
    target: &'a R::Target,
    state: R::State,
    held: &'a Held,
}

/// Whether a step has the outcome undone at a time.
fn ends_it(step: &Step) -> bool {
    step.call.call == "scheduler:CreateSchedule"
}

impl Engine {
    /// Puts a resource back as it was found, by the inverses of the steps that an outcome lists, the last one first.
    ///
    /// # Errors
    /// A sentence, when there is nothing to undo by that id.
    pub(crate) async fn undo(&self, id: &str, why: Why) -> Result<Outcome, String> {
        let (entry, mut original, remediation) = self.find(id).await?;
        if original.status == Status::AwaitingApproval {
            // The plan that a person approved, as far as it came before it failed.
            original.steps.extend(entry.noted.iter().filter(|step| step.state == StepState::Done).cloned());
        }
        // Whatever was said at last: who stands back from a part of a change, or fails midway, may have taken back the rest.
        let has_acted = original.steps.iter().any(|step| step.state == StepState::Done);
        // Nobody is asked at an end, nor is looked whether anything has changed since: that is for what was made to end, and for nothing else.
        if why == Why::Expired && !original.steps.iter().any(ends_it) {
            return Err(format!("outcome {id} has no end: leave out `expired`"));
        }
        if !has_acted || original.status == Status::Undone {
            return Err(format!(
                "outcome {id} is `{}`: only what is `reverted` can be undone, and what was made before it failed",
                original.status.as_str()
            ));
        }
        // What has to end, ends.
        if entry.phase == Phase::Open.as_str() && entry.is_held && why != Why::Expired {
            return Err(format!("outcome {id} is being worked on at this moment: ask again in a minute"));
        }
        let delivery = delivery_of(&entry, id)?;
        let undoing = Undoing { original, delivery, before: entry.before, after: entry.after, why };
        Ok(remediation.undo(self, &undoing).await)
    }

    /// Carries out a plan that waits for a person, if it still fits.
    ///
    /// # Errors
    /// A sentence, when no plan waits by that id, or not any more.
    pub(crate) async fn approve(&self, id: &str) -> Result<Outcome, String> {
        let (entry, original, remediation) = self.find(id).await?;
        let was_cut_off = entry.phase == Phase::Open.as_str() && original.status == Status::AwaitingApproval;
        if entry.phase != Phase::Awaiting.as_str() && !was_cut_off {
            return Err(format!("outcome {id} is `{}`: no plan of it waits for approval", original.status.as_str()));
        }
        if let Some(until) = entry.approvable_until.filter(|until| *until < clock::now()) {
            return Err(format!("the plan of outcome {id} could be approved until {until}"));
        }
        let delivery = delivery_of(&entry, id)?;
        let outcomes = remediation.run(self, &delivery, Cause::Approval { id, steps: &original.steps }).await;
        outcomes.into_iter().next().ok_or_else(|| format!("the rule is no longer for {}", original.remediation))
    }

    async fn find(&self, id: &str) -> Result<(Entry, Outcome, &'static dyn AnyRemediation), String> {
        let journal = self.journal()?;
        let entry = journal.load(&self.aws, id).await.map_err(|problem| problem.to_string())?;
        let (entry, original) = entry
            .and_then(|entry| entry.outcome.clone().map(|outcome| (entry, outcome)))
            .ok_or_else(|| format!("the journal has no outcome {}", rescind::text::clean(id, 100)))?;
        let remediation = self.function.remediations.iter().find(|one| one.name() == original.remediation);
        let remediation = remediation
            .ok_or_else(|| format!("{} is no remediation of {}", original.remediation, self.function.name))?;
        Ok((entry, original, *remediation))
    }

    fn journal(&self) -> Result<&Journal, String> {
        self.journal.as_ref().ok_or_else(|| "there is no journal: `RESCIND_JOURNAL` names no table".to_owned())
    }

    /// Undoes what one remediation did.
    pub(crate) async fn undo_one<R: Remediation>(&self, remediation: &R, undoing: &Undoing) -> Outcome {
        let (started, calls) = (Instant::now(), self.aws.calls());
        let original = &undoing.original;
        let mut outcome = Outcome::begin(&undoing.delivery.signal, &original.remediation, &original.resource);
        outcome.id = Outcome::undo_id_of(&original.id);
        outcome.mode = Mode::Enforce;
        let mut conclusion = self.undo_claimed(remediation, undoing, outcome).await;
        if let Conclusion::New { outcome, .. } = &mut conclusion {
            outcome.timing.event_to_done_ms = (clock::now() - undoing.delivery.signal.time).num_milliseconds().max(0);
            outcome.timing.handler_ms = i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX);
            outcome.timing.aws_calls = self.aws.calls() - calls;
        }
        self.record(conclusion).await
    }

    async fn undo_claimed<R: Remediation>(&self, remediation: &R, undoing: &Undoing, outcome: Outcome) -> Conclusion {
        let failed = |outcome: Outcome, problem: &str| {
            Conclusion::Busy(outcome.concluded(
                Verdict::NotApplicable,
                Status::Failed,
                &format!("not undone: {problem}"),
            ))
        };
        let signal = &undoing.delivery.signal;
        let is_meant =
            |heard: &Heard<R::Target>| Outcome::id_of(signal, R::NAME, heard.resource()) == undoing.original.id;
        let Some(Heard::About { resource, target }) = remediation.listen(signal).into_iter().find(is_meant) else {
            return failed(outcome, "the event that is kept with it can't be read");
        };
        let journal = match self.journal() {
            Ok(journal) => journal,
            Err(problem) => return failed(outcome, &problem),
        };
        let claim = journal.claim(&self.aws, &outcome.id, &undoing.delivery.input, &[Phase::Open], self.lease());
        let further = Further::Undone(&undoing.original.steps);
        let (claim, state) = tokio::join!(claim, self.read(remediation, &resource, &target, further));
        let held = match claim {
            Ok(Claim::Ours(held)) => held,
            Ok(Claim::Closed(entry)) => return Conclusion::old(*entry, outcome),
            Ok(Claim::Busy) => return Conclusion::Busy(busy(outcome)),
            Err(problem) => return failed(outcome, &problem.to_string()),
        };
        let mut outcome = match state {
            Ok(state) => {
                let found = Found { resource: &resource, target: &target, state, held: &held };
                self.undo_from(remediation, undoing, &found, outcome).await
            }
            Err(problem) => {
                outcome.concluded(Verdict::NotApplicable, Status::Failed, &format!("not undone: {problem}"))
            }
        };
        if outcome.status == Status::Failed && outcome.steps.is_empty() {
            // What an earlier request began stays known.
            outcome.steps = held.earlier.steps_begun();
        }
        Conclusion::New { outcome, held: Some(held), ending: Ending::default() }
    }

    async fn undo_from<R: Remediation>(
        &self,
        remediation: &R,
        undoing: &Undoing,
        found: &Found<'_, R>,
        mut outcome: Outcome,
    ) -> Outcome {
        let original = &undoing.original;
        let Found { resource, state, held, .. } = found;
        let now = state.facts();
        let is_expired = undoing.why == Why::Expired;
        // At its end each piece is looked at for itself: what has become of others is nothing to it.
        let is_back = !is_expired && undoing.before.as_ref().is_some_and(|before| difference(before, &now).is_none());
        // What has changed since an earlier request was cut off among its calls, may be its own doing. One that failed before it
        // made any excuses nothing.
        let is_begun = !held.earlier.steps_begun().is_empty();
        if undoing.why != Why::Forced
            && !is_expired
            && !is_back
            && !is_begun
            && let Some(after) = &undoing.after
            && let Some(how) = difference(after, &now)
        {
            let text = format!(
                "not undone: {} has changed since: {how}; `force` undoes it all the same",
                original.resource.id
            );
            return outcome.concluded(Verdict::NotApplicable, Status::Ignored, &text);
        }
        let scope = match self.aws.scope(resource).await {
            Ok(scope) => scope,
            Err(problem) => return failed(outcome, &problem.to_string()),
        };
        let steps = steps_back(original);
        if let Some(journal) = self.journal.as_ref().filter(|_| !is_back && !is_begun)
            && let Err(problem) = journal.note_steps(&self.aws, held, &steps).await
        {
            return failed(outcome, &problem.to_string());
        }
        for step in steps {
            let result = if is_back { Ok(()) } else { remediation.make(&scope, &step.call).await };
            // By force, what is gone hinders nothing else from being put back.
            let is_gone = |problem: &CallError| undoing.why == Why::Forced && problem.failure == CallFailure::Gone;
            let state = match &result {
                Ok(()) => StepState::Done,
                Err(problem) if is_gone(problem) => StepState::Gone,
                Err(problem) if problem.may_have_worked() => StepState::Unknown,
                Err(_) => StepState::Failed,
            };
            outcome.steps.push(Step { state, ..step });
            if let Some(problem) = result.err().filter(|problem| !is_gone(problem)) {
                return failed(outcome, &problem.to_string());
            }
        }
        self.look_whether_undone(remediation, undoing, found, outcome).await
    }

    /// Reads the resource back after the calls were made, and says what became of it.
    async fn look_whether_undone<R: Remediation>(
        &self,
        remediation: &R,
        undoing: &Undoing,
        found: &Found<'_, R>,
        outcome: Outcome,
    ) -> Outcome {
        let (original, is_expired) = (&undoing.original, undoing.why == Why::Expired);
        let Found { resource, target, .. } = found;
        let seen = match self.read(remediation, resource, target, Further::Undone(&original.steps)).await {
            Ok(state) if is_expired => {
                let is_left = |step: &&Step| state.after(&step.call).facts() != state.facts();
                return match outcome.steps.iter().find(is_left) {
                    Some(step) => {
                        failed(outcome.clone(), &format!("{} was accepted, and shows no effect", step.call.call))
                    }
                    None => outcome.concluded(
                        Verdict::NotApplicable,
                        Status::Undone,
                        &format!("its time is over, so it is put back as it was found: {}", original.reason),
                    ),
                };
            }
            Ok(state) => {
                let is_left = |step: &&Step| {
                    let has_effect = state.after(&step.call).facts() != state.facts();
                    step.state == StepState::Gone
                        && (has_effect || outcome.steps.iter().all(|one| one.state == step.state))
                };
                if let Some(step) = outcome.steps.iter().find(is_left) {
                    let what = format!("what {} needs is gone, and can't be put back; the rest is", step.call.call);
                    return failed(outcome.clone(), &what);
                }
                state.facts()
            }
            Err(problem) => return failed(outcome, &format!("the calls were accepted, but not verified: {problem}")),
        };
        let differs = undoing.before.as_ref().and_then(|before| difference(before, &seen));
        let missing = undoing.taken_away().find(|piece| !seen.contains_key(*piece));
        match (differs, missing) {
            (_, Some(piece)) => failed(outcome, &format!("the calls were accepted, but {piece} is not back")),
            (Some(how), None) if undoing.why != Why::Forced => {
                failed(outcome, &format!("the read-back shows that {how}"))
            }
            (differs, None) => {
                let changes: Vec<String> = undoing.changed().cloned().collect();
                let remembered = remembered(remediation, &original.resource);
                self.leave_alone(original, &remembered, LeftAlone::Undone, &changes).await;
                let note = differs.map(|how| format!("; by force: {how}")).unwrap_or_default();
                outcome.concluded(
                    Verdict::NotApplicable,
                    Status::Undone,
                    &format!("put back as it was found: {}{note}", original.reason),
                )
            }
        }
    }
}

impl Undoing {
    /// The pieces that are as they were before the change was taken back, and were not after it.
    fn changed(&self) -> impl Iterator<Item = &String> {
        let is_other = |(piece, value): &(&String, &String)| {
            self.after.as_ref().is_none_or(|after| after.get(*piece) != Some(*value))
        };
        self.before.iter().flatten().filter(is_other).map(|(piece, _)| piece)
    }

    /// The pieces that were there before the change was taken back, and not after it.
    fn taken_away(&self) -> impl Iterator<Item = &String> {
        let is_gone = |piece: &&String| self.after.as_ref().is_none_or(|after| !after.contains_key(*piece));
        self.before.iter().flat_map(|before| before.keys()).filter(is_gone)
    }
}

fn failed(outcome: Outcome, problem: &str) -> Outcome {
    outcome.concluded(Verdict::NotApplicable, Status::Failed, &format!("not undone: {problem}"))
}

/// The steps that undo those that were made, the last one first.
fn steps_back(original: &Outcome) -> Vec<Step> {
    let made = original.steps.iter().rev().filter(|step| step.state == StepState::Done);
    let mut steps: Vec<Step> = made.filter_map(inverted).collect();
    // Several steps may be undone by one and the same call; it is made where the first of them was made.
    let all: Vec<Call> = steps.iter().map(|step| step.call.clone()).collect();
    let mut index = 0;
    steps.retain(|step| {
        index += 1;
        !all.iter().skip(index).any(|later| *later == step.call)
    });
    steps
}

/// The step that undoes a step, if it is not to stay.
fn inverted(step: &Step) -> Option<Step> {
    Some(Step::planned(step.inverse.clone()?, step.call.clone()))
}

fn delivery_of(entry: &Entry, id: &str) -> Result<Delivery, String> {
    let input = entry.delivery.clone().ok_or_else(|| format!("the event of outcome {id} was too large to be kept"))?;
    rescind::signal::decode(input).map_err(|problem| problem.to_string())
}
