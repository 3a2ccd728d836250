//! What waits to be indexed: messages that were stored a moment ago, bounded in bytes.

use crate::{store::rows::MessageRow, writer::Stored};
use metrics::{counter, gauge};
use rookery_shared::clock::{self, Time};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{Notify, oneshot};

/// What a message holds besides its content: its other fields, and the rest of the JSON that was sent of it.
const OVERHEAD: usize = 1_024;

/// A message that was stored and is not known to be indexed.
#[derive(Clone)]
pub(super) struct Fresh {
    message: Arc<Stored>,
    /// When it came here, by this machine's clock.
    since: Time,
}

impl Fresh {
    pub(super) fn row(&self) -> &MessageRow {
        &self.message.row
    }

    fn bytes(&self) -> usize {
        // The content is there twice: in the row, and in the JSON.
        OVERHEAD + 2 * self.message.row.content.len()
    }
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Fresh>,
    bytes: usize,
    /// Since when messages were left out because too much waited. They are found in the log again.
    missed_since: Option<Time>,
    closed: bool,
    /// Who waits for everything to be indexed.
    finishing: Option<oneshot::Sender<()>>,
}

/// The queue between the writer and the indexer.
pub(super) struct Queue {
    state: Mutex<State>,
    max_bytes: usize,
    /// Something arrived, or the queue was closed.
    pub(super) arrived: Notify,
}

impl Queue {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { state: Mutex::default(), max_bytes, arrived: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held; if it did, the queue would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts messages in. What does not fit is noted as missed, by its time alone.
    pub(super) fn put(&self, messages: Vec<Arc<Stored>>) {
        let since = clock::now();
        let mut state = self.state();
        let mut missed = 0;
        for message in messages {
            let fresh = Fresh { message, since };
            let bytes = fresh.bytes();
            if state.bytes.saturating_add(bytes) > self.max_bytes {
                state.missed_since.get_or_insert(since);
                missed += 1;
            } else {
                state.bytes += bytes;
                state.waiting.push_back(fresh);
            }
        }
        gauge!("rookery_api_index_queue_bytes").set(f64::from(u32::try_from(state.bytes).unwrap_or(u32::MAX)));
        drop(state);
        if missed > 0 {
            counter!("rookery_api_index_missed_total").increment(missed);
        }
        self.arrived.notify_one();
    }

    /// Takes out the oldest ones.
    pub(super) fn take(&self, most: usize) -> Vec<Fresh> {
        let mut state = self.state();
        let most = most.min(state.waiting.len());
        let taken: Vec<Fresh> = state.waiting.drain(..most).collect();
        state.bytes = state.bytes.saturating_sub(taken.iter().map(Fresh::bytes).sum());
        taken
    }

    /// Since when messages were left out, if they were; forgotten by this.
    pub(super) fn take_missed(&self) -> Option<Time> {
        self.state().missed_since.take()
    }

    /// The oldest time of what waits here or was left out.
    pub(super) fn oldest(&self) -> Option<Time> {
        let state = self.state();
        state.waiting.front().map(|fresh| fresh.since).into_iter().chain(state.missed_since).min()
    }

    /// Nothing comes any more, and what is here is left.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.arrived.notify_one();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Asks for everything to be indexed; the answer comes when that is done.
    pub(super) fn finish(&self) -> oneshot::Receiver<()> {
        let (done, answer) = oneshot::channel();
        self.state().finishing = Some(done);
        self.arrived.notify_one();
        answer
    }

    pub(super) fn is_finishing(&self) -> bool {
        self.state().finishing.is_some()
    }

    pub(super) fn finished(&self) {
        if let Some(done) = self.state().finishing.take() {
            // Who asked may have stopped waiting.
            let _ = done.send(());
        }
    }
}

/// When the oldest of these came.
pub(super) fn oldest(batch: &[Fresh]) -> Option<Time> {
    batch.iter().map(|fresh| fresh.since).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use rookery_shared::{
        ids::{MessageId, RoomId, UserId},
        model::MessageType,
    };

    fn stored(content: &str) -> Arc<Stored> {
        let row = MessageRow {
            id: MessageId::new(),
            room: RoomId::new(),
            seq: 1,
            rev: 1,
            sender: UserId::new(),
            client_id: "c".into(),
            first_hash: vec![],
            message_type: MessageType::Text,
            content: content.into(),
            created_at: Time(1),
            edited_at: None,
            deleted_at: None,
            reply_to: None,
            attachment: None,
            reactions: Vec::new(),
            pinned_at: None,
        };
        Arc::new(Stored { row, data: Bytes::new(), repeated: false })
    }

    #[test]
    fn what_does_not_fit_is_noted_as_missed_and_what_fits_stays_in_order() {
        let queue = Queue::new(3 * OVERHEAD + 30);
        queue.put(vec![stored("a"), stored("b")]);
        assert!(queue.take_missed().is_none());
        queue.put(vec![stored(&"x".repeat(1_000)), stored("c")]);
        assert!(queue.oldest().is_some());
        let missed = queue.take_missed().expect("one did not fit");
        assert!(missed.0 > 0 && queue.take_missed().is_none());
        let taken = queue.take(2);
        assert_eq!(taken.iter().map(|fresh| fresh.row().content.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(queue.take(9).len(), 1);
        assert!(queue.oldest().is_none());
        queue.put((0..3).map(|_| stored("d")).collect());
        assert!(queue.take_missed().is_none(), "what was taken makes room");
        assert_eq!(queue.take(9).len(), 3);
    }
}
