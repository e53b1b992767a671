//! What every store makes of the lists that views are shown.

use super::*;
use crate::domain::event::{Flag, RelationKind};
use crate::store::Seen;

/// A list that somebody is shown, as the cache learns it.
async fn show(store: &impl Store, who: &str, seconds: i64, groups: &[Group]) {
    let view = Fact::View(Box::new(Seen {
        credential_id: who.to_owned(),
        organization: ORG,
        groups: groups.to_vec(),
    }));
    let groups = groups.iter().map(|group| seen(seconds, group.clone()));
    let learned = [news(seconds, view)].into_iter().chain(groups).collect();
    store.learn(learned).await;
    store.check().await.unwrap();
    assert_chained(&store.rows().await);
}

/// What was noticed so far, a line each.
async fn noticed(store: &impl Store) -> String {
    let events = store
        .rows()
        .await
        .into_iter()
        .map(|row| row.event().unwrap());
    let events = events.filter(|event| event.action == "group.observed");
    let lines = events.map(|event| format!("{}  {}", event.outcome, event.summary));
    lines.collect::<Vec<_>>().join("\n")
}

/// A change, asked for and answered at one time.
fn change(seconds: i64, action: Action, target: Option<i64>) -> Draft {
    let mut intent = intent(seconds);
    intent.action = action;
    intent.target.group_id = target.map(GroupId);
    Draft {
        before: None,
        after: None,
        changes: vec![],
        ..applied(intent)
    }
}

async fn done(store: &impl Store, draft: Draft, learned: Vec<Learned>) {
    store.intend(draft.intent.clone()).await.unwrap();
    store.complete(draft, learned).await.unwrap();
}

fn design() -> Group {
    group(7, "Design", &[(5, "Ann")])
}

fn brand() -> Group {
    group(7, "Brand", &[(5, "Ann")])
}

/// As somebody sees it who may not see its members.
fn of_a_member(name: &str) -> Group {
    let value = json!({ "group_id": 7, "name": name, "users": null, "workspaces": [3] });
    Group::read(&value).unwrap()
}

pub(super) async fn a_change_made_elsewhere_is_recorded_once(store: impl Store) {
    store.complete(applied(intent(0)), vec![]).await.unwrap();
    for who in ["ann", "bob"] {
        show(&store, who, 1, &[design()]).await;
    }
    show(&store, "cleo", 1, &[of_a_member("Design")]).await;
    assert_eq!(noticed(&store).await, "");
    let now = [brand(), group(8, "Support", &[])];
    for round in 0..3 {
        show(&store, "ann", 60 + round, &now).await;
        show(&store, "bob", 60 + round, &now).await;
        show(&store, "cleo", 60 + round, &[of_a_member("Brand")]).await;
    }
    assert_eq!(noticed(&store).await, [r#"applied  noticed: renamed "Design" to "Brand" elsewhere, between 12:00:01Z and 12:01:00Z"#, r#"applied  noticed: created "Support" with workspace 3 elsewhere, between 12:00:01Z and 12:01:00Z"#].join("\n"));
    show(&store, "cleo", 80, &[of_a_member("Brand 2")]).await;
    show(&store, "bob", 90, &[group(7, "Brand 2", &[(5, "Ann")])]).await;
    show(&store, "ann", 90, &[group(7, "Brand 2", &[(5, "Ann")])]).await;
    let all = noticed(&store).await;
    assert_eq!(all.lines().skip(2).collect::<Vec<_>>().join("\n"), [r#"applied  noticed: renamed "Brand" to "Brand 2" elsewhere, between 12:01:02Z and 12:01:20Z"#, r#"applied  noticed: deleted "Support" (it had workspace 3) elsewhere, between 12:01:02Z and 12:01:30Z"#].join("\n"));
    // And nobody takes it for known from then on.
    let gone = store.group(GroupId(8), None).await.unwrap();
    assert_eq!(gone, None);
}

pub(super) async fn a_list_while_a_change_is_under_way_is_not_compared(store: impl Store) {
    show(&store, "ann", 1, &[design()]).await;
    let intent = intent(10);
    store.intend(intent.clone()).await.unwrap();
    show(&store, "ann", 20, &[brand()]).await;
    let mut draft = applied(intent);
    draft.completed_at = at(21);
    store.complete(draft, vec![]).await.unwrap();
    // Asked for before the outcome was known, learned after it: the group's own time tells.
    show(&store, "ann", 20, &[brand()]).await;
    show(&store, "ann", 30, &[brand()]).await;
    assert_eq!(noticed(&store).await, "");
    show(&store, "ann", 40, &[design()]).await;
    assert_eq!(
        noticed(&store).await,
        r#"applied  noticed: renamed "Brand" to "Design" elsewhere, between 12:00:30Z and 12:00:40Z"#
    );
    let mut elsewhere = super::intent(50);
    elsewhere.touches = Touches::Organization(OrganizationId(2), None);
    store.intend(elsewhere).await.unwrap();
    show(&store, "ann", 60, &[brand()]).await;
    assert_eq!(
        noticed(&store).await.lines().count(),
        2,
        "another organization's"
    );
}

pub(super) async fn a_list_that_is_written_together_with_a_change_is_compared_in_its_turn(
    store: impl Store,
) {
    show(&store, "ann", 1, &[design()]).await;
    let intent = intent(10);
    let list = [brand()];
    let (intended, ()) = tokio::join!(store.intend(intent.clone()), show(&store, "ann", 20, &list));
    intended.unwrap();
    assert_eq!(noticed(&store).await, "", "the change is under way");
    let mut draft = applied(intent);
    draft.completed_at = at(21);
    let list = [group(7, "Brand 2", &[(5, "Ann")])];
    let (completed, ()) = tokio::join!(
        store.complete(draft, vec![]),
        show(&store, "ann", 30, &list)
    );
    completed.unwrap();
    assert_eq!(
        noticed(&store).await.lines().count(),
        1,
        "the change is over"
    );
}

pub(super) async fn a_change_of_ours_is_no_news_to_any_view(store: impl Store) {
    let two = [design(), group(8, "Support", &[(6, "Bob")])];
    for who in ["ann", "bob"] {
        show(&store, who, 1, &two).await;
    }
    show(&store, "cleo", 1, &[of_a_member("Design")]).await;
    done(&store, applied(intent(10)), vec![]).await;
    // Ann from one group into the other, in one event.
    let mut moved = change(11, Action::MembershipChange, None);
    let member = |kind, group| crate::domain::diff::Change {
        group_id: Some(GroupId(group)),
        ..crate::domain::diff::Change::member(kind, UserId(5), Some("Ann".into()))
    };
    use crate::domain::diff::Kind;
    moved.changes = vec![member(Kind::Removed, 7), member(Kind::Added, 8)];
    done(&store, moved, vec![]).await;
    let now = [
        group(7, "Brand", &[]),
        group(8, "Support", &[(5, "Ann"), (6, "Bob")]),
    ];
    for who in ["ann", "bob"] {
        show(&store, who, 20, &now).await;
    }
    show(&store, "cleo", 20, &[of_a_member("Brand")]).await;
    done(&store, change(21, Action::GroupDelete, Some(7)), vec![]).await;
    for who in ["ann", "bob"] {
        show(&store, who, 30, &now[1..]).await;
    }
    show(&store, "cleo", 30, &[]).await;
    assert_eq!(noticed(&store).await, "");
}

pub(super) async fn a_change_of_which_the_difference_is_not_known_is_no_news_either(
    store: impl Store,
) {
    for who in ["ann", "bob"] {
        show(&store, who, 1, &[design()]).await;
    }
    let doubt = news(10, Fact::DoubtfulGroups(Some(ORG)));
    done(
        &store,
        change(10, Action::MembershipChange, None),
        vec![doubt],
    )
    .await;
    // Its members may be others now; that it has another name is somebody else's doing.
    show(&store, "ann", 20, &[group(7, "Design", &[(6, "Bob")])]).await;
    assert_eq!(noticed(&store).await, "");
    show(&store, "bob", 20, &[group(7, "Brand", &[(6, "Bob")])]).await;
    assert_eq!(noticed(&store).await.lines().count(), 1);
    show(&store, "ann", 30, &[group(7, "Brand", &[(6, "Bob")])]).await;
    assert_eq!(noticed(&store).await.lines().count(), 1);

    let mut assumed = change(40, Action::GroupUpdate, Some(7));
    assumed.intent.flags.push(Flag::AfterAssumed);
    done(
        &store,
        assumed,
        vec![news(40, Fact::DoubtfulGroup(GroupId(7)))],
    )
    .await;
    let mut unknown = change(41, Action::GroupUpdate, Some(7));
    unknown.intent.flags.push(Flag::BeforeUnknown);
    unknown.after = Some(design().to_json());
    done(&store, unknown, vec![]).await;
    for who in ["ann", "bob"] {
        show(&store, who, 50, &[design()]).await;
    }
    assert_eq!(noticed(&store).await.lines().count(), 1);
}

pub(super) async fn a_group_made_here_is_no_news_and_its_end_is(store: impl Store) {
    for who in ["ann", "bob"] {
        show(&store, who, 1, &[design()]).await;
    }
    show(&store, "cleo", 1, &[of_a_member("Design")]).await;
    let support = group(8, "Support", &[(5, "Ann")]);
    let mut made = change(10, Action::GroupCreate, Some(8));
    made.intent.actor.credential_id = Some("ann".into());
    made.after = Some(support.to_json());
    done(&store, made, vec![seen(10, support.clone())]).await;
    show(&store, "bob", 20, &[design(), support]).await;
    show(&store, "cleo", 20, &[of_a_member("Design")]).await;
    assert_eq!(noticed(&store).await, "");
    // Ann has not been shown it yet, but has made it.
    show(&store, "ann", 30, &[design()]).await;
    assert_eq!(
        noticed(&store).await,
        r#"applied  noticed: deleted "Support" (it had Ann (5), workspace 3) elsewhere, between 12:00:20Z and 12:00:30Z"#
    );
    show(&store, "bob", 40, &[design()]).await;
    assert_eq!(noticed(&store).await.lines().count(), 1);
}

/// The end of a group that looked like `found`.
fn end(seconds: i64, found: &Group) -> Draft {
    let mut gone = change(seconds, Action::GroupDelete, Some(found.id.0));
    gone.before = Some(found.to_json());
    gone.changes = diff(Some(found), None);
    gone
}

pub(super) async fn a_change_comes_upon_a_group_that_no_list_has_shown(store: impl Store) {
    show(&store, "ann", 1, &[design()]).await;
    show(&store, "cleo", 5, &[of_a_member("Design")]).await;
    done(&store, end(10, &group(8, "Support", &[])), vec![]).await;
    assert_eq!(
        noticed(&store).await,
        r#"applied  noticed: created "Support" with workspace 3 elsewhere, between 12:00:01Z and 12:00:10Z"#
    );
    let rows = store.rows().await;
    let last = rows.last().unwrap().event().unwrap();
    assert_eq!(last.action, "group.delete", "what was found goes before it");
    // One that goes on: it is in the next list, and no news there.
    let sales = group(9, "Sales", &[(5, "Ann")]);
    let mut kept = change(20, Action::GroupPatch, Some(9));
    kept.before = Some(group(9, "Sales", &[]).to_json());
    kept.after = Some(sales.to_json());
    kept.changes = diff(Some(&group(9, "Sales", &[])), Some(&sales));
    done(&store, kept, vec![]).await;
    assert_eq!(noticed(&store).await.lines().count(), 2);
    show(&store, "ann", 30, &[design(), sales.clone()]).await;
    assert_eq!(noticed(&store).await.lines().count(), 2);
    // What was told of before the last list of all is not new, and of another organization nobody knows.
    let known = group(10, "Old", &[]);
    store.learn(vec![seen(25, known.clone())]).await;
    done(&store, end(40, &known), vec![]).await;
    let mut other = end(50, &group(11, "Other", &[]));
    other.intent.target.organization_id = Some(OrganizationId(2));
    done(&store, other, vec![]).await;
    assert_eq!(noticed(&store).await.lines().count(), 2);
}

pub(super) async fn what_a_change_comes_upon_may_be_what_another_left_open(store: impl Store) {
    show(&store, "ann", 1, &[design()]).await;
    let made = |seconds, name: &str| {
        let mut made = change(seconds, Action::GroupCreate, None);
        made.outcome = Outcome::Unknown;
        made.intent.target.group_name = Some(name.into());
        made
    };
    let support = made(10, "Support");
    done(&store, support.clone(), vec![]).await;
    done(&store, made(11, "Sales"), vec![]).await;
    done(&store, end(20, &group(8, "Support", &[])), vec![]).await;
    done(&store, change(30, Action::ApiWrite, None), vec![]).await;
    done(&store, end(40, &group(9, "Legal", &[])), vec![]).await;
    show(&store, "ann", 50, &[design()]).await;
    assert_eq!(
        noticed(&store).await,
        [
            r#"applied  settled: created "Support" with workspace 3, between 12:00:10Z and 12:00:20Z"#,
            r#"applied  noticed: created "Legal" with workspace 3, perhaps by a change that left it open, between 12:00:01Z and 12:00:40Z"#,
            r#"rejected  settled: creation of "Sales" had no effect"#,
        ]
        .join("\n")
    );
    let rows = store.rows().await;
    let mut settled = rows.iter().map(|row| row.event().unwrap());
    let settled = settled
        .find(|event| event.action == "group.observed")
        .unwrap();
    assert_eq!(
        settled.relations,
        json!([{ "kind": "settles", "id": support.intent.id }])
    );
    assert_eq!(settled.actor, support.intent.actor);
}

pub(super) async fn a_change_without_an_outcome_is_settled_by_the_next_list(store: impl Store) {
    show(&store, "ann", 1, &[design()]).await;
    let unknown = |seconds| {
        let mut draft = change(seconds, Action::GroupUpdate, Some(7));
        draft.outcome = Outcome::Unknown;
        draft
    };
    let doubt = |seconds| vec![news(seconds, Fact::DoubtfulGroup(GroupId(7)))];
    let first = unknown(10);
    done(&store, first.clone(), doubt(10)).await;
    show(&store, "cleo", 15, &[of_a_member("Brand")]).await;
    show(&store, "ann", 20, &[brand()]).await;
    let second = unknown(30);
    done(&store, second.clone(), doubt(30)).await;
    show(&store, "cleo", 35, &[of_a_member("Brand")]).await;
    show(&store, "ann", 40, &[brand()]).await;
    show(&store, "ann", 50, &[brand()]).await;
    assert_eq!(
        noticed(&store).await,
        [
            r#"applied  settled: renamed "Design" to "Brand", between 12:00:10Z and 12:00:20Z"#,
            r#"rejected  settled: update of "Design" had no effect"#
        ]
        .join("\n")
    );
    let settled = store.rows().await.into_iter().filter_map(|row| {
        let event = row.event().unwrap();
        let relation = event.relations.get(0)?.clone();
        assert_eq!(relation["kind"], json!(RelationKind::Settles));
        Some((relation["id"].clone(), event.actor))
    });
    let settled: Vec<_> = settled.collect();
    // The request explains the first; nobody did what did not happen.
    assert_eq!(settled[0], (json!(first.intent.id), first.intent.actor));
    assert_eq!(settled[1], (json!(second.intent.id), Actor::default()));
}

pub(super) async fn a_change_that_names_no_organization_is_settled_where_it_shows(
    store: impl Store,
) {
    // By the deprecated door, of a workspace that no list has told of.
    let by_workspace = |mut draft: Draft, workspace| {
        draft.intent.target.organization_id = None;
        draft.intent.target.workspace_id = Some(WorkspaceId(workspace));
        draft.intent.touches = Touches::Workspace(WorkspaceId(workspace));
        draft
    };
    show(&store, "ann", 1, &[design()]).await;
    let mut made = by_workspace(change(10, Action::GroupCreate, Some(8)), 4);
    made.after = Some(json!({ "id": 8, "name": "Support" }));
    made.intent.target.group_name = Some("Support".into());
    done(&store, made.clone(), vec![]).await;
    show(&store, "ann", 20, &[design(), group(8, "Support", &[])]).await;
    let rows = store.rows().await;
    let event = rows.last().unwrap().event().unwrap();
    assert_eq!(
        event.relations,
        json!([{ "kind": "settles", "id": made.intent.id }])
    );

    // Of one that a list has told of.
    let mut made = by_workspace(change(30, Action::GroupCreate, Some(9)), 3);
    made.after = Some(json!({ "id": 9, "name": "Sales" }));
    done(&store, made, vec![]).await;
    let three = [design(), group(8, "Support", &[]), group(9, "Sales", &[])];
    show(&store, "ann", 40, &three).await;
    // And one that is not about groups: what it did is not a stranger's.
    let other = by_workspace(change(50, Action::ApiWrite, None), 3);
    done(&store, other.clone(), vec![]).await;
    assert_eq!(noticed(&store).await.lines().count(), 1);
    show(&store, "ann", 60, &three[1..]).await;
    show(&store, "ann", 70, &three[2..]).await;
    let rows = store.rows().await;
    let relations = |row: &Stored| row.event().unwrap().relations;
    let [.., by_it, later] = &rows[..] else {
        panic!("{rows:?}")
    };
    assert_eq!(
        relations(by_it),
        json!([{ "kind": "settles", "id": other.intent.id }])
    );
    assert_eq!(relations(later), json!([]), "a list has told what it did");
}

pub(super) async fn views_and_open_changes_are_bounded(store: impl Store) {
    let most = i64::try_from(crate::store::views::MOST_VIEWS).unwrap();
    for number in 0..=most {
        show(&store, &format!("session {number}"), number, &[design()]).await;
    }
    // The first one was shown nothing for the longest time: it begins anew.
    show(&store, "session 0", 100, &[brand()]).await;
    assert_eq!(noticed(&store).await, "");
    show(&store, "session 2", 100, &[brand()]).await;
    assert_eq!(noticed(&store).await.lines().count(), 1);
    show(&store, "session 0", 110, &[brand()]).await;
    assert_eq!(noticed(&store).await.lines().count(), 1);
}
