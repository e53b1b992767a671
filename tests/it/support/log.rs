//! The log of all gateways of this process, so that a test can look for what must not be in it.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use tracing_subscriber::EnvFilter;

static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static START: Once = Once::new();

struct Sink;

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lines().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn lines() -> MutexGuard<'static, Vec<u8>> {
    LINES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts to take the log down, at a level at which libraries talk as well. Tells where it is now.
pub(super) fn start() -> usize {
    START.call_once(|| {
        tracing_subscriber::fmt()
            .json()
            .with_writer(|| Sink)
            .with_env_filter(EnvFilter::new("debug,tollgate=trace"))
            .init();
    });
    lines().len()
}

/// What was logged since then, by this gateway and those that ran beside it.
pub(super) fn since(start: usize) -> String {
    String::from_utf8_lossy(&lines()[start..]).into_owned()
}
