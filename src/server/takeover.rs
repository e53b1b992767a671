//! Lets a new binary take this process's place, with its listening sockets.
//!
//! **Guarantee**: no connection is refused meanwhile. The sockets stay open from this process to the next; who
//! connects in between waits in the kernel's queue until that one serves. And never do two serve: everything
//! under way has ended before the next one begins, because a list in its cache could not be closed by a change
//! that this one still sends (DESIGN §1.3), and because who is alone with the database recovers what a crash
//! left behind.
//!
//! The process stays the same, so whoever watches over it notices nothing: it becomes the new binary (`exec`).

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, Weak};

use command_fds::{CommandFdExt as _, FdMapping};

use super::handed::{NAMES, OURS, THEIRS};
use super::listener::Listener;
use crate::config::Listen;

/// The sockets of a gateway, while it listens.
#[derive(Clone, Debug)]
pub struct Sockets {
    proxy: Weak<Listener>,
    admin: Weak<Listener>,
}

/// What this process becomes.
#[derive(Debug)]
pub struct Successor {
    command: Command,
}

/// What a process is started with: the binary by the name that it was called by, so that a link that leads to
/// another version now is followed anew, and the words after it.
fn itself() -> io::Result<(OsString, impl Iterator<Item = OsString>)> {
    let mut words = std::env::args_os();
    let binary = words.next().ok_or(io::ErrorKind::NotFound)?;
    Ok((binary, words))
}

// === impl Sockets ===

impl Sockets {
    /// The sockets of these, for as long as they listen.
    #[must_use]
    pub fn of(proxy: &Arc<Listener>, admin: &Arc<Listener>) -> Self {
        Self {
            proxy: Arc::downgrade(proxy),
            admin: Arc::downgrade(admin),
        }
    }

    /// Keeps them open, for the binary that is there now, and gives what becomes of this process. `listen` is
    /// what that binary will read, if this one can tell.
    ///
    /// # Errors
    ///
    /// When they are closed already, or are to be others, or nobody knows how the process was started.
    pub fn keep(&self, listen: Option<&Listen>) -> io::Result<Successor> {
        let open = |listener: &Weak<_>| listener.upgrade().ok_or(io::ErrorKind::NotConnected);
        let listeners: [Arc<Listener>; 2] = [open(&self.proxy)?, open(&self.admin)?];
        let wanted = listen.map(|listen| [&listen.proxy, &listen.admin]);
        for (listener, wanted) in listeners.iter().zip(wanted.into_iter().flatten()) {
            if !wanted.allows(&listener.address()?) {
                let problem = format!("it is to listen on {wanted}, which takes a restart");
                return Err(io::Error::other(problem));
            }
        }
        let name = |listener: &Arc<Listener>| {
            if listener.removes_file() {
                OURS
            } else {
                THEIRS
            }
        };
        let names: Vec<_> = listeners.iter().map(name).collect();
        let sockets = listeners.iter().map(|listener| listener.keep());
        let sockets = sockets.collect::<io::Result<Vec<_>>>()?;
        let (binary, words) = itself()?;
        let mut command = Command::new(binary);
        command.args(words);
        command
            .env("LISTEN_FDS", sockets.len().to_string())
            // It stays the same process.
            .env("LISTEN_PID", std::process::id().to_string())
            .env(NAMES, names.join(":"));
        command
            .fd_mappings(from_three_on(sockets))
            .map_err(io::Error::other)?;
        Ok(Successor { command })
    }
}

fn from_three_on(sockets: Vec<OwnedFd>) -> Vec<FdMapping> {
    let numbered = sockets.into_iter().zip(3..);
    let mapped = numbered.map(|(parent_fd, child_fd)| FdMapping {
        parent_fd,
        child_fd,
    });
    mapped.collect()
}

/// Asks the binary that is there now to check something before it takes over.
///
/// # Errors
///
/// What it says against it, or why it cannot be run.
pub fn ask_successor(words: &[OsString]) -> io::Result<()> {
    let (binary, _) = itself()?;
    let asked = Command::new(binary)
        .args(words)
        .stdin(Stdio::null())
        .output()?;
    if asked.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&asked.stderr);
    Err(io::Error::other(said.trim().to_owned()))
}

// === impl Successor ===

impl Successor {
    /// Becomes the new binary. To be called when nothing else of this process runs any more.
    ///
    /// It comes back only with the reason why it could not; the sockets are closed then.
    #[must_use]
    pub fn take_over(mut self) -> io::Error {
        self.command.exec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Address;

    #[tokio::test]
    async fn sockets_are_kept_only_where_they_are_to_be() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("proxy.sock");
        let address = Address::Unix(path.clone());
        let proxy = Arc::new(Listener::bind("listen.proxy", &address).await.unwrap());
        let free = "127.0.0.1:0"
            .parse::<std::net::SocketAddr>()
            .unwrap()
            .into();
        let admin = Arc::new(Listener::bind("listen.admin", &free).await.unwrap());
        let sockets = Sockets::of(&proxy, &admin);
        let listen = |admin| Listen {
            proxy: address.clone(),
            admin,
            ..Listen::default()
        };
        let elsewhere = sockets.keep(Some(&listen(Listen::default().admin)));
        let error = elsewhere.unwrap_err().to_string();
        assert_eq!(
            error,
            "it is to listen on 127.0.0.1:8081, which takes a restart"
        );
        let _successor = sockets.keep(Some(&listen(free))).unwrap();
        drop((proxy, admin));
        assert!(path.exists());
        assert!(sockets.keep(None).is_err(), "they are closed here");
    }
}
