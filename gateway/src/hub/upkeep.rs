//! What a core does by the clock: deadlines and heartbeats of connections, leaving streams, looking at heads.

use super::{
    connection::{Connection, Phase, Seconds},
    core::{Core, State},
};
use crate::{node::LARGEST_HEADS, session, transport::Transport};
use rookery_shared::{
    clock,
    ids::StreamId,
    protocol::{CloseReason, Code, Problem},
};
use std::{
    net::Shutdown,
    rc::Rc,
    time::{Duration, Instant},
};
use tokio::{task::spawn_local, time::sleep};

/// Between two rounds through the connections.
const TICK: Duration = Duration::from_millis(500);

/// How long a stream is kept after its last follower: who reconnects finds it open.
const LINGER: Seconds = 10;

/// What a look at the announced head of one stream costs on this side.
const LOOK_COST: Duration = Duration::from_micros(3);

/// Over how long the heads of everything are asked for after a loss.
const HEAL_SPREAD: Duration = Duration::from_secs(5);

/// What a tick finds to do for a connection.
enum Due {
    Nothing,
    Close(CloseReason, Code),
    Ping,
    Warn,
    Cut,
}

impl Core {
    /// Goes through connections and streams twice a second, for ever.
    pub async fn tick(self: Rc<Self>) {
        loop {
            sleep(TICK).await;
            let connections: Vec<Rc<Connection>> =
                self.state.borrow().connections.iter().map(|(_, connection)| connection.clone()).collect();
            for connection in &connections {
                self.look_after(connection);
            }
            self.leave_empty_streams();
            self.settle();
            self.end_typing_by_time();
            self.close_condemned();
            self.gauge();
        }
    }

    fn look_after(self: &Rc<Self>, connection: &Rc<Connection>) {
        match self.due(connection) {
            Due::Nothing => {}
            Due::Close(reason, code) => self.close_with(connection, reason, Some(&Problem::new(code, reason.as_str()))),
            Due::Ping => {
                let ping = bytes::Bytes::from_static(connection.transport.ping());
                self.write_bytes(connection, &ping);
            }
            Due::Warn => session::warn_of_token_end(self, connection),
            // Nobody reads where there is no socket.
            Due::Cut if connection.polls() => self.end_poll(connection),
            Due::Cut => connection.shut_down(Shutdown::Both),
        }
    }

    fn due(&self, connection: &Connection) -> Due {
        let (now, config) = (self.now(), &self.node.config);
        let seconds = |duration: Duration| u32::try_from(duration.as_secs()).unwrap_or(u32::MAX);
        let waited = connection.outbox.borrow().as_ref().and_then(|outbox| outbox.oldest());
        let silent = now.saturating_sub(connection.heard.get());
        let mut phase = connection.phase.borrow_mut();
        match &mut *phase {
            Phase::Closing { deadline, .. } if now >= *deadline => Due::Cut,
            Phase::Closing { .. } => Due::Nothing,
            // Not the client's fault: it may come again.
            Phase::Anonymous { deadline, signing_in: true, .. } if now >= *deadline => {
                Due::Close(CloseReason::Unavailable, Code::Unavailable)
            }
            Phase::Anonymous { deadline, .. } if now >= *deadline => {
                Due::Close(CloseReason::SignInTimeout, Code::Unauthorized)
            }
            _ if waited.is_some_and(|since| now.saturating_sub(since) > seconds(config.slow_age)) => {
                Due::Close(CloseReason::SlowConsumer, Code::Unavailable)
            }
            Phase::Anonymous { .. } => Due::Nothing,
            Phase::Live(live) => {
                if connection.resuming.borrow().as_ref().is_some_and(|resuming| now >= resuming.deadline) {
                    return Due::Close(CloseReason::SignInTimeout, Code::Unauthorized);
                }
                let left = live.token_ends - clock::now().seconds();
                let (asked, answered) = match connection.transport {
                    Transport::WebSocket => (seconds(config.heartbeat), 2 * seconds(config.heartbeat)),
                    Transport::SocketIo => {
                        let beat = config.socketio_heartbeat;
                        (seconds(beat.interval), seconds(beat.interval + beat.timeout))
                    }
                };
                let last_ping = connection.pinged.get();
                if left <= 0 {
                    Due::Close(CloseReason::TokenExpired, Code::Unauthorized)
                } else if left <= live.warn_before && !live.warned {
                    live.warned = true;
                    Due::Warn
                } else if silent >= answered {
                    Due::Close(CloseReason::HeartbeatTimeout, Code::Unavailable)
                } else if connection.transport == Transport::SocketIo {
                    // Engine.IO's clients expect a ping after each interval, whatever else they hear and say.
                    if now.saturating_sub(last_ping) < asked {
                        return Due::Nothing;
                    }
                    connection.pinged.set(now);
                    Due::Ping
                } else if silent >= asked && last_ping != connection.heard.get() {
                    // One ping for each silence: what was heard last is remembered as answered by it.
                    connection.pinged.set(connection.heard.get());
                    Due::Ping
                } else {
                    Due::Nothing
                }
            }
        }
    }

    /// Leaves the streams that nobody has followed for a while.
    fn leave_empty_streams(self: &Rc<Self>) {
        let now = self.now();
        let mut left = Vec::new();
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        while let Some(&(slot, ring, since)) = state.empty.front() {
            if now.saturating_sub(since) < LINGER {
                break;
            }
            state.empty.pop_front();
            let Some(stream) = state.streams.get(slot as usize) else { continue };
            // Followed again meanwhile, or empty since a later moment that is in the queue as well.
            if stream.ring != ring || stream.empty_since != Some(since) || !stream.is_unused() {
                continue;
            }
            if stream.busy.as_ref().is_some_and(|busy| busy.queued) {
                state.empty.push_back((slot, ring, since));
                break;
            }
            let stream = state.streams.remove(slot as usize);
            state.by_id.remove(&stream.id);
            state.rings.forget(ring);
            state.chosen.remove(&slot);
            state.typing.retain(|(typed_in, _), _| *typed_in != slot);
            left.push(stream.id);
        }
        if !left.is_empty() {
            self.node.leave(self.index, left);
        }
    }

    /// Forgets what is under way in streams where nothing is.
    fn settle(&self) {
        let mut state = self.state.borrow_mut();
        let now = Instant::now();
        let mut later = Vec::new();
        let mut settled = std::mem::take(&mut state.settled);
        settled.sort_unstable();
        settled.dedup();
        for slot in settled {
            let Some(stream) = state.streams.get_mut(slot as usize) else { continue };
            match &stream.busy {
                Some(busy) if busy.is_idle(now) => stream.busy = None,
                // Paced, or somebody is on the way in: another time.
                Some(_) => later.push(slot),
                None => {}
            }
        }
        state.settled = later;
    }

    #[expect(clippy::cast_precision_loss, reason = "gauges are for people")]
    fn gauge(&self) {
        let state = self.state.borrow();
        let core = self.index.to_string();
        let node = self.node.config.node_name.clone();
        metrics::gauge!("rookery_connections", "node" => node, "core" => core.clone())
            .set(state.connections.len() as f64);
        metrics::gauge!("rookery_followed_streams", "core" => core.clone()).set(state.streams.len() as f64);
        let queued: usize = state
            .connections
            .iter()
            .filter_map(|(_, connection)| connection.outbox.borrow().as_ref().map(|outbox| outbox.bytes()))
            .sum();
        metrics::gauge!("rookery_queue_bytes", "core" => core.clone()).set(queued as f64);
        metrics::gauge!("rookery_polling_connections", "core" => core).set(self.polls.borrow().len() as f64);
    }

    /// Looks at the announced heads of everything that is followed, for ever. The period stretches with the number,
    /// so that this takes no more than a hundredth of a core.
    pub async fn sweep_heads(self: Rc<Self>) {
        loop {
            let streams: Vec<(usize, StreamId, u64)> =
                self.state.borrow().streams.iter().map(|(slot, stream)| (slot, stream.id, stream.ring)).collect();
            let stretched = LOOK_COST * 100 * u32::try_from(streams.len()).unwrap_or(u32::MAX);
            let period = self.node.config.sweep_period.max(stretched);
            metrics::gauge!("rookery_sweep_period_seconds", "core" => self.index.to_string()).set(period.as_secs_f64());
            sleep(period).await;
            for chunk in streams.chunks(LARGEST_HEADS) {
                let ids: Vec<StreamId> = chunk.iter().map(|(_, id, _)| *id).collect();
                let bus = self.node.bus.clone();
                let Ok(Ok(heads)) = self.node.run(async move { bus.heads(&ids).await }).await else { continue };
                let mut state = self.state.borrow_mut();
                for ((slot, _, ring), head) in chunk.iter().zip(heads) {
                    let Some(head) = head else { continue };
                    let Some(stream) = state.streams.get_mut(*slot).filter(|stream| stream.ring == *ring) else {
                        continue;
                    };
                    let need = stream.feed.announced(head);
                    self.meet(&state, u32::try_from(*slot).unwrap_or(u32::MAX), need);
                }
            }
        }
    }

    /// Events of these streams, or of all, may have been missed: gets their heads from the store, spread out.
    pub fn heal(self: &Rc<Self>, streams: Option<Vec<StreamId>>) {
        let core = self.clone();
        spawn_local(async move {
            let streams: Vec<StreamId> = streams.unwrap_or_else(|| core.state.borrow().by_id.keys().copied().collect());
            metrics::counter!("rookery_heals_total").increment(streams.len() as u64);
            let chunks = u32::try_from(streams.chunks(LARGEST_HEADS).count()).unwrap_or(u32::MAX).max(1);
            for chunk in streams.chunks(LARGEST_HEADS) {
                core.heal_chunk(chunk).await;
                sleep(HEAL_SPREAD / chunks / 4).await;
            }
        });
    }

    /// Asks for heads until the store answers: what was missed is owed.
    async fn heal_chunk(self: &Rc<Self>, chunk: &[StreamId]) {
        loop {
            if let Ok(Ok(heads)) = self.node.heads(chunk.to_vec()).await {
                let mut state = self.state.borrow_mut();
                for (id, head) in chunk.iter().zip(heads) {
                    self.reached_if_open(&mut state, *id, head);
                }
                return;
            }
            sleep(Duration::from_millis(200 + u64::from(rand::random::<u8>()))).await;
        }
    }

    /// A stream that is still opening reads its head after this one, and needs none.
    fn reached_if_open(self: &Rc<Self>, state: &mut State, id: StreamId, head: u64) {
        let Some(&slot) = state.by_id.get(&id) else { return };
        if !state.streams[slot as usize].feed.is_opening() {
            self.reached(state, slot, head);
        }
    }
}
