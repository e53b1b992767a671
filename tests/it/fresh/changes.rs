//! After every kind of change, every credential's next read of every list is a new one.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tollgate::simulator::{Match, Toggl};

use super::{HIT, MISS, lists};
use crate::support::{
    CARE, Client, DESIGN, ENGINEERING, Gateway, ORG, STUDIO, group, groups, old_groups,
    project_groups, toggl, workspace_groups,
};

/// A company's tools: several people, and one of them in three ways.
struct Office {
    toggl: Toggl,
    gate: Gateway,
    /// Each with who they are to upstream.
    people: Vec<(Client, Vec<Client>)>,
    lists: Vec<String>,
}

impl Office {
    /// Everybody has read everything.
    async fn open() -> Self {
        let toggl = toggl().await;
        let gate = Gateway::before(&toggl).start().await;
        let straight = |name: &str| Client::of(toggl.url()).authorized(&toggl.authorization(name));
        let ann = vec![
            gate.client("ann"),
            gate.password_client("ann"),
            gate.session_client("ann"),
        ];
        let people = vec![
            (straight("ann"), ann),
            (straight("bob"), vec![gate.client("bob")]),
        ];
        let mut lists = lists().to_vec();
        lists.extend([
            workspace_groups(ORG, CARE),
            project_groups(CARE) + "?project_ids=30004",
        ]);
        let office = Self {
            toggl,
            gate,
            people,
            lists,
        };
        office.everybody_reads(MISS, "the start").await;
        office
    }

    /// Looks how everybody's next read is answered, and that it is as upstream says. Afterwards all is
    /// cached.
    async fn everybody_reads(&self, cache: &str, after: &str) {
        for (straight, readers) in &self.people {
            for list in &self.lists {
                let true_now = straight.get(&**list).await;
                for reader in readers {
                    let seen = reader.get(&**list).await.assert_ok();
                    assert_eq!(seen.text(), true_now.text(), "{list} after {after}");
                    let status = seen.cache();
                    assert!(
                        fits(&status, cache),
                        "{list} after {after}: {status}, not {cache}"
                    );
                }
            }
        }
    }

    /// Goes by another door, and looks what everybody reads then: all as it is now. Whoever did it finds
    /// the list that the event took its difference from.
    async fn enters(&self, by: &Client, method: &str, path: &str, body: Value) {
        let what = format!("{method} {path} {body}");
        let method: Method = method.parse().unwrap();
        by.ask(method, path).json(body).await.assert_ok();
        self.everybody_reads("tollgate; …", &what).await;
    }

    /// Does it, and looks what everybody reads then.
    async fn does(&self, by: &Client, method: &str, path: &str, body: Value) {
        let method: Method = method.parse().unwrap();
        let what = format!("{method} {path} {body}");
        let done = by.ask(method, path).json(body).await;
        assert!(
            done.status.is_success(),
            "{what}: {} {}",
            done.status,
            done.text()
        );
        self.everybody_reads(MISS, &what).await;
    }

    /// Tries it in vain, and looks what everybody reads then.
    async fn fails(&self, by: &Client, method: &str, path: &str, body: Value, status: u16) {
        let method: Method = method.parse().unwrap();
        let what = format!("{method} {path} {body}");
        by.ask(method, path).json(body).await.assert_status(status);
        self.everybody_reads(HIT, &what).await;
    }
}

fn fits(status: &str, expected: &str) -> bool {
    match expected.split_once('…') {
        Some((start, _)) => status.starts_with(start),
        None => status == expected,
    }
}

#[tokio::test]
async fn after_a_change_of_a_group_everybody_reads_anew() {
    let office = Office::open().await;
    let ann = office.gate.client("ann");
    let new = json!({ "name": "New", "users": [7002], "workspaces": [51001] });
    office.does(&ann, "POST", &groups(ORG), new).await;
    let renamed = json!({ "name": "Brand", "users": [7001, 7004] });
    office.does(&ann, "PUT", &group(ORG, DESIGN), renamed).await;
    let patch = json!([
        { "op": "add", "path": "/users", "value": [7005] },
        { "op": "add", "path": "/users", "value": [1] },
    ]);
    office.does(&ann, "PATCH", &group(ORG, DESIGN), patch).await;
    office
        .does(&ann, "DELETE", &group(ORG, ENGINEERING), json!(null))
        .await;
    let by_id = format!("{}/9001", old_groups(STUDIO));
    office
        .does(&ann, "PUT", &by_id, json!({ "name": "Old door" }))
        .await;
    office
        .does(
            &ann,
            "POST",
            &old_groups(STUDIO),
            json!({ "name": "Old new" }),
        )
        .await;
    office.does(&ann, "DELETE", &by_id, json!(null)).await;
    office.gate.stop().await;
}

#[tokio::test]
async fn after_a_change_of_a_projects_groups_everybody_reads_anew() {
    let office = Office::open().await;
    let ann = office.gate.client("ann");
    let add = json!({ "group_id": 9001, "project_id": 30002 });
    office
        .does(&ann, "POST", &project_groups(STUDIO), add)
        .await;
    let rows = ann.get(project_groups(STUDIO)).await.json();
    let path = format!("{}/{}", project_groups(STUDIO), rows[0]["id"]);
    office.does(&ann, "DELETE", &path, json!(null)).await;
    office.gate.stop().await;
}

#[tokio::test]
async fn after_a_change_of_memberships_by_any_door_everybody_reads_anew() {
    let office = Office::open().await;
    let ann = office.gate.client("ann");
    let users = ann
        .get("/api/v9/workspaces/51001/workspace_users")
        .await
        .json();
    let dan = users.as_array().unwrap().iter();
    let dan = dan
        .clone()
        .find(|user| user["user_id"] == 7004)
        .unwrap_or(&users[3]);
    let workspace_user = format!("/api/v9/workspaces/51001/workspace_users/{}", dan["id"]);
    let organization_user = "/api/v9/organizations/4123/users/610004";
    let assignments = "/api/v9/organizations/4123/workspaces/51001/assignments";
    let invited = json!({ "emails": ["ida@acme.example"], "groups": [9001],
                          "workspaces": [{ "workspace_id": 51001 }] });
    let role =
        json!([{ "group_id": 9001, "user_id": 7006, "organization_id": 4123, "role_id": 3 }]);
    for (method, path, body) in [
        ("PUT", organization_user, json!({ "groups": [9003] })),
        ("PUT", &workspace_user, json!({ "groups": [9001] })),
        (
            "PUT",
            assignments,
            json!({ "operation": "add", "user_id": 7004, "group_id": 9001 }),
        ),
        ("POST", "/api/v9/organizations/4123/invitations", invited),
        (
            "PUT",
            "/api/v9/workspaces/51001/users/7004",
            json!({ "groups": [] }),
        ),
        ("POST", "/api/v9/users/1/roles", role),
        ("DELETE", &workspace_user, json!(null)),
        (
            "PATCH",
            "/api/v9/organizations/4123/workspaces/51002/workspace_users",
            json!({ "delete": [] }),
        ),
        (
            "PATCH",
            "/api/v9/organizations/4123/users",
            json!({ "delete": [610_003] }),
        ),
    ] {
        office.enters(&ann, method, path, body).await;
    }
    let dan = office.gate.client("dan");
    let leave = "/api/v9/organizations/4123/users/leave";
    office.enters(&dan, "DELETE", leave, json!(null)).await;
    let accept = "/api/v9/organizations/invitations/a-code/accept";
    office
        .toggl
        .next(Match::path(accept))
        .answer(StatusCode::OK, "application/json", r#""OK""#);
    office.enters(&dan, "POST", accept, json!({})).await;
    assert_eq!(office.toggl.faults_left(), 0);
    let events = office.gate.events().await;
    assert!(
        events
            .iter()
            .all(|event| event.action == "membership.change")
    );
    office.gate.stop().await;
}

#[tokio::test]
async fn after_a_change_of_anything_that_shows_in_lists_everybody_reads_anew() {
    let office = Office::open().await;
    let ann = office.gate.client("ann");
    for (method, path, body) in [
        ("PUT", "/api/v9/me", json!({ "fullname": "Ann B. Becker" })),
        (
            "POST",
            "/api/v9/organizations/4123/workspaces",
            json!({ "name": "Third" }),
        ),
        (
            "PUT",
            "/api/v9/workspaces/51001",
            json!({ "name": "Atelier" }),
        ),
        (
            "POST",
            "/api/v9/workspaces/51001/projects",
            json!({ "name": "New" }),
        ),
        (
            "DELETE",
            "/api/v9/workspaces/51001/projects/30001",
            json!(null),
        ),
        (
            "PUT",
            "/api/v9/organizations/4123",
            json!({ "name": "Acme Ltd" }),
        ),
        // Nobody listed these, so they may touch anything.
        ("POST", "/api/v9/something/new", json!({})),
        ("PUT", "/api/v9/groups", json!({})),
        ("MERGE", "/api/v9/me", json!(null)),
        ("POST", "/webhooks/api/v1/groups/9001", json!({})),
    ] {
        office.does(&ann, method, path, body).await;
    }
    office.gate.stop().await;
}

#[tokio::test]
async fn a_change_by_another_spelling_or_method_is_a_change() {
    let office = Office::open().await;
    let ann = office.gate.client("ann");
    for (path, name) in [
        ("/api//v9/organizations/4123/groups/9001", "One"),
        ("/api/v9/organizations/4123/groups/9001/", "Two"),
        ("/api/v9/organizations/4123/%67roups/9001", "Three"),
        ("/%61pi/v9/organizations/4123/groups/9001?x=y", "Four"),
        ("/~hr-sync/api/v9/organizations/4123/groups/9001", "Five"),
    ] {
        let path = path.to_owned();
        office
            .does(&ann, "PUT", &path, json!({ "name": name }))
            .await;
    }
    let overridden = ann
        .ask(Method::POST, group(ORG, DESIGN))
        .header("x-http-method-override", "PUT")
        .json(json!({ "name": "Six" }));
    assert!(overridden.await.status.is_success());
    office.everybody_reads(MISS, "a POST that names PUT").await;
    office.gate.stop().await;
}

#[tokio::test]
async fn a_change_that_is_not_recorded_is_a_change_all_the_same() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl)
        .config(|config| config.audit.scope = tollgate::config::Scope::Groups)
        .start()
        .await;
    let (ann, bob) = (gate.client("ann"), gate.client("bob"));
    bob.get(groups(ORG)).await.assert_cache(MISS);
    ann.put("/api/v9/me", json!({ "fullname": "Ann B. Becker" }))
        .await
        .assert_ok();
    let seen = bob.get(groups(ORG)).await.assert_cache(MISS);
    assert!(seen.text().contains("Ann B. Becker"));
    assert!(gate.events().await.is_empty());
    gate.stop().await;
}

#[tokio::test]
async fn a_change_of_what_no_list_shows_costs_nobody_a_fetch() {
    let office = Office::open().await;
    let ann = office.gate.client("ann");
    let entry = json!({ "description": "x", "workspace_id": 51001, "start": "2026-11-24T12:00:00Z",
                        "duration": 60, "created_with": "it" });
    ann.post("/api/v9/workspaces/51001/time_entries", entry)
        .await
        .assert_ok();
    ann.post(
        "/reports/api/v3/workspace/51001/search/time_entries",
        json!({}),
    )
    .await
    .assert_ok();
    office
        .everybody_reads(HIT, "a time entry and a report")
        .await;
    office.gate.stop().await;
}

#[tokio::test]
async fn a_change_in_one_company_costs_another_nothing() {
    let office = Office::open().await;
    let (ann, gus) = (office.gate.client("ann"), office.gate.client("gus"));
    let globex = "/api/v9/organizations/4200/groups";
    gus.get(globex).await.assert_ok().assert_cache(MISS);
    ann.put(group(ORG, DESIGN), json!({ "name": "Brand" }))
        .await
        .assert_ok();
    gus.get(globex).await.assert_cache(HIT);
    // Of the unlisted nobody knows whom it touches.
    ann.post("/api/v9/something/new", json!({}))
        .await
        .assert_ok();
    gus.get(globex).await.assert_cache(MISS);
    office.gate.stop().await;
}

#[tokio::test]
async fn a_change_that_is_rejected_leaves_everybody_what_they_have() {
    let office = Office::open().await;
    let (ann, cleo) = (office.gate.client("ann"), office.gate.client("cleo"));
    let design = group(ORG, DESIGN);
    office
        .fails(&ann, "POST", &groups(ORG), json!({ "name": "" }), 400)
        .await;
    office
        .fails(&ann, "PUT", &design, json!({ "name": "Support" }), 400)
        .await;
    // A member: her own lists are dropped by the 403, and nobody else's.
    office
        .fails(&cleo, "PUT", &design, json!({ "name": "Mine" }), 403)
        .await;
    office
        .fails(&cleo, "DELETE", &design, json!(null), 403)
        .await;
    office
        .fails(
            &ann,
            "DELETE",
            &group(ORG, tollgate::domain::ids::GroupId(1)),
            json!(null),
            404,
        )
        .await;
    for status in [402, 409, 429] {
        let code = StatusCode::from_u16(status).unwrap();
        office
            .toggl
            .next(Match::new(Method::PUT, &*design))
            .status(code);
        office
            .fails(&ann, "PUT", &design, json!({ "name": "Brand" }), status)
            .await;
    }
    // Refused here: it never left.
    office
        .fails(
            &ann,
            "DELETE",
            "/api/v9/organizations/4123/groups%2F9001",
            json!(null),
            400,
        )
        .await;
    office.gate.stop().await;
}

#[tokio::test]
async fn a_change_that_is_partly_rejected_counts_as_one() {
    let office = Office::open().await;
    let ann = office.gate.client("ann");
    let patch = json!([
        { "op": "add", "path": "/users", "value": [1] },
        { "op": "add", "path": "/users", "value": [7005] },
    ]);
    ann.patch(group(ORG, DESIGN), patch).await.assert_ok();
    assert_eq!(office.gate.events().await[0].outcome, "partial");
    office
        .everybody_reads(MISS, "a partly rejected patch")
        .await;
    office.gate.stop().await;
}
