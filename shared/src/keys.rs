//! Every name in Redis: channels and keys, and which of them share a slot.
//!
//! Streams are spread over [`TAGS`] hash tags. Everything of one stream has one tag, and so have many streams: their
//! heads are read with one command per tag and their channels are subscribed with one per tag, even in a cluster.
//! Presence is divided into [`PARTITIONS`] parts. Each holds everything that a decision about one of its users needs,
//! the heartbeats of all nodes included, so that one script decides it in one slot.

use crate::ids::{StreamId, UserId, fnv1a};
use std::fmt::Display;

/// Hash tags that streams share. Enough to spread over many masters, few enough that batches stay batches.
pub const TAGS: u16 = 1024;

/// Parts of presence in a cluster; elsewhere one is enough. A node beats in each of them.
pub const PARTITIONS: u16 = 128;

/// Slots of every Redis Cluster.
pub const SLOTS: u16 = 16_384;

/// Builds the names, all of which begin with the installation's prefix.
#[derive(Clone, Debug)]
pub struct Keys {
    prefix: String,
    partitions: u16,
}

impl Keys {
    /// Names that begin with `prefix`, so that installations can share a Redis; presence in this many partitions.
    pub fn new(prefix: &str, partitions: u16) -> Self {
        Self { prefix: prefix.to_owned(), partitions: partitions.max(1) }
    }

    /// The channel of a stream's events.
    pub fn channel(&self, stream: StreamId) -> String {
        self.of_stream("events", stream)
    }

    /// The stream of a channel; `None` for a channel that this module did not name.
    pub fn stream_of(channel: &[u8]) -> Option<StreamId> {
        let (_, name) = std::str::from_utf8(channel).ok()?.rsplit_once("}:")?;
        name.parse().ok()
    }

    /// The announced head of a stream.
    pub fn head(&self, stream: StreamId) -> String {
        self.of_stream("head", stream)
    }

    /// The generation of what is announced.
    pub fn generation(&self) -> String {
        format!("{}:generation", self.prefix)
    }

    /// The tag that a stream's names carry.
    pub fn tag(stream: StreamId) -> u16 {
        stream.bucket() % TAGS
    }

    /// The slot of a tag.
    pub fn slot_of_tag(tag: u16) -> u16 {
        slot(tag.to_string().as_bytes())
    }

    /// How many partitions presence has here.
    pub fn partitions(&self) -> u16 {
        self.partitions
    }

    /// The partition of a user.
    pub fn partition(&self, user: UserId) -> u16 {
        let hash = fnv1a(user.0.as_bytes()) % u64::from(self.partitions);
        u16::try_from(hash).unwrap_or_default()
    }

    /// Sorted set of a partition: incarnation → when its heartbeat is over.
    pub fn nodes(&self, partition: u16) -> String {
        self.of_partition("nodes", partition, "")
    }

    /// When a partition's data came to be: young data may be what is left of a loss.
    pub fn born(&self, partition: u16) -> String {
        self.of_partition("born", partition, "")
    }

    /// Set of a partition: incarnations that hold a lease without having asked for it, as the old one was lost.
    pub fn unknown(&self, partition: u16) -> String {
        self.of_partition("unknown", partition, "")
    }

    /// Set of a partition: the devices, as `user/connection`, that an incarnation registered.
    pub fn devices_of_node(&self, partition: u16, node: impl Display) -> String {
        self.of_partition("node", partition, node)
    }

    /// Hash: a user's connections → incarnation.
    pub fn presence(&self, user: UserId) -> String {
        self.of_partition("presence", self.partition(user), user)
    }

    /// Sorted set: a user's connections by when they came, those apart that are leaving.
    pub fn order(&self, user: UserId) -> String {
        self.of_partition("order", self.partition(user), user)
    }

    /// How many users of a partition have devices.
    pub fn online(&self, partition: u16) -> String {
        self.of_partition("online", partition, "")
    }

    /// Hash: incarnation → what the node last said of itself. Lies beside the heartbeats of the first partition.
    pub fn reports(&self) -> String {
        self.of_partition("reports", 0, "")
    }

    /// When a user's last device went.
    pub fn last_seen(&self, user: UserId) -> String {
        self.of_partition("seen", self.partition(user), user)
    }

    /// The window of a limit.
    pub fn limit(&self, key: &str) -> String {
        format!("{}:limit:{{{key}}}", self.prefix)
    }

    fn of_stream(&self, sort: &str, stream: StreamId) -> String {
        format!("{}:{sort}:{{{}}}:{stream}", self.prefix, Self::tag(stream))
    }

    fn of_partition(&self, sort: &str, partition: u16, name: impl Display) -> String {
        // The letter keeps partitions out of the slots of the tags with the same number.
        format!("{}:{sort}:{{p{partition}}}:{name}", self.prefix)
    }
}

/// The slot of a hash tag, or of a key without one: CRC16 (XMODEM) modulo 16384, as the Redis Cluster specification
/// gives it.
pub fn slot(tag: &[u8]) -> u16 {
    let crc = tag.iter().fold(0_u16, |crc, byte| {
        (0..8).fold(
            crc ^ (u16::from(*byte) << 8),
            |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 },
        )
    });
    crc % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::RoomId;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(slot(b"123456789"), 0x31C3);
        assert_eq!(slot(b"foo"), 12_182);
    }

    #[test]
    fn a_stream_is_read_back_from_its_channel() {
        let keys = Keys::new("odd}:prefix", 1);
        for stream in [StreamId::Room(RoomId::new()), StreamId::User(UserId::new())] {
            assert_eq!(Keys::stream_of(keys.channel(stream).as_bytes()), Some(stream));
        }
        assert_eq!(Keys::stream_of(b"other"), None);
        assert_eq!(Keys::stream_of(&[0xff]), None);
    }

    #[test]
    fn all_that_decides_about_a_user_shares_a_slot() {
        let keys = Keys::new("test", PARTITIONS);
        let user = UserId::new();
        let partition = keys.partition(user);
        let tag = format!("{{p{partition}}}");
        let names = [
            keys.nodes(partition),
            keys.born(partition),
            keys.unknown(partition),
            keys.devices_of_node(partition, "n"),
            keys.presence(user),
            keys.last_seen(user),
            keys.order(user),
            keys.online(partition),
        ];
        assert!(names.iter().all(|name| name.contains(&tag)), "{names:?}");
    }
}
