//! Search: what messages are found by, and what becomes of a query.
//!
//! One tokenizer serves both stores, messages and queries. The store keeps words and matches them; which messages answer,
//! how well, and what to highlight is decided here, on the content of now. This module checks no membership.

mod checkpoint;
mod indexer;
mod query;
mod queue;
mod tokens;

pub use indexer::IndexerConfig;
pub(crate) use indexer::{Indexer, indexed};
pub(crate) use query::{Highlight, Query};
use tokens::words;
