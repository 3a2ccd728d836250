//! HTTP in the words of the contract: bodies, parameters, callers, and problems.

pub(crate) mod caller;
pub(crate) mod change;
pub(crate) mod extract;
pub(crate) mod guard;
pub(crate) mod problem;

pub(crate) use caller::{Acting, Caller, MaybeCaller, Visit};
pub(crate) use extract::{Body, Id, MaybeBody, Query};
pub(crate) use problem::{ApiError, ApiResult};
