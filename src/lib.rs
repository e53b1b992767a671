//! Tollgate, a caching reverse proxy with an audit log for the Toggl Track Groups API.

pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod simulator;
pub mod store;
