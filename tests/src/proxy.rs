//! A proxy between the function and the emulator: it records every call, and disturbs those it is told to.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::{chain, http};

/// A call as the proxy saw it.
#[derive(Debug, Clone)]
pub struct Call {
    /// The service, as in signatures: `ec2`, `events`.
    pub service: String,
    /// The operation: `RevokeSecurityGroupIngress`.
    pub operation: String,
    /// What was asked.
    pub body: String,
    /// When the request came.
    pub started: Instant,
    /// When it was answered; `None` while it is not, or when it never was.
    pub ended: Option<Instant>,
    /// The answer's status.
    pub status: Option<u16>,
}

impl Call {
    /// Whether the call changes something of the customer's: publishing an outcome and keeping our own journal do not.
    pub fn changes(&self) -> bool {
        let ours = match self.service.as_str() {
            "events" => self.operation == "PutEvents",
            service => ["dynamodb", "sts"].contains(&service),
        };
        !ours && !only_reads(&self.operation)
    }
}

/// Whether an operation changes nothing, neither the customer's nor ours.
pub fn only_reads(operation: &str) -> bool {
    ["Describe", "Get", "List", "BatchGet", "Query"].iter().any(|start| operation.starts_with(start))
}

/// How a call is disturbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// AWS's answer to too many calls.
    Throttle,
    /// An internal error.
    Http500,
    /// Not available.
    Http503,
    /// The connection ends without an answer.
    Reset,
    /// The answer does not come.
    Timeout,
    /// The answer comes late.
    Slow,
    /// The answer is no answer.
    Malformed,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Throttle, Self::Http500, Self::Http503, Self::Reset, Self::Timeout, Self::Slow, Self::Malformed];
}

impl When {
    /// The moments at which a call may be disturbed: what only reads has no effect that could be there already.
    pub fn of(operation: &str) -> &'static [Self] {
        if only_reads(operation) { &[Self::Before] } else { &[Self::Before, Self::After] }
    }
}

/// Whether the call takes effect all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// It does not.
    Before,
    /// It does.
    After,
}

#[derive(Debug, Clone)]
struct Disturbance {
    operation: String,
    /// Calls of the operation that are let through first.
    skip: usize,
    /// Calls that are disturbed after that.
    times: usize,
    fault: Fault,
    when: When,
}

/// The emulator's answers, by operation and in their order.
#[derive(Debug, Clone, Default)]
pub struct Recording(HashMap<String, Vec<(hyper::http::response::Parts, Bytes)>>);

#[derive(Debug, Default)]
enum Memory {
    #[default]
    Off,
    Records(Recording),
    Replays(Recording, HashMap<String, usize>),
}

#[derive(Debug, Default)]
struct Shared {
    calls: Vec<Call>,
    disturbances: Vec<Disturbance>,
    answers: HashMap<String, String>,
    /// By operation, the pages of its answer; the token of the next one is its number.
    pages: HashMap<String, Vec<String>>,
    connections: usize,
    memory: Memory,
    latency: Duration,
    is_held: bool,
    is_serial_console_enabled: bool,
    buckets_are_in: Option<String>,
}

/// The proxy. It ends with the runtime that it was started in.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// Its port on the loopback interface.
    pub port: u16,
    shared: Arc<Mutex<Shared>>,
    /// DynamoDB makes one write to an item after the other; the emulator checks the condition of a second one while it
    /// makes the first.
    writes: Arc<tokio::sync::Mutex<()>>,
}

impl Proxy {
    /// Starts a proxy in front of a port.
    pub async fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let shared = Arc::new(Mutex::new(Shared::default()));
        let proxy = Self { port, shared, writes: Arc::default() };
        let serving = proxy.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                let proxy = serving.clone();
                proxy.shared().connections += 1;
                tokio::spawn(async move {
                    let service = service_fn(move |request| proxy.clone().serve(to, request));
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        proxy
    }

    fn shared(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().expect("no thread panics with it")
    }

    /// The calls so far.
    pub fn calls(&self) -> Vec<Call> {
        self.shared().calls.clone()
    }

    /// The connections so far.
    pub fn connections(&self) -> usize {
        self.shared().connections
    }

    /// Forgets the calls and connections so far.
    pub fn clear(&self) {
        let mut shared = self.shared();
        shared.calls.clear();
        shared.connections = 0;
    }

    /// The operations called so far, in their order.
    pub fn operations(&self) -> Vec<String> {
        self.calls().into_iter().map(|call| call.operation).collect()
    }

    /// The calls so far that change something of the customer's.
    pub fn changes(&self) -> Vec<Call> {
        self.calls().into_iter().filter(Call::changes).collect()
    }

    /// Adds so much time to every call.
    pub fn set_latency(&self, latency: Duration) {
        self.shared().latency = latency;
    }

    /// Answers calls of an operation that the emulator lacks, in its place; or, as `DescribeInstances?name`, those calls in
    /// whose body the name is.
    pub fn answer(&self, operation: &str, with: &impl ToString) {
        self.shared().answers.insert(operation.to_owned(), with.to_string());
    }

    /// Answers calls of an operation of EC2 page by page, as EC2 does and the emulator does not.
    pub fn answer_pages(&self, operation: &str, pages: Vec<String>) {
        self.shared().pages.insert(operation.to_owned(), pages);
    }

    /// Remembers the emulator's answers from now on.
    pub fn record(&self) {
        self.shared().memory = Memory::Records(Recording::default());
    }

    /// What was remembered; nothing more is.
    pub fn recorded(&self) -> Recording {
        match std::mem::take(&mut self.shared().memory) {
            Memory::Records(recording) | Memory::Replays(recording, _) => recording,
            Memory::Off => Recording::default(),
        }
    }

    /// Answers what is recorded in the emulator's place, at once; of each operation one answer after the other, and then from
    /// the first one on. [`Proxy::recorded`] ends it.
    pub fn replay(&self, recording: Recording) {
        self.shared().memory = Memory::Replays(recording, HashMap::new());
    }

    fn recalled(&self, operation: &str) -> Option<Response<Full<Bytes>>> {
        let Memory::Replays(Recording(answers), next) = &mut self.shared().memory else { return None };
        let answers = answers.get(operation)?;
        let next = next.entry(operation.to_owned()).or_default();
        let (parts, body) = answers.get(*next % answers.len())?;
        *next += 1;
        Some(Response::from_parts(parts.clone(), Full::new(body.clone())))
    }

    fn remember(&self, operation: &str, parts: &hyper::http::response::Parts, body: &Bytes) {
        if let Memory::Records(Recording(answers)) = &mut self.shared().memory {
            answers.entry(operation.to_owned()).or_default().push((parts.clone(), body.clone()));
        }
    }

    /// Sets whether the account's users may be let onto serial consoles: the emulator knows nothing of that.
    pub fn set_serial_console(&self, is_enabled: bool) {
        self.shared().is_serial_console_enabled = is_enabled;
    }

    /// Whether the account's users may be let onto serial consoles.
    pub fn serial_console(&self) -> bool {
        self.shared().is_serial_console_enabled
    }

    /// Lets all buckets be in a Region, as Amazon S3 does: who asks in another one is sent there. The emulator answers everywhere.
    pub fn set_home_of_buckets(&self, region: &str) {
        self.shared().buckets_are_in = Some(region.to_owned());
    }

    fn redirected(&self, service: &str, headers: &hyper::HeaderMap) -> Option<Response<Full<Bytes>>> {
        let home = self.shared().buckets_are_in.clone().filter(|_| service == "s3")?;
        let signed = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        if signed.contains(&format!("/{home}/s3/")) {
            return None;
        }
        let error = "<Error><Code>PermanentRedirect</Code><Message>The bucket is elsewhere.</Message></Error>";
        let answer = Response::builder().status(StatusCode::MOVED_PERMANENTLY).header("x-amz-bucket-region", home);
        answer.header("content-type", "application/xml").body(Full::new(error.into())).ok()
    }

    /// What is answered in the emulator's place.
    fn stub(&self, operation: &str, body: &str) -> Option<String> {
        let mut shared = self.shared();
        match operation {
            "EnableSerialConsoleAccess" => shared.is_serial_console_enabled = true,
            "DisableSerialConsoleAccess" => shared.is_serial_console_enabled = false,
            "GetSerialConsoleAccessStatus" => {}
            _ => {
                let is_it = |name: &str| match name.split_once('?') {
                    Some((of, part)) => of == operation && body.contains(part),
                    None => name == operation,
                };
                let page = |pages: &Vec<String>| {
                    let token = body.split("NextToken=").nth(1).and_then(|rest| rest.split('&').next());
                    pages.get(token.and_then(|token| token.parse::<usize>().ok()).unwrap_or(0)).cloned()
                };
                if let Some(page) = shared.pages.get(operation).and_then(page) {
                    return Some(page);
                }
                let told = shared.answers.iter().find(|(name, _)| is_it(name)).map(|(_, answer)| answer.clone());
                // Of IAM's the emulator tells what is there now, at times that the SDK can't read.
                let is_of_iam = operation == "GetResourceConfigHistory" && body.contains("AWS::IAM::");
                return told.or(is_of_iam.then(|| r#"{"configurationItems":[]}"#.to_owned()));
            }
        }
        let enabled = shared.is_serial_console_enabled;
        Some(format!(
            "<{operation}Response><serialConsoleAccessEnabled>{enabled}</serialConsoleAccessEnabled></{operation}Response>"
        ))
    }

    /// Disturbs calls of an operation: after `skip` of them, `times` of them.
    pub fn disturb(&self, operation: &str, skip: usize, times: usize, fault: Fault, when: When) {
        let disturbance = Disturbance { operation: operation.to_owned(), skip, times, fault, when };
        self.shared().disturbances.push(disturbance);
    }

    /// Ends all disturbances.
    pub fn calm(&self) {
        let mut shared = self.shared();
        shared.disturbances.clear();
        shared.is_held = false;
    }

    /// Whether a call is being held back by [`Fault::Timeout`].
    pub fn is_held(&self) -> bool {
        self.shared().is_held
    }

    /// How many round trips went one after another until an operation was answered, its own included.
    pub fn round_trips_until(&self, operation: &str) -> usize {
        let trips = chain::round_trips(&self.calls(), operation);
        trips.unwrap_or_else(|| panic!("{operation} was not called; there were {:?}", self.operations()))
    }

    async fn serve(self, to: u16, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Broken> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Broken)?.to_bytes();
        let call = describe(&parts, &body);
        let (service, operation, text) = (call.service.clone(), call.operation.clone(), call.body.clone());
        let (index, fault, latency) = {
            let mut shared = self.shared();
            shared.calls.push(call);
            (shared.calls.len() - 1, disturbance(&mut shared.disturbances, &operation), shared.latency)
        };
        let is_json = service != "s3" && (parts.headers.contains_key("x-amz-target") || !operation_is_query(&body));
        if let Some(answer) = self.redirected(&service, &parts.headers) {
            return self.ended(index, Ok(answer));
        }
        if let Some((fault, When::Before)) = fault
            && fault != Fault::Slow
        {
            self.shared().is_held = fault == Fault::Timeout;
            return self.ended(index, disturbed(fault, is_json, &service).await);
        }
        // A timer has no shorter time than a millisecond.
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        if let Some(answer) = self.recalled(&operation) {
            return self.ended(index, Ok(answer));
        }
        let turn = if operation == "UpdateItem" { Some(self.writes.lock().await) } else { None };
        let answer = match self.stub(&operation, &text) {
            Some(stub) => Ok(Response::new(Full::new(stub.into()))),
            None => http::send(to, Request::from_parts(parts, Full::new(body))).await.map(|answer| {
                let (mut parts, body) = answer.into_parts();
                // How the emulator ends its connections is nothing to those of the function, which AWS lets it keep.
                parts.headers.remove("connection");
                parts.version = Version::HTTP_11;
                self.remember(&operation, &parts, &body);
                if operation != "DescribeInstanceAttribute" {
                    return Response::from_parts(parts, Full::new(body));
                }
                parts.headers.remove("content-length");
                Response::from_parts(parts, Full::new(without_cleared(&body)))
            }),
        };
        drop(turn);
        match fault {
            Some((Fault::Slow, _)) => tokio::time::sleep(Duration::from_millis(1500)).await,
            Some((fault, When::After)) => {
                self.shared().is_held = fault == Fault::Timeout;
                return self.ended(index, disturbed(fault, is_json, &service).await);
            }
            _ => {}
        }
        self.ended(index, answer.map_err(|_| Broken))
    }

    fn ended(
        &self,
        index: usize,
        answer: Result<Response<Full<Bytes>>, Broken>,
    ) -> Result<Response<Full<Bytes>>, Broken> {
        if let Some(call) = self.shared().calls.get_mut(index) {
            call.ended = Some(Instant::now());
            call.status = answer.as_ref().ok().map(|answer| answer.status().as_u16());
        }
        answer
    }
}

/// The emulator tells user data that was cleared as Python writes no bytes, and EC2 as none.
fn without_cleared(body: &Bytes) -> Bytes {
    let text = String::from_utf8_lossy(body);
    let cleared = ["<value>b''</value>", "<value>b&#x27;&#x27;</value>", "<value>b&#39;&#39;</value>"];
    cleared.iter().fold(text.into_owned(), |text, value| text.replace(value, "<value></value>")).into()
}

/// Makes hyper close the connection without an answer.
#[derive(Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection is to be closed")
    }
}

impl std::error::Error for Broken {}

impl From<Infallible> for Broken {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

fn disturbance(disturbances: &mut [Disturbance], operation: &str) -> Option<(Fault, When)> {
    let found =
        disturbances.iter_mut().find(|disturbance| disturbance.operation == operation && disturbance.times > 0)?;
    if found.skip > 0 {
        found.skip -= 1;
        return None;
    }
    found.times -= 1;
    Some((found.fault, found.when))
}

async fn disturbed(fault: Fault, is_json: bool, service: &str) -> Result<Response<Full<Bytes>>, Broken> {
    // EC2 has a shape of its own.
    let xml = |code: &str| {
        let error = format!("<Error><Code>{code}</Code><Message>disturbed</Message></Error>");
        if ["iam", "autoscaling", "elasticloadbalancing"].contains(&service) {
            format!("<ErrorResponse>{error}</ErrorResponse>")
        } else if service == "s3" {
            error
        } else {
            format!("<Response><Errors>{error}</Errors></Response>")
        }
    };
    let json = |code: &str| format!(r#"{{"__type":"{code}","message":"disturbed"}}"#);
    let answer = |status: u16, body: String| {
        let kind = if is_json { "application/x-amz-json-1.1" } else { "text/xml" };
        let status = StatusCode::from_u16(status).expect("a status");
        Ok(Response::builder()
            .status(status)
            .header("content-type", kind)
            .body(Full::new(body.into()))
            .expect("a response"))
    };
    match fault {
        Fault::Throttle if is_json => answer(400, json("ThrottlingException")),
        Fault::Throttle if service == "s3" => answer(503, xml("SlowDown")),
        Fault::Throttle => answer(503, xml("RequestLimitExceeded")),
        Fault::Http500 if is_json => answer(500, json("InternalFailure")),
        Fault::Http500 => answer(500, xml("InternalError")),
        Fault::Http503 if is_json => answer(503, json("ServiceUnavailableException")),
        Fault::Http503 if service == "s3" => answer(503, xml("ServiceUnavailable")),
        Fault::Http503 => answer(503, xml("Unavailable")),
        Fault::Reset => Err(Broken),
        Fault::Timeout => {
            tokio::time::sleep(Duration::from_secs(20)).await;
            Err(Broken)
        }
        Fault::Malformed => answer(200, "<<<{{{ this is no answer".to_owned()),
        Fault::Slow => answer(200, String::new()),
    }
}

fn operation_is_query(body: &Bytes) -> bool {
    body.starts_with(b"Action=")
}

/// The operation of a service that names it by method, path and query.
fn rest_operation(service: &str, method: &hyper::Method, uri: &hyper::Uri) -> String {
    let path: Vec<&str> = uri.path().split('/').filter(|part| !part.is_empty()).collect();
    let of = uri.query().unwrap_or_default().split(['&', '=']).next().unwrap_or_default();
    let operation = match (service, method.as_str(), path.as_slice(), of) {
        ("s3", "GET", [_], "policy") => "GetBucketPolicy",
        ("s3", "PUT", [_], "policy") => "PutBucketPolicy",
        ("s3", "DELETE", [_], "policy") => "DeleteBucketPolicy",
        ("s3", "GET", [_], "tagging") => "GetBucketTagging",
        ("lambda", "GET", [_, "functions", _, "policy"], _) => "GetPolicy",
        ("lambda", "POST", [_, "functions", _, "policy"], _) => "AddPermission",
        ("lambda", "DELETE", [_, "functions", _, "policy", _], _) => "RemovePermission",
        ("lambda", "GET", [_, "tags", _], _) => "ListTags",
        _ => return format!("{method} {uri}"),
    };
    operation.to_owned()
}

fn describe(parts: &hyper::http::request::Parts, body: &Bytes) -> Call {
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // Credential=<key>/<date>/<region>/<service>/aws4_request
    let service = header("authorization")
        .split("Credential=")
        .nth(1)
        .and_then(|scope| scope.split('/').nth(3))
        .unwrap_or_default();
    let text = String::from_utf8_lossy(body).into_owned();
    let operation = match header("x-amz-target").rsplit_once('.') {
        Some((_, operation)) => operation.to_owned(),
        None if service == "scheduler" => "CreateSchedule".to_owned(),
        None if ["lambda", "s3"].contains(&service) => rest_operation(service, &parts.method, &parts.uri),
        None => text.split('&').find_map(|pair| pair.strip_prefix("Action=")).unwrap_or(parts.uri.path()).to_owned(),
    };
    Call { service: service.to_owned(), operation, body: text, started: Instant::now(), ended: None, status: None }
}
