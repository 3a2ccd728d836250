//! The tests of the api.

mod backend;
mod cluster;
mod harness;
mod log;
mod rest;
mod store;
mod writer;
