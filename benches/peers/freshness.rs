//! Reads and changes at one time, as one script that each peer is put through.
//!
//! Each scene of the script starts with a new simulator and a new peer. The simulator holds requests
//! where the scene wants them, so the interleaving is chosen and not met by chance. Whatever happened in a
//! scene, at its end everybody reads twice. [`stage`](crate::stage) says what is counted.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use http::header::SET_COOKIE;
use http::{HeaderValue, Method, StatusCode};
use tollgate::simulator::Match;

use crate::page;
use crate::peer::{Peer, Times};
use crate::stage::{Caller, DESIGN, LIST, Score, Stage};

/// An interleaving. The caller is who reads beside the change, which Ann makes.
#[derive(Clone, Copy, Debug)]
enum Scene {
    Kept(Caller),
    Before(Caller),
    During(Caller),
    Across(Caller),
    After(Caller),
    Stale(Caller),
    StaleAndDown(Caller),
    Revalidating(Caller),
    TimedOut(Caller),
    HungUp(Caller),
    Refused,
    Views,
}

/// Puts the peers through the script whose names have `name` in them, and prints the table. If it is `tiny`, only the first scene of the script.
pub(crate) async fn run(name: &str, tiny: bool, write: bool) -> anyhow::Result<()> {
    let mut peers = Peer::ALL.to_vec();
    peers.retain(|peer| peer.name().to_lowercase().contains(&name.to_lowercase()));
    let mut versions = Vec::new();
    for peer in &peers {
        for version in peer.install()? {
            if !versions.contains(&version) {
                versions.push(version);
            }
        }
    }
    let mut rows = Vec::new();
    let mut scenes = Scene::all();
    if tiny {
        scenes.truncate(1);
    }
    for scene in scenes {
        let mut scores = Vec::new();
        for peer in &peers {
            let played = tokio::time::timeout(Duration::from_secs(60), scene.play(*peer)).await;
            let score = played
                .context("it hangs")
                .and_then(|score| score)
                .with_context(|| format!("{} in {scene:?}", peer.name()))?;
            eprintln!("{scene:?}, {}: {score:?}", peer.name());
            scores.push(score);
        }
        rows.push((scene, scores));
    }
    let text = format!(
        "{}\nMeasured: {}.\n",
        table(&peers, &rows),
        versions.join(", ")
    );
    println!("{text}");
    if write {
        page::write("freshness.md", "freshness", &text)?;
    }
    for (index, peer) in peers.iter().enumerate() {
        let total = total(&rows, index);
        let is_clean = total.contradicted == 0 && total.leaks == 0;
        ensure!(*peer != Peer::Tollgate || is_clean, "Tollgate: {total:?}");
    }
    Ok(())
}

// === impl Scene ===

impl Scene {
    fn all() -> Vec<Self> {
        let each = [
            Self::Kept,
            Self::Before,
            Self::During,
            Self::Across,
            Self::After,
            Self::Stale,
            Self::StaleAndDown,
            Self::Revalidating,
            Self::TimedOut,
            Self::HungUp,
        ];
        let both = each.map(|scene| [scene(Caller::Ann), scene(Caller::Bob)]);
        let mut all = both.concat();
        all.extend([Self::Refused, Self::Views]);
        all
    }

    fn title(self) -> String {
        let (what, who) = match self {
            Self::Kept(who) => ("a list that is kept", who),
            Self::Before(who) => ("a fetch begun before the change, delivered after it", who),
            Self::During(who) => ("a fetch begun and delivered during the change", who),
            Self::Across(who) => ("a fetch begun during the change, delivered after it", who),
            Self::After(who) => ("a fetch begun after the change", who),
            Self::Stale(who) => ("a list in its stale window", who),
            Self::StaleAndDown(who) => ("the same, and upstream fails after the change", who),
            Self::Revalidating(who) => ("a revalidation under way", who),
            Self::TimedOut(who) => ("a change that timed out and was applied later", who),
            Self::HungUp(who) => ("a change whose caller hung up, applied later", who),
            Self::Refused => return "three changes that upstream refuses".to_owned(),
            Self::Views => return "people with different rights, at once".to_owned(),
        };
        let whose = if who == Caller::Ann {
            "the same"
        } else {
            "another"
        };
        format!("{what}: {whose} credential")
    }

    fn times(self) -> Times {
        match self {
            Self::Stale(_) | Self::StaleAndDown(_) | Self::Revalidating(_) => Times {
                ttl: 1,
                stale: 30,
                timeout: 30,
            },
            Self::TimedOut(_) => Times {
                ttl: 60,
                stale: 30,
                timeout: 1,
            },
            _ => Times {
                ttl: 60,
                stale: 30,
                timeout: 30,
            },
        }
    }

    async fn play(self, peer: Peer) -> anyhow::Result<Score> {
        let mut stage = Stage::set(peer, self.times()).await?;
        let spent = match self {
            Self::Views => stage.spend().await?,
            _ => 0,
        };
        self.act(&mut stage).await?;
        for _ in 0..2 {
            for caller in [Caller::Ann, Caller::Bob] {
                stage.read(caller).await?;
            }
            // What a peer asks of its own accord, after an answer, is to be over too.
            stage.pause().await;
        }
        Ok(stage.score(spent))
    }

    async fn act(self, stage: &mut Stage) -> anyhow::Result<()> {
        match self {
            Self::Kept(reader) => {
                stage.read(reader).await?;
                stage.change().await
            }
            Self::Before(reader) => {
                let delivery = stage.hold_delivery();
                let early = stage.begin_read(reader);
                stage.asked(&delivery).await;
                stage.change().await?;
                stage.read_meanwhile(reader, early, &delivery).await
            }
            Self::During(reader) => {
                let application = stage.hold_change();
                let change = stage.begin_change();
                application.reached().await;
                stage.read(reader).await?;
                application.release();
                stage.end_change(change).await
            }
            Self::Across(reader) => {
                let application = stage.hold_change();
                let change = stage.begin_change();
                application.reached().await;
                let delivery = stage.hold_delivery();
                let early = stage.begin_read(reader);
                stage.asked(&delivery).await;
                application.release();
                stage.end_change(change).await?;
                stage.read_meanwhile(reader, early, &delivery).await
            }
            Self::After(reader) => {
                stage.change().await?;
                stage.read(reader).await
            }
            Self::Stale(reader) => {
                stage.read(reader).await?;
                stage.grow_old().await;
                stage.change().await
            }
            Self::StaleAndDown(reader) => {
                stage.read(reader).await?;
                stage.grow_old().await;
                stage.change().await?;
                let list = Match::new(Method::GET, LIST);
                stage.toggl.every(list).status(StatusCode::BAD_GATEWAY);
                stage.read(reader).await?;
                stage.pause().await;
                stage.toggl.clear_faults();
                Ok(())
            }
            Self::Revalidating(reader) => {
                stage.read(reader).await?;
                stage.grow_old().await;
                let delivery = stage.hold_delivery();
                // The old list is its answer, or it waits for the new one: both are right.
                let early = stage.begin_read(reader);
                stage.asked(&delivery).await;
                stage.change().await?;
                stage.read_meanwhile(reader, early, &delivery).await
            }
            Self::TimedOut(reader) => {
                stage.read(reader).await?;
                let application = stage.hold_change();
                let change = stage.begin_change();
                ensure!(!change.await??.is_success(), "it should have timed out");
                // Not yet applied: the old list is right, and must not be kept for long.
                stage.read(reader).await?;
                application.release();
                stage.applied().await;
                stage.must_show = Some(stage.name());
                Ok(())
            }
            Self::HungUp(reader) => {
                stage.read(reader).await?;
                let application = stage.hold_change();
                let change = stage.begin_change();
                application.reached().await;
                change.abort();
                stage.pause().await;
                stage.read(reader).await?;
                application.release();
                stage.applied().await;
                // Long enough for the answer to be on its way back, to nobody.
                stage.pause().await;
                stage.must_show = Some(stage.name());
                Ok(())
            }
            Self::Refused => {
                for _ in 0..3 {
                    stage.read(Caller::Ann).await?;
                    stage.read(Caller::Bob).await?;
                    let status = stage
                        .tool(Caller::Cleo)?
                        .send(Method::DELETE, DESIGN, "")
                        .await?
                        .status();
                    ensure!(status == StatusCode::FORBIDDEN, "not refused");
                }
                Ok(())
            }
            Self::Views => {
                use Caller::{Ann, Bob, Cleo, CleosSession, Nobody};
                let cookie = HeaderValue::from_static("owner=ann");
                let first = stage.toggl.next(Match::new(Method::GET, LIST));
                first.extra_header(SET_COOKIE, cookie);
                for caller in [Ann, Bob, Cleo, CleosSession, Nobody] {
                    stage.read(caller).await?;
                }
                // Another list, which nobody has yet.
                stage.list = format!("{LIST}?workspace=51001");
                let delivery = stage.hold_delivery();
                let first = stage.begin_read(Ann);
                stage.asked(&delivery).await;
                let others = [Bob, Cleo, CleosSession, Nobody].map(|who| stage.begin_read(who));
                stage.pause().await;
                delivery.release();
                for reading in [first].into_iter().chain(others) {
                    stage.end_read(reading).await?;
                }
                Ok(())
            }
        }
    }
}

fn total(rows: &[(Scene, Vec<Score>)], peer: usize) -> Score {
    let mut total = Score::default();
    for (_, scores) in rows {
        total += scores[peer];
    }
    total
}

/// As Markdown. Writing to a `String` cannot fail.
fn table(peers: &[Peer], rows: &[(Scene, Vec<Score>)]) -> String {
    let mut text = String::from("| what is under way, and whose credential reads |");
    for peer in peers {
        let _ = write!(text, " {} |", peer.name());
    }
    let _ = writeln!(text, "\n|---|{}", "---|".repeat(peers.len()));
    for (scene, scores) in rows {
        let _ = write!(text, "| {} |", scene.title());
        for score in scores {
            let calls = score.calls();
            let _ = match score.judged {
                0 => write!(text, " – · {calls} |"),
                judged => write!(text, " {} of {judged} · {calls} |", score.contradicted),
            };
        }
        text.push('\n');
    }
    let totals: Vec<Score> = (0..peers.len()).map(|index| total(rows, index)).collect();
    let mut line = |name: &str, cell: &dyn Fn(&Score) -> String| {
        let cells: Vec<String> = totals.iter().map(cell).collect();
        let _ = writeln!(text, "| **{name}** | {} |", cells.join(" | "));
    };
    line("contradicted reads", &|score| {
        format!("**{}** of {}", score.contradicted, score.judged)
    });
    line("leaks across credentials", &|score| {
        format!("**{}**", score.leaks)
    });
    line("upstream calls", &|score| {
        let Score {
            lists,
            changes,
            others,
            ..
        } = score;
        format!("**{}**: {lists} + {changes} + {others}", score.calls())
    });
    text
}
