//! The log: where it goes and how a line looks.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, fmt};

use crate::config::{Log, LogFilter, LogFormat};

/// What is logged, to be changed while it is. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Telemetry(Handle<EnvFilter, Registry>);

/// Starts logging to standard error, so that standard output stays what a command prints.
///
/// Does nothing if logging was started before.
pub fn start(log: &Log) -> Telemetry {
    let pretty = io::stderr().is_terminal();
    let format = log.format.unwrap_or(if pretty {
        LogFormat::Pretty
    } else {
        LogFormat::Json
    });
    let (filter, handle) = reload::Layer::new(EnvFilter::new(log.filter.as_str()));
    let registry = tracing_subscriber::registry().with(filter);
    // Twice is not an error: a test may run several gateways in one process.
    let _ = match format {
        LogFormat::Pretty => {
            let layer = fmt::layer()
                .with_writer(io::stderr)
                .with_target(false)
                .with_ansi(pretty);
            registry.with(layer).try_init()
        }
        LogFormat::Json => {
            let layer = fmt::layer()
                .json()
                .flatten_event(true)
                .with_span_list(false);
            registry
                .with(
                    layer
                        .with_span_events(FmtSpan::NONE)
                        .with_writer(io::stderr),
                )
                .try_init()
        }
    };
    Telemetry(handle)
}

// === impl Telemetry ===

impl Telemetry {
    /// From now on this is logged.
    pub fn set(&self, filter: &LogFilter) {
        // An error says that logging was started before this, by somebody else: then it is theirs.
        let _ = self.0.reload(EnvFilter::new(filter.as_str()));
    }
}
