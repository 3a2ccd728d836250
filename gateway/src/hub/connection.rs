//! One socket and what belongs to it. Owned by one core, touched by nobody else.
//!
//! An idle connection is this struct, a task that waits for readability, and nothing on the heap besides its list of
//! streams: decoder and outbox exist only while something is incomplete.

use super::outbox::Outbox;
use crate::{
    session::{resume::Resuming, sign_in::After, socketio::Greeting},
    transport::{Transport, websocket::Decoder},
};
use bytes::Bytes;
use rookery_shared::{
    ids::{ConnectionId, SessionId, UserId},
    model::ChosenStatus,
    protocol::CloseReason,
};
use std::{
    cell::{Cell, OnceCell, RefCell},
    io::ErrorKind,
    rc::Rc,
    sync::Arc,
};
use tokio::{net::TcpStream, sync::Notify};

/// Commands of one connection that may be under way; more are read when some are answered.
pub const MAX_IN_FLIGHT: u16 = 64;

/// Between two polls this much may wait before a client counts as one that is behind.
const POLL_BYTES: usize = 64 * 1024;

/// Seconds on the core's own clock, since it began.
pub type Seconds = u32;

/// Where a connection is in its life.
#[derive(Debug)]
pub enum Phase {
    /// Nobody yet; has to sign in before the deadline.
    Anonymous {
        /// When it is over.
        deadline: Seconds,
        /// A sign-in is under way.
        signing_in: bool,
        /// Whether it wants to resume, and says from where in a command.
        resumes: bool,
        /// A Socket.IO client that has not joined the namespace yet.
        greeting: Option<Box<Greeting>>,
    },
    /// Signed in.
    Live(Live),
    /// Told why it ends; the socket goes at the deadline, or when the client has closed its side.
    Closing {
        /// When the socket goes.
        deadline: Seconds,
        /// Whether it makes sense that the client comes again.
        may_return: bool,
    },
}

/// Who a signed-in connection is.
#[derive(Clone, Debug)]
pub struct Live {
    /// The user.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
    /// The user's name.
    pub username: Arc<str>,
    /// How the user wants to be seen.
    pub status: ChosenStatus,
    /// When the token ends, seconds since 1970.
    pub token_ends: i64,
    /// How many seconds before that the client is told.
    pub warn_before: i64,
    /// Whether it was.
    pub warned: bool,
}

/// A connection.
pub struct Connection {
    /// Its id, in presence.
    pub id: ConnectionId,
    /// Its place in the core's table.
    pub slot: u32,
    /// How it speaks.
    pub transport: Transport,
    /// The socket; none while the client polls.
    pub stream: OnceCell<TcpStream>,
    /// Where it is in its life.
    pub phase: RefCell<Phase>,
    /// The streams it follows, by their places in the core's table.
    pub follows: RefCell<Vec<u32>>,
    /// What waits for the socket.
    pub outbox: RefCell<Option<Box<Outbox>>>,
    /// What is incomplete of the client's frames.
    pub decoder: RefCell<Option<Box<Decoder>>>,
    /// When something was last heard.
    pub heard: Cell<Seconds>,
    /// The silence that a ping was sent in: what was heard last before it.
    pub pinged: Cell<Seconds>,
    /// Commands under way.
    pub in_flight: Cell<u16>,
    /// Tells who waits for it that a command has been answered; made when first somebody does.
    pub answered: RefCell<Option<Rc<Notify>>>,
    /// What it is owed once it has said from where it resumes.
    pub resuming: RefCell<Option<Box<Resuming>>>,
    /// When the budget of commands is full again, in milliseconds on the core's clock (GCRA).
    pub commands_full_at: Cell<u64>,
    /// Commands that were refused in a row, because the budget was empty.
    pub commands_refused: Cell<u16>,
    /// How often it was told of a room that its user came into; tells an answer of the store from a newer truth.
    pub rooms_added: Cell<u16>,
}

/// What came of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// All of it is with the kernel.
    Whole,
    /// Something waits; the caller has a writer started when this is the first.
    Queued {
        /// Whether nothing waited before.
        first: bool,
    },
    /// Too much waits: the client is to be closed.
    TooSlow,
    /// The socket is broken; its reader will find out.
    Broken,
}

impl Connection {
    /// Who this is, once signed in.
    pub fn live(&self) -> Option<Live> {
        match &*self.phase.borrow() {
            Phase::Live(live) => Some(live.clone()),
            _ => None,
        }
    }

    /// The user, once signed in.
    pub fn user(&self) -> Option<UserId> {
        match &*self.phase.borrow() {
            Phase::Live(live) => Some(live.user),
            _ => None,
        }
    }

    /// What follows a sign-in that brings no cursors.
    pub fn after_sign_in(&self) -> After {
        match &*self.phase.borrow() {
            Phase::Anonymous { resumes: true, .. } => After::AwaitCursors,
            _ => After::Live,
        }
    }

    /// Whether events may be sent to it: a Socket.IO client has to join the namespace first.
    pub fn is_joined(&self) -> bool {
        !matches!(&*self.phase.borrow(), Phase::Anonymous { greeting: Some(_), .. })
    }

    /// Whether the client polls, at the moment.
    pub fn polls(&self) -> bool {
        self.stream.get().is_none()
    }

    /// Whether it has been told to end.
    pub fn is_closing(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Closing { .. })
    }

    /// Whether it has been told to end, and not to come again.
    pub fn is_dismissed(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Closing { may_return: false, .. })
    }

    /// Writes, straight to the socket where nothing waits. `bytes` is cloned, and the clock
    /// read, only if some of it has to wait.
    pub fn write(&self, bytes: &Bytes, now: impl FnOnce() -> Seconds, most: usize) -> Written {
        let mut outbox = self.outbox.borrow_mut();
        if let Some(outbox) = &mut *outbox {
            outbox.push(bytes.clone(), now());
            return if outbox.bytes() > most { Written::TooSlow } else { Written::Queued { first: false } };
        }
        let written = match self.stream.get().map(|stream| stream.try_write(bytes)) {
            // The next poll gets it.
            None => 0,
            Some(Ok(written)) if written == bytes.len() => return Written::Whole,
            Some(Ok(written)) => written,
            Some(Err(error)) if error.kind() == ErrorKind::WouldBlock => 0,
            Some(Err(_)) => return Written::Broken,
        };
        let mut queue = Box::new(Outbox::default());
        queue.push(bytes.slice(written..), now());
        *outbox = Some(queue);
        Written::Queued { first: true }
    }

    /// Whether more waits for this client than should.
    pub fn is_behind(&self) -> bool {
        let most = if self.polls() { POLL_BYTES } else { 0 };
        self.outbox.borrow().as_ref().is_some_and(|outbox| outbox.bytes() > most)
    }

    /// Says that the client will get nothing more, and takes nothing more than its goodbye.
    pub fn shut_down(&self, how: std::net::Shutdown) {
        if let Some(stream) = self.stream.get() {
            // A socket that is gone already is what was wanted.
            let _ = socket2::SockRef::from(stream).shutdown(how);
        }
    }

    /// Takes a place among the commands under way.
    pub fn begin(self: &Rc<Self>) -> InFlight {
        self.in_flight.set(self.in_flight.get() + 1);
        InFlight(self.clone())
    }

    /// Waits until another command may begin.
    pub async fn room(&self) {
        self.fewer_than(MAX_IN_FLIGHT).await;
    }

    /// Waits until every command has been answered.
    pub async fn idle(&self) {
        self.fewer_than(1).await;
    }

    async fn fewer_than(&self, limit: u16) {
        while self.in_flight.get() >= limit {
            let notify = self.answered.borrow_mut().get_or_insert_default().clone();
            notify.notified().await;
        }
    }
}

/// A command under way; dropping it makes room for another.
pub struct InFlight(Rc<Connection>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.set(self.0.in_flight.get() - 1);
        if let Some(notify) = &*self.0.answered.borrow() {
            notify.notify_waiters();
        }
    }
}

/// The close reasons that count as the client's or the network's doing are told apart in metrics by their label.
pub fn count_close(reason: CloseReason) {
    metrics::counter!("rookery_closes_total", "reason" => reason.as_str()).increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polling_and_greeting_take_no_room_in_a_connection() {
        assert_eq!(size_of::<OnceCell<TcpStream>>(), size_of::<TcpStream>());
        assert_eq!(size_of::<Phase>(), size_of::<Live>());
    }
}
