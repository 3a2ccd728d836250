//! The indexer: brings what was stored into the search index, off the way of sends.
//!
//! The writer hands over what it committed; what waits goes to the store in natural batches. After a batch was written
//! its messages are read once more: one that was changed or deleted meanwhile is indexed again, so that no text of a
//! deleted message stays. Edits and deletions themselves write their words in their own transaction. Nothing is lost when
//! an api is killed or its queue runs over: what is missing is found again in the log ([`super::checkpoint`]).

use super::{
    checkpoint::{Checkpoints, Debt},
    queue::{self, Fresh, Queue},
    words,
};
use crate::{
    store::{IndexedMessage, SharedStore, StoreError, rows::MessageRow},
    writer::Stored,
};
use metrics::{counter, histogram};
use rookery_shared::{clock, ids::MessageId};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Most messages that go on their way together.
const BATCH: usize = 500;

/// Most bytes of content in one write to the store, unless one message has more. Their words take many times that, and
/// the embedded store writes nothing else meanwhile.
const WRITE_BYTES: usize = 32 << 10;

/// Messages of one look into the log.
const LOOK: u32 = 200;

/// How long a store that failed is left alone.
const PAUSE: Duration = Duration::from_millis(500);

/// How long the end of an api waits for its index.
const FINISH_WITHIN: Duration = Duration::from_secs(5);

/// How messages come into the search index.
#[derive(Clone, Debug)]
pub struct IndexerConfig {
    /// Bytes of messages that may wait; what is more is read from the log later. Default 32 MiB.
    pub queue_bytes: usize,
    /// How often an api says how far it is, and looks for others that do not any more. Default 5 s.
    pub keep_every: Duration,
    /// After which time without a word another api is taken for dead, and its work over. Zero where there is no other:
    /// what is there is left from this one's last life. Default 30 s.
    pub takeover_after: Duration,
}

impl Default for IndexerConfig {
    fn default() -> Self {
        Self { queue_bytes: 32 << 20, keep_every: Duration::from_secs(5), takeover_after: Duration::from_secs(30) }
    }
}

/// The way into the index. Cheap to clone; the indexer ends with the last one, and leaves what waits.
#[derive(Clone)]
pub(crate) struct Indexer(Arc<Feed>);

struct Feed(Arc<Queue>);

impl Drop for Feed {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Indexer {
    /// Starts it on the current runtime.
    pub(crate) fn start(store: SharedStore, config: &IndexerConfig) -> Self {
        let queue = Arc::new(Queue::new(config.queue_bytes));
        let task = Task {
            store,
            queue: queue.clone(),
            keep_every: config.keep_every,
            checkpoints: Checkpoints::new(config.takeover_after),
            batch: Vec::new(),
            owed: Vec::new(),
            scan: None,
        };
        tokio::spawn(task.run());
        Self(Arc::new(Feed(queue)))
    }

    /// Takes over messages that were committed just now.
    pub(crate) fn stored(&self, messages: Vec<Arc<Stored>>) {
        if !messages.is_empty() {
            self.0.0.put(messages);
        }
    }

    /// Waits until everything is indexed, for a while: what is left then, another api does. Nothing is taken over after
    /// this.
    pub(crate) async fn finish(&self) {
        if timeout(FINISH_WITHIN, self.0.0.finish()).await.is_err() {
            tracing::warn!("the search index is left behind; another api or the next start brings it up to date");
        }
    }
}

/// The words of a message as it is now; none of a tombstone.
pub(crate) fn indexed(row: &MessageRow) -> IndexedMessage {
    IndexedMessage {
        id: row.id,
        room: row.room,
        seq: row.seq,
        sender: row.sender,
        created_at: row.created_at,
        words: if row.deleted_at.is_some() { Vec::new() } else { words(&row.content) },
    }
}

/// A walk through the messages of all rooms by id, which ends at the newest.
struct Scan {
    at: MessageId,
    /// What is settled then.
    settles: Vec<Debt>,
}

struct Task {
    store: SharedStore,
    queue: Arc<Queue>,
    keep_every: Duration,
    checkpoints: Checkpoints,
    /// Taken from the queue and not known to be written.
    batch: Vec<Fresh>,
    /// What is to be walked through next.
    owed: Vec<Debt>,
    scan: Option<Scan>,
}

impl Task {
    async fn run(mut self) {
        let mut keep_at = Instant::now();
        while !self.queue.is_closed() {
            let step = self.step(&mut keep_at).await;
            match step {
                Ok(true) => {}
                Ok(false) if self.queue.is_finishing() => {
                    if let Err(error) = self.checkpoints.remove(&*self.store).await {
                        tracing::debug!(%error, "a checkpoint is left behind");
                    }
                    self.queue.finished();
                    return;
                }
                Ok(false) => {
                    tokio::select! {
                        () = self.queue.arrived.notified() => {}
                        () = sleep_until(keep_at) => {}
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "the search index cannot be written now");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Does what is due. Whether there may be more to do at once.
    async fn step(&mut self, keep_at: &mut Instant) -> Result<bool, StoreError> {
        if Instant::now() >= *keep_at {
            self.keep().await?;
            *keep_at = Instant::now() + self.keep_every;
        }
        // What was said just now comes before what was left behind, and does not hold it up.
        let fresh = self.write_fresh().await?;
        let left = self.walk().await?;
        Ok(fresh || left)
    }

    /// Says how far this api is, and takes over what others left.
    async fn keep(&mut self) -> Result<(), StoreError> {
        let now = clock::now();
        let missed =
            self.owed.iter().chain(self.scan.iter().flat_map(|scan| &scan.settles)).filter_map(|debt| match debt {
                Debt::Missed(since) => Some(*since),
                Debt::Left(_) | Debt::Whole(_) => None,
            });
        let waiting = self.queue.oldest().into_iter().chain(queue::oldest(&self.batch)).chain(missed);
        let up_to = waiting.min().unwrap_or(now).min(now);
        self.checkpoints.keep(&*self.store, up_to).await?;
        if !self.queue.is_finishing() {
            self.owed.extend(self.checkpoints.debts(&*self.store).await?);
        }
        Ok(())
    }

    /// Writes a batch of what was stored just now.
    async fn write_fresh(&mut self) -> Result<bool, StoreError> {
        if self.batch.is_empty() {
            self.batch = self.queue.take(BATCH);
        }
        if self.batch.is_empty() {
            self.owed.extend(self.queue.take_missed().map(Debt::Missed));
            return Ok(false);
        }
        let rows: Vec<&MessageRow> = self.batch.iter().map(Fresh::row).collect();
        self.index(&rows).await?;
        self.batch.clear();
        Ok(true)
    }

    /// Goes one look further through what was left behind.
    async fn walk(&mut self) -> Result<bool, StoreError> {
        if self.scan.is_none() && !self.owed.is_empty() {
            let settles = std::mem::take(&mut self.owed);
            let at = settles.iter().map(Debt::from).min().unwrap_or(MessageId::NIL);
            self.scan = Some(Scan { at, settles });
        }
        let Some(Scan { at, .. }) = &self.scan else { return Ok(false) };
        let rows = self.store.messages_since(*at, LOOK).await?;
        self.index(&rows.iter().collect::<Vec<_>>()).await?;
        if rows.len() < LOOK as usize {
            // Settled one by one: if the store goes away, the rest is walked through again.
            while let Some(debt) = self.scan.as_mut().and_then(|scan| scan.settles.pop()) {
                if let Err(error) = debt.clone().settle(&*self.store).await {
                    self.scan.iter_mut().for_each(|scan| scan.settles.push(debt.clone()));
                    return Err(error);
                }
            }
            self.scan = None;
        } else if let (Some(scan), Some(last)) = (&mut self.scan, rows.last()) {
            scan.at = last.id;
        }
        Ok(true)
    }

    /// Writes the words of these messages, and looks whether they are still theirs.
    async fn index(&self, rows: &[&MessageRow]) -> Result<(), StoreError> {
        let mut rest = rows;
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = rest.iter().take_while(|row| {
                bytes += row.content.len();
                bytes <= WRITE_BYTES
            });
            let (now, later) = rest.split_at(fits.count().max(1));
            let mut changed = self.write(now).await?;
            while !changed.is_empty() {
                let rows: Vec<&MessageRow> = changed.iter().collect();
                changed = self.write(&rows).await?;
            }
            counter!("rookery_api_indexed_messages_total").increment(now.len() as u64);
            rest = later;
        }
        Ok(())
    }

    /// Writes words, and gives the messages that are not what they were when the words were made.
    async fn write(&self, rows: &[&MessageRow]) -> Result<Vec<MessageRow>, StoreError> {
        let started = Instant::now();
        let messages: Vec<IndexedMessage> = rows.iter().map(|row| indexed(row)).collect();
        self.write_all(&messages).await?;
        histogram!("rookery_api_index_seconds").record(started.elapsed());
        let ids: Vec<MessageId> = rows.iter().map(|row| row.id).collect();
        let now = self.store.messages(&ids).await?;
        let changed = rows.iter().zip(now).filter_map(|(row, now)| match now {
            Some(now) => (now.rev != row.rev).then_some(now),
            // Its room was deleted, and all that was in it: these words too are to go, and then it is done with.
            None => row.deleted_at.is_none().then(|| MessageRow { deleted_at: Some(clock::now()), ..(*row).clone() }),
        });
        Ok(changed.collect())
    }

    /// What the store cannot take is left out: it must not keep all others out of the index.
    async fn write_all(&self, messages: &[IndexedMessage]) -> Result<(), StoreError> {
        match self.store.index(messages).await {
            Err(StoreError::Failed(_)) => {}
            done => return done,
        }
        for message in messages {
            match self.store.index(std::slice::from_ref(message)).await {
                Err(StoreError::Failed(reason)) => {
                    tracing::error!(id = %message.id, %reason, "a message cannot be indexed");
                }
                done => done?,
            }
        }
        Ok(())
    }
}
