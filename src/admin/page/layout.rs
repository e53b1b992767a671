//! What all pages have in common: the frame, the way between them, and how times, people and groups look.

use maud::{DOCTYPE, Markup, html};

use super::assets;
use crate::admin::access::Principal;
use crate::admin::problem::Problem;
use crate::domain::event::{Actor, Event};
use crate::domain::ids::{GroupId, OrganizationId};

/// Where somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Changes,
    Groups,
    Overview,
}

const PLACES: [(Place, &str, &str); 3] = [
    (Place::Changes, "/", "Changes"),
    (Place::Groups, "/groups", "Groups"),
    (Place::Overview, "/overview", "Overview"),
];

/// A page behind the login.
pub(super) fn page(principal: &Principal, place: Place, title: &str, body: &Markup) -> Markup {
    bare(
        title,
        &html! {
            a.skip href="#content" { "Skip to the content" }
            header.top {
                a.brand href="/" { img src=(assets::ICON.path()) alt="" width="24" height="24"; "Tollgate" }
                nav aria-label="Pages" {
                    @for (here, path, name) in PLACES {
                        a href=(path) aria-current=[(here == place).then_some("page")] { (name) }
                    }
                }
                form.out method="post" action="/logout" {
                    span.me title="Whose token this is" { (principal.name) }
                    button type="submit" { "Log out" }
                }
            }
            main #content { (body) }
        },
    )
}

/// A page without navigation.
pub(super) fn bare(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Tollgate" }
                link rel="icon" href=(assets::ICON.path()) type="image/svg+xml";
                link rel="stylesheet" href=(assets::STYLE.path());
                script src=(assets::SCRIPT.path()) defer {}
            }
            body { (body) }
        }
    }
}

/// What went wrong, for people.
pub(in crate::admin) fn problem(problem: &Problem) -> Markup {
    bare(
        problem.title(),
        &html! {
            main.alone {
                h1 { (problem.title()) }
                p { (problem.detail()) }
                @if let Some(id) = &problem.request_id {
                    p.hint { "Request " code { (id) } }
                }
                p { a href="/" { "All changes" } }
            }
        },
    )
}

/// A time as it is stored. Written in UTC here, the page's script shows it as the reader's clock would; with
/// `relative`, from now.
pub(super) fn time(stored: &str, relative: bool) -> Markup {
    let seconds = stored.get(..19).unwrap_or(stored).replacen('T', " ", 1);
    html! {
        time datetime=(stored) title=(stored) data-relative[relative] { (seconds) " UTC" }
    }
}

/// What finds all that somebody did: the surest that is known of them.
pub(super) fn found_by(actor: &Actor) -> Option<String> {
    let number = actor.user_id.map(|id| id.to_string());
    number
        .or_else(|| actor.email.clone())
        .or_else(|| actor.name.clone())
        .or_else(|| actor.credential_id.clone())
}

/// Who it was, leading to all that they did.
pub(super) fn who(event: &Event) -> Markup {
    by(&event.actor)
}

/// The same of somebody of whom there is no whole event.
pub(super) fn by(actor: &Actor) -> Markup {
    // Of what was noticed in a list, nobody here knows who did it.
    let name = actor.best_name();
    let name = name.unwrap_or_else(|| "somebody elsewhere".to_owned());
    html! {
        @match found_by(actor) {
            Some(found) => a.who href=(link("/", &[("actor", &found)])) { (name) },
            None => span.who { (name) },
        }
        @if let Some(person) = &actor.on_behalf_of { " for " (person) }
        @if let Some(tool) = actor.tool.as_ref().filter(|tool| **tool != name) {
            " " span.tool { "via " (tool) }
        }
    }
}

/// Where a group's life is told.
pub(super) fn group_path(organization: OrganizationId, group: GroupId) -> String {
    format!("/organizations/{organization}/groups/{group}")
}

/// Where an event is told.
pub(super) fn event_path(event: &Event) -> String {
    format!("/events/{}", event.id)
}

/// An address with a query.
pub(super) fn link(path: &str, query: &[(&str, &str)]) -> String {
    let mut pairs = form_urlencoded::Serializer::new(String::new());
    pairs.extend_pairs(query);
    let query = pairs.finish();
    if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{query}")
    }
}
