//! The form that takes a token and begins a session.
//!
//! The link that a new gateway prints has the token behind a `#`, which browsers send to nobody: the page's
//! script puts it into the form. It does not send it: else a link of somebody else's would log people in as
//! somebody else, or try wrong tokens in their name.

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, FromRequest, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::CookieJar;
use serde::Deserialize;

use super::access::{COOKIE, IsForeign, Source, WINDOW, ours};
use super::api::Asked;
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

/// The form, or the problem with it.
#[derive(FromRequest)]
#[from_request(via(Form), rejection(Problem))]
pub(super) struct Sent<T>(T);

impl From<FormRejection> for Problem {
    fn from(rejection: FormRejection) -> Self {
        Self::bad_request(rejection.body_text())
    }
}

pub(super) async fn form(Asked(wanted): Asked<Wanted>) -> Response {
    page::login(&ours(wanted.next), None).into_response()
}

pub(super) async fn log_in(
    State(admin): State<Admin>,
    cookies: CookieJar,
    source: Source,
    uri: Uri,
    is_foreign: IsForeign,
    Sent(filled): Sent<Filled>,
) -> Response {
    let next = ours(filled.next);
    let again = |problem: &Problem| {
        (problem.status(), page::login(&next, Some(problem.detail()))).into_response()
    };
    if is_foreign.0 {
        return again(&Problem::forbidden(
            "this form came from another site's page; fill in this one",
        ));
    }
    let now = admin.clock.now();
    let draft = match admin.access.recognize(filled.token.trim(), source.address) {
        Ok(known) => {
            let operator = source.operator(&known.principal, "POST", uri.path());
            let Some(cookie) = admin.access.sessions.begin(known, source.is_secure) else {
                return StatusCode::INTERNAL_SERVER_ERROR.into_response();
            };
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
        Err(_) => own::login_refused(&source.somebody(None, "POST", uri.path()), now),
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
