//! Who is in which room.

use super::{Paging, Tables, any_of, rooms, users, writable};
use crate::store::{
    MemberChange, MembershipOf, Part, StoreError, Unique,
    codec::{Code, Unreadable, in_order, mute_code, mute_of, signed},
    mongo::{
        error::is_taken,
        fields::{Fields, all, compact, date, id},
        transaction::Stop,
    },
    rows::{MemberRow, UserRow},
};
use mongodb::{
    ClientSession,
    bson::{Bson, Document, RawDocumentBuf, doc},
};
use rookery_shared::{
    envelope::Kind,
    ids::{RoomId, UserId},
    model::MemberRole,
};
use std::collections::HashMap;

/// Beyond the row: `usernameKey`, as members are listed by it. It changes with the account's.
fn write(member: &MemberRow, username_key: Option<&str>) -> Document {
    compact(doc! {
        "room": id(member.room.0),
        "user": id(member.user.0),
        "role": member.role.code(),
        "joinedAt": date(member.joined_at),
        "inSeq": signed(member.in_seq),
        "fromSeq": signed(member.from_seq),
        "readSeq": signed(member.read_seq),
        "mute": mute_code(member.mute),
        "hiddenSeq": signed(member.hidden_seq),
        "usernameKey": username_key,
    })
}

fn read(fields: Fields<'_>) -> Result<MemberRow, Unreadable> {
    Ok(MemberRow {
        room: RoomId(fields.id("room")?),
        user: UserId(fields.id("user")?),
        role: fields.word("role")?,
        joined_at: fields.time("joinedAt")?,
        in_seq: fields.number("inSeq")?,
        from_seq: fields.number("fromSeq")?,
        read_seq: fields.number("readSeq")?,
        mute: mute_of(fields.integer("mute")?),
        hidden_seq: fields.number("hiddenSeq")?,
    })
}

/// Matches this membership.
fn of(room: RoomId, user: UserId) -> Document {
    doc! { "room": id(room.0), "user": id(user.0) }
}

/// Puts the document of another collection that `key` names, if it is like this, beside each membership; those without
/// one fall out.
fn beside(from: &str, key: &str, like: Document, name: &str) -> [Document; 2] {
    [
        doc! { "$lookup": {
            "from": from,
            "localField": key,
            "foreignField": "_id",
            "pipeline": [{ "$match": like }],
            "as": name,
        } },
        doc! { "$unwind": format!("${name}") },
    ]
}

/// Puts the rooms that are there beside memberships, as `place`; those without one fall out.
fn with_places() -> [Document; 2] {
    beside("rooms", "room", doc! { "deletedAt": null }, "place")
}

impl Tables {
    /// Members of one room, in three round trips however many they are.
    pub(super) async fn insert_members(
        &self,
        session: &mut ClientSession,
        room: RoomId,
        members: &[&MemberRow],
    ) -> Result<(), Stop> {
        // Outside of the transaction, whose snapshot need not hold them: a user is there before anyone lets them in.
        let users: Vec<UserId> = members.iter().map(|member| member.user).collect();
        let users = self.users_by_ids(&users).await?;
        let documents = members.iter().zip(&users).map(|(member, user)| {
            let key = user.as_ref().map(|user| user.username_key.as_str());
            write(member, key)
        });
        self.count_members(session, room, i64::try_from(members.len()).unwrap_or(i64::MAX)).await?;
        match writable(&self.members).insert_many(documents).session(session).await {
            Err(error) if is_taken(&error) => Err(StoreError::Taken(Unique::Member).into()),
            inserted => Ok(inserted.map(drop)?),
        }
    }

    pub(super) async fn update_member(
        &self,
        session: &mut ClientSession,
        room: RoomId,
        user: UserId,
        change: MemberChange,
    ) -> Result<(), Stop> {
        let change = match change {
            MemberChange::Role(role) => doc! { "$set": { "role": role.code() } },
            MemberChange::Mute(None) => doc! { "$unset": { "mute": true } },
            MemberChange::Mute(mute) => doc! { "$set": { "mute": mute_code(mute) } },
            MemberChange::Hidden(seq) => doc! { "$set": { "hiddenSeq": signed(seq) } },
        };
        match self.members.update_one(of(room, user), change).session(session).await?.matched_count {
            0 => Err(StoreError::Stale("the membership").into()),
            _ => Ok(()),
        }
    }

    /// A membership goes; whoever lets one go in a room that is there counts it.
    pub(super) async fn forget_member(
        &self,
        session: &mut ClientSession,
        room: RoomId,
        user: UserId,
    ) -> Result<(), Stop> {
        match self.members.delete_one(of(room, user)).session(session).await?.deleted_count {
            0 => Err(StoreError::Stale("the membership").into()),
            _ => Ok(()),
        }
    }

    /// Moves a read cursor forward; false if it is there already.
    pub(super) async fn move_cursor(&self, room: RoomId, user: UserId, up_to: u64) -> Result<bool, StoreError> {
        let mut behind = of(room, user);
        behind.insert("readSeq", doc! { "$lt": signed(up_to) });
        let moved = self.members.update_one(behind, doc! { "$set": { "readSeq": signed(up_to) } }).await?;
        Ok(moved.matched_count > 0)
    }

    pub(in crate::store::mongo) async fn read_cursors(
        &self,
        rooms: &[RoomId],
    ) -> Result<Vec<Vec<(UserId, u64)>>, StoreError> {
        let ids: Vec<Bson> = rooms.iter().map(|room| id(room.0).into()).collect();
        let found = self.members.find(doc! { "room": { "$in": ids } });
        let found = found.projection(doc! { "_id": 0, "room": 1, "user": 1, "readSeq": 1 }).await?;
        let mut of: HashMap<RoomId, Vec<(UserId, u64)>> = HashMap::new();
        for (room, cursor) in all(found, |fields| {
            Ok((RoomId(fields.id("room")?), (UserId(fields.id("user")?), fields.number("readSeq")?)))
        })
        .await?
        {
            of.entry(room).or_default().push(cursor);
        }
        Ok(in_order(rooms.iter().copied(), &of).into_iter().map(Option::unwrap_or_default).collect())
    }

    pub(in crate::store::mongo) async fn memberships(
        &self,
        of: &[(RoomId, UserId)],
    ) -> Result<Vec<Option<MemberRow>>, StoreError> {
        if of.is_empty() {
            return Ok(Vec::new());
        }
        let [lookup, unwind] = with_places();
        let pairs: Vec<_> = of.iter().map(|(room, user)| (room.0, user.0)).collect();
        let pipeline = [doc! { "$match": { "$or": any_of(("room", "user"), &pairs) } }, lookup, unwind];
        let cursor = self.members.aggregate(pipeline).with_type::<RawDocumentBuf>().await?;
        let found = all(cursor, |fields| Ok(read(fields)?)).await?;
        let found = found.into_iter().map(|member| ((member.room, member.user), member)).collect();
        Ok(in_order(of.iter().copied(), &found))
    }

    pub(in crate::store::mongo) async fn rooms_of(
        &self,
        user: UserId,
        limit: u32,
    ) -> Result<Vec<MembershipOf>, StoreError> {
        let [lookup, unwind] = with_places();
        let pipeline = [
            doc! { "$match": { "user": id(user.0) } },
            lookup,
            unwind,
            // The newest message of a room is found from the end of its log's index.
            doc! { "$lookup": {
                "from": "log",
                "let": { "b": "$place.bucket", "s": "$room" },
                "pipeline": [
                    { "$match": {
                        "$expr": { "$and": [{ "$eq": ["$b", "$$b"] }, { "$eq": ["$s", "$$s"] }] },
                        "k": Kind::Message.code(),
                    } },
                    { "$sort": { "n": -1 } },
                    { "$limit": 1 },
                    { "$project": { "_id": 0, "t": 1 } },
                ],
                "as": "last",
            } },
            doc! { "$set": { "activity": { "$ifNull": [{ "$first": "$last.t" }, "$place.createdAt"] } } },
            doc! { "$sort": { "activity": -1, "room": -1 } },
            doc! { "$limit": i64::from(limit.max(1)) },
        ];
        let cursor = self.members.aggregate(pipeline).with_type::<RawDocumentBuf>().await?;
        all(cursor, |fields| {
            let (room, member_count) = rooms::read(fields.inner("place")?)?;
            let last_activity_at = fields.time("activity")?;
            Ok(MembershipOf { member: read(fields)?, room, member_count, last_activity_at })
        })
        .await
    }

    pub(in crate::store::mongo) async fn places_of(
        &self,
        user: UserId,
        limit: u32,
    ) -> Result<Vec<(RoomId, u64)>, StoreError> {
        let [lookup, unwind] = with_places();
        let pipeline = [
            doc! { "$match": { "user": id(user.0) } },
            doc! { "$sort": { "joinedAt": -1, "room": -1 } },
            lookup,
            unwind,
            doc! { "$limit": i64::from(limit.max(1)) },
            doc! { "$project": { "_id": 0, "room": 1, "fromSeq": 1 } },
        ];
        let cursor = self.members.aggregate(pipeline).with_type::<RawDocumentBuf>().await?;
        all(cursor, |fields| Ok((RoomId(fields.id("room")?), fields.number("fromSeq")?))).await
    }

    pub(in crate::store::mongo) async fn has_other_owner(
        &self,
        room: RoomId,
        user: UserId,
    ) -> Result<bool, StoreError> {
        let other = doc! { "room": id(room.0), "role": MemberRole::Owner.code(), "user": { "$ne": id(user.0) } };
        Ok(self.members.find_one(other).await?.is_some())
    }

    pub(in crate::store::mongo) async fn members_of(
        &self,
        room: RoomId,
        part: Part<&str>,
        limit: u32,
    ) -> Result<Vec<(MemberRow, UserRow)>, StoreError> {
        let paging = Paging::of(part, 1);
        let [lookup, unwind] = beside("users", "user", doc! {}, "person");
        let pipeline = [
            doc! { "$match": paging.narrow(doc! { "room": id(room.0), "usernameKey": { "$gt": "" } }, "usernameKey") },
            doc! { "$sort": { "usernameKey": paging.direction } },
            doc! { "$limit": i64::from(limit.max(1)) },
            lookup,
            unwind,
        ];
        let members = async {
            let cursor = self.members.aggregate(pipeline).with_type::<RawDocumentBuf>().await?;
            all(cursor, |fields| Ok((read(fields)?, users::read(fields.inner("person")?)?))).await
        };
        let (is_room, members) = tokio::try_join!(self.is_room(room), members)?;
        Ok(if is_room { paging.in_order(members) } else { Vec::new() })
    }

    pub(in crate::store::mongo) async fn heir(
        &self,
        room: RoomId,
        user: UserId,
    ) -> Result<Option<MemberRow>, StoreError> {
        // The codes of roles grow with what they may do.
        let [lookup, unwind] = beside("users", "user", doc! { "deletedAt": null }, "person");
        let pipeline = [
            doc! { "$match": { "room": id(room.0), "user": { "$ne": id(user.0) } } },
            doc! { "$sort": { "role": -1, "joinedAt": 1, "inSeq": 1 } },
            lookup,
            unwind,
            doc! { "$limit": 1 },
        ];
        let cursor = self.members.aggregate(pipeline).with_type::<RawDocumentBuf>().await?;
        Ok(all(cursor, |fields| Ok(read(fields)?)).await?.pop())
    }

    pub(in crate::store::mongo) async fn companions(
        &self,
        user: UserId,
        max_room: u64,
        limit: u32,
    ) -> Result<Vec<UserId>, StoreError> {
        let small = doc! { "deletedAt": null, "memberCount": { "$lte": signed(max_room) } };
        let [lookup, unwind] = beside("rooms", "room", small, "place");
        let pipeline = [
            doc! { "$match": { "user": id(user.0) } },
            lookup,
            unwind,
            doc! { "$lookup": {
                "from": "members",
                "localField": "room",
                "foreignField": "room",
                "pipeline": [{ "$match": { "user": { "$ne": id(user.0) } } }, { "$project": { "user": 1 } }],
                "as": "other",
            } },
            doc! { "$unwind": "$other" },
            doc! { "$group": { "_id": "$other.user" } },
            doc! { "$limit": i64::from(limit.max(1)) },
        ];
        let cursor = self.members.aggregate(pipeline).with_type::<RawDocumentBuf>().await?;
        all(cursor, |fields| Ok(UserId(fields.id("_id")?))).await
    }

    pub(in crate::store::mongo) async fn leftover_members(
        &self,
        room: RoomId,
        limit: u32,
    ) -> Result<Vec<UserId>, StoreError> {
        let [lookup, unwind] = beside("rooms", "room", doc! { "deletedAt": { "$ne": null } }, "place");
        let limit = doc! { "$limit": i64::from(limit.max(1)) };
        let pipeline = [doc! { "$match": { "room": id(room.0) } }, limit, lookup, unwind];
        let cursor = self.members.aggregate(pipeline).with_type::<RawDocumentBuf>().await?;
        all(cursor, |fields| Ok(UserId(fields.id("user")?))).await
    }
}
