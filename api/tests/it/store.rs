//! The conformance suite: what the documentation of [`rookery_api::store::Store`] promises, run against both stores.

mod accounts;
mod changes;
mod faults;
pub(crate) mod fixture;
pub(crate) mod hooked;
mod listing;
mod log;
mod people;
mod reading;
mod records;
mod rooms;
mod words;

/// Makes one test per store of each case. A case takes the fixture with an empty store.
macro_rules! conformance {
    ($($case:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $case() {
                super::$case(crate::store::fixture::sqlite().await).await;
            })*
        }

        mod mongo {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case(crate::store::fixture::mongo().await).await;
            })*
        }
    };
}
pub(crate) use conformance;
