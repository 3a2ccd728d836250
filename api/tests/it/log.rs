//! The log under several writers at once: whatever they do, it is dense at every moment that anyone looks.
//!
//! Each writer stands for one api, with a head cache of its own and, on MongoDB, a client of its own. What the test
//! asks for is random; how the writers get into each other's way is up to the machine.

use crate::store::fixture::{self, Fixture, member, room, user};
use futures_util::future::{join, join_all};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use rookery_api::{
    store::{Op, SharedStore, Stretch, rows::EntryRow},
    writer::{NewMessage, Planned, Writer, WriterConfig},
};
use rookery_shared::{
    bus::MemoryBus,
    envelope::Kind,
    ids::{RoomId, StreamId, UserId},
    model::Author,
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::runtime::Runtime;

/// Apis that write at the same time.
const WRITERS: usize = 3;

/// What a sender does next, when the one before is answered. Numbers of messages are client ids.
#[derive(Clone, Debug)]
enum Step {
    /// Sends so many new messages through one writer.
    Send(usize, usize),
    /// Sends them through two writers at once, as a client does whose gateway died without an answer.
    SendTwice([usize; 2], usize),
    /// Sends so many of its newest messages again, and a new one.
    Repeat(usize, usize),
    /// Makes someone a member, in one transaction with an entry here and one in that user's stream.
    Change(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let writer = 0..WRITERS;
    let step = prop_oneof![
        4 => (writer.clone(), 1_usize..12).prop_map(|(writer, count)| Step::Send(writer, count)),
        1 => ([writer.clone(), writer.clone()], 1_usize..6).prop_map(|(writers, count)| Step::SendTwice(writers, count)),
        2 => (writer.clone(), 1_usize..6).prop_map(|(writer, count)| Step::Repeat(writer, count)),
        2 => writer.prop_map(Step::Change),
    ];
    proptest::collection::vec(step, 1..8)
}

/// One of those who send to the room at the same time.
struct Sender {
    author: Arc<Author>,
    room: RoomId,
    writers: Vec<Writer>,
    /// The places that were acknowledged, by the number of the message.
    acknowledged: BTreeMap<usize, u64>,
    added: Vec<UserId>,
}

impl Sender {
    async fn run(mut self, steps: Vec<Step>) -> Self {
        for step in steps {
            let next = self.acknowledged.len();
            match step {
                Step::Send(writer, count) => {
                    let answers = self.send(writer, next..next + count).await;
                    self.note(answers);
                }
                Step::SendTwice([one, other], count) => {
                    let numbers = next..next + count;
                    let (first, second) = join(self.send(one, numbers.clone()), self.send(other, numbers)).await;
                    assert_eq!(first, second, "both got the same answers");
                    self.note(first);
                }
                Step::Repeat(writer, count) => {
                    let answers = self.send(writer, next.saturating_sub(count)..next + 1).await;
                    self.note(answers);
                }
                Step::Change(writer) => self.change(writer).await,
            }
        }
        self
    }

    async fn send(&self, writer: usize, numbers: std::ops::Range<usize>) -> Vec<(usize, u64)> {
        let message = |number| NewMessage::text(self.room, self.author.clone(), format!("{number}"), content(number));
        let answers = self.writers[writer].send(numbers.clone().map(message).collect()).await;
        numbers.zip(answers.into_iter().map(|answer| answer.expect("stored").row.seq)).collect()
    }

    /// A repeat gets the first acknowledgement again.
    fn note(&mut self, answers: Vec<(usize, u64)>) {
        for (number, seq) in answers {
            assert_eq!(*self.acknowledged.entry(number).or_insert(seq), seq, "message {number} moved");
        }
    }

    async fn change(&mut self, writer: usize) {
        let (place, someone) = (self.room, UserId::new());
        let (log, own) = (StreamId::Room(place), StreamId::User(someone));
        let decide = move |mut heads: rookery_api::writer::Heads| async move {
            let joined = heads.entry(log, Kind::UserJoined, someone.0, 0);
            let added = heads.entry(own, Kind::RoomAdded, place.0, joined.seq);
            let ops = vec![Op::InsertMember(member(place, someone))];
            Ok(Planned { entries: vec![joined, added], ops, value: () })
        };
        self.writers[writer].change(vec![log, own], decide).await.expect("committed");
        self.added.push(someone);
    }
}

fn content(number: usize) -> String {
    format!("number {number}")
}

/// Looks at the log until told to stop: it is dense, and never shorter than it was.
async fn watch(store: &SharedStore, log: StreamId, done: &AtomicBool) {
    let mut seen = 0;
    loop {
        let last = done.load(Ordering::Acquire);
        let head = store.heads(&[log]).await.expect("read")[0];
        let whole = store.entries(log, Stretch::After(0), 5000, false).await.expect("read");
        let newest = store.entries(log, Stretch::Newest, 20, false).await.expect("read");
        assert_dense(&whole, 1);
        assert_dense(&newest, newest.first().map_or(1, |entry| entry.seq));
        let length = whole.len() as u64;
        assert!(seen <= head && head <= length, "the log shrank from {seen} or {head} to {length}");
        assert!(newest.last().map_or(0, |entry| entry.seq) >= length);
        seen = length;
        if last {
            return;
        }
    }
}

fn assert_dense(entries: &[EntryRow], from: u64) {
    let seqs: Vec<_> = entries.iter().map(|entry| entry.seq).collect();
    assert_eq!(seqs, (from..from + entries.len() as u64).collect::<Vec<_>>(), "the log has a hole");
}

async fn run(fixture: &Fixture, stores: &[SharedStore], plans: Vec<Vec<Step>>) {
    let place = room("r");
    fixture.with_room(&place, &[]).await;
    let log = StreamId::Room(place.id);
    // Long enough for a busy machine: no clash may end in an error.
    let patience = Duration::from_mins(1);
    let config = WriterConfig { shards: 2, max_wait: patience, retry_for: patience, ..WriterConfig::default() };
    let bus = MemoryBus::new();
    let writers: Vec<_> =
        stores.iter().map(|store| Writer::start(store.clone(), bus.publisher(), config.clone())).collect();
    let senders = plans.into_iter().enumerate().map(|(number, steps)| {
        let user = user(&format!("sender {number}"));
        let author = Author { user_id: user.id, username: Some(user.username), display_name: user.display_name };
        let sender = Sender {
            author: Arc::new(author),
            room: place.id,
            writers: writers.clone(),
            acknowledged: BTreeMap::new(),
            added: Vec::new(),
        };
        tokio::spawn(sender.run(steps))
    });
    let done = AtomicBool::new(false);
    let work = async {
        let senders = join_all(senders.collect::<Vec<_>>()).await;
        done.store(true, Ordering::Release);
        senders
    };
    let (senders, ()) = join(work, watch(&fixture.store, log, &done)).await;
    let senders: Vec<_> = senders.into_iter().map(|sender| sender.expect("a sender that ended")).collect();
    assert_settled(&fixture.store, place.id, &senders).await;
}

/// Everything acknowledged is there where it was acknowledged, nothing else, and each sender's messages in order.
async fn assert_settled(store: &SharedStore, place: RoomId, senders: &[Sender]) {
    let entries = store.entries(StreamId::Room(place), Stretch::After(0), 5000, false).await.expect("read");
    assert_dense(&entries, 1);
    let mut of_sender: HashMap<UserId, Vec<(usize, u64)>> = HashMap::new();
    for message in entries.iter().filter_map(|entry| entry.message.as_ref()) {
        let number = message.client_id.parse().expect("a number");
        assert_eq!(message.content, content(number));
        of_sender.entry(message.sender).or_default().push((number, message.seq));
    }
    let mut others = 0;
    for sender in senders {
        let acknowledged: Vec<_> = sender.acknowledged.iter().map(|(number, seq)| (*number, *seq)).collect();
        // The log is ascending, so that equality says: no client id twice, and in the order sent.
        assert_eq!(of_sender.remove(&sender.author.user_id).unwrap_or_default(), acknowledged);
        for someone in &sender.added {
            let own = store.entries(StreamId::User(*someone), Stretch::After(0), 9, false).await.expect("read");
            let [added] = own.as_slice() else { panic!("one entry, not {own:?}") };
            let joined = &entries[usize::try_from(added.ref_seq).expect("a place") - 1];
            assert_eq!((joined.kind, joined.subject), (Kind::UserJoined, someone.0));
        }
        others += sender.added.len();
    }
    assert!(of_sender.is_empty());
    assert_eq!(entries.iter().filter(|entry| entry.message.is_none()).count(), others);
    let found = store.rooms(&[place]).await.expect("read");
    assert_eq!(found[0].as_ref().map(|(_, count)| *count), Some(others as u64));
}

fn check(fixture: impl Future<Output = Fixture>) {
    let runtime = Runtime::new().expect("a runtime");
    let (fixture, stores) = runtime.block_on(async {
        let fixture = fixture.await;
        let mut stores = Vec::new();
        for _ in 0..WRITERS {
            stores.push(fixture.for_another_api().await);
        }
        (fixture, stores)
    });
    // Shrinking what depends on timing finds little.
    let config = Config { cases: 12, max_shrink_iters: 8, failure_persistence: None, ..Config::default() };
    let plans = proptest::collection::vec(steps(), 1..5);
    let outcome = TestRunner::new(config).run(&plans, |plans| {
        runtime.block_on(run(&fixture, &stores, plans));
        Ok(())
    });
    drop(stores);
    drop(fixture);
    outcome.expect("the log is a log");
}

#[test]
fn several_writers_make_one_dense_log_in_sqlite() {
    check(fixture::sqlite());
}

#[test]
fn several_writers_make_one_dense_log_in_mongodb() {
    check(fixture::mongo());
}
