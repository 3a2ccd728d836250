//! From an address to a signed-in socket.

use super::{
    frame::{self, TEXT},
    outgoing::Outgoing,
    socket::{Incoming, Scratch},
};
use anyhow::{Context as _, Result, bail, ensure};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    rc::Rc,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

/// The key of the example in RFC 6455, section 1.3, and its answer: the same for every connection, and still checked.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// How long a connection may take until it is signed in.
const PATIENCE: Duration = Duration::from_secs(20);

/// Connections that share one source address: fewer than the 28,232 local ports that Linux gives out by default.
const PER_SOURCE: usize = 20_000;

/// The longest answer to an upgrade.
const LONGEST_ANSWER: usize = 8 * 1024;

/// What connections speak.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// `/ws`.
    Ws,
    /// `/socket.io/`, by WebSocket.
    Socketio,
}

impl Transport {
    fn path(self) -> &'static str {
        match self {
            Self::Ws => "/ws",
            Self::Socketio => "/socket.io/?EIO=4&transport=websocket",
        }
    }
}

impl std::fmt::Display for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ws => "ws",
            Self::Socketio => "socketio",
        })
    }
}

/// Opens connections to one address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialer {
    server: SocketAddr,
    transport: Transport,
}

/// A connection that is signed in.
pub(crate) struct Socket {
    /// What comes.
    pub(crate) incoming: Incoming,
    /// What goes.
    pub(crate) outgoing: Rc<Outgoing>,
    /// The gateway, as it calls itself.
    pub(crate) node: String,
}

impl Dialer {
    /// Connects to a gateway, or to a proxy in front of some.
    pub(crate) fn new(server: SocketAddr) -> Self {
        Self { server, transport: Transport::Ws }
    }

    /// The same, in another language.
    pub(crate) fn speaking(self, transport: Transport) -> Self {
        Self { transport, ..self }
    }

    /// Opens the connection with this number and signs it in. Returns when `authenticated` has come.
    pub(crate) async fn connect(&self, number: usize, token: &str, scratch: &Scratch) -> Result<Socket> {
        timeout(PATIENCE, self.sign_in(number, token, scratch))
            .await
            .with_context(|| format!("not signed in after {} s", PATIENCE.as_secs()))?
            .with_context(|| format!("connection {number} to {}", self.server))
    }

    /// Opens the connection with this number to a server that asks for nothing and only writes frames.
    pub(crate) async fn connect_plain(&self, number: usize) -> Result<Socket> {
        let stream = timeout(PATIENCE, self.open(number)).await.context("no connection in time")?;
        let stream = stream.with_context(|| format!("connection {number} to {}", self.server))?;
        stream.set_nodelay(true)?;
        let (reading, writing) = stream.into_split();
        Ok(Socket { incoming: Incoming::new(reading, &[]), outgoing: Outgoing::new(writing), node: String::new() })
    }

    async fn sign_in(&self, number: usize, token: &str, scratch: &Scratch) -> Result<Socket> {
        let mut stream = self.open(number).await?;
        stream.set_nodelay(true)?;
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: {KEY}\r\nAuthorization: Bearer {token}\r\n\r\n",
            self.transport.path(),
            self.server
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::with_capacity(512);
        let end = loop {
            ensure!(stream.read_buf(&mut answer).await? > 0, "closed before it answered the upgrade");
            if let Some(at) = answer.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            ensure!(answer.len() < LONGEST_ANSWER, "the answer to the upgrade does not end");
        };
        let node = accepted(&String::from_utf8_lossy(&answer[..end]))?;
        if self.transport == Transport::Socketio {
            // The packet that joins the namespace; the header has the token.
            let mut join = Vec::new();
            frame::put_masked(TEXT, b"40", &mut join);
            stream.write_all(&join).await?;
            acknowledge_as_it_reads(&stream)?;
        }
        let (reading, writing) = stream.into_split();
        let mut incoming = Incoming::new(reading, &answer[end..]);
        incoming.authenticated(scratch).await?;
        Ok(Socket { incoming, outgoing: Outgoing::new(writing), node })
    }

    async fn open(&self, number: usize) -> Result<TcpStream> {
        let SocketAddr::V4(server) = self.server else { return Ok(TcpStream::connect(self.server).await?) };
        let socket = TcpSocket::new_v4()?;
        if server.ip().is_loopback() {
            socket.bind(SocketAddr::new(IpAddr::V4(source(number)), 0))?;
        }
        Ok(socket.connect(self.server).await?)
    }
}

/// Who writes in answer to something is taken for interactive by Linux, and acknowledges later from then on. On loopback
/// that is charged to the server, in a quarter of its CPU time; so joining must not tell the transports apart.
fn acknowledge_as_it_reads(stream: &TcpStream) -> Result<()> {
    #[cfg(target_os = "linux")]
    socket2::SockRef::from(stream).set_tcp_quickack(true)?;
    Ok(())
}

/// The address on loopback that the connection with this number comes from.
fn source(number: usize) -> Ipv4Addr {
    let host = u8::try_from(1 + number / PER_SOURCE).unwrap_or(u8::MAX);
    Ipv4Addr::new(127, 0, 0, host)
}

/// Checks the answer to an upgrade; gives the name of the node, empty if none is told.
fn accepted(answer: &str) -> Result<String> {
    let mut lines = answer.split("\r\n");
    let status = lines.next().unwrap_or_default();
    if !status.starts_with("HTTP/1.1 101 ") {
        bail!("the upgrade was refused: {status}");
    }
    let headers: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(':')).collect();
    let header = |wanted: &str| {
        let found = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value.trim())
    };
    ensure!(header("sec-websocket-accept") == Some(ACCEPT), "the upgrade was answered with another key");
    Ok(header("rookery-node").unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upgrade_is_accepted_only_with_the_right_key() {
        let answer = |status: &str, key: &str| {
            accepted(&format!("HTTP/1.1 {status}\r\nSec-WebSocket-Accept: {key}\r\nrookery-node: g1\r\n\r\n")).ok()
        };
        assert_eq!(answer("101 Switching Protocols", ACCEPT).as_deref(), Some("g1"));
        assert_eq!(answer("101 Switching Protocols", "other"), None);
        assert_eq!(answer("503 Service Unavailable", ACCEPT), None);
    }

    #[test]
    fn connections_are_spread_over_source_addresses() {
        assert_eq!(source(0), Ipv4Addr::LOCALHOST);
        assert_eq!(source(PER_SOURCE), Ipv4Addr::new(127, 0, 0, 2));
    }
}
