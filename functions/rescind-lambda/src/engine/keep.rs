//! Keeps the state of a resource that AWS Config recorded, for putting it back later.

use chrono::TimeDelta;
use rescind::signal::{ConfigurationItemChange, Fact, Signal};
use rescind::{Delivery, Snapshot};

use super::Engine;
use crate::aws::{CallError, CallFailure, Scope};

/// `laterTime` may or may not include its own moment, and one of the two times may leave out the milliseconds.
const A_LITTLE: TimeDelta = TimeDelta::seconds(1);

impl Engine {
    /// Keeps what the delivery tells of a resource's state, whatever the settings say of remediations. Answers whether there
    /// was anything to keep.
    pub(crate) async fn keep(&self, delivery: &Delivery) -> Result<bool, CallError> {
        let signal = &delivery.signal;
        let Fact::ConfigurationItemChange(change) = &signal.fact else { return Ok(false) };
        let recorded = self.function.recorded.iter().find(|one| one.resource_type() == change.resource.kind);
        let Some(recorded) = recorded.filter(|_| !self.environment.from_event_alone) else { return Ok(false) };
        let scope = self.aws.scope(&change.resource).await?;
        let Some(baseline) = scope.baseline.clone() else { return Ok(false) };
        if change.is_deletion() {
            baseline.keep_end(&change.resource, signal.time).await?;
            return Ok(true);
        }
        let mut state = state_of(&scope, signal, change).await?;
        recorded.complete(&scope, &change.resource, &mut state).await?;
        baseline.keep(&change.resource, &state).await?;
        Ok(true)
    }
}

/// The state: from the event, or from AWS Config where the event leaves it out for its size.
async fn state_of(scope: &Scope, signal: &Signal, change: &ConfigurationItemChange) -> Result<Snapshot, CallError> {
    if let Some(state) = Snapshot::of_change(change, signal.time) {
        return Ok(state);
    }
    let recorded = scope.recorded_state(&change.resource, signal.time + A_LITTLE, |time| time <= signal.time).await?;
    recorded.filter(|state| signal.time - state.captured < A_LITTLE).ok_or_else(|| CallError {
        call: "config:GetResourceConfigHistory",
        failure: CallFailure::Transient,
        code: None,
        message: format!("it does not have the state of {} yet", signal.time),
    })
}
