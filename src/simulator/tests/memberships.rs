//! The other doors: each alters the groups, and says little about it.

use serde_json::json;

use super::*;
use crate::domain::ids::{UserId, WorkspaceId};

const DAN: UserId = UserId(7004);
const STUDIO: WorkspaceId = WorkspaceId(51001);

/// The groups that a person is in.
fn groups_of(toggl: &Toggl, user: UserId) -> Vec<String> {
    let groups = toggl.groups(ACME).into_iter();
    groups
        .filter(|group| group.users.contains(&user))
        .map(|group| group.name)
        .collect()
}

#[tokio::test]
async fn an_organization_user_is_put_into_exactly_these_groups() {
    let toggl = toggl().await;
    let ann = Visitor::new(&toggl, "ann");
    let users = ann
        .get("/api/v9/organizations/4123/users")
        .await
        .assert_ok()
        .json();
    let users = users.as_array().unwrap().clone();
    let dan = users.iter().find(|user| user["user_id"] == 7004).unwrap();
    assert_eq!(dan["id"], 610_004);
    let path = format!("/api/v9/organizations/4123/users/{}", dan["id"]);
    let told = ann
        .put(&path, json!({ "groups": [9001, 9004], "inactive": true }))
        .await;
    assert_eq!(told.assert_ok().json(), "OK");
    assert_eq!(groups_of(&toggl, DAN), ["Design", "Support"]);
    let list = ann.get(GROUPS).await.json();
    assert_eq!(list[0]["users"][2]["inactive"], true);
    assert_eq!(toggl.applied().len(), 1);

    let missing = "Resource can not be found";
    ann.put("/api/v9/organizations/4123/users/7004", json!({}))
        .await
        .assert_refused(404, missing);
    let unknown = json!({ "groups": [9001, 9101] });
    ann.put(&path, unknown)
        .await
        .assert_refused(404, "Invalid group ID.");
    let eve = Visitor::new(&toggl, "eve");
    eve.put(&path, json!({ "groups": [] }))
        .await
        .assert_refused(403, "User does not have access to this resource");
    assert_eq!(groups_of(&toggl, DAN), ["Design", "Support"]);
}

#[tokio::test]
async fn a_workspace_user_is_put_into_exactly_these_groups() {
    let toggl = toggl().await;
    let ann = Visitor::new(&toggl, "ann");
    let id = toggl
        .world(|world| world.workspace_user_id(STUDIO, DAN))
        .unwrap();
    let path = format!("/api/v9/workspaces/51001/workspace_users/{id}");
    ann.put(&path, json!({ "groups": [9003] }))
        .await
        .assert_ok();
    assert_eq!(groups_of(&toggl, DAN), ["Marketing"]);
    ann.put(
        "/api/v9/workspaces/51001/users/7004",
        json!({ "groups": [] }),
    )
    .await
    .assert_ok();
    assert!(groups_of(&toggl, DAN).is_empty());
}

#[tokio::test]
async fn an_assignment_moves_people_and_groups() {
    let toggl = toggl().await;
    let ann = Visitor::new(&toggl, "ann");
    let path = "/api/v9/organizations/4123/workspaces/51002/assignments";
    let send = async |body| ann.put(path, body).await.assert_ok();
    send(json!({ "operation": "add", "user_id": 7004, "group_id": 9001 })).await;
    assert_eq!(groups_of(&toggl, DAN), ["Design", "Engineering"]);
    send(json!({ "operation": "remove", "user_id": 7004, "group_id": 9001 })).await;
    assert_eq!(groups_of(&toggl, DAN), ["Engineering"]);
    send(json!({ "operation": "", "group_id": 9001, "joined": true })).await;
    assert_eq!(
        toggl.group(DESIGN).unwrap().workspaces,
        [STUDIO, WorkspaceId(51002)]
    );
    send(json!({ "operation": "remove", "group_id": 9001 })).await;
    assert_eq!(toggl.group(DESIGN).unwrap().workspaces, [STUDIO]);
    send(json!({ "operation": "add", "user_id": 7004 })).await;
    assert!(
        toggl
            .world(|world| world.workspace_user_id(WorkspaceId(51002), DAN))
            .is_some()
    );
    let nobody = json!({ "operation": "add" });
    ann.put(path, nobody)
        .await
        .assert_refused(400, "Invalid JSON input");
    assert_eq!(toggl.applied().len(), 5);
}

#[tokio::test]
async fn somebody_who_is_invited_is_in_the_group_and_joins_when_they_accept() {
    let toggl = toggl().await;
    let ann = Visitor::new(&toggl, "ann");
    let body = json!({ "emails": ["ida@acme.example"], "groups": [9001],
                       "workspaces": [{ "workspace_id": 51001 }] });
    let told = ann
        .post("/api/v9/organizations/4123/invitations", body)
        .await
        .assert_ok()
        .json();
    let ida = UserId(told["data"][0]["recipient_id"].as_i64().unwrap());
    assert_eq!(groups_of(&toggl, ida), ["Design"]);
    let joined = async || ann.get(GROUPS).await.json()[0]["users"][2]["joined"].clone();
    assert_eq!(joined().await, false);

    let code = toggl
        .world(|world| world.memberships[&(ACME, ida)].invitation.clone())
        .unwrap();
    let path = format!("/api/v9/organizations/invitations/{code}/accept");
    ann.post(&path, json!({})).await.assert_ok();
    assert_eq!(joined().await, true);
    ann.post(&path, json!({}))
        .await
        .assert_refused(404, "Resource can not be found");
}

#[tokio::test]
async fn who_is_deleted_is_out_of_everything() {
    let toggl = toggl().await;
    let ann = Visitor::new(&toggl, "ann");
    let path = "/api/v9/organizations/4123/users";
    ann.patch(path, json!({ "delete": [610_004] }))
        .await
        .assert_ok();
    assert!(groups_of(&toggl, DAN).is_empty());
    Visitor::new(&toggl, "dan")
        .get(GROUPS)
        .await
        .assert_refused(403, "User does not have access to this resource");

    let cleo = UserId(7003);
    let id = toggl
        .world(|world| world.workspace_user_id(STUDIO, cleo))
        .unwrap();
    let path = "/api/v9/organizations/4123/workspaces/51001/workspace_users";
    ann.patch(path, json!({ "delete": [id] })).await.assert_ok();
    assert_eq!(
        groups_of(&toggl, cleo),
        ["Marketing"],
        "a group of another workspace, too"
    );

    let eve = Visitor::new(&toggl, "eve");
    eve.delete("/api/v9/organizations/4123/users/leave")
        .await
        .assert_ok();
    assert!(groups_of(&toggl, UserId(7005)).is_empty());

    let finn = UserId(7006);
    let id = toggl
        .world(|world| world.workspace_user_id(WorkspaceId(51002), finn))
        .unwrap();
    ann.delete(&format!("/api/v9/workspaces/51002/workspace_users/{id}"))
        .await
        .assert_ok();
    assert!(groups_of(&toggl, finn).is_empty());
    assert_eq!(toggl.applied().len(), 4);
}

#[tokio::test]
async fn a_role_of_a_group_shows_in_its_permissions() {
    let toggl = toggl().await;
    let ann = Visitor::new(&toggl, "ann");
    let body = json!([
        { "group_id": 9001, "organization_id": 4123, "role_id": 3 },
        { "group_id": 9001, "user_id": 7004, "organization_id": 4123, "role_id": 3 },
    ]);
    ann.post("/api/v9/users/1/roles", body).await.assert_ok();
    let design = toggl.group(DESIGN).unwrap();
    assert_eq!(design.permissions, json!(["role_3"]));
    assert!(design.users.contains(&DAN));
}
