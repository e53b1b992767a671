//! Looks for a filter of events that the database refuses, or that answers otherwise page by page than at once.
//!
//! Input: the filter as a query, such as `org=4123&actor=ann&since=2d&q=renamed`. It is asked of a small trail
//! that is made once.
//!
//! ```sh
//! cargo +nightly fuzz run --sanitizer none events
//! ```

#![no_main]

use std::sync::LazyLock;

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};
use tollgate::clock::Clock;
use tollgate::domain::action::{Action, Outcome};
use tollgate::domain::endpoint::Touches;
use tollgate::domain::event::{
    Actor, Draft, Intent, RequestRecord, ResponseRecord, Source, Target,
};
use tollgate::domain::ids::{EventId, GroupId, OrganizationId, UserId};
use tollgate::domain::moment::Moment;
use tollgate::store::Trail as _;
use tollgate::store::filter::Filter;
use tollgate::store::sqlite::{Reader, SqliteStore};

const EVENTS: i64 = 24;

/// As many are asked for at once, so that all of them are several pages.
const PAGE: u32 = 7;

/// When they were: each a minute after the other.
const START: i64 = 1_790_000_000;

static TRAIL: LazyLock<(Runtime, Reader)> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder").keep();
    let reader = runtime.block_on(async {
        let path = folder.join("tollgate.db");
        let (store, _) = SqliteStore::open(&path, Clock::from_fn(|| time(EVENTS)))
            .await
            .expect("a new database");
        for n in 0..EVENTS {
            store.complete(event(n), vec![]).await.expect("an event");
        }
        store.close().await;
        Reader::open(&path).await.expect("a trail")
    });
    (runtime, reader)
});

fuzz_target!(|data: &[u8]| {
    let filter = filter(data);
    let (runtime, reader) = &*TRAIL;
    runtime.block_on(async {
        let all = reader.events(&filter, None, 100).await;
        let all = all.expect("any filter can be asked").events;
        let (mut paged, mut before) = (Vec::new(), None);
        loop {
            let page = reader.events(&filter, before, PAGE).await.expect("a page");
            paged.extend(page.events);
            before = match page.next {
                Some(next) => Some(next),
                None => break,
            };
        }
        assert_eq!(paged, all);
        for event in &all {
            if let Some(organization) = filter.organization {
                assert_eq!(event.target.organization_id, Some(organization));
            }
            if let Some(outcome) = &filter.outcome {
                assert_eq!(event.outcome, *outcome);
            }
            if !filter.actions.is_empty() {
                assert!(filter.actions.contains(&event.action));
            }
            let at: Timestamp = event.occurred_at.parse().expect("a time");
            assert!(filter.since.is_none_or(|since| at >= since));
            assert!(filter.until.is_none_or(|until| at < until));
        }
    });
});

fn filter(query: &[u8]) -> Filter {
    let mut filter = Filter::default();
    let moment = |text: &str| Some(text.parse::<Moment>().ok()?.before(time(EVENTS)));
    for (name, value) in form_urlencoded::parse(query) {
        match &*name {
            "org" => filter.organization = value.parse().ok().map(OrganizationId),
            "within" => {
                filter.within = Some(value.parse().ok().map(OrganizationId).into_iter().collect())
            }
            "group" => filter.group = value.parse().ok().map(GroupId),
            "actor" => filter.actor = Some(value.into_owned()),
            "action" => filter.actions.push(value.into_owned()),
            "outcome" => filter.outcome = Some(value.into_owned()),
            "since" => filter.since = moment(&value),
            "until" => filter.until = moment(&value),
            "q" => filter.text = Some(value.into_owned()),
            _ => {}
        }
    }
    filter
}

fn time(n: i64) -> Timestamp {
    Timestamp::from_second(START + 60 * n).expect("a time")
}

// No two are alike, and some have next to nothing.
fn event(n: i64) -> Draft {
    let names = [
        "Ann",
        "ann@acme.example",
        "100%",
        "under_score",
        "Ünal",
        "'; --",
    ];
    let name = names[n as usize % names.len()];
    let (id, every) = (EventId::new(), |k| (n % k != 0).then_some(n % k));
    Draft {
        intent: Intent {
            id,
            occurred_at: time(n),
            action: if n % 2 == 0 {
                Action::GroupUpdate
            } else {
                Action::ApiWrite
            },
            actor: Actor {
                credential_id: every(4).map(|n| format!("{n:064x}")),
                user_id: every(3).map(UserId),
                email: every(5).map(|n| format!("member{n}@acme.example")),
                name: Some(name.to_owned()),
                tool: None,
                on_behalf_of: None,
            },
            source: Source::default(),
            target: Target {
                organization_id: every(3).map(OrganizationId),
                group_id: every(4).map(GroupId),
                group_name: Some(name.to_owned()),
                ..Target::default()
            },
            request: RequestRecord {
                method: "PUT".into(),
                path: format!("/api/v9/{name}"),
                query: None,
                body: None,
                body_digest: None,
            },
            touches: Touches::Nothing,
            flags: vec![],
        },
        completed_at: time(n),
        duration_ms: n,
        outcome: if n % 3 == 0 {
            Outcome::Rejected
        } else {
            Outcome::Applied
        },
        response: ResponseRecord {
            status: Some(200),
            body: None,
            upstream_request_id: None,
        },
        before: None,
        after: None,
        changes: vec![],
        relations: vec![],
        summary: format!("renamed {name:?}"),
    }
}
