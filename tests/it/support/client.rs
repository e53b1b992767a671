//! One person's tool: verbs over real HTTP, and answers that can be held against what they should be.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use serde::Serialize;
use serde_json::Value;
use tollgate::body::{Body, BoxError};

type Pool = hyper_util::client::legacy::Client<HttpsConnector<HttpConnector>, Body>;

/// Where requests go. A gateway that starts again is somewhere else, and its clients find it there.
pub(crate) type Base = Arc<Mutex<String>>;

/// A tool with a credential, or without one. Each has connections of its own.
#[derive(Clone)]
pub(crate) struct Client {
    base: Base,
    pool: Pool,
    headers: HeaderMap,
    label: String,
}

/// A request that is sent when it is awaited.
#[must_use = "nothing is sent until it is awaited"]
pub(crate) struct Ask {
    client: Client,
    method: Method,
    target: String,
    headers: HeaderMap,
    body: Body,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

// === impl Client ===

impl Client {
    pub(crate) fn new(base: Base) -> Self {
        Self {
            base,
            pool: hyper_util::client::legacy::Client::builder(TokioExecutor::new())
                .build(connector(trusting([]))),
            headers: HeaderMap::new(),
            label: String::new(),
        }
    }

    /// A client of the server at `url`.
    pub(crate) fn of(url: impl Into<String>) -> Self {
        Self::new(Arc::new(Mutex::new(url.into())))
    }

    /// The same tool, but speaking HTTP/2 with prior knowledge.
    pub(crate) fn http2(mut self) -> Self {
        self.pool = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            .http2_only(true)
            .build(connector(trusting([])));
        self
    }

    /// The same tool, but believing this certificate; over TLS it speaks HTTP/2 where it can.
    pub(crate) fn trusting(mut self, certificate: &CertificateDer<'static>) -> Self {
        let tls = trusting([certificate.clone()]);
        self.pool =
            hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(connector(tls));
        self
    }

    /// With this header on every request, in place of any of that name.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }

    /// With this `Authorization`.
    pub(crate) fn authorized(self, value: &str) -> Self {
        self.with(AUTHORIZATION.as_str(), value)
    }

    /// Under `/~label/`.
    pub(crate) fn labelled(mut self, label: &str) -> Self {
        self.label = format!("/~{label}");
        self
    }

    pub(crate) fn get(&self, target: impl Into<String>) -> Ask {
        self.ask(Method::GET, target)
    }

    pub(crate) fn delete(&self, target: impl Into<String>) -> Ask {
        self.ask(Method::DELETE, target)
    }

    pub(crate) fn put(&self, target: impl Into<String>, body: impl Serialize) -> Ask {
        self.ask(Method::PUT, target).json(body)
    }

    pub(crate) fn post(&self, target: impl Into<String>, body: impl Serialize) -> Ask {
        self.ask(Method::POST, target).json(body)
    }

    pub(crate) fn patch(&self, target: impl Into<String>, body: impl Serialize) -> Ask {
        self.ask(Method::PATCH, target).json(body)
    }

    /// A request with any method; `target` is path and query, to the byte.
    pub(crate) fn ask(&self, method: Method, target: impl Into<String>) -> Ask {
        Ask {
            client: self.clone(),
            method,
            target: target.into(),
            headers: self.headers.clone(),
            body: Body::empty(),
        }
    }
}

/// Believes these certificates and no others.
pub(crate) fn trusting(
    certificates: impl IntoIterator<Item = CertificateDer<'static>>,
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate).unwrap();
    }
    ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

fn connector(tls: ClientConfig) -> HttpsConnector<HttpConnector> {
    HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_all_versions()
        .build()
}

// === impl Ask ===

impl Ask {
    /// One header more.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::try_from(name).unwrap();
        self.headers.append(name, value.parse().unwrap());
        self
    }

    /// This body, as it is.
    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Body::full(body);
        self
    }

    /// This body, as it comes.
    pub(crate) fn stream(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    /// This value as JSON.
    pub(crate) fn json(mut self, value: impl Serialize) -> Self {
        self.headers
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let text = serde_json::to_vec(&value).unwrap();
        self.body(text)
    }

    /// Sends it and gives the answer as soon as its head is there.
    pub(crate) async fn open(self) -> Result<Response<Incoming>, BoxError> {
        let base = self
            .client
            .base
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let uri = format!("{base}{}{}", self.client.label, self.target);
        let mut request = Request::new(self.body);
        *request.method_mut() = self.method;
        *request.uri_mut() = uri.parse()?;
        *request.headers_mut() = self.headers;
        Ok(self.client.pool.request(request).await?)
    }

    /// Sends it; an error if no whole answer comes.
    pub(crate) async fn attempt(self) -> Result<Reply, BoxError> {
        let (head, body) = self.open().await?.into_parts();
        Ok(Reply {
            status: head.status,
            headers: head.headers,
            body: body.collect().await?.to_bytes(),
        })
    }

    /// Sends it from a task of its own, so that the test can go on meanwhile.
    pub(crate) fn spawn(self) -> tokio::task::JoinHandle<Reply> {
        tokio::spawn(self.into_future())
    }
}

impl IntoFuture for Ask {
    type Output = Reply;
    type IntoFuture = Pin<Box<dyn Future<Output = Reply> + Send>>;

    #[track_caller]
    fn into_future(self) -> Self::IntoFuture {
        let what = format!("{} {}", self.method, self.target);
        Box::pin(async move {
            match self.attempt().await {
                Ok(reply) => reply,
                Err(error) => panic!("{what}: no answer: {error:?}"),
            }
        })
    }
}

// === impl Reply ===

impl Reply {
    #[track_caller]
    pub(crate) fn assert_status(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        self
    }

    #[track_caller]
    pub(crate) fn assert_ok(self) -> Self {
        self.assert_status(200)
    }

    /// What `Cache-Status` says of the gateway; `…` stands for anything.
    #[track_caller]
    pub(crate) fn assert_cache(self, expected: &str) -> Self {
        let said = self.cache();
        let fits = match expected.split_once('…') {
            Some((start, end)) => said.starts_with(start) && said.ends_with(end),
            None => said == expected,
        };
        assert!(fits, "Cache-Status is {said:?}, not {expected:?}");
        self
    }

    /// One of our problems, with this status and type.
    #[track_caller]
    pub(crate) fn assert_problem(self, status: u16, kind: &str) -> Self {
        let reply = self.assert_status(status);
        assert_eq!(
            reply.header("content-type"),
            Some("application/problem+json")
        );
        let problem = reply.json();
        assert_eq!(problem["type"], format!("urn:tollgate:{kind}"));
        assert_eq!(problem["status"], status);
        assert!(problem["title"].is_string() && problem["detail"].is_string());
        assert_eq!(problem["request_id"].as_str(), reply.header("x-request-id"));
        reply
    }

    /// `Cache-Status`, all of it.
    pub(crate) fn cache(&self) -> String {
        self.all("cache-status").join(", ")
    }

    /// A header's first value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// A header's values.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let values = self.headers.get_all(name).iter();
        values.map(|value| value.to_str().unwrap()).collect()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("{error}: {}", self.text()),
        }
    }

    /// The names in a list of groups.
    #[track_caller]
    pub(crate) fn names(&self) -> Vec<String> {
        let list = self.json();
        super::names(&list).into_iter().map(str::to_owned).collect()
    }
}
