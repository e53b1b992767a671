//! `history` and `groups`: what the trail says of then.

use insta::assert_snapshot;
use serde_json::{Value, json};

use super::*;
use crate::domain::action::Action;
use crate::domain::diff::{Change, Kind, diff, sentence};
use crate::domain::event::Target;
use crate::domain::group::Group;
use crate::domain::ids::{GroupId, OrganizationId, UserId};
use crate::store::suite::{group, news, seen};
use crate::store::{Fact, KnownGroups as _, Learned};

/// What made one group into another, `seconds` after noon.
fn change(seconds: i64, before: Option<&Group>, after: Option<&Group>) -> Draft {
    let group = before.or(after).unwrap();
    let mut draft = applied(intent(seconds));
    draft.intent.action = match (before, after) {
        (None, _) => Action::GroupCreate,
        (_, None) => Action::GroupDelete,
        _ => Action::GroupPatch,
    };
    draft.intent.target.group_id = Some(group.id);
    draft.intent.target.group_name = Some(group.name.clone());
    draft.changes = diff(before, after);
    draft.summary = sentence(Some(&group.name), &draft.changes);
    draft.before = before.map(Group::to_json);
    draft.after = after.map(Group::to_json);
    draft
}

/// Somebody leaves two groups by a door that names neither state.
fn left_both(seconds: i64) -> Draft {
    let mut draft = applied(intent(seconds));
    draft.intent.action = Action::MembershipChange;
    draft.intent.target = Target {
        organization_id: Some(OrganizationId(1)),
        ..Target::default()
    };
    draft.changes = [(7, "Brand"), (8, "Sales")]
        .map(|(id, name)| Change {
            group_id: Some(GroupId(id)),
            group_name: Some(name.into()),
            ..Change::member(Kind::Removed, UserId(6), Some("Bob".into()))
        })
        .to_vec();
    (draft.before, draft.after) = (None, None);
    draft.summary = "took Bob (6) out of two groups".into();
    draft
}

/// Noon: Design is there with Ann. Each minute: it is renamed to Brand; Bob joins; Sales is made with Bob;
/// Bob leaves both; a refused change; somebody elsewhere adds Cat to Brand; Sales is deleted.
async fn day() -> (tempfile::TempDir, PathBuf) {
    let design = group(7, "Design", &[(5, "Ann")]);
    let brand = group(7, "Brand", &[(5, "Ann")]);
    let with_bob = group(7, "Brand", &[(5, "Ann"), (6, "Bob")]);
    let with_cat = group(7, "Brand", &[(5, "Ann"), (8, "Cat")]);
    let sales = group(8, "Sales", &[(6, "Bob")]);
    let empty = group(8, "Sales", &[]);

    let mut refused = change(300, Some(&brand), Some(&with_bob));
    refused.outcome = Outcome::Rejected;
    refused.summary = "tried to add Bob".into();
    let mut observed = change(360, Some(&brand), Some(&with_cat));
    observed.intent.action = Action::GroupObserved;
    observed.intent.actor = Actor::default();

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.db");
    let (store, _) = SqliteStore::open(&path, clock()).await.unwrap();
    let known = |seconds, group: &Group| vec![seen(seconds, group.clone())];
    let deeds: Vec<(Draft, Vec<Learned>)> = vec![
        (change(60, Some(&design), Some(&brand)), known(60, &brand)),
        (
            change(120, Some(&brand), Some(&with_bob)),
            known(120, &with_bob),
        ),
        (change(180, None, Some(&sales)), known(180, &sales)),
        (
            left_both(240),
            vec![seen(240, brand), seen(240, empty.clone())],
        ),
        (refused, vec![]),
        (observed, known(360, &with_cat)),
        (change(420, Some(&empty), None), vec![]),
    ];
    for (draft, learned) in deeds {
        store.complete(draft, learned).await.unwrap();
    }
    // From lists alone: Ops, by a form that names no members; and that Sales is gone.
    let ops = Group::read(&json!({"id": 9, "name": "Ops"})).unwrap();
    store
        .learn(vec![news(420, Fact::NoGroup(GroupId(8))), seen(421, ops)])
        .await;
    store.close().await;
    (directory, path)
}

#[tokio::test]
async fn the_life_of_a_group_has_its_part_of_what_happened_to_several() {
    let (_directory, path) = day().await;
    assert_snapshot!(audit(&path, "history 1 8").await.unwrap(), @r#"
    SEQ  TIME (UTC)           WHO               ACTION             OUTCOME  WHAT
    3    2026-11-24 12:03:00  ann@acme.example  group.create       applied  created "Sales" with Bob (6), workspace 3
    4    2026-11-24 12:04:00  ann@acme.example  membership.change  applied  in "Sales": removed Bob (6)
    7    2026-11-24 12:07:00  ann@acme.example  group.delete       applied  deleted "Sales" (it had workspace 3)
    "#);
    let lines = audit(&path, "history 1 7 --format ndjson").await.unwrap();
    let events: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let seen: Vec<_> = events
        .iter()
        .map(|event| event["action"].as_str().unwrap())
        .collect();
    assert_eq!(
        seen[3..5],
        ["group.patch", "group.observed"],
        "what was refused, and what others did"
    );
    assert_eq!(
        events[2]["changes"].as_array().unwrap().len(),
        1,
        "of two, its own"
    );
    assert_eq!(events[2]["target"]["group_name"], "Brand");
    let array: Value =
        serde_json::from_str(&audit(&path, "history 1 7 --format json").await.unwrap()).unwrap();
    assert_eq!(array, Value::from(events));
    assert_eq!(
        audit(&path, "history 2 7").await.unwrap(),
        "No events about group 7 of organization 2.\n"
    );
}

#[tokio::test]
async fn the_groups_are_shown_as_they_stood() {
    let (_directory, path) = day().await;
    let at = async |time: &str| {
        audit(&path, &format!("groups 1 --at 2026-11-24T{time}Z"))
            .await
            .unwrap()
    };
    assert_snapshot!(at("12:00:30").await, @r"
    GROUP  NAME    MEMBERS    WORKSPACES
    7      Design  Ann (5)    3
    9      Ops     not known  not known
    ");
    assert_snapshot!(at("12:03:30").await, @r"
    GROUP  NAME   MEMBERS           WORKSPACES
    7      Brand  Ann (5), Bob (6)  3
    8      Sales  Bob (6)           3
    9      Ops    not known         not known
    ");
    assert_snapshot!(at("12:05:30").await, @r"
    GROUP  NAME   MEMBERS    WORKSPACES
    7      Brand  Ann (5)    3
    8      Sales  nobody     3
    9      Ops    not known  not known
    ");
    assert_snapshot!(audit(&path, "groups 1 --format ndjson").await.unwrap(), @r#"
    {"group_id":7,"name":"Brand","users":[{"user_id":5,"name":"Ann"},{"user_id":8,"name":"Cat"}],"workspaces":[3],"permissions":null}
    {"group_id":9,"name":"Ops","users":null,"workspaces":null,"permissions":null}
    "#);
    assert_eq!(
        audit(&path, "groups 5").await.unwrap(),
        "No groups are known of organization 5.\n"
    );
}
