//! HTTP/1.1 and HTTP/2 on one port, told apart by what comes first.
//!
//! **Guarantee** (DESIGN §1.8): a head has at most [`HEAD`] bytes, to the byte; one more is answered `431`. With
//! HTTP/2 its size is as RFC 9113 §6.5.2 has it: names and values, and 32 for each field.

use std::convert::Infallible;
use std::error::Error;
use std::pin::pin;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::drain;
use super::patience::{Patience, Requests};

/// How both are spoken.
#[derive(Clone, Debug)]
pub(super) struct Protocols {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
}

/// All of a request's head: more than any client sends, and little enough to be kept for each connection.
pub(super) const HEAD: u32 = 64 << 10;

// === impl Protocols ===

impl Protocols {
    pub(super) fn new() -> Self {
        let mut http1 = http1::Builder::new();
        http1
            // In place of hyper's own timer.
            .header_read_timeout(None)
            .max_header_size(HEAD as usize)
            .max_buf_size(HEAD as usize);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(256)
            // The library refuses what is as large as this.
            .max_header_list_size(HEAD + 1)
            .keep_alive_interval(Some(Duration::from_secs(30)))
            .keep_alive_timeout(Duration::from_secs(20));
        Self { http1, http2 }
    }

    /// Serves a connection that somebody made at `since`, until it is over; after `stop` as `drain` says, until
    /// it is `cut` off.
    pub(super) async fn serve<I, S, B>(
        &self,
        mut stream: Patience<I>,
        service: S,
        requests: &Requests,
        stop: &CancellationToken,
        cut: &CancellationToken,
        since: Instant,
    ) where
        I: AsyncRead + AsyncWrite + Unpin + 'static,
        S: Service<
                Request<Incoming>,
                Response = Response<B>,
                Error = Infallible,
                Future: Send + 'static,
            >,
        B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        let first = tokio::select! {
            first = stream.is_http2() => first,
            // On the heap: no connection is larger for it.
            () = Box::pin(drain::silence(stop, since)) => return,
            () = cut.cancelled() => return,
        };
        // Whoever breaks off before anything is said has said nothing.
        let Ok(is_http2) = first else { return };
        let stream = TokioIo::new(stream);
        if is_http2 {
            let connection = pin!(self.http2.serve_connection(stream, service));
            drain::serve(connection, requests, stop, cut, since).await;
        } else {
            let connection = pin!(self.http1.serve_connection(stream, service));
            drain::serve(connection, requests, stop, cut, since).await;
        }
    }
}
