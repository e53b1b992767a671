//! Looks for a request that `classify` takes for less than it is.
//!
//! Input: a method, a method that a header names (or nothing) and a path, one a line, so that the
//! seeds in `corpus/classify` can be read and written by hand.
//!
//! ```sh
//! cargo +nightly fuzz run --sanitizer none classify
//! ```

#![no_main]

use http::Method;
use libfuzzer_sys::fuzz_target;
use percent_encoding::percent_decode_str;
use tollgate::domain::endpoint::{Endpoint, classify};
use tollgate::domain::operations::{Class, OPERATIONS};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let mut lines = text.splitn(3, '\n');
    let (Some(method), Some(named), Some(path)) = (lines.next(), lines.next(), lines.next()) else {
        return;
    };
    let Ok(method) = Method::from_bytes(method.as_bytes()) else {
        return;
    };
    let named = (!named.is_empty()).then_some(named);

    // That it does not panic is the first thing asked.
    let Ok(endpoint) = classify(&method, named, path) else {
        assert!(
            !is_safe(&method) || named.is_some(),
            "a read was refused: {method} {path:?}"
        );
        return;
    };
    let taken_for_a_read = !matches!(endpoint, Endpoint::Change(_));
    if taken_for_a_read {
        for method in [Some(&*method.as_str()), named].into_iter().flatten() {
            assert!(
                is_read(method, path),
                "{method} {path:?} is no read, and was taken for {endpoint:?}"
            );
        }
    }
    if let Endpoint::List(_) = endpoint {
        let reads = matches!(method, Method::GET | Method::HEAD);
        assert!(reads, "only a GET or a HEAD is answered from the cache");
        assert_eq!(named, None, "a list does not name another method");
    }
});

fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Whether a request changes nothing: by its method, or because the table says so. Found in another
/// way than `classify` finds it: by comparing segments, line by line.
fn is_read(method: &str, path: &str) -> bool {
    let method = method.trim().to_ascii_uppercase();
    if matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS") {
        return true;
    }
    let path = percent_decode_str(path).decode_utf8_lossy();
    let segments: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
    OPERATIONS.iter().any(|operation| {
        let template: Vec<_> = operation.path.split('/').skip(1).collect();
        operation.class == Class::Read
            && operation.method == method
            && template.len() == segments.len()
            && template
                .iter()
                .zip(&segments)
                .all(|(part, segment)| match part.split_once('{') {
                    // `time_entries.{extension}`
                    Some((start, _)) => segment
                        .strip_prefix(start)
                        .is_some_and(|rest| !rest.is_empty()),
                    None => part == segment,
                })
    })
}
