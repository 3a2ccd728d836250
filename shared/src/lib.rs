//! What gateways, apis and tools have in common: ids, the shapes of JSON, the protocol's vocabulary, the event on the
//! bus, and the backends that exist once for one process and once for a cluster.

pub mod backend;
pub mod bus;
pub mod clock;
pub mod config;
pub mod envelope;
pub mod ids;
pub mod keys;
pub mod lifecycle;
pub mod limits;
pub mod model;
pub mod presence;
pub mod protocol;
pub mod redis_link;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
pub mod token;
