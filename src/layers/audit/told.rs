//! What upstream told of a change, and what the caller will be told.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::Answer;
use crate::coding::decoded;
use crate::domain::action::Outcome;
use crate::error::ProxyError;

/// See the [module](self).
pub(super) struct Told {
    pub(super) status: Option<StatusCode>,
    pub(super) headers: Option<HeaderMap>,
    /// The body as it is recorded.
    pub(super) text: Option<String>,
    /// Whether the body was cut off, or is too large to be kept.
    pub(super) incomplete: bool,
    /// What the caller will be told.
    pub(super) answer: Result<Answer, ProxyError>,
    /// The body as JSON, if it is.
    pub(super) body: Option<Value>,
}

// === impl Told ===

impl Told {
    /// No answer came.
    pub(super) fn failed(error: ProxyError) -> Self {
        Self {
            status: None,
            headers: None,
            body: None,
            text: None,
            incomplete: false,
            answer: Err(error),
        }
    }

    /// An answer whose body nobody here reads.
    pub(super) fn streaming(answer: Answer, headers: HeaderMap) -> Self {
        let status = Some(answer.status());
        Self {
            status,
            headers: Some(headers),
            body: None,
            text: None,
            incomplete: false,
            answer: Ok(answer),
        }
    }

    /// An answer whose body is too large to be kept, and is passed on as it comes.
    pub(super) fn too_large(answer: Answer, headers: HeaderMap) -> Self {
        Self {
            incomplete: true,
            ..Self::streaming(answer, headers)
        }
    }

    /// An answer whose body is `bytes`.
    pub(super) fn whole(answer: Answer, headers: HeaderMap, bytes: &Bytes, limit: usize) -> Self {
        let decoded = decoded(&headers, bytes, limit);
        let body = decoded
            .as_ref()
            .and_then(|body| serde_json::from_slice(body).ok());
        let text = decoded
            .as_ref()
            .map(|body| String::from_utf8_lossy(body).into_owned());
        let incomplete = decoded.is_none();
        Self {
            body,
            text,
            incomplete,
            ..Self::streaming(answer, headers)
        }
    }

    /// An answer that was cut off behind its head.
    pub(super) fn cut(status: StatusCode, headers: HeaderMap, error: ProxyError) -> Self {
        let failed = Self::failed(error);
        Self {
            status: Some(status),
            headers: Some(headers),
            incomplete: true,
            ..failed
        }
    }

    /// Whether it is a page for people, which is not what an API answers to a change.
    pub(super) fn is_page(&self) -> bool {
        let kind = self
            .headers
            .as_ref()
            .and_then(|headers| headers.get(CONTENT_TYPE));
        kind.is_some_and(|kind| {
            kind.as_bytes()
                .to_ascii_lowercase()
                .starts_with(b"text/html")
        })
    }

    /// Why upstream refused, in its own words if they are words.
    pub(super) fn reason(&self) -> String {
        let status = self
            .status
            .map_or_else(String::new, |status| status.as_u16().to_string());
        let message = match &self.body {
            Some(Value::String(message)) => Some(message.as_str()),
            _ => self
                .text
                .as_deref()
                .filter(|text| !text.trim_start().starts_with(['<', '{', '['])),
        };
        match message
            .map(|message| printable(message.trim(), 200))
            .filter(|message| !message.is_empty())
        {
            Some(message) => format!("{message} ({status})"),
            None => status,
        }
    }

    /// What the change has come to, by status or by error; the body may tell more.
    pub(super) fn outcome(&self) -> Outcome {
        match (self.status, &self.answer) {
            (Some(status), _) => Outcome::of_status(status),
            (None, Err(error)) => error.outcome(),
            (None, Ok(_)) => Outcome::Unknown,
        }
    }
}

/// Somebody else's words, on one line and without what would drive a terminal.
pub(super) fn printable(text: &str, longest: usize) -> String {
    text.chars()
        .take(longest)
        .map(|char| if char.is_control() { ' ' } else { char })
        .collect()
}
