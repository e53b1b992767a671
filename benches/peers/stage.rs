//! One simulator and one peer, and what is heard of them: read, change, hold; and who judges.
//!
//! - A read is **judged** if it began when a change had been answered, or, for a change that nobody
//!   was answered, when upstream had applied it. It is **contradicted** if it was answered `200` with a list
//!   from before that change. Whoever made the change and whoever reads: all see the same groups.
//! - An answer is a **leak** if it has bytes, a cookie, a request id or a quota of an answer that upstream
//!   gave to another credential.
//! - **Upstream calls** are all that the simulator was asked, by its own count.

use std::time::Duration;

use anyhow::ensure;
use http::header::{COOKIE, SET_COOKIE};
use http::{Method, StatusCode};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tollgate::simulator::{Hold, Log, Match, Options, SESSION_COOKIE, Toggl};

use crate::peer::{Peer, Times};
use crate::support::{Answer, Server, Tool, groups};

pub(crate) const LIST: &str = "/api/v9/organizations/4123/groups";
pub(crate) const DESIGN: &str = "/api/v9/organizations/4123/groups/9001";

/// A group that Ann and Bob see and Cleo does not.
const NOT_FOR_CLEO: &str = "Leadership";

/// Requests an hour: enough for every scene.
const QUOTA: u32 = 600;
/// What Ann has used up before the scene in which quotas are compared; nobody else comes near it.
const SPENT: u32 = 100;

/// Whose credential a request has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// An administrator, who makes the changes.
    Ann,
    /// Another administrator.
    Bob,
    /// A member, who sees two of the groups.
    Cleo,
    /// Cleo in a browser: a cookie in place of a token.
    CleosSession,
    Nobody,
}

/// A read, and what it had to show.
pub(crate) struct Heard {
    by: Caller,
    /// The newest name that the group had when the read began, if that had been answered.
    must_show: Option<String>,
    answer: Answer,
}

/// One scene of one peer, and what was heard in it.
pub(crate) struct Stage {
    pub(crate) toggl: Toggl,
    server: Server,
    /// What is read.
    pub(crate) list: String,
    renames: usize,
    pub(crate) must_show: Option<String>,
    heard: Vec<Heard>,
}

/// What came of a scene.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Score {
    pub(crate) judged: usize,
    pub(crate) contradicted: usize,
    pub(crate) leaks: usize,
    pub(crate) lists: usize,
    pub(crate) changes: usize,
    /// Who a credential belongs to.
    pub(crate) others: usize,
}

pub(crate) type Reading = JoinHandle<anyhow::Result<Heard>>;
pub(crate) type Changing = JoinHandle<anyhow::Result<StatusCode>>;

// === impl Stage ===

impl Stage {
    pub(crate) async fn set(peer: Peer, times: Times) -> anyhow::Result<Self> {
        let toggl = Toggl::start(Options {
            quota: Some(QUOTA),
            ..Options::default()
        })
        .await?;
        let server = peer.start(toggl.addr(), times).await?;
        Ok(Self {
            toggl,
            server,
            list: LIST.to_owned(),
            renames: 0,
            must_show: None,
            heard: Vec::new(),
        })
    }

    /// A tool of theirs, in front of the peer.
    pub(crate) fn tool(&self, caller: Caller) -> anyhow::Result<Tool> {
        let tool = Tool::of(format!("http://{}", self.server.address));
        let token = |handle| self.toggl.authorization(handle);
        match caller {
            Caller::Ann => tool.authorized(&token("ann")),
            Caller::Bob => tool.authorized(&token("bob")),
            Caller::Cleo => tool.authorized(&token("cleo")),
            Caller::CleosSession => {
                let session = self.toggl.person("cleo").session;
                tool.with(COOKIE, &format!("{SESSION_COOKIE}={session}"))
            }
            Caller::Nobody => Ok(tool),
        }
    }

    pub(crate) fn begin_read(&self, by: Caller) -> Reading {
        let (tool, list) = (self.tool(by), self.list.clone());
        let must_show = self.must_show.clone();
        tokio::spawn(async move {
            Ok(Heard {
                by,
                must_show,
                answer: tool?.get(&list).await?,
            })
        })
    }

    pub(crate) async fn end_read(&mut self, reading: Reading) -> anyhow::Result<()> {
        self.heard.push(reading.await??);
        Ok(())
    }

    pub(crate) async fn read(&mut self, by: Caller) -> anyhow::Result<()> {
        self.end_read(self.begin_read(by)).await
    }

    /// Reads while an `early` read waits for its list, which is from before the change.
    pub(crate) async fn read_meanwhile(
        &mut self,
        by: Caller,
        early: Reading,
        delivery: &Hold,
    ) -> anyhow::Result<()> {
        let late = self.begin_read(by);
        self.pause().await;
        delivery.release();
        self.end_read(early).await?;
        self.end_read(late).await
    }

    /// What the last change calls the group.
    pub(crate) fn name(&self) -> String {
        format!("Brand {}", self.renames)
    }

    pub(crate) fn begin_change(&mut self) -> Changing {
        self.renames += 1;
        let (ann, body) = (self.tool(Caller::Ann), json!({ "name": self.name() }));
        tokio::spawn(async move {
            let answer = ann?.send(Method::PUT, DESIGN, body.to_string()).await?;
            Ok(answer.status())
        })
    }

    pub(crate) async fn end_change(&mut self, change: Changing) -> anyhow::Result<()> {
        ensure!(change.await?? == StatusCode::OK, "the change was refused");
        self.must_show = Some(self.name());
        Ok(())
    }

    pub(crate) async fn change(&mut self) -> anyhow::Result<()> {
        let change = self.begin_change();
        self.end_change(change).await
    }

    /// Returns when upstream has applied the change.
    pub(crate) async fn applied(&self) {
        let is_applied = |log: &Log| log.applied().next().is_some();
        self.toggl.wait_until(is_applied).await;
    }

    /// The next list is made up at once and delivered when this is released.
    pub(crate) fn hold_delivery(&self) -> Hold {
        let list = Match::new(Method::GET, LIST);
        self.toggl.next(list).hang_after_read()
    }

    /// The next change is applied when this is released.
    pub(crate) fn hold_change(&self) -> Hold {
        self.toggl.next(Match::new(Method::PUT, DESIGN)).hang()
    }

    /// Returns when a list is asked for, or when it seems that the peer has no need to.
    pub(crate) async fn asked(&self, delivery: &Hold) {
        let _ = timeout(Duration::from_secs(2), delivery.reached()).await;
    }

    /// Time for what nobody announces: a read is answered, or queues up behind another.
    pub(crate) async fn pause(&self) {
        sleep(Duration::from_millis(300)).await;
    }

    /// Until a list with a second to live is old, also for who counts in whole seconds.
    pub(crate) async fn grow_old(&self) {
        sleep(Duration::from_millis(2_100)).await;
    }

    /// Ann uses up some of her quota, not by way of the peer.
    pub(crate) async fn spend(&self) -> anyhow::Result<usize> {
        let ann = Tool::of(self.toggl.url()).authorized(&self.toggl.authorization("ann"))?;
        for _ in 0..SPENT {
            ann.get("/api/v9/organizations/4123/users").await?;
        }
        Ok(SPENT as usize)
    }

    pub(crate) fn score(&self, spent: usize) -> Score {
        let mut score = Score::default();
        for heard in &self.heard {
            score.judged += usize::from(heard.must_show.is_some());
            score.contradicted += usize::from(heard.is_contradicted());
            score.leaks += usize::from(self.is_leak(heard));
        }
        self.toggl.log(|log| {
            for request in log.requests() {
                match (&request.method, request.path()) {
                    (&Method::GET, path) if path.ends_with("/groups") => score.lists += 1,
                    (&Method::GET, _) => score.others += 1,
                    _ => score.changes += 1,
                }
            }
        });
        score.others -= spent;
        score
    }

    fn is_leak(&self, heard: &Heard) -> bool {
        let others = || self.heard.iter().filter(|other| other.by != heard.by);
        let is_anothers = |name| {
            let value = heard.answer.headers().get(name);
            value.is_some() && others().any(|other| other.answer.headers().get(name) == value)
        };
        let cookies = heard.answer.headers().get_all(SET_COOKIE);
        let remaining = heard.answer.headers().get("x-toggl-quota-remaining");
        let remaining = remaining.and_then(|value| value.to_str().ok()?.parse::<u32>().ok());
        let is_anns = cookies.iter().any(|cookie| cookie == "owner=ann")
            || remaining.is_some_and(|left| left <= QUOTA - SPENT);
        let shows = |name| {
            groups(&heard.answer)
                .iter()
                .any(|group| group["name"] == name)
        };
        is_anothers("x-toggl-request-id")
            || match heard.by {
                Caller::Ann => false,
                Caller::Bob => is_anns,
                Caller::Cleo | Caller::CleosSession => is_anns || shows(NOT_FOR_CLEO),
                Caller::Nobody => is_anns || heard.answer.status() == StatusCode::OK,
            }
    }
}

// === impl Heard ===

impl Heard {
    fn is_contradicted(&self) -> bool {
        let groups = groups(&self.answer);
        self.answer.status() == StatusCode::OK
            && self
                .must_show
                .as_ref()
                .is_some_and(|name| !groups.iter().any(|group| group["name"] == **name))
    }
}

// === impl Score ===

impl Score {
    pub(crate) fn calls(self) -> usize {
        self.lists + self.changes + self.others
    }
}

impl std::ops::AddAssign for Score {
    fn add_assign(&mut self, other: Self) {
        self.judged += other.judged;
        self.contradicted += other.contradicted;
        self.leaks += other.leaks;
        self.lists += other.lists;
        self.changes += other.changes;
        self.others += other.others;
    }
}
