//! Invented lives of a group: what the trail says of them leads back to every state on the way.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::domain::diff::diff;

/// What happens to a group; what is impossible in its state is left out.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Create,
    Rename(u8),
    Permit(bool),
    Join(i64),
    Leave(i64),
    Enter(i64),
    Exit(i64),
    Delete,
}

/// How an event tells of it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Telling {
    /// With the states around it.
    Whole,
    /// With the difference alone, as an event about several groups does.
    Difference,
    /// By the deprecated form, which knows neither members nor workspaces.
    Short,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        2 => Just(Deed::Create),
        2 => (0_u8..4).prop_map(Deed::Rename),
        1 => any::<bool>().prop_map(Deed::Permit),
        4 => (0_i64..5).prop_map(Deed::Join),
        3 => (0_i64..5).prop_map(Deed::Leave),
        1 => (0_i64..3).prop_map(Deed::Enter),
        1 => (0_i64..3).prop_map(Deed::Exit),
        1 => Just(Deed::Delete),
    ]
}

fn telling() -> impl Strategy<Value = Telling> {
    prop_oneof![
        Just(Telling::Whole),
        Just(Telling::Difference),
        Just(Telling::Short)
    ]
}

fn fresh() -> Group {
    Group::read(
        &json!({"group_id": 7, "name": "G", "users": [], "workspaces": [], "permissions": null}),
    )
    .unwrap()
}

fn after(group: Option<&Group>, deed: Deed) -> Option<Group> {
    let Some(mut group) = group.cloned() else {
        return matches!(deed, Deed::Create).then(fresh);
    };
    let (users, workspaces) = (
        group.users.get_or_insert_default(),
        group.workspaces.get_or_insert_default(),
    );
    match deed {
        Deed::Create => {}
        Deed::Rename(n) => group.name = format!("G{n}"),
        Deed::Permit(yes) => group.permissions = Some(if yes { json!("all") } else { Value::Null }),
        Deed::Join(id) => users.push(Member {
            name: Some(format!("User {id}")),
            ..Member::unnamed(UserId(id))
        }),
        Deed::Leave(id) => users.retain(|member| member.id.0 != id),
        Deed::Enter(id) => workspaces.push(WorkspaceId(id)),
        Deed::Exit(id) => workspaces.retain(|workspace| workspace.0 != id),
        Deed::Delete => return None,
    }
    group.sort();
    Some(group)
}

fn short(group: &Group) -> Group {
    Group {
        users: None,
        workspaces: None,
        permissions: None,
        ..group.clone()
    }
}

fn step(before: Option<&Group>, after: Option<&Group>, telling: Telling) -> Step {
    let shown = |group: Option<&Group>| match telling {
        Telling::Whole => group.cloned(),
        Telling::Difference => None,
        Telling::Short => group.map(short),
    };
    Step {
        before: shown(before),
        after: shown(after),
        // As they lie in the column.
        changes: serde_json::from_value(json!(diff(before, after))).unwrap(),
    }
}

fn state(group: Option<&Group>) -> State {
    group.map_or(State::Absent, State::told)
}

/// Nothing that `found` says is wrong.
fn assert_true(found: &State, was: &State) -> Result<(), TestCaseError> {
    match (found, was) {
        (State::Unknown, _) | (State::Absent, State::Absent) => {}
        (State::Present(found), State::Present(was)) => {
            let name = found.name.is_none() || found.name == was.name;
            let users = found.users.is_none() || found.users == was.users;
            let workspaces = found.workspaces.is_none() || found.workspaces == was.workspaces;
            let permissions = found.permissions.is_none() || found.permissions == was.permissions;
            prop_assert!(
                name && users && workspaces && permissions,
                "{found:?} {was:?}"
            );
        }
        _ => prop_assert!(false, "{found:?} {was:?}"),
    }
    Ok(())
}

proptest! {
    #[test]
    fn every_state_on_the_way_is_found_again(deeds in prop::collection::vec((deed(), telling()), 1..30)) {
        let (mut states, mut steps) = (vec![None], Vec::new());
        for (deed, telling) in deeds {
            let before = states.last().cloned().flatten();
            let now = after(before.as_ref(), deed);
            if before.is_some() || now.is_some() {
                steps.push(step(before.as_ref(), now.as_ref(), telling));
                states.push(now);
            }
        }
        let now = state(states.last().cloned().flatten().as_ref());
        for (place, was) in states.iter().enumerate() {
            let was = state(was.as_ref());
            let (earlier, later) = steps.split_at(place);
            let found = at(earlier, later, now.clone());
            assert_true(&found, &was)?;
            // Of a group that was deleted without a word of what it had, the name alone is sure.
            let told = |step: &Step| step.before.as_ref().is_some_and(|before| before.users.is_some());
            if later.iter().all(|step| step.says(Kind::Deleted).is_none() || told(step)) {
                prop_assert_eq!(&found, &was, "at {} of {:?}", place, steps);
            }
            assert_true(&at(earlier, later, State::Unknown), &was)?;
        }
    }
}

fn event(value: &Value) -> Event {
    Event {
        seq: 1,
        id: crate::domain::ids::EventId::new(),
        occurred_at: String::new(),
        completed_at: String::new(),
        duration_ms: 0,
        action: "group.patch".into(),
        outcome: value["outcome"].as_str().unwrap_or("applied").into(),
        actor: Default::default(),
        source: Default::default(),
        target: crate::domain::event::Target {
            group_id: value["group_id"].as_i64().map(GroupId),
            ..Default::default()
        },
        request: Default::default(),
        response: Default::default(),
        before: value.get("before").cloned(),
        after: None,
        changes: value["changes"].clone(),
        relations: json!([]),
        flags: json!([]),
        summary: String::new(),
        hash: String::new(),
    }
}

#[test]
fn of_an_event_about_several_groups_each_takes_its_part() {
    let both = event(&json!({"changes": [
        {"field": "users", "change": "removed", "id": 5, "label": "Ann", "group_id": 7},
        {"field": "users", "change": "removed", "id": 5, "label": "Ann", "group_id": 8},
        {"field": "workspaces", "change": "removed", "id": 3, "group_id": 8},
    ]}));
    let part = |group| Step::of(&both, GroupId(group)).map(|step| step.changes.len());
    assert_eq!((part(7), part(8), part(9)), (Some(1), Some(2), None));
}

#[test]
fn what_did_not_happen_for_sure_is_no_step() {
    for outcome in ["rejected", "unknown", "not_sent"] {
        let event = event(&json!({"outcome": outcome, "group_id": 7, "changes": [
            {"field": "users", "change": "removed", "id": 5}]}));
        assert_eq!(Step::of(&event, GroupId(7)), None, "{outcome}");
    }
}

#[test]
fn members_that_nobody_told_of_are_not_guessed() {
    let joined = Step {
        changes: vec![Change::member(Kind::Added, UserId(5), Some("Ann".into()))],
        ..Step::default()
    };
    let State::Present(facts) = at(&[joined], &[], State::Unknown) else {
        panic!("a group that somebody joined exists");
    };
    assert_eq!(facts.users, None, "Ann is there; who else?");
}

#[test]
fn a_group_is_known_without_the_people_who_were_erased() {
    let before = json!({"group_id": 7, "name": "Design", "workspaces": [3], "users": [
        {"user_id": null, "name": "redacted", "joined": true}, {"user_id": 6, "name": "Bob"}]});
    let event = event(&json!({"group_id": 7, "changes": [], "before": before}));
    let step = Step::of(&event, GroupId(7)).unwrap();
    let State::Present(facts) = at(&[], &[step], State::Unknown) else {
        panic!("it was there");
    };
    let ids: Vec<_> = facts
        .users
        .unwrap()
        .iter()
        .map(|member| member.id.0)
        .collect();
    assert_eq!(ids, [6]);
}
