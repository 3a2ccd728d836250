//! Who is in which room.

use super::{
    all, each, first,
    rooms::{self, room_columns},
    users,
};
use crate::store::{
    MemberChange, MembershipOf, Part, StoreError, Unique,
    codec::{Code, mute_code, mute_of, signed},
    rows::{MemberRow, ReadRow, UserRow},
    sqlite::{cells::Cells, error::is_taken},
};
use rookery_shared::{
    clock::Time,
    envelope::Kind,
    ids::{RoomId, UserId},
    model::MemberRole,
};
use rusqlite::{Connection, Result, params};

/// The columns of a [`MemberRow`], of the table under the name `m`.
macro_rules! member_columns {
    () => {
        "m.room, m.user, m.role, m.joined_at, m.in_seq, m.from_seq, m.read_seq, m.mute, m.hidden_seq"
    };
}

fn read(cells: &mut Cells<'_>) -> Result<MemberRow> {
    Ok(MemberRow {
        room: RoomId(cells.id()?),
        user: UserId(cells.id()?),
        role: cells.word()?,
        joined_at: cells.time()?,
        in_seq: cells.number()?,
        from_seq: cells.number()?,
        read_seq: cells.number()?,
        mute: mute_of(cells.plain()?),
        hidden_seq: cells.number()?,
    })
}

pub(in crate::store::sqlite) fn insert(db: &Connection, member: &MemberRow) -> Result<(), StoreError> {
    rooms::count(db, member.room, 1)?;
    // The name is written down here, as members are listed by it. Whoever lets users be renamed updates it too.
    let sql = "INSERT INTO members (room, user, role, joined_at, in_seq, from_seq, read_seq, mute, hidden_seq, \
               username_key) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, (SELECT username_key FROM users WHERE id = ?2))";
    let inserted = db.prepare_cached(sql)?.execute(params![
        member.room.0.as_bytes(),
        member.user.0.as_bytes(),
        member.role.code(),
        member.joined_at.0,
        signed(member.in_seq),
        signed(member.from_seq),
        signed(member.read_seq),
        mute_code(member.mute),
        signed(member.hidden_seq),
    ]);
    match inserted {
        Err(error) if is_taken(&error) => Err(StoreError::Taken(Unique::Member)),
        inserted => Ok(inserted.map(drop)?),
    }
}

pub(in crate::store::sqlite) fn delete(db: &Connection, room: RoomId, user: UserId) -> Result<(), StoreError> {
    let sql = "DELETE FROM members WHERE room = ?1 AND user = ?2";
    match db.prepare_cached(sql)?.execute([room.0.as_bytes(), user.0.as_bytes()])? {
        0 => Err(StoreError::Stale("the membership")),
        _ => rooms::count(db, room, -1),
    }
}

/// Takes a membership of a deleted room away; nobody counts its members any more.
pub(in crate::store::sqlite) fn forget(db: &Connection, room: RoomId, user: UserId) -> Result<(), StoreError> {
    let sql = "DELETE FROM members WHERE room = ?1 AND user = ?2";
    changed(db.prepare_cached(sql)?.execute([room.0.as_bytes(), user.0.as_bytes()])?)
}

pub(in crate::store::sqlite) fn update(
    db: &Connection,
    room: RoomId,
    user: UserId,
    change: MemberChange,
) -> Result<(), StoreError> {
    let (sql, value) = match change {
        MemberChange::Role(role) => {
            ("UPDATE members SET role = ?3 WHERE room = ?1 AND user = ?2", Some(role.code().into()))
        }
        MemberChange::Mute(mute) => ("UPDATE members SET mute = ?3 WHERE room = ?1 AND user = ?2", mute_code(mute)),
        MemberChange::Hidden(seq) => {
            ("UPDATE members SET hidden_seq = ?3 WHERE room = ?1 AND user = ?2", Some(signed(seq)))
        }
    };
    changed(db.prepare_cached(sql)?.execute(params![room.0.as_bytes(), user.0.as_bytes(), value])?)
}

fn changed(rows: usize) -> Result<(), StoreError> {
    if rows == 0 { Err(StoreError::Stale("the membership")) } else { Ok(()) }
}

pub(in crate::store::sqlite) fn move_read(db: &Connection, read: &ReadRow) -> Result<bool, StoreError> {
    let ReadRow { room, user, from_seq, up_to, at } = read;
    let sql = "UPDATE members SET read_seq = ?3 WHERE room = ?1 AND user = ?2 AND read_seq < ?3";
    if db.prepare_cached(sql)?.execute(params![room.0.as_bytes(), user.0.as_bytes(), signed(*up_to)])? == 0 {
        return Ok(false);
    }
    let sql = "INSERT INTO reads (room, user, from_seq, up_to, at) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";
    let params = params![room.0.as_bytes(), user.0.as_bytes(), signed(*from_seq), signed(*up_to), at.0];
    db.prepare_cached(sql)?.execute(params)?;
    Ok(true)
}

pub(in crate::store::sqlite) fn reads_of(
    db: &Connection,
    room: RoomId,
    seq: u64,
    limit: u32,
) -> Result<Vec<(UserId, Time)>, StoreError> {
    let sql = "SELECT user, min(at) AS first FROM reads WHERE room = ?1 AND up_to >= ?2 AND from_seq <= ?2 \
               GROUP BY user ORDER BY first, user LIMIT ?3";
    Ok(all(db, sql, params![room.0.as_bytes(), signed(seq), limit], |row| {
        let mut cells = Cells::new(row);
        Ok((UserId(cells.id()?), cells.time()?))
    })?)
}

pub(in crate::store::sqlite) fn read_cursors(
    db: &Connection,
    rooms: &[RoomId],
) -> Result<Vec<Vec<(UserId, u64)>>, StoreError> {
    let sql = "SELECT user, read_seq FROM members WHERE room = ?1";
    each(rooms, |room| {
        all(db, sql, [room.0.as_bytes()], |row| {
            let mut cells = Cells::new(row);
            Ok((UserId(cells.id()?), cells.number()?))
        })
    })
}

pub(in crate::store::sqlite) fn heir(
    db: &Connection,
    room: RoomId,
    user: UserId,
) -> Result<Option<MemberRow>, StoreError> {
    let sql = concat!(
        "SELECT ",
        member_columns!(),
        " FROM members m JOIN users u ON u.id = m.user WHERE m.room = ?1 AND m.user <> ?2 AND u.deleted_at IS NULL \
         ORDER BY m.role DESC, m.joined_at, m.in_seq LIMIT 1"
    );
    Ok(first(db, sql, [room.0.as_bytes(), user.0.as_bytes()], |row| read(&mut Cells::new(row)))?)
}

pub(in crate::store::sqlite) fn companions(
    db: &Connection,
    user: UserId,
    max_room: u64,
    limit: u32,
) -> Result<Vec<UserId>, StoreError> {
    let sql = "SELECT DISTINCT o.user FROM members m JOIN rooms r ON r.id = m.room JOIN members o ON o.room = m.room \
               WHERE m.user = ?1 AND o.user <> ?1 AND r.deleted_at IS NULL AND r.member_count <= ?2 LIMIT ?3";
    Ok(all(db, sql, params![user.0.as_bytes(), signed(max_room), limit], |row| Ok(UserId(Cells::new(row).id()?)))?)
}

pub(in crate::store::sqlite) fn leftover(db: &Connection, room: RoomId, limit: u32) -> Result<Vec<UserId>, StoreError> {
    let sql = "SELECT m.user FROM members m JOIN rooms r ON r.id = m.room \
               WHERE m.room = ?1 AND r.deleted_at IS NOT NULL LIMIT ?2";
    Ok(all(db, sql, params![room.0.as_bytes(), limit], |row| Ok(UserId(Cells::new(row).id()?)))?)
}

pub(in crate::store::sqlite) fn by_keys(
    db: &Connection,
    of: &[(RoomId, UserId)],
) -> Result<Vec<Option<MemberRow>>, StoreError> {
    let sql = concat!(
        "SELECT ",
        member_columns!(),
        " FROM members m JOIN rooms r ON r.id = m.room WHERE m.room = ?1 AND m.user = ?2 AND r.deleted_at IS NULL"
    );
    each(of, |(room, user)| first(db, sql, [room.0.as_bytes(), user.0.as_bytes()], |row| read(&mut Cells::new(row))))
}

pub(in crate::store::sqlite) fn rooms_of(
    db: &Connection,
    user: UserId,
    limit: u32,
) -> Result<Vec<MembershipOf>, StoreError> {
    // The newest message of a room is found from the end of its log.
    let sql = concat!(
        "SELECT ",
        member_columns!(),
        ", ",
        room_columns!(),
        ", coalesce((SELECT l.at FROM log l WHERE l.stream = r.id AND l.kind = ?2 ORDER BY l.seq DESC LIMIT 1), \
         r.created_at) AS activity \
         FROM members m JOIN rooms r ON r.id = m.room WHERE m.user = ?1 AND r.deleted_at IS NULL \
         ORDER BY activity DESC, r.id DESC LIMIT ?3"
    );
    Ok(all(db, sql, params![user.0.as_bytes(), Kind::Message.code(), limit], |row| {
        let mut cells = Cells::new(row);
        let member = read(&mut cells)?;
        let (room, member_count) = rooms::read(&mut cells)?;
        Ok(MembershipOf { member, room, member_count, last_activity_at: cells.time()? })
    })?)
}

pub(in crate::store::sqlite) fn places_of(
    db: &Connection,
    user: UserId,
    limit: u32,
) -> Result<Vec<(RoomId, u64)>, StoreError> {
    let sql = "SELECT m.room, m.from_seq FROM members m JOIN rooms r ON r.id = m.room \
               WHERE m.user = ?1 AND r.deleted_at IS NULL ORDER BY m.joined_at DESC, m.room DESC LIMIT ?2";
    Ok(all(db, sql, params![user.0.as_bytes(), limit], |row| {
        let mut cells = Cells::new(row);
        Ok((RoomId(cells.id()?), cells.number()?))
    })?)
}

pub(in crate::store::sqlite) fn has_other_owner(
    db: &Connection,
    room: RoomId,
    user: UserId,
) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM members WHERE room = ?1 AND role = ?2 AND user <> ?3 LIMIT 1";
    let params = params![room.0.as_bytes(), MemberRole::Owner.code(), user.0.as_bytes()];
    Ok(first(db, sql, params, |_| Ok(()))?.is_some())
}

/// The members of a room on one side of a name, in one direction.
macro_rules! of_room {
    ($side:literal, $direction:literal) => {
        concat!(
            "SELECT ",
            member_columns!(),
            " FROM members m JOIN rooms r ON r.id = m.room WHERE m.room = ?1 AND r.deleted_at IS NULL \
             AND m.username_key ",
            $side,
            " ?2 ORDER BY m.username_key ",
            $direction,
            " LIMIT ?3"
        )
    };
}

pub(in crate::store::sqlite) fn of_room(
    db: &Connection,
    room: RoomId,
    part: &Part<String>,
    limit: u32,
) -> Result<Vec<(MemberRow, UserRow)>, StoreError> {
    let (sql, key) = match part {
        Part::First => (of_room!(">", "ASC"), ""),
        Part::After(key) => (of_room!(">", "ASC"), key.as_str()),
        Part::Before(key) => (of_room!("<", "DESC"), key.as_str()),
    };
    let mut members = all(db, sql, params![room.0.as_bytes(), key, limit], |row| read(&mut Cells::new(row)))?;
    if matches!(part, Part::Before(_)) {
        members.reverse();
    }
    let users = users::by_ids(db, &members.iter().map(|member| member.user).collect::<Vec<_>>())?;
    Ok(members.into_iter().zip(users).filter_map(|(member, user)| Some((member, user?))).collect())
}
