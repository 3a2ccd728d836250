//! Read cursors: how far everyone has read, and who read a message when.
//!
//! A cursor only moves forward. Marks that come while one of the same person and room is being written go out together
//! in the next write, as the farthest of them.

use crate::{
    app::Api,
    problem,
    store::{
        Stretch,
        rows::{MessageRow, ReadRow},
    },
};
use bytes::Bytes;
use rookery_shared::{
    backend::Mark,
    clock::{self, Time},
    envelope::{Event, Header, Kind},
    ids::{ConnectionId, MessageId, RoomId, StreamId, UserId},
    model::MessageRead,
    protocol::{
        Code, Problem,
        command::{ReadCursors, ReadUpTo},
    },
};
use serde::Serialize;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use utoipa::ToSchema;

/// Most people who are named as readers of one message.
const MAX_READERS: u32 = 1_000;

/// Rooms whose cursors are given at once: more than a connection follows.
const MAX_ROOMS: usize = 1_000;

/// Someone who read a message.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReadBy {
    user_id: UserId,
    read_at: Time,
}

/// A wish to move a cursor.
#[derive(Clone, Copy, Debug)]
struct Wish {
    up_to: u64,
    message: MessageId,
    from_seq: u64,
    connection: Option<ConnectionId>,
}

type Key = (RoomId, UserId);

/// The moves of one cursor.
#[derive(Debug, Default)]
struct Way {
    /// The farthest that was wished for and is not written yet.
    wish: Mutex<Option<Wish>>,
    /// Held by who writes; where the cursor is known to stand.
    turn: tokio::sync::Mutex<u64>,
}

/// Cursors that are being moved.
#[derive(Debug, Default)]
pub(crate) struct Moves(Mutex<HashMap<Key, Arc<Way>>>);

/// A place among those who move a cursor; the last one to leave tidies up, however it ends.
struct Moving<'a> {
    moves: &'a Moves,
    key: Key,
    way: Arc<Way>,
}

impl Moves {
    fn enter(&self, key: Key, wish: Wish) -> Moving<'_> {
        let way = self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone();
        let mut farthest = way.wish.lock().unwrap_or_else(PoisonError::into_inner);
        if farthest.is_none_or(|farthest| farthest.up_to < wish.up_to) {
            *farthest = Some(wish);
        }
        drop(farthest);
        Moving { moves: self, key, way }
    }
}

impl Moving<'_> {
    /// The farthest wish, which is the caller's to write now.
    fn take(&self) -> Option<Wish> {
        self.way.wish.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Moving<'_> {
    fn drop(&mut self) {
        let mut all = self.moves.0.lock().unwrap_or_else(PoisonError::into_inner);
        // One in the table and this one.
        if Arc::strong_count(&self.way) == 2 {
            all.remove(&self.key);
        }
    }
}

impl Api {
    /// Marks everything up to a message as read; answers with the cursor that stands.
    pub(crate) async fn read_up_to(&self, mark: Mark) -> Result<ReadUpTo, Problem> {
        let Mark { user_id: user, room_id, message_id, connection } = mark;
        let from_seq = self.membership(user, room_id).await?.from_seq;
        let message = match message_id {
            Some(id) => Some(self.message_of(room_id, id, from_seq).await?),
            None => self.newest_message(room_id, from_seq).await?,
        };
        let up_to = match message {
            Some(MessageRow { id: message, seq: up_to, .. }) => {
                let wish = Wish { up_to, message, from_seq, connection };
                self.move_cursor((room_id, user), wish).await?
            }
            // Nothing was ever said here.
            None => self.cursor((room_id, user)).await?,
        };
        Ok(ReadUpTo { room_id, up_to })
    }

    async fn message_of(&self, room: RoomId, id: MessageId, from_seq: u64) -> Result<MessageRow, Problem> {
        let found = self.reader.store().messages(&[id]).await.map_err(problem::store)?;
        let found = found.into_iter().flatten().next().filter(|row| row.room == room && row.seq >= from_seq);
        found.ok_or_else(|| Problem::field("messageId", "is a message of this room"))
    }

    async fn newest_message(&self, room: RoomId, from_seq: u64) -> Result<Option<MessageRow>, Problem> {
        let newest = self.reader.store().entries(StreamId::Room(room), Stretch::Newest, 1, true).await;
        let newest = newest.map_err(problem::store)?.into_iter().next();
        Ok(newest.and_then(|entry| entry.message).filter(|row| row.seq >= from_seq))
    }

    /// Where a cursor stands.
    async fn cursor(&self, (room, user): Key) -> Result<u64, Problem> {
        let member = self.reader.store().memberships(&[(room, user)]).await.map_err(problem::store)?;
        Ok(member.into_iter().flatten().next().ok_or(Code::NotAMember)?.read_seq)
    }

    async fn move_cursor(&self, key: Key, wish: Wish) -> Result<u64, Problem> {
        let moving = self.moves.enter(key, wish);
        let mut stands = moving.way.turn.lock().await;
        if *stands < wish.up_to {
            // Whoever was here before wrote less than this, or failed. What waits behind goes out with it.
            let farthest = moving.take().filter(|farthest| farthest.up_to > wish.up_to).unwrap_or(wish);
            *stands = self.write_cursor(key, farthest).await?;
        }
        Ok(*stands)
    }

    async fn write_cursor(&self, (room, user): Key, wish: Wish) -> Result<u64, Problem> {
        let Wish { up_to, message, from_seq, connection } = wish;
        let at = clock::now();
        let read = ReadRow { room, user, from_seq, up_to, at };
        if !self.reader.store().move_read(read).await.map_err(problem::store)? {
            return self.cursor((room, user)).await;
        }
        let event = MessageRead { room_id: room, user_id: user, up_to, message_id: Some(message), read_at: at };
        self.tell_read(event, connection).await?;
        Ok(up_to)
    }

    /// Tells everyone in a small room that someone has read, and of a large one their own other devices.
    async fn tell_read(&self, read: MessageRead, connection: Option<ConnectionId>) -> Result<(), Problem> {
        let rooms = self.reader.store().rooms(&[read.room_id]).await.map_err(problem::store)?;
        let Some((_, member_count)) = rooms.into_iter().next().flatten() else { return Ok(()) };
        let stream = if member_count <= self.config.receipts.max_room {
            StreamId::Room(read.room_id)
        } else {
            StreamId::User(read.user_id)
        };
        let header = Header {
            subject: read.user_id.0,
            ref_seq: connection.map_or(0, ConnectionId::tag),
            ..Header::new(Kind::MessageRead, stream, 0)
        };
        let data = serde_json::to_vec(&read).map_err(|_| Problem::from(Code::Internal))?;
        self.publisher.publish(vec![Event { header, data: Bytes::from(data) }]);
        Ok(())
    }

    /// Who read a message, and when first; its author apart.
    pub(crate) async fn readers_of(&self, message: &MessageRow) -> Result<Vec<ReadBy>, Problem> {
        let reads = self.reader.store().reads_of(message.room, message.seq, MAX_READERS).await;
        let others = reads.map_err(problem::store)?.into_iter().filter(|(user, _)| *user != message.sender);
        Ok(others.map(|(user_id, read_at)| ReadBy { user_id, read_at }).collect())
    }

    /// How far people have read in rooms that someone is in; of a large room only how far they have themselves.
    pub(crate) async fn cursors_of(&self, user: UserId, mut rooms: Vec<RoomId>) -> Result<ReadCursors, Problem> {
        rooms.truncate(MAX_ROOMS);
        let keys: Vec<Key> = rooms.iter().map(|room| (*room, user)).collect();
        let store = self.reader.store();
        let (members, found) =
            tokio::try_join!(store.memberships(&keys), store.rooms(&rooms)).map_err(problem::store)?;
        let (mut cursors, mut small) = (ReadCursors::with_capacity(rooms.len()), Vec::new());
        for (member, room) in members.into_iter().zip(found) {
            let (Some(member), Some((room, member_count))) = (member, room) else { continue };
            if member_count <= self.config.receipts.max_room {
                small.push(room.id);
            } else {
                cursors.insert(room.id, HashMap::from([(user, member.read_seq)]));
            }
        }
        let everyone = store.read_cursors(&small).await.map_err(problem::store)?;
        cursors.extend(small.into_iter().zip(everyone.into_iter().map(|of| of.into_iter().collect())));
        Ok(cursors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(up_to: u64) -> Wish {
        Wish { up_to, message: MessageId::NIL, from_seq: 1, connection: None }
    }

    #[test]
    fn wishes_that_wait_for_one_another_are_written_as_the_farthest() {
        let (moves, key) = (Moves::default(), (RoomId::new(), UserId::new()));
        let waiting: Vec<_> = [3, 7, 5].map(|up_to| moves.enter(key, wish(up_to))).into();
        assert_eq!(waiting[0].take().map(|wish| wish.up_to), Some(7));
        assert!(waiting[1].take().is_none(), "it is written once");
        drop(waiting);
        assert!(moves.0.lock().expect("no panic").is_empty(), "nothing is left behind");
    }
}
