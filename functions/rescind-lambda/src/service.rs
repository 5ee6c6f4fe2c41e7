//! A function that is no remediation: it answers requests.

use lambda_runtime::{Diagnostic, LambdaEvent, service_fn, tracing as lambda_tracing};
use serde_json::Value;
use tracing::{error, info};

use crate::aws::{Aws, Scope};
use crate::environment::Environment;

/// Why a request can't be met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceError {
    /// The error's kind, as Lambda shows it: `Rescind.Refused`.
    pub kind: &'static str,
    /// One sentence.
    pub message: String,
}

impl From<ServiceError> for Diagnostic {
    fn from(error: ServiceError) -> Self {
        Self { error_type: error.kind.to_owned(), error_message: error.message }
    }
}

/// A function that answers requests.
pub trait Service: Send + Sync + 'static {
    /// Answers a request. `scope` is the function's own account and region, `journal` the journal's table.
    fn answer(
        &self,
        scope: &Scope,
        journal: Option<&str>,
        input: Value,
    ) -> impl Future<Output = Result<Value, ServiceError>> + Send;
}

/// Runs a function that answers requests until Lambda ends it. The whole of `main`.
///
/// # Errors
/// When Lambda's runtime API can't be reached.
pub async fn serve(service: impl Service) -> Result<(), lambda_runtime::Error> {
    lambda_tracing::init_default_subscriber();
    let environment = Environment::read();
    let aws = Aws::new(&environment);
    let shared = &*Box::leak(Box::new((service, environment, aws)));
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let (service, environment, aws) = shared;
        info!(request = event.payload.to_string(), "asked");
        let scope = aws.own().await;
        let answer = Box::pin(service.answer(&scope, environment.journal.as_deref(), event.payload)).await;
        answer.inspect_err(|problem| error!("{}", problem.message))
    }))
    .await
}
