//! Endpoint 5: several changes in one request, each with an end of its own.

use http::Method;
use serde_json::json;

use super::*;
use crate::domain::ids::{UserId, WorkspaceId};
use crate::simulator::patches::{MAX_PATCHES, MAX_VALUES};

#[tokio::test]
async fn a_patch_that_fails_leaves_the_others_applied() {
    let toggl = toggl().await;
    let ann = Visitor::new(&toggl, "ann");
    let add = json!({ "op": "add", "path": "/users", "value": [7002] });
    let bad = json!({ "op": "add", "path": "/users", "value": [7004, 7101] });
    let replace = json!({ "op": "replace", "path": "/workspaces", "value": [51002] });
    let remove = json!({ "op": "remove", "path": "/users", "value": [7001] });
    let told = ann
        .patch(GROUP, json!([add, bad, replace, remove]))
        .await
        .assert_ok()
        .json();
    assert_eq!(
        told,
        json!({
            "success": [add, replace, remove],
            "failure": [{
                "message": "User 7101 not exists in the organization 4123",
                "patch": bad,
            }],
        })
    );
    let design = toggl.group(DESIGN).unwrap();
    assert_eq!(
        design.users,
        [UserId(7003), UserId(7002)],
        "the failed one added nobody"
    );
    assert_eq!(design.workspaces, [WorkspaceId(51002)]);
    assert_eq!(toggl.applied().len(), 1, "one request, one change");
}

#[tokio::test]
async fn a_workspace_of_others_fails_with_its_text_and_changes_nothing() {
    let toggl = toggl().await;
    let ann = Visitor::new(&toggl, "ann");
    let before = toggl.groups_json(ACME);
    let patches = json!([{ "op": "add", "path": "/workspaces", "value": [52001] }]);
    let told = ann.patch(GROUP, patches).await.assert_ok().json();
    assert_eq!(told["success"], json!([]));
    let text = "Workspace 52001 not exists in the organization 4123";
    assert_eq!(told["failure"][0]["message"], text);
    assert_eq!(toggl.groups_json(ACME), before);
    assert!(toggl.applied().is_empty());
}

#[tokio::test]
async fn a_mistake_of_form_refuses_all_of_them() {
    let toggl = toggl().await;
    let ann = Visitor::new(&toggl, "ann");
    let before = toggl.groups_json(ACME);
    let good = r#"{"op":"add","path":"/users","value":[7002]}"#;
    for (bad, text) in [
        (r#"7"#, "Invalid JSON input"),
        (
            r#"{"op":"add","path":"/users","value":7}"#,
            "Invalid JSON input",
        ),
        (
            r#"{"op":"add","path":"/users","value":["7"]}"#,
            "Invalid JSON input",
        ),
        (
            r#"{"path":"/users","value":[1]}"#,
            "Empty or invalid patch operation",
        ),
        (
            r#"{"op":"move","path":"/users","value":[1]}"#,
            "Empty or invalid patch operation",
        ),
        (r#"{"op":"add","value":[1]}"#, "Empty or invalid patch path"),
        (
            r#"{"op":"add","path":"/name","value":[1]}"#,
            "Empty or invalid patch path",
        ),
    ] {
        let body = format!("[{good},{bad}]");
        ann.send(Method::PATCH, GROUP, body)
            .await
            .assert_refused(400, text);
    }
    ann.send(Method::PATCH, GROUP, good)
        .await
        .assert_refused(400, "Invalid JSON input");
    ann.send(Method::PATCH, GROUP, "")
        .await
        .assert_refused(400, "Invalid JSON input");
    assert_eq!(toggl.groups_json(ACME), before);
}

#[tokio::test]
async fn more_than_the_limits_is_too_many() {
    let toggl = toggl().await;
    let ann = Visitor::new(&toggl, "ann");
    let patches = |patches: usize, values: usize| {
        let value = vec![7001; values];
        json!(vec![
            json!({ "op": "add", "path": "/users", "value": value });
            patches
        ])
    };
    ann.patch(GROUP, patches(MAX_PATCHES, 1)).await.assert_ok();
    ann.patch(GROUP, patches(MAX_PATCHES + 1, 1))
        .await
        .assert_refused(400, "Too many patches");
    ann.patch(GROUP, patches(1, MAX_VALUES)).await.assert_ok();
    ann.patch(GROUP, patches(1, MAX_VALUES + 1))
        .await
        .assert_refused(400, "Too many values per patch");
}

#[tokio::test]
async fn a_group_of_others_is_unknown_here_and_no_group_is_invalid() {
    let toggl = toggl().await;
    let ann = Visitor::new(&toggl, "ann");
    ann.patch(&format!("{GROUPS}/9101"), json!([]))
        .await
        .assert_refused(400, "Unknown group at organization");
    ann.patch(&format!("{GROUPS}/1"), json!([]))
        .await
        .assert_refused(404, "Invalid group ID.");
    let gus = Visitor::new(&toggl, "gus");
    gus.patch(GROUP, json!([]))
        .await
        .assert_refused(403, "Forbidden");
}
