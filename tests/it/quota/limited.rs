//! Upstream says that requests come too fast.

use http::StatusCode;
use serde_json::json;
use tollgate::config::Pace;
use tollgate::simulator::Match;

use crate::support::{DESIGN, Gateway, ORG, group, groups, toggl};

#[tokio::test]
async fn a_page_that_says_429_is_waited_out_and_asked_once_more() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl)
        .config(|config| config.identity.lookup = false)
        .start()
        .await;
    let ann = gate.client("ann");
    for status in [StatusCode::TOO_MANY_REQUESTS, StatusCode::BAD_REQUEST] {
        let before = toggl.received();
        toggl.next(Match::path(groups(ORG))).status(status);
        let reply = ann.get(groups(ORG)).header("cache-control", "no-cache");
        // A kept list is there before the second answer: that is for the cache to decide.
        reply.await.assert_ok();
        toggl.wait_for(before + 2).await;
    }
    gate.measures(r#"tollgate_quota_limited_total{status="429"}"#, 1)
        .await;
    gate.stop().await;
}

#[tokio::test]
async fn a_change_that_meets_a_429_is_told_so_and_sent_once() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl)
        .config(|config| config.identity.lookup = false)
        .start()
        .await;
    let ann = gate.client("ann");
    ann.get(groups(ORG)).await.assert_ok();
    let rename = Match::path(group(ORG, DESIGN));
    toggl
        .next(rename.clone())
        .status(StatusCode::TOO_MANY_REQUESTS);
    let told = ann
        .put(group(ORG, DESIGN), json!({ "name": "Brand" }))
        .await;
    assert_eq!(told.status, 429);
    assert_eq!(toggl.received_matching(&rename).len(), 1);
    gate.stop().await;
}

#[tokio::test]
async fn a_change_that_would_wait_too_long_was_not_sent_and_its_event_says_so() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl)
        .config(|config| {
            config.identity.lookup = false;
            config.quota.pace = Pace::Always;
            config.quota.max_wait = std::time::Duration::ZERO;
        })
        .start()
        .await;
    let ann = gate.client("ann");
    ann.get(groups(ORG)).await.assert_ok();
    let refused = ann
        .put(group(ORG, DESIGN), json!({ "name": "Brand" }))
        .await;
    assert_eq!(refused.status, 503);
    assert_eq!(refused.json()["type"], "urn:tollgate:paced");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(toggl.received(), 1);
    let events = gate.events().await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].outcome, "not_sent");
    gate.stop().await;
}
