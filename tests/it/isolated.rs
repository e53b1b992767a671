//! DESIGN §1.2: nobody reads what upstream did not give to them.

use http::Method;
use serde_json::json;
use tollgate::simulator::Match;

use crate::support::{
    Client, DESIGN, Gateway, ORG, RawUpstream, Reply, STUDIO, basic, group, groups, old_groups,
    project_groups, simulate, toggl, values, workspace_groups,
};

const MISS: &str = "tollgate; fwd=uri-miss; stored";
const HIT: &str = "tollgate; hit; ttl=…";

/// Reads it twice, so that it is cached.
async fn cached(client: &Client, path: &str) -> Reply {
    client.get(path).await.assert_ok();
    client.get(path).await.assert_ok().assert_cache(HIT)
}

#[tokio::test]
async fn each_credential_gets_the_list_that_upstream_gave_to_it() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    for path in [
        groups(ORG),
        workspace_groups(ORG, STUDIO),
        old_groups(STUDIO),
        project_groups(STUDIO),
    ] {
        for name in ["ann", "bob", "cleo", "dan"] {
            let client = gate.client(name);
            let first = client.get(&*path).await.assert_cache(MISS);
            let second = client.get(&*path).await.assert_cache(HIT);
            let straight = Client::of(toggl.url()).authorized(&toggl.authorization(name));
            assert_eq!(first.body, straight.get(&*path).await.body);
            assert_eq!(first.body, second.body);
        }
        // Somebody from another company is refused, however warm the cache is.
        let gus = gate.client("gus").get(&*path).await;
        assert!(gus.status.is_client_error(), "{}", gus.text());
    }
    gate.stop().await;
}

#[tokio::test]
async fn one_person_with_two_credentials_is_two_callers() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let token = gate.client("ann");
    let all = [
        token.clone(),
        gate.password_client("ann"),
        gate.session_client("ann"),
        gate.client("ann").with("cookie", "a=b"),
        gate.client("ann").with("cookie", "a=b; c=d"),
        gate.client("ann").with("cookie", "a=b;c=d; e"),
    ];
    for client in &all {
        client.get(groups(ORG)).await.assert_ok().assert_cache(MISS);
    }
    for client in &all {
        client.get(groups(ORG)).await.assert_ok().assert_cache(HIT);
    }
    gate.stop().await;
}

#[tokio::test]
async fn the_same_text_by_another_scheme_or_header_opens_nothing() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    cached(&gate.client("ann"), &groups(ORG)).await;
    let whole = toggl.authorization("ann");
    let text = whole.trim_start_matches("Basic ").to_owned();
    let token = toggl.token("ann");
    let impostors = [
        gate.stranger().authorized(&format!("Bearer {text}")),
        gate.stranger().authorized(&text),
        gate.stranger().authorized(&format!("Bearer {token}")),
        gate.stranger().authorized(&basic(&token, "")),
        gate.stranger().authorized(&basic(&token, "API_TOKEN")),
        gate.stranger().with("cookie", &whole),
        gate.stranger().with("cookie", &format!("Basic={text}")),
        gate.stranger().with("x-authorization", &whole),
    ];
    for impostor in impostors {
        let reply = impostor.get(groups(ORG)).await;
        assert!(
            matches!(reply.status.as_u16(), 401 | 403),
            "{}",
            reply.status
        );
        assert!(!reply.cache().contains("hit"));
    }
    // Two credentials in one request are neither of the two.
    let two = gate
        .client("ann")
        .get(groups(ORG))
        .header("authorization", "Basic eA==");
    assert!(!two.await.cache().contains("hit"));
    gate.stop().await;
}

#[tokio::test]
async fn a_balancers_cookie_makes_nobody_somebody_else() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    cached(&gate.client("ann"), &groups(ORG)).await;
    let balanced = gate.client("ann").with("cookie", "GCLB=COvZ8PTQ6cq9RQ");
    balanced.get(groups(ORG)).await.assert_cache(HIT);
    gate.stop().await;
}

#[tokio::test]
async fn without_a_credential_there_is_no_cache() {
    let toggl = toggl().await;
    // An upstream that gives to strangers too must not make the gateway do so.
    toggl
        .every(Match::path(groups(ORG)))
        .answer(http::StatusCode::OK, "application/json", "[]");
    let gate = Gateway::before(&toggl).start().await;
    for _ in 0..3 {
        let reply = gate.stranger().get(groups(ORG)).await.assert_ok();
        reply.assert_cache("tollgate; fwd=bypass; detail=no-credential");
    }
    let balanced = gate
        .stranger()
        .with("cookie", "GCLB=x")
        .get(groups(ORG))
        .await;
    balanced.assert_cache("tollgate; fwd=bypass; detail=no-credential");
    assert_eq!(toggl.received(), 4);
    gate.stop().await;
}

#[tokio::test]
async fn equal_reads_of_two_credentials_at_once_are_two_fetches() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let hold = toggl.every(Match::path(groups(ORG))).hang();
    let ann = gate.client("ann").get(groups(ORG)).spawn();
    let cleo = gate.client("cleo").get(groups(ORG)).spawn();
    hold.reached_by(2).await;
    hold.release();
    ann.await.unwrap().assert_ok().assert_cache(MISS);
    cleo.await.unwrap().assert_ok().assert_cache(MISS);
    gate.stop().await;
}

#[tokio::test]
async fn a_refusal_drops_all_that_the_credential_has_cached_and_nothing_of_others() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let (ann, bob) = (gate.client("ann"), gate.client("bob"));
    let lists = [groups(ORG), groups(ORG) + "?name=e", project_groups(STUDIO)];
    for status in [401, 403] {
        let status = http::StatusCode::from_u16(status).unwrap();
        // A read that passes, another list, a change: whichever way upstream says so.
        for (method, path) in [
            (Method::GET, "/api/v9/me".to_owned()),
            (Method::GET, groups(ORG) + "?name=x"),
            (Method::PUT, group(ORG, DESIGN)),
            (Method::POST, "/api/v9/organizations/4200/groups".to_owned()),
        ] {
            for list in &lists {
                cached(&ann, list).await;
                cached(&bob, list).await;
            }
            toggl
                .next(Match::new(method.clone(), &*path))
                .status(status);
            let refused = ann.ask(method.clone(), &*path).await;
            assert_eq!(refused.status, status, "{method} {path}");
            for list in &lists {
                ann.get(&**list).await.assert_cache(MISS);
                bob.get(&**list).await.assert_cache(HIT);
            }
        }
    }
    gate.stop().await;
}

#[tokio::test]
async fn other_refusals_drop_nothing() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    cached(&ann, &groups(ORG)).await;
    for status in [400, 402, 404, 429, 500] {
        let status = http::StatusCode::from_u16(status).unwrap();
        toggl.next(Match::path("/api/v9/me")).status(status);
        ann.get("/api/v9/me").await;
        ann.get(groups(ORG)).await.assert_cache(HIT);
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_list_that_was_under_way_when_the_credential_was_refused_is_not_kept() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    let hold = toggl.next(Match::path(groups(ORG))).hang_after_read();
    let slow = ann.get(groups(ORG)).spawn();
    hold.reached().await;
    toggl
        .next(Match::path("/api/v9/me"))
        .status(http::StatusCode::FORBIDDEN);
    ann.get("/api/v9/me").await.assert_status(403);
    hold.release();
    slow.await.unwrap().assert_cache("tollgate; fwd=uri-miss");
    ann.get(groups(ORG)).await.assert_cache(MISS);
    gate.stop().await;
}

#[tokio::test]
async fn somebody_who_left_the_company_reads_nothing_more_of_it() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl)
        .config(|config| config.identity.lookup = false)
        .start()
        .await;
    let (cleo, ann) = (gate.client("cleo"), gate.client("ann"));
    cached(&cleo, &groups(ORG)).await;
    ann.patch(
        "/api/v9/organizations/4123/users",
        json!({ "delete": [610003] }),
    )
    .await
    .assert_ok();
    cleo.get(groups(ORG)).await.assert_status(403);
    gate.stop().await;
}

// --- what an answer says of others ---

/// What upstream says of one request alone, or of its own host.
const OF_ONE_REQUEST: &str = "Set-Cookie: GCLB=secret; path=/\r\nSet-Cookie: session=secret\r\n\
    X-Toggl-Quota-Remaining: 7\r\nX-Toggl-Quota-Resets-In: 99\r\nX-Request-Id: theirs\r\n\
    X-Toggl-Request-Id: theirs\r\nDate: Tue, 24 Nov 2020 12:00:00 GMT\r\nX-New: 1\r\n\
    Alt-Svc: h3=\":443\"\r\nStrict-Transport-Security: max-age=1\r\nAge: 3\r\n\
    Last-Modified: Tue, 24 Nov 2020 12:00:00 GMT\r\nCache-Control: no-store\r\n\
    Content-Type: application/json; charset=utf-8\r\nX-Service-Level: GREEN\r\n";

#[tokio::test]
async fn a_hit_carries_nothing_that_belonged_to_the_request_that_filled_the_cache() {
    let upstream = RawUpstream::start().await;
    let gate = Gateway::in_front_of(&upstream.url()).start().await;
    let ann = gate.stranger().authorized(&basic("a-token", "api_token"));
    let first = ann
        .get(groups(ORG))
        .header("x-request-id", "mine-1")
        .spawn();
    let answer = format!("HTTP/1.1 200 OK\r\n{OF_ONE_REQUEST}Content-Length: 2\r\n\r\n[]");
    upstream.answer(answer).await;
    let first = first.await.unwrap().assert_cache(MISS);
    assert_eq!(
        first.all("set-cookie").len(),
        2,
        "whose answer it is gets all of it"
    );
    assert_eq!(first.header("x-toggl-quota-remaining"), Some("7"));
    assert_eq!(first.header("x-toggl-request-id"), Some("theirs"));
    assert_eq!(first.header("x-new"), Some("1"));

    let hit = ann.get(groups(ORG)).await.assert_cache(HIT);
    for gone in [
        "set-cookie",
        "x-toggl-request-id",
        "x-new",
        "alt-svc",
        "strict-transport-security",
    ] {
        assert_eq!(hit.all(gone), Vec::<&str>::new(), "{gone}");
    }
    assert_ne!(hit.header("date"), Some("Tue, 24 Nov 2020 12:00:00 GMT"));
    assert_eq!(hit.header("age"), Some("0"));
    assert_eq!(
        hit.header("x-toggl-quota-remaining"),
        Some("7"),
        "the newest known"
    );
    let id = hit.header("x-request-id").unwrap();
    assert_eq!(uuid::Uuid::parse_str(id).unwrap().get_version_num(), 7);
    for (kept, value) in [
        ("cache-control", "no-store"),
        ("content-type", "application/json; charset=utf-8"),
        ("x-service-level", "GREEN"),
        ("last-modified", "Tue, 24 Nov 2020 12:00:00 GMT"),
        ("via", "1.1 tollgate"),
    ] {
        assert_eq!(hit.all(kept), [value], "{kept}");
    }
    gate.stop().await;
}

#[tokio::test]
async fn each_answer_has_the_id_of_its_own_request() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    let mut ids = Vec::new();
    for _ in 0..3 {
        let reply = ann.get(groups(ORG)).await;
        ids.push(reply.header("x-request-id").unwrap().to_owned());
    }
    ids.dedup();
    assert_eq!(ids.len(), 3);
    let reply = ann.get(groups(ORG)).header("x-request-id", "mine-1").await;
    assert_eq!(reply.assert_cache(HIT).all("x-request-id"), ["mine-1"]);
    let reply = ann
        .get(groups(ORG))
        .header("x-request-id", "<b>no</b>")
        .await;
    assert_eq!(reply.header("x-request-id").map(str::len), Some(36));
    gate.stop().await;
}

#[tokio::test]
async fn who_joins_a_fetch_gets_no_cookie_and_no_id_of_the_one_who_began_it() {
    let toggl = simulate(|options| options.quota = Some(240)).await;
    let gate = Gateway::before(&toggl).start().await;
    let (one, other) = (gate.client("ann"), gate.client("ann"));
    let hold = toggl.next(Match::path(groups(ORG))).hang();
    let first = one.get(groups(ORG)).spawn();
    hold.reached().await;
    let second = other.get(groups(ORG)).spawn();
    let joined = r#"tollgate_cache_requests_total{result="collapsed"}"#;
    gate.measures(joined, 1).await;
    hold.release();
    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    let first = first.assert_cache(MISS);
    let second = second.assert_cache("tollgate; fwd=uri-miss; collapsed");
    assert_eq!(first.body, second.body);
    for name in [
        "set-cookie",
        "x-toggl-request-id",
        "x-toggl-quota-resets-in",
    ] {
        assert!(first.header(name).is_some(), "{name}");
        assert!(second.header(name).is_none(), "{name}");
    }
    assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
    gate.stop().await;
}

#[tokio::test]
async fn a_list_that_varies_by_more_than_its_encoding_is_not_kept() {
    let upstream = RawUpstream::start().await;
    let gate = Gateway::in_front_of(&upstream.url()).start().await;
    let ann = gate.stranger().authorized(&basic("a-token", "api_token"));
    for vary in ["Cookie", "*", "Accept-Encoding, Accept-Language"] {
        for _ in 0..2 {
            let asked = ann.get(groups(ORG)).spawn();
            let answer = format!("HTTP/1.1 200 OK\r\nVary: {vary}\r\nContent-Length: 2\r\n\r\n[]");
            let head = upstream.answer(answer).await;
            assert_eq!(values(&head, "authorization").len(), 1);
            asked.await.unwrap().assert_cache("tollgate; fwd=uri-miss");
        }
    }
    gate.stop().await;
}
