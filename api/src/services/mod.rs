//! What the api does, apart from HTTP: one file per area, each an `impl` of [`crate::Api`].

pub(crate) mod accounts;
pub(crate) mod api_keys;
mod backend;
pub(crate) mod bans;
pub(crate) mod blocks;
pub(crate) mod changes;
pub(crate) mod conversations;
pub(crate) mod credentials;
pub(crate) mod devices;
pub(crate) mod facts;
mod farewell;
pub(crate) mod hidden;
mod identity;
pub(crate) mod invites;
pub(crate) mod members;
pub(crate) mod messages;
pub(crate) mod operators;
pub(crate) mod presence;
pub(crate) mod purge;
pub(crate) mod reactions;
pub(crate) mod reads;
pub(crate) mod room_changes;
pub(crate) mod rooms;
pub(crate) mod search;
pub(crate) mod send;
pub(crate) mod sessions;
pub(crate) mod users;

use rookery_shared::{
    ids::{RoomId, UserId},
    limits::{Limit, Take},
};
use std::net::IpAddr;

/// The keys of everything that is limited across the cluster.
pub(crate) mod limit_keys {
    use super::{IpAddr, Limit, RoomId, Take, UserId};
    use crate::address;
    use sha2::{Digest as _, Sha256};
    use std::fmt::Write as _;

    /// A message of a user in a room; its token is what makes it a message of its own.
    pub(crate) fn message(user: UserId, room: RoomId, token: String, limit: Limit) -> Take {
        Take { key: format!("message:{user}:{room}"), token, limit }
    }

    /// A try to sign in or to register.
    pub(crate) fn sign_in(from: IpAddr, limit: Limit) -> Take {
        Take { key: format!("sign-in:{}", address::limited(from)), token: fresh(), limit }
    }

    /// An account that is not there, which someone tries to sign in to. What they typed may be anything, the look of
    /// another key included, so that only its hash becomes part of one. It is not the text of an id either.
    pub(crate) fn account(typed: &str) -> String {
        Sha256::digest(typed.as_bytes()).iter().fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// A failure to sign in to an account from an address.
    pub(crate) fn failed_sign_in(account: &str, from: IpAddr, limit: Limit) -> Take {
        Take { key: format!("failed-from:{}:{account}", address::limited(from)), token: fresh(), limit }
    }

    /// A failure to sign in to an account from anywhere.
    pub(crate) fn failed_sign_in_account(account: &str, limit: Limit) -> Take {
        Take { key: format!("failed-anywhere:{account}"), token: fresh(), limit }
    }

    /// A token of something that is never repeated.
    fn fresh() -> String {
        uuid::Uuid::new_v4().simple().to_string()
    }
}
