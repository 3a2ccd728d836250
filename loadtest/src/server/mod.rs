//! The other side of `fanout` and `idle`: one gateway in a process of its own, in front of an api that is pretended,
//! and a Redis. And the other side of `floor`: a process that does nothing but write.

mod backend;
mod child;
mod cores;
pub(crate) mod floor;
pub(crate) mod gateway;
pub(crate) mod world;

pub(crate) use self::{
    child::{Server, ServerOptions},
    cores::Cores,
};

/// What the line begins with in which a server tells its address.
const LISTENING: &str = "listening on ";
