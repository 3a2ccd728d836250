//! The node's I/O side: everything that waits for somebody else. Cores hand work over and get a future back; nothing
//! here touches a socket of a client.

pub mod batch;
pub mod interest;
pub mod presence;

use crate::{config::GatewayConfig, hub::inbox::Mail};
use batch::{Batcher, bounded_by_callers};
use futures_util::{FutureExt as _, future::BoxFuture, future::Shared};
use interest::Interest;
use rookery_shared::{
    backend::{Backend, EntriesAfter, Send, Target},
    bus::SharedBus,
    clock::{self, Time},
    envelope::Event,
    ids::{Incarnation, StreamId, fnv1a},
    presence::SharedPresence,
    protocol::{Code, Problem, command::MessageSent},
    token::{Claims, TokenError, TokenVerifier, may_be_foreign},
};
use std::{
    collections::{HashMap, HashSet},
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    runtime::Handle,
    sync::oneshot,
    task::JoinHandle,
    time::{sleep, timeout},
};

/// Ways for sends, side by side. A room always takes the same one, and each has one call under way, so that at most
/// one batch of a room is in flight from this node.
const LANES: usize = 32;

/// Messages in one call at most.
const LARGEST_SEND: usize = 500;

/// Streams in one question for heads at most.
pub const LARGEST_HEADS: usize = 1_000;

/// How long a subscription may take before the caller goes on without: the bus heals what it then misses.
const SUBSCRIBE_PATIENCE: Duration = Duration::from_secs(2);

type Lane = Arc<Batcher<Send, Result<MessageSent, Problem>>>;

type Heads = Arc<Batcher<Vec<StreamId>, Result<Vec<u64>, Problem>>>;

type Fetch = Shared<BoxFuture<'static, Result<Arc<Vec<Event>>, Problem>>>;

/// Whether a core begins or ends to follow streams.
enum Change {
    Follow { core: usize, streams: Vec<StreamId> },
    Leave { core: usize, streams: Vec<StreamId> },
}

/// What the cores of a node share.
pub struct Node {
    /// Settings.
    pub config: GatewayConfig,
    /// This life of this process.
    pub incarnation: Incarnation,
    /// Checks tokens.
    pub verifier: TokenVerifier,
    /// The way to the api.
    pub backend: Arc<dyn Backend>,
    /// Between nodes.
    pub bus: SharedBus,
    /// Who is there.
    pub presence: SharedPresence,
    /// Tells presence what connects and disconnects.
    pub devices: presence::Devices,
    /// Which core follows what.
    pub interest: Arc<Interest>,
    /// Where the node's I/O runs.
    pub io: Handle,
    /// Open connections.
    pub connections: AtomicUsize,
    /// When it began.
    pub started_at: Time,
    /// Whether new connections are refused.
    pub draining: AtomicBool,
    changes: Arc<Batcher<Change, ()>>,
    lanes: Vec<Lane>,
    heads: Heads,
    fetches: Arc<Mutex<HashMap<EntriesAfter, Fetch>>>,
}

/// What a node is made of.
pub struct Parts {
    /// Settings.
    pub config: GatewayConfig,
    /// Checks tokens.
    pub verifier: TokenVerifier,
    /// The way to the api.
    pub backend: Arc<dyn Backend>,
    /// Between nodes; its sink is `interest`.
    pub bus: SharedBus,
    /// Who is there.
    pub presence: SharedPresence,
    /// The sink of the bus.
    pub interest: Arc<Interest>,
}

impl Node {
    /// A node whose I/O runs on `io`.
    pub fn new(parts: Parts, io: Handle) -> Arc<Self> {
        let Parts { config, verifier, backend, bus, presence, interest } = parts;
        let incarnation = interest.incarnation;
        let (bus2, interest2) = (bus.clone(), interest.clone());
        let changes = Batcher::new(io.clone(), 10_000, bounded_by_callers(), move |batch| {
            let (bus, interest) = (bus2.clone(), interest2.clone());
            async move { apply(&*bus, &interest, batch).await }
        });
        let lanes = (0..LANES).map(|_| {
            let backend = backend.clone();
            Batcher::new(io.clone(), LARGEST_SEND, (config.lane_bytes, weigh_send), move |batch| {
                send(backend.clone(), batch)
            })
        });
        let lanes = lanes.collect();
        let backend2 = backend.clone();
        let heads = Batcher::new(io.clone(), 64, bounded_by_callers(), move |batch| ask_heads(backend2.clone(), batch));
        let devices = presence::Devices::new(&io, presence.clone(), incarnation, config.max_connections);
        Arc::new(Self {
            config,
            incarnation,
            verifier,
            backend,
            bus,
            presence,
            devices,
            interest,
            io,
            connections: AtomicUsize::new(0),
            started_at: clock::now(),
            draining: AtomicBool::new(false),
            changes,
            lanes,
            heads,
            fetches: Arc::default(),
        })
    }

    /// Runs something on the I/O side; a core may wait for it.
    pub fn run<T: std::marker::Send + 'static>(
        &self,
        work: impl Future<Output = T> + std::marker::Send + 'static,
    ) -> JoinHandle<T> {
        self.io.spawn(work)
    }

    /// What a token says, whoever signed it: what is not ours may be a foreign identity provider's, whom the api knows.
    pub async fn claims_of(&self, token: String) -> Result<Claims, TokenError> {
        match self.verifier.verify(&token) {
            Err(TokenError::Invalid) if may_be_foreign(&token) => {
                self.backend.exchange(token).await.unwrap_or(Err(TokenError::Unavailable))
            }
            known => known,
        }
    }

    /// A core follows streams from now on; the receiver is told when the subscription stands. In order with
    /// [`leave`](Self::leave).
    pub fn follow(&self, core: usize, streams: Vec<StreamId>) -> oneshot::Receiver<()> {
        self.changes.call(Change::Follow { core, streams })
    }

    /// A core follows streams no longer.
    pub fn leave(&self, core: usize, streams: Vec<StreamId>) {
        drop(self.changes.call(Change::Leave { core, streams }));
    }

    /// Sends a message. Sends to one room go out in the order of these calls.
    pub fn send(&self, send: Send) -> oneshot::Receiver<Result<MessageSent, Problem>> {
        let hash = match send.target {
            Target::Room(room) => fnv1a(room.0.as_bytes()),
            // Either of the two gets the same lane, whoever writes.
            Target::User(user) => fnv1a(user.0.as_bytes()) ^ fnv1a(send.sender.0.as_bytes()),
        };
        #[expect(clippy::cast_possible_truncation, reason = "any bits of the hash do")]
        let lane = hash as usize % LANES;
        self.lanes[lane].call(send)
    }

    /// The majority-committed heads, in the order asked.
    pub fn heads(&self, streams: Vec<StreamId>) -> oneshot::Receiver<Result<Vec<u64>, Problem>> {
        self.heads.call(streams)
    }

    /// What came after a place. All who ask for the same at the same time share one call.
    pub fn entries(&self, request: EntriesAfter) -> Fetch {
        let mut fetches = self.fetches.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fetch) = fetches.get(&request) {
            return fetch.clone();
        }
        metrics::counter!("rookery_gap_fetches_total").increment(1);
        let (backend, all) = (self.backend.clone(), self.fetches.clone());
        let call = self.io.spawn(async move {
            let result = backend.entries(request).await.map(Arc::new);
            all.lock().unwrap_or_else(PoisonError::into_inner).remove(&request);
            result
        });
        let fetch = call.map(|joined| joined.unwrap_or_else(|_| Err(Code::Internal.into()))).boxed().shared();
        fetches.insert(request, fetch.clone());
        fetch
    }

    /// Watches the generation of what is announced, until the process ends: when it changes, every core asks the
    /// store for the heads of what it follows. So does the first one that is read: while there was none to be had,
    /// any number of them may have passed.
    pub async fn watch_generation(self: Arc<Self>) {
        let mut known: Option<String> = None;
        loop {
            if let Ok(generation) = self.bus.generation().await
                && known.as_ref() != Some(&generation)
            {
                if known.replace(generation).is_some() {
                    metrics::counter!("rookery_generation_changes_total").increment(1);
                }
                self.interest.inboxes().iter().for_each(|inbox| inbox.mail(Mail::Lost(None)));
            }
            sleep(self.config.sweep_period).await;
        }
    }

    /// Refuses new connections and tells the clients to come again elsewhere.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
        let spread = u64::try_from(self.config.drain_spread.as_millis()).unwrap_or(u64::MAX);
        self.interest.inboxes().iter().for_each(|inbox| inbox.mail(Mail::Drain(spread)));
    }

    /// Drains when it is ordered to, until the process ends. Goes on without clients then, until it is stopped.
    pub async fn obey(self: Arc<Self>) {
        self.interest.listen(&*self.bus).await;
        loop {
            self.interest.drain_ordered.notified().await;
            if !self.draining.load(Ordering::SeqCst) {
                tracing::info!("this node was ordered to drain");
                self.drain();
                self.report().await;
            }
        }
    }

    /// [`drain`](Self::drain), and waits until the clients have gone, or should have.
    pub async fn drain_and_wait(&self) {
        self.drain();
        let patience = self.config.drain_spread + Duration::from_secs(5);
        let gone = async {
            while self.connections.load(Ordering::Relaxed) > 0 {
                sleep(Duration::from_millis(50)).await;
            }
        };
        if timeout(patience, gone).await.is_err() {
            tracing::warn!("some clients did not go by themselves");
        }
    }
}

/// Brings the bus's subscriptions to what the cores follow after these changes.
async fn apply(bus: &dyn rookery_shared::bus::Bus, interest: &Interest, batch: Vec<Change>) -> Vec<()> {
    let count = batch.len();
    let (mut wanted, mut unwanted) = (HashSet::new(), HashSet::new());
    for change in batch {
        match change {
            Change::Follow { core, streams } => {
                for stream in interest.add(core, &streams) {
                    if !unwanted.remove(&stream) {
                        wanted.insert(stream);
                    }
                }
            }
            Change::Leave { core, streams } => {
                for stream in interest.remove(core, &streams) {
                    if !wanted.remove(&stream) {
                        unwanted.insert(stream);
                    }
                }
            }
        }
    }
    if !unwanted.is_empty() {
        bus.unsubscribe(&unwanted.into_iter().collect::<Vec<_>>());
    }
    if !wanted.is_empty() {
        let wanted: Vec<StreamId> = wanted.into_iter().collect();
        // A bus that is down remembers what is wanted, subscribes when it is back and reports everything as lost; who
        // signs in meanwhile is healed by that. Sends need no bus, so nobody is turned away.
        match timeout(SUBSCRIBE_PATIENCE, bus.subscribe(&wanted)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "subscribing has to wait for the bus"),
            Err(_) => tracing::warn!("subscribing takes longer than it should"),
        }
    }
    vec![(); count]
}

/// What a send takes in memory while it waits.
fn weigh_send(send: &Send) -> usize {
    let draft = &send.draft;
    let attachment = draft.attachment.as_ref().map_or(0, |a| a.url.len() + a.name.len() + a.mime.len());
    std::mem::size_of::<Send>() + draft.content.len() + draft.client_id.as_ref().map_or(0, String::len) + attachment
}

/// One call for everything that queued on a lane.
async fn send(backend: Arc<dyn Backend>, batch: Vec<Send>) -> Vec<Result<MessageSent, Problem>> {
    let count = batch.len();
    #[expect(clippy::cast_precision_loss, reason = "batches are small")]
    metrics::histogram!("rookery_send_batch_size").record(count as f64);
    match backend.send(batch).await {
        Ok(results) if results.len() == count => results,
        Ok(_) => vec![Err(Code::Internal.into()); count],
        Err(problem) => vec![Err(problem); count],
    }
}

/// One call for everybody's heads.
async fn ask_heads(backend: Arc<dyn Backend>, batch: Vec<Vec<StreamId>>) -> Vec<Result<Vec<u64>, Problem>> {
    let wanted: HashSet<StreamId> = batch.iter().flatten().copied().collect();
    let wanted: Vec<StreamId> = wanted.into_iter().collect();
    let mut heads = HashMap::with_capacity(wanted.len());
    for streams in wanted.chunks(LARGEST_HEADS) {
        match backend.heads(streams.to_vec()).await {
            Ok(found) => heads.extend(streams.iter().copied().zip(found)),
            Err(problem) => return vec![Err(problem); batch.len()],
        }
    }
    let answer =
        |streams: Vec<StreamId>| streams.iter().map(|stream| heads.get(stream).copied()).collect::<Option<_>>();
    batch.into_iter().map(|streams| answer(streams).ok_or_else(|| Code::Internal.into())).collect()
}
