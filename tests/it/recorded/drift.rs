//! DESIGN §4: what somebody changes behind the gateway is noticed in the next list, once, with the time
//! between which it happened; and what nobody changed never is.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use http::{Method, StatusCode};
use insta::assert_snapshot;
use jiff::Timestamp;
use serde_json::{Value, json};
use tollgate::clock::Clock;
use tollgate::domain::event::Event;
use tollgate::domain::ids::{GroupId, UserId, WorkspaceId};
use tollgate::simulator::{Match, Toggl};

use crate::support::{
    CARE, Client, DESIGN, ENGINEERING, Gateway, ORG, STUDIO, basic, eventually, group, groups,
    old_groups, project_groups, soon, toggl, workspace_groups,
};

/// Noon of a day, and as much later as a test lets pass.
#[derive(Clone)]
pub(super) struct Day(Arc<AtomicI64>);

impl Day {
    pub(super) fn noon() -> Self {
        Self(Arc::new(AtomicI64::new(1_795_521_600_000)))
    }

    pub(super) fn clock(&self) -> Clock {
        let now = Arc::clone(&self.0);
        Clock::from_fn(move || Timestamp::from_millisecond(now.load(Ordering::SeqCst)).unwrap())
    }

    pub(super) fn pass(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1000, Ordering::SeqCst);
    }
}

async fn gate(toggl: &Toggl, day: &Day) -> Gateway {
    let gate = Gateway::before(toggl).clock(day.clock());
    let gate = gate.config(|config| {
        config.identity.lookup = false;
        // What has no outcome keeps its lists closed for twice this.
        config.upstream.request_timeout = std::time::Duration::from_millis(500);
    });
    gate.start().await
}

/// A fresh list, which everything that it tells follows from.
async fn read(client: &Client) {
    let list = client.get(groups(ORG)).header("cache-control", "no-cache");
    list.await
        .assert_ok()
        .assert_cache("tollgate; fwd=request; stored");
}

/// The same, when the change whose outcome nobody told can no longer be applied.
async fn read_later(client: &Client) {
    eventually("lists are believed again", async || {
        let list = client.get(groups(ORG)).header("cache-control", "no-cache");
        (list.await.assert_ok().cache() == "tollgate; fwd=request; stored").then_some(())
    })
    .await;
}

/// What was noticed, once all that was read is on disk. The gateway goes on.
async fn noticed(gate: &mut Gateway) -> String {
    gate.restart().await;
    let observed = observed(gate).await;
    let lines = observed
        .iter()
        .map(|event| format!("{}  {}", event.outcome, event.summary));
    lines.collect::<Vec<_>>().join("\n")
}

async fn observed(gate: &Gateway) -> Vec<Event> {
    let mut events = gate.events().await;
    events.retain(|event| event.action == "group.observed");
    events
}

#[tokio::test]
async fn an_admin_and_a_member_read_in_turn_for_an_hour_and_nothing_is_noticed() {
    let (toggl, day) = (toggl().await, Day::noon());
    let mut gate = gate(&toggl, &day).await;
    let readers = ["ann", "dan", "bob", "eve"].map(|name| gate.client(name));
    for _ in 0..120 {
        day.pass(30);
        for reader in &readers {
            read(reader).await;
        }
    }
    for reader in &readers {
        let filtered = format!("{}?name=design", groups(ORG));
        reader.get(filtered).await.assert_ok();
        reader.get(workspace_groups(ORG, CARE)).await.assert_ok();
        reader.get(old_groups(STUDIO)).await.assert_ok();
        read(reader).await;
    }
    assert_eq!(noticed(&mut gate).await, "");
    assert_eq!(gate.trail().await, "");
    gate.stop().await;
}

#[tokio::test]
async fn what_somebody_does_elsewhere_is_noticed_once() {
    let (toggl, day) = (toggl().await, Day::noon());
    let mut gate = gate(&toggl, &day).await;
    let readers = ["ann", "bob", "cleo"].map(|name| gate.client(name));
    for reader in &readers {
        read(reader).await;
    }
    toggl.rename_group(DESIGN, "Brand");
    toggl.add_member(DESIGN, UserId(7005));
    toggl.delete_group(GroupId(9004));
    toggl.create_group(ORG, "Research");
    toggl.change(|world| world.assign_workspace(ENGINEERING, CARE, true));
    for _ in 0..3 {
        day.pass(65);
        for reader in &readers {
            read(reader).await;
        }
    }
    let metric = format!("tollgate_changes_noticed_total{{organization=\"{ORG}\"}}");
    gate.measures(&metric, 4).await;
    assert_snapshot!(noticed(&mut gate).await, @r#"
    applied  noticed: deleted "Support" (it had Eve Lindqvist (7005), Finn Kask (7006), workspace 51002) elsewhere, between 12:00:00Z and 12:01:05Z
    applied  noticed: renamed "Design" to "Brand"; added Eve Lindqvist (7005) elsewhere, between 12:00:00Z and 12:01:05Z
    applied  noticed: in "Engineering": added workspace 51002 elsewhere, between 12:00:00Z and 12:01:05Z
    applied  noticed: created "Research" elsewhere, between 12:00:00Z and 12:01:05Z
    "#);
    let rename = observed(&gate)
        .await
        .into_iter()
        .find(|event| event.target.group_id == Some(DESIGN));
    let rename = rename.unwrap();
    assert_eq!(rename.actor.credential_id, None);
    assert_eq!(rename.occurred_at, "2026-11-24T12:00:00.000Z");
    assert_eq!(rename.completed_at, "2026-11-24T12:01:05.000Z");
    assert_eq!(rename.duration_ms, 65_000);
    assert_eq!(rename.before.unwrap()["name"], "Design");
    assert_eq!(rename.after.unwrap()["name"], "Brand");
    // And who is asked for by time and by group.
    let changes = gate
        .sql(
            "SELECT field, change, coalesce(label, value) FROM group_changes WHERE group_id = 9001",
        )
        .await;
    assert_eq!(changes, ["name|set|Brand", "users|added|Eve Lindqvist"]);
    gate.stop().await;
}

#[tokio::test]
async fn what_goes_through_the_gateway_is_not_noticed_again() {
    let (toggl, day) = (toggl().await, Day::noon());
    let guest = toggl.add_person("Hal Guest", ORG, false);
    let mut gate = gate(&toggl, &day).await;
    let readers = ["ann", "bob", "cleo", "eve"].map(|name| gate.client(name));
    let see = async || {
        day.pass(10);
        for reader in &readers {
            read(reader).await;
        }
        day.pass(10);
    };
    let ann = gate.client("ann");
    see().await;
    let research = json!({ "name": "Research", "users": [7003, 7004], "workspaces": [STUDIO] });
    let research = ann.post(groups(ORG), research).await.assert_ok().json();
    let research = group(ORG, GroupId(research["group_id"].as_i64().unwrap()));
    see().await;
    ann.put(&research, json!({ "name": "Sales", "users": [7005] }))
        .await
        .assert_ok();
    see().await;
    let patches = json!([
        { "op": "add", "path": "/users", "value": [7003] },
        { "op": "remove", "path": "/users", "value": [7005] },
        { "op": "replace", "path": "/workspaces", "value": [CARE] },
    ]);
    ann.patch(&research, patches).await.assert_ok();
    see().await;
    ann.delete(&research).await.assert_ok();
    see().await;
    let wanted = json!({ "group_id": ENGINEERING, "project_id": 30003 });
    let row = ann
        .post(project_groups(STUDIO), wanted)
        .await
        .assert_ok()
        .json();
    ann.delete(format!("{}/{}", project_groups(STUDIO), row["id"]))
        .await
        .assert_ok();
    see().await;
    let door = old_groups(STUDIO);
    let made = ann
        .post(&door, json!({ "name": "Old door" }))
        .await
        .assert_ok()
        .json();
    see().await;
    ann.put(format!("{door}/{DESIGN}"), json!({ "name": "Brand" }))
        .await
        .assert_ok();
    ann.delete(format!("{door}/{}", made["id"]))
        .await
        .assert_ok();
    see().await;
    for (method, path, body) in doors(&toggl) {
        let mut ask = ann.ask(method, path);
        if !body.is_null() {
            ask = ask.json(body);
        }
        // Which of these the simulator grants is its own affair.
        ask.await;
        see().await;
    }
    let hal = gate
        .stranger()
        .authorized(&basic(&guest.token, "api_token"));
    hal.delete(format!("/api/v9/organizations/{ORG}/users/leave"))
        .await
        .assert_ok();
    hal.post(
        "/api/v9/organizations/invitations/s3cret-C0de/accept",
        json!({}),
    )
    .await;
    see().await;
    assert_eq!(noticed(&mut gate).await, "");
    assert!(gate.events().await.len() > 15);
    // The views are right: what is done elsewhere now is all that is noticed.
    let ann = gate.client("ann");
    toggl.rename_group(DESIGN, "Elsewhere");
    day.pass(10);
    read(&ann).await;
    assert_snapshot!(noticed(&mut gate).await, @r#"applied  noticed: renamed "Brand" to "Elsewhere" elsewhere, between 12:05:50Z and 12:06:10Z"#);
    gate.stop().await;
}

/// Nine of the eleven other doors, at which an administrator can knock.
fn doors(toggl: &Toggl) -> Vec<(Method, String, Value)> {
    let workspace_user = |user| toggl.world(|world| world.workspace_user_id(STUDIO, UserId(user)));
    let (cleo, dan) = (workspace_user(7003).unwrap(), workspace_user(7004).unwrap());
    let organization = format!("/api/v9/organizations/{ORG}");
    let workspace = format!("/api/v9/workspaces/{STUDIO}");
    let of_both = format!("{organization}/workspaces/{STUDIO}");
    let groups = |ids: &[i64]| json!({ "groups": ids });
    let assignment =
        json!({ "operation": "assign", "user_id": 7005, "group_id": 9001, "joined": true });
    let roles =
        json!([{ "group_id": 9001, "user_id": 7005, "organization_id": ORG, "role_id": 1 }]);
    let invited = json!({ "emails": ["new@acme.example"], "groups": [9001] });
    vec![
        (
            Method::PUT,
            format!("{organization}/users/610003"),
            groups(&[9001, 9002]),
        ),
        (
            Method::PUT,
            format!("{workspace}/workspace_users/{cleo}"),
            groups(&[9002]),
        ),
        (
            Method::PUT,
            format!("{workspace}/users/7003"),
            groups(&[9001]),
        ),
        (Method::PUT, format!("{of_both}/assignments"), assignment),
        (Method::POST, format!("{organization}/invitations"), invited),
        (Method::POST, "/api/v9/users/1/roles".to_owned(), roles),
        (
            Method::PATCH,
            format!("{of_both}/workspace_users"),
            json!({ "delete": [dan] }),
        ),
        (
            Method::PATCH,
            format!("{organization}/users"),
            json!({ "delete": [610006] }),
        ),
        (
            Method::DELETE,
            format!("{workspace}/workspace_users/{cleo}"),
            Value::Null,
        ),
    ]
}

#[tokio::test]
async fn one_empty_list_is_an_accident_and_two_are_not() {
    let (toggl, day) = (toggl().await, Day::noon());
    let mut gate = gate(&toggl, &day).await;
    let ann = gate.client("ann");
    let empty = || {
        let list = Match::new(Method::GET, groups(ORG));
        toggl
            .next(list)
            .answer(StatusCode::OK, "application/json", "[]");
    };
    read(&ann).await;
    empty();
    for _ in 0..2 {
        day.pass(60);
        read(&ann).await;
    }
    assert_eq!(noticed(&mut gate).await, "");
    // The suspicion outlives a restart.
    for _ in 0..2 {
        empty();
        day.pass(60);
        read(&gate.client("ann")).await;
        assert_eq!(toggl.faults_left(), 0);
        gate.restart().await;
    }
    assert_eq!(observed(&gate).await.len(), 5);
    assert_snapshot!(observed(&gate).await[0].summary, @r#"noticed: deleted "Design" (it had Ann Becker (7001), Cleo Martin (7003), workspace 51001) elsewhere, between 12:02:00Z and 12:04:00Z"#);
    gate.stop().await;
}

#[tokio::test]
async fn a_change_that_nobody_answered_is_settled_either_way() {
    for (restarts, bodied) in [(false, true), (true, true), (false, false)] {
        let (toggl, day) = (toggl().await, Day::noon());
        let mut gate = gate(&toggl, &day).await;
        let ann = gate.client("ann");
        read(&ann).await;
        day.pass(10);
        let change = if bodied { Method::PUT } else { Method::DELETE };
        let ask = |name: &str| {
            let ask = gate.client("ann").ask(change.clone(), group(ORG, DESIGN));
            if bodied {
                ask.json(json!({ "name": name }))
            } else {
                ask
            }
        };
        toggl
            .next(Match::new(change.clone(), group(ORG, DESIGN)))
            .reset_before_apply();
        ask("Brand").await.assert_status(502);
        if restarts {
            gate.restart().await;
        }
        day.pass(60);
        read_later(&gate.client("ann")).await;
        day.pass(10);
        toggl
            .next(Match::new(change.clone(), group(ORG, DESIGN)))
            .reset_after_apply();
        let again = gate.client("ann").ask(change.clone(), group(ORG, DESIGN));
        let again = if bodied {
            again.json(json!({ "name": "Brand" }))
        } else {
            again
        };
        again.await.assert_status(502);
        if restarts {
            gate.restart().await;
        }
        day.pass(60);
        read_later(&gate.client("ann")).await;
        day.pass(60);
        read(&gate.client("bob")).await;
        read(&gate.client("ann")).await;
        let told = noticed(&mut gate).await;
        if bodied {
            assert_eq!(
                told,
                "rejected  settled: update of \"Design\" had no effect\n\
                 applied  settled: renamed \"Design\" to \"Brand\", between 12:01:20Z and 12:02:20Z"
            );
        } else {
            assert_eq!(
                told,
                "rejected  settled: deletion of \"Design\" had no effect\n\
                 applied  settled: deleted \"Design\" (it had Ann Becker (7001), Cleo Martin (7003), \
                 workspace 51001), between 12:01:20Z and 12:02:20Z"
            );
        }
        let events = gate.events().await;
        let unknown = events.iter().filter(|event| event.outcome == "unknown");
        let settled = observed(&gate).await;
        for (unknown, settled) in unknown.zip(&settled) {
            assert_eq!(
                settled.relations,
                json!([{ "kind": "settles", "id": unknown.id }])
            );
        }
        assert_eq!(settled[1].actor, events[0].actor, "the request explains it");
        gate.stop().await;
    }
}

#[tokio::test]
async fn a_change_that_the_gateway_did_not_live_to_see_answered_is_settled_too() {
    let (toggl, day) = (toggl().await, Day::noon());
    let mut gate = gate(&toggl, &day).await;
    gate.configure(|config| config.limits.shutdown_grace = std::time::Duration::ZERO);
    gate.restart().await;
    let ann = gate.client("ann");
    read(&ann).await;
    day.pass(10);
    let hold = toggl
        .next(Match::new(Method::POST, groups(ORG)))
        .hang_after_read();
    let made = ann.post(groups(ORG), json!({ "name": "Research" }));
    let made = tokio::spawn(made.attempt());
    soon("the change is upstream", hold.reached()).await;
    gate.restart().await;
    assert!(made.await.unwrap().is_err(), "nobody was there to answer");
    day.pass(60);
    read_later(&gate.client("ann")).await;
    assert_snapshot!(noticed(&mut gate).await, @r#"applied  settled: created "Research", between 12:00:10Z and 12:01:10Z"#);
    gate.stop().await;
}

#[tokio::test]
async fn other_rights_and_other_lists_are_no_change() {
    let (toggl, day) = (toggl().await, Day::noon());
    let mut gate = gate(&toggl, &day).await;
    let (ann, bob, dan) = (gate.client("ann"), gate.client("bob"), gate.client("dan"));
    let see = async || {
        day.pass(60);
        for reader in [&ann, &bob, &dan] {
            read(reader).await;
        }
    };
    see().await;
    for admin in [false, true] {
        toggl.change(|world| world.join(ORG, UserId(7002), admin));
        see().await;
    }
    // Dan is put into a group, by somebody whom Ann's list shows it of.
    toggl.add_member(DESIGN, UserId(7004));
    day.pass(60);
    read(&dan).await;
    see().await;
    // Lists of a part are compared with nothing.
    day.pass(60);
    toggl.delete_group(GroupId(9003));
    for filter in ["?name=eng", "?workspace=51002", "?anything=1"] {
        let list = ann.get(format!("{}{filter}", groups(ORG)));
        list.await.assert_ok().assert_cache("…stored");
    }
    ann.get(workspace_groups(ORG, WorkspaceId(51002)))
        .await
        .assert_ok();
    assert_snapshot!(noticed(&mut gate).await, @r#"applied  noticed: in "Design": added Dan Okafor (7004) elsewhere, between 12:03:00Z and 12:05:00Z"#);
    gate.stop().await;
}

#[tokio::test]
async fn what_happens_while_a_change_is_under_way_is_noticed_after_it() {
    let (toggl, day) = (toggl().await, Day::noon());
    let mut gate = gate(&toggl, &day).await;
    let ann = gate.client("ann");
    read(&ann).await;
    day.pass(10);
    let hold = toggl
        .next(Match::new(Method::PUT, group(ORG, DESIGN)))
        .hang();
    let change = ann
        .put(group(ORG, DESIGN), json!({ "name": "Brand" }))
        .spawn();
    soon("the change is upstream", hold.reached()).await;
    toggl.rename_group(ENGINEERING, "Makers");
    day.pass(10);
    let list = ann.get(groups(ORG)).await.assert_ok();
    list.assert_cache("tollgate; fwd=bypass; detail=change-in-flight");
    hold.release();
    change.await.unwrap().assert_ok();
    day.pass(10);
    read(&ann).await;
    assert_snapshot!(noticed(&mut gate).await, @r#"applied  noticed: renamed "Engineering" to "Makers" elsewhere, between 12:00:00Z and 12:00:30Z"#);
    gate.stop().await;
}

#[tokio::test]
async fn what_was_made_elsewhere_and_deleted_here_was_not_always_there() {
    let (toggl, day) = (toggl().await, Day::noon());
    let mut gate = gate(&toggl, &day).await;
    let ann = gate.client("ann");
    read(&ann).await;
    day.pass(10);
    let research = toggl.create_group(ORG, "Research");
    day.pass(10);
    toggl
        .next(Match::new(Method::PUT, group(ORG, DESIGN)))
        .reset_after_apply();
    let change = ann.put(group(ORG, DESIGN), json!({ "name": "Brand" }));
    change.await.assert_status(502);
    day.pass(10);
    ann.delete(group(ORG, research)).await.assert_ok();
    assert_snapshot!(noticed(&mut gate).await, @r#"applied  noticed: created "Research" elsewhere, between 12:00:00Z and 12:00:30Z"#);
    gate.stop().await;
}

#[tokio::test]
async fn what_other_changes_did_to_groups_is_not_taken_for_a_strangers() {
    let (toggl, day) = (toggl().await, Day::noon());
    let mut gate = gate(&toggl, &day).await;
    let ann = gate.client("ann");
    read(&ann).await;
    day.pass(10);
    let other = ann
        .put(
            format!("/api/v9/workspaces/{STUDIO}"),
            json!({ "name": "Lab" }),
        )
        .await;
    let event = other
        .assert_ok()
        .header("x-tollgate-event")
        .unwrap()
        .to_owned();
    toggl.remove_member(DESIGN, UserId(7003));
    day.pass(10);
    read(&ann).await;
    assert_snapshot!(noticed(&mut gate).await, @r#"applied  noticed: in "Design": removed Cleo Martin (7003), perhaps by a change that left it open, between 12:00:00Z and 12:00:20Z"#);
    let observed = observed(&gate).await;
    assert_eq!(
        observed[0].relations,
        json!([{ "kind": "settles", "id": event }])
    );
    gate.stop().await;
}
