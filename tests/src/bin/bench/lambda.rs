//! Lambda's side: the runtime API, served over HTTP on the loopback interface to one process.
//!
//! It follows the AWS Lambda developer guide, *Using the Lambda runtime API for custom runtimes*.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot, watch};

use crate::Problem;

/// How long an invocation may take, as the process is told.
const TIMEOUT: Duration = Duration::from_mins(1);

/// What the process answered to an event.
#[derive(Debug)]
pub struct Answer {
    /// When the answer was here.
    pub at: Instant,
    /// Whether it is an error.
    pub is_error: bool,
    /// The answer.
    pub body: Value,
}

/// The runtime API of one process.
#[derive(Debug, Clone)]
pub struct Lambda {
    /// Its port.
    pub port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    events: mpsc::UnboundedSender<(String, Bytes)>,
    queue: AsyncMutex<mpsc::UnboundedReceiver<(String, Bytes)>>,
    asked: watch::Sender<Option<Instant>>,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    invocations: usize,
    for_answers: HashMap<String, oneshot::Sender<Answer>>,
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lambda {
    /// Serves the runtime API.
    pub async fn start() -> Result<Self, Problem> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let (events, queue) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            events,
            queue: AsyncMutex::new(queue),
            asked: watch::Sender::new(None),
            waiting: Mutex::default(),
        });
        let lambda = Self { port, shared };
        let serving = lambda.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                let lambda = serving.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| lambda.clone().serve(request));
                    let server = hyper::server::conn::http1::Builder::new();
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Ok(lambda)
    }

    /// When the process asked for work for the first time.
    pub async fn first_asked(&self) -> Option<Instant> {
        let mut asked = self.shared.asked.subscribe();
        asked.wait_for(Option::is_some).await.ok().and_then(|asked| *asked)
    }

    /// Hands an event to the process, as soon as it asks.
    pub fn submit(&self, event: &Value) -> oneshot::Receiver<Answer> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.shared.waiting();
        waiting.invocations += 1;
        let id = format!("00000000-0000-4000-8000-{:012}", waiting.invocations);
        waiting.for_answers.insert(id.clone(), sender);
        // The receiver lives as long as this value.
        let _ = self.shared.events.send((id, event.to_string().into()));
        receiver
    }

    async fn serve(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let arrived = Instant::now();
        let (parts, body) = request.into_parts();
        let path: Vec<&str> = parts.uri.path().trim_matches('/').split('/').collect();
        let answer = match (&parts.method, path.as_slice()) {
            (&Method::GET, [_, "runtime", "invocation", "next"]) => {
                self.shared.asked.send_if_modified(|asked| asked.replace(arrived).is_none());
                self.next().await
            }
            (&Method::POST, [_, "runtime", "invocation", id, kind]) => {
                let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                if let Some(sender) = self.shared.waiting().for_answers.remove(*id) {
                    let _ = sender.send(Answer { at: Instant::now(), is_error: *kind == "error", body });
                }
                Response::builder().status(StatusCode::ACCEPTED).body(Full::default())
            }
            _ => Response::builder().status(StatusCode::NOT_FOUND).body(Full::default()),
        };
        Ok(answer.unwrap_or_default())
    }

    async fn next(&self) -> hyper::http::Result<Response<Full<Bytes>>> {
        let Some((id, event)) = self.shared.queue.lock().await.recv().await else {
            return Response::builder().status(StatusCode::GONE).body(Full::default());
        };
        let deadline = rescind_tests::now() + TIMEOUT;
        Response::builder()
            .header("content-type", "application/json")
            .header("lambda-runtime-aws-request-id", id)
            .header("lambda-runtime-deadline-ms", deadline.timestamp_millis())
            .header("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:000000000000:function:bench")
            .body(Full::new(event))
    }
}
