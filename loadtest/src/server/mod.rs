//! The other side of `fanout` and `idle`: one gateway in a process of its own, in front of an api that is pretended,
//! and a Redis.

mod backend;
mod child;
pub(crate) mod gateway;
pub(crate) mod world;

pub(crate) use self::child::{Server, ServerOptions};
