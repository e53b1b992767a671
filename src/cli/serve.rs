//! `tollgate serve`: the gateway.

mod succession;

use clap::Args as ClapArgs;
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::environment::FileArgs;
use crate::app::App;
use crate::clock::Clock;
use crate::config::Address;
use crate::server::{Certificate, Handed, Successor};
use crate::{shutdown, telemetry};

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
SIGHUP has listen.tls_cert and listen.tls_key read anew; connections that are open go on.
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
    telemetry::start(&config.log);
    let stopped = shutdown::on_signal()?;
    // From the first moment: who renews a certificate, or the binary, must not end us.
    let hangups = signal(SignalKind::hangup())?;
    let takeovers = signal(SignalKind::user_defined2())?;
    let upstream = config.upstream.url.to_string();
    let scheme = config.listen.scheme(&config.listen.admin);
    let database = config.audit.database.path().display().to_string();
    let handed = Handed::from_environment()?;
    let app = App::build_on(config, Clock::system(), handed).await?;
    let (proxy, admin) = (app.proxy_address()?, app.admin_address()?);
    if let Some(token) = app.new_token() {
        // Standard output, once: the log must never have it.
        println!(
            "The admin side, with its token, shown once (it is kept in tollgate.token beside the key file):\n"
        );
        let bearer = format!("-H 'Authorization: Bearer {token}'");
        match &admin {
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
    tracing::info!(%proxy, %admin, upstream, database, "Tollgate listens on {proxy}, in front of {upstream}");
    let certificate = app.certificate();
    let stop = stopped.child_token();
    let successor = succession::wait(takeovers, args.file, app.sockets(), stop.clone());
    let successor = tokio::spawn(successor);
    tell(NotifyState::Ready);
    tokio::select! {
        () = app.run(stop) => {}
        () = reload(hangups, certificate) => {}
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
fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "The service manager cannot be told");
    }
}

async fn tell_stop(stopped: &CancellationToken) {
    stopped.cancelled().await;
    tracing::info!("Told to stop: what is under way ends first");
    tell(NotifyState::Stopping);
    std::future::pending().await
}

// Reads anew what may change while it runs, at each signal, for ever.
async fn reload(mut hangups: Signal, certificate: Option<Certificate>) {
    loop {
        if hangups.recv().await.is_none() {
            return std::future::pending().await;
        }
        let Some(certificate) = certificate.clone() else {
            tracing::info!("Nothing is read anew at SIGHUP: there is no certificate");
            continue;
        };
        match tokio::task::spawn_blocking(move || certificate.reload()).await {
            Ok(Ok(replaced)) if replaced.before == replaced.now => {
                tracing::info!(
                    certificate = replaced.now,
                    "The certificate is the one from before"
                );
            }
            Ok(Ok(replaced)) => tracing::info!(
                certificate = replaced.now,
                before = replaced.before,
                "The certificate was replaced; connections that are open go on with the one from before"
            ),
            Ok(Err(error)) => tracing::error!(
                "The certificate was not replaced, and the one from before stays in use: {error}"
            ),
            Err(error) => tracing::error!(%error, "The certificate could not be read anew"),
        }
    }
}
