//! The ledger: who spent what.

use std::collections::BTreeMap;

use http::Method;
use serde_json::{Value, json};
use tollgate::simulator::{Match, Toggl};

use crate::support::process::Folder;
use crate::support::{
    DESIGN, Gateway, ORG, STUDIO, group, groups, project_groups, simulate, toggl,
};

/// By person, tool and endpoint: sent upstream and answered from the cache.
type Counts = BTreeMap<(String, String, String), (i64, i64)>;

fn counts(report: &Value) -> Counts {
    let mut counts = Counts::new();
    for one in report["people"].as_array().unwrap() {
        let name = one["person"]["name"].as_str().unwrap_or("somebody");
        for hour in one["hours"].as_array().unwrap() {
            let tool = hour["tool"].as_str().unwrap_or("-");
            let endpoint = hour["endpoint"].as_str().unwrap();
            let key = (name.to_owned(), tool.to_owned(), endpoint.to_owned());
            let (upstream, cached) = counts.entry(key).or_default();
            *upstream += hour["upstream"].as_i64().unwrap();
            *cached += hour["cached"].as_i64().unwrap();
        }
    }
    counts
}

/// What the simulator saw, by method and path.
fn seen(toggl: &Toggl) -> BTreeMap<String, i64> {
    let mut seen = BTreeMap::new();
    for request in toggl.received_matching(&Match::any()) {
        let path = request.path().trim_start_matches("/api/v9");
        let path = path
            .replace(&format!("/{ORG}"), "/{organization_id}")
            .replace(&format!("/{STUDIO}"), "/{workspace_id}")
            .replace(&format!("/{DESIGN}"), "/{group_id}");
        *seen
            .entry(format!("{} {path}", request.method))
            .or_default() += 1;
    }
    seen
}

async fn report(gate: &Gateway) -> Value {
    gate.admin().get("/api/quota").await.assert_ok().json()
}

async fn a_day(gate: &Gateway, toggl: &Toggl) {
    let (ann, bob) = (gate.client("ann"), gate.client("bob"));
    let sync = gate.client("ann").labelled("hr-sync");
    for _ in 0..3 {
        ann.get(groups(ORG)).await.assert_ok();
        sync.get(groups(ORG)).await.assert_ok();
        sync.get(project_groups(STUDIO)).await.assert_ok();
    }
    sync.get(format!("/api/v9/organizations/{ORG}/users"))
        .await
        .assert_ok();
    sync.get("/api/v9/me/time_entries").await;
    bob.get(groups(ORG)).await.assert_ok();
    toggl
        .next(Match::path(groups(ORG)))
        .status(http::StatusCode::TOO_MANY_REQUESTS);
    let forced = bob.get(groups(ORG)).header("cache-control", "no-cache");
    forced.await.assert_ok();
    ann.put(group(ORG, DESIGN), json!({ "name": "Brand" }))
        .await
        .assert_ok();
    // A change asks who that is.
    let me = Match::new(Method::GET, "/api/v9/me");
    toggl.wait_until(|log| log.matching(&me).count() == 1).await;
}

#[tokio::test]
async fn its_figures_are_the_simulators_own_by_tool_and_by_endpoint() {
    let toggl = simulate(|options| options.quota = Some(240)).await;
    let mut gate = Gateway::before(&toggl).start().await;
    a_day(&gate, &toggl).await;
    let told = crate::support::eventually("Ann is known", async || {
        let told = report(&gate).await;
        let known = told["people"].as_array()?;
        let ann = |one: &Value| one["person"]["name"].is_string();
        known.iter().any(ann).then_some(told)
    })
    .await;
    let told = counts(&told);
    let mut by_endpoint = BTreeMap::new();
    for ((_, _, endpoint), (upstream, _)) in &told {
        *by_endpoint.entry(endpoint.clone()).or_default() += upstream;
    }
    by_endpoint.retain(|_, count| *count > 0);
    assert_eq!(by_endpoint, seen(&toggl));
    let of = |tool: &str, endpoint: &str| {
        let all = told
            .iter()
            .filter(|((_, of, asked), _)| of == tool && asked == endpoint);
        all.fold((0, 0), |(sent, kept), (_, (upstream, cached))| {
            (sent + upstream, kept + cached)
        })
    };
    assert_eq!(
        of("hr-sync", "GET /workspaces/{workspace_id}/project_groups"),
        (1, 2)
    );
    assert_eq!(
        of("hr-sync", "GET /organizations/{organization_id}/users"),
        (1, 0)
    );
    assert_eq!(of("tollgate", "GET /me"), (1, 0));

    gate.restart().await;
    assert_eq!(counts(&report(&gate).await), told, "outlives a restart");
    gate.stop().await;
}

#[tokio::test]
async fn the_ledger_needs_the_token() {
    let toggl = simulate(|_| {}).await;
    let gate = Gateway::before(&toggl).start().await;
    let stranger = gate.admin_stranger().get("/api/quota").await;
    assert_eq!(stranger.status, 401);
    let wrong = gate.admin().get("/api/quota?since=yesterday").await;
    assert_eq!(wrong.status, 400);
    assert_eq!(report(&gate).await, json!({ "people": [] }));
    gate.stop().await;
}

#[tokio::test]
async fn the_command_tells_what_a_gateway_that_stopped_has_spent() {
    let toggl = simulate(|options| options.quota = Some(240)).await;
    let folder = Folder::before(&toggl.url()).set("identity.lookup", "false");
    let (empty, status) = folder.run(&["quota"]);
    assert!(!status.success() && empty.is_empty(), "no database yet");
    let process = folder.start().await;
    let ann = process
        .client(&toggl.authorization("ann"))
        .labelled("hr-sync");
    for _ in 0..4 {
        ann.get(groups(ORG)).await.assert_ok();
    }
    let (folder, _) = process.stop().await;
    let (table, status) = folder.run(&["quota", "--since", "1h"]);
    assert!(status.success(), "{table}");
    let line = table
        .lines()
        .find(|line| line.contains("hr-sync"))
        .expect("a line of the tool's");
    let words: Vec<_> = line.split_whitespace().collect();
    assert_eq!(
        words[3..],
        [
            "hr-sync",
            "GET",
            "/organizations/{organization_id}/groups",
            "1",
            "3",
            "0",
            "75%"
        ],
        "{table}"
    );
    assert!(table.contains("239"), "what is left: {table}");
}

#[tokio::test]
async fn what_is_sent_twice_because_its_connection_died_is_counted_twice() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    let users = format!("/api/v9/organizations/{ORG}/users");
    for path in [groups(ORG), users] {
        toggl.next(Match::path(&*path)).reset_before_apply();
        ann.get(path).await.assert_ok();
    }
    assert_eq!(toggl.received(), 4);
    let report = counts(&report(&gate).await);
    let upstream: Vec<_> = report.values().map(|(upstream, _)| *upstream).collect();
    assert_eq!(upstream, [2, 2]);
    gate.stop().await;
}
