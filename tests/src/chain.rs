//! Which calls waited for which: how many went one after another, and how long nobody but AWS was at work.

use std::time::{Duration, Instant};

use crate::proxy::Call;

/// How many calls went one after another until an operation was answered, its own included: the longest row of calls in
/// which each began after the one before had ended. `None` when the operation was not called.
pub fn round_trips(calls: &[Call], operation: &str) -> Option<usize> {
    let mut depths: Vec<usize> = Vec::new();
    for (index, call) in calls.iter().enumerate() {
        let before = calls
            .iter()
            .take(index)
            .zip(&depths)
            .filter(|(earlier, _)| earlier.ended.is_some_and(|end| end <= call.started));
        let depth = 1 + before.map(|(_, depth)| *depth).max().unwrap_or(0);
        if call.operation == operation {
            return Some(depth);
        }
        depths.push(depth);
    }
    None
}

/// For how long, until a moment, at least one call was under way.
pub fn under_way(calls: &[Call], until: Instant) -> Duration {
    let mut spans: Vec<(Instant, Instant)> = calls
        .iter()
        .filter(|call| call.started < until)
        .map(|call| (call.started, call.ended.unwrap_or(until).min(until)))
        .collect();
    spans.sort();
    let mut total = Duration::ZERO;
    let mut seen: Option<Instant> = None;
    for (start, end) in spans {
        let start = seen.map_or(start, |seen| seen.max(start));
        total += end.saturating_duration_since(start);
        seen = Some(seen.map_or(end, |seen| seen.max(end)));
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls by name, from and to a number of milliseconds.
    fn calls(spans: &[(&str, u64, u64)]) -> (Instant, Vec<Call>) {
        let zero = Instant::now();
        let at = |millis: u64| zero + Duration::from_millis(millis);
        let call = |&(operation, from, to): &(&str, u64, u64)| Call {
            service: "ec2".to_owned(),
            operation: operation.to_owned(),
            body: String::new(),
            started: at(from),
            ended: Some(at(to)),
            status: Some(200),
        };
        (zero, spans.iter().map(call).collect())
    }

    #[test]
    fn calls_side_by_side_are_one_round_trip() {
        let (_, side_by_side) = calls(&[("Describe", 0, 40), ("List", 1, 41), ("Revoke", 42, 80), ("Put", 90, 99)]);
        assert_eq!(round_trips(&side_by_side, "Revoke"), Some(2));
        let (_, in_a_row) = calls(&[("GetCallerIdentity", 0, 40), ("Describe", 40, 80), ("Revoke", 81, 120)]);
        assert_eq!(round_trips(&in_a_row, "Revoke"), Some(3));
        assert_eq!(round_trips(&in_a_row, "Authorize"), None);
    }

    #[test]
    fn a_call_that_began_before_another_ended_did_not_wait_for_it() {
        // The long one is on no row with the short ones beside it.
        let (_, mixed) = calls(&[("Long", 0, 100), ("Short", 0, 10), ("Next", 20, 30), ("Revoke", 40, 50)]);
        assert_eq!(round_trips(&mixed, "Revoke"), Some(3));
    }

    #[test]
    fn time_under_way_is_counted_once() {
        let (zero, some) = calls(&[("A", 0, 40), ("B", 10, 30), ("C", 30, 50), ("D", 70, 100)]);
        let until = |millis: u64| under_way(&some, zero + Duration::from_millis(millis));
        assert_eq!(until(200), Duration::from_millis(80));
        assert_eq!(until(80), Duration::from_millis(60));
        assert_eq!(until(5), Duration::from_millis(5));
    }
}
