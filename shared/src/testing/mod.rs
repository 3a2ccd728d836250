//! Real servers for tests: Redis alone or as a cluster, MongoDB, and an identity provider.
//!
//! Every server listens on loopback only, lives in a temporary folder of its own, and ends with its handle. Nothing
//! here ships: the module exists behind the features `testing` and `testing-mongo`.

mod cluster;
#[cfg(feature = "testing-mongo")]
mod mongo;
mod process;
mod provider;
mod redis;
mod sentinel;

#[cfg(feature = "testing-mongo")]
pub use self::mongo::MongoServer;
pub use self::{
    cluster::RedisCluster,
    process::{free_port, poll},
    provider::{IdentityProvider, ProviderKey, confuse, sign},
    redis::RedisServer,
    sentinel::RedisSentinel,
};
