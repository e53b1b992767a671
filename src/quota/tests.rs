use super::testing::{ann, bob, fingerprint};
use super::*;

const ORG: Pool = Pool::Organization(OrganizationId(1));
const STUDIO: Pool = Pool::Workspace(WorkspaceId(2));
const LIST: &str = "GET /organizations/{organization_id}/groups";

fn told(quota: &Quota, caller: Fingerprint, pool: Pool, remaining: u64, seconds: u64) {
    let now = Instant::now();
    let reading = Reading {
        remaining,
        resets_at: now + Duration::from_secs(seconds),
    };
    quota.note(caller, pool, now, reading);
}

fn stance(quota: &Quota, caller: Fingerprint, pool: Pool) -> Stance {
    quota.stance(caller, pool, Instant::now())
}

fn asking(caller: Fingerprint, pool: Pool) -> Asking<'static> {
    Asking {
        caller,
        pool,
        endpoint: LIST,
        tool: None,
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_left_is_told_of_each_credential_and_pool_until_its_reset() {
    let quota = Quota::default();
    told(&quota, ann(), ORG, 7, 60);
    let now = Instant::now();
    let later = now + Duration::from_secs(60);
    assert_eq!(quota.last(ann(), ORG, now).unwrap().remaining, 7);
    assert_eq!(quota.last(ann(), ORG, later), None, "filled up again");
    assert_eq!(quota.last(ann(), Pool::Me, now), None);
    assert_eq!(quota.last(bob(), ORG, now), None);
    assert!(quota.affords(ann(), ORG, 6, now));
    assert!(!quota.affords(ann(), ORG, 7, now));
    assert!(quota.affords(ann(), ORG, 7, later));
    assert_eq!(stance(&quota, ann(), ORG), Stance::Reserve);
    assert_eq!(stance(&quota, bob(), ORG), Stance::Open);
}

#[tokio::test(start_paused = true)]
async fn credentials_of_one_person_share_a_quota_once_that_is_known() {
    let quota = Quota::default();
    let password = fingerprint("Basic ann:password");
    told(&quota, ann(), ORG, 0, 60);
    assert_eq!(stance(&quota, password, ORG), Stance::Open);
    quota.introduce(ann(), UserId(5));
    assert_eq!(stance(&quota, ann(), ORG), Stance::Closed, "goes along");
    quota.introduce(password, UserId(5));
    assert_eq!(stance(&quota, password, ORG), Stance::Closed);
    assert_eq!(stance(&quota, password, Pool::Me), Stance::Open);
    assert_eq!(stance(&quota, bob(), ORG), Stance::Open);
}

#[tokio::test(start_paused = true)]
async fn a_workspace_counts_against_its_organization_once_that_is_known() {
    let quota = Quota::default();
    told(&quota, ann(), STUDIO, 0, 60);
    assert_eq!(stance(&quota, ann(), ORG), Stance::Open);
    quota.learn(OrganizationId(1), WorkspaceId(2));
    assert_eq!(stance(&quota, ann(), ORG), Stance::Closed);
    assert_eq!(stance(&quota, ann(), STUDIO), Stance::Closed);
    tokio::time::advance(Duration::from_secs(1)).await;
    told(&quota, ann(), STUDIO, 20, 60);
    assert_eq!(stance(&quota, ann(), ORG), Stance::Open);
}

#[tokio::test(start_paused = true)]
async fn everything_counted_is_taken_once_and_can_be_given_back() {
    let quota = Quota::default();
    let now = Instant::now();
    told(&quota, ann(), ORG, 7, 60);
    let newest = quota.answered(&asking(ann(), ORG), 1, now);
    assert_eq!(newest.unwrap().remaining, 7);
    quota.answered(&asking(ann(), ORG), 1, now);
    // Counted before anybody knew whose it is.
    quota.answered(&asking(ann(), STUDIO), 2, now);
    quota.learn(OrganizationId(1), WorkspaceId(2));
    quota.answered(&asking(ann(), STUDIO), 2, now);

    let mut news = quota.take();
    news.usage
        .sort_by_key(|usage| (usage.pool, usage.counts.cached));
    let counted: Vec<_> = news
        .usage
        .iter()
        .map(|usage| (usage.pool, usage.counts.cached))
        .collect();
    assert_eq!(counted, [(ORG, 1), (ORG, 2), (STUDIO, 1)]);
    assert_eq!(news.left.len(), 1);
    assert_eq!((news.left[0].pool, news.left[0].remaining), (ORG, 7));
    assert_eq!(quota.take(), News::default());

    quota.give_back(news);
    let mut again = quota.take().usage;
    again.sort_by_key(|usage| usage.pool);
    let counted: Vec<_> = again
        .iter()
        .map(|usage| (usage.pool, usage.counts.cached))
        .collect();
    assert_eq!(counted, [(ORG, 3), (STUDIO, 1)], "the same, put together");
}

#[tokio::test(start_paused = true)]
async fn a_closed_hour_outlives_a_restart() {
    let before = Quota::default();
    let gone = Exhausted {
        message: Some("hourly limit".into()),
        resets_in: Duration::from_secs(600),
    };
    let now = Instant::now();
    before
        .seat(ann(), ORG)
        .hear(now, Heard::Exhausted(gone), now);
    let left = before.take().left.remove(0);

    let after = Quota::default();
    after.restore(ann(), &left);
    assert_eq!(stance(&after, ann(), ORG), Stance::Closed);
    let refused = after.seat(ann(), ORG).admit(Priority::Read, Instant::now());
    let refused = refused.unwrap_err();
    assert_eq!(refused.message.as_deref(), Some("hourly limit"));
    // The system's clock goes on meanwhile.
    assert!((590..=600).contains(&refused.resets_in.as_secs()));

    let old = Left {
        resets_at: left.told_at,
        ..left
    };
    let later = Quota::default();
    later.restore(ann(), &old);
    assert_eq!(stance(&later, ann(), ORG), Stance::Open);
}

#[tokio::test(start_paused = true)]
async fn of_what_was_told_before_a_restart_the_newest_counts() {
    let date = |text: &str| text.parse::<jiff::Timestamp>().unwrap();
    let left = |pool, remaining, told_at: &str| Left {
        credential_id: String::new(),
        pool,
        remaining,
        resets_at: date("2026-11-24T17:00:00Z"),
        told_at: date(told_at),
        message: None,
    };
    let password = fingerprint("Basic ann:password");
    let plenty = (password, left(STUDIO, 25, "2026-11-24T16:10:00Z"));
    let gone = (ann(), left(ORG, 0, "2026-11-24T16:20:00Z"));
    for rows in [[&plenty, &gone], [&gone, &plenty]] {
        // Whose they are is known at the start, or becomes known after it.
        for known in [true, false] {
            let clock = Clock::from_fn(move || date("2026-11-24T16:30:00Z"));
            let quota = Quota::new(Settings::default(), clock);
            let learn = || {
                quota.learn(OrganizationId(1), WorkspaceId(2));
                quota.introduce(ann(), UserId(5));
                quota.introduce(password, UserId(5));
            };
            if known {
                learn();
            }
            for (caller, left) in rows {
                quota.restore(*caller, left);
            }
            learn();
            assert_eq!(stance(&quota, password, STUDIO), Stance::Closed, "{known}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_pass_that_is_dropped_lets_another_try() {
    let quota = Quota::default();
    told(&quota, ann(), ORG, 0, 60);
    let seat = quota.seat(ann(), ORG);
    assert!(seat.admit(Priority::Read, Instant::now()).is_err());
    tokio::time::advance(Duration::from_secs(60)).await;
    let pass = seat.admit(Priority::Read, Instant::now()).unwrap();
    assert!(seat.admit(Priority::Read, Instant::now()).is_err());
    drop(pass);
    let pass = seat.admit(Priority::Read, Instant::now()).unwrap();
    pass.heard(Heard::Admitted, Instant::now());
    assert!(seat.admit(Priority::Read, Instant::now()).is_ok());
    assert!(seat.admit(Priority::Read, Instant::now()).is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_does_not_say_whose_it_is_is_never_refused() {
    let quota = Quota::default();
    told(&quota, ann(), Pool::Unclear, 0, 60);
    let seat = quota.seat(ann(), Pool::Unclear);
    let now = Instant::now();
    assert_eq!(seat.last(now).unwrap().remaining, 0, "for the figures");
    for after in [0, 60] {
        let now = now + Duration::from_secs(after);
        assert_eq!(seat.stance(now), Stance::Open);
        let passes = [Priority::Read, Priority::Refresh].map(|priority| seat.admit(priority, now));
        assert!(passes.iter().all(Result::is_ok), "none is a probe");
    }
}

#[tokio::test(start_paused = true)]
async fn lists_in_use_are_fresh_for_longer_when_little_is_left() {
    let quota = Quota::default();
    let (ttl, most) = (Duration::from_secs(60), Duration::from_secs(3660));
    let freshness = || quota.freshness(ann(), ORG, ttl, most, Instant::now());
    assert_eq!(freshness(), ttl, "nobody told of a quota");
    for list in 0..3 {
        quota.renews(&asking(ann(), ORG), list, Instant::now());
    }
    told(&quota, ann(), ORG, 240, 3600);
    assert_eq!(freshness(), ttl);
    told(&quota, ann(), ORG, 30, 3600);
    assert_eq!(freshness().as_secs(), 568);
    told(&quota, ann(), ORG, 10, 3600);
    assert_eq!(freshness(), most);
}

/// Ten thousand and more credentials that upstream does not know; it says so, or nothing.
fn strangers(quota: &Quota) {
    let now = Instant::now();
    for number in 0..MOST + MOST / 5 {
        let seat = quota.seat(fingerprint(&format!("Basic {number}")), ORG);
        let pass = seat.admit(Priority::Read, now).unwrap();
        pass.heard(Heard::Admitted, now);
    }
    quota.0.seats.run_pending_tasks();
}

#[tokio::test(start_paused = true)]
async fn strangers_do_not_make_a_quota_forgotten_that_upstream_told_of() {
    let quota = Quota::default();
    let gone = Exhausted {
        message: Some("hourly limit".into()),
        resets_in: Duration::from_secs(600),
    };
    let now = Instant::now();
    told(&quota, ann(), ORG, 7, 600);
    let seat = quota.seat(bob(), ORG);
    seat.hear(now, Heard::Exhausted(gone), now);
    seat.keep();
    drop(seat);
    // A person whose list is in use, and of whose quota nobody told yet.
    let carol = fingerprint("Basic carol");
    quota.introduce(carol, UserId(6));
    quota.renews(&asking(carol, ORG), 1, now);
    strangers(&quota);
    assert!(
        quota.0.seats.get(&(ann(), ORG)).is_none(),
        "its seat is gone"
    );
    assert_eq!(quota.last(ann(), ORG, now).unwrap().remaining, 7);
    assert_eq!(stance(&quota, bob(), ORG), Stance::Closed);
    let second = fingerprint("Basic carol:password");
    quota.introduce(second, UserId(6));
    assert!(quota.known(second, ORG).is_some());
    // What nobody has written down yet is not lost either.
    let mut left: Vec<_> = quota.take().left;
    left.sort_by_key(|left| left.remaining);
    let left: Vec<_> = left.iter().map(|left| left.remaining).collect();
    assert_eq!(left, [0, 7]);
}

#[tokio::test(start_paused = true)]
async fn what_upstream_told_of_has_a_bound_too() {
    let quota = Quota::default();
    for number in 0..MOST + MOST / 5 {
        let pool = Pool::Organization(OrganizationId(number.cast_signed()));
        told(&quota, ann(), pool, 7, 600);
    }
    let _ = quota.take();
    assert!(quota.0.accounts.told().count() as u64 <= MOST);
}

#[tokio::test(start_paused = true)]
async fn what_was_told_goes_along_though_others_took_the_seat() {
    let quota = Quota::default();
    told(&quota, ann(), STUDIO, 0, 600);
    strangers(&quota);
    quota.introduce(ann(), UserId(5));
    quota.learn(OrganizationId(1), WorkspaceId(2));
    let password = fingerprint("Basic ann:password");
    quota.introduce(password, UserId(5));
    assert_eq!(stance(&quota, password, ORG), Stance::Closed);
    let left = quota.take().left;
    assert_eq!((left.len(), left[0].pool), (1, ORG), "once");
}

#[tokio::test(start_paused = true)]
async fn what_becomes_known_while_a_seat_is_made_counts_for_it() {
    let quota = Quota::default();
    let password = fingerprint("Basic ann:password");
    quota.introduce(password, UserId(5));
    told(&quota, password, ORG, 0, 60);
    let key = (ann(), STUDIO);
    let seat = quota.seated(key, || {
        let made = quota.make(key);
        quota.introduce(ann(), UserId(5));
        quota.learn(OrganizationId(1), WorkspaceId(2));
        made
    });
    let now = Instant::now();
    assert_eq!(seat.stance(now), Stance::Closed);
    assert_eq!(seat.pool(), ORG);
    assert_eq!(stance(&quota, ann(), STUDIO), Stance::Closed);
}

#[tokio::test(start_paused = true)]
async fn what_was_told_while_it_became_known_whose_it_is_goes_along() {
    let quota = Quota::default();
    let password = fingerprint("Basic ann:password");
    quota.introduce(password, UserId(5));
    quota.renews(&asking(password, ORG), 1, Instant::now());
    let key = (ann(), ORG);
    let seat = quota.seated(key, || {
        let made = quota.make(key);
        let (now, resets_in) = (Instant::now(), Duration::from_secs(60));
        let message = None;
        let gone = Heard::Exhausted(Exhausted { message, resets_in });
        made.hear(now, gone, now);
        quota.introduce(ann(), UserId(5));
        made
    });
    assert_eq!(seat.stance(Instant::now()), Stance::Closed);
    assert_eq!(stance(&quota, password, ORG), Stance::Closed);
}
