//! A token for one organization sees no row, count or name of another.

use serde_json::json;
use tollgate::config::Role;
use tollgate::domain::ids::{GroupId, OrganizationId, WorkspaceId};

use super::{holder, log_in, token};
use crate::support::{DESIGN, Gateway, ORG, eventually, group, groups, old_groups, toggl};

const GLOBEX: OrganizationId = OrganizationId(4200);
const GLOBAL: WorkspaceId = WorkspaceId(52001);
/// "Operations", of Globex.
const OPERATIONS: GroupId = GroupId(9101);

#[tokio::test]
async fn a_token_for_one_organization_sees_nothing_of_another() {
    let toggl = toggl().await;
    let builder = Gateway::before(&toggl);
    let folder = builder.folder().to_owned();
    let gate = builder
        .config(|config| token(config, &folder, "acme", Role::Reader, &[ORG]))
        .start()
        .await;
    let (ann, gus) = (gate.client("ann"), gate.client("gus"));
    ann.get(groups(ORG)).await.assert_ok();
    // Seen in a workspace of which nobody knows the organization yet; and asked for under another one.
    gus.get(old_groups(GLOBAL)).await.assert_ok();
    ann.put(group(ORG, OPERATIONS), json!({ "name": "Mine" }))
        .await;
    gus.get(groups(GLOBEX)).await.assert_ok();
    ann.put(group(ORG, DESIGN), json!({ "name": "Brand" }))
        .await
        .assert_ok();
    let made = gus
        .post(groups(GLOBEX), json!({ "name": "Zugzwang" }))
        .await
        .assert_ok();
    let zugzwang = made.json()["group_id"].as_i64().unwrap();
    // Of no organization that anybody knows.
    ann.put("/api/v9/me", json!({ "fullname": "Zwischenzug" }))
        .await;
    let events = gate.events_when(4).await;
    let theirs = events
        .iter()
        .find(|event| event.target.organization_id == Some(GLOBEX))
        .unwrap();

    let (all, acme) = (gate.admin(), holder(&gate, "acme"));
    let session = log_in(&gate, "acme-secret").await;
    let session = gate.admin_stranger().with("cookie", &session);
    eventually("Gus is known", async || {
        let told = all.get("/api/events").await.assert_ok().text();
        told.contains("Gus").then_some(())
    })
    .await;
    let secrets = [
        "Zugzwang",
        "Zwischenzug",
        "globex",
        "Globex",
        "4200",
        &zugzwang.to_string(),
        "Gus",
        "Operations",
    ];
    // Where nobody is told of another organization.
    let of_acme = [
        "/api/events?group=9001",
        "/api/events?group=9101&org=4123",
        "/api/organizations/4123/groups",
        "/api/organizations/4123/groups/9101/history",
    ];
    for path in [
        "/api/events",
        "/api/events?q=u",
        "/api/events?group=9001",
        "/api/events?group=9101&org=4123",
        "/api/events/export",
        "/api/events/export?format=csv",
        "/api/cache",
        "/api/quota",
        "/metrics",
        "/api/organizations/4123/groups",
        "/api/organizations/4123/groups/9101/history",
        "/",
        "/?all=1",
        "/?q=e&all=1",
        "/rows?after=0&all=1",
        "/?group=Zugzwang",
    ] {
        // Whoever sees all does see it there: else this proves nothing.
        let text = all.get(path).await.assert_ok().text();
        let mut secret = secrets.iter().filter(|secret| !path.contains(**secret));
        assert_eq!(
            secret.any(|secret| text.contains(*secret)),
            !of_acme.contains(&path),
            "{path}: {text}"
        );
        for client in [&acme, &session] {
            let text = client.get(path).await.assert_ok().text();
            let text = text
                .replace("/?group=Zugzwang", "")
                .replace("value=\"Zugzwang\"", "");
            for secret in &secrets {
                let asked = path.contains(secret);
                assert!(
                    asked || !text.contains(*secret),
                    "{path} has {secret}: {text}"
                );
            }
        }
    }
    for path in [
        "/api/events",
        "/?all=1",
        "/api/events/export",
        "/rows?after=0&all=1",
    ] {
        assert!(all.get(path).await.text().contains("Zugzwang"), "{path}");
        assert!(acme.get(path).await.text().contains("Brand"), "{path}");
    }
    let quota = acme.get("/api/quota").await.json();
    let people = quota["people"].as_array().unwrap();
    assert!(
        !people.is_empty()
            && people
                .iter()
                .all(|person| person["organization_id"] == 4123)
    );
    let cache = acme.get("/api/cache").await.json();
    assert_eq!(
        cache["organizations"].as_array().unwrap().len(),
        1,
        "{cache}"
    );

    for path in [
        format!("/api/events/{}", theirs.id),
        format!("/events/{}", theirs.id),
    ] {
        all.get(&path).await.assert_ok();
        acme.get(path).await.assert_status(404);
    }
    let none = format!("/api/events?org={ORG}&group={zugzwang}");
    assert_eq!(acme.get(none).await.assert_ok().json()["events"], json!([]));
    let life = format!("/api/organizations/{ORG}/groups/{zugzwang}/history");
    assert_eq!(acme.get(life).await.assert_ok().json()["events"], json!([]));
    for path in [
        format!("/api/organizations/{GLOBEX}/groups"),
        format!("/api/organizations/{GLOBEX}/groups/{zugzwang}/history"),
        format!("/api/events?org={GLOBEX}"),
        "/api/checkpoint".to_owned(),
    ] {
        acme.get(path).await.assert_problem(403, "forbidden");
    }
    gate.stop().await;
}
