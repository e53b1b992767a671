//! Older lists over real connections: given out when upstream fails, never across a change.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;
use tollgate::config::Filters;
use tollgate::domain::ids::WorkspaceId;
use tollgate::simulator::{Match, Toggl};

use super::MISS;
use crate::support::{DESIGN, Gateway, ORG, Reply, STUDIO, group, groups, toggl, workspace_groups};

const FAILED: &str = "tollgate; fwd=stale; ttl=…; detail=stale-if-error";

/// A gateway for which every list is old at once.
async fn old_at_once(toggl: &Toggl) -> Gateway {
    Gateway::before(toggl)
        .config(|config| {
            config.cache.ttl = Duration::from_millis(1);
            config.cache.stale_while_revalidate = Duration::ZERO;
        })
        .start()
        .await
}

fn told(status: u16) -> String {
    format!("tollgate; fwd=stale; fwd-status={status}; ttl=…; detail=stale-if-error")
}

#[tokio::test]
async fn when_upstream_fails_readers_keep_the_last_good_answer_and_are_told() {
    let toggl = toggl().await;
    let gate = old_at_once(&toggl).await;
    let ann = gate.client("ann");
    let first = ann.get(groups(ORG)).await.assert_cache(MISS);
    let same = |reply: Reply| {
        assert_eq!(reply.status, 200);
        assert_eq!(reply.body, first.body);
        assert!(reply.header("age").is_some());
        assert!(reply.header("etag") == first.header("etag"));
    };
    for status in [500, 502, 503, 429] {
        let code = StatusCode::from_u16(status).unwrap();
        toggl.clear_faults();
        toggl
            .every(Match::path(groups(ORG)))
            .answer(code, "text/html", "<html>");
        // A 429 is asked once more first (and its token spaced from then on), by when the older list has been given out.
        let reply = ann.get(groups(ORG)).await;
        if status == 429 {
            same(reply.assert_cache("tollgate; fwd=stale; ttl=…; detail=slow"));
        } else {
            same(reply.assert_cache(&told(status)));
        }
    }
    gate.stop().await;
}

#[tokio::test]
async fn when_a_connection_breaks_and_when_nobody_is_there() {
    let toggl = toggl().await;
    let gate = old_at_once(&toggl).await;
    let ann = gate.client("ann");
    ann.get(groups(ORG)).await.assert_cache(MISS);
    let every = || toggl.every(Match::path(groups(ORG)));
    every().reset_before_apply();
    ann.get(groups(ORG)).await.assert_ok().assert_cache(FAILED);
    toggl.clear_faults();
    every().truncated_body();
    ann.get(groups(ORG)).await.assert_ok().assert_cache(FAILED);
    drop(toggl);
    ann.get(groups(ORG)).await.assert_ok().assert_cache(FAILED);
    gate.stop().await;
}

#[tokio::test]
async fn a_slow_upstream_keeps_nobody_waiting_but_who_wants_it_new() {
    let toggl = toggl().await;
    let gate = old_at_once(&toggl).await;
    let ann = gate.client("ann");
    let first = ann.get(groups(ORG)).await.assert_cache(MISS);
    toggl.rename_group(DESIGN, "Brand");
    let hold = toggl.next(Match::path(groups(ORG))).hang();
    let slow = ann.get(groups(ORG)).await.assert_ok();
    let slow = slow.assert_cache("tollgate; fwd=stale; ttl=…; detail=slow");
    assert_eq!(slow.body, first.body);
    let other = toggl.next(Match::path(groups(ORG))).hang();
    let new = ann.get(groups(ORG)).header("cache-control", "no-cache");
    let new = new.spawn();
    other.reached().await;
    hold.release();
    other.release();
    let new = new.await.unwrap();
    let new = new.assert_cache("tollgate; fwd=request; stored");
    assert_eq!(new.names()[0], "Brand");
    gate.stop().await;
}

#[tokio::test]
async fn across_a_change_an_error_is_an_error() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let (ann, bob) = (gate.client("ann"), gate.client("bob"));
    for reader in [&ann, &bob] {
        reader.get(groups(ORG)).await.assert_cache(MISS);
    }
    ann.put(group(ORG, DESIGN), json!({"name": "Brand"}))
        .await
        .assert_ok();
    toggl
        .every(Match::path(groups(ORG)))
        .status(StatusCode::SERVICE_UNAVAILABLE);
    for reader in [&ann, &bob] {
        let reply = reader.get(groups(ORG)).await.assert_status(503);
        reply.assert_cache("tollgate; fwd=uri-miss");
    }
    gate.stop().await;
}

#[tokio::test]
async fn the_plan_and_other_refusals_are_passed_on() {
    let toggl = toggl().await;
    let gate = old_at_once(&toggl).await;
    let ann = gate.client("ann");
    ann.get(groups(ORG)).await.assert_cache(MISS);
    toggl.next(Match::path(groups(ORG))).plan_lacks_feature();
    ann.get(groups(ORG)).await.assert_status(402);
    for status in [400, 401, 403, 404] {
        let code = StatusCode::from_u16(status).unwrap();
        ann.get(groups(ORG))
            .header("cache-control", "no-cache")
            .await
            .assert_ok();
        toggl
            .next(Match::path(groups(ORG)))
            .answer(code, "text/plain", "no");
        let reply = ann
            .get(groups(ORG))
            .header("cache-control", "no-cache")
            .await;
        reply.assert_status(status);
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_list_that_is_refused_is_not_asked_for_again_at_once() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let (ann, bob) = (gate.client("ann"), gate.client("bob"));
    let gone = workspace_groups(ORG, WorkspaceId(99_999));
    let first = ann.get(&*gone).await;
    let asked = toggl.received();
    for _ in 0..100 {
        let reply = ann.get(&*gone).await.assert_cache("tollgate; hit; ttl=…");
        assert_eq!((reply.status, &reply.body), (first.status, &first.body));
    }
    assert_eq!(toggl.received(), asked);
    bob.get(&*gone).await.assert_cache(MISS);
    assert_eq!(toggl.received(), asked + 1);
    gate.stop().await;
}

#[tokio::test]
async fn filtered_lists_cost_nothing_where_the_whole_one_is_fresh() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl)
        .config(|config| config.cache.filters = Filters::On)
        .start()
        .await;
    let filtered = [
        groups(ORG) + "?name=Des",
        groups(ORG) + &format!("?workspace={STUDIO}"),
        workspace_groups(ORG, STUDIO),
    ];
    let direct = gate.client("ann");
    let mut theirs = Vec::new();
    for list in &filtered {
        theirs.push(direct.get(&**list).await.assert_cache(MISS).body);
    }
    // Each has a list of its own now; a change makes all of them go.
    direct
        .put(group(ORG, DESIGN), json!({"name": "Design"}))
        .await
        .assert_ok();
    direct.get(groups(ORG)).await.assert_cache(MISS);
    let asked = toggl.received();
    for (list, theirs) in filtered.iter().zip(theirs) {
        let cut = direct.get(&**list).await.assert_ok();
        let cut = cut.assert_cache("tollgate; hit; ttl=…; detail=filtered");
        let parsed = |body: &[u8]| serde_json::from_slice::<serde_json::Value>(body).unwrap();
        let (mut cut, mut theirs) = (parsed(&cut.body), parsed(&theirs));
        // The change moved the time of one group.
        for list in [&mut cut, &mut theirs] {
            for group in list.as_array_mut().unwrap() {
                group["at"].take();
            }
        }
        assert_eq!(cut, theirs, "{list}");
    }
    assert_eq!(toggl.received(), asked);
    gate.stop().await;
}
