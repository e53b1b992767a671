//! The form that takes a token and begins a session.
//!
//! The link that a new gateway prints has the token behind a `#`, which browsers send to nobody: the page's
//! script puts it into the form.

use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::CookieJar;
use serde::Deserialize;

use super::access::{COOKIE, Source, WINDOW, is_foreign};
use super::problem::Problem;
use super::{Admin, Principal, page};
use crate::domain::own;

#[derive(Debug, Default, Deserialize)]
pub(super) struct Wanted {
    /// The page that somebody was on the way to.
    next: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Filled {
    token: String,
    next: Option<String>,
}

pub(super) async fn form(Query(wanted): Query<Wanted>) -> Response {
    page::login(&ours(wanted.next), None).into_response()
}

pub(super) async fn log_in(
    State(admin): State<Admin>,
    cookies: CookieJar,
    source: Source,
    uri: Uri,
    headers: HeaderMap,
    Form(filled): Form<Filled>,
) -> Response {
    let next = ours(filled.next);
    let again = |problem: &Problem| {
        (problem.status(), page::login(&next, Some(problem.detail()))).into_response()
    };
    if is_foreign(&headers) {
        return again(&Problem::forbidden(
            "this form came from another site's page; fill in this one",
        ));
    }
    let now = admin.clock.now();
    let draft = match admin.access.recognize(filled.token.trim(), source.address) {
        Ok(principal) => {
            let Some(cookie) = admin.access.sessions.begin(principal.clone()) else {
                return StatusCode::INTERNAL_SERVER_ERROR.into_response();
            };
            let operator = source.operator(&principal, "POST", &uri);
            // Who cannot be recorded is let in all the same: they may be the one who comes to mend it.
            record(&admin, own::logged_in(&operator, now)).await;
            return (cookies.add(cookie), Redirect::to(&next)).into_response();
        }
        // Above the bound nothing is looked at, and nothing written: a flood is not to fill the trail.
        Err(problem) if problem.status() == StatusCode::TOO_MANY_REQUESTS => {
            let mut answer = again(&problem);
            answer
                .headers_mut()
                .insert(axum::http::header::RETRY_AFTER, WINDOW.into());
            return answer;
        }
        Err(_) => own::login_refused(&source.somebody(None, "POST", &uri), now),
    };
    record(&admin, draft).await;
    again(&Problem::unauthorized("this is no token of this gateway"))
}

pub(super) async fn log_out(
    State(admin): State<Admin>,
    cookies: CookieJar,
    _: Principal,
) -> Response {
    let removal = cookies
        .get(COOKIE)
        .map(|cookie| admin.access.sessions.end(cookie.value()));
    let cookies = match removal {
        Some(removal) => cookies.add(removal),
        None => cookies,
    };
    (cookies, Redirect::to("/login")).into_response()
}

async fn record(admin: &Admin, draft: crate::domain::event::Draft) {
    if let Err(error) = admin.trail.complete(draft, vec![]).await {
        tracing::warn!(%error, "A login could not be recorded");
    }
}

// A page of ours, or the first one: never another site's, however it is written.
fn ours(next: Option<String>) -> String {
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
