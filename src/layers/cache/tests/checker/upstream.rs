//! An upstream for [`checker`](super): slow, broken and late by a seed.
//!
//! Each organization has one group, whose name is a number that each applied change makes one more. A list
//! shows what it is at one moment between two pauses; a change is applied at one moment between two, or
//! after it was answered, or never.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use http::{Response, StatusCode};
use tokio::sync::oneshot;
use tokio::time::{Duration, Instant, sleep};
use tower::Service;

use super::history::Moment;
use super::random::Random;
use crate::body::Body;
use crate::domain::endpoint::Endpoint;
use crate::error::ProxyError;
use crate::layers::{Answer, Call};

/// Cloning shares the world.
#[derive(Clone)]
pub(super) struct Upstream(Arc<Mutex<World>>);

struct World {
    random: Random,
    started: Instant,
    tick: u64,
    /// By organization.
    numbers: Vec<u64>,
    /// By the change's number in its [`Fate`]: when and to what it was applied.
    applied: HashMap<usize, (Moment, u64)>,
}

/// What becomes of a change; an extension of its request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fate {
    pub(super) id: usize,
    pub(super) organization: usize,
    /// Until it is applied, or fails.
    pub(super) before: Duration,
    /// From then until it is answered.
    pub(super) after: Duration,
    /// How long after the answer it is applied after all.
    pub(super) late: Option<Duration>,
    pub(super) applied: bool,
    pub(super) told: Told,
}

/// What is told of a change.
#[derive(Clone, Copy, Debug)]
pub(super) enum Told {
    Status(StatusCode),
    Lost,
    TimedOut,
    Unreachable,
}

/// Mostly short, now and then so long that others run ahead.
pub(super) fn pause(random: &mut Random) -> Duration {
    match random.below(100) {
        0..65 => random.millis(0, 15),
        65..90 => random.millis(15, 150),
        90..96 => random.millis(150, 900),
        _ => random.millis(900, 2600),
    }
}

// === impl Upstream ===

impl Upstream {
    pub(super) fn new(seed: u64, organizations: usize) -> Self {
        Self(Arc::new(Mutex::new(World {
            random: Random(seed),
            started: Instant::now(),
            tick: 0,
            numbers: vec![1; organizations],
            applied: HashMap::new(),
        })))
    }

    /// The next moment, later than all before it.
    pub(super) fn moment(&self) -> Moment {
        self.with(World::moment)
    }

    pub(super) fn draw<T>(&self, draw: impl FnOnce(&mut Random) -> T) -> T {
        self.with(|world| draw(&mut world.random))
    }

    /// When and to what a change was applied, if it was.
    pub(super) fn applied(&self, id: usize) -> Option<(Moment, u64)> {
        self.with(|world| world.applied.get(&id).copied())
    }

    fn with<T>(&self, ask: impl FnOnce(&mut World) -> T) -> T {
        ask(&mut self.0.lock().unwrap())
    }

    fn apply(&self, fate: Fate) {
        self.with(|world| {
            let moment = world.moment();
            let number = &mut world.numbers[fate.organization];
            *number += 1;
            world.applied.insert(fate.id, (moment, *number));
        });
    }

    async fn list(self, organization: usize, workspace: i64) -> Result<Answer, ProxyError> {
        let (before, after) = self.draw(|random| (pause(random), pause(random)));
        sleep(before).await;
        let number = self.with(|world| world.numbers[organization]);
        sleep(after).await;
        match self.draw(|random| random.below(100)) {
            0..3 => Err(ProxyError::lost("reset")),
            3 => Err(ProxyError::Timeout(after)),
            4..7 => Ok(answer(StatusCode::BAD_GATEWAY)),
            7 => Ok(answer(StatusCode::TOO_MANY_REQUESTS)),
            8 => Ok(answer(StatusCode::FORBIDDEN)),
            9 => Ok(answer(StatusCode::NOT_FOUND)),
            10 => Ok(answer(StatusCode::UNAUTHORIZED)),
            _ => {
                let list = format!(
                    r#"[{{"group_id":7,"name":"{number}","users":null,"workspaces":[{workspace}]}}]"#
                );
                Ok(Response::new(Body::full(list)))
            }
        }
    }

    async fn change(self, fate: Fate, tell: oneshot::Sender<Result<Answer, ProxyError>>) {
        sleep(fate.before).await;
        if fate.applied && fate.late.is_none() {
            self.apply(fate);
        }
        sleep(fate.after).await;
        let told = match fate.told {
            Told::Status(status) => Ok(answer(status)),
            Told::Lost => Err(ProxyError::lost("reset")),
            Told::TimedOut => Err(ProxyError::Timeout(fate.after)),
            Told::Unreachable => Err(ProxyError::ConnectFailed(Arc::new("refused".into()))),
        };
        // Nobody may be waiting any more.
        let _ = tell.send(told);
        if let Some(late) = fate.late {
            sleep(late).await;
            self.apply(fate);
        }
    }
}

impl World {
    fn moment(&mut self) -> Moment {
        self.tick += 1;
        Moment {
            tick: self.tick,
            at: self.started.elapsed(),
        }
    }
}

fn answer(status: StatusCode) -> Answer {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = status;
    answer
}

impl Service<Call> for Upstream {
    type Response = Answer;
    type Error = ProxyError;
    type Future = BoxFuture<'static, Result<Answer, ProxyError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let upstream = self.clone();
        let fate = call.request.extensions().get::<Fate>().copied();
        match (call.endpoint, fate) {
            (Endpoint::List(list), _) => {
                // The workspaces are numbered as their organizations are, from one.
                let (organization, workspace) = (list.organization(), list.workspace());
                let number = organization.map_or_else(|| workspace.unwrap().0, |number| number.0);
                let organization = usize::try_from(number - 1).unwrap();
                Box::pin(upstream.list(organization, number))
            }
            (_, Some(fate)) => {
                let (tell, told) = oneshot::channel();
                // It goes on although nobody may wait for it any more.
                tokio::spawn(upstream.change(fate, tell));
                Box::pin(async { told.await.unwrap_or(Err(ProxyError::Internal)) })
            }
            (endpoint, None) => panic!("{endpoint:?} is not asked here"),
        }
    }
}
