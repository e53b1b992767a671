//! `[[watch]]`: fetches an organization's groups regularly, so that what somebody does elsewhere is
//! noticed though nobody reads.
//!
//! **Guarantees** (DESIGN §4, §5). A round is one fetch of the whole list, through the same cache as
//! everybody's: what it tells is stored, learned and compared there. It accepts no kept list, and it
//! leaves the reserve to the changes: with no more than `quota.reserve` requests left, the round is
//! skipped. The credential stands in its file alone, which is read for each round, so that a new one
//! needs no restart; no log shows it.
//!
//! That it fails is told once, when it begins, and that it works again as well.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CACHE_CONTROL, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;

use crate::body::Body;
use crate::clock::Clock;
use crate::domain::caller::{Caller, Key};
use crate::domain::endpoint::{Endpoint, List};
use crate::domain::ids::OrganizationId;
use crate::error::ProxyError;
use crate::layers::{Answer, Call, Origin, RequestId};
use crate::quota::{Pool, Priority, Quota};
use crate::secret_file;

/// See the [module](self). One of the table's entries.
pub struct Watch {
    /// Whose groups.
    pub organization: OrganizationId,
    /// Where the credential stands.
    pub credential_file: PathBuf,
    /// From one round to the next.
    pub every: Duration,
    /// What is left.
    pub quota: Quota,
    /// Fingerprints the credential.
    pub key: Key,
    /// When.
    pub clock: Clock,
    /// The way to upstream, by the cache.
    pub lists: BoxCloneSyncService<Call, Answer, ProxyError>,
}

/// What a round came to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Round {
    Fetched,
    /// The quota is for changes now.
    Reserved,
    Failed(String),
}

// === impl Watch ===

impl Watch {
    /// Fetches at once and then regularly, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut rounds = interval(self.every);
        // After a pause of the machine one round is enough.
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = Round::Fetched;
        loop {
            let round = async {
                rounds.tick().await;
                self.round().await
            };
            let round = tokio::select! {
                () = stop.cancelled() => return,
                round = round => round,
            };
            self.tell(&last, &round);
            last = round;
        }
    }

    async fn round(&self) -> Round {
        let authorization = match authorization(&self.credential_file) {
            Ok(authorization) => authorization,
            Err(error) => return Round::Failed(format!("{error:#}")),
        };
        let Some(call) = self.call(authorization) else {
            return Round::Failed("the request cannot be made".to_owned());
        };
        let pool = Pool::Organization(self.organization);
        let affords = |caller: &Caller| {
            let reserve = self.quota.settings().reserve;
            self.quota
                .affords(caller.fingerprint, pool, reserve, Instant::now())
        };
        if !call.caller.as_ref().is_some_and(affords) {
            return Round::Reserved;
        }
        match self.lists.clone().oneshot(call).await {
            Ok(answer) if answer.status() == StatusCode::OK => Round::Fetched,
            Ok(answer) => Round::Failed(format!("upstream answered {}", answer.status())),
            Err(error) => Round::Failed(error.to_string()),
        }
    }

    fn call(&self, authorization: HeaderValue) -> Option<Call> {
        let organization = self.organization;
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = format!("/api/v9/organizations/{organization}/groups")
            .parse()
            .ok()?;
        let agent = concat!("tollgate/", env!("CARGO_PKG_VERSION"), " (watch)");
        *request.headers_mut() = HeaderMap::from_iter([
            (AUTHORIZATION, authorization),
            (
                CACHE_CONTROL,
                HeaderValue::from_static("no-cache, max-stale=0"),
            ),
            (ACCEPT, HeaderValue::from_static("application/json")),
            (ACCEPT_ENCODING, HeaderValue::from_static("gzip")),
            (USER_AGENT, HeaderValue::from_static(agent)),
        ]);
        let caller = Caller::of(request.headers(), &self.key)?;
        let received_at = self.clock.now();
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Some(Call {
            endpoint: Endpoint::List(List::Organization(organization)),
            caller: Some(caller),
            request,
            origin: Origin {
                request_id: RequestId::of(None, received_at),
                peer: here,
                client: here,
                received_at,
                started: Instant::now(),
                tool: None,
                on_behalf_of: None,
                priority: Priority::Refresh,
            },
        })
    }

    fn tell(&self, last: &Round, round: &Round) {
        let organization = self.organization;
        match round {
            _ if last == round => {}
            Round::Failed(reason) => tracing::warn!(
                organization.id = %organization,
                "The groups of organization {organization} are not watched: {reason}"
            ),
            Round::Fetched => tracing::info!(
                organization.id = %organization,
                "The groups of organization {organization} are watched again"
            ),
            Round::Reserved => tracing::info!(
                organization.id = %organization,
                "The groups of organization {organization} are not watched: what is left of the quota is for changes"
            ),
        }
    }
}

/// What the credential in a file is sent as: one line, `EMAIL:PASSWORD` or an API token.
///
/// # Errors
///
/// When the file cannot be read, or holds anything else. What it holds is not told.
pub fn authorization(path: &Path) -> anyhow::Result<HeaderValue> {
    let line = secret_file::read_line(path, "the credential_file of a [[watch]]")?;
    let pair = if line.contains(':') {
        line
    } else {
        format!("{line}:api_token")
    };
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair)))
        .context("a credential that cannot stand in a header")?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_credential_is_a_token_or_a_pair_on_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credential");
        let read = |text: &str| {
            fs::write(&path, text).unwrap();
            let value = authorization(&path);
            value.map(|value| {
                let coded = value
                    .to_str()
                    .unwrap()
                    .strip_prefix("Basic ")
                    .unwrap()
                    .to_owned();
                String::from_utf8(STANDARD.decode(coded).unwrap()).unwrap()
            })
        };
        assert_eq!(read("s3cret\n").unwrap(), "s3cret:api_token");
        assert_eq!(
            read("ann@acme.example:a:b").unwrap(),
            "ann@acme.example:a:b"
        );
        for wrong in ["", "\n", "one\ntwo\n"] {
            let error = format!("{:#}", read(wrong).unwrap_err());
            assert!(
                error.contains("one line") && !error.contains("two"),
                "{error}"
            );
        }
        fs::remove_file(&path).unwrap();
        assert!(authorization(&path).is_err());
    }
}
