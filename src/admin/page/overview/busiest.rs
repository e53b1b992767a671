//! Who changed most, and what was changed most.

use jiff::civil::Date;
use maud::{Markup, html};

use crate::admin::page::layout;
use crate::admin::tally::{GroupKey, Times, Who};

/// The busiest people.
pub(super) fn people(people: &[(Who, Times)], others: u64, since: Date) -> Markup {
    let rows = people.iter().map(|(who, times)| {
        let (id, stand_in) = match who {
            Who::User(id) => (id.to_string(), format!("user {id}")),
            Who::Credential(id) => {
                let id = id.to_string();
                let short = id.chars().take(12).collect();
                (id, short)
            }
        };
        let path = layout::link("/", &[("actor", &id), ("since", &since.to_string())]);
        let name = times.name.as_deref().unwrap_or(&stand_in);
        (html! { a href=(path) { (name) } }, times.count)
    });
    section("people", "Busiest people", rows.collect(), others)
}

/// The busiest groups.
pub(super) fn groups(groups: &[(GroupKey, Times)], others: u64) -> Markup {
    let rows = groups.iter().map(|((organization, group), times)| {
        let stand_in = format!("Group {group}");
        let name = times.name.as_deref().unwrap_or(&stand_in);
        let shown = match organization {
            Some(organization) => html! {
                a href=(layout::group_path(*organization, *group)) { (name) }
                " " span.hint { "organization " (organization) }
            },
            None => {
                html! { a href=(layout::link("/", &[("group", &group.to_string())])) { (name) } }
            }
        };
        (shown, times.count)
    });
    section("groups", "Busiest groups", rows.collect(), others)
}

fn section(id: &str, title: &str, rows: Vec<(Markup, u64)>, others: u64) -> Markup {
    html! {
        section.panel aria-labelledby=(id) {
            h2 id=(id) { (title) }
            @if rows.is_empty() {
                p.empty { "None in these days." }
            } @else {
                table.table {
                    thead { tr {
                        th scope="col" { "Who or what" }
                        th.number scope="col" { "Changes" }
                    } }
                    tbody {
                        @for (shown, count) in &rows {
                            tr { th scope="row" { (shown) } td.number { (count) } }
                        }
                        @if others > 0 {
                            tr { th.hint scope="row" { "others, not kept apart" } td.number { (others) } }
                        }
                    }
                }
            }
        }
    }
}
