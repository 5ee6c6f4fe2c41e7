//! What both products find: one account of the emulator, one proxy in front of it, and the groups that are opened.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use aws_sdk_ec2::types::IpPermission;
use chrono::SecondsFormat;
use rescind_tests::account::permission;
use rescind_tests::cloudtrail::{self, Who};
use rescind_tests::emulator::{self, Credentials};
use rescind_tests::{Account, Proxy, REGION, chain, now};
use serde::Serialize;
use serde_json::{Value, json};

use crate::Problem;
use crate::lambda::Answer;
use crate::program::{Launch, Program};

/// The call that takes the rule back, whoever makes it.
pub const REVOKE: &str = "RevokeSecurityGroupIngress";
/// The rule of the template that hears of the change.
const RULE: &str = "OpenSecurityGroupIngress";
/// As the template has it; it is only told to the processes.
const MEMORY_MB: &str = "256";

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Side {
    Rescind,
    Custodian,
}

impl Side {
    pub const BOTH: [Self; 2] = [Self::Rescind, Self::Custodian];

    pub fn name(self) -> &'static str {
        match self {
            Self::Rescind => "Rescind",
            Self::Custodian => "Cloud Custodian",
        }
    }
}

/// One event, seen from outside.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measured {
    /// Until the call that takes the change back was answered.
    pub until_gone_ms: f64,
    /// Of that: at least one request was under way.
    pub under_way_ms: f64,
    /// Until the process had answered: with the read-back, the journal and the outcome, where there are such.
    pub until_answered_ms: f64,
    /// Requests to AWS until then.
    pub requests: usize,
    /// Of these, the longest row of requests one after another until the change was taken back.
    pub chain: usize,
    /// Connections that were opened.
    pub connections: usize,
    /// What was asked, in its order.
    pub operations: Vec<String>,
}

impl Measured {
    /// Of the time until the rule was gone, that in which no request was under way: the product's own.
    pub fn own_ms(&self) -> f64 {
        self.until_gone_ms - self.under_way_ms
    }
}

/// The account, the proxy and how the processes are started.
#[derive(Debug)]
pub struct Stage {
    pub account: Account,
    pub proxy: Proxy,
    pub folder: PathBuf,
    custodian: Credentials,
}

/// What somebody did, for the products to hear of.
#[derive(Debug)]
pub struct Change {
    /// CloudTrail's event.
    pub event: Value,
    /// The template's rule that hears of it.
    pub rule: &'static str,
    /// The call that takes it back.
    pub taken_back_by: &'static str,
}

pub fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

impl Stage {
    /// Starts the emulator and lets Rescind act.
    pub async fn set(folder: PathBuf) -> Result<Self, Problem> {
        fs::create_dir_all(folder.join("logs"))?;
        let account = emulator::account();
        for rule in [RULE, "PublicBucketPolicy"] {
            account.tag_rule(rule, "rescind:mode", "enforce").await;
        }
        let role = custodian_role(&account).await?;
        let custodian = account.assume(&role).await;
        let proxy = Proxy::start(account.port).await;
        Ok(Self { account, proxy, folder, custodian })
    }

    /// How one of Rescind's functions is started, as it is packaged for Lambda and with the role that the template gives it.
    pub async fn function(&self, name: &str) -> Result<Launch, Problem> {
        let deployed = self.account.deployed.functions.get(name);
        let deployed = deployed.ok_or_else(|| format!("the template lacks the function {name}"))?;
        let credentials = self.account.assume(&deployed.role_arn).await;
        let mut launch = self.packaged(name, Some(&credentials))?;
        launch.environment.extend(deployed.environment.clone());
        Ok(launch)
    }

    /// How a packaged binary is started.
    pub fn packaged(&self, name: &str, credentials: Option<&Credentials>) -> Result<Launch, Problem> {
        let binary = unpacked(&self.folder, name)?;
        self.launch(name, vec![binary], credentials, &self.folder)
    }

    /// How Cloud Custodian's function is started: Python, with boto3 alone, in the folder of its archive.
    pub fn custodian(&self) -> Result<Launch, Problem> {
        let bootstrap = rescind_tests::repository().join("tests/bench/custodian/bootstrap.py");
        let handler = PathBuf::from("custodian_policy.run");
        let command = vec![self.folder.join("lambda-venv/bin/python"), bootstrap, handler];
        let mut launch =
            self.launch("custodian", command, Some(&self.custodian), &self.folder.join("custodian-function"))?;
        // The archive has no bytecode, and on Lambda none can be written beside it.
        launch.environment.push(("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned()));
        Ok(launch)
    }

    fn launch(
        &self,
        name: &str,
        command: Vec<PathBuf>,
        credentials: Option<&Credentials>,
        folder: &Path,
    ) -> Result<Launch, Problem> {
        let program = command.first().ok_or("nothing to start")?;
        if !program.exists() {
            return Err(format!("{} is missing: run `make bench`", program.display()).into());
        }
        let aws = format!("http://127.0.0.1:{}", self.proxy.port);
        let mut environment: Vec<(String, String)> = [
            ("AWS_LAMBDA_FUNCTION_NAME", name),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", MEMORY_MB),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/bench"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "bench"),
            ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
            ("AWS_LAMBDA_LOG_LEVEL", "INFO"),
            ("AWS_REGION", REGION),
            ("AWS_DEFAULT_REGION", REGION),
            ("AWS_ENDPOINT_URL", &aws),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        if let Some(credentials) = credentials {
            environment.push(("AWS_ACCESS_KEY_ID".to_owned(), credentials.access_key_id.clone()));
            environment.push(("AWS_SECRET_ACCESS_KEY".to_owned(), credentials.secret_access_key.clone()));
            environment.extend(credentials.session_token.clone().map(|token| ("AWS_SESSION_TOKEN".to_owned(), token)));
        }
        let log = self.folder.join("logs").join(format!("{name}.log"));
        Ok(Launch { command, environment, folder: folder.to_owned(), log })
    }

    /// Somebody opens a group's port 22, each time somebody else: who does it again and again is no longer answered.
    pub async fn open(&self, group: &str) -> Change {
        self.open_to(group, permission("tcp", 22, 22, "0.0.0.0/0")).await
    }

    /// Somebody adds a rule to a group, each time somebody else.
    pub async fn open_to(&self, group: &str, permission: IpPermission) -> Change {
        let made = self.account.authorize(group, &[permission]).await;
        let who = Who::User(format!("user-{}", cloudtrail::event_id()));
        let event = cloudtrail::authorized(&self.account.id, &who, group, &made);
        Change { event, rule: RULE, taken_back_by: REVOKE }
    }

    /// What a product is invoked with: by its rule in EventBridge.
    pub fn input(&self, side: Side, change: &Change) -> Value {
        match side {
            Side::Rescind => {
                let ingested = now().to_rfc3339_opts(SecondsFormat::Secs, true);
                json!({"rule": self.account.rule(change.rule).arn, "ingested": ingested, "event": change.event})
            }
            Side::Custodian => change.event.clone(),
        }
    }

    /// Whether a group's port 22 is open.
    pub async fn is_open(&self, group: &str) -> bool {
        let rules = self.account.rules(group).await;
        rules.iter().any(|rule| rule.is_egress() != Some(true) && rule.from_port() == Some(22))
    }

    /// The first event of a new process, from the moment before it is started.
    pub async fn cold(&self, side: Side, launch: &Launch, change: &Change) -> Result<(Program, Measured), Problem> {
        let input = self.input(side, change);
        self.proxy.clear();
        let (program, waited) = Program::start(launch, Some(&input)).await?;
        let answer = program.answer(waited.ok_or("an event was waiting")?).await?;
        let measured = self.measured(program.started, change, &answer)?;
        Ok((program, measured))
    }

    /// One more event of a running process, from the moment before it is handed over.
    pub async fn warm(&self, side: Side, program: &Program, change: &Change) -> Result<Measured, Problem> {
        let input = self.input(side, change);
        self.proxy.clear();
        let started = Instant::now();
        let waited = program.submit(&input);
        let answer = program.answer(waited).await?;
        self.measured(started, change, &answer)
    }

    fn measured(&self, started: Instant, change: &Change, answer: &Answer) -> Result<Measured, Problem> {
        let calls = self.proxy.calls();
        let gone = calls.iter().find(|call| call.operation == change.taken_back_by && call.status == Some(200));
        let gone = gone.and_then(|call| call.ended).ok_or_else(|| format!("not taken back: {}", answer.body))?;
        Ok(Measured {
            until_gone_ms: millis(gone - started),
            under_way_ms: millis(chain::under_way(&calls, gone)),
            until_answered_ms: millis(answer.at - started),
            requests: calls.len(),
            chain: chain::round_trips(&calls, change.taken_back_by).unwrap_or_default(),
            connections: self.proxy.connections(),
            operations: calls.into_iter().map(|call| call.operation).collect(),
        })
    }
}

/// The binary out of a function's package.
fn unpacked(folder: &Path, name: &str) -> Result<PathBuf, Problem> {
    let to = folder.join("functions").join(name);
    fs::create_dir_all(&to)?;
    let mut unzip = Command::new(rescind_tests::process::tool("python"));
    unzip.args(["-m", "zipfile", "-e"]).arg(packages()?.join(name).join("bootstrap.zip")).arg(&to);
    if !unzip.status()?.success() {
        return Err(format!("the package of {name} can't be unpacked").into());
    }
    let binary = to.join("bootstrap");
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755))?;
    Ok(binary)
}

/// Where `cargo lambda` puts what it packages: beside the folder in which this program stands.
pub fn packages() -> Result<PathBuf, Problem> {
    let program = std::env::current_exe()?;
    let target = program.ancestors().nth(2).ok_or("this program stands in the target folder")?;
    Ok(target.join("lambda"))
}

/// A role that may do what Cloud Custodian's policy needs.
async fn custodian_role(account: &Account) -> Result<String, Problem> {
    let trust = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": {"AWS": format!("arn:aws:iam::{}:user/admin", account.id)}}]});
    let policy = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": "*",
        "Action": ["ec2:DescribeSecurityGroups", "ec2:RevokeSecurityGroupIngress", "sts:GetCallerIdentity"]}]});
    let iam = account.iam();
    let role = iam.create_role().role_name("custodian").assume_role_policy_document(trust.to_string()).send().await?;
    let put = iam.put_role_policy().role_name("custodian").policy_name("custodian");
    put.policy_document(policy.to_string()).send().await?;
    let arn = role.role().map(|role| role.arn().to_owned());
    Ok(arn.ok_or("a role has an ARN")?)
}
