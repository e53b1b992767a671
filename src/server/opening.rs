//! Gives a connection a time for its first bytes.
//!
//! **Guarantee** (DESIGN §1.8): whoever connects and does not say within the time which protocol they
//! speak is cut off. The time that hyper gives for a head begins only when it knows the protocol, and
//! to know it hyper would wait without end for as much as looks like HTTP/2's preface.

use std::future::Future as _;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// What a client begins with that speaks HTTP/2 (RFC 9113 §3.4); no HTTP/1 request does.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Opening<S> {
    stream: S,
    /// How much of the preface has come.
    matched: usize,
    /// `None` as soon as it is known what is spoken.
    deadline: Option<Pin<Box<Sleep>>>,
}

// === impl Opening ===

impl<S> Opening<S> {
    pub(super) fn new(stream: S, time: Duration) -> Self {
        Self {
            stream,
            matched: 0,
            deadline: Some(Box::pin(sleep(time))),
        }
    }

    fn came(&mut self, bytes: &[u8]) {
        let rest = &PREFACE[self.matched..];
        if !bytes.is_empty() && bytes.len() < rest.len() && rest.starts_with(bytes) {
            self.matched += bytes.len();
        } else {
            self.deadline = None;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Opening<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buffer);
        let Some(deadline) = &mut this.deadline else {
            return polled;
        };
        match polled {
            Poll::Ready(Ok(())) => this.came(&buffer.filled()[before..]),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                if deadline.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Opening<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::time::advance;
    use tokio_test::io::Builder;

    use super::*;

    const TIME: Duration = Duration::from_secs(10);

    /// Whether it is cut off after the time when nothing follows these pieces.
    async fn is_cut_off(pieces: &[&[u8]]) -> bool {
        let mut builder = Builder::new();
        for piece in pieces {
            builder.read(piece);
        }
        // Nothing more for as long as anybody waits.
        builder.wait(100 * TIME);
        let mut opening = Opening::new(builder.build(), TIME);
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        let mut read = vec![0; length];
        opening.read_exact(&mut read).await.unwrap();
        let mut more = tokio_test::task::spawn(opening.read_u8());
        assert!(more.poll().is_pending());
        advance(TIME).await;
        matches!(more.poll(), Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::TimedOut)
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_or_only_a_part_of_the_preface_is_cut_off() {
        assert!(is_cut_off(&[]).await);
        assert!(is_cut_off(&[b"P"]).await);
        assert!(is_cut_off(&[b"PRI * HT", b"TP/2.0\r\n\r\nSM\r\n"]).await);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_said_what_they_speak_is_not() {
        assert!(
            !is_cut_off(&[b"G"]).await,
            "hyper gives a time for the rest"
        );
        assert!(!is_cut_off(&[b"P", b"UT"]).await);
        assert!(!is_cut_off(&[b"PRI * HT", b"TP/2.0\r\n\r\nSM\r\n\r\n"]).await);
        assert!(!is_cut_off(&[PREFACE]).await);
    }
}
