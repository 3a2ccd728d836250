//! Clients that cost little: they share a machine with the server that they measure.
//!
//! A connection is one task on the one thread of the load test. It reads into a buffer that all of them share and
//! looks at no more of a frame than it has to. How a frame is laid out is in [`frame`] and [`text`]; another transport
//! would have its own pair beside a [`socket::Receiver`] that stays the same.

pub(crate) mod crowd;
pub(crate) mod dial;
pub(crate) mod frame;
pub(crate) mod outgoing;
pub(crate) mod socket;
pub(crate) mod text;

pub(crate) use self::{
    dial::{Dialer, Transport},
    outgoing::Outgoing,
    socket::{Ended, Receiver, Scratch},
};
