//! `rookery-loadtest gateway`: a real gateway with a real bus and presence, in front of a pretended api.
//!
//! The gateway's own settings (`ROOKERY_CORES` and the rest) are read from the environment as always.

use super::{LISTENING, backend::Pretended, world::World};
use anyhow::{Context as _, Result};
use clap::Args;
use rookery_gateway::{Gateway, Needs, config::GatewayConfig};
use rookery_shared::{
    bus::RedisBus,
    config::{Common, Env},
    lifecycle,
    presence::RedisPresence,
    redis_link::RedisConfig,
    telemetry,
    token::TokenKeys,
};
use std::{
    io::{Write as _, stdout},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, stdin},
    net::TcpListener,
};

/// How long requests that are under way may take when it stops. Sockets end with the process.
const STOPPING: Duration = Duration::from_secs(1);

/// A gateway to be measured.
#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    world: World,
    /// Where it listens.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The Redis that it uses.
    #[arg(long, default_value = "redis://127.0.0.1:6379", hide_default_value = true)]
    redis: String,
    /// What every name in Redis begins with.
    #[arg(long, default_value = "rookery-loadtest")]
    prefix: String,
    /// The secret that tokens are signed with.
    #[arg(long, env = "ROOKERY_TOKEN_SECRET", hide_env_values = true)]
    token_secret: String,
    /// Stop when the standard input ends, as it does when whoever started this ends.
    #[arg(long)]
    until_input_ends: bool,
}

/// Runs the gateway until it is told to stop.
pub(crate) async fn run(options: Options) -> Result<()> {
    let env = Env::process();
    let common = Common::read(&env, options.listen)?;
    let telemetry = telemetry::init("rookery-loadtest", &common)?;
    let config = GatewayConfig::read(&env)?;
    let listener =
        TcpListener::bind(options.listen).await.with_context(|| format!("listening on {}", options.listen))?;

    let redis = RedisConfig { prefix: options.prefix, ..RedisConfig::single(options.redis) };
    let interest = rookery_gateway::interest(&config);
    let bus = RedisBus::connect(redis.clone(), Some(interest.clone())).await?;
    let presence = Arc::new(RedisPresence::new(&redis)?);
    let verifier = TokenKeys::shared_secret(options.token_secret.as_bytes()).verifier();
    let backend = Arc::new(Pretended(options.world));
    let gateway = Gateway::start(Needs { config, verifier, backend, bus, presence, interest })?;
    let app = gateway.sockets().merge(gateway.operations(telemetry.metrics.clone()));

    writeln!(stdout().lock(), "{LISTENING}{}", listener.local_addr()?)?;
    lifecycle::serve(listener, app, stopped(options.until_input_ends), STOPPING).await;
    Ok(())
}

async fn stopped(with_input: bool) {
    let input_ends = async {
        if !with_input {
            std::future::pending::<()>().await;
        }
        let mut byte = [0];
        // Whatever is written there means nothing; an error is an end as well.
        while stdin().read(&mut byte).await.is_ok_and(|count| count > 0) {}
    };
    tokio::select! {
        () = input_ends => {}
        () = lifecycle::stop_signal() => {}
    }
}
