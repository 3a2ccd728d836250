//! Coming back: what a client has missed since its cursors, room by room, then what is said.
//!
//! Cursors belong to the client, so any node can serve them. Before `resumed` no room event comes; rooms without a
//! cursor are owed from `authenticated` on.

use super::{ReplyTo, error};
use crate::hub::{
    connection::{Connection, Seconds},
    core::Core,
    follow::{Pins, Position},
};
use bytes::BytesMut;
use rookery_shared::{
    backend::{CursorsOf, Followed, RoomAccess, SignedIn},
    ids::{RoomId, StreamId},
    protocol::{
        CloseReason, Code, Problem,
        command::{Cursors, ReadCursors, ResumeStatus, Resumed, ResumedRoom},
    },
};
use std::{collections::HashMap, rc::Rc};
use tokio::task::spawn_local;

/// How long after `authenticated` a `resume` may come, in seconds.
const PATIENCE: Seconds = 5;

/// The most entries that one room may have missed; beyond it, history is the way.
const MAX_MISSED: u64 = 1_000;

/// The most that all rooms together may have missed.
const MAX_MISSED_IN_ALL: u64 = 10_000;

/// What a connection is owed from `authenticated` on. Its streams stay open meanwhile.
pub struct Resuming {
    /// Until when it may say from where.
    pub deadline: Seconds,
    epoch: String,
    user_seq: u64,
    rooms: Vec<Owed>,
    own: Pins,
    _pins: Pins,
}

/// A room of the user, and the place up to which its feed had got when the user was told `authenticated`.
struct Owed {
    room: Followed,
    slot: u32,
    place: u64,
}

/// The `resume` command.
pub fn resume(core: &Rc<Core>, connection: &Rc<Connection>, id: ReplyTo, cursors: Cursors) {
    let Some(owed) = connection.resuming.take() else {
        return error(core, connection, id.as_deref(), &Code::AlreadyLive.into());
    };
    let (core, connection) = (core.clone(), connection.clone());
    let place = connection.begin();
    spawn_local(async move {
        let _place = place;
        if let Err(problem) = owed.resume(&core, &connection, id.as_deref(), cursors).await {
            // What it has is known to the client alone; it comes again with it.
            core.close_with(&connection, CloseReason::Unavailable, Some(&problem));
        }
    });
}

impl Resuming {
    /// Notes what a connection is owed. The streams are open.
    pub fn new(core: &Core, signed_in: SignedIn, own: Pins, pins: Pins) -> Self {
        let mut state = core.state.borrow_mut();
        let rooms = signed_in.rooms.into_iter().zip(pins.slots()).map(|(room, slot)| {
            let stream = &mut state.streams[slot as usize];
            stream.member_count = room.member_count;
            Owed { room, slot, place: stream.feed.delivered().max(room.from.saturating_sub(1)) }
        });
        let rooms = rooms.collect();
        let deadline = core.now() + PATIENCE + 1;
        Self { deadline, epoch: signed_in.store_epoch, user_seq: signed_in.user_seq, rooms, own, _pins: pins }
    }

    /// Follows everything: the user's own stream first, from the snapshot or the place given, then the rooms.
    pub fn go_on(self, core: &Rc<Core>, connection: &Rc<Connection>, user: Option<u64>) {
        let mut state = core.state.borrow_mut();
        let user = user.map_or(self.user_seq, |user| user.min(self.user_seq));
        let own = |state: &mut _| {
            if let Some(slot) = self.own.first() {
                core.attach(state, connection, slot, Position::after(user, 1));
            }
        };
        // Who resumes gets the user's stream before the rooms. Otherwise nothing of it is owed but what has changed
        // since the snapshot, and that has to find the rooms followed.
        let resumes = user < self.user_seq;
        if resumes {
            own(&mut state);
        }
        for owed in &self.rooms {
            core.attach(&mut state, connection, owed.slot, Position::after(owed.place, owed.room.from));
        }
        if !resumes {
            own(&mut state);
        }
        connection.follows.borrow_mut().shrink_to_fit();
        drop(state);
    }

    /// Tells what becomes of each cursor, then goes on from there.
    pub async fn resume(
        mut self,
        core: &Rc<Core>,
        connection: &Rc<Connection>,
        id: Option<&str>,
        cursors: Cursors,
    ) -> Result<(), Problem> {
        let same_epoch = cursors.store_epoch == self.epoch;
        let heads = self.heads(core, &cursors).await?;
        let rooms = HashMap::with_capacity(cursors.rooms.len());
        let mut resumed = Resumed { rooms, read_cursors: ReadCursors::new() };
        let mut in_all = 0;
        for owed in &mut self.rooms {
            let room_id = owed.room.room_id;
            let (Some(cursor), Some(head)) = (cursors.rooms.get(&room_id), heads.get(&room_id)) else { continue };
            let from = owed.room.from.saturating_sub(1);
            let missed = head.saturating_sub((*cursor).max(from));
            let recovered =
                same_epoch && cursor <= head && missed <= MAX_MISSED && in_all + missed <= MAX_MISSED_IN_ALL;
            let status = if recovered { ResumeStatus::Recovered } else { ResumeStatus::Gap };
            if recovered {
                in_all += missed;
            }
            owed.place = if recovered { (*cursor).max(from) } else { (*head).max(from) };
            resumed.rooms.insert(room_id, ResumedRoom { status, head: Some(*head) });
        }
        self.find_gone(core, connection, &cursors, &mut resumed).await?;
        resumed.read_cursors = read_cursors(core, connection, &resumed).await?;
        let mut frame = BytesMut::new();
        connection.transport.put_frame(id, "resumed", &resumed, &mut frame);
        core.write(connection, frame);
        let user = cursors.user.filter(|_| same_epoch);
        self.go_on(core, connection, user);
        Ok(())
    }

    /// The heads of the rooms that a cursor was given for, read now: a feed may be a little behind.
    async fn heads(&self, core: &Rc<Core>, cursors: &Cursors) -> Result<HashMap<RoomId, u64>, Problem> {
        let rooms: Vec<RoomId> =
            self.rooms.iter().map(|owed| owed.room.room_id).filter(|id| cursors.rooms.contains_key(id)).collect();
        if rooms.is_empty() {
            return Ok(HashMap::new());
        }
        let streams = rooms.iter().map(|room| StreamId::Room(*room)).collect();
        let heads = core.node.heads(streams).await.map_err(|_| Problem::from(Code::Unavailable))??;
        Ok(rooms.into_iter().zip(heads).collect())
    }

    /// Rooms that a cursor was given for and that are not followed: no longer a member, or beyond the most recent ones.
    async fn find_gone(
        &self,
        core: &Rc<Core>,
        connection: &Rc<Connection>,
        cursors: &Cursors,
        resumed: &mut Resumed,
    ) -> Result<(), Problem> {
        let Some(user_id) = connection.user() else { return Ok(()) };
        let complete = self.rooms.len() < core.node.config.max_rooms as usize;
        let unknown: Vec<RoomId> = cursors.rooms.keys().filter(|id| !resumed.rooms.contains_key(id)).copied().collect();
        for room_id in unknown {
            let gone = ResumedRoom { status: ResumeStatus::Gone, head: None };
            if complete {
                resumed.rooms.insert(room_id, gone);
                continue;
            }
            let backend = core.node.backend.clone();
            let access = core.node.run(async move { backend.room_access(RoomAccess { user_id, room_id }).await });
            let room = match access.await.unwrap_or_else(|_| Err(Code::Internal.into())) {
                // A member, but of more rooms than a connection follows: history and `join_room` are the way.
                Ok(_) => ResumedRoom { status: ResumeStatus::Gap, head: None },
                Err(problem) if problem.code == Code::Unavailable => return Err(problem),
                Err(_) => gone,
            };
            resumed.rooms.insert(room_id, room);
        }
        Ok(())
    }
}

/// How far people have read in the rooms that a cursor was given for. Read marks are not entries of a log, so that who
/// was away learns of them here.
async fn read_cursors(core: &Rc<Core>, connection: &Connection, resumed: &Resumed) -> Result<ReadCursors, Problem> {
    let Some(user_id) = connection.user() else { return Ok(ReadCursors::new()) };
    let there = resumed.rooms.iter().filter(|(_, room)| room.status != ResumeStatus::Gone);
    let rooms: Vec<RoomId> = there.map(|(room, _)| *room).collect();
    if rooms.is_empty() {
        return Ok(ReadCursors::new());
    }
    let backend = core.node.backend.clone();
    let asked = core.node.run(async move { backend.read_cursors(CursorsOf { user_id, rooms }).await });
    asked.await.map_err(|_| Problem::from(Code::Internal))?
}
