//! The page of one change.

use crate::browser::Browser;
use crate::day;
use crate::support::{Gateway, toggl};

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn a_change_shows_what_was_before_and_after_and_that_its_row_is_as_it_was_written() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    day::played(&gate).await;
    let browser = Browser::logged_in(&gate).await;
    browser.click(".row:nth-child(2) .when").await;
    browser
        .shows(
            "h1",
            &["Brand: added Dan Okafor (7004), removed Cleo Martin (7003)"],
        )
        .await;
    browser
        .shows(".lead .badge", &["applied", "verified"])
        .await;
    browser
        .shows(
            ".sides .panel:first-child li",
            &["Ann Becker (7001)", "Cleo Martin (7003)", "51001"],
        )
        .await;
    browser
        .shows(
            ".sides .panel:last-child li",
            &["Ann Becker (7001)", "Dan Okafor (7004)", "51001"],
        )
        .await;
    browser.shows(".sides del", &["Cleo Martin (7003)"]).await;
    browser.shows(".sides ins", &["Dan Okafor (7004)"]).await;

    browser.open("/?action=group.update").await;
    browser.click(".row .when").await;
    browser.shows(".sides del", &["Design"]).await;
    browser.shows(".sides ins", &["Brand"]).await;
    browser.close().await;
    gate.stop().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn a_row_that_somebody_altered_says_so() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    day::played(&gate).await;
    let set = "DROP TRIGGER IF EXISTS audit_events_no_update; UPDATE audit_events SET tool";
    gate.tamper(&format!("{set} = 'another' WHERE seq = 2"))
        .await;
    let browser = Browser::logged_in(&gate).await;
    browser.click(".row:nth-child(2) .when").await;
    browser.shows(".lead .badge", &["applied", "altered"]).await;
    browser.open("/").await;
    browser.click(".row:nth-child(3) .when").await;
    browser
        .shows(".lead .badge", &["applied", "verified"])
        .await;
    browser.close().await;
    // As it was, for what is true of every gateway.
    gate.tamper(&format!("{set} = NULL WHERE seq = 2")).await;
    gate.stop().await;
}
