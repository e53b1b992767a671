//! Who may see and do what.
//!
//! **Guarantees**: nothing behind [`require`] is reached without a token, or a session that was begun with
//! one; also what does not exist, so that a stranger does not learn what does. A token for some
//! organizations sees nothing of others: [`Principal::sees`] and [`Principal::within`] are the two questions
//! that every answer asks. Wrong tokens are counted by address, the one behind trusted proxies,
//! and above a bound not even looked at. With other [tokens](Access::set) what was begun with those before ends.
//! What changes state is taken from our own pages alone where the browser sends a cookie by itself.

mod attempts;
mod origin;
mod sessions;
mod source;
mod tokens;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::CookieJar;
use futures_util::StreamExt as _;
use tokio_util::sync::CancellationToken;

use self::attempts::Attempts;
pub(super) use self::attempts::WINDOW;
pub(super) use self::origin::IsForeign;
use self::origin::is_foreign;
pub(super) use self::sessions::COOKIE;
use self::sessions::Sessions;
pub(super) use self::source::Source;
pub use self::tokens::{Token, Tokens};
use super::edge::accepts_page;
use super::problem::Problem;
use super::{Admin, page};
use crate::config::Role;
use crate::domain::event::Event;
use crate::domain::ids::OrganizationId;
use crate::domain::proxies::Proxies;
use crate::live::Live;

/// Who is known, and how. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Access {
    tokens: Live<Valid>,
    pub(super) sessions: Sessions,
    attempts: Attempts,
    proxies: Proxies,
}

/// Tokens, and the moment at which others take their place.
#[derive(Debug)]
struct Valid {
    tokens: Tokens,
    until: CancellationToken,
}

/// A [`Principal`], for as long as the tokens are those of then.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) principal: Principal,
    until: CancellationToken,
}

/// Whoever has one of the tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Whose token it is, as the trail names it.
    pub name: Arc<str>,
    /// What it allows.
    pub role: Role,
    /// The organizations it is for; `None`: all, and what belongs to none.
    pub organizations: Option<Arc<[OrganizationId]>>,
}

/// A [`Principal`] who may act.
pub(super) struct Administrator(pub(super) Principal);

// === impl Access ===

impl Access {
    /// Those who have one of `tokens`. `secure`: the page is served under TLS, so that a session's cookie is
    /// to go nowhere else. `proxies` are believed when they tell whom they speak for.
    #[must_use]
    pub fn new(tokens: Tokens, secure: bool, proxies: Proxies) -> Self {
        Self {
            tokens: Valid::new(tokens).into(),
            sessions: Sessions::new(secure),
            attempts: Attempts::new(),
            proxies,
        }
    }

    /// The tokens of this moment.
    #[must_use]
    pub fn tokens(&self) -> Tokens {
        self.tokens.read().tokens.clone()
    }

    /// From now on those who have one of `tokens` are known, and nobody else. Where they differ from those before,
    /// all sessions and streams end: each began with a token that may be worth nothing now.
    pub fn set(&self, tokens: Tokens) {
        if self.tokens.read().tokens != tokens {
            self.tokens.replace(Valid::new(tokens)).until.cancel();
        }
    }

    /// From where somebody asks, behind proxies that are trusted to tell it.
    pub(super) fn address_of(&self, extensions: &Extensions, headers: &HeaderMap) -> IpAddr {
        let peer = extensions.get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |ConnectInfo(peer)| peer.ip());
        self.proxies.client(peer, headers)
    }

    /// Whom a token stands for that came from `address`.
    ///
    /// # Errors
    ///
    /// The answer, if it stands for nobody, or if too many came from there that did.
    pub(super) fn recognize(&self, token: &str, address: IpAddr) -> Result<Known, Problem> {
        if !self.attempts.may_try(address) {
            return Err(Problem::too_many_attempts(WINDOW));
        }
        let valid = self.tokens.read();
        let known = |principal: &Principal| Known {
            principal: principal.clone(),
            until: valid.until.clone(),
        };
        valid.tokens.recognize(token).map(known).ok_or_else(|| {
            self.attempts.failed(address);
            tracing::warn!(%address, "A wrong token was sent to the admin side");
            Problem::unauthorized("this is no token of this gateway")
        })
    }
}

// === impl Valid ===

impl Valid {
    fn new(tokens: Tokens) -> Self {
        Self {
            tokens,
            until: CancellationToken::new(),
        }
    }
}

// === impl Known ===

impl Known {
    /// Whether the tokens are still those of then.
    fn is_valid(&self) -> bool {
        !self.until.is_cancelled()
    }
}

// === impl Principal ===

impl Principal {
    /// Whether an event may be shown to them.
    pub(super) fn sees(&self, event: &Event) -> bool {
        self.organizations.as_ref().is_none_or(|mine| {
            let organization = event.target.organization_id;
            organization.is_some_and(|organization| mine.contains(&organization))
        })
    }

    /// The organizations to keep an answer within.
    pub(super) fn within(&self) -> Option<Vec<OrganizationId>> {
        self.organizations.as_deref().map(<[_]>::to_vec)
    }

    /// Whether they may see an organization.
    ///
    /// # Errors
    ///
    /// The answer if they may not.
    pub(super) fn may_see(&self, organization: OrganizationId) -> Result<(), Problem> {
        match &self.organizations {
            Some(mine) if !mine.contains(&organization) => Err(Problem::forbidden(format!(
                "this token is not for organization {organization}"
            ))),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether they may see what is of the whole gateway.
    ///
    /// # Errors
    ///
    /// The answer if they may not.
    pub(super) fn may_see_all(&self) -> Result<(), Problem> {
        match self.organizations {
            Some(_) => Err(Problem::forbidden(
                "this token is for some organizations, and this is about all of them",
            )),
            None => Ok(()),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Principal {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Not there only if a route was put outside of `require`: it is closed then, not open.
        let principal = parts.extensions.get::<Self>().cloned();
        principal.ok_or_else(|| Problem::unauthorized(SAY_WHO))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Administrator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let principal = Principal::from_request_parts(parts, state).await?;
        match principal.role {
            Role::Admin => Ok(Self(principal)),
            Role::Reader => Err(Problem::forbidden(
                "this token may read; what changes something takes one with the role admin",
            )),
        }
    }
}

const SAY_WHO: &str =
    "send a token of the admin side as Authorization: Bearer TOKEN, or log in at /login";

/// Lets a request through that has a token or a session, with its [`Principal`].
pub(super) async fn require(
    State(admin): State<Admin>,
    cookies: CookieJar,
    mut request: Request,
    next: Next,
) -> Response {
    let Known { principal, until } = match bearer(request.headers()) {
        // A header that holds none, or another kind of credential, is no guess.
        Some("") => return refuse(&request),
        Some(token) => {
            let address = admin
                .access
                .address_of(request.extensions(), request.headers());
            match admin.access.recognize(token, address) {
                Ok(known) => known,
                Err(problem) => return problem.into_response(),
            }
        }
        None => {
            let session = cookies
                .get(COOKIE)
                .map(axum_extra::extract::cookie::Cookie::value);
            match session.and_then(|id| admin.access.sessions.get(id)) {
                // A browser sends the cookie whoever made it send the request.
                Some(_) if is_for_ours_alone(&request) && is_foreign(&request) => {
                    return Problem::forbidden("this came from another site's page")
                        .into_response();
                }
                Some(known) => known,
                None => return refuse(&request),
            }
        }
    };
    request.extensions_mut().insert(principal);
    let answer = next.run(request).await;
    if !is_stream(&answer) {
        return answer;
    }
    // What goes on for minutes is not to outlive its token.
    answer.map(|body| {
        let until = until.cancelled_owned();
        Body::from_stream(body.into_data_stream().take_until(until))
    })
}

fn is_stream(answer: &Response) -> bool {
    let kind = answer.headers().get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}

// What changes something, an export's event included, and what answers with data; but not a page, which a link
// may lead to.
fn is_for_ours_alone(request: &Request) -> bool {
    !request.method().is_safe() || request.uri().path().starts_with("/api/")
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?;
    // What cannot be read is a wrong token, not none.
    let (scheme, token) = value
        .to_str()
        .unwrap_or_default()
        .split_once(' ')
        .unwrap_or_default();
    Some(if scheme.eq_ignore_ascii_case("bearer") {
        token.trim()
    } else {
        ""
    })
}

// People are shown the form, and come back to where they wanted to go; scripts are told.
fn refuse(request: &Request) -> Response {
    let wants_page = request.method() == Method::GET
        && !request.uri().path().starts_with("/api/")
        && accepts_page(request.headers());
    if !wants_page {
        return Problem::unauthorized(SAY_WHO).into_response();
    }
    // The cookie is not sent along a link in somebody's mail or chat, but it is from a page of ours: which
    // asks for the same address once more.
    let site = request.headers().get("sec-fetch-site");
    if site.is_some_and(|site| site == "cross-site") {
        return page::once_more(&ours(path_of(request))).into_response();
    }
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("next", &ours(path_of(request)));
    Redirect::to(&format!("/login?{}", query.finish())).into_response()
}

fn path_of(request: &Request) -> Option<String> {
    request.uri().path_and_query().map(ToString::to_string)
}

/// A page of ours, or the first one: never another site's, however it is written.
pub(super) fn ours(next: Option<String>) -> String {
    next.filter(|next| {
        let mut bytes = next.bytes();
        bytes.next() == Some(b'/')
            && !matches!(bytes.next(), Some(b'/' | b'\\'))
            && next.bytes().all(|byte| byte.is_ascii_graphic())
    })
    .unwrap_or_else(|| "/".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_to_our_own_pages_alone() {
        for next in ["/", "/?actor=Ann&q=a%20b", "/groups/1/7"] {
            assert_eq!(ours(Some(next.to_owned())), next);
        }
        for next in [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example/",
            "javascript:alert(1)",
            "/a\r\nset-cookie: b",
            "/\t/evil.example",
        ] {
            assert_eq!(ours(Some(next.to_owned())), "/", "{next:?}");
        }
    }
}
