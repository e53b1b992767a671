//! Whether changes can be recorded, in words that somebody can act on; asked of the store at most once a second.
//!
//! The answer writes a row and waits for the disk, in one queue with the changes, and anybody may ask: so
//! equal questions share one answer. For the same reason it names no path, only the database's file.
//!
//! What does not keep a change from being recorded is a warning: an upstream that nobody reaches fails a
//! gateway's tools, and another gateway, or a restart, would not help them; and a disk that is nearly full still
//! takes changes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::config::OnFailure;
use crate::live::Live;
use crate::store::sqlite::Room;
use crate::store::{StoreError, Trail, Trouble};
use crate::upstream::Health;

/// See the [module](self). Cloning shares it.
#[derive(Clone)]
pub struct Readiness {
    of: Arc<Watched>,
    last: Arc<Mutex<Option<Answered>>>,
}

/// What a gateway needs to do its work.
pub struct Watched {
    /// Where changes are recorded.
    pub trail: Arc<dyn Trail>,
    /// The database's file, without its directories.
    pub file: String,
    /// How much room is left for it, if the system tells.
    pub room: Box<dyn Fn() -> Option<Room> + Send + Sync>,
    /// What happens to a change that cannot be recorded.
    pub on_failure: Live<OnFailure>,
    /// Whether upstream is reached.
    pub upstream: Health,
    /// What time it is.
    pub clock: Clock,
}

/// What `/readyz` says.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Whether changes can be recorded.
    pub ready: bool,
    /// Why not.
    pub reasons: Vec<Finding>,
    /// What is wrong besides.
    pub warnings: Vec<Finding>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// What.
    pub what: String,
    /// Since when that is known.
    pub since: String,
    /// What it means for the tools.
    pub effect: &'static str,
    /// What to do.
    pub remedy: String,
    /// In the words of whoever noticed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

#[derive(Clone)]
struct Answered {
    at: Instant,
    /// What is wrong, and since when.
    result: Result<(), (StoreError, Timestamp)>,
    /// How little room is left, and since when.
    scarce: Option<(Room, Timestamp)>,
}

const FRESH: Duration = Duration::from_secs(1);

/// An upstream that nobody has asked for so long may have come back.
const LATELY: Duration = Duration::from_secs(600);

// === impl Readiness ===

impl Readiness {
    /// Of this.
    #[must_use]
    pub fn new(of: Watched) -> Self {
        Self {
            of: Arc::new(of),
            last: Arc::default(),
        }
    }

    /// What is wrong, as of at most a second ago.
    pub async fn report(&self) -> Report {
        let Answered { result, scarce, .. } = self.check().await;
        let is_full = |(error, _): &(StoreError, _)| matches!(error.trouble(), Trouble::DiskFull);
        // Of a disk that is full nobody needs to be told that it nearly is.
        let scarce = scarce.filter(|_| !result.as_ref().is_err_and(is_full));
        let scarce = scarce.map(|(room, since)| self.of.nearly_full(room, since));
        let reasons: Vec<_> = match result {
            Ok(()) => Vec::new(),
            Err((error, since)) => vec![self.of.finding(&error, since)],
        };
        Report {
            ready: reasons.is_empty(),
            reasons,
            warnings: scarce.into_iter().chain(self.of.unreached()).collect(),
        }
    }

    async fn check(&self) -> Answered {
        // Held over the question, so that whoever comes meanwhile takes its answer.
        let mut last = self.last.lock().await;
        if let Some(answered) = &*last
            && answered.at.elapsed() < FRESH
        {
            return answered.clone();
        }
        let wrong = last.as_ref().and_then(|last| last.result.as_ref().err());
        let wrong = wrong.map(|(_, since)| *since);
        let scarce = last.as_ref().and_then(|last| last.scarce);
        let scarce = scarce.map(|(_, since)| since);
        let since = |before: Option<Timestamp>| before.unwrap_or_else(|| self.of.clock.now());
        let result = self.of.trail.check().await;
        let room = (self.of.room)().filter(Room::is_scarce);
        let answered = Answered {
            at: Instant::now(),
            result: result.map_err(|error| (error, since(wrong))),
            scarce: room.map(|room| (room, since(scarce))),
        };
        last.insert(answered).clone()
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Readiness")
    }
}

// === impl Watched ===

impl Watched {
    fn finding(&self, error: &StoreError, since: Timestamp) -> Finding {
        let file = &self.file;
        let (what, remedy) = match error.trouble() {
            Trouble::DiskFull => {
                let left = (self.room)().map_or_else(
                    || "the system does not say how much is left".to_owned(),
                    |room| format!("{} left", ByteSize(room.free)),
                );
                (
                    format!("the disk with {file} is full"),
                    format!(
                        "free space on its file system ({left}); the gateway goes on by itself"
                    ),
                )
            }
            Trouble::NotWritable => (
                format!("{file} may not be written by the user whom the gateway runs as"),
                format!(
                    "let that user write {file} and its directory, and see that the file system is not mounted read-only"
                ),
            ),
            Trouble::Locked => (
                format!("another process holds {file} locked"),
                format!(
                    "end that process, such as a sqlite3 with an open transaction: `fuser {file}` names it"
                ),
            ),
            Trouble::Slow => (
                format!(
                    "a row could not be written to {file} in time: its disk is busy, or another process holds it locked"
                ),
                format!(
                    "look for who else writes: `fuser {file}` names processes that have it open"
                ),
            ),
            Trouble::Missing => (
                format!("{file} is gone from its place"),
                "put it back; a restart without it would begin a new, empty trail".to_owned(),
            ),
            Trouble::Replaced => (
                format!("{file} was replaced by another file since the start"),
                "put the first one back, or restart the gateway to go on with the other".to_owned(),
            ),
            Trouble::Damaged => (
                format!("{file} is damaged"),
                "stop the gateway, keep the file, and restore the newest backup".to_owned(),
            ),
            Trouble::Other => (
                format!("{file} cannot be used"),
                "see the gateway's log".to_owned(),
            ),
        };
        let effect = match **self.on_failure.read() {
            OnFailure::Refuse => "changes are refused with 503 and not sent; reads go on",
            OnFailure::Forward => "changes are sent and not recorded; reads go on",
        };
        let cause = std::error::Error::source(error);
        Finding {
            what,
            since: moment(since),
            effect,
            remedy,
            cause: cause.map(ToString::to_string),
        }
    }

    fn nearly_full(&self, room: Room, since: Timestamp) -> Finding {
        let effect = match **self.on_failure.read() {
            OnFailure::Refuse => {
                "none yet; when it is full, changes are refused with 503 and not sent"
            }
            OnFailure::Forward => "none yet; when it is full, changes are sent and not recorded",
        };
        let (file, free, size) = (&self.file, ByteSize(room.free), ByteSize(room.size));
        Finding {
            what: format!("the disk with {file} is nearly full: {free} of {size} left"),
            since: moment(since),
            effect,
            remedy: "free space on its file system, or let old events go (audit.retention)"
                .to_owned(),
            cause: None,
        }
    }

    fn unreached(&self) -> Option<Finding> {
        let unreachable = self.upstream.unreachable()?;
        if unreachable.last.elapsed() > LATELY {
            return None;
        }
        let ago = SignedDuration::try_from(unreachable.since.elapsed()).unwrap_or_default();
        let since = self.clock.now().checked_sub(ago).unwrap_or(Timestamp::MIN);
        let requests = match unreachable.requests {
            1 => "the last request".to_owned(),
            count => format!("the last {count} requests"),
        };
        Some(Finding {
            what: format!("upstream gave no answer to {requests}"),
            since: moment(since),
            effect: "lists are served old for up to cache.stale_if_error; all else fails with 502 or 504",
            remedy:
                "see whether upstream.url can be reached from this machine; the log has the errors"
                    .to_owned(),
            cause: None,
        })
    }
}

fn moment(at: Timestamp) -> String {
    format!("{at:.0}")
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::store::memory::MemoryStore;

    fn readiness(trail: impl Trail, upstream: Health) -> Readiness {
        Readiness::new(Watched {
            trail: Arc::new(trail),
            file: "tollgate.db".to_owned(),
            room: Box::new(|| Some(room(1 << 20))),
            on_failure: OnFailure::Refuse.into(),
            upstream,
            clock: Clock::from_fn(|| Timestamp::from_second(1_795_521_600).unwrap()),
        })
    }

    fn room(free: u64) -> Room {
        Room {
            database: 4096,
            free,
            size: 1 << 20,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_is_nearly_full_is_a_warning_until_there_is_room_and_no_reason() {
        let free = Arc::new(std::sync::atomic::AtomicU64::new(1 << 16));
        let left = Arc::clone(&free);
        let store = MemoryStore::new();
        let watched = Arc::into_inner(readiness(store.clone(), Health::default()).of).unwrap();
        let readiness = Readiness::new(Watched {
            room: Box::new(move || Some(room(left.load(std::sync::atomic::Ordering::SeqCst)))),
            ..watched
        });
        let report = readiness.report().await;
        assert!(report.ready && report.reasons.is_empty());
        assert_snapshot!(serde_json::to_string_pretty(&report.warnings).unwrap(), @r#"
        [
          {
            "what": "the disk with tollgate.db is nearly full: 64.0 KiB of 1.0 MiB left",
            "since": "2026-11-24T12:00:00Z",
            "effect": "none yet; when it is full, changes are refused with 503 and not sent",
            "remedy": "free space on its file system, or let old events go (audit.retention)"
          }
        ]
        "#);
        free.store(1 << 19, std::sync::atomic::Ordering::SeqCst);
        tokio::time::advance(FRESH).await;
        assert!(readiness.report().await.warnings.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_holds_for_a_second() {
        let store = MemoryStore::new();
        let readiness = readiness(store.clone(), Health::default());
        assert!(readiness.report().await.ready);
        store.fail(true);
        assert!(readiness.report().await.ready);
        tokio::time::advance(FRESH).await;
        assert!(!readiness.report().await.ready);
    }

    #[tokio::test(start_paused = true)]
    async fn it_says_since_when_until_it_is_over() {
        let store = MemoryStore::new();
        let now = Arc::new(std::sync::atomic::AtomicI64::new(0));
        let clock = Arc::clone(&now);
        let clock = Clock::from_fn(move || {
            let seconds = clock.load(std::sync::atomic::Ordering::SeqCst);
            Timestamp::from_second(seconds).unwrap()
        });
        let readiness = readiness(store.clone(), Health::default());
        let watched = Arc::into_inner(readiness.of).unwrap();
        let readiness = Readiness::new(Watched { clock, ..watched });
        let mut told = Vec::new();
        for (second, fails) in [(10, true), (20, true), (30, false), (40, true)] {
            now.store(second, std::sync::atomic::Ordering::SeqCst);
            store.fail(fails);
            tokio::time::advance(FRESH).await;
            let reasons = readiness.report().await.reasons;
            told.push(reasons.first().map(|reason| reason.since[17..].to_owned()));
        }
        let since = |text: &str| Some(text.to_owned());
        assert_eq!(told, [since("10Z"), since("10Z"), None, since("40Z")]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_upstream_that_nobody_reached_lately_is_a_warning() {
        let upstream = Health::default();
        let readiness = readiness(MemoryStore::new(), upstream.clone());
        upstream.heard(false);
        tokio::time::advance(Duration::from_secs(60)).await;
        upstream.heard(false);
        let report = readiness.report().await;
        assert!(report.ready && report.reasons.is_empty());
        assert_snapshot!(serde_json::to_string_pretty(&report.warnings).unwrap(), @r#"
        [
          {
            "what": "upstream gave no answer to the last 2 requests",
            "since": "2026-11-24T11:59:00Z",
            "effect": "lists are served old for up to cache.stale_if_error; all else fails with 502 or 504",
            "remedy": "see whether upstream.url can be reached from this machine; the log has the errors"
          }
        ]
        "#);
        tokio::time::advance(LATELY * 2).await;
        assert!(readiness.report().await.warnings.is_empty(), "nobody asked");
        upstream.heard(false);
        upstream.heard(true);
        assert!(readiness.report().await.warnings.is_empty());
    }

    #[test]
    fn each_trouble_is_told_with_what_to_do_and_without_a_path() {
        let watched = readiness(MemoryStore::new(), Health::default()).of;
        let secret = || "/srv/secret/tollgate.db".to_owned();
        let errors = [
            StoreError::Missing(secret()),
            StoreError::Replaced(secret()),
            StoreError::Slow(Duration::from_secs(2)),
            StoreError::Unusable(secret()),
            StoreError::Corrupt(secret()),
        ];
        for error in errors {
            let finding = watched.finding(&error, Timestamp::UNIX_EPOCH);
            let text = serde_json::to_string(&finding).unwrap();
            assert!(
                text.contains("tollgate.db") && !text.contains("/srv"),
                "{text}"
            );
            assert!(finding.effect.contains("changes are refused"), "{text}");
            assert!(!finding.remedy.is_empty());
        }
    }
}
