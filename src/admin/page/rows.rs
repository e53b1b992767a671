//! Events as lines: when, who, what, and how it ended.

use maud::{Markup, html};

use super::difference::sentence;
use super::layout::{event_path, group_path, time, who};
use crate::domain::action::Action;
use crate::domain::event::Event;

const OBSERVED: &str = Action::GroupObserved.as_str();

/// One event on a line.
pub(super) fn row(event: &Event) -> Markup {
    html! {
        li.row data-seq=(event.seq) {
            a.when href=(event_path(event)) { (time(&event.occurred_at, true)) }
            span.by { (who(event)) }
            span.what { (group(event)) (sentence(event)) }
            (outcome(event))
        }
    }
}

// The group comes first, because that is what people look for.
fn group(event: &Event) -> Markup {
    let target = &event.target;
    let Some(id) = target.group_id else {
        return html! {};
    };
    let name = target
        .group_name
        .clone()
        .unwrap_or_else(|| format!("group {id}"));
    html! {
        @match target.organization_id {
            Some(organization) => a.group href=(group_path(organization, id)) { (name) },
            None => span.group { (name) },
        }
        " "
    }
}

/// How it ended, as a word; the whole sentence behind it.
pub(super) fn outcome(event: &Event) -> Markup {
    let (class, word) = match event.outcome.as_str() {
        // Nobody here asked for it: it was found in a list.
        _ if event.action == OBSERVED => ("badge warn", "observed"),
        "applied" => ("badge good", "applied"),
        "rejected" => ("badge bad", "rejected"),
        "not_sent" => ("badge bad", "not sent"),
        other => ("badge warn", other),
    };
    html! { span class=(class) title=(event.summary) { (word) } }
}
