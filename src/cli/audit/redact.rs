//! `tollgate audit redact`.

use std::io::{self, BufRead as _, IsTerminal as _, Write};
use std::path::Path;

use anyhow::bail;
use clap::Args;

use super::operator::operator;
use crate::clock::Clock;
use crate::domain::ids::UserId;
use crate::domain::own;
use crate::store::sqlite::{Reader, SqliteStore};

/// What stands below the options.
pub(super) const HELP: &str = "\
Takes a person's number, names, addresses and credentials' hashes out of every event that names them,
and out of all else that is kept. What was done stays readable, and the chain still verifies and says
how many events were redacted. It cannot be undone.

It may run beside a gateway. The file is written anew at the end, and changes wait as long as that
takes, some seconds a gigabyte: longer than five seconds, they are answered 503. What the person does
afterwards is recorded as ever. Backups and checkpoints elsewhere, exports and logs are not touched.

Examples:
  tollgate audit redact --user 7000005
  tollgate audit redact --user 7000005 --yes --database /var/lib/tollgate/tollgate.db";

#[derive(Args, Debug)]
pub(super) struct RedactArgs {
    /// The person's number upstream
    #[arg(long, value_name = "ID")]
    user: UserId,

    /// Do not ask
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(
    args: &RedactArgs,
    reader: &Reader,
    database: &Path,
    out: &mut impl Write,
    clock: &Clock,
) -> anyhow::Result<()> {
    let user = args.user;
    let can_ask = io::stdin().is_terminal() && io::stderr().is_terminal();
    if !args.yes && !can_ask {
        bail!("erasing a person cannot be undone: say --yes to do it without being asked");
    }
    let mentions = reader.mentions(user).await?;
    if !args.yes {
        let mut stderr = io::stderr();
        writeln!(
            stderr,
            "{} of {} name user {user}. They will be erased from there and from what is known of\n\
             people and groups; this cannot be undone, and changes wait while the file is written anew.",
            events(mentions.rows()),
            database.display()
        )?;
        write!(stderr, "Type the number {user} to go on: ")?;
        stderr.flush()?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        if answer.trim() != user.to_string() {
            bail!("nothing was erased");
        }
    }
    // Never with the number: the event stays.
    let operator = operator("audit redact".to_owned());
    let (store, _) = SqliteStore::open(database, clock.clone()).await?;
    // A pool that read an older state would keep the write-ahead log from being emptied.
    reader.close().await;
    let redacted = store
        .redact(mentions, |rows, digest| {
            let rows = i64::try_from(rows).unwrap_or(i64::MAX);
            own::redacted(&operator, rows, &digest, clock.now())
        })
        .await;
    store.close().await;
    let redacted = redacted?;
    writeln!(
        out,
        "Erased from {}; row {} of the trail says so.",
        events(redacted.rows),
        redacted.event
    )?;
    if !redacted.emptied {
        bail!(
            "the events are redacted, but older contents may still lie in {0}-wal, because another process \
             reads the database: stop it, then run `tollgate audit prune --before 36500d`, which empties it",
            database.display()
        );
    }
    Ok(())
}

fn events(count: usize) -> String {
    match count {
        1 => "1 event".to_owned(),
        count => format!("{count} events"),
    }
}
