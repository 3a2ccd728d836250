//! The tests of the api.

mod backend;
mod cluster;
mod command;
mod harness;
mod log;
mod rest;
mod store;
mod writer;
