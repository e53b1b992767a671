//! The way of a request, in one function.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::Response;
use tower::ServiceBuilder;
use tower::util::BoxCloneSyncService;

use crate::body::Body;
use crate::cache::epochs::Epochs;
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::caller::Key;
use crate::domain::proxies::Proxies;
use crate::error::ProxyError;
use crate::layers::audit::{AuditLayer, Recorder};
use crate::layers::cache::CacheLayer;
use crate::layers::classify::ClassifyLayer;
use crate::layers::forward::{Destination, ForwardLayer};
use crate::layers::identify::IdentifyLayer;
use crate::layers::invalidate::InvalidateLayer;
use crate::layers::limit::LimitLayer;
use crate::layers::observe::ObserveLayer;
use crate::layers::pace::PaceLayer;
use crate::layers::quota::QuotaLayer;
use crate::layers::rescue::RescueLayer;
use crate::layers::{Answer, Call, Inbound};
use crate::live::Live;
use crate::metrics::Metrics;
use crate::quota::Quota;
use crate::slots::Slots;
use crate::traces::Traces;
use crate::upstream::Upstream;

/// What the server serves.
pub type Proxy = BoxCloneSyncService<Inbound, Response<Body>, Infallible>;

/// What the layers work with, and share.
pub struct Parts {
    /// What is set.
    pub config: Config,
    /// Requests at once.
    pub in_flight: Slots,
    /// The longest pause within a request's body.
    pub body_timeout: Live<Duration>,
    /// Hashes credentials and codes.
    pub key: Key,
    /// When.
    pub clock: Clock,
    /// What is counted.
    pub metrics: Metrics,
    /// What is told of each request to a collector.
    pub traces: Traces,
    /// Which lists may be believed.
    pub epochs: Arc<Epochs>,
    /// How changes are recorded.
    pub recorder: Live<Recorder>,
    /// How lists are kept.
    pub cache: CacheLayer,
    /// What is left of the quota.
    pub quota: Quota,
}

/// The way to upstream's lists for the gateway itself, by the cache that everybody shares.
pub type Lists = BoxCloneSyncService<Call, Answer, ProxyError>;

/// What every request walks through, outermost first; and the inner part of it alone.
pub fn proxy(parts: Parts, upstream: Upstream) -> (Proxy, Lists) {
    let Parts {
        config,
        in_flight,
        body_timeout,
        key,
        clock,
        metrics,
        traces,
        epochs,
        recorder,
        cache,
        quota,
    } = parts;
    let identity = config.identity;
    let to = Destination {
        scheme: config.upstream.url.scheme().clone(),
        authority: config.upstream.url.authority().clone(),
    };
    let lists = ServiceBuilder::new()
        .layer(cache)
        // Inside the cache, so that a hit costs nothing; outside `forward`, so that it sees every answer.
        .layer(QuotaLayer::new(quota.clone(), metrics.clone()))
        .layer(ForwardLayer::new(
            to,
            config.listen.scheme(&config.listen.proxy),
        ))
        .service(upstream);
    let stack = ServiceBuilder::new()
        // Outermost: also what a limit refuses or a panic ends has its span and its line.
        .layer(ObserveLayer::new(
            key.clone(),
            clock,
            metrics.clone(),
            traces,
        ))
        // The one place where an error, or a panic, becomes problem+json.
        .layer(RescueLayer)
        // Before any work is done for it. A slot is free again when the answer's *body* has ended.
        .layer(LimitLayer::new(in_flight, body_timeout))
        // From here on nobody looks at the path: what was received becomes a `Call { endpoint, .. }`.
        .layer(ClassifyLayer::new(identity.tools))
        // Only the fingerprint of a credential goes further than the request does.
        .layer(IdentifyLayer::new(
            key,
            Proxies::new(identity.trusted_proxies),
        ))
        // Outside all that acts: nothing changes before the intent is on disk. A change outlives its caller.
        .layer(AuditLayer::new(recorder))
        // Inside `audit`, which records what is refused here; outside `invalidate`: who waits closes nothing.
        .layer(PaceLayer::new(quota, metrics))
        // Inside `audit`: a change refused there closes nothing. Outside `cache`, whose fills ask it.
        .layer(InvalidateLayer::new(epochs))
        .service(lists.clone());
    // One box each: the full type slows the compiler.
    (
        BoxCloneSyncService::new(stack),
        BoxCloneSyncService::new(lists),
    )
}
