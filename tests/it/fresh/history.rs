//! Hundreds of tools that read and change over real sockets, and a history that is held against the promise.
//!
//! The interleavings that seeds can reach are searched in the crate (`layers/cache/tests/checker`), where each
//! safeguard is also turned off. Here is the rest: several processors, the whole stack, connections that are
//! cut, an upstream of its own. What is promised stands in [`checker`].

#[path = "../../../src/layers/cache/tests/checker/history.rs"]
mod checker;
#[path = "../../../src/layers/cache/tests/checker/random.rs"]
mod random;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tollgate::domain::ids::{GroupId, OrganizationId, WorkspaceId};
use tollgate::simulator::{Hold, Log, Match, Next, Received, Seed, Toggl};

use self::checker::{Change, History, Moment, Read};
use self::random::Random;
use crate::support::{Client, Gateway, group, groups, simulate, soon, workspace_groups};

/// As many as a test may take; `CHECKER_READS` may say another number, as the checks of the repository do.
const READS: usize = 8_000;
const READS_A_CHANGE: usize = 200;
const ORGANIZATIONS: usize = 4;
const READERS: usize = 160;
const WRITERS: usize = 40;

const TIMEOUT: Duration = Duration::from_secs(2);
const GRACE: Duration = Duration::from_secs(4);

/// What all tools share.
#[derive(Clone)]
struct Stage {
    toggl: Toggl,
    started: Instant,
    tick: Arc<AtomicU64>,
    reads: Arc<AtomicUsize>,
    most: usize,
    /// One for each change that may be made: so many for so many reads, on a slow machine too.
    changes: Arc<Semaphore>,
    over: CancellationToken,
}

impl Stage {
    fn moment(&self) -> Moment {
        Moment {
            tick: self.tick.fetch_add(1, Ordering::SeqCst),
            at: self.started.elapsed(),
        }
    }

    /// A pause, which the end cuts short.
    async fn pause(&self, pause: Duration) {
        let _ = tokio::time::timeout(pause, self.over.cancelled()).await;
    }
}

fn organization(index: usize) -> OrganizationId {
    OrganizationId(1001 + i64::try_from(index).unwrap())
}

fn workspace(index: usize) -> WorkspaceId {
    WorkspaceId(2001 + i64::try_from(index).unwrap())
}

/// A register is the group of one writer, and its number stands in the group's name.
fn register(index: usize) -> GroupId {
    GroupId(9001 + i64::try_from(index).unwrap())
}

fn name(register: usize, number: u64) -> String {
    format!("Register {register} = {number}")
}

/// The registers in a list and their numbers, without reading it as JSON, which would cost more than the rest.
fn shown(list: &str) -> impl Iterator<Item = (usize, u64)> {
    list.split("\"Register ").skip(1).map(|rest| {
        let (name, _) = rest.split_once('"').unwrap();
        let (register, number) = name.split_once(" = ").unwrap();
        (register.parse().unwrap(), number.parse().unwrap())
    })
}

fn seed() -> Seed {
    let names = ["Ann", "Bob", "Cleo"];
    let people = names.iter().zip(1..).map(
        |(name, id)| json!({ "id": id, "name": name, "email": format!("{name}@tools.example") }),
    );
    let organizations = (0..ORGANIZATIONS).map(|index| {
        let members = (1..=names.len())
            .map(|id| json!({ "user_id": id, "admin": true, "workspaces": [workspace(index).0] }));
        let groups = (index..WRITERS).step_by(ORGANIZATIONS).map(|of| {
            let workspaces = [workspace(index).0];
            json!({ "group_id": register(of).0, "name": name(of, 1), "workspaces": workspaces })
        });
        json!({
            "id": organization(index).0,
            "name": format!("Company {index}"),
            "workspaces": [{ "id": workspace(index).0, "name": format!("Workspace {index}") }],
            "members": members.collect::<Vec<_>>(),
            "groups": groups.collect::<Vec<_>>(),
        })
    });
    let seed = json!({
        "people": people.collect::<Vec<_>>(),
        "organizations": organizations.collect::<Vec<_>>(),
    });
    Seed::parse(&seed.to_string()).unwrap()
}

/// Reads one list again and again; gives what it saw, and how many of the reads were hits.
async fn read(
    stage: Stage,
    tool: Client,
    list: String,
    key: usize,
    mut random: Random,
) -> (Vec<Read>, usize) {
    let (mut reads, mut hits) = (Vec::new(), 0);
    while !stage.over.is_cancelled() {
        if random.percent(70) {
            stage.pause(random.millis(0, 300)).await;
        }
        let mut ask = tool.get(&*list);
        if random.percent(2) {
            ask = ask.header("cache-control", "no-cache");
        }
        let began = stage.moment();
        let reply = ask.attempt().await.expect("the gateway answers");
        let ended = stage.moment();
        if reply.status != StatusCode::OK {
            continue;
        }
        let status = reply.cache();
        let kept = status.contains("; ttl=");
        hits += usize::from(status.contains("; hit;"));
        reads.extend(shown(&reply.text()).map(|(register, shows)| Read {
            register,
            key,
            began,
            ended,
            shows,
            kept,
        }));
        let count = stage.reads.fetch_add(1, Ordering::SeqCst) + 1;
        if count.is_multiple_of(READS_A_CHANGE) {
            stage.changes.add_permits(1);
        }
        if count == stage.most {
            stage.over.cancel();
            stage.changes.close();
        }
    }
    (reads, hits)
}

/// What becomes of a change.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Plain,
    SlowBefore,
    SlowAfter,
    CutAfter,
    CutBefore,
    Failed,
    Refused,
    /// Applied after the gateway has given up.
    Late,
}

impl Fate {
    fn draw(random: &mut Random) -> Self {
        match random.below(100) {
            0..66 => Self::Plain,
            66..77 => Self::SlowBefore,
            77..88 => Self::SlowAfter,
            88..91 => Self::CutAfter,
            91 => Self::CutBefore,
            92 => Self::Failed,
            93..97 => Self::Refused,
            _ => Self::Late,
        }
    }

    /// Lets it happen to the next request that matches; what is held has to be released.
    fn prepare(self, next: Next) -> Option<Hold> {
        match self {
            Self::Plain => {}
            Self::SlowBefore | Self::Late => return Some(next.hang()),
            Self::SlowAfter => return Some(next.hang_after_read()),
            Self::CutAfter => next.reset_after_apply(),
            Self::CutBefore => next.reset_before_apply(),
            Self::Failed => next.status(StatusCode::BAD_GATEWAY),
            Self::Refused => next.status(StatusCode::BAD_REQUEST),
        }
        None
    }

    fn is_applied(self) -> bool {
        !matches!(self, Self::CutBefore | Self::Failed | Self::Refused)
    }

    /// What the gateway answers.
    fn status(self) -> StatusCode {
        match self {
            Self::Plain | Self::SlowBefore | Self::SlowAfter => StatusCode::OK,
            Self::Refused => StatusCode::BAD_REQUEST,
            Self::CutAfter | Self::CutBefore | Self::Failed => StatusCode::BAD_GATEWAY,
            Self::Late => StatusCode::GATEWAY_TIMEOUT,
        }
    }
}

/// Changes one register again and again. Nothing is told of one whose change did not end as it should have,
/// because the machine had too much to do: nobody knows what became of that, nor when.
async fn write(
    stage: Stage,
    tool: Client,
    register_of: usize,
    mut random: Random,
) -> Result<Vec<Change>, usize> {
    let of = organization(register_of % ORGANIZATIONS);
    let path = group(of, register(register_of));
    let mut changes = Vec::new();
    for number in 2.. {
        let Ok(permit) = stage.changes.acquire().await else {
            break;
        };
        permit.forget();
        stage.pause(random.millis(0, 300)).await;
        let (fate, pause) = (Fate::draw(&mut random), random.millis(0, 150));
        let next = stage.toggl.next(Match::new(Method::PUT, &*path));
        let hold = fate.prepare(next);
        let change = json!({ "name": name(register_of, number) });
        let body = serde_json::to_vec(&change).unwrap();
        let sent = stage.moment();
        if let (true, Some(hold)) = (fate != Fate::Late, hold.clone()) {
            tokio::spawn(async move {
                hold.reached().await;
                sleep(pause).await;
                hold.release();
            });
        }
        let answer = tool.put(&*path, change).attempt().await;
        let (answered, status) = (stage.moment(), answer.expect("the gateway answers").status);
        if status != fate.status() {
            return Err(register_of);
        }
        if let (Fate::Late, Some(hold)) = (fate, hold) {
            sleep(pause).await;
            hold.release();
            let is_it = |request: &Received| request.body == body;
            let is_applied = |log: &Log| log.applied().any(|one| is_it(&one.request));
            soon("it is applied", stage.toggl.wait_until(is_applied)).await;
            if stage.moment().at > answered.at + GRACE {
                return Err(register_of);
            }
        }
        changes.push(Change {
            register: register_of,
            number: fate.is_applied().then_some(number),
            sent,
            answered,
            unknown: status.is_server_error(),
            late: fate == Fate::Late,
        });
    }
    Ok(changes)
}

/// Upstream is slow, cut off, or fails, now and then.
async fn spoil(stage: Stage, mut random: Random) {
    while !stage.over.is_cancelled() {
        stage.pause(random.millis(5, 80)).await;
        let of = random.below(ORGANIZATIONS);
        let list = random.one_of(&lists(of));
        let fault = stage.toggl.next(Match::new(Method::GET, list));
        let hold = match random.below(100) {
            0..40 => fault.hang_after_read(),
            40..60 => fault.hang(),
            60..75 => {
                fault.reset_before_apply();
                continue;
            }
            75..85 => {
                fault.truncated_body();
                continue;
            }
            _ => {
                fault.status(StatusCode::SERVICE_UNAVAILABLE);
                continue;
            }
        };
        let pause = random.millis(0, 700);
        tokio::spawn(async move {
            hold.reached().await;
            sleep(pause).await;
            hold.release();
        });
    }
    stage.toggl.clear_faults();
}

fn lists(of: usize) -> [String; 2] {
    [
        groups(organization(of)),
        workspace_groups(organization(of), workspace(of)),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_tools_never_go_back_behind_a_change() {
    let toggl = simulate(|options| options.seed = seed()).await;
    let gate = Gateway::before(&toggl)
        .config(|config| {
            config.cache.ttl = Duration::from_secs(4);
            config.cache.stale_while_revalidate = Duration::from_secs(2);
            config.cache.stale_if_error = Duration::from_secs(60);
            config.upstream.request_timeout = TIMEOUT;
            // A connection that is closed for having been idle may be closed under a request.
            config.limits.header_timeout = Duration::from_secs(600);
        })
        .start()
        .await;
    let stage = Stage {
        toggl: toggl.clone(),
        started: Instant::now(),
        tick: Arc::default(),
        reads: Arc::default(),
        most: std::env::var("CHECKER_READS").map_or(READS, |reads| reads.parse().unwrap()),
        changes: Arc::new(Semaphore::new(0)),
        over: CancellationToken::new(),
    };
    let tools = [
        gate.client("ann"),
        gate.password_client("ann").http2(),
        gate.session_client("bob"),
        gate.client("cleo").http2(),
    ];
    let random = |index: usize| Random(u64::try_from(index).unwrap());
    let (mut readers, mut writers) = (JoinSet::new(), JoinSet::new());
    for index in 0..READERS {
        let tool = tools[index % tools.len()].clone();
        let list = index / tools.len() % (2 * ORGANIZATIONS);
        let path = lists(list / 2)[list % 2].clone();
        let key = list * tools.len() + index % tools.len();
        readers.spawn(read(stage.clone(), tool, path, key, random(index)));
    }
    for index in 0..WRITERS {
        let tool = tools[index % tools.len()].clone();
        writers.spawn(write(stage.clone(), tool, index, random(1000 + index)));
    }
    let spoiling = tokio::spawn(spoil(stage.clone(), random(2000)));

    let mut history = History {
        grace: GRACE,
        ..History::default()
    };
    let mut hits = 0;
    for (reads, hit) in readers.join_all().await {
        history.reads.extend(reads);
        hits += hit;
    }
    let mut unclear = Vec::new();
    for changes in writers.join_all().await {
        match changes {
            Ok(changes) => history.changes.extend(changes),
            Err(register) => unclear.push(register),
        }
    }
    spoiling.await.unwrap();
    history
        .reads
        .retain(|read| !unclear.contains(&read.register));
    assert!(
        unclear.len() < WRITERS / 2,
        "{unclear:?} did not end as they should have"
    );

    let (reads, changes) = (stage.reads.load(Ordering::SeqCst), history.changes.len());
    println!(
        "{reads} reads, {hits} of them hits, beside {changes} changes, in {:?}; {} registers left out",
        stage.started.elapsed(),
        unclear.len()
    );
    let violations = history.violations();
    let shown: Vec<_> = violations.iter().take(3).map(ToString::to_string).collect();
    assert!(violations.is_empty(), "{} of {shown:#?}", violations.len());
    assert!(
        hits * 2 > reads,
        "{hits} hits of {reads} reads prove little"
    );
    assert!(
        changes * 2 * READS_A_CHANGE > reads,
        "{changes} changes prove little"
    );
    gate.stop().await;
}
