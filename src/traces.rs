//! Spans of requests for an OpenTelemetry collector, where `log.otlp_endpoint` names one.
//!
//! A request is a server span, below its caller's span if `traceparent` names one; what is sent upstream for
//! it is a client span below that, and names itself to upstream. In between the request's own `traceparent`
//! carries the context, so that no layer has to hand it on: [`Traces::serve`] writes it, [`Traces::call`] reads
//! it. What the gateway asks for by itself begins a trace of its own.
//!
//! **Guarantees.** Without an endpoint nothing is made, read or written, and `traceparent` passes like any
//! header. A span holds what the log does: no credential, no query, no body, no address; codes in paths stand as
//! keyed hashes (DESIGN §1.7). It costs its request no waiting: what is over goes into a bounded
//! [queue](export), and what finds no place there is counted and dropped.
//!
//! Made by the SDK itself and not out of the log's spans (`tracing`): those depend on `log.filter` and are
//! the process's, these are one gateway's, and a hit pays for neither if nobody reads them.

mod export;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use http::header::{HeaderMap, HeaderName};
use http::{Method, Request, StatusCode, Uri, Version};
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt as _, Tracer as _,
    TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span};

use self::export::Queue;
pub use self::export::{Exporter, channel};
use crate::domain::caller::Key;
use crate::domain::{endpoint, redact};

const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// See the [module](self). Cloning is cheap and shares them.
#[derive(Clone, Default)]
pub struct Traces(Option<Arc<Inner>>);

struct Inner {
    tracer: SdkTracer,
    context: TraceContextPropagator,
    key: Key,
}

/// The span of a request that came in. It ends when it is dropped.
#[derive(Debug)]
pub struct Served {
    span: Span,
    version: Version,
}

/// The span of a request that is sent upstream. It ends when it is dropped.
#[derive(Debug)]
pub struct Called(Span);

/// How a request that came in was answered.
#[derive(Clone, Copy, Debug)]
pub struct Outcome<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its path as it may be shown.
    pub path: &'a str,
    /// The operation that is, as the reference writes it.
    pub route: Option<&'static str>,
    /// What it is called in the log and in the trail.
    pub request_id: &'a str,
    /// The answer's status; `None` if its caller gave up before.
    pub status: Option<StatusCode>,
    /// How the cache had to do with it.
    pub cache: &'static str,
    /// The event that the trail has of it.
    pub event: Option<&'a str>,
    /// Whether the answer came to its end.
    pub complete: bool,
}

// === impl Traces ===

impl Traces {
    fn new(queue: Queue, key: Key) -> Self {
        let provider = SdkTracerProvider::builder()
            .with_span_processor(queue)
            .build();
        Self(Some(Arc::new(Inner {
            tracer: provider.tracer("tollgate"),
            context: TraceContextPropagator::new(),
            key,
        })))
    }

    /// Begins the span of a request that came in, and has the request name it from here on.
    pub fn serve<B>(&self, request: &mut Request<B>) -> Option<Served> {
        let inner = self.0.as_deref()?;
        let version = request.version();
        let method = known(request.method()).unwrap_or("HTTP");
        let builder = SpanBuilder::from_name(method).with_kind(SpanKind::Server);
        let span = inner.begin(builder, request.headers_mut());
        Some(Served { span, version })
    }

    /// Begins the span of a request that is sent upstream, and has it name that. `again` says how often it
    /// was sent before.
    pub fn call<B>(&self, request: &mut Request<B>, again: i64) -> Option<Called> {
        let inner = self.0.as_deref()?;
        let (method, uri) = (request.method(), request.uri());
        let name = name(method, endpoint::route(method, uri.path()));
        let builder = SpanBuilder::from_name(name)
            .with_kind(SpanKind::Client)
            .with_attributes(inner.target(method, uri));
        let mut span = inner.begin(builder, request.headers_mut());
        if again > 0 {
            span.set_attribute(KeyValue::new("http.request.resend_count", again));
        }
        Some(Called(span))
    }
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Traces").field(&self.0.is_some()).finish()
    }
}

// === impl Inner ===

impl Inner {
    fn begin(&self, builder: SpanBuilder, headers: &mut HeaderMap) -> Span {
        // Not below what this thread happens to be at.
        let nowhere = Context::new();
        let headers_read = HeaderExtractor(headers);
        let parent = self.context.extract_with_context(&nowhere, &headers_read);
        let span = self.tracer.build_with_context(builder, &parent);
        self.name_in(headers, span.span_context().clone());
        span
    }

    fn name_in(&self, headers: &mut HeaderMap, span: SpanContext) {
        let context = Context::new().with_remote_span_context(span);
        let mut headers_written = HeaderInjector(headers);
        self.context.inject_context(&context, &mut headers_written);
        // Empty, it says nothing; and what came with a `traceparent` that is none belongs to nothing.
        if headers
            .get(TRACESTATE)
            .is_some_and(|state| state.is_empty())
        {
            headers.remove(TRACESTATE);
        }
    }

    fn target(&self, method: &Method, uri: &Uri) -> Vec<KeyValue> {
        let scheme = uri.scheme_str().unwrap_or("http");
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let port = uri
            .port_u16()
            .unwrap_or(if scheme == "https" { 443 } else { 80 });
        let path = redact::path(&self.key, method, uri.path());
        vec![
            KeyValue::new("http.request.method", known(method).unwrap_or("_OTHER")),
            KeyValue::new("server.address", uri.host().unwrap_or_default().to_owned()),
            KeyValue::new("server.port", i64::from(port)),
            KeyValue::new("url.full", format!("{scheme}://{authority}{path}")),
        ]
    }
}

// === impl Served ===

impl Served {
    /// The trace that it is in, for the log.
    #[must_use]
    pub fn trace_id(&self) -> String {
        self.span.span_context().trace_id().to_string()
    }

    /// It was answered.
    pub fn ended(mut self, outcome: Outcome<'_>) {
        // Its caller may have said that nobody wants it.
        if !self.span.is_recording() {
            return;
        }
        let Outcome { method, route, .. } = outcome;
        self.span.update_name(name(method, route));
        let method = known(method).unwrap_or("_OTHER");
        self.span.set_attributes([
            KeyValue::new("http.request.method", method),
            KeyValue::new("url.scheme", "http"),
            KeyValue::new("url.path", outcome.path.to_owned()),
            KeyValue::new("network.protocol.version", version(self.version)),
            KeyValue::new("tollgate.request_id", outcome.request_id.to_owned()),
            KeyValue::new("tollgate.cache", outcome.cache),
        ]);
        if let Some(route) = route {
            self.span.set_attribute(KeyValue::new("http.route", route));
        }
        if let Some(event) = outcome.event {
            let event = KeyValue::new("tollgate.event", event.to_owned());
            self.span.set_attribute(event);
        }
        match outcome.status {
            None => failed(&mut self.span, "caller_left"),
            Some(status) => {
                answered(&mut self.span, status, status.is_server_error());
                if !outcome.complete {
                    failed(&mut self.span, "cut_off");
                }
            }
        }
    }
}

// === impl Called ===

impl Called {
    /// Upstream answered, or this is why not.
    pub fn ended(mut self, result: Result<StatusCode, &'static str>) {
        let is_error = |status: StatusCode| status.is_client_error() || status.is_server_error();
        match result {
            Ok(status) => answered(&mut self.0, status, is_error(status)),
            Err(why) => failed(&mut self.0, why),
        }
    }
}

fn answered(span: &mut Span, status: StatusCode, is_error: bool) {
    let code = i64::from(status.as_u16());
    span.set_attribute(KeyValue::new("http.response.status_code", code));
    if is_error {
        failed(span, status.as_str().to_owned());
    }
}

// Without a description, which would repeat what the attributes say.
fn failed(span: &mut Span, kind: impl Into<Cow<'static, str>>) {
    span.set_attribute(KeyValue::new("error.type", kind.into()));
    span.set_status(Status::error(""));
}

// Of few names, as the conventions ask: a path that is in no list is in none.
fn name(method: &Method, route: Option<&'static str>) -> Cow<'static, str> {
    let method = known(method).unwrap_or("HTTP");
    match route {
        Some(route) => Cow::Owned(format!("{method} {route}")),
        None => Cow::Borrowed(method),
    }
}

// What a caller made up is no method of the conventions.
fn known(method: &Method) -> Option<&'static str> {
    Some(match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::CONNECT => "CONNECT",
        Method::TRACE => "TRACE",
        _ => return None,
    })
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn request(traceparent: &str) -> Request<()> {
        Request::get("http://upstream.example/api/v9/me?token=s3cret")
            .header("traceparent", traceparent)
            .header("tracestate", "vendor=1")
            .body(())
            .unwrap()
    }

    fn traces() -> Traces {
        Traces::new(Queue::closed(), Key::new(&[1; 32]))
    }

    #[test]
    fn without_an_endpoint_nothing_is_made_and_the_headers_stay() {
        let mut request = request(CALLER);
        let before = request.headers().clone();
        assert!(Traces::default().serve(&mut request).is_none());
        assert!(Traces::default().call(&mut request, 0).is_none());
        assert_eq!(*request.headers(), before);
    }

    #[test]
    fn a_callers_trace_goes_on_and_its_state_with_it() {
        let mut request = request(CALLER);
        let served = traces().serve(&mut request).unwrap();
        assert_eq!(served.trace_id(), "0af7651916cd43dd8448eb211c80319c");
        let own = request.headers()["traceparent"]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(
            own.starts_with("00-0af7651916cd43dd8448eb211c80319c-"),
            "{own}"
        );
        assert!(own.ends_with("-01") && own != CALLER, "{own}");
        assert_eq!(request.headers()["tracestate"], "vendor=1");
    }

    #[test]
    fn what_is_no_trace_begins_a_new_one_without_its_state() {
        for none in ["", "00-zz-b7ad6b7169203331-01", "junk"] {
            let mut request = request(none);
            let served = traces().serve(&mut request).unwrap();
            let own = request.headers()["traceparent"].to_str().unwrap();
            assert_eq!(own, format!("00-{}-{}-01", served.trace_id(), &own[36..52]));
            assert!(!request.headers().contains_key("tracestate"), "{none}");
        }
    }

    #[test]
    fn who_wants_no_spans_is_passed_on_as_such() {
        let mut request = request("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
        let served = traces().serve(&mut request).unwrap();
        assert!(!served.span.is_recording());
        let own = request.headers()["traceparent"].to_str().unwrap();
        assert!(own.ends_with("-00"), "{own}");
    }
}
