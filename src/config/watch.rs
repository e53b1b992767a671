//! `[[watch]]`: lists fetched regularly.

use std::path::PathBuf;
use std::time::Duration;

use super::setting::Setting;
use super::tables::{Organization, Table};
use crate::domain::ids::OrganizationId;

/// `[[watch]]`: a list fetched regularly, to notice changes made elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// The organization whose groups are fetched.
    pub organization: OrganizationId,
    /// The file with the credential to fetch them with: one line, `EMAIL:PASSWORD` or an API token.
    pub credential_file: PathBuf,
    /// The time between two fetches.
    pub every: Duration,
}

/// The table's name.
pub(super) const NAME: &str = "watch";

pub(super) const KEYS: [&str; 3] = ["organization", "credential_file", "every"];

// Faster than this, upstream answers 429.
const SHORTEST: Duration = Duration::from_secs(1);

/// Takes one.
pub(super) fn take(table: &mut Table<'_, '_>) {
    // All three are looked at before any is missed.
    let organization = table.take::<Organization>("organization");
    let credential_file = table.take::<PathBuf>("credential_file");
    let every = table.take::<Every>("every");
    if let (Some(Organization(organization)), Some(credential_file), Some(Every(every))) =
        (organization, credential_file, every)
    {
        table.values.watch.push(Watch {
            organization,
            credential_file,
            every,
        });
    }
}

/// The time between two fetches.
struct Every(Duration);

impl Setting for Every {
    fn allowed() -> String {
        "a duration of at least 1s, such as `60s` or `5m`".to_owned()
    }

    fn parse(text: &str) -> Result<Self, String> {
        match Duration::parse(text)? {
            every if every < SHORTEST => Err("is too short".to_owned()),
            every => Ok(Self(every)),
        }
    }

    fn show(&self) -> Option<String> {
        self.0.show()
    }
}
