//! What the audit trail records: an intent before a change is sent, an event when its outcome is known.
//!
//! These are the facts; how they are laid out in columns, hashed and stored is [`row`](super::row)'s
//! and the store's.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::action::{Action, Outcome};
use super::diff::Change;
use super::endpoint::Touches;
use super::ids::{
    EventId, GroupId, OrganizationId, ProjectGroupId, ProjectId, UserId, WorkspaceId,
};

/// What a recorded change was like in a way that a filter may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flag {
    /// The group's state before the change was not known.
    BeforeUnknown,
    /// The state after is what the request asked for; upstream's answer did not show it.
    AfterAssumed,
    /// The request's body was over `audit.max_body_size` and not kept.
    BodyTooLarge,
    /// The answer's body was cut off or over `audit.max_body_size` and not kept.
    AnswerIncomplete,
    /// The request's body could not be read for sure; its text is kept.
    BodyUnread,
    /// A header named another method than the request's own; it is the one that counts and is recorded.
    MethodOverride,
    /// It was not sent, because the list that its `If-Match` names has changed since.
    ChangedSince,
    /// The caller had hung up before the answer was there.
    CallerLeft,
    /// The gateway stopped between the intent and the outcome; the row was written at the next start.
    Recovered,
    /// The store could not take the intent, and `audit.on_failure` is `forward`.
    IntentMissing,
}

/// Another event that an event has to do with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relation {
    /// In which way.
    pub kind: RelationKind,
    /// The other event.
    pub id: EventId,
}

/// In which way an event has to do with another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RelationKind {
    /// It tells what became of the other one, whose outcome nobody had told.
    Settles,
    /// It takes the other one back.
    Reverts,
    /// It undoes, knowingly or not, what somebody else did a little earlier.
    Overwrote,
    /// It is the same request once more.
    Retries,
}

/// Who asked for a change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Actor {
    /// The keyed hash of the credential, in hexadecimal; the one part that is always known.
    pub credential_id: Option<String>,
    /// The person's number upstream.
    pub user_id: Option<UserId>,
    /// The person's address.
    pub email: Option<String>,
    /// The person's name.
    pub name: Option<String>,
    /// The label of the tool's base URL.
    pub tool: Option<String>,
    /// Whom a trusted tool said it acts for.
    pub on_behalf_of: Option<String>,
}

impl Actor {
    /// The best that is known of who it was, for people.
    #[must_use]
    pub fn best_name(&self) -> Option<String> {
        let short = |id: &String| id.chars().take(12).collect();
        self.name
            .clone()
            .or_else(|| self.email.clone())
            .or_else(|| self.user_id.map(|id| format!("user {id}")))
            .or_else(|| self.tool.clone())
            .or_else(|| self.credential_id.as_ref().map(short))
    }
}

/// From where a change was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Source {
    /// The caller's address.
    pub ip: Option<String>,
    /// The caller's `User-Agent`.
    pub user_agent: Option<String>,
    /// The request's id, as in the log and on the answer.
    pub request_id: Option<String>,
}

/// What a change touches, as far as the request says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Target {
    /// The organization.
    pub organization_id: Option<OrganizationId>,
    /// The workspace.
    pub workspace_id: Option<WorkspaceId>,
    /// The group, where it is exactly one.
    pub group_id: Option<GroupId>,
    /// What that group is called.
    pub group_name: Option<String>,
    /// The project.
    pub project_id: Option<ProjectId>,
    /// The row between a group and a project.
    pub project_group_id: Option<ProjectGroupId>,
}

/// The request, without anything secret: codes in `path` and `query` are keyed hashes already.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RequestRecord {
    /// The method as it came.
    pub method: String,
    /// The path.
    pub path: String,
    /// The query, without its question mark.
    pub query: Option<String>,
    /// The body, for the endpoints whose bodies are known to hold no secret.
    pub body: Option<String>,
    /// The body's size and keyed hash: `BYTES:HEX`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_digest: Option<String>,
}

/// Upstream's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResponseRecord {
    /// Its status.
    pub status: Option<u16>,
    /// Its body, for the endpoints whose bodies are known to hold no secret.
    pub body: Option<String>,
    /// Upstream's own id of the request.
    pub upstream_request_id: Option<String>,
}

/// A change about to be sent. On disk before it is, so that nothing can be sent without a trace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// The event's id, already.
    pub id: EventId,
    /// When the request was received.
    pub occurred_at: Timestamp,
    /// What kind of change.
    pub action: Action,
    /// Who asks for it.
    pub actor: Actor,
    /// From where.
    pub source: Source,
    /// What it touches.
    pub target: Target,
    /// The request.
    pub request: RequestRecord,
    /// Whose lists it may change: closed until the outcome is known, also over a restart.
    pub touches: Touches,
    /// What is known of it already.
    pub flags: Vec<Flag>,
}

/// An event about to be recorded: an intent and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// The change as it was sent. Its target, actor and flags may be known better by now.
    pub intent: Intent,
    /// When the outcome was known.
    pub completed_at: Timestamp,
    /// Milliseconds from the request to the outcome.
    pub duration_ms: i64,
    /// How it ended.
    pub outcome: Outcome,
    /// What upstream said.
    pub response: ResponseRecord,
    /// The group before, as JSON.
    pub before: Option<Value>,
    /// The group after, as JSON.
    pub after: Option<Value>,
    /// The difference.
    pub changes: Vec<Change>,
    /// Other events that it has to do with.
    pub relations: Vec<Relation>,
    /// The event as a sentence.
    pub summary: String,
}

/// A recorded event, as `audit show` and the API give it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Event {
    /// Its place in the trail, without gaps.
    pub seq: i64,
    /// Its id.
    pub id: EventId,
    /// When the request was received, RFC 3339 UTC with milliseconds.
    pub occurred_at: String,
    /// When the outcome was known.
    pub completed_at: String,
    /// Milliseconds between the two.
    pub duration_ms: i64,
    /// What kind of change; text, because later versions know more kinds.
    pub action: String,
    /// How it ended.
    pub outcome: String,
    /// Who. The name may have become known after the event was written.
    pub actor: Actor,
    /// From where.
    pub source: Source,
    /// What it touched.
    pub target: Target,
    /// The request.
    pub request: RequestRecord,
    /// The answer.
    pub response: ResponseRecord,
    /// The group before.
    pub before: Option<Value>,
    /// The group after.
    pub after: Option<Value>,
    /// The difference.
    pub changes: Value,
    /// Other events that this one has to do with.
    pub relations: Value,
    /// What it was like.
    pub flags: Value,
    /// The event as a sentence.
    pub summary: String,
    /// The chain's link.
    pub hash: String,
}
