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
    ids::{Incarnation, RoomId, StreamId, UserId},
    model::{Status, UserStatus},
    presence::{Device, LEASE, SharedPresence},
};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};
use tokio::{
    runtime::Handle,
    sync::oneshot,
    time::{interval, sleep},
};

/// How long a device may be away before anyone is told: a client that reconnects does not flicker.
const GRACE: Duration = Duration::from_secs(3);

/// Devices in one call at most.
const LARGEST: usize = 500;

/// The devices of this node, as presence knows them.
pub struct Devices {
    connect: Arc<Batcher<Device, bool>>,
    disconnect: Arc<Batcher<Device, bool>>,
    here: Arc<Mutex<HashSet<Device>>>,
}

impl Devices {
    /// No devices yet.
    pub fn new(io: &Handle, presence: SharedPresence, node: Incarnation) -> Self {
        let presence2 = presence.clone();
        let connect = Batcher::new(io.clone(), LARGEST, bounded_by_callers(), move |batch: Vec<Device>| {
            let presence = presence.clone();
            // A failure is put right by the next heartbeat, which then finds this node unknown or incomplete.
            async move { presence.connect(node, &batch).await.unwrap_or_else(|_| vec![false; batch.len()]) }
        });
        let disconnect = Batcher::new(io.clone(), LARGEST, bounded_by_callers(), move |batch: Vec<Device>| {
            let presence = presence2.clone();
            async move { presence.disconnect(node, &batch).await.unwrap_or_else(|_| vec![false; batch.len()]) }
        });
        Self { connect, disconnect, here: Arc::default() }
    }

    /// A device is here; tells whether its user has come online with it.
    pub fn connected(&self, device: Device) -> oneshot::Receiver<bool> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner).insert(device);
        self.connect.call(device)
    }

    /// A device has gone; tells whether its user has gone offline with it.
    async fn disconnected(&self, device: Device) -> bool {
        self.here.lock().unwrap_or_else(PoisonError::into_inner).remove(&device);
        self.disconnect.call(device).await.unwrap_or(false)
    }

    fn all(&self) -> Vec<Device> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
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
}

impl Node {
    /// A device has gone. Others are told after a grace, if no device of the user is there by then.
    pub fn device_gone(self: &Arc<Self>, gone: Gone) {
        let node = self.clone();
        drop(self.io.spawn(async move {
            // In a drain the client comes back through another node, within the same grace.
            sleep(GRACE).await;
            if node.devices.disconnected(gone.device).await {
                let status = offline(gone.device.user, gone.username.to_string());
                tell(&*node.bus, &gone.rooms, &status);
            }
        }));
    }

    /// Beats until the process ends. Registers everything again when presence does not know this node.
    pub async fn beat(self: Arc<Self>) {
        let mut beats = interval(LEASE / 3);
        loop {
            beats.tick().await;
            match self.presence.beat(self.incarnation).await {
                Ok(true) => {}
                Ok(false) => {
                    for devices in self.devices.all().chunks(LARGEST) {
                        if let Err(error) = self.presence.connect(self.incarnation, devices).await {
                            tracing::debug!(%error, "devices could not be registered again");
                        }
                        // Paced: after a loss every node does this at the same time.
                        sleep(Duration::from_millis(20)).await;
                    }
                }
                Err(error) => tracing::debug!(%error, "no heartbeat"),
            }
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
            match self.backend.presence_rooms(users).await {
                Ok(all) => {
                    for user in all {
                        tell(&*self.bus, &user.rooms, &offline(user.user_id, user.username));
                    }
                }
                Err(problem) => tracing::warn!(%problem, "users went offline with a dead node, and nobody was told"),
            }
        }
    }

    /// Ends this node's presence in good order.
    pub async fn retire(&self) {
        self.draining.store(true, Ordering::SeqCst);
        if let Err(error) = self.presence.retire(self.incarnation).await {
            tracing::debug!(%error, "presence ends by its lease");
        }
    }

    /// Tells every core something.
    pub fn tell_cores(&self, mail: impl Fn() -> Mail) {
        self.interest.inboxes().iter().for_each(|inbox| inbox.mail(mail()));
    }
}

fn offline(user_id: UserId, username: String) -> UserStatus {
    UserStatus { user_id, username: Some(username), status: Status::Offline, last_seen: Some(clock::now()) }
}
