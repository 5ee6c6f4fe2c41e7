//! Lambda's side: how a function is started, and how its answers and errors look.

use std::time::Duration;

use lambda_runtime::{Diagnostic, LambdaEvent, service_fn, tracing as lambda_tracing};
use rescind::request::Request;
use rescind::{Answer, Outcome, SignalError};
use serde_json::Value;
use serde_json::value::RawValue;
use tracing::error;

use crate::aws::CallError;
use crate::clock;
use crate::engine::Engine;
use crate::environment::Environment;
use crate::metrics;
use crate::remediation::Function;

/// Kept back from the function's time-out, so that running out of time is told and not just cut off.
const RESERVE: Duration = Duration::from_secs(2);
/// The time that a function has when nobody says: the most that Lambda allows.
const NO_DEADLINE: Duration = Duration::from_mins(15);

/// Runs a function until Lambda ends it. The whole of `main`.
///
/// # Errors
/// When Lambda's runtime API can't be reached.
pub async fn run(function: Function) -> Result<(), lambda_runtime::Error> {
    lambda_tracing::init_default_subscriber();
    let engine = Engine::new(function, Environment::read());
    let engine = &*Box::leak(Box::new(engine));
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Box<RawValue>>| async move {
        // `cargo lambda watch` names a deadline in 1970. A deadline that has passed before the start is none.
        let left = event.context.deadline().duration_since(clock::system_now()).unwrap_or(NO_DEADLINE);
        let work = Box::pin(handle(engine, function, event.payload.get()));
        let answer = tokio::time::timeout(left.saturating_sub(RESERVE), work);
        answer.await.unwrap_or(Err(HandlerError::OutOfTime)).inspect_err(complain)
    }))
    .await
}

/// Decodes the input and runs the remediations that listen to it.
async fn handle(engine: &Engine, function: Function, payload: &str) -> Result<Answer, HandlerError> {
    let input: Value = serde_json::from_str(payload).map_err(|problem| HandlerError::NotJson(problem.to_string()))?;
    if let Some(request) = Request::read(&input).map_err(HandlerError::Malformed)? {
        let outcome = match &request {
            Request::Undo { id, why } => Box::pin(engine.undo(id, *why)).await,
            Request::Approve { id } => Box::pin(engine.approve(id)).await,
        };
        return answer(vec![outcome.map_err(HandlerError::Refused)?]);
    }
    let delivery = rescind::signal::decode(input).map_err(HandlerError::Malformed)?;
    let outcomes = engine.run(&delivery).await;
    let is_kept = engine.keep(&delivery).await.map_err(HandlerError::NotKept)?;
    if outcomes.is_empty() && !is_kept {
        return Err(HandlerError::NotOurs {
            function: function.name,
            what: format!("{} `{}`", delivery.signal.source(), rescind::text::clean(delivery.signal.name(), 100)),
        });
    }
    answer(outcomes)
}

/// The answer, or an error so that the event is delivered again.
fn answer(outcomes: Vec<Outcome>) -> Result<Answer, HandlerError> {
    let answer = Answer { outcomes };
    if answer.outcomes.iter().any(|outcome| outcome.try_again) { Err(HandlerError::Failed(answer)) } else { Ok(answer) }
}

/// Logs why an invocation ends as an error, and counts inputs that could not be read.
fn complain(problem: &HandlerError) {
    error!("{problem}");
    if matches!(problem, HandlerError::NotJson(_) | HandlerError::Malformed(_))
        && let Err(problem) = metrics::count_malformed(&mut std::io::stdout().lock())
    {
        error!("the malformed event was not counted: {problem}");
    }
}

/// Why an invocation ends as an error, so that Lambda tries again and then keeps the event in the dead-letter queue.
#[derive(Debug, thiserror::Error)]
enum HandlerError {
    #[error("the input is no JSON that can be read: {0}")]
    NotJson(String),
    #[error("{0}")]
    Malformed(SignalError),
    #[error("no remediation of `{function}` that the rule is for listens to {what}")]
    NotOurs { function: &'static str, what: String },
    #[error("{}", told(.0))]
    Failed(Answer),
    #[error("the resource's state was not kept in the baseline: {0}")]
    NotKept(CallError),
    #[error("{0}")]
    Refused(String),
    #[error("the function's time ran out; the next delivery goes on where this one stopped")]
    OutOfTime,
}

/// The failed outcomes in a line each.
fn told(answer: &Answer) -> String {
    let line = |outcome: &Outcome| {
        format!("{} of {}: {} (outcome {})", outcome.remediation, outcome.resource.id, outcome.reason, outcome.id)
    };
    answer.outcomes.iter().filter(|outcome| outcome.try_again).map(line).collect::<Vec<_>>().join("; ")
}

impl From<HandlerError> for Diagnostic {
    fn from(error: HandlerError) -> Self {
        let error_type = match &error {
            HandlerError::NotJson(_) | HandlerError::Malformed(_) => "Rescind.MalformedEvent",
            HandlerError::NotOurs { .. } => "Rescind.NotOurs",
            HandlerError::Failed(_) | HandlerError::NotKept(_) => "Rescind.Failed",
            HandlerError::Refused(_) => "Rescind.Refused",
            HandlerError::OutOfTime => "Rescind.OutOfTime",
        };
        Self { error_type: error_type.to_owned(), error_message: error.to_string() }
    }
}

/// What a function answers to `input` by the event alone: no AWS call is made, and nothing is changed. `settings` are the
/// variables of the environment that stand for tags, such as `RESCIND_PORTS`.
///
/// # Errors
/// As the function itself: a sentence that says what is wrong with the input.
pub async fn replay(
    function: Function,
    settings: std::collections::BTreeMap<String, String>,
    own_roles: Vec<String>,
    input: Value,
) -> Result<Answer, String> {
    let environment = Environment { own_roles, from_event_alone: true, settings, ..Environment::default() };
    let engine = Engine::new(function, environment);
    handle(&engine, function, &input.to_string()).await.map_err(|error| error.to_string())
}
