//! The ways to Redis that bus, presence and limits share: configuration, the RESP3 codec, the bus's own connection,
//! and the pool for occasional scripts.

pub mod config;
pub(crate) mod dial;
pub(crate) mod outbox;
pub mod resp;
pub(crate) mod scripts;
mod settings;

pub use config::{BadRedisConfig, RedisConfig, RedisMode};
