//! Reads a row from left to right, in the order in which its table's column list names the columns.

use crate::store::codec::{Code, from_json, unsigned};
use rookery_shared::clock::Time;
use rusqlite::{Result, Row, types::FromSql};
use serde::de::DeserializeOwned;
use uuid::Uuid;

/// What is left of a row.
pub(super) struct Cells<'a> {
    row: &'a Row<'a>,
    next: usize,
}

impl<'a> Cells<'a> {
    /// All of a row.
    pub(super) fn new(row: &'a Row<'a>) -> Self {
        Self { row, next: 0 }
    }

    /// The next cell as SQLite holds it.
    pub(super) fn plain<T: FromSql>(&mut self) -> Result<T> {
        let index = self.next;
        self.next += 1;
        self.row.get(index)
    }

    /// The next cell as an id.
    pub(super) fn id(&mut self) -> Result<Uuid> {
        self.plain().map(Uuid::from_bytes)
    }

    /// The next cell as an id that may be missing.
    pub(super) fn optional_id(&mut self) -> Result<Option<Uuid>> {
        Ok(self.plain::<Option<[u8; 16]>>()?.map(Uuid::from_bytes))
    }

    /// The next cell as a time.
    pub(super) fn time(&mut self) -> Result<Time> {
        self.plain().map(Time)
    }

    /// The next cell as a time that may be missing.
    pub(super) fn optional_time(&mut self) -> Result<Option<Time>> {
        Ok(self.plain::<Option<i64>>()?.map(Time))
    }

    /// The next cell as a place, a version or a count.
    pub(super) fn number(&mut self) -> Result<u64> {
        Ok(unsigned(self.plain()?)?)
    }

    /// The next cell as a word of the domain.
    pub(super) fn word<T: Code>(&mut self) -> Result<T> {
        Ok(T::from_code(self.plain()?)?)
    }

    /// The next cell as a part that is kept as JSON.
    pub(super) fn json<T: DeserializeOwned>(&mut self) -> Result<Option<T>> {
        Ok(from_json(self.plain::<Option<String>>()?.as_deref())?)
    }
}
