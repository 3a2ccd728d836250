//! The `rookery` program: everything in one process, nothing beside it.

use anyhow::Context as _;
use clap::Parser as _;
use rookery_api::command::{self, Arguments, Command};
use rookery_shared::{config::Env, lifecycle::stop_signal, telemetry};
use rookery_standalone::{Standalone, config::StandaloneConfig, open_store};
use std::{
    io::{stdin, stdout},
    net::SocketAddr,
    path::Path,
};
use tokio::net::TcpListener;

/// Keeps idle memory steady where the system's allocator lets it grow.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let config = StandaloneConfig::read(&Env::process())?;
    let runtime = tokio::runtime::Runtime::new().context("the runtime could not be made")?;
    match arguments.command {
        Some(command) => runtime.block_on(do_instead(command, &config.data)),
        None => runtime.block_on(serve(config)),
    }
}

async fn serve(config: StandaloneConfig) -> anyhow::Result<()> {
    let telemetry = telemetry::init("rookery", &config.common)?;
    let listen = config.common.listen;
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen}; is another program there? Set ROOKERY_LISTEN"))?;
    let (address, data) = (listener.local_addr()?, config.data.clone());
    let program = Standalone::start(config, telemetry.metrics.clone()).await?;
    first_steps(address, &data);
    program.serve(listener, stop_signal()).await;
    tracing::info!("stopped");
    Ok(())
}

async fn do_instead(command: Command, data: &Path) -> anyhow::Result<()> {
    let store = open_store(data).await?;
    command::run(&*store, command, &mut stdin(), &mut stdout()).await
}

/// What someone who has just started it wants to know.
#[expect(clippy::print_stdout, reason = "this is what the program was started for")]
fn first_steps(address: SocketAddr, data: &Path) {
    println!(
        "
Rookery is ready:  http://{address}/

  Open that address in two browser tabs, sign up as two people, and talk.
  The API's routes:  http://{address}/api/v1   the sockets:  ws://{address}/ws

  The same by hand:
    curl -s http://{address}/api/v1/auth/register -H 'content-type: application/json' \\
      -d '{{\"username\":\"ada\",\"email\":\"ada@example.org\",\"password\":\"correct horse\"}}'
    npx wscat -c 'ws://{address}/ws?token=<the accessToken from above>'

  Data lies in {data}. Ctrl-C stops.
",
        data = data.display()
    );
}
