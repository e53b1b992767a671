//! What the trail says of changes that come by other doors than a group's own endpoints.

use http::Method;
use insta::assert_snapshot;
use serde_json::{Value, json};
use tollgate::config::Scope;
use tollgate::domain::ids::UserId;

use super::events::{last, toggl, without_hashes};
use crate::support::{
    CARE, DESIGN, ENGINEERING, Gateway, ORG, STUDIO, basic, groups, old_groups, project_groups,
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
    target: {"workspace_id":51001,"group_id":9002,"group_name":"Engineering","project_id":30003,"project_group_id":90000018}
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
    target: {"workspace_id":51001,"group_id":9002,"group_name":"Engineering","project_id":30003,"project_group_id":90000018}
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
    target: {"workspace_id":51002,"group_id":9004,"group_name":"Support","project_id":30004,"project_group_id":90000015}
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
    target: {"workspace_id":51001,"group_id":90000018,"group_name":"Research"}
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
    target: {"workspace_id":51001,"group_id":9001,"group_name":"Brand"}
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
    target: {"workspace_id":51001,"group_id":90000018,"group_name":"Research"}
    request: {"method":"DELETE","path":"/api/v9/workspaces/51001/groups/90000018"}
    response: {"status":200,"body":"OK"}
    changes: [{"field":"group","change":"deleted","from":"Research"}]
    flags: ["before-unknown"]
    summary: "deleted \"Research\" (before unknown)"
    "#);
    gate.stop().await;
}

#[tokio::test]
async fn the_other_doors_are_membership_changes() {
    let toggl = toggl().await;
    let guest = toggl.add_person("Hal Guest", ORG, false);
    let workspace_user = |user: i64| {
        let id = toggl.world(|world| world.workspace_user_id(STUDIO, UserId(user)));
        id.unwrap()
    };
    let (cleo, dan) = (workspace_user(7003), workspace_user(7004));
    let gate = Gateway::before(&toggl).start().await;
    let (ann, hal) = (gate.client("ann"), gate.stranger());
    let hal = hal.authorized(&basic(&guest.token, "api_token"));
    let organization = format!("/api/v9/organizations/{ORG}");
    let workspace = format!("/api/v9/workspaces/{STUDIO}");
    let of_both = format!("{organization}/workspaces/{STUDIO}");
    let assignment =
        json!({ "operation": "assign", "user_id": 7005, "group_id": 9001, "joined": true });
    let roles =
        json!([{ "group_id": 9001, "user_id": 7005, "organization_id": ORG, "role_id": 1 }]);
    let groups = json!({ "groups": [9001, 9002] });
    let doors = [
        (
            Method::PUT,
            format!("{organization}/users/610003"),
            groups.clone(),
        ),
        (
            Method::PUT,
            format!("{workspace}/workspace_users/{cleo}"),
            groups.clone(),
        ),
        (Method::PUT, format!("{workspace}/users/7003"), groups),
        (Method::PUT, format!("{of_both}/assignments"), assignment),
        (
            Method::POST,
            format!("{organization}/invitations"),
            json!({ "emails": ["new@acme.example"], "groups": [9001] }),
        ),
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
    ];
    for (method, path, body) in doors {
        let mut ask = ann.ask(method, path);
        if !body.is_null() {
            ask = ask.json(body);
        }
        // Which of these the simulator grants is its own affair; each is a change.
        ask.await;
    }
    hal.delete(format!("{organization}/users/leave"))
        .await
        .assert_ok();
    hal.post(
        "/api/v9/organizations/invitations/s3cret-C0de/accept",
        json!({}),
    )
    .await;
    let events = gate.events().await;
    assert_eq!(events.len(), 11);
    for event in &events {
        assert_eq!(event.action, "membership.change");
        assert_eq!(event.response.body, None, "{}", event.summary);
    }
    let summaries = events.iter().map(|event| {
        let summary = event.summary.replace(&cleo.to_string(), "CLEO");
        format!("{}  {}", event.outcome, without_hashes(&summary))
    });
    assert_snapshot!(summaries.collect::<Vec<_>>().join("\n"), @"
    applied  changed memberships by PUT /api/v9/organizations/4123/users/610003
    applied  changed memberships by PUT /api/v9/workspaces/51001/workspace_users/CLEO
    applied  changed memberships by PUT /api/v9/workspaces/51001/users/7003
    applied  changed memberships by PUT /api/v9/organizations/4123/workspaces/51001/assignments
    applied  changed memberships by POST /api/v9/organizations/4123/invitations
    applied  changed memberships by POST /api/v9/users/1/roles
    applied  changed memberships by PATCH /api/v9/organizations/4123/workspaces/51001/workspace_users
    applied  changed memberships by PATCH /api/v9/organizations/4123/users
    applied  changed memberships by DELETE /api/v9/workspaces/51001/workspace_users/CLEO
    applied  changed memberships by DELETE /api/v9/organizations/4123/users/leave
    rejected  tried to change memberships by POST /api/v9/organizations/invitations/hmac-…/accept: 404
    ");
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
