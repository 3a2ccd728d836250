//! The store: what is true. One trait, MongoDB and SQLite behind it, one conformance suite for both.
//!
//! A store keeps rows and guards what is unique; it decides nothing. Which seq an entry gets, who may do what, and
//! what happens after a clash is written once, above this trait.

pub(crate) mod codec;
pub mod mongo;
pub mod rows;
pub mod sqlite;

use rookery_shared::{
    clock::Time,
    ids::{MessageId, RoomId, SessionId, StreamId, UserId},
};
use rows::{EntryRow, MemberRow, MessageRow, RoomRow, SessionRow, UserRow};
use std::{future::Future, pin::Pin, sync::Arc};

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
    /// A new member. `Taken(Member)` if they are one; `Stale` if the room is neither there nor made by an op before.
    InsertMember(MemberRow),
    /// A member goes. `Stale` if they are not one.
    DeleteMember(RoomId, UserId),
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

    // Accounts.

    /// A new account. `Taken(Username)` or `Taken(Email)`.
    fn insert_user(&self, user: UserRow) -> StoreCall<'_, ()>;
    /// Accounts by id, in the order asked.
    fn users<'a>(&'a self, ids: &'a [UserId]) -> StoreCall<'a, Vec<Option<UserRow>>>;
    /// An account by its folded username or e-mail address.
    fn user_by_key<'a>(&'a self, key: &'a str) -> StoreCall<'a, Option<UserRow>>;
    /// Replaces a row whose version is one less. `Stale` otherwise; `Taken` for a name or address.
    fn replace_user(&self, user: UserRow) -> StoreCall<'_, ()>;

    // Sessions.

    /// A new session.
    fn insert_session(&self, session: SessionRow) -> StoreCall<'_, ()>;
    /// A session, ended ones too.
    fn session(&self, id: SessionId) -> StoreCall<'_, Option<SessionRow>>;
    /// Replaces a row whose version is one less. `Stale` otherwise.
    fn replace_session(&self, session: SessionRow) -> StoreCall<'_, ()>;

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
    /// Whether someone other than this user owns a room.
    fn has_other_owner(&self, room: RoomId, user: UserId) -> StoreCall<'_, bool>;
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
