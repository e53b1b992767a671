//! Takes connections and serves a service on them, without knowing which.

mod accept;
mod opening;

pub use accept::{Server, ServerLimits};
