//! Starting what is measured, and ending it with its handle.

use super::{LISTENING, cores::Cores, world::World};
use crate::client::Transport;
use crate::report::Watched;
use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use rookery_shared::token::{TokenIssuer, TokenKeys, random_secret};
use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::Stdio,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    process::{Child, ChildStdout, Command},
    time::{sleep, timeout},
};

/// How long a part may take to become ready.
pub(super) const READY: Duration = Duration::from_secs(20);

/// What is measured, and where.
#[derive(Args, Clone, Debug)]
pub(crate) struct ServerOptions {
    /// A Redis for this run alone, for example `redis://127.0.0.1:6379`. Without it `redis-server` is started.
    #[arg(long)]
    redis: Option<String>,
    /// What the clients speak.
    #[arg(long, value_enum, default_value_t = Transport::Ws)]
    pub(crate) transport: Transport,
    /// Instead of the gateway, the server of npm's `socket.io` from this folder of modules, on the same Redis.
    #[arg(long)]
    node_modules: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) cores: Cores,
}

/// What is measured. Ends when dropped.
pub(crate) struct Server {
    /// Where the gateway listens.
    pub(crate) address: SocketAddr,
    /// What its clients speak.
    pub(crate) transport: Transport,
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
        let mut command = match &options.node_modules {
            None => options.cores.this_program()?,
            Some(_) => options.cores.program("node".into()),
        };
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
        if let Some(modules) = &options.node_modules {
            ensure!(options.transport == Transport::Socketio, "Node's server speaks --transport socketio");
            command.args(["--input-type=module", "--eval", include_str!("../../peer/server.js")]);
            command.env("PEER_MODULES", modules.canonicalize().context("the folder of modules")?);
            command.env("PEER_REDIS", &redis).env("PEER_PREFIX", &prefix);
            command.env("PEER_MEMBERS", world.members.to_string());
        } else {
            command.args(["gateway", "--until-input-ends", "--redis", &redis, "--prefix", &prefix]);
            command.args(["--members", &world.members.to_string()]);
        }
        command.env("ROOKERY_TOKEN_SECRET", &secret).env_remove("ROOKERY_LISTEN");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("starting the gateway")?;
        let pid = child.id().context("the gateway has ended")?;
        let (address, _) = listening(&mut child).await?;
        children.push(child);
        let gateway = Watched { name: "gateway".to_owned(), pid };
        watched.insert(0, gateway.clone());
        Ok(Self { address, transport: options.transport, redis, prefix, issuer, gateway, watched, _children: children })
    }
}

/// Lines that a server writes.
pub(super) type Lines = tokio::io::Lines<BufReader<ChildStdout>>;

/// Waits until a server tells the address where it is ready; gives that, and what it writes afterwards.
pub(super) async fn listening(server: &mut Child) -> Result<(SocketAddr, Lines)> {
    let output = server.stdout.take().context("the server's output")?;
    let mut lines = BufReader::new(output).lines();
    let told = async {
        while let Some(line) = lines.next_line().await? {
            if let Some(address) = line.strip_prefix(LISTENING) {
                return address.parse().with_context(|| format!("the server's address: {address}"));
            }
        }
        bail!("the server ended before it was ready");
    };
    let address = timeout(READY, told).await.context("the server does not come up")??;
    Ok((address, lines))
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
