//! Looks for two states of a group whose difference does not lead from one to the other, and back.
//!
//! Input: a group before and after as JSON, one a line; what is no group does not exist.
//!
//! ```sh
//! cargo +nightly fuzz run --sanitizer none diff
//! ```

#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate::domain::diff::{diff, sentence, sentence_of_groups};
use tollgate::domain::group::Group;
use tollgate::domain::ids::{UserId, WorkspaceId};
use tollgate::domain::replay::{Facts, State, Step, at};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (before, after) = text.split_once('\n').unwrap_or((text, ""));
    let group = |text| Group::read(&serde_json::from_str(text).ok()?);
    let (before, after): (Option<Group>, Option<Group>) = (group(before), group(after));
    for state in [&before, &after] {
        assert_eq!(diff(state.as_ref(), state.as_ref()), []);
    }
    let changes = diff(before.as_ref(), after.as_ref());
    let name = before.as_ref().map(|group| &*group.name);
    let told = sentence(name, &changes);
    assert_eq!(told.is_empty(), changes.is_empty(), "{told}");
    let _ = sentence_of_groups(&changes);

    // There and back is asked of two groups that tell the same of themselves.
    let (Some(before), Some(after)) = (before, after) else {
        return;
    };
    let tells = |group: &Group| {
        let parts = (&group.users, &group.workspaces, &group.permissions);
        (parts.0.is_some(), parts.1.is_some(), parts.2.is_some())
    };
    if tells(&before) != tells(&after) {
        return;
    }
    let found = |group: Group| Step {
        after: Some(group),
        ..Step::default()
    };
    let changed = Step {
        changes,
        ..Step::default()
    };
    let [was, is] = [before, after].map(found);
    let [old, new] = [&was, &is].map(|step| at(std::slice::from_ref(step), &[], State::Unknown));
    let there = at(&[was, changed.clone()], &[], State::Unknown);
    assert_eq!(facts(&there), facts(&new));
    let back = at(&[], &[changed], new);
    assert_eq!(facts(&back), facts(&old));
});

type Known<'a> = (
    &'a Option<String>,
    Option<Vec<UserId>>,
    &'a Option<Vec<WorkspaceId>>,
    &'a Option<serde_json::Value>,
);

/// What a difference speaks of: of members, who they are.
fn facts(state: &State) -> Option<Known<'_>> {
    let State::Present(Facts {
        name,
        users,
        workspaces,
        permissions,
    }) = state
    else {
        return None;
    };
    let users = users.as_ref();
    let users = users.map(|users| users.iter().map(|user| user.id).collect());
    Some((name, users, workspaces, permissions))
}
