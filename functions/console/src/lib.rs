//! Undoes and approves what Rescind did or planned, asked for by a person: `{"undo": "<outcome id>"}`, with
//! `"force": true` if need be, or `{"approve": "<outcome id>"}`; or by the schedule that ends what holds only for a time. Also by the custom actions `Rescind undo` and
//! `Rescind approve` of Security Hub, on a finding that names an outcome.
//!
//! It changes nothing itself. The journal tells which function an outcome is of; that function has the role for it, and is
//! asked.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_lambda::config::retry::RetryConfig;
use aws_sdk_lambda::config::timeout::TimeoutConfig;
use aws_sdk_lambda::primitives::Blob;
use rescind::arn::Arn;
use rescind::request::Request;
use rescind_lambda::{CallError, Operation, Scope, Service, ServiceError, client};
use serde_json::{Value, json};

/// What the console calls.
pub const OPERATIONS: &[Operation] = &[Operation::reads(GET), Operation::changes(INVOKE)];

const GET: &str = "dynamodb:GetItem";
const INVOKE: &str = "lambda:InvokeFunction";

/// For a function's answer: longer than the function itself may take with a cold start, shorter than the console may.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(50);

/// See the crate.
#[derive(Debug, Clone, Copy, Default)]
pub struct Console;

/// Why a request can't be met.
#[derive(Debug, thiserror::Error)]
enum ConsoleError {
    #[error("{0}")]
    Unreadable(#[from] rescind::SignalError),
    #[error("this is no request: expected `undo` or `approve` with an outcome id, or a custom action of Security Hub")]
    NoRequest,
    #[error("a finding is not of this account's own product, so the outcome that it names is nobody's word")]
    Stranger,
    #[error("there is no journal: `RESCIND_JOURNAL` names no table")]
    NoJournal,
    #[error("the journal has no outcome {0}")]
    NoOutcome(String),
    #[error("{0}")]
    Call(#[from] CallError),
    #[error("{function} answers: {message}")]
    Function { function: String, message: String },
}

impl Service for Console {
    async fn answer(&self, scope: &Scope, journal: Option<&str>, input: Value) -> Result<Value, ServiceError> {
        answer(scope, journal, &input).await.map_err(|error| {
            let kind = match error {
                ConsoleError::Unreadable(_) | ConsoleError::NoRequest | ConsoleError::Stranger => {
                    "Rescind.MalformedEvent"
                }
                ConsoleError::Call(_) => "Rescind.Failed",
                _ => "Rescind.Refused",
            };
            ServiceError { kind, message: error.to_string() }
        })
    }
}

async fn answer(scope: &Scope, journal: Option<&str>, input: &Value) -> Result<Value, ConsoleError> {
    let mut outcomes = Vec::new();
    for request in requests(input)? {
        let function = function_of(scope, journal.ok_or(ConsoleError::NoJournal)?, request.id()).await?;
        let answer = ask(scope, function, &request).await?;
        outcomes.extend(answer.get("outcomes").and_then(Value::as_array).cloned().unwrap_or_default());
    }
    Ok(json!({ "outcomes": outcomes }))
}

/// What is asked for: directly, or by a custom action on findings, whose product fields name the outcome.
fn requests(input: &Value) -> Result<Vec<Request>, ConsoleError> {
    if let Some(request) = Request::read(input)? {
        return Ok(vec![request]);
    }
    let detail = input
        .get("detail")
        .filter(|_| input.get("detail-type").and_then(Value::as_str) == Some("Security Hub Findings - Custom Action"));
    let detail = detail.ok_or(ConsoleError::NoRequest)?;
    let verb = match detail.get("actionName").and_then(Value::as_str) {
        Some("Rescind undo") => "undo",
        Some("Rescind approve") => "approve",
        _ => return Err(ConsoleError::NoRequest),
    };
    let findings = detail.get("findings").and_then(Value::as_array).ok_or(ConsoleError::NoRequest)?;
    let account = input.get("account").and_then(Value::as_str).unwrap_or_default();
    let mut requests = Vec::new();
    for finding in findings {
        if !is_of(finding, account) {
            return Err(ConsoleError::Stranger);
        }
        let id = finding
            .get("ProductFields")
            .and_then(|fields| fields.get("rescind/outcome"))
            .ok_or(ConsoleError::NoRequest)?;
        requests.push(Request::read(&json!({ verb: id }))?.ok_or(ConsoleError::NoRequest)?);
    }
    if requests.is_empty() { Err(ConsoleError::NoRequest) } else { Ok(requests) }
}

/// Whether a finding was made in this account by something of its own: other products write what they like into theirs
/// (AWS Security Hub user guide, *Required top-level attributes*, `ProductArn`).
fn is_of(finding: &Value, account: &str) -> bool {
    let product = finding.get("ProductArn").and_then(Value::as_str).and_then(Arn::parse);
    product.is_some_and(|product| {
        product.service() == "securityhub"
            && product.account() == account
            && product.resource() == format!("product/{account}/default")
    })
}

/// The name of the function that an outcome is of.
async fn function_of(scope: &Scope, journal: &str, id: &str) -> Result<String, ConsoleError> {
    let client = client!(scope, aws_sdk_dynamodb);
    let get = client.get_item().table_name(journal).key("id", AttributeValue::S(id.to_owned())).consistent_read(true);
    let answer = CallError::or(GET, get.send().await)?;
    let name = answer.item().and_then(|item| item.get("function_name")).and_then(|name| name.as_s().ok()).cloned();
    name.ok_or_else(|| ConsoleError::NoOutcome(id.to_owned()))
}

async fn ask(scope: &Scope, function: String, request: &Request) -> Result<Value, ConsoleError> {
    let client = scope.client(|config, counter| {
        // Asked a second time, the function would say that it is busy with the first.
        let once = RetryConfig::standard().with_max_attempts(1);
        let patient = TimeoutConfig::builder()
            .connect_timeout(Duration::from_millis(1500))
            .read_timeout(ANSWER_TIMEOUT)
            .operation_attempt_timeout(ANSWER_TIMEOUT)
            .operation_timeout(ANSWER_TIMEOUT)
            .build();
        let config = aws_sdk_lambda::config::Builder::from(config).retry_config(once).timeout_config(patient);
        aws_sdk_lambda::Client::from_conf(config.interceptor(counter).build())
    });
    let payload = Blob::new(request.to_json().to_string());
    let invoke = client.invoke().function_name(&function).payload(payload);
    let answer = CallError::or(INVOKE, invoke.send().await)?;
    let body: Value = answer.payload().and_then(|blob| serde_json::from_slice(blob.as_ref()).ok()).unwrap_or_default();
    // `cargo lambda` tells a function's error by the body alone.
    if answer.function_error().is_some() || body.get("errorType").is_some() {
        let message = body.get("errorMessage").and_then(Value::as_str).unwrap_or("no message").to_owned();
        return Err(ConsoleError::Function { function, message });
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef";
    const OWN: &str = "arn:aws:securityhub:eu-central-1:111122223333:product/111122223333/default";

    #[test]
    fn requests_come_directly_or_by_a_custom_action() {
        let undo = Request::Undo { id: ID.to_owned(), why: rescind::request::Why::Asked };
        assert_eq!(requests(&json!({"undo": ID})).unwrap().first(), Some(&undo));
        let action = |name: &str, findings: Value| json!({"account": "111122223333", "detail-type": "Security Hub Findings - Custom Action", "detail": {"actionName": name, "findings": findings}});
        let of = |product: &str, id: &str| json!({"ProductArn": product, "ProductFields": {"rescind/outcome": id}});
        let finding = of(OWN, ID);
        assert_eq!(requests(&action("Rescind undo", json!([finding]))).unwrap(), [undo]);
        assert_eq!(
            requests(&action("Rescind approve", json!([finding]))).unwrap(),
            [Request::Approve { id: ID.to_owned() }]
        );
        for none in [
            json!({}),
            action("Other", json!([finding])),
            action("Rescind undo", json!([])),
            action("Rescind undo", json!([{}])),
            action("Rescind undo", json!([of(OWN, "x")])),
            // Imported by other products and other accounts.
            action("Rescind undo", json!([of("arn:aws:securityhub:eu-central-1::product/some/scanner", ID)])),
            action("Rescind undo", json!([finding, of(&OWN.replace("1111222", "2222333"), ID)])),
            action("Rescind undo", json!([{"ProductFields": {"rescind/outcome": ID}}])),
        ] {
            assert!(requests(&none).is_err(), "{none}");
        }
    }
}
