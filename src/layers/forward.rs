//! Makes the request one that upstream can take from us, and its answer one that our caller can.
//!
//! **Guarantee** (DESIGN §1.1): method, path, query, body and headers stay as they came, but for the
//! headers that speak of one connection (a request's ended at `classify`), those that say who stands
//! between (`Host`, `Via`, `X-Forwarded-*`), and, on the way back, those that speak for upstream's own host: `Alt-Svc`
//! would lead callers past us, `Strict-Transport-Security` would bind our host's name.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::future::{self, Either, Ready};
use http::header::{
    ALT_SVC, CONTENT_LENGTH, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue,
    STRICT_TRANSPORT_SECURITY, TRANSFER_ENCODING, VIA,
};
use http::uri::{Authority, Scheme};
use http::{Request, Uri, Version};
use http_body::Body as _;
use pin_project_lite::pin_project;
use smallvec::SmallVec;
use tower::{Layer, Service};

use super::spare::Spare;
use super::{Answer, Call, hop_by_hop};
use crate::body::Body;
use crate::error::ProxyError;
use crate::repeatable::Repeatable;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Where requests go: scheme and host of `upstream.url`.
#[derive(Clone, Debug)]
pub struct Destination {
    /// `http` or `https`.
    pub scheme: Scheme,
    /// Host, and port if it is not the scheme's own.
    pub authority: Authority,
}

/// Makes [`Forward`].
#[derive(Clone, Debug)]
pub struct ForwardLayer {
    to: Destination,
    /// Its name, where it is told by a header. With TLS that is settled only when the connection is there: HTTP/2 has
    /// it in `:authority`, for HTTP/1.1 the client writes it, which takes a while.
    host: Option<HeaderValue>,
    proto: HeaderValue,
}

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Forward<S> {
    layer: Arc<ForwardLayer>,
    inner: S,
}

// === impl ForwardLayer ===

impl ForwardLayer {
    /// `proto` is how callers reach us, `http` or `https`.
    #[must_use]
    pub fn new(to: Destination, proto: &'static str) -> Self {
        let host = match to.authority.port_u16() {
            None | Some(80) => to.authority.host(),
            Some(_) => to.authority.as_str(),
        };
        let host = HeaderValue::from_str(host).ok();
        Self {
            host: host.filter(|_| to.scheme == Scheme::HTTP),
            to,
            proto: HeaderValue::from_static(proto),
        }
    }

    fn rewrite(self: &Arc<Self>, mut call: Call) -> Result<Request<Body>, ProxyError> {
        let spare = call.request.extensions_mut().remove::<Spare>();
        let spare = spare.or_else(|| Spare::of(&call, || None));
        let mut request = call.request;
        if let Some(spare) = spare {
            let layer = Arc::clone(self);
            let again = move || {
                spare.tell();
                layer.rewrite(spare.call()).ok()
            };
            request.extensions_mut().insert(Repeatable::new(again));
        }
        let via = via(request.version());
        let headers = request.headers_mut();
        let received = match &self.host {
            Some(host) => headers.insert(HOST, host.clone()),
            None => headers.remove(HOST),
        };
        let host = received.or_else(|| {
            let authority = request.uri().authority()?;
            HeaderValue::from_str(authority.as_str()).ok()
        });
        let mut uri = http::uri::Parts::default();
        uri.scheme = Some(self.to.scheme.clone());
        uri.authority = Some(self.to.authority.clone());
        uri.path_and_query = request.uri().path_and_query().cloned();
        *request.uri_mut() = Uri::from_parts(uri).map_err(|error| {
            ProxyError::BadRequest(format!("the path cannot be forwarded: {error}"))
        })?;
        // What this hop speaks is settled with upstream (ALPN), whatever the caller spoke.
        *request.version_mut() = Version::HTTP_11;

        // The client sends no body of an unknown length with a method that seldom has one, unless it is told to.
        let body = request.body();
        let is_chunked = !body.is_end_stream() && body.size_hint().exact().is_none();
        let headers = request.headers_mut();
        if is_chunked {
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        join_cookies(headers);
        headers.append(VIA, via);
        if let Some(peer) = address(call.origin.peer) {
            headers.append(FORWARDED_FOR, peer);
        }
        // The first proxy of a chain knows best what the caller asked for.
        headers
            .entry(FORWARDED_PROTO)
            .or_insert_with(|| self.proto.clone());
        if let Some(host) = host {
            headers.entry(FORWARDED_HOST).or_insert(host);
        }
        Ok(request)
    }
}

impl<S> Layer<S> for ForwardLayer {
    type Service = Forward<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Forward {
            layer: Arc::new(self.clone()),
            inner,
        }
    }
}

// === impl Forward ===

impl<S> Service<Call> for Forward<S>
where
    S: Service<Request<Body>, Response = Answer, Error = ProxyError>,
{
    type Response = Answer;
    type Error = ProxyError;
    type Future = Either<Returning<S::Future>, Ready<Result<Answer, ProxyError>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        match self.layer.rewrite(call) {
            Ok(request) => Either::Left(Returning {
                answer: self.inner.call(request),
            }),
            Err(error) => Either::Right(future::ready(Err(error))),
        }
    }
}

pin_project! {
    /// An answer on its way back.
    pub struct Returning<F> {
        #[pin]
        answer: F,
    }
}

impl<F: Future<Output = Result<Answer, ProxyError>>> Future for Returning<F> {
    type Output = Result<Answer, ProxyError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut answer = ready!(self.project().answer.poll(cx))?;
        let via = via(answer.version());
        let headers = answer.headers_mut();
        // A length beside chunks is not that of the body (RFC 9112 §6.3), which has gone by the chunks.
        if headers.contains_key(TRANSFER_ENCODING) {
            headers.remove(CONTENT_LENGTH);
        }
        hop_by_hop::remove(headers);
        headers.remove(ALT_SVC);
        headers.remove(STRICT_TRANSPORT_SECURITY);
        headers.append(VIA, via);
        // The version is this connection's, not upstream's: the server sets it.
        *answer.version_mut() = Version::default();
        Poll::Ready(Ok(answer))
    }
}

fn via(received: Version) -> HeaderValue {
    match received {
        Version::HTTP_2 => const { HeaderValue::from_static("2 tollgate") },
        Version::HTTP_10 => const { HeaderValue::from_static("1.0 tollgate") },
        _ => const { HeaderValue::from_static("1.1 tollgate") },
    }
}

// An address as a header, for IPv4 without the library's formatting, which takes more than all else here.
fn address(address: IpAddr) -> Option<HeaderValue> {
    let IpAddr::V4(address) = address else {
        return HeaderValue::try_from(address.to_string()).ok();
    };
    let mut text = SmallVec::<[u8; 15]>::new();
    for (index, octet) in address.octets().into_iter().enumerate() {
        if index > 0 {
            text.push(b'.');
        }
        text.extend_from_slice(itoa::Buffer::new().format(octet).as_bytes());
    }
    HeaderValue::from_bytes(&text).ok()
}

// HTTP/2 allows several fields, HTTP/1.1 only one (RFC 9113 §8.2.3), and the next hop may be either.
fn join_cookies(headers: &mut HeaderMap) {
    let cookies: Vec<_> = headers
        .get_all(COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if cookies.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
    {
        headers.insert(COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use http::Response;
    use tokio_test::assert_ready_ok;
    use tower_test::mock::Spawn;

    use super::*;
    use crate::layers::testing;

    async fn passed(request: Request<Body>, answer: Answer) -> (Request<Body>, Answer) {
        passed_to(Scheme::HTTPS, request, answer).await
    }

    async fn passed_to(
        scheme: Scheme,
        request: Request<Body>,
        answer: Answer,
    ) -> (Request<Body>, Answer) {
        let (inner, mut upstream) = testing::mock();
        let to = Destination {
            scheme,
            authority: Authority::from_static("api.track.toggl.com"),
        };
        let mut service = Spawn::new(ForwardLayer::new(to, "http").layer(inner));
        assert_ready_ok!(service.poll_ready());
        let returned = service.call(testing::call(testing::as_classified(request)));
        let (sent, reply) = upstream.next_request().await.unwrap();
        reply.send_response(answer);
        (sent, returned.await.unwrap())
    }

    #[tokio::test]
    async fn the_path_goes_out_to_the_byte_and_no_target_chooses_another_host() {
        let target = "http://evil.example/api//v9/%6de/?q=%2F&&a;b";
        let request = Request::get(target).body(Body::empty()).unwrap();
        let (sent, _) = passed(request, Response::new(Body::empty())).await;
        assert_eq!(
            sent.uri(),
            "https://api.track.toggl.com/api//v9/%6de/?q=%2F&&a;b"
        );
        assert_eq!(sent.headers()[FORWARDED_HOST], "evil.example");
        assert!(
            !sent.headers().contains_key(HOST),
            "the client sets it from the address"
        );
    }

    #[tokio::test]
    async fn without_tls_upstream_is_named_by_the_header_that_named_us() {
        for (target, host) in [("/", Some("gate:8080")), ("http://gate:8080/", None)] {
            let mut request = Request::get(target);
            if let Some(host) = host {
                request = request.header("host", host);
            }
            let request = request.body(Body::empty()).unwrap();
            let answer = Response::new(Body::empty());
            let (sent, _) = passed_to(Scheme::HTTP, request, answer).await;
            assert_eq!(sent.headers()[HOST], "api.track.toggl.com");
            assert_eq!(sent.headers()[FORWARDED_HOST], "gate:8080");
        }
    }

    #[test]
    fn an_address_reads_as_it_is_written() {
        for text in ["0.0.0.0", "127.0.0.1", "255.10.200.9", "2001:db8::1"] {
            assert_eq!(address(text.parse().unwrap()).unwrap(), text);
        }
    }

    #[tokio::test]
    async fn what_changes_nothing_and_uses_nothing_up_may_be_sent_twice() {
        for (path, repeatable) in [
            ("/api/v9/me", true),
            ("/api/v9/organizations/1/groups?name=code", true),
            (
                "/api/v9/integrations/calendar/callback/google?code=x",
                false,
            ),
            ("/api/v9//desktop_login/", false),
            ("/api/v9/auth/saml2/login", false),
            ("/api/v9/brand_new?a=1&%63ode=x", false),
        ] {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let (sent, _) = passed(request, Response::new(Body::empty())).await;
            let marked = sent.extensions().get::<Repeatable>().is_some();
            assert_eq!(marked, repeatable, "{path}");
        }
    }

    #[tokio::test]
    async fn headers_of_one_connection_end_here_both_ways() {
        let request = Request::get("/")
            .header("connection", "keep-alive, X-Private")
            .header("x-private", "1")
            .header("keep-alive", "timeout=5")
            .header("te", "gzip, Trailers;q=0.5")
            .header("upgrade", "websocket")
            .header("cookie", "a=1")
            .header("cookie", "b=2")
            .header("x-forwarded-for", "9.9.9.9")
            .header("x-forwarded-proto", "https")
            .header("x-kept", "a")
            .header("x-kept", "b")
            .body(Body::empty())
            .unwrap();
        let answer = Response::builder()
            .header("connection", "close, x-odd")
            .header("x-odd", "1")
            .header("alt-svc", "h3=\":443\"")
            .header("strict-transport-security", "max-age=1")
            .header("via", "1.1 google")
            .header("cache-control", "no-store")
            .body(Body::empty())
            .unwrap();
        let (sent, returned) = passed(request, answer).await;
        for gone in ["connection", "x-private", "keep-alive", "upgrade"] {
            assert!(!sent.headers().contains_key(gone), "{gone}");
        }
        assert_eq!(sent.headers()["te"], "trailers");
        let cookies: Vec<_> = sent.headers().get_all("cookie").iter().collect();
        assert_eq!(cookies, ["a=1; b=2"]);
        assert_eq!(sent.headers().get_all("x-kept").iter().count(), 2);
        assert_eq!(sent.headers()["x-forwarded-proto"], "https");
        let hops: Vec<_> = sent.headers().get_all("x-forwarded-for").iter().collect();
        assert_eq!(hops, ["9.9.9.9", "127.0.0.1"]);
        for gone in [
            "connection",
            "x-odd",
            "alt-svc",
            "strict-transport-security",
        ] {
            assert!(!returned.headers().contains_key(gone), "{gone}");
        }
        assert_eq!(returned.headers()["cache-control"], "no-store");
        let via: Vec<_> = returned.headers().get_all("via").iter().collect();
        assert_eq!(via, ["1.1 google", "1.1 tollgate"]);
    }
}
