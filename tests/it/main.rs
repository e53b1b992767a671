//! Tests of the whole: real sockets, real database files, the real binary. A file for each guarantee of
//! the design.
#![allow(
    clippy::unwrap_used,
    reason = "what a test cannot go on without may end it"
)]

mod support;

mod admin;
mod bounded;
mod chained;
mod crowd;
mod faults;
mod fresh;
mod harness;
mod healthcheck;
mod hostile;
mod isolated;
mod pages;
mod quota;
mod recorded;
mod reload;
mod secret;
mod soak;
mod sockets;
mod tls;
mod traced;
mod transparent;
