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
    pub left: u64,
    /// The last row that is wanted, of a walk to newer ones; `i64::MAX`: all.
    pub last: i64,
}

/// Events that match, as they come: those behind a row, also from other processes.
#[derive(Debug)]
pub struct News {
    /// Of this trail.
    pub reader: Reader,
    /// Which.
    pub filter: Filter,
    /// The row up to which it has looked.
    pub last: i64,
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
        let size = u32::try_from(self.left).map_or(PAGE, |left| left.min(PAGE));
        let page = self.reader.next_events(&self.filter, cursor, size).await?;
        let mut events = page.events;
        events.retain(|event| event.seq <= self.last);
        // What came, not what was asked for: a page that looks for a text may end early.
        let came = u64::try_from(events.len()).unwrap_or(u64::MAX);
        self.left = self.left.saturating_sub(came);
        let next = page.next.filter(|seq| *seq < self.last);
        self.cursor = next.map(|seq| cursor.moved_to(seq));
        Ok(Some(events))
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

// === impl News ===

impl News {
    /// The next of them, oldest first; none if none have come. That costs one step along the primary key.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn next(&mut self, limit: u32) -> Result<Vec<Event>, StoreError> {
        let newest = self.reader.last().await?;
        while self.last < newest {
            let after = Cursor::After(self.last);
            let page = self.reader.next_events(&self.filter, after, limit).await?;
            // A page that is not full went to the end, which may have moved since.
            let shown = page.events.last().map_or(0, |event| event.seq);
            self.last = page.next.unwrap_or(newest.max(shown));
            if !page.events.is_empty() {
                return Ok(page.events);
            }
        }
        Ok(vec![])
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
            last: i64::MAX,
        };
        assert_eq!(pages.next().await.unwrap(), Some(vec![]));
        assert_eq!(pages.rest().await.unwrap().len(), 3);
        store.close().await;
    }
}
