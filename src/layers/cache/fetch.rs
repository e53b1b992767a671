//! Fetches a list, judges it, and stores it if it may be.
//!
//! Only a `200` whose body parses as the list that its endpoint promises is stored; a page of HTML with
//! the same status passes through. What the list tells of groups goes to
//! [`KnownGroups`](crate::store::KnownGroups).

use std::future::poll_fn;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_UNMODIFIED_SINCE, VARY,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use jiff::Timestamp;
use tokio::time::{Instant, timeout};
use tower::Service;

use super::{Answer, CacheLayer, refuses};
use crate::body::{Body, Collected};
use crate::cache::entry::Entry;
use crate::cache::epochs::Snapshot;
use crate::cache::fills::Fetched;
use crate::cache::filters::Filter;
use crate::cache::key::CacheKey;
use crate::coding::{Accepted, decoded};
use crate::domain::caller::Fingerprint;
use crate::domain::endpoint::List;
use crate::domain::group::{Group, ProjectGroup, read_groups, read_project_groups};
use crate::error::ProxyError;
use crate::layers::Call;
use crate::store::{Fact, Learned, Seen};

/// One fetch.
pub(super) struct Fetch {
    pub(super) layer: Arc<CacheLayer>,
    pub(super) key: CacheKey,
    pub(super) list: List,
    pub(super) caller: Fingerprint,
    /// What the list depends on, from before the fetch.
    pub(super) snapshot: Option<Snapshot>,
}

/// A list that is what its endpoint promises.
enum Parsed {
    Groups(Vec<Group>),
    ProjectGroups(Vec<ProjectGroup>),
}

// === impl Fetch ===

impl Fetch {
    pub(super) async fn run<S>(
        self,
        mut inner: S,
        mut call: Call,
    ) -> Result<Arc<Fetched>, ProxyError>
    where
        S: Service<Call, Response = Answer, Error = ProxyError>,
    {
        let started = Instant::now();
        let query = call.request.uri().query().map(Box::<str>::from);
        let at = self.layer.clock.now();
        prepare(&mut call.request);
        poll_fn(|cx| inner.poll_ready(cx)).await?;
        let answer = inner.call(call).await?;
        if refuses(&answer) {
            self.layer.epochs.revoke(self.caller);
        }
        let (head, body) = answer.into_parts();
        let limit = self.layer.max_entry_size;
        let body = timeout(self.layer.body_timeout, body.collect_up_to(limit)).await;
        let body = body.map_err(|_| ProxyError::Timeout(self.layer.body_timeout))?;
        let mut headers = head.headers;
        let whole = match body.map_err(ProxyError::lost)? {
            Collected::Whole(body) => match decoded(&headers, &body, limit) {
                Some(body) => body,
                None => return Ok(stream(head.status, headers, Body::full(body))),
            },
            Collected::Over(body) => return Ok(stream(head.status, headers, body)),
        };
        headers.remove(CONTENT_ENCODING);
        headers.remove(CONTENT_LENGTH);
        let parsed = match head.status {
            StatusCode::OK if varies_by_encoding_alone(&headers) => self.parse(&whole),
            _ => None,
        };
        let Some(parsed) = parsed else {
            let stored = self.keep_refusal(head.status, started, &headers, &whole);
            return Ok(Arc::new(Fetched::Other {
                status: head.status,
                headers,
                body: whole,
                stored,
            }));
        };
        let entry = Entry::new(
            self.snapshot.clone(),
            started,
            head.status,
            &headers,
            &whole,
        );
        self.compare(&entry);
        let entry = Arc::new(entry);
        let tag = &entry.identity.etag;
        self.layer
            .tags
            .note(self.caller, tag, self.list, query.as_deref());
        let lists = self.layer.lists.as_ref();
        let stored = lists.is_some_and(|lists| lists.insert(self.key.clone(), Arc::clone(&entry)));
        if stored {
            self.learn(parsed, at).await;
        }
        Ok(Arc::new(Fetched::List {
            entry,
            headers,
            stored,
        }))
    }

    // With `cache.filters = "verify"`: a filtered list with what would have been cut out of the whole one.
    fn compare(&self, entry: &Entry) {
        let (filters, freshness) = (&self.layer.filters, self.layer.freshness.read());
        if !filters.compare() {
            return;
        }
        let whole = Filter::of(&self.key).and_then(|(filter, whole)| {
            let whole = self.layer.lists.as_ref()?.get(&whole)?;
            (whole.age(entry.fetched) < freshness.ttl).then_some((filter, whole))
        });
        if let Some((filter, whole)) = whole.filter(|(_, whole)| whole.snapshot == entry.snapshot) {
            filters.verify(&filter, &whole, &entry.identity.body);
        }
    }

    // Who is refused a list asks again, often; and what they were given of it before is nothing that upstream
    // would give them now.
    fn keep_refusal(
        &self,
        status: StatusCode,
        started: Instant,
        headers: &HeaderMap,
        body: &[u8],
    ) -> bool {
        let Some(lists) = &self.layer.lists else {
            return false;
        };
        if !matches!(status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND) {
            return false;
        }
        if self.layer.freshness.read().refusal.is_zero() {
            lists.remove(&self.key);
            return false;
        }
        let entry = Entry::new(self.snapshot.clone(), started, status, headers, body);
        let stored = lists.insert(self.key.clone(), Arc::new(entry));
        if !stored {
            // While a change is under way nothing is stored, and the list is no less gone for that.
            lists.remove(&self.key);
        }
        stored
    }

    fn parse(&self, body: &Bytes) -> Option<Parsed> {
        match self.list {
            List::ProjectGroups(_) => read_project_groups(body).map(Parsed::ProjectGroups),
            List::Organization(_) | List::OrganizationWorkspace(..) | List::Workspace(_) => {
                read_groups(body).map(Parsed::Groups)
            }
        }
    }

    async fn learn(&self, parsed: Parsed, at: Timestamp) {
        let organization = self.list.organization();
        let learned = match (parsed, self.list) {
            (Parsed::Groups(groups), _) => {
                let workspaces = groups
                    .iter()
                    .filter_map(|group| group.workspaces.as_ref())
                    .flatten();
                if let Some(organization) = organization {
                    workspaces.for_each(|workspace| {
                        self.layer.epochs.learn(organization, *workspace);
                        self.layer.quota.learn(organization, *workspace);
                    });
                }
                let view = self.view(&groups);
                let workspace = match self.list {
                    List::OrganizationWorkspace(organization, workspace) => {
                        Some(Fact::Workspace(organization, workspace))
                    }
                    _ => None,
                };
                let of_group = |group| Fact::Group(organization, Box::new(group));
                view.into_iter()
                    .chain(workspace)
                    .chain(groups.into_iter().map(of_group))
                    .map(|fact| Learned { at, fact })
                    .collect()
            }
            (Parsed::ProjectGroups(rows), List::ProjectGroups(workspace)) => {
                let fact = |row| Learned {
                    at,
                    fact: Fact::ProjectGroup(workspace, row),
                };
                rows.into_iter().map(fact).collect()
            }
            (Parsed::ProjectGroups(_), _) => Vec::new(),
        };
        self.layer.known.learn(learned).await;
    }

    // All that this caller may see of an organization, which can be compared with what it was before.
    fn view(&self, groups: &[Group]) -> Option<Fact> {
        match self.list {
            List::Organization(organization) if self.key.is_whole() => {
                Some(Fact::View(Box::new(Seen {
                    credential_id: self.caller.to_string(),
                    organization,
                    groups: groups.to_vec(),
                })))
            }
            _ => None,
        }
    }
}

// What upstream is asked for is the whole list, as it is now, in a form that the caller takes as well.
fn prepare(request: &mut Request<Body>) {
    // Of a list that is asked for with `HEAD`, the body is kept for the next `GET`.
    *request.method_mut() = Method::GET;
    let headers = request.headers_mut();
    for condition in [
        IF_NONE_MATCH,
        IF_MODIFIED_SINCE,
        IF_MATCH,
        IF_UNMODIFIED_SINCE,
    ] {
        headers.remove(condition);
    }
    let gzip = Accepted::of(headers).gzip;
    let coding = if gzip { "gzip" } else { "identity" };
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(coding));
}

fn varies_by_encoding_alone(headers: &HeaderMap) -> bool {
    let values = headers.get_all(VARY).iter();
    let mut names = values.flat_map(|value| value.to_str().unwrap_or("*").split(','));
    names.all(|name| name.trim().eq_ignore_ascii_case("accept-encoding"))
}

fn stream(status: StatusCode, headers: HeaderMap, body: Body) -> Arc<Fetched> {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    Arc::new(Fetched::Stream(Mutex::new(Some(answer))))
}
