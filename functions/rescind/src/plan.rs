//! How to take a change back: ordered steps, each with its inverse.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One call of an AWS API, as data: it can be shown, stored, made, and made again backwards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// The IAM action: `ec2:RevokeSecurityGroupIngress`.
    pub call: String,
    /// The request's parameters as the AWS CLI takes them (`--cli-input-json`).
    pub parameters: Value,
}

impl Call {
    /// A call of an IAM action with these parameters.
    pub fn new(action: &str, parameters: Value) -> Self {
        Self { call: action.to_owned(), parameters }
    }
}

/// How far a step has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepState {
    /// Not made: planned only.
    Planned,
    /// Made, and AWS accepted it.
    Done,
    /// Made, and no answer tells whether AWS accepted it.
    Unknown,
    /// Not needed: what it was to take away was gone already.
    Gone,
    /// Made, and AWS refused it.
    Failed,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// What to do.
    #[serde(flatten)]
    pub call: Call,
    /// What undoes it, with the parameters taken from what was really there. None for what an undo leaves as it is:
    /// evidence that was kept, and what others may use by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inverse: Option<Call>,
    /// How far it has come.
    pub state: StepState,
    /// Made side by side with the step before it, which it does not need.
    #[serde(skip)]
    pub is_beside: bool,
    /// The steps after it are made though this one fails.
    #[serde(skip)]
    pub may_fail: bool,
}

impl Step {
    /// Whether two steps make the same call and are undone by the same one.
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.call == other.call && self.inverse == other.inverse
    }

    /// A step that has not been made.
    pub fn planned(call: Call, inverse: Call) -> Self {
        Self { inverse: Some(inverse), ..Self::lasting(call) }
    }

    /// A step that has not been made, and that an undo leaves as it is.
    pub fn lasting(call: Call) -> Self {
        Self { call, inverse: None, state: StepState::Planned, is_beside: false, may_fail: false }
    }

    /// Made side by side with the step before it.
    #[must_use]
    pub fn beside(self) -> Self {
        Self { is_beside: true, ..self }
    }

    /// Not needed for the steps after it.
    #[must_use]
    pub fn may_fail(self) -> Self {
        Self { may_fail: true, ..self }
    }
}

/// The steps that take a change back, in their order. Empty for a safe state.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Step>,
    /// What the resource goes back to when it is not the exact earlier state, for the outcome's sentence.
    pub note: Option<String>,
}

impl Plan {
    /// These steps, one after the other.
    pub fn of(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { steps: steps.into_iter().collect(), note: None }
    }

    /// With a word on what the resource goes back to.
    #[must_use]
    pub fn noting(self, note: impl Into<String>) -> Self {
        Self { note: Some(note.into()), ..self }
    }

    /// These steps, made side by side.
    pub fn side_by_side(steps: impl IntoIterator<Item = Step>) -> Vec<Step> {
        let beside = |(index, step): (usize, Step)| if index == 0 { step } else { step.beside() };
        steps.into_iter().enumerate().map(beside).collect()
    }

    /// The steps in groups that follow each other; those of one group are made side by side.
    pub fn groups(self) -> Vec<Vec<Step>> {
        let mut groups: Vec<Vec<Step>> = Vec::new();
        for step in self.steps {
            match groups.last_mut() {
                Some(group) if step.is_beside => group.push(step),
                _ => groups.push(vec![step]),
            }
        }
        groups
    }
}
