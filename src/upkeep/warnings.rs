//! What is told before it hurts: a database that is not in its place, a disk that fills up, a certificate that runs out.
//!
//! Each is told once when it begins, and not again until it was over. What became of it is in `/readyz` and the metrics.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::store::StoreError;
use crate::store::sqlite::{Room, SqliteStore};

/// How often the database's file is looked for: what is recorded in one that is gone is lost.
const LOOK: Duration = Duration::from_secs(1);

/// How often the rest is asked for, in looks.
const SELDOM: u32 = 60;

/// So long before it runs out a certificate is told of.
const NOTICE: SignedDuration = SignedDuration::from_hours(14 * 24);

/// When the certificate runs out that is in use, if there is one.
pub type Expiry = Box<dyn Fn() -> Option<Timestamp> + Send>;

/// Looks, until `stop`.
pub async fn run(store: SqliteStore, expires: Expiry, clock: Clock, stop: CancellationToken) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut missing, mut full, mut told) = (Once::default(), Once::default(), None);
    for look in (0..SELDOM).cycle() {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = looks.tick() => {}
        }
        place(store.look().await, &mut missing);
        if look == 0 {
            room(store.room().ok(), &mut full);
            certificate(expires(), clock.now(), &mut told);
        }
    }
}

fn place(seen: Result<(), StoreError>, missing: &mut Once) {
    match (missing.is_new(seen.is_err()), seen) {
        (true, Err(error)) => tracing::error!(
            "The audit database is not in its place, and changes cannot be recorded until it is: {error}"
        ),
        (true, Ok(())) => tracing::info!("The audit database is in its place again"),
        (false, _) => {}
    }
}

fn room(room: Option<Room>, full: &mut Once) {
    let Some(room) = room else { return };
    if full.is_new(room.is_scarce()) && room.is_scarce() {
        tracing::warn!(
            free_bytes = room.free,
            size_bytes = room.size,
            "The disk of the audit database is nearly full: changes will be refused when it is"
        );
    }
}

// Once a certificate: another one has another end.
fn certificate(expires: Option<Timestamp>, now: Timestamp, told: &mut Option<Timestamp>) {
    let Some(expires) = expires.filter(|expires| runs_out(*expires, now)) else {
        return;
    };
    if told.replace(expires) != Some(expires) {
        tracing::warn!(
            "The certificate of listen.tls_cert runs out at {expires:.0}: renew it, and send SIGHUP"
        );
    }
}

fn runs_out(expires: Timestamp, now: Timestamp) -> bool {
    expires.duration_since(now) < NOTICE
}

/// Whether something is so, as it was last told.
#[derive(Debug, Default)]
struct Once(bool);

impl Once {
    /// Whether that was not known.
    fn is_new(&mut self, now: bool) -> bool {
        std::mem::replace(&mut self.0, now) != now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_told_of_in_its_last_two_weeks() {
        let end = Timestamp::from_second(100 * 86_400).unwrap();
        let day = |number: i64| Timestamp::from_second(number * 86_400).unwrap();
        for (now, is_told) in [
            (1, false),
            (86, false),
            (87, true),
            (100, true),
            (200, true),
        ] {
            assert_eq!(runs_out(end, day(now)), is_told, "day {now}");
        }
    }

    #[test]
    fn what_goes_on_is_told_once() {
        let mut once = Once::default();
        let told = [false, true, true, false, true].map(|now| once.is_new(now));
        assert_eq!(told, [false, true, false, true, true]);
    }
}
