//! One shard of the writer: a task that writes the messages of its rooms batch after batch, and runs their jobs beside
//! that.

use super::{
    SendError, Tools,
    plan::{Plan, Waiting},
};
use crate::store::{Appended, StoreError};
use futures_util::future::BoxFuture;
use metrics::{counter, histogram};
use rookery_shared::{
    clock,
    envelope::Event,
    ids::{RoomId, StreamId},
};
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    task::{Id, JoinError, JoinSet},
    time::{Instant, sleep, timeout},
};

/// Jobs of different streams that run at once.
const JOBS_AT_ONCE: usize = 16;

/// What a job does.
pub(super) type Run = Box<dyn FnOnce(Arc<Tools>) -> BoxFuture<'static, Ran> + Send>;

/// What a shard learns of a job that ran.
pub(super) struct Ran {
    /// The head of its home stream, where it knows it.
    pub(super) head: Option<u64>,
    /// Whether it ended because the store is not available.
    pub(super) store_away: bool,
}

/// A durable change that is not a message.
pub(super) struct Job {
    /// The stream whose shard this is.
    pub(super) home: StreamId,
    /// When it was queued.
    pub(super) since: Instant,
    /// What it does.
    pub(super) run: Run,
    /// Its part of the queue.
    pub(super) permit: OwnedSemaphorePermit,
}

/// What a shard does.
pub(super) enum Work {
    /// Store a message.
    Message(Box<Waiting>),
    /// Run a job.
    Job(Job),
}

/// The heads of a shard's rooms, as far as they are known to be committed. Two generations: when the young one is
/// full it becomes the old one, so the rooms in use stay and the others go.
struct HeadCache {
    young: HashMap<RoomId, u64>,
    old: HashMap<RoomId, u64>,
    max: usize,
}

impl HeadCache {
    fn new(max: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), max: (max / 2).max(1) }
    }

    fn get(&self, room: RoomId) -> Option<u64> {
        self.young.get(&room).or_else(|| self.old.get(&room)).copied()
    }

    fn put(&mut self, room: RoomId, head: u64) {
        if self.young.len() >= self.max && !self.young.contains_key(&room) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(room, head);
    }

    fn forget(&mut self, room: RoomId) {
        self.young.remove(&room);
        self.old.remove(&room);
    }
}

/// The task's state. It alone writes its rooms in this process: that is what keeps one batch per room in flight.
///
/// Jobs run beside the writing, at most one for each stream: two at once would only clash with one another. Messages of
/// a room whose job runs are held back until it is done, and those of all others go on.
pub(super) struct Shard {
    queue: mpsc::Receiver<Work>,
    tools: Arc<Tools>,
    heads: HeadCache,
    messages: Vec<Waiting>,
    /// Messages that wait for the job of their room; bounded like the queue, by the permits that they hold.
    held: HashMap<RoomId, Vec<Waiting>>,
    jobs: VecDeque<Job>,
    running: JoinSet<Ran>,
    /// The home stream of each job that runs.
    homes: HashMap<Id, StreamId>,
}

impl Shard {
    pub(super) fn new(queue: mpsc::Receiver<Work>, tools: Arc<Tools>) -> Self {
        let heads = HeadCache::new(tools.config.heads);
        Self {
            queue,
            tools,
            heads,
            messages: Vec::new(),
            held: HashMap::new(),
            jobs: VecDeque::new(),
            running: JoinSet::new(),
            homes: HashMap::new(),
        }
    }

    pub(super) async fn run(mut self) {
        let mut open = true;
        while open || !self.running.is_empty() {
            tokio::select! {
                work = self.queue.recv(), if open => match work {
                    Some(work) => self.take(work),
                    None => open = false,
                },
                Some(ended) = self.running.join_next_with_id() => self.ended(ended),
            }
            while self.messages.len() < self.tools.config.max_batch {
                let Ok(work) = self.queue.try_recv() else { break };
                self.take(work);
            }
            // First the messages, so that a room full of newcomers cannot hold up what is said.
            self.write().await;
            self.start_jobs();
        }
    }

    fn take(&mut self, work: Work) {
        match work {
            Work::Message(waiting) if self.is_busy(StreamId::Room(waiting.room())) => {
                self.held.entry(waiting.room()).or_default().push(*waiting);
            }
            Work::Message(waiting) => self.messages.push(*waiting),
            Work::Job(job) => self.jobs.push_back(job),
        }
    }

    /// Whether a job of this stream runs. There are few at a time.
    fn is_busy(&self, home: StreamId) -> bool {
        self.homes.values().any(|busy| *busy == home)
    }

    /// Writes what is there, and ends with every message of it answered.
    async fn write(&mut self) {
        if self.messages.is_empty() {
            return;
        }
        let max_wait = self.tools.config.max_wait;
        let (late, timely): (Vec<_>, Vec<_>) =
            self.messages.drain(..).partition(|waiting| waiting.since.elapsed() > max_wait);
        if !late.is_empty() {
            counter!("rookery_api_writer_dropped_total").increment(late.len() as u64);
            for waiting in late {
                waiting.refuse();
            }
        }
        let mut plan = Plan::new(timely);
        let deadline = Instant::now() + self.tools.config.retry_for;
        let mut pause = Duration::from_millis(1);
        while !plan.is_empty() {
            match self.attempt(&mut plan).await {
                Attempt::Went => {}
                Attempt::Clashed { visible: true } if Instant::now() < deadline => {}
                Attempt::Clashed { visible: false } if Instant::now() < deadline => {
                    sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_millis(50));
                }
                Attempt::Clashed { .. } => {
                    tracing::warn!("clashes did not end in time");
                    self.give_up(&mut plan, SendError::NotWritten);
                }
                Attempt::Failed(error, outcome) => {
                    tracing::warn!(%error, messages = plan.rows().len(), "messages could not be written");
                    self.give_up(&mut plan, outcome);
                    if matches!(error, StoreError::Unavailable(_)) {
                        self.refuse_waiting();
                    }
                }
            }
        }
    }

    /// Refuses everything that waits: the store was just found away, and each batch would find that out anew, one after
    /// the other, while its senders are promised an answer within seconds.
    fn refuse_waiting(&mut self) {
        while let Ok(work) = self.queue.try_recv() {
            self.take(work);
        }
        let mut messages = std::mem::take(&mut self.messages);
        messages.extend(self.held.drain().flat_map(|(_, held)| held));
        let jobs = std::mem::take(&mut self.jobs);
        counter!("rookery_api_writer_dropped_total").increment((messages.len() + jobs.len()) as u64);
        messages.into_iter().for_each(Waiting::refuse);
        // Whoever asked for a job learns of its end without an answer.
        drop(jobs);
    }

    /// Answers what is left, and forgets the heads of its rooms: what is in flight may still land there.
    fn give_up(&mut self, plan: &mut Plan, error: SendError) {
        for room in plan.rooms() {
            self.heads.forget(room);
        }
        plan.fail(error);
    }

    async fn attempt(&mut self, plan: &mut Plan) -> Attempt {
        let unknown = plan.rooms().into_iter().filter(|room| self.heads.get(*room).is_none()).collect();
        if let Err(error) = self.read_heads(unknown).await {
            return Attempt::Failed(error, SendError::NotWritten);
        }
        let heads = plan.number(clock::now(), |room| self.heads.get(room).unwrap_or(0));
        self.tools.publisher.announce(&heads);
        let started = Instant::now();
        let appended = self.tools.reader.store().append_messages(plan.rows()).await;
        histogram!("rookery_api_write_seconds").record(started.elapsed());
        histogram!("rookery_api_write_batch_size")
            .record(f64::from(u32::try_from(plan.rows().len()).unwrap_or(u32::MAX)));
        let Appended { committed, clashed } = match appended {
            Ok(appended) => appended,
            Err(error) => return Attempt::Failed(error, SendError::Unknown),
        };
        let (mut events, mut stored) = (Vec::with_capacity(committed), Vec::with_capacity(committed));
        for (row, senders) in plan.committed(committed) {
            self.heads.put(row.room, row.seq);
            let (event, message) = senders.settle(row, false);
            events.push(event);
            stored.push(message);
        }
        self.tools.publisher.publish(events);
        if let Some(indexer) = &self.tools.indexer {
            indexer.stored(stored);
        }
        if plan.is_empty() {
            return Attempt::Went;
        }
        if !clashed {
            let error = StoreError::Failed("an insert stopped without a clash".to_owned());
            return Attempt::Failed(error, SendError::Unknown);
        }
        self.after_clash(plan).await
    }

    /// The first row found its place or its client id taken: answers the repeats in its room, and gets the heads anew.
    /// The heads of all rooms that are left, in one command: an api that was away for a while has forgotten how far the
    /// others wrote in each of them, and would learn it clash by clash.
    async fn after_clash(&mut self, plan: &mut Plan) -> Attempt {
        counter!("rookery_api_write_clashes_total").increment(1);
        let first = plan.rows().first().map(|row| (row.room, row.seq));
        let found = match self.tools.reader.store().messages_by_client_id(&plan.first_keys()).await {
            Ok(found) => found,
            Err(error) => return Attempt::Failed(error, SendError::NotWritten),
        };
        let repeats = plan.repeats(found);
        let mut visible = !repeats.is_empty();
        counter!("rookery_api_repeated_sends_total").increment(repeats.len() as u64);
        let events: Vec<Event> = repeats.into_iter().map(|(row, senders)| senders.settle(row, true).0).collect();
        self.tools.publisher.publish(events);
        if let Some((room, tried)) = first {
            let mut rooms = plan.rooms();
            if !rooms.contains(&room) {
                rooms.push(room);
            }
            if let Err(error) = self.read_heads(rooms).await {
                return Attempt::Failed(error, SendError::NotWritten);
            }
            visible |= self.heads.get(room).is_some_and(|head| head >= tried);
            plan.defer_first(room);
        }
        Attempt::Clashed { visible }
    }

    /// Reads heads from the store.
    async fn read_heads(&mut self, rooms: Vec<RoomId>) -> Result<(), StoreError> {
        if rooms.is_empty() {
            return Ok(());
        }
        let streams: Vec<StreamId> = rooms.iter().copied().map(StreamId::Room).collect();
        let heads = self.tools.reader.store().heads(&streams).await?;
        for (room, head) in rooms.into_iter().zip(heads) {
            self.heads.put(room, head);
        }
        Ok(())
    }

    /// Starts what may run now.
    fn start_jobs(&mut self) {
        for job in std::mem::take(&mut self.jobs) {
            if job.since.elapsed() > self.tools.config.max_wait {
                counter!("rookery_api_writer_dropped_total").increment(1);
            } else if self.running.len() >= JOBS_AT_ONCE || self.is_busy(job.home) {
                self.jobs.push_back(job);
            } else {
                self.start(job);
            }
        }
    }

    fn start(&mut self, job: Job) {
        let Job { home, run, permit, .. } = job;
        let (tools, limit) = (self.tools.clone(), self.tools.config.max_wait);
        let handle = self.running.spawn(async move {
            // Whoever asked for a job that is given up learns of its end without an answer.
            let ran = timeout(limit, run(tools)).await.unwrap_or(Ran { head: None, store_away: false });
            drop(permit);
            ran
        });
        self.homes.insert(handle.id(), home);
    }

    /// A job is done: the messages of its room go on, before any that come later.
    fn ended(&mut self, ended: Result<(Id, Ran), JoinError>) {
        let (id, Ran { head, store_away }) = ended.unwrap_or_else(|error| {
            tracing::error!(%error, "a job panicked");
            (error.id(), Ran { head: None, store_away: false })
        });
        if let Some(room) = self.homes.remove(&id).and_then(StreamId::room) {
            match head {
                Some(head) if self.heads.get(room).is_some_and(|known| known >= head) => {}
                Some(head) => self.heads.put(room, head),
                None => self.heads.forget(room),
            }
            self.messages.extend(self.held.remove(&room).unwrap_or_default());
        }
        if store_away {
            self.refuse_waiting();
        }
    }
}

/// How one attempt went.
enum Attempt {
    /// Everything that was left is settled.
    Went,
    /// Something was taken. `visible`: what took it can be seen, so that trying again at once makes sense.
    Clashed { visible: bool },
    /// The store failed, and so all that is left is to be answered.
    Failed(StoreError, SendError),
}
