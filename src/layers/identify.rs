//! Finds out who is asking: the credential becomes a [`Caller`].
//!
//! Only the credential's fingerprint goes further than this request does. The headers by which a
//! trusted proxy or tool tells whom it speaks for are believed from `identity.trusted_proxies` alone,
//! and `X-Tollgate-Actor` is never forwarded.

use std::task::{Context, Poll};

use http::HeaderName;
use tower::{Layer, Service};

use super::{Answer, Call, Unidentified};
use crate::domain::caller::{Caller, Key};
use crate::domain::proxies::Proxies;
use crate::error::ProxyError;

const ACTOR: HeaderName = HeaderName::from_static("x-tollgate-actor");

// Longer than any name, short enough for a column.
const LONGEST_ACTOR: usize = 256;

/// Makes [`Identify`].
#[derive(Clone, Debug)]
pub struct IdentifyLayer {
    key: Key,
    trusted: Proxies,
}

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Identify<S> {
    layer: IdentifyLayer,
    inner: S,
}

// === impl IdentifyLayer ===

impl IdentifyLayer {
    /// `trusted` are the peers whose word on others is taken.
    pub fn new(key: Key, trusted: Proxies) -> Self {
        Self { key, trusted }
    }
}

impl<S> Layer<S> for IdentifyLayer {
    type Service = Identify<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Identify {
            layer: self.clone(),
            inner,
        }
    }
}

// === impl Identify ===

impl<S> Service<Call<Unidentified>> for Identify<S>
where
    S: Service<Call, Response = Answer, Error = ProxyError>,
{
    type Response = Answer;
    type Error = ProxyError;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut call: Call<Unidentified>) -> Self::Future {
        let origin = &mut call.origin;
        let actor = call.request.headers_mut().remove(ACTOR);
        if self.layer.trusted.trusts(origin.peer) {
            origin.on_behalf_of = actor
                .and_then(|name| String::from_utf8(name.as_bytes().to_vec()).ok())
                .map(|name| name.trim().chars().take(LONGEST_ACTOR).collect())
                .filter(|name: &String| !name.is_empty());
            origin.client = self
                .layer
                .trusted
                .client(origin.peer, call.request.headers());
        }
        self.inner.call(Call {
            endpoint: call.endpoint,
            caller: Caller::of(call.request.headers(), &self.layer.key),
            request: call.request,
            origin: call.origin,
        })
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use tokio_test::assert_ready_ok;
    use tower_test::mock::Spawn;

    use super::*;
    use crate::body::Body;
    use crate::layers::testing;

    async fn identified(headers: &[(&str, &str)]) -> Call {
        let (inner, mut handle) = testing::inner();
        let key = Key::new(&[1; 32]);
        let trusted = [
            "127.0.0.0/8".parse().unwrap(),
            "10.0.0.0/8".parse().unwrap(),
        ];
        let mut service = Spawn::new(IdentifyLayer::new(key, Proxies::new(trusted)).layer(inner));
        assert_ready_ok!(service.poll_ready());
        let mut request = Request::get("/api/v9/me").body(Body::empty()).unwrap();
        for (name, value) in headers {
            let name = HeaderName::try_from(*name).unwrap();
            request.headers_mut().append(name, value.parse().unwrap());
        }
        let _answer = service.call(testing::call(request).map_caller(|_| Unidentified));
        handle.next_request().await.unwrap().0
    }

    #[tokio::test]
    async fn the_client_is_the_rightmost_address_that_is_not_a_trusted_proxys() {
        let client = |call: Call| call.origin.client.to_string();
        assert_eq!(client(identified(&[]).await), "127.0.0.1");
        let forged = [
            ("x-forwarded-for", "6.6.6.6, 9.9.9.9"),
            ("x-forwarded-for", "10.1.1.1"),
        ];
        assert_eq!(client(identified(&forged).await), "9.9.9.9");
        assert_eq!(
            client(identified(&[("x-forwarded-for", "9.9.9.9, garbage")]).await),
            "127.0.0.1"
        );
    }

    #[tokio::test]
    async fn the_actor_is_recorded_and_not_forwarded() {
        let call = identified(&[("x-tollgate-actor", " Ann "), ("authorization", "Basic x")]).await;
        assert_eq!(call.origin.on_behalf_of.as_deref(), Some("Ann"));
        assert!(!call.request.headers().contains_key(ACTOR));
        assert!(call.caller.is_some());
        assert!(identified(&[]).await.caller.is_none());
    }
}
