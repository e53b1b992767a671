//! The end of a connection, after the signal to stop.
//!
//! **Guarantees**: what is under way is answered, and nothing after it is asked on that connection; one that is
//! idle is closed at once; and whoever has connected just before gets an answer to what they have come for. They
//! were taken out of the queue in which they would have waited for the next process, and may not have had the
//! time for a word. Who has been silent for longer has not come for an answer.

use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use hyper_util::server::graceful::GracefulConnection;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::patience::Requests;

/// The time between connecting and the first request of somebody who has one.
const FIRST_WORD: Duration = Duration::from_secs(1);

/// Returns after `stop`, but not before whoever connected at `since` had the time for a first word.
pub(super) async fn silence(stop: &CancellationToken, since: Instant) {
    stop.cancelled().await;
    // On the heap: no connection is larger for it.
    Box::pin(sleep_until(since + FIRST_WORD)).await;
}

/// Serves a connection that somebody made at `since`, until it is over or, some time after `stop`, `cut` off.
pub(super) async fn serve<C: GracefulConnection>(
    mut connection: Pin<&mut C>,
    requests: &Requests,
    stop: &CancellationToken,
    cut: &CancellationToken,
    since: Instant,
) {
    let (mut stopped, mut silent) = (pin!(stop.cancelled()), pin!(silence(stop, since)));
    let mut is_cut = pin!(cut.cancelled());
    let mut is_told = false;
    poll_fn(|cx| {
        loop {
            // A peer that breaks off, or speaks no HTTP, is its own affair.
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            // One question each time, of those whose answer could be another by now: it is asked at every request.
            let has_begun = requests.have_begun();
            if (is_told || !has_begun) && is_cut.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            let is_last = match () {
                () if is_told => Poll::Pending,
                () if has_begun => stopped.as_mut().poll(cx),
                () => silent.as_mut().poll(cx),
            };
            if is_last.is_pending() {
                return Poll::Pending;
            }
            connection.as_mut().graceful_shutdown();
            is_told = true;
        }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;

    use http::{Request, Response};
    use hyper::body::Incoming;
    use hyper::service::service_fn;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use hyper_util::server::conn::auto::Builder;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
    use tokio::task::JoinHandle;
    use tokio::time::advance;

    use super::*;
    use crate::body::Body;

    const ASKED: &[u8] = b"GET / HTTP/1.1\r\nhost: gate\r\n\r\n";

    struct Connected {
        peer: DuplexStream,
        stop: CancellationToken,
        served: JoinHandle<()>,
    }

    fn connected() -> Connected {
        let (peer, stream) = tokio::io::duplex(1024);
        let stop = CancellationToken::new();
        let (told, since) = (stop.clone(), Instant::now());
        let served = tokio::spawn(async move {
            let requests: Arc<Requests> = Arc::default();
            let begun = Arc::clone(&requests);
            let service = service_fn(move |_: Request<Incoming>| {
                drop(begun.begin());
                async { Ok::<_, Infallible>(Response::new(Body::empty())) }
            });
            let builder = Builder::new(TokioExecutor::new());
            let connection = builder.serve_connection(TokioIo::new(stream), service);
            let never = CancellationToken::new();
            serve(pin!(connection), &requests, &told, &never, since).await;
        });
        Connected { peer, stop, served }
    }

    async fn rest(mut peer: DuplexStream) -> String {
        let mut answer = String::new();
        peer.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_just_connected_is_answered_once() {
        let mut gate = connected();
        tokio::task::yield_now().await;
        gate.stop.cancel();
        advance(FIRST_WORD / 2).await;
        gate.peer.write_all(ASKED).await.unwrap();
        // And then it is closed.
        let answer = rest(gate.peer).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        gate.served.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_said_nothing_for_longer_is_left() {
        let gate = connected();
        advance(2 * FIRST_WORD).await;
        let before = Instant::now();
        gate.stop.cancel();
        assert_eq!(rest(gate.peer).await, "");
        gate.served.await.unwrap();
        assert_eq!(Instant::now(), before, "nobody waited");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_between_two_requests_is_closed_at_once() {
        let mut gate = connected();
        gate.peer.write_all(ASKED).await.unwrap();
        let mut head = [0; 12];
        gate.peer.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 200");
        let before = Instant::now();
        gate.stop.cancel();
        rest(gate.peer).await;
        gate.served.await.unwrap();
        assert_eq!(Instant::now(), before, "nobody waited");
    }
}
