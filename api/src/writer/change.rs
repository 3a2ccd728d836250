//! Durable changes that are not messages: decided on a state, committed behind the heads that the state was read
//! after, and decided again when someone else was faster.

use super::{Tools, Writer, shard::Ran};
use crate::{
    problem,
    search::indexed,
    store::{Op, StoreError, rows::EntryRow},
};
use metrics::{counter, histogram};
use rookery_shared::{
    clock,
    envelope::Kind,
    ids::StreamId,
    protocol::{Code, Problem},
};
use std::{future::Future, sync::Arc, time::Duration};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep},
};
use uuid::Uuid;

/// The heads that a decision stands on, and the places after them.
#[derive(Clone, Debug)]
pub struct Heads(Vec<(StreamId, u64)>);

impl Heads {
    /// The newest place of a stream that the change named.
    pub fn head(&self, stream: StreamId) -> u64 {
        self.0.iter().find(|(other, _)| *other == stream).map_or(0, |(_, head)| *head)
    }

    /// The next entry of a stream that the change named: places are given out one after the other.
    pub fn entry(&mut self, stream: StreamId, kind: Kind, subject: Uuid, ref_seq: u64) -> EntryRow {
        let head = self.0.iter_mut().find(|(other, _)| *other == stream).map(|(_, head)| head);
        debug_assert!(head.is_some(), "a change names every stream that it writes");
        let seq = head.map_or(1, |head| {
            *head += 1;
            *head
        });
        EntryRow { stream, seq, kind, subject, ref_seq, at: clock::now(), message: None }
    }
}

/// What is to be written, all or nothing, and what to tell the caller then. Without entries and changes nothing is
/// written.
#[derive(Clone, Debug)]
pub struct Planned<T> {
    /// Entries of logs.
    pub entries: Vec<EntryRow>,
    /// The changes that go with them.
    pub ops: Vec<Op>,
    /// The caller's answer once it is committed.
    pub value: T,
}

impl<T> Planned<T> {
    /// It is that way already.
    pub fn nothing(value: T) -> Self {
        Self { entries: Vec::new(), ops: Vec::new(), value }
    }
}

impl Writer {
    /// Commits a change to `streams`, the first of which is its home. `decide` gets their heads first, then reads the
    /// state that it decides on: whatever changes in between takes a place that the decision wants, so it runs again
    /// and sees it. The log thus makes decisions one after the other, across all apis.
    ///
    /// `decide` only reads: it runs inside a shard, and would wait for itself if it asked the writer for something.
    pub async fn change<T, D, F>(&self, streams: Vec<StreamId>, mut decide: D) -> Result<T, Problem>
    where
        T: Send + 'static,
        D: FnMut(Heads) -> F + Send + 'static,
        F: Future<Output = Result<Planned<T>, Problem>> + Send + 'static,
    {
        let Some(home) = streams.first().copied() else {
            return Err(Code::Internal.into());
        };
        let (reply, answer) = oneshot::channel();
        let run = Box::new(move |tools: Arc<Tools>| {
            let future = async move {
                let Outcome { result, committed, store_away } = run(&tools, &streams, &mut decide).await;
                // Whoever asked may be gone; the change stands.
                let _ = reply.send(result);
                let head = committed.iter().rev().find(|entry| entry.stream == home).map(|entry| entry.seq);
                publish(&tools, &committed).await;
                Ran { head, store_away }
            };
            Box::pin(future) as _
        });
        self.run(home, run)?;
        // An unanswered job was dropped: it waited too long, the store is away, or its shard is gone.
        answer.await.unwrap_or_else(|_| Err(Code::Unavailable.into()))
    }
}

/// How a change ended.
struct Outcome<T> {
    result: Result<T, Problem>,
    /// What was written.
    committed: Vec<EntryRow>,
    /// Whether it ended because the store is not available.
    store_away: bool,
}

impl<T> Outcome<T> {
    fn done(value: T, committed: Vec<EntryRow>) -> Self {
        Self { result: Ok(value), committed, store_away: false }
    }

    fn refused(problem: Problem) -> Self {
        Self { result: Err(problem), committed: Vec::new(), store_away: false }
    }

    fn failed(error: StoreError) -> Self {
        let store_away = matches!(error, StoreError::Unavailable(_));
        Self { store_away, ..Self::refused(problem::store(error)) }
    }
}

/// Decides and commits until it is written, refused, or too late.
async fn run<T, D, F>(tools: &Tools, streams: &[StreamId], decide: &mut D) -> Outcome<T>
where
    D: FnMut(Heads) -> F + Send,
    F: Future<Output = Result<Planned<T>, Problem>> + Send,
{
    let store = tools.reader.store();
    let deadline = Instant::now() + tools.config.retry_for;
    let mut pause = Duration::from_millis(1);
    loop {
        let heads = match store.heads(streams).await {
            Ok(heads) => Heads(streams.iter().copied().zip(heads).collect()),
            Err(error) => return Outcome::failed(error),
        };
        let Planned { entries, mut ops, value } = match decide(heads).await {
            Ok(planned) => planned,
            Err(problem) => {
                let store_away = problem.code == Code::Unavailable;
                return Outcome { store_away, ..Outcome::refused(problem) };
            }
        };
        if entries.is_empty() && ops.is_empty() {
            return Outcome::done(value, Vec::new());
        }
        index_edits(&mut ops);
        let announced: Vec<_> = entries.iter().map(|entry| (entry.stream, entry.seq)).collect();
        tools.publisher.announce(&announced);
        let started = Instant::now();
        let committed = store.commit(&entries, &ops).await;
        histogram!("rookery_api_commit_seconds").record(started.elapsed());
        match committed {
            Ok(()) => {
                tools.reader.changed(&ops);
                return Outcome::done(value, entries);
            }
            // Someone was faster. Their change may not be visible yet, hence the pause.
            Err(StoreError::Taken(_) | StoreError::Stale(_)) if Instant::now() < deadline => {
                counter!("rookery_api_commit_clashes_total").increment(1);
                sleep(pause.mul_f64(0.5 + rand::random::<f64>())).await;
                pause = (pause * 2).min(Duration::from_millis(50));
            }
            Err(StoreError::Taken(_) | StoreError::Stale(_)) => return Outcome::refused(Code::Unavailable.into()),
            Err(error) => {
                // It may have been committed: nothing remembered about it is safe.
                tools.reader.changed(&ops);
                return Outcome::failed(error);
            }
        }
    }
}

/// Lets the words of edited messages change with them. That of a tombstone leave the index is up to the store; a message
/// that was never edited changes in what it is not searched for.
fn index_edits(ops: &mut Vec<Op>) {
    let edited = ops.iter().filter_map(|op| match op {
        Op::ReplaceMessage(row) if row.edited_at.is_some() && row.deleted_at.is_none() => Some(Op::Index(indexed(row))),
        _ => None,
    });
    let edited: Vec<Op> = edited.collect();
    ops.extend(edited);
}

/// Publishes what was committed, as it is now. What cannot be rendered is healed: its head was announced.
async fn publish(tools: &Tools, entries: &[EntryRow]) {
    if entries.is_empty() {
        return;
    }
    match tools.reader.events(entries).await {
        Ok(events) => tools.publisher.publish(events),
        Err(error) => tracing::warn!(%error, "committed entries could not be published now"),
    }
}
