//! Rooms, with their counts of members. What was deleted is not there for any of these.

use super::{Paging, Tables, over, writable};
use crate::{
    store::{
        Part, StoreError, Unique,
        codec::{Code, Unreadable, in_order, signed, unsigned},
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
    options::{ReadConcern, UpdateModifications},
};
use rookery_shared::{
    ids::{RoomId, StreamId, UserId},
    model::{RoomType, Visibility},
};

/// The version of rooms that were made before rooms had one.
const FIRST_VERSION: u64 = 1;

/// Beyond the row: `nameKey`, folded, for the search in names; `bucket` of the room's log, for look-ups in it that the
/// server makes; `memberCount`, kept by the transactions that change members; `expected`, a counter that they write
/// for nothing but the conflict; `leftover`, when it was deleted, while something of it is left. A deleted conversation
/// has no `conversationKey`, so that its key is free.
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
        "deletedBy": room.deleted_by.map(|user| id(user.0)),
        "leftover": room.deleted_at.map(date),
        "version": signed(room.version),
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
        deleted_by: fields.optional_id("deletedBy")?.map(UserId),
        version: fields.integer("version")?.map_or(Ok(FIRST_VERSION), unsigned)?,
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

    pub(super) async fn replace_room(&self, session: &mut ClientSession, room: &RoomRow) -> Result<(), Stop> {
        let mut kept = doc! { "memberCount": "$memberCount" };
        if room.deleted_at.is_none() {
            kept.insert("conversationKey", "$conversationKey");
        }
        let now = over(write(room), kept);
        self.change_room(session, of_version(room.id, room.version.saturating_sub(1)), vec![now]).await
    }

    /// A real write, so that a transaction that changes the room at the same time conflicts with this one.
    pub(super) async fn expect_room(
        &self,
        session: &mut ClientSession,
        room: RoomId,
        version: u64,
    ) -> Result<(), Stop> {
        self.change_room(session, of_version(room, version), doc! { "$inc": { "expected": 1_i64 } }).await
    }

    async fn change_room(
        &self,
        session: &mut ClientSession,
        room: Document,
        change: impl Into<UpdateModifications>,
    ) -> Result<(), Stop> {
        let changed = self.rooms.update_one(room, change).session(session).await?;
        if changed.matched_count == 0 { Err(StoreError::Stale("the room").into()) } else { Ok(()) }
    }

    /// Counts members that come or go. `Stale` if the room is not there. Being a write to the room, it also makes a
    /// transaction that deletes the room, and one that changes its members, exclude one another.
    pub(super) async fn count_members(
        &self,
        session: &mut ClientSession,
        room: RoomId,
        change: i64,
    ) -> Result<(), Stop> {
        self.change_room(session, here(room), doc! { "$inc": { "memberCount": change } }).await
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
        let paging = Paging::of(part.map(|room| id(room.0)), -1);
        let public = paging.narrow(doc! { "visibility": Visibility::Public.code() }, "_id");
        let mut own = doc! { "$in": mine };
        own.extend(paging.key.clone());
        let mut wanted = doc! { "$or": [public, { "_id": own }], "type": RoomType::Room.code(), "deletedAt": null };
        if !name.is_empty() {
            wanted.insert("nameKey", doc! { "$regex": literal(&fold(name)) });
        }
        let sorted = self.rooms.find(wanted).sort(doc! { "_id": paging.direction });
        let cursor = sorted.limit(i64::from(limit.max(1))).await?;
        Ok(paging.in_order(all(cursor, |fields| Ok(read(fields)?)).await?))
    }

    pub(in crate::store::mongo) async fn deleted_room(&self, room: RoomId) -> Result<Option<RoomRow>, StoreError> {
        let found = self.rooms.find_one(doc! { "_id": id(room.0), "deletedAt": { "$ne": null } }).await?;
        Ok(found.map(|found| read(Fields::of(&found))).transpose()?.map(|(room, _)| room))
    }

    /// Whether the room is there.
    pub(super) async fn is_room(&self, room: RoomId) -> Result<bool, StoreError> {
        Ok(self.rooms.find_one(here(room)).projection(doc! { "_id": 1 }).await?.is_some())
    }
}

/// Matches the room if it is there.
fn here(room: RoomId) -> Document {
    doc! { "_id": id(room.0), "deletedAt": null }
}

/// Matches the room if it is there and has this version.
fn of_version(room: RoomId, version: u64) -> Document {
    let mut wanted = here(room);
    let unwritten = (version == FIRST_VERSION).then_some(Bson::Null);
    let versions: Vec<Bson> = [signed(version).into()].into_iter().chain(unwritten).collect();
    wanted.insert("version", doc! { "$in": versions });
    wanted
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
