//! Filters find what they say, page by page, and by an index.

use sqlx::Execute as _;

use super::*;
use crate::domain::action::{Action, Outcome};
use crate::domain::diff::{Change, Kind};
use crate::domain::event::Actor;
use crate::domain::ids::{EventId, OrganizationId};
use crate::store::Fact;
use crate::store::filter::{Cursor, Filter};
use crate::store::suite::{at, group, news};

/// The numbers of the events that match.
async fn found(store: &SqliteStore, filter: Filter) -> Vec<i64> {
    let page = store.reader().events(&filter, None, 100).await.unwrap();
    page.events.iter().map(|event| event.seq).collect()
}

fn by(actor: &str) -> Filter {
    Filter {
        actor: Some(actor.into()),
        ..Filter::default()
    }
}

/// 1: Ann renames group 7. 2: nobody knows who deletes group 8 of organization 2, refused. 3: Ann, a
/// day later, changes groups 7 and 9 at once.
async fn three(place: &Place) -> SqliteStore {
    let (store, _) = place.open().await;
    store.complete(applied(intent(0)), vec![]).await.unwrap();

    let mut refused = applied(intent(60));
    refused.outcome = Outcome::Rejected;
    refused.intent.action = Action::GroupDelete;
    refused.intent.actor.email = None;
    refused.intent.actor.credential_id = Some("cd".repeat(32));
    refused.intent.target.organization_id = Some(OrganizationId(2));
    refused.intent.target.group_id = Some(GroupId(8));
    store.complete(refused, vec![]).await.unwrap();

    let mut several = applied(intent(86_400));
    several.intent.target.group_id = None;
    several.changes = [7, 9]
        .map(|id| Change {
            group_id: Some(GroupId(id)),
            ..Change::member(Kind::Removed, UserId(6), None)
        })
        .to_vec();
    store.complete(several, vec![]).await.unwrap();
    store
}

#[tokio::test]
async fn a_change_noticed_later_is_found_at_the_time_since_which_it_may_have_happened() {
    let place = Place::new();
    let store = three(&place).await;
    // Written last, and its hours are those of earlier rows, of no row, and of the last one.
    for seconds in [30, 40_000, 86_500] {
        let mut observed = applied(intent(seconds));
        observed.completed_at = at(90_000);
        store.complete(observed, vec![]).await.unwrap();
    }
    let between = |since, until| Filter {
        since: Some(at(since)),
        until: Some(at(until)),
        ..Filter::default()
    };
    assert_eq!(found(&store, between(0, 100)).await, [4, 2, 1]);
    assert_eq!(found(&store, between(20, 50)).await, [4]);
    assert_eq!(found(&store, between(39_000, 41_000)).await, [5]);
    assert_eq!(found(&store, between(86_400, 90_000)).await, [6, 3]);
    store.close().await;
}

#[tokio::test]
async fn each_filter_finds_what_it_says() {
    let place = Place::new();
    let store = three(&place).await;
    let all = Filter::default();
    let group = |id| Filter {
        group: Some(GroupId(id)),
        ..Filter::default()
    };
    let cases = [
        (all.clone(), vec![3, 2, 1]),
        (
            Filter {
                organization: Some(OrganizationId(2)),
                ..all.clone()
            },
            vec![2],
        ),
        (group(7), vec![3, 1]),
        (group(8), vec![2]),
        (group(9), vec![3]),
        (
            Filter {
                actions: vec!["group.delete".into()],
                ..all.clone()
            },
            vec![2],
        ),
        (
            Filter {
                outcome: Some("applied".into()),
                ..all.clone()
            },
            vec![3, 1],
        ),
        (
            Filter {
                since: Some(at(60)),
                ..all.clone()
            },
            vec![3, 2],
        ),
        (
            Filter {
                since: Some(at(61)),
                ..all.clone()
            },
            vec![3],
        ),
        (
            Filter {
                until: Some(at(60)),
                ..all.clone()
            },
            vec![1],
        ),
        (
            Filter {
                since: Some(at(1)),
                until: Some(at(61)),
                ..all.clone()
            },
            vec![2],
        ),
        (
            Filter {
                since: Some(at(100_000)),
                ..all.clone()
            },
            vec![],
        ),
        (
            Filter {
                outcome: Some("applied".into()),
                until: Some(at(61)),
                ..group(7)
            },
            vec![1],
        ),
        (by("ANN@acme.example"), vec![3, 1]),
        (by("cdcd"), vec![2]),
        (by("abab"), vec![3, 1]),
        (by("Bea"), vec![]),
        (by("5"), vec![]),
        (by(""), vec![]),
    ];
    for (filter, expected) in cases {
        assert_eq!(found(&store, filter.clone()).await, expected, "{filter:?}");
    }
}

#[tokio::test]
async fn an_actor_is_found_by_what_became_known_later() {
    let place = Place::new();
    let store = three(&place).await;
    let bea = Person {
        user_id: Some(UserId(5)),
        email: Some("bea@acme.example".into()),
        name: Some("Bea".into()),
    };
    store.remember(&"cd".repeat(32), &bea, at(9)).await.unwrap();
    for actor in ["bea", "bea@acme.example", "5"] {
        assert_eq!(found(&store, by(actor)).await, [2], "{actor}");
    }
    let page = store.reader().events(&by("bea"), None, 1).await.unwrap();
    assert_eq!(page.events[0].actor.name.as_deref(), Some("Bea"));
    assert_eq!(page.events[0].actor.user_id, Some(UserId(5)));
}

#[tokio::test]
async fn a_name_that_only_another_organization_told_finds_nothing_within_this_one() {
    let place = Place::new();
    let (store, _) = place.open().await;
    let mut draft = applied(intent(0));
    draft.intent.actor = Actor {
        user_id: Some(UserId(6)),
        ..Actor::default()
    };
    store.complete(draft, vec![]).await.unwrap();
    let told = |organization, name| {
        let group = Box::new(group(70 + organization, "Sales", &[(6, name)]));
        news(0, Fact::Group(Some(OrganizationId(organization)), group))
    };
    let learned = vec![told(1, "Bob"), told(2, "Robert")];
    store.learn(learned).await;
    store.check().await.unwrap();
    let within = |actor, organizations: &[i64]| Filter {
        within: Some(organizations.iter().copied().map(OrganizationId).collect()),
        ..by(actor)
    };
    assert_eq!(found(&store, by("Robert")).await, [1]);
    assert_eq!(found(&store, within("bob", &[1])).await, [1]);
    assert_eq!(found(&store, within("Robert", &[1, 2])).await, [1]);
    assert_eq!(found(&store, within("Robert", &[1])).await, [0; 0]);
}

#[tokio::test]
async fn many_organizations_and_all_that_an_actor_may_be_called_are_one_statement() {
    let place = Place::new();
    let store = three(&place).await;
    for n in 0..32 {
        let ann = Person {
            user_id: Some(UserId(5)),
            email: Some("ann@acme.example".into()),
            name: Some("Ann".into()),
        };
        store.remember(&credential(n), &ann, at(9)).await.unwrap();
    }
    let many = |actor: &str| Filter {
        within: Some((1..=40).map(OrganizationId).collect()),
        ..by(actor)
    };
    let of_group = Filter {
        group: Some(GroupId(7)),
        ..many("ann@acme.example")
    };
    assert_eq!(found(&store, many("ann@acme.example")).await, [3, 1]);
    assert_eq!(found(&store, of_group).await, [3, 1]);
    assert_eq!(found(&store, many("cdcd")).await, [2]);
    let mut raw = place.raw().await;
    let steps = plan(&mut raw, &many("ann@acme.example")).await;
    let walks = steps.iter().filter(|step| {
        step.contains("USING COVERING INDEX audit_events_by_")
            && step.contains("=? AND organization_id=? AND action=? AND outcome=? AND rowid")
    });
    assert_eq!(walks.count(), 34, "one for each identifier\n{steps:#?}");
}

fn credential(n: u8) -> String {
    hex::encode([n; 32])
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_repetition() {
    let place = Place::with_events(7).await;
    let reader = Reader::open(&place.path).await.unwrap();
    let (mut seen, mut before, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = reader.events(&Filter::default(), before, 3).await.unwrap();
        seen.extend(page.events.iter().map(|event| event.seq));
        pages += 1;
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(seen, [7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(pages, 3);
    let exact = reader.events(&Filter::default(), None, 7).await.unwrap();
    assert_eq!(exact.next, None, "no page after the last event");
}

#[tokio::test]
async fn a_text_is_looked_for_as_it_is_and_a_page_goes_on_where_it_stopped_looking() {
    let place = Place::new();
    let (store, _) = place.open().await;
    for (n, summary) in ["100% \\ of it", "1000 of it", "nothing"]
        .into_iter()
        .enumerate()
    {
        let mut draft = applied(intent(i64::try_from(n).unwrap()));
        draft.summary = summary.to_owned();
        store.complete(draft, vec![]).await.unwrap();
    }
    let holding = |text: &str| Filter {
        text: Some(text.to_owned()),
        ..Filter::default()
    };
    assert_eq!(found(&store, holding("100% \\ OF")).await, [1]);
    assert_eq!(found(&store, holding("00")).await, [2, 1]);
    assert_eq!(found(&store, holding("_")).await, [0; 0]);
    assert_eq!(
        found(&store, holding("/api/v9/ORGANIZATIONS")).await,
        [3, 2, 1]
    );
    let page = store
        .reader()
        .events(&holding("of"), None, 1)
        .await
        .unwrap();
    assert_eq!((page.events[0].seq, page.next), (2, Some(2)));
}

#[tokio::test]
async fn an_event_is_found_by_its_id() {
    let place = Place::new();
    let (store, _) = place.open().await;
    let draft = applied(intent(0));
    store.complete(draft.clone(), vec![]).await.unwrap();
    let event = store
        .reader()
        .event(draft.intent.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(event.before, draft.before);
    assert_eq!(event.changes, serde_json::to_value(&draft.changes).unwrap());
    assert_eq!(store.reader().event(EventId::new()).await.unwrap(), None);
}

/// How the database goes about a filter, step by step.
async fn plan(raw: &mut SqliteConnection, filter: &Filter) -> Vec<String> {
    let mut page = query::page(raw, filter, Cursor::NEWEST, 50).await.unwrap();
    let sql = page.build().sql();
    let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", sql.as_str()));
    let steps: Vec<(i64, i64, i64, String)> = sqlx::query_as(explain).fetch_all(raw).await.unwrap();
    steps.into_iter().map(|step| step.3).collect()
}

#[tokio::test]
async fn no_filter_walks_the_whole_table_or_sorts_it() {
    let place = Place::with_events(1).await;
    let mut raw = place.raw().await;
    let all = Filter::default();
    let cases = [
        (all.clone(), "INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
        (
            Filter {
                organization: Some(OrganizationId(1)),
                ..all.clone()
            },
            "by_organization",
        ),
        (
            Filter {
                group: Some(GroupId(1)),
                ..all.clone()
            },
            "audit_events_by_group",
        ),
        (
            Filter {
                group: Some(GroupId(1)),
                ..all.clone()
            },
            "audit_several_by_group",
        ),
        (
            Filter {
                actions: vec!["a".into()],
                ..all.clone()
            },
            "by_action",
        ),
        (
            Filter {
                outcome: Some("a".into()),
                ..all.clone()
            },
            "by_outcome",
        ),
        (
            Filter {
                since: Some(at(0)),
                ..all.clone()
            },
            "(rowid>? AND rowid<?)",
        ),
        (
            Filter {
                until: Some(at(0)),
                ..all.clone()
            },
            "(rowid>? AND rowid<?)",
        ),
        (by("ann@acme.example"), "by_email"),
        (by("Ann"), "by_name"),
        (by("5"), "by_user"),
        (by("abab"), "by_credential"),
    ];
    for (filter, index) in cases {
        let steps = plan(&mut raw, &filter).await;
        let shown = steps.join("\n");
        assert!(shown.contains(index), "{filter:?}\n{shown}");
        let scans = |table: &str| {
            steps
                .iter()
                .any(|step| step.starts_with(&format!("SCAN {table}")))
        };
        assert!(
            !scans("e") && !scans("g") && !scans("i"),
            "{filter:?}\n{shown}"
        );
        // What is sorted is the page at the end, never an arm.
        let sorts = steps.iter().filter(|step| step.contains("FOR ORDER BY"));
        assert!(sorts.count() <= 1, "{filter:?}\n{shown}");
    }
}

#[tokio::test]
async fn what_is_asked_together_is_one_walk_along_an_index() {
    let place = Place::with_events(5).await;
    let mut raw = place.raw().await;
    let both = Filter {
        organization: Some(OrganizationId(1)),
        outcome: Some("unknown".into()),
        ..Filter::default()
    };
    let cases = [
        (
            both.clone(),
            "by_organization (organization_id=? AND action=? AND outcome=? AND rowid",
        ),
        (
            Filter {
                group: Some(GroupId(7)),
                ..both.clone()
            },
            "by_group (group_id=? AND organization_id=? AND action=? AND outcome=? AND rowid",
        ),
        (
            Filter {
                group: Some(GroupId(7)),
                actor: Some("abab".into()),
                ..both.clone()
            },
            "by_group_and_actor (group_id=? AND <expr>=? AND organization_id=? AND action=? AND outcome=? AND rowid",
        ),
        (
            Filter {
                actor: Some("abab".into()),
                ..both.clone()
            },
            "by_credential (credential_id=? AND organization_id=? AND action=? AND outcome=? AND rowid",
        ),
        (
            Filter {
                organization: None,
                actions: vec!["group.update".into()],
                ..both
            },
            "by_action (action=? AND outcome=? AND rowid",
        ),
    ];
    for (filter, walk) in cases {
        let steps = plan(&mut raw, &filter).await.join("\n");
        assert!(
            steps.contains(&format!("USING COVERING INDEX audit_events_{walk}")),
            "{filter:?}\n{steps}"
        );
        // Nor does a time, for which the rows are looked at, make it another one.
        let timed = Filter {
            until: Some(at(100)),
            ..filter
        };
        let steps = plan(&mut raw, &timed).await.join("\n");
        assert!(
            steps.contains(&format!("USING INDEX audit_events_{walk}")),
            "{timed:?}\n{steps}"
        );
    }
}

#[tokio::test]
async fn a_group_and_an_actor_are_one_walk_also_in_events_about_several() {
    let place = Place::with_events(5).await;
    let mut raw = place.raw().await;
    let both = Filter {
        group: Some(GroupId(7)),
        ..by("ann@acme.example")
    };
    let steps = plan(&mut raw, &both).await;
    let shown = steps.join("\n");
    for index in [
        "audit_events_by_group_and_actor (group_id=?",
        "audit_several_by_group_and_actor (group_id=?",
    ] {
        assert!(
            shown.contains(&format!("USING COVERING INDEX {index} AND")),
            "{shown}"
        );
    }
    // Nothing is compared row by row: each search is by group and person, but for the page's rows.
    let others = steps.iter().filter(|step| {
        step.contains(" e USING") && !step.contains("_by_group_and_actor (group_id=?")
    });
    let others: Vec<_> = others.collect();
    assert!(
        others
            .iter()
            .all(|step| step.contains("PRIMARY KEY") || step.contains("audit_events_by_action")),
        "{others:?}"
    );
}

/// Every combination of filters, in both directions and page by page, finds what a walk over all events
/// finds.
#[tokio::test]
async fn every_combination_of_filters_finds_what_it_says() {
    let place = Place::new();
    let (store, _) = place.open().await;
    for n in 0..60 {
        let mut draft = applied(intent(n * 600));
        let kinds = [Action::GroupUpdate, Action::GroupPatch, Action::ApiWrite];
        draft.intent.action = kinds[usize::try_from(n % 3).unwrap()];
        draft.outcome = [Outcome::Applied, Outcome::Rejected][usize::try_from(n / 3 % 2).unwrap()];
        draft.intent.target.organization_id =
            [None, Some(OrganizationId(1)), Some(OrganizationId(2))]
                [usize::try_from(n % 7 % 3).unwrap()];
        draft.intent.target.group_id = (n % 4 < 2).then_some(GroupId(7 + n % 4));
        if n % 4 == 2 {
            draft.changes = vec![Change {
                group_id: Some(GroupId(7)),
                ..Change::member(Kind::Added, UserId(6), None)
            }];
        }
        if n % 5 == 3 {
            draft.summary = "100% \\ of it".to_owned();
        }
        let actor = &mut draft.intent.actor;
        let who = usize::try_from(n % 2).unwrap();
        actor.credential_id = Some(["ab", "cd"][who].repeat(32));
        // Of some requests only the credential was known, of others more or less of the person.
        actor.email = (n % 5 < 3).then(|| ["Ann@acme.example", "bea@acme.example"][who].to_owned());
        actor.name = (n % 5 == 1).then(|| ["Ann \"the\" B.", "Bea"][who].to_owned());
        actor.user_id = (n % 5 < 2).then(|| UserId([5, 6][who]));
        store.complete(draft, vec![]).await.unwrap();
    }
    let mut cases = 0;
    for actor in ["abab", "ann@acme.example", "ANN \"THE\" b.", "5"] {
        cases += combinations(&store, actor).await;
    }
    // All that the first credential did is found by each of its person's names now.
    let ann = Person {
        user_id: Some(UserId(5)),
        email: Some("ann@acme.example".into()),
        name: Some("Ann \"the\" B.".into()),
    };
    store.remember(&"ab".repeat(32), &ann, at(9)).await.unwrap();
    for actor in ["abab", "ann@acme.example", "ANN \"THE\" b.", "5"] {
        cases += combinations(&store, actor).await;
    }
    assert!(cases > 3_000, "the filters find something: {cases}");
}

/// How many events the combinations found, which are those that a walk over all events finds.
async fn combinations(store: &SqliteStore, actor: &str) -> usize {
    let everything = store
        .reader()
        .events(&Filter::default(), None, 100)
        .await
        .unwrap()
        .events;
    let says = |filter: &Filter, event: &crate::domain::event::Event| {
        let several = event.changes.to_string().contains(r#""group_id":7"#);
        filter
            .organization
            .is_none_or(|id| event.target.organization_id == Some(id))
            && filter.group.is_none_or(|id| {
                event.target.group_id == Some(id)
                    || (event.target.group_id.is_none() && several && id.0 == 7)
            })
            && filter.actor.as_ref().is_none_or(|actor| {
                let by = &event.actor;
                let says = |text: &Option<String>| {
                    text.as_ref()
                        .is_some_and(|text| text.eq_ignore_ascii_case(actor))
                };
                says(&by.email)
                    || says(&by.name)
                    || by.user_id.is_some_and(|id| id.0.to_string() == *actor)
                    || (by.credential_id.as_ref()).is_some_and(|id| id.starts_with(actor.as_str()))
            })
            && filter.within.as_ref().is_none_or(|within| {
                let organization = event.target.organization_id;
                organization.is_some_and(|organization| within.contains(&organization))
            })
            && (filter.actions.is_empty() || filter.actions.contains(&event.action))
            && filter
                .text
                .as_ref()
                .is_none_or(|text| event.summary.to_ascii_lowercase().contains(text.as_str()))
            && filter
                .outcome
                .as_ref()
                .is_none_or(|outcome| event.outcome == *outcome)
            && filter
                .since
                .is_none_or(|since| event.occurred_at >= crate::clock::rfc3339(since))
    };
    let mut cases = 0;
    // What a reader may see, several actions, and a text, with the first actor alone: that is enough time.
    let masks = if actor == "abab" { 512 } else { 64 };
    for mask in 0..masks {
        let set = |bit: u32| mask >> bit & 1 == 1;
        // One action or two, of which one is that of no event.
        let actions = ["group.update", "group.delete", "group.elsewhere"];
        let actions = &actions[..usize::from(set(3)) * if set(7) { 3 } else { 1 }];
        let within = [OrganizationId(1), OrganizationId(3)];
        let filter = Filter {
            organization: set(0).then_some(OrganizationId(1)),
            group: set(1).then_some(GroupId(7)),
            actor: set(2).then(|| actor.to_owned()),
            within: set(6).then(|| within.to_vec()),
            actions: actions.iter().map(|&action| action.to_owned()).collect(),
            outcome: set(4).then(|| "applied".to_owned()),
            since: set(5).then(|| at(7_000)),
            until: None,
            text: set(8).then(|| "brand".to_owned()),
        };
        let mut expected: Vec<_> = everything
            .iter()
            .filter(|event| says(&filter, event))
            .map(|event| event.seq)
            .collect();
        for mut cursor in [Cursor::NEWEST, Cursor::OLDEST] {
            let mut walked = Vec::new();
            loop {
                let page = store
                    .reader()
                    .next_events(&filter, cursor, 7)
                    .await
                    .unwrap();
                walked.extend(page.events.iter().map(|event| event.seq));
                cursor = match (page.next, cursor) {
                    (None, _) => break,
                    (Some(seq), Cursor::Before(_)) => Cursor::Before(seq),
                    (Some(seq), Cursor::After(_)) => Cursor::After(seq),
                };
            }
            assert_eq!(walked, expected, "{filter:?} {cursor:?}");
            expected.reverse();
            cases += walked.len();
        }
    }
    cases
}

#[tokio::test]
async fn many_numbers_are_those_of_the_page_wherever_they_lie() {
    let place = Place::new();
    let (store, _) = place.open().await;
    store.close().await;
    let mut raw = place.raw().await;
    let seed = include_str!("../../../../benches/support/seed.sql");
    let seed = sqlx::query(seed).bind(1).bind(3_000);
    seed.execute(&mut raw).await.unwrap();
    let reader = Reader::open(&place.path).await.unwrap();
    let all = Filter::default();
    let filters = [
        all.clone(),
        Filter {
            organization: Some(OrganizationId(1)),
            ..all.clone()
        },
        // One in twenty-five, and three in all.
        Filter {
            organization: Some(OrganizationId(7)),
            ..all.clone()
        },
        Filter {
            actions: vec!["group.observed".to_owned()],
            ..all.clone()
        },
        Filter {
            actions: vec!["group.patch".to_owned(), "group.delete".to_owned()],
            outcome: Some("applied".to_owned()),
            ..all
        },
    ];
    for filter in &filters {
        let from = [0, 1, 15, 1_500, 2_999, 4_000];
        let cursors = from.map(|seq| [Cursor::Before(seq), Cursor::After(seq)]);
        let ends = [Cursor::NEWEST, Cursor::OLDEST];
        for cursor in cursors.into_iter().flatten().chain(ends) {
            let page = reader.next_events(filter, cursor, 20).await.unwrap();
            let page: Vec<i64> = page.events.iter().map(|event| event.seq).collect();
            let numbers = query::many_numbers(&mut raw, filter, cursor, 20)
                .await
                .unwrap();
            assert_eq!(numbers, page, "{filter:?} {cursor:?}");
        }
    }
    reader.close().await;
}
