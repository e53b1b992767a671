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
        self.left -= size;
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
