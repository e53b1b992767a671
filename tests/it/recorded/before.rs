//! The state before a change: asked for where nobody has seen it, and at no more than one request.

use http::Method;
use insta::assert_snapshot;
use serde_json::json;
use tollgate::domain::ids::UserId;
use tollgate::simulator::Match;

use super::drift::Day;
use super::events::toggl;
use crate::support::{
    CARE, Client, DESIGN, ENGINEERING, Gateway, ORG, group, groups, project_groups,
};

#[tokio::test]
async fn a_group_that_nobody_has_seen_is_asked_for_once_and_shared_with_the_cache() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    let rename = |name: &str| ann.put(group(ORG, DESIGN), json!({ "name": name }));
    rename("Brand").await.assert_ok();
    ann.delete(group(ORG, ENGINEERING)).await.assert_ok();
    let asked = Match::new(Method::GET, groups(ORG));
    assert_eq!(
        toggl.received_matching(&asked).len(),
        1,
        "all groups came with it"
    );
    assert_snapshot!(gate.trail().await, @r#"
    ann  group.update  applied  renamed "Design" to "Brand"
    ann  group.delete  applied  deleted "Engineering" (it had Bob Tamm (7002), Dan Okafor (7004), workspace 51001)
    "#);

    gate.stop().await;

    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    ann.get(groups(ORG))
        .await
        .assert_cache("tollgate; fwd=uri-miss; stored");
    gate.tamper("DELETE FROM known_groups").await;
    ann.put(group(ORG, DESIGN), json!({ "name": "Design" }))
        .await
        .assert_ok();
    assert_eq!(toggl.received_matching(&asked).len(), 2, "the cache had it");
    assert_snapshot!(gate.trail().await, @r#"ann  group.update  applied  renamed "Brand" to "Design""#);
    gate.stop().await;
}

#[tokio::test]
async fn the_row_between_a_group_and_a_project_is_asked_for_too() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    let straight = Client::of(toggl.url()).authorized(&toggl.authorization("ann"));
    let rows = straight.get(project_groups(CARE)).await.json();
    let row = format!("{}/{}", project_groups(CARE), rows[0]["id"]);
    ann.delete(row).await.assert_ok();
    assert_snapshot!(gate.trail().await, @"ann  project_group.remove  applied  took from group 9004 the access to project 30004");
    gate.stop().await;
}

#[tokio::test]
async fn fifty_changes_at_once_of_a_group_that_nobody_has_seen_ask_once() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let (ann, bob) = (gate.client("ann"), gate.client("bob"));
    let changes = (0..50).map(|index| {
        let client = if index % 2 == 0 { &ann } else { &bob };
        client
            .put(
                group(ORG, DESIGN),
                json!({ "name": format!("Name {index}") }),
            )
            .spawn()
    });
    for answer in futures_util::future::join_all(changes).await {
        answer.unwrap().assert_ok();
    }
    let asked = Match::new(Method::GET, groups(ORG));
    assert_eq!(toggl.received_matching(&asked).len(), 1);
    let mut last = json!("Design");
    for event in gate.events().await {
        assert_eq!(event.before.unwrap()["name"], last);
        last = event.after.unwrap()["name"].clone();
    }
    assert_eq!(last, toggl.group(DESIGN).unwrap().name);
    gate.stop().await;
}

#[tokio::test]
async fn nobody_is_blamed_for_what_somebody_did_elsewhere_before() {
    let (toggl, day) = (toggl().await, Day::noon());
    let gate = Gateway::before(&toggl).clock(day.clock());
    let gate = gate
        .config(|config| config.identity.lookup = false)
        .start()
        .await;
    let ann = gate.client("ann");
    ann.get(groups(ORG)).await.assert_ok();
    day.pass(70);
    toggl.add_member(DESIGN, UserId(7005));
    toggl.remove_member(DESIGN, UserId(7003));
    ann.put(group(ORG, DESIGN), json!({ "name": "Brand" }))
        .await
        .assert_ok();
    ann.get(groups(ORG)).await.assert_ok();
    ann.post("/api/v9/feedback", json!({})).await.assert_ok();
    assert_snapshot!(gate.trail().await, @r#"
    nobody  group.observed  applied  noticed: in "Design": added Eve Lindqvist (7005); removed Cleo Martin (7003) elsewhere, between 12:00:00Z and 12:01:10Z
    ann  group.update  applied  renamed "Design" to "Brand"
    ann  api.write  applied  POST /api/v9/feedback
    "#);
    gate.stop().await;
}
