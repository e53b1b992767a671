//! What the trail says of changes that come by other doors than a group's own endpoints.

use http::Method;
use insta::assert_snapshot;
use serde_json::{Value, json};
use tollgate::config::Scope;
use tollgate::domain::ids::UserId;
use tollgate::simulator::Toggl;

use super::events::{counting_toggl, last, toggl, without_hashes};
use crate::support::{
    CARE, Client, DESIGN, ENGINEERING, Gateway, ORG, STUDIO, basic, groups, old_groups,
    project_groups,
};

#[tokio::test]
async fn access_to_a_project_is_given_and_taken() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    ann.get(groups(ORG)).await.assert_ok();
    let wanted = json!({ "group_id": ENGINEERING, "project_id": 30003 });
    let row = ann
        .post(project_groups(STUDIO), wanted)
        .await
        .assert_ok()
        .json();
    assert_snapshot!(last(&gate).await, @r#"
    action: "project_group.add"
    outcome: "applied"
    target: {"organization_id":4123,"workspace_id":51001,"group_id":9002,"group_name":"Engineering","project_id":30003,"project_group_id":90000018}
    request: {"method":"POST","path":"/api/v9/workspaces/51001/project_groups","body":"{\"group_id\":9002,\"project_id\":30003}"}
    response: {"status":200}
    changes: [{"field":"project","change":"added","id":30003}]
    summary: "gave \"Engineering\" access to project 30003"
    "#);
    let path = format!("{}/{}", project_groups(STUDIO), row["id"]);
    ann.delete(&path).await.assert_ok();
    assert_snapshot!(last(&gate).await, @r#"
    action: "project_group.remove"
    outcome: "applied"
    target: {"organization_id":4123,"workspace_id":51001,"group_id":9002,"group_name":"Engineering","project_id":30003,"project_group_id":90000018}
    request: {"method":"DELETE","path":"/api/v9/workspaces/51001/project_groups/90000018"}
    response: {"status":200}
    changes: [{"field":"project","change":"removed","id":30003}]
    summary: "took from \"Engineering\" the access to project 30003"
    "#);
    let unknown = ann.get(project_groups(CARE)).await.assert_ok().json();
    ann.delete(format!("{}/{}", project_groups(CARE), unknown[0]["id"]))
        .await
        .assert_ok();
    assert_snapshot!(last(&gate).await, @r#"
    action: "project_group.remove"
    outcome: "applied"
    target: {"organization_id":4123,"workspace_id":51002,"group_id":9004,"group_name":"Support","project_id":30004,"project_group_id":90000015}
    request: {"method":"DELETE","path":"/api/v9/workspaces/51002/project_groups/90000015"}
    response: {"status":200}
    changes: [{"field":"project","change":"removed","id":30004}]
    summary: "took from \"Support\" the access to project 30004"
    "#);
    gate.stop().await;
}

#[tokio::test]
async fn the_deprecated_doors_lead_to_the_same_groups() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    ann.get(groups(ORG)).await.assert_ok();
    let door = old_groups(STUDIO);
    let made = ann
        .post(&door, json!({ "name": "Research" }))
        .await
        .assert_ok()
        .json();
    assert_snapshot!(last(&gate).await, @r#"
    action: "group.create"
    outcome: "applied"
    target: {"organization_id":4123,"workspace_id":51001,"group_id":90000018,"group_name":"Research"}
    request: {"method":"POST","path":"/api/v9/workspaces/51001/groups","body":"{\"name\":\"Research\"}"}
    response: {"status":200,"body":"{\"id\":90000018,\"name\":\"Research\",\"workspace_id\":51001,\"at\":\"2026-05-04T12:00:00.000007Z\"}"}
    changes: [{"field":"group","change":"created","to":"Research"}]
    summary: "created \"Research\""
    "#);
    ann.put(format!("{door}/{DESIGN}"), json!({ "name": "Brand" }))
        .await
        .assert_ok();
    assert_snapshot!(last(&gate).await, @r#"
    action: "group.update"
    outcome: "applied"
    target: {"organization_id":4123,"workspace_id":51001,"group_id":9001,"group_name":"Brand"}
    request: {"method":"PUT","path":"/api/v9/workspaces/51001/groups/9001","body":"{\"name\":\"Brand\"}"}
    response: {"status":200,"body":"{\"id\":9001,\"name\":\"Brand\",\"workspace_id\":51001,\"at\":\"2026-05-04T12:00:00.000008Z\"}"}
    changes: [{"field":"name","change":"set","from":"Design","to":"Brand"}]
    summary: "renamed \"Design\" to \"Brand\""
    "#);
    ann.delete(format!("{door}/{}", made["id"]))
        .await
        .assert_ok();
    assert_snapshot!(last(&gate).await, @r#"
    action: "group.delete"
    outcome: "applied"
    target: {"organization_id":4123,"workspace_id":51001,"group_id":90000018,"group_name":"Research"}
    request: {"method":"DELETE","path":"/api/v9/workspaces/51001/groups/90000018"}
    response: {"status":200,"body":"OK"}
    changes: [{"field":"group","change":"deleted","from":"Research"},{"field":"workspaces","change":"removed","id":51001}]
    summary: "deleted \"Research\" (it had workspace 51001)"
    "#);
    gate.stop().await;
}

/// What each event says of groups, a line each.
async fn doors_told(gate: &Gateway) -> String {
    let lines = gate.events().await.into_iter().map(|event| {
        assert_eq!(event.action, "membership.change");
        assert_eq!(event.response.body, None, "{}", event.summary);
        let group = event.target.group_id.map_or(0, |group| group.0);
        format!(
            "{} {group} {} {}",
            event.outcome, event.flags, event.summary
        )
    });
    without_hashes(&lines.collect::<Vec<_>>().join("\n"))
}

/// Ann goes by each door at which an administrator may.
async fn go_by_each_door(toggl: &Toggl, ann: &Client) {
    let workspace_user = |workspace, user: i64| {
        let id = toggl.world(|world| world.workspace_user_id(workspace, UserId(user)));
        id.unwrap()
    };
    let cleo = workspace_user(STUDIO, 7003);
    let dan = workspace_user(STUDIO, 7004);
    let organization = format!("/api/v9/organizations/{ORG}");
    let workspace = format!("/api/v9/workspaces/{STUDIO}");
    let of_both = format!("{organization}/workspaces/{STUDIO}");
    let role = json!([{ "group_id": 9002, "user_id": 7005, "organization_id": ORG, "role_id": 2 }]);
    let doors = [
        (
            Method::PUT,
            format!("{organization}/users/610003"),
            json!({ "groups": [9001, 9002] }),
        ),
        (
            Method::PUT,
            format!("{workspace}/workspace_users/{cleo}"),
            json!({ "groups": [9001] }),
        ),
        (
            Method::PUT,
            format!("{workspace}/users/7003"),
            json!({ "groups": [9001, 9003] }),
        ),
        (
            Method::PUT,
            format!("{of_both}/assignments"),
            json!({ "operation": "assign", "user_id": 7005, "group_id": 9001 }),
        ),
        (
            Method::PUT,
            format!("{organization}/workspaces/{CARE}/assignments"),
            json!({ "operation": "assign", "group_id": 9001 }),
        ),
        (
            Method::POST,
            format!("{organization}/invitations"),
            json!({ "emails": ["new@acme.example"], "groups": [9001, 9002] }),
        ),
        (Method::POST, "/api/v9/users/1/roles".to_owned(), role),
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
    ];
    for (method, path, body) in doors {
        let ask = ann.ask(method, path);
        let ask = if body.is_null() { ask } else { ask.json(body) };
        ask.await.assert_ok();
    }
}

#[tokio::test]
async fn each_of_the_other_doors_tells_who_came_into_which_group_and_who_left() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    go_by_each_door(&toggl, &ann).await;
    let told = doors_told(&gate).await;
    assert_snapshot!(told, @r#"
    applied 0 [] in "Engineering": added Cleo Martin (7003); in "Marketing": removed Cleo Martin (7003) (by PUT /api/v9/organizations/4123/users/610003)
    applied 9002 [] in "Engineering": removed Cleo Martin (7003) (by PUT /api/v9/workspaces/51001/workspace_users/90000005)
    applied 9003 [] in "Marketing": added Cleo Martin (7003) (by PUT /api/v9/workspaces/51001/users/7003)
    applied 9001 [] in "Design": added Eve Lindqvist (7005) (by PUT /api/v9/organizations/4123/workspaces/51001/assignments)
    applied 9001 [] in "Design": added workspace 51002 (by PUT /api/v9/organizations/4123/workspaces/51002/assignments)
    applied 0 [] in "Design": added new@acme.example (90000018); in "Engineering": added new@acme.example (90000018) (by POST /api/v9/organizations/4123/invitations)
    applied 9002 [] in "Engineering": added Eve Lindqvist (7005) (by POST /api/v9/users/1/roles)
    applied 9002 [] in "Engineering": removed Dan Okafor (7004) (by PATCH /api/v9/organizations/4123/workspaces/51001/workspace_users)
    applied 9004 [] in "Support": removed Finn Kask (7006) (by PATCH /api/v9/organizations/4123/users)
    applied 0 [] changed memberships by DELETE /api/v9/workspaces/51001/workspace_users/90000005
    "#);
    let ids = gate
        .sql("SELECT group_concat(group_id) FROM audit_event_groups WHERE seq = 1")
        .await;
    assert_eq!(ids, ["9002,9003"]);
    // In each group's own history.
    let rows = gate
        .sql("SELECT group_name || ' ' || change || ' ' || value FROM group_changes WHERE field = 'users' AND group_id = 9002 ORDER BY event_id")
        .await;
    assert_snapshot!(rows.join("\n"), @"
    Engineering added 7003
    Engineering removed 7003
    Engineering added 90000018
    Engineering added 7005
    Engineering removed 7004
    ");
    // Whoever reads now, as far as they may see, finds nothing that somebody did elsewhere.
    for reader in ["ann", "bob", "cleo"] {
        let reader = gate.client(reader);
        for _ in 0..2 {
            let read = reader.get(groups(ORG)).header("cache-control", "no-cache");
            read.await.assert_ok();
        }
    }
    assert_eq!(gate.events().await.len(), 10);
    gate.stop().await;
}

#[tokio::test]
async fn who_leaves_or_accepts_is_told_by_what_is_known_of_them() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    let invitation = json!({ "emails": ["new@acme.example"], "groups": [9001] });
    ann.post(
        format!("/api/v9/organizations/{ORG}/invitations"),
        invitation,
    )
    .await
    .assert_ok();
    let invited = toggl
        .people()
        .into_iter()
        .find(|person| person.email == "new@acme.example");
    let invited = invited.unwrap();
    let code = toggl.world(|world| world.invitation(ORG, invited.id).map(str::to_owned));
    let new = gate
        .stranger()
        .authorized(&basic(&invited.token, "api_token"));
    new.post(
        format!("/api/v9/organizations/invitations/{}/accept", code.unwrap()),
        json!({}),
    )
    .await
    .assert_ok();
    let dan = gate.client("dan");
    dan.delete(format!("/api/v9/organizations/{ORG}/users/leave"))
        .await
        .assert_ok();
    assert_snapshot!(doors_told(&gate).await, @r#"
    applied 9001 [] in "Design": added new@acme.example (90000018) (by POST /api/v9/organizations/4123/invitations)
    applied 9001 ["after-assumed"] in "Design": added new@acme.example (90000018) (by POST /api/v9/organizations/invitations/hmac-…/accept)
    applied 9002 ["after-assumed"] in "Engineering": removed Dan Okafor (7004) (by DELETE /api/v9/organizations/4123/users/leave)
    "#);
    gate.stop().await;
}

#[tokio::test]
async fn without_a_list_a_door_is_told_by_its_request_and_flagged() {
    let toggl = counting_toggl().await;
    let gate = Gateway::before(&toggl).config(|config| config.quota.reserve = 100_000);
    let gate = gate.start().await;
    let ann = gate.client("ann");
    ann.get(groups(ORG)).await.assert_ok();
    go_by_each_door(&toggl, &ann).await;
    assert_snapshot!(doors_told(&gate).await, @r#"
    applied 0 ["after-assumed"] changed memberships by PUT /api/v9/organizations/4123/users/610003
    applied 0 ["after-assumed"] changed memberships by PUT /api/v9/workspaces/51001/workspace_users/90000005
    applied 0 ["after-assumed"] in group 9001: added Cleo Martin (7003); in group 9003: added Cleo Martin (7003) (by PUT /api/v9/workspaces/51001/users/7003)
    applied 9001 ["after-assumed"] in group 9001: added Eve Lindqvist (7005) (by PUT /api/v9/organizations/4123/workspaces/51001/assignments)
    applied 9001 ["after-assumed"] in group 9001: added workspace 51002 (by PUT /api/v9/organizations/4123/workspaces/51002/assignments)
    applied 0 ["after-assumed"] in group 9001: added new@acme.example; in group 9002: added new@acme.example (by POST /api/v9/organizations/4123/invitations)
    applied 9002 ["after-assumed"] in group 9002: added Eve Lindqvist (7005) (by POST /api/v9/users/1/roles)
    applied 0 ["after-assumed"] changed memberships by PATCH /api/v9/organizations/4123/workspaces/51001/workspace_users
    applied 0 ["after-assumed"] changed memberships by PATCH /api/v9/organizations/4123/users
    applied 0 ["after-assumed"] changed memberships by DELETE /api/v9/workspaces/51001/workspace_users/90000005
    "#);
    // Nothing that was assumed is taken for known.
    let known = gate
        .sql("SELECT count(*) FROM known_groups WHERE state IS NOT NULL")
        .await;
    assert_eq!(known, ["0"]);
    gate.stop().await;
}

#[tokio::test]
async fn any_other_change_is_recorded_without_its_bodies() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    let entry = json!({ "description": "Lunch", "start": "2026-05-04T12:00:00Z", "duration": -1,
        "workspace_id": STUDIO, "created_with": "a test" });
    ann.post(format!("/api/v9/workspaces/{STUDIO}/time_entries"), entry)
        .await
        .assert_ok();
    assert_snapshot!(last(&gate).await, @r#"
    action: "api.write"
    outcome: "applied"
    target: {"workspace_id":51001}
    request: {"method":"POST","path":"/api/v9/workspaces/51001/time_entries"}
    response: {"status":200}
    summary: "POST /api/v9/workspaces/51001/time_entries"
    "#);
    ann.post("/api/v9/me/reset_token", json!({}))
        .await
        .assert_ok();
    assert_snapshot!(last(&gate).await, @r#"
    action: "api.write"
    outcome: "applied"
    target: {}
    request: {"method":"POST","path":"/api/v9/me/reset_token"}
    response: {"status":200}
    summary: "POST /api/v9/me/reset_token"
    "#);
    ann.post("/api/v9/brand_new/thing", json!({})).await;
    assert_snapshot!(last(&gate).await, @r#"
    action: "api.write"
    outcome: "rejected"
    target: {}
    request: {"method":"POST","path":"/api/v9/hmac-…/hmac-…"}
    response: {"status":403}
    summary: "tried to POST /api/v9/hmac-…/hmac-…: 403"
    "#);
    // Not every POST is a change.
    ann.post(
        format!("/reports/api/v3/workspace/{STUDIO}/search/time_entries"),
        json!({}),
    )
    .await;
    assert_eq!(gate.events().await.len(), 3);
    gate.stop().await;
}

#[tokio::test]
async fn with_the_scope_of_groups_nothing_else_is_recorded() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).config(|config| config.audit.scope = Scope::Groups);
    let gate = gate.start().await;
    let ann = gate.client("ann");
    let other = ann
        .post("/api/v9/feedback", json!({ "text": "hello" }))
        .await
        .assert_ok();
    assert_eq!(other.header("x-tollgate-event"), None);
    let leave = format!("/api/v9/organizations/{ORG}/users/610003");
    ann.put(leave, json!({ "groups": [] })).await.assert_ok();
    ann.post(groups(ORG), json!({ "name": "Research" }))
        .await
        .assert_ok();
    let actions: Vec<_> = gate
        .events()
        .await
        .into_iter()
        .map(|event| event.action)
        .collect();
    assert_eq!(actions, ["membership.change", "group.create"]);
    gate.stop().await;
}
