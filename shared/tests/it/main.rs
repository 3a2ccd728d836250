//! The backends against real servers, and every implementation of a trait against the same suite.

mod bus;
mod bus_redis;
mod examples;
mod harness;
mod limits;
mod presence;
mod starters;
