//! DESIGN §1.2 over many callers: nobody reads what upstream did not give to them.
//!
//! **What is proved**, for callers of every scheme, credential and session cookie, over organizations,
//! interleavings, outages and revocations that proptest makes up:
//!
//! - what a caller is answered with, upstream gave to that caller, for that question;
//! - no cookie, request id, quota header or date of another request's answer comes with it, nor a header
//!   that upstream may add one day;
//! - after a 401 or a 403 a caller is given no list from before it;
//! - after a new token, a password change or a logout through the gateway nobody is;
//! - whatever upstream does not say of a credential, because it is down, a list is given out for no longer
//!   than `ttl` + `stale_if_error` after it was given to that credential;
//! - without a credential nothing is kept or shared.

mod mirror;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, sleep};
use tower::{Layer as _, ServiceExt as _};

use self::mirror::{AFTER, BEFORE, Caller, MARK, Mirror, OWN, says};
use super::layer;
use crate::body::Body;
use crate::cache::epochs::Epochs;
use crate::cache::verdict::Freshness;
use crate::layers::cache::Cache;
use crate::layers::invalidate::{Invalidate, InvalidateLayer};
use crate::layers::{CACHE_STATUS, testing};

const FRESHNESS: Freshness = Freshness {
    ttl: Duration::from_secs(2),
    while_revalidate: Duration::from_secs(1),
    if_error: Duration::from_secs(5),
    refusal: Duration::from_millis(500),
};

const LISTS: [&str; 5] = [
    "/api/v9/organizations/1/groups",
    "/api/v9/organizations/2/groups",
    "/api/v9/organizations/1/groups?name=x",
    "/api/v9/organizations/1/workspaces/3/groups",
    "/api/v9/workspaces/3/groups",
];

/// Something that happens.
#[derive(Clone, Debug)]
enum Step {
    Read {
        who: Caller,
        list: usize,
        new: bool,
        pauses: [u64; 2],
    },
    /// A read that is not kept, by which the gateway may learn that the caller is refused.
    Me(Caller),
    /// A new token, a new password, a logout.
    Renew(Caller, usize),
    /// Upstream no longer accepts somebody, in one organization or at all, and tells nobody.
    Revoke(Caller, Option<i64>),
    AcceptAll,
    Down(bool),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let caller =
        (0..3_usize, 1..3_usize, 0..3_usize).prop_map(|(scheme, credential, session)| Caller {
            scheme,
            credential: if scheme == 0 { 0 } else { credential },
            session,
        });
    // A few callers who ask again and again, as tools do.
    proptest::collection::vec(caller, 1..5).prop_flat_map(|callers| {
        let caller = proptest::sample::select(callers);
        let pause = prop_oneof![3 => 0..40_u64, 1 => 40..1500_u64];
        let read = (
            caller.clone(),
            0..LISTS.len(),
            0..10,
            [pause.clone(), pause],
        );
        let read = read.prop_map(|(who, list, new, pauses)| Step::Read {
            who,
            list: if new > 5 { 0 } else { list },
            new: new == 0,
            pauses,
        });
        let organization = prop_oneof![Just(None), Just(Some(1)), Just(Some(2))];
        let step = prop_oneof![
            30 => read,
            20 => prop_oneof![3 => 0..60_u64, 1 => 60..4000_u64].prop_map(Step::Wait),
            2 => caller.clone().prop_map(Step::Me),
            2 => (caller.clone(), 0..3_usize).prop_map(|(who, how)| Step::Renew(who, how)),
            2 => (caller, organization).prop_map(|(who, of)| Step::Revoke(who, of)),
            3 => Just(Step::AcceptAll),
            2 => any::<bool>().prop_map(Step::Down),
        ];
        proptest::collection::vec(step, 10..120)
    })
}

/// An answer to somebody.
#[derive(Debug)]
struct Seen {
    who: Caller,
    question: &'static str,
    mark: String,
    began: u64,
    ended: u64,
    at: Instant,
    status: StatusCode,
    cache: String,
    /// The serials in the headers that belong to one answer alone.
    own: Vec<u64>,
    /// The serial in the body.
    serial: u64,
    body: String,
}

// === impl Seen ===

impl Seen {
    fn is_list(&self) -> bool {
        self.status == StatusCode::OK && LISTS.contains(&self.question)
    }

    fn is_kept(&self) -> bool {
        self.cache.contains("; ttl=")
    }

    fn refuses(&self) -> bool {
        matches!(
            self.status,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
        )
    }

    fn renews(&self) -> bool {
        self.status == StatusCode::OK
            && RENEWALS.iter().any(|(_, path)| *path == self.question)
            && self.cache == "tollgate; fwd=method"
    }
}

const RENEWALS: [(Method, &str); 3] = [
    (Method::POST, "/api/v9/me/reset_token"),
    (Method::PUT, "/api/v9/me"),
    (Method::DELETE, "/api/v9/me/sessions"),
];

/// One request, sent when it is awaited.
#[derive(Clone)]
struct Ask {
    gate: Invalidate<Cache<Mirror>>,
    mirror: Mirror,
    who: Caller,
    method: Method,
    question: &'static str,
    new: bool,
    pauses: [u64; 2],
    mark: usize,
}

impl Ask {
    async fn send(self) -> Option<Seen> {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = self.method;
        *request.uri_mut() = self.question.parse().unwrap();
        let headers = request.headers_mut();
        let mark = self.mark.to_string();
        headers.insert(MARK, mark.parse().unwrap());
        headers.insert(BEFORE, self.pauses[0].into());
        headers.insert(AFTER, self.pauses[1].into());
        if self.new {
            headers.insert("cache-control", "no-cache".parse().unwrap());
        }
        self.who.headers(headers);
        let began = self.mirror.tick();
        let answer = self.gate.oneshot(testing::call(request)).await.ok()?;
        let (ended, at) = (self.mirror.tick(), Instant::now());
        let (head, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        let names = OWN;
        let own = names
            .iter()
            .flat_map(|name| head.headers.get_all(name).iter())
            .map(|value| value.to_str().unwrap().parse().unwrap())
            .collect();
        let (_, serial) = body.split_once("got ").unwrap();
        Some(Seen {
            who: self.who,
            question: self.question,
            mark,
            began,
            ended,
            at,
            status: head.status,
            cache: head.headers[CACHE_STATUS].to_str().unwrap().to_owned(),
            own,
            serial: serial.split_once(' ').unwrap().0.parse().unwrap(),
            body,
        })
    }
}

async fn play(steps: Vec<Step>) -> (Mirror, Vec<Seen>) {
    let mirror = Mirror::new();
    let epochs = Epochs::with_grace(Duration::from_secs(1));
    let cache = layer(Arc::clone(&epochs), Arc::new(testing::NoGroups), FRESHNESS);
    let gate = InvalidateLayer::new(epochs).layer(cache.layer(mirror.clone()));
    let mut asked = JoinSet::new();
    for (mark, step) in steps.into_iter().enumerate() {
        let ask = |who, method, question| Ask {
            gate: gate.clone(),
            mirror: mirror.clone(),
            who,
            method,
            question,
            new: false,
            pauses: [5, 5],
            mark,
        };
        match step {
            Step::Read {
                who,
                list,
                new,
                pauses,
            } => {
                let ask = ask(who, Method::GET, LISTS[list]);
                asked.spawn(Ask { new, pauses, ..ask }.send());
            }
            Step::Me(who) => {
                asked.spawn(ask(who, Method::GET, "/api/v9/me").send());
            }
            Step::Renew(who, how) => {
                let (method, path) = RENEWALS[how].clone();
                asked.spawn(ask(who, method, path).send());
            }
            Step::Revoke(who, organization) => mirror.revoke(who, organization),
            Step::AcceptAll => mirror.accept_all(),
            Step::Down(is_down) => mirror.set_down(is_down),
            Step::Wait(millis) => sleep(Duration::from_millis(millis)).await,
        }
    }
    let seen = asked.join_all().await.into_iter().flatten().collect();
    (mirror, seen)
}

fn check(mirror: &Mirror, all: &[Seen]) -> Result<(), TestCaseError> {
    for seen in all {
        let text = says(seen.who, seen.question, seen.serial);
        prop_assert!(seen.body.contains(&text), "{seen:?} is not {text}");
        for serial in &seen.own {
            prop_assert_eq!(&mirror.given(*serial).mark, &seen.mark, "{:?}", seen);
            prop_assert_eq!(*serial, seen.serial, "{:?}", seen);
        }
        let is_anothers = seen.is_kept() || seen.cache.contains("collapsed");
        prop_assert!(!is_anothers || seen.own.is_empty(), "{seen:?}");
        prop_assert!(seen.who.is_somebody() || !is_anothers, "{seen:?}");
        if !seen.is_list() {
            continue;
        }
        let given = mirror.given(seen.serial);
        prop_assert_eq!(given.status, StatusCode::OK);
        let age = seen.at.duration_since(given.at);
        prop_assert!(
            age < FRESHNESS.ttl + FRESHNESS.if_error,
            "{age:?}: {seen:?}"
        );
        for earlier in all.iter().filter(|earlier| earlier.ended < seen.began) {
            let ends_theirs = earlier.refuses() && earlier.who == seen.who;
            if ends_theirs || earlier.renews() {
                prop_assert!(seen.serial > earlier.serial, "{seen:?} after {earlier:?}");
            }
        }
    }
    Ok(())
}

#[test]
fn nobody_reads_what_upstream_did_not_give_to_them() {
    let [kept, joined, older, refused, renewed] = [const { AtomicUsize::new(0) }; 5];
    let config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    let ran = runner.run(&steps(), |steps| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let (mirror, all) = runtime.block_on(play(steps));
        let count = |counter: &AtomicUsize, is: &dyn Fn(&Seen) -> bool| {
            counter.fetch_add(
                all.iter().filter(|seen| is(seen)).count(),
                Ordering::Relaxed,
            );
        };
        count(&kept, &Seen::is_kept);
        count(&joined, &|seen| seen.cache.contains("collapsed"));
        count(&older, &|seen| seen.cache.contains("stale-if-error"));
        count(&refused, &Seen::refuses);
        count(&renewed, &Seen::renews);
        check(&mirror, &all)
    });
    if let Err(error) = ran {
        panic!("{error}");
    }
    let counts = [kept, joined, older, refused, renewed].map(AtomicUsize::into_inner);
    println!("kept, joined, older, refused, renewed: {counts:?}");
    assert!(
        counts.iter().all(|count| *count > 10),
        "{counts:?} prove little"
    );
}
