//! A cache as it is often put in front of an API: each credential's lists, for a time, and nothing that
//! knows of changes. It is as good as that can be: one fetch for many equal reads at once.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::support::Tool;

/// Runs until it is dropped.
pub(crate) struct PlainCache {
    pub(crate) url: String,
    accepting: AbortHandle,
}

/// A credential and a path with its query.
type Key = (Option<HeaderValue>, String);

/// A list and when it was fetched. Locked while it is fetched, so that equal reads wait for it.
type Slot = Arc<Mutex<Option<(Instant, Bytes)>>>;

struct Cache {
    upstream: Tool,
    ttl: Duration,
    slots: StdMutex<HashMap<Key, Slot>>,
}

// === impl PlainCache ===

impl PlainCache {
    pub(crate) async fn before(upstream: String, ttl: Duration) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let cache = Arc::new(Cache {
            upstream: Tool::of(upstream),
            ttl,
            slots: StdMutex::default(),
        });
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let cache = Arc::clone(&cache);
                let service = service_fn(move |request| {
                    let cache = Arc::clone(&cache);
                    async move { Ok::<_, Infallible>(cache.answer(request).await) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Ok(Self {
            url,
            accepting: accepting.abort_handle(),
        })
    }
}

impl Drop for PlainCache {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

// === impl Cache ===

impl Cache {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let answered = self.try_answer(request).await;
        let (status, body) =
            answered.unwrap_or_else(|error| (StatusCode::BAD_GATEWAY, error.to_string().into()));
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = status;
        response
    }

    async fn try_answer(&self, request: Request<Incoming>) -> anyhow::Result<(StatusCode, Bytes)> {
        let (head, body) = request.into_parts();
        let credential = head.headers.get(AUTHORIZATION).cloned();
        let target = head.uri.to_string();
        let upstream = match &credential {
            Some(value) => self.upstream.clone().authorized(value.to_str()?)?,
            None => self.upstream.clone(),
        };
        if head.method != Method::GET {
            let body = body.collect().await?.to_bytes();
            let answer = upstream.send(head.method, &target, body).await?;
            return Ok((answer.status(), answer.into_body()));
        }
        let slot = self.slot((credential, target.clone()));
        let mut kept = slot.lock().await;
        if let Some((fetched, list)) = &*kept
            && fetched.elapsed() < self.ttl
        {
            return Ok((StatusCode::OK, list.clone()));
        }
        let begun = Instant::now();
        let answer = upstream.get(&target).await?;
        if answer.status() == StatusCode::OK {
            *kept = Some((begun, answer.body().clone()));
        }
        Ok((answer.status(), answer.into_body()))
    }

    fn slot(&self, key: Key) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(key).or_default())
    }
}
