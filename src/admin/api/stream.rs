//! `GET /api/events/stream`: events as they happen, as server-sent events.
//!
//! **Guarantee**: who comes back with the last id that they have seen gets what came since, each event once
//! and in order, also those that another process wrote. An event's id there is its number in the trail.
//!
//! A stream ends by itself after a while, and when the gateway stops: a browser comes back by itself, and has
//! to show again who it is.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event as Message, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::{Asked, Which};
use crate::admin::Admin;
use crate::admin::access::Principal;
use crate::admin::problem::Problem;
use crate::domain::event::Event;
use crate::domain::row::Link;
use crate::store::pages::News;

const LONGEST: Duration = Duration::from_secs(15 * 60);

// What another process writes, such as an export's event, nobody tells this one.
const LOOK: Duration = Duration::from_secs(1);

// Proxies drop what is silent for a minute.
const ALIVE: Duration = Duration::from_secs(20);

const PAGE: u32 = 20;

// Who has not read a message for so long has gone, or keeps the place of somebody who would.
const PATIENCE: Duration = Duration::from_secs(60);

struct Tail {
    news: News,
    heads: watch::Receiver<Option<Link>>,
    queue: VecDeque<Event>,
    stop: CancellationToken,
    until: Instant,
    _slot: OwnedSemaphorePermit,
}

/// Events as they happen, oldest first. With `Last-Event-ID`, or `cursor`, what came after that one too.
#[utoipa::path(
    get,
    path = "/api/events/stream",
    operation_id = "stream_events",
    tag = "trail",
    params(
        Which,
        ("cursor" = Option<String>, Query, description = "The last `id` that was seen"),
        ("Last-Event-ID" = Option<i64>, Header, description = "The same, as browsers say it"),
    ),
    responses(
        (status = 200, body = Event, content_type = "text/event-stream"),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn stream(
    State(admin): State<Admin>,
    principal: Principal,
    headers: HeaderMap,
    Asked(which): Asked<Which>,
) -> Result<Sse<impl Stream<Item = Result<Message, Infallible>>>, Problem> {
    which.without(&["limit", "format"])?;
    let filter = which.filter(&principal, admin.clock.now())?;
    let slot = admin
        .slots
        .streams
        .clone()
        .try_acquire_owned()
        .map_err(|_| Problem::overloaded("too many streams are open already; close one", 30))?;
    let heads = admin.heads.clone();
    let seen = headers
        .get("last-event-id")
        .and_then(|value| value.to_str().ok())
        .or(which.cursor.as_deref())
        .filter(|seen| !seen.is_empty());
    let last = match seen {
        None => admin.reader.last().await?,
        Some(seen) => seen.parse().map_err(|_| {
            Problem::bad_request("Last-Event-ID: send the `id` of the last event that was seen")
        })?,
    };
    let tail = Tail {
        news: News {
            reader: admin.reader,
            filter,
            last,
        },
        heads,
        queue: VecDeque::new(),
        stop: admin.stop,
        until: Instant::now() + LONGEST,
        _slot: slot,
    };
    let (sender, receiver) = mpsc::channel(1);
    // Not in the body: of one that is not read, nobody would ask whether it is time to end.
    admin.tasks.spawn(tail.run(sender));
    let messages = stream::unfold(receiver, |mut receiver| async {
        Some((Ok(receiver.recv().await?), receiver))
    });
    Ok(Sse::new(messages).keep_alive(KeepAlive::new().interval(ALIVE)))
}

// === impl Tail ===

impl Tail {
    async fn run(mut self, sender: mpsc::Sender<Message>) {
        let (stop, until) = (self.stop.clone(), self.until);
        let sending = async {
            while let Some(event) = self.next(&sender).await {
                let message = Message::default().id(event.seq.to_string());
                // Maps with string keys and finite numbers: there is nothing that JSON cannot say.
                let message = message.json_data(&event).unwrap_or_default();
                match timeout(PATIENCE, sender.send(message)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) | Err(_) => return,
                }
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = sleep_until(until) => {}
            () = sending => {}
        }
    }

    // The next event; `None` when nobody listens any more, or the database cannot be read: whoever comes back
    // then is told why.
    async fn next(&mut self, listener: &mpsc::Sender<Message>) -> Option<Event> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                return Some(event);
            }
            // First marked as seen, then read: what comes in between wakes the next wait.
            self.heads.borrow_and_update();
            self.queue.extend(self.news.next(PAGE).await.ok()?);
            if !self.queue.is_empty() {
                continue;
            }
            tokio::select! {
                () = listener.closed() => return None,
                _ = timeout(LOOK, self.heads.changed()) => {}
            }
        }
    }
}
