//! Signed-in devices.

use super::{all, first};
use crate::store::{
    StoreError, Unique, codec::signed, rows::SessionRow, sqlite::cells::Cells, sqlite::error::is_taken,
};
use rookery_shared::{
    clock::Time,
    ids::{SessionId, UserId},
};
use rusqlite::{Connection, Result, params, types::Value};

macro_rules! columns {
    () => {
        "id, user, refresh_hash, previous_hash, rotated_at, previous_used, device, created_at, expires_at, ended_at, \
         version"
    };
}

fn values(session: SessionRow) -> [Value; 11] {
    [
        session.id.0.as_bytes().to_vec().into(),
        session.user.0.as_bytes().to_vec().into(),
        session.refresh_hash.into(),
        session.previous_hash.into(),
        session.rotated_at.0.into(),
        session.previous_used.into(),
        session.device.into(),
        session.created_at.0.into(),
        session.expires_at.0.into(),
        session.ended_at.map(|time| time.0).into(),
        signed(session.version).into(),
    ]
}

fn read(cells: &mut Cells<'_>) -> Result<SessionRow> {
    Ok(SessionRow {
        id: SessionId(cells.id()?),
        user: UserId(cells.id()?),
        refresh_hash: cells.plain()?,
        previous_hash: cells.plain()?,
        rotated_at: cells.time()?,
        previous_used: cells.plain()?,
        device: cells.plain()?,
        created_at: cells.time()?,
        expires_at: cells.time()?,
        ended_at: cells.optional_time()?,
        version: cells.number()?,
    })
}

pub(in crate::store::sqlite) fn insert(db: &Connection, session: SessionRow) -> Result<(), StoreError> {
    let sql = concat!("INSERT INTO sessions (", columns!(), ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)");
    match db.prepare_cached(sql)?.execute(values(session)) {
        Err(error) if is_taken(&error) => Err(StoreError::Taken(Unique::Other)),
        result => Ok(result.map(drop)?),
    }
}

pub(in crate::store::sqlite) fn replace(db: &Connection, session: SessionRow) -> Result<(), StoreError> {
    let sql = concat!(
        "UPDATE sessions SET (",
        columns!(),
        ") = (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) WHERE id = ?1 AND version = ?11 - 1"
    );
    match db.prepare_cached(sql)?.execute(values(session))? {
        0 => Err(StoreError::Stale("the session")),
        _ => Ok(()),
    }
}

pub(in crate::store::sqlite) fn by_id(db: &Connection, id: SessionId) -> Result<Option<SessionRow>, StoreError> {
    let sql = concat!("SELECT ", columns!(), " FROM sessions WHERE id = ?1");
    Ok(first(db, sql, [id.0.as_bytes()], |row| read(&mut Cells::new(row)))?)
}

pub(in crate::store::sqlite) fn open_of(
    db: &Connection,
    user: UserId,
    now: Time,
) -> Result<Vec<SessionRow>, StoreError> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM sessions WHERE user = ?1 AND ended_at IS NULL AND expires_at > ?2 ORDER BY id DESC"
    );
    Ok(all(db, sql, params![user.0.as_bytes(), now.0], |row| read(&mut Cells::new(row)))?)
}

/// Ends those that are open. Their version grows, so that a rotation under way finds them changed.
pub(in crate::store::sqlite) fn end(
    db: &Connection,
    user: UserId,
    only: Option<SessionId>,
    except: Option<SessionId>,
    at: Time,
) -> Result<(), StoreError> {
    let sql = "UPDATE sessions SET ended_at = ?4, version = version + 1 WHERE user = ?1 AND ended_at IS NULL \
               AND (?2 IS NULL OR id = ?2) AND (?3 IS NULL OR id <> ?3)";
    let bytes = |id: &Option<SessionId>| id.map(|id| id.0.into_bytes());
    db.prepare_cached(sql)?.execute(params![user.0.as_bytes(), bytes(&only), bytes(&except), at.0])?;
    Ok(())
}
