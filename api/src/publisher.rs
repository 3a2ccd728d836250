//! Hands over to the bus what was committed, in the order of each log.

use metrics::counter;
use rookery_shared::{bus::SharedBus, clock, envelope::Event, ids::StreamId};

/// The way to the bus. Cheap to clone.
///
/// Nothing waits here: the bus is a hint, and what does not arrive is healed from the log.
#[derive(Clone)]
pub struct Publisher {
    bus: SharedBus,
}

impl Publisher {
    /// A publisher on this bus.
    pub fn new(bus: SharedBus) -> Self {
        Self { bus }
    }

    /// Says that these logs are about to have these heads: called beside the insert, so that a process that dies
    /// between the insert and the publishing has left a hint.
    pub fn announce(&self, heads: &[(StreamId, u64)]) {
        self.bus.announce(heads);
    }

    /// Publishes events that are committed; of each stream in ascending seq.
    pub fn publish(&self, mut events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        let now = clock::micros();
        for event in &mut events {
            event.header.published_at = now;
        }
        counter!("rookery_api_published_events_total").increment(events.len() as u64);
        self.bus.publish(events);
    }
}
