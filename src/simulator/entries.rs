//! Time entries and the reports about them: the traffic that is not about groups.
//!
//! **Guarantee**: what a client records comes back in its lists, in its reports and in nobody else's
//! lists; a report is a `POST` that alters nothing. An entry keeps the fields that it was sent with.

use serde_json::{Value, json};

use super::answer::Reply;
use super::refusal::Refusal;
use super::visit::{Outcome, Visit};
use crate::domain::ids::WorkspaceId;

/// `GET /me/time_entries`
pub(super) fn mine(visit: &mut Visit<'_>) -> Outcome {
    let user = json!(visit.caller);
    let entries = visit.world.time_entries.iter().rev();
    let entries = entries.filter(|entry| entry["user_id"] == user).cloned();
    Ok(Reply::json(&Value::Array(entries.collect())))
}

/// `GET /me/time_entries/current`: the entry that runs, or `null`.
pub(super) fn current(visit: &mut Visit<'_>) -> Outcome {
    let user = json!(visit.caller);
    let mut entries = visit.world.time_entries.iter().rev();
    let running = entries.find(|entry| entry["user_id"] == user && entry["stop"].is_null());
    Ok(Reply::json(running.unwrap_or(&Value::Null)))
}

/// `POST /workspaces/{workspace_id}/time_entries`, or the person's own default workspace.
pub(super) fn create(visit: &mut Visit<'_>, workspace: Option<WorkspaceId>) -> Outcome {
    if let Some(workspace) = workspace {
        visit.world.organization_of(workspace, visit.caller)?;
    }
    let Value::Object(mut entry) = visit.json()? else {
        return Err(Refusal::InvalidJson);
    };
    let id = visit.world.next_id();
    entry.insert("id".into(), json!(id));
    entry.insert("user_id".into(), json!(visit.caller));
    if let Some(workspace) = workspace {
        entry.insert("workspace_id".into(), json!(workspace));
    }
    for (name, value) in [
        ("description", json!("")),
        ("start", json!("2024-11-04T09:00:00Z")),
        ("stop", Value::Null),
        ("duration", json!(-1)),
        ("tags", Value::Null),
        ("project_id", Value::Null),
        ("billable", json!(false)),
    ] {
        entry.entry(name).or_insert(value);
    }
    let entry = Value::Object(entry);
    visit.world.add_time_entry(entry.clone());
    Ok(Reply::json(&entry))
}

/// `PUT /workspaces/{workspace_id}/time_entries/{time_entry_id}`
pub(super) fn update(visit: &mut Visit<'_>, id: i64) -> Outcome {
    let Value::Object(fields) = visit.json()? else {
        return Err(Refusal::InvalidJson);
    };
    let index = find(visit, id)?;
    let entry = &mut visit.world.time_entries[index];
    if let Some(entry) = entry.as_object_mut() {
        entry.extend(
            fields
                .into_iter()
                .filter(|(name, _)| name != "id" && name != "user_id"),
        );
    }
    let entry = entry.clone();
    visit.world.stamp();
    Ok(Reply::json(&entry))
}

/// `PATCH /workspaces/{workspace_id}/time_entries/{time_entry_id}/stop`
pub(super) fn stop(visit: &mut Visit<'_>, id: i64) -> Outcome {
    let index = find(visit, id)?;
    let now = visit.world.stamp();
    let entry = &mut visit.world.time_entries[index];
    entry["stop"] = json!(now.to_string());
    entry["duration"] = json!(900);
    Ok(Reply::json(entry))
}

/// `DELETE /workspaces/{workspace_id}/time_entries/{time_entry_id}`
pub(super) fn delete(visit: &mut Visit<'_>, id: i64) -> Outcome {
    let index = find(visit, id)?;
    visit.world.time_entries.remove(index);
    visit.world.stamp();
    Ok(Reply::ok())
}

/// `POST /reports/api/v3/workspace/{workspace_id}/…`
pub(super) fn report(visit: &mut Visit<'_>, workspace: WorkspaceId, which: &[&str]) -> Outcome {
    visit.world.organization_of(workspace, visit.caller)?;
    let of_workspace = json!(workspace);
    let entries = visit.world.time_entries.iter();
    let entries: Vec<&Value> = entries
        .filter(|entry| entry["workspace_id"] == of_workspace)
        .collect();
    let report = match which {
        ["search", "time_entries"] => {
            let rows = entries.iter().enumerate().map(|(row, entry)| {
                json!({
                    "user_id": entry["user_id"],
                    "username": visit.world.people().find(|person| json!(person.id) == entry["user_id"])
                        .map(|person| &person.name),
                    "project_id": entry["project_id"],
                    "description": entry["description"],
                    "billable": entry["billable"],
                    "row_number": row + 1,
                    "time_entries": [{
                        "id": entry["id"],
                        "seconds": entry["duration"],
                        "start": entry["start"],
                        "stop": entry["stop"],
                    }],
                })
            });
            Value::Array(rows.collect())
        }
        ["summary", "time_entries"] => {
            json!({ "groups": [{ "id": null, "sub_groups": [], "entries": entries.len() }] })
        }
        [.., "totals"] => json!({ "seconds": 900 * entries.len(), "rates": [] }),
        _ => json!([]),
    };
    Ok(Reply::json(&report))
}

/// An entry of the caller's own.
fn find(visit: &Visit<'_>, id: i64) -> Result<usize, Refusal> {
    let user = json!(visit.caller);
    let mut entries = visit.world.time_entries.iter();
    let found = entries.position(|entry| entry["id"] == id && entry["user_id"] == user);
    found.ok_or(Refusal::NotFound)
}
