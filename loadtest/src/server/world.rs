//! The users and rooms of a pretended api. They exist by their numbers alone, so that clients and gateway agree on
//! them without telling each other.

use anyhow::Result;
use clap::Args;
use rookery_shared::{
    ids::{RoomId, SessionId, UserId},
    token::{Claims, TokenIssuer},
};
use std::time::Duration;
use uuid::Uuid;

/// What ids of users and rooms begin with: the form of version 7, and a time of no importance.
const USERS: u128 = 0x0190_0000_0000_7000_8000_0000_0000_0000;
const ROOMS: u128 = 0x0190_0000_0001_7000_8000_0000_0000_0000;

/// How long a token holds: longer than any run.
const TOKEN_LIFE: Duration = Duration::from_hours(24);

/// Rooms of equal size, one after the other; every user is in one of them.
#[derive(Args, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct World {
    /// Members of a room.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) members: u32,
}

impl World {
    /// The user with this number.
    #[expect(clippy::unused_self, reason = "what a user is belongs to the world that they are in")]
    pub(crate) fn user(self, number: usize) -> UserId {
        UserId(Uuid::from_u128(USERS | number as u128))
    }

    /// The number of a user; `None` for someone of another world.
    #[expect(clippy::unused_self, reason = "what a user is belongs to the world that they are in")]
    pub(crate) fn number_of(self, user: UserId) -> Option<usize> {
        usize::try_from(user.0.as_u128() ^ USERS).ok()
    }

    /// The number of the room that a user is in.
    pub(crate) fn room_number(self, user: usize) -> usize {
        user / self.members as usize
    }

    /// The room with this number.
    #[expect(clippy::unused_self, reason = "what a room is belongs to the world that it is in")]
    pub(crate) fn room(self, number: usize) -> RoomId {
        RoomId(Uuid::from_u128(ROOMS | number as u128))
    }

    /// A token of a user, for a session of its own.
    pub(crate) fn token(self, issuer: &TokenIssuer, user: usize) -> Result<String> {
        Ok(issuer.issue(&Claims::new(self.user(user), SessionId::new(), TOKEN_LIFE))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_back_and_fill_one_room_after_the_other() {
        let world = World { members: 5 };
        assert_eq!(world.number_of(world.user(12_345)), Some(12_345));
        assert_eq!(world.number_of(UserId::NIL), None);
        assert_eq!([4, 5, 9, 10].map(|user| world.room_number(user)), [0, 1, 1, 2]);
        assert_ne!(world.room(1), world.room(2));
    }
}
