//! An hour in which nothing is left.

use std::time::Duration;

use futures_util::future::join_all;
use http::{Method, StatusCode};
use serde_json::json;
use tollgate::simulator::Match;

use crate::support::{DESIGN, Gateway, ORG, Reply, group, groups, simulate, toggl};

fn users() -> String {
    format!("/api/v9/organizations/{ORG}/users")
}

/// Of this reply: why, and when to come back.
#[track_caller]
fn assert_refused(reply: &Reply) {
    assert_eq!(reply.status, StatusCode::PAYMENT_REQUIRED);
    assert_eq!(
        reply.header("content-type"),
        Some("application/problem+json")
    );
    let problem = reply.json();
    assert_eq!(problem["type"], "urn:tollgate:quota-exhausted");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.starts_with("You have hit your hourly limit of ") && detail.contains(" minutes"),
        "{detail}"
    );
    let seconds: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((500..=3600).contains(&seconds), "{seconds}");
    assert_eq!(reply.header("x-toggl-quota-remaining"), Some("0"));
}

#[tokio::test]
async fn ten_thousand_calls_in_a_closed_hour_cost_one_upstream_request_and_changes_still_try() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl)
        .config(|config| config.identity.lookup = false)
        .start()
        .await;
    let ann = gate.client("ann");
    let everything = Match::path(format!("/api/v9/organizations/{ORG}/*"));
    toggl
        .every(everything)
        .quota_exhausted(Duration::from_secs(600));
    let told = ann.get(users()).await;
    assert_eq!(told.status, 402);
    assert!(told.text().starts_with("You have hit your hourly limit"));
    assert_eq!(toggl.received(), 1);

    // Each of these goes on with a connection of its own, as tools that poll do.
    let poll = async |tool: usize| {
        let ann = gate.client("ann");
        for number in 0..156 {
            let reply = match number % 3 {
                0 => ann.get(groups(ORG)).await,
                1 => ann.get(format!("{}?page={number}", users())).await,
                _ => ann.get(format!("{}?tool={tool}", groups(ORG))).await,
            };
            assert_refused(&reply);
        }
    };
    join_all((0..64).map(poll)).await;
    assert_eq!(toggl.received(), 1, "after 64 × 156 calls");

    let change = ann
        .put(group(ORG, DESIGN), json!({ "name": "Brand" }))
        .await;
    assert_eq!(change.status, 402);
    assert_eq!(toggl.received(), 2, "upstream decides about a change");
    let others = gate.client("bob").get(groups(ORG)).await;
    assert_eq!(others.status, 402);
    assert_eq!(toggl.received(), 3, "another person's quota is another one");

    toggl.clear_faults();
    ann.put(group(ORG, DESIGN), json!({ "name": "Brand" }))
        .await
        .assert_ok();
    gate.stop().await;
}

#[tokio::test]
async fn the_last_request_of_an_hour_closes_it() {
    let toggl = simulate(|options| options.quota = Some(3)).await;
    let gate = Gateway::before(&toggl)
        .config(|config| config.identity.lookup = false)
        .start()
        .await;
    let ann = gate.client("ann");
    for left in ["2", "1", "0"] {
        let reply = ann.get(users()).await.assert_ok();
        assert_eq!(reply.header("x-toggl-quota-remaining"), Some(left));
    }
    let refused = ann.get(users()).await;
    assert_eq!(refused.status, 402);
    assert_eq!(refused.json()["type"], "urn:tollgate:quota-exhausted");
    assert_eq!(toggl.received(), 3);
    ann.get("/api/v9/me").await.assert_ok();
    gate.stop().await;
}

#[tokio::test]
async fn the_plans_402_says_nothing_of_other_requests() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl)
        .config(|config| config.identity.lookup = false)
        .start()
        .await;
    let ann = gate.client("ann");
    toggl.next(Match::path(users())).plan_lacks_feature();
    let refused = ann.get(users()).await;
    assert_eq!(refused.status, 402);
    assert_eq!(
        refused.json(),
        "This feature is not available on your current plan"
    );
    ann.get(users()).await.assert_ok();
    ann.get(groups(ORG)).await.assert_ok();
    gate.stop().await;
}

#[tokio::test]
async fn a_closed_hour_outlives_a_restart() {
    let toggl = toggl().await;
    let mut gate = Gateway::before(&toggl)
        .config(|config| config.identity.lookup = false)
        .start()
        .await;
    let ann = gate.client("ann");
    toggl
        .next(Match::path(users()))
        .quota_exhausted(Duration::from_secs(600));
    assert_eq!(ann.get(users()).await.status, 402);
    gate.restart().await;
    assert_refused(&ann.get(users()).await);
    assert_eq!(toggl.received(), 1);
    gate.stop().await;
}

#[tokio::test]
async fn credentials_of_one_person_share_what_upstream_counts_together() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let (token, password) = (gate.client("ann"), gate.password_client("ann"));
    for client in [&token, &password] {
        client
            .put(group(ORG, DESIGN), json!({ "name": "Brand" }))
            .await
            .assert_ok();
    }
    // A change asks who that is, off its own path.
    let me = Match::new(Method::GET, "/api/v9/me");
    toggl.wait_until(|log| log.matching(&me).count() == 2).await;
    toggl
        .every(Match::path(users()))
        .quota_exhausted(Duration::from_secs(600));
    crate::support::eventually("both are known to be Ann's", async || {
        let before = toggl.received();
        assert_eq!(token.get(users()).await.status, 402);
        assert_eq!(password.get(users()).await.status, 402);
        (toggl.received() == before).then_some(())
    })
    .await;
    gate.stop().await;
}
