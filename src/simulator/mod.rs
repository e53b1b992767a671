//! The simulated Toggl API: `tollgate simulate`, the demo's upstream, and every test's.
//!
//! **Guarantee**: what a client of the group endpoints can tell from outside is as it is with the
//! real service: paths, forms, error texts, statuses, rights, headers, quotas. Beyond that it is
//! plausible and no more. The world is in memory and ends with the last [`Toggl`].
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use http::Method;
//! use tollgate::simulator::{Match, Options, Toggl};
//!
//! let toggl = Toggl::start(Options::default()).await?;
//! let hold = toggl.next(Match::new(Method::PUT, "/api/v9/organizations/4123/groups/9001")).hang();
//! // … a client sends its change to `toggl.url()` …
//! hold.reached().await;
//! hold.release();
//! # Ok(())
//! # }
//! ```
//!
//! `server` and `state` take a request through `log`, `faults`, `quota` and `credentials` to
//! `router`, which picks one of `groups`, `patches`, `project_groups`, `memberships`,
//! `accounts` and `entries`; these ask and alter `world`, and say no with a `refusal`.

mod accounts;
mod answer;
mod changes;
mod credentials;
mod entries;
mod faults;
mod groups;
mod log;
mod memberships;
mod patches;
mod payload;
mod project_groups;
mod quota;
mod refusal;
mod router;
mod seed;
mod server;
mod settle;
mod state;
mod toggl;
mod visit;
mod world;

#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

pub use credentials::SESSION_COOKIE;
pub use faults::{Hold, Match, Next};
pub use log::{Applied, Log, MAX_APPLIED, MAX_BYTES, MAX_RECEIVED, Received};
use quota::Counter;
pub use seed::{Seed, SeedError};
pub use toggl::Toggl;
pub use world::{Group, Person, World};

use crate::clock::Clock;

/// How the simulator behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it listens; by default on a free port of the loopback interface.
    pub listen: SocketAddr,
    /// Who and what there is at the start; by default a small company.
    pub seed: Seed,
    /// Requests an hour that a person has in an organization; by default without end, and then there
    /// are no quota headers either.
    pub quota: Option<u32>,
    /// Requests an hour that a person has about themselves, when there is a `quota`; by default 30.
    pub me_quota: u32,
    /// How long the hour of the quotas is; by default an hour.
    pub window: Duration,
    /// Requests at once before a token is slowed down to one a second with `429`; by default without
    /// end.
    pub leaky_bucket: Option<u32>,
    /// How long each request takes; by default no time.
    pub latency: Duration,
    /// What time it is for the `at` of groups.
    pub clock: Clock,
}

// === impl Options ===

impl Options {
    /// What a counter may come to in an hour.
    fn limit(&self, counter: Counter) -> Option<usize> {
        let limit = match counter {
            Counter::Me(_) => self.quota.and(Some(self.me_quota)),
            Counter::Organization(..) => self.quota,
        };
        limit.map(|limit| limit as usize)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            seed: Seed::default(),
            quota: None,
            me_quota: 30,
            window: Duration::from_secs(3600),
            leaky_bucket: None,
            latency: Duration::ZERO,
            clock: Clock::system(),
        }
    }
}
