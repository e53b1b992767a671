//! The configuration: what can be set, what it is when nobody sets it, and where it comes from.
//!
//! A [`Config`] is valid as a whole: [`Config::load`] returns one or *all* mistakes, each with its
//! place and with what is allowed. It is read from text and variables that are handed in; only
//! `cli` looks at the real file and environment, so tests and other threads are never in the way.
//!
//! Each key is described in one place, its section (`network`, `reads`, `changes`, `operation`).
//! `config/tollgate.toml` repeats them for readers, and a test holds the two equal.

mod address;
mod changes;
mod check;
mod file;
mod later;
mod load;
mod macros;
mod mistake;
mod names;
mod network;
mod operation;
mod reads;
mod renew;
mod setting;
mod tables;
mod tokens;
mod types;
pub mod units;
mod url;
mod values;
mod watch;

use setting::Setting;
use values::Values;

pub use address::Address;
pub use changes::{Audit, Guard, GuardMode, Identity, Mode, OnFailure, Scope, Sink, SinkFormat};
pub use load::Sources;
pub use mistake::{ConfigError, Mistake, Origin, Origins};
pub use network::{Limits, Listen, Upstream};
pub use operation::{Admin, AdminToken, Log, LogFormat, Role};
pub use reads::{Cache, Filters, Pace, Quota};
pub use renew::Changed;
pub use tokens::ADMINISTRATOR;
pub use types::{LogFilter, Retention, Secret, Share};
pub use url::{Database, OtlpEndpoint, UpstreamUrl};
pub use watch::Watch;

/// Everything that can be set.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whether Tollgate acts or only watches. Default: `active`.
    pub mode: Mode,
    /// Where it listens.
    pub listen: Listen,
    /// Whom it stands in front of.
    pub upstream: Upstream,
    /// The cache of group lists.
    pub cache: Cache,
    /// How requests are spared when upstream counts them.
    pub quota: Quota,
    /// The audit trail.
    pub audit: Audit,
    /// Who makes the requests.
    pub identity: Identity,
    /// The brake on changes that remove many people.
    pub guard: Guard,
    /// How much it takes at once and how long it waits.
    pub limits: Limits,
    /// The admin side.
    pub admin: Admin,
    /// The log.
    pub log: Log,
    /// Lists fetched regularly. Default: none.
    pub watch: Vec<Watch>,
    /// Where events are delivered besides. Default: none.
    pub sink: Vec<Sink>,
}

/// One key with its value, for showing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The key, as in `cache.ttl`.
    pub key: &'static str,
    /// The value as it is written, `(hidden)` for a secret; nothing if it has none.
    pub value: Option<String>,
}

// === impl Config ===

impl Config {
    /// Each key with its value, in the order of `config/tollgate.toml`.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        // Taken apart, so that a new section cannot be left out.
        let Self {
            mode,
            listen,
            upstream,
            cache,
            quota,
            audit,
            identity,
            guard,
            limits,
            admin,
            log,
            watch: _,
            sink: _,
        } = self;
        let sections = [
            listen.rows(),
            upstream.rows(),
            cache.rows(),
            quota.rows(),
            audit.rows(),
            identity.rows(),
            guard.rows(),
            limits.rows(),
            admin.rows(),
            log.rows(),
        ];
        [Row::new("mode", mode)]
            .into_iter()
            .chain(sections.into_iter().flatten())
            .collect()
    }

    /// Takes what was set; what was not, or is wrong, keeps its default.
    fn read(values: &mut Values) -> Self {
        Self {
            mode: values.take("mode", Mode::Active),
            listen: Listen::read(values),
            upstream: Upstream::read(values),
            cache: Cache::read(values),
            quota: Quota::read(values),
            audit: Audit::read(values),
            identity: Identity::read(values),
            guard: Guard::read(values),
            limits: Limits::read(values),
            admin: Admin {
                tokens: std::mem::take(&mut values.tokens),
                ..Admin::read(values)
            },
            log: Log::read(values),
            watch: std::mem::take(&mut values.watch),
            sink: Vec::new(),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::read(&mut Values::default())
    }
}

// === impl Row ===

impl Row {
    fn new(key: &'static str, value: &impl Setting) -> Self {
        Self {
            key,
            value: value.show(),
        }
    }
}

#[cfg(test)]
mod tests;
