//! The words that messages are found by.

use super::{
    log::{self, log_columns},
    users::beyond,
};
use crate::store::{IndexedMessage, Part, SearchQuery, StoreError, codec::signed, rows::MessageRow};
use rookery_shared::ids::MessageId;
use rusqlite::{Connection, params, params_from_iter, types::Value};
use std::fmt::Write as _;

pub(super) fn forget(db: &Connection, message: MessageId) -> Result<(), StoreError> {
    db.prepare_cached("DELETE FROM words WHERE id = ?1")?.execute([message.0.as_bytes()])?;
    Ok(())
}

pub(in crate::store::sqlite) fn index(db: &Connection, messages: &[IndexedMessage]) -> Result<(), StoreError> {
    let mut insert =
        db.prepare_cached("INSERT INTO words (room, word, id, seq) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING")?;
    for message in messages {
        forget(db, message.id)?;
        let (room, id, seq) = (message.room.0.as_bytes(), message.id.0.as_bytes(), signed(message.seq));
        for word in &message.words {
            insert.execute(params![room, word, id, seq])?;
        }
    }
    Ok(())
}

/// The statement grows with the rooms and words that are looked for, and is not kept prepared.
pub(in crate::store::sqlite) fn search(db: &Connection, query: &SearchQuery) -> Result<Vec<MessageRow>, StoreError> {
    if query.rooms.is_empty() || query.words.is_empty() {
        return Ok(Vec::new());
    }
    let mut values: Vec<Value> = Vec::new();
    let mut given = |value: Value| {
        values.push(value);
        format!("?{}", values.len())
    };
    let mut sql = String::from("WITH here (room, from_seq) AS (VALUES ");
    for (index, (room, from)) in query.rooms.iter().enumerate() {
        let comma = if index > 0 { ", " } else { "" };
        let (room, from) = (given(room.0.as_bytes().to_vec().into()), given(signed(*from).into()));
        // Writing to a string cannot fail, here and below.
        let _ = write!(sql, "{comma}({room}, {from})");
    }
    let _ = write!(sql, ") SELECT {}, stream FROM log WHERE deleted_at IS NULL AND id IN (", log_columns!());
    for (index, word) in query.words.iter().enumerate() {
        let intersect = if index > 0 { " INTERSECT " } else { "" };
        let least = given(word.text.clone().into());
        let matches = if word.prefix {
            format!("w.word >= {least} AND w.word < {}", given(beyond(&word.text).into()))
        } else {
            format!("w.word = {least}")
        };
        let _ = write!(
            sql,
            "{intersect}SELECT w.id FROM here h CROSS JOIN words w \
             WHERE w.room = h.room AND w.seq >= h.from_seq AND {matches}"
        );
    }
    sql.push(')');
    if let Some(sender) = query.sender {
        let _ = write!(sql, " AND subject = {}", given(sender.0.as_bytes().to_vec().into()));
    }
    if let Some(since) = query.since {
        let _ = write!(sql, " AND at >= {}", given(since.0.into()));
    }
    if let Some(until) = query.until {
        let _ = write!(sql, " AND at < {}", given(until.0.into()));
    }
    let (side, direction) = match query.part {
        Part::First | Part::After(_) => ("<", "DESC"),
        Part::Before(_) => (">", "ASC"),
    };
    if let Part::After((at, id)) | Part::Before((at, id)) = query.part {
        let (at, id) = (given(at.0.into()), given(id.0.as_bytes().to_vec().into()));
        let _ = write!(sql, " AND (at, id) {side} ({at}, {id})");
    }
    let limit = given(i64::from(query.limit).into());
    let _ = write!(sql, " ORDER BY at {direction}, id {direction} LIMIT {limit}");
    let mut statement = db.prepare(&sql)?;
    let found: Vec<Option<MessageRow>> =
        statement.query_map(params_from_iter(values), log::read_anywhere)?.collect::<rusqlite::Result<_>>()?;
    let mut found: Vec<MessageRow> = found.into_iter().flatten().collect();
    if direction == "ASC" {
        found.reverse();
    }
    Ok(found)
}
