//! Engine.IO protocol 4: the packets below Socket.IO, their two ways over the wire, and the ids of sessions.
//!
//! Everything that goes out is made as WebSocket frames, whatever the client uses at the moment. Who polls gets the
//! same frames without their heads: so a broadcast is encoded once for both, and a client that upgrades in the middle
//! of it misses nothing.

use super::websocket;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use std::{fmt, time::Duration};

/// What stands between two packets of one HTTP body.
const SEPARATOR: char = '\u{1e}';

/// What tells a client that is about to upgrade that its poll is over.
pub const NOOP: &str = "6";

/// The last packet of a session that ends for good. Some clients do not come again after it, as those of Python.
pub const CLOSE: &str = "1";

/// A ping, as a whole WebSocket frame.
pub const PING_FRAME: &[u8] = &[0x81, 1, b'2'];

/// The answer to an upgrade's probe, as a whole WebSocket frame.
pub const PROBE_ANSWER: &[u8] = &[0x81, 6, b'3', b'p', b'r', b'o', b'b', b'e'];

/// What a client sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// The session ends.
    Close,
    /// A ping; only as an upgrade's probe may a client send one.
    Ping(&'a str),
    /// The answer to a ping.
    Pong,
    /// A packet of Socket.IO.
    Message(&'a str),
    /// Binary data, in base64. What it says is never looked at.
    Binary,
    /// The upgrade is done.
    Upgrade,
    /// Means nothing: an open or a noop, which clients have no reason to send.
    Nothing,
}

/// Reads a packet; `None` if it is none.
pub fn decode(text: &str) -> Option<Packet<'_>> {
    let rest = text.get(1..);
    Some(match (text.as_bytes().first()?, rest?) {
        (b'1', _) => Packet::Close,
        (b'2', data) => Packet::Ping(data),
        (b'3', _) => Packet::Pong,
        (b'4', message) => Packet::Message(message),
        (b'5', _) => Packet::Upgrade,
        (b'0' | b'6', _) => Packet::Nothing,
        (b'b', _) => Packet::Binary,
        _ => return None,
    })
}

/// The packets of an HTTP body.
pub fn packets(body: &str) -> impl Iterator<Item = &str> {
    body.split(SEPARATOR)
}

/// Adds to an HTTP body what these WebSocket frames say. They are the server's own, and whole. The close says nothing:
/// clients that found it behind a goodbye would act on it first, so it has a body of its own ([`CLOSE`]).
pub fn put_body(mut frames: &[u8], out: &mut Vec<u8>) {
    while let Some((payload, is_text, rest)) = websocket::next_own_frame(frames) {
        frames = rest;
        if !is_text {
            continue;
        }
        if !out.is_empty() {
            out.push(SEPARATOR as u8);
        }
        out.extend_from_slice(payload);
    }
}

/// The packet that begins a session.
pub fn open_packet(sid: &str, upgrades: bool, heartbeat: Heartbeat, max_payload: usize) -> String {
    let open = serde_json::json!({
        "sid": sid,
        "upgrades": if upgrades { &["websocket"][..] } else { &[] },
        "pingInterval": millis(heartbeat.interval),
        "pingTimeout": millis(heartbeat.timeout),
        "maxPayload": max_payload,
    });
    format!("0{open}")
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// When clients are pinged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// From one ping to the next.
    pub interval: Duration,
    /// How long the answer may take.
    pub timeout: Duration,
}

/// The id of a session. Whoever knows it can read and write as its client, so it is nothing to be guessed; its last
/// byte names the core that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sid([u8; 15]);

impl Sid {
    /// A new one, on this core.
    pub fn new(core: usize) -> Self {
        let mut bytes: [u8; 15] = rand::random();
        // More cores than fit are refused at the start.
        bytes[14] = u8::try_from(core).unwrap_or(u8::MAX);
        Self(bytes)
    }

    /// Reads one.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 15];
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
        (length == bytes.len()).then_some(Self(bytes))
    }

    /// The core.
    pub fn core(self) -> usize {
        usize::from(self.0[14])
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

/// Why a request is refused, in the protocol's own numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Neither polling nor websocket.
    UnknownTransport,
    /// No such session, or no longer.
    UnknownSid,
    /// A session begins with GET.
    BadHandshakeMethod,
    /// Anything else that makes no sense.
    BadRequest,
    /// This origin may not connect.
    Forbidden,
    /// Another protocol than 4.
    UnsupportedVersion,
}

impl Refusal {
    /// HTTP status and JSON body.
    pub fn response(self) -> (u16, String) {
        let (status, code, message) = match self {
            Self::UnknownTransport => (400, 0, "Transport unknown"),
            Self::UnknownSid => (400, 1, "Session ID unknown"),
            Self::BadHandshakeMethod => (400, 2, "Bad handshake method"),
            Self::BadRequest => (400, 3, "Bad request"),
            Self::Forbidden => (403, 4, "Forbidden"),
            Self::UnsupportedVersion => (400, 5, "Unsupported protocol version"),
        };
        (status, format!("{{\"code\":{code},\"message\":\"{message}\"}}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::{BufMut as _, BytesMut};
    use proptest::prelude::*;

    #[test]
    fn a_packet_is_told_by_its_first_character() {
        let cases = [
            ("1", Some(Packet::Close)),
            ("2probe", Some(Packet::Ping("probe"))),
            ("3", Some(Packet::Pong)),
            ("42[\"a\"]", Some(Packet::Message("2[\"a\"]"))),
            ("4", Some(Packet::Message(""))),
            ("5", Some(Packet::Upgrade)),
            ("6", Some(Packet::Nothing)),
            ("bAQID", Some(Packet::Binary)),
            ("", None),
            ("7", None),
            ("a", None),
            ("é", None),
        ];
        for (text, packet) in cases {
            assert_eq!(decode(text), packet, "{text}");
        }
    }

    #[test]
    fn a_session_id_is_read_as_it_was_written_and_names_its_core() {
        let sid = Sid::new(7);
        let text = sid.to_string();
        assert_eq!((text.len(), Sid::parse(&text), sid.core()), (20, Some(sid), 7));
        for wrong in ["", "a", "aaaaaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaaaaaa", "aaaaaaaaaa/aaaaaaaaa"] {
            assert_eq!(Sid::parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_body_holds_the_texts_of_the_frames(texts in proptest::collection::vec("[ -~é]{1,300}", 1..8)) {
            let mut frames = BytesMut::new();
            for text in &texts {
                websocket::put_text_head(&mut frames, text.len());
                frames.put_slice(text.as_bytes());
            }
            let mut body = Vec::new();
            // In two pieces, as an outbox has them.
            let head = websocket::next_own_frame(&frames).map_or(0, |(_, _, rest)| frames.len() - rest.len());
            put_body(&frames[..head], &mut body);
            put_body(&frames[head..], &mut body);
            let body = String::from_utf8(body).expect("text");
            prop_assert_eq!(packets(&body).collect::<Vec<_>>(), texts);
        }
    }
}
