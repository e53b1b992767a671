//! The signal that a new binary is there.

use std::io;

use tokio::signal::unix::Signal;
use tokio_util::sync::CancellationToken;

use crate::cli::environment::FileArgs;
use crate::server::{Sockets, Successor, ask_successor};

/// Waits for the signal, stops the gateway, and gives what takes over.
///
/// Not unless the binary that is there now takes the configuration, and listens at the same addresses by it. Else
/// this one goes on as if nothing had been.
pub(super) async fn wait(
    mut signals: Signal,
    file: FileArgs,
    sockets: Sockets,
    stop: CancellationToken,
) -> Successor {
    loop {
        if signals.recv().await.is_none() {
            return std::future::pending().await;
        }
        let (file, sockets) = (file.clone(), sockets.clone());
        let kept = tokio::task::spawn_blocking(move || keep(&file, &sockets)).await;
        match kept.map_err(io::Error::other).flatten() {
            Ok(successor) => {
                tracing::info!("A new binary takes over as soon as what is under way has ended");
                stop.cancel();
                return successor;
            }
            Err(error) => tracing::error!("The new binary does not take over: {error}"),
        }
    }
}

fn keep(file: &FileArgs, sockets: &Sockets) -> io::Result<Successor> {
    ask_successor(&file.check())?;
    // A newer version may take what this one does not.
    let config = file.load().ok();
    sockets.keep(config.as_ref().map(|(config, _)| &config.listen))
}
