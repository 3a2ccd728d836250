//! The bus over Redis: one plain RESP3 connection per master for everything, owned here.
//!
//! Classic pub/sub on one server or behind Sentinels, sharded pub/sub on a cluster. Channels that share a hash tag are
//! subscribed together, one SSUBSCRIBE per tag, as a server refuses one that spans slots. When a connection breaks, a
//! slot moves (MOVED, or a `sunsubscribe` that nobody asked for), everything is subscribed again where it now belongs,
//! and then the sink is told what it may have missed.
//!
//! A [`subscribe`](Bus::subscribe) that fails leaves its wish standing: the streams are subscribed as soon as that is
//! possible, and the sink is told through `lost`. Whoever no longer wants them says so with `unsubscribe`.
//!
//! In a cluster a master that comes back empty has lost the heads of its slots alone. The generation does not tell
//! that unless it was among them; `lost` does, as its connection broke.

mod core;
mod interest;
mod link;

use self::{
    core::Core,
    link::{ANNOUNCE, Link, answer},
};
use super::{Bus, BusCall, BusError, BusSink};
use crate::{
    envelope::Event,
    ids::StreamId,
    keys::Keys,
    redis_link::{BadRedisConfig, RedisConfig, RedisMode, outbox::Dialect, resp::Value},
};
use futures_util::future::join_all;
use std::{collections::BTreeMap, sync::Arc};

/// Heads in one MGET; more would keep a server from others for long.
const HEADS_PER_COMMAND: usize = 1024;

/// The bus over Redis. Its connections end when it is dropped.
pub struct RedisBus {
    core: Arc<Core>,
}

impl RedisBus {
    /// Starts connecting and waits for the outcome of the first attempt, at most the configured response timeout.
    /// A Redis that is not there is no error: the bus goes on trying. A configuration that cannot work is one.
    pub async fn connect(config: RedisConfig, sink: Option<Arc<dyn BusSink>>) -> Result<Arc<Self>, BadRedisConfig> {
        let endpoints = config.endpoints()?;
        let dialect = Dialect {
            keys: Keys::new(&config.prefix, 1),
            sharded: config.mode == RedisMode::Cluster,
            queue_bytes: config.publish_queue_bytes,
            head_seconds: config.head_seconds,
            announce_sha: redis::Script::new(ANNOUNCE).get_hash().to_owned(),
        };
        let bus = Arc::new(Self { core: Core::new(endpoints, dialect, config.response_timeout, sink) });
        bus.core.start().await;
        Ok(bus)
    }

    /// Whether every master is connected now.
    pub fn is_connected(&self) -> bool {
        let routes = self.core.routes();
        !routes.links.is_empty() && routes.links.iter().all(|link| link.outbox.connection() != 0)
    }

    /// Reads some heads of one tag, or of any where there is no cluster; gives `None` if their server is away.
    async fn read_heads(&self, link: &Link, streams: &[StreamId]) -> Result<Vec<Option<u64>>, BusError> {
        let keys: Vec<String> = streams.iter().map(|stream| self.core.dialect.keys.head(*stream)).collect();
        let words: Vec<&[u8]> =
            ["MGET"].into_iter().chain(keys.iter().map(String::as_str)).map(str::as_bytes).collect();
        match answer(link.outbox.call(&words)).await? {
            Value::List(values) if values.len() == streams.len() => {
                Ok(values.iter().map(|value| value.as_int().and_then(|head| u64::try_from(head).ok())).collect())
            }
            _ => Err(BusError::Refused("no list of heads".to_owned())),
        }
    }
}

impl Drop for RedisBus {
    fn drop(&mut self) {
        self.core.stop.cancel();
    }
}

impl Bus for RedisBus {
    fn publish(&self, events: Vec<Event>) {
        let routes = self.core.routes();
        let mut lost = false;
        if let [only] = routes.links.as_slice() {
            lost = only.outbox.publish(events.iter());
        } else {
            for link in &routes.links {
                let here =
                    |event: &&Event| routes.of(event.header.stream).is_some_and(|other| Arc::ptr_eq(other, link));
                lost |= link.outbox.publish(events.iter().filter(here));
            }
            let homeless = |event: &Event| event.header.kind.is_durable() && routes.of(event.header.stream).is_none();
            lost |= events.iter().any(homeless);
        }
        if lost {
            self.core.lost_something();
        }
    }

    fn announce(&self, heads: &[(StreamId, u64)]) {
        let routes = self.core.routes();
        let mut lost = false;
        for link in &routes.links {
            let here = |(stream, _): &(StreamId, u64)| routes.of(*stream).is_some_and(|other| Arc::ptr_eq(other, link));
            let mut here = heads.iter().copied().filter(here).peekable();
            if here.peek().is_some() {
                lost |= link.outbox.announce(here);
            }
        }
        lost |= heads.iter().any(|(stream, _)| routes.of(*stream).is_none());
        if lost {
            self.core.lost_something();
        }
    }

    fn heads<'a>(&'a self, streams: &'a [StreamId]) -> BusCall<'a, Vec<Option<u64>>> {
        Box::pin(async move {
            let routes = self.core.routes();
            let mut groups: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
            for (place, stream) in streams.iter().enumerate() {
                let group = if self.core.dialect.sharded { Keys::tag(*stream) } else { 0 };
                groups.entry(group).or_default().push(place);
            }
            let chunks: Vec<&[usize]> = groups.values().flat_map(|group| group.chunks(HEADS_PER_COMMAND)).collect();
            let read = chunks.iter().map(|places| async {
                let wanted: Vec<StreamId> = places.iter().map(|place| streams[*place]).collect();
                let link = wanted.first().and_then(|stream| routes.of(*stream)).ok_or(BusError::Down)?;
                self.read_heads(link, &wanted).await
            });
            let answers = join_all(read).await;
            let mut heads = vec![None; streams.len()];
            // What one of several masters does not tell is unknown; nothing from anyone is an error.
            let mut failed = None;
            let mut any = chunks.is_empty();
            for (places, answer) in chunks.iter().zip(answers) {
                match answer {
                    Ok(answer) => {
                        any = true;
                        places.iter().zip(answer).for_each(|(place, head)| heads[*place] = head);
                    }
                    Err(error) => failed = Some(error),
                }
            }
            match failed {
                Some(error) if !any => Err(error),
                _ => Ok(heads),
            }
        })
    }

    fn subscribe<'a>(&'a self, streams: &'a [StreamId]) -> BusCall<'a, ()> {
        Box::pin(async move {
            let asked = {
                let routes = self.core.routes();
                let mut interest = self.core.interest();
                let wishes = streams.iter().map(|stream| (*stream, interest.want(*stream))).collect();
                self.core.ask(&routes, &interest, wishes)
            };
            self.core.acknowledged(asked, false).await
        })
    }

    fn unsubscribe(&self, streams: &[StreamId]) {
        let routes = self.core.routes();
        let mut interest = self.core.interest();
        let mut groups: BTreeMap<Option<u16>, Vec<StreamId>> = BTreeMap::new();
        for stream in streams.iter().filter(|stream| interest.give_up(**stream)) {
            groups.entry(self.core.dialect.sharded.then(|| Keys::tag(*stream))).or_default().push(*stream);
        }
        for group in groups.values() {
            if let Some(link) = group.first().and_then(|stream| routes.of(*stream)) {
                link.outbox.unsubscribe(group);
            }
        }
    }

    fn generation(&self) -> BusCall<'_, String> {
        Box::pin(async move {
            let routes = self.core.routes();
            let link = routes.of_generation().ok_or(BusError::Down)?;
            let key = self.core.dialect.keys.generation();
            let new = uuid::Uuid::new_v4().simple().to_string();
            // Whoever comes first after a loss sets a new one; the read behind it gives whichever stands.
            let set = link.outbox.call(&[b"SET", key.as_bytes(), new.as_bytes(), b"NX"]);
            let get = link.outbox.call(&[b"GET", key.as_bytes()]);
            answer(set).await?;
            let value = answer(get).await?;
            value.as_str().map(ToOwned::to_owned).ok_or_else(|| BusError::Refused("no generation".to_owned()))
        })
    }

    fn renew_generation(&self) -> BusCall<'_, ()> {
        Box::pin(self.core.renew_generation())
    }
}
