//! Whether a request was made by a page of ours.
//!
//! Browsers say it in `Sec-Fetch-Site`, older ones in `Origin`; what sends neither is no browser, and has no
//! cookie that it did not mean to send. The cookie's `SameSite=Strict` says the same once more.

use axum::http::{HeaderMap, HeaderName, Uri, header};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether another site's page made a browser send it.
pub(in crate::admin) fn is_foreign(headers: &HeaderMap) -> bool {
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
    let host = headers.get(header::HOST);
    match (authority, host) {
        (Some(authority), Some(host)) => authority.as_str().as_bytes() != host.as_bytes(),
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
            is_foreign(&headers)
        };
        assert!(!foreign(&[]), "no browser");
        for site in ["same-origin", "none"] {
            assert!(!foreign(&[("sec-fetch-site", site)]));
        }
        for site in ["cross-site", "same-site", "else"] {
            assert!(foreign(&[("sec-fetch-site", site)]));
        }
        assert!(!foreign(&[("origin", "http://gate.example:8081")]));
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
