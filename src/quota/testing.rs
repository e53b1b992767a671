//! Callers for the tests of the quota.

use http::HeaderMap;

use crate::domain::caller::{Credential, Fingerprint, Key};

/// The fingerprint of this credential.
pub(crate) fn fingerprint(credential: &str) -> Fingerprint {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", credential.parse().unwrap());
    Key::new(&[1; 32]).fingerprint(&Credential::of(&headers).unwrap())
}

pub(crate) fn ann() -> Fingerprint {
    fingerprint("Basic ann")
}

pub(crate) fn bob() -> Fingerprint {
    fingerprint("Basic bob")
}
