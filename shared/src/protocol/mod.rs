//! The vocabulary of the sockets, the same on every transport: commands, replies, errors, close reasons.
//!
//! What a frame looks like around them is the business of a transport.

pub mod close;
pub mod command;
pub mod error;
pub mod vocabulary;

pub use close::CloseReason;
pub use error::{Code, FieldError, Problem};
