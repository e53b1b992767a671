//! An upstream that answers every request with a secret.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Which answer is meant.
pub(super) const CASE: &str = "x-case";
/// The request shall wait for ever.
pub(super) const WAIT: &str = "x-wait";

/// What is answered to a case.
#[derive(Clone)]
pub(super) struct Scripted {
    pub(super) status: StatusCode,
    pub(super) cookie: String,
    pub(super) body: String,
}

/// A running one; dropped, its port is closed.
pub(super) struct Upstream {
    pub(super) url: String,
    script: Arc<Script>,
    _tasks: JoinSet<()>,
}

struct Script {
    cases: Vec<Scripted>,
    /// For requests that are no case: what Tollgate asks by itself.
    other: Scripted,
    answered: AtomicUsize,
    waiting: AtomicUsize,
}

// === impl Upstream ===

impl Upstream {
    pub(super) async fn start(cases: Vec<Scripted>, other: Scripted) -> Self {
        let script = Arc::new(Script {
            cases,
            other,
            answered: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&script)));
        Self {
            url,
            script,
            _tasks: tasks,
        }
    }

    /// How many cases were answered.
    pub(super) fn answered(&self) -> usize {
        self.script.answered.load(Ordering::SeqCst)
    }

    /// How many requests wait.
    pub(super) fn waiting(&self) -> usize {
        self.script.waiting.load(Ordering::SeqCst)
    }
}

async fn accept(listener: TcpListener, script: Arc<Script>) {
    // Ends every connection with itself.
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        connections.spawn(serve(stream, Arc::clone(&script)));
    }
}

async fn serve(stream: TcpStream, script: Arc<Script>) {
    let service = service_fn(|request| answer(request, Arc::clone(&script)));
    let builder = auto::Builder::new(TokioExecutor::new());
    // A gateway that was killed breaks its connections off.
    let _ = builder
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(
    request: Request<Incoming>,
    script: Arc<Script>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let _ = body.collect().await;
    if head.headers.contains_key(WAIT) {
        script.waiting.fetch_add(1, Ordering::SeqCst);
        std::future::pending::<()>().await;
    }
    let scripted = match case(&head.headers) {
        Some(case) => {
            script.answered.fetch_add(1, Ordering::SeqCst);
            &script.cases[case]
        }
        None => &script.other,
    };
    let answer = Response::builder()
        .status(scripted.status)
        .header("content-type", "application/json; charset=utf-8")
        .header("set-cookie", &scripted.cookie)
        .header("x-toggl-request-id", "of-upstream")
        .body(Full::from(scripted.body.clone()));
    Ok(answer.unwrap())
}

fn case(headers: &HeaderMap) -> Option<usize> {
    headers.get(CASE)?.to_str().ok()?.parse().ok()
}
