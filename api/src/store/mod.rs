//! The store: what is true. One trait, MongoDB and SQLite behind it, one conformance suite for both.
//!
//! A store keeps rows and guards what is unique; it decides nothing. Which seq an entry gets, who may do what, and
//! what happens after a clash is written once, above this trait.

pub(crate) mod codec;
pub mod mongo;
pub mod records;
pub mod rows;
pub mod sqlite;

use records::{Area, RecordKey, RecordRow};
use rookery_shared::{
    clock::Time,
    ids::{MessageId, RoomId, SessionId, StreamId, UserId},
    model::MemberRole,
};
use rows::{EntryRow, MemberRow, MessageRow, Mute, ReadRow, RoomRow, SessionRow, UserRow};
use std::{future::Future, pin::Pin, sync::Arc};
use uuid::Uuid;

/// A call under way.
pub type StoreCall<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Something unique is there already: a taken seq, a used client id, a taken name. Nothing was written.
    #[error("{0} is taken")]
    Taken(Unique),
    /// What was to be changed is not there, or is not as it was expected. Nothing was written.
    #[error("{0} is not as expected")]
    Stale(&'static str),
    /// Not reachable, no primary, or too slow. For a write the outcome is unknown.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// A defect of ours or broken data.
    #[error("the store failed: {0}")]
    Failed(String),
}

/// What is unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unique {
    /// (stream, seq) or (stream, sender, client id) of the log: read back to learn which.
    LogEntry,
    /// A username, compared after NFKC and case folding.
    Username,
    /// An e-mail address, compared after case folding.
    Email,
    /// A conversation of these people and this type.
    Conversation,
    /// A membership of this user in this room.
    Member,
    /// A record with this key.
    Record,
    /// An id or another key.
    Other,
}

impl std::fmt::Display for Unique {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::LogEntry => "the log entry",
            Self::Username => "the username",
            Self::Email => "the e-mail address",
            Self::Conversation => "the conversation",
            Self::Member => "the membership",
            Self::Record => "the record",
            Self::Other => "the key",
        })
    }
}

/// What an ordered insert of messages came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// So many of the first are committed (majority), whatever stopped the rest.
    pub committed: usize,
    /// Whether the one after those found its seq or its client id taken. Everything behind it was not written.
    pub clashed: bool,
}

/// A change of state that goes with log entries, in one transaction.
#[derive(Clone, Debug)]
pub enum Op {
    /// A new room. `Taken(Conversation)` if its conversation key is there; a deleted conversation gives its key free.
    InsertRoom(RoomRow),
    /// A room as it is now; its version is one more than the stored one, else `Stale`. Its conversation key stays; a
    /// room that is marked deleted gives it free.
    ReplaceRoom(RoomRow),
    /// Nothing changes, but the room is there and has this version, else `Stale`. Whoever changes the room at the same
    /// time is excluded.
    ExpectRoom(RoomId, u64),
    /// A new member. `Taken(Member)` if they are one; `Stale` if the room is neither there nor made by an op before.
    InsertMember(MemberRow),
    /// A member goes. `Stale` if they are not one.
    DeleteMember(RoomId, UserId),
    /// Something about a membership changes. `Stale` if there is none.
    UpdateMember(RoomId, UserId, MemberChange),
    /// A membership in a room that is marked deleted goes. `Stale` if there is none.
    ForgetMember(RoomId, UserId),
    /// A message as it is now; its rev is one more than the stored one, else `Stale`. The words of a tombstone leave the
    /// search index.
    ReplaceMessage(MessageRow),
    /// The words of a message, as [`Store::index`] writes them.
    Index(IndexedMessage),
    /// A new account, as [`Store::insert_user`] makes it.
    InsertUser(UserRow),
    /// An account as it is now, as [`Store::replace_user`] writes it.
    ReplaceUser(UserRow),
    /// A record; version 1 is a new one, `Taken(Record)` if it is there. A later one replaces the version before it, else
    /// `Stale`.
    PutRecord(RecordRow),
    /// A record goes. `Stale` if it is not there.
    DeleteRecord(RecordKey),
    /// Sessions end: this one, or all of the user's but `except`, and their versions grow. Ended ones stay as they are.
    EndSessions {
        /// Whose.
        user: UserId,
        /// Only this one.
        only: Option<SessionId>,
        /// All but this one.
        except: Option<SessionId>,
        /// When.
        at: Time,
    },
}

/// What changes about a membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberChange {
    /// What they may do.
    Role(MemberRole),
    /// Whether they muted the room.
    Mute(Option<Mute>),
    /// From which place on a conversation is listed again; 0: at once.
    Hidden(u64),
}

/// A message and the words that it is found by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexedMessage {
    /// Which.
    pub id: MessageId,
    /// Where.
    pub room: RoomId,
    /// Its place.
    pub seq: u64,
    /// Who wrote it.
    pub sender: UserId,
    /// When it was stored.
    pub created_at: Time,
    /// Each word once. None takes the message out of the index.
    pub words: Vec<String>,
}

/// A word that is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedWord {
    /// The word as the tokenizer makes it.
    pub text: String,
    /// Whether words that begin with it match as well.
    pub prefix: bool,
}

/// What is looked for in messages. All conditions hold at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchQuery {
    /// In which rooms, and from which place on in each.
    pub rooms: Vec<(RoomId, u64)>,
    /// Every one of these matches; at least one.
    pub words: Vec<WantedWord>,
    /// By whom.
    pub sender: Option<UserId>,
    /// Stored at or after this time.
    pub since: Option<Time>,
    /// Stored before this time.
    pub until: Option<Time>,
    /// Which part of all that match, by time and id, newest first.
    pub part: Part<(Time, MessageId)>,
    /// At most so many.
    pub limit: u32,
}

/// Where a count of unread messages stops, so that a list of rooms that someone neglected for a year is as quick as any.
pub const MAX_UNREAD: u32 = 1_000;

/// Which stretch of a log is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stretch {
    /// Ascending from the first after this place.
    After(u64),
    /// The last ones before this place.
    Before(u64),
    /// The newest.
    Newest,
}

/// Which part of a list is wanted; it comes in the list's own order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<K> {
    /// Its beginning.
    First,
    /// What follows this key.
    After(K),
    /// The last ones before this key.
    Before(K),
}

impl Part<String> {
    /// The same part, its key borrowed.
    pub fn as_deref(&self) -> Part<&str> {
        match self {
            Self::First => Part::First,
            Self::After(key) => Part::After(key),
            Self::Before(key) => Part::Before(key),
        }
    }
}

impl<K> Part<K> {
    /// The same part by another sort of key.
    pub fn map<L>(self, key: impl FnOnce(K) -> L) -> Part<L> {
        match self {
            Self::First => Part::First,
            Self::After(after) => Part::After(key(after)),
            Self::Before(before) => Part::Before(key(before)),
        }
    }
}

/// The store. Every read is a majority read of the primary, made after the call; every write is majority-committed
/// when it returns Ok. Indexes are made when a store is opened.
pub trait Store: Send + Sync + 'static {
    /// The epoch that cursors belong to; made when the store is new, changed by a restore.
    fn epoch(&self) -> StoreCall<'_, String>;

    /// Whether the store can be written to now.
    fn ready(&self) -> StoreCall<'_, ()>;

    /// How much there is, about, and at little cost.
    fn sizes(&self) -> StoreCall<'_, Sizes>;

    // Accounts.

    /// A new account. `Taken(Username)` or `Taken(Email)`.
    fn insert_user(&self, user: UserRow) -> StoreCall<'_, ()>;
    /// Accounts by id, in the order asked.
    fn users<'a>(&'a self, ids: &'a [UserId]) -> StoreCall<'a, Vec<Option<UserRow>>>;
    /// An account by its folded username or e-mail address.
    fn user_by_key<'a>(&'a self, key: &'a str) -> StoreCall<'a, Option<UserRow>>;
    /// Replaces a row whose version is one less. `Stale` otherwise; `Taken` for a name or address.
    fn replace_user(&self, user: UserRow) -> StoreCall<'_, ()>;
    /// People whose folded username, or whose folded display name, begins with this text (empty for all), by username
    /// key. No deleted accounts, no API keys.
    fn find_users<'a>(&'a self, prefix: &'a str, part: Part<&'a str>, limit: u32) -> StoreCall<'a, Vec<UserRow>>;
    /// An admin other than this user, where there is one. Deleted accounts do not count.
    fn other_admin(&self, user: UserId) -> StoreCall<'_, Option<UserRow>>;
    /// Who shares a room of at most `max_room` members with this user, without themselves; at most `limit`, in any order.
    fn companions(&self, user: UserId, max_room: u64, limit: u32) -> StoreCall<'_, Vec<UserId>>;

    // Sessions.

    /// A new session.
    fn insert_session(&self, session: SessionRow) -> StoreCall<'_, ()>;
    /// A session, ended ones too.
    fn session(&self, id: SessionId) -> StoreCall<'_, Option<SessionRow>>;
    /// Replaces a row whose version is one less. `Stale` otherwise.
    fn replace_session(&self, session: SessionRow) -> StoreCall<'_, ()>;
    /// The open sessions of a user that end after `now`, newest first.
    fn sessions_of(&self, user: UserId, now: Time) -> StoreCall<'_, Vec<SessionRow>>;

    // Rooms and members. Deleted rooms are not there.

    /// Rooms by id with their member counts, in the order asked.
    fn rooms<'a>(&'a self, ids: &'a [RoomId]) -> StoreCall<'a, Vec<Option<(RoomRow, u64)>>>;
    /// Public rooms and those that the user is in (conversations not), whose name contains the text (case folded by
    /// the store, empty for all), newest first.
    fn visible_rooms<'a>(
        &'a self,
        user: UserId,
        name: &'a str,
        part: Part<RoomId>,
        limit: u32,
    ) -> StoreCall<'a, Vec<(RoomRow, u64)>>;
    /// The conversation with this key.
    fn conversation<'a>(&'a self, key: &'a str) -> StoreCall<'a, Option<RoomRow>>;
    /// Memberships of (room, user), in the order asked; none in deleted rooms.
    fn memberships<'a>(&'a self, of: &'a [(RoomId, UserId)]) -> StoreCall<'a, Vec<Option<MemberRow>>>;
    /// Every membership of a user, in rooms that are not deleted, with room and member count, and the time and place of
    /// the newest message (or of the making of the room), most recent first.
    fn rooms_of(&self, user: UserId, limit: u32) -> StoreCall<'_, Vec<MembershipOf>>;
    /// In which rooms a user is, and from which place on they see each; those that they joined last first.
    fn places_of(&self, user: UserId, limit: u32) -> StoreCall<'_, Vec<(RoomId, u64)>>;
    /// Whether someone other than this user owns a room.
    fn has_other_owner(&self, room: RoomId, user: UserId) -> StoreCall<'_, bool>;
    /// Who should own a room when this user goes: another owner, else the longest-standing moderator, else the
    /// longest-standing member. Deleted accounts do not count.
    fn heir(&self, room: RoomId, user: UserId) -> StoreCall<'_, Option<MemberRow>>;
    /// Moves a member's read cursor forward and keeps the move; false if it is there already or they are no member.
    fn move_read(&self, read: ReadRow) -> StoreCall<'_, bool>;
    /// Who read a place of a room's log, and when first; at most `limit` of them, earliest first.
    fn reads_of(&self, room: RoomId, seq: u64, limit: u32) -> StoreCall<'_, Vec<(UserId, Time)>>;
    /// How far the members of each room have read, in the order asked.
    fn read_cursors<'a>(&'a self, rooms: &'a [RoomId]) -> StoreCall<'a, Vec<Vec<(UserId, u64)>>>;
    /// Members of a room by username key.
    fn members<'a>(&'a self, room: RoomId, part: Part<&'a str>, limit: u32)
    -> StoreCall<'a, Vec<(MemberRow, UserRow)>>;

    // The log.

    /// Inserts messages in this order, each with the seq it carries, and stops at the first whose place or client id
    /// is taken. An error means that the outcome of all of them is unknown.
    fn append_messages<'a>(&'a self, messages: &'a [MessageRow]) -> StoreCall<'a, Appended>;
    /// Entries and the changes that go with them, all or nothing. `Taken(LogEntry)` for a taken seq. The changes are
    /// tried first and in their order, so that their refusal, which is final, hides a clash of the entries, which is not.
    fn commit<'a>(&'a self, entries: &'a [EntryRow], ops: &'a [Op]) -> StoreCall<'a, ()>;
    /// The newest seq of each log, 0 for an empty one, in the order asked.
    fn heads<'a>(&'a self, streams: &'a [StreamId]) -> StoreCall<'a, Vec<u64>>;
    /// A stretch of a log in ascending seq, at most `limit` entries; of a room only `messages_only` if asked.
    fn entries(
        &self,
        stream: StreamId,
        stretch: Stretch,
        limit: u32,
        messages_only: bool,
    ) -> StoreCall<'_, Vec<EntryRow>>;
    /// Messages by what their senders called them, in the order asked.
    fn messages_by_client_id<'a>(
        &'a self,
        keys: &'a [(RoomId, UserId, String)],
    ) -> StoreCall<'a, Vec<Option<MessageRow>>>;
    /// Messages by id, in the order asked.
    fn messages<'a>(&'a self, ids: &'a [MessageId]) -> StoreCall<'a, Vec<Option<MessageRow>>>;
    /// For each (room, user, from, after): the newest message at or after place `from`, and how many messages after
    /// place `after` are neither deleted nor the user's own; the count stops at [`MAX_UNREAD`].
    fn last_and_unread<'a>(
        &'a self,
        of: &'a [(RoomId, UserId, u64, u64)],
    ) -> StoreCall<'a, Vec<(Option<MessageRow>, u64)>>;
    /// Messages whose id is greater than this one, ascending by id.
    fn messages_since(&self, id: MessageId, limit: u32) -> StoreCall<'_, Vec<MessageRow>>;

    // Records.

    /// Records in the order asked.
    fn records<'a>(&'a self, keys: &'a [RecordKey]) -> StoreCall<'a, Vec<Option<RecordRow>>>;
    /// The record of an area with this id, whoever owns it.
    fn record_by_id(&self, area: Area, id: Uuid) -> StoreCall<'_, Option<RecordRow>>;
    /// Records of an owner, newest first.
    fn list_records(&self, area: Area, owner: Uuid, part: Part<Uuid>, limit: u32) -> StoreCall<'_, Vec<RecordRow>>;

    // Search.

    /// Replaces the words of these messages.
    fn index<'a>(&'a self, messages: &'a [IndexedMessage]) -> StoreCall<'a, ()>;
    /// Messages that match, newest first, as they are now; deleted ones are left out.
    fn search<'a>(&'a self, query: &'a SearchQuery) -> StoreCall<'a, Vec<MessageRow>>;

    // Rooms that are marked deleted.

    /// The row of such a room, which stays when everything else of it is gone.
    fn deleted_room(&self, id: RoomId) -> StoreCall<'_, Option<RoomRow>>;
    /// Some that have something left.
    fn rooms_to_purge(&self, limit: u32) -> StoreCall<'_, Vec<RoomId>>;
    /// Some members of a room that is marked deleted.
    fn leftover_members(&self, room: RoomId, limit: u32) -> StoreCall<'_, Vec<UserId>>;
    /// Deletes everything of a room that is marked deleted and has no members: log, words, reads, bans, invites. With
    /// `finally` it is not named by [`rooms_to_purge`](Self::rooms_to_purge) any more.
    fn purge_room(&self, room: RoomId, finally: bool) -> StoreCall<'_, ()>;
}

/// How much a store holds, about; what is marked as deleted counts until it is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Accounts.
    pub users: u64,
    /// Rooms and conversations.
    pub rooms: u64,
    /// Entries of all logs, of which most are messages.
    pub log_entries: u64,
}

/// A membership and what a list of rooms needs of its room.
#[derive(Clone, Debug)]
pub struct MembershipOf {
    /// The membership.
    pub member: MemberRow,
    /// The room.
    pub room: RoomRow,
    /// How many are in it.
    pub member_count: u64,
    /// When something was last said, or when the room was made.
    pub last_activity_at: Time,
}

/// A store handle that several parts share.
pub type SharedStore = Arc<dyn Store>;
