//! Who the servers ask: answers that are ready before they are asked for.
//!
//! It is this program, started again with a word of its own, so that it has cores of its own and its time is
//! told apart.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::scene::Size;

/// Whose token all requests have: the origin knows nobody else.
pub(crate) const AUTHORIZATION: &str = "Basic YW5uOmFwaV90b2tlbg==";
/// Where the origin says how often it was asked.
pub(crate) const ASKED: &str = "/asked";
/// The numbers of groups begin here.
pub(crate) const FIRST_GROUP: usize = 9_000;

/// The answers, and how often one was given. Who somebody is, is asked for by none but Tollgate and does
/// not count.
struct Origin {
    lists: [Bytes; 3],
    headers: HeaderMap,
    asked: AtomicU64,
}

/// Answers as Toggl does, at this address, until it is killed.
pub(crate) async fn origin(address: SocketAddr) -> anyhow::Result<()> {
    let origin = Arc::new(Origin {
        lists: Size::ALL.map(|size| list(size).into()),
        headers: headers(),
        asked: AtomicU64::new(0),
    });
    serve(address, move |request| {
        let origin = Arc::clone(&origin);
        async move { origin.answer(request).await }
    })
    .await
}

/// As many groups as make so many bytes.
pub(crate) fn list(size: Size) -> String {
    let mut list = String::from("[");
    for index in 0.. {
        let group = group(FIRST_GROUP + index, &format!("Group {index}")).to_string();
        if list.len() + group.len() > size.bytes() {
            break;
        }
        if index > 0 {
            list.push(',');
        }
        list.push_str(&group);
    }
    list.push(']');
    list
}

// === impl Origin ===

impl Origin {
    async fn answer(&self, request: Request<Incoming>) -> anyhow::Result<Response<Full<Bytes>>> {
        let path = request.uri().path();
        if path == ASKED {
            let asked = self.asked.load(Ordering::Relaxed).to_string();
            return Ok(answer(&self.headers, asked.into()));
        }
        if path == "/api/v9/me" {
            let me = json!({
                "id": 7001, "email": "ann@acme.example", "fullname": "Ann Becker",
                "timezone": "Europe/Tallinn", "default_workspace_id": 51001,
            });
            return Ok(answer(&self.headers, me.to_string().into()));
        }
        self.asked.fetch_add(1, Ordering::Relaxed);
        let mut parts = path.trim_start_matches("/api/v9/organizations/").split('/');
        let organization = parts.next().and_then(|number| number.parse::<usize>().ok());
        let list = organization.and_then(|number| self.lists.get(number.checked_sub(1)?));
        let list = list.with_context(|| format!("nobody asks for {path}"))?;
        let number = parts.nth(1).and_then(|number| number.parse().ok());
        match number {
            None => Ok(answer(&self.headers, list.clone())),
            Some(number) if request.method() == Method::PUT => {
                let body = request.into_body().collect().await?.to_bytes();
                let change: Value = serde_json::from_slice(&body)?;
                let name = change["name"].as_str().context("no new name")?;
                Ok(answer(
                    &self.headers,
                    group(number, name).to_string().into(),
                ))
            }
            Some(_) => Ok(status(StatusCode::METHOD_NOT_ALLOWED)),
        }
    }
}

/// Answers so at this address, with the HTTP library that Tollgate is built on, until it is killed.
pub(super) async fn serve<F, A, B>(address: SocketAddr, answer: F) -> anyhow::Result<()>
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
    A: Future<Output = anyhow::Result<Response<B>>> + Send + 'static,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let answer = answer.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let answer = answer(request);
                // Where the harness looks when an answer is not what it expects.
                async { answer.await.inspect_err(|error| eprintln!("{error:#}")) }
            });
            // That a client goes away is how each run ends.
            let _ = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

pub(super) fn answer(headers: &HeaderMap, body: Bytes) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(body));
    *answer.headers_mut() = headers.clone();
    answer
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut answer = Response::default();
    *answer.status_mut() = status;
    answer
}

/// Toggl's, but for those of a quota: nobody is to be held back.
pub(super) fn headers() -> HeaderMap {
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    let no_store = HeaderValue::from_static(
        "no-cache, private, no-store, must-revalidate, max-stale=0, post-check=0, pre-check=0",
    );
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, json);
    headers.insert(CACHE_CONTROL, no_store);
    headers.insert("x-service-level", HeaderValue::from_static("GREEN"));
    headers.insert("server", HeaderValue::from_static("nginx"));
    headers.insert("via", HeaderValue::from_static("1.1 google"));
    headers
}

fn group(id: usize, name: &str) -> Value {
    let user = |number: usize| {
        json!({
            "user_id": 7_000 + number, "name": format!("Person {number}"), "avatar_url": "",
            "inactive": false, "joined": true,
        })
    };
    json!({
        "group_id": id, "name": name, "at": "2026-11-24T12:00:00Z", "permissions": null,
        "users": [user(id * 31 % 400)], "workspaces": [51_001 + id % 7],
    })
}
