//! No path answers without a credential, whichever there are; and what the page says of how it looked.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request, header};
use axum::response::Response;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;
use tower::ServiceExt as _;

use super::*;
use crate::config::Role;
use crate::domain::proxies::Proxies;
use crate::quota::{Pace, Quota, Settings};
use crate::store::StoreError;
use crate::store::filter::Filter;
use crate::store::sqlite::SqliteStore;

const METHODS: [Method; 7] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
];

/// What everybody may have.
const OPEN: [&str; 5] = [
    "/healthz",
    "/readyz",
    "/login",
    "/assets/{name}",
    "/favicon.ico",
];

/// The paths that the router knows, from the router itself: a new one cannot be forgotten.
fn paths() -> Vec<String> {
    let routes = format!("{:?}", open(false).merge(closed(false)));
    let texts = routes.split('"').skip(1).step_by(2);
    let mut paths: Vec<_> = texts
        .filter(|text| text.starts_with('/'))
        .map(str::to_owned)
        .collect();
    paths.sort();
    paths.dedup();
    paths
}

async fn admin(folder: &std::path::Path) -> Admin {
    let clock = Clock::system();
    let (store, _) = SqliteStore::open(&folder.join("tollgate.db"), clock.clone())
        .await
        .unwrap();
    let trail: Arc<dyn Trail> = Arc::new(store.clone());
    let settings = Settings {
        reserve: 10,
        pace: Pace::Never,
        max_wait: std::time::Duration::ZERO,
    };
    let quota = Quota::new(settings, clock.clone());
    let principal = Principal {
        name: "admin".into(),
        role: Role::Admin,
        organizations: None,
    };
    Admin {
        access: Access::new(
            Tokens::new(vec![(Token::new("right"), principal)]),
            false,
            Proxies::default(),
        ),
        metrics: Metrics::new(),
        public_metrics: false,
        readiness: Readiness::new(Watched {
            trail: Arc::clone(&trail),
            file: "tollgate.db".to_owned(),
            room: Box::new(|| None),
            on_failure: crate::config::OnFailure::Refuse.into(),
            upstream: crate::upstream::Health::default(),
            clock: clock.clone(),
        }),
        reader: store.reader().clone(),
        tally: Tally::new(store.reader().clone(), clock.clone()),
        heads: store.heads(),
        trail,
        lists: None,
        keeper: Keeper::new(quota, Arc::new(store), clock.clone()),
        clock,
        slots: Slots::default(),
        tasks: TaskTracker::new(),
        stop: CancellationToken::new(),
    }
}

async fn ask(router: &Router, method: Method, path: &str, headers: &[(&str, &str)]) -> Response {
    let path = path
        .replace("{organization}", "4123")
        .replace("{group}", "9001")
        .replace("{id}", "0193f0a2-7c11-7000-8000-3b1a5c0e9d42")
        .replace("{name}", "x");
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::empty()).unwrap();
    router.clone().oneshot(request).await.unwrap()
}

#[tokio::test]
async fn no_path_answers_without_a_credential() {
    let folder = tempfile::tempdir().unwrap();
    let router = router(admin(folder.path()).await);
    let paths = paths();
    let (_, document) = api::router().split_for_parts();
    let described = document.paths.paths.keys().map(String::as_str);
    for path in described.chain(["/", "/events/{id}", "/metrics", "/openapi.json", "/logout"]) {
        assert!(
            paths.iter().any(|known| known == path),
            "{path} is in {paths:?}"
        );
    }
    for path in paths.iter().filter(|path| !OPEN.contains(&path.as_str())) {
        for method in METHODS {
            for accept in ["text/html", "*/*"] {
                let headers = [("accept", accept)];
                let answer = ask(&router, method.clone(), path, &headers).await;
                let status = answer.status().as_u16();
                // Who opens a page is led to the form.
                let location = answer.headers().get(header::LOCATION);
                let is_led = status == 303
                    && method == Method::GET
                    && location.is_some_and(|to| to.to_str().unwrap().starts_with("/login?next="));
                assert!(status == 401 || is_led, "{method} {path}: {status}");
            }
        }
        let right = [("authorization", "Bearer right")];
        for method in METHODS {
            let answer = ask(&router, method.clone(), path, &right).await;
            assert_ne!(answer.status(), 401, "{method} {path}");
        }
    }
    let nothing = ask(&router, Method::GET, "/nothing/here", &[]).await;
    assert_eq!(nothing.status(), 401);
}

// A database with what `sql` makes of the numbers 1 to `last`.
async fn seed(folder: &std::path::Path, sql: &'static str, last: u32) {
    let path = folder.join("tollgate.db");
    let (store, _) = SqliteStore::open(&path, Clock::system()).await.unwrap();
    store.close().await;
    let mut raw = SqliteConnectOptions::new()
        .filename(&path)
        .connect()
        .await
        .unwrap();
    let seeded = sqlx::query(sql).bind(1).bind(last);
    seeded.execute(&mut raw).await.unwrap();
}

// Where a page leads to next.
fn next_of(shown: &str) -> Option<String> {
    let (_, next) = shown.split_once("rel=\"next\" href=\"")?;
    let (next, _) = next.split_once('"')?;
    Some(next.replace("&amp;", "&"))
}

async fn page(router: &Router, path: &str) -> String {
    let right = [("authorization", "Bearer right"), ("accept", "text/html")];
    let answer = ask(router, Method::GET, path, &right).await;
    assert_eq!(answer.status(), 200, "{path}");
    text(answer).await
}

async fn text(answer: Response) -> String {
    let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await;
    String::from_utf8(body.unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn a_page_tells_how_far_back_it_looked_for_a_text_and_leads_further() {
    let folder = tempfile::tempdir().unwrap();
    let events = include_str!("../../benches/support/seed.sql");
    seed(folder.path(), events, Filter::LOOKED_AT + 10).await;
    let router = router(admin(folder.path()).await);
    let shown = page(&router, "/?all=1&q=nowhere").await;
    // The eleventh of all, six seconds after one another.
    let looked =
        "Looked for \u{201c}nowhere\u{201d} back to <time datetime=\"2023-11-14T22:14:26.000Z\"";
    assert!(shown.contains(looked), "{shown}");
    assert!(shown.contains("Nothing so far"), "{shown}");
    let shown = page(&router, &next_of(&shown).unwrap()).await;
    assert!(shown.contains("Nothing matches."), "{shown}");
    assert!(!shown.contains("Looked for"), "{shown}");
    // A page that is full looked no further than what it shows.
    let full = page(&router, "/?all=1&q=person").await;
    assert!(!full.contains("Looked for"), "{full}");
}

#[tokio::test]
async fn a_view_that_cannot_be_read_is_not_offered_for_export() {
    let folder = tempfile::tempdir().unwrap();
    let router = router(admin(folder.path()).await);
    for path in ["/", "/?group=9001"] {
        let shown = page(&router, path).await;
        assert!(shown.contains("Export this view"), "{shown}");
    }
    for path in ["/?since=soon", "/?org=acme", "/?group=Nobody"] {
        let shown = page(&router, path).await;
        assert!(!shown.contains("/api/events"), "{path}: {shown}");
    }
}

#[tokio::test]
async fn nobody_who_reads_is_told_where_the_database_is() {
    async fn broken() -> Result<(), Problem> {
        Err(StoreError::Missing("/srv/secret/tollgate.db".to_owned()))?
    }
    let router = Router::new()
        .route("/", get(broken))
        .route("/api/events", get(broken))
        .layer(from_fn(edge::edge));
    for path in ["/", "/api/events"] {
        let asked = [("accept", "text/html"), ("x-request-id", "r-1")];
        let answer = ask(&router, Method::GET, path, &asked).await;
        assert_eq!(answer.status(), 503);
        let told = text(answer).await;
        assert!(
            told.contains("r-1") && told.contains("log says why"),
            "{told}"
        );
        assert!(!told.contains("/srv"), "{told}");
    }
}

#[tokio::test]
async fn many_groups_are_told_page_by_page_and_each_of_them_once() {
    const GROUPS: &str = "
        WITH RECURSIVE numbers (i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM numbers WHERE i < ?2)
        INSERT INTO known_groups (group_id, organization_id, seen_at, state)
        SELECT i, 4123, '2023-11-14T22:13:26.000Z',
            json_object('group_id', i, 'name', 'Group-' || i, 'users', json('[]'), 'workspaces', json('[]'))
        FROM numbers";
    let folder = tempfile::tempdir().unwrap();
    seed(folder.path(), GROUPS, 401).await;
    let router = router(admin(folder.path()).await);
    for (at, said) in [("", "now"), ("?at=2023-11-15", "2023-11-15")] {
        let mut names = Vec::new();
        let mut sizes = Vec::new();
        let mut next = Some(format!("/organizations/4123/groups{at}"));
        while let Some(path) = next {
            let shown = page(&router, &path).await;
            let (_, caption) = shown.split_once("<caption>").unwrap();
            let (caption, _) = caption.split_once("</caption>").unwrap();
            assert!(caption.contains(said), "{caption}");
            let found = shown.split(">Group-").skip(1);
            let found: Vec<u32> = found
                .map(|rest| rest.split_once('<').unwrap().0.parse().unwrap())
                .collect();
            sizes.push(found.len());
            names.extend(found);
            next = next_of(&shown);
        }
        assert_eq!(sizes, [200, 200, 1]);
        assert!(names.into_iter().eq(1..=401));
    }
}
