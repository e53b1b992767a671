//! `tollgate serve`: the gateway.

use std::io::{self, IsTerminal as _};
use std::path::Path;

use clap::Args as ClapArgs;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::environment::FileArgs;
use crate::app::{self, App, Reload};
use crate::clock::Clock;
use crate::shutdown;
use crate::telemetry::{self, Telemetry};

/// Serve: the proxy, and the admin side beside it.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Without a file and without variables it stands in front of https://api.track.toggl.com on
127.0.0.1:8080 and keeps its trail in ./tollgate.db.

Examples:
  tollgate serve
  tollgate serve --config /etc/tollgate/tollgate.toml
  TOLLGATE_UPSTREAM__URL=http://127.0.0.1:9000 tollgate serve

SIGTERM or Ctrl-C stops it: changes under way finish and are recorded. A second one stops it at once.
SIGHUP has the configuration read anew, with the files that it names: all or nothing. The log says what
changed and what needs a restart.")]
pub struct Args {
    #[command(flatten)]
    file: FileArgs,
}

/// Serves until a signal.
///
/// # Errors
///
/// When it cannot start.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let (config, _) = args.file.load()?;
    let telemetry = telemetry::start(&config.log);
    let stop = shutdown::on_signal()?;
    // From the first moment: who renews a certificate must not end us.
    let hangups = signal(SignalKind::hangup())?;
    let upstream = config.upstream.url.to_string();
    let scheme = config.listen.scheme();
    let database = config.audit.database.path().display().to_string();
    let token_file = app::token_file(&config);
    let app = App::build(config, Clock::system()).await?;
    let (proxy, admin) = (app.proxy_address()?, app.admin_address()?);
    if let Some(token) = app.new_token() {
        tell(token, &token_file, &format!("{scheme}://{admin}"));
    }
    tracing::info!(%proxy, %admin, upstream, database, "Tollgate listens on {proxy}, in front of {upstream}");
    let reload = app.reload();
    tokio::select! {
        () = app.run(stop) => {}
        () = read_anew(hangups, args.file, reload, telemetry) => {}
    }
    tracing::info!("Tollgate has stopped");
    Ok(())
}

// The way to the admin side, once, to whoever sits there. Elsewhere what is written is kept, by a journal or as a
// container's log, and read by others.
fn tell(token: &str, file: &Path, admin: &str) {
    let file = file.display();
    if !io::stdout().is_terminal() {
        tracing::info!("An admin token was made, and is in {file}: {admin}/login takes it");
        return;
    }
    println!("The admin side, with its token, shown once (it is kept in {file}):\n");
    // Behind the `#`: browsers send that to nobody, so it is in no log.
    println!("  {admin}/login#{token}\n");
    println!("  curl -H 'Authorization: Bearer {token}' {admin}/api/events\n");
}

// Has the configuration read anew at each signal, for ever.
async fn read_anew(mut hangups: Signal, file: FileArgs, mut reload: Reload, telemetry: Telemetry) {
    loop {
        if hangups.recv().await.is_none() {
            return std::future::pending().await;
        }
        if let Err(error) = read_once(&file, &mut reload, &telemetry).await {
            tracing::error!(
                "The configuration was not read anew, and all that is set stays as it was: {error:#}"
            );
        }
    }
}

async fn read_once(
    file: &FileArgs,
    reload: &mut Reload,
    telemetry: &Telemetry,
) -> anyhow::Result<()> {
    let file = file.clone();
    let (config, _) = tokio::task::spawn_blocking(move || file.load()).await??;
    reload.take(&config).await?;
    // Last: what was said of it goes by the filter from before.
    telemetry.set(&config.log.filter);
    Ok(())
}
