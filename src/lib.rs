//! Tollgate, a caching reverse proxy with an audit log for the Toggl Track Groups API.
//!
//! Where things are, from the outside in; a module uses only those below it (`.ci/imports` checks):
//!
//! | module | is |
//! |---|---|
//! | [`cli`] | the commands: serve, demo, simulate, audit, config |
//! | [`app`] | one gateway: opens, migrates, recovers, binds, wires, drains |
//! | [`stack`] | the way of a request, in one function |
//! | [`layers`] | the steps of that way, each with one guarantee |
//! | [`server`], [`admin`], [`upstream`] | connections that come in, the admin side, connections that go out |
//! | [`simulator`] | the simulated Toggl API |
//! | [`cache`], [`people`], [`quota`], [`ledger`] | lists and whether they may be believed; who is behind a credential; what is left, and who spent it |
//! | [`store`] | what is kept, as traits; [`store::sqlite`] keeps it in a file |
//! | [`config`] | what can be set, and where it comes from |
//! | [`domain`] | what it is all about, as values: operations, groups, differences, events, the chain |
//!
//! The rest is one thing each: [`body`], [`clock`], [`coding`], [`error`], [`export`], [`live`], [`metrics`],
//! [`repeatable`], [`secret_file`], [`shutdown`], [`slots`], [`telemetry`], [`traces`], [`upkeep`].

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
pub mod export;
pub mod layers;
pub mod ledger;
pub mod live;
pub mod metrics;
pub mod people;
pub mod quota;
pub mod repeatable;
pub mod secret_file;
pub mod server;
mod shelf;
pub mod shutdown;
pub mod simulator;
pub mod slots;
pub mod stack;
pub mod store;
pub mod telemetry;
pub mod traces;
pub mod upkeep;
pub mod upstream;
pub mod watch;
