//! Puts the watchers back that somebody switched off, and the keys without which nothing can be read.
//!
//! A remediation is one file: `trail_stopped`, `flow_logs_deleted`, `key_going_away`. Beside it stands the thing that it is about
//! (`trail`, `flow_log`, `key`): what records tell of it, how it stands, and the calls that change that.

pub mod flow_log;
pub mod flow_logs_deleted;
pub mod key;
pub mod key_going_away;
pub mod trail;
pub mod trail_stopped;

use rescind_lambda::{Function, RecordedAs};

/// The function and its remediations.
pub const FUNCTION: Function = Function {
    name: "detection",
    remediations: &[&trail_stopped::TrailStopped, &flow_logs_deleted::FlowLogsDeleted, &key_going_away::KeyGoingAway],
    recorded: &[&flow_log::RecordedFlowLogs, &RecordedAs(key::KIND)],
};
