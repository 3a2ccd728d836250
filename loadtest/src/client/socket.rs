//! The receiving side of a connection.

use super::{
    frame::{self, CLOSE, PING, PONG, TEXT, whole_frames},
    outgoing::Outgoing,
    text,
};
use anyhow::{Result, bail, ensure};
use std::{
    cell::RefCell,
    fmt,
    future::poll_fn,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead as _, ReadBuf},
    net::tcp::OwnedReadHalf,
};

/// Bytes that are read at once. Small enough for a cache, large enough for all that a flush holds.
const READ_BYTES: usize = 128 * 1024;

/// The longest frame that may be cut by the end of a read.
const LONGEST_FRAME: usize = 128 * 1024;

/// The buffer that all connections read into. What is left of a frame is copied in front of what comes next, so that
/// frames are always found in one piece.
#[derive(Clone)]
pub(crate) struct Scratch(Rc<RefCell<Box<[u8]>>>);

impl Scratch {
    /// A buffer.
    pub(crate) fn new() -> Self {
        Self(Rc::new(RefCell::new(vec![0; LONGEST_FRAME + READ_BYTES].into_boxed_slice())))
    }
}

/// What a connection does with what comes.
pub(crate) trait Receiver {
    /// A text frame came.
    fn text(&mut self, payload: &[u8]);

    /// All frames of one read were handed over.
    fn read_ended(&mut self) {}
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The server said why.
    Closed(u16),
    /// It was simply gone.
    Gone,
    /// The socket failed.
    Failed(io::ErrorKind),
    /// Bytes came that are no frames of ours.
    Foreign,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(code) => write!(f, "closed with {code}"),
            Self::Gone => f.write_str("closed without a word"),
            Self::Failed(kind) => write!(f, "failed: {kind}"),
            Self::Foreign => f.write_str("sent something that is no frame"),
        }
    }
}

/// The receiving half.
pub(crate) struct Incoming {
    half: OwnedReadHalf,
    /// What was read and not handed out: part of a frame, or all that came with the end of signing in.
    left: Vec<u8>,
}

impl Incoming {
    /// A receiving half of which these bytes were read already.
    pub(crate) fn new(half: OwnedReadHalf, early: &[u8]) -> Self {
        Self { half, left: early.to_vec() }
    }

    /// Waits for the answer that ends signing in. What came behind it is kept.
    pub(crate) async fn authenticated(&mut self, scratch: &Scratch) -> Result<()> {
        loop {
            let Ok(first) = frame::first(&self.left) else { bail!("the sign-in was answered with no frame of ours") };
            if let Some((frame, taken)) = first {
                let done = match frame.opcode {
                    TEXT if text::is_authenticated(frame.payload) => true,
                    TEXT if text::begins_socketio(frame.payload) => false,
                    TEXT => bail!("the sign-in was answered with {}", String::from_utf8_lossy(frame.payload)),
                    CLOSE => bail!("the sign-in was answered with close {}", frame::close_code(frame.payload)),
                    _ => false,
                };
                self.left.drain(..taken);
                if done {
                    return Ok(());
                }
                continue;
            }
            let count = self.fill(scratch).await?;
            ensure!(count > 0, "closed during sign-in");
            self.left.extend_from_slice(&scratch.0.borrow()[LONGEST_FRAME..LONGEST_FRAME + count]);
        }
    }

    /// Receives until the connection ends. Pings are answered.
    pub(crate) async fn run(mut self, scratch: Scratch, outgoing: Rc<Outgoing>, mut receiver: impl Receiver) -> Ended {
        let mut count = 0;
        loop {
            // Nothing is waited for between a read and this: the shared buffer still holds what was read.
            if let Some(ended) = self.hand_out(&scratch, count, &outgoing, &mut receiver) {
                return ended;
            }
            count = match self.fill(&scratch).await {
                Ok(0) => return Ended::Gone,
                Ok(count) => count,
                Err(error) => return Ended::Failed(error.kind()),
            };
        }
    }

    /// Hands out what is whole of what was left and of the `count` bytes that were just read.
    fn hand_out(
        &mut self,
        scratch: &Scratch,
        count: usize,
        outgoing: &Rc<Outgoing>,
        receiver: &mut impl Receiver,
    ) -> Option<Ended> {
        let mut buffer = scratch.0.borrow_mut();
        let Some(start) = LONGEST_FRAME.checked_sub(self.left.len()) else { return Some(Ended::Foreign) };
        buffer[start..LONGEST_FRAME].copy_from_slice(&self.left);
        let bytes = &buffer[start..LONGEST_FRAME + count];
        let mut ended = None;
        let used = whole_frames(bytes, |frame| match frame.opcode {
            TEXT if frame.payload == text::SOCKETIO_PING => outgoing.send(TEXT, text::SOCKETIO_PONG),
            TEXT => receiver.text(frame.payload),
            PING => outgoing.send(PONG, frame.payload),
            CLOSE => ended = Some(Ended::Closed(frame::close_code(frame.payload))),
            _ => {}
        });
        receiver.read_ended();
        match used {
            Ok(used) => {
                self.left.clear();
                self.left.extend_from_slice(&bytes[used..]);
                ended
            }
            Err(frame::Foreign) => Some(Ended::Foreign),
        }
    }

    /// Reads into the shared buffer, behind the place for what was left.
    async fn fill(&mut self, scratch: &Scratch) -> io::Result<usize> {
        poll_fn(|cx| self.poll_fill(cx, scratch)).await
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>, scratch: &Scratch) -> Poll<io::Result<usize>> {
        let mut buffer = scratch.0.borrow_mut();
        let mut space = ReadBuf::new(&mut buffer[LONGEST_FRAME..]);
        // In contrast to `try_read` this knows that a socket which did not fill the space is empty, and spares the
        // call that would only say so.
        ready!(Pin::new(&mut self.half).poll_read(cx, &mut space))?;
        Poll::Ready(Ok(space.filled().len()))
    }
}
