//! Transports are codecs: what a command, a reply or an event looks like on the wire, and nothing more.
//!
//! Sessions and the hub speak in commands and events. A broadcast is encoded once for each core and
//! transport, together with what else goes out at that moment; every recipient is written the same bytes.

pub mod engineio;
pub mod socketio;
pub mod websocket;

use bytes::{BufMut, Bytes, BytesMut};
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
    /// `/socket.io/`: the same frames whether the client polls or not.
    SocketIo,
}

/// The id of a command as its transport writes it, given back as it came. `None`: no reply is wanted.
pub type CommandId<'a> = Option<&'a str>;

impl Transport {
    /// Every transport, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::WebSocket, Self::SocketIo];

    /// Its number, for tables with one place for each.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Puts an event as its followers get it. `null` data stands in for what a reader may not see.
    pub fn put_event(self, event: &Event, out: &mut BytesMut) {
        match self {
            Self::WebSocket => put_ws_event(event, out),
            Self::SocketIo => socketio::put_event(event, out),
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
            Self::SocketIo => socketio::put_frame(id, name, data, out),
        }
    }

    /// Puts an error, in answer to a command or not.
    pub fn put_error(self, id: CommandId<'_>, problem: &Problem, out: &mut BytesMut) {
        match self {
            Self::WebSocket => self.put_frame(id, "error", problem, out),
            Self::SocketIo => socketio::put_error(id, problem, out),
        }
    }

    /// Puts what says why the connection ends. `joined`: whether events may be sent to the client.
    pub fn put_close(self, reason: CloseReason, joined: bool, out: &mut BytesMut) {
        match self {
            Self::WebSocket => websocket::put_close(out, reason),
            Self::SocketIo => socketio::put_close(reason, joined, out),
        }
    }

    /// What asks a silent client whether it lives.
    pub const fn ping(self) -> &'static [u8] {
        match self {
            Self::WebSocket => websocket::PING_FRAME,
            Self::SocketIo => engineio::PING_FRAME,
        }
    }
}

/// Room for what is around the data of an event.
const AROUND_DATA: usize = 160;

/// Events for several connections: encoded when the first recipient of a transport is met, and once for each.
#[derive(Debug)]
pub struct Shared {
    events: Vec<Event>,
    frames: [Bytes; Transport::ALL.len()],
}

impl Shared {
    /// Nothing is encoded yet.
    pub fn new(events: Vec<Event>) -> Self {
        Self { events, frames: std::array::from_fn(|_| Bytes::new()) }
    }

    /// The frames as this transport has them, back to back.
    pub fn frames(&mut self, transport: Transport) -> &Bytes {
        let frames = &mut self.frames[transport.index()];
        if frames.is_empty() {
            let size = self.events.iter().map(|event| event.data.len() + AROUND_DATA).sum();
            let mut out = BytesMut::with_capacity(size);
            for event in &self.events {
                transport.put_event(event, &mut out);
            }
            *frames = out.freeze();
        }
        frames
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
    fn frames_are_made_once_for_each_transport_that_somebody_uses() {
        let header = Header::new(Kind::Message, StreamId::Room(RoomId::new()), 1);
        let mut shared = Shared::new(vec![Event { header, data: "{}".into() }; 2]);
        let first = shared.frames(Transport::SocketIo).as_ptr();
        assert_eq!(shared.frames(Transport::SocketIo).as_ptr(), first, "the same bytes");
        assert!(shared.frames[Transport::WebSocket.index()].is_empty(), "nobody asked for these");
        let ours = shared.frames(Transport::SocketIo).clone();
        assert_ne!(shared.frames(Transport::WebSocket), &ours);
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
