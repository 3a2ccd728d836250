//! The api: REST, the only writer of the store, and the one that publishes what happened.

mod actor;
mod address;
mod app;
mod asyncapi;
mod cache;
pub mod command;
pub mod config;
mod emoji;
mod http;
mod identity;
mod measured;
mod openapi;
mod paging;
mod password;
mod power;
mod problem;
pub mod publisher;
mod reader;
mod render;
mod requests;
mod routes;
mod run;
mod search;
mod services;
pub mod store;
mod text;
pub mod writer;

pub use address::Network;
pub use app::{Api, Parts};
pub use run::{StartError, run};
pub use search::IndexerConfig;
