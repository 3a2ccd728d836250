//! What never changes about a room, and the blocks that stand between the two of a conversation.
//!
//! Blocks are read anew for every batch of sends, and never remembered: who blocked somebody a moment ago hears nothing
//! more from them, whichever api it goes through.

use crate::{
    app::Api,
    problem,
    store::{
        StoreError,
        records::{Area, RecordKey},
        rows::RoomRow,
    },
};
use rookery_shared::{
    ids::{RoomId, UserId},
    protocol::{Code, Problem},
};
use std::{
    collections::{HashMap, HashSet},
    time::Instant,
};

/// What a room is for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Facts {
    /// A room that people join and leave.
    Room,
    /// A conversation of more than two.
    Conversation,
    /// A conversation of these two.
    Pair(UserId, UserId),
}

impl Facts {
    /// Reads them off a room.
    pub(crate) fn of(room: &RoomRow) -> Self {
        if !room.room_type.is_conversation() {
            return Self::Room;
        }
        // Its key names its people, in order; see `conversations::key`.
        let key = room.conversation_key.as_deref().unwrap_or_default();
        let people = key.split_once(':').map_or("", |(_, people)| people).split(',');
        match people.map(str::parse).collect::<Result<Vec<UserId>, _>>().as_deref() {
            Ok([one, other]) => Self::Pair(*one, *other),
            _ => Self::Conversation,
        }
    }
}

fn key((owner, blocked): (UserId, UserId)) -> RecordKey {
    RecordKey { area: Area::Block, owner: owner.0, id: blocked.0 }
}

impl Api {
    /// What these rooms are; unknown ones are left out.
    pub(crate) async fn facts(
        &self,
        rooms: impl IntoIterator<Item = RoomId>,
    ) -> Result<HashMap<RoomId, Facts>, StoreError> {
        let (mut known, mut missing) = (HashMap::new(), HashSet::new());
        for room in rooms {
            match self.rooms.get(&room) {
                Some(facts) => drop(known.insert(room, facts)),
                None => drop(missing.insert(room)),
            }
        }
        if !missing.is_empty() {
            let missing: Vec<RoomId> = missing.into_iter().collect();
            let read_at = Instant::now();
            for (room, _) in self.reader.store().rooms(&missing).await?.into_iter().flatten() {
                let facts = Facts::of(&room);
                self.rooms.put(room.id, facts, read_at);
                known.insert(room.id, facts);
            }
        }
        Ok(known)
    }

    /// Those of these pairs between whom a block stands, in either direction.
    pub(crate) async fn blocked_pairs(
        &self,
        pairs: &[(UserId, UserId)],
    ) -> Result<HashSet<(UserId, UserId)>, StoreError> {
        if pairs.is_empty() {
            return Ok(HashSet::new());
        }
        let keys: Vec<RecordKey> =
            pairs.iter().flat_map(|(one, other)| [key((*one, *other)), key((*other, *one))]).collect();
        let found = self.reader.store().records(&keys).await?;
        let blocked = pairs.iter().zip(found.chunks(2)).filter(|(_, either)| either.iter().any(Option::is_some));
        Ok(blocked.map(|(pair, _)| *pair).collect())
    }

    /// Whether nothing may be said in a room, because it is a conversation of two and a block stands between them.
    pub(crate) async fn is_blocked(&self, room: &RoomRow) -> Result<bool, Problem> {
        let Facts::Pair(one, other) = Facts::of(room) else { return Ok(false) };
        Ok(!self.blocked_pairs(&[(one, other)]).await.map_err(problem::store)?.is_empty())
    }

    /// Refuses where a block stands between two people.
    pub(crate) async fn not_blocked(&self, one: UserId, other: UserId) -> Result<(), Problem> {
        let blocked = self.blocked_pairs(&[(one, other)]).await.map_err(problem::store)?;
        if blocked.is_empty() { Ok(()) } else { Err(Code::Blocked.into()) }
    }
}
