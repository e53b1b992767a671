//! The last thirty days at a glance: what was changed, by whom, what went wrong, and what became of the quota.
//!
//! **Guarantee**: nothing here walks the trail. The counts are the [tally](crate::admin::tally)'s, of the
//! organizations that the token is for; upstream's health is of all, and shown to those who may see all.

mod busiest;
mod chart;
mod quota;

use axum::extract::State;
use jiff::SignedDuration;
use jiff::Timestamp;
use jiff::civil::Date;
use maud::{Markup, html};

use super::layout::{self, Place};
use crate::admin::Admin;
use crate::admin::access::Principal;
use crate::admin::problem::Problem;
use crate::admin::tally::{DAYS, Kind, Sums, Told};
use crate::domain::action::{Action, Outcome};
use crate::metrics::{Took, Upstream};

/// How they ended, as the chart stacks them.
const APPLIED: [Outcome; 2] = [Outcome::Applied, Outcome::Partial];
const REFUSED: [Outcome; 2] = [Outcome::Rejected, Outcome::NotSent];
const UNKNOWN: [Outcome; 1] = [Outcome::Unknown];

// So many of the busiest.
const MOST: usize = 10;

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// The overview.
pub(super) async fn overview(
    State(admin): State<Admin>,
    principal: Principal,
) -> Result<Markup, Problem> {
    let within = principal.organizations.as_deref();
    let told = admin.tally.told(within, MOST).await?;
    let now = admin.clock.now();
    let day_before = now.checked_sub(DAY).unwrap_or(Timestamp::MIN);
    let report = admin.spent(&principal, day_before).await?;
    let total = Sums::total(told.days.iter().map(|(_, sums)| sums));
    let since = told.days.first().map(|(day, _)| *day).unwrap_or_default();
    let body = html! {
        h1 { "Overview" }
        @if !told.is_whole {
            p.badge role="status" { "Still counting: this is what was read so far. Reload for more." }
        }
        section.panel aria-labelledby="changes" {
            h2 #changes { "Changes of groups and memberships, the last " (DAYS) " days" }
            @if total == Sums::default() && told.is_whole {
                p.empty {
                    "Nothing was changed: changes are counted once they pass the gateway. Point a tool at it."
                }
            } @else {
                (numbers(&total, since))
                (chart::chart(&told.days))
            }
        }
        (busiest(&told, since))
        (quota::section(&report, now))
        @if principal.organizations.is_none() { (upstream(admin.metrics.upstream())) }
    };
    Ok(layout::page(&principal, Place::Overview, "Overview", &body))
}

fn busiest(told: &Told, since: Date) -> Markup {
    html! {
        div.beside {
            (busiest::people(&told.people, told.other_people, since))
            (busiest::groups(&told.groups, told.other_groups))
        }
    }
}

// Each leads to what it counts.
fn numbers(total: &Sums, since: Date) -> Markup {
    let of = |outcomes: &[Outcome]| total.of(Kind::Change, outcomes);
    let since = since.to_string();
    let with =
        |name: &'static str, value: &str| layout::link("/", &[(name, value), ("since", &since)]);
    let ended = |outcome: Outcome| with("outcome", outcome.as_str());
    let numbers = [
        (
            "applied",
            "good",
            of(&[Outcome::Applied]),
            ended(Outcome::Applied),
        ),
        (
            "applied in part",
            "warn",
            of(&[Outcome::Partial]),
            ended(Outcome::Partial),
        ),
        (
            "refused upstream",
            "bad",
            of(&[Outcome::Rejected]),
            ended(Outcome::Rejected),
        ),
        (
            "not sent",
            "bad",
            of(&[Outcome::NotSent]),
            ended(Outcome::NotSent),
        ),
        (
            "outcome unknown",
            "warn",
            of(&UNKNOWN),
            ended(Outcome::Unknown),
        ),
        (
            "made behind the gateway",
            "warn",
            total.all(Kind::Observed),
            with("action", Action::GroupObserved.as_str()),
        ),
        (
            "other writes",
            "plain",
            total.all(Kind::Other),
            with("action", Action::ApiWrite.as_str()),
        ),
    ];
    html! {
        ul.numbers {
            @for (what, look, count, path) in numbers {
                li class=(if count == 0 { "plain" } else { look }) {
                    a href=(path) { strong { (count) } " " (what) }
                }
            }
        }
    }
}

fn upstream(upstream: Upstream) -> Markup {
    html! {
        section.panel aria-labelledby="upstream" {
            h2 #upstream { "Upstream, since this gateway started" }
            @if let (Some(half), Some(most)) = (upstream.half, upstream.most) {
                ul.numbers {
                    li { strong { (upstream.requests) } " requests sent" }
                    li class=(if upstream.failed == 0 { "plain" } else { "bad" }) {
                        strong { (upstream.failed) } " failed: no answer, or 5xx"
                    }
                    li { (took(half)) " to half of the answers" }
                    li { (took(most)) " to 99 of 100 answers" }
                }
            } @else {
                p.empty { "Nothing was asked of it yet." }
            }
        }
    }
}

fn took(took: Took) -> Markup {
    match took {
        Took::AtMost(bound) => html! { strong { (bound.as_millis()) " ms" } " or less" },
        Took::Over(bound) => html! { strong { (bound.as_millis()) " ms" } " or more" },
    }
}
