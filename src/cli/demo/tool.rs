//! Somebody's tool: an HTTP client with a base URL and a credential, as they all are.

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// The connections of all tools.
#[derive(Clone)]
pub(super) struct Client(Pool<HttpConnector, Full<Bytes>>);

/// See the [module](self).
pub(super) struct Tool {
    /// Whose credential it uses.
    pub(super) person: String,
    /// What its base URL calls it.
    pub(super) label: &'static str,
    pub(super) base: String,
    pub(super) authorization: String,
    pub(super) client: Client,
}

/// What a tool asks for.
#[derive(Clone)]
pub(super) struct Ask {
    method: Method,
    path: String,
    header: Option<(&'static str, String)>,
    body: Option<Value>,
}

/// What it is told.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// `Authorization` for a name and a password.
pub(super) fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

// === impl Client ===

impl Default for Client {
    fn default() -> Self {
        Self(Pool::builder(TokioExecutor::new()).build_http())
    }
}

// === impl Ask ===

impl Ask {
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            header: None,
            body: None,
        }
    }

    pub(super) fn delete(path: impl Into<String>) -> Self {
        Self {
            method: Method::DELETE,
            ..Self::get(path)
        }
    }

    pub(super) fn send(method: Method, path: impl Into<String>, body: Value) -> Self {
        Self {
            method,
            body: Some(body),
            ..Self::get(path)
        }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.header = Some((name, value.into()));
        self
    }
}

// === impl Tool ===

impl Tool {
    /// The person's first name.
    pub(super) fn who(&self) -> &str {
        self.person.split(' ').next().unwrap_or(&self.person)
    }

    pub(super) async fn ask(&self, ask: Ask) -> anyhow::Result<Reply> {
        let mut request = http::Request::builder()
            .method(ask.method)
            .uri(format!("{}{}", self.base, ask.path))
            .header(AUTHORIZATION, &self.authorization)
            .header(USER_AGENT, self.label);
        if let Some((name, value)) = ask.header {
            request = request.header(name, value);
        }
        let body = match ask.body {
            Some(body) => {
                request = request.header(CONTENT_TYPE, "application/json");
                Bytes::from(body.to_string())
            }
            None => Bytes::new(),
        };
        let request = request.body(Full::new(body))?;
        let answer = self.client.0.request(request).await;
        let answer = answer.context("the gateway did not answer")?;
        let (head, body) = answer.into_parts();
        let body = body
            .collect()
            .await
            .context("the gateway's answer broke off")?;
        Ok(Reply {
            status: head.status,
            headers: head.headers,
            body: body.to_bytes(),
        })
    }
}

// === impl Reply ===

impl Reply {
    pub(super) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    pub(super) fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_slice(&self.body).context("the answer is not JSON")
    }

    /// Fails if the list in this answer has no group of that name.
    pub(super) fn must_list(&self, name: &str) -> anyhow::Result<()> {
        ensure!(self.lists(name)?, "{name:?} is not in {}", self.text());
        Ok(())
    }

    /// Fails if the list in this answer has a group of that name.
    pub(super) fn must_not_list(&self, name: &str) -> anyhow::Result<()> {
        ensure!(!self.lists(name)?, "{name:?} is in {}", self.text());
        Ok(())
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn lists(&self, name: &str) -> anyhow::Result<bool> {
        let list = self.json()?;
        let groups = list.as_array().context("the answer is no list")?;
        Ok(groups.iter().any(|group| group["name"] == name))
    }
}
