//! `[[admin.tokens]]`: further tokens for the admin side.

use std::path::PathBuf;

use super::operation::{AdminToken, Role};
use super::setting::{Kind, Raw, Setting};
use super::tables::{Organization, Table};

/// The table's name.
pub(super) const NAME: &str = "admin.tokens";

pub(super) const KEYS: [&str; 4] = ["name", "token_file", "role", "organizations"];

/// What the token of `admin.token` is called.
pub const ADMINISTRATOR: &str = "admin";

/// Takes one.
pub(super) fn take(table: &mut Table<'_, '_>) {
    // All are looked at before any is missed.
    let name = table.take::<Name>("name");
    let token_file = table.take::<PathBuf>("token_file");
    let role = table.take::<Role>("role");
    let organizations = table.take_or::<Few>("organizations", || Some(Few(Vec::new())));
    let (Some(Name(name)), Some(token_file), Some(role), Some(Few(organizations))) =
        (name, token_file, role, organizations)
    else {
        return;
    };
    // The trail tells people apart by it.
    if table.values.tokens.iter().any(|known| known.name == name) {
        table.wrong(
            "name",
            format!("{name:?} has a token already; give each a name of its own"),
        );
        return;
    }
    let organizations = organizations.into_iter().map(|Organization(id)| id);
    table.values.tokens.push(AdminToken {
        name,
        token_file,
        role,
        organizations: organizations.collect(),
    });
}

/// The organizations that a token is for, if not all.
struct Few(Vec<Organization>);

impl Setting for Few {
    const KIND: Kind = Kind::List;

    fn allowed() -> String {
        format!(
            "{}; leave the key out for all",
            <Vec<Organization>>::allowed()
        )
    }

    fn parse(text: &str) -> Result<Self, String> {
        Vec::parse(text).map(Self)
    }

    fn show(&self) -> Option<String> {
        self.0.show()
    }

    fn read(raw: &Raw) -> Result<Self, String> {
        let few: Vec<Organization> = Vec::read(raw)?;
        // Whoever fills in a template with nobody's organizations means none, and would open all.
        if few.is_empty() {
            return Err("is empty".to_owned());
        }
        Ok(Self(few))
    }
}

/// Whose it is.
struct Name(String);

impl Setting for Name {
    fn allowed() -> String {
        format!(
            "1 to 64 visible characters, and not `{ADMINISTRATOR}`, which is the one of admin.token"
        )
    }

    fn parse(text: &str) -> Result<Self, String> {
        let name = text.trim();
        if name == ADMINISTRATOR {
            return Err("is taken".to_owned());
        }
        if name.is_empty() || name.chars().count() > 64 || name.contains(char::is_control) {
            return Err("is none".to_owned());
        }
        Ok(Self(name.to_owned()))
    }

    fn show(&self) -> Option<String> {
        Some(self.0.clone())
    }
}
