//! Reading logs: history, everything after a place, single messages.

use super::reads::ReadBy;
use crate::{
    actor::Actor,
    app::Api,
    paging::Params,
    problem, render,
    store::{
        Stretch,
        rows::{EntryRow, MessageRow},
    },
};
use rookery_shared::{
    ids::{MessageId, RoomId, StreamId},
    model::{LogEntry, Message, Page, SyncPage},
    protocol::{Code, Problem},
};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// A message with who read it, its author apart.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReadMessage {
    #[serde(flatten)]
    message: Message,
    read_by: Vec<ReadBy>,
}

impl Api {
    /// Messages of a room as their reader may see them, in ascending seq; the newest if no place is given.
    pub(crate) async fn history(&self, reader: Actor, room: RoomId, params: &Params) -> Result<Page<Message>, Problem> {
        let limit = params.limit()?;
        let (before, after) = (params.number("before")?, params.number("after")?);
        let from = self.readable_from(reader, room).await?;
        let stretch = match (before, after) {
            (Some(_), Some(_)) => return Err(Problem::field("before", "is not used together with after")),
            (Some(before), None) => Stretch::Before(before),
            (None, Some(after)) => Stretch::After(after.max(from.saturating_sub(1))),
            (None, None) => Stretch::Newest,
        };
        let entries = self.reader.store().entries(StreamId::Room(room), stretch, limit + 1, true);
        let entries = entries.await.map_err(problem::store)?;
        let mut rows: Vec<MessageRow> = entries.into_iter().filter_map(|entry| entry.message).collect();
        rows.retain(|row| row.seq >= from);
        let more = rows.len() > limit as usize;
        if more {
            match stretch {
                Stretch::After(_) => rows.truncate(limit as usize),
                Stretch::Before(_) | Stretch::Newest => drop(rows.remove(0)),
            }
        }
        let (first, last) = (rows.first().map(|row| row.seq), rows.last().map(|row| row.seq));
        // One side is known from what was read; on the other it takes a look.
        let (newer, older) = match (stretch, first, last) {
            (Stretch::Before(_), _, Some(last)) => (self.has_message(room, Stretch::After(last), from).await?, more),
            (Stretch::After(_), Some(first), _) => (more, self.has_message(room, Stretch::Before(first), from).await?),
            _ => (false, more),
        };
        let items = self.messages(rows).await?;
        Ok(Page {
            items,
            next: last.filter(|_| newer).map(|seq| seq.to_string()),
            prev: first.filter(|_| older).map(|seq| seq.to_string()),
        })
    }

    /// Whether there is a message in this direction that someone may see from a place on.
    async fn has_message(&self, room: RoomId, stretch: Stretch, from: u64) -> Result<bool, Problem> {
        let found =
            self.reader.store().entries(StreamId::Room(room), stretch, 1, true).await.map_err(problem::store)?;
        Ok(found.iter().any(|entry| entry.seq >= from))
    }

    /// The first place of a room's log that somebody may see. A server with an API key sees all of it.
    pub(crate) async fn readable_from(&self, reader: Actor, room: RoomId) -> Result<u64, Problem> {
        if reader.is_key() {
            return self.acted_room(reader, room).await.map(|_| 1);
        }
        Ok(self.membership(reader.id, room).await?.from_seq)
    }

    pub(crate) async fn messages(&self, rows: Vec<MessageRow>) -> Result<Vec<Message>, Problem> {
        let senders = self.reader.users(rows.iter().map(|row| row.sender)).await.map_err(problem::store)?;
        let rendered = rows.iter().map(|row| match senders.get(&row.sender) {
            Some(user) => render::message(row, &user.author),
            None => render::message(row, &render::unknown_author(row.sender)),
        });
        Ok(rendered.collect())
    }

    /// One message of a room that the reader is in, from when they may see it, with who read it.
    pub(crate) async fn message(&self, reader: Actor, id: MessageId) -> Result<ReadMessage, Problem> {
        let found = self.reader.store().messages(&[id]).await.map_err(problem::store)?;
        let row = found.into_iter().next().flatten().ok_or(Code::NotFound)?;
        if row.seq < self.readable_from(reader, row.room).await? {
            return Err(Code::NotFound.into());
        }
        let read_by = self.readers_of(&row).await?;
        Ok(ReadMessage { message: self.shown(row).await?, read_by })
    }

    /// Every durable change of a room after a place, or the last ones before one, in order and without gaps, as this
    /// reader may see it.
    pub(crate) async fn sync(&self, reader: Actor, room: RoomId, params: &Params) -> Result<SyncPage, Problem> {
        let limit = params.limit()?;
        let (since, after, before) = (params.number("since")?, params.number("after")?, params.number("before")?);
        let since = since.or(after);
        if since.is_some() && before.is_some() {
            return Err(Problem::field("before", "is not used together with since or after"));
        }
        let since = since.unwrap_or(0);
        let from = self.readable_from(reader, room).await?;
        let stream = StreamId::Room(room);
        let store = self.reader.store();
        // The head is read first: what is read after it reaches at least as far.
        let head = store.heads(&[stream]).await.map_err(problem::store)?.first().copied().unwrap_or(0);
        if since > head {
            return Err(Code::PastHead.into());
        }
        let after = Stretch::After(since.max(from.saturating_sub(1)));
        let stretch = before.map_or(after, Stretch::Before);
        let mut entries = store.entries(stream, stretch, limit, false).await.map_err(problem::store)?;
        entries.retain(|entry| entry.seq >= from);
        let items = self.visible(&entries, from).await?;
        let (first, last) = (entries.first().map(|entry| entry.seq), entries.last().map(|entry| entry.seq));
        let head = head.max(last.unwrap_or(0));
        // The log has no holes, so that its places alone say what there is on either side.
        let next = last.filter(|last| *last < head).map(|last| last.to_string());
        let prev = first.filter(|first| *first > from.max(1)).map(|first| first.to_string());
        let store_epoch = self.epoch().await?.to_string();
        Ok(SyncPage { page: Page { items, next, prev }, head, store_epoch, from })
    }

    /// Entries as a reader sees them who may see everything from a place on.
    async fn visible(&self, entries: &[EntryRow], from: u64) -> Result<Vec<LogEntry>, Problem> {
        let events = self.reader.events(entries).await.map_err(problem::store)?;
        let visible = events.into_iter().map(|event| {
            let header = event.header;
            let json = if header.is_hidden(from) { None } else { String::from_utf8(event.data.to_vec()).ok() };
            let data = json.and_then(|json| RawValue::from_string(json).ok());
            Ok(LogEntry {
                seq: header.seq,
                event_type: header.kind.event_type().to_owned(),
                data: data.map_or_else(null, Ok)?,
            })
        });
        visible.collect()
    }
}

fn null() -> Result<Box<RawValue>, Problem> {
    RawValue::from_string("null".to_owned()).map_err(|_| Code::Internal.into())
}
