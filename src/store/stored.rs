//! A row of the trail as it lies in a store, and the event that it tells.

use serde_json::Value;

use super::StoreError;
use crate::domain::event::{Actor, Event, RequestRecord, ResponseRecord, Source, Target};
use crate::domain::ids::{GroupId, OrganizationId, ProjectGroupId, ProjectId, UserId, WorkspaceId};
use crate::domain::row::{COLUMNS, Cell, Link, Row, Salt};

/// A row, its place in the chain, and what its commitments are salted with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its place.
    pub link: Link,
    /// Its columns.
    pub row: Row,
    /// Its salt.
    pub salt: Salt,
}

// === impl Stored ===

impl Stored {
    /// The event as people and scripts see it.
    ///
    /// # Errors
    ///
    /// If the row has no id that could be one: then it was not written by this program.
    pub fn event(&self) -> Result<Event, StoreError> {
        let id = self.text("id").unwrap_or_default();
        Ok(Event {
            seq: self.link.seq,
            id: id.parse().map_err(|_| {
                StoreError::Corrupt(format!("row {} has the id {id:?}", self.link.seq))
            })?,
            occurred_at: self.text("occurred_at").unwrap_or_default(),
            completed_at: self.text("completed_at").unwrap_or_default(),
            duration_ms: self.integer("duration_ms").unwrap_or_default(),
            action: self.text("action").unwrap_or_default(),
            outcome: self.text("outcome").unwrap_or_default(),
            actor: Actor {
                credential_id: self.text("credential_id"),
                user_id: self.integer("actor_user_id").map(UserId),
                email: self.text("actor_email"),
                name: self.text("actor_name"),
                tool: self.text("tool"),
                on_behalf_of: self.text("on_behalf_of"),
            },
            source: Source {
                ip: self.text("client_ip"),
                user_agent: self.text("user_agent"),
                request_id: self.text("request_id"),
            },
            target: Target {
                organization_id: self.integer("organization_id").map(OrganizationId),
                workspace_id: self.integer("workspace_id").map(WorkspaceId),
                group_id: self.integer("group_id").map(GroupId),
                group_name: self.text("group_name"),
                project_id: self.integer("project_id").map(ProjectId),
                project_group_id: self.integer("project_group_id").map(ProjectGroupId),
            },
            request: RequestRecord {
                method: self.text("method").unwrap_or_default(),
                path: self.text("path").unwrap_or_default(),
                query: self.text("query"),
                body: self.text("request_body"),
                // Evidence for whoever holds the key and the body; CONTRACT's event has no place for it.
                body_digest: None,
            },
            response: ResponseRecord {
                status: self
                    .integer("status")
                    .and_then(|status| u16::try_from(status).ok()),
                body: self.text("response_body"),
                upstream_request_id: self.text("upstream_request_id"),
            },
            before: self.json("before"),
            after: self.json("after"),
            changes: self.json("changes").unwrap_or_else(|| Value::Array(vec![])),
            relations: self
                .json("relations")
                .unwrap_or_else(|| Value::Array(vec![])),
            flags: self.json("flags").unwrap_or_else(|| Value::Array(vec![])),
            summary: self.text("summary").unwrap_or_default(),
            hash: self.link.hash.clone(),
        })
    }

    fn cell(&self, name: &str) -> Option<&Cell> {
        let column = COLUMNS.iter().position(|column| *column == name)?;
        self.row.0.get(column)
    }

    fn text(&self, name: &str) -> Option<String> {
        match self.cell(name)? {
            Cell::Text(text) => Some(text.clone()),
            Cell::Integer(number) => Some(number.to_string()),
            Cell::Null => None,
        }
    }

    fn integer(&self, name: &str) -> Option<i64> {
        match self.cell(name)? {
            Cell::Integer(number) => Some(*number),
            Cell::Text(_) | Cell::Null => None,
        }
    }

    // What does not parse was tampered with. It is shown as it is: to say so is `verify`'s part.
    fn json(&self, name: &str) -> Option<Value> {
        let text = self.text(name)?;
        Some(serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }
}
