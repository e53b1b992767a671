//! Quotas, the leaky bucket and latency, as a client meets them.

use std::time::Duration;

use tokio::time::Instant;

use super::*;

async fn limited(options: Options) -> Toggl {
    Toggl::start(options).await.unwrap()
}

#[tokio::test]
async fn past_the_quota_the_answer_says_which_one_is_gone() {
    let toggl = limited(Options {
        quota: Some(2),
        ..Options::default()
    })
    .await;
    let ann = Visitor::new(&toggl, "ann");
    assert_eq!(
        ann.get(GROUPS)
            .await
            .assert_ok()
            .header("x-toggl-quota-remaining"),
        "1"
    );
    let last = ann.get("/api/v9/organizations/x/groups").await;
    last.assert_refused(400, "Invalid number x");
    assert_eq!(
        last.header("x-toggl-quota-remaining"),
        "0",
        "a refused request counts"
    );

    let gone = ann.delete(GROUP).await;
    assert_eq!(gone.status, StatusCode::PAYMENT_REQUIRED);
    assert_eq!(gone.header("x-toggl-quota-remaining"), "0");
    let resets_in: u64 = gone.header("x-toggl-quota-resets-in").parse().unwrap();
    assert!((3500..=3600).contains(&resets_in), "{resets_in}");
    assert_eq!(gone.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(
        gone.text(),
        format!(
            "You have hit your hourly limit of 2 API requests for organization 4123. \
             The quota will reset in {resets_in} seconds."
        )
    );
    assert!(toggl.group(DESIGN).is_some());
}

#[tokio::test]
async fn an_hour_can_be_as_short_as_a_test() {
    let window = Duration::from_millis(200);
    let options = Options {
        quota: Some(1),
        window,
        ..Options::default()
    };
    let toggl = limited(options).await;
    let ann = Visitor::new(&toggl, "ann");
    let first = ann.get(GROUPS).await.assert_ok();
    assert_eq!(first.header("x-toggl-quota-resets-in"), "1", "rounded up");
    tokio::time::sleep(window).await;
    ann.get(GROUPS).await.assert_ok();
}

#[tokio::test]
async fn a_quota_is_a_persons_in_an_organization() {
    let toggl = limited(Options {
        quota: Some(1),
        ..Options::default()
    })
    .await;
    let (ann, bob) = (Visitor::new(&toggl, "ann"), Visitor::new(&toggl, "bob"));
    ann.get("/api/v9/workspaces/51001/project_groups")
        .await
        .assert_ok();
    assert_eq!(ann.get(GROUPS).await.status, StatusCode::PAYMENT_REQUIRED);
    bob.get(GROUPS).await.assert_ok();
    let elsewhere = ann.get("/api/v9/organizations/4200/groups").await;
    elsewhere.assert_refused(403, "User does not have access to this resource");
}

#[tokio::test]
async fn requests_about_oneself_have_a_quota_of_their_own() {
    let options = Options {
        quota: Some(1),
        me_quota: 2,
        ..Options::default()
    };
    let toggl = limited(options).await;
    let ann = Visitor::new(&toggl, "ann");
    ann.get(GROUPS).await.assert_ok();
    ann.get("/api/v9/me").await.assert_ok();
    ann.get("/api/v9/me/organizations").await.assert_ok();
    let gone = ann.get("/api/v9/me").await;
    assert_eq!(gone.status, StatusCode::PAYMENT_REQUIRED);
    assert!(
        gone.text()
            .contains("limit of 2 user-specific API requests"),
        "{}",
        gone.text()
    );
}

#[tokio::test]
async fn who_is_nobody_has_no_quota() {
    let toggl = limited(Options {
        quota: Some(1),
        ..Options::default()
    })
    .await;
    for _ in 0..3 {
        let told = Visitor::nobody(&toggl).get(GROUPS).await;
        assert_eq!(told.status, StatusCode::UNAUTHORIZED);
        assert_eq!(told.header("x-toggl-quota-remaining"), "");
    }
}

#[tokio::test]
async fn the_bucket_is_a_tokens_own_and_overflows_with_a_page() {
    let toggl = limited(Options {
        leaky_bucket: Some(1),
        ..Options::default()
    })
    .await;
    let (ann, bob) = (Visitor::new(&toggl, "ann"), Visitor::new(&toggl, "bob"));
    // At most one drop a second leaks, so of three at once one is too many on any machine that
    // answers two of them within a second.
    let told = [
        ann.get(GROUPS).await,
        ann.get(GROUPS).await,
        ann.get(GROUPS).await,
    ];
    let refused: Vec<_> = told
        .iter()
        .filter(|told| told.status == StatusCode::TOO_MANY_REQUESTS)
        .collect();
    assert_eq!(told[0].status, StatusCode::OK);
    assert!(!refused.is_empty());
    assert_eq!(refused[0].header("content-type"), "text/html");
    assert!(refused[0].text().contains("429 Too Many Requests"));
    bob.get(GROUPS).await.assert_ok();
}

#[tokio::test]
async fn latency_is_at_least_what_was_asked_for() {
    let latency = Duration::from_millis(30);
    let toggl = limited(Options {
        latency,
        ..Options::default()
    })
    .await;
    let ann = Visitor::new(&toggl, "ann");
    let start = Instant::now();
    ann.get(GROUPS).await.assert_ok();
    assert!(start.elapsed() >= latency);
}
