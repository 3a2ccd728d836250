//! Settings of the standalone program.

use rookery_api::config::ApiConfig;
use rookery_gateway::config::GatewayConfig;
use rookery_shared::config::{Common, ConfigError, Env};
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

/// Settings of the standalone program.
#[derive(Clone, Debug)]
pub struct StandaloneConfig {
    /// What every program has. Listens on 127.0.0.1:8080 by default.
    pub common: Common,
    /// `ROOKERY_DATA`: the folder with everything that is kept. Default `.data`.
    pub data: PathBuf,
    /// The api's part.
    pub api: ApiConfig,
    /// The gateway's part.
    pub gateway: GatewayConfig,
}

impl StandaloneConfig {
    /// Reads the settings.
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        Ok(Self {
            common: Common::read(env, SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)))?,
            data: env.get("ROOKERY_DATA", PathBuf::from(".data"))?,
            api: ApiConfig::read(env)?,
            gateway: GatewayConfig::read(env)?,
        })
    }
}
