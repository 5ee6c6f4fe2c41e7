//! Whatever a function is invoked with: it is decoded or refused, and either way as the rest relies on it.

#![no_main]

mod mutate;

use libfuzzer_sys::{Corpus, fuzz_mutator, fuzz_target};
use rescind::findings::{self, Response};
use rescind::outcome::Outcome;
use rescind::signal::{self, Fact, Finding, Proof};
use rescind::text::clean;
use rescind::{Delivery, Resource, Signal, SignalError};
use serde_json::{Value, json};

const RULE: &str = "arn:aws:events:eu-central-1:111122223333:rule/rescind";
/// No message about an input is longer, in characters.
const LONGEST_MESSAGE: usize = 600;

fuzz_target!(|data: &[u8]| -> Corpus {
    let Ok(input) = serde_json::from_slice::<Value>(data) else {
        return Corpus::Reject;
    };
    let decoded = signal::decode(input.clone());
    assert_eq!(decoded, signal::decode(input.clone()), "the same input is decoded in the same way");
    match &decoded {
        Ok(delivery) => check_delivery(delivery, &input),
        Err(error) => check_message(&error.to_string()),
    }
    check_wrapped(&input, &decoded);
    Corpus::Keep
});

// Half of the time JSON stays JSON, or hardly an input would come past the parser.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let changed = data.get(..size).filter(|_| seed.is_multiple_of(2)).and_then(|json| mutate::mutate(json, seed));
    match changed {
        Some(changed) if changed.len() <= max_size.min(data.len()) => {
            data.iter_mut().zip(&changed).for_each(|(to, from)| *to = *from);
            changed.len()
        }
        _ => libfuzzer_sys::fuzzer_mutate(data, size, max_size),
    }
});

/// A message is repeated in logs and dead letters.
fn check_message(message: &str) {
    assert_eq!(clean(message, LONGEST_MESSAGE), message, "the message is short and has no hostile characters");
}

fn check_delivery(delivery: &Delivery, input: &Value) {
    assert_eq!(&delivery.input, input, "the input is kept as it came");
    assert_eq!(delivery.rule.is_some(), input.get("detail-type").is_none(), "the rule comes with the wrapper");
    // The journal keeps it as text. Fractions may lose their last digit on that way; where one is read, a severity, it
    // is to the tenth.
    if !has_fraction(input) {
        let again = serde_json::from_str(&input.to_string()).map(signal::decode);
        assert!(matches!(&again, Ok(Ok(again)) if again == delivery), "{again:?} is not the delivery it was");
    }
    check_signal(&delivery.signal);
}

fn has_fraction(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(list) => list.iter().any(has_fraction),
        Value::Object(map) => map.values().any(has_fraction),
        _ => false,
    }
}

/// What is promised of a signal, and what is asked of every one.
fn check_signal(signal: &Signal) {
    assert!((1..=512).contains(&signal.id.len()) && !signal.id.chars().any(char::is_control), "{:?}", signal.id);
    assert!(rescind::arn::is_account(&signal.account), "{:?}", signal.account);
    assert!(rescind::arn::is_region(&signal.region), "{:?}", signal.region);
    let resource = match &signal.fact {
        Fact::ApiCall(call) => {
            let _ = call.changed_nothing();
            for value in [call.request(), call.response()] {
                for item in signal::items(signal::field(value, "ipPermissions")) {
                    let _ = (signal::text(item, "ipProtocol"), signal::number(item, "fromPort"));
                }
            }
            let id = signal::text(call.request(), "groupId").unwrap_or("sg-1").to_owned();
            Resource { id, ..of_signal(signal, "AWS::EC2::SecurityGroup") }
        }
        Fact::ConfigurationItemChange(change) => {
            assert_eq!(change.message_type() == "ConfigurationItemChangeNotification", change.configuration.is_some());
            let _ = change.is_deletion();
            change.resource.clone()
        }
        Fact::ComplianceChange(change) => change.resource.clone(),
        Fact::Finding(finding) => {
            check_finding(finding, signal);
            let itself = || Resource { id: finding.kind.clone(), ..of_signal(signal, "AWS::GuardDuty::Finding") };
            finding.resources.first().map_or_else(itself, |one| one.resource.clone())
        }
    };
    check_outcome(signal, &resource);
}

/// A resource without a name, where the signal comes from.
fn of_signal(signal: &Signal, kind: &str) -> Resource {
    let Signal { account, region, .. } = signal.clone();
    Resource { kind: kind.to_owned(), id: String::new(), account, region }
}

/// A finding names what is of its account and region, each once, and what it has people told is fit to be told.
fn check_finding(finding: &Finding, signal: &Signal) {
    assert_eq!(finding.service, signal.source());
    for (index, one) in finding.resources.iter().enumerate() {
        let resource = &one.resource;
        assert_eq!((&resource.account, &resource.region), (&signal.account, &signal.region));
        assert!((1..=400).contains(&resource.id.len()) && !resource.id.chars().any(char::is_control), "{resource:?}");
        assert!(finding.resources.iter().skip(index + 1).all(|other| other.resource != *resource), "{resource:?}");
        assert_eq!(one.holder.is_some(), resource.kind.starts_with("AWS::IAM::"));
    }
    for text in finding.unread.iter().chain([&finding.title]).chain(&finding.custom_rule) {
        check_message(text);
    }
    check_advice(finding);
}

/// Advice is for what the finding names, and what may be forged has nobody blocked.
fn check_advice(finding: &Finding) {
    let advice = findings::advice(finding);
    check_message(&advice.reason);
    assert!(!advice.responses.is_empty());
    assert!(advice.is_listed || advice.responses == [Response::Tell], "{advice:?}");
    assert!(findings::callers(finding).all(|(_, proof)| proof != Proof::Forgeable));
    let of = |remediation| findings::resources_for(remediation, finding);
    assert!(of("block-address").is_empty() || findings::callers(finding).next().is_some());
    // What acts is cut off, and what was done to it is closed: never both.
    let (isolated, closed) = (of("isolate-instance"), of("open-security-group-ingress"));
    assert!(!isolated.iter().any(|one| closed.contains(one)), "{isolated:?} and {closed:?}");
}

/// An outcome repeats what the signal tells, and that may be hostile.
fn check_outcome(signal: &Signal, resource: &Resource) {
    let outcome = Outcome::begin(signal, "fuzzed", resource);
    assert!(outcome.id.len() == 32 && outcome.id.bytes().all(|b| b.is_ascii_hexdigit()), "{}", outcome.id);
    let json = serde_json::to_value(&outcome);
    assert!(json.as_ref().is_ok_and(is_clean), "{json:?} repeats something hostile");
    let time = serde_json::from_value::<Outcome>(json.unwrap_or_default()).map(|outcome| outcome.signal.time);
    let time = time.ok().and_then(|text| signal_time(&text));
    assert_eq!(time, Some(signal.time.timestamp()), "the time is told so that it can be read");
}

/// The seconds of a time as any decoder of ours reads it.
fn signal_time(text: &str) -> Option<i64> {
    let event = json!({
        "detail-type": "AWS API Call via CloudTrail", "source": "aws.ec2", "account": "111122223333",
        "region": "eu-central-1", "detail": {"eventName": "x", "eventSource": "x", "eventID": "x", "eventTime": text},
    });
    signal::decode(event).ok().map(|delivery| delivery.signal.time.timestamp())
}

fn is_clean(value: &Value) -> bool {
    match value {
        Value::String(text) => clean(text, 1000) == *text,
        Value::Array(list) => list.iter().all(is_clean),
        Value::Object(map) => map.values().all(is_clean),
        _ => true,
    }
}

/// A bare event and the same one in the wrapper of our rules are one fact, or one error.
fn check_wrapped(input: &Value, decoded: &Result<Delivery, SignalError>) {
    if input.get("detail-type").is_none() {
        return;
    }
    let wrapped = signal::decode(json!({"rule": RULE, "ingested": "2026-11-24T09:30:00Z", "event": input}));
    assert_eq!(decoded.is_ok(), wrapped.is_ok(), "{decoded:?} alone, and {wrapped:?} in the wrapper");
    match (decoded, wrapped) {
        (Ok(bare), Ok(wrapped)) => {
            assert_eq!(bare.signal, wrapped.signal);
            assert_eq!(wrapped.rule.as_ref().map(rescind::arn::Arn::as_str), Some(RULE));
            assert!(wrapped.ingested.is_some());
        }
        (Err(bare), Err(wrapped)) => {
            let bare = match bare.clone() {
                SignalError::Field { field, problem, expected } => {
                    SignalError::Field { field: format!("event.{field}"), problem, expected }
                }
                SignalError::Envelope { reason } => SignalError::Envelope {
                    reason: reason.strip_prefix('`').map_or(reason.clone(), |rest| format!("`event.{rest}")),
                },
                unknown @ SignalError::Unknown { .. } => unknown,
            };
            assert_eq!(bare, wrapped, "the error names the place from the top of the input");
        }
        _ => {}
    }
}
