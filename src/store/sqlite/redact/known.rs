//! What else a person is called, and what is known of them outside the trail.

use sqlx::sqlite::SqliteConnection;

use super::super::query;
use super::super::reader::stored;
use crate::domain::erase::{Eraser, Named};
use crate::store::StoreError;
use crate::store::stored::Stored;

/// How many rows are in memory at once.
const STEP: u32 = 500;

// Credential, number, address, name.
type Identity = (String, Option<i64>, Option<String>, Option<String>);

/// Takes over what the tables say of the person, in rows after `after`; gives the last row.
pub(super) async fn know(
    connection: &mut SqliteConnection,
    person: &mut Named,
    after: i64,
) -> Result<i64, StoreError> {
    let mut last = after;
    loop {
        let known = person.count();
        let identities: Vec<Identity> =
            sqlx::query_as("SELECT credential_id, user_id, email, name FROM identities")
                .fetch_all(&mut *connection)
                .await?;
        for (credential, user, email, name) in identities {
            let by_email = email
                .as_ref()
                .is_some_and(|email| person.emails.contains(email));
            let theirs = match user {
                Some(user) => user == person.id,
                None => by_email || person.credentials.contains(&credential),
            };
            if theirs {
                person.extend(name.as_deref(), email.as_deref(), Some(&credential));
            }
        }
        let names: Vec<String> =
            sqlx::query_scalar("SELECT DISTINCT name FROM known_people WHERE user_id = ?")
                .bind(person.id)
                .fetch_all(&mut *connection)
                .await?;
        for name in &names {
            person.extend(Some(name), None, None);
        }
        for state in states(connection).await? {
            if let Ok(value) = serde_json::from_str(&state) {
                person.gather_from(&value);
            }
        }
        let mut at = after;
        loop {
            let rows = rows_after(connection, at).await?;
            let Some(end) = rows.last() else { break };
            at = end.link.seq;
            for stored in &rows {
                person.gather(&stored.row);
            }
        }
        last = last.max(at);
        // A name found late may stand in an earlier row beside another one.
        if person.count() == known {
            return Ok(last);
        }
    }
}

async fn states(connection: &mut SqliteConnection) -> Result<Vec<String>, StoreError> {
    let states = sqlx::query_scalar(
        "SELECT state FROM known_groups WHERE state IS NOT NULL
         UNION SELECT state FROM known_view_groups WHERE state IS NOT NULL",
    )
    .fetch_all(connection)
    .await?;
    Ok(states)
}

/// The next rows after `after`.
pub(super) async fn rows_after(
    connection: &mut SqliteConnection,
    after: i64,
) -> Result<Vec<Stored>, StoreError> {
    let rows = sqlx::query(query::NEXT.as_str())
        .bind(after)
        .bind(STEP)
        .fetch_all(connection)
        .await?;
    rows.iter().map(stored).collect()
}

/// Drops what is known of the person outside the trail; what is true of others is learned again.
pub(super) async fn forget(
    connection: &mut SqliteConnection,
    person: &Named,
    eraser: &Eraser,
) -> Result<u64, StoreError> {
    let mut forgotten = 0;
    for delete in [
        "DELETE FROM identities WHERE user_id = ?",
        "DELETE FROM known_people WHERE user_id = ?",
    ] {
        let deleted = sqlx::query(delete)
            .bind(person.id)
            .execute(&mut *connection)
            .await?;
        forgotten += deleted.rows_affected();
    }
    for credential in &person.credentials {
        for delete in [
            "DELETE FROM identities WHERE credential_id = ?",
            "DELETE FROM known_views WHERE credential_id = ?",
            "DELETE FROM known_view_groups WHERE credential_id = ?",
        ] {
            let deleted = sqlx::query(delete)
                .bind(credential)
                .execute(&mut *connection)
                .await?;
            forgotten += deleted.rows_affected();
        }
    }
    for state in states(connection).await? {
        if eraser.is_in(&state) {
            for forget in [
                "DELETE FROM known_groups WHERE state = ?",
                // The row stays, so that the group is not taken for a new one in the next list.
                "UPDATE known_view_groups SET state = NULL WHERE state = ?",
            ] {
                let deleted = sqlx::query(forget)
                    .bind(&state)
                    .execute(&mut *connection)
                    .await?;
                forgotten += deleted.rows_affected();
            }
        }
    }
    Ok(forgotten)
}
