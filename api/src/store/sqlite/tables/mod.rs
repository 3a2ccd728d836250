//! One module per table: its columns, how a row becomes cells and cells a row, and every statement on it.

pub(super) mod log;
pub(super) mod members;
pub(super) mod records;
pub(super) mod rooms;
pub(super) mod sessions;
pub(super) mod users;
pub(super) mod words;

use crate::store::StoreError;
use rusqlite::{Connection, OptionalExtension, Params, Result, Row, Statement};

/// The first row of a statement, if there is one.
fn first<T>(
    db: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> Result<T>,
) -> Result<Option<T>> {
    db.prepare_cached(sql)?.query_row(params, read).optional()
}

/// Every row of a statement.
fn all<T>(db: &Connection, sql: &str, params: impl Params, read: impl FnMut(&Row<'_>) -> Result<T>) -> Result<Vec<T>> {
    collect(&mut *db.prepare_cached(sql)?, params, read)
}

fn collect<T>(
    statement: &mut Statement<'_>,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    statement.query_map(params, read)?.collect()
}

/// One look-up per key, in the order of the keys. SQLite is in this process: a look-up costs no way there and back,
/// and a prepared one less than parsing a list of keys.
fn each<K, T>(keys: &[K], mut find: impl FnMut(&K) -> Result<T>) -> Result<Vec<T>, StoreError> {
    Ok(keys.iter().map(&mut find).collect::<Result<_>>()?)
}
