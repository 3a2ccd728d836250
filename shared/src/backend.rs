//! What a gateway asks of an api: the trait, and the messages of its HTTP form under `/internal/v1`.
//!
//! The gateway holds a [`Backend`] and does not know whether an api in the same process or one behind HTTP answers.
//! Over HTTP every call is `POST /internal/v1/<name>` with the request as JSON and the header
//! `Authorization: Bearer <internal secret>`; a refusal is a [`Problem`] as JSON under its status.

use crate::{
    envelope::Event,
    ids::{ConnectionId, MessageId, RoomId, SessionId, StreamId, UserId},
    model::{Chosen, OwnUser},
    protocol::{
        Problem,
        command::{Draft, MessageChanged, MessageSent, ReadCursors, ReadUpTo, RoomUser},
    },
    token::{Claims, TokenError},
};
use serde::{Deserialize, Serialize};
use std::{future::Future, pin::Pin};

/// A call under way.
pub type Call<'a, T> = Pin<Box<dyn Future<Output = Result<T, Problem>> + std::marker::Send + 'a>>;

/// `sign-in`: is this session alive, who is it, and what does it follow.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignIn {
    /// The token's subject.
    pub user_id: UserId,
    /// The token's session.
    pub session_id: SessionId,
    /// At most this many rooms, the most recently active.
    pub max_rooms: u32,
}

/// A room that a user's connections follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Followed {
    /// Which.
    pub room_id: RoomId,
    /// The first place of its log that this user may see.
    pub from: u64,
    /// How many are in it.
    pub member_count: u32,
}

/// What `sign-in` answers: a majority snapshot, taken after the call arrived.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignedIn {
    /// Who.
    pub user: OwnUser,
    /// The epoch that cursors belong to.
    pub store_epoch: String,
    /// The head of the user's own stream.
    pub user_seq: u64,
    /// The rooms to follow.
    pub rooms: Vec<Followed>,
}

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Target {
    /// Into a room.
    Room(RoomId),
    /// To a user: the conversation of the two, opened if needed.
    User(UserId),
}

/// One message to store.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Send {
    /// Who says it.
    pub sender: UserId,
    /// Where it goes.
    pub target: Target,
    /// What is said.
    pub draft: Draft,
    /// W3C `traceparent` of the command, where traced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

/// `entries`: what came after a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EntriesAfter {
    /// Of which log.
    pub stream: StreamId,
    /// Everything with a higher seq …
    pub after: u64,
    /// … but not more entries than this.
    pub limit: u32,
}

/// May this user follow this room.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoomAccess {
    /// Who.
    pub user_id: UserId,
    /// Where.
    pub room_id: RoomId,
}

/// `edit-message`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Edit {
    /// Who wants it.
    pub user_id: UserId,
    /// Which message.
    pub message_id: MessageId,
    /// Its words from now on.
    pub content: String,
}

/// `delete-message`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deletion {
    /// Who wants it.
    pub user_id: UserId,
    /// Which message.
    pub message_id: MessageId,
}

/// `mark-read`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mark {
    /// Whose cursor.
    pub user_id: UserId,
    /// Where.
    pub room_id: RoomId,
    /// Up to which message; the newest one that they may see if absent.
    #[serde(default)]
    pub message_id: Option<MessageId>,
    /// The connection that says so, which is not told of it.
    #[serde(default)]
    pub connection: Option<ConnectionId>,
}

/// `read-cursors`: how far is everyone in these rooms.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CursorsOf {
    /// Who asks; rooms that they are not in are left out.
    pub user_id: UserId,
    /// Where.
    pub rooms: Vec<RoomId>,
}

/// `update-status`: how someone wants to be seen.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateStatus {
    /// Who.
    pub user_id: UserId,
    /// What they chose.
    pub chosen: Chosen,
}

/// The way from a gateway to the api. Every answer about state is a majority read made after the call arrived.
pub trait Backend: std::marker::Send + Sync + 'static {
    /// `exchange`: what a token of a foreign identity provider comes to here. Its user is made at first sight; whether its
    /// session goes on is told by `sign_in`.
    fn exchange(&self, token: String) -> Call<'_, Result<Claims, TokenError>>;

    /// Checks the session and gives what its connections follow. `unauthorized` if it ended.
    fn sign_in(&self, request: SignIn) -> Call<'_, SignedIn>;

    /// Stores messages, in the order given for each sender and room. One answer for each, in the same order; an
    /// outer error means that the outcome of all is unknown. Safe to repeat: the `client_id` decides.
    fn send(&self, sends: Vec<Send>) -> Call<'_, Vec<Result<MessageSent, Problem>>>;

    /// Changes the words of a message. Safe to repeat: words that are there already change nothing.
    fn edit_message(&self, request: Edit) -> Call<'_, MessageChanged>;

    /// Makes a message a tombstone. Safe to repeat.
    fn delete_message(&self, request: Deletion) -> Call<'_, MessageChanged>;

    /// Moves a read cursor forward; answers with the one that stands. Safe to repeat.
    fn mark_read(&self, request: Mark) -> Call<'_, ReadUpTo>;

    /// How far people have read.
    fn read_cursors(&self, request: CursorsOf) -> Call<'_, ReadCursors>;

    /// The majority-committed head of each log, 0 for an empty one, in the order asked.
    fn heads(&self, streams: Vec<StreamId>) -> Call<'_, Vec<u64>>;

    /// Entries of a log in ascending seq without holes, as they are now; fewer than `limit` only at the head.
    fn entries(&self, request: EntriesAfter) -> Call<'_, Vec<Event>>;

    /// Whether the user is a member, and from where on they may see. `not_a_member` otherwise, `not_found` for a
    /// room that they cannot even see.
    fn room_access(&self, request: RoomAccess) -> Call<'_, Followed>;

    /// Who is in a room, by username; to members only.
    fn room_users(&self, request: RoomAccess) -> Call<'_, Vec<RoomUser>>;

    /// The conversation of two users, where there is one.
    fn conversation_of(&self, one: UserId, other: UserId) -> Call<'_, Option<RoomId>>;

    /// Keeps how a user wants to be seen, and tells who may know.
    fn update_status(&self, request: UpdateStatus) -> Call<'_, Chosen>;

    /// The rooms of users in which their presence is told, for users whose node died. Who is invisible is left out.
    fn presence_rooms(&self, users: Vec<UserId>) -> Call<'_, Vec<PresenceRooms>>;
}

/// Where a user's presence is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PresenceRooms {
    /// Who.
    pub user_id: UserId,
    /// Their name.
    pub username: String,
    /// The rooms that are small enough.
    pub rooms: Vec<RoomId>,
}
