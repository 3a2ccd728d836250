//! Records.

use super::{all, each, first};
use crate::store::{
    Part, StoreError, Unique,
    codec::{Code, signed},
    records::{Area, RecordKey, RecordRow},
    sqlite::{cells::Cells, error::is_taken},
};
use rusqlite::{Connection, Result, params};
use uuid::Uuid;

macro_rules! columns {
    () => {
        "area, owner, id, place, version, data"
    };
}

fn read(cells: &mut Cells<'_>) -> Result<RecordRow> {
    Ok(RecordRow {
        key: RecordKey { area: cells.word()?, owner: cells.id()?, id: cells.id()? },
        place: cells.id()?,
        version: cells.number()?,
        data: cells.plain()?,
    })
}

pub(in crate::store::sqlite) fn put(db: &Connection, record: &RecordRow) -> Result<(), StoreError> {
    let RecordRow { key, place, version, data } = record;
    let insert = concat!("INSERT INTO records (", columns!(), ") VALUES (?1, ?2, ?3, ?4, ?5, ?6)");
    // The place stays what it was at first.
    let replace = "UPDATE records SET version = ?5, data = ?6 \
                   WHERE area = ?1 AND owner = ?2 AND id = ?3 AND version = ?5 - 1 AND ?4 IS NOT NULL";
    let sql = if *version == 1 { insert } else { replace };
    let params =
        params![key.area.code(), key.owner.as_bytes(), key.id.as_bytes(), place.as_bytes(), signed(*version), data,];
    match db.prepare_cached(sql)?.execute(params) {
        Ok(0) => Err(StoreError::Stale("the record")),
        Err(error) if is_taken(&error) => Err(StoreError::Taken(Unique::Record)),
        written => Ok(written.map(drop)?),
    }
}

pub(in crate::store::sqlite) fn delete(db: &Connection, key: RecordKey) -> Result<(), StoreError> {
    let sql = "DELETE FROM records WHERE area = ?1 AND owner = ?2 AND id = ?3";
    match db.prepare_cached(sql)?.execute(params![key.area.code(), key.owner.as_bytes(), key.id.as_bytes()])? {
        0 => Err(StoreError::Stale("the record")),
        _ => Ok(()),
    }
}

pub(in crate::store::sqlite) fn by_keys(
    db: &Connection,
    keys: &[RecordKey],
) -> Result<Vec<Option<RecordRow>>, StoreError> {
    let sql = concat!("SELECT ", columns!(), " FROM records WHERE area = ?1 AND owner = ?2 AND id = ?3");
    each(keys, |key| {
        let params = params![key.area.code(), key.owner.as_bytes(), key.id.as_bytes()];
        first(db, sql, params, |row| read(&mut Cells::new(row)))
    })
}

pub(in crate::store::sqlite) fn by_id(db: &Connection, area: Area, id: Uuid) -> Result<Option<RecordRow>, StoreError> {
    let sql = concat!("SELECT ", columns!(), " FROM records WHERE area = ?1 AND id = ?2 LIMIT 1");
    Ok(first(db, sql, params![area.code(), id.as_bytes()], |row| read(&mut Cells::new(row)))?)
}

/// Records of an owner on one side of a place, in one direction.
macro_rules! of_owner {
    ($side:literal, $direction:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM records WHERE area = ?1 AND owner = ?2 AND place ",
            $side,
            " ?3 ORDER BY place ",
            $direction,
            " LIMIT ?4"
        )
    };
}

pub(in crate::store::sqlite) fn list(
    db: &Connection,
    area: Area,
    owner: Uuid,
    part: Part<Uuid>,
    limit: u32,
) -> Result<Vec<RecordRow>, StoreError> {
    let (sql, place) = match part {
        // Nothing is greater than all bits set.
        Part::First => (of_owner!("<", "DESC"), Uuid::max()),
        Part::After(place) => (of_owner!("<", "DESC"), place),
        Part::Before(place) => (of_owner!(">", "ASC"), place),
    };
    let params = params![area.code(), owner.as_bytes(), place.as_bytes(), limit];
    let mut found = all(db, sql, params, |row| read(&mut Cells::new(row)))?;
    if matches!(part, Part::Before(_)) {
        found.reverse();
    }
    Ok(found)
}
