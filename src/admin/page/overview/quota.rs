//! What the cache saved, and who spent what of the quota.

use std::cmp::Reverse;

use jiff::Timestamp;
use maud::{Markup, html};

use crate::admin::page::layout;
use crate::clock::rfc3339;
use crate::domain::event::Actor;
use crate::domain::spending::{Report, Spending};
use crate::domain::usage::Counts;

// So many of those who spent most.
const MOST: usize = 20;

/// The last 24 hours of the ledger.
pub(super) fn section(report: &Report, now: Timestamp) -> Markup {
    let totals = report.people.iter().map(|spending| spending.total);
    let total = totals.fold(Counts::default(), Counts::plus);
    let asked = total.cached + total.upstream;
    let mut people: Vec<_> = report.people.iter().collect();
    people.sort_by_key(|spending| Reverse(spending.total.upstream));
    html! {
        section.panel aria-labelledby="quota" {
            h2 #quota { "Cache and quota, the last 24 hours" }
            @if people.is_empty() {
                p.empty { "Nothing was asked for: reads are counted once they pass the gateway." }
            } @else {
                ul.numbers {
                    li.good {
                        strong { @if asked > 0 { (100 * total.cached / asked) " %" } @else { "–" } }
                        " of what was asked for came from the cache"
                    }
                    li.good { strong { (total.cached) } " upstream calls saved" }
                    li { strong { (total.upstream) } " upstream calls spent" }
                    li class=(if total.refused == 0 { "plain" } else { "warn" }) {
                        strong { (total.refused) } " refused here, because nothing was left"
                    }
                }
                (table(&people, now))
            }
        }
    }
}

fn table(people: &[&Spending], now: Timestamp) -> Markup {
    html! {
        table.table.ledger {
            caption { "Who spent the quota" }
            thead { tr {
                th scope="col" { "Who" }
                th scope="col" { "Of which quota" }
                th.number scope="col" { "Spent" }
                th.number scope="col" { "Saved" }
                th.number scope="col" { "Left" }
                th scope="col" { "Gone" }
            } }
            tbody { @for spending in people.iter().take(MOST) { (row(spending, now)) } }
        }
        @if people.len() > MOST {
            p.hint { "and " (people.len() - MOST) " more, who spent less" }
        }
    }
}

fn row(spending: &Spending, now: Timestamp) -> Markup {
    let person = spending.person.clone().unwrap_or_default();
    let who = Actor {
        credential_id: spending.credential_ids.first().cloned(),
        user_id: person.user_id,
        email: person.email,
        name: person.name,
        ..Actor::default()
    };
    html! {
        tr {
            th scope="row" { (layout::by(&who)) }
            td { (quota(spending)) }
            td.number data-label="Spent" { (spending.total.upstream) }
            td.number data-label="Saved" { (spending.total.cached) }
            td.number data-label="Left" {
                @match spending.remaining { Some(left) => (left), None => span.hint { "?" } }
            }
            td { (gone(spending, now)) }
        }
    }
}

fn quota(spending: &Spending) -> String {
    match (spending.organization_id, spending.workspace_id) {
        (Some(organization), _) => format!("organization {organization}"),
        (None, Some(workspace)) => format!("workspace {workspace}"),
        (None, None) => spending.quota.to_owned(),
    }
}

// When nothing will be left, and when there will be more.
fn gone(spending: &Spending, now: Timestamp) -> Markup {
    let time = |at: Timestamp| layout::time(&rfc3339(at), true);
    html! {
        @match (spending.gone_at, spending.resets_at) {
            (Some(gone), Some(resets)) if gone <= now => {
                span.badge { "gone" } " more comes " (time(resets))
            },
            (Some(gone), _) => { "at this rate " (time(gone)) },
            (None, Some(resets)) => { span.hint { "lasts; more " (time(resets)) } },
            (None, None) => span.hint { "not known" },
        }
    }
}
