//! What every answer looks like, and who is let in.

use std::io::Read as _;

use flate2::read::GzDecoder;

use super::*;
use crate::simulator::SESSION_COOKIE;

#[tokio::test]
async fn every_answer_has_the_recorded_headers() {
    let toggl = toggl().await;
    let ann = Visitor::new(&toggl, "ann");
    let (list, refused) = (
        ann.get(GROUPS).await,
        ann.get("/api/v9/organizations/x").await,
    );
    let (nobody, lost) = (
        Visitor::nobody(&toggl).get(GROUPS).await,
        Visitor::nobody(&toggl).get("/x").await,
    );
    for told in [&list, &refused, &nobody, &lost] {
        assert_eq!(
            told.header("cache-control"),
            "no-cache, private, no-store, must-revalidate, max-stale=0, post-check=0, pre-check=0"
        );
        assert_eq!(told.header("x-service-level"), "GREEN");
        assert_eq!(told.header("server"), "nginx");
        assert_eq!(told.header("via"), "1.1 google");
        assert!(told.header("alt-svc").starts_with("h3="));
        assert!(
            told.header("strict-transport-security")
                .starts_with("max-age=")
        );
        assert!(told.header("set-cookie").starts_with("GCLB="));
        assert_eq!(told.header("x-toggl-request-id").len(), 32);
        assert_eq!(told.header("x-request-id").len(), 32);
        assert_eq!(
            told.header("etag"),
            "",
            "upstream knows no conditional requests"
        );
        assert_eq!(
            told.header("x-toggl-quota-remaining"),
            "",
            "no quota, no header"
        );
    }
    assert_ne!(list.header("x-request-id"), refused.header("x-request-id"));
    let again = ann.with("cookie", "GCLB=CAsO").get(GROUPS).await;
    assert_eq!(again.header("set-cookie"), "");
}

#[tokio::test]
async fn a_large_list_comes_zipped_when_asked_for() {
    let toggl = toggl().await;
    let ann = Visitor::new(&toggl, "ann");
    let plain = ann.get(GROUPS).await.assert_ok();
    assert_eq!(plain.header("vary"), "Accept-Encoding");
    assert_eq!(plain.header("content-encoding"), "");
    let zipped = ann
        .with("accept-encoding", "gzip")
        .get(GROUPS)
        .await
        .assert_ok();
    assert_eq!(zipped.header("content-encoding"), "gzip");
    let mut text = String::new();
    GzDecoder::new(&zipped.body[..])
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, plain.text());
}

#[tokio::test]
async fn three_ways_of_logging_in_name_the_same_person() {
    let toggl = toggl().await;
    let ann = toggl.person("ann");
    let nobody = || Visitor::nobody(&toggl);
    for visitor in [
        nobody().basic(&ann.token, "api_token"),
        nobody().basic("Ann@acme.example", &ann.password),
        nobody().with("cookie", &format!("a=b; {SESSION_COOKIE}={}", ann.session)),
    ] {
        let me = visitor.get("/api/v9/me").await.assert_ok().json();
        assert_eq!(me["id"], 7001);
        assert_eq!(me["email"], "ann@acme.example");
        assert_eq!(me["fullname"], "Ann Becker");
        assert_eq!(me["api_token"], ann.token);
        assert_eq!(me["default_workspace_id"], 51001);
    }
}

#[tokio::test]
async fn no_credentials_and_bad_ones_are_told_apart() {
    let toggl = toggl().await;
    let missing = Visitor::nobody(&toggl).get("/api/v9/me").await;
    assert_eq!(missing.status, StatusCode::UNAUTHORIZED);
    assert_eq!(missing.header("x-authorization-missing"), "true");
    assert!(missing.body.is_empty());

    let token = toggl.token("ann");
    for visitor in [
        Visitor::nobody(&toggl).basic("ann@acme.example", "wrong"),
        Visitor::nobody(&toggl).basic(&token, "wrong"),
        Visitor::nobody(&toggl).with("authorization", "Basic %%%"),
        Visitor::nobody(&toggl).with("authorization", &format!("Bearer {token}")),
        Visitor::nobody(&toggl).with("cookie", &format!("{SESSION_COOKIE}=x")),
    ] {
        let bad = visitor.get(GROUPS).await;
        assert_eq!(bad.status, StatusCode::FORBIDDEN);
        assert_eq!(bad.header("x-authorization-missing"), "");
    }
}

#[tokio::test]
async fn http_2_needs_no_upgrade() {
    let toggl = toggl().await;
    let mut ann = Visitor::new(&toggl, "ann");
    ann.client = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build(HttpConnector::new());
    assert_eq!(ann.get(GROUPS).await.assert_ok().names().len(), 5);
}

#[tokio::test]
async fn a_head_has_the_head_of_the_get_and_no_body() {
    let toggl = toggl().await;
    let ann = Visitor::new(&toggl, "ann");
    let get = ann.get(GROUPS).await.assert_ok();
    let head = ann.send(Method::HEAD, GROUPS, "").await.assert_ok();
    assert!(head.body.is_empty());
    assert_eq!(head.header("content-length"), get.body.len().to_string());
}

#[tokio::test]
async fn the_log_has_what_came_byte_for_byte() {
    let toggl = toggl().await;
    let ann = Visitor::new(&toggl, "ann").with("x-trace", "7");
    ann.send(Method::POST, "/api/v9//x%2Fy?b=2&a=%20", "{ \"a\":1}")
        .await;
    let wanted = crate::simulator::Match::new(Method::POST, "/api/v9//x%2Fy");
    let seen = toggl.received_matching(&wanted);
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].target, "/api/v9//x%2Fy?b=2&a=%20");
    assert_eq!(seen[0].header("x-trace"), Some("7"));
    assert_eq!(seen[0].body, "{ \"a\":1}");
    assert_eq!(toggl.received(), 1);
}

#[tokio::test]
async fn a_change_is_in_the_log_with_the_request_that_made_it() {
    let toggl = toggl().await;
    let ann = Visitor::new(&toggl, "ann").with("x-request-id", "abc");
    ann.put(GROUP, serde_json::json!({ "name": "Brand" }))
        .await
        .assert_ok();
    ann.put(GROUP, serde_json::json!({ "name": "Support" }))
        .await;
    ann.get(GROUPS).await.assert_ok();
    let applied = toggl.applied();
    assert_eq!(
        applied.len(),
        1,
        "a refused change and a read altered nothing"
    );
    assert_eq!(applied[0].number, 1);
    assert_eq!(applied[0].request.header("x-request-id"), Some("abc"));
    assert_eq!(applied[0].status, StatusCode::OK);
    assert_eq!(toggl.received(), 3);
}

#[tokio::test]
async fn a_stop_closes_the_port_and_a_resume_finds_the_world_as_it_was() {
    let toggl = toggl().await;
    let ann = Visitor::new(&toggl, "ann");
    ann.put(GROUP, serde_json::json!({ "name": "Brand" }))
        .await
        .assert_ok();
    toggl.stop().await;
    assert!(ann.try_send(Method::GET, GROUPS, "").await.is_err());
    toggl.resume().await.unwrap();
    let ann = Visitor::new(&toggl, "ann");
    assert_eq!(ann.get(GROUPS).await.names()[0], "Brand");
}

#[tokio::test]
async fn the_last_handle_takes_the_server_with_it() {
    let toggl = toggl().await;
    let (addr, other) = (toggl.addr(), toggl.clone());
    drop(toggl);
    Visitor::new(&other, "ann").get(GROUPS).await.assert_ok();
    drop(other);
    // The task sees it at its next turn; until then the port is still open.
    let closed = async {
        while tokio::net::TcpStream::connect(addr).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    let closed = tokio::time::timeout(std::time::Duration::from_secs(10), closed).await;
    assert!(closed.is_ok(), "nobody holds the server, and it serves");
}
