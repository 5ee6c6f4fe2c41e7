//! What the end-to-end tests and the demo stand on: an emulator of AWS with the real template deployed to it, the real
//! function under `cargo lambda`, a proxy between the two that records every call and can disturb it, and CloudTrail
//! records made of what really happened.

pub mod account;
pub mod chain;
pub mod cloudtrail;
pub mod delivery;
pub mod emulator;
pub mod function;
pub mod guardduty;
pub mod http;
pub mod manual;
pub mod process;
pub mod proxy;
pub mod scenes;
pub mod schema;
pub mod world;

use chrono::Timelike;
use std::io::Write;

pub use account::Account;
pub use function::{Function, FunctionError};
pub use proxy::{Call, Fault, Proxy, When};
pub use scenes::{KINDS, Kind, Scene, is_thorough, is_tried_alone, kinds};
pub use world::World;

/// Every function that takes something back.
pub const FUNCTIONS: &[rescind_lambda::Function] = &[
    security_groups::FUNCTION,
    network::FUNCTION,
    sharing::FUNCTION,
    identity::FUNCTION,
    detection::FUNCTION,
    instances::FUNCTION,
];

/// The Region of all tests.
pub const REGION: &str = "us-east-1";

/// The folder of the repository.
pub fn repository() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests stand in the repository").to_owned()
}

/// The time now.
#[expect(clippy::disallowed_methods, reason = "the tests make events of what happens now")]
pub fn now() -> chrono::DateTime<chrono::Utc> {
    chrono::Utc::now()
}

/// Waits until another second has begun: a record of CloudTrail tells a time in whole seconds, and what was captured in the same one
/// would be no earlier.
pub async fn next_second() {
    let left = 1050 - now().nanosecond() / 1_000_000 % 1000;
    tokio::time::sleep(std::time::Duration::from_millis(u64::from(left))).await;
}

/// Says what a test has tried, among the names of the tests that pass: what `println!` prints is shown of failures alone.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // Nobody reads it, if it can't be written.
    let _ = writeln!(out, "{line}");
}

/// A template as it is written, with CloudFormation's functions in their long form: `!Ref A` is `{"Ref": "A"}`.
pub fn template(file: &str) -> serde_json::Value {
    let script = "import json, sys; from samtranslator.yaml_helper import yaml_parse; json.dump(yaml_parse(sys.stdin.read()), sys.stdout, default=str)";
    let text = std::fs::File::open(repository().join(file)).expect("the template is there");
    let output = std::process::Command::new(process::tool("python")).args(["-c", script]).stdin(text).output();
    serde_json::from_slice(&output.expect("python runs").stdout).expect("the template is YAML")
}
