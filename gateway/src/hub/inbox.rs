//! The way into a core: bounded in bytes, drained in one go.

use rookery_shared::{
    envelope::Event,
    ids::StreamId,
    token::{Claims, TokenError},
};
use std::{
    collections::HashSet,
    net::TcpStream,
    sync::{Mutex, PoisonError},
};
use tokio::sync::Notify;

use super::polling::Request;
use crate::transport::{Transport, engineio::Sid};

/// A socket whose handshake is done.
#[derive(Debug)]
pub struct NewSocket {
    /// The socket, in non-blocking mode, belonging to no runtime.
    pub stream: TcpStream,
    /// How it speaks.
    pub transport: Transport,
    /// What the client sent behind the handshake already.
    pub early: Vec<u8>,
    /// What the request said.
    pub credentials: Credentials,
}

/// What a client said in the request that its connection began with.
#[derive(Clone, Copy, Debug)]
pub struct Credentials {
    /// What the token in the URL or a header says, where there was one.
    pub token: Option<Result<Claims, TokenError>>,
    /// Whether it wants to resume, and says from where in a command.
    pub resumes: bool,
}

/// Everything but events.
#[derive(Debug)]
pub enum Mail {
    /// A new connection.
    Socket(NewSocket),
    /// A request of a client that polls.
    Poll(Sid, Request),
    /// A socket that such a client means to go on with, and what it has sent on it already.
    Upgrade(Sid, TcpStream, Vec<u8>),
    /// Events of these streams may have been missed; `None`: of all.
    Lost(Option<Vec<StreamId>>),
    /// Tell clients to go elsewhere, spread over this many milliseconds.
    Drain(u64),
    /// End the core: its connections go without a word.
    Stop,
}

/// What was in the inbox.
#[derive(Debug, Default)]
pub struct Contents {
    /// Events in the order in which they came.
    pub events: Vec<Event>,
    /// Streams of which events were dropped, because the inbox was full.
    pub overflowed: HashSet<StreamId>,
    /// Everything else.
    pub mail: Vec<Mail>,
    bytes: usize,
}

/// The inbox of one core. Its lock is held for a push or a swap, never across work.
#[derive(Debug)]
pub struct Inbox {
    contents: Mutex<Contents>,
    arrived: Notify,
    budget: usize,
}

impl Inbox {
    /// An inbox that holds events of `budget` bytes.
    pub fn new(budget: usize) -> Self {
        Self { contents: Mutex::default(), arrived: Notify::new(), budget }
    }

    /// Puts an event. One that does not fit is dropped, and its stream remembered for healing.
    pub fn event(&self, event: Event) {
        let mut contents = self.contents.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = event.data.len() + std::mem::size_of::<Event>();
        if contents.bytes + bytes > self.budget {
            metrics::counter!("rookery_inbox_overflow_total").increment(1);
            if event.header.kind.is_durable() {
                contents.overflowed.insert(event.header.stream);
            }
            return;
        }
        contents.bytes += bytes;
        let wake = contents.events.is_empty();
        contents.events.push(event);
        drop(contents);
        if wake {
            self.arrived.notify_one();
        }
    }

    /// Puts anything else. Sockets are bounded by the limit of open files, the rest by their few causes.
    pub fn mail(&self, mail: Mail) {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner).mail.push(mail);
        self.arrived.notify_one();
    }

    /// Everything that is there; waits while there is nothing.
    pub async fn take(&self) -> Contents {
        loop {
            let contents = std::mem::take(&mut *self.contents.lock().unwrap_or_else(PoisonError::into_inner));
            if !contents.events.is_empty() || !contents.mail.is_empty() || !contents.overflowed.is_empty() {
                return contents;
            }
            self.arrived.notified().await;
        }
    }
}
