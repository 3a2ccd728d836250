//! Presence across a cluster, in Redis.
//!
//! Users are divided into partitions, each of which lies in one slot with everything that decides about its users: the
//! heartbeats of all nodes, each node's devices, each user's devices. So every decision is one script, atomic and by
//! the time of one server, in a cluster as well. The price is that a node beats in every partition; a heartbeat says
//! "known" only if every partition knew the node, so the loss of a single master is noticed like that of all.
//!
//! What a node registers under an expired heartbeat counts again with its next one, which answers false. Nobody is
//! called dead in a partition before its data is [`QUIET`] old.

use super::{Arrival, Device, LEASE, Presence, PresenceCall, PresenceError, Seen};
use crate::{
    clock::Time,
    ids::{Incarnation, UserId},
    keys::{Keys, PARTITIONS},
    model::{NodeReport, Status},
    redis_link::{
        BadRedisConfig, RedisConfig, RedisMode,
        scripts::{Call, Lua, Scripts},
    },
};
use redis::{FromRedisValue, Value};
use std::time::Duration;

/// How long nobody is called dead after a loss of Redis: time enough for every living node to register again.
pub const QUIET: Duration = Duration::from_secs(20);

/// Devices that are taken back with one batch.
const BATCH: usize = 512;

/// Calls in one pipeline; a larger batch is made in several, so that others get their turn between them.
const CALLS: usize = 1024;

/// Longest time of a pipeline.
const PATIENCE: Duration = Duration::from_secs(3);

/// Presence in Redis.
pub struct RedisPresence {
    keys: Keys,
    scripts: Scripts,
    lua: Library,
    lease: Duration,
    quiet: Duration,
}

struct Library {
    beat: Lua,
    connect: Lua,
    leaving: Lua,
    release: Lua,
    seen: Lua,
    dead: Lua,
    devices: Lua,
    report: Lua,
    nodes: Lua,
    count: Lua,
}

impl RedisPresence {
    /// Presence in the Redis of this configuration. Connects with the first call.
    pub fn new(config: &RedisConfig) -> Result<Self, BadRedisConfig> {
        Self::with_times(config, LEASE, QUIET)
    }

    /// The same with heartbeats that hold for `lease`, and nobody called dead for `quiet` after a loss.
    pub fn with_times(config: &RedisConfig, lease: Duration, quiet: Duration) -> Result<Self, BadRedisConfig> {
        let partitions = if config.mode == RedisMode::Cluster { PARTITIONS } else { 1 };
        let lua = Library {
            beat: Lua::new(include_str!("lua/beat.lua")),
            connect: Lua::new(include_str!("lua/connect.lua")),
            leaving: Lua::new(include_str!("lua/leaving.lua")),
            release: Lua::new(include_str!("lua/release.lua")),
            seen: Lua::new(include_str!("lua/seen.lua")),
            dead: Lua::new(include_str!("lua/dead.lua")),
            devices: Lua::new(include_str!("lua/devices.lua")),
            report: Lua::new(include_str!("lua/report.lua")),
            nodes: Lua::new(include_str!("lua/nodes.lua")),
            count: Lua::new(include_str!("lua/count.lua")),
        };
        let keys = Keys::new(&config.prefix, partitions);
        Ok(Self { keys, scripts: Scripts::new(config)?, lua, lease, quiet })
    }

    async fn run<T: FromRedisValue>(&self, calls: Vec<Call<'_>>) -> Result<Vec<T>, PresenceError> {
        let mut answers = Vec::with_capacity(calls.len());
        for calls in calls.chunks(CALLS) {
            let values = self.scripts.run(calls, PATIENCE).await.map_err(|e| PresenceError(e.to_string()))?;
            for value in values {
                answers.push(read(value)?);
            }
        }
        Ok(answers)
    }

    fn partitions(&self) -> std::ops::Range<u16> {
        0..self.keys.partitions()
    }

    fn lease(&self) -> String {
        self.lease.as_millis().to_string()
    }

    fn connect_call(&self, node: Incarnation, device: Device, most: u32) -> Call<'_> {
        let partition = self.keys.partition(device.user);
        let keys = vec![
            self.keys.nodes(partition),
            self.keys.unknown(partition),
            self.keys.born(partition),
            self.keys.devices_of_node(partition, node),
            self.keys.presence(device.user),
            self.keys.order(device.user),
            self.keys.online(partition),
        ];
        let connection = device.connection.to_string();
        let arguments = vec![node.to_string(), self.lease(), connection, name(device), most.to_string()];
        self.lua.connect.call(keys, arguments)
    }

    fn release_call(&self, node: &str, device: Device, which: &str) -> Call<'_> {
        let partition = self.keys.partition(device.user);
        let keys = vec![
            self.keys.nodes(partition),
            self.keys.devices_of_node(partition, node),
            self.keys.presence(device.user),
            self.keys.last_seen(device.user),
            self.keys.order(device.user),
            self.keys.online(partition),
        ];
        let arguments = vec![node.to_owned(), device.connection.to_string(), name(device), which.to_owned()];
        self.lua.release.call(keys, arguments)
    }

    /// Takes back everything that an incarnation left in a partition; the users that are offline by it.
    async fn drain(&self, partition: u16, node: &str, which: &str) -> Result<Vec<UserId>, PresenceError> {
        let mut offline = Vec::new();
        loop {
            let index = self.keys.devices_of_node(partition, node);
            let keys = vec![self.keys.nodes(partition), self.keys.unknown(partition), index];
            let arguments = vec![node.to_owned(), BATCH.to_string(), which.to_owned()];
            let call = self.lua.devices.call(keys, arguments);
            let names: Vec<String> = self.run::<Vec<String>>(vec![call]).await?.swap_remove(0);
            let devices: Vec<Device> = names.iter().filter_map(|name| device(name)).collect();
            if devices.is_empty() {
                return Ok(offline);
            }
            let calls = devices.iter().map(|device| self.release_call(node, *device, which)).collect();
            let went: Vec<bool> = self.run(calls).await?;
            offline.extend(devices.iter().zip(went).filter(|(_, went)| *went).map(|(device, _)| device.user));
        }
    }
}

fn read<T: FromRedisValue>(value: Value) -> Result<T, PresenceError> {
    T::from_redis_value(value).map_err(|error| PresenceError(error.to_string()))
}

fn arrival(value: Value) -> Result<Arrival, PresenceError> {
    let [came_online, surplus]: [Value; 2] = match value {
        Value::Array(parts) => parts.try_into().ok(),
        _ => None,
    }
    .ok_or_else(|| PresenceError("an arrival has two parts".to_owned()))?;
    let surplus: Vec<String> = read(surplus)?;
    Ok(Arrival {
        came_online: read(came_online)?,
        surplus: surplus.iter().filter_map(|connection| connection.parse().ok()).collect(),
    })
}

/// A device as a node's set of devices names it.
fn name(device: Device) -> String {
    format!("{}/{}", device.user, device.connection)
}

fn device(name: &str) -> Option<Device> {
    let (user, connection) = name.split_once('/')?;
    Some(Device { user: user.parse().ok()?, connection: connection.parse().ok()? })
}

impl Presence for RedisPresence {
    fn beat(&self, node: Incarnation) -> PresenceCall<'_, bool> {
        Box::pin(async move {
            let call = |partition| {
                let keys = vec![self.keys.nodes(partition), self.keys.unknown(partition), self.keys.born(partition)];
                self.lua.beat.call(keys, vec![node.to_string(), self.lease()])
            };
            let known: Vec<bool> = self.run(self.partitions().map(call).collect()).await?;
            Ok(known.into_iter().all(|known| known))
        })
    }

    fn connect<'a>(&'a self, node: Incarnation, devices: &'a [Device], most: u32) -> PresenceCall<'a, Vec<Arrival>> {
        Box::pin(async move {
            let calls = devices.iter().map(|device| self.connect_call(node, *device, most)).collect();
            self.run::<Value>(calls).await?.into_iter().map(arrival).collect()
        })
    }

    fn leaving<'a>(&'a self, devices: &'a [Device]) -> PresenceCall<'a, ()> {
        Box::pin(async move {
            let call = |device: &Device| {
                let keys = vec![self.keys.order(device.user)];
                self.lua.leaving.call(keys, vec![device.connection.to_string()])
            };
            self.run::<Value>(devices.iter().map(call).collect()).await.map(drop)
        })
    }

    fn disconnect<'a>(&'a self, node: Incarnation, devices: &'a [Device]) -> PresenceCall<'a, Vec<bool>> {
        let node = node.to_string();
        Box::pin(self.run(devices.iter().map(|device| self.release_call(&node, *device, "any")).collect()))
    }

    fn seen<'a>(&'a self, users: &'a [UserId]) -> PresenceCall<'a, Vec<Seen>> {
        Box::pin(async move {
            let call = |user: &UserId| {
                let nodes = self.keys.nodes(self.keys.partition(*user));
                self.lua.seen.call(vec![nodes, self.keys.presence(*user), self.keys.last_seen(*user)], Vec::new())
            };
            let answers: Vec<Vec<i64>> = self.run(users.iter().map(call).collect()).await?;
            let seen = |answer: &Vec<i64>| match answer.as_slice() {
                [1, ..] => Seen { status: Status::Online, last_seen: None },
                [_, last] => Seen { status: Status::Offline, last_seen: Some(Time(*last)) },
                _ => Seen { status: Status::Offline, last_seen: None },
            };
            Ok(answers.iter().map(seen).collect())
        })
    }

    fn count(&self) -> PresenceCall<'_, u64> {
        Box::pin(async move {
            let call = |partition| self.lua.count.call(vec![self.keys.online(partition)], Vec::new());
            let counts: Vec<u64> = self.run(self.partitions().map(call).collect()).await?;
            Ok(counts.into_iter().sum())
        })
    }

    fn report<'a>(&'a self, report: &'a NodeReport) -> PresenceCall<'a, ()> {
        Box::pin(async move {
            let text = serde_json::to_string(report).map_err(|error| PresenceError(error.to_string()))?;
            let call = self.lua.report.call(vec![self.keys.reports()], vec![report.id.to_string(), text]);
            self.run::<Value>(vec![call]).await.map(drop)
        })
    }

    fn nodes(&self) -> PresenceCall<'_, Vec<NodeReport>> {
        Box::pin(async move {
            let call = self.lua.nodes.call(vec![self.keys.nodes(0), self.keys.reports()], Vec::new());
            let texts: Vec<String> = self.run::<Vec<String>>(vec![call]).await?.swap_remove(0);
            // A node of another version may say it in another form.
            let reports = texts.iter().filter_map(|text| serde_json::from_str(text).ok());
            let mut reports: Vec<NodeReport> = reports.collect();
            reports.sort_unstable_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
            Ok(reports)
        })
    }

    fn sweep(&self) -> PresenceCall<'_, Vec<UserId>> {
        Box::pin(async move {
            let quiet = self.quiet.as_millis().to_string();
            let call = |partition| {
                let keys = vec![self.keys.nodes(partition), self.keys.born(partition)];
                self.lua.dead.call(keys, vec![quiet.clone()])
            };
            let dead: Vec<Vec<String>> = self.run(self.partitions().map(call).collect()).await?;
            let mut offline = Vec::new();
            for (partition, nodes) in self.partitions().zip(dead) {
                for node in nodes {
                    offline.extend(self.drain(partition, &node, "dead").await?);
                }
            }
            Ok(offline)
        })
    }

    fn retire(&self, node: Incarnation) -> PresenceCall<'_, ()> {
        Box::pin(async move {
            let node = node.to_string();
            let drains = self.partitions().map(|partition| self.drain(partition, &node, "any"));
            futures_util::future::try_join_all(drains).await.map(|_| ())
        })
    }
}
