//! A socket that connections come in at: TCP, or a Unix socket in the file system.
//!
//! **Guarantees** for a Unix socket: its file is open to this user and its group and to nobody else, from the
//! first moment; it takes the place of one that nobody serves any more, never that of one that is served, and
//! never that of a file that is no socket; and it is removed when the listener is dropped, unless somebody else
//! made it, has put another one in its place, or is to go on with it.

use std::fs::{self, Permissions};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::Mode;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixSocket, UnixStream};
use tokio_util::either::Either;

use crate::config::Address;

/// See the [module](self).
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    /// What is to be removed at the end.
    file: Option<SocketFile>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
    is_kept: AtomicBool,
}

/// Why nothing can be listened at.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The system does not allow it.
    #[error("{key}: cannot listen on {address}; is another gateway running there?")]
    Refused {
        /// The key that names the address.
        key: &'static str,
        /// The address.
        address: Address,
        /// What the system says.
        source: io::Error,
    },
    /// Another process answers there.
    #[error("{key}: {} is served by another process; end that one, or give this one another socket", path.display())]
    Served {
        /// The key that names the path.
        key: &'static str,
        /// The path.
        path: PathBuf,
    },
    /// Something else has that name.
    #[error("{key}: {} is there and is no socket; nothing was done to it", path.display())]
    NoSocket {
        /// The key that names the path.
        key: &'static str,
        /// The path.
        path: PathBuf,
    },
    /// Nothing in the configuration names it.
    #[error(
        "a socket was handed over that listens on {0}, which is neither listen.proxy nor listen.admin; say the \
         same in both places"
    )]
    Unasked(Address),
    /// What was handed over is no use.
    #[error("file descriptor {number}, which was handed over, is no socket that listens")]
    Unusable {
        /// Its number.
        number: usize,
        /// What the system says.
        source: io::Error,
    },
}

/// One end of a connection.
pub(super) type Stream = Either<TcpStream, UnixStream>;

/// How many connections may wait to be accepted; the system may allow fewer.
const BACKLOG: u32 = 1024;

/// Who may connect to a Unix socket: this user and its group.
const MODE: u32 = 0o660;

/// Who is at the other end of a Unix socket: somebody on this machine.
const THIS_MACHINE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

// === impl Listener ===

impl Listener {
    /// Begins to listen at the address that `key` names.
    ///
    /// # Errors
    ///
    /// When something is in the way.
    pub async fn bind(key: &'static str, address: &Address) -> Result<Self, ListenError> {
        let refused = |source| ListenError::Refused {
            key,
            address: address.clone(),
            source,
        };
        match address {
            Address::Tcp(address) => {
                let listener = TcpListener::bind(address).await.map_err(refused)?;
                Ok(listener.into())
            }
            Address::Unix(path) => {
                make_room(key, path, refused).await?;
                Self::at(path).map_err(refused)
            }
        }
    }

    fn at(path: &Path) -> io::Result<Self> {
        let socket = UnixSocket::new_stream()?;
        // Before it has a name, so that it is never open to others: the file gets what the socket has.
        rustix::fs::fchmod(&socket, Mode::from_raw_mode(MODE))?;
        socket.bind(path)?;
        // Of which the umask has taken something away.
        fs::set_permissions(path, Permissions::from_mode(MODE))?;
        let file = SocketFile::of(path)?;
        let listener = socket.listen(BACKLOG)?;
        Ok(Self {
            socket: Socket::Unix(listener, path.to_owned()),
            file: Some(file),
        })
    }

    /// A Unix socket that somebody else bound. `is_ours`: its file is to go when the listener does.
    pub(super) fn handed(listener: UnixListener, is_ours: bool) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let path = address.as_pathname().ok_or(io::ErrorKind::Unsupported)?;
        Ok(Self {
            file: is_ours.then(|| SocketFile::of(path)).transpose()?,
            socket: Socket::Unix(listener, path.to_owned()),
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// When the system does not tell.
    pub fn address(&self) -> io::Result<Address> {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr().map(Address::Tcp),
            Socket::Unix(_, path) => Ok(Address::Unix(path.clone())),
        }
    }

    /// Whether what goes over it leaves the machine, or may.
    pub(super) fn is_tcp(&self) -> bool {
        matches!(self.socket, Socket::Tcp(_))
    }

    /// Whether the file of a Unix socket is removed at the end.
    pub(super) fn removes_file(&self) -> bool {
        self.file.is_some()
    }

    /// The socket for whoever goes on with it. When this listener is gone, it still listens.
    ///
    /// # Errors
    ///
    /// When there are no more file descriptors.
    pub(super) fn keep(&self) -> io::Result<OwnedFd> {
        let socket = self.as_fd().try_clone_to_owned()?;
        if let Some(file) = &self.file {
            file.is_kept.store(true, Ordering::Relaxed);
        }
        Ok(socket)
    }

    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Tcp(listener) => listener.as_fd(),
            Socket::Unix(listener, _) => listener.as_fd(),
        }
    }

    /// The next connection, and who is at its other end.
    pub(super) async fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        match &self.socket {
            Socket::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Answers are written whole; waiting for more only delays them.
                let _ = stream.set_nodelay(true);
                Ok((Stream::Left(stream), peer))
            }
            Socket::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Right(stream), THIS_MACHINE))
            }
        }
    }
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self {
            socket: Socket::Tcp(listener),
            file: None,
        }
    }
}

// Takes away what a process left that did not end by itself, and nothing else.
async fn make_room(
    key: &'static str,
    path: &Path,
    refused: impl Fn(io::Error) -> ListenError,
) -> Result<(), ListenError> {
    let path = path.to_owned();
    match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(refused(error)),
        Ok(file) if !file.file_type().is_socket() => {
            return Err(ListenError::NoSocket { key, path });
        }
        Ok(_) => {}
    }
    match UnixStream::connect(&path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(&path).map_err(refused)
        }
        // Its queue is full, so somebody has one.
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(refused(error)),
        Ok(_) | Err(_) => Err(ListenError::Served { key, path }),
    }
}

// === impl SocketFile ===

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        let file = fs::symlink_metadata(path)?;
        Ok(Self {
            path: path.to_owned(),
            device: file.dev(),
            inode: file.ino(),
            is_kept: AtomicBool::new(false),
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_there = fs::symlink_metadata(&self.path)
            .is_ok_and(|file| (file.dev(), file.ino()) == (self.device, self.inode));
        if is_there && !self.is_kept.load(Ordering::Relaxed) {
            // Else the next start finds that nobody serves it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn path(&self) -> PathBuf {
            self.0.path().join("proxy.sock")
        }

        async fn listen(&self) -> Result<Listener, ListenError> {
            Listener::bind("listen.proxy", &Address::Unix(self.path())).await
        }
    }

    #[tokio::test]
    async fn a_sockets_file_is_open_to_user_and_group_and_gone_at_the_end() {
        let folder = Folder::new();
        let listener = folder.listen().await.unwrap();
        let mode = fs::metadata(folder.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        drop(listener);
        assert!(!folder.path().exists());
    }

    #[tokio::test]
    async fn one_that_a_dead_process_left_is_replaced() {
        let folder = Folder::new();
        // The standard library's listener leaves its file.
        drop(std::os::unix::net::UnixListener::bind(folder.path()).unwrap());
        assert!(folder.path().exists());
        let listener = folder.listen().await.unwrap();
        let (connected, accepted) =
            tokio::join!(UnixStream::connect(folder.path()), listener.accept());
        connected.unwrap();
        assert_eq!(accepted.unwrap().1.ip(), Ipv4Addr::LOCALHOST);
    }

    #[tokio::test]
    async fn one_that_is_served_stays_and_so_does_a_file_that_is_none() {
        let folder = Folder::new();
        let first = folder.listen().await.unwrap();
        let second = folder.listen().await.unwrap_err();
        assert!(matches!(second, ListenError::Served { .. }), "{second}");
        UnixStream::connect(folder.path()).await.unwrap();
        drop(first);

        fs::write(folder.path(), "kept").unwrap();
        let error = folder.listen().await.unwrap_err();
        assert!(matches!(error, ListenError::NoSocket { .. }), "{error}");
        assert_eq!(fs::read_to_string(folder.path()).unwrap(), "kept");
        fs::remove_file(folder.path()).unwrap();
        std::os::unix::fs::symlink("/nowhere", folder.path()).unwrap();
        let error = folder.listen().await.unwrap_err();
        assert!(matches!(error, ListenError::NoSocket { .. }), "{error}");
    }

    #[tokio::test]
    async fn what_another_has_put_in_its_place_is_not_removed() {
        let folder = Folder::new();
        let first = folder.listen().await.unwrap();
        fs::remove_file(folder.path()).unwrap();
        let second = folder.listen().await.unwrap();
        drop(first);
        UnixStream::connect(folder.path()).await.unwrap();
        drop(second);
        assert!(!folder.path().exists());
    }

    #[tokio::test]
    async fn a_socket_that_is_kept_listens_on() {
        let folder = Folder::new();
        let listener = folder.listen().await.unwrap();
        let kept = listener.keep().unwrap();
        drop(listener);
        UnixStream::connect(folder.path()).await.unwrap();
        drop(kept);
        let error = UnixStream::connect(folder.path()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
