//! Ephemeral events: typing and presence, which are the first that a slow client loses, and orders to close, which no
//! client sees. They have no place in a log.

use super::{
    connection::{Phase, Seconds},
    core::{Core, State},
};
use crate::transport::Shared;
use rookery_shared::{
    envelope::{Event, Header, Kind},
    ids::{ConnectionId, StreamId, UserId},
    model::{Chosen, UserStatus, UserTyping},
    protocol::CloseReason,
};
use rustc_hash::FxHashSet;
use std::rc::Rc;

/// Typing ends by itself after this long.
const TYPING_SECONDS: Seconds = 8;

/// How long it is remembered whom a change of presence was told to.
const TOLD_SECONDS: Seconds = 5;

impl Core {
    /// An event without a place in a log.
    pub fn ephemeral(self: &Rc<Self>, state: &mut State, slot: u32, event: &Event) {
        let subject = UserId(event.header.subject);
        match event.header.kind {
            Kind::UserTyping => {
                if event.header.ref_seq == 1 {
                    let until = self.now() + TYPING_SECONDS + 1;
                    if let Some((known_until, _)) = state.typing.get_mut(&(slot, subject)) {
                        // Followers know already; the time just begins anew.
                        *known_until = until;
                        return;
                    }
                    let username =
                        serde_json::from_slice::<UserTyping>(&event.data).ok().and_then(|data| data.username);
                    state.typing.insert((slot, subject), (until, username));
                } else if state.typing.remove(&(slot, subject)).is_none() {
                    return;
                }
                self.tell(state, slot, event, Some(subject), None);
            }
            Kind::UserStatus if matches!(event.header.stream, StreamId::User(_)) => self.chose(state, slot, event),
            Kind::CloseConnection => self.condemn(state, event),
            Kind::UserStatus => {
                let number = event.header.ref_seq;
                let now = self.now();
                while let Some((since, old)) = state.told_order.front() {
                    if now.saturating_sub(*since) <= TOLD_SECONDS {
                        break;
                    }
                    state.told.remove(old);
                    state.told_order.pop_front();
                }
                let mut told = state.told.remove(&number).unwrap_or_else(|| {
                    state.told_order.push_back((now, number));
                    FxHashSet::default()
                });
                // The user's own devices learn from the user's stream what was chosen.
                self.tell(state, slot, event, Some(subject), Some(&mut told));
                state.told.insert(number, told);
            }
            Kind::MessageRead => {
                // The connection that says so has its reply.
                let mut told = self.with_tag(state, slot, event.header.ref_seq);
                self.tell(state, slot, event, None, Some(&mut told));
            }
            _ => self.tell(state, slot, event, None, None),
        }
    }

    /// The follower whose connection has this tag, by its place in the core's table.
    fn with_tag(&self, state: &State, slot: u32, tag: u64) -> FxHashSet<u32> {
        let followers = self.followers(state, slot);
        followers.iter().filter(|follower| follower.id.tag() == tag).map(|follower| follower.slot).collect()
    }

    /// A user has said how they want to be seen: their devices are told, and it is remembered for when they go.
    fn chose(self: &Rc<Self>, state: &mut State, slot: u32, event: &Event) {
        let Ok(UserStatus { chosen: Some(status), text, .. }) = serde_json::from_slice(&event.data) else { return };
        let chosen = Chosen { status, text };
        for connection in self.followers(state, slot) {
            if let Phase::Live(live) = &mut *connection.phase.borrow_mut() {
                live.status = chosen.status;
            }
        }
        self.node.devices.chose(UserId(event.header.subject), chosen.status);
        state.chosen.insert(slot, chosen);
        self.tell(state, slot, event, None, None);
    }

    /// A user's connections are to be closed: one of too many, or all by order. They need not be followers yet, so that
    /// the table is gone through; this is rare.
    fn condemn(self: &Rc<Self>, state: &mut State, event: &Event) {
        let StreamId::User(user) = event.header.stream else { return };
        let code = u16::try_from(event.header.ref_seq).ok();
        let Some(reason) = code.and_then(CloseReason::from_code) else { return };
        let which = ConnectionId(event.header.subject);
        let meant = state.connections.iter().map(|(_, connection)| connection).filter(|connection| {
            (which == ConnectionId::NIL || connection.id == which) && connection.user() == Some(user)
        });
        let meant: Vec<_> = meant.map(|connection| (connection.clone(), reason)).collect();
        state.condemned.extend(meant);
        self.wake.notify_one();
    }

    /// Writes to each follower but those of one user, and those told already. Who is behind is not told.
    fn tell(
        self: &Rc<Self>,
        state: &State,
        slot: u32,
        event: &Event,
        except: Option<UserId>,
        mut told: Option<&mut FxHashSet<u32>>,
    ) {
        let mut frame = Shared::new(vec![event.clone()]);
        for connection in self.followers(state, slot) {
            if except.is_some() && connection.user() == except {
                continue;
            }
            if told.as_mut().is_some_and(|told| !told.insert(connection.slot)) {
                continue;
            }
            if connection.is_behind() {
                metrics::counter!("rookery_shed_total").increment(1);
                continue;
            }
            self.write_bytes(&connection, frame.frames(connection.transport));
        }
    }

    /// Someone said what they were typing.
    pub fn typing_ends(self: &Rc<Self>, state: &mut State, slot: u32, user: UserId) {
        let Some((_, username)) = state.typing.remove(&(slot, user)) else { return };
        let StreamId::Room(room_id) = state.streams[slot as usize].id else { return };
        let data = UserTyping { room_id, user_id: user, username, is_typing: false };
        let Ok(data) = serde_json::to_vec(&data) else { return };
        let header = Header { subject: user.0, ..Header::new(Kind::UserTyping, StreamId::Room(room_id), 0) };
        self.tell(state, slot, &Event { header, data: data.into() }, Some(user), None);
    }

    /// Ends the typing whose time is over.
    pub fn end_typing_by_time(self: &Rc<Self>) {
        let mut state = self.state.borrow_mut();
        let now = self.now();
        let over: Vec<(u32, UserId)> =
            state.typing.iter().filter(|(_, (until, _))| *until <= now).map(|(key, _)| *key).collect();
        for (slot, user) in over {
            if state.streams.contains(slot as usize) {
                self.typing_ends(&mut state, slot, user);
            } else {
                state.typing.remove(&(slot, user));
            }
        }
    }
}
