//! What the simulated service answers, and how that looks on the wire.
//!
//! **Guarantee**: every answer, those of faults included, carries the headers that were recorded
//! from the live service; a body of more than a kilobyte has `Vary: Accept-Encoding` and is gzipped
//! for whoever takes that.
//!
//! An error is a bare JSON string. A limit of the service is plain text, a limit of the nginx in
//! front of it is an HTML page.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use serde_json::Value;
use uuid::Uuid;

use super::refusal::Refusal;

/// Bodies up to here are not worth compressing.
const GZIP_ABOVE: usize = 1024;

const JSON: &str = "application/json; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// An answer before it is dressed for the wire.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
    /// What this answer has beside the headers of all; `Content-Type` among them.
    pub(super) headers: HeaderMap,
}

// === impl Reply ===

impl Reply {
    /// Any answer at all.
    pub(super) fn new(status: StatusCode, content_type: &str, body: impl Into<Bytes>) -> Self {
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_str(content_type) {
            headers.insert(header::CONTENT_TYPE, value);
        }
        Self {
            status,
            body: body.into(),
            headers,
        }
    }

    /// `200` with JSON.
    pub(super) fn json(value: &Value) -> Self {
        Self::new(StatusCode::OK, JSON, value.to_string())
    }

    /// `200` with the word that upstream says to most changes.
    pub(super) fn ok() -> Self {
        Self::new(StatusCode::OK, TEXT, "OK")
    }

    /// Plain text.
    pub(super) fn text(status: StatusCode, text: impl Into<Bytes>) -> Self {
        Self::new(status, TEXT, text)
    }

    /// The bare JSON string that errors are.
    pub(super) fn error(status: StatusCode, text: &str) -> Self {
        Self::new(status, JSON, Value::from(text).to_string())
    }

    /// The page that nginx makes of a status by itself.
    pub(super) fn nginx(status: StatusCode) -> Self {
        let page = format!(
            "<html>\r\n<head><title>{status}</title></head>\r\n<body>\r\n\
             <center><h1>{status}</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
        );
        Self::new(status, "text/html", page)
    }

    /// What a request without credentials gets.
    pub(super) fn no_credentials() -> Self {
        let mut reply = Self {
            status: StatusCode::UNAUTHORIZED,
            body: Bytes::new(),
            headers: HeaderMap::new(),
        };
        reply.set("x-authorization-missing", "true");
        reply
    }

    /// What a request with credentials of nobody gets.
    pub(super) fn bad_credentials() -> Self {
        Self {
            status: StatusCode::FORBIDDEN,
            body: Bytes::new(),
            headers: HeaderMap::new(),
        }
    }

    /// Sets a header of this answer. A value that no header can have is left out.
    pub(super) fn set(&mut self, name: &'static str, value: &str) {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(HeaderName::from_static(name), value);
        }
    }

    /// The answer with all its headers and the body's bytes as they are sent.
    pub(super) fn dressed(self, request: &HeaderMap) -> Response<Bytes> {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        *headers = self.headers;
        record(headers);
        if !has_balancer_cookie(request) {
            let cookie = HeaderValue::from_static("GCLB=COvZ8PTQ6cq9RQ; path=/; HttpOnly");
            headers.append(header::SET_COOKIE, cookie);
        }
        if response.body().len() > GZIP_ABOVE {
            let vary = HeaderValue::from_static("Accept-Encoding");
            response.headers_mut().insert(header::VARY, vary);
            if takes_gzip(request)
                && let Some(small) = gzip(response.body())
            {
                let encoding = HeaderValue::from_static("gzip");
                response
                    .headers_mut()
                    .insert(header::CONTENT_ENCODING, encoding);
                *response.body_mut() = small;
            }
        }
        response
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        Self::error(refusal.status(), &refusal.to_string())
    }
}

/// The headers of every answer.
fn record(headers: &mut HeaderMap) {
    for (name, value) in [
        (
            "cache-control",
            "no-cache, private, no-store, must-revalidate, max-stale=0, post-check=0, pre-check=0",
        ),
        ("x-service-level", "GREEN"),
        (
            "strict-transport-security",
            "max-age=31536000; includeSubDomains",
        ),
        ("server", "nginx"),
        ("via", "1.1 google"),
        (
            "alt-svc",
            "h3=\":443\"; ma=2592000,h3-29=\":443\"; ma=2592000",
        ),
    ] {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    for name in ["x-toggl-request-id", "x-request-id"] {
        let id = Uuid::now_v7().simple().to_string();
        if let Ok(value) = HeaderValue::from_str(&id) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

/// A load balancer sets its cookie for whoever comes without one.
fn has_balancer_cookie(request: &HeaderMap) -> bool {
    texts(request, &header::COOKIE).any(|cookie| cookie.contains("GCLB="))
}

/// Whether `gzip` is among the encodings, and not with the weight zero (RFC 9110 §12.5.3).
fn takes_gzip(request: &HeaderMap) -> bool {
    texts(request, &header::ACCEPT_ENCODING)
        .flat_map(|value| value.split(','))
        .any(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            let named = parts
                .next()
                .is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
            named && !parts.any(|weight| matches!(weight, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
        })
}

fn texts<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
}

fn gzip(body: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(encodings: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, encodings.parse().unwrap());
        headers
    }

    #[test]
    fn only_a_large_body_is_compressed_and_only_for_who_takes_it() {
        let large = || Reply::text(StatusCode::OK, "x".repeat(GZIP_ABOVE + 1));
        let small = Reply::text(StatusCode::OK, "x".repeat(GZIP_ABOVE)).dressed(&asking("gzip"));
        assert_eq!(small.headers().get(header::VARY), None);
        assert_eq!(small.headers().get(header::CONTENT_ENCODING), None);

        let plain = large().dressed(&asking("br, gzip;q=0"));
        assert_eq!(plain.headers()[header::VARY], "Accept-Encoding");
        assert_eq!(plain.headers().get(header::CONTENT_ENCODING), None);
        assert_eq!(plain.body().len(), GZIP_ABOVE + 1);

        let zipped = large().dressed(&asking("br, gzip"));
        assert_eq!(zipped.headers()[header::CONTENT_ENCODING], "gzip");
        assert!(zipped.body().len() < 100);
    }

    #[test]
    fn the_load_balancer_sets_its_cookie_once() {
        let mut headers = HeaderMap::new();
        let first = Reply::ok().dressed(&headers);
        assert!(first.headers().contains_key(header::SET_COOKIE));
        headers.insert(header::COOKIE, HeaderValue::from_static("a=b; GCLB=x"));
        let second = Reply::ok().dressed(&headers);
        assert!(!second.headers().contains_key(header::SET_COOKIE));
    }
}
