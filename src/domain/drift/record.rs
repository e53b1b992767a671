//! A finding as an event.

use jiff::Timestamp;
use serde_json::json;

use super::{Finding, Tone};
use crate::domain::action::{Action, Outcome};
use crate::domain::diff::{Change, Kind, sentence};
use crate::domain::endpoint::Touches;
use crate::domain::event::{
    Draft, Flag, Intent, Relation, RelationKind, RequestRecord, ResponseRecord, Source, Target,
};
use crate::domain::ids::{EventId, GroupId, OrganizationId};

// An event that names hundreds of others helps nobody.
const MOST_RELATIONS: usize = 20;

// === impl Finding ===

impl Finding {
    /// The group that is gone, if that is what was found.
    #[must_use]
    pub fn deleted(&self) -> Option<GroupId> {
        let is_end = |change: &Change| change.change == Kind::Deleted;
        self.group.filter(|_| self.changes.iter().any(is_end))
    }

    /// The event, with the id `id`: found in a list of `organization` that was asked for `at`.
    #[must_use]
    pub fn draft(&self, id: EventId, organization: OrganizationId, at: Timestamp) -> Draft {
        let summary = self.summary(at);
        let flags = match self.tone {
            Tone::BeforeUnknown(_) => vec![Flag::BeforeUnknown],
            Tone::Elsewhere | Tone::Open | Tone::Settled | Tone::NoEffect(_) => Vec::new(),
        };
        let intent = Intent {
            id,
            occurred_at: self.not_before,
            action: Action::GroupObserved,
            actor: self.actor.clone(),
            source: Source::default(),
            target: Target {
                organization_id: Some(organization),
                group_id: self.group,
                group_name: self.name.clone(),
                ..Target::default()
            },
            request: RequestRecord {
                method: "GET".to_owned(),
                path: format!("/api/v9/organizations/{organization}/groups"),
                ..RequestRecord::default()
            },
            touches: Touches::Nothing,
            flags,
        };
        let relation = |id: &EventId| Relation {
            kind: RelationKind::Settles,
            id: *id,
        };
        Draft {
            intent,
            completed_at: at,
            duration_ms: at.as_millisecond() - self.not_before.as_millisecond(),
            outcome: self.outcome,
            response: ResponseRecord {
                status: Some(200),
                ..ResponseRecord::default()
            },
            before: self.before.as_ref().map(|group| group.to_json()),
            after: self.after.as_ref().map(|group| group.to_json()),
            changes: self.changes.clone(),
            relations: self
                .settles
                .iter()
                .take(MOST_RELATIONS)
                .map(relation)
                .collect(),
            summary,
        }
    }

    fn summary(&self, at: Timestamp) -> String {
        let said = sentence(self.name.as_deref(), &self.changes);
        let window = window(self.not_before, at);
        match &self.tone {
            Tone::Elsewhere => format!("noticed: {said} elsewhere, {window}"),
            Tone::Open => {
                format!("noticed: {said}, perhaps by a change that left it open, {window}")
            }
            Tone::Settled => format!("settled: {said}, {window}"),
            Tone::BeforeUnknown(words) => {
                let group = json!(self.name.as_deref().unwrap_or_default());
                match (&self.after, self.outcome) {
                    (None, _) => format!("settled: {words}: it is gone (before unknown)"),
                    (_, Outcome::Applied) => {
                        format!("settled: {words}: {group} is as it asked (before unknown)")
                    }
                    _ => format!("settled: {words}: {group} is not as it asked (before unknown)"),
                }
            }
            Tone::NoEffect(words) => format!("settled: {words} had no effect"),
        }
    }
}

// `between 12:00:05Z and 12:01:10Z`, with the days where they differ.
fn window(from: Timestamp, to: Timestamp) -> String {
    let day = |at: Timestamp| at.strftime("%Y-%m-%d").to_string();
    let format = if day(from) == day(to) {
        "%H:%M:%SZ"
    } else {
        "%Y-%m-%dT%H:%M:%SZ"
    };
    format!(
        "between {} and {}",
        from.strftime(format),
        to.strftime(format)
    )
}
