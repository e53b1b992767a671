//! How many rows a second `tollgate audit verify` checks.
//!
//! Builds a trail of realistic events through the store, a group of three people being renamed by its
//! members' tools, then walks along it three times and tells the fastest. The trail is kept below
//! `target/`, so that a second run of the same size begins at once.
//!
//! ```text
//! cargo bench --bench verify -- 1000000
//! ```

use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tollgate::clock::Clock;
use tollgate::domain::action::{Action, Outcome};
use tollgate::domain::diff::{diff, sentence};
use tollgate::domain::endpoint::Touches;
use tollgate::domain::event::{
    Actor, Draft, Intent, RequestRecord, ResponseRecord, Source, Target,
};
use tollgate::domain::group::Group;
use tollgate::domain::ids::{EventId, GroupId, OrganizationId, UserId};
use tollgate::store::Trail as _;
use tollgate::store::sqlite::{Reader, SqliteStore, Verdict};

const WALKS: usize = 3;

fn group(name: &str) -> Group {
    let member = |n: i64| {
        let name = format!("Member Number {n}");
        json!({"user_id": 7_000_000 + n, "name": name, "avatar_url": "", "inactive": false, "joined": true})
    };
    let members: Vec<_> = (0..3).map(member).collect();
    let value = json!({"group_id": 4_100_007, "name": name, "users": members, "workspaces": [3_000_001],
        "permissions": null, "at": "2026-11-01T09:00:00Z"});
    Group::read(&value).expect("a group")
}

fn event(n: i64, at: jiff::Timestamp) -> Draft {
    let (before, after) = (
        group(&format!("Design {n}")),
        group(&format!("Design {}", n + 1)),
    );
    let changes = diff(Some(&before), Some(&after));
    Draft {
        intent: Intent {
            id: EventId::new(),
            occurred_at: at,
            action: Action::GroupUpdate,
            actor: Actor {
                credential_id: Some(format!("{:064x}", n % 50)),
                user_id: Some(UserId(7_000_000 + n % 8)),
                email: Some(format!("member{}@acme.example", n % 8)),
                name: Some(format!("Member Number {}", n % 8)),
                tool: Some("hr-sync".into()),
                on_behalf_of: None,
            },
            source: Source {
                ip: Some("192.0.2.7".into()),
                user_agent: Some("hr-sync/2.4 (linux; x86_64)".into()),
                request_id: Some(EventId::new().to_string()),
            },
            target: Target {
                organization_id: Some(OrganizationId(9_000_001)),
                group_id: Some(GroupId(4_100_007)),
                group_name: Some(before.name.clone()),
                ..Target::default()
            },
            request: RequestRecord {
                method: "PUT".into(),
                path: "/api/v9/organizations/9000001/groups/4100007".into(),
                query: None,
                body: Some(json!({"name": after.name}).to_string()),
                body_digest: Some(format!("20:{:064x}", n)),
            },
            touches: Touches::Nothing,
            flags: vec![],
        },
        completed_at: at,
        duration_ms: 84,
        outcome: Outcome::Applied,
        response: ResponseRecord {
            status: Some(200),
            body: Some(after.to_json().to_string()),
            upstream_request_id: Some(format!("{n:032x}")),
        },
        before: Some(before.to_json()),
        after: Some(after.to_json()),
        summary: sentence(Some(&before.name), &changes),
        changes,
        relations: vec![],
    }
}

async fn build(path: &Path, rows: i64) {
    let clock = Clock::system();
    let (store, _) = SqliteStore::open(path, clock.clone())
        .await
        .expect("a store");
    let store = Arc::new(store);
    let mut writes = JoinSet::new();
    for n in 0..rows {
        if writes.len() >= 512 {
            writes.join_next().await;
        }
        let (store, at) = (Arc::clone(&store), clock.now());
        writes.spawn(async move { store.complete(event(n, at), vec![]).await.expect("a row") });
    }
    writes.join_all().await;
    store.close().await;
}

#[tokio::main]
async fn main() {
    let number = |text: String| text.parse::<i64>().ok();
    let rows = std::env::args().skip(1).find_map(number).unwrap_or(100_000);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = folder.join(format!("verify-{rows}.db"));
    if !path.exists() {
        println!("building a trail of {rows} rows");
        let partial = folder.join(format!("verify-{}.db", std::process::id()));
        for end in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{end}", partial.display()));
        }
        build(&partial, rows).await;
        std::fs::rename(&partial, &path).expect("a place for the trail");
    }
    let bytes = std::fs::metadata(&path).expect("the trail").len();
    let reader = Reader::open(&path).await.expect("a trail");
    let mut best = f64::MAX;
    for _ in 0..WALKS {
        let start = Instant::now();
        let verdict = reader.verify().await.expect("a trail that can be read");
        best = best.min(start.elapsed().as_secs_f64());
        assert!(matches!(verdict, Verdict::Intact { rows: found, .. } if found == rows));
    }
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let (rate, size) = (rows as f64 / best, bytes as f64 / rows as f64);
    println!("verify: {rows} rows of {size:.0} bytes in {best:.2} s: {rate:.0} rows/s");
}
