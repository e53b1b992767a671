//! The signal that a new binary is there.

use std::ffi::OsString;

use tokio::signal::unix::Signal;
use tokio_util::sync::CancellationToken;

use crate::server::{Sockets, Successor, ask_successor};

/// Waits for the signal, stops the gateway, and gives what takes over.
///
/// Not unless the binary that is there now takes the configuration: `check` are the words by which it is asked.
/// Else this one goes on as if nothing had been.
pub(super) async fn wait(
    mut signals: Signal,
    check: Vec<OsString>,
    sockets: Sockets,
    stop: CancellationToken,
) -> Successor {
    loop {
        if signals.recv().await.is_none() {
            return std::future::pending().await;
        }
        let words = check.clone();
        let asked = tokio::task::spawn_blocking(move || ask_successor(&words)).await;
        let kept = match asked.map_err(std::io::Error::other) {
            Ok(Ok(())) => sockets.keep(),
            Ok(Err(error)) | Err(error) => Err(error),
        };
        match kept {
            Ok(successor) => {
                tracing::info!("A new binary takes over as soon as what is under way has ended");
                stop.cancel();
                return successor;
            }
            Err(error) => tracing::error!("The new binary does not take over: {error}"),
        }
    }
}
