//! One member's connection: what comes is held against the ledger and against the room's order.

use super::{ledger::Ledger, order::Order};
use crate::client::Receiver;
use rookery_shared::ids::RoomId;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

/// The id of the command that asks for the room's place; those of messages are their numbers.
pub(super) const JOIN: u64 = u64::MAX >> 12;

/// What all members share.
pub(super) struct Shared {
    pub(super) began: Instant,
    /// What ids of this run's messages begin with.
    pub(super) run: String,
    pub(super) ledger: RefCell<Ledger>,
    /// What was seen of each room, a connection each.
    pub(super) orders: Vec<RefCell<Order>>,
    /// Connections that know their room's place.
    pub(super) joined: Cell<usize>,
    /// Errors that answer no message.
    pub(super) errors: Cell<u64>,
}

impl Shared {
    /// Time since the run began.
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// The id of a message.
    pub(super) fn client_id(&self, number: usize) -> String {
        format!("{}-{number}", self.run)
    }

    /// The number of a message of this run.
    fn number_of(&self, client_id: &str) -> Option<usize> {
        client_id.strip_prefix(&self.run)?.strip_prefix('-')?.parse().ok()
    }
}

/// A member.
pub(super) struct Member {
    pub(super) shared: Rc<Shared>,
    /// The number of the connection.
    pub(super) number: usize,
    /// The number of the room, and of the member's bit in the ledger.
    pub(super) room: u32,
    pub(super) bit: u32,
    /// The room.
    pub(super) room_id: RoomId,
}

#[derive(Deserialize)]
struct Incoming<'a> {
    id: Option<u64>,
    #[serde(borrow, rename = "type")]
    name: Cow<'a, str>,
    #[serde(rename = "roomId")]
    room_id: Option<RoomId>,
    seq: Option<u64>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// What is looked at of the data of messages, replies and errors.
#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow, rename = "clientId")]
    client_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    code: Option<Cow<'a, str>>,
    seq: Option<u64>,
}

impl Member {
    fn reply(&self, id: u64, name: &str, data: &Data<'_>) {
        let mut ledger = self.shared.ledger.borrow_mut();
        let number = usize::try_from(id).unwrap_or(usize::MAX);
        match name {
            "room_joined" if id == JOIN => {
                self.shared.orders[self.number].borrow_mut().begin_after(data.seq.unwrap_or(0));
                self.shared.joined.set(self.shared.joined.get() + 1);
            }
            "message_sent" => ledger.stored(number, self.shared.now()),
            "error" if id != JOIN => ledger.refused(number, data.code.as_deref().unwrap_or("error")),
            _ => self.trouble(name, data),
        }
    }

    fn trouble(&self, name: &str, data: &Data<'_>) {
        self.shared.errors.set(self.shared.errors.get() + 1);
        if self.shared.errors.get() <= 5 {
            eprintln!("  connection {}: {name} {}", self.number, data.code.as_deref().unwrap_or_default());
        }
    }
}

impl Receiver for Member {
    fn text(&mut self, payload: &[u8]) {
        let now = self.shared.now();
        let Ok(frame) = serde_json::from_slice::<Incoming<'_>>(payload) else {
            return self.trouble("a frame that cannot be read", &Data { client_id: None, code: None, seq: None });
        };
        let data = frame.data.and_then(|data| serde_json::from_str::<Data<'_>>(data.get()).ok());
        let data = data.unwrap_or(Data { client_id: None, code: None, seq: None });
        if let Some(id) = frame.id {
            return self.reply(id, &frame.name, &data);
        }
        if let (Some(room), Some(seq)) = (frame.room_id, frame.seq) {
            if room == self.room_id {
                self.shared.orders[self.number].borrow_mut().saw(seq);
            }
            if let Some(number) = data.client_id.as_deref().and_then(|id| self.shared.number_of(id)) {
                self.shared.ledger.borrow_mut().arrived(number, self.room, self.bit, now);
            }
        } else if frame.name == "error" {
            self.trouble("error", &data);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member() -> Member {
        let mut ledger = Ledger::new(1);
        ledger.sent(0, Duration::ZERO, true);
        let shared = Shared {
            began: Instant::now(),
            run: "run".to_owned(),
            ledger: RefCell::new(ledger),
            orders: vec![RefCell::default()],
            joined: Cell::new(0),
            errors: Cell::new(0),
        };
        Member { shared: Rc::new(shared), number: 0, room: 0, bit: 0, room_id: RoomId::new() }
    }

    #[test]
    fn a_message_is_found_by_its_client_id_and_its_place() {
        let mut member = member();
        member.text(format!(r#"{{"id":{JOIN},"type":"room_joined","data":{{"seq":4}}}}"#).as_bytes());
        let room = member.room_id;
        let frame = format!(r#"{{"type":"new_message","roomId":"{room}","seq":6,"data":{{"clientId":"run-0"}}}}"#);
        member.text(frame.as_bytes());
        member.text(br#"{"id":0,"type":"message_sent","data":{"seq":6}}"#);
        let balance = member.shared.ledger.borrow().balance();
        assert_eq!((balance.stored, balance.lost), (1, 0));
        assert_eq!(member.shared.orders[0].borrow().holes(), 1, "5 is missing");
        assert_eq!((member.shared.joined.get(), member.shared.errors.get()), (1, 0));
    }

    #[test]
    fn messages_of_other_runs_only_have_a_place() {
        let mut member = member();
        let room = member.room_id;
        let frame = format!(r#"{{"type":"new_message","roomId":"{room}","seq":6,"data":{{"clientId":"old-0"}}}}"#);
        member.text(frame.as_bytes());
        assert_eq!(member.shared.ledger.borrow().delivered, 0);
    }

    #[test]
    fn a_refusal_is_the_message_s_and_other_errors_are_trouble() {
        let mut member = member();
        member.text(br#"{"id":0,"type":"error","data":{"code":"rate_limited","message":""}}"#);
        member.text(br#"{"type":"error","data":{"code":"internal","message":""}}"#);
        member.text(b"not JSON");
        assert_eq!(member.shared.ledger.borrow().refused.get("rate_limited"), Some(&1));
        assert_eq!(member.shared.errors.get(), 2);
    }
}
