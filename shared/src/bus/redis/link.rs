//! The life of the connection to one master: connect, subscribe again, carry, notice that it is dead, begin anew.

use super::core::Core;
use crate::{
    bus::BusError,
    envelope::Event,
    keys::Keys,
    redis_link::{
        config::RedisMode,
        dial::{DialError, Wire, master},
        outbox::{Answer, Finding, Outbox},
        resp::{Incoming, NotResp, Parser, Value},
    },
};
use bytes::BytesMut;
use rand::RngExt as _;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::tcp::{OwnedReadHalf, OwnedWriteHalf},
};
use tokio_util::sync::CancellationToken;

/// The script that raises announced heads; loaded into every server before it is used.
pub(super) const ANNOUNCE: &str = include_str!("../../redis_link/lua/announce.lua");

/// Room for this much is made before each read: about two hundred events.
const READ_BYTES: usize = 64 << 10;

/// Numbers connections, so that what stood on one is never taken for standing on the next.
static CONNECTIONS: AtomicU64 = AtomicU64::new(1);

/// One master, whether connected or not.
pub(super) struct Link {
    /// Where it is; `None` where that has to be found out at every connect.
    pub(super) address: Option<Arc<str>>,
    pub(super) outbox: Outbox,
    pub(super) stop: CancellationToken,
    /// Everything was subscribed on the connection that is, or last was, open.
    settled: AtomicBool,
}

impl Link {
    pub(super) fn new(address: Option<Arc<str>>, outbox: Outbox, stop: CancellationToken) -> Arc<Self> {
        Arc::new(Self { address, outbox, stop, settled: AtomicBool::new(false) })
    }
}

/// Growing, jittered pauses from 50 ms to 1 s.
pub(super) struct Backoff(Duration);

impl Backoff {
    const FIRST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(1);

    pub(super) fn new() -> Self {
        Self(Self::FIRST)
    }

    /// The next pause: between half and the whole of a time that doubles.
    pub(super) fn next(&mut self) -> Duration {
        let pause = self.0.mul_f64(rand::rng().random_range(0.5..1.0));
        self.0 = (self.0 * 2).min(Self::LONGEST);
        pause
    }
}

/// Keeps one master connected until it is stopped.
pub(super) async fn run(core: Arc<Core>, link: Arc<Link>) {
    let mut backoff = Backoff::new();
    loop {
        link.settled.store(false, Ordering::Relaxed);
        let ended = tokio::select! {
            () = link.stop.cancelled() => None,
            Err(error) = serve(&core, &link) => Some(error),
        };
        if link.outbox.close() {
            core.lost_something();
        }
        let Some(error) = ended else { return };
        if link.settled.load(Ordering::Relaxed) {
            backoff = Backoff::new();
        }
        core.attempted();
        metrics::counter!("rookery_bus_disconnects_total").increment(1);
        tracing::warn!(%error, address = link.address.as_deref(), "the bus is not connected to Redis");
        // The master may have been replaced by another one.
        core.refresh.notify_one();
        tokio::select! {
            () = link.stop.cancelled() => return,
            () = tokio::time::sleep(backoff.next()) => {}
        }
    }
}

/// One connection, from dialling to its end.
async fn serve(core: &Arc<Core>, link: &Arc<Link>) -> Result<std::convert::Infallible, DialError> {
    let patience = core.patience;
    let address = match &link.address {
        Some(address) => address.to_string(),
        None if core.endpoints.mode == RedisMode::Sentinel => master(&core.endpoints, patience).await?,
        None => core.endpoints.addresses.first().cloned().unwrap_or_default(),
    };
    let mut wire = Wire::open(&address, &core.endpoints.login, patience).await?;
    if core.endpoints.mode == RedisMode::Sentinel {
        // A Sentinel may not know yet that its master became a replica; publishing to that one would reach nobody.
        let role = wire.ask(&[b"ROLE"]).await?;
        if role.as_list().and_then(|role| role.first()).and_then(Value::as_str) != Some("master") {
            return Err(DialError::NoMaster);
        }
    }
    wire.ask(&[b"SCRIPT", b"LOAD", ANNOUNCE.as_bytes()]).await?;
    let connection = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
    link.outbox.open(connection);
    let Wire { stream, buffer, parser, .. } = wire;
    let (reader, writer) = stream.into_split();
    let pulse = Pulse::default();
    let settle = async {
        core.settle(link).await.map_err(|error| DialError::Refused(error.to_string()))?;
        link.settled.store(true, Ordering::Relaxed);
        core.attempted();
        std::future::pending().await
    };
    tokio::select! {
        ended = read(core, link, connection, reader, (buffer, parser), &pulse) => ended,
        ended = write(link, writer) => ended,
        ended = watch(core, link, &pulse) => ended,
        ended = settle => ended,
    }
}

/// Counts reads, so that silence is noticed without looking at the clock for each of them.
#[derive(Default)]
struct Pulse(AtomicU64);

async fn write(link: &Link, mut writer: OwnedWriteHalf) -> Result<std::convert::Infallible, DialError> {
    let mut bytes = BytesMut::new();
    loop {
        bytes.clear();
        link.outbox.take(&mut bytes).await;
        writer.write_all(&bytes).await?;
        if bytes.capacity() > 4 * READ_BYTES {
            // A burst is over; its memory goes back.
            bytes = BytesMut::new();
        }
    }
}

/// Breaks a connection whose server owes an answer and is silent; asks a server that owes none for a sign of life.
async fn watch(core: &Core, link: &Link, pulse: &Pulse) -> Result<std::convert::Infallible, DialError> {
    const LOOKS: u32 = 3;
    let (mut seen, mut silent) = (0, 0);
    loop {
        tokio::time::sleep(core.patience / LOOKS).await;
        let now = pulse.0.load(Ordering::Relaxed);
        let owed = link.outbox.owed();
        silent = if owed && now == seen { silent + 1 } else { 0 };
        if silent >= LOOKS {
            return Err(DialError::Silent);
        }
        if !owed && now == seen {
            link.outbox.tell(&[b"PING"]);
        }
        seen = now;
    }
}

async fn read(
    core: &Core,
    link: &Link,
    connection: u64,
    mut reader: OwnedReadHalf,
    (mut buffer, mut parser): (BytesMut, Parser),
    pulse: &Pulse,
) -> Result<std::convert::Infallible, DialError> {
    let (mut answers, mut findings) = (Vec::new(), Vec::new());
    loop {
        while let Some(incoming) = parser.next(&mut buffer)? {
            match incoming {
                Incoming::Message(payload) => deliver(core, payload),
                Incoming::Reply(value) => answers.push(Answer::Reply(value)),
                Incoming::Push(push) => answers.extend(confirmation(&push)?),
            }
        }
        link.outbox.settle(&mut answers, &mut findings);
        for finding in findings.drain(..) {
            act(core, link, connection, &finding);
        }
        buffer.reserve(READ_BYTES);
        if reader.read_buf(&mut buffer).await? == 0 {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        }
        pulse.0.fetch_add(1, Ordering::Relaxed);
        // A reader that always finds more must not starve the writer beside it.
        tokio::task::consume_budget().await;
    }
}

fn deliver(core: &Core, payload: bytes::Bytes) {
    let Some(sink) = &core.sink else { return };
    match Event::decode(payload) {
        Ok(event) => sink.event(event),
        // A newer version during a rolling update; the feed fetches what it misses.
        Err(error) => tracing::debug!(%error, "an event on the bus cannot be read"),
    }
}

/// What a push says of a subscription; nothing for pushes of other sorts.
fn confirmation(push: &[Value]) -> Result<Option<Answer>, NotResp> {
    let [kind, channel, ..] = push else { return Ok(None) };
    Ok(match kind.as_bytes().ok_or(NotResp)? {
        b"subscribe" | b"ssubscribe" => Some(Answer::Subscribed),
        b"unsubscribe" | b"sunsubscribe" => channel.as_bytes().and_then(Keys::stream_of).map(Answer::Unsubscribed),
        _ => None,
    })
}

fn act(core: &Core, link: &Link, connection: u64, finding: &Finding) {
    match finding {
        Finding::Lost => core.lost_something(),
        Finding::Moved => core.moved(link),
        Finding::NoScript => link.outbox.tell(&[b"SCRIPT", b"LOAD", ANNOUNCE.as_bytes()]),
        Finding::Unsubscribed(stream) => {
            if core.interest().fell(*stream, connection) {
                core.refresh.notify_one();
            }
        }
    }
}

/// The answer to a queued command.
pub(super) async fn answer(asked: Result<tokio::sync::oneshot::Receiver<Value>, BusError>) -> Result<Value, BusError> {
    match asked?.await {
        Ok(Value::Error(text)) => Err(BusError::Refused(text)),
        Ok(value) => Ok(value),
        Err(_) => Err(BusError::Down),
    }
}
