//! `tollgate serve`: the gateway.

use clap::Args as ClapArgs;

use super::environment::FileArgs;
use crate::app::App;
use crate::clock::Clock;
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

SIGTERM or Ctrl-C stops it: changes under way finish and are recorded. A second one stops it at once.")]
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
    telemetry::start(&config.log);
    let stop = shutdown::on_signal()?;
    let upstream = config.upstream.url.to_string();
    let database = config.audit.database.path().display().to_string();
    let app = App::build(config, Clock::system()).await?;
    let (proxy, admin) = (app.proxy_address()?, app.admin_address()?);
    if let Some(token) = app.new_token() {
        // Standard output, once: the log must never have it.
        println!(
            "The admin side, with its token, shown once (it is kept in tollgate.token beside the key file):\n"
        );
        // Behind the `#`: browsers send that to nobody, so it is in no log.
        println!("  http://{admin}/login#{token}\n");
        println!("  curl -H 'Authorization: Bearer {token}' http://{admin}/api/events\n");
    }
    tracing::info!(%proxy, %admin, upstream, database, "Tollgate listens on {proxy}, in front of {upstream}");
    app.run(stop).await;
    tracing::info!("Tollgate has stopped");
    Ok(())
}
