//! The groups of an organization as they stood at a time.
//!
//! A few rows a group, found by index: the events before the time back to one that tells all; and, where
//! something is still open, the events after it up to the first that does, else the newest knowledge.
//! What they come to is [`replay`]'s to say.
//!
//! Anybody may ask for a group by any number, and be refused. So a number alone makes no group, and of one group
//! no more than so many events are looked at: what lies behind them is not known.

use jiff::Timestamp;
use sqlx::AssertSqlSafe;

use super::Reader;
use super::learn::read_group;
use super::query::ALL_ACTIONS;
use crate::clock::rfc3339;
use crate::domain::event::Event;
use crate::domain::group::Member;
use crate::domain::ids::{GroupId, OrganizationId, UserId};
use crate::domain::replay::{self, State, Step};
use crate::store::StoreError;
use crate::store::filter::{Cursor, Filter};

/// How many events of a group are in memory at once, unless none of them tells all.
const STEP: u32 = 16;

/// How many events of a group are looked at, in each direction.
const MOST: u32 = 4_096;

/// In how many events of a number it is looked for one that found a group.
const FIRST: u32 = 100;

// Rows are in the order of their commits, and those that share one may have ended in another order.
pub(super) const OUT_OF_ORDER: i64 = 1_000;

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
        for id in self.mentioned_groups(organization).await? {
            if Some(id) <= last {
                continue;
            }
            let state = self.state(id, organization, &time, boundary).await?;
            if state == State::Absent || state == State::Unknown {
                continue;
            }
            if groups.len() >= limit {
                return Ok((groups, true));
            }
            groups.push((id, self.with_names(organization, state).await?));
        }
        Ok((groups, false))
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
        let state = self.state(group, organization, &time, boundary).await?;
        self.with_names(organization, state).await
    }

    // With the names of members that no group told.
    async fn with_names(
        &self,
        organization: OrganizationId,
        mut state: State,
    ) -> Result<State, StoreError> {
        if let State::Present(facts) = &mut state
            && let Some(users) = &mut facts.users
        {
            let nameless = |member: &&mut Member| member.name.is_none();
            let unnamed: Vec<UserId> = users.iter_mut().filter(nameless).map(|m| m.id).collect();
            if !unnamed.is_empty() {
                let mut names = self.names(organization, &unnamed).await?;
                for member in users.iter_mut().filter(nameless) {
                    member.name = names.remove(&member.id);
                }
            }
        }
        Ok(state)
    }

    async fn state(
        &self,
        id: GroupId,
        organization: OrganizationId,
        time: &str,
        boundary: i64,
    ) -> Result<State, StoreError> {
        let filter = self.about(id, organization).await?;
        let is_ours = |event: &Event| {
            let of = event.target.organization_id;
            of.is_none_or(|of| of == organization)
        };
        let is_later = |event: &Event| event.completed_at.as_str() > time;
        let mut earlier = Vec::new();
        let before = Cursor::Before(boundary.saturating_add(OUT_OF_ORDER));
        self.collect(&filter, before, &mut earlier, |event| {
            let step = Step::of(event, id).filter(|_| is_ours(event) && !is_later(event))?;
            let enough = step.tells_all_after();
            Some((step, enough))
        })
        .await?;
        earlier.reverse();
        let state = replay::at(&earlier, &[], State::Unknown);
        let (known, since) = match filter.organization {
            None => self.known_state(id, organization).await?,
            Some(_) => (State::Unknown, None),
        };
        // What a list has shown since the last event, and nothing after the time has changed.
        if since.is_some_and(|since| since.as_str() <= time) {
            return Ok(known.or(state));
        }
        if state.is_complete() {
            return Ok(state);
        }
        let mut later = Vec::new();
        let after = Cursor::After(boundary.saturating_sub(OUT_OF_ORDER));
        let all = self
            .collect(&filter, after, &mut later, |event| {
                let step = Step::of(event, id).filter(|_| is_ours(event) && is_later(event))?;
                let enough = step.tells_all_before();
                Some((step, enough))
            })
            .await?;
        // Between the last step and the newest knowledge, others may lie that nobody looked at.
        let known = if all { known } else { State::Unknown };
        Ok(replay::at(&earlier, &later, known))
    }

    // The rows that tell of a group of this organization. Anybody may ask for the group of another one, by
    // its number, and is refused; that is a row of both. What is of no organization that is known counts
    // only where the group is ours for sure.
    async fn about(
        &self,
        group: GroupId,
        organization: OrganizationId,
    ) -> Result<Filter, StoreError> {
        let is_ours: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM known_groups WHERE group_id = ?1 AND organization_id = ?2)
                OR EXISTS (
                    SELECT 1 FROM audit_events WHERE group_id = ?1 AND organization_id = ?2
                        AND outcome IN ('applied', 'partial'))
                OR EXISTS (
                    SELECT 1 FROM audit_event_groups g JOIN audit_events e USING (seq)
                    WHERE g.group_id = ?1 AND g.organization_id = ?2
                        AND e.outcome IN ('applied', 'partial'))",
        )
        .bind(group.0)
        .bind(organization.0)
        .fetch_one(&self.pool)
        .await?;
        Ok(Filter {
            group: Some(group),
            organization: (!is_ours).then_some(organization),
            ..Filter::default()
        })
    }

    // Steps from `cursor` on, up to the first that is enough. `false`: there are too many events up to it.
    async fn collect(
        &self,
        filter: &Filter,
        mut cursor: Cursor,
        steps: &mut Vec<Step>,
        step: impl Fn(&Event) -> Option<(Step, bool)>,
    ) -> Result<bool, StoreError> {
        for _ in 0..MOST / STEP {
            let page = self.next_events(filter, cursor, STEP).await?;
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
        }
        Ok(false)
    }

    // The newest knowledge, and since when it is true.
    async fn known_state(
        &self,
        id: GroupId,
        organization: OrganizationId,
    ) -> Result<(State, Option<String>), StoreError> {
        let known: Option<(Option<String>, String)> = sqlx::query_as(
            "SELECT state, seen_at FROM known_groups
             WHERE group_id = ?1 AND coalesce(organization_id, ?2) = ?2",
        )
        .bind(id.0)
        .bind(organization.0)
        .fetch_optional(&self.pool)
        .await?;
        Ok(match known {
            None => (State::Unknown, None),
            Some((None, since)) => (State::Absent, Some(since)),
            Some((Some(state), since)) => (State::told(&read_group(&state)?), Some(since)),
        })
    }

    // Every group of which anything is known; from one to the next by index, however many rows each has. A number
    // that was only asked for is none: something must have been done to the group, or have found it. The first
    // rows of a group tell, as a rule; where they do not, each kind of event is asked for what was done.
    pub(super) async fn mentioned_groups(
        &self,
        organization: OrganizationId,
    ) -> Result<Vec<GroupId>, StoreError> {
        let sql = format!(
            "WITH RECURSIVE
             actions (value) AS ({ALL_ACTIONS}),
             alone (number) AS (
                 SELECT min(group_id) FROM audit_events
                 UNION ALL
                 SELECT (SELECT min(group_id) FROM audit_events WHERE group_id > number)
                 FROM alone WHERE number IS NOT NULL
             ),
             several (number) AS (
                 SELECT min(group_id) FROM audit_event_groups
                 UNION ALL
                 SELECT (SELECT min(group_id) FROM audit_event_groups WHERE group_id > number)
                 FROM several WHERE number IS NOT NULL
             )
             SELECT number FROM alone WHERE number IS NOT NULL AND (
                 EXISTS (
                     SELECT 1 FROM (
                         SELECT outcome, before FROM audit_events
                         WHERE group_id = number AND organization_id = ?1 LIMIT {FIRST})
                     WHERE outcome IN ('applied', 'partial') OR before IS NOT NULL)
                 OR EXISTS (
                     SELECT 1 FROM audit_events
                     WHERE group_id = number AND organization_id = ?1 LIMIT 1 OFFSET {FIRST})
                 AND EXISTS (
                     SELECT 1 FROM actions CROSS JOIN audit_events e
                     WHERE e.group_id = number AND e.organization_id = ?1
                         AND e.action = actions.value AND e.outcome IN ('applied', 'partial')))
             UNION
             SELECT number FROM several WHERE number IS NOT NULL AND EXISTS
                 (SELECT 1 FROM audit_event_groups WHERE group_id = number AND organization_id = ?1)
             UNION
             SELECT group_id FROM known_groups WHERE organization_id = ?1
             ORDER BY 1",
        );
        let ids: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(organization.0)
            .fetch_all(&self.pool)
            .await?;
        Ok(ids.into_iter().map(GroupId).collect())
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
