//! The event as it travels on the bus, and as the api hands it out when a gateway fetches what it missed.
//!
//! A fixed header that a gateway reads, and behind it the `data` of the frame that clients will see, made once by
//! the api. A gateway wraps those bytes once per transport and hands them to every member; it parses nothing.
//!
//! Layout, integers big-endian: version u8 · kind u8 · stream kind u8 (0 room, 1 user) · reserved u8 · stream 16 bytes
//! · subject 16 bytes · `seq` u64 · `ref_seq` u64 · `published_at` u64 · trace id 16 bytes · span id 8 bytes · data.

use crate::ids::{RoomId, StreamId, UserId};
use bytes::{BufMut, Bytes, BytesMut};
use uuid::Uuid;

/// The version of the layout. A reader cannot read events of a version that it does not know, so a new
/// version is written only when every gateway knows it.
pub const VERSION: u8 = 1;

/// Bytes before the data.
pub const HEADER_BYTES: usize = 84;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $byte:literal, $type:literal;)*) => {
        /// What an event reports. The byte travels on the bus and is stored with the log, so it never changes.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        #[repr(u8)]
        pub enum Kind { $($(#[$doc])* $name = $byte,)* }

        impl Kind {
            /// The event's name in frames.
            pub const fn event_type(self) -> &'static str {
                match self { $(Self::$name => $type,)* }
            }

            /// The kind with this byte.
            pub const fn from_byte(byte: u8) -> Option<Self> {
                match byte { $($byte => Some(Self::$name),)* 1..32 => Some(Self::Unknown), _ => None }
            }

            /// Every kind there is.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
        }
    };
}

kinds! {
    /// A message. Durable, of a room; subject: its author.
    Message = 1, "new_message";
    /// A message was edited, reacted to, pinned. Durable, of a room; `ref_seq`: the message's place.
    MessageUpdated = 2, "message_updated";
    /// A message became a tombstone. Durable, of a room; `ref_seq`: the message's place.
    MessageDeleted = 3, "message_deleted";
    /// Someone became a member. Durable, of a room; subject: that user.
    UserJoined = 4, "user_joined";
    /// Someone is a member no longer. Durable, of a room; subject: that user.
    UserLeft = 5, "user_left";
    /// Name, description or another property changed, or a member's role. Durable, of a room; subject: that member; nil
    /// where the room itself changed.
    RoomUpdated = 6, "room_updated";
    /// The user is in one more room. Durable, of a user; subject: the room; `ref_seq`: the place of the user's
    /// `user_joined` in the room's log, from which on the user's connections follow it.
    RoomAdded = 16, "room_added";
    /// The user is out of a room. Durable, of a user; subject: the room; `ref_seq`: the place of `user_left`.
    RoomRemoved = 17, "room_removed";
    /// A room of the user was deleted. Durable, of a user; subject: the room.
    RoomDeleted = 18, "room_deleted";
    /// A session of the user ended. Durable, of a user; subject: the session; nil for all of them.
    SessionEnded = 19, "session_ended";
    /// An entry of a kind that this build is too old to know. It keeps its place in the log: a gateway that is upgraded
    /// later than the apis must not see a hole.
    Unknown = 31, "unknown";
    /// Someone types. Ephemeral, of a room; subject: who; `ref_seq` 1 begins, 0 ends.
    UserTyping = 32, "user_typing";
    /// Someone's presence changed. Ephemeral, of a room; subject: who.
    UserStatus = 33, "user_status";
    /// Someone read up to a message. Ephemeral, of a room, or of the reader alone where the room is large; subject: who;
    /// `ref_seq`: the tag of the connection that said so ([`crate::ids::ConnectionId::tag`]), which has its reply and is
    /// not told; 0 for none.
    MessageRead = 34, "message_read";
    /// An order to gateways: close connections of this user. Ephemeral, of a user; subject: the connection, nil for all
    /// of them; `ref_seq`: the code of the close reason. Never written to clients.
    CloseConnection = 35, "close_connection";
    /// An order to one gateway: drain. Ephemeral, of the node's own stream. Never written to clients.
    DrainNode = 36, "drain_node";
}

impl Kind {
    /// Whether this is an order to gateways, which no client ever sees.
    pub const fn is_order(self) -> bool {
        matches!(self, Self::CloseConnection | Self::DrainNode)
    }

    /// Whether events of this kind are entries of a log, with a `seq`.
    pub const fn is_durable(self) -> bool {
        (self as u8) < 32
    }

    /// Whether entries of this kind change an earlier message, at `ref_seq`, and bring its state of now.
    pub const fn changes_message(self) -> bool {
        matches!(self, Self::MessageUpdated | Self::MessageDeleted)
    }
}

/// The part of an event that a gateway reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// What happened.
    pub kind: Kind,
    /// Whose log or audience it belongs to.
    pub stream: StreamId,
    /// Place in the log; 0 for ephemeral events.
    pub seq: u64,
    /// The place that the entry refers to, as the kind says; 0 for none.
    pub ref_seq: u64,
    /// Whom or what it is about, as the kind says; nil for none.
    pub subject: Uuid,
    /// When it was handed to the bus, microseconds since 1970. For measuring only. 0 when it was fetched.
    pub published_at: u64,
    /// Trace and span that it comes from (W3C trace context); zeros for none.
    pub trace: ([u8; 16], [u8; 8]),
}

impl Header {
    /// A header with nothing but kind, stream and place.
    pub const fn new(kind: Kind, stream: StreamId, seq: u64) -> Self {
        Self { kind, stream, seq, ref_seq: 0, subject: Uuid::nil(), published_at: 0, trace: ([0; 16], [0; 8]) }
    }

    /// Whether the entry is its number and nothing else to a reader who may see the log from a place on: it changes a
    /// message from before.
    pub const fn is_hidden(&self, from: u64) -> bool {
        self.kind.changes_message() && self.ref_seq < from
    }
}

/// An event: header, and the JSON text of `data`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// What a gateway reads.
    pub header: Header,
    /// The JSON text that becomes the frame's `data`.
    pub data: Bytes,
}

/// Why bytes are not an event.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Malformed {
    /// Shorter than a header.
    #[error("an event needs at least {HEADER_BYTES} bytes")]
    Short,
    /// From a newer or foreign writer.
    #[error("unknown version {0}")]
    Version(u8),
    /// An ephemeral kind that this build does not know.
    #[error("unknown kind {0}")]
    Kind(u8),
    /// Neither a room's nor a user's.
    #[error("unknown sort of stream {0}")]
    Stream(u8),
}

impl Event {
    /// The bytes that travel.
    pub fn encode(&self) -> Bytes {
        let header = &self.header;
        let mut out = BytesMut::with_capacity(HEADER_BYTES + self.data.len());
        out.put_u8(VERSION);
        out.put_u8(header.kind as u8);
        out.put_u8(u8::from(matches!(header.stream, StreamId::User(_))));
        out.put_u8(0);
        out.put_slice(header.stream.uuid().as_bytes());
        out.put_slice(header.subject.as_bytes());
        out.put_u64(header.seq);
        out.put_u64(header.ref_seq);
        out.put_u64(header.published_at);
        out.put_slice(&header.trace.0);
        out.put_slice(&header.trace.1);
        debug_assert_eq!(out.len(), HEADER_BYTES);
        out.put_slice(&self.data);
        out.freeze()
    }

    /// Reads an event; its data shares the bytes given.
    pub fn decode(mut bytes: Bytes) -> Result<Self, Malformed> {
        if bytes.len() < HEADER_BYTES {
            return Err(Malformed::Short);
        }
        let data = bytes.split_off(HEADER_BYTES);
        if bytes[0] != VERSION {
            return Err(Malformed::Version(bytes[0]));
        }
        let kind = Kind::from_byte(bytes[1]).ok_or(Malformed::Kind(bytes[1]))?;
        let id = Uuid::from_bytes(array(&bytes[4..20]));
        let stream = match bytes[2] {
            0 => StreamId::Room(RoomId(id)),
            1 => StreamId::User(UserId(id)),
            other => return Err(Malformed::Stream(other)),
        };
        let header = Header {
            kind,
            stream,
            subject: Uuid::from_bytes(array(&bytes[20..36])),
            seq: u64::from_be_bytes(array(&bytes[36..44])),
            ref_seq: u64::from_be_bytes(array(&bytes[44..52])),
            published_at: u64::from_be_bytes(array(&bytes[52..60])),
            trace: (array(&bytes[60..76]), array(&bytes[76..84])),
        };
        Ok(Self { header, data })
    }
}

/// The first N bytes of a slice that the caller has measured.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[..N]);
    out
}

/// Puts events behind one another, each after its length (u32), for one HTTP body.
pub fn encode_list<'a>(events: impl IntoIterator<Item = &'a Event>) -> Bytes {
    let mut out = BytesMut::new();
    for event in events {
        let bytes = event.encode();
        out.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        out.put_slice(&bytes);
    }
    out.freeze()
}

/// Reads what [`encode_list`] wrote.
pub fn decode_list(mut bytes: Bytes) -> Result<Vec<Event>, Malformed> {
    let mut events = Vec::new();
    while !bytes.is_empty() {
        if bytes.len() < 4 {
            return Err(Malformed::Short);
        }
        let length = u32::from_be_bytes(array(&bytes.split_to(4))) as usize;
        if bytes.len() < length {
            return Err(Malformed::Short);
        }
        events.push(Event::decode(bytes.split_to(length))?);
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn events() -> impl Strategy<Value = Event> {
        (0..Kind::ALL.len(), any::<bool>(), any::<[u8; 16]>(), any::<[u8; 16]>(), any::<[u64; 3]>(), any::<Vec<u8>>())
            .prop_map(|(kind, user, id, subject, [seq, ref_seq, published_at], data)| {
                let id = Uuid::from_bytes(id);
                let stream = if user { StreamId::User(UserId(id)) } else { StreamId::Room(RoomId(id)) };
                Event {
                    header: Header {
                        ref_seq,
                        subject: Uuid::from_bytes(subject),
                        published_at,
                        trace: (subject, [7; 8]),
                        ..Header::new(Kind::ALL[kind], stream, seq)
                    },
                    data: data.into(),
                }
            })
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(list in proptest::collection::vec(events(), 0..5)) {
            prop_assert_eq!(decode_list(encode_list(&list)).expect("decodes"), list);
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(bytes: Vec<u8>) {
            let _ = Event::decode(bytes.clone().into());
            let _ = decode_list(bytes.into());
        }
    }
}
