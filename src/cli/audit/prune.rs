//! `tollgate audit prune`.

use std::io::Write;
use std::path::Path;

use clap::Args;

use super::operator::operator;
use crate::clock::{Clock, rfc3339};
use crate::domain::moment::Moment;
use crate::domain::own;
use crate::store::sqlite::SqliteStore;

/// What stands below the options.
pub(super) const HELP: &str = "\
Removes the beginning of the trail, up to the first event whose request came at that time or later. An
event of the trail says so, and the rest still verifies. A gateway that runs is not held up. What a
prune that was interrupted has left, the next one removes. `audit.retention` does the same every hour.

Examples:
  tollgate audit prune --before 400d
  tollgate audit prune --before 2026-01-01 --database /var/lib/tollgate/tollgate.db";

#[derive(Args, Debug)]
pub(super) struct PruneArgs {
    /// Remove what came before: so long ago, such as 400d, or a time, such as 2026-01-01
    #[arg(long, value_name = "TIME")]
    before: Moment,
}

pub(super) async fn run(
    args: &PruneArgs,
    database: &Path,
    out: &mut impl Write,
    clock: &Clock,
) -> anyhow::Result<()> {
    let now = clock.now();
    let before = args.before.before(now);
    let said = rfc3339(before);
    let operator = operator(format!("audit prune --before {said}"));
    let (store, _) = SqliteStore::open(database, clock.clone()).await?;
    let pruned = store
        .prune(before, |removal| {
            own::pruned(&operator, removal.rows(), removal.last, &removal.hash, now)
        })
        .await;
    store.close().await;
    let pruned = pruned?;
    if pruned.completed > 0 {
        writeln!(
            out,
            "Removed {} that an earlier prune had left.",
            events(pruned.completed)
        )?;
    }
    match pruned.removed {
        Some(removal) => writeln!(
            out,
            "Removed {} from before {said}; the trail begins at row {} now.",
            events(removal.rows()),
            removal.last + 1
        )?,
        None => writeln!(out, "Nothing in the trail is from before {said}.")?,
    }
    Ok(())
}

fn events(count: i64) -> String {
    match count {
        1 => "1 event".to_owned(),
        count => format!("{count} events"),
    }
}
