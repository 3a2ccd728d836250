//! The backends against real servers, and every implementation of a trait against the same suite.

mod starters;
