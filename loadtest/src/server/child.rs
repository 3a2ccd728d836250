//! Starting what is measured, and ending it with its handle.

use super::{gateway::LISTENING, world::World};
use crate::report::Watched;
use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use rookery_shared::token::{TokenIssuer, TokenKeys, random_secret};
use std::{
    ffi::OsString,
    net::{SocketAddr, TcpListener},
    process::Stdio,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    process::{Child, Command},
    time::{sleep, timeout},
};

/// How long a part may take to become ready.
const READY: Duration = Duration::from_secs(20);

/// What is measured, and where.
#[derive(Args, Clone, Debug)]
pub(crate) struct ServerOptions {
    /// A Redis for this run alone, for example `redis://127.0.0.1:6379`. Without it `redis-server` is started.
    #[arg(long)]
    redis: Option<String>,
    /// Cores of the gateway, as for `taskset -c`. Numbers are only comparable when server and clients have their own.
    #[arg(long, value_name = "CORES")]
    server_cpu: Option<String>,
    /// Cores of the clients and of a Redis that is started for them, as for `taskset -c`.
    #[arg(long, value_name = "CORES")]
    client_cpu: Option<String>,
}

impl ServerOptions {
    /// Moves this process to the cores that are given for clients. Before there are other threads, which inherit it.
    pub(crate) fn pin_clients(&self) -> Result<()> {
        if let Some(cores) = &self.client_cpu {
            let own = std::process::id().to_string();
            let output = std::process::Command::new("taskset").args(["-c", "-p", cores, &own]).output();
            let output = output.context("starting taskset (Debian: util-linux)")?;
            ensure!(output.status.success(), "taskset: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }
}

/// What is measured. Ends when dropped.
pub(crate) struct Server {
    /// Where the gateway listens.
    pub(crate) address: SocketAddr,
    /// The Redis that it uses.
    pub(crate) redis: String,
    /// What names in that Redis begin with.
    pub(crate) prefix: String,
    /// Makes tokens that the gateway takes.
    pub(crate) issuer: TokenIssuer,
    /// The gateway's process.
    pub(crate) gateway: Watched,
    /// All processes, this one included.
    pub(crate) watched: Vec<Watched>,
    _children: Vec<Child>,
}

impl Server {
    /// Starts Redis, unless there is one, and the gateway.
    pub(crate) async fn start(options: &ServerOptions, world: World) -> Result<Self> {
        if options.server_cpu.is_none() || options.client_cpu.is_none() {
            eprintln!("  nothing is pinned; for numbers to compare: --server-cpu 1 --client-cpu 0 (taskset -c)");
        }
        let mut children = Vec::new();
        let mut watched = vec![Watched::own()];
        let redis = if let Some(url) = &options.redis {
            url.clone()
        } else {
            let (child, pid, url) = start_redis().await?;
            children.push(child);
            watched.push(Watched { name: "redis".to_owned(), pid });
            url
        };
        let prefix = format!("rookery-loadtest-{}", std::process::id());
        let secret = random_secret();
        let issuer = TokenKeys::shared_secret(secret.as_bytes()).issuer()?;
        let mut command = gateway_command(options.server_cpu.as_deref())?;
        command.args(["gateway", "--until-input-ends", "--redis", &redis, "--prefix", &prefix]);
        command.args(["--members", &world.members.to_string()]);
        command.env("ROOKERY_TOKEN_SECRET", &secret).env_remove("ROOKERY_LISTEN");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("starting the gateway")?;
        let pid = child.id().context("the gateway has ended")?;
        let address = timeout(READY, address_of(&mut child)).await.context("the gateway does not come up")??;
        children.push(child);
        let gateway = Watched { name: "gateway".to_owned(), pid };
        watched.insert(0, gateway.clone());
        Ok(Self { address, redis, prefix, issuer, gateway, watched, _children: children })
    }
}

/// This program once more, on cores of its own where wanted. `taskset` becomes what it starts, and keeps its id.
fn gateway_command(cores: Option<&str>) -> Result<Command> {
    let own: OsString = std::env::current_exe().context("the path of this program")?.into();
    Ok(match cores {
        None => Command::new(own),
        Some(cores) => {
            let mut command = Command::new("taskset");
            command.args(["-c", cores]).arg(own);
            command
        }
    })
}

/// The address that the gateway tells when it is ready.
async fn address_of(gateway: &mut Child) -> Result<SocketAddr> {
    let output = gateway.stdout.take().context("the gateway's output")?;
    let mut lines = BufReader::new(output).lines();
    while let Some(line) = lines.next_line().await? {
        if let Some(address) = line.strip_prefix(LISTENING) {
            return address.parse().with_context(|| format!("the gateway's address: {address}"));
        }
    }
    bail!("the gateway ended before it was ready");
}

/// Starts an empty Redis that keeps nothing.
async fn start_redis() -> Result<(Child, u32, String)> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let text = port.to_string();
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--port", &text, "--save", "", "--appendonly", "no"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    let mut child =
        command.spawn().context("starting redis-server (Debian: redis-server), or give one with --redis")?;
    let pid = child.id().context("redis-server has ended")?;
    let ready = async {
        while !answers(port).await {
            if let Some(status) = child.try_wait()? {
                bail!("redis-server ended with {status}");
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    };
    timeout(READY, ready).await.context("redis-server does not come up")??;
    Ok((child, pid, format!("redis://127.0.0.1:{port}")))
}

async fn answers(port: u16) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(b"PING\r\n").await?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).await?;
        Ok::<_, std::io::Error>(&answer == b"+PONG")
    };
    ask.await.unwrap_or(false)
}
