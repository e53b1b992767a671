//! What happened of late, at a glance.

use http::StatusCode;
use serde_json::json;
use tollgate::domain::ids::GroupId;
use tollgate::simulator::Match;

use super::{GLOBEX, OPERATIONS, between, design, links, page, reader, with_reader_of};
use crate::support::{Client, DESIGN, Gateway, ORG, eventually, group, groups, toggl};

/// The overview, when everything is counted and it says this.
async fn overview(client: &Client, says: &str) -> String {
    eventually(&format!("the overview says {says:?}"), async || {
        let page = page(client, "/overview").await;
        let is_whole = !page.contains("Still counting");
        (is_whole && page.contains(says)).then_some(page)
    })
    .await
}

#[tokio::test]
async fn an_empty_gateway_says_so() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let page = overview(&gate.admin(), "Nothing was changed").await;
    assert!(page.contains("Nothing was asked for"), "{page}");
    assert!(page.contains("Nothing was asked of it yet"), "{page}");
    gate.stop().await;
}

#[tokio::test]
async fn changes_are_counted_as_they_happen_and_after_a_start() {
    let toggl = toggl().await;
    let mut gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    ann.get(groups(ORG)).await.assert_ok();
    ann.get(groups(ORG)).await.assert_ok();
    for name in ["Brand", "Brands"] {
        let rename = json!({ "name": name });
        ann.put(group(ORG, DESIGN), rename).await.assert_ok();
    }
    let missing = group(ORG, GroupId(123_456));
    let refused = ann.put(missing, json!({ "name": "Nobody" })).await;
    assert!(refused.status.is_client_error());

    for _ in 0..2 {
        let page = overview(&gate.admin(), "<strong>2</strong> applied<").await;
        assert!(
            page.contains("<strong>1</strong> refused upstream"),
            "{page}"
        );
        assert_eq!(links(&page, "Brands"), [design()], "{page}");
        let chart = between(&page, "<svg", "</svg>").remove(0);
        assert!(chart.contains("2 applied, 1 refused, 0 unknown"), "{chart}");
        // By then somebody has told who she is.
        let anns = eventually("Ann's name is known", async || {
            let page = overview(&gate.admin(), "Busiest").await;
            links(&page, "Ann Becker")
                .into_iter()
                .find(|link| link.contains("since="))
        });
        assert!(anns.await.starts_with("/?actor=7001&since="));
        gate.restart().await;
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_token_for_one_organization_sees_no_count_of_another() {
    let toggl = toggl().await;
    let gate = with_reader_of(Gateway::before(&toggl), ORG).start().await;
    let (ann, gus) = (gate.client("ann"), gate.client("gus"));
    let operations = GroupId(OPERATIONS);
    ann.put(group(ORG, DESIGN), json!({ "name": "Brand" }))
        .await
        .assert_ok();
    gus.get(groups(GLOBEX)).await.assert_ok();
    for name in ["Zebra", "Zebra crossing"] {
        gus.put(group(GLOBEX, operations), json!({ "name": name }))
            .await
            .assert_ok();
    }
    let foreign = ann.put(group(ORG, operations), json!({ "name": "Mine" }));
    assert!(foreign.await.status.is_client_error());

    let all = overview(&gate.admin(), "<strong>3</strong> applied<").await;
    assert!(
        all.contains("Zebra crossing") && all.contains("4200"),
        "{all}"
    );
    assert!(all.contains("Upstream, since"), "{all}");
    let theirs = overview(&reader(&gate), "<strong>1</strong> applied<").await;
    assert!(
        theirs.contains("<strong>1</strong> refused upstream"),
        "{theirs}"
    );
    for word in [
        "Zebra",
        "Operations",
        "Gus",
        "globex",
        "4200",
        "Upstream, since",
    ] {
        assert!(!theirs.contains(word), "{word}: {theirs}");
    }
    gate.stop().await;
}

#[tokio::test]
async fn how_upstream_does_is_told() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    toggl
        .next(Match::path(groups(ORG)))
        .status(StatusCode::BAD_GATEWAY);
    gate.client("ann").get(groups(ORG)).await.assert_status(502);
    let page = overview(&gate.admin(), "<strong>1</strong> failed").await;
    assert!(page.contains("requests sent"), "{page}");
    gate.stop().await;
}
