//! Contains what findings call hostile, and takes back what weakens an instance or changes a protected one.
//!
//! A remediation is one file: `isolate_instance`, `block_address`, `imdsv1_allowed`, `serial_console_enabled`, `user_data_changed`. What they need
//! stands beside them: `instance` (how an instance stands), `isolation` (what of it is not contained), `containment` (how it is cut off) and `detachment` (what it is
//! taken out of);
//! `network_acl`, `blocking` and `schedule`; `user_data` (its value, and how it is told without it).

pub mod block_address;
pub mod blocking;
pub mod containment;
pub mod detachment;
pub mod imdsv1_allowed;
pub mod instance;
pub mod isolate_instance;
pub mod isolation;
pub mod network_acl;
pub mod schedule;
pub mod serial_console_enabled;
pub mod user_data;
pub mod user_data_changed;

use rescind_lambda::Function;

/// The function and its remediations.
pub const FUNCTION: Function = Function {
    name: "instances",
    remediations: &[
        &isolate_instance::IsolateInstance,
        &block_address::BlockAddress,
        &imdsv1_allowed::Imdsv1Allowed,
        &serial_console_enabled::SerialConsoleEnabled,
        &user_data_changed::UserDataChanged,
    ],
    recorded: &[&user_data::RecordedInstances],
};
