//! The `rookery-api` program: the api of a cluster.

use anyhow::Context as _;
use rookery_api::{config::ClusterConfig, run};
use rookery_shared::{config::Env, lifecycle::stop_signal, telemetry};
use tokio::net::TcpListener;

/// Keeps idle memory steady where the system's allocator lets it grow.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> anyhow::Result<()> {
    let config = ClusterConfig::read(&Env::process())?;
    let telemetry = telemetry::init("rookery-api", &config.common)?;
    let runtime = tokio::runtime::Runtime::new().context("the runtime could not be made")?;
    runtime.block_on(async {
        let listen = config.common.listen;
        let listener = TcpListener::bind(listen)
            .await
            .with_context(|| format!("cannot listen on {listen}; is another program there? Set ROOKERY_LISTEN"))?;
        tracing::info!(address = %listener.local_addr()?, "the api starts");
        let metrics = telemetry.metrics.clone();
        run(listener, config, metrics, stop_signal()).await?;
        tracing::info!("stopped");
        Ok(())
    })
}
