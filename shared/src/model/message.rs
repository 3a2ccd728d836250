//! Messages and what hangs on them.

use super::Author;
use crate::{
    clock::Time,
    ids::{MessageId, RoomId, UserId},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The sort of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attachment {
    /// Where; http or https.
    #[schema(max_length = 2048, pattern = r"^https?://[^\s\u0000-\u001f\u007f-\u009f]+$")]
    pub url: String,
    /// File name.
    #[schema(
        min_length = 1,
        max_length = 255,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\u0000-\u001f\u007f-\u009f\s][^\u0000-\u001f\u007f-\u009f]*$"
    )]
    pub name: String,
    /// Media type.
    #[schema(max_length = 255, pattern = r"^[!-.0-~]+/[!-.0-~]+$")]
    pub mime: String,
    /// Bytes.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991u64)]
    pub size: u64,
}

/// One emoji under a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
    #[schema(nullable = false)]
    pub edited_at: Option<Time>,
    /// When it became a tombstone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub deleted_at: Option<Time>,
    /// What it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reply_to: Option<ReplyTo>,
    /// The file that goes with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub attachment: Option<Attachment>,
    /// Emojis under it.
    pub reactions: Vec<Reaction>,
    /// When it was pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub pinned_at: Option<Time>,
}
