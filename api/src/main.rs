//! The `rookery-api` program: the api of a cluster.

use anyhow::Context as _;
use clap::Parser as _;
use rookery_api::{
    command::{self, Arguments, Command},
    config::{ClusterConfig, StoreConfig},
    run,
    store::mongo::MongoStore,
};
use rookery_shared::{config::Env, lifecycle::stop_signal, telemetry};
use std::io::{stdin, stdout};
use tokio::net::TcpListener;

/// Keeps idle memory steady where the system's allocator lets it grow.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Runtime::new().context("the runtime could not be made")?;
    match arguments.command {
        Some(command) => runtime.block_on(do_instead(command)),
        None => runtime.block_on(serve()),
    }
}

async fn serve() -> anyhow::Result<()> {
    let config = ClusterConfig::read(&Env::process())?;
    let telemetry = telemetry::init("rookery-api", &config.common)?;
    let listen = config.common.listen;
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen}; is another program there? Set ROOKERY_LISTEN"))?;
    tracing::info!(address = %listener.local_addr()?, "the api starts");
    let metrics = telemetry.metrics.clone();
    run(listener, config, metrics, stop_signal()).await?;
    tracing::info!("stopped");
    Ok(())
}

async fn do_instead(command: Command) -> anyhow::Result<()> {
    let StoreConfig { mongodb_uri, mongodb_database } = StoreConfig::read(&Env::process())?;
    let store = MongoStore::open(&mongodb_uri, &mongodb_database).await.context("MongoDB cannot be used")?;
    command::run(&*store, command, &mut stdin(), &mut stdout()).await
}
