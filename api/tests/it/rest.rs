//! REST as clients meet it.

mod accounts;
mod admin;
mod api_keys;
mod bans;
mod blocks;
mod changes;
mod contract;
mod conversations;
mod deletion;
mod description;
mod devices;
mod farewell;
mod hidden;
mod history;
mod identity;
mod invites;
mod limits;
mod members;
mod messages;
mod presence;
mod reactions;
mod reads;
mod room_changes;
mod rooms;
mod search;
mod searching;
mod sessions;
mod system;
mod users;

/// Makes two tests of each case: two apis on SQLite, and two on MongoDB.
macro_rules! on_both_stores {
    ($($case:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let store = crate::store::fixture::sqlite().await;
                super::$case(crate::harness::Cluster::with(store, 2, crate::harness::unlimited()).await).await;
            })*
        }

        mod mongo {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let store = crate::store::fixture::mongo().await;
                super::$case(crate::harness::Cluster::with(store, 2, crate::harness::unlimited()).await).await;
            })*
        }
    };
}
use on_both_stores;
