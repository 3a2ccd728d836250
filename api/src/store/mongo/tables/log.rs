//! Writing to the log: ordered inserts of messages, and transactions of entries with the changes they go with.

use super::{Tables, documents, over, place};
use crate::store::{
    Appended, Op, StoreError, Unique,
    codec::signed,
    mongo::{
        error::{DUPLICATE_KEY, is_taken},
        fields::id,
        transaction::{self, Change, Stop},
    },
    rows::{EntryRow, MemberRow, MessageRow},
};
use mongodb::{
    ClientSession,
    bson::{Document, doc},
    error::{Error, ErrorKind},
};
use rookery_shared::ids::StreamId;

impl Tables {
    /// One ordered insert.
    ///
    /// The driver tries an insert whose answer got lost once more, with the same transaction number. The server keeps
    /// that number with each document that it inserted (and a new primary has it from the log of operations), does not
    /// insert those again and answers as it did or would have done the first time: an own success never comes back as
    /// a clash.
    pub(in crate::store::mongo) async fn append(&self, messages: &[MessageRow]) -> Result<Appended, StoreError> {
        if messages.is_empty() {
            return Ok(Appended { committed: 0, clashed: false });
        }
        let documents = messages.iter().map(documents::of_message).collect::<Result<Vec<_>, _>>()?;
        match self.log.insert_many(documents).ordered(true).await {
            Ok(_) => Ok(Appended { committed: messages.len(), clashed: false }),
            Err(error) => {
                clash(&error).map_or_else(|| Err(error.into()), |committed| Ok(Appended { committed, clashed: true }))
            }
        }
    }

    pub(in crate::store::mongo) async fn commit(&self, entries: &[EntryRow], ops: &[Op]) -> Result<(), StoreError> {
        if entries.is_empty() && ops.is_empty() {
            return Ok(());
        }
        let documents = entries.iter().map(documents::of_entry).collect::<Result<Vec<_>, _>>()?;
        transaction::run(self, &Change { ops, entries: &documents }).await
    }

    /// Makes a change inside a transaction.
    pub(in crate::store::mongo) async fn make(
        &self,
        session: &mut ClientSession,
        change: &Change<'_>,
    ) -> Result<(), Stop> {
        for together in change.ops.chunk_by(are_members_of_one_room) {
            self.apply(session, together).await?;
        }
        if change.entries.is_empty() {
            return Ok(());
        }
        match self.log.insert_many(change.entries).ordered(true).session(session).await {
            Err(error) if is_taken(&error) => Err(StoreError::Taken(Unique::LogEntry).into()),
            inserted => Ok(inserted.map(drop)?),
        }
    }

    /// One change, or new members of one room.
    async fn apply(&self, session: &mut ClientSession, ops: &[Op]) -> Result<(), Stop> {
        let Some(op) = ops.first() else { return Ok(()) };
        match op {
            Op::InsertRoom(room) => self.insert_room(session, room).await,
            Op::ReplaceRoom(room) => self.replace_room(session, room).await,
            Op::ExpectRoom(room, version) => self.expect_room(session, *room, *version).await,
            Op::InsertMember(member) => {
                let members: Vec<_> = ops.iter().filter_map(new_member).collect();
                self.insert_members(session, member.room, &members).await
            }
            Op::DeleteMember(room, user) => {
                self.forget_member(session, *room, *user).await?;
                self.count_members(session, *room, -1).await
            }
            Op::UpdateMember(room, user, change) => self.update_member(session, *room, *user, *change).await,
            Op::ForgetMember(room, user) => self.forget_member(session, *room, *user).await,
            Op::ReplaceMessage(message) => self.replace_message(session, message).await,
            Op::Index(message) => self.index_with(session, message).await,
            Op::InsertUser(user) => self.insert_user(session, user).await,
            Op::ReplaceUser(user) => self.replace_user(session, user).await,
            Op::PutRecord(record) => self.put_record(session, record).await,
            Op::DeleteRecord(key) => self.delete_record(session, key).await,
            Op::EndSessions { user, only, except, at } => {
                self.end_sessions(session, *user, (*only, *except), *at).await
            }
        }
    }

    /// Writes a message over the revision before it, but for what a repeat of the sender is compared with.
    async fn replace_message(&self, session: &mut ClientSession, message: &MessageRow) -> Result<(), Stop> {
        let now = Document::try_from(&documents::of_message(message)?).map_err(StoreError::from)?;
        let first = doc! { "u": "$u", "c": "$c", "h": "$h", "t": "$t" };
        let mut before = place(StreamId::Room(message.room));
        before.extend(doc! { "n": signed(message.seq), "_id": id(message.id.0), "v": signed(message.rev) - 1 });
        let replaced = self.log.update_one(before, vec![over(now, first)]).session(&mut *session).await?;
        if replaced.matched_count == 0 {
            return Err(StoreError::Stale("the message").into());
        }
        if message.deleted_at.is_some() {
            self.search.delete_one(doc! { "_id": id(message.id.0) }).session(session).await?;
        }
        Ok(())
    }
}

fn new_member(op: &Op) -> Option<&MemberRow> {
    if let Op::InsertMember(member) = op { Some(member) } else { None }
}

fn are_members_of_one_room(one: &Op, next: &Op) -> bool {
    new_member(one).zip(new_member(next)).is_some_and(|(one, next)| one.room == next.room)
}

/// How many messages were inserted before the one that clashed; none if the outcome is another or not known.
///
/// The server waits for the write concern of an ordered insert that stopped half-way as well, for what it inserted and
/// for what was in the way; it says in `writeConcernError` if it did not get there. Without that, everything before the
/// failed index is majority-committed, and so is the entry that holds its place or its client id.
fn clash(error: &Error) -> Option<usize> {
    let ErrorKind::InsertMany(bulk) = &*error.kind else { return None };
    if bulk.write_concern_error.is_some() {
        return None;
    }
    match bulk.write_errors.as_deref() {
        Some([only]) if only.code == DUPLICATE_KEY => Some(only.index),
        _ => None,
    }
}
