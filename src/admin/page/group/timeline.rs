//! All that happened to a group, newest first.

use maud::{Markup, html};

use crate::admin::page::layout;
use crate::admin::page::moment::At;
use crate::domain::action::{Action, Outcome};
use crate::domain::diff::{Change, Field, Kind};
use crate::domain::event::Event;

// So many people of one step are named; the event's own page names all.
const NAMED: usize = 12;

/// A page of it.
pub(super) struct Timeline {
    /// Where the group is.
    pub(super) path: String,
    /// The moment that the page tells of.
    pub(super) at: At,
    /// Whether there is nothing newer.
    pub(super) is_first: bool,
    /// What happened, each the part of it that is about this group.
    pub(super) events: Vec<Event>,
    /// Where it goes on.
    pub(super) next: Option<i64>,
}

// === impl Timeline ===

impl Timeline {
    pub(super) fn shown(&self) -> Markup {
        html! {
            section.panel aria-labelledby="timeline" {
                h2 #timeline { "Timeline" }
                @if self.events.is_empty() {
                    p.empty { "No change of it was recorded: it is known from a list." }
                } @else {
                    p.hint { "A step's time shows the group as that step left it." }
                    ol.timeline { @for event in &self.events { (self.step(event)) } }
                }
                nav.links aria-label="Pages of the timeline" {
                    @if !self.is_first { a href=(self.with(None)) { "Newest" } }
                    @if let Some(next) = self.next { a href=(self.with(Some(next))) rel="next" { "Older" } }
                }
            }
        }
    }

    fn step(&self, event: &Event) -> Markup {
        let then = layout::link(&self.path, &[("at", &event.completed_at)]);
        let is_shown = self.at.query().as_ref() == Some(&event.completed_at);
        html! {
            li aria-current=[is_shown.then_some("step")] {
                p {
                    a href=(then) { (layout::time(&event.occurred_at, false)) }
                    " " (who(event)) " "
                    a href=(layout::event_path(event)) { (event.summary) }
                    @if event.outcome != Outcome::Applied.as_str() {
                        " " span.badge { (event.outcome) }
                    }
                }
                (people(event))
            }
        }
    }

    // The same moment, on another page.
    fn with(&self, before: Option<i64>) -> String {
        let before = before.map(|before| before.to_string());
        let at = self.at.query();
        let mut query = Vec::new();
        query.extend(at.as_deref().map(|at| ("at", at)));
        query.extend(before.as_deref().map(|before| ("before", before)));
        format!("{}#timeline", layout::link(&self.path, &query))
    }
}

fn who(event: &Event) -> Markup {
    html! {
        @if event.action == Action::GroupObserved.as_str() {
            span.who { "Somebody, behind the gateway" }
        } @else {
            (layout::who(event))
        }
    }
}

// Who came and who went.
fn people(event: &Event) -> Markup {
    let changes: Vec<Change> = serde_json::from_value(event.changes.clone()).unwrap_or_default();
    let of = |kind: Kind| {
        let of_kind = move |change: &&Change| change.field == Field::Users && change.change == kind;
        changes.iter().filter(of_kind).collect::<Vec<_>>()
    };
    let (added, removed) = (of(Kind::Added), of(Kind::Removed));
    html! {
        @if !added.is_empty() || !removed.is_empty() {
            ul.diff {
                @for change in added.iter().take(NAMED) { li { ins { "+ " (called(change)) } } }
                @if added.len() > NAMED { li { ins { "+ " (added.len() - NAMED) " more" } } }
                @for change in removed.iter().take(NAMED) { li { del { "− " (called(change)) } } }
                @if removed.len() > NAMED { li { del { "− " (removed.len() - NAMED) " more" } } }
            }
        }
    }
}

fn called(change: &Change) -> String {
    match (&change.label, change.id) {
        (Some(label), _) => label.clone(),
        (None, Some(id)) => format!("user {id}"),
        (None, None) => "somebody".to_owned(),
    }
}
