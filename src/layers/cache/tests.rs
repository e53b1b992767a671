mod checker;
mod filtered;
mod isolation;
mod shared;
mod stale;

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use http::{Method, Response, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::json;
use tokio::time::advance;
use tokio_test::assert_ready_ok;
use tower_test::mock::{Handle, SendResponse, Spawn};

use super::*;
use crate::body::Body;
use crate::cache::verdict::Freshness;
use crate::domain::action::Outcome;
use crate::domain::endpoint::Touches;
use crate::domain::ids::{GroupId, OrganizationId};
use crate::layers::testing;
use crate::store::memory::MemoryStore;

const LIST: &str = "/api/v9/organizations/1/groups";
const BODY: &str = r#"[{"group_id":7,"name":"Design","users":null,"workspaces":[3]}]"#;
const TTL: Duration = Duration::from_secs(60);

/// A cache over upstream's stand-in.
struct Setup {
    service: Spawn<Cache<testing::Inner<Call>>>,
    upstream: Handle<Call, Answer>,
    epochs: Arc<Epochs>,
    store: MemoryStore,
    quota: Quota,
    filters: Filters,
}

fn setup() -> Setup {
    setup_with(crate::config::Filters::Off)
}

fn setup_with(mode: crate::config::Filters) -> Setup {
    let filters = Filters::new(mode);
    let epochs = Epochs::with_grace(Duration::ZERO);
    let store = MemoryStore::new();
    let freshness = Freshness {
        ttl: TTL,
        while_revalidate: TTL / 2,
        if_error: TTL * 60,
        refusal: TTL / 6,
    };
    let layer = CacheLayer {
        filters: filters.clone(),
        fills: Fills::new(8),
        ..layer(Arc::clone(&epochs), Arc::new(store.clone()), freshness)
    };
    let quota = layer.quota.clone();
    let (inner, upstream) = testing::inner();
    Setup {
        service: Spawn::new(layer.layer(inner)),
        upstream,
        epochs,
        store,
        quota,
        filters,
    }
}

/// An empty cache that believes `epochs`.
fn layer(epochs: Arc<Epochs>, known: Arc<dyn KnownGroups>, freshness: Freshness) -> CacheLayer {
    let metrics = Metrics::new();
    let longest = freshness.ttl * 100;
    CacheLayer {
        lists: Some(Lists::new(1 << 20, longest, Arc::clone(&epochs), &metrics)),
        fills: Fills::new(1024),
        tags: Tags::new(),
        epochs,
        known,
        freshness: freshness.into(),
        filters: Filters::new(crate::config::Filters::Off),
        quota: Quota::default(),
        max_entry_size: 1 << 10,
        body_timeout: Duration::from_secs(30),
        clock: Clock::system(),
        metrics,
    }
}

impl Setup {
    fn call(&mut self, call: Call) -> <Cache<testing::Inner<Call>> as Service<Call>>::Future {
        assert_ready_ok!(self.service.poll_ready());
        self.service.call(call)
    }

    /// What upstream is asked next.
    async fn asked(&mut self) -> (Call, SendResponse<Answer>) {
        self.upstream.next_request().await.unwrap()
    }

    /// A read that goes upstream and is answered with `body`.
    async fn fetched(&mut self, call: Call, status: u16, body: &'static str) -> Answer {
        let answer = tokio::spawn(self.call(call));
        let (_, reply) = self.asked().await;
        reply.send_response(upstreams(status, body));
        answer.await.unwrap().unwrap()
    }

    /// A read that must not go upstream.
    async fn kept(&mut self, call: Call) -> Answer {
        self.call(call).await.unwrap()
    }
}

fn upstreams(status: u16, body: &'static str) -> Answer {
    let answer = Response::builder()
        .status(status)
        .header("set-cookie", "GCLB=1")
        .header("x-toggl-quota-remaining", "3");
    answer.body(Body::full(body)).unwrap()
}

fn status(answer: &Answer) -> &str {
    answer.headers()[CACHE_STATUS].to_str().unwrap()
}

fn with_header(mut call: Call, name: &'static str, value: &str) -> Call {
    call.request
        .headers_mut()
        .insert(name, value.parse().unwrap());
    call
}

#[tokio::test(start_paused = true)]
async fn a_list_is_fetched_once_and_kept_for_its_time() {
    let mut setup = setup();
    let first = setup.fetched(testing::get("ann", LIST), 200, BODY).await;
    assert_eq!(status(&first), "tollgate; fwd=uri-miss; stored");
    advance(Duration::from_secs(10)).await;
    let hit = setup.kept(testing::get("ann", LIST)).await;
    assert_eq!(status(&hit), "tollgate; hit; ttl=50");
    assert_eq!(hit.headers()["age"], "10");
    for own in ["set-cookie", "x-toggl-quota-remaining"] {
        assert!(
            first.headers().contains_key(own) && !hit.headers().contains_key(own),
            "{own}"
        );
    }
    assert_eq!(hit.into_body().collect().await.unwrap().to_bytes(), BODY);
    advance(TTL / 2 + Duration::from_secs(50)).await;
    let renewed = setup.fetched(testing::get("ann", LIST), 200, BODY).await;
    assert_eq!(status(&renewed), "tollgate; fwd=stale; stored");
}

#[tokio::test(start_paused = true)]
async fn nobody_gets_what_another_fetched() {
    let mut setup = setup();
    setup.fetched(testing::get("ann", LIST), 200, BODY).await;
    let bobs = setup.fetched(testing::get("bob", LIST), 200, "[]").await;
    assert_eq!(status(&bobs), "tollgate; fwd=uri-miss; stored");
    let nobodys = testing::get("ann", LIST).map_caller(|_| None);
    let answer = setup.fetched(nobodys, 200, BODY).await;
    assert_eq!(
        status(&answer),
        "tollgate; fwd=bypass; detail=no-credential"
    );
}

#[tokio::test(start_paused = true)]
async fn a_refusal_drops_all_that_the_caller_has() {
    for refused in [401, 403] {
        let mut setup = setup();
        setup.fetched(testing::get("ann", LIST), 200, BODY).await;
        setup.fetched(testing::get("bob", LIST), 200, BODY).await;
        setup
            .fetched(testing::get("ann", "/api/v9/me"), refused, "")
            .await;
        setup.kept(testing::get("bob", LIST)).await;
        let again = setup.fetched(testing::get("ann", LIST), 200, BODY).await;
        assert_eq!(status(&again), "tollgate; fwd=uri-miss; stored");
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_list_that_is_promised_is_stored() {
    let mut setup = setup();
    for (code, body) in [
        (200, "<html>"),
        (200, r#"[{"id":1}]"#),
        (200, "{}"),
        (401, "[]"),
        (500, "[]"),
        (402, "no"),
    ] {
        let answer = setup.fetched(testing::get("ann", LIST), code, body).await;
        assert_eq!(status(&answer), "tollgate; fwd=uri-miss", "{code} {body}");
        assert_eq!(answer.status().as_u16(), code);
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), body);
    }
    let varying = tokio::spawn(setup.call(testing::get("ann", LIST)));
    let (_, reply) = setup.asked().await;
    let mut answer = upstreams(200, BODY);
    answer
        .headers_mut()
        .insert("vary", "Accept-Encoding, Accept-Language".parse().unwrap());
    reply.send_response(answer);
    assert_eq!(
        status(&varying.await.unwrap().unwrap()),
        "tollgate; fwd=uri-miss"
    );
}

#[tokio::test(start_paused = true)]
async fn a_list_from_before_a_change_is_neither_stored_nor_joined() {
    let mut setup = setup();
    let slow = tokio::spawn(setup.call(testing::get("ann", LIST)));
    let (_, old) = setup.asked().await;
    let flight = setup
        .epochs
        .close(Touches::Organization(OrganizationId(1), None));
    let during = setup.fetched(testing::get("bob", LIST), 200, BODY).await;
    assert_eq!(
        status(&during),
        "tollgate; fwd=bypass; detail=change-in-flight"
    );
    flight.land(Outcome::Applied);
    // The read after the change finds the old fetch still under way, and must not join it.
    let after = setup.fetched(testing::get("ann", LIST), 200, "[]").await;
    assert_eq!(after.into_body().collect().await.unwrap().to_bytes(), "[]");
    old.send_response(upstreams(200, BODY));
    assert_eq!(
        status(&slow.await.unwrap().unwrap()),
        "tollgate; fwd=uri-miss"
    );
    let kept = setup.kept(testing::get("ann", LIST)).await;
    assert_eq!(kept.into_body().collect().await.unwrap().to_bytes(), "[]");
}

#[tokio::test(start_paused = true)]
async fn equal_reads_share_a_fetch_and_its_error_and_none_is_lost_with_the_first() {
    let mut setup = setup();
    let first = tokio::spawn(setup.call(testing::get("ann", LIST)));
    let (_, reply) = setup.asked().await;
    let second = tokio::spawn(setup.call(testing::get("ann", LIST)));
    tokio::task::yield_now().await;
    first.abort();
    reply.send_response(upstreams(200, BODY));
    let joined = second.await.unwrap().unwrap();
    assert_eq!(status(&joined), "tollgate; fwd=uri-miss; collapsed");
    assert!(!joined.headers().contains_key("set-cookie"));

    setup
        .epochs
        .close(Touches::Everything)
        .land(Outcome::Applied);
    let failing = tokio::spawn(setup.call(testing::get("ann", LIST)));
    let (_, reply) = setup.asked().await;
    reply.send_error(ProxyError::lost("reset"));
    assert!(matches!(
        failing.await.unwrap(),
        Err(ProxyError::ConnectionLost(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_wants_it_new_does_not_join_an_older_fetch() {
    let mut setup = setup();
    let slow = tokio::spawn(setup.call(testing::get("ann", LIST)));
    let (_, old) = setup.asked().await;
    let no_cache = with_header(testing::get("ann", LIST), "cache-control", "no-cache");
    let new = setup.fetched(no_cache, 200, "[]").await;
    assert_eq!(status(&new), "tollgate; fwd=request; stored");
    old.send_response(upstreams(200, BODY));
    slow.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_unchanged_list_is_told_by_its_validator() {
    let mut setup = setup();
    let first = setup.fetched(testing::get("ann", LIST), 200, BODY).await;
    let etag = first.headers()["etag"].to_str().unwrap().to_owned();
    let asked = with_header(testing::get("ann", LIST), "if-none-match", &etag);
    let unchanged = setup.kept(asked).await;
    assert_eq!(unchanged.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(
        unchanged.into_body().collect().await.unwrap().to_bytes(),
        ""
    );
    let other = with_header(testing::get("ann", LIST), "if-none-match", "\"other\"");
    assert_eq!(setup.kept(other).await.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn upstream_is_asked_for_the_whole_list_as_it_is() {
    let mut setup = setup();
    let mut call = with_header(testing::get("ann", LIST), "if-none-match", "\"old\"");
    call = with_header(call, "accept-encoding", "br, gzip;q=0.5");
    let _answer = tokio::spawn(setup.call(call));
    let (asked, _) = setup.asked().await;
    assert!(!asked.request.headers().contains_key("if-none-match"));
    assert_eq!(asked.request.headers()["accept-encoding"], "gzip");
    let refusing = with_header(testing::get("bob", LIST), "accept-encoding", "gzip;q=0");
    let _answer = tokio::spawn(setup.call(refusing));
    assert_eq!(
        setup.asked().await.0.request.headers()["accept-encoding"],
        "identity"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_passes_through_and_is_not_kept() {
    let large: &'static str = Box::leak(format!("[{}]", " ".repeat(2000)).into_boxed_str());
    let mut setup = setup();
    for _ in 0..2 {
        let answer = setup.fetched(testing::get("ann", LIST), 200, large).await;
        assert_eq!(status(&answer), "tollgate; fwd=uri-miss");
        assert_eq!(
            answer.into_body().collect().await.unwrap().to_bytes(),
            large
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_it_does_not_treat_goes_through_untouched() {
    let mut setup = setup();
    let read = setup
        .fetched(testing::get("ann", "/api/v9/me"), 200, "{}")
        .await;
    assert_eq!(status(&read), "tollgate; fwd=bypass; detail=not-cached");
    assert!(read.headers().contains_key("set-cookie"));
    let change = testing::change("ann", Method::POST, "/api/v9/workspaces/3/tags", &json!({}));
    assert_eq!(
        status(&setup.fetched(change, 200, "").await),
        "tollgate; fwd=method"
    );
    let part = with_header(testing::get("ann", LIST), "range", "bytes=0-1");
    assert_eq!(
        status(&setup.fetched(part, 200, BODY).await),
        "tollgate; fwd=bypass; detail=not-cached"
    );
}

#[tokio::test(start_paused = true)]
async fn a_list_tells_what_the_trail_will_need_to_know() {
    let mut setup = setup();
    setup.fetched(testing::get("ann", LIST), 200, BODY).await;
    let group = setup.store.group(GroupId(7), None).await.unwrap().unwrap();
    assert_eq!(group.name, "Design");
    // The workspace is known to be the organization's now, so a change there leaves others alone.
    setup
        .fetched(
            testing::get("ann", "/api/v9/organizations/2/groups"),
            200,
            "[]",
        )
        .await;
    setup
        .epochs
        .close(Touches::Workspace(crate::domain::ids::WorkspaceId(3)))
        .land(Outcome::Applied);
    setup
        .kept(testing::get("ann", "/api/v9/organizations/2/groups"))
        .await;
    setup.fetched(testing::get("ann", LIST), 200, BODY).await;
}

#[tokio::test]
async fn it_is_ready_only_if_what_is_inside_is() {
    let mut setup = setup();
    setup.upstream.allow(0);
    assert!(setup.service.poll_ready().is_pending());
    setup.upstream.allow(1);
    assert_ready_ok!(setup.service.poll_ready());
}
