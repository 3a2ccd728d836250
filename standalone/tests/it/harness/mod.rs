//! Installations to test: the whole cluster with real Redis and MongoDB, or the standalone program. Both end with their
//! handle.

pub(crate) mod engine;
pub(crate) mod haproxy;
pub(crate) mod person;
pub(crate) mod socket;

pub(crate) use engine::{Client, Ended, Poller};
pub(crate) use haproxy::Haproxy;
pub(crate) use person::Person;
pub(crate) use socket::{Closed, Socket};

use reqwest::Method;
use rookery_api::store::{SharedStore, mongo::MongoStore, rows::UserRow, sqlite::SqliteStore};
use rookery_shared::{
    bus::SharedBus,
    config::Env,
    model::Role,
    telemetry::Metrics,
    testing::{MongoServer, RedisServer, poll},
};
use rookery_standalone::{Standalone, config::StandaloneConfig};
use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Weak},
};
use tempfile::TempDir;
use tokio::{
    net::TcpListener,
    runtime::Runtime,
    sync::{Mutex, oneshot},
    task::JoinHandle,
};

/// The secret of test clusters.
const SECRET: &str = "5f1d7a0c93b84e62a1c4d0e7f2b3a596";

/// One MongoDB for all tests that run at the same time: each has a database of its own.
static MONGO: Mutex<Weak<MongoServer>> = Mutex::const_new(Weak::new());

/// A server that stops, in good order, with its handle. It has a runtime of its own, so that it can be ended like a
/// process that is killed: with everything that it has under way.
struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
    runtime: Option<Runtime>,
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        self.task.abort();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// What tests talk to.
pub(crate) struct Installation {
    apis: Vec<Server>,
    gateways: Vec<Server>,
    /// The MongoDB of a cluster, and the database in it.
    mongo: Option<(Arc<MongoServer>, String)>,
    /// The Redis of a cluster.
    pub(crate) redis: Option<RedisServer>,
    /// The folder of the standalone program.
    data: Option<TempDir>,
}

impl Installation {
    /// The base address of an api.
    pub(crate) fn api(&self, index: usize) -> String {
        format!("http://{}", self.apis[index % self.apis.len()].address)
    }

    /// The address of a gateway's sockets.
    pub(crate) fn gateway(&self, index: usize) -> String {
        let servers = if self.gateways.is_empty() { &self.apis } else { &self.gateways };
        format!("ws://{}/ws", servers[index % servers.len()].address)
    }

    /// The base address of a gateway's Socket.IO.
    pub(crate) fn socketio(&self, index: usize) -> String {
        let servers = if self.gateways.is_empty() { &self.apis } else { &self.gateways };
        format!("http://{}", servers[index % servers.len()].address)
    }

    /// Ends a gateway at once: its sockets close, and it answers nothing more.
    pub(crate) fn kill_gateway(&mut self, index: usize) {
        drop(self.gateways.remove(index));
    }

    /// Tells a gateway to stop, in good order, and does not wait for it.
    pub(crate) fn stop_gateway(&mut self, index: usize) {
        let servers = if self.gateways.is_empty() { &mut self.apis } else { &mut self.gateways };
        if let Some(stop) = servers[index].stop.take() {
            let _ = stop.send(());
        }
    }

    /// Ends an api at once.
    pub(crate) fn end_api(&mut self, index: usize) {
        drop(self.apis.remove(index));
    }

    /// Signs someone up who is an admin, made so where the data lies.
    pub(crate) async fn admin(&self, name: &str) -> Person {
        let person = self.person(name).await;
        let store: SharedStore = match (&self.mongo, &self.data) {
            (Some((server, database)), _) => MongoStore::open(&server.uri(), database).await.expect("opens"),
            (None, Some(data)) => SqliteStore::open(&data.path().join("rookery.sqlite")).await.expect("opens"),
            (None, None) => panic!("there is no data"),
        };
        let id = person.id.parse().expect("an id");
        let row = store.users(&[id]).await.expect("read").pop().flatten().expect("is there");
        let version = row.version + 1;
        store.replace_user(UserRow { role: Role::Admin, version, ..row }).await.expect("replaced");
        for index in 0..self.apis.len() {
            poll("the api sees that they are an admin", async || {
                let (_, me) = person.request_at(&self.api(index), Method::GET, "/users/me", None).await;
                (me["role"] == "admin").then_some(())
            })
            .await;
        }
        person
    }

    /// Signs someone up, at the first api.
    pub(crate) async fn person(&self, name: &str) -> Person {
        Person::register(&self.api(0), name).await
    }
}

/// Limits that no test hits by accident, and whatever else a test wants to be different.
fn environment(changes: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    let defaults = [
        ("ROOKERY_LIMIT_MESSAGES", "1000000"),
        ("ROOKERY_LIMIT_SIGN_IN", "1000000"),
        ("ROOKERY_LIMIT_REQUESTS", "1000000"),
        ("ROOKERY_LIMIT_COMMANDS", "1000000"),
        ("ROOKERY_DRAIN_SECONDS", "0"),
        ("ROOKERY_CORES", "2"),
    ];
    for (name, value) in defaults.iter().chain(changes) {
        all.retain(|(other, _)| other != name);
        all.push(((*name).to_owned(), (*value).to_owned()));
    }
    all
}

/// Completes when a server is to stop.
type Stopped = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs a server on a free port.
async fn serve<F: Future<Output = ()> + Send + 'static>(
    run: impl FnOnce(TcpListener, Stopped) -> F + Send + 'static,
) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (stop, stopped) = oneshot::channel();
    let stopped = Box::pin(async move {
        let _ = stopped.await;
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
    // The listener belongs to the runtime that serves it.
    let listener = listener.into_std().expect("a socket");
    let entered = runtime.enter();
    let listener = TcpListener::from_std(listener).expect("a socket");
    drop(entered);
    let task = runtime.spawn(async move { run(listener, stopped).await });
    Server { address, stop: Some(stop), task, runtime: Some(runtime) }
}

/// A cluster: so many gateways and apis, Redis and MongoDB.
pub(crate) async fn cluster(gateways: usize, apis: usize, changes: &[(&str, &str)]) -> Installation {
    let redis = RedisServer::start().await;
    let mongo = {
        let mut shared = MONGO.lock().await;
        if let Some(mongo) = shared.upgrade() {
            mongo
        } else {
            let mongo = Arc::new(MongoServer::start().await);
            *shared = Arc::downgrade(&mongo);
            mongo
        }
    };
    let mut pairs = environment(changes);
    // What the test changes stays as it wants it.
    let mut set = |name: &str, value: String| {
        if !pairs.iter().any(|(other, _)| other == name) {
            pairs.push((name.to_owned(), value));
        }
    };
    set("ROOKERY_REDIS_URLS", redis.url());
    set("ROOKERY_MONGODB_URI", mongo.uri());
    let database = format!("it-{}", rookery_shared::ids::RoomId::new());
    set("ROOKERY_MONGODB_DATABASE", database.clone());
    set("ROOKERY_INTERNAL_SECRET", SECRET.to_owned());
    set("ROOKERY_TOKEN_SECRET", SECRET.to_owned());
    let mongo = Some((mongo, database));
    let mut installation =
        Installation { apis: Vec::new(), gateways: Vec::new(), mongo, redis: Some(redis), data: None };
    for _ in 0..apis {
        let env = Env::from_pairs(pairs.clone());
        let config = rookery_api::config::ClusterConfig::read(&env).expect("a configuration");
        installation.apis.push(
            serve(|listener, stopped| async move {
                rookery_api::run(listener, config, Metrics::detached(), stopped).await.expect("the api runs");
            })
            .await,
        );
    }
    let urls: Vec<String> = (0..apis).map(|index| installation.api(index)).collect();
    for index in 0..gateways {
        let mut pairs = pairs.clone();
        pairs.push(("ROOKERY_API_URLS".to_owned(), urls.join(",")));
        pairs.push(("ROOKERY_NODE_NAME".to_owned(), format!("gateway-{index}")));
        let config = rookery_gateway::config::ClusterConfig::read(&Env::from_pairs(pairs)).expect("a configuration");
        installation.gateways.push(
            serve(|listener, stopped| async move {
                rookery_gateway::run(listener, config, Metrics::detached(), stopped).await.expect("the gateway runs");
            })
            .await,
        );
    }
    installation
}

/// The standalone program, in a folder of its own.
pub(crate) async fn standalone(changes: &[(&str, &str)]) -> Installation {
    with_bus(changes, |bus| bus).await
}

/// The standalone program with something between its api and its bus.
pub(crate) async fn with_bus(changes: &[(&str, &str)], publisher: fn(SharedBus) -> SharedBus) -> Installation {
    let data = tempfile::tempdir().expect("a folder");
    let mut pairs = environment(changes);
    pairs.push(("ROOKERY_DATA".to_owned(), data.path().display().to_string()));
    let config = StandaloneConfig::read(&Env::from_pairs(pairs)).expect("a configuration");
    let server = serve(move |listener, stopped| async move {
        let program = Standalone::with_publisher(config, Metrics::detached(), publisher).await.expect("it starts");
        program.serve(listener, stopped).await;
    })
    .await;
    Installation { apis: vec![server], gateways: Vec::new(), mongo: None, redis: None, data: Some(data) }
}
