//! The log of every stream.

use super::{all, each, first, words};
use crate::store::{
    Appended, MAX_UNREAD, StoreError, Stretch, Unique,
    codec::{Code, signed, to_json, unsigned},
    rows::{EntryRow, MessageRow},
    sqlite::{cells::Cells, error::is_taken},
};
use rookery_shared::{
    clock::Time,
    envelope::Kind,
    ids::{MessageId, RoomId, StreamId, UserId},
};
use rusqlite::{Connection, Result, Row, params};
use uuid::Uuid;

macro_rules! columns {
    () => {
        "seq, kind, subject, ref_seq, at, id, rev, client_id, first_hash, message_type, content, edited_at, \
         deleted_at, reply_to, attachment, reactions, pinned_at"
    };
}
pub(super) use columns as log_columns;

/// Reads the entry of a stream that the caller knows, as the statement looked for it.
fn read(stream: StreamId, row: &Row<'_>) -> Result<EntryRow> {
    let mut cells = Cells::new(row);
    let (seq, kind) = (cells.number()?, cells.word()?);
    let (subject, ref_seq, at) = (cells.id()?, cells.number()?, cells.time()?);
    let message = match (kind, stream) {
        (Kind::Message, StreamId::Room(room)) => Some(MessageRow {
            room,
            seq,
            sender: UserId(subject),
            created_at: at,
            id: MessageId(cells.id()?),
            rev: cells.number()?,
            client_id: cells.plain()?,
            first_hash: cells.plain()?,
            message_type: cells.word()?,
            content: cells.plain()?,
            edited_at: cells.optional_time()?,
            deleted_at: cells.optional_time()?,
            reply_to: cells.json()?,
            attachment: cells.json()?,
            reactions: cells.json()?.unwrap_or_default(),
            pinned_at: cells.optional_time()?,
        }),
        _ => None,
    };
    Ok(EntryRow { stream, seq, kind, subject, ref_seq, at, message })
}

fn read_message(room: RoomId, row: &Row<'_>) -> Result<Option<MessageRow>> {
    read(StreamId::Room(room), row).map(|entry| entry.message)
}

/// The reactions as they are stored; nothing for none.
fn reactions(message: &MessageRow) -> Result<Option<String>, StoreError> {
    to_json(Some(&message.reactions).filter(|reactions| !reactions.is_empty()))
}

/// Inserts an entry; false if its place or its client id is taken.
fn insert(
    db: &Connection,
    (stream, seq, kind): (StreamId, u64, Kind),
    (subject, ref_seq, at): (Uuid, u64, Time),
    message: Option<&MessageRow>,
) -> Result<bool, StoreError> {
    let sql = concat!(
        "INSERT INTO log (stream, ",
        columns!(),
        ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)"
    );
    let inserted = db.prepare_cached(sql)?.execute(params![
        stream.uuid().as_bytes(),
        signed(seq),
        kind.code(),
        subject.as_bytes(),
        signed(ref_seq),
        at.0,
        message.map(|message| message.id.0.into_bytes()),
        message.map(|message| signed(message.rev)),
        message.map(|message| &message.client_id),
        message.map(|message| &message.first_hash),
        message.map(|message| message.message_type.code()),
        message.map(|message| &message.content),
        message.and_then(|message| message.edited_at).map(|time| time.0),
        message.and_then(|message| message.deleted_at).map(|time| time.0),
        to_json(message.and_then(|message| message.reply_to.as_ref()))?,
        to_json(message.and_then(|message| message.attachment.as_ref()))?,
        message.map_or(Ok(None), reactions)?,
        message.and_then(|message| message.pinned_at).map(|time| time.0),
    ]);
    match inserted {
        Err(error) if is_taken(&error) => Ok(false),
        inserted => Ok(inserted.map(|_| true)?),
    }
}

pub(in crate::store::sqlite) fn append(db: &Connection, messages: &[MessageRow]) -> Result<Appended, StoreError> {
    for (index, message) in messages.iter().enumerate() {
        let place = (StreamId::Room(message.room), message.seq, Kind::Message);
        if !insert(db, place, (message.sender.0, 0, message.created_at), Some(message))? {
            return Ok(Appended { committed: index, clashed: true });
        }
    }
    Ok(Appended { committed: messages.len(), clashed: false })
}

pub(in crate::store::sqlite) fn insert_entry(db: &Connection, entry: &EntryRow) -> Result<(), StoreError> {
    let about = (entry.subject, entry.ref_seq, entry.at);
    if insert(db, (entry.stream, entry.seq, entry.kind), about, entry.message.as_ref())? {
        Ok(())
    } else {
        Err(StoreError::Taken(Unique::LogEntry))
    }
}

pub(in crate::store::sqlite) fn replace_message(db: &Connection, message: &MessageRow) -> Result<(), StoreError> {
    let sql = "UPDATE log SET rev = ?3, content = ?4, edited_at = ?5, deleted_at = ?6, attachment = ?7, reactions = ?8, \
               pinned_at = ?9 WHERE stream = ?1 AND seq = ?2 AND id = ?10 AND rev = ?3 - 1";
    let params = params![
        message.room.0.as_bytes(),
        signed(message.seq),
        signed(message.rev),
        message.content,
        message.edited_at.map(|time| time.0),
        message.deleted_at.map(|time| time.0),
        to_json(message.attachment.as_ref())?,
        reactions(message)?,
        message.pinned_at.map(|time| time.0),
        message.id.0.as_bytes(),
    ];
    if db.prepare_cached(sql)?.execute(params)? == 0 {
        return Err(StoreError::Stale("the message"));
    }
    if message.deleted_at.is_some() { words::forget(db, message.id) } else { Ok(()) }
}

pub(in crate::store::sqlite) fn since(
    db: &Connection,
    id: MessageId,
    limit: u32,
) -> Result<Vec<MessageRow>, StoreError> {
    let sql = concat!("SELECT ", columns!(), ", stream FROM log WHERE id > ?1 ORDER BY id LIMIT ?2");
    let found = all(db, sql, params![id.0.as_bytes(), limit], read_anywhere)?;
    Ok(found.into_iter().flatten().collect())
}

/// Reads a message of a room that the statement tells, after the columns.
pub(super) fn read_anywhere(row: &Row<'_>) -> Result<Option<MessageRow>> {
    read_message(RoomId(Uuid::from_bytes(row.get("stream")?)), row)
}

pub(in crate::store::sqlite) fn heads(db: &Connection, streams: &[StreamId]) -> Result<Vec<u64>, StoreError> {
    let sql = "SELECT coalesce(max(seq), 0) FROM log WHERE stream = ?1";
    each(streams, |stream| {
        let head = first(db, sql, [stream.uuid().as_bytes()], |row| row.get(0))?;
        Ok(unsigned(head.unwrap_or_default())?)
    })
}

pub(in crate::store::sqlite) fn entries(
    db: &Connection,
    stream: StreamId,
    stretch: Stretch,
    limit: u32,
    messages_only: bool,
) -> Result<Vec<EntryRow>, StoreError> {
    let ascending = concat!(
        "SELECT ",
        columns!(),
        " FROM log WHERE stream = ?1 AND seq > ?2 AND (?3 IS NULL OR kind = ?3) ORDER BY seq LIMIT ?4"
    );
    let descending = concat!(
        "SELECT ",
        columns!(),
        " FROM log WHERE stream = ?1 AND seq < ?2 AND (?3 IS NULL OR kind = ?3) ORDER BY seq DESC LIMIT ?4"
    );
    let (sql, place) = match stretch {
        Stretch::After(place) => (ascending, signed(place)),
        Stretch::Before(place) => (descending, signed(place)),
        Stretch::Newest => (descending, i64::MAX),
    };
    let kind = messages_only.then(|| Kind::Message.code());
    let mut found = all(db, sql, params![stream.uuid().as_bytes(), place, kind, limit], |row| read(stream, row))?;
    found.sort_unstable_by_key(|entry| entry.seq);
    Ok(found)
}

pub(in crate::store::sqlite) fn by_client_id(
    db: &Connection,
    keys: &[(RoomId, UserId, String)],
) -> Result<Vec<Option<MessageRow>>, StoreError> {
    let sql = concat!("SELECT ", columns!(), " FROM log WHERE stream = ?1 AND subject = ?2 AND client_id = ?3");
    each(keys, |(room, sender, client_id)| {
        let params = params![room.0.as_bytes(), sender.0.as_bytes(), client_id];
        Ok(first(db, sql, params, |row| read_message(*room, row))?.flatten())
    })
}

pub(in crate::store::sqlite) fn by_id(
    db: &Connection,
    ids: &[MessageId],
) -> Result<Vec<Option<MessageRow>>, StoreError> {
    // The stream stands last, as the others are read from the first cell on.
    let sql = concat!("SELECT ", columns!(), ", stream FROM log WHERE id = ?1");
    each(ids, |id| {
        let found = first(db, sql, [id.0.as_bytes()], read_anywhere)?;
        Ok(found.flatten())
    })
}

pub(in crate::store::sqlite) fn last_and_unread(
    db: &Connection,
    of: &[(RoomId, UserId, u64, u64)],
) -> Result<Vec<(Option<MessageRow>, u64)>, StoreError> {
    let last = concat!(
        "SELECT ",
        columns!(),
        " FROM log WHERE stream = ?1 AND seq >= ?2 AND kind = ?3 ORDER BY seq DESC LIMIT 1"
    );
    let unread = "SELECT count(*) FROM (SELECT 1 FROM log \
                  WHERE stream = ?1 AND seq > ?2 AND kind = ?3 AND deleted_at IS NULL AND subject <> ?4 LIMIT ?5)";
    let kind = Kind::Message.code();
    each(of, |(room, user, from, after)| {
        let message = first(db, last, params![room.0.as_bytes(), signed(*from), kind], |row| read_message(*room, row))?;
        let params = params![room.0.as_bytes(), signed(*after), kind, user.0.as_bytes(), MAX_UNREAD];
        let count = first(db, unread, params, |row| row.get(0))?;
        Ok((message.flatten(), unsigned(count.unwrap_or_default())?))
    })
}
