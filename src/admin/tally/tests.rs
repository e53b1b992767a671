use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::Config;
use tempfile::TempDir;

use super::counts::Bounds;
use super::*;
use crate::domain::action::{Action, Outcome};
use crate::domain::caller::Person;
use crate::domain::event::{Actor, Event, Source};
use crate::domain::ids::{GroupId, UserId};
use crate::domain::own::{self, Operator};
use crate::store::filter::Filter;
use crate::store::sqlite::SqliteStore;
use crate::store::suite::{applied, at, intent};
use crate::store::{Identities as _, Trail as _};

const DAY: i64 = 86_400;

// Few, so that each reading has several pages.
const SHORT: u32 = 7;

/// A trail, and a clock that can be moved.
struct Office {
    _folder: TempDir,
    store: SqliteStore,
    now: Arc<AtomicI64>,
    tally: Tally,
}

/// What is told apart in an event here.
#[derive(Clone, Copy, Debug)]
struct Done {
    day: i64,
    organization: i64,
    person: i64,
    group: i64,
    action: Action,
    outcome: Outcome,
}

// === impl Office ===

impl Office {
    async fn open(bounds: Bounds) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let now = Arc::new(AtomicI64::new(0));
        let clock = Clock::from_fn({
            let now = Arc::clone(&now);
            move || at(now.load(Ordering::Relaxed))
        });
        let path = folder.path().join("audit.db");
        let (store, _) = SqliteStore::open(&path, clock.clone()).await.unwrap();
        let tally = Tally::bounded(store.reader().clone(), clock, bounds, SHORT);
        Self {
            _folder: folder,
            store,
            now,
            tally,
        }
    }

    async fn write(&self, event: Done) {
        let mut draft = applied(intent(event.day * DAY));
        draft.outcome = event.outcome;
        let intent = &mut draft.intent;
        intent.action = event.action;
        intent.actor = Actor {
            credential_id: Some(credential(event.person)),
            // Not of everybody: who the others are, nobody knows yet.
            user_id: (event.person % 2 == 0).then_some(UserId(event.person)),
            name: (event.person % 2 == 0).then(|| name(event.person)),
            ..Actor::default()
        };
        let organization = Some(OrganizationId(event.organization));
        intent.target.organization_id = organization.filter(|id| id.0 > 0);
        intent.target.group_id = Some(GroupId(event.group));
        intent.target.group_name = Some(format!("Group {}", event.group));
        self.store.complete(draft, vec![]).await.unwrap();
    }

    async fn pass(&self, days: i64) {
        self.now.store(days * DAY, Ordering::Relaxed);
    }

    /// Reads to the end, as the task does.
    async fn read(&self) {
        while self.tally.advance().await.unwrap() {}
    }

    async fn told(&self, within: Option<&[OrganizationId]>) -> Plain {
        let told = self.tally.told(within, usize::MAX).await.unwrap();
        assert!(told.is_whole);
        let days = told.days.iter().enumerate();
        let days = days.flat_map(|(day, (_, sums))| {
            [Kind::Change, Kind::Observed, Kind::Other]
                .into_iter()
                .flat_map(move |kind| {
                    let of = move |outcome| {
                        (
                            (day, kind as usize, outcome as usize),
                            sums.of(kind, &[outcome]),
                        )
                    };
                    Outcome::ALL.map(of)
                })
        });
        let counted = |times: &Times| (times.count, times.name.as_deref().unwrap_or("").to_owned());
        Plain {
            days: days.filter(|(_, count)| *count > 0).collect(),
            people: told
                .people
                .iter()
                .map(|(who, times)| (*who, counted(times)))
                .collect(),
            groups: told
                .groups
                .iter()
                .map(|(group, times)| (*group, counted(times)))
                .collect(),
        }
    }

    /// The same, from a look at every event.
    async fn plain(&self, within: Option<&[OrganizationId]>) -> Plain {
        let all = Filter::default();
        let page = self.store.reader().events(&all, None, 10_000).await;
        let mut events = page.unwrap().events;
        events.reverse();
        let mut plain = Plain::default();
        let today = self.now.load(Ordering::Relaxed) / DAY;
        for event in &events {
            let of = event.target.organization_id;
            if within.is_some_and(|mine| of.is_none_or(|of| !mine.contains(&of))) {
                continue;
            }
            let time: Timestamp = event.occurred_at.parse().unwrap();
            let day = time.duration_since(at(0)).as_secs().div_euclid(DAY);
            let Ok(day) = usize::try_from(day - today + 29) else {
                continue;
            };
            plain.add(day, event);
        }
        plain
    }
}

/// Counts, in a form that can be compared.
#[derive(Debug, Default, PartialEq)]
struct Plain {
    days: BTreeMap<(usize, usize, usize), u64>,
    people: BTreeMap<Who, (u64, String)>,
    groups: BTreeMap<GroupKey, (u64, String)>,
}

// === impl Plain ===

impl Plain {
    fn add(&mut self, day: usize, event: &Event) {
        let kind = match event.action.as_str() {
            "group.observed" => Kind::Observed,
            "api.write" => Kind::Other,
            "group.update" | "group.create" | "membership.change" => Kind::Change,
            _ => return,
        };
        let outcome = Outcome::ALL
            .iter()
            .position(|known| known.as_str() == event.outcome);
        let key = (day, kind as usize, outcome.unwrap());
        *self.days.entry(key).or_default() += 1;
        if kind != Kind::Change {
            return;
        }
        let credential = event.actor.credential_id.as_ref();
        let who = match event.actor.user_id {
            Some(user) => Some(Who::User(user)),
            None => credential
                .and_then(|id| id.parse().ok())
                .map(Who::Credential),
        };
        if let Some(who) = who {
            let known = self.people.entry(who).or_default();
            *known = (known.0 + 1, event.actor.name.clone().unwrap_or_default());
        }
        let key = (event.target.organization_id, event.target.group_id.unwrap());
        let known = self.groups.entry(key).or_default();
        *known = (
            known.0 + 1,
            event.target.group_name.clone().unwrap_or_default(),
        );
    }
}

fn credential(person: i64) -> String {
    format!("{person:064x}")
}

fn name(person: i64) -> String {
    format!("Person No. {person}")
}

fn events(days: std::ops::Range<i64>) -> impl Strategy<Value = Vec<Done>> {
    let action = prop_oneof![
        Just(Action::GroupUpdate),
        Just(Action::GroupCreate),
        Just(Action::MembershipChange),
        Just(Action::GroupObserved),
        Just(Action::ApiWrite),
    ];
    let outcome = prop::sample::select(Outcome::ALL.to_vec());
    let event = (days, 0..4_i64, 100..106_i64, 1..5_i64, action, outcome).prop_map(
        |(day, organization, person, group, action, outcome)| Done {
            day,
            organization,
            person,
            group,
            action,
            outcome,
        },
    );
    // In the order of the days, as they happen.
    prop::collection::vec(event, 0..40).prop_map(|mut events| {
        events.sort_by_key(|event| event.day);
        events
    })
}

async fn check(office: &Office) {
    let some = [OrganizationId(1), OrganizationId(3)];
    for within in [None, Some(&some[..]), Some(&[])] {
        assert_eq!(
            office.told(within).await,
            office.plain(within).await,
            "{within:?}"
        );
    }
}

fn operator(asked: &str) -> Operator {
    Operator {
        name: Some("root".into()),
        source: Source::default(),
        by: "CLI",
        asked: asked.to_owned(),
    }
}

proptest! {
    #![proptest_config(Config { cases: 16, max_shrink_iters: 60, failure_persistence: None, ..Config::default() })]

    #[test]
    fn it_counts_what_a_look_at_every_event_counts(
        old in events(-40..1), new in events(1..12), days in 12..40_i64, pruned in -30..12_i64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let office = Office::open(BOUNDS).await;
            for event in old {
                office.write(event).await;
            }
            office.read().await;
            check(&office).await;
            for event in new {
                office.pass(event.day).await;
                office.write(event).await;
            }
            check(&office).await;
            // Some rows of the window are removed.
            let event = |removal: &crate::store::sqlite::Removal| {
                own::pruned(&operator("audit prune"), removal.rows(), removal.last, &removal.hash, at(0))
            };
            office.store.prune(at(pruned * DAY), event).await.unwrap();
            office.read().await;
            check(&office).await;
            // Nothing happens for a while.
            office.pass(days).await;
            check(&office).await;
            office.store.close().await;
        });
    }
}

fn change(person: i64, group: i64) -> Done {
    Done {
        day: 0,
        organization: 1,
        person,
        group,
        action: Action::GroupUpdate,
        outcome: Outcome::Applied,
    }
}

#[tokio::test]
async fn who_was_erased_is_in_no_answer_from_then_on() {
    let office = Office::open(BOUNDS).await;
    for person in [100, 100, 102] {
        office.write(change(person, 7)).await;
    }
    office.read().await;
    assert!(
        office
            .told(None)
            .await
            .people
            .contains_key(&Who::User(UserId(100)))
    );
    let mentions = office.store.reader().mentions(UserId(100)).await.unwrap();
    let event = |rows, digest: String| {
        let rows = i64::try_from(rows).unwrap();
        own::redacted(&operator("audit redact"), rows, &digest, at(5000))
    };
    office.store.redact(mentions, event).await.unwrap();
    // At once, before anything was read anew.
    let told = office.tally.told(None, 10).await.unwrap();
    assert!(!told.is_whole);
    assert_eq!(told.people, []);
    office.read().await;
    let told = office.told(None).await;
    assert_eq!(told, office.plain(None).await);
    assert!(
        !told.people.contains_key(&Who::User(UserId(100))),
        "{told:?}"
    );
    let changes: u64 = told.days.values().sum();
    assert_eq!(changes, 3, "what was done stays counted");
    office.store.close().await;
}

#[tokio::test]
async fn two_credentials_of_one_person_are_one_as_soon_as_that_is_known() {
    let office = Office::open(BOUNDS).await;
    for person in [101, 103, 103] {
        office.write(change(person, 7)).await;
    }
    office.read().await;
    assert_eq!(office.told(None).await.people.len(), 2);
    let ann = Person {
        user_id: Some(UserId(5)),
        email: None,
        name: Some("Ann".into()),
    };
    for person in [101, 103] {
        let id = credential(person);
        office.store.remember(&id, &ann, at(0)).await.unwrap();
    }
    let told = office.told(None).await;
    let expected = BTreeMap::from([(Who::User(UserId(5)), (3, "Ann".to_owned()))]);
    assert_eq!(told.people, expected);
    office.store.close().await;
}

#[tokio::test]
async fn what_is_one_too_many_is_counted_as_others() {
    let bounds = Bounds {
        organizations: 1,
        people: 2,
        groups: 3,
        all: 4,
    };
    let office = Office::open(bounds).await;
    for number in 0..5 {
        office.write(change(100 + number, number)).await;
    }
    let second = Done {
        organization: 2,
        ..change(100, 0)
    };
    office.write(second).await;
    office.read().await;
    let told = office.tally.told(None, 10).await.unwrap();
    let all = Sums::total(told.days.iter().map(|(_, sums)| sums));
    assert_eq!(all.all(Kind::Change), 6);
    assert_eq!((told.people.len(), told.groups.len()), (2, 2));
    assert_eq!((told.other_people, told.other_groups), (4, 4));
    let second = Some(&[OrganizationId(2)][..]);
    let told = office.tally.told(second, 10).await.unwrap();
    assert_eq!(told.people, [], "of one too many nothing is kept");
    office.store.close().await;
}

#[tokio::test]
async fn it_reads_by_itself_what_there_is() {
    let office = Office::open(BOUNDS).await;
    for number in 0..20 {
        office.write(change(100, number)).await;
    }
    let stop = CancellationToken::new();
    let running = tokio::spawn(office.tally.clone().run(office.store.heads(), stop.clone()));
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !office.tally.told(None, 10).await.unwrap().is_whole {
        assert!(
            tokio::time::Instant::now() < deadline,
            "it does not come to the end"
        );
        tokio::task::yield_now().await;
    }
    check(&office).await;
    stop.cancel();
    running.await.unwrap();
    office.store.close().await;
}
