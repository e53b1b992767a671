//! What upstream refuses is recorded too, with its reason.

use std::time::Duration;

use http::{Method, StatusCode};
use insta::assert_snapshot;
use serde_json::{Value, json};
use tollgate::domain::ids::{GroupId, OrganizationId};
use tollgate::simulator::Match;

use crate::support::{CARE, DESIGN, Gateway, ORG, STUDIO, group, groups, project_groups, toggl};

const GLOBEX: OrganizationId = OrganizationId(4200);

#[tokio::test]
async fn every_refusal_is_a_row_with_its_reason() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let [ann, eve, gus] = ["ann", "eve", "gus"].map(|name| gate.client(name));
    ann.get(groups(ORG)).await.assert_ok();
    let (design, nowhere) = (group(ORG, DESIGN), group(ORG, GroupId(1)));
    let add = |value: Value| json!([{ "op": "add", "path": "/users", "value": value }]);
    let many: Vec<i64> = (1..=2000).collect();
    let asked = [
        ann.post(groups(ORG), json!({ "name": " " })),
        ann.post(groups(ORG), json!({ "name": "x".repeat(201) })),
        ann.post(groups(ORG), json!({ "name": "Design" })),
        ann.ask(Method::POST, groups(ORG)).body(r#"{"name":"#),
        ann.post(groups(ORG), json!({ "name": "New", "users": [7101] })),
        ann.post(groups(ORG), json!({ "name": "New", "workspaces": [52001] })),
        eve.post(groups(ORG), json!({ "name": "New" })),
        ann.put(&design, json!({ "name": "Support" })),
        ann.put(&design, json!({ "name": "Design", "users": [1] })),
        gus.put(&design, json!({ "name": "Mine" })),
        ann.put(&nowhere, json!({ "name": "New" })),
        ann.put(format!("{}/x1", groups(ORG)), json!({ "name": "New" })),
        ann.delete(&nowhere),
        gus.delete(&design),
        ann.patch(
            &design,
            json!([{ "op": "move", "path": "/users", "value": [7002] }]),
        ),
        ann.patch(
            &design,
            json!([{ "op": "add", "path": "/names", "value": [7002] }]),
        ),
        ann.patch(&design, json!({ "op": "add" })),
        gus.patch(group(GLOBEX, DESIGN), add(json!([7101]))),
        ann.patch(
            &design,
            Value::from(vec![add(json!([7002]))[0].clone(); 200]),
        ),
        ann.patch(&design, add(json!(many))),
        eve.patch(&design, add(json!([7005]))),
        eve.post(
            project_groups(STUDIO),
            json!({ "group_id": DESIGN, "project_id": 30002 }),
        ),
        gus.delete(format!("{}/1", project_groups(CARE))),
        gate.stranger().post(groups(ORG), json!({ "name": "New" })),
        gate.stranger()
            .authorized("Basic bm9ib2R5OmFwaV90b2tlbg==")
            .delete(&design),
    ];
    let mut statuses = Vec::new();
    for ask in asked {
        let reply = ask.await;
        assert!(
            reply.status.is_client_error(),
            "{}: {}",
            reply.status,
            reply.text()
        );
        assert!(reply.header("x-tollgate-event").is_some());
        statuses.push(reply.status);
    }
    assert!(toggl.applied().is_empty());
    let events = gate.events().await;
    for (event, status) in events.iter().zip(statuses) {
        assert_eq!(event.outcome, "rejected", "{}", event.summary);
        assert_eq!(event.response.status, Some(status.as_u16()));
        assert_eq!(event.changes, json!([]));
        assert_eq!(event.before, event.after, "{}", event.summary);
    }
    let long = "x".repeat(201);
    let told = gate.trail().await.replace(&long, "xxx…");
    assert_snapshot!(told, @r#"
    ann  group.create  rejected  tried to create " ": Group name must be present (400)
    ann  group.create  rejected  tried to create "xxx…": Group name too long, maximum length is 200 (400)
    ann  group.create  rejected  tried to create "Design": Name has already been taken (400)
    ann  group.create  rejected  tried to create a group: Invalid JSON input (400)
    ann  group.create  rejected  tried to create "New": User 7101 not exists in the organization 4123 (400)
    ann  group.create  rejected  tried to create "New": Workspace 52001 not exists in the organization 4123 (400)
    eve  group.create  rejected  tried to create "New": User does not have access to this resource (403)
    ann  group.update  rejected  tried to rename "Design" to "Support": Name has already been taken (400)
    ann  group.update  rejected  tried to update "Design": User 1 not exists in the organization 4123 (400)
    gus  group.update  rejected  tried to rename "Design" to "Mine": Forbidden (403)
    ann  group.update  rejected  tried to update group 1: Invalid group ID. (404)
    ann  group.update  rejected  tried to update a group: Invalid number x1 (400)
    ann  group.delete  rejected  tried to delete group 1: Invalid group ID. (404)
    gus  group.delete  rejected  tried to delete "Design": Forbidden (403)
    ann  group.patch  rejected  tried to change "Design": Empty or invalid patch operation (400)
    ann  group.patch  rejected  tried to change "Design": Empty or invalid patch path (400)
    ann  group.patch  rejected  tried to change "Design": Invalid JSON input (400)
    gus  group.patch  rejected  tried to change group 9001 (add users Gus Romero (7101)): Unknown group at organization (400)
    ann  group.patch  rejected  tried to change "Design" (add users Bob Tamm (7002); add users Bob Tamm (7002); add users Bob Tamm (7002); add users Bob Tamm (7002); add users Bob Tamm (7002); add users Bob Tamm (7002); add users Bob Tamm (7002); add users Bob Tamm (7002); add users Bob Tamm (7002); add users Bob Tamm (7002) and 190 more): Too many patches (400)
    ann  group.patch  rejected  tried to change "Design" (add users 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 1990 more): Too many values per patch (400)
    eve  group.patch  rejected  tried to change "Design" (add users Eve Lindqvist (7005)): User does not have access to this resource (403)
    eve  project_group.add  rejected  tried to give "Design" access to project 30002: Forbidden (403)
    gus  project_group.remove  rejected  tried to take from a group the access to a project: Forbidden (403)
    nobody  group.create  rejected  tried to create "New": 401
    somebody  group.delete  rejected  tried to delete "Design": 403
    "#);
    gate.stop().await;
}

#[tokio::test]
async fn limits_and_plans_refuse_a_change_as_well() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    ann.get(groups(ORG)).await.assert_ok();
    let renames = || toggl.next(Match::path(group(ORG, DESIGN)));
    let rename = || ann.put(group(ORG, DESIGN), json!({ "name": "Brand" }));
    renames().plan_lacks_feature();
    rename().await.assert_status(402);
    renames().status(StatusCode::TOO_MANY_REQUESTS);
    rename().await.assert_status(429);
    renames().status(StatusCode::BAD_REQUEST);
    rename().await.assert_status(400);
    renames().quota_exhausted(Duration::from_secs(600));
    rename().await.assert_status(402);
    assert_snapshot!(gate.trail().await, @r#"
    ann  group.update  rejected  tried to rename "Design" to "Brand": This feature is not available on your current plan (402)
    ann  group.update  rejected  tried to rename "Design" to "Brand": 429
    ann  group.update  rejected  tried to rename "Design" to "Brand": 400
    ann  group.update  rejected  tried to rename "Design" to "Brand": You have hit your hourly limit of 30 API requests for organization 4123. The quota will reset in 600 seconds. (402)
    "#);
    gate.stop().await;
}

#[tokio::test]
async fn a_body_of_the_largest_size_and_names_of_any_kind_are_kept_whole() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    // To the byte what `audit.max_body_size` allows.
    let (head, tail) = (r#"[{"op":"add","path":"/users","value":["#, "7002]}]");
    let room = (1 << 20) - head.len() - tail.len();
    let body = format!(
        "{head}{}{}{tail}",
        "7002,".repeat(room / 5),
        " ".repeat(room % 5)
    );
    assert_eq!(body.len(), 1 << 20);
    let change = ann
        .ask(Method::PATCH, group(ORG, DESIGN))
        .body(body.clone());
    change.await.assert_status(400);
    let name = "a\u{202e}b\u{0}c\u{1b}[2J\u{feff}\u{200d}\u{1f469}\u{e0041}\u{301}\u{2028}\"'<\\";
    ann.put(group(ORG, DESIGN), json!({ "name": name }))
        .await
        .assert_ok();
    let events = gate.events().await;
    assert_eq!(events[0].request.body, Some(body));
    assert_eq!(events[0].flags, json!([]));
    assert_eq!(events[1].target.group_name.as_deref(), Some(name));
    assert_eq!(events[1].changes[0]["to"], name);
    let summary = &events[1].summary;
    assert!(!summary.chars().any(char::is_control), "{summary:?}");
    gate.stop().await;
}
