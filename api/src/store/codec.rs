//! How both stores write the words of the domain: enums as small integers, numbers as the signed ones of databases.

use super::{StoreError, records::Area, rows::Mute};
use rookery_shared::{
    clock::Time,
    envelope::Kind,
    model::{ChosenStatus, HistoryFrom, MemberRole, MessageType, Role, RoomType, UserType, Visibility},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{collections::HashMap, hash::Hash};

/// Stored data that this build cannot read.
#[derive(Debug, thiserror::Error)]
#[error("stored data cannot be read: {0}")]
pub(crate) struct Unreadable(pub(crate) &'static str);

impl From<Unreadable> for StoreError {
    fn from(unreadable: Unreadable) -> Self {
        Self::Failed(unreadable.to_string())
    }
}

/// A word that is stored as a number. The numbers never change, as stored data depends on them; integers rather than
/// words, as every message carries some.
pub(crate) trait Code: Copy + Sized {
    /// The number that is stored.
    fn code(self) -> i32;

    /// The word behind a number.
    fn from_code(code: i64) -> Result<Self, Unreadable>;
}

macro_rules! codes {
    ($($word:ident { $($name:ident = $code:literal),* $(,)? })*) => {$(
        impl Code for $word {
            fn code(self) -> i32 {
                match self { $(Self::$name => $code,)* }
            }

            fn from_code(code: i64) -> Result<Self, Unreadable> {
                match code { $($code => Ok(Self::$name),)* _ => Err(Unreadable(stringify!($word))) }
            }
        }
    )*};
}

codes! {
    UserType { Consumer = 1, Support = 2 }
    Role { User = 1, Admin = 2 }
    RoomType { Room = 1, ConsumerToConsumer = 2, ConsumerToSupport = 3 }
    Visibility { Public = 1, Private = 2 }
    HistoryFrom { Start = 1, Join = 2 }
    MemberRole { Member = 1, Moderator = 2, Owner = 3 }
    ChosenStatus { Online = 1, Away = 2, Busy = 3, Invisible = 4 }
    Area { Ban = 1, Invite = 2, Block = 3, ApiKey = 4, Identity = 5, Reaction = 6, Indexer = 7 }
    MessageType { Text = 1, Image = 2, File = 3, Audio = 4, System = 5 }
}

impl Code for Kind {
    fn code(self) -> i32 {
        i32::from(self as u8)
    }

    fn from_code(code: i64) -> Result<Self, Unreadable> {
        u8::try_from(code).ok().and_then(Self::from_byte).ok_or(Unreadable("Kind"))
    }
}

/// A place or version as databases hold it. What no log can reach stands for the farthest place.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A stored place or version.
pub(crate) fn unsigned(number: i64) -> Result<u64, Unreadable> {
    u64::try_from(number).map_err(|_| Unreadable("a negative number"))
}

/// Small parts of a row that nothing ever searches in, as JSON text.
pub(crate) fn to_json<T: Serialize>(part: Option<&T>) -> Result<Option<String>, StoreError> {
    part.map(serde_json::to_string).transpose().map_err(|error| StoreError::Failed(error.to_string()))
}

/// What [`to_json`] wrote.
pub(crate) fn from_json<T: DeserializeOwned>(text: Option<&str>) -> Result<Option<T>, Unreadable> {
    text.map(serde_json::from_str).transpose().map_err(|_| Unreadable("JSON"))
}

/// How a mute is stored: until when, or as far as times go.
pub(crate) fn mute_code(mute: Option<Mute>) -> Option<i64> {
    mute.map(|mute| match mute {
        Mute::ForGood => i64::MAX,
        Mute::Until(until) => until.0,
    })
}

/// What [`mute_code`] wrote.
pub(crate) fn mute_of(code: Option<i64>) -> Option<Mute> {
    code.map(|until| if until == i64::MAX { Mute::ForGood } else { Mute::Until(Time(until)) })
}

/// Puts what a store found into the order that was asked for.
pub(crate) fn in_order<K: Eq + Hash, V: Clone>(
    asked: impl IntoIterator<Item = K>,
    found: &HashMap<K, V>,
) -> Vec<Option<V>> {
    asked.into_iter().map(|key| found.get(&key).cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read_back_from_its_number() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_code(i64::from(kind.code())).ok(), Some(*kind));
        }
        assert!(Kind::from_code(0).is_err());
        assert!(Kind::from_code(1 << 40).is_err());
    }
}
