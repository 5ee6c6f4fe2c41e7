//! Delivers events as EventBridge does: the emulator matches them against the deployed rules and transforms the input.
//!
//! Two things differ from AWS, both the emulator's: a queue stands in for the function, and times are written as numbers
//! of seconds. Nothing else is filled in or changed.

use std::time::{Duration, Instant};

use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use chrono::{DateTime, SecondsFormat};
use serde_json::Value;

use crate::account::Account;
use crate::emulator::DeployedRule;
use crate::now;

/// What a rule hands to its target.
#[derive(Debug, Clone)]
pub struct Delivered {
    /// The rule's name in the template.
    pub rule: String,
    /// The ARN of the target.
    pub target: String,
    /// The input.
    pub input: Value,
}

/// Puts an event on the account's bus and returns what its rules deliver.
pub async fn deliver(account: &Account, event: &Value) -> Vec<Delivered> {
    let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
    let entry = PutEventsRequestEntry::builder()
        .source(text("source"))
        .detail_type(text("detail-type"))
        .detail(event["detail"].to_string())
        .set_resources(
            event["resources"].as_array().map(|all| all.iter().filter_map(Value::as_str).map(str::to_owned).collect()),
        )
        .build();
    account.events().put_events().entries(entry).send().await.expect("the event is taken");
    let mut delivered = received(account, |rule| rule.target.contains(":function:")).await;
    for one in &mut delivered {
        // The emulator makes an envelope of its own for what is put on its bus; the event's own is the one to test with.
        if one.input.get("event").is_some() {
            let detail = one.input["event"]["detail"].clone();
            one.input["event"] = event.clone();
            one.input["event"]["detail"] = detail;
        }
        if one.input.get("detail-type").is_some() {
            one.input = event.clone();
        }
        if let Some(seconds) = one.input.get("ingested").and_then(Value::as_f64) {
            #[expect(clippy::cast_possible_truncation, reason = "a time of this century")]
            let time = DateTime::from_timestamp_millis((seconds * 1000.0) as i64).unwrap_or_else(now);
            one.input["ingested"] = Value::from(time.to_rfc3339_opts(SecondsFormat::Secs, true));
        }
    }
    delivered
}

/// What lies in the queues of some of an account's rules. The emulator delivers at once.
pub async fn received(account: &Account, is_meant: impl Fn(&DeployedRule) -> bool) -> Vec<Delivered> {
    let mut all = Vec::new();
    for rule in account.deployed.rules.iter().filter(|rule| is_meant(rule)) {
        for body in drain(account, rule).await {
            let input =
                serde_json::from_str(&body).unwrap_or_else(|error| panic!("{}: {error}: {body}", rule.logical_id));
            all.push(Delivered { rule: rule.logical_id.clone(), target: rule.target.clone(), input });
        }
    }
    all
}

/// What lies in the queue of one rule, waiting up to two seconds for the first message.
pub async fn wait_for(account: &Account, logical_id: &str) -> Vec<Value> {
    let until = Instant::now() + Duration::from_secs(2);
    loop {
        let bodies = drain(account, account.rule(logical_id)).await;
        if !bodies.is_empty() || Instant::now() > until {
            return bodies.iter().map(|body| serde_json::from_str(body).expect("JSON")).collect();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn drain(account: &Account, rule: &DeployedRule) -> Vec<String> {
    let sqs = account.sqs();
    let mut bodies = Vec::new();
    loop {
        let answer = sqs
            .receive_message()
            .queue_url(&rule.queue_url)
            .max_number_of_messages(10)
            .send()
            .await
            .expect("the queue can be read");
        if answer.messages().is_empty() {
            return bodies;
        }
        for message in answer.messages() {
            bodies.push(message.body().unwrap_or_default().to_owned());
            let receipt = message.receipt_handle().unwrap_or_default();
            sqs.delete_message()
                .queue_url(&rule.queue_url)
                .receipt_handle(receipt)
                .send()
                .await
                .expect("the message is taken");
        }
    }
}
