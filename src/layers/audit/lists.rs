//! The lists that an event needs, asked of upstream in the caller's name.
//!
//! By the way that a read of theirs would take: from the cache where it has them, else by one request
//! that fills it for the next read. Never while the quota is in its reserve, which is for changes; and
//! what does not come soon is done without, so that an event costs its change no more than
//! [`PATIENCE`].

use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, ETAG, HeaderValue, USER_AGENT};
use http::{Request, StatusCode, Uri};
use tokio::time::{Instant, timeout};
use tower::{Service, ServiceExt as _};

use super::{Answer, Recorder};
use crate::body::{Body, Collected};
use crate::coding::decoded;
use crate::domain::caller::Caller;
use crate::domain::endpoint::{Endpoint, List};
use crate::domain::group::{Group, ProjectGroup, read_groups, read_project_groups};
use crate::domain::ids::{GroupId, WorkspaceId};
use crate::error::ProxyError;
use crate::layers::{CACHE_STATUS, Call, Origin};
use crate::quota::{Pool, Priority};

// Longer than upstream takes for a list on a bad day.
const PATIENCE: Duration = Duration::from_secs(5);

// How `Cache-Status` begins on an answer from the cache.
const HIT: &[u8] = b"tollgate; hit";

// As the largest list that anybody could still read through.
const LARGEST: usize = 16 << 20;

/// See the [module](self).
pub(super) struct Lists<'a, S> {
    pub(super) recorder: &'a Recorder,
    /// What reads go to from here.
    pub(super) inner: S,
    pub(super) caller: Option<&'a Caller>,
    pub(super) origin: &'a Origin,
}

// === impl Lists ===

impl<S> Lists<'_, S>
where
    S: Service<Call, Response = Answer, Error = ProxyError, Future: Send> + Clone + Send + Sync,
{
    /// The groups of a list; `None` where they cannot be had.
    pub(super) async fn groups(&self, list: List) -> Option<Vec<Group>> {
        read_groups(&self.body(list, false).await?.0)
    }

    /// A group of a list. A kept list that does not have it may be older than the group.
    pub(super) async fn group(&self, list: List, id: GroupId) -> Option<Group> {
        let find = |body: &Bytes| {
            let groups = read_groups(body)?;
            groups.into_iter().find(|group| group.id == id)
        };
        let (body, was_kept) = self.body(list, false).await?;
        match find(&body) {
            None if was_kept => find(&self.body(list, true).await?.0),
            found => found,
        }
    }

    /// The rows between the groups and the projects of a workspace.
    pub(super) async fn project_groups(&self, workspace: WorkspaceId) -> Option<Vec<ProjectGroup>> {
        read_project_groups(&self.body(List::ProjectGroups(workspace), false).await?.0)
    }

    /// The tag that a list has now, in upstream's eyes and not in the cache's.
    pub(super) async fn tag(&self, list: List, query: Option<&str>) -> Option<HeaderValue> {
        let answer = timeout(PATIENCE, self.ask(list, query, true))
            .await
            .ok()??;
        answer.headers().get(ETAG).cloned()
    }

    // The body, and whether the cache had it.
    async fn body(&self, list: List, anew: bool) -> Option<(Bytes, bool)> {
        let read = async {
            let (head, body) = self.ask(list, None, anew).await?.into_parts();
            let status = head.headers.get(CACHE_STATUS);
            let was_kept = status.is_some_and(|status| status.as_bytes().starts_with(HIT));
            match body.collect_up_to(LARGEST).await {
                Ok(Collected::Whole(body)) => {
                    Some((decoded(&head.headers, &body, LARGEST)?, was_kept))
                }
                Ok(Collected::Over(_)) | Err(_) => None,
            }
        };
        timeout(PATIENCE, read).await.ok()?
    }

    async fn ask(&self, list: List, query: Option<&str>, anew: bool) -> Option<Answer> {
        let caller = self.caller?;
        let pool = Pool::of_list(list);
        let (quota, reserve) = (&self.recorder.quota, self.recorder.reserve);
        if !quota.affords(caller.fingerprint, pool, reserve, Instant::now()) {
            return None;
        }
        let mut target = list.path();
        if let Some(query) = query {
            target = format!("{target}?{query}");
        }
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = target.parse::<Uri>().ok()?;
        let headers = request.headers_mut();
        caller.credential.apply(headers);
        let agent = concat!("tollgate/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        // An event tells what is so, or that it does not know: never what was so a while ago.
        let control = if anew {
            "no-cache, max-stale=0"
        } else {
            "max-stale=0"
        };
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(control));
        let call = Call {
            endpoint: Endpoint::List(list),
            caller: Some(caller.clone()),
            request,
            // The change waits for it, and its caller's reads do not wait behind a change either.
            origin: Origin {
                priority: Priority::Change,
                ..self.origin.clone()
            },
        };
        let answer = self.inner.clone().oneshot(call).await.ok()?;
        (answer.status() == StatusCode::OK).then_some(answer)
    }
}
