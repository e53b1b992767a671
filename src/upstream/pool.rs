//! The connections to upstream, and for how long they are used again.
//!
//! **Guarantee**: what is asked goes where upstream's name leads, or led a few minutes ago. Each new connection
//! looks the name up; and a connection that is busy all the time, or keeps to an address that upstream has left,
//! is not used for ever: all of them are left behind after a while, and at once when one shows that nobody is
//! there any more. What is under way on them goes on to its end.

use std::error::Error;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::client::legacy::{Builder, Client};
use tokio::time::Instant;

use super::connect::Connector;
use crate::body::Body;
use crate::live::Live;

/// See the [module](self). Cloning shares it.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    builder: Builder,
    connector: Connector,
    current: Live<Connections>,
}

/// Those that were made between two renewals.
#[derive(Debug)]
pub(super) struct Connections {
    pub(super) client: Client<Connector, Body>,
    since: Instant,
}

/// The library's pool bounds how long a connection is idle, and not how old it gets.
const AGE: Duration = Duration::from_secs(300);

// === impl Pool ===

impl Pool {
    pub(super) fn new(builder: Builder, connector: Connector) -> Self {
        let current = Connections::none(&builder, &connector).into();
        Self {
            builder,
            connector,
            current,
        }
    }

    /// Those to send a request by.
    pub(super) fn current(&self) -> Arc<Connections> {
        let current = self.current.hold();
        if current.since.elapsed() < AGE {
            return current;
        }
        self.leave(&current);
        self.current.hold()
    }

    /// A request by `used` has failed. If that was because nobody is there, then nobody is at the other ends of
    /// those beside it.
    pub(super) fn failed(&self, used: &Arc<Connections>, error: &(dyn Error + 'static)) {
        if is_dead(error) {
            self.leave(used);
        }
    }

    // Of many who find it out one after the other, the first.
    fn leave(&self, used: &Arc<Connections>) {
        if Arc::ptr_eq(&self.current.read(), used) {
            let fresh = Connections::none(&self.builder, &self.connector);
            self.current.replace(fresh);
        }
    }
}

// === impl Connections ===

impl Connections {
    fn none(builder: &Builder, connector: &Connector) -> Self {
        Self {
            client: builder.build(connector.clone()),
            since: Instant::now(),
        }
    }
}

// What was sent was not even taken, or a router on the way says that there is no way. What went wrong with the
// body that was to be sent says nothing of upstream.
fn is_dead(error: &(dyn Error + 'static)) -> bool {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    let is_ours = |cause: &(dyn Error + 'static)| {
        let cause = cause.downcast_ref::<hyper::Error>();
        cause.is_some_and(hyper::Error::is_user)
    };
    if causes.clone().any(is_ours) {
        return false;
    }
    let mut causes = causes.filter_map(|cause| cause.downcast_ref::<std::io::Error>());
    causes.any(|cause| {
        matches!(
            cause.kind(),
            ErrorKind::TimedOut | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable
        )
    })
}

#[cfg(test)]
mod tests {
    use http::Request;
    use hyper_util::rt::TokioExecutor;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::upstream::connect::{connector, in_time};

    /// Asks once, of a server that says by which of its connections it was asked.
    async fn asked(pool: &Pool, url: &str) -> String {
        let request = Request::get(url).body(Body::empty()).unwrap();
        let answer = pool.current().client.request(request).await.unwrap();
        answer.headers()["connection-number"]
            .to_str()
            .unwrap()
            .to_owned()
    }

    async fn server() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move {
            for number in 1.. {
                let (mut stream, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let answer =
                        format!("HTTP/1.1 204 No Content\r\nConnection-Number: {number}\r\n\r\n");
                    let mut head = [0; 1024];
                    while stream.read(&mut head).await.is_ok_and(|read| read > 0) {
                        stream.write_all(answer.as_bytes()).await.unwrap();
                    }
                });
            }
        });
        url
    }

    fn pool() -> Pool {
        let seconds = Duration::from_secs(5);
        let connector = in_time(connector(seconds, seconds, None).unwrap(), seconds);
        Pool::new(Client::builder(TokioExecutor::new()), connector)
    }

    #[tokio::test]
    async fn a_connection_is_used_again_and_not_for_ever() {
        let (pool, url) = (pool(), server().await);
        assert_eq!(asked(&pool, &url).await, "1");
        assert_eq!(asked(&pool, &url).await, "1");
        tokio::time::pause();
        tokio::time::advance(AGE).await;
        tokio::time::resume();
        assert_eq!(asked(&pool, &url).await, "2");
        assert_eq!(asked(&pool, &url).await, "2");
    }

    #[tokio::test]
    async fn whose_body_does_not_come_leaves_nothing_behind() {
        let (pool, url) = (pool(), server().await);
        assert_eq!(asked(&pool, &url).await, "1");
        let used = pool.current();
        let stalled = std::io::Error::from(ErrorKind::TimedOut);
        let body = http_body_util::StreamBody::new(futures_util::stream::iter([Err::<
            http_body::Frame<bytes::Bytes>,
            _,
        >(stalled)]));
        let request = Request::post(&url).body(Body::boxed(body)).unwrap();
        let error = used.client.request(request).await.unwrap_err();
        pool.failed(&used, &error);
        assert!(Arc::ptr_eq(&used, &pool.current()), "{error:?}");
    }

    #[tokio::test]
    async fn who_finds_nobody_there_leaves_all_connections_behind_once() {
        let pool = pool();
        let of = |kind: ErrorKind| std::io::Error::from(kind);
        let used = pool.current();
        pool.failed(&used, &of(ErrorKind::ConnectionReset));
        assert!(Arc::ptr_eq(&used, &pool.current()), "somebody hung up");
        pool.failed(&used, &of(ErrorKind::TimedOut));
        let fresh = pool.current();
        assert!(!Arc::ptr_eq(&used, &fresh));
        pool.failed(&used, &of(ErrorKind::TimedOut));
        assert!(Arc::ptr_eq(&fresh, &pool.current()), "known already");
    }
}
