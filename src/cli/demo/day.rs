//! What several people's tools do in a working day.
//!
//! The groups, people and projects are those of `config/simulator.seed.json`. Each step says how it
//! must end, and is checked after it was printed, so that the last line before a failure is the one
//! that failed.

use anyhow::{Context as _, bail, ensure};
use futures_util::future::try_join_all;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::scene::Scene;
use super::screen::{Line, Screen};
use super::tool::{Ask, Reply, Tool};
use crate::domain::action::{Action, Outcome};
use crate::domain::ids::GroupId;

/// Who somebody is, which the gateway asks by itself.
pub(super) const ME: &str = "/api/v9/me";

const GROUPS: &str = "/api/v9/organizations/4123/groups";
const PROJECT_GROUPS: &str = "/api/v9/workspaces/51001/project_groups";
const TIME_ENTRIES: &str = "/api/v9/workspaces/51001/time_entries";
const DESIGN: i64 = 9001;
const ENGINEERING: i64 = 9002;
const MARKETING: i64 = 9003;
const SUPPORT: i64 = 9004;
const MOBILE_APP: i64 = 30002;
const CLEO: i64 = 7003;
const DAN: i64 = 7004;
const EVE: i64 = 7005;
const NOBODY: i64 = 7999;

/// How often the dashboard polls.
const POLLS: u64 = 40;

/// How many of hr-sync's workers read at once.
const WORKERS: u64 = 8;

/// What came of a day.
pub(super) struct Day<'a> {
    scene: &'a Scene,
    screen: &'a mut Screen,
    tally: Tally,
}

/// What the tools asked for, and what must be in the trail.
#[derive(Default)]
pub(super) struct Tally {
    /// Reads that were answered.
    pub(super) reads: u64,
    /// Those of them that the dashboard asked for.
    pub(super) polled: u64,
    /// Changes, in order.
    pub(super) changes: Vec<Changed>,
}

/// A change that was answered.
pub(super) struct Changed {
    /// The event's id, as the answer told it.
    pub(super) event: String,
    pub(super) person: String,
    pub(super) tool: &'static str,
    pub(super) action: Action,
    pub(super) outcome: Outcome,
}

/// How a read must have been answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cache {
    Hit,
    Miss,
    Requested,
    Shared,
    Change,
}

// === impl Day ===

impl<'a> Day<'a> {
    /// Plays it.
    pub(super) async fn play(scene: &'a Scene, screen: &'a mut Screen) -> anyhow::Result<Tally> {
        let tally = Tally::default();
        let mut day = Self {
            scene,
            screen,
            tally,
        };
        day.reads().await?;
        day.changes().await?;
        day.behind_the_back().await?;
        day.project_groups().await?;
        Ok(day.tally)
    }

    async fn reads(&mut self) -> anyhow::Result<()> {
        let dashboard = self.scene.labelled("bob", "dashboard");
        let slack = self.scene.labelled("cleo", "slack-bot");
        let hr = self.scene.labelled("ann", "hr-sync");
        self.screen
            .heading("Reads: a list is fetched once, and for each credential by itself")?;
        self.screen.columns()?;
        let list = || Ask::get(GROUPS);
        let first = self
            .read(&dashboard, "reads the groups of Acme", list(), Cache::Miss)
            .await?;
        self.read(&dashboard, "reads them again", list(), Cache::Hit)
            .await?;
        self.poll(&dashboard).await?;
        let known = list().with("if-none-match", first.header("etag"));
        let words = "asks whether its copy is still good";
        let unchanged = self.ask(&dashboard, words, known).await?;
        self.check(&unchanged, StatusCode::NOT_MODIFIED, Cache::Hit)?;
        let of_member = self
            .read(
                &slack,
                "reads them, and sees what members see",
                list(),
                Cache::Miss,
            )
            .await?;
        ensure!(
            of_member.body != first.body,
            "a member was given an administrator's list"
        );
        self.read(&slack, "reads them again", list(), Cache::Hit)
            .await?;
        self.together(&hr).await
    }

    async fn changes(&mut self) -> anyhow::Result<()> {
        let hr = self.scene.labelled("ann", "hr-sync");
        let dashboard = self.scene.labelled("bob", "dashboard");
        let slack = self.scene.labelled("cleo", "slack-bot");
        let curl = self.scene.curl("ann");
        let list = || Ask::get(GROUPS);
        self.screen.heading(
            "Changes: each is recorded before it is answered, and the next read sees it, whoever reads",
        )?;
        let research =
            json!({ "name": "Research", "users": [DAN, EVE], "workspaces": [51001, 51002] });
        let create = Ask::send(Method::POST, GROUPS, research);
        self.change(
            &hr,
            "creates Research with Dan and Eve",
            create,
            (Action::GroupCreate, Outcome::Applied),
        )
        .await?;
        let seen = self
            .read(&dashboard, "reads, and sees Research", list(), Cache::Miss)
            .await?;
        seen.must_list("Research")?;
        let rename = Ask::send(Method::PUT, group(DESIGN), json!({ "name": "Brand" }));
        self.change(
            &hr,
            "renames Design to Brand",
            rename,
            (Action::GroupUpdate, Outcome::Applied),
        )
        .await?;
        let moves = patches(DESIGN, &[("add", DAN), ("remove", CLEO)]);
        self.change(
            &hr,
            "adds Dan to Brand, removes Cleo",
            moves,
            (Action::GroupPatch, Outcome::Applied),
        )
        .await?;
        let half = patches(DESIGN, &[("add", EVE), ("add", NOBODY)]);
        let half = self
            .change(
                &hr,
                "adds Eve, and a user who does not exist",
                half,
                (Action::GroupPatch, Outcome::Partial),
            )
            .await?;
        let failed = half.json()?["failure"].as_array().map_or(0, Vec::len);
        ensure!(
            failed == 1,
            "{failed} patches failed, not one: {}",
            half.text()
        );
        // Who somebody is, is asked once upstream has taken a change of theirs.
        let timer = Ask::send(
            Method::POST,
            TIME_ENTRIES,
            json!({ "description": "Stand-up", "created_with": "slack-bot" }),
        );
        self.change(
            &slack,
            "starts Cleo's timer",
            timer,
            (Action::ApiWrite, Outcome::Applied),
        )
        .await?;
        let herself = patches(ENGINEERING, &[("add", CLEO)]);
        self.change(
            &slack,
            "adds Cleo to Engineering: not allowed",
            herself,
            (Action::GroupPatch, Outcome::Rejected),
        )
        .await?;
        let seen = self
            .read(&dashboard, "reads, and sees Brand", list(), Cache::Miss)
            .await?;
        seen.must_list("Brand")?;
        self.change(
            &curl,
            "deletes Marketing, with her password",
            Ask::delete(group(MARKETING)),
            (Action::GroupDelete, Outcome::Applied),
        )
        .await?;
        let seen = self
            .read(
                &dashboard,
                "reads, and Marketing is gone",
                list(),
                Cache::Miss,
            )
            .await?;
        seen.must_not_list("Marketing")
    }

    async fn behind_the_back(&mut self) -> anyhow::Result<()> {
        let dashboard = self.scene.labelled("bob", "dashboard");
        let list = || Ask::get(GROUPS);
        self.screen.heading(
            "Behind the gateway's back: noticed when the list is a minute old (cache.ttl), or on request",
        )?;
        self.scene
            .toggl
            .rename_group(GroupId(SUPPORT), "Help centre");
        self.elsewhere("Dan", "renames Support to Help centre")?;
        let old = self
            .read(
                &dashboard,
                "reads, and still sees Support",
                list(),
                Cache::Hit,
            )
            .await?;
        old.must_list("Support")?;
        let anew = list().with("cache-control", "no-cache");
        let seen = self
            .read(
                &dashboard,
                "reads with Cache-Control: no-cache",
                anew,
                Cache::Requested,
            )
            .await?;
        seen.must_list("Help centre")?;
        let seen = self
            .read(
                &dashboard,
                "reads, and sees Help centre",
                list(),
                Cache::Hit,
            )
            .await?;
        seen.must_list("Help centre")
    }

    async fn project_groups(&mut self) -> anyhow::Result<()> {
        let curl = self.scene.curl("ann");
        let list = || Ask::get(PROJECT_GROUPS);
        self.screen.heading(
            "Which groups may work on which projects: lists and changes of the same kind",
        )?;
        self.read(
            &curl,
            "reads the project groups of Studio",
            list(),
            Cache::Miss,
        )
        .await?;
        let access = json!({ "group_id": DESIGN, "project_id": MOBILE_APP });
        self.change(
            &curl,
            "gives Brand access to the Mobile app",
            Ask::send(Method::POST, PROJECT_GROUPS, access),
            (Action::ProjectGroupAdd, Outcome::Applied),
        )
        .await?;
        let rows = self
            .read(&curl, "reads, and sees it", list(), Cache::Miss)
            .await?;
        let row = row_of(&rows.json()?, DESIGN, MOBILE_APP).context("the new row is not listed")?;
        self.change(
            &curl,
            "takes it back",
            Ask::delete(format!("{PROJECT_GROUPS}/{row}")),
            (Action::ProjectGroupRemove, Outcome::Applied),
        )
        .await?;
        let rows = self
            .read(&curl, "reads, and it is gone", list(), Cache::Miss)
            .await?;
        let row = row_of(&rows.json()?, DESIGN, MOBILE_APP);
        ensure!(row.is_none(), "the row that was removed is still listed");
        Ok(())
    }

    async fn poll(&mut self, tool: &Tool) -> anyhow::Result<()> {
        for _ in 1..POLLS {
            let reply = tool.ask(Ask::get(GROUPS)).await?;
            self.tally.reads += 1;
            self.tally.polled += 1;
            self.check(&reply, StatusCode::OK, Cache::Hit)?;
        }
        let words = format!("polls them {POLLS} times");
        self.read(tool, &words, Ask::get(GROUPS), Cache::Hit)
            .await?;
        Ok(())
    }

    async fn together(&mut self, tool: &Tool) -> anyhow::Result<()> {
        let before = self.fetched();
        let asked = (0..WORKERS).map(|_| tool.ask(Ask::get(GROUPS)));
        let replies = try_join_all(asked).await?;
        self.tally.reads += WORKERS;
        let words = format!("reads them with {WORKERS} workers at once");
        self.say(tool, &words, StatusCode::OK, Some(Cache::Shared))?;
        for reply in &replies {
            ensure!(
                reply.status == StatusCode::OK,
                "one of them was answered {}",
                reply.status
            );
        }
        let fetched = self.fetched() - before;
        ensure!(
            fetched == 1,
            "{WORKERS} equal reads at once took {fetched} fetches"
        );
        Ok(())
    }

    /// A read that must be answered `200`.
    async fn read(
        &mut self,
        tool: &Tool,
        words: &str,
        ask: Ask,
        cache: Cache,
    ) -> anyhow::Result<Reply> {
        let reply = self.ask(tool, words, ask).await?;
        self.check(&reply, StatusCode::OK, cache)?;
        Ok(reply)
    }

    /// A change that must end so.
    async fn change(
        &mut self,
        tool: &Tool,
        words: &str,
        ask: Ask,
        (action, outcome): (Action, Outcome),
    ) -> anyhow::Result<Reply> {
        let reply = tool.ask(ask).await?;
        self.say(tool, words, reply.status, Cache::of(&reply))?;
        let status = match outcome {
            Outcome::Rejected => StatusCode::FORBIDDEN,
            Outcome::Applied | Outcome::Partial | Outcome::Unknown | Outcome::NotSent => {
                StatusCode::OK
            }
        };
        self.check(&reply, status, Cache::Change)?;
        self.tally.changes.push(Changed {
            event: reply.header("x-tollgate-event").to_owned(),
            person: tool.person.clone(),
            tool: tool.label,
            action,
            outcome,
        });
        Ok(reply)
    }

    async fn ask(&mut self, tool: &Tool, words: &str, ask: Ask) -> anyhow::Result<Reply> {
        let reply = tool.ask(ask).await?;
        self.tally.reads += 1;
        if tool.label == "dashboard" {
            self.tally.polled += 1;
        }
        self.say(tool, words, reply.status, Cache::of(&reply))?;
        Ok(reply)
    }

    fn check(&self, reply: &Reply, status: StatusCode, cache: Cache) -> anyhow::Result<()> {
        if reply.status != status {
            bail!(
                "the answer should be {status}, and is {}: {}",
                reply.status,
                reply.text()
            );
        }
        if Cache::of(reply) != Some(cache) {
            bail!(
                "Cache-Status should say {cache:?}, and is {:?}",
                reply.header("cache-status")
            );
        }
        Ok(())
    }

    fn say(
        &mut self,
        tool: &Tool,
        words: &str,
        status: StatusCode,
        cache: Option<Cache>,
    ) -> anyhow::Result<()> {
        let asked = self.tally.reads;
        let line = Line {
            time: &self.time(),
            who: tool.who(),
            tool: tool.label,
            words,
            status: status.as_str(),
            cache: cache.map_or("?", Cache::word),
            calls: Some((self.calls(), asked.saturating_sub(self.fetched()))),
        };
        Ok(self.screen.line(&line)?)
    }

    /// Something that no tool did.
    fn elsewhere(&mut self, who: &str, words: &str) -> anyhow::Result<()> {
        let line = Line {
            time: &self.time(),
            who,
            tool: "Toggl",
            words,
            status: "-",
            cache: "-",
            calls: None,
        };
        Ok(self.screen.line(&line)?)
    }

    fn time(&self) -> String {
        self.scene.clock.now().strftime("%H:%M:%S").to_string()
    }

    fn calls(&self) -> u64 {
        self.scene.calls(|request| request.path() != ME)
    }

    fn fetched(&self) -> u64 {
        self.scene.fetched()
    }
}

fn group(id: i64) -> String {
    format!("{GROUPS}/{id}")
}

fn patches(id: i64, users: &[(&str, i64)]) -> Ask {
    let patches: Vec<Value> = users
        .iter()
        .map(|(op, user)| json!({ "op": op, "path": "/users", "value": [user] }))
        .collect();
    Ask::send(Method::PATCH, group(id), Value::Array(patches))
}

fn row_of(rows: &Value, group: i64, project: i64) -> Option<i64> {
    let mut rows = rows.as_array()?.iter();
    let row = rows.find(|row| row["group_id"] == group && row["pid"] == project)?;
    row["id"].as_i64()
}

// === impl Cache ===

impl Cache {
    /// What `Cache-Status` says; `None` for what the demo never expects.
    fn of(reply: &Reply) -> Option<Self> {
        match reply.header("cache-status") {
            "tollgate; fwd=uri-miss; stored" => Some(Self::Miss),
            "tollgate; fwd=request; stored" => Some(Self::Requested),
            "tollgate; fwd=method" => Some(Self::Change),
            other if other.starts_with("tollgate; hit; ttl=") => Some(Self::Hit),
            _ => None,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Requested => "no-cache",
            Self::Shared => "shared",
            Self::Change => "change",
        }
    }
}
