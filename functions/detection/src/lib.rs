//! Puts the watchers back that somebody switched off.
//!
//! A remediation is one file: `trail_stopped`, `flow_logs_deleted`. What the latter needs stands beside it: `flow_log` (its definition, and
//! the calls that make it and delete it).

pub mod flow_log;
pub mod flow_logs_deleted;
pub mod trail_stopped;

use rescind_lambda::Function;

/// The function and its remediations.
pub const FUNCTION: Function = Function {
    name: "detection",
    remediations: &[&trail_stopped::TrailStopped, &flow_logs_deleted::FlowLogsDeleted],
    recorded: &[&flow_log::RecordedFlowLogs],
};
