//! How long a peer is waited for.
//!
//! **Guarantees** (DESIGN §1.8). Whoever connects, or begins a request, has a time for all of its head, also
//! to say which protocol it speaks; whoever is being answered takes something of it within a time; and a
//! connection on which nothing is asked is closed after another. While an answer is made nothing runs out.
//! With HTTP/2, where a head is a few frames of a bounded length and pings tell who is still there, the time
//! for a head ends with the preface.
//!
//! hyper has a time for heads of its own, and sets a timer for each. Here a connection has one timer, which is
//! set again where it goes off too early: to a request that comes at once it costs nothing.

use std::future::Future as _;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::framing::Head;

/// What a client begins with that speaks HTTP/2 (RFC 9113 §3.4); no HTTP/1 request does.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The times.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// From the first byte of a head, or from the connection, to the last.
    pub(super) head: Duration,
    /// Between two requests of a connection.
    pub(super) idle: Duration,
    /// The longest pause in taking an answer.
    pub(super) stall: Duration,
}

/// The requests of a connection: how many heads came, how many of them are answered to the end, and the next one.
#[derive(Debug, Default)]
pub(super) struct Requests {
    begun: AtomicU64,
    ended: AtomicU64,
    pub(super) head: Head,
}

/// A request between its head and the end of its answer.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<Requests>);

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Patience<S> {
    stream: S,
    requests: Arc<Requests>,
    times: Times,
    timer: Pin<Box<Sleep>>,
    /// What is waited for, as of the last look at `requests`.
    awaited: Awaited,
    /// How many had begun then.
    begun: u64,
    /// How much of the preface has come; `None` as soon as it is known that it will not.
    preface: Option<usize>,
    /// What came while that was not known, for whoever reads next.
    ahead: Bytes,
    /// Since when nothing of an answer was taken.
    stalled: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
enum Awaited {
    /// The rest of a head, of which something came then; `None`: just now, and nobody has waited since.
    Head(Option<Instant>),
    /// A request, since then.
    Request(Instant),
    /// Frames, from whoever has said that they speak HTTP/2.
    Frames,
}

// === impl Requests ===

impl Requests {
    /// A head has come.
    pub(super) fn begin(self: &Arc<Self>) -> UnderWay {
        self.begun.fetch_add(1, Ordering::Relaxed);
        UnderWay(Arc::clone(self))
    }

    /// Whether one has ever come.
    pub(super) fn have_begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed) > 0
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

// === impl Patience ===

impl<S> Patience<S> {
    pub(super) fn new(stream: S, requests: Arc<Requests>, times: Times) -> Self {
        Self {
            stream,
            requests,
            times,
            timer: Box::pin(sleep(times.head)),
            awaited: Awaited::Head(Some(Instant::now())),
            begun: 0,
            preface: Some(0),
            ahead: Bytes::new(),
            stalled: None,
        }
    }

    fn came(&mut self, bytes: &[u8]) {
        if let Awaited::Request(_) = self.awaited
            && !bytes.is_empty()
        {
            self.awaited = Awaited::Head(None);
        }
        let Some(matched) = self.preface else { return };
        let rest = &PREFACE[matched..];
        self.preface = match () {
            () if bytes.starts_with(rest) => {
                self.awaited = Awaited::Frames;
                None
            }
            () if rest.starts_with(bytes) => Some(matched + bytes.len()),
            () => None,
        };
    }

    // Whether a request is under way. After the last of them, the next one is waited for.
    fn look(&mut self) -> bool {
        let begun = self.requests.begun.load(Ordering::Relaxed);
        let is_under_way = begun != self.requests.ended.load(Ordering::Relaxed);
        if !is_under_way && begun != self.begun {
            self.begun = begun;
            if let Awaited::Head(_) = self.awaited {
                self.awaited = Awaited::Request(Instant::now());
            }
        }
        is_under_way
    }

    // Until when what the peer says next may come; `None`: for ever.
    fn limit(&mut self) -> Option<Instant> {
        if self.look() {
            return None;
        }
        match &mut self.awaited {
            // Most heads come as a whole, and no clock is looked at for them.
            Awaited::Head(since) => Some(*since.get_or_insert_with(Instant::now) + self.times.head),
            Awaited::Request(since) => Some(*since + self.times.idle),
            Awaited::Frames => None,
        }
    }

    // Ready when `limit` is over.
    fn poll_over(&mut self, cx: &mut Context<'_>, limit: Instant) -> Poll<io::Error> {
        if self.timer.deadline() > limit {
            self.timer.as_mut().reset(limit);
        }
        loop {
            ready!(self.timer.as_mut().poll(cx));
            if Instant::now() >= limit {
                return Poll::Ready(io::ErrorKind::TimedOut.into());
            }
            self.timer.as_mut().reset(limit);
        }
    }

    // What became of an attempt to write, and an error where none has succeeded for too long.
    fn watched<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.stalled = None;
            return polled;
        }
        let since = *self.stalled.get_or_insert_with(Instant::now);
        let limit = since + self.times.stall;
        self.poll_over(cx, limit).map(Err)
    }
}

impl<S: AsyncRead + Unpin> Patience<S> {
    /// Whether the peer speaks HTTP/2. To be asked before anything is read, and nothing is lost by it.
    pub(super) async fn is_http2(&mut self) -> io::Result<bool> {
        let mut first = BytesMut::with_capacity(PREFACE.len());
        while self.preface.is_some() {
            let rest = PREFACE.len() - first.len();
            if self.read_buf(&mut (&mut first).limit(rest)).await? == 0 {
                break;
            }
        }
        self.ahead = first.freeze();
        Ok(matches!(self.awaited, Awaited::Frames))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patience<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.ahead.is_empty() {
            let room = this.ahead.len().min(buffer.remaining());
            buffer.put_slice(&this.ahead.split_to(room));
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buffer);
        match polled {
            Poll::Ready(Ok(())) => {
                let is_under_way = this.look();
                let bytes = &buffer.filled()[before..];
                this.came(bytes);
                if !is_under_way && !matches!(this.awaited, Awaited::Frames) {
                    this.requests.head.hear(bytes);
                }
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                if let Some(limit) = this.limit() {
                    return this.poll_over(cx, limit).map(Err);
                }
            }
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patience<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.watched(cx, polled)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write_vectored(cx, bytes);
        this.watched(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_flush(cx);
        this.watched(cx, polled)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // With TLS there is something to say at the end.
        let polled = Pin::new(&mut this.stream).poll_shutdown(cx);
        this.watched(cx, polled)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::advance;
    use tokio_test::io::Builder;

    use super::*;

    const TIMES: Times = Times {
        head: Duration::from_secs(10),
        idle: Duration::from_secs(60),
        stall: Duration::from_secs(30),
    };

    const SOON: Duration = Duration::from_millis(1);

    fn is_over<T>(polled: Poll<io::Result<T>>) -> bool {
        matches!(polled, Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::TimedOut)
    }

    /// Whether it is cut off after the time for a head, and not before, when nothing follows these pieces.
    async fn is_cut_off(pieces: &[&[u8]]) -> bool {
        let mut builder = Builder::new();
        for piece in pieces {
            builder.read(piece);
        }
        // Nothing more for as long as anybody waits.
        builder.wait(100 * TIMES.head);
        let mut patience = Patience::new(builder.build(), Arc::default(), TIMES);
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        let mut read = vec![0; length];
        patience.read_exact(&mut read).await.unwrap();
        let mut more = tokio_test::task::spawn(patience.read_u8());
        assert!(more.poll().is_pending());
        advance(TIMES.head - SOON).await;
        assert!(more.poll().is_pending());
        advance(SOON).await;
        is_over(more.poll())
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_or_only_a_part_of_a_head_is_cut_off() {
        assert!(is_cut_off(&[]).await);
        assert!(is_cut_off(&[b"P"]).await);
        assert!(is_cut_off(&[b"P", b"UT / HTTP/1.1\r\n"]).await);
        assert!(is_cut_off(&[b"PRI * HT", b"TP/2.0\r\n\r\nSM\r\n"]).await);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_said_that_they_speak_http_2_is_not() {
        assert!(!is_cut_off(&[b"PRI * HT", b"TP/2.0\r\n\r\nSM\r\n\r\n"]).await);
        assert!(!is_cut_off(&[PREFACE]).await);
        assert!(!is_cut_off(&[&[PREFACE, b"frames"].concat()]).await);
    }

    /// Whether it is taken for HTTP/2 when it comes in these pieces; all of it can be read afterwards.
    async fn speaks_http2(pieces: &[&[u8]]) -> bool {
        let mut builder = Builder::new();
        for piece in pieces {
            builder.read(piece);
        }
        let mut patience = Patience::new(builder.build(), Arc::default(), TIMES);
        let is_http2 = patience.is_http2().await.unwrap();
        let mut all = Vec::new();
        patience.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, pieces.concat());
        is_http2
    }

    #[tokio::test]
    async fn http2_is_told_by_its_preface_and_nothing_that_came_is_lost() {
        assert!(speaks_http2(&[PREFACE]).await);
        assert!(speaks_http2(&[&[PREFACE, b"frames"].concat()]).await);
        assert!(speaks_http2(&[b"PRI * HT", b"TP/2.0\r\n\r\nSM\r\n\r\nframes"]).await);
        assert!(!speaks_http2(&[b"GET / HTTP/1.1\r\n\r\n"]).await);
        assert!(!speaks_http2(&[b"P", b"UT / HTTP/1.1\r\nhost: gate\r\n\r\n"]).await);
        assert!(!speaks_http2(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r."]).await);
        assert!(!speaks_http2(&[b"PRI"]).await);
        assert!(!speaks_http2(&[]).await);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_may_take_its_time_and_then_the_next_request_has_its_own() {
        let (stream, mut peer) = tokio::io::duplex(64);
        let requests = Arc::default();
        let mut patience = Patience::new(stream, Arc::clone(&requests), TIMES);
        peer.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let mut head = [0; 18];
        patience.read_exact(&mut head).await.unwrap();
        let under_way = requests.begin();
        let mut more = tokio_test::task::spawn(patience.read_u8());
        assert!(more.poll().is_pending());
        advance(Duration::from_secs(3600)).await;
        assert!(more.poll().is_pending(), "it is being answered");
        drop(under_way);
        assert!(more.poll().is_pending());
        advance(TIMES.idle - SOON).await;
        assert!(more.poll().is_pending(), "nothing is asked");
        peer.write_all(b"G").await.unwrap();
        assert!(matches!(more.poll(), Poll::Ready(Ok(b'G'))));
        drop(more);
        let mut more = tokio_test::task::spawn(patience.read_u8());
        assert!(more.poll().is_pending());
        advance(TIMES.head - SOON).await;
        assert!(more.poll().is_pending());
        advance(SOON).await;
        assert!(is_over(more.poll()), "a head has its own time");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_on_which_nothing_is_asked_is_closed() {
        let stream = Builder::new().wait(Duration::from_secs(3600)).build();
        let requests: Arc<Requests> = Arc::default();
        let mut patience = Patience::new(stream, Arc::clone(&requests), TIMES);
        drop(requests.begin());
        let mut more = tokio_test::task::spawn(patience.read_u8());
        assert!(more.poll().is_pending());
        advance(TIMES.idle - SOON).await;
        assert!(more.poll().is_pending());
        advance(SOON).await;
        assert!(is_over(more.poll()));
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_of_an_answer_is_cut_off_and_who_takes_a_little_is_not() {
        let (stream, mut peer) = tokio::io::duplex(4);
        let requests: Arc<Requests> = Arc::default();
        let mut patience = Patience::new(stream, Arc::clone(&requests), TIMES);
        let _under_way = requests.begin();
        let mut written = tokio_test::task::spawn(patience.write_all(b"a long answer"));
        for _ in 0..2 {
            assert!(written.poll().is_pending());
            advance(TIMES.stall - SOON).await;
            assert!(written.poll().is_pending());
            peer.read_u8().await.unwrap();
        }
        assert!(written.poll().is_pending());
        advance(TIMES.stall).await;
        assert!(is_over(written.poll()));
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_take_the_last_word_is_cut_off() {
        let (stream, _peer) = tokio::io::duplex(4);
        // Like TLS, it has something left to write when it is to end.
        let stream = tokio::io::BufWriter::new(stream);
        let mut patience = Patience::new(stream, Arc::default(), TIMES);
        patience.write_all(b"the last word").await.unwrap();
        let mut ended = tokio_test::task::spawn(patience.shutdown());
        assert!(ended.poll().is_pending());
        advance(TIMES.stall).await;
        assert!(is_over(ended.poll()));
    }
}
