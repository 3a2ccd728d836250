//! Transports are codecs: what a command, a reply or an event looks like on the wire, and nothing more.
//!
//! Sessions and the hub speak in commands and events. A broadcast is encoded once per transport and node; every
//! recipient of that transport is written the same bytes.

pub mod websocket;

use bytes::{BufMut, BytesMut};
use rookery_shared::{
    envelope::Event,
    ids::StreamId,
    protocol::{CloseReason, Problem},
};
use serde::Serialize;
use std::io::Write as _;

/// The transports there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// `/ws`: a JSON text frame each.
    WebSocket,
}

/// The id of a command as the client gave it: JSON, given back as it came. `None`: no reply is wanted.
pub type CommandId<'a> = Option<&'a str>;

impl Transport {
    /// Every transport, in the order of their numbers.
    pub const ALL: [Self; 1] = [Self::WebSocket];

    /// Its number, for tables with one place for each.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Puts an event as its followers get it. `null` data stands in for what a reader may not see.
    pub fn put_event(self, event: &Event, out: &mut BytesMut) {
        match self {
            Self::WebSocket => put_ws_event(event, out),
        }
    }

    /// Puts a frame of the server's own: a reply (`id` of its command) or an event without a place in a log.
    pub fn put_frame(self, id: CommandId<'_>, name: &str, data: &impl Serialize, out: &mut BytesMut) {
        match self {
            Self::WebSocket => {
                let mut body = Vec::with_capacity(256);
                body.push(b'{');
                if let Some(id) = id {
                    body.extend_from_slice(b"\"id\":");
                    body.extend_from_slice(id.as_bytes());
                    body.push(b',');
                }
                body.extend_from_slice(b"\"type\":\"");
                body.extend_from_slice(name.as_bytes());
                body.extend_from_slice(b"\",\"data\":");
                if let Err(error) = serde_json::to_writer(&mut body, data) {
                    tracing::error!(%error, name, "a frame could not be encoded");
                    return;
                }
                body.push(b'}');
                websocket::put_text_head(out, body.len());
                out.put_slice(&body);
            }
        }
    }

    /// Puts an error, in answer to a command or not.
    pub fn put_error(self, id: CommandId<'_>, problem: &Problem, out: &mut BytesMut) {
        self.put_frame(id, "error", problem, out);
    }

    /// Puts what says why the connection ends.
    pub fn put_close(self, reason: CloseReason, out: &mut BytesMut) {
        match self {
            Self::WebSocket => websocket::put_close(out, reason),
        }
    }

    /// What asks a silent client whether it lives.
    pub const fn ping(self) -> &'static [u8] {
        match self {
            Self::WebSocket => websocket::PING_FRAME,
        }
    }
}

/// `{"type":…,"roomId":…,"seq":…,"data":…}`, with the parts that do not apply left out.
fn put_ws_event(event: &Event, out: &mut BytesMut) {
    // Name, room id and number fit with room to spare; the head is written on the stack so that its length is known
    // before the frame's.
    let mut head = [0_u8; 128];
    let mut cursor = std::io::Cursor::new(&mut head[..]);
    let header = &event.header;
    let written = write!(cursor, "{{\"type\":\"{}\"", header.kind.event_type())
        .and_then(|()| match header.stream {
            StreamId::Room(room) if header.kind.is_durable() => write!(cursor, ",\"roomId\":\"{room}\""),
            _ => Ok(()),
        })
        .and_then(|()| if header.kind.is_durable() { write!(cursor, ",\"seq\":{}", header.seq) } else { Ok(()) })
        .and_then(|()| cursor.write_all(b",\"data\":"));
    debug_assert!(written.is_ok(), "the head of an event fits");
    let length = usize::try_from(cursor.position()).unwrap_or(0);
    websocket::put_text_head(out, length + event.data.len() + 1);
    out.put_slice(&head[..length]);
    out.put_slice(&event.data);
    out.put_u8(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use rookery_shared::{
        envelope::{Header, Kind},
        ids::{RoomId, UserId},
    };

    fn frame(kind: Kind, stream: StreamId) -> serde_json::Value {
        let event = Event { header: Header::new(kind, stream, 42), data: "{\"a\":1}".into() };
        let mut out = BytesMut::new();
        Transport::WebSocket.put_event(&event, &mut out);
        assert_eq!(usize::from(out[1]), out.len() - 2, "the head tells the length");
        serde_json::from_slice(&out[2..]).expect("JSON")
    }

    #[test]
    fn a_durable_event_tells_its_place_and_an_ephemeral_one_has_none() {
        let room = RoomId::new();
        let value = frame(Kind::Message, StreamId::Room(room));
        assert_eq!(value, serde_json::json!({"type": "new_message", "roomId": room, "seq": 42, "data": {"a": 1}}));
        let value = frame(Kind::RoomAdded, StreamId::User(UserId::new()));
        assert_eq!(value, serde_json::json!({"type": "room_added", "seq": 42, "data": {"a": 1}}));
        let value = frame(Kind::UserTyping, StreamId::Room(room));
        assert_eq!(value, serde_json::json!({"type": "user_typing", "data": {"a": 1}}));
    }
}
