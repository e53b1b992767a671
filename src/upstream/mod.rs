//! The way to upstream: a pool of connections, with time limits and one retry.

mod client;
mod connect;
mod health;
mod pool;

pub use client::Upstream;
pub use connect::connector;
pub use health::{Health, Unreachable};
