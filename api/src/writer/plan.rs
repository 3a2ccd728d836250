//! What one write consists of, without any I/O: which rows in which order under which numbers, who waits for each of
//! them, and what is left after the store has said how far it came.

use super::{Answer, NewMessage, SendError, Stored};
use crate::{render, store::rows::MessageRow};
use rookery_shared::{
    clock::Time,
    envelope::{Event, Header, Kind},
    ids::{MessageId, RoomId, StreamId, UserId},
    model::Author,
};
use sha2::{Digest as _, Sha256};
use std::{collections::HashMap, sync::Arc};
use tokio::{
    sync::{OwnedSemaphorePermit, oneshot},
    time::Instant,
};

/// SHA-256 over everything that makes a message another one; every part after its length, so that parts cannot flow
/// into one another.
pub(super) fn first_hash(message: &NewMessage) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    part(message.room.0.as_bytes());
    part(message.client_id.as_bytes());
    part(message.message_type.as_str().as_bytes());
    part(message.content.as_bytes());
    part(message.reply_to.as_ref().map_or(&[][..], |reply| reply.message_id.0.as_bytes()));
    if let Some(file) = &message.attachment {
        part(file.url.as_bytes());
        part(file.name.as_bytes());
        part(file.mime.as_bytes());
        part(&file.size.to_be_bytes());
    }
    hash.finalize().into()
}

/// A message in the queue of its shard.
pub(super) struct Waiting {
    row: MessageRow,
    author: Arc<Author>,
    trace: ([u8; 16], [u8; 8]),
    pub(super) since: Instant,
    waiter: Waiter,
}

impl Waiting {
    pub(super) fn new(
        message: NewMessage,
        reply: oneshot::Sender<Answer>,
        permit: OwnedSemaphorePermit,
        since: Instant,
    ) -> Self {
        let hash = first_hash(&message);
        let row = MessageRow {
            id: MessageId::new(),
            room: message.room,
            seq: 0,
            rev: 1,
            sender: message.author.user_id,
            client_id: message.client_id,
            first_hash: hash.to_vec(),
            message_type: message.message_type,
            content: message.content,
            created_at: Time(0),
            edited_at: None,
            deleted_at: None,
            reply_to: message.reply_to,
            attachment: message.attachment,
            reactions: Vec::new(),
            pinned_at: None,
        };
        let waiter = Waiter { hash, reply, _permit: permit };
        Self { row, author: message.author, trace: message.trace, since, waiter }
    }

    /// Where it goes.
    pub(super) fn room(&self) -> RoomId {
        self.row.room
    }

    /// Answers that it was not written.
    pub(super) fn refuse(self) {
        self.waiter.answer(Err(SendError::NotWritten));
    }
}

/// Someone who waits for the outcome of one client id.
struct Waiter {
    hash: [u8; 32],
    reply: oneshot::Sender<Answer>,
    _permit: OwnedSemaphorePermit,
}

impl Waiter {
    fn answer(self, answer: Answer) {
        // A caller that went away is answered by its next try.
        let _ = self.reply.send(answer);
    }
}

/// Everyone who sent one client id in this batch: usually one.
pub(super) struct Senders {
    author: Arc<Author>,
    trace: ([u8; 16], [u8; 8]),
    waiters: Vec<Waiter>,
}

impl Senders {
    /// Answers with what is stored under the client id, and gives the event to publish and what was stored.
    pub(super) fn settle(self, row: MessageRow, repeated: bool) -> (Event, Arc<Stored>) {
        let data = render::message_json(&row, &self.author);
        let event = Event {
            header: Header {
                subject: row.sender.0,
                trace: self.trace,
                ..Header::new(Kind::Message, StreamId::Room(row.room), row.seq)
            },
            data: data.clone(),
        };
        let stored = Arc::new(Stored { row, data: data.clone(), repeated });
        let again = Arc::new(Stored { row: stored.row.clone(), data, repeated: true });
        for (index, waiter) in self.waiters.into_iter().enumerate() {
            let answer = if waiter.hash.as_slice() == stored.row.first_hash.as_slice() {
                Ok(if index == 0 { stored.clone() } else { again.clone() })
            } else {
                Err(SendError::ClientIdReused)
            };
            waiter.answer(answer);
        }
        (event, stored)
    }
}

/// The messages of one write that are not settled: of each room contiguous and in the order sent, each client id once.
#[derive(Default)]
pub(super) struct Plan {
    rows: Vec<MessageRow>,
    senders: Vec<Senders>,
}

impl Plan {
    /// Plans a write of these messages, in this order within each room.
    pub(super) fn new(messages: impl IntoIterator<Item = Waiting>) -> Self {
        let mut rooms: HashMap<RoomId, usize> = HashMap::new();
        let mut by_room: Vec<Vec<(MessageRow, Senders)>> = Vec::new();
        let mut by_key: HashMap<(RoomId, UserId, String), (usize, usize)> = HashMap::new();
        for Waiting { row, author, trace, waiter, .. } in messages {
            let room = *rooms.entry(row.room).or_insert_with(|| {
                by_room.push(Vec::new());
                by_room.len() - 1
            });
            let key = (row.room, row.sender, row.client_id.clone());
            if let Some((room, index)) = by_key.get(&key) {
                by_room[*room][*index].1.waiters.push(waiter);
                continue;
            }
            by_key.insert(key, (room, by_room[room].len()));
            by_room[room].push((row, Senders { author, trace, waiters: vec![waiter] }));
        }
        let (rows, senders) = by_room.into_iter().flatten().unzip();
        Self { rows, senders }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows in the order in which they are to be inserted.
    pub(super) fn rows(&self) -> &[MessageRow] {
        &self.rows
    }

    /// The rooms, each once.
    pub(super) fn rooms(&self) -> Vec<RoomId> {
        let mut rooms: Vec<RoomId> = self.rows.iter().map(|row| row.room).collect();
        rooms.dedup();
        rooms
    }

    /// The client ids of the first room, as the store looks them up.
    pub(super) fn first_keys(&self) -> Vec<(RoomId, UserId, String)> {
        let first = self.rows.first().map(|row| row.room);
        let of_first = self.rows.iter().take_while(|row| Some(row.room) == first);
        of_first.map(|row| (row.room, row.sender, row.client_id.clone())).collect()
    }

    /// Gives every row its place behind the head of its room; the new head of each room.
    pub(super) fn number(&mut self, now: Time, head: impl Fn(RoomId) -> u64) -> Vec<(StreamId, u64)> {
        let mut heads: Vec<(StreamId, u64)> = Vec::new();
        let mut room = None;
        for row in &mut self.rows {
            let seq = match heads.last() {
                Some((_, last)) if room == Some(row.room) => last + 1,
                _ => head(row.room) + 1,
            };
            (row.seq, row.created_at) = (seq, now);
            match heads.last_mut() {
                Some((_, last)) if room == Some(row.room) => *last = seq,
                _ => heads.push((StreamId::Room(row.room), seq)),
            }
            room = Some(row.room);
        }
        heads
    }

    /// Takes out the first ones, which are committed.
    pub(super) fn committed(&mut self, count: usize) -> Vec<(MessageRow, Senders)> {
        let count = count.min(self.rows.len());
        self.rows.drain(..count).zip(self.senders.drain(..count)).collect()
    }

    /// Takes out what turns out to be stored under its client id; `found` is in the order of [`Plan::first_keys`]. The
    /// order of the others stays.
    pub(super) fn repeats(&mut self, found: Vec<Option<MessageRow>>) -> Vec<(MessageRow, Senders)> {
        let mut settled = Vec::new();
        let mut rest = Self::default();
        let all = std::mem::take(self);
        for ((row, senders), found) in
            all.rows.into_iter().zip(all.senders).zip(found.into_iter().chain(std::iter::repeat(None)))
        {
            if let Some(stored) = found {
                settled.push((stored, senders));
            } else {
                rest.rows.push(row);
                rest.senders.push(senders);
            }
        }
        *self = rest;
        settled
    }

    /// Moves a room that comes first behind the others, so that a clash that lasts does not hold them up.
    pub(super) fn defer_first(&mut self, room: RoomId) {
        let count = self.rows.iter().take_while(|row| row.room == room).count();
        self.rows.rotate_left(count);
        self.senders.rotate_left(count);
    }

    /// Ends everything that is left with this error.
    pub(super) fn fail(&mut self, error: SendError) {
        self.rows.clear();
        for waiter in self.senders.drain(..).flat_map(|senders| senders.waiters) {
            waiter.answer(Err(error));
        }
    }
}

#[cfg(test)]
mod tests;
