//! The groups of an organization, and of all that are known.

use serde_json::json;
use tollgate::domain::ids::GroupId;

use super::{GLOBEX, OPERATIONS, design, links, page, reader, with_reader_of};
use crate::support::{Gateway, ORG, group, groups, toggl};

#[tokio::test]
async fn who_knows_no_groups_is_told_what_to_do() {
    let toggl = toggl().await;
    let gate = with_reader_of(Gateway::before(&toggl), ORG).start().await;
    for (client, path) in [
        (gate.admin(), "/groups".to_owned()),
        (reader(&gate), format!("/organizations/{ORG}/groups")),
    ] {
        let page = page(&client, &path).await;
        assert!(
            page.contains("No groups are known yet: they are, once"),
            "{page}"
        );
    }
    gate.stop().await;
}

#[tokio::test]
async fn the_groups_are_shown_as_they_are_and_as_they_stood() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    ann.get(groups(ORG)).await.assert_ok();
    ann.post(
        groups(ORG),
        json!({ "name": "<Research>", "users": [7003] }),
    )
    .await
    .assert_ok();

    // With one organization alone there is nothing to choose.
    let choice = gate.admin().get("/groups").await.assert_status(303);
    let path = choice.header("location").unwrap().to_owned();
    assert_eq!(path, format!("/organizations/{ORG}/groups"));

    let now = page(&gate.admin(), &path).await;
    assert!(now.contains("6 groups"), "{now}");
    assert_eq!(links(&now, "&lt;Research&gt;").len(), 1);
    assert!(!now.contains("<Research>"), "a name is text");
    assert_eq!(links(&now, "Design"), [design()]);
    assert_eq!(links(&now, "Ann Becker"), ["/?actor=7001"; 2]);

    let then = page(&gate.admin(), &format!("{path}?at=1h")).await;
    assert!(then.contains("5 groups"), "{then}");
    assert!(!then.contains("Research"));
    let design_then = links(&then, "Design").remove(0);
    assert!(
        design_then.starts_with(&format!("{}?at=20", design())),
        "{design_then}"
    );
    gate.admin()
        .get(format!("{path}?at=yesterday"))
        .await
        .assert_problem(400, "bad-request");
    gate.stop().await;
}

#[tokio::test]
async fn a_token_for_one_organization_sees_no_group_of_another() {
    let toggl = toggl().await;
    let gate = with_reader_of(Gateway::before(&toggl), ORG).start().await;
    let (ann, gus) = (gate.client("ann"), gate.client("gus"));
    let operations = GroupId(OPERATIONS);
    ann.get(groups(ORG)).await.assert_ok();
    gus.get(groups(GLOBEX)).await.assert_ok();
    gus.put(
        group(GLOBEX, operations),
        json!({ "name": "Zebra crossing" }),
    )
    .await
    .assert_ok();
    // By the number of the other company's group in the own organization: refused, and recorded.
    let foreign = ann
        .put(group(ORG, operations), json!({ "name": "Mine" }))
        .await;
    assert!(foreign.status.is_client_error(), "{}", foreign.text());

    let all = page(&gate.admin(), "/groups").await;
    assert_eq!(links(&all, "Zebra crossing").len(), 1, "{all}");
    assert_eq!(links(&all, "Design").len(), 1, "{all}");

    let theirs = reader(&gate);
    theirs.get("/groups").await.assert_status(303);
    let own = format!("/organizations/{ORG}/groups");
    for path in [own.clone(), format!("{own}/{OPERATIONS}"), design()] {
        let page = page(&theirs, &path).await;
        for word in ["Zebra", "Operations", "Gus", "globex", "Globex", "4200"] {
            assert!(!page.contains(word), "{path} tells of {word}: {page}");
        }
    }
    let other = format!("/organizations/{GLOBEX}/groups");
    for path in [other.clone(), format!("{other}/{OPERATIONS}")] {
        theirs.get(path).await.assert_problem(403, "forbidden");
    }
    gate.stop().await;
}
