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
    /// What undoes it, with the parameters taken from what was really there.
    pub inverse: Call,
    /// How far it has come.
    pub state: StepState,
}

impl Step {
    /// Whether two steps make the same call and are undone by the same one.
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.call == other.call && self.inverse == other.inverse
    }

    /// A step that has not been made.
    pub fn planned(call: Call, inverse: Call) -> Self {
        Self { call, inverse, state: StepState::Planned }
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
