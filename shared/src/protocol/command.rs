//! Commands of clients, and their replies.

use crate::{
    clock::Time,
    ids::{MessageId, RoomId, SessionId, UserId},
    model::{Attachment, ChosenStatus, LogEntry, MessageType, OwnUser},
};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use utoipa::ToSchema;

/// `authenticate`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Authenticate {
    /// An access token.
    pub token: String,
    /// What the client has, when it comes back.
    #[serde(default)]
    pub resume: Option<Cursors>,
}

/// What a client has: `resume`, and in `authenticate`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cursors {
    /// The epoch that the cursors belong to.
    pub store_epoch: String,
    /// The last place that the client has of each room.
    #[serde(default)]
    pub rooms: HashMap<RoomId, u64>,
    /// The last place that it has of the user's own stream.
    #[serde(default)]
    pub user: Option<u64>,
}

/// What became of a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ResumeStatus {
    /// What was missed comes as ordinary frames, up to `head`; then live ones.
    Recovered,
    /// Too far back, or of another epoch: history is the way; live entries go on after `head`.
    Gap,
    /// No longer a member.
    Gone,
}

/// A room in `resumed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResumedRoom {
    /// What became of its cursor.
    pub status: ResumeStatus,
    /// The newest place of its log; null for who is out.
    #[schema(required = true)]
    pub head: Option<u64>,
}

/// `resumed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resumed {
    /// Every room that a cursor was given for.
    pub rooms: HashMap<RoomId, ResumedRoom>,
    /// How far those who are in these rooms have read; of a large room only the reader's own.
    #[schema(value_type = HashMap<RoomId, HashMap<UserId, u64>>)]
    pub read_cursors: ReadCursors,
}

/// How far people have read: by room and user, the place up to which everything is read.
pub type ReadCursors = HashMap<RoomId, HashMap<UserId, u64>>;

/// `authenticated`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Authenticated {
    /// Who signed in.
    pub user: OwnUser,
    /// Which session it is.
    pub session_id: SessionId,
    /// When the token ends.
    pub token_expires_at: Time,
    /// The epoch that cursors belong to.
    pub store_epoch: String,
    /// The newest place of the user's own stream.
    pub user_seq: u64,
}

/// `join_room`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JoinRoom {
    /// Which room.
    pub room_id: RoomId,
    /// The last place that the client has; what came after is in the reply.
    pub since: Option<u64>,
}

/// `room_joined`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomJoined {
    /// Which room.
    pub room_id: RoomId,
    /// What this connection has been sent, this reply included.
    pub seq: u64,
    /// Whether `events` holds everything after `since`.
    pub recovered: bool,
    /// The entries after `since`, in ascending seq.
    pub events: Vec<LogEntry>,
}

/// A command that names a room and nothing else: `leave_room`, `get_room_users`; and the reply `room_left`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomRef {
    /// Which room.
    pub room_id: RoomId,
}

/// What a message is made of, by socket and by REST.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Draft {
    /// The words: 1 to 4,000 characters and at most 16 KiB, more than white space; no control characters other than
    /// newline and tab.
    #[schema(
        min_length = 1,
        max_length = 4_000,
        pattern = r"^(?:[^\u0000-\u0008\u000b-\u001f\u007f-\u009f]|\r\n)*[^\u0000-\u001f\u007f-\u009f\s](?:[^\u0000-\u0008\u000b-\u001f\u007f-\u009f]|\r\n)*$"
    )]
    pub content: String,
    /// The sort; text if absent.
    #[serde(rename = "type", default)]
    pub message_type: MessageType,
    /// The sender's own key for it: 1 to 128 characters without control characters; made if absent.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 128, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    pub client_id: Option<String>,
    /// The message that it answers.
    #[serde(default)]
    pub reply_to: Option<MessageId>,
    /// A file that goes with it.
    #[serde(default)]
    pub attachment: Option<Attachment>,
}

/// `send_message`: a draft, and where it goes: `roomId` or `to`, exactly one of them.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SendMessage {
    /// Into this room.
    pub room_id: Option<RoomId>,
    /// Or to this user.
    pub to: Option<UserId>,
    /// The message.
    #[serde(flatten)]
    pub draft: Draft,
}

/// `message_sent`.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageSent {
    /// The message's id.
    pub message_id: MessageId,
    /// The room it is in.
    pub room_id: RoomId,
    /// Its place.
    pub seq: u64,
    /// When it was stored.
    pub created_at: Time,
    /// The sender's own key.
    pub client_id: String,
}

/// `edit_message`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EditMessage {
    /// Which.
    pub message_id: MessageId,
    /// The words from now on.
    pub content: String,
}

/// `delete_message`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeleteMessage {
    /// Which.
    pub message_id: MessageId,
}

/// The `ok` of `edit_message` and `delete_message`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageChanged {
    /// Which.
    pub message_id: MessageId,
    /// The place of the change. When there was nothing to change, the head of the log: the change that made it so is at
    /// or before it.
    pub seq: u64,
}

/// `message_read`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MarkRead {
    /// Where.
    pub room_id: RoomId,
    /// Everything up to this message; the newest one if absent.
    #[serde(default)]
    pub message_id: Option<MessageId>,
}

/// The `ok` of `message_read`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReadUpTo {
    /// Where.
    pub room_id: RoomId,
    /// The read cursor that stands: everything up to this place is read.
    pub up_to: u64,
}

/// `typing`: `roomId` or `to`, exactly one of them.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Typing {
    /// In this room.
    pub room_id: Option<RoomId>,
    /// Or in the conversation with this user.
    pub to: Option<UserId>,
    /// Begins or ends.
    pub is_typing: bool,
}

/// `update_status`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct UpdateStatus {
    /// How they want to be seen.
    pub status: ChosenStatus,
    /// A few words beside it; none if absent.
    #[serde(default)]
    pub text: Option<String>,
}

/// The reply to `update_status`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct StatusUpdated {
    /// What was chosen.
    pub status: ChosenStatus,
}

/// Someone in `room_users`.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomUser {
    /// Who.
    pub user_id: UserId,
    /// Their name.
    #[schema(required = true)]
    pub username: Option<String>,
    /// Whether a device of theirs is connected, and they are not invisible.
    pub is_online: bool,
}

/// `room_users`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomUsers {
    /// Which room.
    pub room_id: RoomId,
    /// Everyone in it.
    pub users: Vec<RoomUser>,
}
