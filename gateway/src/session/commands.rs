//! The commands of a signed-in connection.

use super::{ReplyTo, error, reply};
use crate::hub::{
    connection::{Connection, Live, Phase},
    core::{Core, State},
    deliver::FETCH_LIMIT,
    follow::Position,
};
use bytes::Bytes;
use rookery_shared::{
    backend::{self, EntriesAfter, RoomAccess, Send, Target},
    clock,
    envelope::{Event, Header, Kind},
    ids::{MessageId, RoomId, StreamId},
    model::{Chosen, LogEntry, UserTyping},
    protocol::{
        Code, Problem,
        command::{JoinRoom, RoomJoined, RoomRef, RoomUsers, SendMessage, StatusUpdated, Typing, UpdateStatus},
    },
};
use serde_json::value::RawValue;
use std::{collections::HashMap, rc::Rc, time::Duration};
use tokio::{
    task::spawn_local,
    time::{sleep, timeout},
};

/// The most entries in one `room_joined`; who has missed more reads the history.
const MAX_JOIN_EVENTS: usize = 1_000;

/// `send_message`: to the api, on the room's lane, with the reply when it is stored.
pub fn send_message(core: &Rc<Core>, connection: &Rc<Connection>, id: ReplyTo, command: SendMessage) {
    let Some(live) = connection.live() else { return };
    let target = match (command.room_id, command.to) {
        (Some(room), _) => Target::Room(room),
        (None, Some(user)) => Target::User(user),
        (None, None) => return,
    };
    let mut draft = command.draft;
    // A send without a key of its own gets one here, so that a retry between gateway and api cannot double it.
    draft.client_id.get_or_insert_with(|| MessageId::new().to_string());
    let sent = core.node.send(Send { sender: live.user, target, draft, traceparent: None });
    let (core, connection) = (core.clone(), connection.clone());
    let place = connection.begin();
    let began = std::time::Instant::now();
    spawn_local(async move {
        let _place = place;
        match sent.await.unwrap_or_else(|_| Err(Code::Unavailable.into())) {
            Ok(sent) => {
                metrics::histogram!("rookery_send_to_ack_seconds").record(began.elapsed().as_secs_f64());
                reply(&core, &connection, id.as_deref(), "message_sent", &sent);
            }
            Err(problem) => error(&core, &connection, id.as_deref(), &problem),
        }
    });
}

/// `join_room`: follow the room (again), and with `since` give what was missed.
pub fn join_room(core: &Rc<Core>, connection: &Rc<Connection>, id: ReplyTo, command: &JoinRoom) {
    let (core, connection, JoinRoom { room_id, since }) = (core.clone(), connection.clone(), command.clone());
    let place = connection.begin();
    spawn_local(async move {
        let _place = place;
        match join(&core, &connection, room_id, since).await {
            Ok(joined) => reply(&core, &connection, id.as_deref(), "room_joined", &joined),
            Err(problem) => error(&core, &connection, id.as_deref(), &problem),
        }
    });
}

async fn join(
    core: &Rc<Core>,
    connection: &Rc<Connection>,
    room_id: RoomId,
    since: Option<u64>,
) -> Result<RoomJoined, Problem> {
    let user_id = connection.user().ok_or(Problem::from(Code::Unauthorized))?;
    let stream = StreamId::Room(room_id);
    let pins = core.pin(&[stream]);
    core.open(&pins, false, &HashMap::new()).await?;
    let slot = pins.first().ok_or(Problem::from(Code::Internal))?;
    // The place is taken before the store is asked: an `out` that the answer does not know of comes behind it.
    let place = core.state.borrow().streams[slot as usize].feed.delivered();
    let backend = core.node.backend.clone();
    let access = core.node.run(async move { backend.room_access(RoomAccess { user_id, room_id }).await });
    let followed = access.await.map_err(|_| Problem::from(Code::Internal))??;
    {
        let mut state = core.state.borrow_mut();
        state.streams[slot as usize].member_count = followed.member_count;
        let already = connection.follows.borrow().contains(&slot);
        if !already && connection.follows.borrow().len() > core.node.config.max_rooms as usize {
            let message = format!("a connection follows at most {} rooms", core.node.config.max_rooms);
            return Err(Problem::new(Code::Conflict, message));
        }
        core.attach(&mut state, connection, slot, Position::after(place, followed.from));
    }
    // Another task may have begun to attach it at an earlier place; the reply comes behind what that brings.
    arrived(core, connection, slot).await?;
    let missed = match since {
        Some(since) => Some(missed(core, stream, since.max(followed.from.saturating_sub(1)), since).await?),
        None => None,
    };
    // From here on nothing waits: what is pending is written, and the reply is the next thing on this connection.
    let mut state = core.state.borrow_mut();
    core.flush_now(&mut state, slot);
    let seq = state.streams[slot as usize].feed.delivered();
    let (recovered, events) = match missed {
        None | Some(None) => (false, Vec::new()),
        // What lies beyond comes as frames of its own.
        Some(Some(events)) => {
            let visible = events.iter().filter(|event| event.header.seq <= seq);
            (true, visible.map(|event| entry_for(event, followed.from)).collect::<Result<_, _>>()?)
        }
    };
    drop(state);
    drop(pins);
    Ok(RoomJoined { room_id, seq, recovered, events })
}

/// Waits until a connection has come to its place in a stream.
async fn arrived(core: &Rc<Core>, connection: &Rc<Connection>, slot: u32) -> Result<(), Problem> {
    let all_there = async {
        while core.is_attaching(connection, slot) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(5), all_there).await.map_err(|_| Problem::from(Code::Unavailable))?;
    let follows = connection.follows.borrow().contains(&slot);
    if follows { Ok(()) } else { Err(Code::NotAMember.into()) }
}

/// Everything after a place; `None` if that is more than one reply may hold.
async fn missed(core: &Rc<Core>, stream: StreamId, after: u64, since: u64) -> Result<Option<Vec<Event>>, Problem> {
    let head = core.node.heads(vec![stream]).await.map_err(|_| Problem::from(Code::Unavailable))??;
    let head = head.first().copied().unwrap_or(0);
    if since > head {
        return Err(Code::PastHead.into());
    }
    let mut events: Vec<Event> = Vec::new();
    let (mut cursor, mut bytes) = (after, 0);
    while cursor < head {
        let entries = core.node.entries(EntriesAfter { stream, after: cursor, limit: FETCH_LIMIT }).await?;
        let Some(last) = entries.last() else { break };
        cursor = last.header.seq;
        events.extend(entries.iter().cloned());
        bytes += entries.iter().map(|entry| entry.data.len()).sum::<usize>();
        if events.len() > MAX_JOIN_EVENTS || bytes > core.node.config.slow_bytes / 2 {
            return Ok(None);
        }
    }
    Ok(Some(events))
}

/// An entry as this reader may see it: what refers to something from before they came has no data.
fn entry_for(event: &Event, from: u64) -> Result<LogEntry, Problem> {
    let header = &event.header;
    let data = if header.is_hidden(from) {
        "null"
    } else {
        std::str::from_utf8(&event.data).map_err(|_| Problem::from(Code::Internal))?
    };
    let data = RawValue::from_string(data.to_owned()).map_err(|_| Problem::from(Code::Internal))?;
    Ok(LogEntry { seq: header.seq, event_type: header.kind.event_type().to_owned(), data })
}

/// `leave_room`: this connection follows it no longer. Membership is another matter, and stays.
pub fn leave_room(core: &Rc<Core>, connection: &Rc<Connection>, id: Option<&str>, command: &RoomRef) {
    let mut state = core.state.borrow_mut();
    if let Some(&slot) = state.by_id.get(&StreamId::Room(command.room_id)) {
        core.detach(&mut state, connection, slot);
    }
    drop(state);
    reply(core, connection, id, "room_left", command);
}

/// `get_room_users`.
pub fn room_users(core: &Rc<Core>, connection: &Rc<Connection>, id: ReplyTo, command: &RoomRef) {
    let Some(user_id) = connection.user() else { return };
    let (core, connection, room_id) = (core.clone(), connection.clone(), command.room_id);
    let place = connection.begin();
    spawn_local(async move {
        let _place = place;
        let backend = core.node.backend.clone();
        let users = core.node.run(async move { backend.room_users(RoomAccess { user_id, room_id }).await }).await;
        match users.unwrap_or_else(|_| Err(Code::Internal.into())) {
            Ok(users) => reply(&core, &connection, id.as_deref(), "room_users", &RoomUsers { room_id, users }),
            Err(problem) => error(&core, &connection, id.as_deref(), &problem),
        }
    });
}

/// `update_status`: the api keeps it and tells who may know.
pub fn update_status(core: &Rc<Core>, connection: &Rc<Connection>, id: ReplyTo, command: UpdateStatus) {
    let Some(user_id) = connection.user() else { return };
    let (core, connection) = (core.clone(), connection.clone());
    let place = connection.begin();
    spawn_local(async move {
        let _place = place;
        let backend = core.node.backend.clone();
        let chosen = Chosen { status: command.status, text: command.text };
        let request = backend::UpdateStatus { user_id, chosen };
        let kept = core.node.run(async move { backend.update_status(request).await }).await;
        match kept.unwrap_or_else(|_| Err(Code::Internal.into())) {
            Ok(kept) => {
                // The user's stream says it as well; who goes at once, or while the bus is away, goes by this.
                if let Phase::Live(live) = &mut *connection.phase.borrow_mut() {
                    live.status = kept.status;
                }
                reply(&core, &connection, id.as_deref(), "ok", &StatusUpdated { status: kept.status });
            }
            Err(problem) => error(&core, &connection, id.as_deref(), &problem),
        }
    });
}

/// `typing`: told to who follows the room, on every node. No reply.
pub fn typing(core: &Rc<Core>, connection: &Rc<Connection>, id: ReplyTo, command: &Typing) {
    let Some(live) = connection.live() else { return };
    if let Some(room) = command.room_id {
        match members_of_followed(core, connection, room) {
            Some(members) if members <= core.node.config.receipts_room_size => {
                publish_typing(core, &live, room, command.is_typing);
            }
            // In a large room everyone would be told all the time who types.
            Some(_) => {}
            None => error(core, connection, id.as_deref(), &Code::NotAMember.into()),
        }
        return;
    }
    let Some(other) = command.to else { return };
    let (core, connection, is_typing) = (core.clone(), connection.clone(), command.is_typing);
    let place = connection.begin();
    spawn_local(async move {
        let _place = place;
        let (backend, user) = (core.node.backend.clone(), live.user);
        let found = core.node.run(async move { backend.conversation_of(user, other).await }).await;
        match found.unwrap_or_else(|_| Err(Code::Internal.into())) {
            // To someone one has never talked to, nobody is told.
            Ok(room) => {
                if let Some(room) = room.filter(|room| members_of_followed(&core, &connection, *room).is_some()) {
                    publish_typing(&core, &live, room, is_typing);
                }
            }
            Err(problem) => error(&core, &connection, id.as_deref(), &problem),
        }
    });
}

/// How many are in a room that this connection follows.
fn members_of_followed(core: &Core, connection: &Connection, room: RoomId) -> Option<u32> {
    let state = core.state.borrow();
    let slot = state.by_id.get(&StreamId::Room(room)).filter(|slot| connection.follows.borrow().contains(slot))?;
    state.streams.get(*slot as usize).map(|stream| stream.member_count)
}

/// Tells a room that someone types, or no longer.
pub fn publish_typing(core: &Core, live: &Live, room_id: RoomId, is_typing: bool) {
    let data = UserTyping { room_id, user_id: live.user, username: Some(live.username.to_string()), is_typing };
    let Ok(data) = serde_json::to_vec(&data) else { return };
    let header = Header {
        subject: live.user.0,
        ref_seq: u64::from(is_typing),
        published_at: clock::micros(),
        ..Header::new(Kind::UserTyping, StreamId::Room(room_id), 0)
    };
    core.node.bus.publish(vec![Event { header, data: Bytes::from(data) }]);
}

/// The followed rooms that are small enough to be told who comes and goes.
pub fn presence_rooms(core: &Core, state: &State, follows: &[u32]) -> Vec<RoomId> {
    let streams = follows.iter().filter_map(|slot| state.streams.get(*slot as usize));
    let small = streams.filter(|stream| stream.member_count <= core.node.config.presence_room_size);
    small.filter_map(|stream| stream.id.room()).collect()
}
