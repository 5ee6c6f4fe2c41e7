//! What the journal keeps of an outcome, and what follows from it.
//!
//! An entry is *open* while a delivery works on it or a later one may, *awaiting* while a plan waits for a person, and
//! *closed* when nothing more is to be done for the signal.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::outcome::{Outcome, Status};
use crate::plan::{Step, StepState};

/// What is known of a resource's state, piece by piece, for comparing two moments: for a security group each rule, by
/// what it permits.
pub type Facts = BTreeMap<String, String>;

/// How far an entry has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// A delivery works on it, or a later one may.
    Open,
    /// A plan waits for a person.
    Awaiting,
    /// Nothing more is to be done.
    Closed,
}

impl Phase {
    /// The phase that a status leaves an entry in. What changed nothing stays open: the same event may be delivered
    /// again after the settings have changed.
    pub fn after(status: Status) -> Self {
        match status {
            Status::Reverted | Status::Undone | Status::StandingBack | Status::Reported => Self::Closed,
            Status::AwaitingApproval => Self::Awaiting,
            Status::WouldRevert | Status::Ignored | Status::AlreadySafe | Status::Misconfigured | Status::Failed => {
                Self::Open
            }
        }
    }

    /// The phase as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Awaiting => "awaiting",
            Self::Closed => "closed",
        }
    }
}

/// What earlier deliveries of the same signal left.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Earlier {
    /// Deliveries before this one.
    pub attempts: u64,
    /// The last one was cut off: it neither finished nor gave up.
    pub was_cut_off: bool,
    /// What the last one that came to an end said.
    pub outcome: Option<Outcome>,
    /// The steps that the last one that noted any was about to make, and those made before it.
    pub noted: Vec<Step>,
}

impl Earlier {
    /// The steps that earlier deliveries may have made, as far as it is known without a look, as `unknown`.
    pub fn steps_begun(&self) -> Vec<Step> {
        let begun = self.steps_made(&[], |_| true).into_iter();
        begun.map(|step| Step { state: StepState::Unknown, ..step }).collect()
    }

    /// The steps that earlier deliveries made, as `done`: those that AWS accepted, and those of which nobody could say
    /// whether it did, but which have nothing left to do, as `is_made` tells by what is there now.
    ///
    /// `told` are the steps that the event itself tells, for a delivery that was cut off with nothing noted.
    pub fn steps_made(&self, told: &[Step], is_made: impl Fn(&Step) -> bool) -> Vec<Step> {
        let ended =
            self.outcome.iter().flat_map(|outcome| &outcome.steps).filter(|step| step.state != StepState::Planned);
        let mut known: Vec<Step> = ended.cloned().collect();
        let is_known = |known: &[Step], step: &Step| known.iter().any(|one| one.is_same_as(step));
        let noted = if self.noted.is_empty() && known.is_empty() { told } else { self.noted.as_slice() };
        for step in noted {
            if !is_known(&known, step) && (self.was_cut_off || step.state != StepState::Planned) {
                let state = if step.state == StepState::Planned { StepState::Unknown } else { step.state };
                known.push(Step { state, ..step.clone() });
            }
        }
        known.retain(|step| match step.state {
            StepState::Done => true,
            StepState::Unknown => is_made(step),
            StepState::Planned | StepState::Gone | StepState::Failed => false,
        });
        known.into_iter().map(|step| Step { state: StepState::Done, ..step }).collect()
    }
}

/// One revert, as the repeat limit counts it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revert {
    /// In which outcome: a revert that was written twice counts once.
    pub outcome: String,
    /// When.
    pub at: DateTime<Utc>,
    /// What was taken back, without ids and descriptions, which a fighter would vary.
    pub changes: Vec<String>,
}

/// One containment, as the limit of the blast counts it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Containment {
    /// What was contained: its id.
    pub resource: String,
    /// In which outcome.
    pub outcome: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// The most that a limit may allow: the journal remembers no more than this for certain.
pub const MOST_COUNTED: usize = 30;

/// How often something may happen within a time: `N/duration`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// The number.
    pub times: usize,
    /// Within which time.
    pub within: TimeDelta,
}

/// Reads a time of up to 10,000 seconds, minutes, hours or days: `90s`, `30m`, `24h`, `7d`.
pub fn duration(text: &str) -> Option<TimeDelta> {
    let unit = text.chars().last()?;
    let number: i64 = text.strip_suffix(unit)?.parse().ok().filter(|number| (1..=10_000).contains(number))?;
    match unit {
        's' => Some(TimeDelta::seconds(number)),
        'm' => Some(TimeDelta::minutes(number)),
        'h' => Some(TimeDelta::hours(number)),
        'd' => Some(TimeDelta::days(number)),
        _ => None,
    }
}

impl Limit {
    /// So many times within an hour.
    pub fn hourly(times: usize) -> Self {
        Self { times, within: TimeDelta::hours(1) }
    }

    /// Reads `3/1h`: a number up to [`MOST_COUNTED`], and a time as [`duration`] reads it.
    pub fn parse(text: &str) -> Option<Self> {
        let (times, within) = text.split_once('/')?;
        let times: usize = times.parse().ok().filter(|number| (1..=MOST_COUNTED).contains(number))?;
        let within = duration(within)?;
        Some(Self { times, within })
    }

    /// Whether `change` has been taken back so often of late that taking it back once more would be a fight.
    pub fn is_reached(&self, history: &[Revert], change: &str, now: DateTime<Utc>) -> bool {
        let recent = history.iter().filter(|revert| now - revert.at < self.within);
        let of_change = recent.filter(|revert| revert.changes.iter().any(|one| one == change));
        of_change.map(|revert| &revert.outcome).collect::<BTreeSet<_>>().len() >= self.times
    }

    /// Whether one more resource may be contained. One that was, may be again: it makes no more of them.
    pub fn has_room(&self, contained: &[Containment], resource: &str, now: DateTime<Utc>) -> bool {
        let recent = contained.iter().filter(|one| now - one.at < self.within && one.resource != resource);
        recent.map(|one| &one.resource).collect::<BTreeSet<_>>().len() < self.times
    }
}

/// What has changed between two moments, in words; `None` when nothing has.
pub fn difference(before: &Facts, now: &Facts) -> Option<String> {
    let mut changes = Vec::new();
    for (piece, value) in before {
        match now.get(piece) {
            None => changes.push(format!("{piece} is gone")),
            Some(other) if other != value => changes.push(format!("{piece} was changed")),
            Some(_) => {}
        }
    }
    changes.extend(now.keys().filter(|piece| !before.contains_key(*piece)).map(|piece| format!("{piece} is new")));
    (!changes.is_empty()).then(|| changes.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Call, Resource};

    #[test]
    fn limits_are_read() {
        let limit = |text| Limit::parse(text);
        assert_eq!(limit("3/1h"), Some(Limit::hourly(3)));
        assert_eq!(limit("10/30m"), Some(Limit { times: 10, within: TimeDelta::minutes(30) }));
        for text in ["", "3", "3/", "0/1h", "3/0h", "3/1w", "3/h", "-1/1h", "3/1h/1h", "x/1h"] {
            assert_eq!(limit(text), None, "{text}");
        }
    }

    #[test]
    fn a_limit_counts_the_same_change_within_its_time() {
        let now: DateTime<Utc> = "2026-11-24T12:00:00Z".parse().unwrap();
        let revert = |minutes: i64, change: &str| Revert {
            outcome: minutes.to_string(),
            at: now - TimeDelta::minutes(minutes),
            changes: vec![change.to_owned()],
        };
        let history = [revert(70, "a"), revert(50, "a"), revert(40, "b"), revert(1, "a"), revert(1, "a")];
        assert!(!Limit::hourly(3).is_reached(&history, "a", now), "one of the three is too old");
        assert!(Limit::hourly(2).is_reached(&history, "a", now));
        assert!(!Limit::hourly(2).is_reached(&history, "b", now));
    }

    #[test]
    fn a_limit_of_containments_counts_different_resources_within_its_time() {
        let now: DateTime<Utc> = "2026-11-24T12:00:00Z".parse().unwrap();
        let one = |minutes: i64, resource: &str| Containment {
            resource: resource.to_owned(),
            outcome: minutes.to_string(),
            at: now - TimeDelta::minutes(minutes),
        };
        let contained = [one(70, "a"), one(50, "b"), one(40, "b"), one(1, "c")];
        assert!(Limit::hourly(3).has_room(&contained, "d", now), "two within the hour");
        assert!(!Limit::hourly(2).has_room(&contained, "d", now));
        assert!(Limit::hourly(2).has_room(&contained, "b", now), "it is among the two");
        assert!(!Limit::hourly(2).has_room(&contained, "a", now), "it was, too long ago");
    }

    #[test]
    fn steps_of_earlier_deliveries_are_those_that_were_accepted_or_have_nothing_left_to_do() {
        let step = |name: &str, state| {
            let call = |name: &str| Call { call: name.to_owned(), parameters: serde_json::Value::Null };
            Step { state, ..Step::planned(call(name), call("inverse")) }
        };
        let names = |steps: Vec<Step>| {
            assert!(steps.iter().all(|step| step.state == StepState::Done));
            steps.into_iter().map(|step| step.call.call).collect::<Vec<_>>()
        };
        let signal =
            crate::signal::decode(serde_json::json!({"detail-type": "AWS API Call via CloudTrail", "source": "aws.x",
            "id": "1", "time": "2026-11-24T12:00:00Z", "account": "111122223333", "region": "eu-central-1",
            "detail": {"eventName": "x", "eventSource": "x"}}))
            .unwrap()
            .signal;
        let resource =
            Resource { kind: String::new(), id: String::new(), account: String::new(), region: String::new() };
        let outcome = Outcome::begin(&signal, "x", &resource);
        // It ended: what it says of its steps counts.
        let states = [
            step("accepted", StepState::Done),
            step("unheard", StepState::Unknown),
            step("unheard and not made", StepState::Unknown),
            step("refused", StepState::Failed),
            step("gone", StepState::Gone),
        ];
        let ended = Earlier { outcome: Some(Outcome { steps: states.to_vec(), ..outcome }), ..Earlier::default() };
        let is_made = |step: &Step| !["c", "unheard and not made"].contains(&step.call.call.as_str());
        assert_eq!(names(ended.steps_made(&[], is_made)), ["accepted", "unheard"]);
        // It was cut off: what it noted and has nothing left to do was made.
        let noted = vec![step("a", StepState::Done), step("b", StepState::Planned), step("c", StepState::Planned)];
        let cut_off = Earlier { noted: noted.clone(), was_cut_off: true, ..Earlier::default() };
        assert_eq!(names(cut_off.steps_made(&[], is_made)), ["a", "b"]);
        let released = Earlier { noted, ..Earlier::default() };
        assert_eq!(names(released.steps_made(&[], is_made)), ["a"], "it gave up before the others");
        // It was cut off with nothing noted: what the event tells.
        let cut_off = Earlier { was_cut_off: true, ..Earlier::default() };
        let told = [step("told", StepState::Planned)];
        assert_eq!(names(cut_off.steps_made(&told, is_made)), ["told"]);
        assert!(cut_off.steps_made(&told, |_| false).is_empty());
        assert!(Earlier::default().steps_made(&told, is_made).is_empty());
    }

    #[test]
    fn differences_are_told_piece_by_piece() {
        let facts =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect::<Facts>();
        let before = facts(&[("a", "1"), ("b", "1"), ("c", "1")]);
        assert_eq!(difference(&before, &before), None);
        let now = facts(&[("a", "1"), ("b", "2"), ("d", "1")]);
        assert_eq!(difference(&before, &now).unwrap(), "b was changed, c is gone, d is new");
    }
}
