//! Who spent the quota, told from the hours' counts; what is left, and when it will be gone.
//!
//! Pure: rows and the time go in, a report comes out. Credentials of one person are one, a workspace
//! counts to its organization where that is known.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::caller::Person;
use super::ids::{OrganizationId, UserId, WorkspaceId};
use super::usage::{Counts, Left, Pool, Usage};

/// What a report is made of.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// The counts; also those of an hour before the present one, for the rate.
    pub usage: Vec<Usage>,
    /// What was left.
    pub left: Vec<Left>,
    /// Who is behind a credential.
    pub people: HashMap<String, Person>,
    /// What a workspace belongs to.
    pub workspaces: HashMap<WorkspaceId, OrganizationId>,
}

/// What everybody spent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Report {
    /// By person and quota.
    pub people: Vec<Spending>,
}

/// What one person spent of one quota.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Spending {
    /// The person, if upstream told.
    pub person: Option<Person>,
    /// The credentials' fingerprints.
    pub credential_ids: Vec<String>,
    /// Which quota: `organization`, `workspace`, `me` or `unclear`.
    pub quota: &'static str,
    /// The organization, where the quota is that of one.
    pub organization_id: Option<OrganizationId>,
    /// The workspace, where its organization is not known.
    pub workspace_id: Option<WorkspaceId>,
    /// What is left, unless there is more by now.
    pub remaining: Option<u64>,
    /// When there will be more.
    pub resets_at: Option<Timestamp>,
    /// When nothing will be left at the present rate; nothing where it lasts to its reset.
    pub gone_at: Option<Timestamp>,
    /// All hours together.
    pub total: Counts,
    /// By hour, tool and operation.
    pub hours: Vec<Hour>,
}

/// What a tool asked for in an hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Hour {
    /// When it began.
    pub hour: Timestamp,
    /// The label of the tool.
    pub tool: Option<String>,
    /// The operation.
    pub endpoint: String,
    /// How many.
    #[serde(flatten)]
    pub counts: Counts,
}

const HOUR: i64 = 3600;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Person(UserId),
    Credential(String),
}

#[derive(Default)]
struct Spent {
    credentials: Vec<String>,
    left: Option<Left>,
    hours: BTreeMap<(Timestamp, String, String), Counts>,
    // Requests of this hour, and of the one before.
    this: i64,
    last: i64,
}

/// From when on a report about the time since needs counts: the rate is that of the last hour.
#[must_use]
pub fn from(since: Timestamp, now: Timestamp) -> Timestamp {
    let hour = SignedDuration::from_hours(1);
    since.min(now.checked_sub(hour).unwrap_or(Timestamp::MIN))
}

// === impl Ledger ===
impl Ledger {
    /// What was spent in the hours since, as things stand `now`.
    #[must_use]
    pub fn report(self, since: Timestamp, now: Timestamp) -> Report {
        let since = since.as_second().div_euclid(HOUR);
        let this = now.as_second().div_euclid(HOUR);
        let mut all: BTreeMap<(Who, Pool), Spent> = BTreeMap::new();
        for usage in &self.usage {
            let spent = all
                .entry(self.key(&usage.credential_id, usage.pool))
                .or_default();
            let hour = usage.hour.as_second().div_euclid(HOUR);
            match this - hour {
                0 => spent.this += usage.counts.upstream,
                1 => spent.last += usage.counts.upstream,
                _ => {}
            }
            if hour < since {
                continue;
            }
            note(&mut spent.credentials, &usage.credential_id);
            let key = (usage.hour, usage.tool.clone(), usage.endpoint.clone());
            let counts = spent.hours.entry(key).or_default();
            *counts = counts.plus(usage.counts);
        }
        for left in &self.left {
            if left.resets_at <= now {
                continue;
            }
            let spent = all
                .entry(self.key(&left.credential_id, left.pool))
                .or_default();
            note(&mut spent.credentials, &left.credential_id);
            let newer = |known: &Left| known.told_at < left.told_at;
            if spent.left.as_ref().is_none_or(newer) {
                spent.left = Some(left.clone());
            }
        }
        let people = all
            .into_iter()
            .filter(|(_, spent)| !spent.credentials.is_empty())
            .map(|((_, pool), spent)| self.spending(pool, spent, now))
            .collect();
        Report { people }
    }

    fn key(&self, credential_id: &str, pool: Pool) -> (Who, Pool) {
        let person = self.people.get(credential_id);
        let who = match person.and_then(|person| person.user_id) {
            Some(user) => Who::Person(user),
            None => Who::Credential(credential_id.to_owned()),
        };
        let pool = match pool {
            Pool::Workspace(workspace) => self
                .workspaces
                .get(&workspace)
                .map_or(pool, |organization| Pool::Organization(*organization)),
            Pool::Organization(_) | Pool::Me | Pool::Unclear => pool,
        };
        (who, pool)
    }

    fn spending(&self, pool: Pool, spent: Spent, now: Timestamp) -> Spending {
        let into = now.as_second().rem_euclid(HOUR);
        let left = spent.left.as_ref();
        let gone_at = left.and_then(|left| gone_at(left, spent.this, spent.last, into, now));
        let hours: Vec<_> = spent
            .hours
            .into_iter()
            .map(|((hour, tool, endpoint), counts)| Hour {
                hour,
                tool: Some(tool).filter(|tool| !tool.is_empty()),
                endpoint,
                counts,
            })
            .collect();
        let mut known = spent
            .credentials
            .iter()
            .filter_map(|id| self.people.get(id));
        Spending {
            person: known.next().cloned(),
            credential_ids: spent.credentials,
            quota: pool.kind(),
            organization_id: pool.organization(),
            workspace_id: match pool {
                Pool::Workspace(workspace) => Some(workspace),
                Pool::Organization(_) | Pool::Me | Pool::Unclear => None,
            },
            remaining: left.map(|left| left.remaining),
            resets_at: left.map(|left| left.resets_at),
            gone_at,
            total: hours
                .iter()
                .fold(Counts::default(), |sum, hour| sum.plus(hour.counts)),
            hours,
        }
    }
}

fn note(credentials: &mut Vec<String>, id: &str) {
    if !credentials.iter().any(|known| known == id) {
        credentials.push(id.to_owned());
    }
}

/// When nothing will be left, if the requests go on as in the last sixty minutes: those of this hour, and
/// as much of the last one as still lies within. `None`: it lasts to its reset.
fn gone_at(left: &Left, this: i64, last: i64, into: i64, now: Timestamp) -> Option<Timestamp> {
    if left.remaining == 0 {
        return Some(left.told_at);
    }
    // In requests an hour, a second of it in each 3 600: whole numbers to the end.
    let within = this
        .saturating_mul(HOUR)
        .saturating_add(last.saturating_mul(HOUR - into));
    if within <= 0 {
        return None;
    }
    let remaining = i64::try_from(left.remaining).ok()?;
    let seconds = remaining.saturating_mul(HOUR).saturating_mul(HOUR) / within;
    let gone = now.checked_add(SignedDuration::from_secs(seconds)).ok()?;
    (gone < left.resets_at).then_some(gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORG: Pool = Pool::Organization(OrganizationId(4123));

    fn at(text: &str) -> Timestamp {
        format!("2026-11-24T{text}Z").parse().unwrap()
    }

    fn usage(hour: &str, credential: &str, pool: Pool, upstream: i64, cached: i64) -> Usage {
        Usage {
            hour: at(hour),
            credential_id: credential.to_owned(),
            pool,
            tool: "hr-sync".to_owned(),
            endpoint: "GET /me".to_owned(),
            counts: Counts {
                upstream,
                cached,
                ..Counts::default()
            },
        }
    }

    fn left(credential: &str, remaining: u64, resets_at: &str) -> Left {
        Left {
            credential_id: credential.to_owned(),
            pool: ORG,
            remaining,
            resets_at: at(resets_at),
            told_at: at("16:29:00"),
            message: None,
        }
    }

    fn gone(remaining: u64, this: i64, last: i64) -> Option<String> {
        let now = at("16:30:00");
        let left = left("a", remaining, "17:20:00");
        gone_at(&left, this, last, 1800, now).map(|gone| gone.to_string())
    }

    #[test]
    fn it_is_gone_when_the_last_sixty_minutes_go_on() {
        assert_eq!(gone(20, 30, 20), Some("2026-11-24T17:00:00Z".into()));
        assert_eq!(gone(20, 10, 0), None, "lasts to its reset");
        assert_eq!(gone(20, 0, 0), None);
        assert_eq!(gone(0, 9, 0), Some("2026-11-24T16:29:00Z".into()));
        assert_eq!(gone(u64::MAX, i64::MAX, i64::MAX), None);
    }

    #[test]
    fn credentials_of_one_person_are_one_and_workspaces_their_organizations() {
        let ann = Person {
            user_id: Some(UserId(5)),
            name: Some("Ann".into()),
            email: None,
        };
        let ledger = Ledger {
            usage: vec![
                usage("15:00:00", "a", ORG, 3, 1),
                usage("16:00:00", "b", Pool::Workspace(WorkspaceId(7)), 5, 0),
                usage("16:00:00", "a", ORG, 2, 9),
                usage("16:00:00", "a", Pool::Me, 1, 0),
                usage("16:00:00", "c", ORG, 4, 4),
            ],
            left: vec![left("b", 20, "17:20:00"), left("c", 1, "16:29:30")],
            people: HashMap::from([("a".into(), ann.clone()), ("b".into(), ann.clone())]),
            workspaces: HashMap::from([(WorkspaceId(7), OrganizationId(4123))]),
        };
        let report = ledger.report(at("16:10:00"), at("16:30:00"));
        let [anns, about_ann, strangers] = &report.people[..] else {
            panic!("{report:#?}")
        };
        assert_eq!(anns.person.as_ref(), Some(&ann));
        assert_eq!(anns.credential_ids, ["b", "a"]);
        assert_eq!((anns.total.upstream, anns.total.cached), (7, 9));
        assert_eq!(
            anns.hours.len(),
            1,
            "the hour of 16:10, and not the one before"
        );
        assert_eq!(anns.remaining, Some(20));
        assert_eq!((about_ann.quota, about_ann.total.upstream), ("me", 1));
        assert_eq!(strangers.person, None);
        assert_eq!(strangers.remaining, None, "filled up again");
    }
}
