//! The `rookery-gateway` program: a gateway of a cluster.

use anyhow::Context as _;
use rookery_gateway::{config::ClusterConfig, run};
use rookery_shared::{config::Env, lifecycle::stop_signal, telemetry};
use tokio::net::TcpListener;

/// Keeps idle memory steady where the system's allocator lets it grow.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> anyhow::Result<()> {
    let config = ClusterConfig::read(&Env::process())?;
    let telemetry = telemetry::init("rookery-gateway", &config.common)?;
    let runtime = tokio::runtime::Runtime::new().context("the runtime could not be made")?;
    runtime.block_on(async {
        let listen = config.common.listen;
        let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
        tracing::info!(%listen, node = config.gateway.node_name, cores = config.gateway.cores, "the gateway starts");
        let metrics = telemetry.metrics.clone();
        run(listener, config, metrics, stop_signal()).await?;
        tracing::info!("the gateway has stopped");
        Ok(())
    })
}
