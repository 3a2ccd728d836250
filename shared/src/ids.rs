//! Identifiers: newtypes over `UUIDv7`, and the identity of a stream.
//!
//! Time-ordered ids keep index inserts at the right edge of a B-tree. Nothing else is read out of them: no
//! decision compares the clocks of two machines.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use utoipa::ToSchema;
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(transparent)]
        #[schema(value_type = String, format = "uuid")]
        pub struct $name(pub Uuid);

        impl $name {
            /// Makes a new id.
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// The id whose bits are all zero; stands for "none" on the bus.
            pub const NIL: Self = Self(Uuid::nil());
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

id!(
    /// A user.
    UserId
);
id!(
    /// A room; a conversation is a room of exact people.
    RoomId
);
id!(
    /// A message.
    MessageId
);
id!(
    /// A session: one signed-in device, from sign-in to sign-out.
    SessionId
);
id!(
    /// A server's API key, and the author of what is sent with it as the system.
    ApiKeyId
);
id!(
    /// One socket of a client, for as long as it is open.
    ConnectionId
);
impl ConnectionId {
    /// Half of it, which is random: tells apart the connections of one user.
    pub fn tag(self) -> u64 {
        self.0.as_u64_pair().1
    }
}

id!(
    /// One life of one gateway process; a restart makes a new one.
    Incarnation
);

/// A log with dense sequence numbers: every room is one, and every user.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum StreamId {
    /// The log of a room.
    Room(RoomId),
    /// The user's own stream: rooms added and removed, sessions ended.
    User(UserId),
}

impl StreamId {
    /// The room, where this is a room's log.
    pub fn room(self) -> Option<RoomId> {
        match self {
            Self::Room(room) => Some(room),
            Self::User(_) => None,
        }
    }

    /// A gateway's own stream, on which nothing happens but probes and orders; no user has the id of an incarnation.
    pub fn of_node(node: Incarnation) -> Self {
        Self::User(UserId(node.0))
    }

    /// The bytes of the id, without the sort of stream.
    pub fn uuid(self) -> Uuid {
        match self {
            Self::Room(RoomId(id)) | Self::User(UserId(id)) => id,
        }
    }

    /// A 16-bit hash of the stream, first part of the shard key of the log's collection. FNV-1a over the 16 bytes
    /// of the id, folded to 16 bits: stable across versions and machines, as stored data depends on it.
    pub fn bucket(self) -> u16 {
        let hash = fnv1a(self.uuid().as_bytes());
        #[expect(clippy::cast_possible_truncation, reason = "the folding to 16 bits is meant")]
        let folded = (hash ^ (hash >> 16) ^ (hash >> 32) ^ (hash >> 48)) as u16;
        folded
    }
}

/// FNV-1a, 64 bit (constants from the reference by Fowler, Noll and Vo). For stable placement, not for security.
pub fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Room(id) => write!(f, "r:{id}"),
            Self::User(id) => write!(f, "u:{id}"),
        }
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no stream's name.
#[derive(Debug, thiserror::Error)]
#[error("not the name of a stream: expected r:<uuid> or u:<uuid>")]
pub struct NotAStream;

impl FromStr for StreamId {
    type Err = NotAStream;

    fn from_str(text: &str) -> Result<Self, NotAStream> {
        let (sort, id) = text.split_once(':').ok_or(NotAStream)?;
        let id = Uuid::parse_str(id).map_err(|_| NotAStream)?;
        match sort {
            "r" => Ok(Self::Room(RoomId(id))),
            "u" => Ok(Self::User(UserId(id))),
            _ => Err(NotAStream),
        }
    }
}

impl From<StreamId> for String {
    fn from(stream: StreamId) -> Self {
        stream.to_string()
    }
}

impl TryFrom<String> for StreamId {
    type Error = NotAStream;

    fn try_from(text: String) -> Result<Self, NotAStream> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_read_back_from_its_name() {
        for stream in [StreamId::Room(RoomId::new()), StreamId::User(UserId::new())] {
            assert_eq!(stream.to_string().parse::<StreamId>().ok(), Some(stream));
        }
        assert!("x:0".parse::<StreamId>().is_err());
    }

    #[test]
    fn the_bucket_of_a_stream_never_changes() {
        let id = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001);
        assert_eq!(StreamId::Room(RoomId(id)).bucket(), StreamId::User(UserId(id)).bucket());
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
    }
}
