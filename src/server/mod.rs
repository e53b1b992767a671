//! Takes connections and serves a service on them, without knowing which.

mod accept;
mod patience;

pub use accept::{Server, ServerLimits};
