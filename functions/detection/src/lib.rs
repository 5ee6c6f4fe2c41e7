//! Puts the watchers back that somebody switched off, and the keys without which nothing can be read.
//!
//! A remediation is one file: `trail_stopped`, `flow_logs_deleted`, `key_going_away`. What the last two need stands beside
//! them: `flow_log` (its definition, and the calls that make it and delete it) and `key` (how it stands, and the calls that change that).

pub mod flow_log;
pub mod flow_logs_deleted;
pub mod key;
pub mod key_going_away;
pub mod trail_stopped;

use rescind_lambda::{Function, RecordedAs};

/// The function and its remediations.
pub const FUNCTION: Function = Function {
    name: "detection",
    remediations: &[&trail_stopped::TrailStopped, &flow_logs_deleted::FlowLogsDeleted, &key_going_away::KeyGoingAway],
    recorded: &[&flow_log::RecordedFlowLogs, &RecordedAs(key::KIND)],
};
