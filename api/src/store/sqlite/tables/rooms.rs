//! Rooms, with their counts of members. What was deleted is not there for any of these.

use super::{all, each, first};
use crate::{
    store::{
        Part, StoreError, Unique,
        codec::Code,
        rows::RoomRow,
        sqlite::{cells::Cells, error::is_taken},
    },
    text::fold,
};
use rookery_shared::{
    ids::{RoomId, UserId},
    model::{RoomType, Visibility},
};
use rusqlite::{Connection, Result, params};

/// The columns of a [`RoomRow`] and the count behind them, of the table under the name `r`.
macro_rules! room_columns {
    () => {
        "r.id, r.room_type, r.name, r.description, r.visibility, r.history_from, r.created_by, r.created_at, \
         r.conversation_key, r.deleted_at, r.member_count"
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
    };
    Ok((room, cells.number()?))
}

pub(in crate::store::sqlite) fn insert(db: &Connection, room: &RoomRow) -> Result<(), StoreError> {
    let sql = "INSERT INTO rooms (id, room_type, name, description, visibility, history_from, created_by, created_at, \
               conversation_key, deleted_at, name_key) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    let inserted = db.prepare_cached(sql)?.execute(params![
        room.id.0.as_bytes(),
        room.room_type.code(),
        room.name,
        room.description,
        room.visibility.code(),
        room.history_from.code(),
        room.created_by.map(|user| user.0.into_bytes()),
        room.created_at.0,
        room.conversation_key,
        room.deleted_at.map(|time| time.0),
        fold(room.name.as_deref().unwrap_or_default()),
    ]);
    match inserted {
        Err(error) if is_taken(&error) => {
            let of_key = room.conversation_key.as_deref().map(|key| by_conversation(db, key)).transpose()?.flatten();
            Err(StoreError::Taken(of_key.map_or(Unique::Other, |_| Unique::Conversation)))
        }
        inserted => Ok(inserted.map(drop)?),
    }
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
