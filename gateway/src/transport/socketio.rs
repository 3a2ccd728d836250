//! Socket.IO protocol 5: what is inside of Engine.IO's messages.
//!
//! An event is `[type, data, {roomId, seq}]`, a reply goes to the acknowledgement that the client asked for, or comes
//! as an event. What a command means is none of this module's business.

use super::websocket;
use bytes::{BufMut, BytesMut};
use rookery_shared::{
    envelope::Event,
    ids::StreamId,
    protocol::{CloseReason, Code, Problem},
};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{fmt, io::Write as _};

/// The id of a command whose client wants no acknowledgement: the reply comes as an event.
pub const NO_ACK: &str = "";

/// The id of the sign-in that a CONNECT asks for: `authenticated` is preceded by the answer to it, an error is one.
pub const CONNECTING: &str = "connect";

/// The most digits that the id of an acknowledgement may have: more would not survive a JavaScript number.
const LONGEST_ACK: usize = 15;

/// The sort of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// A client joins a namespace.
    Connect,
    /// It leaves it.
    Disconnect,
    /// A command.
    Event,
    /// The answer to an event of ours.
    Ack,
    /// What only a server sends.
    ConnectError,
}

/// A packet that a client sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Its sort.
    pub sort: Sort,
    /// How many binary attachments come behind it.
    pub attachments: u32,
    /// The namespace, without what a URL has behind it.
    pub namespace: &'a str,
    /// The digits of the acknowledgement that is asked for, or given.
    pub ack: Option<&'a str>,
    /// JSON, not yet looked at.
    pub data: Option<&'a str>,
}

/// Bytes that are no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Reads a packet. Its data is known to be there where it has to be, not to be JSON.
pub fn decode(text: &str) -> Result<Packet<'_>, Malformed> {
    let (sort, binary) = match text.as_bytes().first() {
        Some(b'0') => (Sort::Connect, false),
        Some(b'1') => (Sort::Disconnect, false),
        Some(b'2') => (Sort::Event, false),
        Some(b'3') => (Sort::Ack, false),
        Some(b'4') => (Sort::ConnectError, false),
        Some(b'5') => (Sort::Event, true),
        Some(b'6') => (Sort::Ack, true),
        _ => return Err(Malformed),
    };
    let mut rest = text.get(1..).ok_or(Malformed)?;
    let mut attachments = 0;
    if binary {
        let (count, behind) = rest.split_once('-').ok_or(Malformed)?;
        if count.is_empty() || !count.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(Malformed);
        }
        attachments = count.parse().map_err(|_| Malformed)?;
        if attachments == 0 {
            return Err(Malformed);
        }
        rest = behind;
    }
    let mut namespace = "/";
    if rest.starts_with('/') {
        (namespace, rest) = rest.split_once(',').unwrap_or((rest, ""));
        namespace = namespace.split_once('?').map_or(namespace, |(path, _)| path);
    }
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    if digits > LONGEST_ACK {
        return Err(Malformed);
    }
    let (ack, data) = rest.split_at(digits);
    let (ack, data) = ((!ack.is_empty()).then_some(ack), (!data.is_empty()).then_some(data));
    let first = data.and_then(|data| data.bytes().next());
    let fits = match sort {
        Sort::Connect => matches!(first, None | Some(b'{')),
        Sort::Disconnect => first.is_none(),
        Sort::Event => first == Some(b'['),
        Sort::Ack => first == Some(b'[') && ack.is_some(),
        Sort::ConnectError => matches!(first, Some(b'{' | b'"')),
    };
    if fits { Ok(Packet { sort, attachments, namespace, ack, data }) } else { Err(Malformed) }
}

/// The arguments of an event: its name and the first one behind it, both JSON. More mean nothing.
#[derive(Debug)]
pub struct Arguments<'a> {
    /// The name.
    pub name: &'a str,
    /// The data.
    pub data: Option<&'a str>,
}

/// Names that stand for something else on both sides, so that no event may have them.
const RESERVED: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/// Reads the arguments of an event. A name that cannot be one is no packet of the protocol.
pub fn arguments(data: &str) -> Result<Arguments<'_>, Malformed> {
    let arguments: Arguments<'_> = serde_json::from_str(data).map_err(|_| Malformed)?;
    let name = arguments.name;
    let is_reserved = name.strip_prefix('"').and_then(|name| name.strip_suffix('"'));
    if !name.starts_with(|first: char| first == '"' || first == '-' || first.is_ascii_digit())
        || is_reserved.is_some_and(|name| RESERVED.contains(&name))
    {
        return Err(Malformed);
    }
    Ok(arguments)
}

impl<'de> Deserialize<'de> for Arguments<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Arguments<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array that begins with a name")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                let missing = || serde::de::Error::invalid_length(0, &self);
                let name: &'de RawValue = items.next_element()?.ok_or_else(missing)?;
                let data: Option<&'de RawValue> = items.next_element::<&'de RawValue>()?;
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Arguments { name: name.get(), data: data.map(RawValue::get) })
            }
        }

        deserializer.deserialize_seq(InOrder)
    }
}

/// Puts an event as its followers get it.
pub fn put_event(event: &Event, out: &mut BytesMut) {
    let header = &event.header;
    // Name, room id and number fit with room to spare; they are written on the stack so that the length is known
    // before the frame's head.
    let (mut head, mut tail) = (Fixed::<64>::default(), Fixed::<96>::default());
    let _ = write!(head, "42[\"{}\",", header.kind.event_type());
    let _ = match (header.stream, header.kind.is_durable()) {
        (StreamId::Room(room), true) => write!(tail, ",{{\"roomId\":\"{room}\",\"seq\":{}}}]", header.seq),
        (StreamId::User(_), true) => write!(tail, ",{{\"seq\":{}}}]", header.seq),
        (_, false) => write!(tail, "]"),
    };
    websocket::put_text_head(out, head.bytes().len() + event.data.len() + tail.bytes().len());
    out.put_slice(head.bytes());
    out.put_slice(&event.data);
    out.put_slice(tail.bytes());
}

/// Puts a reply, or an event without a place in a log. The id is the digits of an acknowledgement, [`CONNECTING`], or
/// nothing.
pub fn put_frame(id: Option<&str>, name: &str, data: &impl Serialize, out: &mut BytesMut) {
    match id {
        None | Some(NO_ACK) => put_named(name, data, out),
        Some(CONNECTING) => {
            put_connected(out);
            put_named(name, data, out);
        }
        Some(ack) => put_text(out, format!("43{ack}[").into_bytes(), data, b"]"),
    }
}

/// Puts an error, in answer to a command or not.
pub fn put_error(id: Option<&str>, problem: &Problem, out: &mut BytesMut) {
    match id {
        None | Some(NO_ACK) => put_named("error", problem, out),
        // Clients take a refusal as final and do not come again by themselves. What is only not to be had now is none:
        // they find their connection closed, and come again.
        Some(CONNECTING) if matches!(problem.code, Code::Unavailable | Code::Internal) => {}
        Some(CONNECTING) => put_refusal("/", &problem.message, Some(problem), out),
        Some(ack) => put_text(out, format!("43{ack}[").into_bytes(), &serde_json::json!({ "error": problem }), b"]"),
    }
}

/// Puts the answer to a CONNECT that is granted. The id in it is shown to the client and means nothing here.
pub fn put_connected(out: &mut BytesMut) {
    let sid = super::engineio::Sid::new(0).to_string();
    put_text(out, b"40".to_vec(), &serde_json::json!({ "sid": sid }), b"");
}

/// Puts the answer to a CONNECT that is refused.
pub fn put_refusal(namespace: &str, message: &str, problem: Option<&Problem>, out: &mut BytesMut) {
    #[derive(Serialize)]
    struct Refusal<'a> {
        message: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<&'a Problem>,
    }
    let head = if namespace == "/" { "44".to_owned() } else { format!("44{namespace},") };
    put_text(out, head.into_bytes(), &Refusal { message, data: problem }, b"");
}

/// Puts what says why the connection ends: an `error`, the disconnect packet and the close of the WebSocket. A client
/// takes the disconnect packet as "do not come again", so it is left out where coming again makes sense. Who has not
/// joined the namespace hears of the close alone.
pub fn put_close(reason: CloseReason, joined: bool, out: &mut BytesMut) {
    if joined && reason != CloseReason::Normal {
        let why = serde_json::json!({ "code": reason.as_str(), "message": reason.as_str().replace('_', " ") });
        put_named("error", &why, out);
        if !reason.should_reconnect() {
            put_text_frame(b"41", out);
        }
    }
    websocket::put_close(out, reason);
}

/// Puts a packet of Engine.IO as a frame.
pub fn put_text_frame(text: &[u8], out: &mut BytesMut) {
    websocket::put_text_head(out, text.len());
    out.put_slice(text);
}

fn put_named(name: &str, data: &impl Serialize, out: &mut BytesMut) {
    put_text(out, format!("42[\"{name}\",").into_bytes(), data, b"]");
}

/// Puts a frame of `head`, JSON and `tail`.
fn put_text(out: &mut BytesMut, mut head: Vec<u8>, data: &impl Serialize, tail: &[u8]) {
    if let Err(error) = serde_json::to_writer(&mut head, data) {
        tracing::error!(%error, "a frame could not be encoded");
        return;
    }
    head.extend_from_slice(tail);
    put_text_frame(&head, out);
}

/// A little text on the stack.
struct Fixed<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Default for Fixed<N> {
    fn default() -> Self {
        Self { bytes: [0; N], length: 0 }
    }
}

impl<const N: usize> Fixed<N> {
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl<const N: usize> std::io::Write for Fixed<N> {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        let end = self.length + text.len();
        debug_assert!(end <= N, "the fixed parts of an event fit");
        let room = self.bytes.get_mut(self.length..end).ok_or(std::io::ErrorKind::WriteZero)?;
        room.copy_from_slice(text);
        self.length = end;
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
