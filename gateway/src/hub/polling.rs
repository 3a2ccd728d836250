//! Clients that poll: connections without a socket of their own. What they are sent waits in the outbox until a GET
//! fetches it; what they send comes as the body of a POST. The requests are answered on the node's I/O side; here is
//! what they are answered with.

use super::{
    connection::Connection,
    core::{Core, write_out},
    inbox::Credentials,
};
use crate::{
    session,
    transport::{
        Transport,
        engineio::{self, Sid},
        websocket::{Decoder, Item},
    },
};
use bytes::{Bytes, BytesMut};
use rookery_shared::protocol::CloseReason;
use rustc_hash::FxHashMap;
use std::{cell::Cell, io::ErrorKind, net::Shutdown, rc::Rc, time::Duration};
use tokio::{net::TcpStream, sync::oneshot, task::spawn_local, time::timeout};

/// Connections that poll, on one node. Each keeps a request open, and those are bounded: beyond it, clients are told
/// to come again, and sockets are not affected.
pub const MAX_POLLING: usize = 6_000;

/// How long an upgrade may take; then the client goes on polling.
const UPGRADE_PATIENCE: Duration = Duration::from_secs(10);

/// A request.
#[derive(Debug)]
pub enum Request {
    /// A session begins.
    Open(Credentials, oneshot::Sender<Answer>),
    /// The client wants what waits for it, or waits for what comes.
    Get(oneshot::Sender<Answer>),
    /// The client says something.
    Post(Bytes, oneshot::Sender<Answer>),
    /// Whether a WebSocket may be opened to go on with.
    MayUpgrade(oneshot::Sender<Answer>),
}

/// What a request is answered with.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// Packets.
    Body(Vec<u8>),
    /// What was said has been taken.
    Taken,
    /// No such session, or no longer.
    Unknown,
    /// What the protocol does not allow.
    Bad,
    /// No room for another session.
    Full,
}

impl Answer {
    /// The answer to the poll behind the goodbye: a close where that is for good; else the session is gone, and clients
    /// begin anew.
    fn last(connection: &Connection) -> Self {
        if connection.is_dismissed() { Self::Body(engineio::CLOSE.into()) } else { Self::Unknown }
    }
}

/// The sessions of one core.
#[derive(Default)]
pub struct Polls {
    by_sid: FxHashMap<Sid, Poll>,
    by_slot: FxHashMap<u32, Sid>,
}

/// A session.
struct Poll {
    connection: Rc<Connection>,
    /// The GET that waits.
    waiting: Option<oneshot::Sender<Answer>>,
    /// A POST is under way.
    posting: bool,
    /// Binary messages that have been announced and have not come.
    attachments: u32,
    upgrade: Upgrade,
}

/// How far an upgrade has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upgrade {
    No,
    /// A socket is there.
    Begun,
    /// It works: the client waits for its last poll to end.
    Probed,
}

/// What has been read from a socket before the client goes on with it.
#[derive(Default)]
struct Probe {
    decoder: Decoder,
    /// Texts; `None` stands for a binary message.
    read: Vec<Option<String>>,
    failed: bool,
}

impl Polls {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_sid.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_sid.is_empty()
    }

    fn of(&mut self, connection: &Connection) -> Option<&mut Poll> {
        self.by_sid.get_mut(self.by_slot.get(&connection.slot)?)
    }

    /// Takes a connection out, and tells a GET that waits that it was the last one. Returns whether it was there.
    pub fn remove(&mut self, connection: &Connection) -> bool {
        let Some(sid) = self.by_slot.remove(&connection.slot) else { return false };
        if let Some(waiting) = self.by_sid.remove(&sid).and_then(|poll| poll.waiting) {
            let _ = waiting.send(Answer::last(connection));
        }
        true
    }
}

impl Core {
    /// Answers a request, now or later. Whoever asked may be gone by then.
    pub fn poll_request(self: &Rc<Self>, sid: Sid, request: Request) {
        match request {
            Request::Open(credentials, reply) => {
                let answer = self.open_poll(sid, credentials);
                let _ = reply.send(answer);
            }
            Request::Get(reply) => self.poll(sid, reply),
            Request::Post(body, reply) => self.posted(sid, &body, reply),
            Request::MayUpgrade(reply) => {
                let known = self.polls.borrow().by_sid.get(&sid).map(|poll| poll.upgrade == Upgrade::No);
                let _ = reply.send(match known {
                    None => Answer::Unknown,
                    Some(false) => Answer::Bad,
                    Some(true) => Answer::Taken,
                });
            }
        }
    }

    fn open_poll(self: &Rc<Self>, sid: Sid, credentials: Credentials) -> Answer {
        if self.polls.borrow().len() >= MAX_POLLING / self.node.config.cores {
            return Answer::Full;
        }
        let connection = self.open_connection(Transport::SocketIo, None, credentials);
        let mut polls = self.polls.borrow_mut();
        polls.by_slot.insert(connection.slot, sid);
        let poll = Poll { connection, waiting: None, posting: false, attachments: 0, upgrade: Upgrade::No };
        polls.by_sid.insert(sid, poll);
        drop(polls);
        let (mut open, mut body) = (BytesMut::new(), Vec::new());
        session::socketio::put_open(self, Some(sid), &mut open);
        engineio::put_body(&open, &mut body);
        Answer::Body(body)
    }

    fn poll(self: &Rc<Self>, sid: Sid, reply: oneshot::Sender<Answer>) {
        let mut polls = self.polls.borrow_mut();
        let Some(poll) = polls.by_sid.get_mut(&sid) else {
            let _ = reply.send(Answer::Unknown);
            return;
        };
        let connection = poll.connection.clone();
        if poll.waiting.as_ref().is_some_and(|waiting| !waiting.is_closed()) {
            // Two polls at once: nobody could say which of them gets what.
            let _ = reply.send(Answer::Bad);
            drop(polls);
            self.close(&connection, CloseReason::ProtocolError);
            return;
        }
        connection.heard.set(self.now());
        poll.waiting = Some(reply);
        drop(polls);
        self.answer_poll(&connection);
    }

    /// Answers the GET that waits, if there is one and something to answer it with.
    pub fn answer_poll(self: &Rc<Self>, connection: &Rc<Connection>) {
        let mut polls = self.polls.borrow_mut();
        let Some(poll) = polls.of(connection) else { return };
        let mut outbox = connection.outbox.borrow_mut();
        let closing = connection.is_closing();
        if outbox.is_none() && !closing && poll.upgrade != Upgrade::Probed {
            return;
        }
        let Some(waiting) = poll.waiting.take().filter(|waiting| !waiting.is_closed()) else { return };
        let mut body = Vec::with_capacity(outbox.as_ref().map_or(0, |outbox| outbox.bytes()));
        for piece in outbox.iter().flat_map(|outbox| outbox.pieces()) {
            engineio::put_body(piece, &mut body);
        }
        let last = closing && body.is_empty();
        let answer = match body.is_empty() {
            true if closing => Answer::last(connection),
            true => Answer::Body(engineio::NOOP.into()),
            false => Answer::Body(body),
        };
        if waiting.send(answer).is_err() {
            // Gone in this very moment: what was meant for this poll is for the next one.
            return;
        }
        *outbox = None;
        drop(outbox);
        drop(polls);
        if last {
            // The goodbye has been fetched before, or there was none.
            self.end_poll(connection);
        }
    }

    /// Ends a session of a client that polls.
    pub fn end_poll(self: &Rc<Self>, connection: &Rc<Connection>) {
        let known = self.polls.borrow_mut().remove(connection);
        if known {
            self.forget(connection);
        }
    }

    fn posted(self: &Rc<Self>, sid: Sid, body: &Bytes, reply: oneshot::Sender<Answer>) {
        let mut polls = self.polls.borrow_mut();
        let Some(poll) = polls.by_sid.get_mut(&sid) else {
            let _ = reply.send(Answer::Unknown);
            return;
        };
        let connection = poll.connection.clone();
        connection.heard.set(self.now());
        let attachments = Cell::new(poll.attachments);
        let overlaps = std::mem::replace(&mut poll.posting, true);
        drop(polls);
        let text = std::str::from_utf8(body);
        let (Ok(text), false) = (text, overlaps) else {
            let _ = reply.send(Answer::Bad);
            let reason = if overlaps { CloseReason::ProtocolError } else { CloseReason::InvalidText };
            self.close(&connection, reason);
            return;
        };
        for packet in engineio::packets(text) {
            if connection.is_closing() || !session::socketio::packet(self, &connection, packet, &attachments) {
                break;
            }
        }
        // The answer waits while too many commands are under way: clients send their next ones behind it.
        let core = self.clone();
        spawn_local(async move {
            connection.room().await;
            if let Some(poll) = core.polls.borrow_mut().of(&connection) {
                (poll.posting, poll.attachments) = (false, attachments.get());
            }
            let _ = reply.send(Answer::Taken);
        });
    }

    /// A client means to go on with this socket, once it has shown that it works.
    pub fn take_upgrade(self: &Rc<Self>, sid: Sid, socket: std::net::TcpStream, early: Vec<u8>) {
        let stream = match TcpStream::from_std(socket) {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%error, "a socket could not be taken over");
                return;
            }
        };
        match self.polls.borrow_mut().by_sid.get_mut(&sid) {
            Some(poll) if poll.upgrade == Upgrade::No => poll.upgrade = Upgrade::Begun,
            // Gone meanwhile, or a second try at once: this socket was for nothing.
            _ => return,
        }
        let core = self.clone();
        spawn_local(async move {
            let mut probe = Probe::default();
            let done = timeout(UPGRADE_PATIENCE, core.probe(sid, &stream, early, &mut probe)).await;
            if done == Ok(Some(())) {
                core.go_on_with(sid, stream, probe);
            } else if let Some(poll) = core.polls.borrow_mut().by_sid.get_mut(&sid) {
                poll.upgrade = Upgrade::No;
            }
        });
    }

    /// Reads a socket until its client says that it goes on with it. `None`: it does not.
    async fn probe(self: &Rc<Self>, sid: Sid, stream: &TcpStream, mut bytes: Vec<u8>, probe: &mut Probe) -> Option<()> {
        let mut answered = false;
        loop {
            let Probe { decoder, read, failed } = &mut *probe;
            let fed = decoder.feed(&mut bytes, self.node.config.max_frame_bytes, &mut |item| {
                match item {
                    Item::Text(text) => read.push(Some(text.to_owned())),
                    Item::Binary => read.push(None),
                    Item::Close => *failed = true,
                    Item::Ping(_) | Item::Pong => {}
                }
                true
            });
            if fed.is_err() || *failed {
                return None;
            }
            if !answered && let Some(first) = read.first() {
                if first.as_deref().and_then(engineio::decode) != Some(engineio::Packet::Ping("probe")) {
                    return None;
                }
                read.remove(0);
                self.answer_probe(sid, stream)?;
                answered = true;
            }
            if let Some(first) = read.first() {
                let upgraded = first.as_deref().and_then(engineio::decode) == Some(engineio::Packet::Upgrade);
                read.remove(0);
                return upgraded.then_some(());
            }
            stream.readable().await.ok()?;
            bytes.resize(4 * 1024, 0);
            match stream.try_read(&mut bytes) {
                Ok(0) => return None,
                Ok(count) => bytes.truncate(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => bytes.clear(),
                Err(_) => return None,
            }
        }
    }

    fn answer_probe(self: &Rc<Self>, sid: Sid, stream: &TcpStream) -> Option<()> {
        let written = stream.try_write(engineio::PROBE_ANSWER).ok()?;
        let mut polls = self.polls.borrow_mut();
        let poll = polls.by_sid.get_mut(&sid)?;
        poll.upgrade = Upgrade::Probed;
        let connection = poll.connection.clone();
        drop(polls);
        // The client waits for the poll that is open; there is nothing else to end it.
        self.answer_poll(&connection);
        (written == engineio::PROBE_ANSWER.len()).then_some(())
    }

    /// From here on the client has a socket, like others. What waits for it goes out there.
    fn go_on_with(self: &Rc<Self>, sid: Sid, stream: TcpStream, probe: Probe) {
        let mut polls = self.polls.borrow_mut();
        let Some(poll) = polls.by_sid.remove(&sid) else { return };
        polls.by_slot.remove(&poll.connection.slot);
        drop(polls);
        let Poll { connection, waiting, attachments, .. } = poll;
        if let Some(waiting) = waiting {
            let _ = waiting.send(Answer::Body(engineio::NOOP.into()));
        }
        if connection.stream.set(stream).is_err() {
            return;
        }
        connection.heard.set(self.now());
        spawn_local(self.clone().drive(connection.clone()));
        if connection.outbox.borrow().is_some() {
            spawn_local(write_out(connection.clone()));
        } else if connection.is_closing() {
            connection.shut_down(Shutdown::Write);
        }
        let Probe { mut decoder, read, .. } = probe;
        let owed = Cell::new(attachments);
        for text in read {
            let item = text.as_deref().map_or(Item::Binary, Item::Text);
            if connection.is_closing() || !session::item(self, &connection, item, &owed) {
                return;
            }
        }
        decoder.attachments = owed.get();
        if !decoder.is_idle() {
            *connection.decoder.borrow_mut() = Some(Box::new(decoder));
        }
    }
}
