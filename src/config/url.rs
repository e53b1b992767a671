//! The addresses in a configuration: whom Tollgate asks, where it keeps the trail, whom it tells of requests.
//!
//! They are checked once, here: what a value of these types says can be dialled or opened without
//! another look at its form.

use std::fmt;
use std::path::{Path, PathBuf};

use http::Uri;
use http::uri::{Authority, Scheme};

use super::setting::Setting;

/// Scheme, host and port of the upstream; no path, no query, no user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamUrl {
    scheme: Scheme,
    authority: Authority,
}

/// Where spans of requests are sent: the whole address, path included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpEndpoint(Uri);

/// Where the trail is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Database {
    /// In a SQLite file, made when it is not there.
    Sqlite(PathBuf),
}

// === impl UpstreamUrl ===

impl UpstreamUrl {
    /// `http` or `https`.
    #[must_use]
    pub fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// Whether the connection is encrypted.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// Host and port as they were written: what goes into `Host`.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The host alone; an IPv6 address is in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.authority.host()
    }

    /// The port, the scheme's own if none was written.
    #[must_use]
    pub fn port(&self) -> u16 {
        let usual = if self.is_https() { 443 } else { 80 };
        self.authority.port_u16().unwrap_or(usual)
    }
}

impl Default for UpstreamUrl {
    fn default() -> Self {
        Self {
            scheme: Scheme::HTTPS,
            authority: Authority::from_static("api.track.toggl.com"),
        }
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

impl Setting for UpstreamUrl {
    fn allowed() -> String {
        "`http://HOST`, `https://HOST` or `https://HOST:PORT`".to_owned()
    }

    fn parse(text: &str) -> Result<Self, String> {
        let wrong = |problem: &str| Err(problem.to_owned());
        let Ok(parts) = text.parse::<Uri>().map(Uri::into_parts) else {
            return wrong("is not a URL");
        };
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return wrong("has no scheme");
        };
        if scheme != Scheme::HTTP && scheme != Scheme::HTTPS {
            return wrong("has a scheme that is neither");
        }
        if authority.as_str().contains('@') {
            return wrong("has a user in it; the callers' credentials are used");
        }
        // `host:` and `host:99999` pass as authorities.
        let after_host = authority
            .as_str()
            .strip_prefix(authority.host())
            .unwrap_or_default();
        let port = authority.port_u16();
        if authority.host().is_empty() {
            return wrong("has no host");
        }
        if !after_host.is_empty() && port.is_none_or(|port| port == 0) {
            return wrong("has an impossible port");
        }
        // A path would have to be put before each caller's own, which goes up byte for byte.
        match parts
            .path_and_query
            .as_ref()
            .map_or("", |path| path.as_str())
        {
            "" | "/" => Ok(Self { scheme, authority }),
            _ => wrong("has a path or a query"),
        }
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

// === impl OtlpEndpoint ===

impl fmt::Display for OtlpEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Setting for OtlpEndpoint {
    fn allowed() -> String {
        "`http://HOST:4318` or `https://HOST`; `/v1/traces` is added where there is no path"
            .to_owned()
    }

    fn parse(text: &str) -> Result<Self, String> {
        // What a collector wants to know of who sends is in the standard variable, and in no message.
        if text.contains('@') {
            return Err("has a user in it; set OTEL_EXPORTER_OTLP_HEADERS instead".to_owned());
        }
        if text.contains(['?', '#']) {
            return Err("has a query".to_owned());
        }
        let rest = text.split_once("://").map_or("", |(_, rest)| rest);
        let base = rest
            .find('/')
            .map_or(text, |path| &text[..text.len() - rest.len() + path]);
        let base = UpstreamUrl::parse(base)?;
        let path = match rest.find('/').map_or("/", |path| &rest[path..]) {
            "/" => "/v1/traces",
            path => path,
        };
        match format!("{base}{path}").parse() {
            Ok(uri) => Ok(Self(uri)),
            Err(_) => Err("is not a URL".to_owned()),
        }
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

// === impl Database ===

impl Database {
    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Sqlite(path) => path,
        }
    }
}

impl Default for Database {
    fn default() -> Self {
        Self::Sqlite("tollgate.db".into())
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
        }
    }
}

impl Setting for Database {
    fn allowed() -> String {
        "`sqlite://PATH`, such as `sqlite://tollgate.db` or `sqlite:///var/lib/tollgate/audit.db`"
            .to_owned()
    }

    fn parse(text: &str) -> Result<Self, String> {
        let wrong = |problem: &str| Err(problem.to_owned());
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return wrong("is PostgreSQL, which is not available in this version");
        }
        match text.strip_prefix("sqlite://") {
            None => wrong("does not begin with `sqlite://`"),
            Some("") => wrong("has no path"),
            Some(":memory:") => wrong("would be gone with the process"),
            Some(path) if path.contains(['?', '#']) => wrong("has options after the path"),
            Some(path) => Ok(Self::Sqlite(path.into())),
        }
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}
