//! What all connections of a bus share: who wants what, which master has it, and what has to be healed.

use super::{
    interest::Interest,
    link::{self, Backoff, Link, answer},
};
use crate::{
    bus::{BusError, BusSink},
    ids::StreamId,
    keys::Keys,
    redis_link::{
        config::{Endpoints, RedisMode},
        dial::{Topology, topology},
        outbox::{Acknowledged, Dialect, Outbox},
    },
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// Streams in one SUBSCRIBE; more would keep a server from others for long.
const STREAMS_PER_COMMAND: usize = 512;

/// Shortest time between two looks at the slots, and between two renewals of the generation.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// Pause after a renewal of the generation that did not succeed.
const REFUSED_PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Core {
    pub(super) endpoints: Endpoints,
    pub(super) dialect: Dialect,
    pub(super) patience: Duration,
    pub(super) sink: Option<Arc<dyn BusSink>>,
    pub(super) stop: CancellationToken,
    /// Somebody saw that the slots are not where we believe them to be.
    pub(super) refresh: Notify,
    // Commands about subscriptions are queued under this lock, so that they reach Redis in the order of the wishes.
    interest: Mutex<Interest>,
    routes: RwLock<Arc<Routes>>,
    /// Something durable did not get through; the generation has to be renewed.
    dirty: AtomicBool,
    heal: Notify,
    attempts: watch::Sender<u64>,
}

/// Which link carries what.
#[derive(Default)]
pub(super) struct Routes {
    topology: Topology,
    pub(super) links: Vec<Arc<Link>>,
}

impl Routes {
    /// The link of a stream; `None` while nobody serves its slot.
    pub(super) fn of(&self, stream: StreamId) -> Option<&Arc<Link>> {
        match self.links.as_slice() {
            [only] if only.address.is_none() => Some(only),
            _ => self.at(self.topology.by_tag.get(usize::from(Keys::tag(stream)))?.as_ref()?),
        }
    }

    /// The link of the generation.
    pub(super) fn of_generation(&self) -> Option<&Arc<Link>> {
        match self.links.as_slice() {
            [only] if only.address.is_none() => Some(only),
            _ => self.at(self.topology.generation.as_ref()?),
        }
    }

    fn at(&self, address: &Arc<str>) -> Option<&Arc<Link>> {
        self.links.iter().find(|link| link.address.as_ref() == Some(address))
    }
}

/// Subscriptions that were asked for: the wishes, and where the acknowledgement comes from.
pub(super) struct Asked {
    wishes: Vec<(StreamId, u64)>,
    acknowledged: Result<(u64, Acknowledged), BusError>,
}

impl Core {
    pub(super) fn new(
        endpoints: Endpoints,
        dialect: Dialect,
        patience: Duration,
        sink: Option<Arc<dyn BusSink>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            endpoints,
            dialect,
            patience,
            sink,
            stop: CancellationToken::new(),
            refresh: Notify::new(),
            interest: Mutex::default(),
            routes: RwLock::default(),
            dirty: AtomicBool::new(false),
            heal: Notify::new(),
            attempts: watch::Sender::new(0),
        })
    }

    pub(super) fn interest(&self) -> MutexGuard<'_, Interest> {
        self.interest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn routes(&self) -> Arc<Routes> {
        Arc::clone(&self.routes.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Begins to connect, and waits until every master was reached or found unreachable, or for one patience.
    pub(super) async fn start(self: &Arc<Self>) {
        if self.dialect.sharded {
            if let Err(error) = self.look().await {
                tracing::warn!(%error, "the slots of the Redis Cluster are not known");
                self.refresh.notify_one();
            }
            tokio::spawn(Arc::clone(self).keep_routes());
        } else {
            self.route(Topology::default(), vec![None]);
        }
        tokio::spawn(Arc::clone(self).keep_generation());
        let expected = self.routes().links.len() as u64;
        let mut attempts = self.attempts.subscribe();
        // Not connected yet is no error: the links go on trying.
        let _ = tokio::time::timeout(self.patience, attempts.wait_for(|count| *count >= expected)).await;
    }

    /// A link was connected, or failed to be.
    pub(super) fn attempted(&self) {
        self.attempts.send_modify(|count| *count += 1);
        self.heal.notify_one();
    }

    /// Something durable did not get through.
    pub(super) fn lost_something(&self) {
        self.dirty.store(true, Ordering::Release);
        self.heal.notify_one();
    }

    /// A server says that it is not the one to ask.
    pub(super) fn moved(&self, link: &Link) {
        if self.endpoints.mode == RedisMode::Sentinel {
            // READONLY: our master is a replica by now. Reconnecting asks the Sentinels.
            link.outbox.tell(&[b"QUIT"]);
        }
        self.refresh.notify_one();
    }

    /// Asks for subscriptions. Gives what to wait for.
    pub(super) fn ask(&self, routes: &Routes, interest: &Interest, wishes: Vec<(StreamId, u64)>) -> Vec<Asked> {
        let mut groups: BTreeMap<Option<u16>, Vec<(StreamId, u64)>> = BTreeMap::new();
        for wish in wishes {
            let connection = routes.of(wish.0).map_or(0, |link| link.outbox.connection());
            if !interest.stands(wish.0, connection) {
                groups.entry(self.dialect.sharded.then(|| Keys::tag(wish.0))).or_default().push(wish);
            }
        }
        let ask = |wishes: &[(StreamId, u64)]| {
            let streams: Vec<StreamId> = wishes.iter().map(|(stream, _)| *stream).collect();
            let link = streams.first().and_then(|stream| routes.of(*stream));
            let acknowledged = link.ok_or(BusError::Down).and_then(|link| link.outbox.subscribe(&streams));
            Asked { wishes: wishes.to_vec(), acknowledged }
        };
        groups.values().flat_map(|group| group.chunks(STREAMS_PER_COMMAND)).map(ask).collect()
    }

    /// Waits for all acknowledgements; the first error counts, after all have come. Then the sink is told which of the
    /// streams may have missed something: those that stood before on another connection, or, if nobody waits for
    /// these subscriptions but the sink, all that were acknowledged.
    pub(super) async fn acknowledged(&self, asked: Vec<Asked>, tell_all: bool) -> Result<(), BusError> {
        let mut result = Ok(());
        let mut missed = Vec::new();
        for Asked { wishes, acknowledged } in asked {
            let outcome = match acknowledged {
                Ok((connection, receiver)) => match receiver.await {
                    Ok(Ok(())) => {
                        let mut interest = self.interest();
                        for (stream, number) in wishes {
                            let regained = interest.acknowledged(stream, number, connection);
                            missed.extend((regained || tell_all).then_some(stream));
                        }
                        Ok(())
                    }
                    Ok(Err(text)) => Err(BusError::Refused(text)),
                    Err(_) => Err(BusError::Down),
                },
                Err(error) => Err(error),
            };
            result = result.and(outcome);
        }
        if result.is_err() {
            self.refresh.notify_one();
        }
        if let Some(sink) = self.sink.as_ref().filter(|_| !missed.is_empty()) {
            let everything = tell_all && !self.dialect.sharded && result.is_ok();
            sink.lost((!everything).then_some(missed));
        }
        result
    }

    /// Subscribes on a link whatever should stand there and does not, and says that it may have missed something.
    pub(super) async fn settle(&self, link: &Arc<Link>) -> Result<(), BusError> {
        let connection = link.outbox.connection();
        if connection == 0 {
            return Ok(());
        }
        let asked = {
            let routes = self.routes();
            let here = |stream| routes.of(stream).is_some_and(|other| Arc::ptr_eq(other, link));
            let interest = self.interest();
            let wishes = interest.missing(here, connection);
            self.ask(&routes, &interest, wishes)
        };
        let result = self.acknowledged(asked, true).await;
        // In a cluster a refused subscription means that the slots moved again; the others stand.
        if self.dialect.sharded { Ok(()) } else { result }
    }

    /// Looks where the slots are, and sees to it that everything stands where it should.
    async fn look(self: &Arc<Self>) -> Result<(), crate::redis_link::dial::DialError> {
        let known = self.routes().topology.masters.iter().map(ToString::to_string).collect::<Vec<_>>();
        let nodes: Vec<String> = known.into_iter().chain(self.endpoints.addresses.iter().cloned()).collect();
        let found = topology(&nodes, &self.endpoints.login, &self.dialect.keys, self.patience).await?;
        let addresses = found.masters.iter().cloned().map(Some).collect();
        self.route(found, addresses);
        for link in &self.routes().links {
            // Links that are not connected settle when they are.
            let _ = self.settle(link).await;
        }
        Ok(())
    }

    /// Puts new routes in place: links that stay are kept, new ones started, others stopped.
    fn route(self: &Arc<Self>, topology: Topology, addresses: Vec<Option<Arc<str>>>) {
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        let mut links = Vec::new();
        for address in addresses {
            let known = routes.links.iter().find(|link| link.address == address);
            links.push(known.cloned().unwrap_or_else(|| {
                let link = Link::new(address, Outbox::new(self.dialect.clone()), self.stop.child_token());
                tokio::spawn(link::run(Arc::clone(self), Arc::clone(&link)));
                link
            }));
        }
        for link in &routes.links {
            if !links.iter().any(|other| Arc::ptr_eq(link, other)) {
                link.stop.cancel();
            }
        }
        *routes = Arc::new(Routes { topology, links });
    }

    /// Follows the slots of a cluster, whenever something says that they moved.
    async fn keep_routes(self: Arc<Self>) {
        let mut backoff = Backoff::new();
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.refresh.notified() => {}
            }
            let pause = match self.look().await {
                Ok(()) => {
                    backoff = Backoff::new();
                    SHORTEST_PAUSE
                }
                Err(error) => {
                    tracing::warn!(%error, "the slots of the Redis Cluster are not known");
                    self.refresh.notify_one();
                    backoff.next()
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Renews the generation after something durable was lost, as soon as Redis is reachable.
    async fn keep_generation(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.heal.notified() => {}
            }
            if self.dirty.swap(false, Ordering::AcqRel) {
                let pause = match self.renew_generation().await {
                    Ok(()) => SHORTEST_PAUSE,
                    Err(error) => {
                        tracing::debug!(%error, "the generation could not be renewed");
                        // A server that refuses stays connected, and a slot may move to one that is: no new connection
                        // would call again, so this does.
                        self.dirty.store(true, Ordering::Release);
                        self.refresh.notify_one();
                        self.heal.notify_one();
                        REFUSED_PAUSE
                    }
                };
                tokio::time::sleep(pause).await;
            }
        }
    }

    /// Sets a new generation.
    pub(super) async fn renew_generation(&self) -> Result<(), BusError> {
        let routes = self.routes();
        let link = routes.of_generation().ok_or(BusError::Down)?;
        let key = self.dialect.keys.generation();
        let new = uuid::Uuid::new_v4().simple().to_string();
        answer(link.outbox.call(&[b"SET", key.as_bytes(), new.as_bytes()])).await.map(|_| ())
    }
}
