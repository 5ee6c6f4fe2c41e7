//! What was measured, and what follows from it.

use serde::Serialize;

use crate::growth::Case;
use crate::runs::{Runs, Start};
use crate::stage::{Measured, Side};
use crate::statistics::Summary;

/// Everything, as `bench.json` has it.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub at: String,
    pub machine: Machine,
    pub starts: Vec<Start>,
    pub packages: Vec<Package>,
    /// Next to the emulator.
    pub near: Runs,
    /// With this added to each request.
    pub latency_ms: u64,
    pub far: Runs,
    /// With answers that were recorded and come at once.
    pub alone: Runs,
    /// With answers that were recorded and come after just the time that is added.
    pub alone_far: Runs,
    pub growth: Vec<Case>,
    pub rows: Vec<Row>,
    pub aims: Vec<Aim>,
}

/// Where it was measured. Others may have been at work there.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub kernel: String,
    /// `/proc/loadavg` before and after.
    pub load_before: String,
    pub load_after: String,
}

/// What is uploaded to Lambda.
#[derive(Debug, Clone, Serialize)]
pub struct Package {
    pub name: String,
    pub bytes: u64,
}

/// A figure of both products.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    pub what: String,
    pub unit: &'static str,
    pub rescind: Summary,
    pub custodian: Summary,
    /// How many times better Rescind is, pair by pair.
    pub ratio: Summary,
    /// The mean tells more than the median: a rare pause hits whom it hits.
    pub has_mean: bool,
}

/// What was aimed at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Aim {
    pub what: String,
    pub aim: String,
    pub is: f64,
    pub is_met: bool,
    /// The same with recorded answers, where the emulator's own time is part of it.
    pub recorded: Option<f64>,
}

/// Lambda's name for the one that does nothing.
pub const EMPTY: &str = "empty";
/// The function that is compared with Cloud Custodian.
pub const COMPARED: &str = "security-groups";
/// Its counterpart.
pub const CUSTODIAN: &str = "Cloud Custodian";

impl Report {
    /// Works out what the runs come to.
    pub fn conclude(mut self) -> Self {
        self.rows = self.rows();
        self.aims = self.aims();
        self
    }

    fn start(&self, name: &str) -> Summary {
        self.starts.iter().find(|start| start.name == name).map(|start| start.ms.clone()).unwrap_or_default()
    }

    fn package(&self, name: &str) -> Summary {
        #[expect(clippy::cast_precision_loss, reason = "megabytes")]
        let megabytes = |package: &Package| package.bytes as f64 / 1e6;
        Summary::of(self.packages.iter().filter(|package| package.name == name).map(megabytes))
    }

    fn rows(&self) -> Vec<Row> {
        let (near, far, added) = (&self.near, &self.far, self.latency_ms);
        let row = |what: &str, unit, figure: &dyn Fn(Side) -> Summary| Row::of(what, unit, figure);
        let cold = |runs: &Runs, of: fn(&Measured) -> f64| {
            let runs = runs.clone();
            move |side| runs.each(side, |run| of(&run.cold))
        };
        let warm = |runs: &Runs, of: fn(&Measured) -> f64| {
            let runs = runs.clone();
            move |side| runs.each_warm(side, of)
        };
        let second = |side| near.each(side, |run| run.warm.first().map_or(0.0, |second| second.until_gone_ms));
        let (alone, alone_far) = (&self.alone, &self.alone_far);
        let per_second = |runs: &Runs| {
            let runs = runs.clone();
            move |side| runs.each(side, |run| run.per_second.unwrap_or_default())
        };
        let by_name = |side: Side, of: &dyn Fn(&str) -> Summary| match side {
            Side::Rescind => of(COMPARED),
            Side::Custodian => of(CUSTODIAN),
        };
        vec![
            row("process start to the first request for work", "ms", &|side| by_name(side, &|name| self.start(name))),
            row("first event, from process start: until the rule is gone", "ms", &cold(near, |one| one.until_gone_ms)),
            row("    of that, no request under way", "ms", &cold(near, Measured::own_ms)),
            row("first event: until all is done and answered", "ms", &cold(near, |one| one.until_answered_ms)),
            row("second event: until the rule is gone", "ms", &second),
            row("warm event: until the rule is gone", "ms", &warm(near, |one| one.until_gone_ms)).with_mean(),
            row("    of that, no request under way", "ms", &warm(near, Measured::own_ms)).with_mean(),
            row("warm event: until all is done and answered", "ms", &warm(near, |one| one.until_answered_ms))
                .with_mean(),
            row("events per second, one after another", "/s", &per_second(near)).more_is_better(),
            row("peak memory", "MB", &|side| near.each(side, |run| run.peak_memory_mb)),
            row("requests to AWS, first event", "", &cold(near, |one| count(one.requests))),
            row("requests to AWS, warm event", "", &warm(near, |one| count(one.requests))),
            row("one after another until the rule is gone, first", "", &cold(far, |one| count(one.chain))),
            row("one after another until the rule is gone, warm", "", &warm(far, |one| count(one.chain))),
            row("connections opened, first event", "", &cold(far, |one| count(one.connections))),
            row("connections opened, warm event", "", &warm(far, |one| count(one.connections))),
            row(
                &format!("first event, {added} ms added to each request: rule gone"),
                "ms",
                &cold(far, |one| one.until_gone_ms),
            ),
            row(
                &format!("warm event, {added} ms added to each request: rule gone"),
                "ms",
                &warm(far, |one| one.until_gone_ms),
            )
            .with_mean(),
            row("answers recorded, first event: until the rule is gone", "ms", &cold(alone, |one| one.until_gone_ms)),
            row("answers recorded, warm event: until the rule is gone", "ms", &warm(alone, |one| one.until_gone_ms))
                .with_mean(),
            row("answers recorded, warm event: until all is done", "ms", &warm(alone, |one| one.until_answered_ms))
                .with_mean(),
            row("answers recorded, events per second", "/s", &per_second(alone)).more_is_better(),
            row(
                &format!("answers recorded, after {added} ms, first event: rule gone"),
                "ms",
                &cold(alone_far, |one| one.until_gone_ms),
            ),
            row(
                &format!("answers recorded, after {added} ms, warm event: rule gone"),
                "ms",
                &warm(alone_far, |one| one.until_gone_ms),
            )
            .with_mean(),
            row("zipped package", "MB", &|side| by_name(side, &|name| self.package(name))),
        ]
    }

    fn aims(&self) -> Vec<Aim> {
        let empty = self.start(EMPTY);
        let functions = self.starts.iter().filter(|start| ![EMPTY, CUSTODIAN].contains(&start.name.as_str()));
        let slowest = functions.map(|start| empty.times(&start.ms).median).fold(0.0, f64::max);
        let packages = self.packages.iter().filter(|package| package.name != CUSTODIAN);
        let largest = packages.map(|package| self.package(&package.name).maximum).fold(0.0, f64::max);
        let compared = |figure: &dyn Fn(Side) -> Summary| figure(Side::Rescind).times(&figure(Side::Custodian)).median;
        let longest = self.far.each(Side::Rescind, |run| count(run.cold.chain)).maximum;
        let longest_warm = self.far.each_warm(Side::Rescind, |one| count(one.chain)).maximum;
        let most = |what: &str, aim: f64, unit: &str, is: f64| Aim {
            what: what.to_owned(),
            aim: format!("at most {aim}{unit}"),
            is,
            is_met: is <= aim,
            recorded: None,
        };
        let least = |what: &str, aim: f64, is: f64| Aim {
            what: what.to_owned(),
            aim: format!("at least {aim} ×"),
            is,
            is_met: is >= aim,
            recorded: None,
        };
        let first = |runs: &Runs| compared(&|side| runs.each(side, |run| run.cold.until_gone_ms));
        let later = |runs: &Runs| compared(&|side| runs.each_warm(side, |one| one.until_gone_ms));
        let (alone, alone_far, added) = (&self.alone, &self.alone_far, self.latency_ms);
        let but = |aim: Aim, recorded: f64| Aim { recorded: Some(recorded), ..aim };
        vec![
            most("first request for work, slowest function: × of the empty function", 1.5, "", slowest),
            but(least("first event until the rule is gone: faster", 40.0, first(&self.near)), first(alone)),
            but(least("warm event until the rule is gone: faster", 5.0, later(&self.near)), later(alone)),
            least("peak memory: less", 3.0, compared(&|side| self.near.each(side, |run| run.peak_memory_mb))),
            most("requests one after another until the rule is gone, first event", 2.0, "", longest),
            most("requests one after another until the rule is gone, warm event", 2.0, "", longest_warm),
            but(least(&format!("warm event, {added} ms added: faster"), 1.3, later(&self.far)), later(alone_far)),
            but(least(&format!("first event, {added} ms added: faster"), 5.0, first(&self.far)), first(alone_far)),
            most("largest zipped package", 6.0, " MB", largest),
        ]
    }
}

impl Row {
    fn of(what: &str, unit: &'static str, figure: &dyn Fn(Side) -> Summary) -> Self {
        let (rescind, custodian) = (figure(Side::Rescind), figure(Side::Custodian));
        let ratio = rescind.times(&custodian);
        Self { what: what.to_owned(), unit, rescind, custodian, ratio, has_mean: false }
    }

    fn with_mean(self) -> Self {
        Self { has_mean: true, ..self }
    }

    fn more_is_better(self) -> Self {
        let ratio = self.custodian.times(&self.rescind);
        Self { ratio, ..self }
    }
}

fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::INFINITY, f64::from)
}

#[cfg(test)]
pub mod tests {
    use std::time::Duration;

    use super::*;
    use crate::runs::Run;
    use crate::stage::millis;

    /// A report of two runs, with round numbers.
    pub fn report() -> Report {
        let measured = |gone: u64, requests, chain| Measured {
            until_gone_ms: millis(Duration::from_millis(gone)),
            under_way_ms: millis(Duration::from_millis(gone / 2)),
            until_answered_ms: millis(Duration::from_millis(gone * 2)),
            requests,
            chain,
            connections: chain,
            operations: vec!["RevokeSecurityGroupIngress".to_owned()],
        };
        let run = |cold: u64, warm: u64, requests, chain, memory, per_second| Run {
            cold: measured(cold, requests, chain),
            warm: vec![measured(warm, requests, chain - 1), measured(warm, requests, chain - 1)],
            per_second: Some(per_second),
            peak_memory_mb: memory,
        };
        let near = Runs {
            rescind: vec![run(20, 8, 9, 2, 20.0, 50.0), run(40, 16, 9, 2, 20.0, 40.0)],
            custodian: vec![run(600, 36, 3, 3, 90.0, 20.0), run(1200, 72, 3, 3, 90.0, 10.0)],
        };
        let start = |name: &str, ms: f64| Start { name: name.to_owned(), ms: Summary::of([ms, ms * 2.0]) };
        let package = |name: &str, bytes| Package { name: name.to_owned(), bytes };
        let growth = [Side::Rescind, Side::Custodian].map(|side| Case {
            what: "rules in the group".to_owned(),
            size: 1000,
            side,
            cold: vec![measured(100, 9, 2)],
            warm: vec![measured(50, 8, 2)],
        });
        Report {
            at: "2026-11-26T12:00:00Z".to_owned(),
            machine: Machine {
                processor: "a <processor>".to_owned(),
                cores: 2,
                kernel: "6.1".to_owned(),
                load_before: "0.1 0.1 0.1".to_owned(),
                load_after: "1.0 0.5 0.1".to_owned(),
            },
            starts: vec![start(EMPTY, 4.0), start(COMPARED, 5.0), start("sharing", 8.0), start(CUSTODIAN, 400.0)],
            packages: vec![package(COMPARED, 4_000_000), package("sharing", 7_000_000), package(CUSTODIAN, 750_000)],
            latency_ms: 40,
            far: near.clone(),
            alone: near.clone(),
            alone_far: near.clone(),
            near,
            growth: growth.into(),
            rows: Vec::new(),
            aims: Vec::new(),
        }
        .conclude()
    }

    #[test]
    fn aims_that_are_missed_are_said_to_be() {
        let report = report();
        let told = |what: &str| {
            let aim = report.aims.iter().find(|aim| aim.what.starts_with(what)).expect("there is such an aim");
            (aim.is, aim.is_met)
        };
        assert_eq!(told("first request for work"), (2.0, false));
        assert_eq!(told("first event until"), (30.0, false));
        assert_eq!(told("warm event until"), (4.5, false));
        assert_eq!(told("peak memory"), (4.5, true));
        assert_eq!(told("requests one after another until the rule is gone, first"), (2.0, true));
        assert_eq!(told("largest zipped package"), (7.0, false));
    }

    #[test]
    fn of_events_per_second_more_is_better() {
        let report = report();
        let row =
            report.rows.iter().find(|row| row.what.starts_with("events per second")).expect("there is such a row");
        assert_eq!((row.ratio.minimum, row.ratio.maximum), (2.5, 4.0));
    }
}
