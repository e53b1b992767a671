//! Tollgate, a caching reverse proxy with an audit log for the Toggl Track Groups API.

pub mod admin;
pub mod app;
pub mod body;
pub mod cache;
pub mod cli;
pub mod clock;
pub mod coding;
pub mod config;
pub mod domain;
pub mod error;
pub mod layers;
pub mod metrics;
pub mod people;
pub mod quota;
pub mod repeatable;
pub mod secret_file;
pub mod server;
pub mod shutdown;
pub mod simulator;
pub mod stack;
pub mod store;
pub mod telemetry;
pub mod upstream;
