//! The data of events that are neither messages nor rooms.

use super::{ChosenStatus, Status};
use crate::{
    clock::Time,
    ids::{MessageId, RoomId, SessionId, UserId},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The data of `user_joined` and `user_left`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Membership {
    /// The room.
    pub room_id: RoomId,
    /// Who came or went.
    pub user_id: UserId,
    /// Their name.
    #[schema(required = true)]
    pub username: Option<String>,
}

/// The data of `room_removed` and `room_deleted`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomGone {
    /// The room.
    pub room_id: RoomId,
}

/// The data of `session_ended`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionEnded {
    /// Which one; null for all of the user's.
    #[schema(required = true)]
    pub session_id: Option<SessionId>,
}

/// The data of `user_status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserStatus {
    /// Who.
    pub user_id: UserId,
    /// Their name.
    #[schema(required = true)]
    pub username: Option<String>,
    /// How they are there.
    pub status: Status,
    /// When a device of theirs was last connected; null while one is.
    #[schema(required = true)]
    pub last_seen: Option<Time>,
    /// A few words of theirs beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub text: Option<String>,
    /// What they chose; told to their own devices alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub chosen: Option<ChosenStatus>,
}

/// The data of `message_read`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageRead {
    /// Where.
    pub room_id: RoomId,
    /// Who.
    pub user_id: UserId,
    /// Everything up to this place of the room's log.
    pub up_to: u64,
    /// The message that was named, or the newest one then; null in a room without messages.
    #[schema(required = true)]
    pub message_id: Option<MessageId>,
    /// When.
    pub read_at: Time,
}

/// The data of `user_typing`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserTyping {
    /// Where.
    pub room_id: RoomId,
    /// Who.
    pub user_id: UserId,
    /// Their name.
    #[schema(required = true)]
    pub username: Option<String>,
    /// Begins or ends.
    pub is_typing: bool,
}
