//! Presence as this node reports it: devices registered and taken back in batches, a heartbeat, and the sweep of
//! what dead nodes left.

use super::{
    Node,
    batch::{Batcher, bounded_by_callers},
};
use crate::hub::inbox::Mail;
use bytes::Bytes;
use rookery_shared::{
    bus::Bus,
    clock,
    envelope::{Event, Header, Kind},
    ids::{ConnectionId, Incarnation, RoomId, StreamId, UserId},
    model::{ChosenStatus, NodeReport, Status, UserStatus},
    presence::{Arrival, Device, LEASE, PresenceError, SharedPresence},
    protocol::CloseReason,
};
use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    runtime::Handle,
    sync::oneshot,
    time::{interval, sleep, timeout},
};

/// How long a device may be away before anyone is told: a client that reconnects does not flicker.
const GRACE: Duration = Duration::from_secs(3);

/// Devices in one call at most.
const LARGEST: usize = 500;

/// The devices of this node, as presence knows them.
pub struct Devices {
    connect: Arc<Batcher<Device, Arrival>>,
    leaving: Arc<Batcher<Device, ()>>,
    disconnect: Arc<Batcher<Device, bool>>,
    tables: Arc<Mutex<Tables>>,
    /// Devices that have gone and that nobody has been told of yet.
    untold: AtomicUsize,
    /// Devices that a user may have.
    most: u32,
}

#[derive(Default)]
struct Tables {
    /// The devices that are connected to this node.
    here: HashSet<Device>,
    /// Those of which presence may have another idea, because a call failed.
    unsettled: HashSet<Device>,
    /// Users whose devices have gone, with nobody told yet.
    going: HashMap<UserId, Going>,
}

/// A user some of whose devices have just gone.
struct Going {
    devices: usize,
    /// How they want to be seen.
    status: ChosenStatus,
}

impl Devices {
    /// No devices yet.
    pub fn new(io: &Handle, presence: SharedPresence, node: Incarnation, most: u32) -> Self {
        let tables = Arc::<Mutex<Tables>>::default();
        let (presence2, presence3) = (presence.clone(), presence.clone());
        let (tables2, tables3) = (tables.clone(), tables.clone());
        let connect = Batcher::new(io.clone(), LARGEST, bounded_by_callers(), move |batch: Vec<Device>| {
            let (presence, tables) = (presence.clone(), tables2.clone());
            async move { settled(&tables, &batch, presence.connect(node, &batch, most).await) }
        });
        let disconnect = Batcher::new(io.clone(), LARGEST, bounded_by_callers(), move |batch: Vec<Device>| {
            let (presence, tables) = (presence2.clone(), tables3.clone());
            async move { settled(&tables, &batch, presence.disconnect(node, &batch).await) }
        });
        let leaving = Batcher::new(io.clone(), LARGEST, bounded_by_callers(), move |batch: Vec<Device>| {
            let presence = presence3.clone();
            async move {
                // Taking them back does it too.
                let _ = presence.leaving(&batch).await;
                vec![(); batch.len()]
            }
        });
        Self { connect, leaving, disconnect, tables, untold: AtomicUsize::new(0), most }
    }

    /// A device is here; tells whether its user has come online with it, and which of their devices are too many.
    pub fn connected(&self, device: Device) -> oneshot::Receiver<Arrival> {
        lock(&self.tables).here.insert(device);
        self.connect.call(device)
    }

    /// A device goes, of a user who wants to be seen so.
    fn goes(&self, device: Device, status: ChosenStatus) {
        self.untold.fetch_add(1, Ordering::SeqCst);
        let mut tables = lock(&self.tables);
        let going = tables.going.entry(device.user).or_insert(Going { devices: 0, status });
        going.devices += 1;
        going.status = status;
        drop(self.leaving.call(device));
    }

    /// A user wants to be seen so from now on.
    pub fn chose(&self, user: UserId, status: ChosenStatus) {
        if let Some(going) = lock(&self.tables).going.get_mut(&user) {
            going.status = status;
        }
    }

    /// A device has gone; tells whether its user has gone offline with it, and how they wanted to be seen.
    async fn disconnected(&self, device: Device) -> (bool, ChosenStatus) {
        lock(&self.tables).here.remove(&device);
        let offline = self.disconnect.call(device).await.unwrap_or(false);
        let mut tables = lock(&self.tables);
        let Some(going) = tables.going.get_mut(&device.user) else { return (offline, ChosenStatus::default()) };
        let status = going.status;
        going.devices -= 1;
        if going.devices == 0 {
            tables.going.remove(&device.user);
        }
        (offline, status)
    }

    /// Everything that is here is unsettled: presence has lost it.
    fn unsettle_all(&self) {
        let mut tables = lock(&self.tables);
        let Tables { here, unsettled, .. } = &mut *tables;
        unsettled.extend(here.iter().copied());
    }

    /// Some of the unsettled devices, those that are here and those that are not.
    fn take_unsettled(&self) -> (Vec<Device>, Vec<Device>) {
        let mut tables = lock(&self.tables);
        let some: Vec<Device> = tables.unsettled.iter().take(LARGEST).copied().collect();
        for device in &some {
            tables.unsettled.remove(device);
        }
        some.into_iter().partition(|device| tables.here.contains(device))
    }
}

fn lock(tables: &Mutex<Tables>) -> MutexGuard<'_, Tables> {
    tables.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The answers of a call; when it failed, its devices are remembered for the next heartbeat.
fn settled<T: Clone + Default>(
    tables: &Mutex<Tables>,
    batch: &[Device],
    result: Result<Vec<T>, PresenceError>,
) -> Vec<T> {
    result.unwrap_or_else(|_| {
        lock(tables).unsettled.extend(batch.iter().copied());
        vec![T::default(); batch.len()]
    })
}

/// Has the connections of a user that are too many closed, on whichever nodes they are.
pub fn close_surplus(bus: &dyn Bus, user: UserId, surplus: &[ConnectionId]) {
    let event = |connection: &ConnectionId| Event {
        header: Header {
            subject: connection.0,
            ref_seq: u64::from(CloseReason::TooManyConnections.code()),
            ..Header::new(Kind::CloseConnection, StreamId::User(user), 0)
        },
        data: Bytes::new(),
    };
    if !surplus.is_empty() {
        bus.publish(surplus.iter().map(event).collect());
    }
}

/// Tells rooms of a user's presence. The number in the events is the same for all of them, so that who shares several
/// rooms with the user is told once.
pub fn tell(bus: &dyn Bus, rooms: &[RoomId], status: &UserStatus) {
    let Ok(data) = serde_json::to_vec(status) else { return };
    let data = Bytes::from(data);
    let number = rand::random::<u64>() | 1;
    let event = |room: &RoomId| Event {
        header: Header {
            subject: status.user_id.0,
            ref_seq: number,
            published_at: clock::micros(),
            ..Header::new(Kind::UserStatus, StreamId::Room(*room), 0)
        },
        data: data.clone(),
    };
    if !rooms.is_empty() {
        bus.publish(rooms.iter().map(event).collect());
    }
}

/// Who has gone, and where that is told.
pub struct Gone {
    /// The device.
    pub device: Device,
    /// The user's name.
    pub username: Arc<str>,
    /// The rooms in which it is told.
    pub rooms: Vec<RoomId>,
    /// How the user wants to be seen.
    pub status: ChosenStatus,
}

impl Node {
    /// A device has gone. Others are told after a grace, if no device of the user is there by then.
    pub fn device_gone(self: &Arc<Self>, gone: Gone) {
        let node = self.clone();
        self.devices.goes(gone.device, gone.status);
        drop(self.io.spawn(async move {
            // In a drain the client comes back through another node, within the same grace.
            sleep(GRACE).await;
            let (offline, chosen) = node.devices.disconnected(gone.device).await;
            if offline && chosen != ChosenStatus::Invisible {
                let status = went_offline(gone.device.user, gone.username.to_string());
                tell(&*node.bus, &gone.rooms, &status);
            }
            node.devices.untold.fetch_sub(1, Ordering::SeqCst);
        }));
    }

    /// Beats until the process ends. Puts right what presence has missed.
    pub async fn beat(self: Arc<Self>) {
        let mut beats = interval(LEASE / 3);
        loop {
            beats.tick().await;
            match self.presence.beat(self.incarnation).await {
                Ok(true) => {}
                Ok(false) => self.devices.unsettle_all(),
                Err(error) => {
                    tracing::debug!(%error, "no heartbeat");
                    continue;
                }
            }
            self.settle().await;
            self.report().await;
        }
    }

    /// Says of this node what administrators want to know.
    pub async fn report(&self) {
        let report = NodeReport {
            id: self.incarnation,
            name: self.config.node_name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            connections: self.connections.load(Ordering::Relaxed) as u64,
            streams: self.interest.followed() as u64,
            started_at: self.started_at,
            draining: self.draining.load(Ordering::SeqCst),
        };
        if let Err(error) = self.presence.report(&report).await {
            tracing::debug!(%error, "this node could not report");
        }
    }

    /// Registers and takes back what presence may have another idea of, until nothing is left or a call fails.
    async fn settle(&self) {
        loop {
            let (here, gone) = self.devices.take_unsettled();
            if here.is_empty() && gone.is_empty() {
                return;
            }
            let tables = &self.devices.tables;
            let connected = self.presence.connect(self.incarnation, &here, self.devices.most).await;
            let disconnected = self.presence.disconnect(self.incarnation, &gone).await;
            let failed = connected.is_err() || disconnected.is_err();
            for (device, arrival) in here.iter().zip(settled(tables, &here, connected)) {
                close_surplus(&*self.bus, device.user, &arrival.surplus);
            }
            let offline = settled(tables, &gone, disconnected);
            // A device that went while it was being registered is taken back in the next round.
            {
                let mut tables = lock(tables);
                let gone_since: Vec<Device> = here.iter().filter(|d| !tables.here.contains(d)).copied().collect();
                tables.unsettled.extend(gone_since);
            }
            let users = gone.iter().zip(offline).filter(|(_, offline)| *offline).map(|(device, _)| device.user);
            self.tell_offline(users.collect()).await;
            if failed {
                return;
            }
            // Paced: after a loss every node does this at the same time.
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Tells the rooms of users that they are offline, where only presence knew of them.
    async fn tell_offline(&self, users: Vec<UserId>) {
        if users.is_empty() {
            return;
        }
        match self.backend.presence_rooms(users).await {
            Ok(all) => {
                for user in all {
                    tell(&*self.bus, &user.rooms, &went_offline(user.user_id, user.username));
                }
            }
            Err(problem) => tracing::warn!(%problem, "users went offline, and nobody was told"),
        }
    }

    /// Sweeps what dead nodes left, until the process ends.
    pub async fn sweep(self: Arc<Self>) {
        loop {
            // Jitter keeps the nodes from sweeping in step.
            sleep(Duration::from_millis(3_000 + u64::from(rand::random::<u16>()) % 2_000)).await;
            let users = match self.presence.sweep().await {
                Ok(users) if !users.is_empty() => users,
                Ok(_) => continue,
                Err(error) => {
                    tracing::debug!(%error, "no sweep");
                    continue;
                }
            };
            metrics::counter!("rookery_presence_swept_total").increment(users.len() as u64);
            self.tell_offline(users).await;
        }
    }

    /// Ends this node's presence in good order.
    pub async fn retire(&self) {
        self.draining.store(true, Ordering::SeqCst);
        // Who has just gone and does not come back is told of by this node, or by nobody.
        let told = async {
            while self.devices.untold.load(Ordering::SeqCst) > 0 {
                sleep(Duration::from_millis(20)).await;
            }
        };
        let _ = timeout(GRACE + Duration::from_secs(1), told).await;
        if let Err(error) = self.presence.retire(self.incarnation).await {
            tracing::debug!(%error, "presence ends by its lease");
        }
    }

    /// Tells every core something.
    pub fn tell_cores(&self, mail: impl Fn() -> Mail) {
        self.interest.inboxes().iter().for_each(|inbox| inbox.mail(mail()));
    }
}

fn went_offline(user_id: UserId, username: String) -> UserStatus {
    UserStatus {
        user_id,
        username: Some(username),
        status: Status::Offline,
        last_seen: Some(clock::now()),
        text: None,
        chosen: None,
    }
}
