//! One request on its way: waiting for its turn, let up, counted, answered, perhaps sent once more.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::Either;
use http::header::CACHE_CONTROL;
use http::{HeaderMap, Method, StatusCode};
use http_body::Body as _;
use tokio::time::{Instant, sleep_until};
use tower::{Service, ServiceExt as _};

use super::super::{Answer, Call};
use super::{QuotaLayer, heard};
use crate::domain::endpoint::Endpoint;
use crate::domain::label::Label;
use crate::domain::usage::{Pool, Use};
use crate::error::ProxyError;
use crate::quota::{Exhausted, Heard, Pace, Pass, Priority, Seat};
use crate::repeatable::OnResend;

/// What is asked, of which quota, for whom.
#[derive(Clone)]
pub(super) struct Errand {
    layer: QuotaLayer,
    pub(super) seat: Arc<Seat>,
    pub(super) priority: Priority,
    /// Its place in the line of a spaced token.
    place: Priority,
    tool: Option<Label>,
    endpoint: &'static str,
    /// For a list whose time is over: `freshness` knows what those cost.
    renews: bool,
    began: Instant,
}

/// An [`Errand`] that was let up.
pub(super) struct Going<S> {
    errand: Errand,
    pass: Pass,
    /// The same once more, if it may be sent twice. In a box, as what is carried along and seldom needed.
    again: Option<Box<(S, Call)>>,
}

// What is said where upstream's words are not known.
const NOTHING_LEFT: &str = "Nothing is left of this hour's quota.";

// === impl Errand ===

impl Errand {
    /// `None`: nobody's.
    pub(super) fn of(layer: &QuotaLayer, call: &Call, now: Instant) -> Option<Self> {
        let caller = call.caller.as_ref()?.fingerprint;
        let is_list = matches!(call.endpoint, Endpoint::List(_));
        let (priority, place) = match call.endpoint {
            Endpoint::Change(_) => (Priority::Change, Priority::Change),
            // What a change needs to be recorded is in line with changes, and a read in all else.
            Endpoint::List(_) | Endpoint::Me(_) | Endpoint::Read(_) => {
                let place = call.origin.priority;
                (place.max(Priority::Read), place)
            }
        };
        Some(Self {
            layer: layer.clone(),
            seat: layer.policy.seat(caller, Pool::of_endpoint(&call.endpoint)),
            priority,
            place,
            tool: call.origin.tool.clone(),
            endpoint: call.endpoint.name(),
            renews: is_list && !forces(call.request.headers()),
            began: now,
        })
    }

    /// Lets it go up now, and counts that.
    pub(super) fn go<S: Clone>(
        self,
        inner: &S,
        call: &mut Call,
        now: Instant,
    ) -> Result<Going<S>, ProxyError> {
        let pass = self.admit(now).map_err(|gone| self.refuse(gone, now))?;
        let again = again(call).map(|again| Box::new((inner.clone(), again)));
        self.count_resend(call);
        Ok(Going {
            pass,
            again,
            errand: self,
        })
    }

    /// Waits for its turn, then goes up.
    pub(super) async fn wait<S>(self, mut inner: S, mut call: Call) -> Result<Answer, ProxyError>
    where
        S: Service<Call, Response = Answer, Error = ProxyError, Future: Send + 'static>
            + Clone
            + Send
            + 'static,
    {
        let latest = self.began + self.layer.policy.settings().max_wait;
        match self.seat.spacing.turn(self.place, latest).await {
            Ok(true) => self.layer.metrics.quota_paced("waited"),
            Ok(false) => {}
            Err(retry_after) => {
                self.layer.metrics.quota_paced("refused");
                self.count(Use::Refused, 1, Instant::now());
                return Err(ProxyError::Paced { retry_after });
            }
        }
        let going = self.go(&inner, &mut call, Instant::now())?;
        let result = inner.call(call).await;
        match going.answered(result) {
            Either::Left(result) => result,
            Either::Right(settle) => settle.await,
        }
    }

    fn admit(&self, now: Instant) -> Result<Pass, Exhausted> {
        let pass = self.seat.admit(self.priority, now)?;
        self.spend(now);
        Ok(pass)
    }

    fn spend(&self, now: Instant) {
        self.count(Use::Upstream, 1, now);
        if !self.renews {
            self.seat.spent(now);
        }
    }

    // Over a connection that dies it is sent again further in, and upstream may count that too.
    fn count_resend(&self, call: &mut Call) {
        if call.is_repeatable() {
            let errand = self.clone();
            let on_resend = OnResend::new(move || errand.spend(Instant::now()));
            call.request.extensions_mut().insert(on_resend);
        }
    }

    fn refuse(&self, gone: Exhausted, now: Instant) -> ProxyError {
        self.count(Use::Refused, 1, now);
        self.layer.metrics.quota_refused(self.seat.pool());
        ProxyError::QuotaExhausted {
            message: gone.message.unwrap_or_else(|| NOTHING_LEFT.into()),
            resets_in: gone.resets_in,
        }
    }

    fn count(&self, of: Use, count: i64, now: Instant) {
        self.seat
            .count(self.tool.as_ref(), self.endpoint, of, count, now);
    }

    fn heard(&self, pass: Pass, status: StatusCode, heard: Heard) {
        let told = matches!(heard, Heard::Figures(_) | Heard::Exhausted(_));
        // Figures beside a refusal may be anybody's who made up a credential.
        if told && !matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            self.seat.keep();
        }
        // Only of organizations that upstream knows: anybody can make up a number.
        if let (Heard::Figures(reading), true) = (&heard, status.is_success()) {
            let organization = self.seat.pool().organization();
            self.layer
                .metrics
                .quota_remaining(organization, reading.remaining, reading.resets_at);
        }
        pass.heard(heard, Instant::now());
    }

    fn failed(&self, error: &ProxyError, sent: Instant) {
        // Nobody was there to receive it. It was counted in the hour in which it went.
        if matches!(error, ProxyError::ConnectFailed(_)) {
            self.count(Use::Upstream, -1, sent);
            if !self.renews {
                self.seat.unspent(sent);
            }
        }
    }

    // Takes over what an answer says that is more than a head; and how long upstream wants to be left
    // alone, if it does.
    async fn judge(&self, pass: Pass, answer: Answer) -> (Answer, Option<Duration>) {
        let status = answer.status();
        if status == StatusCode::PAYMENT_REQUIRED {
            let (answer, heard) = heard::payment_required(answer).await;
            if matches!(heard, Heard::Exhausted(_)) {
                self.limited(status);
            }
            self.heard(pass, status, heard);
            return (answer, None);
        }
        let now = Instant::now();
        let wait = heard::limited(status, answer.headers());
        if let Some(wait) = wait {
            self.limited(status);
            self.seat.spacing.limited(wait, now);
        }
        self.heard(pass, status, heard::head(status, answer.headers(), now));
        (answer, wait)
    }

    fn limited(&self, status: StatusCode) {
        self.count(Use::Limited, 1, Instant::now());
        self.layer.metrics.quota_limited(status);
    }

    // Returns when it may be sent once more, if that is in time.
    async fn second_turn(&self, wait: Duration) -> bool {
        let settings = self.layer.policy.settings();
        let latest = self.began + settings.max_wait;
        if settings.pace == Pace::Never {
            let then = Instant::now() + wait;
            if then <= latest {
                sleep_until(then).await;
            }
            return then <= latest;
        }
        self.seat.spacing.turn(self.place, latest).await.is_ok()
    }
}

// === impl Going ===

impl<S> Going<S>
where
    S: Service<Call, Response = Answer, Error = ProxyError, Future: Send + 'static>
        + Send
        + 'static,
{
    /// Takes over what was answered; an answer that has more to it than a head takes a while.
    pub(super) fn answered(
        self,
        result: Result<Answer, ProxyError>,
    ) -> Either<
        Result<Answer, ProxyError>,
        impl Future<Output = Result<Answer, ProxyError>> + Send + 'static,
    > {
        let answer = match result {
            Ok(answer) => answer,
            Err(error) => {
                self.errand.failed(&error, self.pass.sent());
                return Either::Left(Err(error));
            }
        };
        let (status, headers) = (answer.status(), answer.headers());
        if status == StatusCode::PAYMENT_REQUIRED || heard::limited(status, headers).is_some() {
            return Either::Right(self.settle(answer));
        }
        let heard = heard::head(status, headers, Instant::now());
        self.errand.heard(self.pass, status, heard);
        Either::Left(Ok(answer))
    }

    async fn settle(self, answer: Answer) -> Result<Answer, ProxyError> {
        let Self {
            errand,
            pass,
            again,
        } = self;
        let (answer, wait) = errand.judge(pass, answer).await;
        let (Some(again), Some(wait)) = (again, wait) else {
            return Ok(answer);
        };
        let (inner, mut call) = *again;
        if !errand.second_turn(wait).await {
            return Ok(answer);
        }
        let Ok(pass) = errand.admit(Instant::now()) else {
            return Ok(answer);
        };
        let sent = pass.sent();
        errand.count_resend(&mut call);
        match inner.oneshot(call).await {
            Ok(answer) => Ok(errand.judge(pass, answer).await.0),
            Err(error) => {
                errand.failed(&error, sent);
                Err(error)
            }
        }
    }
}

// Whoever wants a list as it is now does not wait for its time to be over.
fn forces(headers: &HeaderMap) -> bool {
    let values = headers.get_all(CACHE_CONTROL).iter();
    let mut texts = values.filter_map(|value| value.to_str().ok());
    texts.any(|text| text.to_ascii_lowercase().contains("no-cache"))
}

// The same request once more, if it may be sent twice and has no body.
fn again(call: &Call) -> Option<Call> {
    let request = &call.request;
    let is_asked_again = matches!(*request.method(), Method::GET | Method::HEAD)
        && call.is_repeatable()
        && request.body().is_end_stream();
    is_asked_again.then(|| call.again())
}
