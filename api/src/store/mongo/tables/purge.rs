//! What is left of rooms that are marked deleted.

use super::{Tables, place, writable};
use crate::store::{
    StoreError,
    codec::Code,
    mongo::fields::{all, id},
    records::Area,
};
use futures_util::TryStreamExt as _;
use mongodb::{
    Collection,
    bson::{Bson, Document, RawDocumentBuf, doc},
};
use rookery_shared::ids::{RoomId, StreamId};
use std::time::Duration;
use tokio::time::Instant;

/// Documents that one command deletes: few enough that it is not what a call's time runs out in.
const AT_ONCE: i64 = 2_000;

/// How long one call deletes; shorter than a call may take, so that what it did is not in doubt.
const PURGE_FOR: Duration = Duration::from_secs(2);

impl Tables {
    pub(in crate::store::mongo) async fn rooms_to_purge(&self, limit: u32) -> Result<Vec<RoomId>, StoreError> {
        let marked = self.rooms.find(doc! { "leftover": { "$exists": true } }).sort(doc! { "leftover": 1 });
        let found = marked.limit(i64::from(limit.max(1))).await?;
        all(found, |fields| Ok(RoomId(fields.id("_id")?))).await
    }

    /// Deletes what there is of a room. `Unavailable` if time ran out before everything was gone: called again, it goes
    /// on.
    pub(in crate::store::mongo) async fn purge_room(&self, room: RoomId, finally: bool) -> Result<(), StoreError> {
        let deleted = doc! { "_id": id(room.0), "deletedAt": { "$ne": null } };
        if self.rooms.find_one(deleted.clone()).projection(doc! { "_id": 1 }).await?.is_none() {
            return Err(StoreError::Stale("the room"));
        }
        let until = Instant::now() + PURGE_FOR;
        let areas = [Area::Ban.code(), Area::Invite.code()];
        let left = [
            (&self.search, doc! { "s": id(room.0) }),
            (&self.log, place(StreamId::Room(room))),
            (&self.reads, doc! { "room": id(room.0) }),
            (&self.records, doc! { "area": { "$in": areas.to_vec() }, "owner": id(room.0) }),
        ];
        for (collection, of_room) in left {
            delete(collection, of_room, until).await?;
        }
        if finally {
            self.rooms.update_one(deleted, doc! { "$unset": { "leftover": true } }).await?;
        }
        Ok(())
    }
}

/// Deletes everything that matches.
async fn delete(collection: &Collection<RawDocumentBuf>, matching: Document, until: Instant) -> Result<(), StoreError> {
    let documents = writable(collection);
    while Instant::now() < until {
        let some = documents.find(matching.clone()).projection(doc! { "_id": 1 }).limit(AT_ONCE).await?;
        let ids: Vec<Bson> = some.map_ok(|found| found.get("_id").cloned().unwrap_or_default()).try_collect().await?;
        if ids.is_empty() {
            return Ok(());
        }
        let mut these = matching.clone();
        these.insert("_id", doc! { "$in": ids });
        documents.delete_many(these).await?;
    }
    Err(StoreError::Unavailable("more is left than one call deletes".into()))
}
