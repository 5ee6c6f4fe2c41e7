//! `make bench`: what Rescind costs, beside what one would use instead, in one run.
//!
//! Whole processes, as they are packaged for Lambda, against the same emulator through the same proxy; Lambda's side is its runtime
//! API over HTTP. Everything is measured from outside of the processes.

mod growth;
mod lambda;
mod page;
mod plot;
mod program;
mod report;
mod runs;
mod stage;
mod statistics;
mod table;

use std::error::Error;
use std::fs;
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use rescind_tests::now;

use crate::report::{CUSTODIAN, EMPTY, Machine, Package, Report};
use crate::runs::{Runs, Work};
use crate::stage::{Stage, packages};

/// What can go wrong.
type Problem = Box<dyn Error + Send + Sync>;

/// Of everything, so that the median means something. Another number may be named.
const RUNS: usize = 11;
/// As requests take in a Region, between a function and the services that it asks.
const LATENCY: Duration = Duration::from_millis(40);

/// The functions, the one first that is compared.
const FUNCTIONS: [&str; 7] = [report::COMPARED, "network", "sharing", "identity", "detection", "instances", "console"];

#[tokio::main]
async fn main() -> ExitCode {
    match bench().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("\nerror: {problem}");
            ExitCode::FAILURE
        }
    }
}

async fn bench() -> Result<(), Problem> {
    let count = std::env::args().nth(1).map_or(Ok(RUNS), |count| count.parse())?;
    let load_before = load();
    let folder = packages()?.with_file_name("bench");
    say("Packaging Cloud Custodian's function, and starting the emulator");
    let custodian_bytes = package_custodian(&folder)?;
    let packages = sizes(custodian_bytes)?;
    let stage = Stage::set(folder.clone()).await?;
    let work = Work::prepare(&stage).await?;

    say("Starting every function, and the empty one");
    let mut launches = vec![(EMPTY.to_owned(), stage.packaged(EMPTY, None)?)];
    for name in FUNCTIONS {
        launches.push((name.to_owned(), stage.function(name).await?));
    }
    launches.push((CUSTODIAN.to_owned(), stage.custodian()?));
    let starts = runs::starts(&launches, count).await?;

    let near = runs::events(&stage, &work, count, |number| say(&format!("Events, pair {} of {count}", number + 1)));
    let near = near.await?;
    let far = runs::far_away(&stage, &work, LATENCY, count, |number| {
        say(&format!("Events with {} ms added to each request, pair {} of {count}", LATENCY.as_millis(), number + 1));
    });
    let far = far.await?;
    let recorded = |latency| {
        runs::recorded(&stage, &work, latency, count, move |number| {
            let added = Duration::as_millis(&latency);
            say(&format!("Events with recorded answers after {added} ms, pair {} of {count}", number + 1));
        })
    };
    let alone = recorded(Duration::ZERO).await?;
    let alone_far = recorded(LATENCY).await?;
    let growth = growth::cases(&stage, &work, |what| say(&format!("Growth: {what}"))).await?;

    let machine = Machine { load_before, load_after: load(), ..machine() };
    write(&folder, Report { machine, packages, ..report(starts, [near, far, alone, alone_far], growth) }.conclude())
}

fn report(starts: Vec<runs::Start>, [near, far, alone, alone_far]: [Runs; 4], growth: Vec<growth::Case>) -> Report {
    Report {
        at: now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        machine: Machine::default(),
        starts,
        packages: Vec::new(),
        near,
        latency_ms: u64::try_from(LATENCY.as_millis()).unwrap_or_default(),
        far,
        alone,
        alone_far,
        growth,
        rows: Vec::new(),
        aims: Vec::new(),
    }
}

fn write(folder: &std::path::Path, report: Report) -> Result<(), Problem> {
    let (json, html) = (folder.join("bench.json"), folder.join("index.html"));
    fs::write(&json, serde_json::to_vec_pretty(&report)?)?;
    fs::write(&html, page::html(&report)?)?;
    say(&table::text(&report));
    say(&format!("Every value is in {}, with plots in {}.", json.display(), html.display()));
    Ok(())
}

/// Has Cloud Custodian package its function, and answers the archive's size.
fn package_custodian(folder: &std::path::Path) -> Result<u64, Problem> {
    let custodian = rescind_tests::repository().join("tests/bench/custodian");
    let mut command = Command::new(folder.join("custodian-venv/bin/python"));
    command.arg(custodian.join("package.py")).arg(custodian.join("policy.yaml"));
    let output = command.arg(folder.join("custodian-function")).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// The packages' sizes.
fn sizes(custodian_bytes: u64) -> Result<Vec<Package>, Problem> {
    let mut sizes = Vec::new();
    for name in [EMPTY].into_iter().chain(FUNCTIONS) {
        let zip: PathBuf = packages()?.join(name).join("bootstrap.zip");
        let bytes = fs::metadata(&zip).map_err(|error| format!("{}: {error}", zip.display()))?.len();
        sizes.push(Package { name: name.to_owned(), bytes });
    }
    sizes.push(Package { name: CUSTODIAN.to_owned(), bytes: custodian_bytes });
    Ok(sizes)
}

fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

fn machine() -> Machine {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let model = processors.lines().find_map(|line| line.strip_prefix("model name"));
    Machine {
        processor: model.unwrap_or_default().trim_start_matches(['\t', ' ', ':']).to_owned(),
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        ..Machine::default()
    }
}

/// A line on the terminal. Whoever closes the pipe has seen enough: that is no error.
fn say(line: &str) {
    let _ = writeln!(stdout(), "{line}");
}
