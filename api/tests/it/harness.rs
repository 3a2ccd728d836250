//! Apis on one store, and people who use them over HTTP.

use crate::store::fixture::{self, Fixture};
use reqwest::{Client, Method, Response, StatusCode};
use rookery_api::{
    Api, Parts,
    config::ApiConfig,
    store::{SharedStore, rows::UserRow},
};
use rookery_shared::{
    bus::{BusSink, MemoryBus, SharedBus},
    clock,
    envelope::{Event, Kind},
    ids::{ConnectionId, Incarnation, StreamId, UserId},
    lifecycle,
    limits::{MemoryLimits, SharedLimits},
    model::{NodeReport, Role},
    presence::{Device, MemoryPresence, SharedPresence},
    telemetry::Metrics,
    testing::poll,
    token::{TokenKeys, random_secret},
};
use serde_json::{Value, json};
use std::{
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::net::TcpListener;

/// What gateways show.
pub(crate) const INTERNAL_SECRET: &str = "an internal secret of these tests";

/// A password that is good enough.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// Settings under which a test meets only the limits that it is about.
pub(crate) fn unlimited() -> ApiConfig {
    let mut config = ApiConfig::default();
    for limit in [
        &mut config.limits.messages,
        &mut config.limits.sign_in,
        &mut config.limits.failed_sign_in,
        &mut config.limits.failed_sign_in_account,
    ] {
        limit.max = 1_000_000;
    }
    config.limits.requests = 1_000_000;
    config
}

/// What a gateway would have received.
#[derive(Default)]
pub(crate) struct Heard(Mutex<Vec<Event>>);

impl BusSink for Heard {
    fn event(&self, event: Event) {
        self.0.lock().expect("no panic").push(event);
    }

    fn lost(&self, _streams: Option<Vec<StreamId>>) {}
}

impl Heard {
    /// The events so far.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.0.lock().expect("no panic").clone()
    }

    /// Waits until so many events of a kind came, and gives all of that kind.
    pub(crate) async fn wait(&self, kind: Kind, count: usize) -> Vec<Event> {
        poll("events are published", async || {
            let mut events = self.events();
            events.retain(|event| event.header.kind == kind);
            (events.len() >= count).then_some(events)
        })
        .await
    }
}

/// Apis on one store, one bus and common limits.
pub(crate) struct Cluster {
    pub(crate) store: Fixture,
    pub(crate) apis: Vec<Api>,
    pub(crate) bus: SharedBus,
    pub(crate) heard: Arc<Heard>,
    pub(crate) presence: SharedPresence,
    pub(crate) keys: TokenKeys,
    urls: Vec<String>,
    next: AtomicUsize,
}

impl Cluster {
    /// One api on SQLite.
    pub(crate) async fn start() -> Self {
        Self::with(fixture::sqlite().await, 1, unlimited()).await
    }

    /// So many apis on a store, with backends in this process.
    pub(crate) async fn with(store: Fixture, apis: usize, config: ApiConfig) -> Self {
        let bus = MemoryBus::new();
        let heard = Arc::new(Heard::default());
        let node = bus.node(heard.clone());
        let publishers = (0..apis).map(|_| bus.publisher()).collect();
        let limits: SharedLimits = Arc::new(MemoryLimits::new());
        let limits = vec![limits; apis];
        Self::on(store, (node, heard), publishers, limits, Arc::new(MemoryPresence::new()), config).await
    }

    /// An api for each bus.
    pub(crate) async fn on(
        store: Fixture,
        (bus, heard): (SharedBus, Arc<Heard>),
        buses: Vec<SharedBus>,
        limits: Vec<SharedLimits>,
        presence: SharedPresence,
        config: ApiConfig,
    ) -> Self {
        let keys = TokenKeys::shared_secret(random_secret().as_bytes());
        let shared = store.store.clone();
        let (apis, urls, next) = (Vec::new(), Vec::new(), AtomicUsize::new(0));
        let mut cluster = Self { store, apis, bus, heard, presence, keys, urls, next };
        for (publisher, limits) in buses.into_iter().zip(limits) {
            cluster.add(shared.clone(), publisher, limits, config.clone()).await;
        }
        cluster
    }

    /// One more api, on a store that is or leads to that of the others; its number.
    pub(crate) async fn add(
        &mut self,
        store: SharedStore,
        bus: SharedBus,
        limits: SharedLimits,
        config: ApiConfig,
    ) -> usize {
        let api = self.api(store, bus, limits, config);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        self.urls.push(format!("http://{}", listener.local_addr().expect("bound")));
        let app = api.router().merge(api.internal_router());
        tokio::spawn(lifecycle::serve(listener, app, pending(), Duration::ZERO));
        self.apis.push(api);
        self.apis.len() - 1
    }

    /// One more api, which serves nobody.
    pub(crate) fn another_api(&self, store: SharedStore, config: ApiConfig) -> Api {
        self.api(store, self.bus.clone(), Arc::new(MemoryLimits::new()), config)
    }

    fn api(&self, store: SharedStore, bus: SharedBus, limits: SharedLimits, config: ApiConfig) -> Api {
        Api::new(Parts {
            store,
            bus,
            presence: self.presence.clone(),
            limits,
            issuer: self.keys.issuer().expect("signs"),
            verifier: self.keys.verifier(),
            metrics: Metrics::detached(),
            internal_secret: Some(INTERNAL_SECRET.to_owned()),
            config,
        })
    }

    /// The address of an api.
    pub(crate) fn url(&self, api: usize) -> &str {
        &self.urls[api]
    }

    /// Someone who has no account yet, at an api.
    pub(crate) fn visitor(&self, api: usize) -> Person {
        Person { http: Client::new(), url: self.urls[api].clone(), token: None, id: UserId::NIL, tokens: Value::Null }
    }

    /// Someone who signed up; people take the apis in turn.
    pub(crate) async fn person(&self, name: &str) -> Person {
        let api = self.next.fetch_add(1, Ordering::Relaxed) % self.urls.len();
        let body = json!({ "username": name, "email": format!("{name}@example.org"), "password": PASSWORD });
        let answer = self.visitor(api).post("/auth/register", body).await;
        self.visitor(api).signed_in(answer.created())
    }

    /// Someone who signed up and is an admin.
    pub(crate) async fn admin(&self, name: &str) -> Person {
        let person = self.person(name).await;
        let row = self.store.users(&[person.id]).await.expect("read").pop().flatten().expect("is there");
        let version = row.version + 1;
        self.store.replace_user(UserRow { role: Role::Admin, version, ..row }).await.expect("replaced");
        poll("the api sees that they are an admin", async || {
            (person.get("/users/me").await.ok()["role"] == "admin").then_some(())
        })
        .await;
        person
    }

    /// A gateway, as it reports itself.
    pub(crate) async fn node(&self, name: &str) -> Incarnation {
        let id = Incarnation::new();
        let report = NodeReport {
            id,
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            connections: 3,
            streams: 5,
            started_at: clock::now(),
            draining: false,
        };
        self.presence.beat(id).await.expect("beats");
        self.presence.report(&report).await.expect("reports");
        id
    }

    /// Connects a device of someone, as a gateway would.
    pub(crate) async fn connect(&self, person: &Person) {
        let node = Incarnation::new();
        self.presence.beat(node).await.expect("beats");
        let device = Device { user: person.id, connection: ConnectionId::new() };
        self.presence.connect(node, &[device], u32::MAX).await.expect("connects");
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) async fn of(response: Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.bytes().await.expect("a body");
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Self { status, headers, body }
    }

    /// The body of a 200.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        self.expect(200)
    }

    /// The body of a 201, which says where the new thing is.
    #[track_caller]
    pub(crate) fn created(self) -> Value {
        assert!(self.headers.contains_key("location"), "no Location: {self:?}");
        self.expect(201)
    }

    /// The body of an answer with this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        self.body
    }

    /// A problem document with this status and code; gives the fields that it names.
    #[track_caller]
    pub(crate) fn problem(self, status: u16, code: &str) -> Vec<String> {
        assert_eq!((self.status.as_u16(), self.body["code"].as_str()), (status, Some(code)), "{self:?}");
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(self.body["status"], status);
        let errors = self.body["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|error| error["field"].as_str().expect("a field").to_owned()).collect()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().expect("text")).unwrap_or_default()
    }
}

/// Someone who uses one api.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) http: Client,
    pub(crate) url: String,
    pub(crate) token: Option<String>,
    pub(crate) id: UserId,
    /// What signing in gave.
    pub(crate) tokens: Value,
}

impl Person {
    /// The same person with these tokens.
    pub(crate) fn signed_in(&self, tokens: Value) -> Self {
        let token = tokens["accessToken"].as_str().expect("a token").to_owned();
        let id = tokens["user"]["id"].as_str().expect("an id").parse().expect("an id");
        Self { token: Some(token), id, tokens, ..self.clone() }
    }

    /// The same person at another address.
    pub(crate) fn at(&self, url: &str) -> Self {
        Self { url: url.to_owned(), ..self.clone() }
    }

    pub(crate) fn refresh_token(&self) -> String {
        self.tokens["refreshToken"].as_str().expect("a token").to_owned()
    }

    pub(crate) async fn request(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = self.http.request(method, format!("{}/api/v1{path}", self.url));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        Answer::of(request.send().await.expect("an answer")).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.request(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.request(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.request(Method::PUT, path, Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.request(Method::PATCH, path, Some(body)).await
    }

    /// PUT without a body.
    pub(crate) async fn puts(&self, path: &str) -> Answer {
        self.request(Method::PUT, path, None).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.request(Method::DELETE, path, None).await
    }

    /// Signs in on one more device.
    pub(crate) async fn another_device(&self, name: &str) -> Self {
        let body = json!({ "identifier": name, "password": PASSWORD });
        self.signed_in(self.post("/auth/login", body).await.ok())
    }

    /// A request with exactly these headers and bytes.
    pub(crate) async fn raw(&self, path: &str, headers: &[(&str, &str)], body: impl Into<reqwest::Body>) -> Answer {
        let mut request = self.http.post(format!("{}/api/v1{path}", self.url)).body(body);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::of(request.send().await.expect("an answer")).await
    }

    /// Makes a room and gives its id.
    pub(crate) async fn makes_room(&self, room: Value) -> String {
        self.post("/rooms", room).await.created()["id"].as_str().expect("an id").to_owned()
    }

    /// Makes a private room with these members and gives its id.
    pub(crate) async fn makes_private_room(&self, members: &[&Person]) -> String {
        let members: Vec<UserId> = members.iter().map(|member| member.id).collect();
        self.makes_room(json!({ "name": "ours", "visibility": "private", "memberIds": members })).await
    }

    /// Makes a public room and gives its id.
    pub(crate) async fn makes_public_room(&self) -> String {
        self.makes_room(json!({ "name": "a room", "visibility": "public" })).await
    }

    pub(crate) async fn joins(&self, room: &str) {
        self.request(Method::POST, &format!("/rooms/{room}/join"), None).await.ok();
    }

    pub(crate) async fn edits(&self, message: &Value, content: &str) -> Answer {
        let path = format!("/messages/{}", id(message));
        self.request(Method::PATCH, &path, Some(json!({ "content": content }))).await
    }

    pub(crate) async fn deletes(&self, message: &Value) -> Answer {
        self.request(Method::DELETE, &format!("/messages/{}", id(message)), None).await
    }

    /// Marks as read, up to a message or the newest.
    pub(crate) async fn reads(&self, room: &str, message: Option<&Value>) -> Answer {
        let body = message.map(|message| json!({ "messageId": message["id"] }));
        self.request(Method::POST, &format!("/rooms/{room}/read"), body).await
    }

    pub(crate) async fn leaves(&self, room: &str) -> Answer {
        self.request(Method::POST, &format!("/rooms/{room}/leave"), None).await
    }

    pub(crate) async fn tries_to_say(&self, room: &str, message: Value) -> Answer {
        self.post(&format!("/rooms/{room}/messages"), message).await
    }

    /// Says something and gives the message.
    pub(crate) async fn says(&self, room: &str, content: &str) -> Value {
        self.tries_to_say(room, json!({ "content": content })).await.created()
    }

    pub(crate) async fn history(&self, room: &str, query: &str) -> Value {
        self.get(&format!("/rooms/{room}/messages{query}")).await.ok()
    }

    pub(crate) async fn sync(&self, room: &str, query: &str) -> Value {
        self.get(&format!("/rooms/{room}/sync{query}")).await.ok()
    }
}

/// The id of something.
pub(crate) fn id(thing: &Value) -> &str {
    thing["id"].as_str().expect("an id")
}

/// One field of every item of a page.
pub(crate) fn each<'a>(page: &'a Value, field: &str) -> Vec<&'a Value> {
    page["items"].as_array().expect("a page").iter().map(|item| &item[field]).collect()
}

/// Waits until the clock that the api reads shows a time so much later.
pub(crate) async fn the_clock_moves(by: Duration) {
    let then = clock::now().0 + i64::try_from(by.as_millis()).expect("a short time");
    poll("the clock moves", async || (clock::now().0 > then).then_some(())).await;
}
