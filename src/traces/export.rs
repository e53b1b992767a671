//! Brings spans that are over to the collector: in batches, in the background, from a bounded queue.
//!
//! **Guarantee**: nobody waits for a collector. A span that finds no place in the queue is dropped and counted;
//! so is a batch that is not taken within [`PATIENCE`], because what is asked again is asked of somebody who
//! has too much to do. At the stop what is queued is sent as well, for as long as the caller of
//! [`run`](Exporter::run) waits.
//!
//! A task of the runtime, as the SDK's own processor is not: that is a thread, on which a client of this
//! runtime cannot work, and which the process would wait for.

use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use opentelemetry::KeyValue;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{
    Protocol, RetryPolicy, SpanExporter as Otlp, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::resource::EnvResourceDetector;
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter, SpanProcessor};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::Traces;
use crate::domain::caller::Key;
use crate::metrics::Metrics;

/// As many spans wait: some seconds of a busy gateway, and a few megabytes.
const QUEUE: usize = 2048;

/// As many go at once.
const BATCH: usize = 512;

/// After so long fewer do, too.
const EVERY: Duration = Duration::from_secs(5);

/// A collector that has not taken a batch by then does not get it.
const PATIENCE: Duration = Duration::from_secs(5);

// A collector answers with next to nothing.
const LONGEST_ANSWER: usize = 64 << 10;

/// See the [module](self).
#[derive(Debug)]
pub struct Exporter<E = Otlp> {
    spans: mpsc::Receiver<SpanData>,
    to: E,
    metrics: Metrics,
    /// Whether the last batch was not taken: that is told once.
    failing: bool,
}

/// Takes spans that are over.
#[derive(Debug)]
pub(super) struct Queue {
    spans: mpsc::Sender<SpanData>,
    metrics: Metrics,
}

/// Spans to be made, and who brings them to the collector at `endpoint` over connections of `connector`.
///
/// # Errors
///
/// When the endpoint, or a variable of OpenTelemetry's own, is none that can be asked.
pub fn channel(
    endpoint: &str,
    connector: HttpsConnector<HttpConnector>,
    key: Key,
    metrics: Metrics,
) -> anyhow::Result<(Traces, Exporter)> {
    let otlp = Otlp::builder()
        .with_http()
        .with_http_client(Http::over(connector))
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(endpoint)
        .with_timeout(PATIENCE)
        // It would sleep on the runtime's thread.
        .with_retry_policy(RetryPolicy::disabled())
        .build()
        .context("log.otlp_endpoint")?;
    Ok(pair(otlp, key, metrics))
}

fn pair<E: SpanExporter>(mut to: E, key: Key, metrics: Metrics) -> (Traces, Exporter<E>) {
    let (sender, spans) = mpsc::channel(QUEUE);
    let queue = Queue {
        spans: sender,
        metrics: metrics.clone(),
    };
    to.set_resource(&resource());
    let exporter = Exporter {
        spans,
        to,
        metrics,
        failing: false,
    };
    (Traces::new(queue, key), exporter)
}

// Whose spans these are; `OTEL_RESOURCE_ATTRIBUTES` may say more.
fn resource() -> Resource {
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    Resource::builder_empty()
        .with_service_name("tollgate")
        .with_attribute(version)
        .with_detector(Box::new(EnvResourceDetector::new()))
        .build()
}

// === impl Exporter ===

impl<E: SpanExporter> Exporter<E> {
    /// Sends what comes until `stop`, and then what is left, unless the last batch was not taken: nobody
    /// waits for a collector that is down.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let stopped = self.gather(&mut batch, &stop).await;
            if stopped && self.failing {
                let left = batch.len() + self.spans.len();
                self.metrics.spans_dropped(left as u64);
                return;
            }
            self.send(&mut batch).await;
            if stopped && self.spans.is_empty() {
                return;
            }
        }
    }

    // Fills a batch for as long as it may take; tells whether it is to stop.
    async fn gather(&mut self, batch: &mut Vec<SpanData>, stop: &CancellationToken) -> bool {
        let due = Instant::now() + EVERY;
        while batch.len() < BATCH {
            let room = BATCH - batch.len();
            tokio::select! {
                biased;
                // What is there goes before anything is over.
                came = self.spans.recv_many(batch, room) => if came == 0 { return true },
                () = stop.cancelled() => return true,
                () = sleep_until(due) => return false,
            }
        }
        stop.is_cancelled()
    }

    async fn send(&mut self, batch: &mut Vec<SpanData>) {
        if batch.is_empty() {
            return;
        }
        let count = batch.len() as u64;
        let spans = std::mem::replace(batch, Vec::with_capacity(BATCH));
        match self.to.export(spans).await {
            Ok(()) => {
                self.metrics.spans_delivered(count);
                if std::mem::take(&mut self.failing) {
                    tracing::info!("The collector of log.otlp_endpoint takes traces again");
                }
            }
            Err(error) => {
                self.metrics.spans_dropped(count);
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(%error, "Traces are lost: the collector of log.otlp_endpoint does not take them");
                }
            }
        }
    }
}

// === impl Queue ===

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &opentelemetry::Context) {}

    fn on_end(&self, span: SpanData) {
        if self.spans.try_send(span).is_err() {
            self.metrics.spans_dropped(1);
        }
    }

    // Both are the exporter's, which its owner waits for.
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// The client of this runtime, for the exporter.
#[derive(Debug)]
struct Http(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

// === impl Http ===

impl Http {
    fn over(connector: HttpsConnector<HttpConnector>) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .build(connector);
        Self(client)
    }

    async fn ask(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.0.request(request.map(Full::new)).await?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, LONGEST_ANSWER).collect().await?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }
}

#[async_trait]
impl HttpClient for Http {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        timeout(PATIENCE, self.ask(request)).await?
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use http::Request;
    use opentelemetry_sdk::error::OTelSdkError;

    use super::*;

    /// A collector that takes batches, or refuses them, or neither.
    #[derive(Clone, Debug, Default)]
    struct Collector {
        taken: Arc<Mutex<Vec<usize>>>,
        refuses: bool,
        is_silent: bool,
    }

    impl SpanExporter for Collector {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.taken.lock().unwrap().push(batch.len());
            if self.is_silent {
                std::future::pending::<()>().await;
            }
            if self.refuses {
                return Err(OTelSdkError::InternalFailure("full".to_owned()));
            }
            Ok(())
        }
    }

    impl Queue {
        /// Nobody is behind it.
        pub(in crate::traces) fn closed() -> Self {
            Self {
                spans: mpsc::channel(1).0,
                metrics: Metrics::new(),
            }
        }
    }

    struct Setup {
        traces: Traces,
        metrics: Metrics,
        taken: Arc<Mutex<Vec<usize>>>,
        stop: CancellationToken,
        exporter: Exporter<Collector>,
    }

    impl Setup {
        fn new(collector: Collector) -> Self {
            let metrics = Metrics::new();
            let taken = Arc::clone(&collector.taken);
            let (traces, exporter) = pair(collector, Key::new(&[1; 32]), metrics.clone());
            Self {
                traces,
                metrics,
                taken,
                stop: CancellationToken::new(),
                exporter,
            }
        }

        fn end(&self, spans: usize) {
            for _ in 0..spans {
                let mut request = Request::get("/").body(()).unwrap();
                drop(self.traces.serve(&mut request));
            }
        }
    }

    #[track_caller]
    fn assert_counted(metrics: &Metrics, result: &str, count: usize) {
        let line = format!("tollgate_trace_spans_total{{result=\"{result}\"}} {count}\n");
        let text = metrics.text();
        assert!(text.contains(&line), "{line} in\n{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_queued_at_the_stop_is_delivered() {
        let setup = Setup::new(Collector::default());
        setup.end(BATCH + 7);
        setup.stop.cancel();
        setup.exporter.run(setup.stop).await;
        assert_eq!(*setup.taken.lock().unwrap(), [BATCH, 7]);
        assert_counted(&setup.metrics, "delivered", BATCH + 7);
        assert_counted(&setup.metrics, "dropped", 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_that_does_not_fill_goes_when_it_is_due() {
        let setup = Setup::new(Collector::default());
        setup.end(3);
        let began = Instant::now();
        let task = tokio::spawn(setup.exporter.run(setup.stop.clone()));
        while setup.taken.lock().unwrap().is_empty() {
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert!(began.elapsed() >= EVERY);
        assert_eq!(*setup.taken.lock().unwrap(), [3]);
        setup.stop.cancel();
        task.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_collector_does_not_take_is_counted_and_the_stop_does_not_wait_for_it() {
        let setup = Setup::new(Collector {
            refuses: true,
            ..Collector::default()
        });
        setup.end(BATCH + 1);
        setup.stop.cancel();
        setup.exporter.run(setup.stop).await;
        assert_eq!(
            *setup.taken.lock().unwrap(),
            [BATCH],
            "asked once at the stop"
        );
        assert_counted(&setup.metrics, "dropped", BATCH + 1);
    }

    #[tokio::test(start_paused = true)]
    async fn behind_a_collector_that_is_silent_the_queue_is_bounded_and_the_rest_counted() {
        let setup = Setup::new(Collector {
            is_silent: true,
            ..Collector::default()
        });
        setup.end(BATCH);
        let task = tokio::spawn(setup.exporter.run(setup.stop.clone()));
        while setup.taken.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        // One batch is under way, one queue waits.
        let (traces, metrics) = (setup.traces.clone(), setup.metrics.clone());
        for _ in 0..QUEUE + 5 {
            drop(traces.serve(&mut Request::get("/").body(()).unwrap()));
        }
        assert_counted(&metrics, "dropped", 5);
        task.abort();
    }
}
