//! What the layers' tests share: requests at each stage, and tower's mock with our error type.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use http::{Method, Request};
use jiff::Timestamp;
use serde_json::json;
use tokio::time::Instant;
use tower::BoxError;
use tower::util::{MapErr, ServiceExt as _};
use tower_test::mock::{self, Handle, Mock};

use super::{Answer, Call, Origin, Received, RequestId, Unidentified};
use crate::body::Body;
use crate::domain::caller::{Caller, Key};
use crate::domain::endpoint::classify;
use crate::domain::group::{Group, ProjectGroup};
use crate::domain::ids::{GroupId, OrganizationId, ProjectGroupId, UserId, WorkspaceId};
use crate::error::ProxyError;
use crate::quota::Priority;
use crate::store::{KnownGroups, Learned, StoreError};

pub(crate) type Inner<T> = MapErr<Mock<T, Answer>, fn(BoxError) -> ProxyError>;

/// The key under which [`call`] fingerprints.
pub(crate) const SECRET: [u8; 32] = [1; 32];

pub(crate) fn mock<T>() -> (Inner<T>, Handle<T, Answer>) {
    fn ours(error: BoxError) -> ProxyError {
        match error.downcast::<ProxyError>() {
            Ok(error) => *error,
            Err(other) => ProxyError::lost(other),
        }
    }
    let (mock, handle) = mock::pair();
    (mock.map_err(ours as fn(BoxError) -> ProxyError), handle)
}

pub(crate) fn inner() -> (Inner<Call>, Handle<Call, Answer>) {
    mock()
}

pub(crate) fn unidentified() -> (
    Inner<Call<Unidentified>>,
    Handle<Call<Unidentified>, Answer>,
) {
    mock()
}

pub(crate) fn received(request: Request<Body>) -> Received {
    let localhost = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let id = http::HeaderValue::from_static("test-request");
    let origin = Origin {
        request_id: RequestId::of(Some(&id), Timestamp::UNIX_EPOCH),
        peer: localhost,
        client: localhost,
        received_at: Timestamp::UNIX_EPOCH,
        started: Instant::now(),
        tool: None,
        on_behalf_of: None,
        priority: Priority::Read,
    };
    Received { request, origin }
}

/// The request without what `classify` takes off.
pub(crate) fn as_classified(mut request: Request<Body>) -> Request<Body> {
    super::hop_by_hop::remove_from_request(request.headers_mut());
    request
}

/// The request as `classify` and `identify` would hand it on.
pub(crate) fn call(request: Request<Body>) -> Call {
    let Received { request, origin } = received(request);
    let endpoint = classify(request.method(), [], request.uri().path()).unwrap();
    let caller = Caller::of(request.headers(), &Key::new(&SECRET));
    Call {
        endpoint,
        caller,
        request,
        origin,
    }
}

/// A read of `path` by the credential `who`.
pub(crate) fn get(who: &str, path: &str) -> Call {
    let request = Request::get(path).header("authorization", format!("Basic {who}"));
    call(request.body(Body::empty()).unwrap())
}

/// A change of `path` by the credential `who`.
pub(crate) fn change(who: &str, method: Method, path: &str, body: &serde_json::Value) -> Call {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Basic {who}"));
    call(request.body(Body::full(body.to_string())).unwrap())
}

/// A rename of group 7 of `organization`.
pub(crate) fn rename_group(organization: i64) -> Call {
    let path = format!("/api/v9/organizations/{organization}/groups/7");
    change("ann", Method::PUT, &path, &json!({"name": "Brand"}))
}

/// Knows nothing of groups and learns nothing.
pub(crate) struct NoGroups;

#[async_trait::async_trait]
impl KnownGroups for NoGroups {
    async fn group(
        &self,
        _: GroupId,
        _: Option<OrganizationId>,
    ) -> Result<Option<Group>, StoreError> {
        Ok(None)
    }

    async fn groups_of(&self, _: OrganizationId) -> Result<Option<Vec<Group>>, StoreError> {
        Ok(None)
    }

    async fn groups_with(&self, _: UserId) -> Result<Vec<(OrganizationId, Group)>, StoreError> {
        Ok(Vec::new())
    }

    async fn organization_of(&self, _: WorkspaceId) -> Result<Option<OrganizationId>, StoreError> {
        Ok(None)
    }

    async fn project_group(&self, _: ProjectGroupId) -> Result<Option<ProjectGroup>, StoreError> {
        Ok(None)
    }

    async fn names(
        &self,
        _: OrganizationId,
        _: &[UserId],
    ) -> Result<HashMap<UserId, String>, StoreError> {
        Ok(HashMap::new())
    }

    async fn learn(&self, _: Vec<Learned>) {}
}

impl<Who> Call<Who> {
    pub(crate) fn map_caller<Other>(self, map: impl FnOnce(Who) -> Other) -> Call<Other> {
        let Self {
            endpoint,
            caller,
            request,
            origin,
        } = self;
        Call {
            endpoint,
            caller: map(caller),
            request,
            origin,
        }
    }
}
