//! What is counted and measured, in Prometheus' terms. Labels are of bounded cardinality: none holds
//! a path, an address or a credential.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

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
    /// From a request to its answer's head, on average; `None` before the first.
    pub mean: Option<Duration>,
}

#[derive(Debug)]
struct Inner {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    request_duration: Histogram,
    in_flight: Gauge<i64, AtomicI64>,
    cache_requests: Family<CacheLabels, Counter>,
    cache_bytes: Gauge<i64, AtomicI64>,
    upstream_requests: Family<UpstreamLabels, Counter>,
    upstream_duration: Histogram,
    events: Family<EventLabels, Counter>,
    commit_duration: Histogram,
    quota_remaining: Family<QuotaLabels, Gauge<u64, AtomicU64>>,
    quota_refused: Family<PoolLabels, Counter>,
    quota_paced: Family<CacheLabels, Counter>,
    quota_limited: Family<LimitLabels, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CacheLabels {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UpstreamLabels {
    status: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabels {
    action: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QuotaLabels {
    organization: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolLabels {
    pool: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitLabels {
    status: u16,
}

// From a hit on loopback to the longest request that upstream is given.
const LATENCIES: [f64; 14] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0,
];

// === impl Metrics ===

impl Metrics {
    /// All at zero.
    #[must_use]
    pub fn new() -> Self {
        let histogram = || Histogram::new(LATENCIES);
        let mut inner = Inner {
            registry: Registry::with_prefix("tollgate"),
            requests: Family::default(),
            request_duration: histogram(),
            in_flight: Gauge::default(),
            cache_requests: Family::default(),
            cache_bytes: Gauge::default(),
            upstream_requests: Family::default(),
            upstream_duration: histogram(),
            events: Family::default(),
            commit_duration: histogram(),
            quota_remaining: Family::default(),
            quota_refused: Family::default(),
            quota_paced: Family::default(),
            quota_limited: Family::default(),
        };
        let registry = &mut inner.registry;
        registry.register("requests", "Requests answered", inner.requests.clone());
        registry.register_with_unit(
            "request_duration",
            "From a request's head to its answer's head",
            Unit::Seconds,
            inner.request_duration.clone(),
        );
        registry.register(
            "in_flight_requests",
            "Requests whose answer has not ended",
            inner.in_flight.clone(),
        );
        registry.register(
            "cache_requests",
            "Reads of lists, by how they were answered",
            inner.cache_requests.clone(),
        );
        registry.register(
            "cache_bytes",
            "Bytes of memory that cached lists take",
            inner.cache_bytes.clone(),
        );
        registry.register(
            "upstream_requests",
            "Requests sent upstream",
            inner.upstream_requests.clone(),
        );
        registry.register_with_unit(
            "upstream_duration",
            "From a request sent upstream to its answer's head",
            Unit::Seconds,
            inner.upstream_duration.clone(),
        );
        registry.register(
            "audit_events",
            "Events written to the trail",
            inner.events.clone(),
        );
        registry.register_with_unit(
            "audit_commit_duration",
            "Time to make an intent or an event durable",
            Unit::Seconds,
            inner.commit_duration.clone(),
        );
        registry.register(
            "quota_remaining",
            "Requests left in this hour, as upstream last told",
            inner.quota_remaining.clone(),
        );
        registry.register(
            "quota_refused",
            "Requests refused here, because nothing was left of the quota",
            inner.quota_refused.clone(),
        );
        registry.register(
            "quota_paced",
            "Requests that waited to be a second apart, or would have had to wait too long",
            inner.quota_paced.clone(),
        );
        registry.register(
            "quota_limited",
            "Requests that upstream refused for the quota's or the rate's sake",
            inner.quota_limited.clone(),
        );
        Self(Arc::new(inner))
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
        took: Duration,
    ) {
        let labels = RequestLabels {
            method: known_method(method),
            status: status.as_u16(),
        };
        self.0.requests.get_or_create(&labels).inc();
        self.0.request_duration.observe(took.as_secs_f64());
    }

    /// Its answer ended.
    pub fn request_ended(&self) {
        self.0.in_flight.dec();
    }

    /// A read of a list was answered by way of `result`.
    pub fn cache_request(&self, result: &'static str) {
        self.0
            .cache_requests
            .get_or_create(&CacheLabels { result })
            .inc();
    }

    /// So many bytes of lists are cached now.
    pub fn cache_bytes(&self, bytes: u64) {
        self.0
            .cache_bytes
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Upstream answered (`None`: it did not).
    pub fn upstream_answered(&self, status: Option<http::StatusCode>, took: Duration) {
        let status = status.map_or_else(|| "none".to_owned(), |status| status.as_u16().to_string());
        self.0
            .upstream_requests
            .get_or_create(&UpstreamLabels { status })
            .inc();
        self.0.upstream_duration.observe(took.as_secs_f64());
    }

    /// An event was written.
    pub fn event(&self, action: Action, outcome: Outcome) {
        let labels = EventLabels {
            action: action.as_str(),
            outcome: outcome.as_str(),
        };
        self.0.events.get_or_create(&labels).inc();
    }

    /// A write to the trail became durable.
    pub fn committed(&self, took: Duration) {
        self.0.commit_duration.observe(took.as_secs_f64());
    }

    /// Upstream told what is left of the quota.
    pub fn quota_remaining(&self, organization: Option<OrganizationId>, remaining: u64) {
        let organization = organization.map_or_else(|| "none".to_owned(), |id| id.to_string());
        self.0
            .quota_remaining
            .get_or_create(&QuotaLabels { organization })
            .set(remaining);
    }

    /// A request was refused here, because nothing was left of that quota.
    pub fn quota_refused(&self, pool: Pool) {
        let labels = PoolLabels { pool: pool.kind() };
        self.0.quota_refused.get_or_create(&labels).inc();
    }

    /// A request of a token that is spaced waited, or was refused.
    pub fn quota_paced(&self, result: &'static str) {
        self.0
            .quota_paced
            .get_or_create(&CacheLabels { result })
            .inc();
    }

    /// Upstream refused a request for the quota's or the rate's sake.
    pub fn quota_limited(&self, status: http::StatusCode) {
        let labels = LimitLabels {
            status: status.as_u16(),
        };
        self.0.quota_limited.get_or_create(&labels).inc();
    }

    /// All of them, as `GET /metrics` gives them.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = text::encode(&mut out, &self.0.registry);
        out
    }

    /// How upstream answered until now. From the text, because a histogram does not tell what it counted.
    #[must_use]
    pub fn upstream(&self) -> Upstream {
        let (mut requests, mut failed, mut seconds) = (0, 0, 0.0);
        for line in self.text().lines() {
            let Some((name, value)) = line.rsplit_once(' ') else {
                continue;
            };
            let count = || value.parse::<u64>().unwrap_or(0);
            match name {
                "tollgate_upstream_duration_seconds_sum" => seconds = value.parse().unwrap_or(0.0),
                "tollgate_upstream_duration_seconds_count" => requests = count(),
                _ => {
                    let status = name.strip_prefix("tollgate_upstream_requests_total{status=\"");
                    if status.is_some_and(|status| status.starts_with(['5', 'n'])) {
                        failed += count();
                    }
                }
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "a mean, for people")]
        let mean = seconds / requests as f64;
        Upstream {
            requests,
            failed,
            mean: Duration::try_from_secs_f64(mean).ok(),
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn known_method(method: &http::Method) -> &'static str {
    match *method {
        http::Method::GET => "GET",
        http::Method::HEAD => "HEAD",
        http::Method::POST => "POST",
        http::Method::PUT => "PUT",
        http::Method::PATCH => "PATCH",
        http::Method::DELETE => "DELETE",
        http::Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
