//! A cache of lists, all of one caller.

use std::sync::Arc;
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::time::Instant;
use tollgate::cache::entry::Entry;
use tollgate::cache::epochs::Epochs;
use tollgate::cache::key::CacheKey;
use tollgate::cache::lists::Lists;
use tollgate::domain::caller::{Credential, Fingerprint, Key};
use tollgate::domain::endpoint::List;
use tollgate::domain::ids::OrganizationId;
use tollgate::metrics::Metrics;

/// A key, and an API token.
pub(crate) fn credential() -> (Key, Credential) {
    let mut headers = HeaderMap::new();
    let token = "Basic NzFhZWU1NjQzODU5ZWNlOWJiYzM1NDQyM2QyYzMxYjE6YXBpX3Rva2Vu";
    headers.insert(AUTHORIZATION, HeaderValue::from_static(token));
    let credential = Credential::of(&headers).expect("a credential");
    (Key::new(&[7; 32]), credential)
}

/// What stands for the credential.
pub(crate) fn fingerprint((key, credential): &(Key, Credential)) -> Fingerprint {
    key.fingerprint(credential)
}

/// The list of this organization.
pub(crate) fn key(caller: Fingerprint, number: u64) -> CacheKey {
    let organization = OrganizationId(i64::try_from(number).expect("a number"));
    CacheKey::new(caller, List::Organization(organization), None).expect("no query")
}

/// The lists of so many organizations, from number 0.
pub(crate) fn kept(caller: Fingerprint, count: u64) -> Lists {
    let epochs = Epochs::with_grace(Duration::ZERO);
    let hour = Duration::from_secs(3600);
    let lists = Lists::new(u64::MAX, hour, Arc::clone(&epochs), &Metrics::new());
    let now = Instant::now();
    for number in 0..count {
        let key = key(caller, number);
        let snapshot = epochs.snapshot(key.list, key.caller);
        let entry = Entry::new(snapshot, now, StatusCode::OK, &HeaderMap::new(), b"[]");
        lists.insert(key, Arc::new(entry));
    }
    lists.settle();
    lists
}
