//! Puts outcomes on the event bus. Whoever wants to know subscribes there, so that nobody who listens can delay or fail
//! a remediation.

use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use rescind::Outcome;

use crate::aws::{Aws, CallError};
use crate::client;

/// The `source` of our events.
pub(crate) const SOURCE: &str = "rescind";
/// Their `detail-type`.
pub(crate) const DETAIL_TYPE: &str = "Rescind Outcome";
/// EventBridge takes entries of up to 256 KB (Amazon EventBridge user guide, *`PutEvents` entry size*).
/// An outcome that comes near it goes without its steps; the log has them.
const LARGEST: usize = 200_000;

/// Publishes an outcome.
///
/// # Errors
/// When EventBridge did not take it.
pub(crate) async fn publish(aws: &Aws, bus: &str, outcome: &Outcome) -> Result<(), CallError> {
    const CALL: &str = "events:PutEvents";
    let mut detail = serde_json::to_string(outcome).map_err(|error| CallError::malformed(CALL, error))?;
    if detail.len() > LARGEST {
        let short = Outcome {
            steps: Vec::new(),
            evidence: outcome.evidence.iter().take(100).cloned().collect(),
            ..outcome.clone()
        };
        detail = serde_json::to_string(&short).map_err(|error| CallError::malformed(CALL, error))?;
    }
    let client = client!(aws.own().await, aws_sdk_eventbridge);
    let entry = PutEventsRequestEntry::builder()
        .event_bus_name(bus)
        .source(SOURCE)
        .detail_type(DETAIL_TYPE)
        .detail(detail)
        .build();
    let answer = client.put_events().entries(entry).send().await.map_err(|error| CallError::from_sdk(CALL, &error))?;
    // A refused entry is no error of the call.
    match answer.entries().iter().find(|entry| entry.error_code().is_some()) {
        None => Ok(()),
        Some(refused) => Err(CallError {
            call: CALL,
            failure: crate::CallFailure::Transient,
            code: refused.error_code().map(str::to_owned),
            message: refused.error_message().unwrap_or("no message").to_owned(),
        }),
    }
}
