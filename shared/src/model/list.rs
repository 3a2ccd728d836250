//! Pages of lists, and logs as their readers see them.

use serde::{Deserialize, Serialize};

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
