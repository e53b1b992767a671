//! What was before a change and what is after it are true, also of changes at the same time: to go
//! through the events in their order is to see upstream's group as it became.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{DESIGN, ENGINEERING, Gateway, ORG, group, groups, toggl};

/// The name and the members of a group that an event shows.
fn seen(group: Option<&Value>) -> (String, Vec<i64>) {
    let group = group.expect("it was known");
    let users = group["users"].as_array().unwrap().iter();
    let mut users: Vec<_> = users
        .map(|user| user["user_id"].as_i64().unwrap())
        .collect();
    users.sort_unstable();
    (group["name"].as_str().unwrap().to_owned(), users)
}

#[tokio::test]
async fn changes_of_different_groups_at_the_same_time_do_not_mix() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let (ann, bob) = (gate.client("ann"), gate.client("bob"));
    ann.get(groups(ORG)).await.assert_ok();
    for round in 0..5 {
        let patch = |op: &str| json!([{ "op": op, "path": "/users", "value": [7005] }]);
        let op = if round % 2 == 0 { "add" } else { "remove" };
        let one = ann.patch(group(ORG, DESIGN), patch(op));
        let other = bob.patch(group(ORG, ENGINEERING), patch(op));
        for answer in join_all([one.spawn(), other.spawn()]).await {
            answer.unwrap().assert_ok();
        }
    }
    assert_each_follows_the_last(&gate, &toggl).await;
    gate.stop().await;
}

#[tokio::test]
async fn changes_of_one_group_at_the_same_time_follow_each_other() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let clients = [gate.client("ann"), gate.client("bob")];
    clients[0].get(groups(ORG)).await.assert_ok();
    let changes = (0..30).map(|index| {
        let client = &clients[index % 2];
        let user = 7002 + index % 5;
        let patch = |op: &str| json!([{ "op": op, "path": "/users", "value": [user] }]);
        match index % 3 {
            0 => client.put(
                group(ORG, DESIGN),
                json!({ "name": format!("Name {index}") }),
            ),
            1 => client.patch(group(ORG, DESIGN), patch("add")),
            _ => client.patch(group(ORG, DESIGN), patch("remove")),
        }
    });
    for answer in join_all(changes.map(|change| change.spawn())).await {
        answer.unwrap().assert_ok();
    }
    assert_each_follows_the_last(&gate, &toggl).await;
    gate.stop().await;
}

/// What was after a group's change is what is before its next one, and at last what upstream has.
async fn assert_each_follows_the_last(gate: &Gateway, toggl: &tollgate::simulator::Toggl) {
    for id in [DESIGN, ENGINEERING] {
        let mut state = None;
        for event in gate.events().await {
            if event.target.group_id != Some(id) {
                continue;
            }
            let before = seen(event.before.as_ref());
            let last = state.get_or_insert_with(|| before.clone());
            assert_eq!(*last, before, "before {}: {}", event.seq, event.summary);
            state = Some(seen(event.after.as_ref()));
        }
        let upstream = toggl.group(id).unwrap();
        let mut users: Vec<_> = upstream.users.iter().map(|user| user.0).collect();
        users.sort_unstable();
        if let Some(state) = state {
            assert_eq!(state, (upstream.name, users));
        }
    }
}
