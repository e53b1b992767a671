//! The headers that speak of one connection (RFC 9110 §7.6.1) and end at each hop.
//!
//! **Guarantee**: a request is judged without them, so that a `Connection` that names `Authorization`
//! or a method's override cannot make us believe in something that upstream never sees.

use http::HeaderMap;
use http::header::{
    CONNECTION, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRANSFER_ENCODING, UPGRADE,
};

// Those that stand in `Connection` are taken off besides.
static HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

// Few messages have one, and to look at each name once costs less than to look for each of these; by its text,
// of which the length alone says mostly enough. A test holds this to `HOP_BY_HOP`.
fn is_one(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "transfer-encoding"
            | "upgrade"
    )
}

fn has_any(headers: &HeaderMap) -> bool {
    headers.keys().any(is_one)
}

/// Takes them off.
pub(super) fn remove(headers: &mut HeaderMap) {
    if !has_any(headers) {
        return;
    }
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(names)
        .filter_map(|name| HeaderName::try_from(name).ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Takes them off a request, and says in our own name that trailers may come if the caller takes them.
pub(super) fn remove_from_request(headers: &mut HeaderMap) {
    if !has_any(headers) {
        return;
    }
    let mut te = headers.get_all(TE).iter();
    let takes_trailers = te.any(|value| names(value).any(|name| name == "trailers"));
    remove(headers);
    if takes_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

// The elements of a list header, without parameters, in small letters.
fn names(value: &HeaderValue) -> impl Iterator<Item = String> {
    let elements = value.to_str().unwrap_or_default().split(',');
    elements.filter_map(|element| Some(element.split(';').next()?.trim().to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_known_by_its_text() {
        assert!(HOP_BY_HOP.iter().all(is_one));
        assert!(!is_one(&http::header::COOKIE));
    }

    #[test]
    fn what_connection_names_is_gone_before_anybody_believes_it() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            (
                "connection",
                "keep-alive, Authorization , x-http-method-override",
            ),
            ("authorization", "Basic forged"),
            ("x-http-method-override", "GET"),
            ("te", "gzip, Trailers;q=0.5"),
            ("upgrade", "websocket"),
            ("cookie", "session=1"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        remove_from_request(&mut headers);
        assert_eq!(headers.len(), 2, "{headers:?}");
        assert_eq!(headers["te"], "trailers");
        assert_eq!(headers["cookie"], "session=1");
    }
}
