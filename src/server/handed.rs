//! Sockets that somebody opened for us and handed over, as systemd does: a count in `LISTEN_FDS`, and the
//! sockets from file descriptor 3 on. systemd, or the process whose [place](super::takeover) this one takes.
//!
//! Which is which the configuration says: a socket is the proxy's if it listens where `listen.proxy` is, the
//! admin side's if it listens where `listen.admin` is. Any other is a mistake, so that what is open is what the
//! configuration says, and `tollgate healthcheck` asks at the right place.

use std::io;

use listenfd::ListenFd;
use tokio::net::{TcpListener, UnixListener};

use super::listener::{ListenError, Listener};
use crate::config::{Address, Listen};

/// Sockets that were handed over.
#[derive(Debug, Default)]
pub struct Handed(Vec<(Address, Listener)>);

/// The variable with a name for each socket.
pub(super) const NAMES: &str = "LISTEN_FDNAMES";

/// The name of a socket whose file Tollgate made, and removes at its end.
pub(super) const OURS: &str = "tollgate-made";

/// The name of any other.
pub(super) const THEIRS: &str = "handed-over";

// === impl Handed ===

impl Handed {
    /// Those that this process was started with. There are none the second time.
    ///
    /// # Errors
    ///
    /// When one of them is no socket that listens.
    pub fn from_environment() -> Result<Self, ListenError> {
        let names = std::env::var(NAMES).unwrap_or_default();
        let names: Vec<_> = names.split(':').collect();
        let mut sockets = ListenFd::from_env();
        (0..sockets.len())
            .map(|index| {
                let is_ours = names.get(index).is_some_and(|name| *name == OURS);
                let unusable = |source| ListenError::Unusable {
                    number: index + 3,
                    source,
                };
                let listener = take(&mut sockets, index, is_ours).map_err(unusable)?;
                let address = listener.address().map_err(unusable)?;
                Ok((address, listener))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    fn at(&mut self, wanted: &Address) -> Option<Listener> {
        let mut sockets = self.0.iter();
        let index = sockets.position(|(address, _)| wanted.allows(address))?;
        Some(self.0.remove(index).1)
    }
}

/// The proxy's listener and the admin side's: what was handed over for them, else what they bind.
///
/// # Errors
///
/// When an address cannot be listened at, or a socket was handed over that is for neither.
pub async fn listeners(
    listen: &Listen,
    mut handed: Handed,
) -> Result<(Listener, Listener), ListenError> {
    let (proxy, admin) = (handed.at(&listen.proxy), handed.at(&listen.admin));
    if let Some((address, _)) = handed.0.pop() {
        return Err(ListenError::Unasked(address));
    }
    let or_bound = async |handed, key, address| match handed {
        Some(listener) => Ok(listener),
        None => Listener::bind(key, address).await,
    };
    Ok((
        or_bound(proxy, "listen.proxy", &listen.proxy).await?,
        or_bound(admin, "listen.admin", &listen.admin).await?,
    ))
}

fn take(sockets: &mut ListenFd, index: usize, is_ours: bool) -> io::Result<Listener> {
    if let Ok(Some(listener)) = sockets.take_unix_listener(index) {
        listener.set_nonblocking(true)?;
        return Listener::handed(UnixListener::from_std(listener)?, is_ours);
    }
    let listener = sockets.take_tcp_listener(index)?;
    let listener = listener.ok_or(io::ErrorKind::NotFound)?;
    listener.set_nonblocking(true)?;
    Ok(TcpListener::from_std(listener)?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn bound(address: &str) -> (Address, Listener) {
        let listener: Listener = TcpListener::bind(address).await.unwrap().into();
        (listener.address().unwrap(), listener)
    }

    fn listen(proxy: &Address, admin: &str) -> Listen {
        Listen {
            proxy: proxy.clone(),
            admin: admin.parse::<std::net::SocketAddr>().unwrap().into(),
            ..Listen::default()
        }
    }

    #[tokio::test]
    async fn each_side_takes_the_socket_at_its_address_and_binds_where_there_is_none() {
        let (one, other) = (bound("127.0.0.1:0").await, bound("127.0.0.1:0").await);
        let (proxy, kept) = (other.0.clone(), one.0.clone());
        // Handed over in the other order.
        let sides = listen(&proxy, &kept.to_string());
        let (proxy_side, admin_side) = listeners(&sides, Handed(vec![one, other])).await.unwrap();
        assert_eq!(proxy_side.address().unwrap(), proxy);
        assert_eq!(admin_side.address().unwrap(), kept);
        drop((proxy_side, admin_side));

        let one = bound("127.0.0.1:0").await;
        let sides = listen(&one.0.clone(), "127.0.0.1:0");
        assert!(listeners(&sides, Handed(vec![one])).await.is_ok());
    }

    #[tokio::test]
    async fn a_socket_that_the_configuration_does_not_name_is_a_mistake() {
        let (one, other) = (bound("127.0.0.1:0").await, bound("127.0.0.1:0").await);
        let sides = listen(&one.0.clone(), "127.0.0.2:0");
        let error = listeners(&sides, Handed(vec![one, other])).await;
        assert!(matches!(error, Err(ListenError::Unasked(_))));
    }
}
