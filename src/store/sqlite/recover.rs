//! Makes events of the intents that a crash left behind.
//!
//! **Guarantee** (DESIGN §1.5): a change whose outcome nobody saw has a row too, `unknown` and flagged
//! `recovered`. What it touches is handed to the gateway, which starts with that closed: upstream may
//! have applied it, and may still.

use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;

use super::{drift, write};
use crate::clock::Clock;
use crate::domain::action::{Action, Outcome};
use crate::domain::endpoint::Touches;
use crate::domain::event::{Draft, Flag, Intent, ResponseRecord};
use crate::store::StoreError;

/// What a start found left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Whose lists the changes may have changed, one of each kind.
    pub touches: Vec<Touches>,
    /// What kinds of changes there were, in the order in which their requests came.
    pub changes: Vec<Action>,
}

/// Turns all intents into events, in the order in which their requests came, in one transaction.
pub(super) async fn recover(
    connection: &mut SqliteConnection,
    clock: &Clock,
) -> Result<Recovered, StoreError> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let left: Vec<(String, String)> =
        sqlx::query_as("SELECT id, intent FROM audit_intents ORDER BY occurred_at, id")
            .fetch_all(&mut *transaction)
            .await?;
    let mut recovered = Recovered::default();
    let (mut head, mut done) = (None, Vec::new());
    for (id, json) in left {
        let intent: Intent = serde_json::from_str(&json)
            .map_err(|error| StoreError::Corrupt(format!("the intent {id}: {error}")))?;
        if !recovered.touches.contains(&intent.touches) {
            recovered.touches.push(intent.touches);
        }
        recovered.changes.push(intent.action);
        let draft = unknown(intent, clock);
        write::append(&mut transaction, &mut head, &draft).await?;
        drift::conclude(&mut transaction, &draft, &[]).await?;
        done.push(draft.intent.id);
    }
    write::remove_intents(&mut transaction, &done).await?;
    transaction.commit().await?;
    Ok(recovered)
}

fn unknown(mut intent: Intent, clock: &Clock) -> Draft {
    let now = clock.now();
    let duration_ms = now.as_millisecond() - intent.occurred_at.as_millisecond();
    let summary = summary(&intent);
    intent.flags.push(Flag::Recovered);
    Draft {
        intent,
        completed_at: now,
        duration_ms: duration_ms.max(0), // the machine's clock may have been set back
        outcome: Outcome::Unknown,
        response: ResponseRecord::default(),
        before: None,
        after: None,
        changes: Vec::new(),
        relations: Vec::new(),
        summary,
    }
}

// `outcome unknown: update of group 7 "Design": the gateway stopped before the answer came`
fn summary(intent: &Intent) -> String {
    let target = &intent.target;
    let numbered = |noun: &str, id: Option<String>| match id {
        Some(id) => format!("{noun} {id}"),
        None => format!("a {noun}"),
    };
    let group = || {
        let group = numbered("group", target.group_id.map(|id| id.to_string()));
        match &target.group_name {
            // JSON's quoting escapes control characters.
            Some(name) => format!("{group} {}", serde_json::Value::from(name.as_str())),
            None => group,
        }
    };
    let project = || numbered("project", target.project_id.map(|id| id.to_string()));
    let what = match intent.action {
        Action::GroupCreate => match &target.group_name {
            Some(_) => format!("creation of {}", group()),
            None => "creation of a group".to_owned(),
        },
        Action::GroupUpdate => format!("update of {}", group()),
        Action::GroupPatch => format!("patch of {}", group()),
        Action::GroupDelete => format!("deletion of {}", group()),
        Action::ProjectGroupAdd => format!("access of {} to {}", group(), project()),
        Action::ProjectGroupRemove => {
            let row = target.project_group_id.map(|id| id.to_string());
            format!("removal of {}", numbered("project group", row))
        }
        _ => format!(
            "{} {}",
            intent.request.method.escape_debug(),
            intent.request.path.escape_debug()
        ),
    };
    format!("outcome unknown: {what}: the gateway stopped before the answer was there")
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::domain::action::Action;
    use crate::domain::event::Target;
    use crate::domain::ids::GroupId;
    use crate::store::suite::intent;

    fn said(action: Action, group_id: Option<i64>, name: Option<&str>) -> String {
        let mut intent = intent(1);
        intent.action = action;
        intent.target = Target {
            group_id: group_id.map(GroupId),
            group_name: name.map(str::to_owned),
            ..Target::default()
        };
        summary(&intent)
    }

    #[test]
    fn what_was_under_way_reads_like_a_sentence() {
        assert_snapshot!(
            said(Action::GroupUpdate, Some(7), None),
            @"outcome unknown: update of group 7: the gateway stopped before the answer was there"
        );
        assert_snapshot!(
            said(Action::GroupCreate, None, Some("De\nsign")),
            @r#"outcome unknown: creation of a group "De\nsign": the gateway stopped before the answer was there"#
        );
        assert_snapshot!(
            said(Action::MembershipChange, None, None),
            @"outcome unknown: PUT /api/v9/organizations/1/groups/7: the gateway stopped before the answer was there"
        );
    }
}
