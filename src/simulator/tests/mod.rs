//! The simulator over real HTTP: a file per thing that it promises.

mod faults;
mod groups;
mod limits;
mod memberships;
mod others;
mod patches;
mod wire;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use super::{Options, Toggl};
use crate::domain::ids::{GroupId, OrganizationId};

const ACME: OrganizationId = OrganizationId(4123);
const DESIGN: GroupId = GroupId(9001);
const GROUPS: &str = "/api/v9/organizations/4123/groups";
const GROUP: &str = "/api/v9/organizations/4123/groups/9001";

async fn toggl() -> Toggl {
    Toggl::start(Options::default()).await.unwrap()
}

/// Somebody with an HTTP client.
#[derive(Clone)]
struct Visitor {
    client: Client<HttpConnector, Full<Bytes>>,
    url: String,
    headers: HeaderMap,
}

/// What they were answered.
#[derive(Debug)]
struct Told {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Visitor {
    fn nobody(toggl: &Toggl) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .retry_canceled_requests(false)
            .build(HttpConnector::new());
        Self {
            client,
            url: toggl.url(),
            headers: HeaderMap::new(),
        }
    }

    fn new(toggl: &Toggl, handle: &str) -> Self {
        Self::nobody(toggl).with("authorization", &toggl.authorization(handle))
    }

    fn basic(self, name: &str, password: &str) -> Self {
        let value = format!("Basic {}", STANDARD.encode(format!("{name}:{password}")));
        self.with("authorization", &value)
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }

    async fn try_send(
        &self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> Result<Told, Box<dyn std::error::Error + Send + Sync>> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .body(Full::new(body.into()))?;
        request.headers_mut().extend(self.headers.clone());
        let (head, body) = self.client.request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Told {
            status: head.status,
            headers: head.headers,
            body,
        })
    }

    async fn send(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Told {
        self.try_send(method, path, body).await.unwrap()
    }

    async fn get(&self, path: &str) -> Told {
        self.send(Method::GET, path, "").await
    }

    async fn post(&self, path: &str, body: Value) -> Told {
        self.send(Method::POST, path, body.to_string()).await
    }

    async fn put(&self, path: &str, body: Value) -> Told {
        self.send(Method::PUT, path, body.to_string()).await
    }

    async fn patch(&self, path: &str, body: Value) -> Told {
        self.send(Method::PATCH, path, body.to_string()).await
    }

    async fn delete(&self, path: &str) -> Told {
        self.send(Method::DELETE, path, "").await
    }
}

impl Told {
    #[track_caller]
    fn assert_ok(self) -> Self {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text());
        self
    }

    /// The bare JSON string that errors are.
    #[track_caller]
    fn assert_refused(&self, status: u16, text: &str) {
        assert_eq!(
            (self.status.as_u16(), self.json()),
            (status, Value::from(text))
        );
    }

    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    #[track_caller]
    fn json(&self) -> Value {
        assert_eq!(
            self.header(header::CONTENT_TYPE.as_str()),
            "application/json; charset=utf-8"
        );
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The names in a list of groups.
    #[track_caller]
    fn names(&self) -> Vec<String> {
        let list = self.json();
        let list = list.as_array().expect("a list is a bare array");
        list.iter()
            .map(|group| group["name"].as_str().unwrap().to_owned())
            .collect()
    }
}
