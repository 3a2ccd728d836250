//! The cluster's store: a MongoDB replica set, or a sharded cluster of them.
//!
//! Writes wait for a majority and its journals, reads are majority reads of the primary, whatever the connection string
//! says. Every call ends within a few seconds: when no primary answers, it is `Unavailable`.

mod connect;
mod error;
mod fields;
mod tables;
mod transaction;

use super::{
    Appended, IndexedMessage, MembershipOf, Op, Part, SearchQuery, Sizes, Store, StoreCall, StoreError, Stretch,
    records::{Area, RecordKey, RecordRow},
    rows::{EntryRow, MemberRow, MessageRow, ReadRow, RoomRow, SessionRow, UserRow},
};
use mongodb::bson::doc;
use rookery_shared::{
    clock::Time,
    ids::{MessageId, RoomId, SessionId, StreamId, UserId},
};
use std::{future::Future, sync::Arc, time::Duration};
use tables::Tables;
use uuid::Uuid;

/// How long a call may take. The driver has no time limit for an answer: a primary that stops without closing its
/// connections would be waited for without end. Longer than the wait for a primary, so that the usual loss of one is
/// told by the driver, which then knows more than that time is up; and short enough that a client learns within 3 s
/// that the store is not available.
const LIMIT: Duration = Duration::from_millis(2_900);

/// How long opening may take; making indexes in a large collection is not a call.
const OPENING_LIMIT: Duration = Duration::from_mins(5);

/// The store in a MongoDB database.
pub struct MongoStore {
    tables: Tables,
}

impl MongoStore {
    /// Connects, and makes collections, indexes and the epoch where they are missing. `uri` is a connection string
    /// (`mongodb://` or `mongodb+srv://`) of a replica set or of a sharded cluster's routers; MongoDB 6.0 or newer, as
    /// streams are looked up with `$documents`.
    pub async fn open(uri: &str, database: &str) -> Result<Arc<Self>, StoreError> {
        let client = connect::connect(uri).await?;
        let tables = Tables::of(client.database(database));
        within(OPENING_LIMIT, async {
            connect::check_transactions(tables.client()).await;
            connect::make_indexes(&tables).await?;
            connect::migrate(&tables).await?;
            connect::epoch(tables.database()).await
        })
        .await?;
        Ok(Arc::new(Self { tables }))
    }
}

/// A call that is given up is not undone: for a write, the outcome is unknown. The driver closes the connection of a
/// command that was given up, so that its late answer is not taken for another's.
async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(StoreError::Unavailable("no answer in time".into())))
}

fn call<'a, T: 'a>(work: impl Future<Output = Result<T, StoreError>> + Send + 'a) -> StoreCall<'a, T> {
    Box::pin(within(LIMIT, work))
}

impl Store for MongoStore {
    fn epoch(&self) -> StoreCall<'_, String> {
        call(connect::epoch(self.tables.database()))
    }

    fn ready(&self) -> StoreCall<'_, ()> {
        call(async {
            // A real write: nothing less finds out about a full disk or a missing majority.
            let checked = doc! { "$currentDate": { "at": true } };
            self.tables.meta().update_one(doc! { "_id": "ready" }, checked).upsert(true).await?;
            Ok(())
        })
    }

    fn sizes(&self) -> StoreCall<'_, Sizes> {
        call(async {
            // Out of the collections' metadata: nothing is counted.
            let Tables { users, rooms, log, .. } = &self.tables;
            let (users, rooms, log_entries) = tokio::try_join!(
                async { users.estimated_document_count().await },
                async { rooms.estimated_document_count().await },
                async { log.estimated_document_count().await },
            )?;
            Ok(Sizes { users, rooms, log_entries })
        })
    }

    fn insert_user(&self, user: UserRow) -> StoreCall<'_, ()> {
        call(async move { self.tables.commit(&[], &[Op::InsertUser(user)]).await })
    }

    fn users<'a>(&'a self, ids: &'a [UserId]) -> StoreCall<'a, Vec<Option<UserRow>>> {
        call(self.tables.users_by_ids(ids))
    }

    fn user_by_key<'a>(&'a self, key: &'a str) -> StoreCall<'a, Option<UserRow>> {
        call(self.tables.user_by_key(key))
    }

    fn replace_user(&self, user: UserRow) -> StoreCall<'_, ()> {
        call(async move { self.tables.commit(&[], &[Op::ReplaceUser(user)]).await })
    }

    fn find_users<'a>(&'a self, prefix: &'a str, part: Part<&'a str>, limit: u32) -> StoreCall<'a, Vec<UserRow>> {
        call(self.tables.find_users(prefix, part, limit))
    }

    fn other_admin(&self, user: UserId) -> StoreCall<'_, Option<UserRow>> {
        call(self.tables.other_admin(user))
    }

    fn companions(&self, user: UserId, max_room: u64, limit: u32) -> StoreCall<'_, Vec<UserId>> {
        call(self.tables.companions(user, max_room, limit))
    }

    fn insert_session(&self, session: SessionRow) -> StoreCall<'_, ()> {
        call(async move { self.tables.insert_session(&session).await })
    }

    fn session(&self, id: SessionId) -> StoreCall<'_, Option<SessionRow>> {
        call(self.tables.session(id))
    }

    fn replace_session(&self, session: SessionRow) -> StoreCall<'_, ()> {
        call(async move { self.tables.replace_session(&session).await })
    }

    fn sessions_of(&self, user: UserId, now: Time) -> StoreCall<'_, Vec<SessionRow>> {
        call(self.tables.sessions_of(user, now))
    }

    fn rooms<'a>(&'a self, ids: &'a [RoomId]) -> StoreCall<'a, Vec<Option<(RoomRow, u64)>>> {
        call(self.tables.rooms_by_ids(ids))
    }

    fn visible_rooms<'a>(
        &'a self,
        user: UserId,
        name: &'a str,
        part: Part<RoomId>,
        limit: u32,
    ) -> StoreCall<'a, Vec<(RoomRow, u64)>> {
        call(self.tables.visible_rooms(user, name, part, limit))
    }

    fn conversation<'a>(&'a self, key: &'a str) -> StoreCall<'a, Option<RoomRow>> {
        call(self.tables.conversation(key))
    }

    fn memberships<'a>(&'a self, of: &'a [(RoomId, UserId)]) -> StoreCall<'a, Vec<Option<MemberRow>>> {
        call(self.tables.memberships(of))
    }

    fn rooms_of(&self, user: UserId, limit: u32) -> StoreCall<'_, Vec<MembershipOf>> {
        call(self.tables.rooms_of(user, limit))
    }

    fn places_of(&self, user: UserId, limit: u32) -> StoreCall<'_, Vec<(RoomId, u64)>> {
        call(self.tables.places_of(user, limit))
    }

    fn has_other_owner(&self, room: RoomId, user: UserId) -> StoreCall<'_, bool> {
        call(self.tables.has_other_owner(room, user))
    }

    fn heir(&self, room: RoomId, user: UserId) -> StoreCall<'_, Option<MemberRow>> {
        call(self.tables.heir(room, user))
    }

    fn move_read(&self, read: ReadRow) -> StoreCall<'_, bool> {
        call(async move { self.tables.move_read(&read).await })
    }

    fn reads_of(&self, room: RoomId, seq: u64, limit: u32) -> StoreCall<'_, Vec<(UserId, Time)>> {
        call(self.tables.reads_of(room, seq, limit))
    }

    fn read_cursors<'a>(&'a self, rooms: &'a [RoomId]) -> StoreCall<'a, Vec<Vec<(UserId, u64)>>> {
        call(self.tables.read_cursors(rooms))
    }

    fn members<'a>(
        &'a self,
        room: RoomId,
        part: Part<&'a str>,
        limit: u32,
    ) -> StoreCall<'a, Vec<(MemberRow, UserRow)>> {
        call(self.tables.members_of(room, part, limit))
    }

    fn append_messages<'a>(&'a self, messages: &'a [MessageRow]) -> StoreCall<'a, Appended> {
        call(self.tables.append(messages))
    }

    fn commit<'a>(&'a self, entries: &'a [EntryRow], ops: &'a [Op]) -> StoreCall<'a, ()> {
        call(self.tables.commit(entries, ops))
    }

    fn heads<'a>(&'a self, streams: &'a [StreamId]) -> StoreCall<'a, Vec<u64>> {
        call(self.tables.heads(streams))
    }

    fn entries(
        &self,
        stream: StreamId,
        stretch: Stretch,
        limit: u32,
        messages_only: bool,
    ) -> StoreCall<'_, Vec<EntryRow>> {
        call(self.tables.entries(stream, stretch, limit, messages_only))
    }

    fn messages_by_client_id<'a>(
        &'a self,
        keys: &'a [(RoomId, UserId, String)],
    ) -> StoreCall<'a, Vec<Option<MessageRow>>> {
        call(self.tables.messages_by_client_id(keys))
    }

    fn messages<'a>(&'a self, ids: &'a [MessageId]) -> StoreCall<'a, Vec<Option<MessageRow>>> {
        call(self.tables.messages(ids))
    }

    fn last_and_unread<'a>(
        &'a self,
        of: &'a [(RoomId, UserId, u64, u64)],
    ) -> StoreCall<'a, Vec<(Option<MessageRow>, u64)>> {
        call(self.tables.last_and_unread(of))
    }

    fn messages_since(&self, id: MessageId, limit: u32) -> StoreCall<'_, Vec<MessageRow>> {
        call(self.tables.messages_since(id, limit))
    }

    fn records<'a>(&'a self, keys: &'a [RecordKey]) -> StoreCall<'a, Vec<Option<RecordRow>>> {
        call(self.tables.records_by_keys(keys))
    }

    fn record_by_id(&self, area: Area, id: Uuid) -> StoreCall<'_, Option<RecordRow>> {
        call(self.tables.record_by_id(area, id))
    }

    fn list_records(&self, area: Area, owner: Uuid, part: Part<Uuid>, limit: u32) -> StoreCall<'_, Vec<RecordRow>> {
        call(self.tables.list_records(area, owner, part, limit))
    }

    fn index<'a>(&'a self, messages: &'a [IndexedMessage]) -> StoreCall<'a, ()> {
        call(self.tables.index(messages))
    }

    fn search<'a>(&'a self, query: &'a SearchQuery) -> StoreCall<'a, Vec<MessageRow>> {
        call(self.tables.find_messages(query))
    }

    fn deleted_room(&self, id: RoomId) -> StoreCall<'_, Option<RoomRow>> {
        call(self.tables.deleted_room(id))
    }

    fn rooms_to_purge(&self, limit: u32) -> StoreCall<'_, Vec<RoomId>> {
        call(self.tables.rooms_to_purge(limit))
    }

    fn leftover_members(&self, room: RoomId, limit: u32) -> StoreCall<'_, Vec<UserId>> {
        call(self.tables.leftover_members(room, limit))
    }

    fn purge_room(&self, room: RoomId, finally: bool) -> StoreCall<'_, ()> {
        call(self.tables.purge_room(room, finally))
    }
}
