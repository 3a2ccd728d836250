//! Rooms, with their counts of members. What was deleted is not there for any of these.

use super::{all, each, first};
use crate::{
    store::{
        Part, StoreError, Unique,
        codec::{Code, signed},
        records::Area,
        rows::RoomRow,
        sqlite::{cells::Cells, error::is_taken},
    },
    text::fold,
};
use rookery_shared::{
    clock::Time,
    ids::{RoomId, UserId},
    model::{RoomType, Visibility},
};
use rusqlite::{Connection, Result, params, types::Value};

/// The columns of a [`RoomRow`] and the count behind them, of the table under the name `r`.
macro_rules! room_columns {
    () => {
        "r.id, r.room_type, r.name, r.description, r.visibility, r.history_from, r.created_by, r.created_at, \
         r.conversation_key, r.deleted_at, r.deleted_by, r.version, r.member_count"
    };
}
pub(super) use room_columns;

pub(super) fn read(cells: &mut Cells<'_>) -> Result<(RoomRow, u64)> {
    let room = RoomRow {
        id: RoomId(cells.id()?),
        room_type: cells.word()?,
        name: cells.plain()?,
        description: cells.plain()?,
        visibility: cells.word()?,
        history_from: cells.word()?,
        created_by: cells.optional_id()?.map(UserId),
        created_at: cells.time()?,
        conversation_key: cells.plain()?,
        deleted_at: cells.optional_time()?,
        deleted_by: cells.optional_id()?.map(UserId),
        version: cells.number()?,
    };
    Ok((room, cells.number()?))
}

fn values(room: &RoomRow) -> [Value; 13] {
    [
        room.id.0.as_bytes().to_vec().into(),
        room.room_type.code().into(),
        room.name.clone().into(),
        room.description.clone().into(),
        room.visibility.code().into(),
        room.history_from.code().into(),
        room.created_by.map(|user| user.0.as_bytes().to_vec()).into(),
        room.created_at.0.into(),
        room.conversation_key.clone().into(),
        room.deleted_at.map(|time| time.0).into(),
        room.deleted_by.map(|user| user.0.as_bytes().to_vec()).into(),
        signed(room.version).into(),
        fold(room.name.as_deref().unwrap_or_default()).into(),
    ]
}

pub(in crate::store::sqlite) fn insert(db: &Connection, room: &RoomRow) -> Result<(), StoreError> {
    let sql = "INSERT INTO rooms (id, room_type, name, description, visibility, history_from, created_by, created_at, \
               conversation_key, deleted_at, deleted_by, version, name_key) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
    let inserted = db.prepare_cached(sql)?.execute(values(room));
    match inserted {
        Err(error) if is_taken(&error) => {
            let of_key = room.conversation_key.as_deref().map(|key| by_conversation(db, key)).transpose()?.flatten();
            Err(StoreError::Taken(of_key.map_or(Unique::Other, |_| Unique::Conversation)))
        }
        inserted => Ok(inserted.map(drop)?),
    }
}

pub(in crate::store::sqlite) fn replace(db: &Connection, room: &RoomRow) -> Result<(), StoreError> {
    let sql = "UPDATE rooms SET (id, room_type, name, description, visibility, history_from, created_by, created_at, \
               conversation_key, deleted_at, deleted_by, version, name_key) = \
               (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) \
               WHERE id = ?1 AND version = ?12 - 1 AND deleted_at IS NULL";
    match db.prepare_cached(sql)?.execute(values(room))? {
        0 => Err(StoreError::Stale("the room")),
        _ => Ok(()),
    }
}

/// That a room is there and has this version. The one thread that writes lets nobody come in between.
pub(in crate::store::sqlite) fn expect(db: &Connection, room: RoomId, version: u64) -> Result<(), StoreError> {
    let sql = "SELECT 1 FROM rooms WHERE id = ?1 AND version = ?2 AND deleted_at IS NULL";
    let found = first(db, sql, params![room.0.as_bytes(), signed(version)], |_| Ok(()))?;
    found.ok_or(StoreError::Stale("the room"))
}

/// Counts members that come or go. `Stale` if the room is not there.
pub(super) fn count(db: &Connection, room: RoomId, change: i64) -> Result<(), StoreError> {
    let sql = "UPDATE rooms SET member_count = member_count + ?2 WHERE id = ?1 AND deleted_at IS NULL";
    match db.prepare_cached(sql)?.execute(params![room.0.as_bytes(), change])? {
        0 => Err(StoreError::Stale("the room")),
        _ => Ok(()),
    }
}

pub(in crate::store::sqlite) fn by_ids(
    db: &Connection,
    ids: &[RoomId],
) -> Result<Vec<Option<(RoomRow, u64)>>, StoreError> {
    let sql = concat!("SELECT ", room_columns!(), " FROM rooms r WHERE r.id = ?1 AND r.deleted_at IS NULL");
    each(ids, |id| first(db, sql, [id.0.as_bytes()], |row| read(&mut Cells::new(row))))
}

pub(in crate::store::sqlite) fn by_conversation(db: &Connection, key: &str) -> Result<Option<RoomRow>, StoreError> {
    let sql =
        concat!("SELECT ", room_columns!(), " FROM rooms r WHERE r.conversation_key = ?1 AND r.deleted_at IS NULL");
    Ok(first(db, sql, [key], |row| read(&mut Cells::new(row)))?.map(|(room, _)| room))
}

/// The visible rooms on one side of an id, in one direction. The planner merges the two halves in the order of their
/// indexes, so that a page reads little more than itself.
macro_rules! visible {
    ($side:literal, $direction:literal) => {
        concat!(
            "SELECT ",
            room_columns!(),
            " FROM rooms r WHERE r.visibility = ?1 AND r.id ",
            $side,
            " ?2 AND r.room_type = ?3 AND r.deleted_at IS NULL AND instr(r.name_key, ?4) > 0 \
             UNION SELECT ",
            room_columns!(),
            " FROM members m JOIN rooms r ON r.id = m.room WHERE m.user = ?5 AND r.id ",
            $side,
            " ?2 AND r.room_type = ?3 AND r.deleted_at IS NULL AND instr(r.name_key, ?4) > 0 ORDER BY 1 ",
            $direction,
            " LIMIT ?6"
        )
    };
}

pub(in crate::store::sqlite) fn visible(
    db: &Connection,
    user: UserId,
    name: &str,
    part: Part<RoomId>,
    limit: u32,
) -> Result<Vec<(RoomRow, u64)>, StoreError> {
    let (sql, id) = match part {
        // Nothing is greater than all bits set.
        Part::First => (visible!("<", "DESC"), [0xff; 16]),
        Part::After(room) => (visible!("<", "DESC"), room.0.into_bytes()),
        Part::Before(room) => (visible!(">", "ASC"), room.0.into_bytes()),
    };
    let params = params![Visibility::Public.code(), id, RoomType::Room.code(), fold(name), user.0.as_bytes(), limit];
    let mut found = all(db, sql, params, |row| read(&mut Cells::new(row)))?;
    if matches!(part, Part::Before(_)) {
        found.reverse();
    }
    Ok(found)
}

pub(in crate::store::sqlite) fn deleted(db: &Connection, id: RoomId) -> Result<Option<RoomRow>, StoreError> {
    let sql = concat!("SELECT ", room_columns!(), " FROM rooms r WHERE r.id = ?1 AND r.deleted_at IS NOT NULL");
    Ok(first(db, sql, [id.0.as_bytes()], |row| read(&mut Cells::new(row)))?.map(|(room, _)| room))
}

pub(in crate::store::sqlite) fn to_purge(db: &Connection, limit: u32) -> Result<Vec<RoomId>, StoreError> {
    let sql = "SELECT id FROM rooms WHERE deleted_at IS NOT NULL AND purged_at IS NULL ORDER BY deleted_at LIMIT ?1";
    Ok(all(db, sql, [limit], |row| Ok(RoomId(Cells::new(row).id()?)))?)
}

/// Deletes everything of a deleted room but the room itself, which says that it was there. `Stale` for any other room.
pub(in crate::store::sqlite) fn purge(db: &Connection, room: RoomId, at: Option<Time>) -> Result<(), StoreError> {
    let sql = "SELECT 1 FROM rooms WHERE id = ?1 AND deleted_at IS NOT NULL";
    first(db, sql, [room.0.as_bytes()], |_| Ok(()))?.ok_or(StoreError::Stale("the room"))?;
    for table in ["log WHERE stream", "reads WHERE room", "words WHERE room"] {
        db.prepare_cached(&format!("DELETE FROM {table} = ?1"))?.execute([room.0.as_bytes()])?;
    }
    let owned = [Area::Ban.code(), Area::Invite.code()];
    db.prepare_cached("DELETE FROM records WHERE area IN (?1, ?2) AND owner = ?3")?.execute(params![
        owned[0],
        owned[1],
        room.0.as_bytes()
    ])?;
    if let Some(at) = at {
        let sql = "UPDATE rooms SET purged_at = ?2 WHERE id = ?1 AND deleted_at IS NOT NULL";
        db.prepare_cached(sql)?.execute(params![room.0.as_bytes(), at.0])?;
    }
    Ok(())
}
