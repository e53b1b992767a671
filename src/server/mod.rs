//! Takes connections and serves a service on them, without knowing which.

mod accept;
mod certificate;
mod framing;
mod patience;

pub use accept::{Server, ServerLimits};
pub use certificate::{Certificate, CertificateError, Problem, Replaced};
