//! Natural batching: what queued while the last call was under way goes out together in the next. Alone, a request
//! waits for nothing.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{runtime::Handle, sync::oneshot};

type Work<Q, A> = Box<dyn Fn(Vec<Q>) -> Pin<Box<dyn Future<Output = Vec<A>> + Send>> + Send + Sync>;

/// No bound of its own: for queues to which each connection or stream adds a request or two, so that those bound it.
pub fn bounded_by_callers<Q>() -> (usize, fn(&Q) -> usize) {
    (usize::MAX, |_| 0)
}

/// One call at a time, with everything that waits. Requests go out in the order in which they were made.
pub struct Batcher<Q, A> {
    queue: Mutex<Queue<Q, A>>,
    work: Work<Q, A>,
    io: Handle,
    /// Requests in one call at most.
    largest: usize,
    /// Bytes that may wait; more are refused.
    budget: usize,
    weigh: fn(&Q) -> usize,
}

struct Queue<Q, A> {
    waiting: VecDeque<(Q, oneshot::Sender<A>)>,
    bytes: usize,
    running: bool,
}

impl<Q: Send + 'static, A: Send + 'static> Batcher<Q, A> {
    /// A batcher that calls `work` on `io`, with so many bytes waiting at most, as `weigh` counts them. `work` gives an
    /// answer for each request, in the same order.
    pub fn new<F>(
        io: Handle,
        largest: usize,
        (budget, weigh): (usize, fn(&Q) -> usize),
        work: impl Fn(Vec<Q>) -> F + Send + Sync + 'static,
    ) -> Arc<Self>
    where
        F: Future<Output = Vec<A>> + Send + 'static,
    {
        let queue = Mutex::new(Queue { waiting: VecDeque::new(), bytes: 0, running: false });
        Arc::new(Self { queue, work: Box::new(move |batch| Box::pin(work(batch))), io, largest, budget, weigh })
    }

    /// Queues a request; the receiver gets its answer. The receiver fails when too many wait, or the call panicked.
    pub fn call(self: &Arc<Self>, request: Q) -> oneshot::Receiver<A> {
        let (answer, receiver) = oneshot::channel();
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = (self.weigh)(&request);
        if queue.bytes + bytes <= self.budget {
            queue.bytes += bytes;
            queue.waiting.push_back((request, answer));
            if !queue.running {
                queue.running = true;
                self.io.spawn(self.clone().run());
            }
        }
        receiver
    }

    async fn run(self: Arc<Self>) {
        // A panic inside `work` must not leave the queue marked as running for ever.
        struct Stop<'a, Q, A>(&'a Batcher<Q, A>);
        impl<Q, A> Drop for Stop<'_, Q, A> {
            fn drop(&mut self) {
                self.0.queue.lock().unwrap_or_else(PoisonError::into_inner).running = false;
            }
        }
        let stop = Stop(&self);
        loop {
            let batch = {
                let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
                if queue.waiting.is_empty() {
                    queue.running = false;
                    std::mem::forget(stop);
                    return;
                }
                let count = queue.waiting.len().min(self.largest);
                let batch = queue.waiting.drain(..count).collect::<Vec<_>>();
                queue.bytes -= batch.iter().map(|(request, _)| (self.weigh)(request)).sum::<usize>();
                batch
            };
            let (requests, answers): (Vec<Q>, Vec<oneshot::Sender<A>>) = batch.into_iter().unzip();
            for (answer, result) in answers.into_iter().zip((self.work)(requests).await) {
                // Who asked may have gone; nobody else wants the answer.
                let _ = answer.send(result);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn what_queues_during_a_call_goes_out_together() {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let batcher = Batcher::new(Handle::current(), 1000, (1000, |_| 1), move |batch: Vec<u32>| {
            counted.fetch_add(1, Ordering::SeqCst);
            async move { batch.into_iter().map(|n| n * 2).collect() }
        });
        // The runtime has one thread, so that the first call begins when this task first waits.
        let answers: Vec<_> = (0..100).map(|n| batcher.call(n)).collect();
        for (n, answer) in (0..100).zip(answers) {
            assert_eq!(answer.await.expect("answered"), n * 2);
        }
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn more_than_may_wait_is_refused() {
        let batcher = Batcher::new(Handle::current(), 10, (2, |_| 1), |batch: Vec<u32>| async move { batch });
        let answers: Vec<_> = (0..3).map(|n| batcher.call(n)).collect();
        let mut passed = 0;
        for answer in answers {
            passed += usize::from(answer.await.is_ok());
        }
        assert_eq!(passed, 2);
    }
}
