//! The form of a log entry. Its fields have short names, as most of the store is made of them:
//!
//! | field | what |
//! | --- | --- |
//! | `_id` | the message's id; a fresh one for other entries |
//! | `b` | bucket of the stream, first part of the shard key |
//! | `s` | the id of the room or the user, which never share one |
//! | `n` | the place, seq |
//! | `k` | the kind |
//! | `u` | whom or what it is about: the sender of a message; missing for none |
//! | `r` | the place that it refers to; missing for none |
//! | `t` | when it was written |
//! | `c` | a message's client id; there in messages alone |
//! | `v` `h` `y` `x` | a message's rev, first hash, type, words |
//! | `e` `d` `p` | when a message was edited, deleted, pinned |
//! | `q` `a` `l` | what a message answers, its attachment, and the reactions (likes) under it, as JSON |

use crate::store::{
    StoreError,
    codec::{Code, Unreadable, from_json, signed, to_json},
    mongo::fields::{Fields, bytes, date, id},
    rows::{EntryRow, MessageRow},
};
use mongodb::bson::{RawDocumentBuf, cstr, rawdoc};
use rookery_shared::{
    clock::Time,
    envelope::Kind,
    ids::{MessageId, RoomId, StreamId, UserId},
};
use uuid::Uuid;

/// What entries of every kind begin with.
fn head(own: Uuid, stream: StreamId, seq: u64, kind: Kind, at: Time) -> RawDocumentBuf {
    rawdoc! {
        "_id": id(own),
        "b": i32::from(stream.bucket()),
        "s": id(stream.uuid()),
        "n": signed(seq),
        "k": kind.code(),
        "t": date(at),
    }
}

/// The entry that a message is.
pub(super) fn of_message(message: &MessageRow) -> Result<RawDocumentBuf, StoreError> {
    let stream = StreamId::Room(message.room);
    let mut document = head(message.id.0, stream, message.seq, Kind::Message, message.created_at);
    document.append(cstr!("u"), id(message.sender.0));
    document.append(cstr!("c"), message.client_id.as_str());
    document.append(cstr!("v"), signed(message.rev));
    document.append(cstr!("h"), bytes(&message.first_hash));
    document.append(cstr!("y"), message.message_type.code());
    document.append(cstr!("x"), message.content.as_str());
    let times = [(cstr!("e"), message.edited_at), (cstr!("d"), message.deleted_at), (cstr!("p"), message.pinned_at)];
    for (name, time) in times {
        if let Some(time) = time {
            document.append(name, date(time));
        }
    }
    let reactions = (!message.reactions.is_empty()).then_some(&message.reactions);
    let parts = [
        (cstr!("q"), to_json(message.reply_to.as_ref())?),
        (cstr!("a"), to_json(message.attachment.as_ref())?),
        (cstr!("l"), to_json(reactions)?),
    ];
    for (name, part) in parts {
        if let Some(part) = part {
            document.append(name, part);
        }
    }
    Ok(document)
}

/// Any entry.
pub(super) fn of_entry(entry: &EntryRow) -> Result<RawDocumentBuf, StoreError> {
    if let Some(message) = &entry.message {
        return of_message(message);
    }
    let mut document = head(Uuid::now_v7(), entry.stream, entry.seq, entry.kind, entry.at);
    if !entry.subject.is_nil() {
        document.append(cstr!("u"), id(entry.subject));
    }
    if entry.ref_seq > 0 {
        document.append(cstr!("r"), signed(entry.ref_seq));
    }
    Ok(document)
}

/// The entry of a document of this stream.
pub(super) fn entry(stream: StreamId, fields: Fields<'_>) -> Result<EntryRow, Unreadable> {
    let kind: Kind = fields.word("k")?;
    Ok(EntryRow {
        stream,
        seq: fields.number("n")?,
        kind,
        subject: fields.optional_id("u")?.unwrap_or_default(),
        ref_seq: fields.number("r")?,
        at: fields.time("t")?,
        message: if kind == Kind::Message { Some(message(fields)?) } else { None },
    })
}

/// The message of a document.
pub(super) fn message(fields: Fields<'_>) -> Result<MessageRow, Unreadable> {
    Ok(MessageRow {
        id: MessageId(fields.id("_id")?),
        room: RoomId(fields.id("s")?),
        seq: fields.number("n")?,
        rev: fields.number("v")?,
        sender: UserId(fields.id("u")?),
        client_id: fields.text("c")?,
        first_hash: fields.bytes("h")?,
        message_type: fields.word("y")?,
        content: fields.text("x")?,
        created_at: fields.time("t")?,
        edited_at: fields.optional_time("e")?,
        deleted_at: fields.optional_time("d")?,
        reply_to: from_json(fields.optional_text("q")?)?,
        attachment: from_json(fields.optional_text("a")?)?,
        reactions: from_json(fields.optional_text("l")?)?.unwrap_or_default(),
        pinned_at: fields.optional_time("p")?,
    })
}
