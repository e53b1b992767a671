//! The events page by page, so that a long list needs no more memory than a short one.

use super::StoreError;
use super::filter::{Cursor, Filter};
use super::sqlite::Reader;
use crate::domain::event::Event;

/// How many events are in memory at once.
const PAGE: u32 = 500;

/// Events that match, from a place on.
#[derive(Debug)]
pub struct Pages<'a> {
    /// Of this trail.
    pub reader: &'a Reader,
    /// Which.
    pub filter: Filter,
    /// Where the next page begins; `None` after the last.
    pub cursor: Option<Cursor>,
    /// How many events are still wanted.
    pub left: u32,
}

// === impl Pages ===

impl Pages<'_> {
    /// The next events; `None` when there are no more. A page may be empty, and others come behind it.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn next(&mut self) -> Result<Option<Vec<Event>>, StoreError> {
        let Some(cursor) = self.cursor.filter(|_| self.left > 0) else {
            return Ok(None);
        };
        let size = self.left.min(PAGE);
        let page = self.reader.next_events(&self.filter, cursor, size).await?;
        // What came, not what was asked for: a page that looks for a text may end early.
        let came = u32::try_from(page.events.len()).unwrap_or(u32::MAX);
        self.left = self.left.saturating_sub(came);
        self.cursor = page.next.map(|seq| cursor.moved_to(seq));
        Ok(Some(page.events))
    }

    /// All of them at once.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn rest(&mut self) -> Result<Vec<Event>, StoreError> {
        let mut rest = Vec::new();
        while let Some(events) = self.next().await? {
            rest.extend(events);
        }
        Ok(rest)
    }
}

#[cfg(test)]
mod tests {
    use sqlx::sqlite::SqliteConnectOptions;
    use sqlx::{AssertSqlSafe, ConnectOptions as _};

    use super::*;
    use crate::store::Trail as _;
    use crate::store::sqlite::SqliteStore;
    use crate::store::suite::{applied, clock, intent};

    #[tokio::test]
    async fn an_empty_page_leaves_as_many_events_wanted_as_before() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.db");
        let (store, _) = SqliteStore::open(&path, clock()).await.unwrap();
        store.close().await;
        // More than a page looks at for a text, and none of them has it.
        let seed = include_str!("../../benches/support/seed.sql");
        let mut raw = SqliteConnectOptions::new()
            .filename(&path)
            .connect()
            .await
            .unwrap();
        sqlx::query(AssertSqlSafe(seed))
            .bind(1)
            .bind(Filter::LOOKED_AT + 10)
            .execute(&mut raw)
            .await
            .unwrap();
        let (store, _) = SqliteStore::open(&path, clock()).await.unwrap();
        for n in 0..5 {
            store.complete(applied(intent(n)), vec![]).await.unwrap();
        }
        let mut pages = Pages {
            reader: store.reader(),
            filter: Filter {
                text: Some("\"Brand\"".to_owned()),
                ..Filter::default()
            },
            cursor: Some(Cursor::OLDEST),
            left: 3,
        };
        assert_eq!(pages.next().await.unwrap(), Some(vec![]));
        assert_eq!(pages.rest().await.unwrap().len(), 3);
        store.close().await;
    }
}
