//! The shell of Rescind: the one engine that runs every remediation, and everything it needs of the world.
//!
//! This is the only crate that knows Lambda, the clock and the environment. What is decided, is decided in `rescind`
//! and in the remediations; what is read and done, is read and done here and through the clients given out here.

mod aws;
mod baseline;
mod bus;
mod clock;
mod connections;
mod engine;
mod environment;
mod journal;
mod metrics;
pub mod prelude;
mod remediation;
mod runtime;
mod service;
mod settings;
mod standing;
pub mod testing;

pub use aws::{CallError, CallFailure, Scope, lacks, not_ours, parameter, unless_gone};
pub use baseline::{EARLIER_STATE_OPERATIONS, KEEPING_OPERATIONS, KEPT_VALUE_OPERATIONS};
pub use environment::Expiry;
pub use remediation::{
    AnyRemediation, Function, Further, Heard, Operation, Recorded, RecordedAs, Remediation, ResourceState, Subject,
};
pub use runtime::{replay, run};
pub use service::{Service, ServiceError, serve};
pub use standing::{Effect, Standing};

/// What the engine calls for a remediation that listens to the judgements of AWS Config rules, whose tags are settings.
pub const CONFIG_RULE_SETTINGS: Operation = Operation::reads("config:ListTagsForResource");

/// What the engine itself calls, beside what its remediations declare.
pub const ENGINE_OPERATIONS: &[Operation] = &[
    Operation::reads("events:ListTagsForResource"),
    Operation::changes("events:PutEvents"),
    Operation::reads("dynamodb:GetItem"),
    Operation::changes("dynamodb:UpdateItem"),
];
