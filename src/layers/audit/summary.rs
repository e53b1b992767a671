//! An event as a sentence that a manager understands.
//!
//! What was done stands in the past; what was only tried, in the infinitive, behind what became of it.
//! Names are quoted as JSON and others' words are freed of control characters, so that no name can
//! break out of its line or drive a terminal.

use serde_json::json;

use super::facts::Facts;
use super::patch::{Patch, Results, requested};
use super::told::{Told, printable};
use crate::domain::action::{Action, Outcome};
use crate::domain::diff::{Change as Difference, listed, sentence};
use crate::domain::endpoint::Change;
use crate::domain::event::Target;

/// The event as a sentence.
pub(super) fn summary(
    change: &Change,
    facts: &Facts,
    told: &Told,
    outcome: Outcome,
    target: &Target,
    changes: &[Difference],
    refused: &[(Option<Patch>, String)],
) -> String {
    let attempt = attempt(change, facts, target);
    match outcome {
        Outcome::NotSent => return format!("not sent: {attempt}"),
        Outcome::Unknown => return format!("sent, outcome unknown: {attempt}"),
        Outcome::Rejected if refused.is_empty() => {
            return format!("tried to {attempt}: {}", told.reason());
        }
        // The refusals name the patches themselves.
        Outcome::Rejected => {
            return format!(
                "tried to change {}: {}",
                group_label(target),
                refusals(facts, refused)
            );
        }
        Outcome::Applied | Outcome::Partial => {}
    }
    let group = group_label(target);
    let project = project_label(target);
    let mut text = match change.action {
        Action::ProjectGroupAdd => format!("gave {group} access to {project}"),
        Action::ProjectGroupRemove => format!("took from {group} the access to {project}"),
        Action::GroupCreate | Action::GroupUpdate | Action::GroupPatch | Action::GroupDelete => {
            let mut said = sentence(target.group_name.as_deref(), changes);
            if target.group_name.is_none() && !said.is_empty() {
                said = format!("in {group}: {said}");
            }
            match change.action {
                _ if !said.is_empty() => said,
                Action::GroupUpdate if !facts.knows_before() => format!("updated {group}"),
                Action::GroupPatch if !facts.knows_before() || has_unread_patch(told) => {
                    format!("changed {group}")
                }
                Action::GroupDelete => format!("deleted {group}"),
                Action::GroupCreate => format!("created {group}"),
                _ => format!("left {group} as it was"),
            }
        }
        _ => facts.shown.clone(),
    };
    let lacks_before = matches!(
        change.action,
        Action::GroupUpdate | Action::GroupPatch | Action::GroupDelete
    );
    if lacks_before && !facts.knows_before() {
        text.push_str(" (before unknown)");
    }
    if !refused.is_empty() {
        text = format!("{text}; not done: {}", refusals(facts, refused));
    }
    text
}

fn has_unread_patch(told: &Told) -> bool {
    told.body
        .as_ref()
        .and_then(Results::read)
        .is_some_and(|results| results.unread > 0)
}

fn refusals(facts: &Facts, refused: &[(Option<Patch>, String)]) -> String {
    let refused = refused.iter().map(|(patch, message)| {
        let what = patch.as_ref().map_or_else(
            || "a patch".to_owned(),
            |patch| patch.attempt(&|id| facts.name_of(id)),
        );
        format!("{what} ({})", printable(message, 200))
    });
    listed(refused.collect(), "; ")
}

// What was asked for, in the infinitive; it also does for what was done where nothing else is known.
fn attempt(change: &Change, facts: &Facts, target: &Target) -> String {
    let group = group_label(target);
    let project = project_label(target);
    match change.action {
        Action::GroupCreate => format!("create {group}"),
        Action::GroupUpdate => {
            let wanted = facts
                .request
                .as_ref()
                .and_then(|body| body.get("name")?.as_str());
            match (&facts.before, wanted) {
                (Some(before), Some(name)) if before.name != name => {
                    format!("rename {} to {}", json!(before.name), json!(name))
                }
                _ => format!("update {group}"),
            }
        }
        Action::GroupPatch => {
            let patches = facts.request.as_ref().map(requested).unwrap_or_default();
            let patches: Vec<_> = patches
                .iter()
                .map(|patch| patch.attempt(&|id| facts.name_of(id)))
                .collect();
            if patches.is_empty() {
                format!("change {group}")
            } else {
                format!("change {group} ({})", listed(patches, "; "))
            }
        }
        Action::GroupDelete => format!("delete {group}"),
        Action::ProjectGroupAdd => format!("give {group} access to {project}"),
        Action::ProjectGroupRemove => format!("take from {group} the access to {project}"),
        Action::MembershipChange => format!("change memberships by {}", facts.shown),
        _ => facts.shown.clone(),
    }
}

fn project_label(target: &Target) -> String {
    target
        .project_id
        .map_or_else(|| "a project".to_owned(), |id| format!("project {id}"))
}

fn group_label(target: &Target) -> String {
    match (&target.group_name, target.group_id) {
        (Some(name), _) => json!(name).to_string(),
        (None, Some(id)) => format!("group {id}"),
        (None, None) => "a group".to_owned(),
    }
}
