//! What a client may say and what it hears back: the same on every transport.
//!
//! A command is parsed on the core, what needs the api goes to the node's I/O side, and the reply is written when the
//! answer is there. Commands of one connection that need no answer from elsewhere take effect in their order; sends
//! keep theirs all the way.

pub mod changes;
pub mod commands;
pub mod parse;
pub mod resume;
pub mod sign_in;
pub mod socketio;

use crate::{
    hub::{
        connection::{Connection, Phase},
        core::Core,
        follow::Position,
    },
    node::presence::Gone,
    transport::{Transport, websocket::Item},
};
use bytes::BytesMut;
use parse::Command;
use rookery_shared::{
    backend::RoomAccess,
    ids::{RoomId, StreamId},
    presence::Device,
    protocol::{CloseReason, Code, Problem},
};
use serde::Serialize;
use std::{cell::Cell, collections::HashMap, rc::Rc, sync::Arc};
use tokio::task::spawn_local;

/// A client that goes on without a pause after so many refusals in a row is closed.
const MOST_REFUSED: u16 = 1_000;

/// The id of a command, owned, as its transport writes it.
pub type ReplyTo = Option<Box<str>>;

/// What came over a WebSocket; `attachments` is how many binary messages are announced. Returns whether the connection
/// goes on.
pub fn item(core: &Rc<Core>, connection: &Rc<Connection>, item: Item<'_>, attachments: &Cell<u32>) -> bool {
    match (item, connection.transport) {
        (Item::Text(text), Transport::WebSocket) => {
            text_frame(core, connection, text);
            !connection.is_closing()
        }
        (Item::Text(text), Transport::SocketIo) => socketio::packet(core, connection, text, attachments),
        (Item::Binary, Transport::SocketIo) => {
            socketio::binary(core, connection, attachments);
            !connection.is_closing()
        }
        (Item::Binary, Transport::WebSocket) => {
            core.close(connection, CloseReason::UnsupportedData);
            false
        }
        (Item::Ping(payload), _) => {
            let mut pong = BytesMut::new();
            crate::transport::websocket::put_pong(&mut pong, payload);
            core.write(connection, pong);
            true
        }
        (Item::Pong, _) => true,
        (Item::Close, _) => {
            core.close(connection, CloseReason::Normal);
            false
        }
    }
}

fn text_frame(core: &Rc<Core>, connection: &Rc<Connection>, text: &str) {
    metrics::counter!("rookery_commands_total").increment(1);
    match parse::command(text) {
        Ok((id, command)) => run(core, connection, id, command),
        Err((id, problem)) => error(core, connection, id.as_deref(), &problem),
    }
}

/// Runs a command, if it may run now.
fn run(core: &Rc<Core>, connection: &Rc<Connection>, id: ReplyTo, command: Command) {
    let live = connection.user().is_some();
    if let (Command::Authenticate(authenticate), false) = (&command, live) {
        sign_in::authenticate(core, connection, id, authenticate.clone());
        return;
    }
    if !live {
        let problem = Problem::new(Code::Unauthorized, "sign in first");
        return error(core, connection, id.as_deref(), &problem);
    }
    if !matches!(command, Command::SendMessage(_))
        && let Err(problem) = take_budget(core, connection)
    {
        error(core, connection, id.as_deref(), &problem);
        if connection.commands_refused.get() >= MOST_REFUSED {
            core.close(connection, CloseReason::RateLimited);
        }
        return;
    }
    if connection.resuming.borrow().is_some() && matches!(command, Command::JoinRoom(_)) {
        let problem = Problem::new(Code::Conflict, "say first from where to resume");
        return error(core, connection, id.as_deref(), &problem);
    }
    match command {
        Command::Authenticate(authenticate) => sign_in::authenticate(core, connection, id, authenticate),
        Command::Resume(cursors) => resume::resume(core, connection, id, cursors),
        Command::JoinRoom(join) => commands::join_room(core, connection, id, &join),
        Command::LeaveRoom(room) => commands::leave_room(core, connection, id.as_deref(), &room),
        Command::SendMessage(send) => commands::send_message(core, connection, id, send),
        Command::EditMessage(edit) => changes::edit_message(core, connection, id, edit),
        Command::DeleteMessage(deletion) => changes::delete_message(core, connection, id, deletion),
        Command::MessageRead(mark) => changes::message_read(core, connection, id, mark),
        Command::Typing(typing) => commands::typing(core, connection, id, &typing),
        Command::UpdateStatus(update) => commands::update_status(core, connection, id, update),
        Command::GetRoomUsers(room) => commands::room_users(core, connection, id, &room),
    }
}

/// The budget of commands: so many in a minute, all at once if the client likes. The generic cell rate algorithm
/// (ITU-T I.371): one number a connection says when the budget is full again.
fn take_budget(core: &Core, connection: &Connection) -> Result<(), Problem> {
    const MINUTE_MILLIS: u64 = 60_000;
    let each = MINUTE_MILLIS / u64::from(core.node.config.commands_per_minute.max(1));
    let now = core.now_millis();
    let full_at = connection.commands_full_at.get().max(now) + each;
    let over = full_at.saturating_sub(now + MINUTE_MILLIS);
    if over > 0 {
        connection.commands_refused.set(connection.commands_refused.get().saturating_add(1));
        return Err(Problem::rate_limited(over));
    }
    connection.commands_full_at.set(full_at);
    connection.commands_refused.set(0);
    Ok(())
}

/// Answers a command. A command without an id gets no reply.
pub fn reply(core: &Rc<Core>, connection: &Rc<Connection>, id: Option<&str>, name: &str, data: &impl Serialize) {
    if id.is_some() {
        let mut frame = BytesMut::new();
        connection.transport.put_frame(id, name, data, &mut frame);
        core.write(connection, frame);
    }
}

/// Reports an error, whether the command had an id or not.
pub fn error(core: &Rc<Core>, connection: &Rc<Connection>, id: Option<&str>, problem: &Problem) {
    metrics::counter!("rookery_command_errors_total", "code" => problem.code.as_str()).increment(1);
    let mut frame = BytesMut::new();
    connection.transport.put_error(id, problem, &mut frame);
    core.write(connection, frame);
}

/// Tells a client that its token ends soon.
pub fn warn_of_token_end(core: &Rc<Core>, connection: &Rc<Connection>) {
    let Some(live) = connection.live() else { return };
    let mut frame = BytesMut::new();
    let ends = rookery_shared::clock::Time(live.token_ends.saturating_mul(1000));
    let data = serde_json::json!({
        "code": "token_expiring",
        "message": "authenticate with a fresh token",
        "tokenExpiresAt": ends,
    });
    connection.transport.put_frame(None, "token_expiring", &data, &mut frame);
    core.write(connection, frame);
}

/// A room was added to a user's list: their connections follow it from the place of their membership on.
pub fn follow_added_room(core: &Rc<Core>, connection: &Rc<Connection>, room: RoomId, member_since: u64) {
    connection.rooms_added.set(connection.rooms_added.get().wrapping_add(1));
    if connection.follows.borrow().len() > core.node.config.max_rooms as usize {
        // Shown as activity on the user's stream; `join_room` follows it after a `leave_room` of another.
        return;
    }
    let (core, connection) = (core.clone(), connection.clone());
    spawn_local(async move {
        // Who is out again already sees nothing of it.
        if let Err(problem) = follow_as_member(&core, &connection, room, member_since.saturating_sub(1)).await {
            tracing::warn!(%problem, "a room that was added could not be followed");
            core.close(&connection, CloseReason::Unavailable);
        }
    });
}

/// A room's log has said that this connection's user left, at this place. They may have come back since: the two
/// streams that say so are fetched apart, and only the store knows.
pub fn recheck(core: &Rc<Core>, connection: &Rc<Connection>, room: RoomId, left_at: u64) {
    let (core, connection) = (core.clone(), connection.clone());
    spawn_local(async move {
        loop {
            let added = connection.rooms_added.get();
            match follow_as_member(&core, &connection, room, left_at).await {
                Ok(true) => {}
                // The answer may be older than their coming back, which the connection has heard of meanwhile.
                Ok(false) if added != connection.rooms_added.get() => continue,
                Ok(false) => {
                    let mut state = core.state.borrow_mut();
                    if let Some(&slot) = state.by_id.get(&StreamId::Room(room)) {
                        core.detach(&mut state, &connection, slot);
                    }
                }
                // Whether they may follow cannot be told now: they come again, and sign in to what is true then.
                Err(_) => core.close(&connection, CloseReason::Unavailable),
            }
            return;
        }
    });
}

/// Makes a connection follow a room after a place, from where on the store says that its user may see it. Gives
/// whether they are a member; if not, nothing changes.
async fn follow_as_member(
    core: &Rc<Core>,
    connection: &Rc<Connection>,
    room_id: RoomId,
    after: u64,
) -> Result<bool, Problem> {
    let Some(user_id) = connection.user() else { return Ok(false) };
    let backend = core.node.backend.clone();
    let access = core.node.run(async move { backend.room_access(RoomAccess { user_id, room_id }).await });
    let pins = core.pin(&[StreamId::Room(room_id)]);
    // The head may be read after others wrote: nothing is lost by that, as the position is a place of the log.
    let nothing_known = HashMap::new();
    let (access, opened) = tokio::join!(access, core.open(&pins, false, &nothing_known));
    let followed = match access.unwrap_or_else(|_| Err(Code::Internal.into())) {
        Ok(followed) => followed,
        Err(problem) if matches!(problem.code, Code::NotAMember | Code::NotFound | Code::Forbidden) => {
            return Ok(false);
        }
        Err(problem) => return Err(problem),
    };
    opened?;
    let slot = pins.first().ok_or(Problem::from(Code::Internal))?;
    let mut state = core.state.borrow_mut();
    state.streams[slot as usize].member_count = followed.member_count;
    core.attach(&mut state, connection, slot, Position::after(after, followed.from));
    Ok(true)
}

/// A connection ends: presence is told, and typing ends.
pub fn depart(core: &Rc<Core>, connection: &Rc<Connection>) {
    let Phase::Live(live) = &*connection.phase.borrow() else { return };
    let (rooms, typing, status) = {
        let state = core.state.borrow();
        let follows = connection.follows.borrow();
        let typing: Vec<RoomId> = follows
            .iter()
            .filter(|slot| state.typing.contains_key(&(**slot, live.user)))
            .filter_map(|slot| state.streams[*slot as usize].id.room())
            .collect();
        let status = sign_in::newest_choice(&state, live.user).map_or(live.status, |chosen| chosen.status);
        (commands::presence_rooms(core, &state, &follows), typing, status)
    };
    for room in typing {
        commands::publish_typing(core, live, room, false);
    }
    let device = Device { user: live.user, connection: connection.id };
    core.node.device_gone(Gone { device, username: Arc::clone(&live.username), rooms, status });
}
