//! A process as Lambda runs it, watched from outside.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Problem;
use crate::lambda::{Answer, Lambda};

/// What takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a process is started.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program and its arguments.
    pub command: Vec<PathBuf>,
    /// Its whole environment, but for the address of the runtime API.
    pub environment: Vec<(String, String)>,
    /// Its working folder.
    pub folder: PathBuf,
    /// Where what it writes is kept.
    pub log: PathBuf,
}

/// A running process, which ends with this value.
#[derive(Debug)]
pub struct Program {
    /// The moment before it was started.
    pub started: Instant,
    child: Child,
    lambda: Lambda,
    log: PathBuf,
}

impl Program {
    /// Starts a process, for which an event may be waiting already; then its answer comes, too.
    pub async fn start(launch: &Launch, event: Option<&Value>) -> Result<(Self, Option<Waited>), Problem> {
        let lambda = Lambda::start().await?;
        let answer = event.map(|event| Waited(lambda.submit(event)));
        let (program, arguments) = launch.command.split_first().ok_or("nothing to start")?;
        let log = fs::File::create(&launch.log)?;
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&launch.folder).env_clear();
        command.envs(launch.environment.iter().map(|(name, value)| (name, value)));
        command.env("AWS_LAMBDA_RUNTIME_API", format!("127.0.0.1:{}", lambda.port));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let started = Instant::now();
        let child = command.spawn().map_err(|error| format!("{}: {error}", program.display()))?;
        Ok((Self { started, child, lambda, log: launch.log.clone() }, answer))
    }

    /// How long it took to ask for work for the first time.
    pub async fn until_first_asked(&self) -> Result<Duration, Problem> {
        let asked = tokio::time::timeout(PATIENCE, self.lambda.first_asked()).await;
        let asked = asked.ok().flatten().ok_or_else(|| format!("it never asked for work: {}", self.log.display()))?;
        Ok(asked.duration_since(self.started))
    }

    /// Hands it an event.
    pub fn submit(&self, event: &Value) -> Waited {
        Waited(self.lambda.submit(event))
    }

    /// The most memory that it had, in bytes: `VmHWM`.
    pub fn peak_memory(&self) -> Result<u64, Problem> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("the system tells no VmHWM")?;
        let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kilobytes * 1024)
    }

    /// The answer that is waited for, if it is no error.
    pub async fn answer(&self, waited: Waited) -> Result<Answer, Problem> {
        let answer = tokio::time::timeout(PATIENCE, waited.0).await;
        let answer = answer.ok().and_then(Result::ok);
        let answer = answer.ok_or_else(|| format!("no answer: {}", self.log.display()))?;
        if answer.is_error {
            return Err(format!("it failed: {}: {}", answer.body, self.log.display()).into());
        }
        Ok(answer)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer that is to come.
#[derive(Debug)]
pub struct Waited(tokio::sync::oneshot::Receiver<Answer>);
