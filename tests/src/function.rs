//! A function, as `cargo lambda` runs it: the real binary, with the role and the environment that the template gives it.

use std::process::Command;
use std::time::Duration;

use hyper::body::Bytes;
use serde_json::Value;

use crate::emulator::Credentials;
use crate::process::{Helper, Watched, free_port, tool, wait_for_port};
use crate::{REGION, http, repository};

/// Longer than any test's function may take. What takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// What Lambda answers when a function fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionError {
    /// `Rescind.Failed`, say.
    pub error_type: String,
    /// The sentence.
    pub message: String,
}

/// A running function.
#[derive(Debug)]
pub struct Function {
    name: String,
    environment: Vec<(String, String)>,
    /// The port of Lambda's side, on the loopback interface.
    pub port: u16,
    process: Watched,
    more: Vec<Watched>,
    _lambda: Helper,
}

impl Function {
    /// Starts a function, with `cargo lambda` as Lambda's side.
    ///
    /// `environment` comes from the template, `credentials` are those of the function's role, and AWS is at `aws_port` of
    /// the loopback interface.
    pub fn start(
        name: &str,
        environment: impl IntoIterator<Item = (String, String)>,
        credentials: Option<&Credentials>,
        aws_port: u16,
    ) -> Self {
        let port = free_port();
        let mut lambda = Command::new(tool("cargo-lambda"));
        lambda
            .args([
                "lambda",
                "watch",
                "--only-lambda-apis",
                "--invoke-address",
                "127.0.0.1",
                "--invoke-port",
                &port.to_string(),
            ])
            .current_dir(repository());
        let lambda = Helper::start(&lambda);
        wait_for_port(port, "cargo lambda");
        let mut all: Vec<(String, String)> = [
            // The runtime takes a host as it is on Lambda, or a whole URL; `cargo lambda` tells functions apart by path.
            ("AWS_LAMBDA_RUNTIME_API", format!("http://127.0.0.1:{port}/.rt/{name}")),
            ("AWS_LAMBDA_FUNCTION_NAME", name.to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256".to_owned()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
            ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{name}")),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "tests".to_owned()),
            ("AWS_LAMBDA_LOG_FORMAT", "JSON".to_owned()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{aws_port}")),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        if let Some(credentials) = credentials {
            all.push(("AWS_ACCESS_KEY_ID".to_owned(), credentials.access_key_id.clone()));
            all.push(("AWS_SECRET_ACCESS_KEY".to_owned(), credentials.secret_access_key.clone()));
            all.extend(credentials.session_token.clone().map(|token| ("AWS_SESSION_TOKEN".to_owned(), token)));
        }
        all.extend(environment);
        let process = Watched::start(&mut command(name, &all));
        Self { name: name.to_owned(), environment: all, port, process, more: Vec::new(), _lambda: lambda }
    }

    /// Invokes the function with an input and returns its answer.
    ///
    /// # Errors
    /// When the function fails.
    pub async fn invoke(&self, input: &Value) -> Result<Value, FunctionError> {
        self.invoke_raw(input.to_string()).await
    }

    /// Invokes the function with whatever bytes.
    ///
    /// # Errors
    /// When the function fails.
    pub async fn invoke_raw(&self, input: impl Into<Bytes>) -> Result<Value, FunctionError> {
        let path = format!("/2015-03-31/functions/{}/invocations", self.name);
        let broken = |message: String| FunctionError { error_type: "Lambda".to_owned(), message };
        let answer = tokio::select! {
            answer = http::post(self.port, &path, "application/json", input) => {
                answer.map_err(|error| broken(error.to_string()))?
            }
            error = self.end() => return Err(error),
        };
        let body: Value =
            serde_json::from_slice(answer.body()).map_err(|error| broken(format!("{error}: {:?}", answer.body())))?;
        match body.get("errorType").and_then(Value::as_str) {
            Some(error_type) => Err(FunctionError {
                error_type: error_type.to_owned(),
                message: body.get("errorMessage").and_then(Value::as_str).unwrap_or_default().to_owned(),
            }),
            None if answer.status().is_success() => Ok(body),
            None => Err(broken(body.to_string())),
        }
    }

    /// Why there will be no answer any more. `cargo lambda` goes on waiting for one when the process is gone; Lambda does not.
    async fn end(&self) -> FunctionError {
        let until = tokio::time::Instant::now() + PATIENCE;
        while self.process.is_alive() {
            if tokio::time::Instant::now() > until {
                let message = format!("no answer in {PATIENCE:?}");
                return FunctionError { error_type: "Sandbox.Timedout".to_owned(), message };
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let message = format!("the process ended without an answer:\n{}", self.log().join("\n"));
        FunctionError { error_type: "Runtime.ExitError".to_owned(), message }
    }

    /// What the function wrote, line by line.
    pub fn log(&self) -> Vec<String> {
        self.process.lines()
    }

    /// What the function wrote, as soon as it is enough, or after two seconds: a line may come after the answer.
    pub async fn log_until(&self, is_enough: impl Fn(&[String]) -> bool) -> Vec<String> {
        for _ in 0..100 {
            if is_enough(&self.log()) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.log()
    }

    /// Starts one more process, as Lambda does for events that come at the same time.
    pub fn add_process(&mut self) {
        self.more.push(Watched::start(&mut command(&self.name, &self.environment)));
    }

    /// Kills the process (SIGKILL), as Lambda may at any time.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Starts a new process, as Lambda does for the next delivery.
    pub fn restart(&mut self) {
        self.process.kill();
        self.process = Watched::start(&mut command(&self.name, &self.environment));
    }
}

fn command(name: &str, environment: &[(String, String)]) -> Command {
    let binary = binary(name);
    let mut command = Command::new(binary);
    // Nothing of the developer's own AWS settings may leak in.
    command.env_clear().envs(environment.iter().map(|(name, value)| (name, value)));
    if let Some(home) = std::env::var_os("LD_LIBRARY_PATH") {
        command.env("LD_LIBRARY_PATH", home);
    }
    command
}

/// The function's binary: it stands beside the test programs.
fn binary(name: &str) -> std::path::PathBuf {
    let program = std::env::current_exe().expect("this program has a path");
    let beside = program.ancestors().find(|folder| folder.join(name).is_file());
    beside
        .unwrap_or_else(|| panic!("the function {name} is not built: run `cargo build --workspace --bins`"))
        .join(name)
}
