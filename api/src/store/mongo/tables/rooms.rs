//! Rooms, with their counts of members. What was deleted is not there for any of these.

use super::{Tables, writable};
use crate::{
    store::{
        Part, StoreError, Unique,
        codec::{Code, Unreadable, in_order},
        mongo::{
            error::is_taken,
            fields::{Fields, all, compact, date, id},
            transaction::Stop,
        },
        rows::RoomRow,
    },
    text::fold,
};
use mongodb::{
    ClientSession,
    bson::{Bson, Document, doc},
    options::ReadConcern,
};
use rookery_shared::{
    ids::{RoomId, StreamId, UserId},
    model::{RoomType, Visibility},
};

/// Beyond the row: `nameKey`, folded, for the search in names; `bucket` of the room's log, for look-ups in it that the
/// server makes; `memberCount`, kept by the transactions that change members. A deleted conversation has no
/// `conversationKey`, so that its key is free.
fn write(room: &RoomRow) -> Document {
    let live_key = room.conversation_key.as_deref().filter(|_| room.deleted_at.is_none());
    compact(doc! {
        "_id": id(room.id.0),
        "type": room.room_type.code(),
        "name": room.name.as_deref(),
        "nameKey": room.name.as_deref().map(fold),
        "description": room.description.as_deref(),
        "visibility": room.visibility.code(),
        "historyFrom": room.history_from.code(),
        "createdBy": room.created_by.map(|user| id(user.0)),
        "createdAt": date(room.created_at),
        "conversationKey": live_key,
        "deletedAt": room.deleted_at.map(date),
        "bucket": i32::from(StreamId::Room(room.id).bucket()),
        "memberCount": 0_i64,
    })
}

pub(super) fn read(fields: Fields<'_>) -> Result<(RoomRow, u64), Unreadable> {
    let room = RoomRow {
        id: RoomId(fields.id("_id")?),
        room_type: fields.word("type")?,
        name: fields.owned_text("name")?,
        description: fields.owned_text("description")?,
        visibility: fields.word("visibility")?,
        history_from: fields.word("historyFrom")?,
        created_by: fields.optional_id("createdBy")?.map(UserId),
        created_at: fields.time("createdAt")?,
        conversation_key: fields.owned_text("conversationKey")?,
        deleted_at: fields.optional_time("deletedAt")?,
    };
    Ok((room, fields.number("memberCount")?))
}

impl Tables {
    pub(super) async fn insert_room(&self, session: &mut ClientSession, room: &RoomRow) -> Result<(), Stop> {
        match writable(&self.rooms).insert_one(write(room)).session(session).await {
            Err(error) if is_taken(&error) => {
                // Outside of the transaction, which is over, and of what this primary has: a majority may not yet.
                let of_key = doc! { "conversationKey": room.conversation_key.as_deref() };
                let found = match room.conversation_key {
                    Some(_) => self.rooms.find_one(of_key).read_concern(ReadConcern::local()).await?,
                    None => None,
                };
                Err(StoreError::Taken(found.map_or(Unique::Other, |_| Unique::Conversation)).into())
            }
            inserted => Ok(inserted.map(drop)?),
        }
    }

    /// Counts members that come or go. `Stale` if the room is not there. Being a write to the room, it also makes a
    /// transaction that deletes the room, and one that changes its members, exclude one another.
    pub(super) async fn count_members(
        &self,
        session: &mut ClientSession,
        room: RoomId,
        change: i64,
    ) -> Result<(), Stop> {
        let here = doc! { "_id": id(room.0), "deletedAt": null };
        let counted = self.rooms.update_one(here, doc! { "$inc": { "memberCount": change } }).session(session).await?;
        if counted.matched_count == 0 { Err(StoreError::Stale("the room").into()) } else { Ok(()) }
    }

    pub(in crate::store::mongo) async fn rooms_by_ids(
        &self,
        ids: &[RoomId],
    ) -> Result<Vec<Option<(RoomRow, u64)>>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let wanted: Vec<Bson> = ids.iter().map(|room| id(room.0).into()).collect();
        let cursor = self.rooms.find(doc! { "_id": { "$in": wanted }, "deletedAt": null }).await?;
        let found = all(cursor, |fields| Ok(read(fields)?)).await?;
        Ok(in_order(ids.iter().copied(), &found.into_iter().map(|found| (found.0.id, found)).collect()))
    }

    pub(in crate::store::mongo) async fn conversation(&self, key: &str) -> Result<Option<RoomRow>, StoreError> {
        let found = self.rooms.find_one(doc! { "conversationKey": key, "deletedAt": null }).await?;
        Ok(found.map(|found| read(Fields::of(&found))).transpose()?.map(|(room, _)| room))
    }

    pub(in crate::store::mongo) async fn visible_rooms(
        &self,
        user: UserId,
        name: &str,
        part: Part<RoomId>,
        limit: u32,
    ) -> Result<Vec<(RoomRow, u64)>, StoreError> {
        let mine = self.members.find(doc! { "user": id(user.0) }).projection(doc! { "room": 1 }).await?;
        let mine: Vec<Bson> = all(mine, |fields| Ok(id(fields.id("room")?).into())).await?;
        // Each half is read in the order of an index and both are merged, so that a page reads little more than itself.
        let mut public = doc! { "visibility": Visibility::Public.code() };
        let mut own = doc! { "$in": mine };
        // Newest first: what follows a room has a lower id.
        let (side, direction) = match part {
            Part::First => (None, -1),
            Part::After(room) => (Some(("$lt", room)), -1),
            Part::Before(room) => (Some(("$gt", room)), 1),
        };
        if let Some((side, room)) = side {
            public.insert("_id", doc! { side: id(room.0) });
            own.insert(side, id(room.0));
        }
        let mut wanted = doc! { "$or": [public, { "_id": own }], "type": RoomType::Room.code(), "deletedAt": null };
        if !name.is_empty() {
            wanted.insert("nameKey", doc! { "$regex": literal(&fold(name)) });
        }
        let cursor = self.rooms.find(wanted).sort(doc! { "_id": direction }).limit(i64::from(limit.max(1))).await?;
        let mut found = all(cursor, |fields| Ok(read(fields)?)).await?;
        if direction > 0 {
            found.reverse();
        }
        Ok(found)
    }

    /// Whether the room is there.
    pub(super) async fn is_room(&self, room: RoomId) -> Result<bool, StoreError> {
        let here = doc! { "_id": id(room.0), "deletedAt": null };
        Ok(self.rooms.find_one(here).projection(doc! { "_id": 1 }).await?.is_some())
    }
}

/// The text as a regular expression that matches exactly it.
fn literal(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if character.is_ascii_punctuation() {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}
