//! The embedded store: one SQLite file in WAL mode, for an installation that is one process.
//!
//! One thread writes, in groups (`writer`); a few connections read, each call in its own snapshot (`readers`). A commit
//! is flushed to disk before it is answered. With one copy of the data, "majority" is that disk.

mod cells;
mod error;
mod readers;
mod schema;
mod tables;
mod writer;

use super::{
    Appended, IndexedMessage, MembershipOf, Op, Part, SearchQuery, Sizes, Store, StoreCall, StoreError, Stretch,
    records::{Area, RecordKey, RecordRow},
    rows::{EntryRow, MemberRow, MessageRow, ReadRow, RoomRow, SessionRow, UserRow},
};
use readers::Readers;
use rookery_shared::{
    clock::{self, Time},
    ids::{MessageId, RoomId, SessionId, StreamId, UserId},
};
use rusqlite::Connection;
use std::{path::Path, sync::Arc};
use tables::{log, members, records, rooms, sessions, users, words};
use uuid::Uuid;
use writer::Writer;

/// What a row counts for in the queue of the writer, apart from a message's words.
const ROW_BYTES: usize = 512;

/// The store in one file.
pub struct SqliteStore {
    writer: Writer,
    readers: Readers,
}

impl SqliteStore {
    /// Opens the file, or makes it, and brings its tables up to date. Only one process may have it open: others would
    /// not learn of what this one publishes in memory.
    pub async fn open(path: &Path) -> Result<Arc<Self>, StoreError> {
        let path = path.to_owned();
        let opened = tokio::task::spawn_blocking(move || {
            let writer = Writer::start(schema::open_writer(&path)?)?;
            Ok(Arc::new(Self { writer, readers: Readers::open(&path)? }))
        });
        opened.await.map_err(|error| StoreError::Failed(error.to_string()))?
    }

    fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> StoreCall<'_, T> {
        Box::pin(self.readers.read(work))
    }

    fn write<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> StoreCall<'_, T> {
        Box::pin(self.writer.write(bytes, work))
    }
}

impl Store for SqliteStore {
    fn epoch(&self) -> StoreCall<'_, String> {
        self.read(|db| Ok(db.query_row("SELECT value FROM meta WHERE key = 'epoch'", [], |row| row.get(0))?))
    }

    fn ready(&self) -> StoreCall<'_, ()> {
        // A real write: nothing less finds out about a full disk.
        self.write(0, |db| {
            let sql = "INSERT INTO meta (key, value) VALUES ('ready', 1) ON CONFLICT DO UPDATE SET value = 3 - value";
            Ok(db.execute(sql, []).map(drop)?)
        })
    }

    fn sizes(&self) -> StoreCall<'_, Sizes> {
        self.read(|db| {
            let count = |table| {
                let sql = format!("SELECT count(*) FROM {table}");
                db.query_row(&sql, [], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs)
            };
            Ok(Sizes { users: count("users")?, rooms: count("rooms")?, log_entries: count("log")? })
        })
    }

    fn insert_user(&self, user: UserRow) -> StoreCall<'_, ()> {
        self.write(ROW_BYTES, move |db| users::insert(db, &user))
    }

    fn users<'a>(&'a self, ids: &'a [UserId]) -> StoreCall<'a, Vec<Option<UserRow>>> {
        let ids = ids.to_vec();
        self.read(move |db| users::by_ids(db, &ids))
    }

    fn user_by_key<'a>(&'a self, key: &'a str) -> StoreCall<'a, Option<UserRow>> {
        let key = key.to_owned();
        self.read(move |db| users::by_key(db, &key))
    }

    fn replace_user(&self, user: UserRow) -> StoreCall<'_, ()> {
        self.write(ROW_BYTES, move |db| users::replace(db, &user))
    }

    fn find_users<'a>(&'a self, prefix: &'a str, part: Part<&'a str>, limit: u32) -> StoreCall<'a, Vec<UserRow>> {
        let (prefix, part) = (prefix.to_owned(), part.map(str::to_owned));
        self.read(move |db| users::find(db, &prefix, &part, limit))
    }

    fn other_admin(&self, user: UserId) -> StoreCall<'_, Option<UserRow>> {
        self.read(move |db| users::other_admin(db, user))
    }

    fn companions(&self, user: UserId, max_room: u64, limit: u32) -> StoreCall<'_, Vec<UserId>> {
        self.read(move |db| members::companions(db, user, max_room, limit))
    }

    fn insert_session(&self, session: SessionRow) -> StoreCall<'_, ()> {
        self.write(ROW_BYTES, move |db| sessions::insert(db, session))
    }

    fn session(&self, id: SessionId) -> StoreCall<'_, Option<SessionRow>> {
        self.read(move |db| sessions::by_id(db, id))
    }

    fn replace_session(&self, session: SessionRow) -> StoreCall<'_, ()> {
        self.write(ROW_BYTES, move |db| sessions::replace(db, session))
    }

    fn sessions_of(&self, user: UserId, now: Time) -> StoreCall<'_, Vec<SessionRow>> {
        self.read(move |db| sessions::open_of(db, user, now))
    }

    fn rooms<'a>(&'a self, ids: &'a [RoomId]) -> StoreCall<'a, Vec<Option<(RoomRow, u64)>>> {
        let ids = ids.to_vec();
        self.read(move |db| rooms::by_ids(db, &ids))
    }

    fn visible_rooms<'a>(
        &'a self,
        user: UserId,
        name: &'a str,
        part: Part<RoomId>,
        limit: u32,
    ) -> StoreCall<'a, Vec<(RoomRow, u64)>> {
        let name = name.to_owned();
        self.read(move |db| rooms::visible(db, user, &name, part, limit))
    }

    fn conversation<'a>(&'a self, key: &'a str) -> StoreCall<'a, Option<RoomRow>> {
        let key = key.to_owned();
        self.read(move |db| rooms::by_conversation(db, &key))
    }

    fn memberships<'a>(&'a self, of: &'a [(RoomId, UserId)]) -> StoreCall<'a, Vec<Option<MemberRow>>> {
        let of = of.to_vec();
        self.read(move |db| members::by_keys(db, &of))
    }

    fn rooms_of(&self, user: UserId, limit: u32) -> StoreCall<'_, Vec<MembershipOf>> {
        self.read(move |db| members::rooms_of(db, user, limit))
    }

    fn places_of(&self, user: UserId, limit: u32) -> StoreCall<'_, Vec<(RoomId, u64)>> {
        self.read(move |db| members::places_of(db, user, limit))
    }

    fn has_other_owner(&self, room: RoomId, user: UserId) -> StoreCall<'_, bool> {
        self.read(move |db| members::has_other_owner(db, room, user))
    }

    fn heir(&self, room: RoomId, user: UserId) -> StoreCall<'_, Option<MemberRow>> {
        self.read(move |db| members::heir(db, room, user))
    }

    fn move_read(&self, read: ReadRow) -> StoreCall<'_, bool> {
        self.write(ROW_BYTES, move |db| members::move_read(db, &read))
    }

    fn reads_of(&self, room: RoomId, seq: u64, limit: u32) -> StoreCall<'_, Vec<(UserId, Time)>> {
        self.read(move |db| members::reads_of(db, room, seq, limit))
    }

    fn read_cursors<'a>(&'a self, rooms: &'a [RoomId]) -> StoreCall<'a, Vec<Vec<(UserId, u64)>>> {
        let rooms = rooms.to_vec();
        self.read(move |db| members::read_cursors(db, &rooms))
    }

    fn members<'a>(
        &'a self,
        room: RoomId,
        part: Part<&'a str>,
        limit: u32,
    ) -> StoreCall<'a, Vec<(MemberRow, UserRow)>> {
        let part = part.map(str::to_owned);
        self.read(move |db| members::of_room(db, room, &part, limit))
    }

    fn append_messages<'a>(&'a self, messages: &'a [MessageRow]) -> StoreCall<'a, Appended> {
        let bytes = messages.iter().map(|message| ROW_BYTES + message.content.len()).sum();
        let messages = messages.to_vec();
        self.write(bytes, move |db| log::append(db, &messages))
    }

    fn commit<'a>(&'a self, entries: &'a [EntryRow], ops: &'a [Op]) -> StoreCall<'a, ()> {
        let (entries, ops) = (entries.to_vec(), ops.to_vec());
        self.write((entries.len() + ops.len()) * ROW_BYTES, move |db| {
            ops.iter().try_for_each(|op| apply(db, op))?;
            entries.iter().try_for_each(|entry| log::insert_entry(db, entry))
        })
    }

    fn heads<'a>(&'a self, streams: &'a [StreamId]) -> StoreCall<'a, Vec<u64>> {
        let streams = streams.to_vec();
        self.read(move |db| log::heads(db, &streams))
    }

    fn entries(
        &self,
        stream: StreamId,
        stretch: Stretch,
        limit: u32,
        messages_only: bool,
    ) -> StoreCall<'_, Vec<EntryRow>> {
        self.read(move |db| log::entries(db, stream, stretch, limit, messages_only))
    }

    fn messages_by_client_id<'a>(
        &'a self,
        keys: &'a [(RoomId, UserId, String)],
    ) -> StoreCall<'a, Vec<Option<MessageRow>>> {
        let keys = keys.to_vec();
        self.read(move |db| log::by_client_id(db, &keys))
    }

    fn messages<'a>(&'a self, ids: &'a [MessageId]) -> StoreCall<'a, Vec<Option<MessageRow>>> {
        let ids = ids.to_vec();
        self.read(move |db| log::by_id(db, &ids))
    }

    fn last_and_unread<'a>(
        &'a self,
        of: &'a [(RoomId, UserId, u64, u64)],
    ) -> StoreCall<'a, Vec<(Option<MessageRow>, u64)>> {
        let of = of.to_vec();
        self.read(move |db| log::last_and_unread(db, &of))
    }

    fn messages_since(&self, id: MessageId, limit: u32) -> StoreCall<'_, Vec<MessageRow>> {
        self.read(move |db| log::since(db, id, limit))
    }

    fn records<'a>(&'a self, keys: &'a [RecordKey]) -> StoreCall<'a, Vec<Option<RecordRow>>> {
        let keys = keys.to_vec();
        self.read(move |db| records::by_keys(db, &keys))
    }

    fn record_by_id(&self, area: Area, id: Uuid) -> StoreCall<'_, Option<RecordRow>> {
        self.read(move |db| records::by_id(db, area, id))
    }

    fn list_records(&self, area: Area, owner: Uuid, part: Part<Uuid>, limit: u32) -> StoreCall<'_, Vec<RecordRow>> {
        self.read(move |db| records::list(db, area, owner, part, limit))
    }

    fn index<'a>(&'a self, messages: &'a [IndexedMessage]) -> StoreCall<'a, ()> {
        let bytes = messages.iter().flat_map(|message| &message.words).map(|word| word.len() + 64).sum();
        let messages = messages.to_vec();
        self.write(bytes, move |db| words::index(db, &messages))
    }

    fn search<'a>(&'a self, query: &'a SearchQuery) -> StoreCall<'a, Vec<MessageRow>> {
        let query = query.clone();
        self.read(move |db| words::search(db, &query))
    }

    fn deleted_room(&self, id: RoomId) -> StoreCall<'_, Option<RoomRow>> {
        self.read(move |db| rooms::deleted(db, id))
    }

    fn rooms_to_purge(&self, limit: u32) -> StoreCall<'_, Vec<RoomId>> {
        self.read(move |db| rooms::to_purge(db, limit))
    }

    fn leftover_members(&self, room: RoomId, limit: u32) -> StoreCall<'_, Vec<UserId>> {
        self.read(move |db| members::leftover(db, room, limit))
    }

    fn purge_room(&self, room: RoomId, finally: bool) -> StoreCall<'_, ()> {
        self.write(0, move |db| rooms::purge(db, room, finally.then(clock::now)))
    }
}

fn apply(db: &Connection, op: &Op) -> Result<(), StoreError> {
    match op {
        Op::InsertRoom(room) => rooms::insert(db, room),
        Op::ReplaceRoom(room) => rooms::replace(db, room),
        Op::ExpectRoom(room, version) => rooms::expect(db, *room, *version),
        Op::InsertMember(member) => members::insert(db, member),
        Op::DeleteMember(room, user) => members::delete(db, *room, *user),
        Op::UpdateMember(room, user, change) => members::update(db, *room, *user, *change),
        Op::ForgetMember(room, user) => members::forget(db, *room, *user),
        Op::ReplaceMessage(message) => log::replace_message(db, message),
        Op::Index(message) => words::index(db, std::slice::from_ref(message)),
        Op::InsertUser(user) => users::insert(db, user),
        Op::ReplaceUser(user) => users::replace(db, user),
        Op::PutRecord(record) => records::put(db, record),
        Op::DeleteRecord(key) => records::delete(db, *key),
        Op::EndSessions { user, only, except, at } => sessions::end(db, *user, *only, *except, *at),
    }
}
