//! `GET /api/events/export`: all events that match, streamed, oldest first, in the memory of one page.
//!
//! **Guarantee** (DESIGN §4): what happens to the trail is in the trail. An intent is on disk before the first
//! row goes out, and an event says who took how many, also of an export that was broken off. An answer that
//! could not be completed is cut off, so that nobody takes it for whole.

use std::borrow::Cow;
use std::io;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::mpsc;

use super::{Asked, Which};
use crate::admin::Admin;
use crate::admin::access::{Principal, Source};
use crate::admin::problem::Problem;
use crate::domain::event::Event;
use crate::domain::own;
use crate::export::Csv;
use crate::store::filter::{Cursor, Filter};
use crate::store::pages::Pages;

// So many pages wait for a slow reader.
const AHEAD: usize = 2;

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
    uri: Uri,
    Asked(which): Asked<Which>,
) -> Result<Response, Problem> {
    let format = match which.format.as_deref() {
        None | Some("ndjson") => Format::Ndjson,
        Some("csv") => Format::Csv,
        Some(_) => return Err(Problem::bad_request("format: `ndjson` or `csv`")),
    };
    let now = admin.clock.now();
    let filter = which.filter(&principal, now)?;
    let slot = admin
        .slots
        .exports
        .clone()
        .try_acquire_owned()
        .map_err(|_| {
            Problem::overloaded("other exports are under way; wait until they are done", 30)
        })?;
    // What is recorded from here on, this export among it, is not part of it.
    let last = admin.reader.last().await?;
    let operator = source.operator(&principal, "GET", &uri);
    let intent = own::exporting(&operator, which.org, now);
    admin.trail.intend(intent.clone()).await?;

    let (sender, receiver) = mpsc::channel(AHEAD);
    let clock = admin.clock.clone();
    let trail = admin.trail.clone();
    let tasks = admin.tasks.clone();
    // Goes on by itself when the reader hangs up: what was taken has to be recorded.
    tasks.spawn(async move {
        let _slot = slot;
        let mut rows = 0;
        let mut failed = None;
        if let Err(why) = rows_into(&sender, &admin, filter, format, last, &mut rows).await {
            failed = Some(why.to_string());
            // It has hung up, or is told by the connection's end that this is not all.
            let _ = sender.send(Err(why)).await;
        }
        let draft = own::exported(intent, rows, failed.as_deref(), clock.now());
        if let Err(error) = trail.complete(draft, vec![]).await {
            tracing::warn!(%error, "An export is done, but could not be recorded; the next start records it");
        }
    });
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
        left: u32::MAX,
    };
    let mut encoder = Encoder::new(format)?;
    loop {
        pages.left = u32::MAX;
        let page = tokio::select! {
            () = admin.stop.cancelled() => return Err(io::Error::other("the gateway stopped")),
            page = pages.next() => page.map_err(io::Error::other)?,
        };
        let Some(events) = page else {
            return encoder.hand_on(sender).await;
        };
        for event in events.iter().filter(|event| event.seq <= last) {
            encoder.event(event)?;
            *rows += 1;
        }
        if events.iter().any(|event| event.seq > last) {
            return encoder.hand_on(sender).await;
        }
        encoder.hand_on(sender).await?;
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

    async fn hand_on(&mut self, sender: &Sender) -> io::Result<()> {
        let out = match self {
            Self::Ndjson(out) => std::mem::take(out),
            Self::Csv(csv) => csv.take()?,
        };
        if out.is_empty() {
            return Ok(());
        }
        let sent = sender.send(Ok(out.into())).await;
        sent.map_err(|_| io::Error::other("the reader hung up"))
    }
}
