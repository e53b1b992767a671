//! Decides what a request asks for, once, and refuses what could mean two things.
//!
//! **Guarantee** (DESIGN §2): from here on nobody looks at the path. The label of a tool
//! (`/~hr-sync/…`) is taken off before anything else; what is behind it is kept to the byte.

use std::collections::HashSet;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::{Either, Ready, ready};
use http::header::HeaderName;
use http::uri::PathAndQuery;
use http::{Method, Request};
use http_body::Body as _;
use tower::{Layer, Service};

use super::{Answer, Call, Received, Unidentified, hop_by_hop};
use crate::body::Body;
use crate::domain::endpoint::{Endpoint, classify};
use crate::domain::label::Label;
use crate::error::ProxyError;

/// The headers by which some servers let a request name another method than its own.
pub(super) static METHOD_OVERRIDES: [HeaderName; 3] = [
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-method-override"),
];

/// Makes [`Classify`].
#[derive(Clone, Debug)]
pub struct ClassifyLayer {
    tools: Arc<HashSet<Label>>,
}

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Classify<S> {
    tools: Arc<HashSet<Label>>,
    inner: S,
}

// === impl ClassifyLayer ===

impl ClassifyLayer {
    /// `tools` are the labels that are accepted; none means any.
    pub fn new(tools: impl IntoIterator<Item = Label>) -> Self {
        Self {
            tools: Arc::new(tools.into_iter().collect()),
        }
    }
}

impl<S> Layer<S> for ClassifyLayer {
    type Service = Classify<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Classify {
            tools: Arc::clone(&self.tools),
            inner,
        }
    }
}

// === impl Classify ===

impl<S> Service<Received> for Classify<S>
where
    S: Service<Call<Unidentified>, Response = Answer, Error = ProxyError>,
{
    type Response = Answer;
    type Error = ProxyError;
    type Future = Either<S::Future, Ready<Result<Answer, ProxyError>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut received: Received) -> Self::Future {
        match self.classify(&mut received) {
            Ok(endpoint) => Either::Left(self.inner.call(Call {
                endpoint,
                caller: Unidentified,
                request: received.request,
                origin: received.origin,
            })),
            Err(error) => Either::Right(ready(Err(error))),
        }
    }
}

impl<S> Classify<S> {
    // What it asks for; the request is then as whoever asks that would have sent it.
    fn classify(&self, received: &mut Received) -> Result<Endpoint, ProxyError> {
        let Received { request, origin } = received;
        if request.method() == Method::CONNECT || !request.uri().path().starts_with('/') {
            let detail = "this is a gateway to one API, not a general proxy: ask for a path, such as /api/v9/me";
            return Err(ProxyError::BadRequest(detail.into()));
        }
        hop_by_hop::remove_from_request(request.headers_mut());
        origin.tool = self.take_label(request)?;
        let headers = request.headers();
        // To look at each header once costs less than to look for each of these; and all begin so.
        let overrides = headers
            .iter()
            .filter(|(name, _)| name.as_str().starts_with("x-") && METHOD_OVERRIDES.contains(name));
        let overrides = overrides.map(|(_, value)| value.to_str().unwrap_or_default());
        let endpoint =
            classify(request.method(), overrides, request.uri().path()).map_err(|ambiguous| {
                ProxyError::BadRequest(format!("{ambiguous}; send its plain path"))
            })?;
        // Two requests for one list can differ in their bodies alone (TOGGL: `project_ids`), so a
        // list is one only without a body.
        Ok(match endpoint {
            Endpoint::List(list) if !request.body().is_end_stream() => {
                Endpoint::Read(list.passed_through())
            }
            endpoint => endpoint,
        })
    }

    fn take_label(&self, request: &mut Request<Body>) -> Result<Option<Label>, ProxyError> {
        let Some(target) = request.uri().path_and_query() else {
            return Ok(None);
        };
        let Some(labelled) = target.as_str().strip_prefix("/~") else {
            return Ok(None);
        };
        let end = labelled.find(['/', '?']).unwrap_or(labelled.len());
        let (label, rest) = labelled.split_at(end);
        let label: Label = label.parse().map_err(|_| {
            ProxyError::BadRequest(
                "a label in the path is /~NAME/, with NAME of a-z, 0-9 and -, 32 at most, and no API token".into(),
            )
        })?;
        if !self.tools.is_empty() && !self.tools.contains(&label) {
            let detail = format!("the label {label} is not one of identity.tools");
            return Err(ProxyError::BadRequest(detail));
        }
        let rest = if rest.starts_with('/') {
            rest.to_owned()
        } else {
            format!("/{rest}")
        };
        let mut parts = request.uri().clone().into_parts();
        parts.path_and_query = PathAndQuery::try_from(rest).ok();
        *request.uri_mut() = http::Uri::from_parts(parts)
            .map_err(|_| ProxyError::BadRequest("the path behind the label is no path".into()))?;
        Ok(Some(label))
    }
}

#[cfg(test)]
mod tests {
    use tower::ServiceExt as _;

    use super::*;
    use crate::layers::testing;

    async fn classified(
        layer: &ClassifyLayer,
        request: Request<Body>,
    ) -> Result<Call<Unidentified>, String> {
        let service = layer.layer(());
        let mut received = testing::received(request);
        let endpoint = service
            .classify(&mut received)
            .map_err(|error| error.to_string())?;
        Ok(Call {
            endpoint,
            caller: Unidentified,
            request: received.request,
            origin: received.origin,
        })
    }

    fn get(uri: &str) -> Request<Body> {
        Request::get(uri).body(Body::empty()).unwrap()
    }

    #[tokio::test]
    async fn a_label_is_taken_off_and_the_rest_kept_to_the_byte() {
        let any = ClassifyLayer::new([]);
        for (sent, rest) in [
            ("/~hr-sync/api/v9/me?a=%2F&&b", "/api/v9/me?a=%2F&&b"),
            ("/~hr-sync//x/%7e", "//x/%7e"),
            ("/~hr-sync", "/"),
            ("/~hr-sync?q", "/?q"),
        ] {
            let call = classified(&any, get(sent)).await.unwrap();
            assert_eq!(call.request.uri().path_and_query().unwrap().as_str(), rest);
            assert_eq!(call.origin.tool.unwrap().to_string(), "hr-sync");
        }
        let list = classified(&any, get("/~x/api/v9/organizations/1/groups"))
            .await
            .unwrap();
        assert!(matches!(list.endpoint, Endpoint::List(_)));
    }

    #[tokio::test]
    async fn labels_that_are_not_allowed_are_refused() {
        let some = ClassifyLayer::new(["hr-sync".parse().unwrap()]);
        assert!(classified(&some, get("/~hr-sync/x")).await.is_ok());
        assert!(classified(&some, get("/~other/x")).await.is_err());
        assert!(
            classified(&ClassifyLayer::new([]), get("/~Other_Tool/x"))
                .await
                .is_err()
        );
    }

    #[tokio::test]
    async fn a_get_with_a_body_is_no_list() {
        let request = Request::get("/api/v9/workspaces/1/project_groups")
            .body(Body::full("{}"))
            .unwrap();
        let call = classified(&ClassifyLayer::new([]), request).await.unwrap();
        assert!(matches!(call.endpoint, Endpoint::Read(_)));
    }

    #[tokio::test]
    async fn what_is_refused_never_gets_further() {
        let (inner, mut handle) = testing::unidentified();
        let mut service = ClassifyLayer::new([]).layer(inner);
        handle.allow(1);
        let request = Request::delete("/api/v9/organizations/1/groups/%2e%2e")
            .body(Body::empty())
            .unwrap();
        let error = service
            .ready()
            .await
            .unwrap()
            .call(testing::received(request))
            .await
            .unwrap_err();
        assert!(matches!(error, ProxyError::BadRequest(_)), "{error}");
        let connect = Request::connect("example.com:443")
            .body(Body::empty())
            .unwrap();
        assert!(service.call(testing::received(connect)).await.is_err());
    }
}
