//! Accounts, time entries, reports, and what is not modelled.

use serde_json::json;

use super::*;

#[tokio::test]
async fn a_new_token_takes_the_place_of_the_old_one() {
    let toggl = toggl().await;
    let old = Visitor::new(&toggl, "ann");
    let told = old
        .post("/api/v9/me/reset_token", json!({}))
        .await
        .assert_ok()
        .json();
    assert_eq!(told, toggl.token("ann"));
    assert_eq!(old.get(GROUPS).await.status, StatusCode::FORBIDDEN);
    Visitor::new(&toggl, "ann").get(GROUPS).await.assert_ok();
}

#[tokio::test]
async fn a_name_that_changes_shows_in_the_groups() {
    let toggl = toggl().await;
    let ann = Visitor::new(&toggl, "ann");
    let before = toggl.group(DESIGN).unwrap().at;
    ann.put("/api/v9/me", json!({ "fullname": "Ann Meri" }))
        .await
        .assert_ok();
    assert_eq!(
        ann.get(GROUPS).await.json()[0]["users"][0]["name"],
        "Ann Meri"
    );
    assert!(toggl.group(DESIGN).unwrap().at > before);
}

#[tokio::test]
async fn organizations_and_workspaces_are_those_of_the_caller() {
    let toggl = toggl().await;
    let (ann, gus) = (Visitor::new(&toggl, "ann"), Visitor::new(&toggl, "gus"));
    let mine = ann.get("/api/v9/me/organizations").await.assert_ok().json();
    assert_eq!(mine.as_array().unwrap().len(), 1);
    assert_eq!(
        (&mine[0]["id"], &mine[0]["name"]),
        (&json!(4123), &json!("Acme"))
    );
    assert_eq!(
        ann.get("/api/v9/organizations/4123")
            .await
            .assert_ok()
            .json()["id"],
        4123
    );
    let workspace = ann.get("/api/v9/workspaces/51001").await.assert_ok().json();
    assert_eq!(workspace["organization_id"], 4123);
    let refused = gus.get("/api/v9/workspaces/51001").await;
    refused.assert_refused(403, "Forbidden");
    let list = ann.get("/api/v9/me/workspaces").await.json();
    assert_eq!(list.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_workspace_that_is_made_or_changed_tells_secrets() {
    let toggl = toggl().await;
    let ann = Visitor::new(&toggl, "ann");
    let path = "/api/v9/organizations/4123/workspaces";
    let made = ann
        .post(path, json!({ "name": "Lab" }))
        .await
        .assert_ok()
        .json();
    assert_eq!(made["api_token"], toggl.token("ann"));
    assert!(
        made["ical_url"]
            .as_str()
            .unwrap()
            .contains(&toggl.token("ann"))
    );
    let path = format!("/api/v9/workspaces/{}", made["id"]);
    let changed = ann
        .put(&path, json!({ "name": "Laboratory" }))
        .await
        .assert_ok()
        .json();
    assert_eq!(changed["name"], "Laboratory");
    assert_eq!(changed["api_token"], toggl.token("ann"));
}

#[tokio::test]
async fn a_time_entry_lives_in_its_owners_lists_and_in_reports() {
    let toggl = toggl().await;
    let (ann, bob) = (Visitor::new(&toggl, "ann"), Visitor::new(&toggl, "bob"));
    let list = "/api/v9/workspaces/51001/time_entries";
    let body = json!({ "description": "Sketches", "created_with": "a test" });
    let entry = ann.post(list, body).await.assert_ok().json();
    assert_eq!(
        ann.get("/api/v9/me/time_entries").await.json(),
        json!([entry])
    );
    assert_eq!(
        ann.get("/api/v9/me/time_entries/current").await.json(),
        entry
    );
    assert_eq!(bob.get("/api/v9/me/time_entries").await.json(), json!([]));

    let path = format!("{list}/{}", entry["id"]);
    ann.patch(&format!("{path}/stop"), json!({}))
        .await
        .assert_ok();
    assert_eq!(
        ann.get("/api/v9/me/time_entries/current").await.json(),
        Value::Null
    );
    let changed = ann
        .put(&path, json!({ "description": "Drafts", "id": 1 }))
        .await
        .json();
    assert_eq!(
        (&changed["description"], &changed["id"]),
        (&json!("Drafts"), &entry["id"])
    );

    let changes = toggl.applied().len();
    let report = "/reports/api/v3/workspace/51001/search/time_entries";
    let rows = bob.post(report, json!({})).await.assert_ok().json();
    assert_eq!(rows[0]["username"], "Ann Becker");
    assert_eq!(rows[0]["description"], "Drafts");
    assert_eq!(toggl.applied().len(), changes, "a report alters nothing");
    bob.delete(&path)
        .await
        .assert_refused(404, "Resource can not be found");
    ann.delete(&path).await.assert_ok();
    assert_eq!(bob.post(report, json!({})).await.json(), json!([]));
}

#[tokio::test]
async fn what_is_not_modelled_is_answered_and_alters_nothing() {
    let toggl = toggl().await;
    let ann = Visitor::new(&toggl, "ann");
    assert_eq!(
        ann.get("/api/v9/workspaces/51001/tags")
            .await
            .assert_ok()
            .json(),
        json!([])
    );
    assert_eq!(
        ann.get("/api/v9/workspaces/51001/tags/5")
            .await
            .assert_ok()
            .json(),
        json!({})
    );
    let told = ann
        .put("/api/v9/workspaces/51001/tags/5", json!({ "name": "x" }))
        .await;
    assert_eq!(told.assert_ok().json(), "OK");
    ann.get("/webhooks/api/v1/subscriptions/51001")
        .await
        .assert_ok();
    ann.post(
        "/insights/api/v1/workspace/51001/trends/projects",
        json!({}),
    )
    .await
    .assert_ok();
    assert!(toggl.applied().is_empty());
}

#[tokio::test]
async fn somebody_who_comes_later_has_credentials_of_their_own() {
    let toggl = toggl().await;
    let ida = toggl.add_person("Ida Saar", ACME, true);
    let (by_token, nobody) = (Visitor::new(&toggl, "ida"), Visitor::nobody(&toggl));
    assert_eq!(by_token.get(GROUPS).await.assert_ok().names().len(), 5);
    nobody
        .basic(&ida.email, &ida.password)
        .get("/api/v9/me")
        .await
        .assert_ok();
    let jan = toggl.add_person("Jan Saar", ACME, false);
    assert_ne!((&ida.token, &ida.password), (&jan.token, &jan.password));
}
