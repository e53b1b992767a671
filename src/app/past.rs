//! What a start takes over from the trail, so that a restart breaks no promise.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::domain::action::{Action, Outcome};
use crate::layers::audit::{RECENT, Recent};
use crate::store::filter::Filter;
use crate::store::sqlite::SqliteStore;

/// As many events as a start looks back over.
const MOST_RECENT: u32 = 1000;

/// Whether a change that ended without an outcome may still be applied: the grace outlives a restart.
pub(super) async fn is_doubtful(
    store: &SqliteStore,
    now: Timestamp,
    grace: Duration,
) -> anyhow::Result<bool> {
    // What was never sent upstream changed nothing there, however it ended.
    let sent = Action::ALL.into_iter().filter(|action| !action.is_own());
    let unknown = Filter {
        actions: sent.map(|action| action.to_string()).collect(),
        outcome: Some(Outcome::Unknown.to_string()),
        ..Filter::default()
    };
    let page = store.reader().events(&unknown, None, 1).await?;
    let last = page
        .events
        .first()
        .and_then(|event| event.completed_at.parse::<Timestamp>().ok());
    let grace = SignedDuration::try_from(grace).unwrap_or(SignedDuration::MAX);
    Ok(last.is_some_and(|at| now.duration_since(at) < grace))
}

/// What was changed just before a restart has to do with what comes just after it.
pub(super) async fn recent(store: &SqliteStore, now: Timestamp) -> anyhow::Result<Recent> {
    let of_late = Filter {
        since: now.checked_sub(RECENT).ok(),
        ..Filter::default()
    };
    let mut page = store.reader().events(&of_late, None, MOST_RECENT).await?;
    page.events.reverse();
    Ok(Recent::of(&page.events))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::Source;
    use crate::domain::own::{self, Operator};
    use crate::metrics::Metrics;
    use crate::store::Trail as _;
    use crate::store::suite::{at, clock, intent};

    #[tokio::test]
    async fn an_export_that_a_crash_ended_leaves_nothing_in_doubt_upstream() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.db");
        let operator = Operator {
            name: Some("root".into()),
            source: Source::default(),
            by: "GET",
            asked: "/api/events/export".into(),
        };
        let crashed = async |intents: Vec<_>| {
            let (store, _) = SqliteStore::open(&path, clock()).await.unwrap();
            for intent in intents {
                store.intend(intent).await.unwrap();
            }
            store.close().await;
            let (store, recovered) = SqliteStore::open(&path, clock()).await.unwrap();
            let grace = Duration::from_secs(60);
            let doubtful = is_doubtful(&store, at(3_600), grace).await.unwrap();
            store.close().await;
            let metrics = Metrics::new();
            for action in recovered.changes {
                metrics.event(action, Outcome::Unknown);
            }
            let counted = metrics.text();
            let unknown = |line: &&str| line.starts_with("tollgate_audit_unknown_outcomes_total ");
            let counted = counted.lines().find(unknown).unwrap().to_owned();
            (doubtful, counted.rsplit(' ').next().unwrap().to_owned())
        };
        let export = || own::exporting(&operator, None, at(20));
        assert_eq!(crashed(vec![export()]).await, (false, "0".to_owned()));
        let both = vec![intent(10), export()];
        assert_eq!(crashed(both).await, (true, "1".to_owned()));
    }
}
