//! What the day came to: calls spared, and the trail.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio::time::{interval, timeout};

use super::QUOTA;
use super::day::{Changed, ME, Tally};
use super::scene::Scene;
use super::screen::{Screen, WIDTH};
use crate::cli::audit::{Column, table_of};
use crate::domain::action::Action;
use crate::domain::event::Event;
use crate::store::filter::Filter;
use crate::store::sqlite::{Reader, Verdict};

/// What the trail is shown with: the day is today, and the summary names the group.
const COLUMNS: [Column; 6] = [
    Column::Clock,
    Column::Who,
    Column::Tool,
    Column::Action,
    Column::Outcome,
    Column::What,
];

/// How long people's names may take to be known.
const PATIENCE: Duration = Duration::from_secs(10);

/// Shows the day's figures and its trail, and checks both.
pub(super) async fn show(scene: &Scene, day: &Tally, screen: &mut Screen) -> anyhow::Result<()> {
    let reader = Reader::open(&scene.database).await?;
    let changes = u32::try_from(day.changes.len())?;
    let events = events(&reader, changes).await?;
    calls(scene, day, screen)?;
    screen.heading("The trail: who changed what, oldest first")?;
    screen.text(&table_of(&events, &COLUMNS, Some(WIDTH)))?;
    let (noticed, made): (Vec<&Event>, Vec<&Event>) =
        events.iter().partition(|event| is_noticed(event));
    ensure!(
        noticed
            .iter()
            .all(|event| event.summary.contains("elsewhere")),
        "what was done behind the gateway's back is told as something else"
    );
    for (event, change) in made.into_iter().zip(&day.changes) {
        check(event, change).with_context(|| format!("event {}", event.seq))?;
    }
    let Verdict::Intact { rows, .. } = reader.verify().await? else {
        bail!("the trail's chain of hashes is broken");
    };
    screen.text(&format!(
        "\nThe chain of hashes over all {rows} rows is intact. All of it happened as it should."
    ))?;
    Ok(())
}

fn calls(scene: &Scene, day: &Tally, screen: &mut Screen) -> anyhow::Result<()> {
    let fetched = scene.fetched();
    let saved = day.reads.saturating_sub(fetched);
    let who = scene.calls(|request| request.path() == ME);
    let dashboard = scene.toggl.authorization("bob");
    let polled = scene.calls(|request| {
        request.path() != ME && request.header("authorization") == Some(dashboard.as_str())
    });
    ensure!(saved * 2 > day.reads, "most reads went to Toggl");
    ensure!(
        day.polled > u64::from(QUOTA) && polled < u64::from(QUOTA),
        "the dashboard spent {polled} calls on {} reads",
        day.polled
    );
    screen.heading("What Toggl was asked, by its own count")?;
    screen.text(&format!(
        "{:>4}  reads, for {} that were answered: {saved} calls saved, {} %
{:>4}  changes, each sent once
{who:>4}  questions who a credential belongs to, once for each

The dashboard alone read {} times. Toggl's Free plan lets a person ask {QUOTA} times an hour; this
took {polled} of them.",
        fetched,
        day.reads,
        saved * 100 / day.reads.max(1),
        day.changes.len(),
        day.polled,
    ))?;
    Ok(())
}

/// The one change that no tool made.
const BEHIND_THE_BACK: u32 = 1;

fn is_noticed(event: &Event) -> bool {
    event.action == Action::GroupObserved.as_str()
}

/// The events, oldest first, as soon as all of their people are known: who somebody is, is asked of
/// upstream beside the change, not before it.
async fn events(reader: &Reader, changes: u32) -> anyhow::Result<Vec<Event>> {
    let known = async {
        let mut look = interval(Duration::from_millis(10));
        loop {
            look.tick().await;
            let most = changes + BEHIND_THE_BACK + 1;
            let page = reader.events(&Filter::default(), None, most).await?;
            let is_known = |event: &Event| is_noticed(event) || event.actor.name.is_some();
            if page.events.iter().all(is_known) {
                return anyhow::Ok(page.events);
            }
        }
    };
    let mut events = timeout(PATIENCE, known)
        .await
        .context("the trail does not know who made the changes")??;
    events.reverse();
    ensure!(
        events.len() == (changes + BEHIND_THE_BACK) as usize,
        "{changes} changes were made, {BEHIND_THE_BACK} behind the gateway's back, and {} are in the trail",
        events.len()
    );
    Ok(events)
}

fn check(event: &Event, change: &Changed) -> anyhow::Result<()> {
    let id = event.id.to_string();
    ensure!(
        id == change.event,
        "X-Tollgate-Event said {:?}, the trail {id}",
        change.event
    );
    let found = (event.action.as_str(), event.outcome.as_str());
    let wanted = (change.action.as_str(), change.outcome.as_str());
    ensure!(
        found == wanted,
        "the trail says {found:?}, and it was {wanted:?}"
    );
    let found = (event.actor.name.as_deref(), event.actor.tool.as_deref());
    let wanted = (Some(change.person.as_str()), Some(change.tool));
    ensure!(
        found == wanted,
        "the trail says {found:?}, and it was {wanted:?}"
    );
    Ok(())
}
