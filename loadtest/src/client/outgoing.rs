//! The sending side of a connection.

use super::frame;
use std::{cell::RefCell, io::ErrorKind, rc::Rc};
use tokio::{net::tcp::OwnedWriteHalf, task::spawn_local};

/// What may wait for one socket; a server that takes nothing for so long has failed the test anyway.
const MOST_WAITING: usize = 1024 * 1024;

/// The sending half. Never waits; what the socket does not take at once follows in order.
pub(crate) struct Outgoing {
    half: OwnedWriteHalf,
    waiting: RefCell<Vec<u8>>,
}

impl Outgoing {
    /// A sending half. The connection ends for the server when it is dropped.
    pub(crate) fn new(half: OwnedWriteHalf) -> Rc<Self> {
        Rc::new(Self { half, waiting: RefCell::default() })
    }

    /// Sends a frame. A broken socket is its receiver's to report.
    pub(crate) fn send(self: &Rc<Self>, opcode: u8, payload: &[u8]) {
        let mut waiting = self.waiting.borrow_mut();
        if !waiting.is_empty() {
            if waiting.len() + payload.len() < MOST_WAITING {
                frame::put_masked(opcode, payload, &mut waiting);
            }
            return;
        }
        let mut bytes = Vec::with_capacity(payload.len() + 14);
        frame::put_masked(opcode, payload, &mut bytes);
        let written = match self.half.try_write(&bytes) {
            Ok(written) => written,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(_) => return,
        };
        if written < bytes.len() {
            waiting.extend_from_slice(&bytes[written..]);
            spawn_local(self.clone().flush());
        }
    }

    /// Writes what waits, until nothing does.
    async fn flush(self: Rc<Self>) {
        while self.half.writable().await.is_ok() {
            let mut waiting = self.waiting.borrow_mut();
            match self.half.try_write(&waiting) {
                Ok(written) => drop(waiting.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
            if waiting.is_empty() {
                return;
            }
        }
    }
}
