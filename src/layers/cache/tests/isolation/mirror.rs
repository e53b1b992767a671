//! An upstream for [`isolation`](super) that says in every answer to whom it gave it, and to which request.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use http::header::{ALT_SVC, AUTHORIZATION, COOKIE, DATE, SET_COOKIE};
use http::{HeaderMap, HeaderName, Response, StatusCode};
use tokio::time::{Duration, Instant, sleep};
use tower::Service;

use crate::body::Body;
use crate::domain::endpoint::{Change, Endpoint};
use crate::error::ProxyError;
use crate::layers::{Answer, Call};

/// Of which request this is, and how slow it is to be.
pub(super) const MARK: HeaderName = HeaderName::from_static("x-mark");
pub(super) const BEFORE: HeaderName = HeaderName::from_static("x-before");
pub(super) const AFTER: HeaderName = HeaderName::from_static("x-after");

/// What belongs to one answer alone. Each has the answer's serial in it.
pub(super) const OWN: [HeaderName; 8] = [
    SET_COOKIE,
    DATE,
    ALT_SVC,
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("x-toggl-request-id"),
    HeaderName::from_static("x-toggl-quota-remaining"),
    HeaderName::from_static("x-toggl-quota-resets-in"),
    HeaderName::from_static("x-unheard-of"),
];

/// Somebody who asks, by what their requests carry; the parts are numbers below three, nothing for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Caller {
    pub(super) scheme: usize,
    pub(super) credential: usize,
    pub(super) session: usize,
}

/// Cloning shares the world.
#[derive(Clone)]
pub(super) struct Mirror(Arc<Mutex<World>>);

#[derive(Default)]
struct World {
    tick: u64,
    given: BTreeMap<u64, Given>,
    /// Credentials and sessions that are worth nothing any more.
    credentials: BTreeSet<usize>,
    sessions: BTreeSet<usize>,
    /// Credentials that are refused an organization.
    left: BTreeSet<(usize, i64)>,
    is_down: bool,
}

/// One answer of upstream's.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) mark: String,
    pub(super) at: Instant,
    pub(super) status: StatusCode,
}

// === impl Caller ===

const SCHEMES: [&str; 3] = ["", "Basic ", "Bearer "];

impl Caller {
    pub(super) fn is_somebody(self) -> bool {
        self.scheme > 0 || self.session > 0
    }

    pub(super) fn headers(self, headers: &mut HeaderMap) {
        if self.scheme > 0 {
            let value = format!("{}secret{}", SCHEMES[self.scheme], self.credential);
            headers.insert(AUTHORIZATION, value.parse().unwrap());
        }
        // The balancer's cookie is another for every request.
        let balancer = headers[MARK].to_str().unwrap();
        let cookie = match self.session {
            0 => format!("GCLB={balancer}"),
            session => format!("GCLB={balancer}; session={session}"),
        };
        headers.insert(COOKIE, cookie.parse().unwrap());
    }

    fn of(headers: &HeaderMap) -> Self {
        let text = |name| {
            headers
                .get(name)
                .map_or("", |value| value.to_str().unwrap())
        };
        let digit = |text: &str, after: &str| {
            let digit = text.split_once(after).map(|(_, rest)| &rest[..1]);
            digit.map_or(0, |digit| digit.parse().unwrap())
        };
        let (authorization, cookie) = (text(AUTHORIZATION), text(COOKIE));
        let scheme = authorization
            .split_once("secret")
            .map_or("", |(scheme, _)| scheme);
        Self {
            scheme: SCHEMES.iter().position(|one| *one == scheme).unwrap(),
            credential: digit(authorization, "secret"),
            session: digit(cookie, "session="),
        }
    }
}

/// What an answer's body says of itself.
pub(super) fn says(caller: Caller, question: &str, serial: u64) -> String {
    let Caller {
        scheme,
        credential,
        session,
    } = caller;
    format!("{scheme}-{credential}-{session} asked {question} and got {serial} here")
}

// === impl Mirror ===

impl Mirror {
    pub(super) fn new() -> Self {
        Self(Arc::default())
    }

    fn with<T>(&self, ask: impl FnOnce(&mut World) -> T) -> T {
        ask(&mut self.0.lock().unwrap())
    }

    /// The next moment, later than all before it.
    pub(super) fn tick(&self) -> u64 {
        self.with(World::tick)
    }

    pub(super) fn given(&self, serial: u64) -> Given {
        self.with(|world| world.given[&serial].clone())
    }

    pub(super) fn set_down(&self, is_down: bool) {
        self.with(|world| world.is_down = is_down);
    }

    /// Behind the gateway's back.
    pub(super) fn revoke(&self, caller: Caller, organization: Option<i64>) {
        self.with(|world| match organization {
            Some(organization) => {
                world.left.insert((caller.credential, organization));
            }
            None => {
                world.credentials.insert(caller.credential);
                world.sessions.insert(caller.session);
            }
        });
    }

    pub(super) fn accept_all(&self) {
        self.with(|world| {
            world.credentials.clear();
            world.sessions.clear();
            world.left.clear();
        });
    }

    fn answer(&self, call: &Call) -> impl Future<Output = Result<Answer, ProxyError>> + use<> {
        let headers = call.request.headers();
        let header = |name| headers[name].to_str().unwrap().to_owned();
        let pause = |name| Duration::from_millis(header(name).parse().unwrap());
        let (before, after, mark) = (pause(BEFORE), pause(AFTER), header(MARK));
        let caller = Caller::of(headers);
        let question = call.request.uri().to_string();
        let endpoint = call.endpoint;
        let mirror = self.clone();
        async move {
            sleep(before).await;
            let answer = mirror.with(|world| world.answer(caller, &question, endpoint, mark));
            sleep(after).await;
            answer
        }
    }
}

impl World {
    fn tick(&mut self) -> u64 {
        self.tick += 1;
        self.tick
    }

    fn answer(
        &mut self,
        caller: Caller,
        question: &str,
        endpoint: Endpoint,
        mark: String,
    ) -> Result<Answer, ProxyError> {
        let status = self.status(caller, endpoint);
        let serial = self.tick();
        if status.is_server_error() && serial.is_multiple_of(2) {
            return Err(ProxyError::lost("reset"));
        }
        if let (StatusCode::OK, Endpoint::Change(change)) = (status, endpoint) {
            self.renew(caller, change, question);
        }
        let at = Instant::now();
        self.given.insert(serial, Given { mark, at, status });
        let says = says(caller, question, serial);
        let body = match (status, endpoint) {
            (StatusCode::OK, Endpoint::List(_)) => {
                format!(r#"[{{"group_id":7,"name":"{says}","users":null,"workspaces":[3]}}]"#)
            }
            _ => says,
        };
        let mut answer = Response::new(Body::full(body));
        *answer.status_mut() = status;
        for name in OWN {
            let value = serial.to_string().parse().unwrap();
            answer.headers_mut().insert(name, value);
        }
        Ok(answer)
    }

    fn status(&self, caller: Caller, endpoint: Endpoint) -> StatusCode {
        let organization = match endpoint {
            Endpoint::List(list) => list.organization(),
            Endpoint::Change(_) | Endpoint::Me(_) | Endpoint::Read(_) => None,
        };
        let is_refused = || {
            let left = |of| self.left.contains(&(caller.credential, of));
            organization.is_some_and(|organization| left(organization.0))
        };
        let is_known = caller.is_somebody()
            && !(caller.scheme > 0 && self.credentials.contains(&caller.credential))
            && !(caller.session > 0 && self.sessions.contains(&caller.session));
        if self.is_down {
            StatusCode::SERVICE_UNAVAILABLE
        } else if !is_known {
            StatusCode::UNAUTHORIZED
        } else if is_refused() {
            StatusCode::FORBIDDEN
        } else {
            StatusCode::OK
        }
    }

    // Who has just shown what they have is given another, and what they had is worth nothing.
    fn renew(&mut self, caller: Caller, change: Change, question: &str) {
        if change.renews || question.ends_with("/me") {
            self.credentials.insert(caller.credential);
        } else {
            self.sessions.insert(caller.session);
        }
    }
}

impl Service<Call> for Mirror {
    type Response = Answer;
    type Error = ProxyError;
    type Future = BoxFuture<'static, Result<Answer, ProxyError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        Box::pin(self.answer(&call))
    }
}
