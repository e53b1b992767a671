//! The views, as people read them.

use insta::assert_snapshot;

use super::*;
use crate::domain::action::{Action, Outcome};
use crate::domain::diff::{Change, Kind, diff, sentence};
use crate::domain::event::{Actor, Target};
use crate::domain::ids::OrganizationId;
use crate::store::suite::{at, group};

async fn day(place: &Place) {
    let (store, _) = place.open().await;
    store.complete(applied(intent(0)), vec![]).await.unwrap();

    let mut refused = applied(intent(1));
    refused.outcome = Outcome::Rejected;
    refused.summary = "refused: Name has already been taken".into();
    refused.intent.actor = Actor {
        credential_id: Some("cd".repeat(32)),
        tool: Some("hr-sync".into()),
        ..Actor::default()
    };
    store.complete(refused, vec![]).await.unwrap();

    let (before, after) = (
        group(8, "Sales", &[(5, "Ann")]),
        group(8, "Sales", &[(5, "Ann"), (6, "Bob")]),
    );
    let mut added = applied(intent(2));
    added.intent.action = Action::GroupPatch;
    added.intent.target.group_id = Some(GroupId(8));
    added.intent.target.group_name = Some("Sales".into());
    added.intent.actor = Actor {
        credential_id: Some("ef".repeat(32)),
        ..Actor::default()
    };
    added.changes = diff(Some(&before), Some(&after));
    added.summary = sentence(None, &added.changes);
    store.complete(added, vec![]).await.unwrap();

    let mut several = applied(intent(3));
    several.intent.action = Action::MembershipChange;
    several.intent.target = Target {
        organization_id: Some(OrganizationId(1)),
        ..Target::default()
    };
    several.changes = [(7, "Brand"), (8, "Sales")]
        .map(|(id, name)| Change {
            group_id: Some(GroupId(id)),
            group_name: Some(name.into()),
            ..Change::member(Kind::Removed, UserId(6), Some("Bob".into()))
        })
        .to_vec();
    several.summary = "took Bob (6) out of two groups".into();
    store.complete(several, vec![]).await.unwrap();

    // Known only after the fact.
    let bea = Person {
        user_id: Some(UserId(9)),
        email: Some("bea@acme.example".into()),
        name: Some("Bea".into()),
    };
    store.remember(&"ef".repeat(32), &bea, at(9)).await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn who_changed_what_reads_like_a_list_of_sentences() {
    let place = Place::new();
    day(&place).await;
    let sql = "SELECT occurred_at, actor, action, outcome, organization_id, group_id, group_name,
        summary, client_ip FROM who_changed_what ORDER BY occurred_at";
    assert_snapshot!(told(&place, sql).await, @r#"
    2026-11-24T12:00:00.000Z | ann@acme.example | group.update | applied | 1 | 7 | Design | renamed "Design" to "Brand" | 192.0.2.7
    2026-11-24T12:00:01.000Z | hr-sync | group.update | rejected | 1 | 7 | Design | refused: Name has already been taken | 192.0.2.7
    2026-11-24T12:00:02.000Z | Bea | group.patch | applied | 1 | 8 | Sales | added Bob (6) | 192.0.2.7
    2026-11-24T12:00:03.000Z | ann@acme.example | membership.change | applied | 1 | - | - | took Bob (6) out of two groups | 192.0.2.7
    "#);
}

#[tokio::test]
async fn group_changes_has_a_row_for_each_field_that_did_change() {
    let place = Place::new();
    day(&place).await;
    let sql =
        "SELECT occurred_at, actor, organization_id, group_id, group_name, field, change, value,
        label, old_value FROM group_changes ORDER BY occurred_at, group_id";
    assert_snapshot!(told(&place, sql).await, @r"
    2026-11-24T12:00:00.000Z | ann@acme.example | 1 | 7 | Design | name | set | Brand | - | Design
    2026-11-24T12:00:02.000Z | Bea | 1 | 8 | Sales | users | added | 6 | Bob | -
    2026-11-24T12:00:03.000Z | ann@acme.example | 1 | 7 | Brand | users | removed | 6 | Bob | -
    2026-11-24T12:00:03.000Z | ann@acme.example | 1 | 8 | Sales | users | removed | 6 | Bob | -
    ");
}

/// How the database goes about a query of people, step by step.
async fn steps(place: &Place, sql: &str) -> String {
    told(place, &format!("EXPLAIN QUERY PLAN {sql}")).await
}

#[tokio::test]
async fn the_newest_of_an_organization_or_a_group_are_found_without_sorting_all_of_them() {
    let place = Place::new();
    day(&place).await;
    for view in ["group_changes", "who_changed_what"] {
        let sql = format!(
            "SELECT * FROM {view} WHERE organization_id = 1 ORDER BY occurred_at DESC LIMIT 50"
        );
        let steps = steps(&place, &sql).await;
        assert!(steps.contains("by_organization_time"), "{steps}");
        assert!(!steps.contains("TEMP B-TREE"), "{steps}");
        assert!(!steps.contains("SCAN e"), "{steps}");
    }
    let sql = "SELECT * FROM group_changes WHERE group_id = 8 ORDER BY occurred_at DESC LIMIT 50";
    let steps = steps(&place, sql).await;
    assert!(steps.contains("by_group_time (group_id=?)"), "{steps}");
    assert!(
        steps.contains("audit_event_groups_by_group (group_id=?)"),
        "{steps}"
    );
    assert!(!steps.contains("SCAN e"), "{steps}");
    let both = told(
        &place,
        "SELECT event_id FROM group_changes WHERE group_id = 8",
    );
    assert_eq!(
        both.await.lines().count(),
        2,
        "alone, and as one of several"
    );
}
