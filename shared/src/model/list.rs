//! Pages of lists, and logs as their readers see them.

use super::{Membership, Message, RoomUpdated};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// `after=` for the next page; null at the end.
    #[schema(required = true)]
    pub next: Option<String>,
    /// `before=` for the previous page; null at the start.
    #[schema(required = true)]
    pub prev: Option<String>,
}

/// One entry of a log as its reader may see it: the event's name and the state of now.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LogEntry {
    /// Its place.
    pub seq: u64,
    /// The event's name.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The state of now; null where this reader may not see what it refers to.
    #[schema(value_type = Option<LogData>)]
    pub data: Box<serde_json::value::RawValue>,
}

/// What the entries of a room's log refer to: how it is described, as entries carry its bytes.
#[derive(ToSchema)]
#[serde(untagged)]
pub enum LogData {
    /// Of `new_message`, `message_updated` and `message_deleted`.
    Message(Box<Message>),
    /// Of `user_joined` and `user_left`.
    Membership(Membership),
    /// Of `room_updated`.
    Room(RoomUpdated),
}

/// What `GET /rooms/{id}/sync` gives.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
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
