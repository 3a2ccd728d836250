//! The api of a cluster: on MongoDB and Redis, or not at all.

use crate::{
    app::{Api, Parts},
    config::ClusterConfig,
    store::{StoreError, mongo::MongoStore},
};
use rookery_shared::{
    bus::{Bus as _, BusError, redis::RedisBus},
    lifecycle,
    limits::redis::RedisLimits,
    presence::redis::RedisPresence,
    redis_link::BadRedisConfig,
    telemetry::Metrics,
    token::KeyError,
};
use std::{future::Future, sync::Arc};
use tokio::net::TcpListener;

/// Why an api does not start. It never falls back to something embedded.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// MongoDB is not there, or not fit.
    #[error("MongoDB cannot be used (ROOKERY_MONGODB_URI): {0}")]
    Store(#[from] StoreError),
    /// The settings of Redis cannot work.
    #[error("Redis cannot be used (ROOKERY_REDIS_URLS): {0}")]
    RedisConfig(#[from] BadRedisConfig),
    /// Redis is not there.
    #[error("Redis cannot be reached (ROOKERY_REDIS_URLS)")]
    NoRedis,
    /// Redis is there, and refuses.
    #[error("Redis cannot be used (ROOKERY_REDIS_URLS): {0}")]
    Bus(#[from] BusError),
    /// The keys cannot sign.
    #[error("tokens cannot be signed (ROOKERY_TOKEN_KEYS_FILE): {0}")]
    Keys(#[from] KeyError),
}

/// Serves on a bound listener until `shutdown` completes: REST for clients, and what gateways ask.
pub async fn run(
    listener: TcpListener,
    config: ClusterConfig,
    metrics: Metrics,
    shutdown: impl Future<Output = ()>,
) -> Result<(), StartError> {
    let ClusterConfig { common, api, store, redis, internal_secret, tokens } = config;
    let store = MongoStore::open(&store.mongodb_uri, &store.mongodb_database).await?;
    let limits = RedisLimits::new(&redis)?;
    let presence = RedisPresence::new(&redis)?;
    let bus = RedisBus::connect(redis, None).await?;
    if !bus.is_connected() {
        return Err(StartError::NoRedis);
    }
    // What this api's last life stored, it may not have published: nodes get the heads from the store.
    bus.renew_generation().await?;
    let api = Api::new(Parts {
        store,
        bus,
        presence: Arc::new(presence),
        limits: Arc::new(limits),
        issuer: tokens.issuer()?,
        verifier: tokens.verifier(),
        metrics,
        internal_secret: Some(internal_secret),
        config: api,
    });
    let app = api.router().merge(api.internal_router());
    lifecycle::serve(listener, app, shutdown, common.shutdown_deadline).await;
    api.finish().await;
    Ok(())
}
