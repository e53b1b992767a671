//! The ways in which a row can be somebody's.
//!
//! An actor is asked for by whatever a person has at hand: a name, an address, a number, the beginning of a
//! fingerprint. Each way is an equality of its own, so that each finds its rows by an index.

use serde_json::json;
use sqlx::SqliteConnection;

use crate::domain::ids::OrganizationId;
use crate::store::StoreError;

// A person has a handful of credentials. With more than this, the newest of them are found.
const MOST: i64 = 32;

/// One way in which a row can be an actor's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Identifier {
    /// The address, in any case.
    Email(String),
    /// The name, in any case.
    Name(String),
    /// The number upstream.
    User(i64),
    /// The fingerprint.
    Credential(String),
}

/// The ways in which a row can be by `actor`: as it says itself, and by whom it belongs to. What lists call
/// people is looked up `within` these organizations alone: who may not read a name must not find by it either.
pub(super) async fn resolve(
    connection: &mut SqliteConnection,
    actor: &str,
    within: Option<&[OrganizationId]>,
) -> Result<Vec<Identifier>, StoreError> {
    let number: Option<i64> = actor.parse().ok();
    let within = within.map(|within| json!(within).to_string());
    let known: Vec<(Option<String>, Option<i64>)> = sqlx::query_as(
        "SELECT credential_id, user_id FROM identities WHERE email = ?1 COLLATE NOCASE
         UNION SELECT credential_id, user_id FROM identities WHERE name = ?1 COLLATE NOCASE
         UNION SELECT credential_id, user_id FROM identities WHERE user_id = ?2
         UNION SELECT NULL, user_id FROM known_people WHERE name = ?1 COLLATE NOCASE
             AND (?4 IS NULL OR organization_id IN (SELECT value FROM json_each(?4)))
         LIMIT ?3",
    )
    .bind(actor)
    .bind(number)
    .bind(MOST)
    .bind(within)
    .fetch_all(&mut *connection)
    .await?;

    let mut found = if actor.contains('@') {
        vec![Identifier::Email(actor.to_owned())]
    } else {
        vec![Identifier::Name(actor.to_owned())]
    };
    found.extend(number.map(Identifier::User));
    for (credential, user) in known {
        found.extend(credential.map(Identifier::Credential));
        found.extend(user.map(Identifier::User));
    }
    if actor.len() >= 4 && actor.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let prefix = actor.to_ascii_lowercase();
        // From one fingerprint to the next by the index, however many rows each has.
        let credentials: Vec<String> = sqlx::query_scalar(
            "WITH RECURSIVE found (id) AS (
                 SELECT min(credential_id) FROM audit_events
                 WHERE credential_id >= ?1 AND credential_id < ?2
                 UNION ALL
                 SELECT (SELECT min(credential_id) FROM audit_events
                         WHERE credential_id > found.id AND credential_id < ?2)
                 FROM found WHERE found.id IS NOT NULL
             )
             SELECT id FROM found WHERE id IS NOT NULL LIMIT ?3",
        )
        .bind(&prefix)
        .bind(format!("{prefix}g")) // past every hexadecimal digit
        .bind(MOST)
        .fetch_all(connection)
        .await?;
        found.extend(credentials.into_iter().map(Identifier::Credential));
    }
    let mut unique: Vec<Identifier> = Vec::with_capacity(found.len());
    for identifier in found {
        if !unique.contains(&identifier) {
            unique.push(identifier);
        }
    }
    Ok(unique)
}
