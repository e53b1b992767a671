//! The log: where it goes and how a line looks.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt};

use crate::config::{Log, LogFormat};

/// Starts logging to standard error, so that standard output stays what a command prints.
///
/// Does nothing if logging was started before.
pub fn start(log: &Log) {
    let pretty = io::stderr().is_terminal();
    let format = log.format.unwrap_or(if pretty {
        LogFormat::Pretty
    } else {
        LogFormat::Json
    });
    let filter = EnvFilter::new(log.filter.as_str());
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
}
