//! Whether a request was made by a page of ours.
//!
//! Browsers say it in `Sec-Fetch-Site`, older ones in `Origin`; what sends neither is no browser, and has no
//! cookie that it did not mean to send. The cookie's `SameSite=Strict` says the same once more.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether another site's page made a browser send it.
pub(in crate::admin) struct IsForeign(pub(in crate::admin) bool);

impl<S: Send + Sync> FromRequestParts<S> for IsForeign {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(told(&parts.headers, &parts.uri)))
    }
}

/// The same, of a request that is there whole.
pub(super) fn is_foreign(request: &Request) -> bool {
    told(request.headers(), request.uri())
}

fn told(headers: &HeaderMap, uri: &Uri) -> bool {
    if let Some(site) = headers.get(SEC_FETCH_SITE) {
        return !(site == "same-origin" || site == "none");
    }
    let Some(origin) = headers.get(header::ORIGIN) else {
        return false;
    };
    let origin = origin
        .to_str()
        .ok()
        .and_then(|origin| origin.parse::<Uri>().ok());
    let authority = origin.as_ref().and_then(Uri::authority);
    // HTTP/2 has it in the target.
    let target = uri
        .authority()
        .map(|authority| authority.as_str().as_bytes());
    let host = target.or_else(|| headers.get(header::HOST).map(HeaderValue::as_bytes));
    match (authority, host) {
        (Some(authority), Some(host)) => authority.as_str().as_bytes() != host,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_of_another_sites_page_is_foreign() {
        let foreign = |sent: &[(&str, &str)]| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, "gate.example:8081".parse().unwrap());
            for (name, value) in sent {
                let name: HeaderName = name.parse().unwrap();
                headers.insert(name, value.parse().unwrap());
            }
            told(&headers, &Uri::from_static("/"))
        };
        assert!(!foreign(&[]), "no browser");
        for site in ["same-origin", "none"] {
            assert!(!foreign(&[("sec-fetch-site", site)]));
        }
        for site in ["cross-site", "same-site", "else"] {
            assert!(foreign(&[("sec-fetch-site", site)]));
        }
        assert!(!foreign(&[("origin", "http://gate.example:8081")]));
        let mut headers = HeaderMap::new();
        headers.insert(header::ORIGIN, "https://gate.example".parse().unwrap());
        let uri = Uri::from_static("https://gate.example/login");
        assert!(!told(&headers, &uri), "HTTP/2");
        for origin in [
            "http://gate.example",
            "http://evil.example:8081",
            "null",
            "\u{e4}",
        ] {
            assert!(foreign(&[("origin", origin)]), "{origin}");
        }
    }
}
