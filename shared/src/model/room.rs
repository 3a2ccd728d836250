//! Rooms, conversations, and who is in them.

use super::{Author, Message};
use crate::{
    clock::Time,
    ids::{RoomId, UserId},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The sort of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Everyone, and everyone may join.
    Public,
    /// Members, and who has an invite.
    Private,
}

/// What someone who joins may see of what was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum HistoryFrom {
    /// Everything.
    Start,
    /// Only from joining on.
    Join,
}

/// What a member may do in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Room {
    /// Its id.
    pub id: RoomId,
    /// Its sort.
    #[serde(rename = "type")]
    pub room_type: RoomType,
    /// Null for conversations.
    #[schema(required = true)]
    pub name: Option<String>,
    /// What it is about.
    #[schema(required = true)]
    pub description: Option<String>,
    /// Who finds it.
    pub visibility: Visibility,
    /// What newcomers see.
    pub history_from: HistoryFrom,
    /// Who made it; null when a server did.
    #[schema(required = true)]
    pub created_by: Option<UserId>,
    /// When it was made.
    pub created_at: Time,
    /// How many are in it.
    pub member_count: u64,
    /// The reader's own role; null for who is not in it.
    #[schema(required = true)]
    pub role: Option<MemberRole>,
}

/// A room in its member's own list: of conversations, of rooms, and in `room_added`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomSummary {
    /// The room.
    #[serde(flatten)]
    pub room: Room,
    /// Up to 10 of the people in it.
    pub members: Vec<Author>,
    /// The newest message that this reader may see.
    #[schema(required = true)]
    pub last_message: Option<Message>,
    /// Messages after the read cursor that are neither deleted nor one's own.
    pub unread_count: u64,
    /// Whether it is muted now.
    pub muted: bool,
    /// Until when; null for good or not at all.
    #[schema(required = true)]
    pub muted_until: Option<Time>,
    /// When something was last said, or when the room was made.
    pub last_activity_at: Time,
}

/// What `POST /conversations` and coming in by an invite give.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpenedConversation {
    /// The conversation or room.
    #[serde(flatten)]
    pub summary: RoomSummary,
    /// Whether it was made, or come into, now.
    pub is_new: bool,
}

/// A member in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// Who.
    pub user_id: UserId,
    /// Unique name.
    #[schema(required = true)]
    pub username: Option<String>,
    /// The name that people read.
    pub display_name: String,
    /// What they may do.
    pub role: MemberRole,
    /// Since when.
    pub joined_at: Time,
    /// Whether a device of theirs is connected, and they are not invisible.
    pub is_online: bool,
}

/// The data of `room_updated`: the room without anyone's own role, as everyone in it gets the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomUpdated {
    /// Its id.
    pub id: RoomId,
    /// Its sort.
    #[serde(rename = "type")]
    pub room_type: RoomType,
    /// Null for conversations.
    #[schema(required = true)]
    pub name: Option<String>,
    /// What it is about.
    #[schema(required = true)]
    pub description: Option<String>,
    /// Who finds it.
    pub visibility: Visibility,
    /// What newcomers see.
    pub history_from: HistoryFrom,
    /// Who made it; null when a server did.
    #[schema(required = true)]
    pub created_by: Option<UserId>,
    /// When it was made.
    pub created_at: Time,
    /// How many are in it.
    pub member_count: u64,
    /// Whose role changed; absent where the room itself did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub member: Option<ChangedMember>,
}

/// A member whose role changed, as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangedMember {
    /// Who.
    pub user_id: UserId,
    /// Unique name.
    #[schema(required = true)]
    pub username: Option<String>,
    /// What they may do.
    pub role: MemberRole,
}

/// Someone who may not be in a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ban {
    /// Who.
    #[serde(flatten)]
    pub user: Author,
    /// Why, where it was said.
    #[schema(required = true)]
    pub reason: Option<String>,
    /// Who banned them; null when a server did.
    #[schema(required = true)]
    pub banned_by: Option<UserId>,
    /// Since when.
    pub created_at: Time,
}

/// A way into a room for whoever has the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Invite {
    /// What opens the room; unguessable.
    pub token: String,
    /// The room.
    pub room_id: RoomId,
    /// When it ends.
    pub expires_at: Time,
    /// How many may come in by it; null for any number.
    #[schema(required = true)]
    pub max_uses: Option<u32>,
    /// How many have.
    pub uses: u32,
    /// Who made it; null when a server did.
    #[schema(required = true)]
    pub created_by: Option<UserId>,
    /// When it was made.
    pub created_at: Time,
}

/// What someone with an invite sees of the room before they come in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InvitePreview {
    /// The room.
    pub room_id: RoomId,
    /// Its name.
    #[schema(required = true)]
    pub name: Option<String>,
    /// What it is about.
    #[schema(required = true)]
    pub description: Option<String>,
    /// Who finds it.
    pub visibility: Visibility,
    /// How many are in it.
    pub member_count: u64,
    /// When the invite ends.
    pub expires_at: Time,
    /// Whether the reader is in it already.
    pub is_member: bool,
}
