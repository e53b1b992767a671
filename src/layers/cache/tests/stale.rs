//! Older lists: when they are given out, and when never.

use flate2::read::GzDecoder;
use std::io::Read as _;

use super::*;

const REVALIDATING: &str = "tollgate; hit; ttl=-12; detail=revalidating";
const QUOTA: &str = "tollgate; hit; ttl=-120; detail=quota";

/// A cache with a list of Ann's that is so old.
async fn aged(age: Duration) -> Setup {
    let mut setup = setup();
    setup.fetched(testing::get("ann", LIST), 200, BODY).await;
    advance(age).await;
    setup
}

async fn text(answer: Answer) -> String {
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

/// What upstream told of the quota.
fn told(setup: &Setup, remaining: u64) {
    let caller = testing::get("ann", LIST).caller.unwrap().fingerprint;
    let reading = Reading {
        remaining,
        resets_at: Instant::now() + TTL * 30,
    };
    let pool = Pool::Organization(OrganizationId(1));
    setup.quota.note(caller, pool, Instant::now(), reading);
}

#[tokio::test(start_paused = true)]
async fn just_past_its_time_it_is_given_out_and_fetched_once_for_the_next() {
    let mut setup = aged(TTL + Duration::from_secs(12)).await;
    let mut stale = Vec::new();
    for _ in 0..5 {
        stale.push(setup.kept(testing::get("ann", LIST)).await);
    }
    let (asked, reply) = setup.asked().await;
    assert_eq!(asked.request.uri().path(), LIST);
    for answer in stale {
        assert_eq!(status(&answer), REVALIDATING);
        assert_eq!(answer.headers()["age"], "72");
        assert_eq!(text(answer).await, BODY);
    }
    reply.send_response(upstreams(200, "[]"));
    let renewed = loop {
        let answer = setup.kept(testing::get("ann", LIST)).await;
        if status(&answer) == "tollgate; hit; ttl=60" {
            break answer;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(text(renewed).await, "[]");
    assert!(setup.upstream.next_request().now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_revalidation_from_before_a_change_is_not_kept() {
    let mut setup = aged(TTL).await;
    setup.kept(testing::get("ann", LIST)).await;
    let (_, reply) = setup.asked().await;
    setup
        .epochs
        .close(Touches::Organization(OrganizationId(1), None))
        .land(Outcome::Applied);
    reply.send_response(upstreams(200, BODY));
    let after = setup.fetched(testing::get("ann", LIST), 200, "[]").await;
    assert_eq!(status(&after), "tollgate; fwd=uri-miss; stored");
    assert_eq!(text(after).await, "[]");
}

#[tokio::test(start_paused = true)]
async fn when_upstream_fails_it_is_given_out_and_says_so() {
    let old = TTL + Duration::from_secs(300);
    for (code, kind) in [
        (429, ""),
        (500, ""),
        (502, ""),
        (503, ""),
        (400, "text/html"),
    ] {
        let mut setup = aged(old).await;
        let answer = tokio::spawn(setup.call(testing::get("ann", LIST)));
        let (_, reply) = setup.asked().await;
        let mut failed = upstreams(code, "<html>");
        failed
            .headers_mut()
            .insert("content-type", kind.parse().unwrap());
        reply.send_response(failed);
        let answer = answer.await.unwrap().unwrap();
        let expected =
            format!("tollgate; fwd=stale; fwd-status={code}; ttl=-300; detail=stale-if-error");
        assert_eq!(status(&answer), expected);
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["age"], "360");
        assert_eq!(text(answer).await, BODY);
    }
    let unanswered = "tollgate; fwd=stale; ttl=-300; detail=stale-if-error";
    for error in [
        ProxyError::lost("reset"),
        ProxyError::Timeout(TTL),
        ProxyError::ConnectFailed(Arc::new("refused".into())),
    ] {
        let mut setup = aged(old).await;
        let answer = tokio::spawn(setup.call(testing::get("ann", LIST)));
        setup.asked().await.1.send_error(error);
        assert_eq!(status(&answer.await.unwrap().unwrap()), unanswered);
    }
}

#[tokio::test(start_paused = true)]
async fn what_upstream_refuses_is_no_failure() {
    for code in [400, 401, 402, 403, 404] {
        let mut setup = aged(TTL * 2).await;
        let answer = setup.fetched(testing::get("ann", LIST), code, "no").await;
        assert_eq!(
            answer.status().as_u16(),
            code,
            "a 402 without a word of the quota is the plan's"
        );
        assert_eq!(text(answer).await, "no");
    }
    // And what was read before is gone: an error afterwards does not bring it back.
    for code in [401, 403, 404] {
        let mut setup = aged(TTL * 2).await;
        setup.fetched(testing::get("ann", LIST), code, "no").await;
        advance(TTL).await;
        let answer = setup.fetched(testing::get("ann", LIST), 500, "").await;
        assert_eq!(answer.status(), 500, "after {code}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_given_out_across_a_change_or_when_it_is_too_old() {
    let mut setup = aged(TTL).await;
    setup
        .epochs
        .close(Touches::Everything)
        .land(Outcome::Applied);
    let answer = setup.fetched(testing::get("ann", LIST), 503, "").await;
    assert_eq!(answer.status(), 503);

    // The change lands while the failing fetch is under way.
    let mut setup = aged(TTL * 2).await;
    let answer = tokio::spawn(setup.call(testing::get("ann", LIST)));
    let (_, reply) = setup.asked().await;
    setup
        .epochs
        .close(Touches::Everything)
        .land(Outcome::Applied);
    reply.send_response(upstreams(503, ""));
    assert_eq!(answer.await.unwrap().unwrap().status(), 503);

    let mut setup = aged(TTL * 61).await;
    let answer = setup.fetched(testing::get("ann", LIST), 503, "").await;
    assert_eq!(answer.status(), 503);
    assert_eq!(status(&answer), "tollgate; fwd=stale");
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_long_for_a_slow_answer_and_it_is_kept_when_it_comes() {
    let mut setup = aged(TTL * 2).await;
    let began = Instant::now();
    let slow = tokio::spawn(setup.call(testing::get("ann", LIST)));
    let (_, reply) = setup.asked().await;
    let answer = slow.await.unwrap().unwrap();
    assert_eq!(began.elapsed().as_secs(), 1);
    assert_eq!(status(&answer), "tollgate; fwd=stale; ttl=-61; detail=slow");
    reply.send_response(upstreams(200, "[]"));
    let answer = setup.kept(testing::get("ann", LIST)).await;
    assert_eq!(text(answer).await, "[]");
}

#[tokio::test(start_paused = true)]
async fn who_wants_it_new_waits_unless_it_fails() {
    let mut setup = aged(Duration::from_secs(10)).await;
    let new = with_header(testing::get("ann", LIST), "cache-control", "no-cache");
    let answer = setup.fetched(new, 503, "").await;
    let expected = "tollgate; fwd=request; fwd-status=503; ttl=50; detail=stale-if-error";
    assert_eq!(status(&answer), expected);
    let strict = with_header(
        testing::get("ann", LIST),
        "cache-control",
        "no-cache, max-stale=0",
    );
    advance(TTL).await;
    assert_eq!(setup.fetched(strict, 503, "").await.status(), 503);
}

#[tokio::test(start_paused = true)]
async fn who_wants_it_new_gets_it_new_however_slow_and_scarce() {
    for control in ["no-cache", "max-age=5"] {
        let mut setup = aged(TTL * 2).await;
        // With so much left a list would be fresh for ten minutes.
        told(&setup, 13);
        let new = with_header(testing::get("ann", LIST), "cache-control", control);
        let answer = tokio::spawn(setup.call(new));
        let (_, reply) = setup.asked().await;
        advance(Duration::from_secs(5)).await;
        reply.send_response(upstreams(200, "[]"));
        let answer = answer.await.unwrap().unwrap();
        assert_eq!(status(&answer), "tollgate; fwd=request; stored");
    }
}

#[tokio::test(start_paused = true)]
async fn a_revalidation_that_failed_is_tried_again_after_a_moment() {
    let mut setup = aged(TTL).await;
    setup.kept(testing::get("ann", LIST)).await;
    setup.asked().await.1.send_response(upstreams(500, ""));
    let failed = "tollgate; hit; ttl=0; detail=stale-if-error";
    while status(&setup.kept(testing::get("ann", LIST)).await) != failed {
        tokio::task::yield_now().await;
    }
    assert!(setup.upstream.next_request().now_or_never().is_none());
    advance(Duration::from_secs(1)).await;
    let answer = setup.kept(testing::get("ann", LIST)).await;
    assert_eq!(
        status(&answer),
        "tollgate; hit; ttl=-1; detail=revalidating"
    );
    setup.asked().await.1.send_response(upstreams(200, BODY));
}

#[tokio::test(start_paused = true)]
async fn one_refusal_does_not_make_another_be_asked_for() {
    let mut setup = setup();
    let workspaces = [3, 4].map(|id| format!("/api/v9/organizations/1/workspaces/{id}/groups"));
    for list in &workspaces {
        setup.fetched(testing::get("ann", list), 403, "no").await;
    }
    for list in &workspaces {
        let again = setup.kept(testing::get("ann", list)).await;
        assert_eq!(again.status(), 403);
    }
}

#[tokio::test(start_paused = true)]
async fn in_the_reserve_an_older_list_is_given_out_without_asking() {
    for remaining in [10, 0] {
        let mut setup = aged(TTL * 3).await;
        told(&setup, remaining);
        let answer = setup.kept(testing::get("ann", LIST)).await;
        assert_eq!(status(&answer), QUOTA);
        assert!(!answer.headers().contains_key("set-cookie"));
        let left = answer.headers().get("x-toggl-quota-remaining").cloned();
        assert_eq!(left, (remaining == 10).then(|| "10".parse().unwrap()));
        let new = with_header(testing::get("ann", LIST), "cache-control", "no-cache");
        assert_eq!(status(&setup.kept(new).await), QUOTA);
    }
    let mut setup = aged(TTL * 3).await;
    told(&setup, 500);
    setup.fetched(testing::get("ann", LIST), 200, BODY).await;
    // There is nothing to be given out after a change, and what is left is there to be used.
    told(&setup, 10);
    setup
        .epochs
        .close(Touches::Everything)
        .land(Outcome::Applied);
    setup.fetched(testing::get("ann", LIST), 200, BODY).await;
    // Just past its time it is no other.
    told(&setup, 5);
    advance(TTL).await;
    let answer = setup.kept(testing::get("ann", LIST)).await;
    assert_eq!(status(&answer), "tollgate; hit; ttl=0; detail=quota");
}

#[tokio::test(start_paused = true)]
async fn what_is_left_is_spread_over_the_time_until_there_is_more() {
    let mut setup = aged(TTL * 3).await;
    // Thirty minutes, and ten requests to spend.
    told(&setup, 20);
    let answer = setup.kept(testing::get("ann", LIST)).await;
    assert_eq!(status(&answer), QUOTA);
    advance(TTL).await;
    let answer = setup.fetched(testing::get("ann", LIST), 200, "[]").await;
    assert_eq!(status(&answer), "tollgate; fwd=stale; stored");
}

#[tokio::test(start_paused = true)]
async fn when_the_quota_is_gone_on_the_way_the_older_list_says_so() {
    let mut setup = aged(TTL * 3).await;
    let answer = tokio::spawn(setup.call(testing::get("ann", LIST)));
    let (_, reply) = setup.asked().await;
    told(&setup, 0);
    reply.send_response(upstreams(402, "hourly limit"));
    let expected = "tollgate; fwd=stale; fwd-status=402; ttl=-120; detail=stale-if-error";
    assert_eq!(status(&answer.await.unwrap().unwrap()), expected);

    let mut setup = aged(TTL * 3).await;
    let answer = tokio::spawn(setup.call(testing::get("ann", LIST)));
    setup
        .asked()
        .await
        .1
        .send_error(ProxyError::QuotaExhausted {
            message: "hourly limit".into(),
            resets_in: TTL,
        });
    assert_eq!(status(&answer.await.unwrap().unwrap()), QUOTA);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_repeated_for_a_while_to_who_got_it_and_not_across_a_change() {
    for code in [403, 404] {
        let mut setup = setup();
        let first = setup.fetched(testing::get("ann", LIST), code, "no").await;
        assert_eq!(status(&first), "tollgate; fwd=uri-miss; stored", "{code}");
        let again = setup.kept(testing::get("ann", LIST)).await;
        assert_eq!(status(&again), "tollgate; hit; ttl=10");
        assert_eq!(again.status().as_u16(), code);
        assert!(!again.headers().contains_key("etag"));
        assert_eq!(text(again).await, "no");
        setup.fetched(testing::get("bob", LIST), 200, BODY).await;
        advance(Duration::from_secs(10)).await;
        let asked = setup.fetched(testing::get("ann", LIST), code, "no").await;
        assert_eq!(status(&asked), "tollgate; fwd=stale; stored");
        setup
            .epochs
            .close(Touches::Organization(OrganizationId(1), None))
            .land(Outcome::Applied);
        let allowed = setup.fetched(testing::get("ann", LIST), 200, BODY).await;
        assert_eq!(allowed.status(), 200);
    }
    let mut setup = setup();
    for _ in 0..2 {
        let unknown = setup.fetched(testing::get("ann", LIST), 401, "").await;
        assert_eq!(status(&unknown), "tollgate; fwd=uri-miss");
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_was_not_there_in_a_flight_is_not_there_after_it() {
    let mut setup = setup();
    setup.fetched(testing::get("ann", LIST), 200, BODY).await;
    let flight = setup
        .epochs
        .close(Touches::Organization(OrganizationId(1), None));
    setup.fetched(testing::get("ann", LIST), 404, "").await;
    flight.land(Outcome::Rejected);
    let after = setup.fetched(testing::get("ann", LIST), 404, "").await;
    assert_eq!(after.status(), StatusCode::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn each_gets_the_coding_that_they_take() {
    let long: &'static str = Box::leak(format!("[{}]", " ".repeat(500)).into_boxed_str());
    let mut setup = setup();
    setup.fetched(testing::get("ann", LIST), 200, long).await;
    let plain = setup.kept(testing::get("ann", LIST)).await;
    let takes = |value| with_header(testing::get("ann", LIST), "accept-encoding", value);
    let coded = setup.kept(takes("gzip")).await;
    for answer in [&plain, &coded] {
        assert_eq!(answer.headers()["vary"], "Accept-Encoding");
        assert!(status(answer).starts_with("tollgate; hit"));
    }
    assert!(!plain.headers().contains_key("content-encoding"));
    assert_eq!(coded.headers()["content-encoding"], "gzip");
    let tag = coded.headers()["etag"].to_str().unwrap().to_owned();
    assert_ne!(tag, plain.headers()["etag"]);
    let body = coded.into_body().collect().await.unwrap().to_bytes();
    let mut read = String::new();
    GzDecoder::new(&body[..]).read_to_string(&mut read).unwrap();
    assert_eq!(read, long);
    // A validator holds for its coding alone.
    let unchanged = setup
        .kept(with_header(takes("gzip"), "if-none-match", &tag))
        .await;
    assert_eq!(unchanged.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(unchanged.headers()["etag"], tag.as_str());
    assert!(!unchanged.headers().contains_key("content-encoding"));
    let other = setup
        .kept(with_header(takes("br"), "if-none-match", &tag))
        .await;
    assert_eq!(other.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_head_is_answered_from_the_list_and_fetches_it() {
    let mut setup = setup();
    let head = || {
        let mut call = testing::get("ann", LIST);
        *call.request.method_mut() = Method::HEAD;
        call
    };
    let answer = tokio::spawn(setup.call(head()));
    let (asked, reply) = setup.asked().await;
    assert_eq!(asked.request.method(), Method::GET);
    reply.send_response(upstreams(200, BODY));
    let length = BODY.len().to_string();
    for answer in [answer.await.unwrap().unwrap(), setup.kept(head()).await] {
        assert_eq!(answer.headers()["content-length"], length.as_str());
        assert_eq!(text(answer).await, "");
    }
    assert_eq!(
        text(setup.kept(testing::get("ann", LIST)).await).await,
        BODY
    );
}

#[tokio::test(start_paused = true)]
async fn a_thousand_polls_a_minute_of_what_is_gone_cost_six_calls() {
    let mut setup = setup();
    let mut calls = 0;
    for _ in 0..1000 {
        let mut answer = tokio::spawn(setup.call(testing::get("ann", LIST)));
        let answer = tokio::select! {
            answer = &mut answer => answer,
            (_, reply) = setup.asked() => {
                calls += 1;
                reply.send_response(upstreams(404, "gone"));
                answer.await
            }
        };
        assert_eq!(answer.unwrap().unwrap().status(), 404);
        advance(Duration::from_millis(60)).await;
    }
    assert_eq!(calls, 6);
}
