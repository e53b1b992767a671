//! The life of one group.

use serde_json::json;

use super::{between, design, links, page};
use crate::support::{DESIGN, Gateway, ORG, group, groups, toggl};

fn rows(page: &str) -> Vec<&str> {
    let table = between(page, "<tbody>", "</tbody>").remove(0);
    between(table, "<tr>", "</tr>")
}

#[tokio::test]
async fn members_stand_there_with_who_added_them_at_any_moment() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    gate.client("ann").get(groups(ORG)).await.assert_ok();
    let patches = json!([
        { "op": "add", "path": "/users", "value": [7002] },
        { "op": "remove", "path": "/users", "value": [7003] },
    ]);
    gate.client("ann")
        .patch(group(ORG, DESIGN), patches)
        .await
        .assert_ok();
    let added = gate.events().await.remove(0);
    let rename = json!({ "name": "Brand" });
    gate.client("bob")
        .put(group(ORG, DESIGN), rename)
        .await
        .assert_ok();

    let now = page(&gate.admin(), &design()).await;
    assert!(now.contains("<h1>Brand "), "{now}");
    let [ann, bob] = rows(&now)[..] else {
        panic!("two members: {now}")
    };
    assert!(
        ann.contains("was there before the first recorded change"),
        "{ann}"
    );
    assert!(
        bob.contains("Bob Tamm") && bob.contains("Ann Becker"),
        "{bob}"
    );
    assert!(bob.contains(&format!("/events/{}", added.id)), "{bob}");
    assert_eq!(between(&now, "<ins>", "</ins>"), ["+ Bob Tamm"]);
    assert_eq!(between(&now, "<del>", "</del>"), ["− Cleo Martin"]);

    // By the link of the step before: Cleo is gone already, and the name is the old one.
    let then = format!("{}?at={}", design(), added.completed_at);
    let then = page(&gate.admin(), &then).await;
    assert!(then.contains("<h1>Design "), "{then}");
    assert_eq!(rows(&then).len(), 2);
    assert!(then.contains("aria-current=\"step\""), "{then}");

    let before = page(&gate.admin(), &format!("{}?at=1h", design())).await;
    let [ann, cleo] = rows(&before)[..] else {
        panic!("two members: {before}")
    };
    assert!(ann.contains("Ann Becker") && cleo.contains("Cleo Martin"));
    gate.stop().await;
}

#[tokio::test]
async fn a_long_life_is_told_page_by_page() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    for number in 1..=32 {
        let rename = json!({ "name": format!("Name {number}.") });
        ann.put(group(ORG, DESIGN), rename).await.assert_ok();
    }
    let first = page(&gate.admin(), &design()).await;
    assert!(first.contains("to &quot;Name 32.&quot;"), "{first}");
    assert!(!first.contains("to &quot;Name 2.&quot;"));
    assert_eq!(links(&first, "Newest").len(), 0);
    let older = links(&first, "Older").remove(0);
    let older = page(&gate.admin(), older.trim_end_matches("#timeline")).await;
    assert!(older.contains("to &quot;Name 2.&quot;") && older.contains("to &quot;Name 1.&quot;"));
    assert!(!older.contains("to &quot;Name 3.&quot;"));
    assert_eq!(links(&older, "Older").len(), 0);
    assert_eq!(links(&older, "Newest").len(), 1);
    gate.stop().await;
}

#[tokio::test]
async fn a_deleted_group_was_there_and_an_unknown_one_was_not() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    gate.client("ann").get(groups(ORG)).await.assert_ok();
    gate.client("ann").delete(group(ORG, DESIGN)).await;
    let now = page(&gate.admin(), &design()).await;
    assert!(now.contains("It did not exist at this moment"), "{now}");
    let before = page(&gate.admin(), &format!("{}?at=1h", design())).await;
    assert_eq!(rows(&before).len(), 2);
    let unknown = format!("/organizations/{ORG}/groups/123456");
    gate.admin().get(unknown).await.assert_status(404);
    gate.stop().await;
}

#[tokio::test]
async fn the_slider_and_its_script_are_there() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let rename = json!({ "name": "Brand" });
    gate.client("ann")
        .put(group(ORG, DESIGN), rename)
        .await
        .assert_ok();
    let page = page(&gate.admin(), &format!("{}?at=1h", design())).await;
    let script = between(&page, "src=\"", "\"");
    let script = script.iter().find(|path| path.ends_with("-moment.js"));
    gate.admin_stranger()
        .get(*script.unwrap())
        .await
        .assert_ok();
    assert!(
        page.contains("type=\"datetime-local\" name=\"at\""),
        "{page}"
    );
    gate.stop().await;
}
