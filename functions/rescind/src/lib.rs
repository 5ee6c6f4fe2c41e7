//! The pure core of Rescind: what happened, what the owner wants, whether it is risky, and what to do about it.
//!
//! Nothing here has input or output, a clock, an environment or randomness: every function takes what it needs as
//! data and returns data. The shell around it, `rescind-lambda`, does the rest.
//!
//! The modules follow the way of one event: [`signal`], [`settings`], [`verdict`], [`plan`], [`guard`], [`outcome`].
//! Beside them stand what remediations judge with: [`addresses`], [`findings`], [`policy`], [`ports`].

pub mod addresses;
pub mod arn;
pub mod findings;
pub mod guard;
pub mod journal;
pub mod outcome;
pub mod plan;
pub mod policy;
pub mod ports;
pub mod request;
pub mod settings;
pub mod signal;
pub mod snapshot;
pub mod text;
pub mod verdict;

pub use outcome::{Answer, Outcome, Status};
pub use plan::{Call, Plan, Step};
pub use settings::{Mode, Settings, SettingsError, TagKey, Tags};
pub use signal::{Delivery, Resource, Signal, SignalError};
pub use snapshot::Snapshot;
pub use verdict::{Evidence, Verdict};
