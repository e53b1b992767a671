//! The way of one change: body, intent, upstream, event, answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};
use http_body_util::BodyExt as _;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};
use tower::Service;
use tracing::Instrument as _;

use super::account::Account;
use super::condition::Condition;
use super::facts::Facts;
use super::intent::{intent, settle_actor};
use super::lists::Lists;
use super::membership;
use super::request_body::RequestBody;
use super::told::Told;
use super::{Answer, Recorder};
use crate::body::{Body, Collected};
use crate::config::{OnFailure, Scope};
use crate::domain::action::Action;
use crate::domain::caller::BodyDigest;
use crate::domain::endpoint::Change;
use crate::domain::event::{Draft, Flag, Intent, ResponseRecord};
use crate::domain::ids::EventId;
use crate::error::ProxyError;
use crate::layers::{Call, EVENT_ID};
use crate::slots::Slot;
use crate::store::{Learned, StoreError};

// Between two tries to write an event whose change has been made.
const RETRY: Duration = Duration::from_secs(1);

type Reply = oneshot::Sender<Result<Answer, ProxyError>>;

/// Takes the body, then hands the change to a task that outlives the caller, and waits for its answer.
pub(super) async fn run<S>(
    recorder: Arc<Recorder>,
    inner: S,
    call: Call,
    change: Change,
) -> Result<Answer, ProxyError>
where
    S: Service<Call, Response = Answer, Error = ProxyError, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
{
    let slot = recorder.slots.try_take().ok_or(ProxyError::Overloaded)?;
    // A caller who hangs up here has changed nothing: nothing was sent, and nothing is recorded.
    let (call, body) = take_body(&recorder, call).await?;
    let (reply, replied) = oneshot::channel();
    let tasks = recorder.tasks.clone();
    let work = async move { record(&recorder, inner, call, change, body, reply, slot).await };
    tasks.spawn(work.in_current_span());
    replied.await.unwrap_or(Err(ProxyError::Internal))
}

/// The request's body, as far as it is recorded.
pub(super) struct Recorded {
    /// The body, if it fits.
    pub(super) whole: Option<Bytes>,
    digest: Arc<Mutex<BodyDigest>>,
}

// === impl Recorded ===

impl Recorded {
    /// The size and the hash of what has passed by.
    pub(super) fn digest(&self) -> String {
        lock(&self.digest).clone().finish()
    }
}

async fn take_body(recorder: &Recorder, call: Call) -> Result<(Call, Recorded), ProxyError> {
    let Call {
        endpoint,
        caller,
        request,
        origin,
    } = call;
    let (parts, body) = request.into_parts();
    let digest = Arc::new(Mutex::new(recorder.key.body_digest()));
    let collected = body.collect_up_to(recorder.max_body_size).await;
    let collected = collected.map_err(|error| ProxyError::BodyIncomplete(Arc::new(error)))?;
    let (body, whole) = match collected {
        Collected::Whole(bytes) => {
            lock(&digest).update(&bytes);
            (Body::full(bytes.clone()), Some(bytes))
        }
        Collected::Over(body) => {
            let passing = Arc::clone(&digest);
            let body = body.map_frame(move |frame| {
                if let Some(data) = frame.data_ref() {
                    lock(&passing).update(data);
                }
                frame
            });
            (Body::boxed(body), None)
        }
    };
    let request = http::Request::from_parts(parts, body);
    Ok((
        Call {
            endpoint,
            caller,
            request,
            origin,
        },
        Recorded { whole, digest },
    ))
}

fn lock(digest: &Mutex<BodyDigest>) -> std::sync::MutexGuard<'_, BodyDigest> {
    digest.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn record<S>(
    recorder: &Arc<Recorder>,
    mut inner: S,
    mut call: Call,
    change: Change,
    body: Recorded,
    reply: Reply,
    slot: Slot,
) where
    S: Service<Call, Response = Answer, Error = ProxyError, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
{
    let (caller, origin) = (call.caller.clone(), call.origin.clone());
    let condition = Condition::take(&change, call.request.headers_mut());
    let lists = Lists {
        recorder,
        inner: inner.clone(),
        caller: caller.as_ref(),
        origin: &origin,
    };
    let read = read_body(recorder, &call, &change, &body);
    let mut intent = intent(recorder, &call, &change, &body);
    let shown = format!("{} {}", intent.request.method, intent.request.path);
    let mut facts = Facts::of(recorder, &change, shown, read.json).await;
    // Until the event is written. Before the intent: who waits here has sent nothing.
    let _turn = recorder.turns.wait(facts.turn(&change)).await;
    facts.gather(&lists, &change).await;
    let held = match condition {
        Some(condition) => condition.check(&lists, &facts).await,
        None => Ok(()),
    };
    if let Some(caller) = &caller {
        let person = recorder.people.person(caller).await;
        intent.actor.user_id = person.user_id;
        intent.actor.email = person.email;
        intent.actor.name = person.name;
    }
    intent.target = facts.target(&change);
    intent.request.body = read.text;
    intent.flags.extend(read.unread.then_some(Flag::BodyUnread));
    let writing = Instant::now();
    match recorder.trail.intend(intent.clone()).await {
        Ok(()) => recorder.metrics.committed(writing.elapsed()),
        Err(error) if recorder.on_failure == OnFailure::Refuse => {
            recorder.metrics.intent_failed();
            let _ = reply.send(Err(ProxyError::AuditUnavailable(error)));
            return;
        }
        Err(error) => {
            recorder.metrics.intent_failed();
            tracing::error!(%error, "A change goes out without an intent, as audit.on_failure allows");
            intent.flags.push(Flag::IntentMissing);
        }
    }

    let result = match held {
        Ok(()) => inner.call(call).await,
        Err(error) => {
            intent.flags.push(Flag::ChangedSince);
            Err(error)
        }
    };
    let told = told(recorder, change.action, result).await;
    let seen = membership::look(&lists, &change, &facts, told.outcome()).await;
    if let Some(caller) = &caller {
        settle_actor(recorder, caller, &told, &mut intent.actor);
    }
    if body.whole.is_none() {
        intent.request.body_digest = Some(body.digest());
    }
    let left = reply.is_closed().then_some(Flag::CallerLeft);
    intent.flags.extend(left);
    let event = intent.id;
    let account = Account::of(&change, &facts, &told, seen.as_ref(), recorder.clock.now());
    let (draft, learned) = conclude(recorder, &told, account, intent, origin.started);
    let written = complete(recorder, draft, learned, slot).await;
    let recorded = |error| ProxyError::Recorded {
        event,
        error: Box::new(error),
    };
    let _ = reply.send(match (written, told.answer, told.status) {
        (Ok(()), Ok(answer), _) => Ok(with_event(answer, event)),
        (Ok(()), Err(error), _) => Err(recorded(error)),
        (Err(_), answer, _) if recorder.on_failure == OnFailure::Forward => answer,
        // Its intent is on disk, and its event will be.
        (Err(source), _, Some(upstream)) => {
            Err(recorded(ProxyError::OutcomeUnrecorded { upstream, source }))
        }
        (Err(_), answer, None) => answer,
    });
}

// The event of a change that has come to its end, and what it told of the world.
fn conclude(
    recorder: &Recorder,
    told: &Told,
    account: Account,
    mut intent: Intent,
    started: Instant,
) -> (Draft, Vec<Learned>) {
    intent
        .flags
        .extend(told.incomplete.then_some(Flag::AnswerIncomplete));
    intent.flags.extend(account.flags);
    intent.target = account.target;
    let kept = intent.action.keeps_response_body();
    let mut draft = Draft {
        intent,
        completed_at: account.at,
        duration_ms: i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX),
        outcome: account.outcome,
        response: ResponseRecord {
            status: told.status.map(|status| status.as_u16()),
            body: told.text.clone().filter(|_| kept),
            upstream_request_id: told.headers.as_ref().and_then(upstream_request_id),
        },
        before: account.before,
        after: account.after,
        changes: account.changes,
        relations: Vec::new(),
        summary: account.summary,
    };
    recorder.recent.relate(&mut draft);
    (draft, account.learned)
}

// Of a change that has nothing to do with groups only the size and the hash are kept.
fn read_body(recorder: &Recorder, call: &Call, change: &Change, body: &Recorded) -> RequestBody {
    match &body.whole {
        Some(bytes) if change.action.touches_groups() => {
            RequestBody::read(call.request.headers(), bytes, recorder.max_body_size)
        }
        Some(_) | None => RequestBody::default(),
    }
}

/// What upstream told, and what the caller will be told.
async fn told(recorder: &Recorder, action: Action, result: Result<Answer, ProxyError>) -> Told {
    let answer = match result {
        Ok(answer) => answer,
        Err(error) => return Told::failed(error),
    };
    let status = answer.status();
    let headers = answer.headers().clone();
    if !action.reads_response_body() {
        return Told::streaming(answer, headers);
    }
    let (parts, body) = answer.into_parts();
    let limit = recorder.max_body_size;
    match timeout(recorder.body_timeout, body.collect_up_to(limit)).await {
        Ok(Ok(Collected::Whole(bytes))) => {
            let answer = Response::from_parts(parts, Body::full(bytes.clone()));
            Told::whole(answer, headers, &bytes, limit)
        }
        Ok(Ok(Collected::Over(body))) => {
            let answer = Response::from_parts(parts, body);
            Told::too_large(answer, headers)
        }
        Ok(Err(error)) => Told::cut(status, headers, ProxyError::lost(error)),
        Err(_) => Told::cut(status, headers, ProxyError::Timeout(recorder.body_timeout)),
    }
}

// Upstream may have acted, so its answer must not be lost with one failed write: a task tries again
// until the store is back, while the caller is told that the outcome is not on disk. It keeps the
// change's slot, so that no more than the limit wait like this. Where changes go out although the store
// fails, nothing waits for it.
async fn complete(
    recorder: &Arc<Recorder>,
    draft: Draft,
    learned: Vec<Learned>,
    slot: Slot,
) -> Result<(), StoreError> {
    let (id, action, outcome) = (draft.intent.id, draft.intent.action, draft.outcome);
    let writing = Instant::now();
    let result = recorder
        .trail
        .complete(draft.clone(), learned.clone())
        .await;
    match (&result, recorder.on_failure) {
        (Ok(()), _) => {
            recorder.metrics.committed(writing.elapsed());
            recorder.metrics.event(action, outcome);
        }
        (Err(StoreError::Closed), _) => {}
        (Err(error), OnFailure::Forward) => {
            recorder.metrics.event_failed();
            tracing::error!(%error, event = %id, %action, %outcome, "A change was made and is not in the trail");
        }
        (Err(_), OnFailure::Refuse) => {
            recorder.metrics.event_failed();
            let again = Arc::clone(recorder);
            recorder.tasks.spawn(async move {
                let _slot = slot;
                loop {
                    sleep(RETRY).await;
                    match again.trail.complete(draft.clone(), learned.clone()).await {
                        Ok(()) => return again.metrics.event(action, outcome),
                        Err(StoreError::Closed) => return,
                        Err(error) => {
                            again.metrics.event_failed();
                            tracing::error!(%error, "An event still cannot be written");
                        }
                    }
                }
            });
        }
    }
    result
}

fn with_event(mut answer: Answer, event: EventId) -> Answer {
    if let Ok(event) = HeaderValue::try_from(event.to_string()) {
        answer.headers_mut().insert(EVENT_ID, event);
    }
    answer
}

fn upstream_request_id(headers: &HeaderMap) -> Option<String> {
    let id = headers
        .get("x-toggl-request-id")
        .or_else(|| headers.get("x-request-id"))?;
    Some(id.to_str().ok()?.to_owned())
}

// === impl Recorder ===

impl Recorder {
    pub(super) fn records(&self, action: Action) -> bool {
        self.scope == Scope::All || action.touches_groups()
    }
}
