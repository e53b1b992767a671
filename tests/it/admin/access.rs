//! Sessions that end, tokens that are guessed, and requests of other sites' pages.

use http::Method;
use serde_json::Value;
use tollgate::config::Role;

use super::{holder, log_in, token};
use crate::support::{Client, Gateway, ORG, groups, toggl};

#[tokio::test]
async fn every_answer_forbids_scripts_frames_and_keeping() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    for path in [
        "/",
        "/login",
        "/api/events",
        "/nothing",
        "/healthz",
        "/api/events?x=1",
    ] {
        for client in [gate.admin(), gate.admin_stranger()] {
            let answer = client.get(path).header("x-request-id", "job-17").await;
            let policy = answer.header("content-security-policy").unwrap();
            assert!(
                policy.starts_with("default-src 'none'; script-src 'self';"),
                "{policy}"
            );
            assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"));
            assert_eq!(answer.header("x-frame-options"), Some("DENY"));
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            assert_eq!(answer.header("x-request-id"), Some("job-17"));
        }
    }
    let problem = gate.admin().get("/api/events?x=1").await.assert_status(400);
    assert_eq!(
        problem.header("content-type"),
        Some("application/problem+json")
    );
    let id = problem.header("x-request-id").unwrap().to_owned();
    assert_eq!(problem.json()["request_id"], Value::from(id));
    let page = gate
        .admin()
        .get("/nothing")
        .header("accept", "text/html")
        .await;
    assert!(
        page.assert_status(404)
            .text()
            .contains("there is nothing here")
    );
    gate.stop().await;
}

#[tokio::test]
async fn a_session_begins_with_the_form_and_ends_with_the_logout() {
    let toggl = toggl().await;
    let mut gate = Gateway::before(&toggl).start().await;
    let token = gate.admin_token().to_owned();
    let cookie = log_in(&gate, &token).await;
    gate.must_not_keep(cookie.split_once('=').unwrap().1);
    let ann = gate.admin_stranger().with("cookie", &cookie);
    ann.get("/").await.assert_ok();
    ann.get("/api/events").await.assert_ok();
    let wrong = gate.admin_stranger().with("cookie", "tollgate_session=x");
    wrong.get("/api/events").await.assert_status(401);

    let out = ann.ask(Method::POST, "/logout").await.assert_status(303);
    assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"));
    ann.get("/api/events").await.assert_status(401);
    let events = gate.events_when(1).await;
    assert_eq!(events[0].action, "tollgate.login");
    assert_eq!(events[0].actor.name.as_deref(), Some("admin"));
    assert_eq!(events[0].source.ip.as_deref(), Some("127.0.0.1"));
    gate.stop().await;
}

#[tokio::test]
async fn a_form_leads_back_to_where_somebody_was_going_and_nowhere_else() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let page = |path: &str| {
        gate.admin_stranger()
            .get(path)
            .header("accept", "text/html")
    };
    let led = page("/?actor=Ann%20B&q=a").await.assert_status(303);
    let form = led.header("location").unwrap().to_owned();
    assert_eq!(form, "/login?next=%2F%3Factor%3DAnn%2520B%26q%3Da");
    let shown = page(&form).await.assert_ok().text();
    assert!(
        shown.contains(r#"name="next" value="/?actor=Ann%20B&amp;q=a""#),
        "{shown}"
    );
    for (next, leads) in [
        ("/?actor=Ann", "/?actor=Ann"),
        ("//evil.example", "/"),
        ("https:evil", "/"),
    ] {
        let sent = form_urlencoded(&[("token", gate.admin_token()), ("next", next)]);
        let answer = post(&gate.admin_stranger(), &sent).await.assert_status(303);
        assert_eq!(answer.header("location"), Some(leads));
    }
    // A link in a chat comes without the cookie: the page asks for itself once more, from here.
    let cookie = log_in(&gate, gate.admin_token()).await;
    let linked = page("/?q=1&x=2")
        .header("sec-fetch-site", "cross-site")
        .await;
    let linked = linked.assert_ok().text();
    assert!(
        linked.contains(r#"content="0;url=/?q=1&amp;x=2""#),
        "{linked}"
    );
    assert!(!linked.contains("Changes"));
    let evil = page("//evil.example/x").header("sec-fetch-site", "cross-site");
    let evil = evil.await.assert_ok().text();
    assert!(evil.contains(r#"content="0;url=/""#), "{evil}");
    let evil = page("//evil.example/x").await.assert_status(303);
    assert_eq!(evil.header("location"), Some("/login?next=%2F"));
    let with = page("/")
        .header("cookie", &cookie)
        .header("sec-fetch-site", "same-origin");
    assert!(with.await.assert_ok().text().contains("Changes"));
    gate.stop().await;
}

#[tokio::test]
async fn another_sites_page_changes_nothing_with_somebodys_cookie() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let cookie = log_in(&gate, gate.admin_token()).await;
    let ann = gate.admin_stranger().with("cookie", &cookie);
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "http://evil.example"),
        ("origin", "null"),
    ] {
        let forged = ann.ask(Method::DELETE, "/api/cache").header(name, value);
        forged.await.assert_problem(403, "forbidden");
        let forged = ann.ask(Method::POST, "/logout").header(name, value);
        forged.await.assert_status(403);
        let sent = form_urlencoded(&[("token", gate.admin_token())]);
        let forged = form(&gate.admin_stranger(), &sent)
            .header(name, value)
            .await;
        assert_eq!(forged.assert_status(403).header("set-cookie"), None);
    }
    // A picture in somebody's page would take an export in their name.
    for path in ["/api/events/export", "/api/events"] {
        let forged = ann.get(path).header("sec-fetch-site", "same-site");
        forged.await.assert_problem(403, "forbidden");
    }
    let own = ann
        .ask(Method::DELETE, "/api/cache")
        .header("sec-fetch-site", "same-origin");
    own.await.assert_status(204);
    // A token is never sent by a browser on its own.
    let script = gate
        .admin()
        .ask(Method::DELETE, "/api/cache")
        .header("origin", "http://evil.example");
    script.await.assert_status(204);
    gate.stop().await;
}

#[tokio::test]
async fn wrong_tokens_are_recorded_and_then_not_looked_at_any_more() {
    let toggl = toggl().await;
    let mut gate = Gateway::before(&toggl).start().await;
    gate.must_not_keep("guessed-wrongly");
    let session = log_in(&gate, gate.admin_token()).await;
    let stranger = gate.admin_stranger();
    for _ in 0..10 {
        let answer = post(&stranger, "token=guessed-wrongly")
            .await
            .assert_status(401);
        assert!(answer.text().contains("this is no token of this gateway"));
    }
    for guess in ["guessed-wrongly", gate.admin_token()] {
        let answer = post(&stranger, &format!("token={guess}"))
            .await
            .assert_status(429);
        assert_eq!(answer.header("retry-after"), Some("60"));
        let bearer = stranger.clone().authorized(&format!("Bearer {guess}"));
        let answer = bearer.get("/api/events").await;
        answer.assert_problem(429, "too-many-attempts");
    }
    // Whoever is in stays in.
    stranger.with("cookie", &session).get("/").await.assert_ok();
    let events = gate.events_when(11).await;
    let refused = events.iter().filter(|event| event.outcome == "rejected");
    assert_eq!(refused.count(), 10, "and no row for what was not looked at");
    assert!(events.iter().all(|event| event.action == "tollgate.login"));
    gate.stop().await;
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_client_is_wrong_for_itself() {
    let toggl = toggl().await;
    // The tests' own connections are from 127.0.0.1.
    for (trusted, is_believed) in [("127.0.0.0/8", true), ("10.0.0.0/8", false)] {
        let builder = Gateway::before(&toggl).config(|config| {
            config.identity.trusted_proxies = vec![trusted.parse().unwrap()];
        });
        let mut gate = builder.start().await;
        gate.must_not_keep("guessed-wrongly");
        let stranger = gate.admin_stranger();
        let of = |client: &str| stranger.clone().with("x-forwarded-for", client);
        for _ in 0..10 {
            post(&of("6.6.6.6, 192.0.2.1"), "token=guessed-wrongly")
                .await
                .assert_status(401);
        }
        let told = if is_believed { 401 } else { 429 };
        let other = of("192.0.2.2").authorized("Bearer guessed-wrongly");
        other.get("/api/events").await.assert_status(told);
        // What a client writes there itself gets it no other address.
        post(&of("6.6.6.7, 192.0.2.1"), "token=guessed-wrongly")
            .await
            .assert_status(429);
        let events = gate.events_when(10).await;
        let told = if is_believed {
            "192.0.2.1"
        } else {
            "127.0.0.1"
        };
        for event in events {
            assert_eq!(event.source.ip.as_deref(), Some(told));
        }
        gate.stop().await;
    }
}

#[tokio::test]
async fn a_reader_reads_and_an_administrator_purges() {
    let toggl = toggl().await;
    let builder = Gateway::before(&toggl);
    let folder = builder.folder().to_owned();
    let gate = builder
        .config(|config| {
            token(config, &folder, "reader", Role::Reader, &[]);
            token(config, &folder, "boss", Role::Admin, &[ORG]);
        })
        .start()
        .await;
    let ann = gate.client("ann");
    ann.get(groups(ORG)).await.assert_ok();
    ann.get(groups(ORG))
        .await
        .assert_cache("tollgate; hit; ttl=…");
    let (reader, boss) = (holder(&gate, "reader"), holder(&gate, "boss"));
    for path in ["/api/events", "/api/cache", "/api/quota", "/metrics", "/"] {
        reader.get(path).await.assert_ok();
    }
    reader
        .delete("/api/cache")
        .await
        .assert_problem(403, "forbidden");
    boss.delete("/api/cache")
        .await
        .assert_problem(403, "forbidden");
    boss.delete("/api/cache?organization_id=5")
        .await
        .assert_status(403);
    ann.get(groups(ORG))
        .await
        .assert_cache("tollgate; hit; ttl=…");
    let purge = format!("/api/cache?organization_id={ORG}");
    boss.delete(&purge).await.assert_status(204);
    ann.get(groups(ORG))
        .await
        .assert_cache("tollgate; fwd=uri-miss; stored");
    let events = gate.events_when(1).await;
    assert_eq!(events[0].action, "tollgate.purge");
    assert_eq!(events[0].actor.name.as_deref(), Some("boss"));
    assert_eq!(events[0].request.path, "/api/cache");
    let query = events[0].request.query.as_deref();
    assert_eq!(query, Some("organization_id=4123"));
    assert!(events[0].source.request_id.is_some());
    gate.stop().await;
}

fn form_urlencoded(pairs: &[(&str, &str)]) -> String {
    let mut sent = form_urlencoded::Serializer::new(String::new());
    sent.extend_pairs(pairs);
    sent.finish()
}

fn form(client: &Client, body: &str) -> crate::support::Ask {
    client
        .ask(Method::POST, "/login")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body.to_owned())
}

async fn post(client: &Client, body: &str) -> crate::support::Reply {
    form(client, body).await
}
