//! Where somebody listens: at a TCP address, or at a Unix socket in the file system.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::setting::Setting;

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `127.0.0.1:8080`
    Tcp(SocketAddr),
    /// `unix:/run/tollgate/proxy.sock`
    Unix(PathBuf),
}

/// What a Unix socket's address begins with.
const UNIX: &str = "unix:";

/// As many bytes as the system has room for in a socket's path, but for the zero at its end.
const LONGEST: usize = 107;

// === impl Address ===

impl Address {
    /// The address and port, unless it is a Unix socket.
    #[must_use]
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// Whether who was told to listen here may listen at `other`: port 0 is any.
    #[must_use]
    pub fn allows(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tcp(this), Self::Tcp(other)) if this.port() == 0 => this.ip() == other.ip(),
            _ => self == other,
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

impl Setting for Address {
    fn allowed() -> String {
        "an IP address and a port, such as `127.0.0.1:8080` or `[::]:8080`, or a socket, such as \
         `unix:/run/tollgate/proxy.sock`"
            .to_owned()
    }

    fn parse(text: &str) -> Result<Self, String> {
        match text.strip_prefix(UNIX) {
            Some("") => Err("has no path".to_owned()),
            Some(path) if path.ends_with('/') => Err("is a folder".to_owned()),
            Some(path) if path.contains('\0') => Err("has a zero byte".to_owned()),
            Some(path) if path.len() > LONGEST => {
                Err(format!("has a path of more than {LONGEST} bytes"))
            }
            Some(path) => Ok(Self::Unix(path.into())),
            None => text
                .parse()
                .map(Self::Tcp)
                .map_err(|_| "is not an address with a port".to_owned()),
        }
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_what_is_read() {
        for text in ["127.0.0.1:8080", "[::]:0", "unix:/run/tollgate/proxy.sock"] {
            assert_eq!(Address::parse(text).unwrap().to_string(), text);
        }
        let longest = format!("unix:/{}", "a".repeat(LONGEST - 1));
        assert!(Address::parse(&longest).is_ok());
        for wrong in ["unix:", "unix:/run/", "unix:/a\0b", "/run/a", "a:80"] {
            assert!(Address::parse(wrong).is_err(), "{wrong:?}");
        }
        assert!(Address::parse(&format!("{longest}a")).is_err());
    }

    #[test]
    fn a_free_port_is_any_port_of_that_address_and_all_else_is_itself() {
        let allows = |one, other| {
            let of = |text| Address::parse(text).unwrap();
            of(one).allows(&of(other))
        };
        assert!(allows("127.0.0.1:0", "127.0.0.1:40000"));
        assert!(allows("127.0.0.1:8080", "127.0.0.1:8080"));
        assert!(allows("unix:/run/a", "unix:/run/a"));
        assert!(!allows("127.0.0.1:0", "0.0.0.0:40000"));
        assert!(!allows("127.0.0.1:8080", "0.0.0.0:8080"));
        assert!(!allows("127.0.0.1:8080", "127.0.0.1:8081"));
        assert!(!allows("127.0.0.1:0", "unix:/run/a"));
    }
}
