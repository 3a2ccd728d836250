//! What waits for one connection: commands that are not yet written, and those that are not yet answered.
//!
//! Everything that is queued while a write is in flight goes out with the next one; alone, a command waits for nothing.
//! Events are bounded in bytes from the moment they are handed over until Redis has answered.

use super::resp::{Value, encode};
use crate::{bus::BusError, envelope::Event, ids::StreamId, keys::Keys};
use bytes::BytesMut;
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{Notify, oneshot};

/// Announcements that may wait; they are coalesced by stream, so that only a stall lets them grow.
const MAX_HEADS: usize = 1 << 18;

/// Heads in one call of the script, so that it does not keep Redis from others for long.
const HEADS_PER_CALL: usize = 256;

/// What the commands look like.
#[derive(Clone, Debug)]
pub(crate) struct Dialect {
    pub(crate) keys: Keys,
    /// Sharded pub/sub, and one tag per command.
    pub(crate) sharded: bool,
    pub(crate) queue_bytes: usize,
    pub(crate) head_seconds: u32,
    /// SHA-1 of the script that raises heads.
    pub(crate) announce_sha: String,
}

/// Answers, when it comes, whether the server accepted a subscription.
pub(crate) type Acknowledged = oneshot::Receiver<Result<(), String>>;

/// A command that was not yet answered.
enum Waiting {
    Event { bytes: u32, durable: bool },
    Announcement,
    Quiet,
    Reply(oneshot::Sender<Value>),
    Subscribe { left: usize, done: oneshot::Sender<Result<(), String>> },
    Unsubscribe(Vec<StreamId>),
}

/// What an answer means beyond itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Something durable did not get through.
    Lost,
    /// Another node has the slot, or nobody has.
    Moved,
    /// The server forgot the script.
    NoScript,
    /// A subscription ended that was not given up.
    Unsubscribed(StreamId),
}

/// The queue of one connection; it outlives the connection and is closed between two of them.
pub(crate) struct Outbox {
    dialect: Dialect,
    // Held for the encoding of a batch at most, never over an await.
    state: Mutex<State>,
    ready: Notify,
}

#[derive(Default)]
struct State {
    /// The number of the connection that is open; 0 for none.
    connection: u64,
    bytes: BytesMut,
    waiting: VecDeque<Waiting>,
    event_bytes: usize,
    heads: HashMap<StreamId, u64>,
}

impl State {
    fn open(&mut self) -> Result<u64, BusError> {
        if self.connection == 0 { Err(BusError::Down) } else { Ok(self.connection) }
    }
}

impl Outbox {
    pub(crate) fn new(dialect: Dialect) -> Self {
        Self { dialect, state: Mutex::default(), ready: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the open connection; 0 for none.
    pub(crate) fn connection(&self) -> u64 {
        self.state().connection
    }

    /// Whether the server owes an answer.
    pub(crate) fn owed(&self) -> bool {
        !self.state().waiting.is_empty()
    }

    /// A connection is there, with this number.
    pub(crate) fn open(&self, connection: u64) {
        *self.state() = State { connection, ..State::default() };
    }

    /// The connection is gone. Whether something durable went with it.
    pub(crate) fn close(&self) -> bool {
        let state = std::mem::take(&mut *self.state());
        let durable =
            |waiting: &Waiting| matches!(waiting, Waiting::Event { durable: true, .. } | Waiting::Announcement);
        !state.heads.is_empty() || state.waiting.iter().any(durable)
    }

    /// Queues events. Whether a durable one was dropped.
    pub(crate) fn publish<'a>(&self, events: impl Iterator<Item = &'a Event>) -> bool {
        let command: &[u8] = if self.dialect.sharded { b"SPUBLISH" } else { b"PUBLISH" };
        let mut lost = false;
        let mut state = self.state();
        for event in events {
            let durable = event.header.kind.is_durable();
            let payload = event.encode();
            let bytes = u32::try_from(payload.len()).unwrap_or(u32::MAX);
            if state.connection == 0 || state.event_bytes + payload.len() > self.dialect.queue_bytes {
                lost |= durable;
                metrics::counter!("rookery_bus_dropped_events_total").increment(1);
                continue;
            }
            state.event_bytes += payload.len();
            let channel = self.dialect.keys.channel(event.header.stream);
            encode(&mut state.bytes, &[command, channel.as_bytes(), &payload]);
            state.waiting.push_back(Waiting::Event { bytes, durable });
        }
        drop(state);
        self.ready.notify_one();
        lost
    }

    /// Queues announcements. Whether one was dropped.
    pub(crate) fn announce(&self, heads: impl Iterator<Item = (StreamId, u64)>) -> bool {
        let mut state = self.state();
        let mut lost = false;
        for (stream, head) in heads {
            if state.connection == 0 || state.heads.len() >= MAX_HEADS {
                lost = true;
                continue;
            }
            let queued = state.heads.entry(stream).or_default();
            *queued = (*queued).max(head);
        }
        drop(state);
        self.ready.notify_one();
        lost
    }

    /// Queues a command; its answer comes unless the connection breaks.
    pub(crate) fn call(&self, command: &[&[u8]]) -> Result<oneshot::Receiver<Value>, BusError> {
        let (sender, receiver) = oneshot::channel();
        self.queue(command, Waiting::Reply(sender))?;
        Ok(receiver)
    }

    /// Queues a command whose answer says nothing.
    pub(crate) fn tell(&self, command: &[&[u8]]) {
        // Without a connection there is nobody to tell.
        let _ = self.queue(command, Waiting::Quiet);
    }

    /// Queues the subscription of streams; in a cluster they must have one tag. Gives the connection's number too.
    pub(crate) fn subscribe(&self, streams: &[StreamId]) -> Result<(u64, Acknowledged), BusError> {
        let (done, acknowledged) = oneshot::channel();
        let command = if self.dialect.sharded { "SSUBSCRIBE" } else { "SUBSCRIBE" };
        let connection = self.on_channels(command, streams, Waiting::Subscribe { left: streams.len(), done })?;
        Ok((connection, acknowledged))
    }

    /// Queues giving up streams; in a cluster they must have one tag.
    pub(crate) fn unsubscribe(&self, streams: &[StreamId]) {
        let command = if self.dialect.sharded { "SUNSUBSCRIBE" } else { "UNSUBSCRIBE" };
        // Without a connection there is no subscription.
        let _ = self.on_channels(command, streams, Waiting::Unsubscribe(streams.to_vec()));
    }

    fn on_channels(&self, command: &str, streams: &[StreamId], waiting: Waiting) -> Result<u64, BusError> {
        let channels: Vec<String> = streams.iter().map(|stream| self.dialect.keys.channel(*stream)).collect();
        let words: Vec<&[u8]> =
            [command].into_iter().chain(channels.iter().map(String::as_str)).map(str::as_bytes).collect();
        self.queue(&words, waiting)
    }

    fn queue(&self, command: &[&[u8]], waiting: Waiting) -> Result<u64, BusError> {
        let mut state = self.state();
        let connection = state.open()?;
        encode(&mut state.bytes, command);
        state.waiting.push_back(waiting);
        drop(state);
        self.ready.notify_one();
        Ok(connection)
    }

    /// Waits until something is queued, and swaps it for the given empty buffer.
    pub(crate) async fn take(&self, into: &mut BytesMut) {
        loop {
            {
                let mut state = self.state();
                self.encode_heads(&mut state);
                if !state.bytes.is_empty() {
                    std::mem::swap(&mut state.bytes, into);
                    return;
                }
            }
            self.ready.notified().await;
        }
    }

    fn encode_heads(&self, state: &mut State) {
        if state.heads.is_empty() {
            return;
        }
        let mut groups: BTreeMap<u16, Vec<(StreamId, u64)>> = BTreeMap::new();
        for (stream, head) in state.heads.drain() {
            let group = if self.dialect.sharded { Keys::tag(stream) } else { 0 };
            groups.entry(group).or_default().push((stream, head));
        }
        for heads in groups.values().flat_map(|group| group.chunks(HEADS_PER_CALL)) {
            let fixed = ["EVALSHA".to_owned(), self.dialect.announce_sha.clone(), heads.len().to_string()];
            let keys = heads.iter().map(|(stream, _)| self.dialect.keys.head(*stream));
            let values = heads.iter().map(|(_, head)| head.to_string());
            let seconds = self.dialect.head_seconds.to_string();
            let words: Vec<String> = fixed.into_iter().chain(keys).chain([seconds]).chain(values).collect();
            let words: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
            encode(&mut state.bytes, &words);
            state.waiting.push_back(Waiting::Announcement);
        }
    }

    /// Gives answers and confirmations, in the order they came, to whoever waits for them.
    pub(crate) fn settle(&self, answers: &mut Vec<Answer>, findings: &mut Vec<Finding>) {
        let mut state = self.state();
        for answer in answers.drain(..) {
            match answer {
                Answer::Reply(value) => state.reply(value, findings),
                Answer::Subscribed => state.subscribed(),
                Answer::Unsubscribed(stream) => state.unsubscribed(stream, findings),
            }
        }
    }
}

/// What came from the server and is not a message.
pub(crate) enum Answer {
    Reply(Value),
    Subscribed,
    Unsubscribed(StreamId),
}

impl State {
    fn reply(&mut self, value: Value, findings: &mut Vec<Finding>) {
        let waiting = self.waiting.pop_front();
        let refused = if let Value::Error(text) = &value { Some(text.as_str()) } else { None };
        if let Some(text) = refused {
            if ["MOVED ", "ASK ", "CLUSTERDOWN", "TRYAGAIN", "READONLY"].iter().any(|word| text.starts_with(word)) {
                findings.push(Finding::Moved);
            } else if text.starts_with("NOSCRIPT") {
                findings.push(Finding::NoScript);
            }
        }
        match waiting {
            Some(Waiting::Event { bytes, durable }) => {
                self.event_bytes = self.event_bytes.saturating_sub(bytes as usize);
                if durable && refused.is_some() {
                    findings.push(Finding::Lost);
                }
            }
            Some(Waiting::Announcement) if refused.is_some() => findings.push(Finding::Lost),
            Some(Waiting::Reply(sender)) => {
                // Whoever asked may have stopped waiting.
                let _ = sender.send(value);
            }
            Some(Waiting::Subscribe { done, .. }) => {
                let text = if let Value::Error(text) = value { text } else { String::new() };
                let _ = done.send(Err(text));
            }
            Some(Waiting::Announcement | Waiting::Quiet | Waiting::Unsubscribe(_)) | None => {}
        }
    }

    fn subscribed(&mut self) {
        if let Some(Waiting::Subscribe { left, .. }) = self.waiting.front_mut() {
            *left = left.saturating_sub(1);
            if *left == 0
                && let Some(Waiting::Subscribe { done, .. }) = self.waiting.pop_front()
            {
                let _ = done.send(Ok(()));
            }
        }
    }

    fn unsubscribed(&mut self, stream: StreamId, findings: &mut Vec<Finding>) {
        if let Some(Waiting::Unsubscribe(streams)) = self.waiting.front_mut()
            && let Some(place) = streams.iter().position(|other| *other == stream)
        {
            streams.swap_remove(place);
            if streams.is_empty() {
                self.waiting.pop_front();
            }
            return;
        }
        findings.push(Finding::Unsubscribed(stream));
    }
}
