//! The api: REST, the only writer of the store, and the one that publishes what happened.

mod cache;
mod problem;
pub mod publisher;
mod reader;
mod render;
pub mod store;
pub mod writer;
