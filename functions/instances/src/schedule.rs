//! The end of what holds only for a time: a one-time schedule that has the outcome undone, and deletes itself.
//!
//! Follows the Amazon EventBridge Scheduler user guide, *One-time schedules* and *Deletion after schedule completion*.

use std::sync::Arc;

use aws_sdk_scheduler::Client;
use aws_sdk_scheduler::types::{
    ActionAfterCompletion, FlexibleTimeWindow, FlexibleTimeWindowMode, RetryPolicy, Target,
};
use chrono::{DateTime, Utc};
use rescind::Call;
use rescind::request::{Request, Why};
use rescind::signal::{field, text};
use rescind_lambda::{CallError, Expiry, Scope, client, lacks, not_ours, parameter};
use serde_json::json;

/// The IAM actions of these calls.
pub mod action {
    /// `CreateSchedule`.
    pub const CREATE: &str = "scheduler:CreateSchedule";
}

/// How long Scheduler goes on trying, in seconds, and how often.
const TRIED_FOR: i32 = 86_400;
const TRIES: i32 = 185;

fn client(scope: &Scope) -> Arc<Client> {
    client!(scope, aws_sdk_scheduler)
}

fn name(outcome: &str) -> String {
    format!("rescind-undo-{outcome}")
}

/// Has an outcome undone at a time. Nothing takes that back: what is undone before, is not undone again.
pub fn undo_at(expiry: &Expiry, outcome: &str, at: DateTime<Utc>) -> Call {
    let input = Request::Undo { id: outcome.to_owned(), why: Why::Expired }.to_json().to_string();
    let parameters = json!({
        "Name": name(outcome), "ActionAfterCompletion": "DELETE",
        "ScheduleExpression": format!("at({})", at.format("%Y-%m-%dT%H:%M:%S")),
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {"Arn": expiry.console, "RoleArn": expiry.role, "Input": input,
            "RetryPolicy": {"MaximumEventAgeInSeconds": TRIED_FOR, "MaximumRetryAttempts": TRIES}},
    });
    Call { call: action::CREATE.to_owned(), parameters }
}

/// Makes such a call. A schedule that is there already is as it should be.
///
/// # Errors
/// When Scheduler does not accept it, or the call is another one.
pub async fn make(scope: &Scope, call: &Call) -> Result<(), CallError> {
    let named = &call.parameters;
    let name = parameter(call, "name")?;
    match call.call.as_str() {
        action::CREATE => {
            let target = field(named, "target").ok_or_else(|| lacks(call, "target"))?;
            let need = |name| text(target, name).ok_or_else(|| lacks(call, name));
            let retries = RetryPolicy::builder().maximum_event_age_in_seconds(TRIED_FOR).maximum_retry_attempts(TRIES);
            let target = Target::builder()
                .arn(need("arn")?)
                .role_arn(need("roleArn")?)
                .input(need("input")?)
                .retry_policy(retries.build())
                .build()
                .map_err(|error| CallError::malformed(action::CREATE, error))?;
            let at_once = FlexibleTimeWindow::builder().mode(FlexibleTimeWindowMode::Off).build();
            let at_once = at_once.map_err(|error| CallError::malformed(action::CREATE, error))?;
            let request = client(scope).create_schedule().name(name).target(target);
            let request = request.action_after_completion(ActionAfterCompletion::Delete).flexible_time_window(at_once);
            let answer = request.schedule_expression(parameter(call, "scheduleExpression")?).send().await;
            match CallError::or(action::CREATE, answer) {
                Err(error) if error.code.as_deref() == Some("ConflictException") => Ok(()),
                answer => answer.map(drop),
            }
        }
        _ => Err(not_ours(call)),
    }
}
