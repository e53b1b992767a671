//! Events as a company's trail has them.

use serde_json::json;
use tollgate::domain::action::{Action, Outcome};
use tollgate::domain::diff::{diff, sentence};
use tollgate::domain::endpoint::Touches;
use tollgate::domain::event::{
    Actor, Draft, Intent, RequestRecord, ResponseRecord, Source, Target,
};
use tollgate::domain::group::Group;
use tollgate::domain::ids::{EventId, GroupId, OrganizationId, UserId, WorkspaceId};

/// A time entry that a tool wrote: no bodies, no before and after. Most of a company's trail is this.
pub(crate) fn time_entry(n: i64, at: jiff::Timestamp) -> Draft {
    let path = "/api/v9/workspaces/3000001/time_entries";
    Draft {
        intent: Intent {
            id: EventId::new(),
            occurred_at: at,
            action: Action::ApiWrite,
            actor: Actor {
                credential_id: Some(format!("{:064x}", n % 50)),
                user_id: Some(UserId(7_000_000 + n % 400)),
                email: Some(format!("member{}@acme.example", n % 400)),
                name: Some(format!("Member Number {}", n % 400)),
                tool: Some("slack-bot".into()),
                on_behalf_of: None,
            },
            source: Source {
                ip: Some("192.0.2.7".into()),
                user_agent: Some("slack-bot/2.4 (linux; x86_64)".into()),
                request_id: Some(EventId::new().to_string()),
            },
            target: Target {
                organization_id: Some(OrganizationId(9_000_001)),
                workspace_id: Some(WorkspaceId(3_000_001)),
                ..Target::default()
            },
            request: RequestRecord {
                method: "POST".into(),
                path: path.into(),
                query: None,
                body: None,
                body_digest: Some(format!("183:{n:064x}")),
            },
            touches: Touches::Nothing,
            flags: vec![],
        },
        completed_at: at,
        duration_ms: 84,
        outcome: Outcome::Applied,
        response: ResponseRecord {
            status: Some(200),
            body: None,
            upstream_request_id: Some(format!("{n:032x}")),
        },
        before: None,
        after: None,
        summary: format!("POST {path}"),
        changes: vec![],
        relations: vec![],
    }
}

/// Somebody gets a place in a group of ten.
pub(crate) fn group_change(n: i64, at: jiff::Timestamp) -> Draft {
    let (before, after) = (group(n), group(n + 1));
    let changes = diff(Some(&before), Some(&after));
    let path = "/api/v9/organizations/9000001/groups/4100007";
    let mut draft = time_entry(n, at);
    draft.intent.action = Action::GroupPatch;
    draft.intent.target.workspace_id = None;
    draft.intent.target.group_id = Some(GroupId(4_100_007));
    draft.intent.target.group_name = Some(before.name.clone());
    draft.intent.request.method = "PATCH".into();
    draft.intent.request.path = path.into();
    draft.intent.request.body =
        Some(json!([{"op": "add", "path": "/users", "value": [n + 10]}]).to_string());
    draft.response.body = Some(after.to_json().to_string());
    draft.before = Some(before.to_json());
    draft.after = Some(after.to_json());
    draft.summary = sentence(Some(&before.name), &changes);
    draft.changes = changes;
    draft
}

/// A group of ten, of whom the first is `first`.
pub(crate) fn group(first: i64) -> Group {
    let member = |n: i64| {
        let name = format!("Member Number {n}");
        json!({"user_id": n, "name": name, "avatar_url": "", "inactive": false, "joined": true})
    };
    let members: Vec<_> = (first..first + 10).map(member).collect();
    let value = json!({"group_id": 4_100_007, "name": "Design", "users": members,
        "workspaces": [3_000_001], "permissions": null, "at": "2026-11-01T09:00:00Z"});
    Group::read(&value).expect("a group")
}
