//! Readers and writers for [`checker`](super), by a seed: who reads which list how often, who changes what
//! and how that ends, who hangs up.

use std::sync::{Arc, Mutex};

use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Duration, sleep, timeout};
use tower::{Layer as _, Service as _, ServiceExt as _};

use super::history::{Change, History, Read};
use super::random::Random;
use super::upstream::{Fate, Told, Upstream, pause};
use crate::cache::epochs::{Epochs, Safeguard};
use crate::cache::verdict::Freshness;
use crate::layers::cache::Cache;
use crate::layers::cache::tests::layer;
use crate::layers::invalidate::{Invalidate, InvalidateLayer};
use crate::layers::{Answer, CACHE_STATUS, Call, testing};

/// The layers that keep the promise, in the order of the [`stack`](crate::stack).
type Gate = Invalidate<Cache<Upstream>>;

pub(super) const GRACE: Duration = Duration::from_millis(1500);

const ORGANIZATIONS: usize = 2;
const READERS: usize = 14;
const READS: usize = 36;
const WRITERS: usize = 3;
const CHANGES: usize = 3;

/// What a seed comes to.
pub(super) struct Run {
    pub(super) history: History,
    /// Reads that were answered with a list without asking upstream.
    pub(super) hits: usize,
}

/// The lists of an organization that are read, the first of them most.
fn lists(organization: usize) -> [String; 3] {
    let number = organization + 1;
    [
        format!("/api/v9/organizations/{number}/groups"),
        format!("/api/v9/organizations/{number}/workspaces/{number}/groups"),
        format!("/api/v9/workspaces/{number}/groups"),
    ]
}

const CREDENTIALS: [&str; 2] = ["ann", "bob"];

/// A list of an organization, as somebody asks for it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Question {
    organization: usize,
    list: usize,
    credential: usize,
}

impl Question {
    fn draw(random: &mut Random) -> Self {
        Self {
            organization: random.below(ORGANIZATIONS),
            list: random.one_of(&[0, 0, 1, 2]),
            credential: random.below(CREDENTIALS.len()),
        }
    }

    fn key(self) -> usize {
        (self.organization * 3 + self.list) * CREDENTIALS.len() + self.credential
    }
}

/// Plays the work of a seed, on a clock that jumps.
pub(super) fn play(seed: u64, lacking: Option<Safeguard>) -> Run {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(run(seed, lacking))
}

async fn run(seed: u64, lacking: Option<Safeguard>) -> Run {
    let upstream = Upstream::new(seed, ORGANIZATIONS);
    let epochs = Epochs::without(lacking, GRACE);
    let freshness = Freshness {
        ttl: Duration::from_millis(1200),
        while_revalidate: Duration::from_millis(600),
        if_error: Duration::from_secs(10),
        refusal: Duration::from_millis(100),
    };
    let cache = layer(Arc::clone(&epochs), Arc::new(testing::NoGroups), freshness);
    let gate = InvalidateLayer::new(epochs).layer(tower::Layer::layer(&cache, upstream.clone()));
    let questions = Arc::new(Mutex::new(
        (0..ORGANIZATIONS)
            .flat_map(lists)
            .flat_map(|path| CREDENTIALS.map(|who| testing::get(who, &path)))
            .collect(),
    ));
    let mut readers = JoinSet::new();
    for _ in 0..READERS {
        let reader = Reader {
            gate: gate.clone(),
            upstream: upstream.clone(),
            questions: Arc::clone(&questions),
        };
        readers.spawn(reader.read());
    }
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        writers.spawn(write(gate.clone(), upstream.clone(), writer));
    }
    let mut history = History {
        grace: GRACE,
        exact: true,
        ..History::default()
    };
    let mut hits = 0;
    for (reads, hit) in readers.join_all().await {
        history.reads.extend(reads);
        hits += hit;
    }
    let sent = writers.join_all().await.into_iter().flatten();
    let sent: Vec<_> = sent.collect();
    // What is applied late is applied by then.
    sleep(GRACE).await;
    for (fate, mut change) in sent {
        let applied = upstream.applied(fate.id);
        assert_eq!(applied.is_some(), fate.applied);
        change.number = applied.map(|(_, number)| number);
        change.late = applied.is_some_and(|(moment, _)| moment.tick > change.answered.tick);
        let at = applied.map(|(moment, _)| moment.at);
        assert!(at.is_none_or(|at| at < change.answered.at + GRACE));
        history.changes.push(change);
    }
    Run { history, hits }
}

struct Reader {
    gate: Gate,
    upstream: Upstream,
    questions: Arc<Mutex<Vec<Call>>>,
}

impl Reader {
    async fn read(self) -> (Vec<Read>, usize) {
        let (mut reads, mut hits) = (Vec::new(), 0);
        // Most have a list of their own, and look at another now and then.
        let home = self.upstream.draw(Question::draw);
        for _ in 0..READS {
            let (pause, question, new, hangs_up) = self.upstream.draw(|random| {
                let pause = if random.percent(50) {
                    Duration::ZERO
                } else {
                    random.millis(1, 400)
                };
                let stays = random.percent(75);
                let question = if stays { home } else { Question::draw(random) };
                let hangs_up = random.percent(3).then(|| random.millis(1, 60));
                (pause, question, random.percent(4), hangs_up)
            });
            sleep(pause).await;
            let mut call = self.questions.lock().unwrap()[question.key()].again();
            if new {
                let headers = call.request.headers_mut();
                headers.insert("cache-control", "no-cache".parse().unwrap());
            }
            let began = self.upstream.moment();
            let answer = self.gate.clone().oneshot(call);
            let answer = match hangs_up {
                Some(after) => timeout(after, answer).await.ok(),
                None => Some(answer.await),
            };
            let Some(Ok(answer)) = answer else { continue };
            let ended = self.upstream.moment();
            let status = answer.headers()[CACHE_STATUS].to_str().unwrap().to_owned();
            let Some(shows) = number(answer).await else {
                continue;
            };
            hits += usize::from(status.contains("; hit;"));
            reads.push(Read {
                register: question.organization,
                key: question.key(),
                began,
                ended,
                shows,
                // Of what is fetched nobody says how long it is fresh for.
                kept: status.contains("; ttl="),
            });
        }
        (reads, hits)
    }
}

/// The number that a list shows; `None` for an answer that is no list.
async fn number(answer: Answer) -> Option<u64> {
    if answer.status() != StatusCode::OK {
        return None;
    }
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let text = std::str::from_utf8(&body).unwrap();
    let (_, name) = text.split_once(r#""name":""#)?;
    let (number, _) = name.split_once('"')?;
    number.parse().ok()
}

async fn write(mut gate: Gate, upstream: Upstream, writer: usize) -> Vec<(Fate, Change)> {
    let mut sent = Vec::new();
    for change in 0..CHANGES {
        let id = writer * CHANGES + change;
        let (pause, call, fate, hangs_up) = upstream.draw(|random| {
            let organization = random.below(ORGANIZATIONS);
            let number = organization + 1;
            let path = if random.percent(70) {
                format!("/api/v9/organizations/{number}/groups/7")
            } else {
                format!("/api/v9/workspaces/{number}/groups/7")
            };
            let who = random.one_of(&CREDENTIALS);
            let call = testing::change(who, Method::PUT, &path, &json!({}));
            let hangs_up = random.percent(8).then(|| random.millis(1, 300));
            let fate = fate(random, id, organization, hangs_up.is_some());
            (random.millis(300, 3000), call, fate, hangs_up)
        });
        sleep(pause).await;
        let (unknown, sent_at) = {
            let mut call = call;
            call.request.extensions_mut().insert(fate);
            std::future::poll_fn(|cx| gate.poll_ready(cx))
                .await
                .unwrap();
            let answer = gate.call(call);
            let sent_at = upstream.moment();
            let answered = match hangs_up {
                Some(after) => timeout(after, answer).await.ok(),
                None => Some(answer.await),
            };
            let unknown = match answered {
                None => true,
                Some(Ok(answer)) => answer.status().is_server_error(),
                Some(Err(error)) => error.outcome() == crate::domain::action::Outcome::Unknown,
            };
            (unknown, sent_at)
        };
        let change = Change {
            register: fate.organization,
            number: None,
            sent: sent_at,
            answered: upstream.moment(),
            unknown,
            late: false,
        };
        sent.push((fate, change));
    }
    sent
}

/// What becomes of a change. One that its caller may leave is applied within the grace from the start.
fn fate(random: &mut Random, id: usize, organization: usize, left: bool) -> Fate {
    let mut fate = Fate {
        id,
        organization,
        before: pause(random).min(Duration::from_millis(800)),
        after: pause(random).min(Duration::from_millis(800)),
        late: None,
        applied: true,
        told: Told::Status(StatusCode::OK),
    };
    if left {
        return fate;
    }
    match random.below(100) {
        0..55 => {}
        55..65 => {
            fate.applied = false;
            fate.told = Told::Status(random.one_of(&[
                StatusCode::BAD_REQUEST,
                StatusCode::PAYMENT_REQUIRED,
                StatusCode::FORBIDDEN,
                StatusCode::NOT_FOUND,
                StatusCode::TOO_MANY_REQUESTS,
            ]));
        }
        65..70 => {
            fate.applied = false;
            fate.told = Told::Unreachable;
        }
        more => {
            fate.told = random.one_of(&[
                Told::Lost,
                Told::TimedOut,
                Told::Status(StatusCode::BAD_GATEWAY),
            ]);
            match more {
                70..78 => {}
                78..82 => fate.applied = false,
                _ => fate.late = Some(random.millis(0, 1499)),
            }
        }
    }
    fate
}
