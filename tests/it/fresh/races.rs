//! Reads and changes at one time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::Method;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tollgate::cache::epochs::Epochs;
use tollgate::cache::fills::Fills;
use tollgate::cache::filters::Filters;
use tollgate::cache::lists::Lists;
use tollgate::cache::tags::Tags;
use tollgate::cache::verdict::Freshness;
use tollgate::clock::Clock;
use tollgate::domain::caller::Key;
use tollgate::domain::proxies::Proxies;
use tollgate::layers::Inbound;
use tollgate::layers::cache::CacheLayer;
use tollgate::layers::classify::ClassifyLayer;
use tollgate::layers::forward::{Destination, ForwardLayer};
use tollgate::layers::identify::IdentifyLayer;
use tollgate::layers::limit::LimitLayer;
use tollgate::layers::observe::ObserveLayer;
use tollgate::layers::rescue::RescueLayer;
use tollgate::live::Live;
use tollgate::metrics::Metrics;
use tollgate::quota::Quota;
use tollgate::server::{Server, ServerLimits};
use tollgate::simulator::{Match, Toggl};
use tollgate::store::memory::MemoryStore;
use tollgate::traces::Traces;
use tollgate::upstream::Upstream;
use tower::{ServiceBuilder, ServiceExt as _};

use super::{HIT, IN_FLIGHT, MISS, lists};
use crate::support::{
    Client, DESIGN, ENGINEERING, Gateway, ORG, Reply, STUDIO, eventually, group, groups,
    project_groups, soon, toggl,
};

/// Changes what each of the four lists shows.
async fn change(by: &Client) {
    by.put(group(ORG, DESIGN), json!({ "name": "Brand" }))
        .await
        .assert_ok();
    by.post(
        project_groups(STUDIO),
        json!({ "group_id": 9001, "project_id": 30002 }),
    )
    .await
    .assert_ok();
}

/// What is read before, during and after a change, when the first read is answered last.
struct Interleaving {
    /// The read that upstream answered before the change and delivered after it.
    slow: Reply,
    /// A read that began when the change had been answered, and the slow one had not.
    joining: Reply,
    /// A read when all is over.
    later: Reply,
    /// What upstream says then.
    truth: Reply,
}

async fn interleave(
    toggl: &Toggl,
    reader: &Client,
    writer: &Client,
    list: &str,
    has_joined: impl AsyncFn() -> bool,
) -> Interleaving {
    let hold = toggl.next(Match::path(list)).hang_after_read();
    let slow = reader.get(list).spawn();
    hold.reached().await;
    change(writer).await;
    let joining = reader.get(list).spawn();
    eventually(
        "it has an answer of its own, or waits for the slow one's",
        async || (joining.is_finished() || has_joined().await).then_some(()),
    )
    .await;
    hold.release();
    let (slow, joining) = (slow.await.unwrap(), joining.await.unwrap());
    let later = reader.get(list).await;
    let truth = Client::of(toggl.url()).authorized(&toggl.authorization("ann"));
    let truth = truth.get(list).await;
    Interleaving {
        slow,
        joining,
        later,
        truth,
    }
}

#[tokio::test]
async fn a_list_that_upstream_answered_before_a_change_is_neither_kept_nor_shared_after_it() {
    for list in lists() {
        let toggl = toggl().await;
        let gate = Gateway::before(&toggl).start().await;
        let (ann, bob) = (gate.client("ann"), gate.client("bob"));
        let seen = interleave(&toggl, &ann, &bob, &list, async || false).await;
        assert_ne!(
            seen.slow.body, seen.truth.body,
            "it is from before the change"
        );
        seen.slow.assert_cache("tollgate; fwd=uri-miss");
        assert_eq!(seen.joining.body, seen.truth.body);
        seen.joining.assert_cache(MISS);
        assert_eq!(seen.later.body, seen.truth.body);
        seen.later.assert_cache(HIT);
        gate.stop().await;
    }
}

#[tokio::test]
async fn without_closing_for_changes_the_old_list_would_be_kept_and_shared() {
    for list in lists() {
        let toggl = toggl().await;
        let plain = PlainCache::before(&toggl).await;
        let has_joined = async || {
            let joined = r#"tollgate_cache_requests_total{result="collapsed"} 1"#;
            plain.metrics.text().lines().any(|line| line == joined)
        };
        let (ann, bob) = (plain.client("ann"), plain.client("bob"));
        let seen = interleave(&toggl, &ann, &bob, &list, has_joined).await;
        assert_ne!(seen.slow.body, seen.truth.body);
        seen.slow.assert_cache(MISS);
        assert_ne!(
            seen.joining.body, seen.truth.body,
            "the change is lost on this reader"
        );
        seen.joining
            .assert_cache("tollgate; fwd=uri-miss; collapsed");
        assert_ne!(
            seen.later.body, seen.truth.body,
            "and on everybody until the list's time is over"
        );
        seen.later.assert_cache(HIT);
        plain.stop().await;
    }
}

#[tokio::test]
async fn while_a_change_is_under_way_nothing_is_served_from_the_cache_or_kept() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let (ann, bob) = (gate.client("ann"), gate.client("bob"));
    for list in lists() {
        bob.get(&*list).await.assert_cache(MISS);
        bob.get(&*list).await.assert_cache(HIT);
    }
    let wanted = || toggl.next(Match::new(Method::PUT, group(ORG, DESIGN)));
    for (name, hold) in [
        ("One", wanted().hang()),
        ("Two", wanted().hang_after_read()),
    ] {
        let changing = ann.put(group(ORG, DESIGN), json!({ "name": name })).spawn();
        hold.reached().await;
        for list in lists() {
            bob.get(&*list).await.assert_cache(IN_FLIGHT);
            bob.get(&*list).await.assert_cache(IN_FLIGHT);
        }
        hold.release();
        changing.await.unwrap().assert_ok();
        for list in lists() {
            let reply = bob.get(&*list).await.assert_cache(MISS);
            assert!(list != groups(ORG) || reply.names().contains(&name.to_owned()));
            bob.get(&*list).await.assert_cache(HIT);
        }
    }
    gate.stop().await;
}

#[tokio::test]
async fn equal_reads_share_a_fetch_while_a_change_is_under_way_too() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let hold = toggl
        .next(Match::new(Method::PUT, group(ORG, DESIGN)))
        .hang();
    let ann = gate.client("ann");
    let changing = ann
        .put(group(ORG, DESIGN), json!({ "name": "Brand" }))
        .spawn();
    hold.reached().await;
    let slow = toggl.next(Match::path(groups(ORG))).hang();
    let first = gate.client("bob").get(groups(ORG)).spawn();
    slow.reached().await;
    let second = gate.client("bob").get(groups(ORG)).spawn();
    gate.measures(r#"tollgate_cache_requests_total{result="collapsed"}"#, 1)
        .await;
    slow.release();
    first.await.unwrap().assert_cache(IN_FLIGHT);
    let second = second.await.unwrap();
    second.assert_cache("tollgate; fwd=bypass; collapsed; detail=change-in-flight");
    hold.release();
    changing.await.unwrap().assert_ok();
    gate.client("bob").get(groups(ORG)).await.assert_cache(MISS);
    gate.stop().await;
}

#[tokio::test]
async fn a_list_fetched_while_a_change_was_under_way_is_not_joined_by_who_comes_after_it() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let (ann, bob) = (gate.client("ann"), gate.client("bob"));
    let hold = toggl
        .next(Match::new(Method::PUT, group(ORG, DESIGN)))
        .hang();
    let changing = ann
        .put(group(ORG, DESIGN), json!({ "name": "Brand" }))
        .spawn();
    hold.reached().await;
    let slow = toggl.next(Match::path(groups(ORG))).hang_after_read();
    let first = bob.get(groups(ORG)).spawn();
    slow.reached().await;
    hold.release();
    changing.await.unwrap().assert_ok();
    let after = bob.get(groups(ORG)).await.assert_cache(MISS);
    assert!(after.names().contains(&"Brand".to_owned()));
    slow.release();
    let first = first.await.unwrap().assert_cache(IN_FLIGHT);
    assert!(first.names().contains(&"Design".to_owned()));
    assert_eq!(
        bob.get(groups(ORG)).await.assert_cache(HIT).body,
        after.body
    );
    gate.stop().await;
}

#[tokio::test]
async fn two_changes_at_once_keep_closed_until_both_have_landed() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let (ann, bob) = (gate.client("ann"), gate.client("bob"));
    let hold_one = toggl.next(Match::path(group(ORG, DESIGN))).hang();
    let hold_two = toggl.next(Match::path(group(ORG, ENGINEERING))).hang();
    let one = ann
        .put(group(ORG, DESIGN), json!({ "name": "One" }))
        .spawn();
    let two = ann
        .put(group(ORG, ENGINEERING), json!({ "name": "Two" }))
        .spawn();
    hold_one.reached().await;
    hold_two.reached().await;
    hold_one.release();
    one.await.unwrap().assert_ok();
    bob.get(groups(ORG)).await.assert_cache(IN_FLIGHT);
    hold_two.release();
    two.await.unwrap().assert_ok();
    let seen = bob.get(groups(ORG)).await.assert_cache(MISS);
    assert!(seen.names().contains(&"One".to_owned()) && seen.names().contains(&"Two".to_owned()));
    gate.stop().await;
}

#[tokio::test]
async fn a_change_whose_caller_hangs_up_is_closed_for_until_it_lands() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let (ann, bob) = (gate.client("ann"), gate.client("bob"));
    bob.get(groups(ORG)).await.assert_cache(MISS);
    let hold = toggl.next(Match::path(group(ORG, DESIGN))).hang();
    let changing = ann
        .put(group(ORG, DESIGN), json!({ "name": "Brand" }))
        .spawn();
    hold.reached().await;
    changing.abort();
    let _ = changing.await;
    bob.get(groups(ORG)).await.assert_cache(IN_FLIGHT);
    hold.release();
    gate.events_when(1).await;
    let seen = bob.get(groups(ORG)).await.assert_cache(MISS);
    assert!(seen.names().contains(&"Brand".to_owned()));
    gate.stop().await;
}

#[tokio::test]
async fn after_a_change_without_an_outcome_nothing_is_believed_for_a_while() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl)
        .config(|config| config.upstream.request_timeout = Duration::from_secs(2))
        .start()
        .await;
    let (ann, bob) = (gate.client("ann"), gate.client("bob"));
    bob.get(groups(ORG)).await.assert_cache(MISS);
    toggl
        .next(Match::path(group(ORG, DESIGN)))
        .reset_after_apply();
    ann.put(group(ORG, DESIGN), json!({ "name": "Brand" }))
        .await
        .assert_problem(502, "upstream-unreachable");
    let seen = bob.get(groups(ORG)).await.assert_cache(IN_FLIGHT);
    assert!(seen.names().contains(&"Brand".to_owned()));
    eventually("the lists are believed again", async || {
        let reply = bob.get(groups(ORG)).await.assert_ok();
        assert!(reply.names().contains(&"Brand".to_owned()));
        (reply.cache() == MISS).then_some(())
    })
    .await;
    bob.get(groups(ORG)).await.assert_cache(HIT);
    gate.stop().await;
}

#[tokio::test]
async fn a_change_that_upstream_answers_with_a_5xx_may_have_happened() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let (ann, bob) = (gate.client("ann"), gate.client("bob"));
    bob.get(groups(ORG)).await.assert_cache(MISS);
    toggl
        .next(Match::path(group(ORG, DESIGN)))
        .status(http::StatusCode::BAD_GATEWAY);
    ann.put(group(ORG, DESIGN), json!({ "name": "Brand" }))
        .await
        .assert_status(502);
    bob.get(groups(ORG)).await.assert_cache(IN_FLIGHT);
    assert_eq!(gate.events().await[0].outcome, "unknown");
    gate.stop().await;
}

#[tokio::test]
async fn a_change_that_was_never_sent_costs_nobody_anything() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let (ann, bob) = (gate.client("ann"), gate.client("bob"));
    bob.get(groups(ORG)).await.assert_cache(MISS);
    toggl.stop().await;
    ann.delete(group(ORG, DESIGN))
        .await
        .assert_problem(502, "upstream-unreachable");
    bob.get(groups(ORG)).await.assert_cache(HIT);
    gate.stop().await;
}

/// The promise itself, with nobody choosing the interleaving: whoever begins to read after a change was
/// answered sees it, or a later one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_reads_after_a_change_was_answered_sees_it_or_a_later_one() {
    const CHANGES: usize = 20;
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let answered = Arc::new(AtomicUsize::new(0));
    let over = CancellationToken::new();
    let read = |client: Client, list: String| {
        let (answered, over) = (Arc::clone(&answered), over.clone());
        tokio::spawn(async move {
            let (mut hits, mut reads) = (0, 0);
            while !over.is_cancelled() {
                let at_least = answered.load(Ordering::SeqCst);
                let reply = client.get(&*list).await.assert_ok();
                let name = reply.names().into_iter().find_map(|name| {
                    let number = name.strip_prefix("Change ")?;
                    number.parse::<usize>().ok()
                });
                let seen = name.unwrap_or(0);
                assert!(
                    seen >= at_least,
                    "{seen} is older than {at_least}: {}",
                    reply.cache()
                );
                hits += usize::from(reply.cache().contains("hit"));
                reads += 1;
            }
            (hits, reads)
        })
    };
    let tools = [gate.client("ann"), gate.password_client("ann")];
    let readers: Vec<_> = tools
        .iter()
        .flat_map(|tool| lists().into_iter().take(2).map(|list| (tool.clone(), list)))
        .map(|(tool, list)| read(tool, list))
        .collect();
    let writer = gate.client("bob");
    for number in 1..=CHANGES {
        let name = format!("Change {number}");
        writer
            .put(group(ORG, DESIGN), json!({ "name": name }))
            .await
            .assert_ok();
        answered.store(number, Ordering::SeqCst);
        // Some time for the cache to fill.
        for _ in 0..number % 5 {
            writer.get(groups(ORG)).await.assert_ok();
        }
    }
    over.cancel();
    let mut hits = 0;
    for reader in readers {
        hits += soon("a reader ends", reader).await.unwrap().0;
    }
    assert!(hits > 0, "a cache that never answers keeps every promise");
    assert_eq!(gate.events().await.len(), CHANGES);
    gate.stop().await;
}

/// The same cache in a stack without `invalidate`: what any cache with a time to live would do.
struct PlainCache {
    url: String,
    metrics: Metrics,
    toggl: Toggl,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl PlainCache {
    async fn before(toggl: &Toggl) -> Self {
        let (metrics, key) = (Metrics::new(), Key::new(&[7; 32]));
        let minute = Duration::from_secs(60);
        let epochs = Epochs::with_grace(minute);
        let cache = CacheLayer {
            lists: Some(Lists::new(1 << 24, minute, Arc::clone(&epochs), &metrics)),
            fills: Fills::new(64),
            tags: Tags::new(),
            epochs,
            known: Arc::new(MemoryStore::default()),
            freshness: Live::from(Freshness {
                ttl: minute,
                while_revalidate: Duration::ZERO,
                if_error: Duration::ZERO,
                refusal: Duration::ZERO,
            }),
            filters: Filters::new(tollgate::config::Filters::Off),
            quota: Quota::default(),
            max_entry_size: 1 << 20,
            body_timeout: minute,
            clock: Clock::system(),
            metrics: metrics.clone(),
        };
        let to = Destination {
            scheme: http::uri::Scheme::HTTP,
            authority: toggl.addr().to_string().parse().unwrap(),
        };
        let upstream =
            Upstream::new(minute, minute, None, metrics.clone(), Traces::default()).unwrap();
        let service = ServiceBuilder::new()
            .layer(ObserveLayer::new(
                key.clone(),
                Clock::system(),
                metrics.clone(),
                Traces::default(),
            ))
            .layer(RescueLayer)
            .layer(LimitLayer::new(64, minute))
            .layer(ClassifyLayer::new([]))
            .layer(IdentifyLayer::new(key, Proxies::default()))
            .layer(cache)
            .layer(ForwardLayer::new(to, "http"))
            .service(upstream);
        let service = tower::util::BoxCloneSyncService::new(service);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let limits = ServerLimits {
            header_timeout: minute,
            body_timeout: minute,
            shutdown_grace: minute,
        };
        let stop = CancellationToken::new();
        let serve = move |peer| {
            let service = service.clone();
            service.map_request(move |request| Inbound { peer, request })
        };
        let task = tokio::spawn(
            Server::new(Arc::new(listener.into()), 64, limits).run(serve, stop.clone()),
        );
        Self {
            url,
            metrics,
            toggl: toggl.clone(),
            stop,
            task,
        }
    }

    fn client(&self, name: &str) -> Client {
        Client::of(&*self.url).authorized(&self.toggl.authorization(name))
    }

    async fn stop(self) {
        self.stop.cancel();
        soon("the plain cache has drained", self.task)
            .await
            .unwrap();
    }
}
