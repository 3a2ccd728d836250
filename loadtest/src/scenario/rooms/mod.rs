//! Many small rooms on a running cluster: people who talk, through the balancer, with everything stored.
//!
//! Every acknowledged message is owed to every member of its room, once, at its place; the run fails if one is not.
//! The cluster has to be started with raised limits, as all of this comes from one address.

mod accounts;
mod ledger;
mod member;
mod order;
mod outcome;
mod pace;
mod rest;
mod talk;

use super::{Casualties, Seconds};
use crate::{
    client::{Dialer, Outgoing, Scratch, crowd, frame},
    report::{Output, Report, Watched},
};
use accounts::{Maker, Population};
use anyhow::{Result, bail, ensure};
use clap::Args;
use ledger::{Ledger, MOST_MEMBERS};
use member::{JOIN, Member, Shared};
use pace::Pace;
use rest::Rest;
use rookery_shared::token::TokenKeys;
use serde_json::json;
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    path::{Path, PathBuf},
    rc::Rc,
    time::{Duration, Instant},
};
use talk::Talk;
use tokio::{task::spawn_local, time::sleep};

/// Where `scripts/cluster` writes the ids of its processes.
const CLUSTER_PIDS: &str = ".data/cluster/pids";

/// Sockets that are opened side by side.
const OPENED_AT_ONCE: usize = 32;

/// How long connections may take to learn their rooms' places.
const JOINING: Duration = Duration::from_secs(30);

/// Options of `rooms`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// The cluster, as clients reach it.
    #[arg(long, env = "ROOKERY_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// Rooms.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    rooms: u32,
    /// Members of a room, each with one connection.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_MEMBERS)))]
    members: u32,
    /// Messages a second, in all.
    #[arg(long, default_value_t = 500.0)]
    rate: f64,
    /// Share of the messages that go over REST, 0 to 1; the others go over the sender's socket.
    #[arg(long, default_value_t = 0.1)]
    rest_share: f64,
    /// Characters of a message.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4_000))]
    content: u32,
    /// Seconds before anything is measured. What is sent in them must arrive all the same.
    #[arg(long, default_value = "5")]
    warm_up: Seconds,
    /// Seconds that are measured.
    #[arg(long, default_value = "60")]
    seconds: Seconds,
    /// Seconds that what is under way at the end may take.
    #[arg(long, default_value = "10")]
    drain: Seconds,
    /// Keep the accounts and rooms in this file between runs, in a folder that git ignores: .data/loadtest.json.
    #[arg(long, value_name = "FILE")]
    users_file: Option<PathBuf>,
    /// The secret that the cluster makes tokens with: saves a request for each account of the file.
    #[arg(long, env = "ROOKERY_TOKEN_SECRET", hide_env_values = true)]
    token_secret: Option<String>,
    /// Sign-ups side by side.
    #[arg(long, default_value_t = 4)]
    sign_ups: usize,
    /// A process whose CPU and memory are reported; may be repeated.
    #[arg(long, value_name = "NAME=PID")]
    pid: Vec<Watched>,
    /// The same, from a file with lines `name pid`. Default: what `make cluster` has written, where the cluster is
    /// the one of this folder.
    #[arg(long, value_name = "FILE")]
    pids_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: Output,
}

impl Options {
    fn watched(&self) -> Result<Vec<Watched>> {
        let mut watched = self.pid.clone();
        match &self.pids_file {
            Some(path) => watched.extend(Watched::from_file(path)?),
            // What a cluster that has ended left behind is no reason to fail.
            None if watched.is_empty() && Path::new(CLUSTER_PIDS).exists() => {
                let known = Watched::from_file(Path::new(CLUSTER_PIDS))?;
                watched.extend(
                    known.into_iter().filter(|process| Path::new("/proc").join(process.pid.to_string()).exists()),
                );
            }
            None => {}
        }
        watched.push(Watched::own());
        Ok(watched)
    }

    fn pace(&self) -> Result<Pace> {
        ensure!(self.rate.is_finite() && (0.001..=1e6).contains(&self.rate), "the rate has to be above 0");
        ensure!((0.0..=1.0).contains(&self.rest_share), "the share of REST has to be between 0 and 1");
        let (rooms, members) = (self.rooms as usize, self.members as usize);
        Ok(Pace { rate: self.rate, rooms, members, rest_share: self.rest_share })
    }
}

/// Runs the scenario.
pub(crate) async fn run(options: Options) -> Result<Report> {
    let (pace, watched) = (options.pace()?, options.watched()?);
    let connections = pace.rooms * pace.members;
    crowd::check_open_files(connections)?;
    let rest = Rest::new(&options.url)?;
    let maker = Maker {
        rest: &rest,
        url: &options.url,
        members: pace.members,
        rooms: pace.rooms,
        at_once: options.sign_ups,
        keys: options.token_secret.as_ref().map(|secret| TokenKeys::shared_secret(secret.as_bytes())),
        file: options.users_file.as_deref(),
    };
    let population = maker.population().await?;

    let shared = Rc::new(Shared {
        began: Instant::now(),
        run: format!("{:x}", rookery_shared::clock::micros()),
        ledger: RefCell::new(Ledger::new(options.members)),
        orders: (0..connections).map(|_| RefCell::default()).collect(),
        joined: Cell::new(0),
        errors: Cell::new(0),
    });
    let casualties = Casualties::default();
    let (sockets, nodes) = connect(&options, &pace, &population, &shared, &casualties).await?;

    let talk = Talk { shared: shared.clone(), pace, rest, population, sockets, content: options.content as usize };
    let measured = talk.run(options.warm_up.0, options.seconds.0, &watched).await?;
    let drained = talk.drain(options.drain.0).await;

    let mut report = Report::new("rooms");
    outcome::settings(&options, &nodes, &mut report);
    outcome::figures(&shared, connections, &casualties, measured, &mut report);
    if !drained {
        report.fail(format!("not everything had arrived {} s after the last message", options.drain));
    }
    Ok(report)
}

/// Connects every account, and has every connection learn the place of its room.
async fn connect(
    options: &Options,
    pace: &Pace,
    population: &Population,
    shared: &Rc<Shared>,
    casualties: &Casualties,
) -> Result<(Vec<Rc<Outgoing>>, BTreeMap<String, u64>)> {
    let (dialer, scratch) = (Dialer::new(rest::address(&options.url).await?), Scratch::new());
    let connections = pace.rooms * pace.members;
    let opened = crowd::for_each("connections", connections, OPENED_AT_ONCE, |number| {
        let (room, bit) = (number / pace.members, number % pace.members);
        let room_id = population.rooms[room];
        let [room, bit] = [room, bit].map(|index| u32::try_from(index).unwrap_or(u32::MAX));
        let receiver = Member { shared: shared.clone(), number, room, bit, room_id };
        let (scratch, casualties) = (scratch.clone(), casualties.clone());
        async move {
            let socket = dialer.connect(number, &population.accounts[number].token, &scratch).await?;
            let outgoing = socket.outgoing.clone();
            spawn_local(async move {
                let ended = socket.incoming.run(scratch, socket.outgoing, receiver).await;
                casualties.add(number, ended);
            });
            let join = json!({"id": JOIN, "type": "join_room", "data": {"roomId": room_id}});
            outgoing.send(frame::TEXT, join.to_string().as_bytes());
            Ok((outgoing, socket.node))
        }
    })
    .await?;
    let began = Instant::now();
    while shared.joined.get() < connections {
        if began.elapsed() > JOINING {
            bail!("{} of {connections} connections know the place of their room", shared.joined.get());
        }
        sleep(Duration::from_millis(20)).await;
    }
    let mut nodes = BTreeMap::new();
    let sockets = opened.into_iter().map(|(socket, node)| {
        *nodes.entry(node).or_default() += 1;
        socket
    });
    Ok((sockets.collect(), nodes))
}
