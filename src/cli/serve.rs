//! `tollgate serve`: the gateway.

mod succession;

use std::io::{self, IsTerminal as _};
use std::path::Path;

use clap::Args as ClapArgs;
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::environment::FileArgs;
use crate::app::{self, App, Reload};
use crate::clock::Clock;
use crate::config::Address;
use crate::server::{Handed, Successor};
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
changed and what needs a restart.
SIGUSR2 has the binary that is installed now take over: no connection is refused meanwhile, those that
come wait until what is under way has ended.

Sockets that systemd opened (LISTEN_FDS) are used in place of binding listen.proxy and listen.admin.")]
pub struct Args {
    #[command(flatten)]
    file: FileArgs,
}

/// Serves until a signal. Gives what is to take over, if that was the signal.
///
/// # Errors
///
/// When it cannot start.
pub async fn run(args: Args) -> anyhow::Result<Option<Successor>> {
    let (config, _) = args.file.load()?;
    let telemetry = telemetry::start(&config.log);
    let stopped = shutdown::on_signal()?;
    // From the first moment: who renews a certificate, or the binary, must not end us.
    let hangups = signal(SignalKind::hangup())?;
    let takeovers = signal(SignalKind::user_defined2())?;
    let upstream = config.upstream.url.to_string();
    let scheme = config.listen.scheme(&config.listen.admin);
    let database = config.audit.database.path().display().to_string();
    let token_file = app::token_file(&config);
    let handed = Handed::from_environment()?;
    let app = App::build_on(config, Clock::system(), handed).await?;
    let (proxy, admin) = (app.proxy_address()?, app.admin_address()?);
    if let Some(token) = app.new_token() {
        show(token, &token_file, scheme, &admin);
    }
    tracing::info!(%proxy, %admin, upstream, database, "Tollgate listens on {proxy}, in front of {upstream}");
    let reload = app.reload();
    let stop = stopped.child_token();
    let successor = succession::wait(takeovers, args.file.clone(), app.sockets(), stop.clone());
    let successor = tokio::spawn(successor);
    tell(&[NotifyState::Ready]);
    tokio::select! {
        () = app.run(stop) => {}
        () = read_anew(hangups, args.file, reload, telemetry) => {}
        () = tell_stop(&stopped) => {}
    }
    if stopped.is_cancelled() {
        tracing::info!("Tollgate has stopped");
        return Ok(None);
    }
    // Nobody else has stopped it.
    Ok(Some(successor.await?))
}

// To whoever watches over this process, if they said where they listen.
fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "The service manager cannot be told");
    }
}

// With the time, by which a `Type=notify-reload` knows that it is the reload that it has asked for.
fn tell_reload() {
    let now = NotifyState::monotonic_usec_now().ok();
    let states: Vec<_> = std::iter::once(NotifyState::Reloading).chain(now).collect();
    tell(&states);
}

async fn tell_stop(stopped: &CancellationToken) {
    stopped.cancelled().await;
    tracing::info!("Told to stop: what is under way ends first");
    tell(&[NotifyState::Stopping]);
    std::future::pending().await
}

// The way to the admin side, once, to whoever sits there. Elsewhere what is written is kept, by a journal or as a
// container's log, and read by others.
fn show(token: &str, file: &Path, scheme: &str, admin: &Address) {
    let file = file.display();
    if !io::stdout().is_terminal() {
        tracing::info!(
            "An admin token was made, and is in {file}: the admin side, at {admin}, takes it"
        );
        return;
    }
    println!("The admin side, with its token, shown once (it is kept in {file}):\n");
    let bearer = format!("-H 'Authorization: Bearer {token}'");
    match admin {
        Address::Tcp(_) => {
            // Behind the `#`: browsers send that to nobody, so it is in no log.
            println!("  {scheme}://{admin}/login#{token}\n");
            println!("  curl {bearer} {scheme}://{admin}/api/events\n");
        }
        // Which no browser opens by itself.
        Address::Unix(path) => {
            let path = path.display();
            println!("  curl --unix-socket {path} {bearer} http://localhost/api/events\n");
        }
    }
}

// Has the configuration read anew at each signal, for ever.
async fn read_anew(mut hangups: Signal, file: FileArgs, mut reload: Reload, telemetry: Telemetry) {
    loop {
        if hangups.recv().await.is_none() {
            return std::future::pending().await;
        }
        tell_reload();
        if let Err(error) = read_once(&file, &mut reload, &telemetry).await {
            tracing::error!(
                "The configuration was not read anew, and all that is set stays as it was: {error:#}"
            );
        }
        // Whatever came of it: it serves, as before or by what was read.
        tell(&[NotifyState::Ready]);
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
