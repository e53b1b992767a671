//! The body of an answer: whole, or broken off in the middle.
//!
//! **Guarantee**: a broken one has a head with the length of the whole, sends the first half, and
//! then the connection closes. Between half and break the body yields once, because hyper writes out
//! what it has when a body is not ready, and drops what it has when a body fails.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http::header::{CONTENT_LENGTH, HeaderValue};
use http_body::{Body, Frame, SizeHint};

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Payload {
    data: Option<Bytes>,
    end: End,
}

#[derive(Debug)]
enum End {
    Good,
    Yield,
    Break,
}

// === impl Payload ===

impl Payload {
    /// The answer with all of its body.
    pub(super) fn whole(response: Response<Bytes>) -> Response<Self> {
        response.map(|data| Self {
            data: Some(data).filter(|data| !data.is_empty()),
            end: End::Good,
        })
    }

    /// The answer with half of its body.
    pub(super) fn half(mut response: Response<Bytes>) -> Response<Self> {
        let length = response.body().len();
        response
            .headers_mut()
            .insert(CONTENT_LENGTH, HeaderValue::from(length));
        response.map(|data| Self {
            data: Some(data.slice(..length / 2)),
            end: End::Yield,
        })
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(data) = self.data.take() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        match self.end {
            End::Good => Poll::Ready(None),
            End::Yield => {
                self.end = End::Break;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            End::Break => Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && matches!(self.end, End::Good)
    }

    fn size_hint(&self) -> SizeHint {
        match self.end {
            End::Good => SizeHint::with_exact(self.data.as_ref().map_or(0, Bytes::len) as u64),
            End::Yield | End::Break => SizeHint::default(),
        }
    }
}
