//! The one thread that writes, with group commit.
//!
//! A commit costs a flush of the disk, whatever is in it. So everything that queued while the last one was under way
//! goes into the next transaction, each job in a savepoint of its own; alone, a job waits for nothing. Answers are
//! sent only when the transaction is on disk.

use crate::store::StoreError;
use rusqlite::{Connection, TransactionBehavior};
use std::{sync::Arc, thread::JoinHandle};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

/// Jobs that may wait; a caller beyond waits for its turn to queue.
const QUEUED_JOBS: usize = 512;

/// What the waiting jobs may hold together, in KiB.
const QUEUED_KIB: u32 = 32 * 1024;

/// Jobs in one transaction, so that the first of them does not wait without bound for the others.
const GROUP: usize = 256;

/// The handle of the thread. Dropping it lets the thread finish what is queued and waits for that, so that the file is
/// closed when the store is gone.
pub(super) struct Writer {
    jobs: Option<mpsc::Sender<Queued>>,
    space: Arc<Semaphore>,
    thread: Option<JoinHandle<()>>,
}

struct Queued {
    job: Box<dyn Job>,
    _space: OwnedSemaphorePermit,
}

/// A job, without the type of its answer.
trait Job: Send {
    /// Does the work inside a savepoint; says whether to keep what it did.
    fn run(&mut self, db: &Connection) -> bool;

    /// Sends the answer; with the reason if the transaction around it failed.
    fn answer(self: Box<Self>, failed: Option<&str>);
}

struct Write<F, T> {
    work: Option<F>,
    result: Option<Result<T, StoreError>>,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

impl<F, T> Job for Write<F, T>
where
    F: FnOnce(&Connection) -> Result<T, StoreError> + Send,
    T: Send,
{
    fn run(&mut self, db: &Connection) -> bool {
        self.result = self.work.take().map(|work| work(db));
        matches!(self.result, Some(Ok(_)))
    }

    fn answer(self: Box<Self>, failed: Option<&str>) {
        // A job that was refused by its own work wrote nothing, whatever became of the transaction; but what it saw
        // may have been another job's work, so that it shares the fate of all.
        let result = match (failed, self.result) {
            (None, Some(result)) => result,
            (reason, _) => Err(StoreError::Unavailable(reason.unwrap_or("the job did not run").to_owned())),
        };
        // Who asked may have gone; the write stands all the same.
        let _ = self.answer.send(result);
    }
}

impl Writer {
    /// Gives the connection to a thread of its own.
    pub(super) fn start(db: Connection) -> Result<Self, StoreError> {
        let (jobs, queue) = mpsc::channel(QUEUED_JOBS);
        let thread = std::thread::Builder::new()
            .name("sqlite-writer".into())
            .spawn(move || work_off(db, queue))
            .map_err(|error| StoreError::Failed(error.to_string()))?;
        let space = Arc::new(Semaphore::new(QUEUED_KIB as usize));
        Ok(Self { jobs: Some(jobs), space, thread: Some(thread) })
    }

    /// Queues work that holds about so many bytes, and waits until it is on disk.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let closed = || StoreError::Unavailable("the thread that writes is gone".into());
        let kib = u32::try_from(bytes / 1024 + 1).unwrap_or(QUEUED_KIB).min(QUEUED_KIB);
        let space = Arc::clone(&self.space).acquire_many_owned(kib).await.map_err(|_| closed())?;
        let (answer, result) = oneshot::channel();
        let job = Box::new(Write { work: Some(work), result: None, answer });
        let jobs = self.jobs.as_ref().ok_or_else(closed)?;
        jobs.send(Queued { job, _space: space }).await.map_err(|_| closed())?;
        result.await.map_err(|_| closed())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes to the store panicked");
        }
    }
}

fn work_off(mut db: Connection, mut queue: mpsc::Receiver<Queued>) {
    let mut group = Vec::with_capacity(GROUP);
    while queue.blocking_recv_many(&mut group, GROUP) > 0 {
        let failed = commit(&mut db, &mut group).err().map(|error| error.to_string());
        for queued in group.drain(..) {
            queued.job.answer(failed.as_deref());
        }
    }
}

fn commit(db: &mut Connection, group: &mut [Queued]) -> rusqlite::Result<()> {
    let mut transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for queued in group {
        // Some failures (a full disk) end the whole transaction; then opening, releasing or rolling back a savepoint
        // fails as well, and nobody is told that anything was kept.
        let mut savepoint = transaction.savepoint()?;
        if queued.job.run(&savepoint) {
            savepoint.commit()?;
        } else {
            savepoint.rollback()?;
            savepoint.commit()?;
        }
    }
    transaction.commit()
}
