//! Each fault does what its name says, once, in order, to whom it was meant for.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use serde_json::json;

use super::*;
use crate::simulator::Match;

fn change() -> Match {
    Match::new(Method::PUT, GROUP)
}

fn list() -> Match {
    Match::new(Method::GET, GROUPS)
}

fn name(toggl: &Toggl) -> String {
    toggl.group(DESIGN).unwrap().name
}

async fn rename(visitor: Visitor) -> Result<Told, Box<dyn std::error::Error + Send + Sync>> {
    visitor
        .try_send(Method::PUT, GROUP, json!({ "name": "Brand" }).to_string())
        .await
}

#[tokio::test]
async fn a_hung_change_is_applied_when_it_is_released() {
    let toggl = toggl().await;
    let hold = toggl.next(change()).hang();
    let waiting = tokio::spawn(rename(Visitor::new(&toggl, "ann")));
    hold.reached().await;
    assert_eq!(name(&toggl), "Design");
    Visitor::new(&toggl, "bob").get(GROUPS).await.assert_ok();
    hold.release();
    waiting.await.unwrap().unwrap().assert_ok();
    assert_eq!(name(&toggl), "Brand");
}

#[tokio::test]
async fn a_hung_change_is_applied_though_its_client_has_left() {
    let toggl = toggl().await;
    let hold = toggl.next(change()).hang();
    let waiting = tokio::spawn(rename(Visitor::new(&toggl, "ann")));
    hold.reached().await;
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    assert!(toggl.applied().is_empty());
    hold.release();
    let applied = toggl.wait_until(|log| log.applied().count() == 1);
    // Far beyond what it takes, so that a change which went with its client fails and does not hang.
    assert!(
        tokio::time::timeout(Duration::from_secs(10), applied)
            .await
            .is_ok()
    );
    assert_eq!(name(&toggl), "Brand");
}

#[tokio::test]
async fn a_hung_change_ends_unapplied_with_the_server() {
    let toggl = toggl().await;
    let hold = toggl.next(change()).hang();
    let waiting = tokio::spawn(rename(Visitor::new(&toggl, "ann")));
    hold.reached().await;
    toggl.stop().await;
    hold.release();
    assert!(waiting.await.unwrap().is_err());
    assert_eq!(name(&toggl), "Design");
}

#[tokio::test]
async fn a_list_that_hangs_after_it_was_read_is_delivered_late_and_old() {
    let toggl = toggl().await;
    let hold = toggl.next(list()).hang_after_read();
    let ann = Visitor::new(&toggl, "ann");
    let late = tokio::spawn(async move { ann.get(GROUPS).await });
    hold.reached().await;
    toggl.rename_group(DESIGN, "Brand");
    hold.release();
    assert_eq!(late.await.unwrap().names()[0], "Design");
}

#[tokio::test]
async fn a_change_that_hangs_after_it_was_applied_is_only_not_told() {
    let toggl = toggl().await;
    let hold = toggl.next(change()).hang_after_read();
    let waiting = tokio::spawn(rename(Visitor::new(&toggl, "ann")));
    hold.reached().await;
    assert_eq!(name(&toggl), "Brand");
    hold.release();
    waiting.await.unwrap().unwrap().assert_ok();
}

#[tokio::test]
async fn a_reset_comes_before_or_after_the_change_as_it_was_asked() {
    for http2 in [false, true] {
        let toggl = toggl().await;
        let mut ann = Visitor::new(&toggl, "ann");
        if http2 {
            let mut builder = Client::builder(TokioExecutor::new());
            ann.client = builder.http2_only(true).build(HttpConnector::new());
        }
        toggl.next(change()).reset_before_apply();
        toggl.next(change()).reset_after_apply();
        assert!(rename(ann.clone()).await.is_err());
        assert_eq!(name(&toggl), "Design");
        assert!(toggl.applied().is_empty());
        assert!(rename(ann.clone()).await.is_err());
        assert_eq!(name(&toggl), "Brand");
        assert_eq!(toggl.applied().len(), 1);
        rename(ann).await.unwrap().assert_ok();
        assert_eq!(toggl.received(), 3);
    }
}

#[tokio::test]
async fn a_truncated_body_comes_with_the_whole_length_and_half_of_the_bytes() {
    let toggl = toggl().await;
    let ann = Visitor::new(&toggl, "ann");
    let whole = ann.get(GROUPS).await.assert_ok();
    toggl.next(list()).truncated_body();
    let mut request = Request::get(format!("{}{GROUPS}", toggl.url()));
    request.headers_mut().unwrap().extend(ann.headers.clone());
    let request = request.body(Full::new(Bytes::new())).unwrap();
    let response = ann.client.request(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(
        response.headers()["content-length"],
        whole.body.len().to_string()
    );
    let (mut body, mut came) = (response.into_body(), Vec::new());
    let ended = loop {
        match body.frame().await {
            Some(Ok(frame)) => came.extend(frame.into_data().unwrap()),
            Some(Err(_)) => break "broken",
            None => break "whole",
        }
    };
    assert_eq!(ended, "broken");
    assert_eq!(came, whole.body[..whole.body.len() / 2]);
}

#[tokio::test]
async fn an_answer_that_is_made_up_applies_nothing() {
    let toggl = toggl().await;
    let ann = || Visitor::new(&toggl, "ann");
    toggl.next(change()).status(StatusCode::BAD_GATEWAY);
    toggl.next(change()).status(StatusCode::TOO_MANY_REQUESTS);
    toggl.next(change()).html_page();
    toggl.next(change()).bad_json();
    toggl
        .next(change())
        .answer(StatusCode::IM_A_TEAPOT, "text/x-tea", "hot");

    for status in [502, 429] {
        let told = rename(ann()).await.unwrap();
        assert_eq!(
            (told.status.as_u16(), told.header("content-type")),
            (status, "text/html")
        );
        assert!(told.text().contains("<center>nginx</center>"));
        assert_eq!(told.header("x-service-level"), "GREEN");
    }
    let page = rename(ann()).await.unwrap().assert_ok();
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let bad = rename(ann()).await.unwrap().assert_ok();
    assert_eq!(
        bad.header("content-type"),
        "application/json; charset=utf-8"
    );
    assert!(serde_json::from_slice::<Value>(&bad.body).is_err());
    let tea = rename(ann()).await.unwrap();
    assert_eq!((tea.status.as_u16(), tea.text()), (418, "hot"));
    assert_eq!(name(&toggl), "Design");
    assert!(toggl.applied().is_empty());
    rename(ann()).await.unwrap().assert_ok();
}

#[tokio::test]
async fn the_two_meanings_of_402_can_be_told_apart() {
    let toggl = toggl().await;
    let ann = Visitor::new(&toggl, "ann");
    toggl
        .next(list())
        .quota_exhausted(Duration::from_millis(1500));
    toggl.next(list()).plan_lacks_feature();
    let quota = ann.get(GROUPS).await;
    assert_eq!(quota.status, StatusCode::PAYMENT_REQUIRED);
    assert_eq!(quota.header("x-toggl-quota-remaining"), "0");
    assert_eq!(quota.header("x-toggl-quota-resets-in"), "2");
    assert_eq!(
        quota.text(),
        "You have hit your hourly limit of 30 API requests for organization 4123. \
         The quota will reset in 2 seconds."
    );
    let plan = ann.get(GROUPS).await;
    plan.assert_refused(402, "This feature is not available on your current plan");
    assert_eq!(plan.header("x-toggl-quota-remaining"), "");
}

#[tokio::test]
async fn a_header_is_added_to_an_answer_that_is_as_always_otherwise() {
    let toggl = toggl().await;
    let ann = Visitor::new(&toggl, "ann");
    let value = HeaderValue::from_static("evil=1");
    toggl
        .next(list())
        .extra_header(HeaderName::from_static("set-cookie"), value);
    let told = ann.get(GROUPS).await.assert_ok();
    assert!(
        told.headers
            .get_all("set-cookie")
            .iter()
            .any(|cookie| cookie == "evil=1")
    );
    assert_eq!(told.json(), toggl.groups_json(ACME));
}

#[tokio::test]
async fn a_fault_is_for_the_next_request_that_matches_and_for_no_other() {
    let toggl = toggl().await;
    let ann = Visitor::new(&toggl, "ann");
    toggl
        .next(Match::path(format!("{GROUPS}?name=a")))
        .status(StatusCode::NOT_FOUND);
    ann.get(GROUPS).await.assert_ok();
    ann.get(&format!("{GROUPS}?name=b")).await.assert_ok();
    assert_eq!(toggl.faults_left(), 1);
    assert_eq!(
        ann.get(&format!("{GROUPS}?name=a")).await.status,
        StatusCode::NOT_FOUND
    );
    ann.get(&format!("{GROUPS}?name=a")).await.assert_ok();
    assert_eq!(toggl.faults_left(), 0);
}

#[tokio::test]
async fn a_lasting_fault_ends_when_it_is_cleared() {
    let toggl = toggl().await;
    let ann = Visitor::new(&toggl, "ann");
    toggl
        .every(Match::path("/api/v9/*"))
        .status(StatusCode::SERVICE_UNAVAILABLE);
    for path in [GROUPS, "/api/v9/me", GROUPS] {
        assert_eq!(ann.get(path).await.status, StatusCode::SERVICE_UNAVAILABLE);
    }
    toggl.clear_faults();
    ann.get(GROUPS).await.assert_ok();
}

#[tokio::test]
async fn who_waits_for_a_number_of_requests_is_told_when_they_came() {
    let toggl = toggl().await;
    let ann = Visitor::new(&toggl, "ann");
    let (waiter, seen) = (toggl.clone(), toggl.clone());
    let waiting = tokio::spawn(async move {
        waiter.wait_for(2).await;
        waiter.received()
    });
    ann.get(GROUPS).await.assert_ok();
    assert!(!waiting.is_finished());
    ann.get(GROUPS).await.assert_ok();
    assert_eq!(waiting.await.unwrap(), 2);
    assert_eq!(seen.received(), 2);
}
