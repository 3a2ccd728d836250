//! The tests of the api.

mod log;
mod store;
