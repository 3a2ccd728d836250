//! Settings of a gateway, read from the environment here and nowhere else.

use crate::transport::engineio::Heartbeat;
use rookery_shared::{
    config::{Common, ConfigError, Env, token_keys},
    redis_link::RedisConfig,
    token::TokenKeys,
};
use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

/// Settings of a gateway.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// `ROOKERY_NODE_NAME`: what the node calls itself to clients and in metrics. Default: a random one.
    pub node_name: String,
    /// `ROOKERY_CORES`: threads that own connections. Default: one less than the machine's, at least one.
    pub cores: usize,
    /// `ROOKERY_SIGN_IN_SECONDS`: how long a connection may take to sign in. Default 5 s.
    pub sign_in_deadline: Duration,
    /// `ROOKERY_HEARTBEAT_SECONDS`: a client silent for this long is asked, one silent for twice as long is closed.
    /// Default 30 s.
    pub heartbeat: Duration,
    /// `ROOKERY_SOCKETIO_PING_SECONDS` and `ROOKERY_SOCKETIO_PING_TIMEOUT_SECONDS`: from one ping to the next, and how
    /// long the answer may take, on Socket.IO. Default 25 s and 20 s, as Node's server has them.
    pub socketio_heartbeat: Heartbeat,
    /// `ROOKERY_MAX_FRAME_BYTES`: the longest message that a client may send. Default 64 KiB.
    pub max_frame_bytes: usize,
    /// `ROOKERY_MAX_ROOMS_PER_CONNECTION`: followed rooms, the most recently active first. Default 500.
    pub max_rooms: u32,
    /// `ROOKERY_MAX_CONNECTIONS_PER_USER`: connections of one user on all nodes together; the oldest goes for one more.
    /// Default 20.
    pub max_connections: u32,
    /// `ROOKERY_LIMIT_COMMANDS`: commands on one connection in a minute, messages apart, bursts allowed. Default 120.
    pub commands_per_minute: u32,
    /// `ROOKERY_SLOW_BYTES`: what may wait for one client before it is closed. Default 1 MiB.
    pub slow_bytes: usize,
    /// `ROOKERY_SLOW_SECONDS`: how long a byte may wait for one client before it is closed. Default 30 s.
    pub slow_age: Duration,
    /// `ROOKERY_INBOX_BYTES`: events that may wait for one core. Default 32 MiB.
    pub inbox_bytes: usize,
    /// `ROOKERY_RING_BYTES`: recent entries kept by the node, for those who come back. Default 64 MiB.
    pub ring_bytes: usize,
    /// `ROOKERY_LANE_BYTES`: messages that may wait on one of the 32 ways to the api. Default 4 MiB.
    pub lane_bytes: usize,
    /// `ROOKERY_SWEEP_MILLISECONDS`: the shortest time between two looks at the announced heads. Default 1,500 ms.
    pub sweep_period: Duration,
    /// `ROOKERY_DRAIN_SECONDS`: over how long a stopping node sends its clients away. Default 5 s.
    pub drain_spread: Duration,
    /// `ROOKERY_PRESENCE_MAX_ROOM`: up to how many members a room is told who comes and goes. Default 100.
    pub presence_room_size: u32,
    /// `ROOKERY_RECEIPTS_MAX_ROOM`: up to how many members a room is told who types. Default 100.
    pub receipts_room_size: u32,
    /// `ROOKERY_ALLOWED_ORIGINS`: origins of web pages that may connect, besides the gateway's own. Default: none.
    pub allowed_origins: Vec<String>,
}

impl GatewayConfig {
    /// Reads the settings.
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get().saturating_sub(1)).max(1);
        let cores = env.get("ROOKERY_CORES", cores)?;
        if cores == 0 || cores > crate::node::interest::MAX_CORES {
            return Err(ConfigError::Invalid("ROOKERY_CORES", "expected 1 to 64".into()));
        }
        Ok(Self {
            node_name: env.get("ROOKERY_NODE_NAME", format!("gateway-{:08x}", rand::random::<u32>()))?,
            cores,
            sign_in_deadline: env.seconds("ROOKERY_SIGN_IN_SECONDS", Duration::from_secs(5))?,
            heartbeat: env.seconds("ROOKERY_HEARTBEAT_SECONDS", Duration::from_secs(30))?,
            socketio_heartbeat: Heartbeat {
                interval: env.seconds("ROOKERY_SOCKETIO_PING_SECONDS", Duration::from_secs(25))?,
                timeout: env.seconds("ROOKERY_SOCKETIO_PING_TIMEOUT_SECONDS", Duration::from_secs(20))?,
            },
            max_frame_bytes: env.get("ROOKERY_MAX_FRAME_BYTES", 64 * 1024)?,
            max_rooms: env.get("ROOKERY_MAX_ROOMS_PER_CONNECTION", 500)?,
            max_connections: at_least_one(env, "ROOKERY_MAX_CONNECTIONS_PER_USER", 20)?,
            commands_per_minute: env.get("ROOKERY_LIMIT_COMMANDS", 120)?,
            slow_bytes: env.get("ROOKERY_SLOW_BYTES", 1024 * 1024)?,
            slow_age: env.seconds("ROOKERY_SLOW_SECONDS", Duration::from_secs(30))?,
            inbox_bytes: env.get("ROOKERY_INBOX_BYTES", 32 * 1024 * 1024)?,
            ring_bytes: env.get("ROOKERY_RING_BYTES", 64 * 1024 * 1024)?,
            lane_bytes: env.get("ROOKERY_LANE_BYTES", 4 * 1024 * 1024)?,
            sweep_period: Duration::from_millis(env.get("ROOKERY_SWEEP_MILLISECONDS", 1_500)?),
            drain_spread: env.seconds("ROOKERY_DRAIN_SECONDS", Duration::from_secs(5))?,
            presence_room_size: env.get("ROOKERY_PRESENCE_MAX_ROOM", 100)?,
            receipts_room_size: env.get("ROOKERY_RECEIPTS_MAX_ROOM", 100)?,
            allowed_origins: env.list("ROOKERY_ALLOWED_ORIGINS")?,
        })
    }
}

/// A limit of nothing would shut everyone out, and is surely a mistake.
fn at_least_one(env: &Env, name: &'static str, default: u32) -> Result<u32, ConfigError> {
    match env.get(name, default)? {
        0 => Err(ConfigError::Invalid(name, "expected at least 1".into())),
        limit => Ok(limit),
    }
}

/// Settings of the `rookery-gateway` program.
#[derive(Debug)]
pub struct ClusterConfig {
    /// What every program has. Listens on 127.0.0.1:8082 by default.
    pub common: Common,
    /// What `standalone` has too.
    pub gateway: GatewayConfig,
    /// `ROOKERY_API_URLS`: addresses of the apis (`http://host:port`), with commas. Needed.
    pub api_urls: Vec<String>,
    /// `ROOKERY_INTERNAL_SECRET`: what gateways show to apis, at least 32 bytes. Needed.
    pub internal_secret: String,
    /// `ROOKERY_REDIS_…`: how Redis is reached.
    pub redis: RedisConfig,
    /// `ROOKERY_TOKEN_PUBLIC_KEYS_FILE` (a JSON Web Key Set), or `ROOKERY_TOKEN_SECRET` for development.
    pub tokens: TokenKeys,
}

impl ClusterConfig {
    /// Reads the settings; fails with the name of what is missing or wrong.
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        let api_urls: Vec<String> = env.list("ROOKERY_API_URLS")?;
        if api_urls.is_empty() {
            return Err(ConfigError::Missing("ROOKERY_API_URLS", "a gateway stores nothing itself"));
        }
        let why = "gateways and apis of a cluster share it";
        Ok(Self {
            common: Common::read(env, SocketAddr::from((Ipv4Addr::LOCALHOST, 8082)))?,
            gateway: GatewayConfig::read(env)?,
            api_urls,
            internal_secret: env
                .secret("ROOKERY_INTERNAL_SECRET")?
                .ok_or(ConfigError::Missing("ROOKERY_INTERNAL_SECRET", why))?,
            redis: RedisConfig::read(env)?,
            tokens: token_keys(env, "ROOKERY_TOKEN_PUBLIC_KEYS_FILE")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_gateway_needs_is_named_when_it_is_missing() {
        let all = [
            ("ROOKERY_API_URLS", "http://127.0.0.1:8081"),
            ("ROOKERY_INTERNAL_SECRET", "b5f5e2a4c3d94a0c8a1f6a7be2d1c0ff"),
            ("ROOKERY_REDIS_URLS", "redis://127.0.0.1:6379"),
            ("ROOKERY_TOKEN_SECRET", "b5f5e2a4c3d94a0c8a1f6a7be2d1c0ff"),
        ];
        assert!(ClusterConfig::read(&Env::from_pairs(all)).is_ok());
        for (missing, _) in all {
            let env = Env::from_pairs(all.into_iter().filter(|(name, _)| *name != missing));
            let error = ClusterConfig::read(&env).expect_err(missing).to_string();
            assert!(error.contains(missing), "{error}");
        }
    }
}
