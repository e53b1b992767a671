//! `GET /api/events/export`: all events that match, streamed, oldest first, in the memory of one page.
//!
//! **Guarantee** (DESIGN §4): what happens to the trail is in the trail. An intent is on disk before the first
//! row goes out, and an event says who took how many, also of an export that was broken off. An answer that
//! could not be completed is cut off, so that nobody takes it for whole.

use std::borrow::Cow;
use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Asked, Which};
use crate::admin::Admin;
use crate::admin::access::{Principal, Source};
use crate::admin::problem::Problem;
use crate::domain::event::{Draft, Event};
use crate::domain::own;
use crate::export::Csv;
use crate::store::StoreError;
use crate::store::filter::{Cursor, Filter};
use crate::store::pages::Pages;

// So many pages wait for a slow reader; each may be megabytes.
const AHEAD: usize = 1;

/// How long a reader may take for a page.
const PATIENCE: Duration = Duration::from_secs(60);

const HUNG_UP: &str = "the reader hung up";
const STOPPED: &str = "the gateway stopped";

#[derive(Clone, Copy, Debug)]
enum Format {
    Ndjson,
    Csv,
}

/// All events that match, oldest first.
#[utoipa::path(
    get,
    path = "/api/events/export",
    operation_id = "export_events",
    tag = "trail",
    params(Which, ("format" = Option<String>, Query, description = "`ndjson`, which is usual, or `csv`")),
    responses(
        (status = 200, body = Event, content_type = "application/x-ndjson"),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn export(
    State(admin): State<Admin>,
    principal: Principal,
    source: Source,
    method: Method,
    Asked(which): Asked<Which>,
) -> Result<Response, Problem> {
    // A HEAD takes no rows, and is not to be recorded as if it had.
    if method == Method::HEAD {
        return Err(Problem::method_not_allowed());
    }
    which.without(&["limit", "cursor"])?;
    let format = match which.format.as_deref() {
        None | Some("ndjson") => Format::Ndjson,
        Some("csv") => Format::Csv,
        Some(_) => return Err(Problem::bad_request("format: `ndjson` or `csv`")),
    };
    let now = admin.clock.now();
    let filter = which.filter(&principal, now)?;
    let slots = admin.slots.exports.clone();
    let slot = slots.try_acquire_owned().map_err(|_| {
        Problem::overloaded("other exports are under way; wait until they are done", 30)
    })?;
    // What is recorded from here on, this export among it, is not part of it.
    let last = admin.reader.last().await?;
    let operator = source.operator(&principal, "GET", &which.kept("/api/events/export"));
    let intent = own::exporting(&operator, which.org, now);

    let (sender, receiver) = mpsc::channel(AHEAD);
    let (begun, has_begun) = oneshot::channel();
    let tasks = admin.tasks.clone();
    // By itself from the intent on, when the reader hangs up too: what was taken has to be recorded.
    tasks.spawn(async move {
        let _slot = slot;
        let intended = admin.trail.intend(intent.clone()).await;
        let is_intended = intended.is_ok();
        if begun.send(intended).is_ok() && is_intended {
            let mut rows = 0;
            let exported = rows_into(&sender, &admin, filter, format, last, &mut rows).await;
            let failed = exported.as_ref().err().map(ToString::to_string);
            record(
                &admin,
                own::exported(intent, rows, failed.as_deref(), admin.clock.now()),
            )
            .await;
            if let Err(error) = exported {
                // It has hung up, or is told by the connection's end that this is not all.
                let _ = sender.try_send(Err(error));
            }
        } else if is_intended {
            record(
                &admin,
                own::exported(intent, 0, Some(HUNG_UP), admin.clock.now()),
            )
            .await;
        }
    });
    has_begun.await.map_err(|_| StoreError::Closed)??;
    let chunks = stream::unfold(receiver, |mut receiver| async {
        Some((receiver.recv().await?, receiver))
    });
    let (kind, name) = match format {
        Format::Ndjson => ("application/x-ndjson", "ndjson"),
        Format::Csv => ("text/csv; charset=utf-8; header=present", "csv"),
    };
    let day = now.strftime("%Y-%m-%d");
    let name = format!("attachment; filename=\"tollgate-{day}.{name}\"");
    let mut answer = Body::from_stream(chunks).into_response();
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Ok(name) = HeaderValue::from_str(&name) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(answer)
}

async fn record(admin: &Admin, draft: Draft) {
    if let Err(error) = admin.trail.complete(draft, vec![]).await {
        tracing::warn!(%error, "An export is done, but could not be recorded; the next start records it");
    }
}

type Sender = mpsc::Sender<io::Result<Bytes>>;

async fn rows_into(
    sender: &Sender,
    admin: &Admin,
    filter: Filter,
    format: Format,
    last: i64,
    rows: &mut u64,
) -> io::Result<()> {
    let mut pages = Pages {
        reader: &admin.reader,
        filter,
        cursor: Some(Cursor::OLDEST),
        left: u64::MAX,
        last,
    };
    let mut encoder = Encoder::new(format)?;
    loop {
        let page = tokio::select! {
            () = admin.stop.cancelled() => return Err(io::Error::other(STOPPED)),
            page = pages.next() => page.map_err(io::Error::other)?,
        };
        let Some(events) = page else {
            return encoder.hand_on(sender, &admin.stop).await;
        };
        for event in &events {
            encoder.event(event)?;
            *rows += 1;
        }
        encoder.hand_on(sender, &admin.stop).await?;
    }
}

/// Events as text, handed on in pieces.
enum Encoder {
    Ndjson(Vec<u8>),
    Csv(Box<Csv<Vec<u8>>>),
}

// === impl Encoder ===

impl Encoder {
    fn new(format: Format) -> io::Result<Self> {
        Ok(match format {
            Format::Ndjson => Self::Ndjson(Vec::new()),
            Format::Csv => Self::Csv(Box::new(Csv::to(Vec::new(), |text| Cow::Borrowed(text))?)),
        })
    }

    fn event(&mut self, event: &Event) -> io::Result<()> {
        match self {
            Self::Ndjson(out) => {
                serde_json::to_writer(&mut *out, event)?;
                out.push(b'\n');
                Ok(())
            }
            Self::Csv(csv) => csv.event(event),
        }
    }

    async fn hand_on(&mut self, sender: &Sender, stop: &CancellationToken) -> io::Result<()> {
        let out = match self {
            Self::Ndjson(out) => std::mem::take(out),
            Self::Csv(csv) => csv.take()?,
        };
        if out.is_empty() {
            return Ok(());
        }
        // Who does not read keeps the place of those who would.
        let sent = tokio::select! {
            () = stop.cancelled() => return Err(io::Error::other(STOPPED)),
            sent = timeout(PATIENCE, sender.send(Ok(out.into()))) => sent,
        };
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::Error::other(HUNG_UP)),
            Err(_) => Err(io::Error::other("the reader did not read on")),
        }
    }
}
