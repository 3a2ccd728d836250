//! The talking itself: messages at their pace, and the wait for what is owed.

use super::{accounts::Population, member::Shared, pace::Pace, rest::Rest};
use crate::{
    client::{Outgoing, frame},
    report::{Meter, Usage, Watched},
};
use anyhow::Result;
use serde_json::json;
use std::{
    rc::Rc,
    time::{Duration, Instant},
};
use tokio::{
    task::spawn_local,
    time::{Instant as TokioInstant, sleep, sleep_until},
};

/// Everyone, connected.
pub(super) struct Talk {
    pub(super) shared: Rc<Shared>,
    pub(super) pace: Pace,
    pub(super) rest: Rest,
    pub(super) population: Population,
    pub(super) sockets: Vec<Rc<Outgoing>>,
    /// Characters of a message.
    pub(super) content: usize,
}

/// What the measured stretch of time has brought.
pub(super) struct Measured {
    pub(super) seconds: f64,
    pub(super) deliveries: u64,
    pub(super) usages: Vec<Usage>,
}

impl Talk {
    /// Talks for a while, and then for the time that is measured.
    pub(super) async fn run(&self, warm_up: Duration, time: Duration, watched: &[Watched]) -> Result<Measured> {
        let mut number = 0;
        let began = TokioInstant::now();
        self.talk(began, began + warm_up, &mut number, false).await;

        let (at, delivered) = (Instant::now(), self.shared.ledger.borrow().delivered);
        let meter = Meter::start(watched)?;
        self.talk(began, began + warm_up + time, &mut number, true).await;
        let seconds = at.elapsed().as_secs_f64();
        let deliveries = self.shared.ledger.borrow().delivered - delivered;
        Ok(Measured { seconds, deliveries, usages: meter.stop(seconds, deliveries)? })
    }

    /// Sends every message that is due before `end`.
    async fn talk(&self, began: TokioInstant, end: TokioInstant, number: &mut u64, measured: bool) {
        loop {
            let due = began + self.pace.due(*number);
            if due >= end {
                return sleep_until(end).await;
            }
            // What is late goes out at once; a timer of the runtime has no more than a millisecond to tell.
            if due > TokioInstant::now() {
                sleep_until(due).await;
            }
            self.send(*number, measured);
            *number += 1;
        }
    }

    /// Sends the message with this number.
    fn send(&self, number: u64, measured: bool) {
        let sender = self.pace.sender(number);
        let room = sender / self.pace.members;
        let room_id = self.population.rooms[room];
        let shared = self.shared.clone();
        let place = u32::try_from(room).unwrap_or(u32::MAX);
        let entry = shared.ledger.borrow_mut().sent(place, shared.now(), measured);
        let client_id = shared.client_id(entry);
        let content = "x".repeat(self.content);
        if !self.pace.is_rest(number) {
            let data = json!({"roomId": room_id, "content": content, "clientId": client_id});
            let command = json!({"id": entry, "type": "send_message", "data": data});
            return self.sockets[sender].send(frame::TEXT, command.to_string().as_bytes());
        }
        let (rest, token) = (self.rest.clone(), self.population.accounts[sender].token.clone());
        spawn_local(async move {
            let answer = rest.send(&token, room_id, &content, &client_id).await;
            let mut ledger = shared.ledger.borrow_mut();
            match answer {
                Ok(()) => ledger.stored(entry, shared.now()),
                Err(code) => ledger.refused(entry, &code),
            }
        });
    }

    /// Waits until every message is answered and has reached everyone; false if that takes too long.
    pub(super) async fn drain(&self, longest: Duration) -> bool {
        let began = Instant::now();
        loop {
            let balance = self.shared.ledger.borrow().balance();
            if balance.unanswered == 0 && balance.lost == 0 {
                // What comes twice would come now.
                sleep(Duration::from_secs(1)).await;
                return true;
            }
            if began.elapsed() > longest {
                return false;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}
