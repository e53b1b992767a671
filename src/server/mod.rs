//! Takes connections and serves a service on them, without knowing which.

mod accept;
mod certificate;
mod drain;
mod framing;
mod handed;
mod listener;
mod patience;
mod protocol;
mod takeover;

pub use accept::{Server, ServerLimits};
pub use certificate::{Certificate, CertificateError, Problem, Replaced};
pub use handed::{Handed, listeners};
pub use listener::{ListenError, Listener};
pub use takeover::{Sockets, Successor, ask_successor};
