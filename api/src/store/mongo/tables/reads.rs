//! Who read up to where, and when.

use super::Tables;
use crate::store::{
    StoreError,
    codec::signed,
    mongo::fields::{all, date, id},
    rows::ReadRow,
};
use mongodb::bson::{RawDocumentBuf, doc, rawdoc};
use rookery_shared::{
    clock::Time,
    ids::{RoomId, UserId},
};

impl Tables {
    /// Not a transaction: the move is kept before the cursor shows it, so that no cursor is without its moves. A move
    /// that is kept and not made, or kept twice, tells nothing wrong: the earliest one counts.
    pub(in crate::store::mongo) async fn move_read(&self, read: &ReadRow) -> Result<bool, StoreError> {
        let member = self.memberships(&[(read.room, read.user)]).await?.pop().flatten();
        if member.is_none_or(|member| read.up_to <= member.read_seq) {
            return Ok(false);
        }
        let kept = rawdoc! {
            "room": id(read.room.0),
            "user": id(read.user.0),
            "from": signed(read.from_seq),
            "upTo": signed(read.up_to),
            "at": date(read.at),
        };
        self.reads.insert_one(kept).await?;
        self.move_cursor(read.room, read.user, read.up_to).await
    }

    pub(in crate::store::mongo) async fn reads_of(
        &self,
        room: RoomId,
        seq: u64,
        limit: u32,
    ) -> Result<Vec<(UserId, Time)>, StoreError> {
        let (room, seq) = (id(room.0), signed(seq));
        let pipeline = [
            doc! { "$match": { "room": room, "upTo": { "$gte": seq }, "from": { "$lte": seq } } },
            doc! { "$group": { "_id": "$user", "at": { "$min": "$at" } } },
            doc! { "$sort": { "at": 1, "_id": 1 } },
            doc! { "$limit": i64::from(limit.max(1)) },
        ];
        let cursor = self.reads.aggregate(pipeline).with_type::<RawDocumentBuf>().await?;
        all(cursor, |fields| Ok((UserId(fields.id("_id")?), fields.time("at")?))).await
    }
}
