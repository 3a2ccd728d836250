//! One core: its state, its loop, and the life of its connections.

use super::{
    connection::{Connection, Phase, Seconds, Written, count_close},
    inbox::{Contents, Credentials, Inbox, Mail, NewSocket},
    polling::Polls,
    stream::Stream,
};
use crate::{
    feed::ring::Rings,
    node::Node,
    session::{self, sign_in::After, socketio::Greeting},
    transport::{Transport, websocket::Decoder},
};
use bytes::{Bytes, BytesMut};
use rookery_shared::{
    ids::{ConnectionId, MessageId, StreamId, UserId},
    model::Chosen,
    protocol::{CloseReason, Problem},
};
use rustc_hash::{FxHashMap, FxHashSet};
use slab::Slab;
use std::{
    cell::{Cell, OnceCell, RefCell},
    collections::VecDeque,
    io::ErrorKind,
    net::Shutdown,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};
use tokio::{
    net::TcpStream,
    sync::{Mutex, Notify},
    task::spawn_local,
    time::{sleep, sleep_until, timeout},
};

/// The buffer that all connections of a core read into. Larger than the longest frame, so that most arrive whole.
const SCRATCH_BYTES: usize = 80 * 1024;

/// Over how long clients that are sent away at the same moment come again, in milliseconds.
const RECONNECT_SPREAD_MILLIS: u64 = 1_000;

/// How long a connection that is sent away may wait for the answers to its commands.
const DRAIN_PATIENCE: Duration = Duration::from_secs(4);

/// How long a client may take to answer a close.
const CLOSING_SECONDS: Seconds = 3;

/// One core.
pub struct Core {
    /// Which one.
    pub index: usize,
    /// What cores share.
    pub node: Arc<Node>,
    /// Everything that only this thread touches.
    pub state: RefCell<State>,
    /// Clients that poll. Apart from the rest, as they are answered while that is being gone through.
    pub polls: RefCell<Polls>,
    /// Something is to be flushed that did not come through the inbox.
    pub wake: Notify,
    inbox: Arc<Inbox>,
    scratch: RefCell<Box<[u8]>>,
    began: Instant,
}

/// What a core keeps.
pub struct State {
    /// Connections by slot.
    pub connections: Slab<Rc<Connection>>,
    /// Streams by slot.
    pub streams: Slab<Stream>,
    /// The slot of a stream.
    pub by_id: FxHashMap<StreamId, u32>,
    /// Recent entries.
    pub rings: Rings,
    /// The next number that is given once: to streams in the rings, to fetches.
    pub next_number: u64,
    /// Streams with frames that have not gone out.
    pub to_flush: VecDeque<u32>,
    /// Streams that were flushed and may be at rest now.
    pub settled: Vec<u32>,
    /// Streams that nobody followed at some moment, with their numbers and that moment.
    pub empty: VecDeque<(u32, u64, Seconds)>,
    /// Who is typing where, until when, and their name.
    pub typing: FxHashMap<(u32, UserId), (Seconds, Option<String>)>,
    /// Messages that are being changed, with the turns of those who change them.
    pub changing: FxHashMap<MessageId, Rc<Mutex<()>>>,
    /// How users want to be seen who said so lately, by the place of their own stream: who signs in at the same time has
    /// an older answer.
    pub chosen: FxHashMap<u32, Chosen>,
    /// Whom changes of presence have been told to, lately, by the number of the change: who shares several rooms with
    /// its user is told once.
    pub told: FxHashMap<u64, FxHashSet<u32>>,
    /// Since when those are remembered, oldest first.
    pub told_order: VecDeque<(Seconds, u64)>,
    /// Connections that are to be closed as soon as nobody goes through the tables.
    pub condemned: Vec<(Rc<Connection>, CloseReason)>,
}

/// What came of a read.
enum Read {
    /// There may be more.
    More,
    /// Nothing there now.
    Nothing,
    /// The connection is over.
    Over,
}

impl Core {
    /// A core without connections.
    pub fn new(index: usize, node: Arc<Node>, inbox: Arc<Inbox>) -> Rc<Self> {
        let ring_bytes = node.config.ring_bytes / node.config.cores;
        let state = State {
            connections: Slab::new(),
            streams: Slab::new(),
            by_id: FxHashMap::default(),
            rings: Rings::new(ring_bytes),
            next_number: 1,
            to_flush: VecDeque::new(),
            settled: Vec::new(),
            empty: VecDeque::new(),
            typing: FxHashMap::default(),
            changing: FxHashMap::default(),
            chosen: FxHashMap::default(),
            told: FxHashMap::default(),
            told_order: VecDeque::new(),
            condemned: Vec::new(),
        };
        let scratch = RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice());
        let state = RefCell::new(state);
        let polls = RefCell::default();
        Rc::new(Self { index, node, state, polls, wake: Notify::new(), inbox, scratch, began: Instant::now() })
    }

    /// Seconds since the core began.
    pub fn now(&self) -> Seconds {
        u32::try_from(self.began.elapsed().as_secs()).unwrap_or(u32::MAX)
    }

    /// Milliseconds since the core began.
    pub fn now_millis(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Takes what comes in and flushes what is due, until it is told to stop.
    pub async fn run(self: Rc<Self>) {
        spawn_local(self.clone().tick());
        spawn_local(self.clone().sweep_heads());
        let mut next_flush: Option<Instant> = None;
        loop {
            let pace = async {
                match next_flush {
                    Some(at) => sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            let contents = tokio::select! {
                contents = self.inbox.take() => contents,
                () = self.wake.notified() => Contents::default(),
                () = pace => Contents::default(),
            };
            if !self.take_in(contents) {
                return;
            }
            next_flush = self.flush().await;
        }
    }

    /// Returns whether the core goes on.
    fn take_in(self: &Rc<Self>, contents: Contents) -> bool {
        for mail in contents.mail {
            match mail {
                Mail::Socket(socket) => self.take_socket(socket),
                Mail::Poll(sid, request) => self.poll_request(sid, request),
                Mail::Upgrade(sid, socket, early) => self.take_upgrade(sid, socket, early),
                Mail::Lost(streams) => self.heal(streams),
                Mail::Drain(spread) => self.drain(spread),
                Mail::Stop => return false,
            }
        }
        if !contents.overflowed.is_empty() {
            self.heal(Some(contents.overflowed.into_iter().collect()));
        }
        for event in contents.events {
            self.event(event);
        }
        true
    }

    fn take_socket(self: &Rc<Self>, socket: NewSocket) {
        let NewSocket { stream, transport, mut early, credentials } = socket;
        let stream = match TcpStream::from_std(stream) {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%error, "a socket could not be taken over");
                return;
            }
        };
        let connection = self.open_connection(transport, Some(stream), credentials);
        spawn_local(self.clone().drive(connection.clone()));
        if transport == Transport::SocketIo {
            let mut open = BytesMut::new();
            session::socketio::put_open(self, None, &mut open);
            self.write(&connection, open);
        }
        if !early.is_empty() {
            self.take_bytes(&connection, &mut early);
        }
    }

    /// A new connection, with a socket or without one. Signs in with what it brought, if the transport has it so.
    pub fn open_connection(
        self: &Rc<Self>,
        transport: Transport,
        stream: Option<TcpStream>,
        credentials: Credentials,
    ) -> Rc<Connection> {
        let deadline = u32::try_from(self.node.config.sign_in_deadline.as_secs()).unwrap_or(u32::MAX);
        let Credentials { token, resumes } = credentials;
        // A Socket.IO client signs in when it joins the namespace; a bare socket does at once.
        let (greeting, token) = match transport {
            Transport::SocketIo => (Some(Box::new(Greeting::new(token))), None),
            Transport::WebSocket => (None, token),
        };
        let connection = {
            let mut state = self.state.borrow_mut();
            let entry = state.connections.vacant_entry();
            let connection = Rc::new(Connection {
                id: ConnectionId::new(),
                slot: u32::try_from(entry.key()).unwrap_or(u32::MAX),
                transport,
                stream: stream.map_or_else(OnceCell::new, OnceCell::from),
                phase: RefCell::new(Phase::Anonymous {
                    deadline: self.now().saturating_add(deadline + 1),
                    signing_in: false,
                    resumes,
                    greeting,
                }),
                follows: RefCell::default(),
                outbox: RefCell::default(),
                decoder: RefCell::default(),
                heard: Cell::new(self.now()),
                pinged: Cell::new(if transport == Transport::SocketIo { self.now() } else { Seconds::MAX }),
                in_flight: Cell::new(0),
                answered: RefCell::default(),
                commands_full_at: Cell::new(0),
                commands_refused: Cell::new(0),
                resuming: RefCell::default(),
                rooms_added: Cell::new(0),
            });
            entry.insert(connection.clone());
            connection
        };
        self.node.connections.fetch_add(1, Ordering::Relaxed);
        match token {
            Some(Ok(claims)) => {
                let after = if resumes { After::AwaitCursors } else { After::Live };
                session::sign_in::begin(self, &connection, None, claims, after);
            }
            Some(Err(error)) => session::sign_in::refuse(self, &connection, None, &error),
            None => {}
        }
        if self.node.draining.load(Ordering::SeqCst) {
            // Its handshake was under way when the others were sent away.
            spawn_local(self.clone().send_away(connection.clone(), 0));
        }
        connection
    }

    /// Reads a connection until it ends. The only task that an idle connection has.
    pub async fn drive(self: Rc<Self>, connection: Rc<Connection>) {
        let Some(stream) = connection.stream.get() else { return };
        'life: while stream.readable().await.is_ok() {
            loop {
                let read = self.read(&connection, stream);
                if matches!(read, Read::Over) {
                    break 'life;
                }
                connection.room().await;
                if matches!(read, Read::Nothing) {
                    break;
                }
            }
        }
        self.forget(&connection);
    }

    fn read(self: &Rc<Self>, connection: &Rc<Connection>, stream: &TcpStream) -> Read {
        let mut scratch = self.scratch.borrow_mut();
        match stream.try_read(&mut scratch) {
            Ok(0) => Read::Over,
            Ok(count) => {
                connection.heard.set(self.now());
                self.take_bytes(connection, &mut scratch[..count]);
                // A read that did not fill the buffer has emptied the socket; readiness will tell of more.
                if count < scratch.len() { Read::Nothing } else { Read::More }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Read::Nothing,
            Err(_) => Read::Over,
        }
    }

    fn take_bytes(self: &Rc<Self>, connection: &Rc<Connection>, bytes: &mut [u8]) {
        // After the goodbye, what the client still says is read and dropped.
        if connection.is_closing() {
            return;
        }
        let kept = connection.decoder.borrow_mut().take();
        let mut decoder = kept.map_or_else(Decoder::default, |decoder| *decoder);
        let limit = self.node.config.max_frame_bytes;
        let owed = Cell::new(decoder.attachments);
        let result = decoder.feed(bytes, limit, &mut |item| session::item(self, connection, item, &owed));
        decoder.attachments = owed.get();
        match result {
            Err(reason) => self.close(connection, reason),
            Ok(()) if decoder.is_idle() => {}
            Ok(()) => *connection.decoder.borrow_mut() = Some(Box::new(decoder)),
        }
    }

    /// Writes bytes that are for this connection alone.
    pub fn write(self: &Rc<Self>, connection: &Rc<Connection>, bytes: BytesMut) {
        if connection.is_closing() {
            return;
        }
        if self.write_bytes(connection, &bytes.freeze()) == Written::TooSlow {
            self.close(connection, CloseReason::SlowConsumer);
        }
    }

    /// Writes, and starts the writer where bytes have to wait. The caller closes who is too slow.
    pub fn write_bytes(self: &Rc<Self>, connection: &Rc<Connection>, bytes: &Bytes) -> Written {
        let written = connection.write(bytes, || self.now(), self.node.config.slow_bytes);
        if written == (Written::Queued { first: true }) {
            if connection.polls() {
                // When the turn of whoever writes is over, so that one poll gets all of it.
                let (core, connection) = (self.clone(), connection.clone());
                spawn_local(async move { core.answer_poll(&connection) });
            } else {
                spawn_local(write_out(connection.clone()));
            }
        }
        written
    }

    /// Says why, and ends the connection: nothing reaches it any more, and it leaves every stream now.
    pub fn close(self: &Rc<Self>, connection: &Rc<Connection>, reason: CloseReason) {
        self.close_with(connection, reason, None);
    }

    /// [`close`](Self::close), with an error before it.
    pub fn close_with(self: &Rc<Self>, connection: &Rc<Connection>, reason: CloseReason, problem: Option<&Problem>) {
        if connection.is_closing() {
            return;
        }
        count_close(reason);
        let mut goodbye = BytesMut::new();
        let joined = connection.is_joined();
        // On Socket.IO the goodbye is an error itself.
        if let Some(problem) = problem.filter(|_| connection.transport == Transport::WebSocket) {
            connection.transport.put_error(None, problem, &mut goodbye);
        }
        connection.transport.put_close(reason, joined, &mut goodbye);
        self.depart(connection);
        // Who is too slow would not get the goodbye for a long time: what waits for them is dropped, and the goodbye
        // takes its place if nothing of a frame has gone out yet. Mid-frame there is nothing to be said.
        let behind = reason == CloseReason::SlowConsumer && connection.outbox.borrow_mut().take().is_some();
        if !behind {
            self.write_bytes(connection, &goodbye.freeze());
        }
        let may_return = reason.should_reconnect();
        *connection.phase.borrow_mut() = Phase::Closing { deadline: self.now() + CLOSING_SECONDS, may_return };
        if !connection.is_behind() {
            connection.shut_down(if behind { Shutdown::Both } else { Shutdown::Write });
        }
    }

    /// Takes a connection out of everything but the table.
    fn depart(self: &Rc<Self>, connection: &Rc<Connection>) {
        session::depart(self, connection);
        // What it was owed lets go of its streams, which needs the tables.
        drop(connection.resuming.take());
        let mut state = self.state.borrow_mut();
        for stream in connection.follows.take() {
            self.detach_slot(&mut state, connection, stream);
        }
    }

    /// The socket is gone.
    pub fn forget(self: &Rc<Self>, connection: &Rc<Connection>) {
        if !connection.is_closing() {
            self.depart(connection);
            *connection.phase.borrow_mut() = Phase::Closing { deadline: 0, may_return: true };
        }
        // Whatever still waits to be written has nobody to look after it from here on.
        connection.outbox.take();
        connection.shut_down(Shutdown::Both);
        self.polls.borrow_mut().remove(connection);
        self.state.borrow_mut().connections.try_remove(connection.slot as usize);
        self.node.connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// Closes who was found too slow while the tables were being gone through.
    pub fn close_condemned(self: &Rc<Self>) {
        loop {
            let condemned = std::mem::take(&mut self.state.borrow_mut().condemned);
            if condemned.is_empty() {
                return;
            }
            for (connection, reason) in condemned {
                self.close(&connection, reason);
            }
        }
    }

    /// Sends every client away, each at a random moment within `spread` milliseconds.
    fn drain(self: &Rc<Self>, spread: u64) {
        let connections: Vec<Rc<Connection>> =
            self.state.borrow().connections.iter().map(|(_, connection)| connection.clone()).collect();
        for connection in connections {
            let wait = rand::random::<u64>() % spread.max(1);
            spawn_local(self.clone().send_away(connection, wait));
        }
    }

    /// Tells a client to come again elsewhere, after so many milliseconds.
    async fn send_away(self: Rc<Self>, connection: Rc<Connection>, wait: u64) {
        sleep(Duration::from_millis(wait)).await;
        if !connection.is_joined() {
            return self.close(&connection, CloseReason::Draining);
        }
        let mut frame = BytesMut::new();
        let data = serde_json::json!({
            "code": "draining",
            "message": "this node stops; connect again",
            "retryAfterMs": rand::random::<u64>() % RECONNECT_SPREAD_MILLIS,
        });
        connection.transport.put_frame(None, "reconnect", &data, &mut frame);
        self.write(&connection, frame);
        // What was sent before the client knew is answered first.
        let _ = timeout(DRAIN_PATIENCE, connection.idle()).await;
        self.close(&connection, CloseReason::Draining);
    }
}

/// Writes what waits for a socket, until nothing does.
pub async fn write_out(connection: Rc<Connection>) {
    let Some(stream) = connection.stream.get() else { return };
    while stream.writable().await.is_ok() {
        let mut outbox = connection.outbox.borrow_mut();
        let Some(queue) = &mut *outbox else { return };
        let mut slices = super::outbox::Outbox::no_slices();
        let count = queue.slices(&mut slices);
        match stream.try_write_vectored(&slices[..count]) {
            Ok(written) => {
                if queue.written(written) {
                    *outbox = None;
                    drop(outbox);
                    if connection.is_closing() {
                        connection.shut_down(Shutdown::Write);
                    }
                    return;
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => {
                *outbox = None;
                return;
            }
        }
    }
}
