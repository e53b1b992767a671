//! Endpoints 1 to 4 and 6, and the older door to the same groups.

use http::{Method, StatusCode};
use serde_json::json;

use super::*;
use crate::domain::ids::UserId;

#[tokio::test]
async fn a_group_has_exactly_the_fields_of_the_reference() {
    let toggl = toggl().await;
    let list = Visitor::new(&toggl, "ann")
        .get(GROUPS)
        .await
        .assert_ok()
        .json();
    let at = toggl.group(DESIGN).unwrap().at.to_string();
    assert_eq!(
        list[0],
        json!({
            "group_id": 9001, "name": "Design", "at": at, "permissions": null,
            "users": [
                { "user_id": 7001, "name": "Ann Becker", "inactive": false, "joined": true,
                  "avatar_url": "https://assets.track.toggl.com/avatars/7001.png" },
                { "user_id": 7003, "name": "Cleo Martin", "inactive": false, "joined": true,
                  "avatar_url": "https://assets.track.toggl.com/avatars/7003.png" },
            ],
            "workspaces": [51001],
        })
    );
    assert_eq!(list, toggl.groups_json(ACME));
}

#[tokio::test]
async fn a_list_is_sorted_by_name_and_filtered_by_part_of_it_and_by_workspace() {
    let toggl = toggl().await;
    toggl.create_group(ACME, "Accounts");
    let ann = Visitor::new(&toggl, "ann");
    let all = [
        "Accounts",
        "Design",
        "Engineering",
        "Leadership",
        "Marketing",
        "Support",
    ];
    assert_eq!(ann.get(GROUPS).await.names(), all);
    assert_eq!(
        ann.get(&format!("{GROUPS}?name=&workspace=")).await.names(),
        all
    );
    assert_eq!(
        ann.get(&format!("{GROUPS}?name=ING")).await.names(),
        ["Engineering", "Marketing"]
    );
    let narrow = ann
        .get(&format!(
            "{GROUPS}?workspace=51002&name=up&since=2024-01-01"
        ))
        .await;
    assert_eq!(narrow.names(), ["Support"]);
}

#[tokio::test]
async fn what_is_no_number_is_refused_as_such() {
    let toggl = toggl().await;
    let ann = Visitor::new(&toggl, "ann");
    ann.get(&format!("{GROUPS}?workspace=x1"))
        .await
        .assert_refused(400, "Invalid number x1");
    ann.get("/api/v9/organizations/acme/groups")
        .await
        .assert_refused(400, "Invalid number acme");
    ann.get("/api/v9/workspaces/51001/project_groups?project_ids=1,b")
        .await
        .assert_refused(400, "Invalid number b");
}

#[tokio::test]
async fn a_group_is_made_changed_and_deleted_and_each_time_it_is_later() {
    let toggl = toggl().await;
    let ann = Visitor::new(&toggl, "ann");
    let made = json!({ "name": "Sales", "users": [7002, 7003, 7002], "workspaces": [51002] });
    let made = ann.post(GROUPS, made).await.assert_ok().json();
    assert_eq!(made["users"].as_array().unwrap().len(), 2);
    assert_eq!(made["workspaces"], json!([51002]));

    let path = format!("{GROUPS}/{}", made["group_id"]);
    let changed = ann
        .put(&path, json!({ "name": "Sales", "users": [7004] }))
        .await
        .assert_ok();
    let changed = changed.json();
    assert_eq!(changed["users"][0]["user_id"], 7004);
    assert_eq!(
        changed["workspaces"],
        json!([51002]),
        "what is left out stays"
    );
    let at = |group: &Value| {
        group["at"]
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .unwrap()
    };
    assert!(at(&made) < at(&changed));

    let deleted = ann.delete(&path).await.assert_ok();
    assert_eq!(deleted.text(), "OK");
    assert!(deleted.header("content-type").starts_with("text/plain"));
    ann.delete(&path)
        .await
        .assert_refused(404, "Invalid group ID.");
    assert_eq!(toggl.applied().len(), 3);
}

#[tokio::test]
async fn every_mistake_of_a_body_has_its_text_for_a_create_and_for_an_update() {
    let toggl = toggl().await;
    let ann = Visitor::new(&toggl, "ann");
    let before = toggl.groups_json(ACME);
    let long = "ä".repeat(201);
    for (body, text) in [
        ("{", "Invalid JSON input"),
        (r#"{"name":5}"#, "Invalid JSON input"),
        (r#"["Sales"]"#, "Invalid JSON input"),
        (r#"{"users":[7001]}"#, "Group name must be present"),
        (r#"{"name":"  "}"#, "Group name must be present"),
        (
            &format!(r#"{{"name":"{long}"}}"#),
            "Group name too long, maximum length is 200",
        ),
        (r#"{"name":"Support"}"#, "Name has already been taken"),
        (
            r#"{"name":"Sales","users":[7001,7101]}"#,
            "User 7101 not exists in the organization 4123",
        ),
        (
            r#"{"name":"Sales","workspaces":[52001]}"#,
            "Workspace 52001 not exists in the organization 4123",
        ),
    ] {
        ann.send(Method::POST, GROUPS, body.to_owned())
            .await
            .assert_refused(400, text);
        ann.send(Method::PUT, GROUP, body.to_owned())
            .await
            .assert_refused(400, text);
    }
    assert_eq!(toggl.groups_json(ACME), before);
    assert!(toggl.applied().is_empty());
    ann.put(GROUP, json!({ "name": "Design" }))
        .await
        .assert_ok();
    ann.post(GROUPS, json!({ "name": "ä".repeat(200) }))
        .await
        .assert_ok();
}

#[tokio::test]
async fn a_member_sees_their_own_groups_with_less_and_changes_none() {
    let toggl = toggl().await;
    let (cleo, before) = (Visitor::new(&toggl, "cleo"), toggl.groups_json(ACME));
    let list = cleo.get(GROUPS).await.assert_ok();
    assert_eq!(list.names(), ["Design", "Marketing"]);
    assert_eq!(list.json()[0]["users"], Value::Null);
    assert_eq!(list.json()[0]["workspaces"], json!([51001]));

    const TEXT: &str = "User does not have access to this resource";
    cleo.post(GROUPS, json!({ "name": "Sales" }))
        .await
        .assert_refused(403, TEXT);
    cleo.put(GROUP, json!({ "name": "Sales" }))
        .await
        .assert_refused(403, TEXT);
    cleo.delete(GROUP).await.assert_refused(403, TEXT);
    cleo.patch(GROUP, json!([])).await.assert_refused(403, TEXT);
    assert_eq!(toggl.groups_json(ACME), before);
}

#[tokio::test]
async fn a_stranger_has_no_business_here() {
    let toggl = toggl().await;
    let gus = Visitor::new(&toggl, "gus");
    const TEXT: &str = "User does not have access to this resource";
    gus.get(GROUPS).await.assert_refused(403, TEXT);
    gus.post(GROUPS, json!({ "name": "Sales" }))
        .await
        .assert_refused(403, TEXT);
    gus.put(GROUP, json!({ "name": "Sales" }))
        .await
        .assert_refused(403, "Forbidden");
    gus.delete(GROUP).await.assert_refused(403, "Forbidden");
    gus.get("/api/v9/workspaces/51001/groups")
        .await
        .assert_refused(403, "Forbidden");
    let own = gus.get("/api/v9/organizations/4200/groups").await;
    assert_eq!(own.names(), ["Operations"]);
}

#[tokio::test]
async fn a_group_that_is_not_there_has_an_invalid_id() {
    let toggl = toggl().await;
    let ann = Visitor::new(&toggl, "ann");
    for path in [format!("{GROUPS}/1"), format!("{GROUPS}/9101")] {
        let text = "Invalid group ID.";
        ann.put(&path, json!({ "name": "Sales" }))
            .await
            .assert_refused(404, text);
        ann.delete(&path).await.assert_refused(404, text);
    }
}

#[tokio::test]
async fn the_groups_of_a_workspace_are_those_assigned_to_it() {
    let toggl = toggl().await;
    let ann = Visitor::new(&toggl, "ann");
    let path = |id: i64| format!("/api/v9/organizations/4123/workspaces/{id}/groups");
    let list = ann.get(&path(51002)).await.assert_ok();
    assert_eq!(list.names(), ["Leadership", "Marketing", "Support"]);
    ann.get(&path(52001))
        .await
        .assert_refused(404, "Resource can not be found");
    Visitor::new(&toggl, "gus")
        .get(&path(51002))
        .await
        .assert_refused(403, "Forbidden");
}

#[tokio::test]
async fn the_older_door_leads_to_the_same_groups() {
    let toggl = toggl().await;
    let ann = Visitor::new(&toggl, "ann");
    let list = "/api/v9/workspaces/51002/groups";
    let made = ann
        .post(list, json!({ "name": "Sales" }))
        .await
        .assert_ok()
        .json();
    let keys: Vec<_> = made.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["id", "name", "workspace_id", "at"]);

    let path = format!("{list}/{}", made["id"]);
    ann.put(&path, json!({ "name": "Revenue" }))
        .await
        .assert_ok();
    assert_eq!(
        ann.get(list).await.names(),
        ["Leadership", "Marketing", "Revenue", "Support"]
    );
    assert!(
        ann.get(GROUPS)
            .await
            .names()
            .contains(&"Revenue".to_owned())
    );
    ann.put(&path, json!({ "name": "Support" }))
        .await
        .assert_refused(400, "Name has already been taken");
    ann.delete("/api/v9/workspaces/51002/groups/9001")
        .await
        .assert_refused(404, "Invalid group ID.");
    assert_eq!(ann.delete(&path).await.assert_ok().text(), "OK");
    assert_eq!(
        ann.get(list).await.names(),
        ["Leadership", "Marketing", "Support"]
    );
}

#[tokio::test]
async fn a_field_of_the_seed_that_nobody_knows_is_shown_as_it_is() {
    let seed = r#"{
        "people": [{ "id": 1, "name": "Zoe", "email": "zoe@one.example" }],
        "organizations": [{ "id": 2, "name": "One", "members": [{ "user_id": 1, "admin": true }],
            "groups": [{ "group_id": 3, "name": "All", "colour": { "hue": 12 } }] }] }"#;
    let options = Options {
        seed: super::super::Seed::parse(seed).unwrap(),
        ..Options::default()
    };
    let toggl = Toggl::start(options).await.unwrap();
    let zoe = Visitor::new(&toggl, "zoe");
    let list = zoe
        .get("/api/v9/organizations/2/groups")
        .await
        .assert_ok()
        .json();
    assert_eq!(list[0]["colour"], json!({ "hue": 12 }));
    let path = "/api/v9/organizations/2/groups/3";
    let renamed = zoe
        .put(path, json!({ "name": "Everybody" }))
        .await
        .assert_ok()
        .json();
    assert_eq!(renamed["colour"], json!({ "hue": 12 }));
}

#[tokio::test]
async fn project_groups_are_listed_added_and_removed() {
    let toggl = toggl().await;
    let ann = Visitor::new(&toggl, "ann");
    let list = "/api/v9/workspaces/51001/project_groups";
    let all = ann.get(list).await.assert_ok().json();
    assert_eq!(all.as_array().unwrap().len(), 5);
    let some = ann
        .get(&format!("{list}?project_ids=30002,30003"))
        .await
        .assert_ok()
        .json();
    assert_eq!(some.as_array().unwrap().len(), 3);
    let by_body = ann
        .send(Method::GET, list, r#"{"project_ids":[30002]}"#)
        .await
        .json();
    assert_eq!(by_body.as_array().unwrap().len(), 1);
    assert_eq!(by_body[0]["group_id"], 9002);
    assert_eq!(by_body[0]["pid"], 30002);
    assert_eq!(by_body[0]["wid"], 51001);

    let added = ann
        .post(list, json!({ "group_id": 9004, "project_id": 30002 }))
        .await
        .assert_ok();
    let path = format!("{list}/{}", added.json()["id"]);
    assert_eq!(toggl.applied().len(), 1);
    ann.delete(&path).await.assert_ok();
    assert_eq!(ann.get(list).await.json(), all);

    let broken = "Internal Server Error";
    ann.post(list, json!({ "group_id": 1, "project_id": 30002 }))
        .await
        .assert_refused(500, broken);
    ann.delete(&path).await.assert_refused(500, broken);
    let dan = Visitor::new(&toggl, "dan");
    dan.get(list).await.assert_ok();
    dan.post(list, json!({ "group_id": 9004, "project_id": 30002 }))
        .await
        .assert_refused(403, "Forbidden");
    Visitor::new(&toggl, "gus")
        .get(list)
        .await
        .assert_refused(403, "Forbidden");
}

#[tokio::test]
async fn a_path_may_be_written_in_ways_that_mean_the_same() {
    let toggl = toggl().await;
    let ann = Visitor::new(&toggl, "ann");
    ann.delete("/api/v9//organizations/4123/%67roups/9001/")
        .await
        .assert_ok();
    assert_eq!(toggl.group(DESIGN), None);
    let lost = ann.get("/api/v8/organizations/4123/groups").await;
    assert_eq!(lost.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_change_behind_everybodys_back_is_seen_and_not_taken_for_a_request() {
    let toggl = toggl().await;
    toggl.rename_group(DESIGN, "Brand");
    toggl.add_member(DESIGN, UserId(7004));
    toggl.delete_group(GroupId(9005));
    let list = Visitor::new(&toggl, "ann").get(GROUPS).await.assert_ok();
    assert_eq!(
        list.names(),
        ["Brand", "Engineering", "Marketing", "Support"]
    );
    assert_eq!(list.json()[0]["users"][2]["user_id"], 7004);
    assert!(toggl.applied().is_empty());
}
