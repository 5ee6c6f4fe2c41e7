//! Clients of AWS, and what goes wrong with them.

use std::any::{Any, TypeId};
use std::cell::Cell;
use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, SharedInterceptor};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use chrono::{DateTime, Utc};
use rescind::Call;
use rescind::signal::Resource;
use tokio::sync::OnceCell;

use crate::baseline::Baseline;
use crate::clock;
use crate::connections::Connections;
use crate::environment::{Environment, Expiry};

/// Tries of one call, the first included, before its failure is ours.
const ATTEMPTS: u32 = 3;
/// For one try of a call.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);
/// For a call with all its tries. The function's own time-out is a multiple of it.
const CALL_TIMEOUT: Duration = Duration::from_secs(8);

/// What a resource answers that is just being made or changed: nothing was done, and some time later it is accepted.
const NOT_NOW: [&str; 2] = ["IncorrectInstanceState", "IncorrectState"];
/// What Amazon S3 answers to too many calls.
const SLOW_DOWN: &str = "SlowDown";

type Client = Arc<dyn Any + Send + Sync>;

tokio::task_local! {
    /// Requests that were sent for what [`counted`] waits for.
    static SENT: Cell<u64>;
}

/// Waits for `work`, and counts the requests that it sends, retries included.
pub(crate) async fn counted<F: Future>(work: F) -> (F::Output, u64) {
    SENT.scope(Cell::new(0), async { (work.await, SENT.with(Cell::get)) }).await
}

/// Gives out clients, made when first asked for and then shared, by the account and region of the resource.
#[derive(Debug)]
pub(crate) struct Aws {
    own_account: Option<String>,
    baseline: Option<Arc<str>>,
    expiry: Option<Arc<Expiry>>,
    config: OnceCell<SdkConfig>,
    scopes: Mutex<HashMap<String, Scope>>,
    calls: Arc<AtomicU64>,
}

impl Aws {
    pub(crate) fn new(environment: &Environment) -> Self {
        Self {
            own_account: environment.account.clone(),
            baseline: environment.baseline.as_deref().map(Arc::from),
            expiry: environment.expiry.clone().map(Arc::new),
            config: OnceCell::new(),
            scopes: Mutex::default(),
            calls: Arc::default(),
        }
    }

    /// The number of requests sent so far, retries included.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// The function's own account and region.
    pub(crate) async fn own(&self) -> Scope {
        let config = self.config.get_or_init(load).await;
        self.scope_for(config, None, None)
    }

    /// The account and region of a resource.
    ///
    /// # Errors
    /// When the resource belongs to another account: there are no roles in other accounts yet.
    pub(crate) async fn scope(&self, resource: &Resource) -> Result<Scope, CallError> {
        if let Some(own) = &self.own_account
            && *own != resource.account
        {
            return Err(CallError {
                call: "sts:AssumeRole",
                failure: CallFailure::Refused,
                code: None,
                message: format!(
                    "the resource belongs to account {}, and this function has no role outside of {own}",
                    resource.account
                ),
            });
        }
        let own = self.own().await;
        let config = self.config.get_or_init(load).await;
        let baseline = self.baseline.clone().map(|table| Baseline::new(table, own));
        Ok(self.scope_for(config, Some(&resource.region), baseline))
    }

    fn scope_for(&self, config: &SdkConfig, region: Option<&str>, baseline: Option<Baseline>) -> Scope {
        let key = region.unwrap_or_default().to_owned();
        let mut scopes = self.scopes.lock().unwrap_or_else(PoisonError::into_inner);
        scopes
            .entry(key)
            .or_insert_with(|| {
                let mut builder = config.to_builder();
                if let Some(region) = region {
                    builder = builder.region(Region::new(region.to_owned()));
                }
                let counter = SharedInterceptor::new(CallCounter(Arc::clone(&self.calls)));
                Scope {
                    config: builder.build(),
                    counter,
                    clients: Arc::default(),
                    baseline: baseline.map(Arc::new),
                    expiry: self.expiry.clone(),
                }
            })
            .clone()
    }
}

async fn load() -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_millis(1500))
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(CALL_TIMEOUT)
        .build();
    let defaults = aws_config::defaults(BehaviorVersion::latest());
    let defaults = match aws_config::AppName::new("rescind") {
        Ok(name) => defaults.app_name(name),
        Err(_) => defaults,
    };
    defaults
        .http_client(Connections::default())
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS).with_max_backoff(Duration::from_secs(2)))
        .timeout_config(timeouts)
        .load()
        .await
}

/// One account and region, and the clients for it.
#[derive(Debug, Clone)]
pub struct Scope {
    config: SdkConfig,
    counter: SharedInterceptor,
    clients: Arc<Mutex<HashMap<TypeId, Client>>>,
    pub(crate) baseline: Option<Arc<Baseline>>,
    expiry: Option<Arc<Expiry>>,
}

impl Scope {
    /// The time now, for a state that has to tell when it was read.
    pub fn now(&self) -> DateTime<Utc> {
        clock::now()
    }

    /// How what holds only for a time is ended; `None` where nothing can be scheduled.
    pub fn expiry(&self) -> Option<&Expiry> {
        self.expiry.as_deref()
    }

    /// The client of type `C`, made by `make` when it is asked for the first time.
    ///
    /// `make` gets the configuration to make it from and the interceptor to add to it; [`client!`](crate::client!) writes that.
    pub fn client<C: Any + Send + Sync>(&self, make: impl Fn(&SdkConfig, SharedInterceptor) -> C) -> Arc<C> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let client =
            clients.entry(TypeId::of::<C>()).or_insert_with(|| Arc::new(make(&self.config, self.counter.clone())));
        Arc::clone(client).downcast().unwrap_or_else(|_| Arc::new(make(&self.config, self.counter.clone())))
    }
}

/// The client of an AWS service, by the crate of its SDK: `client!(scope, aws_sdk_ec2)`. See [`Scope::client`].
#[macro_export]
macro_rules! client {
    ($scope:expr, $sdk:ident) => {
        $scope.client(|config, counter| {
            $sdk::Client::from_conf($sdk::config::Builder::from(config).interceptor(counter).build())
        })
    };
}

/// Counts the requests that really go out.
#[derive(Debug)]
struct CallCounter(Arc<AtomicU64>);

impl Intercept for CallCounter {
    fn name(&self) -> &'static str {
        "CallCounter"
    }

    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        // Not counted where nobody asks.
        let _ = SENT.try_with(|sent| sent.set(sent.get() + 1));
        Ok(())
    }
}

/// Why a call of AWS failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallError {
    /// The IAM action.
    pub call: &'static str,
    /// What it means for us.
    pub failure: CallFailure,
    /// AWS's error code, when AWS answered.
    pub code: Option<String>,
    /// AWS's message, or what happened on the way.
    pub message: String,
}

/// What a failed call means for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallFailure {
    /// What was asked for does not exist (any more).
    Gone,
    /// What was to be made exists already.
    Exists,
    /// The role lacks a permission.
    Denied,
    /// AWS was busy, ill or out of reach; another time it may work.
    Transient,
    /// AWS does not accept the call.
    Refused,
}

impl CallError {
    /// The answer to `call`, or what went wrong with it.
    ///
    /// # Errors
    /// When there is none.
    pub fn or<T, E, R>(call: &'static str, answer: Result<T, SdkError<E, R>>) -> Result<T, Self>
    where
        E: ProvideErrorMetadata + Error + 'static,
        R: fmt::Debug,
    {
        answer.map_err(|error| Self::from_sdk(call, &error))
    }

    /// Reads an SDK's error.
    pub fn from_sdk<E, R>(call: &'static str, error: &SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
        R: fmt::Debug,
    {
        let (code, message) = match error.as_service_error() {
            Some(service) => (service.code(), service.message()),
            None => (None, None),
        };
        let failure = match (error, code) {
            (_, Some(code)) => CallFailure::of_code(code),
            (SdkError::ConstructionFailure(_), None) => CallFailure::Refused,
            _ => CallFailure::Transient,
        };
        Self {
            call,
            failure,
            code: code.map(str::to_owned),
            message: message.map_or_else(|| causes(error), str::to_owned),
        }
    }

    /// Whether the call may have worked all the same: AWS did not answer, or answered that it is ill. Who is told to come
    /// back later, or that he may not, is told that nothing was done.
    pub fn may_have_worked(&self) -> bool {
        let is_refusal = |code: &String| {
            code.contains("Throttl")
                || code.contains("LimitExceeded")
                || code == SLOW_DOWN
                || NOT_NOW.contains(&code.as_str())
        };
        self.failure == CallFailure::Transient && !self.code.as_ref().is_some_and(is_refusal)
    }

    /// An answer that says, for what was asked for, that nothing was done: some calls of EC2 are accepted and fail item by item.
    pub fn of_item(call: &'static str, code: &str, message: &str) -> Self {
        let failure = CallFailure::of_code(code);
        Self { call, failure, code: Some(code.to_owned()), message: message.to_owned() }
    }

    /// A call that could not be formed: its parameters are not what the call takes.
    pub fn malformed(call: &'static str, message: impl fmt::Display) -> Self {
        Self { call, failure: CallFailure::Refused, code: None, message: message.to_string() }
    }
}

/// What passes by itself. The last two are KMS's, the three before them IAM's.
const TRANSIENT: &[&str] = &[
    "RequestLimitExceeded",
    "InternalError",
    "InternalFailure",
    "Unavailable",
    "ServiceUnavailable",
    "ServiceFailure",
    "ConcurrentModification",
    "EntityTemporarilyUnmodifiable",
    "KMSInternalException",
    "DependencyTimeoutException",
];

/// What Amazon S3 calls a bucket, or a part of one, that does not exist (Amazon S3 API reference, *Error responses*).
const GONE_FROM_S3: [&str; 3] = ["NoSuchBucket", "NoSuchBucketPolicy", "NoSuchTagSet"];

impl CallFailure {
    /// By AWS's error code (Amazon EC2 developer guide, *Error codes*; other services follow the same names).
    fn of_code(code: &str) -> Self {
        let ends = |ending: &[&str]| ending.iter().any(|end| code.ends_with(end));
        if ends(&[".NotFound", "NotFoundException", "NoSuchEntity"]) || GONE_FROM_S3.contains(&code) {
            Self::Gone
        } else if ends(&[".Duplicate", "AlreadyExists", "EntityAlreadyExists"]) {
            Self::Exists
        } else if ["UnauthorizedOperation", "AuthFailure"].contains(&code) || code.starts_with("AccessDenied") {
            Self::Denied
        } else if TRANSIENT.contains(&code) || code == SLOW_DOWN || NOT_NOW.contains(&code) || code.contains("Throttl")
        {
            Self::Transient
        } else {
            Self::Refused
        }
    }
}

/// An error with all its causes, in one line.
fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

/// `None` for what is gone.
///
/// # Errors
/// All others.
pub fn unless_gone<T>(answer: Result<T, CallError>) -> Result<Option<T>, CallError> {
    match answer {
        Err(error) if error.failure == CallFailure::Gone => Ok(None),
        answer => answer.map(Some),
    }
}

/// A parameter of a call that can't be made without it.
///
/// # Errors
/// When it is missing, which it is in no plan of ours: the journal was written by somebody else.
pub fn parameter<'c>(call: &'c Call, name: &str) -> Result<&'c str, CallError> {
    rescind::signal::text(&call.parameters, name).ok_or_else(|| lacks(call, name))
}

/// The error for a call without a parameter that it can't be made without.
pub fn lacks(call: &Call, name: &str) -> CallError {
    CallError::malformed("parameters", format!("{} lacks the parameter `{name}`", call.call))
}

/// The error for a call that the remediation does not make.
pub fn not_ours(call: &Call) -> CallError {
    CallError::malformed("call", format!("`{}` is not a call of this remediation", call.call))
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.failure {
            CallFailure::Gone => "found nothing",
            CallFailure::Exists => "found it there already",
            CallFailure::Denied => "is not permitted to the function's role",
            CallFailure::Transient => "got no answer from AWS that could be used",
            CallFailure::Refused => "was refused",
        };
        write!(f, "{} {what}: ", self.call)?;
        if let Some(code) = &self.code {
            write!(f, "{code}, ")?;
        }
        f.write_str(&self.message)
    }
}

impl Error for CallError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_told_apart() {
        for (code, failure) in [
            ("InvalidSecurityGroupRuleId.NotFound", CallFailure::Gone),
            ("InvalidGroup.NotFound", CallFailure::Gone),
            ("ResourceNotFoundException", CallFailure::Gone),
            ("NoSuchBucketPolicy", CallFailure::Gone),
            ("NoSuchTagSet", CallFailure::Gone),
            ("SlowDown", CallFailure::Transient),
            ("InvalidPermission.Duplicate", CallFailure::Exists),
            ("UnauthorizedOperation", CallFailure::Denied),
            ("AccessDeniedException", CallFailure::Denied),
            ("RequestLimitExceeded", CallFailure::Transient),
            ("ThrottlingException", CallFailure::Transient),
            ("KMSInternalException", CallFailure::Transient),
            ("KMSInvalidStateException", CallFailure::Refused),
            ("IncorrectInstanceState", CallFailure::Transient),
            ("InvalidParameterValue", CallFailure::Refused),
        ] {
            assert_eq!(CallFailure::of_code(code), failure, "{code}");
        }
    }
}
