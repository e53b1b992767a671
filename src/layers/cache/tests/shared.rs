//! What equal reads share, and what each has alone.

use super::*;

#[tokio::test(start_paused = true)]
async fn who_waited_for_what_cannot_be_shared_and_is_refused_then_loses_all_that_is_kept() {
    const OTHER: &str = "/api/v9/organizations/2/groups";
    let large: &'static str = Box::leak(format!("[{}]", " ".repeat(2000)).into_boxed_str());
    let mut setup = setup();
    setup.fetched(testing::get("ann", OTHER), 200, BODY).await;
    let first = tokio::spawn(setup.call(testing::get("ann", LIST)));
    let (_, reply) = setup.asked().await;
    let second = tokio::spawn(setup.call(testing::get("ann", LIST)));
    tokio::task::yield_now().await;
    reply.send_response(upstreams(200, large));
    first.await.unwrap().unwrap();
    let (_, reply) = setup.asked().await;
    reply.send_response(upstreams(401, ""));
    assert_eq!(second.await.unwrap().unwrap().status(), 401);
    let again = setup.fetched(testing::get("ann", OTHER), 200, BODY).await;
    assert_eq!(status(&again), "tollgate; fwd=uri-miss; stored");
}

#[tokio::test(start_paused = true)]
async fn who_joins_a_fetch_that_fails_is_told_nothing_of_the_one_who_began_it() {
    let mut setup = setup();
    let first = tokio::spawn(setup.call(testing::get("ann", LIST)));
    let (_, reply) = setup.asked().await;
    let second = tokio::spawn(setup.call(testing::get("ann", LIST)));
    tokio::task::yield_now().await;
    let mut failed = upstreams(429, "slowly");
    for name in ["x-toggl-request-id", "date", "retry-after", "content-type"] {
        failed.headers_mut().insert(name, "1".parse().unwrap());
    }
    reply.send_response(failed);
    let (first, second) = (
        first.await.unwrap().unwrap(),
        second.await.unwrap().unwrap(),
    );
    assert_eq!(first.headers().len(), 7);
    let names: Vec<_> = second.headers().keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["content-type", "retry-after", "cache-status"]);
    assert_eq!(second.status(), StatusCode::TOO_MANY_REQUESTS);
}
