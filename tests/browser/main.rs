//! The pages as people have them: a real browser, a real gateway, the simulator behind it.
//!
//! Each test has a browser and a gateway of its own. They need Chromium and its driver, which `.ci/tests`
//! installs, and are ignored without it: `cargo test --test browser -- --include-ignored`.
#![allow(
    clippy::unwrap_used,
    reason = "what a test cannot go on without may end it"
)]

#[expect(
    dead_code,
    unused_imports,
    reason = "what all tests are written with; these take a part of it"
)]
#[path = "../it/support/mod.rs"]
mod support;

#[expect(dead_code, reason = "one of its rows is too large to be looked at")]
#[path = "../questions/seed.rs"]
mod seed;

mod browser;
mod day;
mod driver;

mod change;
mod crawl;
mod filters;
mod groups;
mod hostile;
mod keyboard;
mod live;
mod login;
mod looks;
