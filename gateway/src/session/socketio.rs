//! What the packets of a Socket.IO client mean: joining the namespace, which is signing in, and leaving it; events,
//! which are commands; and what the protocol has instead of a WebSocket's control frames.

use super::{error, parse, run, sign_in, sign_in::After};
use crate::{
    hub::{
        connection::{Connection, Phase},
        core::Core,
    },
    transport::{
        engineio::{self, Sid},
        socketio::{self, CONNECTING, NO_ACK, Packet, Sort},
    },
};
use bytes::BytesMut;
use rookery_shared::{
    protocol::{
        CloseReason, Problem,
        command::{Authenticate, Cursors},
    },
    token::{Claims, TokenError},
};
use serde::Deserialize;
use std::{cell::Cell, rc::Rc};

/// A client that has not joined the namespace yet.
#[derive(Debug)]
pub struct Greeting {
    /// What the token in the URL or a header says, where there was one.
    token: Option<Result<Claims, TokenError>>,
    /// It wants to join, and waits for the answer.
    joining: bool,
}

impl Greeting {
    /// Of a client that came with this.
    pub fn new(token: Option<Result<Claims, TokenError>>) -> Self {
        Self { token, joining: false }
    }
}

/// What a client gives when it joins.
#[derive(Debug, Default, Deserialize)]
struct Auth {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    resume: Option<Cursors>,
}

/// Puts the packet that a session begins with. `sid`: the session's, where the client can upgrade.
pub fn put_open(core: &Core, sid: Option<Sid>, out: &mut BytesMut) {
    let config = &core.node.config;
    let shown = sid.unwrap_or_else(|| Sid::new(core.index)).to_string();
    let open = engineio::open_packet(&shown, sid.is_some(), config.socketio_heartbeat, config.max_frame_bytes);
    socketio::put_text_frame(open.as_bytes(), out);
}

/// A packet of Engine.IO. `attachments` is how many binary messages are announced. Returns whether the connection goes
/// on.
pub fn packet(core: &Rc<Core>, connection: &Rc<Connection>, text: &str, attachments: &Cell<u32>) -> bool {
    match engineio::decode(text) {
        Some(engineio::Packet::Message(text)) => message(core, connection, text, attachments),
        Some(engineio::Packet::Binary) => binary(core, connection, attachments),
        Some(engineio::Packet::Pong | engineio::Packet::Upgrade | engineio::Packet::Nothing) => {}
        Some(engineio::Packet::Close) => core.close(connection, CloseReason::Normal),
        // Pings come from the server.
        Some(engineio::Packet::Ping(_)) | None => core.close(connection, CloseReason::ProtocolError),
    }
    !connection.is_closing()
}

/// A binary message. The command that it belongs to has been refused when it was announced.
pub fn binary(core: &Rc<Core>, connection: &Rc<Connection>, attachments: &Cell<u32>) {
    match attachments.get().checked_sub(1) {
        Some(left) => attachments.set(left),
        None => core.close(connection, CloseReason::ProtocolError),
    }
}

/// A packet of Socket.IO.
fn message(core: &Rc<Core>, connection: &Rc<Connection>, text: &str, attachments: &Cell<u32>) {
    let packet = match socketio::decode(text) {
        Ok(packet) if attachments.get() == 0 => packet,
        // No packet, or one in place of an attachment.
        _ => return core.close(connection, CloseReason::ProtocolError),
    };
    if packet.sort == Sort::Connect && packet.namespace != "/" {
        let mut frame = BytesMut::new();
        socketio::put_refusal(packet.namespace, "Invalid namespace", None, &mut frame);
        return core.write(connection, frame);
    }
    match packet.sort {
        Sort::Connect => join(core, connection, packet.data.unwrap_or("{}")),
        // What is for a namespace that the client is not in.
        _ if packet.namespace != "/" || !connection.is_joined() => core.close(connection, CloseReason::ProtocolError),
        Sort::Disconnect => core.close(connection, CloseReason::Normal),
        Sort::Event => event(core, connection, &packet, attachments),
        // No event of ours asks for one.
        Sort::Ack => attachments.set(packet.attachments),
        Sort::ConnectError => core.close(connection, CloseReason::ProtocolError),
    }
}

/// CONNECT: signs in with what it says, or else with what the request said; with neither, a command has to follow.
fn join(core: &Rc<Core>, connection: &Rc<Connection>, auth: &str) {
    let token = match &mut *connection.phase.borrow_mut() {
        Phase::Anonymous { greeting: Some(greeting), .. } if !greeting.joining => {
            greeting.joining = true;
            Some(greeting.token.take())
        }
        // Joined, or about to.
        _ => None,
    };
    let Some(early) = token else { return core.close(connection, CloseReason::ProtocolError) };
    let auth: Auth = match parse::fields(auth) {
        Ok(auth) => auth,
        Err(problem) => {
            error(core, connection, Some(CONNECTING), &problem);
            return core.close(connection, CloseReason::Unauthorized);
        }
    };
    let id = || Some(CONNECTING.into());
    match (auth.token, early) {
        (Some(token), _) => {
            sign_in::authenticate(core, connection, id(), Authenticate { token, resume: auth.resume });
        }
        (None, Some(Ok(claims))) => {
            let after = auth.resume.map_or_else(|| connection.after_sign_in(), After::Resume);
            sign_in::begin(core, connection, id(), claims, after);
        }
        (None, Some(Err(reason))) => sign_in::refuse(core, connection, Some(CONNECTING), &reason),
        (None, None) => {
            if let Phase::Anonymous { greeting, .. } = &mut *connection.phase.borrow_mut() {
                *greeting = None;
            }
            let mut frame = BytesMut::new();
            socketio::put_connected(&mut frame);
            core.write(connection, frame);
        }
    }
}

/// An event is a command.
fn event(core: &Rc<Core>, connection: &Rc<Connection>, packet: &Packet<'_>, attachments: &Cell<u32>) {
    let Ok(arguments) = socketio::arguments(packet.data.unwrap_or_default()) else {
        return core.close(connection, CloseReason::ProtocolError);
    };
    let id: super::ReplyTo = Some(packet.ack.unwrap_or(NO_ACK).into());
    metrics::counter!("rookery_commands_total").increment(1);
    if packet.attachments > 0 {
        attachments.set(packet.attachments);
        let problem = Problem::field("data", "binary attachments are not accepted");
        return error(core, connection, id.as_deref(), &problem);
    }
    let data = arguments.data.filter(|data| *data != "null").unwrap_or("{}");
    match parse::named(arguments.name, data) {
        Ok(command) => run(core, connection, id, command),
        Err(problem) => error(core, connection, id.as_deref(), &problem),
    }
}
