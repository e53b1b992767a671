use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use serde_json::json;
use tokio::time::{Instant, advance};
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower_test::mock::Handle;

use super::*;
use crate::body::{Body, BoxError, Collected};
use crate::clock::Clock;
use crate::domain::action::Outcome;
use crate::domain::usage::{Counts, Pool};
use crate::layers::spare::Spare;
use crate::layers::{pace, testing};
use crate::quota::{Pace, Settings};

const GROUPS: &str = "/api/v9/organizations/1/groups";
const MESSAGE: &str = "You have hit your hourly limit of 30 API requests for organization 1. \
                       The quota will reset in 600 seconds.";

type Inner = testing::Inner<Call>;
/// Changes wait further out than reads, for the same turns.
type Both = pace::Pace<Quota<Inner>>;
type Waits = task::Spawn<<Both as Service<Call>>::Future>;

struct Stack {
    policy: Policy,
    service: tower_test::mock::Spawn<Both>,
    upstream: Handle<Call, Answer>,
}

impl Stack {
    fn new() -> Self {
        Self::with(Settings::default())
    }

    fn with(settings: Settings) -> Self {
        let policy = Policy::new(settings, Clock::from_fn(|| jiff::Timestamp::UNIX_EPOCH));
        let (inner, upstream) = testing::inner();
        let inner = QuotaLayer::new(policy.clone(), Metrics::new()).layer(inner);
        let layer = pace::PaceLayer::new(policy.clone(), Metrics::new());
        Self {
            policy,
            service: tower_test::mock::Spawn::new(layer.layer(inner)),
            upstream,
        }
    }

    fn ask(&mut self, call: Call) -> Waits {
        assert_ready_ok!(self.service.poll_ready());
        task::spawn(self.service.get_mut().call(call))
    }

    async fn answer(&mut self, answer: Answer) {
        let (_, send) = self.upstream.next_request().await.unwrap();
        send.send_response(answer);
    }

    /// Ann reads, and upstream answers that.
    async fn read(&mut self, answer: Answer) -> Answer {
        let mut asked = self.ask(testing::get("ann", GROUPS));
        self.answer(answer).await;
        assert_ready_ok!(asked.poll())
    }

    fn counts(&self) -> Counts {
        let usage = self.policy.take().usage.into_iter();
        usage.fold(Counts::default(), |sum, usage| sum.plus(usage.counts))
    }

    fn assert_idle(&mut self) {
        let mut request = task::spawn(self.upstream.next_request());
        assert_pending!(request.poll());
    }
}

fn told(status: u16, remaining: u64, resets_in: u64) -> Answer {
    Response::builder()
        .status(status)
        .header("x-toggl-quota-remaining", remaining)
        .header("x-toggl-quota-resets-in", resets_in)
        .body(Body::empty())
        .unwrap()
}

fn exhausted() -> Answer {
    told(402, 0, 600).map(|_| Body::full(MESSAGE))
}

fn plain(status: u16, body: &'static str) -> Answer {
    let answer = Response::builder().status(status);
    answer.body(Body::full(body)).unwrap()
}

fn page(status: u16) -> Answer {
    let answer = Response::builder().status(status);
    let answer = answer.header("content-type", "text/html");
    answer.body(Body::full("<html></html>")).unwrap()
}

async fn text(answer: Answer) -> String {
    match answer.into_body().collect_up_to(10_000).await.unwrap() {
        Collected::Whole(body) => String::from_utf8(body.to_vec()).unwrap(),
        Collected::Over(_) => panic!("long"),
    }
}

fn refused(error: &ProxyError) -> (&str, u64) {
    match error {
        ProxyError::QuotaExhausted { message, resets_in } => (message, resets_in.as_secs()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_upstream_answers_passes_unchanged_and_is_counted() {
    let mut stack = Stack::new();
    let answer = stack.read(plain(200, "[]")).await;
    assert_eq!(text(answer).await, "[]");
    let answer = stack.read(exhausted()).await;
    assert_eq!(answer.headers()["x-toggl-quota-remaining"], "0");
    assert_eq!(text(answer).await, MESSAGE);
    assert_eq!(
        stack.counts(),
        Counts {
            upstream: 2,
            limited: 1,
            ..Counts::default()
        }
    );
}

#[tokio::test(start_paused = true)]
async fn nobodys_requests_are_neither_held_back_nor_counted() {
    let mut stack = Stack::new();
    for _ in 0..2 {
        let request = http::Request::get(GROUPS).body(Body::empty()).unwrap();
        let mut asked = stack.ask(testing::call(request));
        stack.answer(exhausted()).await;
        assert_eq!(assert_ready_ok!(asked.poll()).status(), 402);
    }
    assert_eq!(stack.counts(), Counts::default());
}

#[tokio::test(start_paused = true)]
async fn in_a_closed_hour_reads_are_refused_with_the_remembered_message_and_changes_try() {
    let mut stack = Stack::new();
    stack.read(exhausted()).await;
    advance(Duration::from_secs(60)).await;
    for path in [GROUPS, "/api/v9/organizations/1/users"] {
        let error = assert_ready_err!(stack.ask(testing::get("ann", path)).poll());
        assert_eq!(refused(&error), (MESSAGE, 540));
    }
    stack.assert_idle();
    for other in [
        testing::get("bob", GROUPS),
        testing::get("ann", "/api/v9/organizations/2/groups"),
        testing::get("ann", "/api/v9/me"),
        testing::rename_group(1),
    ] {
        let mut asked = stack.ask(other);
        stack.answer(plain(200, "")).await;
        assert_ready_ok!(asked.poll());
    }
    assert_eq!(stack.counts().refused, 2);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_let_in_opens_the_hour() {
    let mut stack = Stack::new();
    stack.read(exhausted()).await;
    advance(Duration::from_secs(1)).await;
    let mut change = stack.ask(testing::rename_group(1));
    stack.answer(told(200, 3, 500)).await;
    assert_ready_ok!(change.poll());
    assert_eq!(stack.read(plain(200, "[]")).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn the_plans_402_says_nothing_of_other_requests() {
    let mut stack = Stack::new();
    for plan in [
        plain(
            402,
            "\"This feature is not available on your current plan\"",
        ),
        told(402, 17, 600),
    ] {
        assert_eq!(stack.read(plan).await.status(), 402);
        assert_eq!(stack.read(plain(200, "[]")).await.status(), 200);
    }
    assert_eq!(stack.counts().limited, 0);
}

/// The plan's answer, in pieces with a pause between them, and trailers behind.
fn in_pieces(pause: Duration) -> Answer {
    let frames = ["This feature ", "is not available"]
        .map(|text| Frame::data(Bytes::from_static(text.as_bytes())));
    let trailers = HeaderMap::from_iter([(
        HeaderName::from_static("x-sum"),
        HeaderValue::from_static("29"),
    )]);
    let frames = stream::iter(frames.into_iter().chain([Frame::trailers(trailers)]));
    let frames = frames.then(move |frame| async move {
        tokio::time::sleep(pause).await;
        Ok::<_, BoxError>(frame)
    });
    let body = Body::boxed(StreamBody::new(frames));
    Response::builder().status(402).body(body).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_402_comes_whole_with_its_trailers_however_slowly() {
    // Read here to its end, cut off in the middle by our patience, and before anything has come.
    for pause in [0, 2, 4, 6] {
        let pause = Duration::from_secs(pause);
        let mut stack = Stack::new();
        let asked = tokio::spawn(stack.ask(testing::get("ann", GROUPS)));
        let start = Instant::now();
        stack.answer(in_pieces(pause)).await;
        let answer = asked.await.unwrap().unwrap();
        assert!(start.elapsed() <= Duration::from_secs(6), "the head comes");
        let body = answer.into_body().collect().await.unwrap();
        assert_eq!(body.trailers().unwrap()["x-sum"], "29", "{pause:?}");
        assert_eq!(body.to_bytes(), "This feature is not available");
        assert_eq!(stack.counts().limited, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_402_that_is_cut_off_is_cut_off_where_upstream_did() {
    let mut stack = Stack::new();
    let frames = [
        Ok(Frame::data(Bytes::from_static(b"This feature "))),
        Err(BoxError::from("cut off")),
    ];
    let body = Body::boxed(StreamBody::new(stream::iter(frames)));
    let answer = Response::builder().status(402).body(body).unwrap();
    let mut body = stack.read(answer).await.into_body();
    let read = body.frame().await.unwrap().unwrap();
    assert_eq!(read.into_data().unwrap(), "This feature ");
    assert!(body.frame().await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn after_the_reset_one_request_tries_and_if_it_is_dropped_another() {
    let mut stack = Stack::new();
    stack.read(exhausted()).await;
    advance(Duration::from_secs(600)).await;
    let probe = stack.ask(testing::get("ann", GROUPS));
    let error = assert_ready_err!(stack.ask(testing::get("ann", GROUPS)).poll());
    assert_eq!(refused(&error).1, 1);
    drop(probe);
    let _ = stack.upstream.next_request().await.unwrap();

    let mut failing = stack.ask(testing::get("ann", GROUPS));
    let (_, send) = stack.upstream.next_request().await.unwrap();
    send.send_error(ProxyError::lost("gone"));
    assert_ready_err!(failing.poll());

    assert_eq!(stack.read(told(200, 5, 600)).await.status(), 200);
    assert_eq!(stack.read(told(200, 4, 600)).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_limited_read_is_asked_once_more_when_its_time_has_come() {
    for limit in [page(429), page(400), plain(429, "slow down")] {
        let mut stack = Stack::new();
        let start = Instant::now();
        let mut asked = stack.ask(testing::get("ann", GROUPS));
        stack.answer(limit).await;
        assert_pending!(asked.poll());
        let asked = tokio::spawn(asked);
        let (call, send) = stack.upstream.next_request().await.unwrap();
        let waited = start.elapsed();
        assert!(
            (1000..1500).contains(&waited.as_millis()),
            "a second and some jitter: {waited:?}"
        );
        assert_eq!(call.request.uri(), GROUPS);
        assert!(call.request.headers().contains_key("authorization"));
        send.send_response(page(429));
        let answer = asked.await.unwrap().unwrap();
        assert_eq!(answer.status(), 429, "once, and no second time");
        assert_eq!(text(answer).await, "<html></html>");
        let counts = stack.counts();
        assert_eq!((counts.upstream, counts.limited), (2, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_sent_twice_or_has_no_time_for_it_gets_the_429() {
    let short = Settings {
        max_wait: Duration::from_millis(900),
        ..Settings::default()
    };
    let body = json!({});
    let report = "/reports/api/v3/workspace/2/search/time_entries";
    for (settings, call) in [
        (Settings::default(), testing::rename_group(1)),
        (
            Settings::default(),
            testing::change("ann", Method::POST, report, &body),
        ),
        (short, testing::get("ann", GROUPS)),
    ] {
        let mut stack = Stack::with(settings);
        let mut asked = stack.ask(call);
        stack.answer(page(429)).await;
        assert_eq!(assert_ready_ok!(asked.poll()).status(), 429);
        stack.assert_idle();
    }
    let mut stack = Stack::new();
    let mut asked = stack.ask(testing::get("ann", GROUPS));
    let mut late = page(429);
    late.headers_mut()
        .insert("retry-after", "60".parse().unwrap());
    stack.answer(late).await;
    assert_eq!(assert_ready_ok!(asked.poll()).status(), 429, "not in time");
}

#[tokio::test(start_paused = true)]
async fn what_uses_up_a_code_is_never_asked_twice() {
    for path in [
        "/api/v9/integrations/calendar/callback/google?code=s3cret&state=x",
        "/api/v9/auth/saml2/login?email=ann@acme.example",
        "/api/v9/desktop_login?login_token=s3cret",
        "/api/v9/auth/brand_new?code=s3cret",
    ] {
        let mut stack = Stack::new();
        let mut asked = stack.ask(testing::get("ann", path));
        stack.answer(page(400)).await;
        assert_eq!(assert_ready_ok!(asked.poll()).status(), 400, "{path}");
        stack.assert_idle();
        assert_eq!(stack.counts().upstream, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_endless_wait_is_passed_on_and_waited_for_by_nobody() {
    for pace in [Pace::AfterLimit, Pace::Never] {
        let mut stack = Stack::with(Settings {
            pace,
            ..Settings::default()
        });
        let mut endless = page(429);
        let seconds = u64::MAX.to_string().parse().unwrap();
        endless.headers_mut().insert("retry-after", seconds);
        let answer = stack.read(endless).await;
        assert_eq!(answer.headers()["retry-after"], u64::MAX.to_string());
        stack.assert_idle();
    }
}

#[tokio::test(start_paused = true)]
async fn a_bad_request_of_the_service_itself_is_no_limit() {
    let mut stack = Stack::new();
    let answer = stack.read(plain(400, "\"Invalid number\"")).await;
    assert_eq!(answer.status(), 400);
    assert_eq!(stack.counts().limited, 0);
}

#[tokio::test(start_paused = true)]
async fn without_pacing_a_limited_read_is_still_asked_once_more() {
    let mut stack = Stack::with(Settings {
        pace: Pace::Never,
        ..Settings::default()
    });
    let mut asked = stack.ask(testing::get("ann", GROUPS));
    stack.answer(page(429)).await;
    assert_pending!(asked.poll());
    let asked = tokio::spawn(asked);
    stack.answer(plain(200, "[]")).await;
    assert_eq!(asked.await.unwrap().unwrap().status(), 200);
    assert_eq!(stack.read(plain(200, "[]")).await.status(), 200, "at once");
}

#[tokio::test(start_paused = true)]
async fn a_spaced_tokens_changes_go_before_its_reads_and_what_is_too_much_is_refused_unsent() {
    let mut stack = Stack::new();
    let mut change = stack.ask(testing::rename_group(1));
    stack.answer(page(429)).await;
    assert_ready_ok!(change.poll());

    let mut reads: Vec<_> = (0..9)
        .map(|_| stack.ask(testing::get("ann", GROUPS)))
        .collect();
    for read in &mut reads {
        assert_pending!(read.poll());
    }
    let mut refused = stack.ask(testing::get("ann", GROUPS));
    let error = assert_ready_err!(refused.poll());
    assert!(matches!(error, ProxyError::Paced { .. }), "{error:?}");
    assert_eq!(error.outcome(), Outcome::NotSent);
    let mut change = stack.ask(testing::rename_group(1));
    assert_pending!(change.poll());
    let mut other = stack.ask(testing::get("bob", GROUPS));
    stack.answer(plain(200, "[]")).await;
    assert_ready_ok!(other.poll());

    advance(Duration::from_millis(1600)).await;
    for read in &mut reads {
        assert_pending!(read.poll());
    }
    assert_pending!(change.poll());
    let (first, send) = stack.upstream.next_request().await.unwrap();
    assert_eq!(first.request.method(), "PUT");
    send.send_response(plain(200, ""));
    assert_ready_ok!(change.poll());
    assert_eq!(stack.counts().refused, 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_change_needs_is_asked_for_before_the_reads_of_its_token() {
    let mut stack = Stack::new();
    let mut change = stack.ask(testing::rename_group(1));
    stack.answer(page(429)).await;
    assert_ready_ok!(change.poll());
    let mut reads: Vec<_> = (0..9)
        .map(|_| stack.ask(testing::get("ann", "/api/v9/organizations/1/users")))
        .collect();
    for read in &mut reads {
        assert_pending!(read.poll());
    }
    let mut list = testing::get("ann", GROUPS);
    list.origin.priority = Priority::Change;
    let mut list = stack.ask(list);
    assert_pending!(list.poll());
    advance(Duration::from_millis(1600)).await;
    assert_pending!(reads[0].poll());
    assert_pending!(list.poll());
    let (first, _) = stack.upstream.next_request().await.unwrap();
    assert_eq!(first.request.uri(), GROUPS);
}

#[tokio::test(start_paused = true)]
async fn who_would_be_refused_after_the_wait_is_refused_before_it() {
    let mut stack = Stack::new();
    let mut change = stack.ask(testing::rename_group(1));
    stack.answer(page(429)).await;
    assert_ready_ok!(change.poll());
    let now = Instant::now();
    let seat = stack.policy.seat(
        testing::get("ann", GROUPS).caller.unwrap().fingerprint,
        Pool::of(Some(crate::domain::ids::OrganizationId(1))),
    );
    let pass = seat.admit(Priority::Change, now).unwrap();
    let gone = crate::quota::Exhausted {
        message: None,
        resets_in: Duration::from_secs(60),
    };
    pass.heard(crate::quota::Heard::Exhausted(gone), now);
    let error = assert_ready_err!(stack.ask(testing::get("ann", GROUPS)).poll());
    assert_eq!(
        refused(&error),
        ("Nothing is left of this hour's quota.", 60)
    );
}

#[tokio::test(start_paused = true)]
async fn what_reached_nobody_was_not_spent() {
    let mut stack = Stack::new();
    let mut asked = stack.ask(testing::get("ann", GROUPS));
    let (_, send) = stack.upstream.next_request().await.unwrap();
    send.send_error(ProxyError::ConnectFailed(std::sync::Arc::new(
        "refused".into(),
    )));
    assert_ready_err!(asked.poll());
    assert_eq!(stack.counts(), Counts::default());

    // It fails in the hour after the one in which it went.
    let mut asked = stack.ask(testing::get("ann", GROUPS));
    let (_, send) = stack.upstream.next_request().await.unwrap();
    advance(Duration::from_secs(3600)).await;
    send.send_error(ProxyError::ConnectFailed(std::sync::Arc::new(
        "refused".into(),
    )));
    assert_ready_err!(asked.poll());
    assert!(
        stack.policy.take().usage.is_empty(),
        "no hour is below zero"
    );

    let asked = stack.ask(testing::get("ann", GROUPS));
    let _ = stack.upstream.next_request().await.unwrap();
    drop(asked);
    assert_eq!(stack.counts().upstream, 1, "sent, though nobody waited");
}

#[tokio::test(start_paused = true)]
async fn what_upstream_told_is_kept_unless_it_refused_the_credential() {
    for (answer, is_kept) in [
        (told(404, 5, 600), true),
        (exhausted(), true),
        (told(403, 5, 600), false),
    ] {
        let mut stack = Stack::new();
        let status = stack.read(answer).await.status();
        let now = Instant::now();
        for number in 0..12_000 {
            let other = testing::get(&number.to_string(), GROUPS);
            let caller = other.caller.unwrap().fingerprint;
            let _ = stack
                .policy
                .seat(caller, Pool::of_endpoint(&other.endpoint));
        }
        let _ = stack.policy.take();
        let ann = testing::get("ann", GROUPS);
        let (caller, pool) = (
            ann.caller.unwrap().fingerprint,
            Pool::of_endpoint(&ann.endpoint),
        );
        let last = stack.policy.last(caller, pool, now);
        assert_eq!(last.is_some(), is_kept, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_again_further_in_is_counted_for_each_time() {
    let mut stack = Stack::new();
    let mut asked = stack.ask(testing::get("ann", GROUPS));
    let (call, send) = stack.upstream.next_request().await.unwrap();
    let spare = call.request.extensions().get::<Spare>();
    spare.expect("a read may be sent again").tell();
    send.send_response(plain(200, "[]"));
    assert_ready_ok!(asked.poll());
    assert_eq!(stack.counts().upstream, 2);

    // The first may have come through, the second reached nobody.
    let mut asked = stack.ask(testing::get("ann", GROUPS));
    let (call, send) = stack.upstream.next_request().await.unwrap();
    call.request.extensions().get::<Spare>().unwrap().tell();
    send.send_error(ProxyError::ConnectFailed(std::sync::Arc::new(
        "refused".into(),
    )));
    assert_ready_err!(asked.poll());
    assert_eq!(stack.counts().upstream, 1);

    let mut change = stack.ask(testing::rename_group(1));
    let (call, send) = stack.upstream.next_request().await.unwrap();
    assert!(call.request.extensions().get::<Spare>().is_none());
    send.send_response(plain(200, ""));
    assert_ready_ok!(change.poll());
}

#[tokio::test(start_paused = true)]
async fn it_is_ready_when_what_is_inside_is() {
    let (inner, mut upstream) = testing::inner();
    let layer = QuotaLayer::new(Policy::default(), Metrics::new());
    let mut service = tower_test::mock::Spawn::new(layer.layer(inner));
    upstream.allow(0);
    assert_pending!(service.poll_ready());
    upstream.allow(1);
    assert_ready_ok!(service.poll_ready());
}
