//! Which groups have access to which projects of a workspace.
//!
//! **Guarantee**: endpoints 7 to 9 of the API's reference, the `project_ids` of a list in the query
//! or in the body of the `GET`, where some generated clients put them. A member may look; a change
//! takes an administrator. What names a group or a project that is not there breaks the service
//! (`500`), as the reference says.

use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::Reply;
use super::refusal::Refusal;
use super::visit::{Outcome, Visit, number, numbers};
use super::world::{ProjectGroup, World};
use crate::domain::ids::{GroupId, ProjectGroupId, ProjectId, WorkspaceId};

#[derive(Debug, Deserialize)]
struct Wanted {
    group_id: GroupId,
    project_id: ProjectId,
}

/// `GET /workspaces/{workspace_id}/project_groups`
pub(super) fn list(visit: &mut Visit<'_>, workspace: WorkspaceId) -> Outcome {
    visit.world.organization_of(workspace, visit.caller)?;
    let asked = match visit.parameter("project_ids") {
        Some(ids) => Some(numbers(&ids)?),
        None => ids_in(&visit.request.body)?,
    };
    let rows = visit.world.project_groups.iter();
    let rows = rows.filter(|(_, row)| {
        let here = visit.world.projects.get(&row.project);
        here.is_some_and(|project| project.workspace == workspace)
            && asked.as_ref().is_none_or(|ids| ids.contains(&row.project))
    });
    let rows: Vec<Value> = rows
        .map(|(id, row)| shown(visit.world, *id, *row))
        .collect();
    Ok(Reply::json(&Value::Array(rows)))
}

/// `POST /workspaces/{workspace_id}/project_groups`
pub(super) fn add(visit: &mut Visit<'_>, workspace: WorkspaceId) -> Outcome {
    let organization = visit.world.organization_of(workspace, visit.caller)?;
    visit
        .world
        .may_change(organization, visit.caller)
        .map_err(|_| Refusal::Forbidden)?;
    let wanted: Wanted = visit.body()?;
    let project = visit.world.projects.get(&wanted.project_id);
    if project.is_none_or(|project| project.workspace != workspace)
        || visit.world.group_in(organization, wanted.group_id).is_err()
    {
        return Err(Refusal::Broken);
    }
    let id = visit
        .world
        .add_project_group(wanted.group_id, wanted.project_id);
    let row = ProjectGroup {
        group: wanted.group_id,
        project: wanted.project_id,
    };
    Ok(Reply::json(&shown(visit.world, id, row)))
}

/// `DELETE /workspaces/{workspace_id}/project_groups/{project_group_id}`
pub(super) fn remove(visit: &mut Visit<'_>, workspace: WorkspaceId, id: ProjectGroupId) -> Outcome {
    let organization = visit.world.organization_of(workspace, visit.caller)?;
    visit
        .world
        .may_change(organization, visit.caller)
        .map_err(|_| Refusal::Forbidden)?;
    let row = visit.world.project_groups.get(&id).ok_or(Refusal::Broken)?;
    let project = visit
        .world
        .projects
        .get(&row.project)
        .ok_or(Refusal::Broken)?;
    if project.workspace != workspace {
        return Err(Refusal::Forbidden);
    }
    visit.world.remove_project_group(id);
    Ok(Reply::ok())
}

/// The ids in the body of a `GET`: `{"project_ids":[1,2]}`, `{"project_ids":"1,2"}`, `[1,2]`, or the
/// form `project_ids=1,2`. An empty body asks for all.
fn ids_in(body: &[u8]) -> Result<Option<Vec<ProjectId>>, Refusal> {
    if body.is_empty() {
        return Ok(None);
    }
    let value = match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(mut fields)) => fields.remove("project_ids").unwrap_or(Value::Null),
        Ok(value) => value,
        Err(_) => form_urlencoded::parse(body)
            .find(|(key, _)| key == "project_ids")
            .map_or(Value::Null, |(_, ids)| Value::String(ids.into_owned())),
    };
    match value {
        Value::Null => Ok(None),
        Value::String(ids) => numbers(&ids).map(Some),
        Value::Array(ids) => {
            let ids = ids
                .iter()
                .map(|id| number(id.to_string().trim_matches('"')));
            ids.collect::<Result<_, _>>().map(Some)
        }
        one => number(&one.to_string()).map(|id| Some(vec![id])),
    }
}

fn shown(world: &World, id: ProjectGroupId, row: ProjectGroup) -> Value {
    json!({
        "id": id,
        "group_id": row.group,
        "pid": row.project,
        "wid": world.projects.get(&row.project).map(|project| project.workspace),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ids_are_found_in_every_form_of_the_body() {
        let both = Some(vec![ProjectId(1), ProjectId(2)]);
        for body in [
            r#"{"project_ids":[1,2]}"#,
            r#"{"project_ids":"1,2"}"#,
            r#"["1",2]"#,
            "project_ids=1%2C2",
        ] {
            assert_eq!(ids_in(body.as_bytes()).unwrap(), both, "{body}");
        }
        assert_eq!(ids_in(b"").unwrap(), None);
        assert_eq!(
            ids_in(b"[\"x\"]"),
            Err(Refusal::InvalidNumber("x".to_owned()))
        );
    }
}
