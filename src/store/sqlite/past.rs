//! The groups of an organization as they stood at a time.
//!
//! A few rows a group, found by index: the events before the time back to one that tells all; and, where
//! something is still open, the events after it up to the first that does, else the newest knowledge.
//! What they come to is [`replay`]'s to say. The newest event before the time mostly tells all, so of many groups
//! it is [asked for at once](newest); only the others are walked through, one by one.
//!
//! Anybody may ask for a group by any number, and be refused. So a number alone makes no group, and of one group
//! no more than so many events are looked at: what lies behind them is not known.

mod mentioned;
mod newest;

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::json;

use self::mentioned::Mentioned;
use super::Reader;
use super::learn::read_group;
use crate::clock::rfc3339;
use crate::domain::event::Event;
use crate::domain::group::Member;
use crate::domain::ids::{GroupId, OrganizationId, UserId};
use crate::domain::replay::{self, State, Step};
use crate::store::StoreError;
use crate::store::filter::{Cursor, Filter};

/// How many events of a group are looked at first: the newest mostly tells all.
const STEP: u32 = 4;

/// How many of them at once, where none has told all so far.
const LARGEST: u32 = 256;

/// How many events of a group are looked at, in each direction.
const MOST: u32 = 4_096;

/// Of how many groups the newest event is asked for at once, at least and at most: some of them may be gone.
const BATCH: (usize, usize) = (32, 256);

// Rows are in the order of their commits, and those that share one may have ended in another order.
pub(super) const OUT_OF_ORDER: i64 = 1_000;

/// The newest that is known of a group.
struct Known {
    state: State,
    /// From when on it is true.
    since: String,
}

// === impl Reader ===

impl Reader {
    /// What the trail and the lists tell of each group of an organization, as it was at `time`, by number.
    /// Groups that did not exist are left out.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn groups_at(
        &self,
        organization: OrganizationId,
        time: Timestamp,
    ) -> Result<Vec<(GroupId, State)>, StoreError> {
        let all = self.groups_behind(organization, time, None, usize::MAX);
        all.await.map(|(groups, _)| groups)
    }

    /// The same, of the groups with a higher number than `last`, at most `limit` of them; and whether there
    /// are more. It costs what it gives, and what was passed over on the way.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn groups_behind(
        &self,
        organization: OrganizationId,
        time: Timestamp,
        last: Option<GroupId>,
        limit: usize,
    ) -> Result<(Vec<(GroupId, State)>, bool), StoreError> {
        let time = rfc3339(time);
        let boundary = self.last_until(&time).await?;
        let mut groups = Vec::new();
        let mut last = last;
        let mut is_more = true;
        while is_more && groups.len() <= limit {
            let wanted = limit.saturating_add(1) - groups.len();
            let batch = wanted.clamp(BATCH.0, BATCH.1);
            let mentioned = self.mentioned_groups(organization, last, batch).await?;
            is_more = mentioned.len() == batch;
            last = mentioned.last().map(|group| group.id);
            let states = self.states(organization, &mentioned, &time, boundary);
            let there = |(_, state): &(_, State)| matches!(state, State::Present(_));
            groups.extend(states.await?.into_iter().filter(there));
        }
        let is_more = groups.len() > limit;
        groups.truncate(limit);
        let states = groups.iter_mut().map(|(_, state)| state);
        self.name_members(organization, states).await?;
        Ok((groups, is_more))
    }

    /// What the trail and the lists tell of one group of an organization, as it was at `time`: a few rows,
    /// however many there are of it.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn group_at(
        &self,
        organization: OrganizationId,
        group: GroupId,
        time: Timestamp,
    ) -> Result<State, StoreError> {
        let time = rfc3339(time);
        let boundary = self.last_until(&time).await?;
        let group = self.mentioned(organization, group).await?;
        let known = self.known_states(organization, &[group]).await?;
        let known = known.into_values().next();
        let mut state = self
            .state(group, organization, &time, boundary, known)
            .await?;
        self.name_members(organization, [&mut state]).await?;
        Ok(state)
    }

    // The names of members that no group told.
    async fn name_members(
        &self,
        organization: OrganizationId,
        states: impl IntoIterator<Item = &mut State>,
    ) -> Result<(), StoreError> {
        let users = states.into_iter().filter_map(|state| match state {
            State::Present(facts) => facts.users.as_mut(),
            State::Absent | State::Unknown => None,
        });
        let nameless = users.flatten().filter(|member| member.name.is_none());
        let mut nameless: Vec<&mut Member> = nameless.collect();
        if nameless.is_empty() {
            return Ok(());
        }
        let ids: Vec<UserId> = nameless.iter().map(|member| member.id).collect();
        let names = self.names(organization, &ids).await?;
        for member in &mut nameless {
            member.name = names.get(&member.id).cloned();
        }
        Ok(())
    }

    // The same as `state` for each.
    async fn states(
        &self,
        organization: OrganizationId,
        groups: &[Mentioned],
        time: &str,
        boundary: i64,
    ) -> Result<Vec<(GroupId, State)>, StoreError> {
        let ours = groups.iter().filter(|group| group.is_ours);
        let ours: Vec<GroupId> = ours.map(|group| group.id).collect();
        let newest = self.newest_steps(organization, &ours, time, boundary);
        let mut newest = newest.await?;
        let mut known = self.known_states(organization, groups).await?;
        let mut states = Vec::with_capacity(groups.len());
        for group in groups {
            let known = known.remove(&group.id);
            let state = match newest.remove(&group.id) {
                Some(step) => {
                    let state = replay::at(&[step], &[], State::Unknown);
                    match known {
                        Some(known) if known.since.as_str() <= time => known.state.or(state),
                        _ => state,
                    }
                }
                None => {
                    self.state(*group, organization, time, boundary, known)
                        .await?
                }
            };
            states.push((group.id, state));
        }
        Ok(states)
    }

    async fn state(
        &self,
        Mentioned { id, is_ours }: Mentioned,
        organization: OrganizationId,
        time: &str,
        boundary: i64,
        known: Option<Known>,
    ) -> Result<State, StoreError> {
        // Anybody may ask for the group of another organization, by its number, and is refused; that is a row of
        // both. What is of no organization that is known counts only where the group is ours for sure.
        let filter = Filter {
            group: Some(id),
            organization: (!is_ours).then_some(organization),
            ..Filter::default()
        };
        let known = known.filter(|_| is_ours);
        let is_of_ours = |event: &Event| {
            let of = event.target.organization_id;
            of.is_none_or(|of| of == organization)
        };
        let is_later = |event: &Event| event.completed_at.as_str() > time;
        let mut earlier = Vec::new();
        let before = Cursor::Before(boundary.saturating_add(OUT_OF_ORDER));
        self.collect(&filter, before, &mut earlier, |event| {
            let step = Step::of(event, id).filter(|_| is_of_ours(event) && !is_later(event))?;
            let enough = step.tells_all_after();
            Some((step, enough))
        })
        .await?;
        earlier.reverse();
        let state = replay::at(&earlier, &[], State::Unknown);
        // What a list has shown since the last event, and nothing after the time has changed.
        if let Some(known) = &known
            && known.since.as_str() <= time
        {
            return Ok(known.state.clone().or(state));
        }
        if state.is_complete() {
            return Ok(state);
        }
        let mut later = Vec::new();
        let after = Cursor::After(boundary.saturating_sub(OUT_OF_ORDER));
        let all = self
            .collect(&filter, after, &mut later, |event| {
                let step = Step::of(event, id).filter(|_| is_of_ours(event) && is_later(event))?;
                let enough = step.tells_all_before();
                Some((step, enough))
            })
            .await?;
        // Between the last step and the newest knowledge, others may lie that nobody looked at.
        let known = known.filter(|_| all).map(|known| known.state);
        Ok(replay::at(&earlier, &later, known.unwrap_or_default()))
    }

    // Steps from `cursor` on, up to the first that is enough. `false`: there are too many events up to it.
    async fn collect(
        &self,
        filter: &Filter,
        mut cursor: Cursor,
        steps: &mut Vec<Step>,
        step: impl Fn(&Event) -> Option<(Step, bool)>,
    ) -> Result<bool, StoreError> {
        let (mut size, mut looked_at) = (STEP, 0);
        while looked_at < MOST {
            let page = self.next_events(filter, cursor, size).await?;
            for (step, enough) in page.events.iter().filter_map(&step) {
                steps.push(step);
                if enough {
                    return Ok(true);
                }
            }
            let Some(next) = page.next else {
                return Ok(true);
            };
            cursor = cursor.moved_to(next);
            looked_at += u32::try_from(page.events.len()).unwrap_or(MOST);
            size = (size * 4).min(LARGEST).min(MOST.saturating_sub(looked_at));
        }
        Ok(false)
    }

    // The newest knowledge of each of these groups, of which there is any.
    async fn known_states(
        &self,
        organization: OrganizationId,
        groups: &[Mentioned],
    ) -> Result<HashMap<GroupId, Known>, StoreError> {
        let ids: Vec<GroupId> = groups.iter().map(|group| group.id).collect();
        let rows: Vec<(i64, Option<String>, String)> = sqlx::query_as(
            "SELECT k.group_id, k.state, k.seen_at
             FROM json_each(?1) asked CROSS JOIN known_groups k ON k.group_id = asked.value
             WHERE coalesce(k.organization_id, ?2) = ?2",
        )
        .bind(json!(ids).to_string())
        .bind(organization.0)
        .fetch_all(&self.pool)
        .await?;
        let known = rows.into_iter().map(|(id, state, since)| {
            let state = match state {
                None => State::Absent,
                Some(state) => State::told(&read_group(&state)?),
            };
            Ok((GroupId(id), Known { state, since }))
        });
        known.collect()
    }

    // The last row, by halving, whose outcome was known at this time; 0 if none was.
    pub(super) async fn last_until(&self, time: &str) -> Result<i64, StoreError> {
        let (first, last): (Option<i64>, Option<i64>) = sqlx::query_as(
            "SELECT (SELECT min(seq) FROM audit_events), (SELECT max(seq) FROM audit_events)",
        )
        .fetch_one(&self.pool)
        .await?;
        let (Some(first), Some(last)) = (first, last) else {
            return Ok(0);
        };
        let (mut low, mut high) = (first - 1, last);
        while low < high {
            let middle = low + (high - low + 1) / 2;
            // The next row that is there, should some have been dropped from the middle.
            let row: Option<(i64, String)> = sqlx::query_as(
                "SELECT seq, completed_at FROM audit_events WHERE seq >= ? ORDER BY seq LIMIT 1",
            )
            .bind(middle)
            .fetch_optional(&self.pool)
            .await?;
            match row {
                Some((seq, completed_at)) if completed_at.as_str() <= time => low = seq,
                _ => high = middle - 1,
            }
        }
        Ok(low)
    }
}
