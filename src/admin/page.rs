//! The pages: rendered here, with files that are part of the binary; a little script for what is live.
//!
//! **Guarantee**: whatever stands in the trail is shown as text. Templates escape all that they are handed,
//! and [the policy](super::edge) would stop a script that got through.

mod assets;
mod change;
mod changes;
mod difference;
mod group;
mod groups;
mod layout;
mod moment;
mod overview;
mod people;
mod rows;

use axum::Router;
use axum::routing::get;
use maud::{DOCTYPE, Markup, html};

pub(super) use self::layout::problem;
use super::Admin;

/// The pages behind the login.
pub(super) fn router() -> Router<Admin> {
    Router::new()
        .route("/", get(changes::changes))
        .route("/rows", get(changes::rows))
        .route("/events/{id}", get(change::change))
        .route("/groups", get(groups::organizations))
        .route("/organizations/{organization}/groups", get(groups::groups))
        .route(
            "/organizations/{organization}/groups/{group}",
            get(group::group),
        )
        .route("/overview", get(overview::overview))
}

/// What pages are made of and everybody may have.
pub(super) fn assets() -> Router<Admin> {
    assets::router()
}

/// The form for a token; `next` is where it leads, `wrong` what was wrong with the last one.
pub(super) fn login(next: &str, wrong: Option<&str>) -> Markup {
    layout::bare(
        "Log in",
        &html! {
            main.login {
                h1 { "Tollgate" }
                form method="post" action="/login" {
                    input type="hidden" name="next" value=(next);
                    // For password managers, which keep a token under a name.
                    input type="text" name="username" value="tollgate" autocomplete="username" hidden;
                    label for="token" { "Token" }
                    input #token type="password" name="token" required autofocus autocomplete="current-password"
                        aria-describedby=[wrong.map(|_| "wrong")];
                    @if let Some(wrong) = wrong {
                        p #wrong.wrong role="alert" { (wrong) }
                    }
                    button type="submit" { "Log in" }
                }
                p.hint {
                    "The token was made when this gateway first started, and is kept in "
                    code { "tollgate.token" } " beside its key."
                }
            }
        },
    )
}

/// A page that asks for the page `again`, now from here.
pub(super) fn once_more(again: &str) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="refresh" content=(format!("0;url={again}"));
                title { "Tollgate" }
            }
            body { a href=(again) { "Go on" } }
        }
    }
}
