//! Records every change: the intent before it is sent, the event before it is answered.
//!
//! **Guarantees** (DESIGN §1.5). A change whose intent cannot be written is refused and not sent
//! (`audit.on_failure = "refuse"`). From the intent on the work runs in a task of its own: a caller who
//! hangs up loses the answer, not the forwarding nor the event. What cannot be told ends as `unknown`,
//! and a crash leaves the intent, from which the next start makes the event.
//!
//! The changes of one group go one at a time, so that the state before each is the one after the last.
//! A change under `If-Match` is not sent where the list that its maker saw has changed since.
//!
//! Outside all that acts: nothing changes before the intent is on disk. Reads pass by untouched.

mod account;
mod change;
mod condition;
mod facts;
mod intent;
mod lists;
mod membership;
mod patch;
mod recent;
mod request_body;
mod summary;
mod told;
mod turns;

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::{BoxFuture, Either};
use tokio_util::task::TaskTracker;
use tower::{Layer, Service};

pub use self::recent::{RECENT, Recent};
pub use self::turns::Turns;
use super::{Answer, Call};
use crate::cache::tags::Tags;
use crate::clock::Clock;
use crate::config::{OnFailure, Scope};
use crate::domain::caller::Key;
use crate::domain::endpoint::Endpoint;
use crate::error::ProxyError;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::people::People;
use crate::quota::Quota;
use crate::slots::Slots;
use crate::store::{KnownGroups, Trail};

/// Makes [`Audit`]. Cloning shares the recorder.
#[derive(Clone, Debug)]
pub struct AuditLayer {
    recorder: Live<Recorder>,
}

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Audit<S> {
    recorder: Live<Recorder>,
    inner: S,
}

/// What changes are recorded with. A change keeps to the one with which it began. Cloning shares all but what is set.
#[derive(Clone)]
pub struct Recorder {
    /// The trail.
    pub trail: Arc<dyn Trail>,
    /// The state of groups before a change.
    pub known: Arc<dyn KnownGroups>,
    /// Who is behind a credential.
    pub people: People,
    /// Hashes codes and bodies.
    pub key: Key,
    /// Which changes are recorded.
    pub scope: Scope,
    /// What becomes of a change that cannot be recorded.
    pub on_failure: OnFailure,
    /// The largest body that is kept, in bytes.
    pub max_body_size: usize,
    /// How long an answer may take from its head to its end.
    pub body_timeout: Duration,
    /// Lets the changes of one group go one at a time.
    pub turns: Turns,
    /// What was changed in the last minutes.
    pub recent: Recent,
    /// Which list a tag was given out for.
    pub tags: Tags,
    /// What is left of callers' quotas.
    pub quota: Quota,
    /// How many requests of a quota are kept for changes.
    pub reserve: u64,
    /// Changes under way, callers who hung up included.
    pub slots: Slots,
    /// Where changes run; the gateway ends when all have.
    pub tasks: TaskTracker,
    /// When.
    pub clock: Clock,
    /// Events and their cost.
    pub metrics: Metrics,
}

// === impl AuditLayer ===

impl AuditLayer {
    /// Records with `recorder`.
    #[must_use]
    pub fn new(recorder: impl Into<Live<Recorder>>) -> Self {
        Self {
            recorder: recorder.into(),
        }
    }
}

impl<S> Layer<S> for AuditLayer {
    type Service = Audit<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Audit {
            recorder: self.recorder.clone(),
            inner,
        }
    }
}

// === impl Audit ===

impl<S> Service<Call> for Audit<S>
where
    S: Service<Call, Response = Answer, Error = ProxyError, Future: Send + 'static>
        + Clone
        + Send
        + Sync
        + 'static,
{
    type Response = Answer;
    type Error = ProxyError;
    type Future = Either<S::Future, BoxFuture<'static, Result<Answer, ProxyError>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let change = match call.endpoint {
            Endpoint::Change(change) => change,
            Endpoint::List(_) | Endpoint::Me(_) | Endpoint::Read(_) => {
                return Either::Left(self.inner.call(call));
            }
        };
        let recorder = self.recorder.hold();
        if !recorder.records(change.action) {
            return Either::Left(self.inner.call(call));
        }
        // The service that was polled ready goes with the change; its clone waits here.
        let next = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, next);
        Either::Right(Box::pin(change::run(recorder, inner, call, change)))
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recorder")
    }
}

#[cfg(test)]
mod tests;
