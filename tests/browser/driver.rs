//! The program that drives a browser, as a process of its own on a free port.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

/// See the [module](self). Dropped, also by a test that fails, it ends with the browsers that it started.
pub(crate) struct Driver {
    child: Child,
    port: u16,
    folder: TempDir,
    // Held open: who writes into a closed pipe dies of it.
    _output: BufReader<ChildStdout>,
}

// === impl Driver ===

impl Driver {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new("chromedriver")
            .arg("--port=0")
            // Whatever they leave lying about goes with us.
            .env("TMPDIR", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("chromedriver: {error}: these tests need chromium and chromedriver")
            });
        let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut said = String::new();
        let port = loop {
            let read = output.read_line(&mut said).unwrap();
            assert_ne!(read, 0, "chromedriver did not start: {said}");
            let last = said.lines().last().unwrap_or_default();
            let port = last.split_once("successfully on port ");
            if let Some((_, port)) = port {
                break port.trim_end_matches('.').parse().unwrap();
            }
        };
        Self {
            child,
            port,
            folder,
            _output: output,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where its browser may keep what it likes.
    pub(crate) fn profile(&self) -> String {
        self.folder.path().join("profile").display().to_string()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // A browser reads its commands from a pipe of the driver's and ends with it; what does not is in
        // its group.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}
