//! The runs: the two products in turn, pair by pair, since the machine is not always equally fast.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;

use crate::Problem;
use crate::program::{Launch, Program};
use crate::stage::{Measured, Side, Stage, millis};
use crate::statistics::Summary;

/// Warm events of each process.
const WARM: usize = 10;
/// Events that are handed over one right after the other.
const IN_A_ROW: usize = 20;

/// One process of a product.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    pub cold: Measured,
    pub warm: Vec<Measured>,
    /// Events per second, one right after the other; nothing where that was not tried.
    pub per_second: Option<f64>,
    pub peak_memory_mb: f64,
}

/// The runs of both products. The first of one belongs to the first of the other, and so on.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Runs {
    pub rescind: Vec<Run>,
    pub custodian: Vec<Run>,
}

impl Runs {
    pub fn of(&self, side: Side) -> &[Run] {
        match side {
            Side::Rescind => &self.rescind,
            Side::Custodian => &self.custodian,
        }
    }

    /// A figure of each process.
    pub fn each(&self, side: Side, figure: impl Fn(&Run) -> f64) -> Summary {
        Summary::of(self.of(side).iter().map(figure))
    }

    /// A figure of each warm event of each process.
    pub fn each_warm(&self, side: Side, figure: impl Fn(&Measured) -> f64) -> Summary {
        Summary::of(self.of(side).iter().flat_map(|run| &run.warm).map(figure))
    }

    fn add(&mut self, side: Side, run: Run) {
        match side {
            Side::Rescind => self.rescind.push(run),
            Side::Custodian => self.custodian.push(run),
        }
    }
}

/// How long a function takes to ask for work for the first time.
#[derive(Debug, Clone, Serialize)]
pub struct Start {
    pub name: String,
    pub ms: Summary,
}

/// Starts every program in turn, again and again.
pub async fn starts(launches: &[(String, Launch)], runs: usize) -> Result<Vec<Start>, Problem> {
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); launches.len()];
    for _ in 0..runs {
        for ((_, launch), times) in launches.iter().zip(&mut times) {
            let (program, _) = Program::start(launch, None).await?;
            times.push(millis(program.until_first_asked().await?));
        }
    }
    let starts = launches.iter().zip(times);
    Ok(starts.map(|((name, _), times)| Start { name: name.clone(), ms: Summary::of(times) }).collect())
}

/// What the products are given to do.
#[derive(Debug)]
pub struct Work {
    /// The group of single events.
    pub group: String,
    /// One group for each event of those in a row.
    pub groups: Vec<String>,
    pub rescind: Launch,
    pub custodian: Launch,
}

impl Work {
    pub async fn prepare(stage: &Stage) -> Result<Self, Problem> {
        let group = stage.account.group("web", None).await;
        let mut groups = Vec::new();
        for number in 0..IN_A_ROW {
            groups.push(stage.account.group(&format!("web-{number}"), None).await);
        }
        let (rescind, custodian) = (stage.function("security-groups").await?, stage.custodian()?);
        Ok(Self { group, groups, rescind, custodian })
    }

    fn launch(&self, side: Side) -> &Launch {
        match side {
            Side::Rescind => &self.rescind,
            Side::Custodian => &self.custodian,
        }
    }
}

/// Both products, pair by pair: a first event, warm ones, and many in a row.
pub async fn events(stage: &Stage, work: &Work, count: usize, progress: impl Fn(usize)) -> Result<Runs, Problem> {
    pairs(stage, work, (WARM, true), count, progress).await
}

/// Both products, pair by pair, with time added to each request.
pub async fn far_away(
    stage: &Stage,
    work: &Work,
    latency: Duration,
    count: usize,
    progress: impl Fn(usize),
) -> Result<Runs, Problem> {
    stage.proxy.set_latency(latency);
    let runs = pairs(stage, work, (3, false), count, progress).await?;
    stage.proxy.set_latency(Duration::ZERO);
    Ok(runs)
}

/// Both products, pair by pair, with so many warm events, and with many in a row or without.
async fn pairs(
    stage: &Stage,
    work: &Work,
    (warm, is_in_a_row): (usize, bool),
    count: usize,
    progress: impl Fn(usize),
) -> Result<Runs, Problem> {
    let mut runs = Runs::default();
    for number in 0..count {
        progress(number);
        for side in in_turn(number) {
            runs.add(side, one(stage, work, side, warm, is_in_a_row).await?);
        }
    }
    Ok(runs)
}

/// Both products, pair by pair, with answers that were recorded and come after just this time: whatever the emulator needs, and that
/// it answers one request at a time, is no part of it.
pub async fn recorded(
    stage: &Stage,
    work: &Work,
    latency: Duration,
    count: usize,
    progress: impl Fn(usize),
) -> Result<Runs, Problem> {
    let mut recorded = Vec::new();
    for side in Side::BOTH {
        let change = stage.open(&work.group).await;
        stage.proxy.record();
        stage.cold(side, work.launch(side), &change).await?;
        recorded.push((side, change, stage.proxy.recorded()));
    }
    stage.proxy.set_latency(latency);
    let mut runs = Runs::default();
    for number in 0..count {
        progress(number);
        for side in in_turn(number) {
            let Some((_, change, recording)) = recorded.iter().find(|(of, ..)| *of == side) else { continue };
            stage.proxy.replay(recording.clone());
            // Nothing remembers the event, so it can come again and again.
            let (program, cold) = stage.cold(side, work.launch(side), change).await?;
            let mut warm = Vec::new();
            for _ in 0..WARM {
                warm.push(stage.warm(side, &program, change).await?);
            }
            let inputs = vec![stage.input(side, change); IN_A_ROW];
            let is_in_a_row = latency.is_zero();
            let per_second = if is_in_a_row { Some(per_second(stage, &program, &inputs).await?) } else { None };
            runs.add(side, Run { cold, warm, per_second, peak_memory_mb: peak_memory_mb(&program)? });
            stage.proxy.recorded();
        }
    }
    stage.proxy.set_latency(Duration::ZERO);
    Ok(runs)
}

/// Nobody is always the first.
fn in_turn(number: usize) -> [Side; 2] {
    let [a, b] = Side::BOTH;
    if number.is_multiple_of(2) { [a, b] } else { [b, a] }
}

async fn one(stage: &Stage, work: &Work, side: Side, warm: usize, is_in_a_row: bool) -> Result<Run, Problem> {
    let about = |problem: Problem| format!("{}: {problem}", side.name());
    let change = stage.open(&work.group).await;
    let (program, cold) = stage.cold(side, work.launch(side), &change).await.map_err(about)?;
    ensure_closed(stage, side, &work.group).await?;
    let mut events = Vec::new();
    for _ in 0..warm {
        let change = stage.open(&work.group).await;
        events.push(stage.warm(side, &program, &change).await.map_err(about)?);
        ensure_closed(stage, side, &work.group).await?;
    }
    let per_second = if is_in_a_row { Some(in_a_row(stage, work, side, &program).await?) } else { None };
    let peak_memory_mb = peak_memory_mb(&program)?;
    Ok(Run { cold, warm: events, per_second, peak_memory_mb })
}

async fn in_a_row(stage: &Stage, work: &Work, side: Side, program: &Program) -> Result<f64, Problem> {
    let mut inputs = Vec::new();
    for group in &work.groups {
        inputs.push(stage.input(side, &stage.open(group).await));
    }
    let per_second = per_second(stage, program, &inputs).await?;
    for group in &work.groups {
        ensure_closed(stage, side, group).await?;
    }
    Ok(per_second)
}

/// How many events a second a process answers that are all there at once.
async fn per_second(stage: &Stage, program: &Program, inputs: &[Value]) -> Result<f64, Problem> {
    stage.proxy.clear();
    let started = Instant::now();
    let waited: Vec<_> = inputs.iter().map(|input| program.submit(input)).collect();
    for waited in waited {
        program.answer(waited).await?;
    }
    #[expect(clippy::cast_precision_loss, reason = "a number of events")]
    let count = inputs.len() as f64;
    Ok(count / started.elapsed().as_secs_f64())
}

fn peak_memory_mb(program: &Program) -> Result<f64, Problem> {
    #[expect(clippy::cast_precision_loss, reason = "megabytes")]
    let bytes = program.peak_memory()? as f64;
    Ok(bytes / 1024.0 / 1024.0)
}

async fn ensure_closed(stage: &Stage, side: Side, group: &str) -> Result<(), Problem> {
    if stage.is_open(group).await {
        return Err(format!("{} left {group} open", side.name()).into());
    }
    Ok(())
}
