//! Metrics, as log lines in CloudWatch's embedded metric format.

use std::io::Write;
use std::time::SystemTime;

use metrique::emf::Emf;
use metrique::unit::Millisecond;
use metrique::unit_of_work::metrics;
use metrique::writer::format::Format;
use metrique::{CloseValue, RootEntry};
use rescind::Outcome;

use crate::clock;

/// The namespace of all our metrics.
const NAMESPACE: &str = "Rescind";

#[metrics(emf::dimension_sets = [["Remediation", "Status"], ["Status"]], rename_all = "PascalCase")]
struct OutcomeMetrics {
    #[metrics(timestamp)]
    timestamp: SystemTime,
    remediation: String,
    status: &'static str,
    outcomes: u64,
    #[metrics(unit = Millisecond)]
    event_to_done: u64,
}

#[metrics(emf::dimension_sets = [[]], rename_all = "PascalCase")]
struct MalformedMetrics {
    #[metrics(timestamp)]
    timestamp: SystemTime,
    malformed: u64,
}

/// Counts an outcome, by remediation and status, and the time from the event until it was certain.
pub(crate) fn count_outcome(outcome: &Outcome, to: &mut impl Write) -> Result<(), String> {
    let entry = OutcomeMetrics {
        timestamp: clock::system_now(),
        remediation: outcome.remediation.clone(),
        status: outcome.status.as_str(),
        outcomes: 1,
        event_to_done: u64::try_from(outcome.timing.event_to_done_ms).unwrap_or_default(),
    };
    write(&RootEntry::new(entry.close()), to)
}

/// Counts an input that could not be read.
pub(crate) fn count_malformed(to: &mut impl Write) -> Result<(), String> {
    write(&RootEntry::new(MalformedMetrics { timestamp: clock::system_now(), malformed: 1 }.close()), to)
}

fn write(entry: &impl metrique::writer::Entry, to: &mut impl Write) -> Result<(), String> {
    let mut format = Emf::all_validations(NAMESPACE.to_owned(), vec![vec![]]);
    format.format(entry, to).map_err(|error| error.to_string())
}
