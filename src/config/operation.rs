//! What the people who run Tollgate see of it.

use std::path::PathBuf;

use super::macros::{choice, section};
use super::{LogFilter, Secret};
use crate::domain::ids::OrganizationId;

section! {
    /// The admin side.
    "admin" Admin {
        /// The token of the administrator. Default: none; one is made on first start and kept in
        /// `tollgate.token`.
        token: Option<Secret> = None,
        /// Whether `/metrics` needs no token. Default: `false`.
        public_metrics: bool = false,
    }
    tables {
        /// Further tokens. Default: none.
        tokens: AdminToken,
    }
}

/// `[[admin.tokens]]`: a further token for the admin side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminToken {
    /// Whose it is, as the trail names it.
    pub name: String,
    /// The file with the token: one line.
    pub token_file: PathBuf,
    /// What it allows.
    pub role: Role,
    /// The organizations it is for. Default: all.
    pub organizations: Vec<OrganizationId>,
}

choice! {
    /// What a token allows.
    Role {
        /// To read.
        Reader = "reader",
        /// To read and to act.
        Admin = "admin",
    }
}

section! {
    /// The log.
    "log" Log {
        /// How a line is written. Default: none, which is `pretty` on a terminal and else `json`.
        format: Option<LogFormat> = None,
        /// What is logged: a level, or directives such as `info,tollgate=debug`. Default: `info`.
        filter: LogFilter = LogFilter::default(),
    }
}

choice! {
    /// How a line of the log is written.
    LogFormat {
        /// For people.
        Pretty = "pretty",
        /// For machines, an object a line.
        Json = "json",
    }
}
