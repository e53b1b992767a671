//! What every store promises, asked of each of them; and the values that store tests are made of.

mod drift;

use jiff::Timestamp;
use serde_json::json;

use self::drift::*;
use super::memory::MemoryStore;
use super::sqlite::SqliteStore;
use super::stored::Stored;
use super::{Expenses, Fact, Identities, KnownGroups, Learned, Spent, Trail};
use crate::clock::Clock;
use crate::domain::action::{Action, Outcome};
use crate::domain::caller::Person;
use crate::domain::diff::{diff, sentence};
use crate::domain::endpoint::Touches;
use crate::domain::event::{Actor, Draft, Intent, RequestRecord, ResponseRecord, Source, Target};
use crate::domain::group::{Group, ProjectGroup};
use crate::domain::ids::{
    EventId, GroupId, OrganizationId, ProjectGroupId, ProjectId, UserId, WorkspaceId,
};
use crate::domain::usage::{Counts, Left, Pool, Usage};

pub(crate) const ORG: OrganizationId = OrganizationId(1);

/// Noon of a day, and `seconds` after it.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_795_521_600 + seconds).unwrap()
}

/// A clock that stands at an hour past noon.
pub(crate) fn clock() -> Clock {
    Clock::from_fn(|| at(3600))
}

/// The change of a group that came `seconds` after noon.
pub(crate) fn intent(seconds: i64) -> Intent {
    Intent {
        id: EventId::new(),
        occurred_at: at(seconds),
        action: Action::GroupUpdate,
        actor: Actor {
            credential_id: Some("ab".repeat(32)),
            email: Some("ann@acme.example".into()),
            ..Actor::default()
        },
        source: Source {
            ip: Some("192.0.2.7".into()),
            user_agent: Some("hr-sync/2".into()),
            request_id: Some(format!("request-{seconds}")),
        },
        target: Target {
            organization_id: Some(ORG),
            group_id: Some(GroupId(7)),
            group_name: Some("Design".into()),
            ..Target::default()
        },
        request: RequestRecord {
            method: "PUT".into(),
            path: "/api/v9/organizations/1/groups/7".into(),
            body: Some(r#"{"name":"Brand"}"#.into()),
            body_digest: Some("16:00".into()),
            ..RequestRecord::default()
        },
        touches: Touches::Organization(ORG, None),
        flags: vec![],
    }
}

/// What became of it: Ann renamed "Design" to "Brand".
pub(crate) fn applied(intent: Intent) -> Draft {
    let before = group(7, "Design", &[(5, "Ann")]);
    let after = group(7, "Brand", &[(5, "Ann")]);
    let changes = diff(Some(&before), Some(&after));
    Draft {
        completed_at: intent.occurred_at,
        duration_ms: 12,
        outcome: Outcome::Applied,
        response: ResponseRecord {
            status: Some(200),
            ..ResponseRecord::default()
        },
        before: Some(before.to_json()),
        after: Some(after.to_json()),
        summary: sentence(Some("Design"), &changes),
        changes,
        relations: vec![],
        intent,
    }
}

pub(crate) fn group(id: i64, name: &str, users: &[(i64, &str)]) -> Group {
    let users: Vec<_> = users
        .iter()
        .map(|(id, name)| json!({"user_id": id, "name": name, "joined": true}))
        .collect();
    let value = json!({"group_id": id, "name": name, "users": users, "workspaces": [3],
        "permissions": null, "at": "2026-11-01T09:00:00Z"});
    Group::read(&value).unwrap()
}

pub(crate) fn news(seconds: i64, fact: Fact) -> Learned {
    Learned {
        at: at(seconds),
        fact,
    }
}

pub(crate) fn seen(seconds: i64, group: Group) -> Learned {
    news(seconds, Fact::Group(Some(ORG), Box::new(group)))
}

/// Asserts that the rows are chained without a gap.
#[track_caller]
pub(crate) fn assert_chained(rows: &[Stored]) {
    let mut previous = None;
    for stored in rows {
        let checked = stored.link.check(previous, &stored.row, &stored.salt);
        assert_eq!(checked, Ok(()));
        previous = Some(&stored.link);
    }
}

/// What a test may look at besides the traits.
trait Store: Trail + KnownGroups + Identities + Expenses + Clone {
    async fn rows(&self) -> Vec<Stored>;
    async fn intents_left(&self) -> usize;
}

impl Store for MemoryStore {
    async fn rows(&self) -> Vec<Stored> {
        Self::rows(self)
    }

    async fn intents_left(&self) -> usize {
        self.intents().len()
    }
}

impl Store for SqliteStore {
    async fn rows(&self) -> Vec<Stored> {
        let rows = self.reader().rows(0, 1000).await.unwrap();
        rows.into_iter().map(|(_, row)| row.unwrap()).collect()
    }

    async fn intents_left(&self) -> usize {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM audit_intents")
            .fetch_one(&self.reader().pool)
            .await
            .unwrap();
        usize::try_from(count).unwrap()
    }
}

async fn an_event_takes_the_place_of_its_intent(store: impl Store) {
    let intent = intent(0);
    store.intend(intent.clone()).await.unwrap();
    assert_eq!(store.intents_left().await, 1);
    assert_eq!(store.rows().await, []);
    store
        .complete(applied(intent.clone()), vec![])
        .await
        .unwrap();
    assert_eq!(store.intents_left().await, 0);
    let rows = store.rows().await;
    assert_eq!(rows.len(), 1);
    let event = rows[0].event().unwrap();
    assert_eq!(event.id, intent.id);
    assert_eq!(event.actor, intent.actor);
    assert_eq!(event.source, intent.source);
    assert_eq!(event.target, intent.target);
    assert_eq!(event.occurred_at, "2026-11-24T12:00:00.000Z");
}

async fn an_event_needs_no_intent(store: impl Store) {
    store.complete(applied(intent(0)), vec![]).await.unwrap();
    assert_eq!(store.rows().await.len(), 1);
}

async fn an_event_is_recorded_once(store: impl Store) {
    let draft = applied(intent(0));
    store.complete(draft.clone(), vec![]).await.unwrap();
    store.complete(draft, vec![]).await.unwrap_err();
    store.complete(applied(intent(1)), vec![]).await.unwrap();
    assert_eq!(store.rows().await.len(), 2);
    assert_chained(&store.rows().await);
}

async fn a_group_is_known_as_it_was_seen(store: impl Store) {
    assert_eq!(store.group(GroupId(7), None).await.unwrap(), None);
    let full = group(7, "Design", &[(5, "Ann"), (6, "Bob")]);
    store
        .complete(applied(intent(0)), vec![seen(0, full.clone())])
        .await
        .unwrap();
    assert_eq!(
        store.group(GroupId(7), None).await.unwrap(),
        Some(full.clone())
    );

    let short = Group::read(&json!({"id": 7, "name": "Brand"})).unwrap();
    store.learn(vec![seen(1, short)]).await;
    let merged = store.group(GroupId(7), None).await.unwrap().unwrap();
    assert_eq!(merged.name, "Brand");
    assert_eq!(merged.users, full.users, "the short form forgets no member");
}

async fn a_group_of_another_organization_or_in_doubt_is_not_known(store: impl Store) {
    let of = |organization, id| {
        let group = Box::new(group(id, "G", &[]));
        news(10, Fact::Group(Some(OrganizationId(organization)), group))
    };
    store.learn(vec![of(1, 7), of(1, 8), of(2, 9)]).await;
    store.check().await.unwrap();
    let known = async |id, within: Option<i64>| {
        let within = within.map(OrganizationId);
        store.group(GroupId(id), within).await.unwrap().is_some()
    };
    assert!(known(7, Some(1)).await && known(7, None).await && !known(7, Some(2)).await);

    store
        .learn(vec![news(9, Fact::DoubtfulGroup(GroupId(7)))])
        .await;
    store.check().await.unwrap();
    assert!(
        known(7, None).await,
        "what was seen after the doubt is known"
    );
    store
        .learn(vec![news(11, Fact::DoubtfulGroup(GroupId(7)))])
        .await;
    store.check().await.unwrap();
    assert!(!known(7, None).await && known(8, None).await);
    store
        .learn(vec![news(
            11,
            Fact::DoubtfulGroups(Some(OrganizationId(1))),
        )])
        .await;
    store.check().await.unwrap();
    assert!(!known(8, None).await && known(9, None).await);
    store
        .learn(vec![news(11, Fact::DoubtfulGroups(None))])
        .await;
    store.check().await.unwrap();
    assert!(!known(9, None).await);
}

async fn a_group_of_a_workspace_is_of_the_organization_that_the_workspace_is_of(store: impl Store) {
    // Such a list tells the short form, until another one tells more.
    let short = Group::read(&json!({"id": 8, "name": "Sales", "workspace_id": 3})).unwrap();
    for group in [group(7, "Design", &[(5, "Ann")]), short] {
        let told = Fact::Group(None, Box::new(group));
        store.learn(vec![news(0, told)]).await;
    }
    store.check().await.unwrap();
    let known = async |within: Option<i64>| {
        let within = within.map(OrganizationId);
        let [long, short] = [7, 8].map(GroupId);
        let long = store.group(long, within).await.unwrap().is_some();
        let short = store.group(short, within).await.unwrap().is_some();
        (long, short)
    };
    let (both, neither) = ((true, true), (false, false));
    assert_eq!(known(None).await, both);
    for organization in [1, 2] {
        let known = known(Some(organization)).await;
        assert_eq!(known, neither, "nobody told whose the workspace is");
    }

    let told = Fact::Workspace(OrganizationId(2), WorkspaceId(3));
    store.learn(vec![news(1, told)]).await;
    store.check().await.unwrap();
    assert_eq!(known(Some(1)).await, neither);
    assert_eq!(known(Some(2)).await, both);
}

async fn older_news_never_overwrites_newer(store: impl Store) {
    let old = group(7, "Old", &[(5, "Anna")]);
    let new = group(7, "New", &[(5, "Ann")]);
    store
        .learn(vec![seen(10, new.clone()), seen(9, old.clone())])
        .await;
    assert_eq!(store.group(GroupId(7), None).await.unwrap(), Some(new));
    assert_eq!(
        store.names(ORG, &[UserId(5)]).await.unwrap()[&UserId(5)],
        "Ann"
    );

    store
        .learn(vec![
            news(20, Fact::NoGroup(GroupId(7))),
            seen(19, old.clone()),
        ])
        .await;
    assert_eq!(
        store.group(GroupId(7), None).await.unwrap(),
        None,
        "gone stays gone"
    );
    store
        .learn(vec![
            news(18, Fact::NoGroup(GroupId(7))),
            seen(20, old.clone()),
        ])
        .await;
    assert_eq!(
        store.group(GroupId(7), None).await.unwrap(),
        Some(old),
        "equally new is newer"
    );
    store.learn(vec![news(19, Fact::NoGroup(GroupId(7)))]).await;
    store.check().await.unwrap();
    assert!(
        store.group(GroupId(7), None).await.unwrap().is_some(),
        "seen since it was said to be gone"
    );

    let row = |project| ProjectGroup {
        id: ProjectGroupId(4),
        group: GroupId(7),
        project: ProjectId(project),
    };
    let told = |seconds, project| news(seconds, Fact::ProjectGroup(WorkspaceId(3), row(project)));
    store.learn(vec![told(10, 1), told(9, 2)]).await;
    assert_eq!(
        store.project_group(ProjectGroupId(4)).await.unwrap(),
        Some(row(1))
    );
    store
        .learn(vec![
            news(20, Fact::NoProjectGroup(ProjectGroupId(4))),
            told(19, 2),
        ])
        .await;
    assert_eq!(store.project_group(ProjectGroupId(4)).await.unwrap(), None);
}

async fn names_come_from_the_lists_of_their_organization(store: impl Store) {
    let design = Box::new(group(7, "Design", &[(5, "Ann"), (6, "Bob")]));
    store
        .learn(vec![news(0, Fact::Group(Some(ORG), design))])
        .await;
    let other = Box::new(group(8, "Other", &[(8, "Cat")]));
    let elsewhere = OrganizationId(ORG.0 + 1);
    store
        .learn(vec![news(0, Fact::Group(Some(elsewhere), other))])
        .await;
    let asked = [UserId(5), UserId(8), UserId(9)];
    let names = store.names(ORG, &asked).await.unwrap();
    assert_eq!(names, [(UserId(5), "Ann".to_owned())].into());
    let names = store.names(elsewhere, &asked).await.unwrap();
    assert_eq!(names, [(UserId(8), "Cat".to_owned())].into());
    assert_eq!(store.names(ORG, &[]).await.unwrap().len(), 0);
}

async fn an_identity_is_remembered_with_its_time(store: impl Store) {
    let ann = Person {
        user_id: Some(UserId(5)),
        email: Some("ann@acme.example".into()),
        name: Some("Ann".into()),
    };
    let renamed = Person {
        name: Some("Ann B.".into()),
        ..ann.clone()
    };
    assert_eq!(store.person("aa").await.unwrap(), None);
    store.remember("aa", &ann, at(5)).await.unwrap();
    assert_eq!(
        store.person("aa").await.unwrap(),
        Some((ann.clone(), at(5)))
    );
    store.remember("aa", &renamed, at(4)).await.unwrap();
    assert_eq!(
        store.person("aa").await.unwrap(),
        Some((ann.clone(), at(5))),
        "older"
    );
    store.remember("aa", &ann, at(6)).await.unwrap();
    assert_eq!(
        store.person("aa").await.unwrap(),
        Some((ann, at(6))),
        "seen again"
    );
}

async fn what_was_spent_is_added_up_and_forgotten_when_it_is_old(store: impl Store) {
    let usage = |hour: i64, upstream: i64| Usage {
        hour: at(hour * 3600),
        credential_id: "ab".repeat(32),
        pool: Pool::Organization(ORG),
        tool: "hr-sync".into(),
        endpoint: "GET /me".into(),
        counts: Counts {
            upstream,
            cached: 1,
            ..Counts::default()
        },
    };
    let left = |seconds: i64, remaining: u64| Left {
        credential_id: "ab".repeat(32),
        pool: Pool::Me,
        remaining,
        resets_at: at(3600),
        told_at: at(seconds),
        message: Some("hourly limit".into()),
    };
    let spend = async |usage: Vec<Usage>, left: Vec<Left>, forget_before| {
        let spent = Spent {
            usage,
            left,
            forget_before,
        };
        store.spend(spent).await.unwrap();
    };
    spend(vec![usage(0, 2), usage(1, 5)], vec![left(10, 7)], None).await;
    spend(vec![usage(1, -1)], vec![left(9, 8)], None).await;
    let ledger = store.ledger(at(0)).await.unwrap();
    let counted: Vec<_> = ledger.usage.iter().map(|one| one.counts.upstream).collect();
    assert_eq!(counted, [2, 4]);
    assert_eq!(ledger.usage[1].counts.cached, 2);
    assert_eq!(ledger.left, [left(10, 7)], "older news never overwrites");
    let gone = store.standings(at(3600)).await.unwrap();
    assert!(gone.left.is_empty(), "filled up by then");
    let newer = Left {
        pool: Pool::Organization(ORG),
        ..left(11, 6)
    };
    spend(vec![], vec![newer.clone()], None).await;
    let person = |id: i64| Person {
        user_id: Some(UserId(id)),
        ..Person::default()
    };
    let (ann, ben) = (person(1), person(2));
    for (id, person) in [("ab", &ann), ("cd", &ann), ("ef", &ben)] {
        store.remember(&id.repeat(32), person, at(5)).await.unwrap();
    }
    let start = store.standings(at(3599)).await.unwrap();
    assert_eq!(start.left, [newer, left(10, 7)], "the newest first");
    assert!(start.usage.is_empty());
    assert_eq!(start.people.len(), 2, "with Ann's other credential");
    assert!(start.people.values().all(|person| *person == ann));
    let since = store.ledger(at(3700)).await.unwrap();
    assert_eq!(since.usage.len(), 1, "the hour that it lies in");
    spend(vec![], vec![], Some(at(3600))).await;
    let ledger = store.ledger(at(0)).await.unwrap();
    assert_eq!((ledger.usage.len(), ledger.left.len()), (1, 0));
}

async fn many_at_once_make_one_chain(store: impl Store) {
    let tasks: Vec<_> = (0..200)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                let intent = intent(n);
                store.intend(intent.clone()).await.unwrap();
                store.complete(applied(intent), vec![]).await.unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let rows = store.rows().await;
    assert_eq!(rows.len(), 200);
    assert_eq!(rows.last().unwrap().link.seq, 200);
    assert_chained(&rows);
    assert_eq!(store.intents_left().await, 0);
}

macro_rules! suite {
    ($($promise:ident)*) => {
        mod memory {
            $(#[tokio::test]
            async fn $promise() {
                super::$promise(super::MemoryStore::new()).await;
            })*
        }

        mod sqlite {
            $(#[tokio::test]
            async fn $promise() {
                let directory = tempfile::tempdir().unwrap();
                let path = directory.path().join("audit.db");
                let (store, _) = super::SqliteStore::open(&path, super::clock()).await.unwrap();
                super::$promise(store.clone()).await;
                store.close().await;
            })*
        }
    };
}

suite! {
    an_event_takes_the_place_of_its_intent
    an_event_needs_no_intent
    an_event_is_recorded_once
    a_group_is_known_as_it_was_seen
    a_group_of_another_organization_or_in_doubt_is_not_known
    a_group_of_a_workspace_is_of_the_organization_that_the_workspace_is_of
    older_news_never_overwrites_newer
    names_come_from_the_lists_of_their_organization
    an_identity_is_remembered_with_its_time
    what_was_spent_is_added_up_and_forgotten_when_it_is_old
    many_at_once_make_one_chain
    a_change_made_elsewhere_is_recorded_once
    a_list_while_a_change_is_under_way_is_not_compared
    a_list_that_is_written_together_with_a_change_is_compared_in_its_turn
    a_change_of_ours_is_no_news_to_any_view
    a_change_of_which_the_difference_is_not_known_is_no_news_either
    a_group_made_here_is_no_news_and_its_end_is
    a_change_comes_upon_a_group_that_no_list_has_shown
    what_a_change_comes_upon_may_be_what_another_left_open
    a_change_without_an_outcome_is_settled_by_the_next_list
    a_change_that_names_no_organization_is_settled_where_it_shows
    views_and_open_changes_are_bounded
}

#[tokio::test]
async fn the_fake_fails_when_told_and_then_no_more() {
    let store = MemoryStore::new();
    store.fail(true);
    store.intend(intent(0)).await.unwrap_err();
    store
        .complete(applied(intent(0)), vec![])
        .await
        .unwrap_err();
    store.check().await.unwrap_err();
    assert!(store.events().is_empty() && store.intents().is_empty());
    store.fail(false);
    store.complete(applied(intent(0)), vec![]).await.unwrap();
    assert_eq!(store.events().len(), 1);
}
