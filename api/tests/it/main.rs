//! The tests of the api.

mod store;
