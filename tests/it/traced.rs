//! What an OpenTelemetry collector is told of requests (`log.otlp_endpoint`), and that nobody waits for it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message as _;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tollgate::body::Body;
use tollgate::config::{Config, Log, Sources};
use tollgate::server::{Server, ServerLimits};
use tollgate::simulator::{Match, Toggl};
use tower::service_fn;

use crate::support::{DESIGN, Gateway, ORG, basic, group, groups, soon, toggl};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

fn traceparent() -> String {
    format!("00-{TRACE}-{CALLER}-01")
}

/// `[log]` with this endpoint.
fn log(endpoint: &str) -> Log {
    let name = "TOLLGATE_LOG__OTLP_ENDPOINT".to_owned();
    let sources = Sources {
        file: None,
        variables: BTreeMap::from([(name, endpoint.to_owned())]),
    };
    Config::load(&sources).expect("an endpoint").0.log
}

/// Takes what is exported.
struct Collector {
    url: String,
    taken: Arc<Mutex<Vec<(String, Bytes)>>>,
    _stop: DropGuard,
}

impl Collector {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let taken = Arc::<Mutex<Vec<_>>>::default();
        let stop = CancellationToken::new();
        let limits = ServerLimits {
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(10),
            shutdown_grace: Duration::ZERO,
        };
        let takes = Arc::clone(&taken);
        let serve = service_fn(move |request: Request<Body>| {
            let taken = Arc::clone(&takes);
            async move {
                let target = format!("{} {}", request.method(), request.uri().path());
                let body = request.into_body().collect().await.unwrap().to_bytes();
                taken.lock().unwrap().push((target, body));
                Ok::<_, Infallible>(Response::new(Body::empty()))
            }
        });
        let server = Server::new(Arc::new(listener.into()), 10, limits);
        tokio::spawn(server.run(move |_| serve.clone(), stop.clone()));
        Self {
            url,
            taken,
            _stop: stop.drop_guard(),
        }
    }

    fn bodies(&self) -> Vec<Bytes> {
        let taken = self.taken.lock().unwrap();
        assert!(!taken.is_empty(), "nothing was exported");
        let bodies = taken.iter().map(|(target, body)| {
            assert_eq!(target, "POST /v1/traces");
            body.clone()
        });
        bodies.collect()
    }

    /// All spans, in the order in which they began.
    fn spans(&self) -> Vec<Span> {
        let mut spans = Vec::new();
        for body in self.bodies() {
            let export = ExportTraceServiceRequest::decode(body).unwrap();
            for resource in export.resource_spans {
                let attributes = resource.resource.unwrap().attributes;
                assert_eq!(text(&attributes, "service.name"), Some("tollgate"));
                let scopes = resource.scope_spans.into_iter();
                spans.extend(scopes.flat_map(|scope| scope.spans));
            }
        }
        spans.sort_by_key(|span| span.start_time_unix_nano);
        spans
    }
}

fn text<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    match value(attributes, key)? {
        Value::StringValue(text) => Some(text),
        other => panic!("{key} is {other:?}"),
    }
}

fn value<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    found.value.as_ref()?.value.as_ref()
}

fn status(span: &Span) -> Option<i64> {
    match value(&span.attributes, "http.response.status_code")? {
        Value::IntValue(status) => Some(*status),
        other => panic!("the status is {other:?}"),
    }
}

fn is(span: &Span, kind: SpanKind) -> bool {
    span.kind == kind as i32
}

/// The `traceparent` of each list that upstream was asked for.
fn received(toggl: &Toggl) -> Vec<String> {
    let lists = toggl.received_matching(&Match::new(http::Method::GET, groups(ORG)));
    let parents = lists
        .iter()
        .map(|list| list.headers["traceparent"].to_str().unwrap().to_owned());
    parents.collect()
}

#[tokio::test]
async fn a_request_is_a_span_below_its_callers_and_what_goes_upstream_is_one_below_it() {
    let (toggl, collector) = (toggl().await, Collector::start().await);
    let mut gate = Gateway::before(&toggl)
        .config(|config| {
            config.log = log(&collector.url);
            config.identity.lookup = false;
        })
        .start()
        .await;
    let ann = gate.client("ann");
    let list = || {
        ann.get(groups(ORG))
            .header("traceparent", &traceparent())
            .header("tracestate", "vendor=1")
    };
    list()
        .await
        .assert_ok()
        .assert_cache("tollgate; fwd=uri-miss; stored");
    list()
        .await
        .assert_ok()
        .assert_cache("tollgate; hit; ttl=…");
    // The spans that wait are sent at the stop.
    gate.halt().await;

    let spans = collector.spans();
    let served: Vec<_> = spans
        .iter()
        .filter(|span| is(span, SpanKind::Server))
        .collect();
    let called: Vec<_> = spans
        .iter()
        .filter(|span| is(span, SpanKind::Client))
        .collect();
    assert_eq!((served.len(), called.len()), (2, 1), "{spans:#?}");
    for (span, cache) in served.iter().zip(["miss", "hit"]) {
        let route = "/api/v9/organizations/{organization_id}/groups";
        assert_eq!(span.name, format!("GET {route}"));
        assert_eq!(hex::encode(&span.trace_id), TRACE);
        assert_eq!(hex::encode(&span.parent_span_id), CALLER);
        let of = |key| text(&span.attributes, key);
        assert_eq!(of("http.request.method"), Some("GET"));
        assert_eq!(of("http.route"), Some(route));
        assert_eq!(of("url.path"), Some(&*groups(ORG)));
        assert_eq!(of("url.scheme"), Some("http"));
        assert_eq!(of("tollgate.cache"), Some(cache));
        assert_eq!(of("error.type"), None);
        assert_eq!(status(span), Some(200));
    }
    let call = called[0];
    assert_eq!(call.parent_span_id, served[0].span_id);
    assert_eq!(call.trace_id, served[0].trace_id);
    assert_eq!(
        text(&call.attributes, "url.full"),
        Some(&*format!("{}{}", toggl.url(), groups(ORG)))
    );
    assert_eq!(text(&call.attributes, "server.address"), Some("127.0.0.1"));
    assert_eq!(status(call), Some(200));
    let sent = format!("00-{TRACE}-{}-01", hex::encode(&call.span_id));
    assert_eq!(received(&toggl), [sent], "upstream's parent is the call");
    let lists = toggl.received_matching(&Match::path(groups(ORG)));
    assert_eq!(lists[0].headers["tracestate"], "vendor=1");
    assert!(gate.log().contains(TRACE), "the log names the trace");
    gate.stop().await;
}

#[tokio::test]
async fn no_span_has_a_credential_a_query_or_a_body_in_it() {
    let (toggl, collector) = (toggl().await, Collector::start().await);
    let mut gate = Gateway::before(&toggl)
        .config(|config| config.log = log(&collector.url))
        .start()
        .await;
    let ann = gate.client("ann");
    ann.get(format!("{}?name=quiet", groups(ORG)))
        .await
        .assert_ok();
    ann.put(group(ORG, DESIGN), json!({ "name": "unheard" }))
        .await
        .assert_ok();
    let hidden = "/api/v9/confirm/s3cretc0de?token=s3cretqu3ry";
    ann.clone()
        .labelled("hr-sync")
        .get(hidden)
        .await
        .assert_ok();
    gate.password_client("ann")
        .get(groups(ORG))
        .await
        .assert_ok();
    gate.session_client("ann")
        .get(groups(ORG))
        .await
        .assert_ok();
    gate.halt().await;

    let person = toggl.person("ann");
    let exported = collector.bodies().concat();
    let exported = String::from_utf8_lossy(&exported);
    for secret in [
        &*person.token,
        &*person.password,
        &*person.session,
        &*person.email,
        &basic(&person.token, "api_token")["Basic ".len()..],
        &basic(&person.email, &person.password)["Basic ".len()..],
        "quiet",
        "unheard",
        "s3cret",
        "hr-sync",
    ] {
        assert!(!exported.contains(secret), "{secret} was exported");
    }
    let spans = collector.spans();
    let served = spans.iter().filter(|span| is(span, SpanKind::Server));
    let names: Vec<_> = served.map(|span| &*span.name).collect();
    let list = "GET /api/v9/organizations/{organization_id}/groups";
    let change = "PUT /api/v9/organizations/{organization_id}/groups/{group_id}";
    assert_eq!(names, [list, change, "GET", list, list]);
    let change = spans.iter().find(|span| span.name == change).unwrap();
    assert!(text(&change.attributes, "tollgate.event").is_some());
    gate.stop().await;
}

#[tokio::test]
async fn a_collector_that_never_answers_holds_up_no_request_and_no_stop() {
    let toggl = toggl().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut gate = Gateway::before(&toggl)
        .config(|config| {
            config.log = log(&url);
            config.limits.shutdown_grace = Duration::from_millis(500);
        })
        .start()
        .await;
    let ann = gate.client("ann");
    for name in ["Brand", "Design"] {
        ann.put(group(ORG, DESIGN), json!({ "name": name }))
            .await
            .assert_ok();
        ann.get(groups(ORG)).await.assert_ok();
    }
    gate.halt().await;
    // It was asked, and said nothing.
    let (asked, _) = soon("it was asked", listener.accept()).await.unwrap();
    drop(asked);
    gate.stop().await;
}

#[tokio::test]
async fn without_a_collector_the_callers_trace_passes_as_it_came() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    // Also one that is none.
    for parent in [&*traceparent(), "as it came"] {
        let list = ann.get(groups(ORG)).header("cache-control", "no-cache");
        list.header("traceparent", parent).await.assert_ok();
    }
    assert_eq!(received(&toggl), [&*traceparent(), "as it came"]);
    gate.stop().await;
}
