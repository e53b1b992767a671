//! Who may see the admin side: whoever has the token.

use std::fmt;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// The token of the admin side, as its hash: all that is needed to recognize it.
#[derive(Clone)]
pub struct Token(Arc<[u8; 32]>);

// === impl Token ===

impl Token {
    /// The token with this text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Arc::new(Sha256::digest(text).into()))
    }

    // Hashes are compared, so neither time nor length tells anything of the token.
    fn is(&self, text: &str) -> bool {
        let hash: [u8; 32] = Sha256::digest(text).into();
        hash.ct_eq(&*self.0).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

/// Lets a request through that has the token.
pub(super) async fn require(State(token): State<Token>, request: Request, next: Next) -> Response {
    let header = request.headers().get(header::AUTHORIZATION);
    let bearer = header
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '));
    let accepted = bearer.is_some_and(|(scheme, text)| {
        scheme.eq_ignore_ascii_case("bearer") && token.is(text.trim())
    });
    if accepted {
        return next.run(request).await;
    }
    let detail = "send the admin token as Authorization: Bearer TOKEN";
    let mut answer = problem(
        StatusCode::UNAUTHORIZED,
        "urn:tollgate:unauthorized",
        "Unauthorized",
        detail,
    );
    answer.headers_mut().insert(
        header::WWW_AUTHENTICATE,
        header::HeaderValue::from_static("Bearer"),
    );
    answer
}

/// An answer in RFC 9457's form.
pub(super) fn problem(status: StatusCode, kind: &str, title: &str, detail: &str) -> Response {
    let body = json!({ "type": kind, "title": title, "status": status.as_u16(), "detail": detail });
    (
        status,
        [(header::CONTENT_TYPE, "application/problem+json")],
        body.to_string(),
    )
        .into_response()
}
