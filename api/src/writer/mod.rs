//! The writer: everything that becomes an entry of a log goes through here.
//!
//! Messages queue per shard (a shard is a fixed part of all rooms) and go to the store in natural batches: what
//! queued while the last write was in flight goes out together in one ordered insert. Other durable changes are
//! jobs in the same queue, that run beside the writing. The writer numbers entries, settles clashes with other writers, and publishes what is
//! committed. It checks neither membership nor limits, and never decides by a clock.

mod change;
mod plan;
mod shard;

pub use change::{Heads, Planned};

use crate::{
    publisher::Publisher,
    reader::Reader,
    search::Indexer,
    store::{SharedStore, rows::MessageRow},
};
use bytes::Bytes;
use plan::Waiting;
use rookery_shared::{
    bus::SharedBus,
    ids::{RoomId, StreamId, fnv1a},
    model::{Attachment, Author, MessageType, ReplyTo},
    protocol::{Code, Problem, command::MessageSent},
};
use shard::{Job, Shard, Work};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::Instant,
};

/// How the writer batches and how long it tries.
#[derive(Clone, Debug)]
pub struct WriterConfig {
    /// Parts that write independently of one another. Default 8; fewer make larger batches.
    pub shards: usize,
    /// Most messages in one insert. Default 1,000.
    pub max_batch: usize,
    /// Bytes that may wait in one shard; beyond it sends are refused. Default 16 MiB.
    pub queue_bytes: u32,
    /// Rooms whose heads one shard remembers. Default 100,000.
    pub heads: usize,
    /// A write that waited longer is dropped, and a job that ran longer given up, so that nothing old lands in a deleted
    /// room. Default 10 s.
    pub max_wait: Duration,
    /// How long one write tries to get past clashes. Default 5 s.
    pub retry_for: Duration,
}

impl Default for WriterConfig {
    fn default() -> Self {
        Self {
            shards: 8,
            max_batch: 1_000,
            queue_bytes: 16 << 20,
            heads: 100_000,
            max_wait: Duration::from_secs(10),
            retry_for: Duration::from_secs(5),
        }
    }
}

/// A message to be stored, checked and ready.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// Where it goes.
    pub room: RoomId,
    /// Who says it.
    pub author: Arc<Author>,
    /// The sender's own key; decides whether this is a repeat.
    pub client_id: String,
    /// Its sort.
    pub message_type: MessageType,
    /// The words.
    pub content: String,
    /// What it answers.
    pub reply_to: Option<ReplyTo>,
    /// A file that goes with it.
    pub attachment: Option<Attachment>,
    /// Trace and span that it comes from; zeros for none.
    pub trace: ([u8; 16], [u8; 8]),
}

impl NewMessage {
    /// A plain text message.
    pub fn text(room: RoomId, author: Arc<Author>, client_id: impl Into<String>, content: impl Into<String>) -> Self {
        Self {
            room,
            author,
            client_id: client_id.into(),
            message_type: MessageType::Text,
            content: content.into(),
            reply_to: None,
            attachment: None,
            trace: ([0; 16], [0; 8]),
        }
    }

    /// What this message counts against the queue.
    fn weight(&self) -> u32 {
        let attachment = self.attachment.as_ref().map_or(0, |file| file.url.len() + file.name.len() + file.mime.len());
        u32::try_from(512 + self.content.len() + self.client_id.len() + attachment).unwrap_or(u32::MAX)
    }

    /// Identifies what was first sent, so that a repeat is told from another message under the same key.
    pub fn first_hash(&self) -> [u8; 32] {
        plan::first_hash(self)
    }
}

/// A message that is majority-committed.
#[derive(Debug)]
pub struct Stored {
    /// Its row; the state of now if it was a repeat.
    pub row: MessageRow,
    /// The JSON of [`rookery_shared::model::Message`].
    pub data: Bytes,
    /// Whether it had been stored by an earlier send.
    pub repeated: bool,
}

impl Stored {
    /// The acknowledgement, the same for the first send and for every repeat.
    pub fn acknowledgement(&self) -> MessageSent {
        MessageSent {
            message_id: self.row.id,
            room_id: self.row.room,
            seq: self.row.seq,
            created_at: self.row.created_at,
            client_id: self.row.client_id.clone(),
        }
    }
}

/// Why a message was not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The sender used this client id for another message in this room.
    #[error("the client id was used for another message")]
    ClientIdReused,
    /// Certainly not written: too much waits, it waited too long, or clashes did not end.
    #[error("not written")]
    NotWritten,
    /// The store did not say whether it was written.
    #[error("the outcome is unknown")]
    Unknown,
}

impl From<SendError> for Problem {
    fn from(error: SendError) -> Self {
        match error {
            SendError::ClientIdReused => Code::ClientIdReused.into(),
            SendError::NotWritten | SendError::Unknown => Code::Unavailable.into(),
        }
    }
}

/// What a sender gets.
pub type Answer = Result<Arc<Stored>, SendError>;

/// A handle to the writer. Cheap to clone; the shards end when the last one is gone and their queues are empty.
#[derive(Clone)]
pub struct Writer {
    shards: Arc<[Queue]>,
    weight_of_all: u32,
}

/// The way into one shard. The permits bound what waits there in bytes; the channel is large enough for all of them.
struct Queue {
    work: mpsc::Sender<Work>,
    bytes: Arc<Semaphore>,
}

/// What shards and jobs work with.
pub(crate) struct Tools {
    pub(crate) reader: Reader,
    pub(crate) publisher: Publisher,
    /// Makes what is stored searchable; a writer by itself does without.
    pub(crate) indexer: Option<Indexer>,
    pub(crate) config: WriterConfig,
}

/// What a job counts against the queue, in bytes; also the least that a message counts.
const JOB_WEIGHT: u32 = 512;

impl Writer {
    /// Starts the shards on the current runtime.
    pub fn start(store: SharedStore, bus: SharedBus, config: WriterConfig) -> Self {
        Self::with_reader(Reader::new(store), Publisher::new(bus), None, config)
    }

    /// Starts the shards with a reader whose caches others share.
    pub(crate) fn with_reader(
        reader: Reader,
        publisher: Publisher,
        indexer: Option<Indexer>,
        config: WriterConfig,
    ) -> Self {
        let count = config.shards.max(1);
        let bytes = config.queue_bytes;
        let tools = Arc::new(Tools { reader, publisher, indexer, config });
        let shards = (0..count).map(|_| {
            let capacity = usize::try_from(bytes / JOB_WEIGHT).unwrap_or(usize::MAX).max(1);
            let (work, queue) = mpsc::channel(capacity);
            tokio::spawn(Shard::new(queue, tools.clone()).run());
            let bytes = Arc::new(Semaphore::new(usize::try_from(bytes).unwrap_or(usize::MAX)));
            Queue { work, bytes }
        });
        Self { shards: shards.collect(), weight_of_all: bytes }
    }

    fn queue(&self, stream: StreamId) -> &Queue {
        let hash = fnv1a(stream.uuid().as_bytes());
        let index = usize::try_from(hash % self.shards.len() as u64).unwrap_or(0);
        &self.shards[index]
    }

    /// Stores messages and gives one answer for each, in the order asked. Messages of one call to one room are
    /// numbered in the order given.
    pub async fn send(&self, messages: Vec<NewMessage>) -> Vec<Answer> {
        // All are queued before the first is waited for: they go out together.
        let waiting: Vec<_> = messages.into_iter().map(|message| self.enqueue(message)).collect();
        let mut answers = Vec::with_capacity(waiting.len());
        for answer in waiting {
            answers.push(match answer {
                // The shard drops a waiter unanswered only when it panics: then nobody knows.
                Ok(answer) => answer.await.unwrap_or(Err(SendError::Unknown)),
                Err(refused) => Err(refused),
            });
        }
        answers
    }

    fn enqueue(&self, message: NewMessage) -> Result<oneshot::Receiver<Answer>, SendError> {
        let queue = self.queue(StreamId::Room(message.room));
        let weight = message.weight().min(self.weight_of_all);
        let Ok(permit) = queue.bytes.clone().try_acquire_many_owned(weight) else {
            metrics::counter!("rookery_api_writer_refused_total").increment(1);
            return Err(SendError::NotWritten);
        };
        let (reply, answer) = oneshot::channel();
        let waiting = Box::new(Waiting::new(message, reply, permit, Instant::now()));
        queue.work.try_send(Work::Message(waiting)).map_err(|_| SendError::NotWritten)?;
        Ok(answer)
    }

    /// Puts a job into the queue of its home stream.
    fn run(&self, home: StreamId, run: shard::Run) -> Result<(), Problem> {
        let queue = self.queue(home);
        let unavailable = || Problem::from(Code::Unavailable);
        let permit = queue.bytes.clone().try_acquire_many_owned(JOB_WEIGHT).map_err(|_| unavailable())?;
        let job = Job { home, since: Instant::now(), run, permit };
        queue.work.try_send(Work::Job(job)).map_err(|_| unavailable())
    }
}
