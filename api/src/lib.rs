//! The api: REST, the only writer of the store, and the one that publishes what happened.

pub mod store;
