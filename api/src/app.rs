//! The api itself: everything that its routes and its gateways ask for, behind one handle.

use crate::{
    cache::Cache,
    config::ApiConfig,
    identity::Provider,
    measured,
    password::Passwords,
    problem,
    publisher::Publisher,
    reader::Reader,
    requests::RequestLimiter,
    routes::Readiness,
    search::Indexer,
    services::{api_keys::RememberedKeys, facts::Facts, hidden::Shown, purge::Purges, reads::Moves},
    store::SharedStore,
    writer::{Heads, Planned, Writer},
};
use rookery_shared::{
    bus::SharedBus,
    ids::{RoomId, StreamId, UserId},
    limits::SharedLimits,
    presence::SharedPresence,
    protocol::Problem,
    telemetry::Metrics,
    token::{TokenIssuer, TokenVerifier},
};
use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};
use uuid::Uuid;

/// How long the epoch and the place of a conversation are believed.
const MAX_AGE: Duration = Duration::from_millis(900);

/// How long what a room is for good is remembered.
const FACTS_AGE: Duration = Duration::from_mins(10);

/// Rooms of which that is remembered.
const MAX_ROOMS: usize = 100_000;

/// Identities at a foreign provider whose accounts are remembered.
const MAX_IDENTITIES: usize = 50_000;

/// Conversations whose place is remembered.
const MAX_CONVERSATIONS: usize = 50_000;

/// What an api is made of.
pub struct Parts {
    /// Where everything is kept.
    pub store: SharedStore,
    /// Where what happened is published.
    pub bus: SharedBus,
    /// Who is there.
    pub presence: SharedPresence,
    /// What counts across the cluster.
    pub limits: SharedLimits,
    /// Makes access tokens.
    pub issuer: TokenIssuer,
    /// Tells good access tokens from others.
    pub verifier: TokenVerifier,
    /// What `/metrics` shows.
    pub metrics: Metrics,
    /// What gateways show at `/internal/v1`; without one those routes refuse everyone.
    pub internal_secret: Option<String>,
    /// The settings.
    pub config: ApiConfig,
}

/// The api. Cheap to clone.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

/// What an [`Api`] holds; for this crate alone.
pub struct Inner {
    pub(crate) reader: Reader,
    pub(crate) writer: Writer,
    pub(crate) presence: SharedPresence,
    pub(crate) limits: SharedLimits,
    pub(crate) issuer: TokenIssuer,
    pub(crate) verifier: TokenVerifier,
    pub(crate) passwords: Passwords,
    pub(crate) publisher: Publisher,
    indexer: Indexer,
    pub(crate) requests: RequestLimiter,
    pub(crate) metrics: Metrics,
    pub(crate) readiness: Readiness,
    pub(crate) internal_secret: Option<String>,
    pub(crate) config: ApiConfig,
    /// The one conversation behind a key never becomes another one, but it may be deleted.
    pub(crate) conversations: Cache<String, RoomId>,
    /// What rooms are for good.
    pub(crate) rooms: Cache<RoomId, Facts>,
    /// Read cursors that are being moved.
    pub(crate) moves: Moves,
    pub(crate) shown: Shown,
    pub(crate) purges: Purges,
    pub(crate) api_keys: RememberedKeys,
    /// The foreign identity provider, where one is configured.
    pub(crate) identity: Option<Provider>,
    /// Whose account an identity is; that never changes.
    pub(crate) identities: Cache<Uuid, UserId>,
    epoch: Cache<(), Arc<str>>,
}

impl std::ops::Deref for Api {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

/// An api for work that goes on beside it, and is no reason for it to stay.
pub(crate) struct WeakApi(Weak<Inner>);

impl WeakApi {
    /// The api, if somebody has a handle to it still.
    pub(crate) fn upgrade(&self) -> Option<Api> {
        self.0.upgrade().map(Api)
    }
}

impl Api {
    /// Makes an api of its parts, and starts its writer on the current runtime.
    pub fn new(parts: Parts) -> Self {
        let Parts { store, bus, presence, limits, issuer, verifier, metrics, internal_secret, config } = parts;
        measured::describe();
        let reader = Reader::new(store);
        let publisher = Publisher::new(bus);
        let indexer = Indexer::start(reader.store().clone(), &config.indexer);
        let writer =
            Writer::with_reader(reader.clone(), publisher.clone(), Some(indexer.clone()), config.writer.clone());
        let api = Self(Arc::new(Inner {
            requests: RequestLimiter::new(config.limits.requests),
            passwords: Passwords::new(),
            conversations: Cache::new(MAX_AGE, MAX_CONVERSATIONS),
            rooms: Cache::new(FACTS_AGE, MAX_ROOMS),
            moves: Moves::default(),
            shown: Shown::new(),
            purges: Purges::default(),
            api_keys: RememberedKeys::new(),
            identity: config.identity.clone().map(Provider::new),
            identities: Cache::new(MAX_AGE, MAX_IDENTITIES),
            epoch: Cache::new(MAX_AGE, 1),
            readiness: Readiness::default(),
            reader,
            writer,
            presence,
            limits,
            issuer,
            verifier,
            publisher,
            indexer,
            metrics,
            internal_secret,
            config,
        }));
        api.purge_from_now_on();
        api
    }

    /// What lasts as long as somebody has a handle to this api.
    pub(crate) fn weak(&self) -> WeakApi {
        WeakApi(Arc::downgrade(&self.0))
    }

    /// Commits a change, as [`Writer::change`] does; `decide` reads from the api that it is given.
    pub(crate) async fn change<T, D, F>(&self, streams: Vec<StreamId>, mut decide: D) -> Result<T, Problem>
    where
        T: Send + 'static,
        D: FnMut(Api, Heads) -> F + Send + 'static,
        F: Future<Output = Result<Planned<T>, Problem>> + Send + 'static,
    {
        let api = self.clone();
        self.writer.change(streams, move |heads| decide(api.clone(), heads)).await
    }

    /// Brings to an end what this api does beside its requests, when there are no more of them. Takes a few seconds at
    /// most; what is not done by then is done by another api, or at the next start.
    pub async fn finish(&self) {
        self.indexer.finish().await;
    }

    /// The epoch that cursors belong to.
    pub(crate) async fn epoch(&self) -> Result<Arc<str>, Problem> {
        if let Some(epoch) = self.epoch.get(&()) {
            return Ok(epoch);
        }
        let read_at = Instant::now();
        let epoch: Arc<str> = self.reader.store().epoch().await.map_err(problem::store)?.into();
        self.epoch.put((), epoch.clone(), read_at);
        Ok(epoch)
    }
}
