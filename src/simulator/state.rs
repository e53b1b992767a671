//! The way of one request through the limits to its endpoint, and everything that it may alter.
//!
//! **Guarantee**: a request is logged and meets its fault first, then the nginx with its leaky
//! bucket, the credentials, the quota, and last the endpoint, under one lock: two changes never
//! interleave, and what is applied is logged in that order. Nothing here waits.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{StatusCode, header};
use tokio::sync::watch;
use tokio::time::Instant;

use super::Options;
use super::answer::Reply;
use super::credentials::Credentials;
use super::faults::{Fault, Faults};
use super::log::{Log, Received};
use super::quota::{Bucket, Counter, Verdict, Window, whole_seconds};
use super::router::{self, Segments};
use super::visit::Visit;
use super::world::World;
use crate::domain::ids::UserId;

/// What a fault says that the limit was when there is none.
const FREE_LIMIT: usize = 30;

/// What the handles and the server have in common; it outlives a stop.
pub(super) struct Shared {
    state: Mutex<State>,
    /// Says that the log has grown.
    pub(super) news: watch::Sender<()>,
    pub(super) options: Options,
}

/// Everything that changes.
pub(super) struct State {
    pub(super) world: World,
    pub(super) log: Log,
    pub(super) faults: Faults,
    windows: HashMap<Counter, Window>,
    buckets: HashMap<(IpAddr, Vec<u8>), Bucket>,
}

// === impl Shared ===

impl Shared {
    pub(super) fn new(options: Options, world: World) -> Self {
        let state = State {
            world,
            log: Log::default(),
            faults: Faults::default(),
            windows: HashMap::new(),
            buckets: HashMap::new(),
        };
        Self {
            state: Mutex::new(state),
            news: watch::Sender::new(()),
            options,
        }
    }

    /// A panic in somebody's `change` leaves a world that is still good to look at.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn receive(&self, request: &Arc<Received>) -> Option<Fault> {
        let mut state = self.state();
        state.log.receive(Arc::clone(request));
        let fault = state.faults.take(request);
        drop(state);
        self.news.send_replace(());
        fault
    }

    pub(super) fn serve(&self, request: &Arc<Received>, peer: IpAddr) -> Reply {
        let mut state = self.state();
        let before = state.world.version();
        let reply = state.serve(&self.options, request, peer);
        if state.world.version() != before {
            state
                .log
                .apply(Arc::clone(request), reply.status, reply.body.clone());
        }
        drop(state);
        self.news.send_replace(());
        reply
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

// === impl State ===

impl State {
    fn serve(&mut self, options: &Options, request: &Received, peer: IpAddr) -> Reply {
        let now = Instant::now();
        if let Some(burst) = options.leaky_bucket {
            let token = request.headers.get(header::AUTHORIZATION);
            let token = token
                .map(|value| value.as_bytes().to_vec())
                .unwrap_or_default();
            let bucket = self
                .buckets
                .entry((peer, token))
                .or_insert_with(|| Bucket::new(now));
            if !bucket.pour(now, burst) {
                return Reply::nginx(StatusCode::TOO_MANY_REQUESTS);
            }
        }
        let segments = Segments::of(request.path());
        if !segments.is_served() {
            return Reply::nginx(StatusCode::NOT_FOUND);
        }
        let caller = match Credentials::read(&request.headers, &self.world) {
            Credentials::Of(caller) => caller,
            Credentials::Bad => return Reply::bad_credentials(),
            Credentials::Missing => return Reply::no_credentials(),
        };
        let counter = segments.counter(&self.world, caller);
        let quota = options.limit(counter).map(|limit| {
            let window = self.windows.entry(counter).or_default();
            (limit, window.take(now, limit, options.window))
        });
        match quota {
            Some((limit, verdict)) if !verdict.admitted => exhausted(counter, limit, verdict),
            _ => {
                let mut visit = Visit {
                    world: &mut self.world,
                    caller,
                    request,
                };
                let mut reply = router::route(&mut visit, &segments).unwrap_or_else(Reply::from);
                if let Some((_, verdict)) = quota {
                    tell(&mut reply, verdict);
                }
                reply
            }
        }
    }

    /// The `402` that a request would get if its quota were gone.
    pub(super) fn exhausted(
        &self,
        options: &Options,
        request: &Received,
        resets_in: Duration,
    ) -> Reply {
        let caller = match Credentials::read(&request.headers, &self.world) {
            Credentials::Of(caller) => caller,
            Credentials::Bad | Credentials::Missing => UserId(0),
        };
        let counter = Segments::of(request.path()).counter(&self.world, caller);
        let limit = options.limit(counter).unwrap_or(FREE_LIMIT);
        let verdict = Verdict {
            admitted: false,
            remaining: 0,
            resets_in,
        };
        exhausted(counter, limit, verdict)
    }
}

fn exhausted(counter: Counter, limit: usize, verdict: Verdict) -> Reply {
    let text = counter.message(limit, verdict.resets_in);
    let mut reply = Reply::text(StatusCode::PAYMENT_REQUIRED, text);
    tell(&mut reply, verdict);
    reply
}

fn tell(reply: &mut Reply, verdict: Verdict) {
    reply.set("x-toggl-quota-remaining", &verdict.remaining.to_string());
    reply.set(
        "x-toggl-quota-resets-in",
        &whole_seconds(verdict.resets_in).to_string(),
    );
}
