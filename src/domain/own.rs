//! Events about the trail itself: what was done to it, and by whom.
//!
//! What happens to the trail is in the trail (DESIGN §4). Such an event has no request that passed the
//! gateway: its method says where it was asked for, its path how.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::action::{Action, Outcome};
use super::endpoint::Touches;
use super::event::{Actor, Draft, Intent, RequestRecord, ResponseRecord, Source, Target};
use super::ids::EventId;

/// Who did something to the trail, and how it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// Their name on this machine; `None` for the gateway itself.
    pub name: Option<String>,
    /// `CLI` for a command, `CONFIG` for what is configured.
    pub by: &'static str,
    /// The command or the key.
    pub asked: String,
}

/// Rows were removed: `rows` of them, the last one `up_to` with this hash.
#[must_use]
pub fn pruned(operator: &Operator, rows: i64, up_to: i64, hash: &str, at: Timestamp) -> Draft {
    let after = json!({ "up_to_seq": up_to, "hash": hash });
    let rows = counted(rows, "event");
    let summary = format!("removed {rows}, up to row {up_to}");
    event(Action::TollgatePrune, operator, after, summary, at)
}

/// A person was taken out of so many rows. Never says who it was.
#[must_use]
pub fn redacted(operator: &Operator, rows: i64, digest: &str, at: Timestamp) -> Draft {
    let after = json!({ "rows": rows, "digest": digest });
    let summary = format!("erased a person from {}", counted(rows, "event"));
    event(Action::TollgateRedact, operator, after, summary, at)
}

fn counted(count: i64, noun: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{s}")
}

fn event(
    action: Action,
    operator: &Operator,
    after: Value,
    summary: String,
    at: Timestamp,
) -> Draft {
    Draft {
        intent: Intent {
            id: EventId::new(),
            occurred_at: at,
            action,
            actor: Actor {
                name: operator.name.clone(),
                tool: Some("tollgate".to_owned()),
                ..Actor::default()
            },
            source: Source::default(),
            target: Target::default(),
            request: RequestRecord {
                method: operator.by.to_owned(),
                path: operator.asked.clone(),
                ..RequestRecord::default()
            },
            touches: Touches::Nothing,
            flags: vec![],
        },
        completed_at: at,
        duration_ms: 0,
        outcome: Outcome::Applied,
        response: ResponseRecord::default(),
        before: None,
        after: Some(after),
        changes: vec![],
        relations: vec![],
        summary,
    }
}
