//! Who is in which room.

use super::{Tables, rooms, users, writable};
use crate::store::{
    MembershipOf, Part, StoreError, Unique,
    codec::{Code, Unreadable, in_order, signed},
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
use uuid::Uuid;

/// Beyond the row: `usernameKey`, as members are listed by it. Whoever lets users be renamed updates it too.
fn write(member: &MemberRow, username_key: Option<&str>) -> Document {
    compact(doc! {
        "room": id(member.room.0),
        "user": id(member.user.0),
        "role": member.role.code(),
        "joinedAt": date(member.joined_at),
        "inSeq": signed(member.in_seq),
        "fromSeq": signed(member.from_seq),
        "readSeq": signed(member.read_seq),
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
    })
}

/// Puts the rooms that are there beside memberships, as `place`; those without one fall out.
fn with_places() -> [Document; 2] {
    [
        doc! { "$lookup": {
            "from": "rooms",
            "localField": "room",
            "foreignField": "_id",
            "pipeline": [{ "$match": { "deletedAt": null } }],
            "as": "place",
        } },
        doc! { "$unwind": "$place" },
    ]
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

    pub(super) async fn delete_member(
        &self,
        session: &mut ClientSession,
        room: RoomId,
        user: UserId,
    ) -> Result<(), Stop> {
        let gone = doc! { "room": id(room.0), "user": id(user.0) };
        if self.members.delete_one(gone).session(&mut *session).await?.deleted_count == 0 {
            return Err(StoreError::Stale("the membership").into());
        }
        self.count_members(session, room, -1).await
    }

    pub(in crate::store::mongo) async fn memberships(
        &self,
        of: &[(RoomId, UserId)],
    ) -> Result<Vec<Option<MemberRow>>, StoreError> {
        if of.is_empty() {
            return Ok(Vec::new());
        }
        let [lookup, unwind] = with_places();
        let pipeline = [doc! { "$match": any_of(of) }, lookup, unwind];
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
        let (side, key, direction) = match part {
            Part::First => ("$gt", "", 1),
            Part::After(key) => ("$gt", key, 1),
            Part::Before(key) => ("$lt", key, -1),
        };
        let pipeline = [
            doc! { "$match": { "room": id(room.0), "usernameKey": { side: key } } },
            doc! { "$sort": { "usernameKey": direction } },
            doc! { "$limit": i64::from(limit.max(1)) },
            doc! { "$lookup": { "from": "users", "localField": "user", "foreignField": "_id", "as": "person" } },
            doc! { "$unwind": "$person" },
        ];
        let members = async {
            let cursor = self.members.aggregate(pipeline).with_type::<RawDocumentBuf>().await?;
            all(cursor, |fields| Ok((read(fields)?, users::read(fields.inner("person")?)?))).await
        };
        let (is_room, mut members) = tokio::try_join!(self.is_room(room), members)?;
        if direction < 0 {
            members.reverse();
        }
        Ok(if is_room { members } else { Vec::new() })
    }
}

/// Matches exactly these pairs: one branch per room, or per user where those are fewer. Authorising a batch asks for
/// many people of a few rooms, a list of rooms for one person in many.
fn any_of(of: &[(RoomId, UserId)]) -> Document {
    let mut by_room: HashMap<Uuid, Vec<Bson>> = HashMap::new();
    let mut by_user: HashMap<Uuid, Vec<Bson>> = HashMap::new();
    for (room, user) in of {
        by_room.entry(room.0).or_default().push(id(user.0).into());
        by_user.entry(user.0).or_default().push(id(room.0).into());
    }
    let (one, many, groups) =
        if by_room.len() <= by_user.len() { ("room", "user", by_room) } else { ("user", "room", by_user) };
    let branches: Vec<Bson> =
        groups.into_iter().map(|(key, others)| doc! { one: id(key), many: { "$in": others } }.into()).collect();
    doc! { "$or": branches }
}
