//! moto's server, an emulator of the AWS APIs, with the real template deployed to it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;
use serde_json::Value;

use crate::account::Account;
use crate::process::tool;
use crate::{REGION, repository};

/// How many accounts an emulator has: few, since it answers the slower the more there is in it. Once they are used up the next one
/// is asked for, which has a process of its own.
const ACCOUNTS: usize = 4;

/// The template deployed to an emulator, of which `tests/emulator.py` makes as many copies as it is asked for.
#[derive(Debug)]
struct Deployment {
    accounts: BTreeMap<String, Deployed>,
    ports: Lines<BufReader<ChildStdout>>,
    // Closing its standard input is what ends it, and all copies.
    process: Child,
}

/// A running emulator, with enforcement of IAM.
#[derive(Debug)]
struct Emulator {
    port: u16,
    accounts: BTreeMap<String, Deployed>,
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

impl DeployedFunction {
    /// The template names the bundle of Amazon Linux.
    fn take_certificates_of_this_machine(&mut self) {
        const FILE: &str = "SSL_CERT_FILE";
        const OF_DEBIAN: &str = "/etc/ssl/certs/ca-certificates.crt";
        if self.environment.get(FILE).is_none_or(|file| Path::new(file).exists()) {
            return;
        }
        if Path::new(OF_DEBIAN).exists() {
            self.environment.insert(FILE.to_owned(), OF_DEBIAN.to_owned());
        } else {
            self.environment.remove(FILE);
        }
    }
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
    /// The path of the queue's URL.
    queue_path: String,
    /// The queue, at this emulator.
    #[serde(default)]
    pub queue_url: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its pattern.
    pub pattern: Value,
}

#[derive(Deserialize)]
struct Told {
    accounts: BTreeMap<String, Deployed>,
}

impl Deployment {
    fn start() -> Self {
        let ids = (1..=ACCOUNTS).map(|number| format!("{:012}", 100_000_000_000_u64 + number as u64));
        let mut command = Command::new(tool("python"));
        command.arg(repository().join("tests/emulator.py")).args(["--region", REGION, "--accounts"]).args(ids);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python runs");
        let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        let told = lines.next().and_then(Result::ok).expect("the template is deployed");
        let mut told: Told = serde_json::from_str(&told).expect("emulator.py prints JSON");
        let functions = told.accounts.values_mut().flat_map(|account| account.functions.values_mut());
        functions.for_each(DeployedFunction::take_certificates_of_this_machine);
        Self { accounts: told.accounts, ports: lines, process }
    }

    /// One more emulator.
    fn copy(&mut self) -> Emulator {
        let input = self.process.stdin.as_mut().expect("piped");
        input.write_all(b"\n").and_then(|()| input.flush()).expect("emulator.py listens");
        let port = self.ports.next().and_then(Result::ok).expect("emulator.py tells the port");
        let port = port.parse().expect("a port");
        let mut accounts = self.accounts.clone();
        for rule in accounts.values_mut().flat_map(|deployed| &mut deployed.rules) {
            rule.queue_url = format!("http://127.0.0.1:{port}{}", rule.queue_path);
        }
        Emulator { port, accounts }
    }
}

impl Emulator {
    /// Takes an account that nobody else has taken.
    fn take(&mut self) -> Option<Account> {
        let (id, deployed) = self.accounts.pop_first()?;
        Some(Account { id, port: self.port, deployed })
    }
}

/// An account that nobody else in this program uses, on an emulator that ends with the program.
pub fn account() -> Account {
    static STARTED: Mutex<Option<(Deployment, Emulator)>> = Mutex::new(None);
    // A test that panics while an emulator starts says so itself; the others try again.
    let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    let (deployment, emulator) = started.get_or_insert_with(|| {
        let mut deployment = Deployment::start();
        let emulator = deployment.copy();
        (deployment, emulator)
    });
    if let Some(account) = emulator.take() {
        return account;
    }
    *emulator = deployment.copy();
    emulator.take().expect("a new emulator has accounts")
}
