//! What follows from two lists, and what does not.

use std::slice;

use insta::assert_snapshot;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::effect::changed;
use super::*;
use crate::domain::action::Action;
use crate::domain::diff::{Field, Kind};
use crate::domain::ids::UserId;

const ORG: OrganizationId = OrganizationId(1);

/// So many seconds past noon.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_795_521_600 + seconds).unwrap()
}

fn group(value: Value) -> Group {
    Group::read(&value).unwrap()
}

/// As an admin sees it.
fn whole(id: i64, name: &str, users: &[i64]) -> Group {
    let users: Vec<_> = users
        .iter()
        .map(|id| json!({ "user_id": id, "name": format!("P{id}") }))
        .collect();
    group(
        json!({ "group_id": id, "name": name, "permissions": null, "users": users, "workspaces": [3] }),
    )
}

/// As a member sees it.
fn part(id: i64, name: &str) -> Group {
    group(
        json!({ "group_id": id, "name": name, "permissions": null, "users": null, "workspaces": [3] }),
    )
}

/// A view that was shown `groups` at noon.
fn view(groups: &[Group]) -> View {
    let mut view = View {
        seen_at: at(0),
        tells_users: None,
        emptied_at: None,
        groups: BTreeMap::new(),
    };
    take(
        &mut view,
        &against(None, 0, groups, &Elsewhere::default(), &[]).unwrap(),
    );
    view
}

fn take(view: &mut View, comparison: &Comparison) {
    view.seen_at = comparison.seen_at;
    view.tells_users = comparison.tells_users;
    view.emptied_at = comparison.emptied_at;
    for (id, shown) in &comparison.groups {
        match shown {
            Some(shown) => view.groups.insert(*id, shown.clone()),
            None => view.groups.remove(id),
        };
    }
}

fn against(
    view: Option<&View>,
    seconds: i64,
    groups: &[Group],
    elsewhere: &Elsewhere,
    open: &[Open],
) -> Option<Comparison> {
    let list = List {
        organization: ORG,
        at: at(seconds),
        groups,
    };
    compare(&list, view, elsewhere, open)
}

/// A list a minute after the view, with nothing else known.
fn next(view: &View, groups: &[Group]) -> Comparison {
    against(Some(view), 60, groups, &Elsewhere::default(), &[]).unwrap()
}

fn said(comparison: &Comparison) -> String {
    let lines = comparison.findings.iter().map(|finding| {
        let draft = finding.draft(EventId::new(), ORG, comparison.seen_at);
        format!("{}  {}", draft.outcome, draft.summary)
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn open(action: Action, group: Option<i64>, request: Value) -> Open {
    Open {
        id: EventId::new(),
        occurred_at: at(10),
        completed_at: at(20),
        action,
        outcome: Outcome::Unknown,
        group: group.map(GroupId),
        group_name: Some("Design".into()),
        before: None,
        request: Some(request).filter(|request| !request.is_null()),
        actor: Actor {
            name: Some("Ann".into()),
            ..Actor::default()
        },
        shown: "PUT /api/v9/organizations/1/users/5".into(),
        elsewhere: false,
    }
}

fn settled(view: Option<&View>, groups: &[Group], open: Open) -> String {
    let comparison = against(
        view,
        60,
        groups,
        &Elsewhere::default(),
        slice::from_ref(&open),
    )
    .unwrap();
    assert_eq!(comparison.settled, [open.id]);
    let told = comparison
        .findings
        .iter()
        .filter(|finding| finding.settles == [open.id]);
    assert_eq!(told.count(), 1, "one event names it");
    let mut said = said(&comparison);
    if comparison
        .findings
        .iter()
        .any(|finding| finding.actor == open.actor)
    {
        said.push_str("  by Ann");
    }
    said
}

#[test]
fn what_was_made_changed_and_deleted_elsewhere_is_found_with_its_window() {
    let view = view(&[
        whole(7, "Design", &[5]),
        whole(8, "Old", &[]),
        whole(9, "Same", &[5]),
    ]);
    let comparison = next(
        &view,
        &[
            whole(7, "Brand", &[6]),
            whole(10, "New", &[5]),
            whole(9, "Same", &[5]),
        ],
    );
    assert_snapshot!(said(&comparison), @r#"
    applied  noticed: deleted "Old" (it had workspace 3) elsewhere, between 12:00:00Z and 12:01:00Z
    applied  noticed: renamed "Design" to "Brand"; added P6 (6); removed P5 (5) elsewhere, between 12:00:00Z and 12:01:00Z
    applied  noticed: created "New" with P5 (5), workspace 3 elsewhere, between 12:00:00Z and 12:01:00Z
    "#);
    let draft = comparison.findings[1].draft(EventId::new(), ORG, at(60));
    assert_eq!(draft.intent.occurred_at, at(0));
    assert_eq!((draft.completed_at, draft.duration_ms), (at(60), 60_000));
    assert_eq!(draft.intent.actor, Actor::default());
    let mut view = view;
    take(&mut view, &comparison);
    let again = next(
        &view,
        &[
            whole(7, "Brand", &[6]),
            whole(10, "New", &[5]),
            whole(9, "Same", &[5]),
        ],
    );
    assert_eq!((again.findings, again.groups), (vec![], vec![]));
}

#[test]
fn other_rights_are_no_change() {
    let admin = [whole(7, "Design", &[5]), whole(8, "Other", &[6])];
    let member = [part(7, "Renamed meanwhile")];
    for (before, after) in [(&admin[..], &member[..]), (&member[..], &admin[..])] {
        let comparison = next(&view(before), after);
        assert_eq!(said(&comparison), "");
        let mut anew = view(before);
        take(&mut anew, &comparison);
        assert_eq!(anew.groups.len(), after.len());
    }
    // One group tells more or less than before.
    let mixed = [part(7, "Design"), whole(8, "Other", &[6])];
    assert_eq!(said(&next(&view(&admin), &mixed)), "");
    assert_eq!(said(&next(&view(&mixed), &admin)), "");
}

#[test]
fn who_has_never_seen_a_group_may_have_been_promoted() {
    assert_eq!(said(&next(&view(&[]), &[whole(7, "Design", &[5])])), "");
    // Who has seen some, and then none, is known.
    let mut view = view(&[whole(7, "Design", &[5])]);
    view.groups.clear();
    assert_eq!(next(&view, &[whole(7, "Design", &[5])]).findings.len(), 1);
}

#[test]
fn permissions_that_are_null_are_not_told() {
    let mut told = whole(7, "Design", &[5]);
    told.permissions = Some(json!(["x"]));
    let untold = whole(7, "Design", &[5]);
    assert_eq!(
        said(&next(&view(&[told.clone()]), slice::from_ref(&untold))),
        ""
    );
    assert_eq!(said(&next(&view(&[untold]), &[told.clone()])), "");
    let mut other = told.clone();
    other.permissions = Some(json!(["y"]));
    assert_eq!(next(&view(&[told]), &[other]).findings.len(), 1);
}

#[test]
fn a_member_who_is_put_into_a_group_or_taken_out_is_no_creation_and_no_deletion() {
    let design = view(&[part(7, "Design")]);
    assert_eq!(
        said(&next(&design, &[part(7, "Design"), part(8, "Support")])),
        ""
    );
    assert_eq!(said(&next(&design, &[part(8, "Support")])), "");
    assert_snapshot!(said(&next(&design, &[part(7, "Brand")])), @r#"applied  noticed: renamed "Design" to "Brand" elsewhere, between 12:00:00Z and 12:01:00Z"#);
}

#[test]
fn a_sudden_empty_list_is_believed_when_it_comes_twice() {
    let mut view = view(&[whole(7, "Design", &[5])]);
    let first = next(&view, &[]);
    assert_eq!(first.findings, []);
    take(&mut view, &first);
    let second = against(Some(&view), 120, &[], &Elsewhere::default(), &[]).unwrap();
    assert_snapshot!(said(&second), @r#"applied  noticed: deleted "Design" (it had P5 (5), workspace 3) elsewhere, between 12:00:00Z and 12:02:00Z"#);
    // Somebody else has seen it in between.
    let witness = Witness {
        seen_at: at(90),
        shown: view.groups[&GroupId(7)].clone(),
    };
    let elsewhere = Elsewhere {
        witnesses: [(GroupId(7), vec![witness])].into(),
        ..Elsewhere::default()
    };
    let second = against(Some(&view), 120, &[], &elsewhere, &[]).unwrap();
    assert_eq!(second.findings, []);
    // Or it is back.
    let back = against(
        Some(&view),
        120,
        &[whole(7, "Design", &[5])],
        &Elsewhere::default(),
        &[],
    );
    let back = back.unwrap();
    assert_eq!((back.findings, back.emptied_at), (vec![], None));
}

#[test]
fn what_others_know_prevents_a_deletion_and_a_creation() {
    let two = [whole(7, "Design", &[5]), whole(8, "Other", &[5])];
    let one = &two[..1];
    let shown = |seconds| Shown {
        state: Some(two[1].clone()),
        since: at(seconds),
    };
    let witness = |seen_at, since| Elsewhere {
        witnesses: [(
            GroupId(8),
            vec![Witness {
                seen_at: at(seen_at),
                shown: shown(since),
            }],
        )]
        .into(),
        ..Elsewhere::default()
    };
    let found = |before: &[Group], after: &[Group], elsewhere: &Elsewhere| {
        let comparison = against(Some(&view(before)), 60, after, elsewhere, &[]).unwrap();
        comparison.findings.len()
    };
    assert_eq!(
        found(&two, one, &witness(60, 0)),
        0,
        "seen as late as this list"
    );
    assert_eq!(found(&two, one, &witness(59, 0)), 1);
    assert_eq!(
        found(one, &two, &witness(30, -10)),
        0,
        "there before this view's last list"
    );
    assert_eq!(
        found(one, &two, &witness(30, 30)),
        1,
        "new to the other one too"
    );
    let known = |seconds| Elsewhere {
        known: [(GroupId(8), at(seconds))].into(),
        ..Elsewhere::default()
    };
    assert_eq!(found(one, &two, &known(0)), 0);
    assert_eq!(found(one, &two, &known(1)), 1);
}

#[test]
fn another_view_that_showed_the_same_narrows_the_window() {
    let old = whole(7, "Design", &[5]);
    let witness = Witness {
        seen_at: at(50),
        shown: Shown {
            state: Some(part(7, "Design")),
            since: at(-100),
        },
    };
    let elsewhere = Elsewhere {
        witnesses: [(GroupId(7), vec![witness])].into(),
        ..Elsewhere::default()
    };
    let window = |new: Group| {
        let view = view(slice::from_ref(&old));
        let comparison = against(Some(&view), 60, &[new], &elsewhere, &[]).unwrap();
        comparison.findings[0].not_before
    };
    assert_eq!(window(whole(7, "Brand", &[5])), at(50));
    assert_eq!(
        window(whole(7, "Design", &[6])),
        at(0),
        "it does not tell members"
    );
}

#[test]
fn an_older_list_and_one_from_the_middle_of_a_change_say_nothing() {
    let mut view = view(&[whole(7, "Design", &[5])]);
    let renamed = [whole(7, "Brand", &[5])];
    let none = Elsewhere::default();
    assert_eq!(against(Some(&view), -1, &renamed, &none, &[]), None);
    let out = [open(Action::GroupUpdate, Some(7), Value::Null)];
    assert_eq!(against(Some(&view), 15, &renamed, &none, &out), None);
    view.groups.get_mut(&GroupId(7)).unwrap().since = at(61);
    assert_eq!(next(&view, &renamed).groups, []);
    assert_eq!(next(&view, &[]).findings, []);
}

#[test]
fn an_update_without_an_outcome_is_settled_either_way() {
    let old = [whole(7, "Design", &[5])];
    let update = open(Action::GroupUpdate, Some(7), json!({ "name": "Brand" }));
    let then = |now: &[Group]| settled(Some(&view(&old)), now, update.clone());
    assert_snapshot!(then(&[whole(7, "Brand", &[5])]), @r#"applied  settled: renamed "Design" to "Brand", between 12:00:10Z and 12:01:00Z  by Ann"#);
    assert_snapshot!(then(&old), @r#"rejected  settled: update of "Design" had no effect"#);
    assert_snapshot!(then(&[whole(7, "Brand", &[5, 6])]), @r#"applied  settled: renamed "Design" to "Brand"; added P6 (6), between 12:00:00Z and 12:01:00Z"#);
    assert_snapshot!(then(&[whole(7, "Design", &[5, 6])]), @r#"
    applied  noticed: in "Design": added P6 (6) elsewhere, between 12:00:00Z and 12:01:00Z
    rejected  settled: update of "Design" had no effect
    "#);
    assert_snapshot!(then(&[whole(8, "Other", &[])]), @r#"
    applied  settled: deleted "Design" (it had P5 (5), workspace 3), between 12:00:00Z and 12:01:00Z
    applied  noticed: created "Other" with workspace 3 elsewhere, between 12:00:00Z and 12:01:00Z
    "#);
}

#[test]
fn a_patch_and_a_deletion_without_an_outcome_are_settled_too() {
    let old = [whole(7, "Design", &[5]), whole(8, "Other", &[])];
    let patches = json!([
        { "op": "add", "path": "/users", "value": [6] },
        { "op": "remove", "path": "/users", "value": [5] },
    ]);
    let patch = open(Action::GroupPatch, Some(7), patches);
    let then = |now: &[Group], open: &Open| settled(Some(&view(&old)), now, open.clone());
    let done = [whole(7, "Design", &[6]), whole(8, "Other", &[])];
    assert_snapshot!(then(&done, &patch), @r#"applied  settled: in "Design": added P6 (6); removed P5 (5), between 12:00:10Z and 12:01:00Z  by Ann"#);
    assert_snapshot!(then(&old, &patch), @r#"rejected  settled: patch of "Design" had no effect"#);
    let delete = open(Action::GroupDelete, Some(7), Value::Null);
    assert_snapshot!(then(&old[1..], &delete), @r#"applied  settled: deleted "Design" (it had P5 (5), workspace 3), between 12:00:10Z and 12:01:00Z  by Ann"#);
    assert_snapshot!(then(&old, &delete), @r#"rejected  settled: deletion of "Design" had no effect"#);
}

#[test]
fn a_creation_without_an_outcome_is_settled_by_its_name() {
    let old = [whole(8, "Other", &[])];
    let create = open(Action::GroupCreate, None, json!({ "name": "Design" }));
    let made = [whole(7, "Design", &[5]), whole(8, "Other", &[])];
    assert_snapshot!(settled(Some(&view(&old)), &made, create.clone()), @r#"applied  settled: created "Design" with P5 (5), workspace 3, between 12:00:10Z and 12:01:00Z  by Ann"#);
    assert_snapshot!(settled(Some(&view(&old)), &old, create.clone()), @r#"rejected  settled: creation of "Design" had no effect"#);
    assert_snapshot!(settled(Some(&view(&made)), &made, create.clone()), @r#"rejected  settled: creation of "Design" had no effect"#);
    // Names are unique, so the first list of somebody who sees all tells it too.
    assert_snapshot!(settled(None, &made, create.clone()), @r#"applied  settled: created "Design" with P5 (5), workspace 3, between 12:00:10Z and 12:01:00Z  by Ann"#);
    assert_snapshot!(settled(None, &old, create), @r#"rejected  settled: creation of "Design" had no effect"#);
}

#[test]
fn without_a_list_from_before_the_event_itself_says_what_was_before() {
    let mut update = open(Action::GroupUpdate, Some(7), json!({ "name": "Brand" }));
    let now = [whole(7, "Brand", &[5])];
    assert_snapshot!(settled(None, &now, update.clone()), @r#"applied  settled: update of "Design": "Brand" is as it asked (before unknown)  by Ann"#);
    assert_snapshot!(settled(None, &[whole(7, "Design", &[5])], update.clone()), @r#"rejected  settled: update of "Design": "Design" is not as it asked (before unknown)"#);
    update.before = Some(part(7, "Design"));
    assert_snapshot!(settled(None, &now, update.clone()), @r#"applied  settled: renamed "Design" to "Brand", between 12:00:10Z and 12:01:00Z  by Ann"#);
    assert_snapshot!(settled(None, &[whole(7, "Design", &[5])], update), @r#"rejected  settled: update of "Design" had no effect"#);
}

#[test]
fn memberships_without_an_outcome_own_all_differences_or_none() {
    let old = [whole(7, "Design", &[5]), whole(8, "Other", &[])];
    let change = open(Action::MembershipChange, None, json!({ "groups": [8] }));
    let none = Elsewhere::default();
    let moved = [whole(7, "Design", &[]), whole(8, "Other", &[5])];
    let comparison = against(
        Some(&view(&old)),
        60,
        &moved,
        &none,
        slice::from_ref(&change),
    )
    .unwrap();
    assert!(
        comparison
            .findings
            .iter()
            .all(|finding| finding.settles == [change.id])
    );
    assert_eq!(
        (comparison.findings.len(), &comparison.settled[..]),
        (2, &[change.id][..])
    );
    assert_snapshot!(settled(Some(&view(&old)), &old, change.clone()), @"rejected  settled: PUT /api/v9/organizations/1/users/5 had no effect");
    // Against a list from after it nothing can be told.
    for view in [None, Some(view_at(30, &old))] {
        let comparison = against(view.as_ref(), 60, &old, &none, slice::from_ref(&change)).unwrap();
        assert_eq!((comparison.findings, comparison.settled), (vec![], vec![]));
    }
}

fn view_at(seconds: i64, groups: &[Group]) -> View {
    View {
        seen_at: at(seconds),
        ..view(groups)
    }
}

#[test]
fn what_another_change_may_have_done_is_not_taken_for_a_strangers() {
    let old = [whole(7, "Design", &[5])];
    let mut change = open(Action::ApiWrite, None, Value::Null);
    change.outcome = Outcome::Applied;
    let none = Elsewhere::default();
    let comparison = against(
        Some(&view(&old)),
        60,
        &[whole(7, "Design", &[])],
        &none,
        slice::from_ref(&change),
    );
    let comparison = comparison.unwrap();
    assert_eq!(comparison.findings[0].settles, [change.id]);
    assert_snapshot!(said(&comparison), @r#"applied  noticed: in "Design": removed P5 (5), perhaps by a change that left it open, between 12:00:00Z and 12:01:00Z"#);
    let comparison = against(Some(&view(&old)), 60, &old, &none, slice::from_ref(&change)).unwrap();
    assert_eq!(
        (comparison.findings, comparison.settled),
        (vec![], vec![change.id])
    );
}

#[test]
fn who_sees_a_part_settles_nothing_and_reports_nothing_of_what_is_open() {
    let view = view(&[part(7, "Design")]);
    let update = open(Action::GroupUpdate, Some(7), json!({ "name": "Brand" }));
    for now in [
        &[part(7, "Brand")][..],
        &[part(7, "Design")],
        &[part(8, "Other")],
    ] {
        let comparison = against(
            Some(&view),
            60,
            now,
            &Elsewhere::default(),
            slice::from_ref(&update),
        )
        .unwrap();
        assert_eq!((comparison.findings, comparison.settled), (vec![], vec![]));
        assert!(
            !comparison.groups.iter().any(|(id, _)| *id == GroupId(7)),
            "kept for who sees all"
        );
    }
}

#[test]
fn an_effect_reaches_what_a_view_shows_and_no_more() {
    let (all, some) = (whole(7, "Design", &[5]), part(7, "Design"));
    let changes = difference(Some(&all), Some(&whole(7, "Brand", &[6])));
    let changed = Effect::Changed(changes);
    assert_eq!(
        difference(
            changed.on(Some(&all)).as_ref(),
            Some(&whole(7, "Brand", &[6]))
        ),
        []
    );
    assert_eq!(changed.on(Some(&some)), Some(part(7, "Brand")));
    let shown = Effect::Shown(Box::new(whole(7, "Brand", &[6])));
    assert_eq!(shown.on(Some(&some)), Some(part(7, "Brand")));
    assert_eq!(Effect::Deleted.on(Some(&all)), None);
    let doubtful = Effect::MembersDoubtful.on(Some(&all)).unwrap();
    assert_eq!((doubtful.name.as_str(), doubtful.users), ("Design", None));
}

fn any_groups() -> impl Strategy<Value = Vec<Group>> {
    let users = proptest::option::of(proptest::collection::vec(0i64..6, 0..4));
    let one = (0i64..6, "[A-D]", users, proptest::option::of(0i64..3));
    proptest::collection::vec(one, 0..5).prop_map(|groups| {
        let mut made: BTreeMap<GroupId, Group> = BTreeMap::new();
        for (id, name, users, workspace) in groups {
            let mut group = whole(id, &name, &users.clone().unwrap_or_default());
            group.users = group.users.filter(|_| users.is_some());
            group.workspaces = workspace.map(|id| vec![crate::domain::ids::WorkspaceId(id)]);
            group.sort();
            made.insert(group.id, group);
        }
        made.into_values().collect()
    })
}

proptest! {
    #[test]
    fn what_is_found_makes_the_new_list_of_the_old_one(old in any_groups(), new in any_groups()) {
        let before = view(&old);
        let comparison = next(&before, &new);
        let mut after = before.clone();
        take(&mut after, &comparison);
        // What was found, done to the old list, leaves nothing to be found in the new one.
        let mut replayed: BTreeMap<_, _> = old.iter().map(|group| (group.id, group.clone())).collect();
        for finding in &comparison.findings {
            let id = finding.group.unwrap();
            let is = |kind| finding.changes.iter().any(|c| (c.field, c.change) == (Field::Group, kind));
            if is(Kind::Created) {
                replayed.insert(id, finding.after.clone().unwrap());
            } else if is(Kind::Deleted) {
                replayed.remove(&id);
            } else {
                let group = changed(&replayed[&id], &finding.changes).unwrap();
                replayed.insert(id, group);
            }
        }
        let same_rights = new.is_empty() || tells_users(&old) == tells_users(&new);
        if same_rights && tells_users(&new) == Some(true) {
            prop_assert_eq!(replayed.len(), new.len()); // who sees a part is told of neither
        }
        if same_rights {
            for group in &new {
                if let Some(replayed) = replayed.get(&group.id) {
                    prop_assert_eq!(difference(Some(replayed), Some(group)), []);
                }
            }
        } else {
            prop_assert_eq!(comparison.findings.len(), 0);
        }
        if comparison.emptied_at.is_none() {
            let shown: Vec<_> = after.groups.values().filter_map(|shown| shown.state.clone()).collect();
            prop_assert_eq!(shown, new.clone());
            let again = against(Some(&after), 120, &new, &Elsewhere::default(), &[]).unwrap();
            prop_assert_eq!(again.findings, []);
        }
    }

    #[test]
    fn each_group_is_found_once(old in any_groups(), new in any_groups()) {
        let comparison = next(&view(&old), &new);
        let mut ids: Vec<_> = comparison.findings.iter().map(|finding| finding.group).collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        prop_assert_eq!(ids.len(), count);
    }
}

#[test]
fn a_deleted_member_stays_deleted_in_every_view() {
    let mut users = whole(7, "Design", &[5, 6]).users.unwrap();
    users.retain(|member| member.id != UserId(5));
    let changes = difference(
        Some(&whole(7, "Design", &[5, 6])),
        Some(&whole(7, "Design", &[6])),
    );
    let after = Effect::Changed(changes).on(Some(&whole(7, "Design", &[5, 6])));
    assert_eq!(after.unwrap().users, Some(users));
}
