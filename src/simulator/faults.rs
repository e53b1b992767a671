//! Things that go wrong on purpose, each with a name.
//!
//! **Guarantee**: a fault queued with [`Toggl::next`](super::Toggl::next) happens to the first
//! request that matches and to no other; several for the same request happen one after the other, in
//! the order in which they were queued. Nothing happens by chance. A request that waits in a
//! [`Hold`] goes on when it is released, even if its client has left by then: upstream, too, may
//! apply a change that nobody awaits any more.
//!
//! Which faults come *before* the world is asked and which *after* is the point of most of them, and
//! stands at each.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use tokio::sync::watch;

use super::answer::Reply;
use super::log::Received;
use super::state::Shared;

/// Which requests are meant.
#[derive(Clone, Debug)]
pub struct Match {
    method: Option<Method>,
    pattern: String,
}

/// A place where a request waits until a test lets it go on. Cloning gives another handle on the
/// same place; dropping all of them leaves the request where it is.
#[derive(Clone, Debug)]
pub struct Hold {
    /// How many requests have come here.
    reached: Arc<watch::Sender<u64>>,
    released: Arc<watch::Sender<bool>>,
}

/// What happens to a request.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    Hang(Hold),
    HangAfterRead(Hold),
    ResetBeforeApply,
    ResetAfterApply,
    Answer(Reply),
    QuotaExhausted(Duration),
    TruncatedBody,
    ExtraHeader(HeaderName, HeaderValue),
}

/// The faults that have not happened yet.
#[derive(Debug, Default)]
pub(super) struct Faults {
    queue: VecDeque<Queued>,
}

#[derive(Debug)]
struct Queued {
    wanted: Match,
    fault: Fault,
    lasting: bool,
}

/// Says what shall happen to the request; made by [`Toggl::next`](super::Toggl::next) and
/// [`Toggl::every`](super::Toggl::every).
#[derive(Debug)]
#[must_use = "nothing goes wrong until a fault is named"]
pub struct Next {
    pub(super) shared: Arc<Shared>,
    pub(super) wanted: Match,
    pub(super) lasting: bool,
}

// === impl Match ===

impl Match {
    /// A method and a path. A path with a `?` is compared with the query, one without it is not; one
    /// that ends with `*` is a prefix.
    pub fn new(method: Method, pattern: impl Into<String>) -> Self {
        Self {
            method: Some(method),
            pattern: pattern.into(),
        }
    }

    /// A path, as for [`Match::new`], with any method.
    pub fn path(pattern: impl Into<String>) -> Self {
        Self {
            method: None,
            pattern: pattern.into(),
        }
    }

    /// Every request.
    #[must_use]
    pub fn any() -> Self {
        Self::path("*")
    }

    /// Whether a request is meant.
    #[must_use]
    pub fn fits(&self, request: &Received) -> bool {
        let text = if self.pattern.contains('?') {
            &request.target
        } else {
            request.path()
        };
        self.method
            .as_ref()
            .is_none_or(|method| *method == request.method)
            && match self.pattern.strip_suffix('*') {
                Some(prefix) => text.starts_with(prefix),
                None => text == self.pattern,
            }
    }
}

// === impl Hold ===

impl Hold {
    fn new() -> Self {
        Self {
            reached: Arc::new(watch::Sender::new(0)),
            released: Arc::new(watch::Sender::new(false)),
        }
    }

    /// Returns when a request has come here.
    pub async fn reached(&self) {
        self.reached_by(1).await;
    }

    /// Returns when so many requests have come here.
    pub async fn reached_by(&self, requests: u64) {
        let mut reached = self.reached.subscribe();
        let _ = reached.wait_for(|count| *count >= requests).await;
    }

    /// Lets go on who waits here, and who comes later.
    pub fn release(&self) {
        self.released.send_replace(true);
    }

    pub(super) async fn wait(&self) {
        self.reached.send_modify(|count| *count += 1);
        let _ = self
            .released
            .subscribe()
            .wait_for(|released| *released)
            .await;
    }
}

// === impl Faults ===

impl Faults {
    /// The fault for a request, if there is one.
    pub(super) fn take(&mut self, request: &Received) -> Option<Fault> {
        let index = self
            .queue
            .iter()
            .position(|queued| queued.wanted.fits(request))?;
        if self.queue[index].lasting {
            Some(self.queue[index].fault.clone())
        } else {
            self.queue.remove(index).map(|queued| queued.fault)
        }
    }

    pub(super) fn clear(&mut self) {
        self.queue.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }
}

// === impl Next ===

impl Next {
    /// It waits before the world is asked or altered, until it is released.
    pub fn hang(self) -> Hold {
        let hold = Hold::new();
        self.queue(Fault::Hang(hold.clone()));
        hold
    }

    /// It waits after the world was asked or altered, before the answer is sent: a list that is
    /// delivered late, a change that was made and not told.
    pub fn hang_after_read(self) -> Hold {
        let hold = Hold::new();
        self.queue(Fault::HangAfterRead(hold.clone()));
        hold
    }

    /// The connection closes, and nothing was applied.
    pub fn reset_before_apply(self) {
        self.queue(Fault::ResetBeforeApply);
    }

    /// It is applied, and then the connection closes without an answer.
    pub fn reset_after_apply(self) {
        self.queue(Fault::ResetAfterApply);
    }

    /// It is applied, and of the answer come the head with its length and half of the body.
    pub fn truncated_body(self) {
        self.queue(Fault::TruncatedBody);
    }

    /// It is applied, and the answer has a header more.
    pub fn extra_header(self, name: HeaderName, value: HeaderValue) {
        self.queue(Fault::ExtraHeader(name, value));
    }

    /// It is not applied, and answered with this.
    pub fn answer(self, status: StatusCode, content_type: &str, body: impl Into<Bytes>) {
        self.queue(Fault::Answer(Reply::new(status, content_type, body)));
    }

    /// It is not applied, and refused with this status: by nginx with a page of its own for `400`,
    /// `429` and `5xx`, else by the service with a bare JSON string.
    pub fn status(self, status: StatusCode) {
        let nginx = status.is_server_error()
            || matches!(
                status,
                StatusCode::BAD_REQUEST | StatusCode::TOO_MANY_REQUESTS
            );
        self.queue(Fault::Answer(if nginx {
            Reply::nginx(status)
        } else {
            Reply::error(status, status.canonical_reason().unwrap_or_default())
        }));
    }

    /// It is not applied, and refused because the caller's quota is gone for so long.
    pub fn quota_exhausted(self, resets_in: Duration) {
        self.queue(Fault::QuotaExhausted(resets_in));
    }

    /// It is not applied, and refused because the plan lacks the feature: the other `402`, which
    /// says nothing about other requests.
    pub fn plan_lacks_feature(self) {
        let text = "This feature is not available on your current plan";
        self.queue(Fault::Answer(Reply::error(
            StatusCode::PAYMENT_REQUIRED,
            text,
        )));
    }

    /// It is not applied, and answered `200` with a page.
    pub fn html_page(self) {
        let page = "<!DOCTYPE html><html><body><h1>We will be right back</h1></body></html>";
        self.answer(StatusCode::OK, "text/html; charset=utf-8", page);
    }

    /// It is not applied, and answered `200` with half a list.
    pub fn bad_json(self) {
        self.answer(
            StatusCode::OK,
            "application/json; charset=utf-8",
            r#"[{"group_id":9001,"name":"#,
        );
    }

    fn queue(self, fault: Fault) {
        let queued = Queued {
            wanted: self.wanted,
            fault,
            lasting: self.lasting,
        };
        self.shared.state().faults.queue.push_back(queued);
    }
}
