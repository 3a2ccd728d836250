//! What clients see: the JSON shapes of users, rooms, messages and lists, as the contract gives them.

use crate::{
    clock::Time,
    ids::{MessageId, RoomId, SessionId, UserId},
};
use serde::{Deserialize, Serialize};

/// The author of a message, or a person in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Author {
    /// Who.
    pub user_id: UserId,
    /// Null when the account was deleted.
    pub username: Option<String>,
    /// The name that people read.
    pub display_name: String,
}

/// What a user is in the customer's product.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UserType {
    /// Someone who uses the product.
    #[default]
    Consumer,
    /// Someone who helps those.
    Support,
}

/// What a user may do to the installation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Nothing beyond their own.
    #[default]
    User,
    /// Everything.
    Admin,
}

/// A user as others see them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublicUser {
    /// Their id.
    pub id: UserId,
    /// Unique, compared without case.
    pub username: String,
    /// The name that people read.
    pub display_name: String,
    /// Given name, where told.
    pub first_name: Option<String>,
    /// Family name, where told.
    pub last_name: Option<String>,
    /// A few words of their own.
    pub bio: Option<String>,
    /// URL of a picture.
    pub profile_picture: Option<String>,
    /// What they are in the product.
    #[serde(rename = "type")]
    pub user_type: UserType,
    /// When the account was made.
    pub created_at: Time,
}

/// A user as they see themselves, and as admins see them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnUser {
    /// What everyone sees.
    #[serde(flatten)]
    pub public: PublicUser,
    /// Seen by its owner and admins only.
    pub email: String,
    /// What they may do to the installation.
    pub role: Role,
}

/// The answer to sign-in, registration and refresh.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tokens {
    /// Who signed in.
    pub user: OwnUser,
    /// The bearer token for REST and sockets.
    pub access_token: String,
    /// Gets the next pair; each works once.
    pub refresh_token: String,
    /// Seconds until the access token ends.
    pub expires_in: u64,
}

/// The sort of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RoomType {
    /// A room with roles, that people join and leave.
    Room,
    /// A conversation of exact people.
    ConsumerToConsumer,
    /// A conversation of exact people, one of them support.
    ConsumerToSupport,
}

impl RoomType {
    /// Whether this is a conversation: exact people, no roles.
    pub fn is_conversation(self) -> bool {
        self != Self::Room
    }

    /// The word in JSON and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Room => "room",
            Self::ConsumerToConsumer => "consumer-to-consumer",
            Self::ConsumerToSupport => "consumer-to-support",
        }
    }
}

/// Who finds a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Everyone, and everyone may join.
    Public,
    /// Members, and who has an invite.
    Private,
}

/// What someone who joins may see of what was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HistoryFrom {
    /// Everything.
    Start,
    /// Only from joining on.
    Join,
}

/// What a member may do in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemberRole {
    /// Sends, edits and deletes their own, reacts, leaves.
    Member,
    /// Also invites, adds, removes, bans, deletes others' messages, pins.
    Moderator,
    /// Also changes roles and the room, and deletes it.
    Owner,
}

/// A room as one of its readers sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Room {
    /// Its id.
    pub id: RoomId,
    /// Its sort.
    #[serde(rename = "type")]
    pub room_type: RoomType,
    /// Null for conversations.
    pub name: Option<String>,
    /// What it is about.
    pub description: Option<String>,
    /// Who finds it.
    pub visibility: Visibility,
    /// What newcomers see.
    pub history_from: HistoryFrom,
    /// Who made it; null when a server did.
    pub created_by: Option<UserId>,
    /// When it was made.
    pub created_at: Time,
    /// How many are in it.
    pub member_count: u64,
    /// The reader's own role; null for who is not in it.
    pub role: Option<MemberRole>,
}

/// A room in its member's own list: of conversations, of rooms, and in `room_added`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoomSummary {
    /// The room.
    #[serde(flatten)]
    pub room: Room,
    /// Up to 10 of the people in it.
    pub members: Vec<Author>,
    /// The newest message that this reader may see.
    pub last_message: Option<Message>,
    /// Messages after the read cursor that are neither deleted nor one's own.
    pub unread_count: u64,
    /// Whether it is muted now.
    pub muted: bool,
    /// Until when; null for good or not at all.
    pub muted_until: Option<Time>,
    /// When something was last said, or when the room was made.
    pub last_activity_at: Time,
}

/// What `POST /conversations` gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenedConversation {
    /// The conversation.
    #[serde(flatten)]
    pub summary: RoomSummary,
    /// Whether it was made now.
    pub is_new: bool,
}

/// A member in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// Who.
    pub user_id: UserId,
    /// Unique name.
    pub username: Option<String>,
    /// The name that people read.
    pub display_name: String,
    /// What they may do.
    pub role: MemberRole,
    /// Since when.
    pub joined_at: Time,
    /// Whether a device of theirs is connected.
    pub is_online: bool,
}

/// The sort of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageType {
    /// Words.
    #[default]
    Text,
    /// A picture, by reference.
    Image,
    /// A file, by reference.
    File,
    /// A sound, by reference.
    Audio,
    /// Said by the product, not by a person.
    System,
}

impl MessageType {
    /// The word in JSON and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Image => "image",
            Self::File => "file",
            Self::Audio => "audio",
            Self::System => "system",
        }
    }
}

/// What a message answers. Carries no text, so that a deleted message leaves none behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplyTo {
    /// The message answered.
    pub message_id: MessageId,
    /// Its place in the log.
    pub seq: u64,
    /// Its author.
    pub user_id: UserId,
}

/// A file that lies elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attachment {
    /// Where; http or https.
    pub url: String,
    /// File name.
    pub name: String,
    /// Media type.
    pub mime: String,
    /// Bytes.
    pub size: u64,
}

/// One emoji under a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reaction {
    /// The emoji.
    pub emoji: String,
    /// How many reacted with it.
    pub count: u64,
    /// At most 20 of them.
    pub user_ids: Vec<UserId>,
}

/// A message as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// The room it is in.
    pub room_id: RoomId,
    /// Its place in the room's log, for good.
    pub seq: u64,
    /// Grows with every change; lets a reader ignore what it has already.
    pub rev: u64,
    /// The sender's own key for it.
    pub client_id: String,
    /// Its sort.
    #[serde(rename = "type")]
    pub message_type: MessageType,
    /// The words; empty in a tombstone.
    pub content: String,
    /// Who wrote it.
    pub author: Author,
    /// When it was stored.
    pub created_at: Time,
    /// When it was last edited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited_at: Option<Time>,
    /// When it became a tombstone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Time>,
    /// What it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<ReplyTo>,
    /// The file that goes with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachment: Option<Attachment>,
    /// Emojis under it.
    pub reactions: Vec<Reaction>,
    /// When it was pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned_at: Option<Time>,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// `after=` for the next page; null at the end.
    pub next: Option<String>,
    /// `before=` for the previous page; null at the start.
    pub prev: Option<String>,
}

/// One entry of a log as its reader may see it: the event's name and the state of now.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogEntry {
    /// Its place.
    pub seq: u64,
    /// The event's name.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The state of now; null where this reader may not see what it refers to.
    pub data: Box<serde_json::value::RawValue>,
}

/// What `GET /rooms/{id}/sync` gives.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SyncPage {
    /// The entries, in ascending seq.
    #[serde(flatten)]
    pub page: Page<LogEntry>,
    /// The newest place of the log.
    pub head: u64,
    /// The epoch that cursors belong to.
    pub store_epoch: String,
    /// The first place that this reader may see.
    pub from: u64,
}

/// The data of `user_joined` and `user_left`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Membership {
    /// The room.
    pub room_id: RoomId,
    /// Who came or went.
    pub user_id: UserId,
    /// Their name.
    pub username: Option<String>,
}

/// The data of `room_removed` and `room_deleted`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoomGone {
    /// The room.
    pub room_id: RoomId,
}

/// The data of `session_ended`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionEnded {
    /// Which one; null for all of the user's.
    pub session_id: Option<SessionId>,
}

/// Whether and how someone is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// No device connected, or invisible.
    #[default]
    Offline,
    /// There.
    Online,
    /// There, and not looking.
    Away,
    /// There, and not to be disturbed.
    Busy,
}

/// The data of `user_status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserStatus {
    /// Who.
    pub user_id: UserId,
    /// Their name.
    pub username: Option<String>,
    /// How they are there.
    pub status: Status,
    /// When a device of theirs was last connected; null while one is.
    pub last_seen: Option<Time>,
}

/// The data of `user_typing`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserTyping {
    /// Where.
    pub room_id: RoomId,
    /// Who.
    pub user_id: UserId,
    /// Their name.
    pub username: Option<String>,
    /// Begins or ends.
    pub is_typing: bool,
}
