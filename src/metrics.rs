//! What is counted and measured, in Prometheus' terms. `docs/metrics.md` says what each is.
//!
//! Labels are of bounded cardinality: none holds a path, an address or a credential. A hit costs one look
//! into a family at most: the series that hits count in are looked up once, at the start. What somebody else
//! keeps count of (the cache, the disk) is asked when it is to be told, by those who
//! [sample](Metrics::sample_with) it, and not on anybody's way.

mod labels;
mod organizations;
mod process;
#[cfg(test)]
mod tests;

use std::array;
use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use tokio::time::Instant;

pub use self::labels::Way;
use self::organizations::Organizations;
use self::process::Process;
use crate::domain::action::{Action, Outcome};
use crate::domain::ids::OrganizationId;
use crate::domain::usage::Pool;

/// All metrics. Cloning is cheap and shares them.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Inner>);

/// How upstream answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Requests that were sent.
    pub requests: u64,
    /// Of those, how many got no answer, or a 5xx.
    pub failed: u64,
    /// How long half of the answers took, from the request to the answer's head; `None` before the first.
    pub half: Option<Took>,
    /// How long 99 of a hundred took.
    pub most: Option<Took>,
}

/// A time as far as a histogram tells it: by the bounds of its buckets, nothing guessed in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Took {
    /// Not longer than this.
    AtMost(Duration),
    /// Longer than this, which is the last bound.
    Over(Duration),
}

#[derive(Debug)]
struct Inner {
    registry: Registry,
    requests: Family<labels::Request, Counter>,
    in_flight: Gauge<i64, AtomicI64>,
    cache_requests: Family<labels::Result, Counter>,
    cache_evictions: Family<labels::Cause, Counter>,
    cache_bytes: Gauge<u64, AtomicU64>,
    cache_entries: Gauge<u64, AtomicU64>,
    upstream_requests: Family<labels::Upstream, Counter>,
    upstream_duration: Histogram,
    events: Family<labels::Event, Counter>,
    unknown_outcomes: Counter,
    commit_duration: Histogram,
    failures: Family<labels::Write, Counter>,
    database_bytes: Gauge<u64, AtomicU64>,
    disk_free: Gauge<u64, AtomicU64>,
    disk_size: Gauge<u64, AtomicU64>,
    ready: Gauge<i64, AtomicI64>,
    certificate_expiry: Family<Unlabelled, Gauge>,
    organizations: Organizations,
    quota_refused: Family<labels::Kind, Counter>,
    quota_paced: Family<labels::Result, Counter>,
    quota_limited: Family<labels::Status, Counter>,
    trace_spans: Family<labels::Result, Counter>,
    hot: Hot,
    samplers: Samplers,
}

/// The series that a hit counts in, looked up once.
#[derive(Debug)]
struct Hot {
    /// By [`Way`].
    durations: [Histogram; Way::ALL.len()],
    ok: Counter,
    not_modified: Counter,
    hits: Counter,
    /// Answers of upstream that were a 200; there are none until there is one.
    upstream_ok: OnceLock<Counter>,
}

/// What is told of only where there is something to tell.
type Unlabelled = [(&'static str, &'static str); 0];

#[derive(Default)]
struct Samplers(Mutex<Vec<Sampler>>);

type Sampler = Box<dyn Fn(&Metrics) + Send + Sync>;

/// How much room the trail takes, and how much is left, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    /// The database, with what is not folded into it yet.
    pub database: u64,
    /// What is left of its file system.
    pub free: u64,
    /// The file system.
    pub size: u64,
}

// From a hit on loopback to the longest that a request is given by default, twice.
const REQUESTS: [f64; 18] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0, 60.0,
];

// The buckets that most have, and the timeout.
const UPSTREAM: [f64; 12] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

// From a disk that only says so to one that is stuck.
const COMMITS: [f64; 14] = [
    0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
];

const HIT: labels::Result = labels::Result { result: "hit" };
const DELIVERED: labels::Result = labels::Result {
    result: "delivered",
};
const DROPPED: labels::Result = labels::Result { result: "dropped" };
const INTENT: labels::Write = labels::Write { write: "intent" };
const EVENT: labels::Write = labels::Write { write: "event" };

// === impl Metrics ===

impl Metrics {
    /// All at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process));
        let ours = registry.sub_registry_with_prefix("tollgate");
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        ours.register("build", "The version that runs", version);

        let requests = Family::<labels::Request, Counter>::default();
        ours.register("requests", "Requests answered", requests.clone());
        let durations: Family<labels::Answered, Histogram> =
            Family::new_with_constructor(|| Histogram::new(REQUESTS));
        ours.register_with_unit(
            "request_duration",
            "From a request's head to its answer's head, by how it was answered",
            Unit::Seconds,
            durations.clone(),
        );
        let in_flight = Gauge::default();
        ours.register(
            "in_flight_requests",
            "Requests whose answer has not ended",
            in_flight.clone(),
        );

        let cache_requests = Family::<labels::Result, Counter>::default();
        ours.register(
            "cache_requests",
            "Reads of lists, by how they were answered",
            cache_requests.clone(),
        );
        let cache_evictions = Family::<labels::Cause, Counter>::default();
        ours.register(
            "cache_evictions",
            "Lists that were let go, for lack of room or for their age",
            cache_evictions.clone(),
        );
        let cache_bytes = Gauge::default();
        ours.register(
            "cache_bytes",
            "Bytes of memory that cached lists take",
            cache_bytes.clone(),
        );
        let cache_entries = Gauge::default();
        ours.register("cache_entries", "Lists in the cache", cache_entries.clone());

        let upstream_requests = Family::default();
        ours.register(
            "upstream_requests",
            "Requests sent upstream",
            upstream_requests.clone(),
        );
        let upstream_duration = Histogram::new(UPSTREAM);
        ours.register_with_unit(
            "upstream_duration",
            "From a request sent upstream to its answer's head",
            Unit::Seconds,
            upstream_duration.clone(),
        );

        let events = Family::default();
        ours.register(
            "audit_events",
            "Changes through the gateway that the trail has an event of",
            events.clone(),
        );
        let unknown_outcomes = Counter::default();
        ours.register(
            "audit_unknown_outcomes",
            "Changes that were sent and whose outcome nobody told",
            unknown_outcomes.clone(),
        );
        let commit_duration = Histogram::new(COMMITS);
        ours.register_with_unit(
            "audit_commit_duration",
            "Time to make an intent or an event durable",
            Unit::Seconds,
            commit_duration.clone(),
        );
        let failures = Family::<labels::Write, Counter>::default();
        ours.register(
            "audit_failures",
            "Intents and events that could not be written, each time it was tried",
            failures.clone(),
        );
        let database_bytes = Gauge::default();
        ours.register(
            "audit_database_bytes",
            "Bytes of the audit database",
            database_bytes.clone(),
        );
        let disk_free = Gauge::default();
        ours.register(
            "audit_disk_free_bytes",
            "Bytes that are left on the audit database's file system",
            disk_free.clone(),
        );
        let disk_size = Gauge::default();
        ours.register(
            "audit_disk_size_bytes",
            "Bytes of the audit database's file system",
            disk_size.clone(),
        );
        let certificate_expiry = Family::default();
        ours.register(
            "certificate_expiry_timestamp_seconds",
            "When the certificate of the listeners runs out, since 1970",
            certificate_expiry.clone(),
        );
        let ready = Gauge::default();
        ours.register(
            "ready",
            "Whether changes can be recorded, as /readyz says",
            ready.clone(),
        );

        let organizations = Organizations::default();
        organizations.register(ours);
        let quota_refused = Family::default();
        ours.register(
            "quota_refused",
            "Requests refused here, because nothing was left of the quota",
            quota_refused.clone(),
        );
        let quota_paced = Family::default();
        ours.register(
            "quota_paced",
            "Requests that waited to be a second apart, or would have had to wait too long",
            quota_paced.clone(),
        );
        let quota_limited = Family::default();
        ours.register(
            "quota_limited",
            "Requests that upstream refused for the quota's or the rate's sake",
            quota_limited.clone(),
        );

        let trace_spans = Family::<labels::Result, Counter>::default();
        ours.register(
            "trace_spans",
            "Spans for the collector of log.otlp_endpoint",
            trace_spans.clone(),
        );

        // Also those that a hit does not count in, where a first failure must be seen as one more.
        for write in [INTENT, EVENT] {
            failures.get_or_create_owned(&write);
        }
        for result in [DELIVERED, DROPPED] {
            trace_spans.get_or_create_owned(&result);
        }
        for cause in ["size", "expired"] {
            cache_evictions.get_or_create_owned(&labels::Cause { cause });
        }
        let answered = |status| {
            let method = "GET";
            requests.get_or_create_owned(&labels::Request { method, status })
        };
        let hot = Hot {
            durations: array::from_fn(|way| {
                let cache = Way::ALL[way].as_str();
                durations.get_or_create_owned(&labels::Answered { cache })
            }),
            ok: answered(200),
            not_modified: answered(304),
            hits: cache_requests.get_or_create_owned(&HIT),
            upstream_ok: OnceLock::new(),
        };
        Self(Arc::new(Inner {
            registry,
            requests,
            in_flight,
            cache_requests,
            cache_evictions,
            cache_bytes,
            cache_entries,
            upstream_requests,
            upstream_duration,
            events,
            unknown_outcomes,
            commit_duration,
            failures,
            database_bytes,
            disk_free,
            disk_size,
            ready,
            certificate_expiry,
            organizations,
            quota_refused,
            quota_paced,
            quota_limited,
            trace_spans,
            hot,
            samplers: Samplers::default(),
        }))
    }

    /// A request came in.
    pub fn request_started(&self) {
        self.0.in_flight.inc();
    }

    /// The head of its answer went out.
    pub fn request_answered(
        &self,
        method: &http::Method,
        status: http::StatusCode,
        way: Way,
        took: Duration,
    ) {
        let hot = &self.0.hot;
        match (method, status) {
            (&http::Method::GET, http::StatusCode::OK) => hot.ok.inc(),
            (&http::Method::GET, http::StatusCode::NOT_MODIFIED) => hot.not_modified.inc(),
            _ => {
                let labels = labels::Request {
                    method: labels::method(method),
                    status: status.as_u16(),
                };
                self.0.requests.get_or_create(&labels).inc()
            }
        };
        hot.durations[way as usize].observe(took.as_secs_f64());
    }

    /// Its answer ended.
    pub fn request_ended(&self) {
        self.0.in_flight.dec();
    }

    /// A read of a list was answered by way of `result`.
    pub fn cache_request(&self, result: &'static str) {
        if result == HIT.result {
            self.0.hot.hits.inc();
            return;
        }
        let labels = labels::Result { result };
        self.0.cache_requests.get_or_create(&labels).inc();
    }

    /// So many lists are cached now, and take so many bytes.
    pub fn cache_holds(&self, entries: u64, bytes: u64) {
        self.0.cache_entries.set(entries);
        self.0.cache_bytes.set(bytes);
    }

    /// A counter of the lists that are let go for `cause`, for whoever lets them go.
    #[must_use]
    pub fn cache_evictions(&self, cause: &'static str) -> Counter {
        let labels = labels::Cause { cause };
        self.0.cache_evictions.get_or_create_owned(&labels)
    }

    /// Upstream answered (`None`: it did not).
    pub fn upstream_answered(&self, status: Option<http::StatusCode>, took: Duration) {
        let counter = || {
            let status =
                status.map_or_else(|| "none".to_owned(), |status| status.as_u16().to_string());
            let labels = labels::Upstream { status };
            self.0.upstream_requests.get_or_create_owned(&labels)
        };
        if status == Some(http::StatusCode::OK) {
            self.0.hot.upstream_ok.get_or_init(counter).inc();
        } else {
            counter().inc();
        }
        self.0.upstream_duration.observe(took.as_secs_f64());
    }

    /// An event was written.
    pub fn event(&self, action: Action, outcome: Outcome) {
        let labels = labels::Event {
            action: action.as_str(),
            outcome: outcome.as_str(),
        };
        self.0.events.get_or_create(&labels).inc();
        // What never went upstream, such as an export that a crash ended, left nothing open there.
        if outcome == Outcome::Unknown && !action.is_own() {
            self.0.unknown_outcomes.inc();
        }
    }

    /// A write to the trail became durable.
    pub fn committed(&self, took: Duration) {
        self.0.commit_duration.observe(took.as_secs_f64());
    }

    /// An intent could not be written.
    pub fn intent_failed(&self) {
        self.0.failures.get_or_create(&INTENT).inc();
    }

    /// An event could not be written.
    pub fn event_failed(&self) {
        self.0.failures.get_or_create(&EVENT).inc();
    }

    /// So much room the trail takes now.
    pub fn disk(&self, disk: Disk) {
        self.0.database_bytes.set(disk.database);
        self.0.disk_free.set(disk.free);
        self.0.disk_size.set(disk.size);
    }

    /// The certificate of the listeners runs out then.
    pub fn certificate(&self, expires: Timestamp) {
        let gauge = self.0.certificate_expiry.get_or_create(&[]);
        gauge.set(expires.as_second());
    }

    /// Whether changes can be recorded now.
    pub fn ready(&self, ready: bool) {
        self.0.ready.set(ready.into());
    }

    /// So many changes made elsewhere were noticed since the start.
    pub fn noticed(&self, organization: OrganizationId, so_far: u64) {
        self.0.organizations.noticed(organization, so_far);
    }

    /// Upstream told what is left of the quota, and until when.
    pub fn quota_remaining(
        &self,
        organization: Option<OrganizationId>,
        remaining: u64,
        resets_at: Instant,
    ) {
        self.0
            .organizations
            .quota(organization, remaining, resets_at);
    }

    /// A request was refused here, because nothing was left of that quota.
    pub fn quota_refused(&self, pool: Pool) {
        let labels = labels::Kind { pool: pool.kind() };
        self.0.quota_refused.get_or_create(&labels).inc();
    }

    /// A request of a token that is spaced waited, or was refused.
    pub fn quota_paced(&self, result: &'static str) {
        let labels = labels::Result { result };
        self.0.quota_paced.get_or_create(&labels).inc();
    }

    /// Upstream refused a request for the quota's or the rate's sake.
    pub fn quota_limited(&self, status: http::StatusCode) {
        let labels = labels::Status {
            status: status.as_u16(),
        };
        self.0.quota_limited.get_or_create(&labels).inc();
    }

    /// The collector took so many spans.
    pub fn spans_delivered(&self, count: u64) {
        self.0.trace_spans.get_or_create(&DELIVERED).inc_by(count);
    }

    /// So many spans did not get to the collector.
    pub fn spans_dropped(&self, count: u64) {
        self.0.trace_spans.get_or_create(&DROPPED).inc_by(count);
    }

    /// Has `sample` tell what it keeps count of, whenever somebody asks for the text. It may read a file and
    /// must not wait for anybody; what it holds lives as long as these metrics, so it holds none of them.
    pub fn sample_with(&self, sample: impl Fn(&Self) + Send + Sync + 'static) {
        self.0.samplers.lock().push(Box::new(sample));
    }

    /// All of them, as `GET /metrics` gives them. Reads files.
    #[must_use]
    pub fn text(&self) -> String {
        self.sample();
        encode(&self.0.registry)
    }

    /// What there is to tell of these organizations and of nothing else, for who may see no more. Empty but
    /// for the end mark, if there is nothing.
    #[must_use]
    pub fn text_of(&self, organizations: &[OrganizationId]) -> String {
        self.sample();
        let mut registry = Registry::with_prefix("tollgate");
        let only = self.0.organizations.only(organizations);
        only.register(&mut registry);
        encode(&registry)
    }

    fn sample(&self) {
        for sample in self.0.samplers.lock().iter() {
            sample(self);
        }
    }

    /// How upstream answered until now. From the text, because a histogram does not tell what it counted.
    #[must_use]
    pub fn upstream(&self) -> Upstream {
        let (mut within, mut failed) = (Vec::new(), 0);
        for line in self.text().lines() {
            let Some((name, value)) = line.rsplit_once(' ') else {
                continue;
            };
            let count: u64 = value.parse().unwrap_or(0);
            let status = name.strip_prefix("tollgate_upstream_requests_total{status=\"");
            if status.is_some_and(|status| status.starts_with(['5', 'n'])) {
                failed += count;
            }
            let bound = name.strip_prefix("tollgate_upstream_duration_seconds_bucket{le=\"");
            if let Some(Ok(bound)) = bound.map(|rest| rest.trim_end_matches("\"}").parse()) {
                within.push((bound, count));
            }
        }
        Upstream {
            // All are within the last bound, which is infinite.
            requests: within.last().map_or(0, |(_, count)| *count),
            failed,
            half: took(&within, 50),
            most: took(&within, 99),
        }
    }
}

// How long so many of a hundred took, by how many took at most each bound.
fn took(within: &[(f64, u64)], percent: u64) -> Option<Took> {
    let (_, all) = *within.last().filter(|(_, all)| *all > 0)?;
    let rank = (all * percent).div_ceil(100);
    let at = within.iter().position(|(_, count)| *count >= rank)?;
    let time = |at: usize| Duration::try_from_secs_f64(within.get(at)?.0).ok();
    match time(at) {
        Some(bound) => Some(Took::AtMost(bound)),
        None => time(at.checked_sub(1)?).map(Took::Over),
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn encode(registry: &Registry) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = text::encode(&mut out, registry);
    out
}

// === impl Samplers ===

impl Samplers {
    fn lock(&self) -> MutexGuard<'_, Vec<Sampler>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Samplers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Samplers").field(&self.lock().len()).finish()
    }
}
