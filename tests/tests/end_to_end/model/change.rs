//! What the model knows of an event, and what an outcome tells of rules.

use std::collections::BTreeSet;
use std::time::Instant;

use aws_sdk_ec2::types::SecurityGroupRule;
use rescind::plan::StepState;
use rescind::{Outcome, Status};
use serde_json::Value;

use super::openings::{Opening, contents, contents_of_inverse, id, revoked_by};

/// One event.
pub(super) struct Change {
    pub(super) input: Value,
    /// The rules that it tells, by id, and what they let in; `None` when it only tells of a group.
    pub(super) told: Option<Vec<(String, &'static Opening)>>,
    pub(super) answered: Option<Outcome>,
    pub(super) cut_off: Option<CutOff>,
    /// What was taken back on account of it, by all its deliveries.
    pub(super) taken: Vec<SecurityGroupRule>,
    /// Somebody took away what it was about, and a delivery was cut off: Rescind can't tell which of the two did.
    pub(super) is_unclear: bool,
    /// What the group was after the revert.
    pub(super) after: BTreeSet<String>,
    pub(super) undone: Option<Outcome>,
}

/// A delivery that was killed.
pub(super) struct CutOff {
    pub(super) since: Instant,
    /// What it might have said.
    pub(super) expected: Vec<Status>,
    /// What it had left to take back.
    pub(super) left: Vec<SecurityGroupRule>,
}

impl Change {
    pub(super) fn is(&self, status: Status) -> bool {
        self.answered.as_ref().is_some_and(|outcome| outcome.status == status)
    }

    /// Whether another delivery changes nothing any more.
    pub(super) fn is_final(&self) -> bool {
        self.is(Status::Reverted) || self.is(Status::AwaitingApproval)
    }

    pub(super) fn outcome_id(&self) -> String {
        self.answered.as_ref().map_or_else(|| "0".repeat(32), |outcome| outcome.id.clone())
    }
}

/// Whether the steps of an outcome took exactly these rules away, and would put exactly these back.
pub(super) fn takes_back(outcome: &Outcome, rules: &[SecurityGroupRule]) -> bool {
    is_about(outcome, StepState::Done, rules)
}

/// Whether the steps of an outcome that are still to be made are for exactly these rules.
pub(super) fn plans_for(outcome: &Outcome, rules: &[SecurityGroupRule]) -> bool {
    is_about(outcome, StepState::Planned, rules)
}

fn is_about(outcome: &Outcome, state: StepState, rules: &[SecurityGroupRule]) -> bool {
    let steps = || outcome.steps.iter().filter(|step| step.state == state);
    let ids: BTreeSet<String> = steps().flat_map(revoked_by).collect();
    let back: BTreeSet<String> = steps().flat_map(contents_of_inverse).collect();
    ids == rules.iter().map(|rule| id(rule).to_owned()).collect() && back == contents(rules)
}
