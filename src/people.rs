//! Who is behind a credential: asked of upstream once, and remembered.
//!
//! **Guarantees** (DESIGN §4). `GET /me` is asked off every request's path, with the caller's own
//! credential, at most once at a time for each and not again within `identity.ttl`, also over a
//! restart; a few at a time in all. Of its answer, which repeats the API token, only number, address and name are read; the
//! rest is never kept, logged or shown. A credential that upstream refuses is not asked for again for
//! a while, and none is while its own quota for such requests is gone.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use http::header::{ACCEPT_ENCODING, HeaderValue, USER_AGENT};
use http::{Request, Response, StatusCode, Uri};
use jiff::{SignedDuration, Timestamp};
use moka::sync::Cache;
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;

use crate::body::{Body, Collected};
use crate::cache::epochs::Epochs;
use crate::clock::Clock;
use crate::domain::caller::{Caller, Credential, Fingerprint, Person};
use crate::domain::ids::UserId;
use crate::domain::label::Label;
use crate::error::ProxyError;
use crate::quota::{Asking, Pool, Quota, Reading};
use crate::store::Identities;

/// The way to upstream.
pub type Client = BoxCloneSyncService<Request<Body>, Response<Body>, ProxyError>;

/// See the [module](self). Cloning shares it.
#[derive(Clone)]
pub struct People(Arc<Inner>);

struct Inner {
    identities: Arc<dyn Identities>,
    known: Cache<Fingerprint, (Person, Timestamp)>,
    /// Not to be asked for now: refused not long ago.
    refused: Cache<Fingerprint, ()>,
    /// Being asked for.
    asking: Mutex<HashSet<Fingerprint>>,
    slots: Arc<Semaphore>,
    quota: Quota,
    lookup: Option<Lookup>,
    clock: Clock,
    tasks: TaskTracker,
}

/// How people are looked up.
pub struct Lookup {
    /// The way to upstream.
    pub client: Client,
    /// `GET /me` there.
    pub me: Uri,
    /// How long an answer holds.
    pub ttl: Duration,
    /// Which lists may be believed: none of a credential that upstream refuses.
    pub epochs: Arc<Epochs>,
}

/// What is read of `GET /me`.
#[derive(Deserialize)]
struct Me {
    id: i64,
    email: Option<String>,
    fullname: Option<String>,
}

// The tool that the gateway is, where it asks for itself.
static OWN: LazyLock<Label> = LazyLock::new(|| "tollgate".parse().expect("a label"));

// A credential that was refused may become valid, but not often enough to spend quota on.
const PAUSE: Duration = Duration::from_secs(300);
const PATIENCE: Duration = Duration::from_secs(10);
const LARGEST: usize = 1 << 20;
const MOST: u64 = 10_000;
const AT_ONCE: usize = 8;

// === impl People ===

impl People {
    /// Remembers in `identities`; looks nobody up without `lookup`, nor who has no `quota` left for it.
    /// Lookups run in `tasks`.
    pub fn new(
        identities: Arc<dyn Identities>,
        lookup: Option<Lookup>,
        quota: Quota,
        clock: Clock,
        tasks: TaskTracker,
    ) -> Self {
        Self(Arc::new(Inner {
            identities,
            known: Cache::new(MOST),
            refused: Cache::builder()
                .max_capacity(MOST)
                .time_to_live(PAUSE)
                .build(),
            asking: Mutex::default(),
            slots: Arc::new(Semaphore::new(AT_ONCE)),
            quota,
            lookup,
            clock,
            tasks,
        }))
    }

    /// The person behind `caller`, as far as is known now.
    pub async fn person(&self, caller: &Caller) -> Person {
        let fingerprint = caller.fingerprint;
        let mut known = self.0.known.get(&fingerprint);
        if known.is_none() {
            // A store that cannot be read costs the name, not the change.
            known = self
                .0
                .identities
                .person(&fingerprint.to_string())
                .await
                .unwrap_or_default();
            if let Some((person, at)) = &known {
                self.know(fingerprint, person, *at);
            }
        }
        let mut person = known.map(|(person, _)| person).unwrap_or_default();
        person.email = person.email.or_else(|| caller.credential.email());
        person
    }

    /// Begins to look up who is behind `caller`, unless that is known and not too old. Later calls of
    /// [`person`](Self::person) see the result. Not to be called for credentials that upstream did not know.
    pub fn look_up(&self, caller: &Caller) {
        drop(self.begin(caller));
    }

    /// The person behind `caller`, looked up if need be: for changes of which nothing can be told
    /// without them. As [`person`](Self::person) where it takes too long or must not be asked.
    pub async fn identify(&self, caller: &Caller) -> Person {
        let person = self.person(caller).await;
        if person.user_id.is_some() {
            return person;
        }
        if let Some(lookup) = self.begin(caller)
            && timeout(PATIENCE, lookup).await.is_ok()
        {
            return self.person(caller).await;
        }
        person
    }

    // `None` where nothing is to be asked, or somebody else is asking.
    fn begin(&self, caller: &Caller) -> Option<JoinHandle<()>> {
        let lookup = self.0.lookup.as_ref()?;
        let fingerprint = caller.fingerprint;
        let ttl = SignedDuration::try_from(lookup.ttl).unwrap_or(SignedDuration::MAX);
        let current = |(_, at): (Person, Timestamp)| self.0.clock.now().duration_since(at) < ttl;
        if self.0.known.get(&fingerprint).is_some_and(current)
            || self.0.refused.contains_key(&fingerprint)
            || !self
                .0
                .quota
                .affords(fingerprint, Pool::Me, 0, Instant::now())
        {
            return None;
        }
        let slot = Arc::clone(&self.0.slots).try_acquire_owned().ok()?;
        if !self.asking().insert(fingerprint) {
            return None;
        }
        let people = self.clone();
        let credential = caller.credential.clone();
        Some(self.0.tasks.spawn(async move {
            let _slot = slot;
            if let Err(reason) = people.ask(fingerprint, &credential).await {
                people.0.refused.insert(fingerprint, ());
                tracing::debug!(reason, "Upstream did not tell who is behind a credential");
            }
            people.asking().remove(&fingerprint);
        }))
    }

    async fn ask(
        &self,
        fingerprint: Fingerprint,
        credential: &Credential,
    ) -> Result<(), &'static str> {
        let lookup = self.0.lookup.as_ref().ok_or("lookups are off")?;
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = lookup.me.clone();
        let headers = request.headers_mut();
        credential.apply(headers);
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let agent = concat!("tollgate/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        let at = self.0.clock.now();
        let sent = Instant::now();
        let asking = Asking {
            caller: fingerprint,
            pool: Pool::Me,
            endpoint: "GET /me",
            tool: Some(&OWN),
        };
        self.0.quota.sent(&asking, sent);
        let answer = match lookup.client.clone().oneshot(request).await {
            Ok(answer) => answer,
            Err(error) => {
                if matches!(error, ProxyError::ConnectFailed(_)) {
                    self.0.quota.not_sent(&asking, sent);
                }
                return Err("no answer");
            }
        };
        let status = answer.status();
        // As in the cache's own layer, which this request does not pass (DESIGN §1.2).
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            lookup.epochs.revoke(fingerprint);
        } else if let Some(reading) = Reading::of(answer.headers(), Instant::now()) {
            self.0.quota.note(fingerprint, Pool::Me, sent, reading);
        }
        if !status.is_success() {
            return Err("the credential was refused, or the quota is gone");
        }
        let body = timeout(PATIENCE, answer.into_body().collect_up_to(LARGEST)).await;
        let Ok(Ok(Collected::Whole(body))) = body else {
            return Err("the answer did not come whole");
        };
        let me: Me = serde_json::from_slice(&body).map_err(|_| "the answer is no person")?;
        let person = Person {
            user_id: Some(UserId(me.id)),
            email: me.email,
            name: me.fullname,
        };
        self.know(fingerprint, &person, at);
        let kept = self
            .0
            .identities
            .remember(&fingerprint.to_string(), &person, at)
            .await;
        kept.map_err(|_| "it could not be remembered")
    }

    // Credentials of one person share a quota.
    fn know(&self, fingerprint: Fingerprint, person: &Person, at: Timestamp) {
        if let Some(user) = person.user_id {
            self.0.quota.introduce(fingerprint, user);
        }
        self.0.known.insert(fingerprint, (person.clone(), at));
    }

    fn asking(&self) -> std::sync::MutexGuard<'_, HashSet<Fingerprint>> {
        self.0.asking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for People {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("People")
    }
}

#[cfg(test)]
mod tests {
    use tower::service_fn;

    use super::*;
    use crate::domain::endpoint::List;
    use crate::domain::ids::OrganizationId;
    use crate::layers::testing;
    use crate::store::memory::MemoryStore;

    const BODY: &str =
        r#"{"id":5,"email":"ann@acme.example","fullname":"Ann","api_token":"s3cret"}"#;

    fn people(store: &Arc<MemoryStore>, status: u16) -> (People, Arc<Mutex<usize>>, TaskTracker) {
        let epochs = Epochs::with_grace(Duration::ZERO);
        with(store, status, Quota::default(), &epochs)
    }

    fn with(
        store: &Arc<MemoryStore>,
        status: u16,
        quota: Quota,
        epochs: &Arc<Epochs>,
    ) -> (People, Arc<Mutex<usize>>, TaskTracker) {
        let asked = Arc::new(Mutex::new(0));
        let count = Arc::clone(&asked);
        let client = service_fn(move |_: Request<Body>| {
            *count.lock().unwrap() += 1;
            async move {
                Ok(Response::builder()
                    .status(status)
                    .header("x-toggl-quota-remaining", "0")
                    .header("x-toggl-quota-resets-in", "60")
                    .body(Body::full(BODY))
                    .unwrap())
            }
        });
        let lookup = Lookup {
            client: BoxCloneSyncService::new(client),
            me: Uri::from_static("http://upstream/api/v9/me"),
            ttl: Duration::from_secs(60),
            epochs: Arc::clone(epochs),
        };
        let tasks = TaskTracker::new();
        let identities: Arc<dyn Identities> = Arc::<MemoryStore>::clone(store);
        (
            People::new(
                identities,
                Some(lookup),
                quota,
                Clock::from_fn(|| Timestamp::UNIX_EPOCH),
                tasks.clone(),
            ),
            asked,
            tasks,
        )
    }

    fn ann() -> Caller {
        testing::get("ann", "/").caller.unwrap()
    }

    async fn settled(tasks: &TaskTracker) {
        tasks.close();
        tasks.wait().await;
        tasks.reopen();
    }

    #[tokio::test]
    async fn a_person_is_asked_for_once_and_remembered_over_a_restart() {
        let store = Arc::new(MemoryStore::default());
        let (people, asked, tasks) = people(&store, 200);
        assert_eq!(people.person(&ann()).await, Person::default());
        people.look_up(&ann());
        settled(&tasks).await;
        let person = people.person(&ann()).await;
        assert_eq!(person.name.as_deref(), Some("Ann"));
        assert_eq!(*asked.lock().unwrap(), 1);
        let (restarted, asked, _) = self::people(&store, 200);
        assert_eq!(restarted.person(&ann()).await, person);
        restarted.look_up(&ann());
        assert_eq!(*asked.lock().unwrap(), 0);
    }

    #[tokio::test]
    async fn nobody_is_asked_for_while_their_quota_is_gone() {
        let quota = Quota::default();
        let ask = async || {
            // Nobody remembers: each is a start with an empty database.
            let store = Arc::new(MemoryStore::default());
            let epochs = Epochs::with_grace(Duration::ZERO);
            let (people, asked, _) = with(&store, 200, quota.clone(), &epochs);
            let name = people.identify(&ann()).await.name;
            let asked = *asked.lock().unwrap();
            (name, asked)
        };
        assert_eq!(ask().await, (Some("Ann".to_owned()), 1));
        assert_eq!(
            ask().await,
            (None, 0),
            "the answer said that nothing is left"
        );
    }

    #[tokio::test]
    async fn a_credential_that_upstream_refuses_here_loses_what_it_has_cached() {
        let list = List::Organization(OrganizationId(1));
        for (status, survives) in [(200, true), (401, false), (402, true), (403, false)] {
            let epochs = Epochs::with_grace(Duration::ZERO);
            let before = epochs.snapshot(list, ann().fingerprint).unwrap();
            let store = Arc::new(MemoryStore::default());
            let (people, _, tasks) = with(&store, status, Quota::default(), &epochs);
            people.look_up(&ann());
            settled(&tasks).await;
            assert_eq!(epochs.admits(&before), survives, "{status}");
        }
    }

    #[tokio::test]
    async fn a_refused_credential_is_not_asked_for_again_at_once() {
        let store = Arc::new(MemoryStore::default());
        let (people, asked, tasks) = people(&store, 403);
        for _ in 0..3 {
            people.look_up(&ann());
            assert_eq!(people.person(&ann()).await, Person::default());
            settled(&tasks).await;
        }
        assert_eq!(*asked.lock().unwrap(), 1);
    }
}
