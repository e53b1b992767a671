//! Events about the trail itself: what was done to it, and by whom.
//!
//! What happens to the trail is in the trail (DESIGN §4). Such an event has no request that passed the
//! gateway: its method says where it was asked for, its path how.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::action::{Action, Outcome};
use super::endpoint::Touches;
use super::event::{Actor, Draft, Intent, RequestRecord, ResponseRecord, Source, Target};
use super::ids::{EventId, OrganizationId};

/// Who did something to the trail, and how it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// Their name on this machine, or that of their token; `None` for the gateway itself.
    pub name: Option<String>,
    /// From where, if over the network.
    pub source: Source,
    /// `CLI` for a command, `CONFIG` for what is configured, `SIGNAL` for a signal, `GET` and its like for the admin side.
    pub by: &'static str,
    /// The command, the key, or the path.
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

/// Rows are about to be streamed out, of one organization or of all.
#[must_use]
pub fn exporting(
    operator: &Operator,
    organization: Option<OrganizationId>,
    at: Timestamp,
) -> Intent {
    let mut intent = intent(Action::TollgateExport, operator, at);
    intent.target.organization_id = organization;
    intent
}

/// So many rows were streamed out, or up to so many where it `failed`: how many of them somebody has got is
/// not known on this side of a pipe.
#[must_use]
pub fn exported(intent: Intent, rows: u64, failed: Option<&str>, now: Timestamp) -> Draft {
    let rows = counted(i64::try_from(rows).unwrap_or(i64::MAX), "event");
    let (outcome, summary) = match failed {
        None => (Outcome::Applied, format!("exported {rows}")),
        Some(why) => (
            Outcome::Partial,
            format!("exported up to {rows}, then failed: {why}"),
        ),
    };
    done(intent, outcome, None, summary, now)
}

/// Somebody logged in to the admin side.
#[must_use]
pub fn logged_in(operator: &Operator, at: Timestamp) -> Draft {
    let intent = intent(Action::TollgateLogin, operator, at);
    done(intent, Outcome::Applied, None, "logged in".to_owned(), at)
}

/// Somebody tried to log in to the admin side, with what is no token.
#[must_use]
pub fn login_refused(operator: &Operator, at: Timestamp) -> Draft {
    let intent = intent(Action::TollgateLogin, operator, at);
    let summary = "tried to log in with a wrong token".to_owned();
    done(intent, Outcome::Rejected, None, summary, at)
}

/// Cached lists were dropped, of one organization or of all.
#[must_use]
pub fn purged(operator: &Operator, organization: Option<OrganizationId>, at: Timestamp) -> Draft {
    let mut intent = intent(Action::TollgatePurge, operator, at);
    intent.target.organization_id = organization;
    let summary = match organization {
        Some(id) => format!("dropped the cached lists of organization {id}"),
        None => "dropped all cached lists".to_owned(),
    };
    done(intent, Outcome::Applied, None, summary, at)
}

/// The configuration was read anew: `what` has changed, as `summary` says.
#[must_use]
pub fn reloaded(operator: &Operator, what: Value, summary: String, at: Timestamp) -> Draft {
    event(Action::TollgateReload, operator, what, summary, at)
}

fn event(
    action: Action,
    operator: &Operator,
    after: Value,
    summary: String,
    at: Timestamp,
) -> Draft {
    let intent = intent(action, operator, at);
    done(intent, Outcome::Applied, Some(after), summary, at)
}

fn intent(action: Action, operator: &Operator, at: Timestamp) -> Intent {
    // A command is one text, a path may have a query.
    let asked = operator.asked.as_str();
    let (path, query) = match asked.split_once('?').filter(|_| asked.starts_with('/')) {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (asked, None),
    };
    Intent {
        id: EventId::new(),
        occurred_at: at,
        action,
        actor: Actor {
            name: operator.name.clone(),
            tool: Some("tollgate".to_owned()),
            ..Actor::default()
        },
        source: operator.source.clone(),
        target: Target::default(),
        request: RequestRecord {
            method: operator.by.to_owned(),
            path: path.to_owned(),
            query,
            ..RequestRecord::default()
        },
        touches: Touches::Nothing,
        flags: vec![],
    }
}

fn done(
    intent: Intent,
    outcome: Outcome,
    after: Option<Value>,
    summary: String,
    now: Timestamp,
) -> Draft {
    Draft {
        duration_ms: (now.as_millisecond() - intent.occurred_at.as_millisecond()).max(0),
        completed_at: now,
        outcome,
        response: ResponseRecord::default(),
        before: None,
        after,
        changes: vec![],
        relations: vec![],
        summary,
        intent,
    }
}
