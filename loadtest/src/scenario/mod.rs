//! What can be run: each scenario has its options, drives its clients, and gives a report.

pub(crate) mod fanout;
pub(crate) mod floor;
pub(crate) mod idle;
pub(crate) mod rooms;

use crate::{
    client::{Dialer, Ended, Outgoing, Receiver, Scratch, crowd},
    server::{Server, world::World},
};
use anyhow::Result;
use std::{cell::Cell, rc::Rc, str::FromStr, time::Duration};
use tokio::task::spawn_local;

/// Connections that are opened side by side.
const OPENED_AT_ONCE: usize = 64;

/// A time in seconds, with decimals.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seconds(pub(crate) Duration);

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let seconds: f64 = text.parse().map_err(|_| "expected seconds")?;
        Duration::try_from_secs_f64(seconds).map(Self).map_err(|error| error.to_string())
    }
}

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.as_secs_f64())
    }
}

/// Connections that ended before the scenario did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Casualties(Rc<Cell<u64>>);

impl Casualties {
    /// How many are told one by one.
    const TOLD: u64 = 5;

    /// A connection has ended.
    pub(crate) fn add(&self, number: usize, ended: Ended) {
        self.0.set(self.0.get() + 1);
        if self.0.get() <= Self::TOLD {
            eprintln!("  connection {number} ended: {ended}");
        }
    }

    /// How many there were.
    pub(crate) fn count(&self) -> u64 {
        self.0.get()
    }
}

/// Signs `count` users of a pretended api in at its gateway, one connection each, each with a receiver of its own.
/// The connections stay for as long as what is returned.
async fn populate<R: Receiver + 'static>(
    server: &Server,
    world: World,
    count: usize,
    casualties: &Casualties,
    receiver: impl Fn(usize) -> R,
) -> Result<Vec<Rc<Outgoing>>> {
    crowd::check_open_files(count)?;
    let (dialer, scratch) = (Dialer::new(server.address).speaking(server.transport), Scratch::new());
    crowd::for_each("connections", count, OPENED_AT_ONCE, |number| {
        let (scratch, casualties, receiver) = (scratch.clone(), casualties.clone(), receiver(number));
        let token = world.token(&server.issuer, number);
        async move {
            let socket = dialer.connect(number, &token?, &scratch).await?;
            let outgoing = socket.outgoing.clone();
            spawn_local(async move {
                let ended = socket.incoming.run(scratch, socket.outgoing, receiver).await;
                casualties.add(number, ended);
            });
            Ok(outgoing)
        }
    })
    .await
}
