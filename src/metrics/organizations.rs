//! The metrics that tell organizations apart, and so may be shown to who may see only some of them.
//!
//! An organization is a label only once upstream has answered for it with a success or a list: a number that
//! a caller made up never becomes a series.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::Registry;
use tokio::time::Instant;

use super::labels::Organization;
use crate::domain::ids::OrganizationId;

/// See the [module](self). Cloning shares them.
#[derive(Clone, Debug, Default)]
pub(super) struct Organizations {
    remaining: Family<Organization, Gauge<u64, AtomicU64>>,
    resets: Family<Organization, Countdown>,
    noticed: Family<Organization, Counter>,
}

/// Seconds until a moment, counted when they are asked for; 0 from then on.
#[derive(Clone, Debug)]
struct Countdown(Arc<Mutex<Instant>>);

// === impl Organizations ===

impl Organizations {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "quota_remaining",
            "Requests left in this hour, as upstream last told whoever asked",
            self.remaining.clone(),
        );
        registry.register(
            "quota_resets_in_seconds",
            "Until that quota is whole again; 0 when it is and nobody was told of the new one",
            self.resets.clone(),
        );
        registry.register(
            "changes_noticed",
            "Changes made behind the gateway that a list gave away",
            self.noticed.clone(),
        );
    }

    pub(super) fn quota(&self, of: Option<OrganizationId>, remaining: u64, resets_at: Instant) {
        let label = Organization::of(of);
        self.remaining.get_or_create(&label).set(remaining);
        self.resets.get_or_create(&label).set(resets_at);
    }

    pub(super) fn noticed(&self, of: OrganizationId, so_far: u64) {
        let counter = self.noticed.get_or_create(&Organization::of(Some(of)));
        counter.inner().store(so_far, Ordering::Relaxed);
    }

    /// A copy with the series of `these` alone.
    pub(super) fn only(&self, these: &[OrganizationId]) -> Self {
        let only = Self::default();
        for &organization in these {
            let label = Organization::of(Some(organization));
            if let Some(remaining) = self.remaining.get(&label) {
                only.remaining.get_or_create(&label).set(remaining.get());
            }
            if let Some(resets) = self.resets.get(&label) {
                only.resets.get_or_create(&label).set(resets.get());
            }
            if let Some(noticed) = self.noticed.get(&label) {
                only.noticed(organization, noticed.get());
            }
        }
        only
    }
}

// === impl Countdown ===

impl Countdown {
    fn get(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, to: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = to;
    }
}

impl Default for Countdown {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }
}

impl TypedMetric for Countdown {
    const TYPE: MetricType = MetricType::Gauge;
}

impl EncodeMetric for Countdown {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> std::fmt::Result {
        let left = self.get().saturating_duration_since(Instant::now());
        encoder.encode_gauge(&left.as_secs())
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}
