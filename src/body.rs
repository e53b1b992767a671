//! The one body type of the proxy's side.
//!
//! A body passes through frame by frame, trailers included, and nobody reads ahead of whoever takes
//! it, so backpressure reaches from one peer to the other. What must last as long as the body does
//! (a slot in the limits, the measuring of the request) hangs on it and is released when it has ended
//! or is dropped.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::{fmt, io};

use bytes::{Bytes, BytesMut};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use tokio::time::{Duration, Instant, Sleep, sleep, timeout_at};

use crate::slots::Slot;

/// What went wrong below, for those who only pass it on.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// See the [module](self).
pub struct Body {
    kind: Kind,
    sent: u64,
    pauses: Option<Pauses>,
    slot: Option<Slot>,
    on_end: Option<Box<dyn OnEnd>>,
}

type Polled = Poll<Option<Result<Frame<Bytes>, BoxError>>>;

enum Kind {
    Full(Option<Bytes>),
    Incoming(Incoming),
    Boxed(UnsyncBoxBody<Bytes, BoxError>),
}

/// How long a body may make its reader wait at a time.
struct Pauses {
    longest: Duration,
    /// When this one is too long. Only what has to be waited for has a timer.
    over: Option<Pin<Box<Sleep>>>,
}

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Bytes of data that passed.
    pub bytes: u64,
    /// Whether it came to its end, rather than being cut off or dropped.
    pub complete: bool,
}

/// Who is told how a body ended.
pub trait OnEnd: Send {
    /// It ended so.
    fn ended(self: Box<Self>, end: End);
}

impl<F: FnOnce(End) + Send> OnEnd for F {
    fn ended(self: Box<Self>, end: End) {
        self(end);
    }
}

/// A body that was read into memory up to a limit.
#[derive(Debug)]
pub enum Collected {
    /// It fits.
    Whole(Bytes),
    /// It does not: what was read, and the whole of it once more, as a stream.
    Over(Body),
}

// === impl Body ===

impl Body {
    /// No body.
    #[must_use]
    pub fn empty() -> Self {
        Self::of(Kind::Full(None))
    }

    /// All of these bytes, without a copy.
    #[must_use]
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::of(Kind::Full((!bytes.is_empty()).then_some(bytes)))
    }

    /// Any other body.
    pub fn boxed<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self::of(Kind::Boxed(body.map_err(Into::into).boxed_unsync()))
    }

    fn of(kind: Kind) -> Self {
        Self {
            kind,
            sent: 0,
            pauses: None,
            slot: None,
            on_end: None,
        }
    }

    /// Cuts the body off where nothing of it comes for longer than `longest`.
    pub fn bound_pauses(&mut self, longest: Duration) {
        self.pauses = Some(Pauses {
            longest,
            over: None,
        });
    }

    /// Keeps a slot of the limits taken until this body has ended.
    pub fn hold(&mut self, slot: Slot) {
        self.slot = Some(slot);
    }

    /// Tells `on_end` once, when this body has ended or is dropped.
    pub fn tell_end(&mut self, on_end: Box<dyn OnEnd>) {
        self.on_end = Some(on_end);
    }

    /// Whether all of it is here already, so that nothing but its reader can cut it off.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        matches!(self.kind, Kind::Full(_))
    }

    /// Reads the body into memory if it has at most `limit` bytes. Trailers of a whole body are
    /// dropped: who reads it whole passes on a whole body.
    ///
    /// # Errors
    ///
    /// When the peer cut it off.
    pub async fn collect_up_to(mut self, limit: usize) -> Result<Collected, BoxError> {
        if let Kind::Full(bytes) = &mut self.kind
            && bytes.as_ref().is_none_or(|bytes| bytes.len() <= limit)
        {
            return Ok(Collected::Whole(bytes.take().unwrap_or_default()));
        }
        let mut read = BytesMut::new();
        while let Some(frame) = self.frame().await {
            let Ok(data) = frame?.into_data() else {
                continue;
            };
            read.extend_from_slice(&data);
            if read.len() > limit {
                let whole = Prefixed {
                    prefix: Some(read.freeze()),
                    last: None,
                    rest: Some(self),
                };
                return Ok(Collected::Over(Self::boxed(whole)));
            }
        }
        Ok(Collected::Whole(read.freeze()))
    }

    /// Reads at most `limit` bytes of the body ahead, and for no longer than `patience`. Gives all of its
    /// data, if that came, and the body as it comes without it: trailers, and where it is cut off, too.
    pub async fn read_ahead(mut self, limit: usize, patience: Duration) -> (Option<Bytes>, Self) {
        let until = Instant::now() + patience;
        let mut read = BytesMut::new();
        let (is_whole, last, rest) = loop {
            match timeout_at(until, self.frame()).await {
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => read.extend_from_slice(&data),
                    Err(trailers) => break (true, Some(Ok(trailers)), Some(self)),
                },
                Ok(Some(Err(error))) => break (false, Some(Err(error)), None),
                Ok(None) => break (true, None, None),
                Err(_) => break (false, None, Some(self)),
            }
            if read.len() > limit {
                break (false, None, Some(self));
            }
        };
        let read = read.freeze();
        let whole = is_whole.then(|| read.clone());
        if last.is_none() && rest.is_none() {
            return (whole, Self::full(read));
        }
        let prefix = (!read.is_empty()).then_some(read);
        (whole, Self::boxed(Prefixed { prefix, last, rest }))
    }

    fn end(&mut self, complete: bool) {
        self.slot = None;
        if let Some(on_end) = self.on_end.take() {
            on_end.ended(End {
                bytes: self.sent,
                complete,
            });
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let this = &mut *self;
        let polled = match &mut this.kind {
            Kind::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Incoming(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Kind::Boxed(body) => Pin::new(body).poll_frame(cx),
        };
        let polled = match &mut this.pauses {
            Some(pauses) => pauses.watched(cx, polled),
            None => polled,
        };
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                this.sent += frame.data_ref().map_or(0, |data| data.len() as u64);
            }
            Poll::Ready(Some(Err(_))) => this.end(false),
            Poll::Ready(None) => this.end(true),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Full(bytes) => bytes.is_none(),
            Kind::Incoming(body) => body.is_end_stream(),
            Kind::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Kind::Incoming(body) => body.size_hint(),
            Kind::Boxed(body) => body.size_hint(),
        }
    }
}

// === impl Pauses ===

impl Pauses {
    // What came, or an error where nothing has for too long.
    fn watched(&mut self, cx: &mut Context<'_>, polled: Polled) -> Polled {
        if polled.is_ready() {
            self.over = None;
            return polled;
        }
        let begins = || Box::pin(sleep(self.longest));
        let over = self.over.get_or_insert_with(begins);
        let too_late = || io::Error::new(io::ErrorKind::TimedOut, "nothing more came in time");
        over.as_mut()
            .poll(cx)
            .map(|()| Some(Err(too_late().into())))
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        // A server does not poll a body that says it has ended, so this may well be a complete one.
        let complete = self.is_end_stream();
        self.end(complete);
    }
}

impl From<Incoming> for Body {
    fn from(body: Incoming) -> Self {
        Self::of(Kind::Incoming(body))
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Full(_) => "full",
            Kind::Incoming(_) => "incoming",
            Kind::Boxed(_) => "boxed",
        };
        write!(f, "Body({kind}, {} bytes sent)", self.sent)
    }
}

/// What was read of a body, and behind it what was not.
struct Prefixed {
    prefix: Option<Bytes>,
    /// The trailers, or how it was cut off, if that was read too.
    last: Option<Result<Frame<Bytes>, BoxError>>,
    rest: Option<Body>,
}

impl http_body::Body for Prefixed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let prefix = self.prefix.take().map(|prefix| Ok(Frame::data(prefix)));
        if let Some(read) = prefix.or_else(|| self.last.take()) {
            return Poll::Ready(Some(read));
        }
        match &mut self.rest {
            Some(rest) => Pin::new(rest).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        let is_over = self.rest.as_ref().is_none_or(|rest| rest.is_end_stream());
        self.prefix.is_none() && self.last.is_none() && is_over
    }

    fn size_hint(&self) -> SizeHint {
        let read = self.prefix.as_ref().map_or(0, |prefix| prefix.len() as u64);
        // Of what was cut off nobody knows how long it was.
        let rest = self.rest.as_ref().map(Body::size_hint).unwrap_or_default();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + read);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + read);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use futures_util::StreamExt as _;
    use http_body_util::StreamBody;

    use super::*;

    fn chunks(chunks: &'static [&'static str]) -> Body {
        let frames = chunks
            .iter()
            .map(|chunk| Ok::<_, BoxError>(Frame::data(Bytes::from_static(chunk.as_bytes()))));
        Body::boxed(StreamBody::new(futures_util::stream::iter(frames)))
    }

    async fn whole(body: Body) -> Bytes {
        body.collect().await.unwrap().to_bytes()
    }

    #[tokio::test]
    async fn a_body_over_the_limit_still_comes_whole() {
        let Collected::Over(body) = chunks(&["abc", "def", "ghi"])
            .collect_up_to(4)
            .await
            .unwrap()
        else {
            panic!("over the limit");
        };
        assert_eq!(whole(body).await, "abcdefghi");
        let Collected::Whole(bytes) = chunks(&["ab", "cd"]).collect_up_to(4).await.unwrap() else {
            panic!("just fits");
        };
        assert_eq!(bytes, "abcd");
        assert!(matches!(
            Body::full("abcde").collect_up_to(4).await,
            Ok(Collected::Over(_))
        ));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_pauses_for_too_long_is_cut_off_and_each_pause_counts_by_itself() {
        let second = Duration::from_secs(1);
        let paused = |seconds: &'static [u64]| {
            let frames = futures_util::stream::iter(seconds).then(|seconds| async move {
                sleep(Duration::from_secs(*seconds)).await;
                Ok::<_, BoxError>(Frame::data(Bytes::from_static(b"x")))
            });
            let mut body = Body::boxed(StreamBody::new(Box::pin(frames)));
            body.bound_pauses(3 * second);
            body.collect()
        };
        assert_eq!(paused(&[2, 0, 2, 2]).await.unwrap().to_bytes(), "xxxx");
        let began = Instant::now();
        let error = paused(&[2, 4]).await.unwrap_err();
        assert_eq!(error.to_string(), "nothing more came in time");
        assert_eq!(began.elapsed(), 5 * second);
    }

    #[tokio::test]
    async fn the_end_is_told_once_with_what_passed() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let teller = || {
            let told = Arc::clone(&told);
            Box::new(move |end| told.lock().unwrap().push(end))
        };
        let watched = |mut body: Body| {
            body.tell_end(teller());
            body
        };
        whole(watched(chunks(&["abc", "de"]))).await;
        drop(watched(chunks(&["abc"])));
        drop(watched(Body::empty()));
        let complete = |bytes| End {
            bytes,
            complete: true,
        };
        let cut = End {
            bytes: 0,
            complete: false,
        };
        assert_eq!(*told.lock().unwrap(), [complete(5), cut, complete(0)]);
    }
}
