//! Filtered lists, cut out of whole ones.

use super::*;
use crate::cache::filters::READ;
use crate::config::Filters as Mode;

const SALES: &str = "/api/v9/organizations/1/groups?name=Sal";
const WHOLE: &str = r#"[{"group_id":7,"name":"Design","workspaces":[3]},{"group_id":8,"name":"Sales","workspaces":[3,4]}]"#;
const CUT: &str = r#"[{"group_id":8,"name":"Sales","workspaces":[3,4]}]"#;

async fn text(answer: Answer) -> String {
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_filtered_list_comes_out_of_the_fresh_whole_one_of_the_same_caller() {
    let mut setup = setup_with(Mode::On);
    setup.fetched(testing::get("ann", LIST), 200, WHOLE).await;
    advance(Duration::from_secs(10)).await;
    let cut = setup.kept(testing::get("ann", SALES)).await;
    assert_eq!(status(&cut), "tollgate; hit; ttl=50; detail=filtered");
    assert_eq!(text(cut).await, CUT);
    let again = setup.kept(testing::get("ann", SALES)).await;
    assert_eq!(status(&again), "tollgate; hit; ttl=50");
    let workspace = "/api/v9/organizations/1/workspaces/4/groups";
    assert_eq!(
        text(setup.kept(testing::get("ann", workspace)).await).await,
        CUT
    );
    // Bob was not given Ann's.
    setup.fetched(testing::get("bob", SALES), 200, "[]").await;
    // What is doubtful is asked of upstream.
    let doubtful = "/api/v9/organizations/1/workspaces/5/groups";
    setup.fetched(testing::get("ann", doubtful), 404, "").await;
}

#[tokio::test(start_paused = true)]
async fn one_fetch_of_the_whole_list_renews_all_that_is_cut_out_of_it() {
    let mut setup = setup_with(Mode::On);
    setup.fetched(testing::get("ann", LIST), 200, WHOLE).await;
    setup.kept(testing::get("ann", SALES)).await;
    // Past its time: in the background.
    advance(TTL).await;
    let stale = setup.kept(testing::get("ann", SALES)).await;
    assert_eq!(status(&stale), "tollgate; hit; ttl=0; detail=revalidating");
    let (asked, reply) = setup.asked().await;
    assert_eq!(asked.request.uri(), LIST);
    reply.send_response(upstreams(200, WHOLE));
    while status(&setup.kept(testing::get("ann", LIST)).await) != "tollgate; hit; ttl=60" {
        tokio::task::yield_now().await;
    }
    // What was cut is as old as what it was cut out of, and is cut anew.
    let cut = setup.kept(testing::get("ann", SALES)).await;
    assert!(status(&cut).starts_with("tollgate; hit; ttl="));
    // After a change: at once.
    setup
        .epochs
        .close(Touches::Organization(OrganizationId(1), None))
        .land(Outcome::Applied);
    let answer = tokio::spawn(setup.call(testing::get("ann", SALES)));
    let (asked, reply) = setup.asked().await;
    assert_eq!(asked.request.uri(), LIST);
    let renamed: &'static str = r#"[{"group_id":8,"name":"Sales DE","workspaces":[4]}]"#;
    reply.send_response(upstreams(200, renamed));
    let answer = answer.await.unwrap().unwrap();
    assert_eq!(status(&answer), "tollgate; fwd=uri-miss; stored");
    assert_eq!(text(answer).await, renamed);
    let whole = setup.kept(testing::get("ann", LIST)).await;
    assert_eq!(text(whole).await, renamed);
    // Where the whole one fails, the list is asked for as it is.
    setup
        .epochs
        .close(Touches::Everything)
        .land(Outcome::Applied);
    let answer = tokio::spawn(setup.call(testing::get("ann", SALES)));
    setup.asked().await.1.send_response(upstreams(503, ""));
    let (asked, reply) = setup.asked().await;
    assert_eq!(asked.request.uri(), SALES);
    reply.send_response(upstreams(200, CUT));
    assert_eq!(text(answer.await.unwrap().unwrap()).await, CUT);
}

#[tokio::test(start_paused = true)]
async fn what_was_cut_is_cut_anew_once_the_whole_list_has_been_fetched_anew() {
    let mut setup = setup_with(Mode::On);
    setup.fetched(testing::get("ann", LIST), 200, WHOLE).await;
    setup.kept(testing::get("ann", SALES)).await;
    advance(TTL).await;
    let stale = setup.kept(testing::get("ann", SALES)).await;
    assert_eq!(status(&stale), "tollgate; hit; ttl=0; detail=revalidating");
    let renamed: &'static str = r#"[{"group_id":8,"name":"Sales DE","workspaces":[4]}]"#;
    setup.asked().await.1.send_response(upstreams(200, renamed));
    while status(&setup.kept(testing::get("ann", LIST)).await) != "tollgate; hit; ttl=60" {
        tokio::task::yield_now().await;
    }
    // For the next: whoever asks now is answered at once.
    let stale = setup.kept(testing::get("ann", SALES)).await;
    assert_eq!(status(&stale), "tollgate; hit; ttl=0; detail=revalidating");
    let cut = setup.kept(testing::get("ann", SALES)).await;
    assert_eq!(status(&cut), "tollgate; hit; ttl=60");
    assert_eq!(text(cut).await, renamed);
    assert!(setup.upstream.next_request().now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn while_the_whole_list_cannot_be_fetched_what_was_cut_out_of_it_rests_too() {
    const WORKSPACE: &str = "/api/v9/organizations/1/workspaces/4/groups";
    let mut setup = setup_with(Mode::On);
    // One that was cut, and one that was asked for as it is.
    setup
        .fetched(testing::get("ann", WORKSPACE), 200, CUT)
        .await;
    setup.fetched(testing::get("ann", LIST), 200, WHOLE).await;
    setup.kept(testing::get("ann", SALES)).await;
    advance(TTL).await;
    let failed = "tollgate; hit; ttl=0; detail=stale-if-error";
    setup.kept(testing::get("ann", SALES)).await;
    let (asked, reply) = setup.asked().await;
    assert_eq!(asked.request.uri(), LIST);
    reply.send_response(upstreams(503, ""));
    for list in [SALES, WORKSPACE] {
        let mut tries = 0;
        while status(&setup.kept(testing::get("ann", list)).await) != failed {
            tries += 1;
            assert!(tries < 100, "{list} is asked for again and again");
            tokio::task::yield_now().await;
        }
    }
    let whole = setup.kept(testing::get("ann", LIST)).await;
    assert_eq!(status(&whole), failed, "both are the same list");
    assert!(setup.upstream.next_request().now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn past_its_time_the_whole_list_is_read_once_for_each_that_is_cut_out_of_it() {
    let mut setup = setup_with(Mode::On);
    setup.fetched(testing::get("ann", LIST), 200, WHOLE).await;
    setup.kept(testing::get("ann", SALES)).await;
    advance(TTL).await;
    READ.set(0);
    for _ in 0..10 {
        setup.kept(testing::get("ann", SALES)).await;
    }
    assert_eq!(READ.get(), 0, "while it is fetched");
    setup.asked().await.1.send_response(upstreams(200, WHOLE));
    while status(&setup.kept(testing::get("ann", LIST)).await) != "tollgate; hit; ttl=60" {
        tokio::task::yield_now().await;
    }
    for _ in 0..10 {
        setup.kept(testing::get("ann", SALES)).await;
    }
    assert_eq!(READ.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_wants_it_new_gets_it_from_upstream() {
    let mut setup = setup_with(Mode::On);
    setup.fetched(testing::get("ann", LIST), 200, WHOLE).await;
    let new = with_header(testing::get("ann", SALES), "cache-control", "no-cache");
    let new = setup.fetched(new, 200, CUT).await;
    assert_eq!(status(&new), "tollgate; fwd=request; stored");
}

#[tokio::test(start_paused = true)]
async fn verifying_answers_from_upstream_and_ends_with_the_first_difference() {
    let mut setup = setup_with(Mode::Verify);
    setup.fetched(testing::get("ann", LIST), 200, WHOLE).await;
    for (query, theirs, compares) in [
        ("name=Sal", CUT, true),
        // Not comparable is not different.
        ("name=sal", "[]", true),
        ("name=Design", "[]", false),
        ("name=None", "[]", false),
    ] {
        let list = format!("{LIST}?{query}");
        let answer = setup.fetched(testing::get("ann", &list), 200, theirs).await;
        assert_eq!(status(&answer), "tollgate; fwd=uri-miss; stored");
        assert_eq!(text(answer).await, theirs);
        assert_eq!(setup.filters.compare(), compares, "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn as_long_as_it_is_off_upstream_filters() {
    let mut setup = setup_with(Mode::Off);
    setup.fetched(testing::get("ann", LIST), 200, WHOLE).await;
    setup.fetched(testing::get("ann", SALES), 200, CUT).await;
}
