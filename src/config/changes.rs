//! What happens to a change: its record, who made it, and what may hold it back.

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use ipnet::IpNet;

use super::macros::{choice, section};
use super::{Database, Retention, Share};
use crate::domain::label::Label;

section! {
    /// The audit trail.
    "audit" Audit {
        /// Where it is kept. Default: `sqlite://tollgate.db`.
        database: Database = Database::default(),
        /// Which changes are recorded. Default: `all`.
        scope: Scope = Scope::All,
        /// What happens to a change that cannot be recorded. Default: `refuse`.
        on_failure: OnFailure = OnFailure::Refuse,
        /// The bytes of the largest body that is recorded. Default: `1MiB`.
        max_body_size: ByteSize = ByteSize::mib(1),
        /// How long events are kept. Default: `never`, which is for good.
        retention: Retention = Retention::Never,
    }
}

choice! {
    /// Which changes are recorded.
    Scope {
        /// Every change that passes.
        All = "all",
        /// Those that touch groups.
        Groups = "groups",
    }
}

choice! {
    /// What happens to a change that cannot be recorded.
    OnFailure {
        /// No audit, no change: it is answered 503 and not sent.
        Refuse = "refuse",
        /// It is sent without a row.
        Forward = "forward",
    }
}

section! {
    /// Who makes the requests.
    "identity" Identity {
        /// Whether upstream is asked who a credential belongs to. Default: `true`.
        lookup: bool = true,
        /// How long the answer is believed. Default: `24h`.
        ttl: Duration = Duration::from_secs(24 * 60 * 60),
        /// The key of the credentials' hashes, made on first start. Default: `tollgate.key`.
        key_file: PathBuf = PathBuf::from("tollgate.key"),
        /// Addresses whose `X-Forwarded-For` and `X-Tollgate-Actor` are believed. Default: `[]`.
        trusted_proxies: Vec<IpNet> = Vec::new(),
        /// The labels accepted in `/~LABEL/…`; none accepts any. Default: `[]`.
        tools: Vec<Label> = Vec::new(),
    }
}

section! {
    /// The brake on changes that remove many people.
    "guard" Guard {
        /// What happens to such a change. Default: `off`.
        mode: GuardMode = GuardMode::Off,
        /// The share of a group's people that may be removed at once. Default: `0.25`.
        max_removed_share: Share = Share::QUARTER,
        /// The number of people that may be removed from a group at once. Default: `10`.
        max_removed: u32 = 10,
    }
}

choice! {
    /// What happens to a change that removes more people than the guard allows.
    GuardMode {
        /// Nothing.
        Off = "off",
        /// Its event is flagged.
        Mark = "mark",
        /// It is refused until it is confirmed.
        Refuse = "refuse",
    }
}

choice! {
    /// Whether Tollgate acts.
    Mode {
        /// It does.
        Active = "active",
        /// It only watches: nothing is served from the cache, held back or refused.
        Observe = "observe",
    }
}

/// `[[sink]]`: where events are delivered besides.
#[derive(Clone, Debug)]
pub struct Sink {
    /// `https://…`, `syslog://…` or `file:…`.
    pub url: String,
    /// How an event is written. Default: `json`.
    pub format: SinkFormat,
    /// The file with the bearer token to send along. Default: none.
    pub token_file: Option<PathBuf>,
}

choice! {
    /// How a sink gets an event.
    SinkFormat {
        /// As the API tells it.
        Json = "json",
        /// As the Open Cybersecurity Schema Framework has it.
        Ocsf = "ocsf",
        /// In the envelope of CloudEvents.
        CloudEvents = "cloudevents",
    }
}
