//! From the store's errors to what a client may know of them.

use crate::store::StoreError;
use rookery_shared::protocol::{Code, Problem};

/// What a client sees of an error of the store. This is the boundary at which it is logged.
pub(crate) fn store(error: StoreError) -> Problem {
    match error {
        StoreError::Unavailable(reason) => {
            tracing::warn!(%reason, "the store is not available");
            Code::Unavailable.into()
        }
        StoreError::Taken(what) => {
            // Services turn the expected ones into problems of their own before they get here.
            tracing::error!(%what, "something unique is taken where nobody expected it");
            Code::Conflict.into()
        }
        StoreError::Stale(what) => {
            tracing::error!(%what, "something changed where nobody expected it");
            Code::Conflict.into()
        }
        StoreError::Failed(reason) => {
            tracing::error!(%reason, "the store failed");
            Code::Internal.into()
        }
    }
}
