//! moto's server, an emulator of the AWS APIs, with the real template deployed to it.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;
use serde_json::Value;

use crate::account::Account;
use crate::process::{Helper, free_port, tool, wait_for_port};
use crate::{REGION, http, repository};

/// How many accounts one emulator is started with: few, so that a single test starts soon. Once they are used up the
/// next emulator is started, which takes the same time and has a process, and so a processor, of its own.
const ACCOUNTS: usize = 10;

/// A running emulator, with enforcement of IAM.
#[derive(Debug)]
pub struct Emulator {
    /// Its port on the loopback interface.
    pub port: u16,
    accounts: BTreeMap<String, Deployed>,
    _process: Helper,
}

/// An account with the stack deployed to it, as `tests/deploy.py` tells.
#[derive(Debug, Clone, Deserialize)]
pub struct Deployed {
    /// A user that may do anything.
    pub admin: Credentials,
    /// The functions, by the names of their crates.
    pub functions: BTreeMap<String, DeployedFunction>,
    /// The rules that have a function as their target, and the one for notifications.
    pub rules: Vec<DeployedRule>,
    /// The stack's outputs.
    pub outputs: BTreeMap<String, Value>,
    /// The policies that the template gives each role.
    pub template_roles: BTreeMap<String, Vec<Value>>,
}

/// An access key.
#[derive(Debug, Clone, Deserialize)]
pub struct Credentials {
    /// The key's id.
    pub access_key_id: String,
    /// The key's secret.
    pub secret_access_key: String,
    /// For a role's session.
    pub session_token: Option<String>,
}

/// A function as the template deploys it.
#[derive(Debug, Clone, Deserialize)]
pub struct DeployedFunction {
    /// Its name in the account.
    pub name: String,
    /// Its role.
    pub role_arn: String,
    /// Its environment.
    pub environment: BTreeMap<String, String>,
}

/// A rule as the template deploys it, but for its target: a queue stands in for the function.
#[derive(Debug, Clone, Deserialize)]
pub struct DeployedRule {
    /// Its name in the template.
    pub logical_id: String,
    /// Its name in the account.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// Whom it is for: the ARN that the queue stands in for.
    pub target: String,
    /// The queue.
    pub queue_url: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its pattern.
    pub pattern: Value,
}

#[derive(Deserialize)]
struct Deployment {
    accounts: BTreeMap<String, Deployed>,
}

impl Emulator {
    /// Starts an emulator with so many accounts ready.
    pub fn start(accounts: usize) -> Self {
        let port = free_port();
        let mut server = Command::new(tool("moto_server"));
        server.args(["-H", "127.0.0.1", "-p", &port.to_string()]).env("PYTHONUNBUFFERED", "1");
        let process = Helper::start(&server);
        wait_for_port(port, "moto");
        let ids: Vec<String> =
            (1..=accounts).map(|number| format!("{:012}", 100_000_000_000_u64 + number as u64)).collect();
        let output = Command::new(tool("python"))
            .arg(repository().join("tests/deploy.py"))
            .args(["--endpoint", &format!("http://127.0.0.1:{port}"), "--region", REGION, "--accounts"])
            .args(&ids)
            .output()
            .expect("python runs");
        assert!(output.status.success(), "the template was not deployed:\n{}", String::from_utf8_lossy(&output.stderr));
        let deployment: Deployment = serde_json::from_slice(&output.stdout).expect("deploy.py prints JSON");
        let enforce = async {
            let answer = http::post(port, "/moto-api/reset-auth", "text/plain", "0").await.expect("moto answers");
            assert!(answer.status().is_success(), "moto does not enforce IAM: {answer:?}");
        };
        // A runtime of its own: the caller may be inside of one, which must not be blocked.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .expect("a runtime")
                    .block_on(enforce);
            });
        });
        Self { port, accounts: deployment.accounts, _process: process }
    }

    /// Takes an account that nobody else has taken.
    pub fn take(&mut self) -> Option<Account> {
        let (id, deployed) = self.accounts.pop_first()?;
        Some(Account { id, port: self.port, deployed })
    }
}

/// An account that no other test of this program uses, on an emulator that ends with the program.
pub fn account() -> Account {
    static STARTED: Mutex<Vec<Emulator>> = Mutex::new(Vec::new());
    // A test that panics while an emulator starts says so itself; the others try again.
    let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(account) = started.last_mut().and_then(Emulator::take) {
        return account;
    }
    let mut emulator = Emulator::start(ACCOUNTS);
    let account = emulator.take().expect("a new emulator has accounts");
    started.push(emulator);
    account
}
