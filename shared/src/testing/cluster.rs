//! A Redis Cluster of masters.

use super::{RedisServer, free_port, process::poll};
use std::ops::Range;

/// Slots of every Redis Cluster.
const SLOTS: u16 = 16_384;

/// A Redis Cluster of masters without replicas on free ports of 127.0.0.1, that ends with this handle.
///
/// A master that is killed keeps its place: its slots are down until it is restarted, empty; the others serve on.
#[derive(Debug)]
pub struct RedisCluster {
    masters: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts so many masters that share the slots evenly, and waits until each of them knows that.
    ///
    /// # Panics
    /// If they do not get there in time.
    pub async fn start(masters: u16) -> Self {
        let mut started = Vec::new();
        for _ in 0..masters {
            let bus = free_port().to_string();
            let options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-port", &bus];
            let partial = ["--cluster-require-full-coverage", "no", "--cluster-config-file", "nodes.conf"];
            let server = RedisServer::start_with(&[options.as_slice(), &partial].concat()).await;
            started.push((server, bus));
        }
        for (index, (server, _)) in (0..masters).zip(&started) {
            let slots = share(index, masters);
            let (first, last) = (slots.start, slots.end - 1);
            let add = redis::cmd("CLUSTER").arg("ADDSLOTSRANGE").arg(first).arg(last).clone();
            server.command::<()>(&add).await;
            let epoch = redis::cmd("CLUSTER").arg("SET-CONFIG-EPOCH").arg(index + 1).clone();
            server.command::<()>(&epoch).await;
        }
        for (server, bus) in &started[1..] {
            let meet = redis::cmd("CLUSTER").arg("MEET").arg("127.0.0.1").arg(server.port()).arg(bus).clone();
            started[0].0.command::<()>(&meet).await;
        }
        let cluster = Self { masters: started.into_iter().map(|(server, _)| server).collect() };
        cluster.agreed().await;
        cluster
    }

    /// The URLs of all masters.
    pub fn urls(&self) -> Vec<String> {
        self.masters.iter().map(RedisServer::url).collect()
    }

    /// One of the masters, by place.
    pub fn master(&mut self, index: usize) -> &mut RedisServer {
        &mut self.masters[index]
    }

    /// The master, by place, to which the cluster was built to give this slot.
    ///
    /// # Panics
    /// If there is no such slot.
    pub fn owner(&self, slot: u16) -> usize {
        let masters = u16::try_from(self.masters.len()).expect("few masters");
        (0..masters).position(|index| share(index, masters).contains(&slot)).expect("a slot of the cluster")
    }

    /// Waits until every master sees all slots served.
    ///
    /// # Panics
    /// If that takes too long.
    pub async fn agreed(&self) {
        for server in &self.masters {
            poll("the masters agree on the slots", async || {
                let mut connection = server.connection().await.ok()?;
                let info = redis::cmd("CLUSTER").arg("INFO").query_async::<String>(&mut connection).await.ok()?;
                let complete = info.contains("cluster_state:ok") && info.contains("cluster_slots_ok:16384");
                let known = info.contains(&format!("cluster_known_nodes:{}", self.masters.len()));
                (complete && known).then_some(())
            })
            .await;
        }
    }

    /// Gives an empty slot to another master, as resharding does at its end, and waits until both know.
    ///
    /// # Panics
    /// If a master refuses.
    pub async fn move_slot(&self, slot: u16, from: usize, to: usize) {
        let id: String = self.masters[to].command(redis::cmd("CLUSTER").arg("MYID")).await;
        for index in [to, from] {
            let set = redis::cmd("CLUSTER").arg("SETSLOT").arg(slot).arg("NODE").arg(&id).clone();
            self.masters[index].command::<()>(&set).await;
        }
    }
}

/// The slots of one of so many masters.
fn share(index: u16, masters: u16) -> Range<u16> {
    let per = SLOTS / masters;
    let start = index * per;
    let end = if index + 1 == masters { SLOTS } else { start + per };
    start..end
}
