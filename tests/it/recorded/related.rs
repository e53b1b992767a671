//! Events name those that they have to do with, and `If-Match` keeps some from happening.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tollgate::simulator::Match;

use super::events::toggl;
use crate::support::{DESIGN, Gateway, ORG, group, groups};

/// The relations of each event, by the other events' places in the trail.
async fn relations(gate: &Gateway) -> Vec<Value> {
    let events = gate.events().await;
    let seq = |id: &Value| {
        let other = events.iter().find(|event| *id == json!(event.id));
        other.unwrap().seq
    };
    let of = |relations: &Value| -> Value {
        let relations = relations.as_array().unwrap().iter();
        relations
            .map(|relation| json!([relation["kind"], seq(&relation["id"])]))
            .collect()
    };
    events.iter().map(|event| of(&event.relations)).collect()
}

#[tokio::test]
async fn who_undoes_anothers_change_overwrites_it_also_after_a_restart() {
    let toggl = toggl().await;
    let mut gate = Gateway::before(&toggl).start().await;
    let (ann, bob) = (gate.client("ann"), gate.client("bob"));
    let patch = |op: &str| json!([{ "op": op, "path": "/users", "value": [7005] }]);
    ann.patch(group(ORG, DESIGN), patch("add"))
        .await
        .assert_ok();
    bob.patch(group(ORG, DESIGN), patch("remove"))
        .await
        .assert_ok();
    gate.restart().await;
    ann.patch(group(ORG, DESIGN), patch("add"))
        .await
        .assert_ok();
    ann.patch(group(ORG, DESIGN), patch("remove"))
        .await
        .assert_ok();
    let expected = [
        json!([]),
        json!([["overwrote", 1]]),
        json!([["overwrote", 2]]),
        json!([]),
    ];
    assert_eq!(relations(&gate).await, expected);
    gate.stop().await;
}

#[tokio::test]
async fn the_same_request_again_after_a_failure_is_a_retry() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    toggl
        .next(Match::new(Method::PUT, group(ORG, DESIGN)))
        .reset_after_apply();
    let rename = || ann.put(group(ORG, DESIGN), json!({ "name": "Brand" }));
    rename().await.assert_problem(502, "upstream-unreachable");
    rename().await.assert_ok();
    rename().await.assert_ok();
    // The state before the second tells what became of the first.
    let settled = json!([["settles", 1]]);
    let expected = [json!([]), settled, json!([["retries", 1]]), json!([])];
    assert_eq!(relations(&gate).await, expected);
    gate.stop().await;
}

#[tokio::test]
async fn a_change_under_if_match_is_sent_while_the_list_is_as_it_was() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    let filtered = format!("{}?name=des", groups(ORG));
    let lists = [groups(ORG), filtered];
    for (index, list) in lists.iter().enumerate() {
        let read = ann.get(list).await.assert_ok();
        let tag = read.header("etag").unwrap().to_owned();
        let name = json!({ "name": format!("Design {index}") });
        let change = ann.put(group(ORG, DESIGN), name).header("if-match", &tag);
        change.await.assert_ok();
        let again = ann.put(group(ORG, DESIGN), json!({ "name": "Design" }));
        let refused = again.header("if-match", &tag).await;
        refused.assert_problem(412, "changed-since");
    }
    let sent = toggl.received_matching(&Match::new(Method::PUT, group(ORG, DESIGN)));
    assert_eq!(sent.len(), 2);
    assert!(
        sent.iter()
            .all(|request| request.header("if-match").is_none())
    );
    let events = gate.events().await;
    assert_eq!(events.len(), 4);
    let refused = &events[1];
    assert_eq!(
        (&*refused.outcome, &refused.flags),
        ("not_sent", &json!(["changed-since"]))
    );
    assert_eq!(refused.after, refused.before);
    gate.stop().await;
}

#[tokio::test]
async fn many_tags_in_if_match_ask_for_their_list_once() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    let read = ann.get(groups(ORG)).await.assert_ok();
    let tag = read.header("etag").unwrap().to_owned();
    let others: Vec<_> = (0..50).map(|n| format!("\"{n:032x}\"")).collect();
    let tags = format!("{}, {tag}", others.join(", "));
    let change = || ann.put(group(ORG, DESIGN), json!({ "name": "Brand" }));
    change().header("if-match", &tags).await.assert_ok();
    let again = change().header("if-match", &tags).await;
    again.assert_problem(412, "changed-since");
    let asked = toggl.received_matching(&Match::new(Method::GET, groups(ORG)));
    assert_eq!(asked.len(), 3, "the read, and once for each change");
    gate.stop().await;
}

#[tokio::test]
async fn what_somebody_changed_elsewhere_stops_a_change_under_if_match_too() {
    let toggl = toggl().await;
    let mut gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    let read = ann.get(groups(ORG)).await.assert_ok();
    let tag = read.header("etag").unwrap().to_owned();
    let delete = || ann.delete(group(ORG, DESIGN)).header("if-match", &tag);
    toggl.rename_group(DESIGN, "Elsewhere");
    delete().await.assert_problem(412, "changed-since");
    toggl.rename_group(DESIGN, "Design");
    // Whose list cannot be asked for may not be told that it is unchanged.
    toggl
        .next(Match::new(Method::GET, groups(ORG)))
        .status(StatusCode::INTERNAL_SERVER_ERROR);
    delete().await.assert_problem(412, "changed-since");
    let other = ann
        .delete(group(ORG, DESIGN))
        .header("if-match", "\"of another list\"");
    other.await.assert_problem(412, "changed-since");
    // A tag that a gateway before this one gave out is held against the whole list.
    let read = ann.get(groups(ORG)).header("cache-control", "no-cache");
    let tag = read.await.header("etag").unwrap().to_owned();
    gate.restart().await;
    let delete = ann.delete(group(ORG, DESIGN)).header("if-match", &tag);
    delete.await.assert_ok();
    ann.post(groups(ORG), json!({ "name": "New" }))
        .header("if-match", "*")
        .await
        .assert_ok();
    gate.stop().await;
}
