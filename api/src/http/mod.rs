//! HTTP in the words of the contract: bodies, parameters, callers, and problems.

pub(crate) mod caller;
pub(crate) mod change;
pub(crate) mod extract;
pub(crate) mod guard;
pub(crate) mod problem;
pub(crate) mod scopes;

pub(crate) use caller::{Acting, Admin, Caller, MaybeActing, Visit};
pub(crate) use change::Change;
pub(crate) use extract::{Body, Id, MaybeBody, Query};
pub(crate) use problem::{ApiError, ApiResult};
