//! Socket.IO by hand, packet by packet: for what the official clients never do, and for looking at what they never
//! show.

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::{collections::VecDeque, time::Duration};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

/// Longest wait for a packet.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a WebSocket ended: its close code, 0 if there was none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended(pub(crate) u16);

/// Socket.IO over a WebSocket. Packets that nobody waited for yet are kept in their order; pings are answered.
pub(crate) struct Client {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    kept: VecDeque<String>,
    next_ack: u64,
    /// Whether pings are answered.
    pub(crate) answers: bool,
}

/// Socket.IO by polling.
pub(crate) struct Poller {
    http: reqwest::Client,
    base: String,
    /// The session.
    pub(crate) sid: String,
    /// What the session began with.
    pub(crate) open: Value,
}

impl Client {
    /// Opens a WebSocket; `query` comes behind the fixed part of it.
    pub(crate) async fn dial(base: &str, query: &str) -> Self {
        let url = format!("{}/socket.io/?EIO=4&transport=websocket{query}", base.replacen("http", "ws", 1));
        let (stream, _) = connect_async(url).await.expect("the upgrade");
        Self { stream, kept: VecDeque::new(), next_ack: 0, answers: true }
    }

    /// Opens a session and reads its first packet.
    pub(crate) async fn open(base: &str, query: &str) -> (Self, Value) {
        let mut client = Self::dial(base, query).await;
        let open = client.next().await.expect("an open packet");
        let open = serde_json::from_str(open.strip_prefix('0').expect("an open packet")).expect("JSON");
        (client, open)
    }

    /// Signs in when it joins.
    pub(crate) async fn signed_in(base: &str, token: &str) -> Self {
        let (mut client, _) = Self::open(base, "").await;
        client.send(&format!("40{}", json!({ "token": token }))).await;
        assert!(client.next().await.expect("an answer").starts_with("40{"), "joined");
        let first = client.next().await.expect("an event");
        assert!(first.starts_with("42[\"authenticated\","), "before any other event: {first}");
        client
    }

    /// Sends a packet.
    pub(crate) async fn send(&mut self, packet: &str) {
        self.message(Message::text(packet)).await;
    }

    /// Sends a message of any kind.
    pub(crate) async fn message(&mut self, message: Message) {
        self.stream.send(message).await.expect("sent");
    }

    /// Sends a command and gives what its acknowledgement is called with.
    pub(crate) async fn command(&mut self, name: &str, data: Value) -> Value {
        let ack = self.next_ack;
        self.next_ack += 1;
        self.send(&format!("42{ack}{}", json!([name, data]))).await;
        let head = format!("43{ack}[");
        let answer = self.packet(|packet| packet.starts_with(&head)).await;
        let arguments: Vec<Value> = serde_json::from_str(&answer[head.len() - 1..]).expect("JSON");
        let [argument] = <[Value; 1]>::try_from(arguments).expect("one argument");
        argument
    }

    /// The arguments of the first event of this name, kept or to come, behind the name.
    pub(crate) async fn event(&mut self, name: &str) -> Vec<Value> {
        let head = format!("42[\"{name}\"");
        let packet = self.packet(|packet| packet.starts_with(&head)).await;
        let mut arguments: Vec<Value> = serde_json::from_str(&packet[2..]).expect("JSON");
        arguments.remove(0);
        arguments
    }

    /// The first packet that fits, kept or to come; the others are kept.
    pub(crate) async fn packet(&mut self, fits: impl Fn(&str) -> bool) -> String {
        if let Some(index) = self.kept.iter().position(|packet| fits(packet)) {
            return self.kept.remove(index).expect("it is there");
        }
        loop {
            let packet = self.next().await.unwrap_or_else(|ended| panic!("{ended:?}; kept {:?}", self.kept));
            if fits(&packet) {
                return packet;
            }
            self.kept.push_back(packet);
        }
    }

    /// The next packet from the network, or how the connection ended.
    pub(crate) async fn next(&mut self) -> Result<String, Ended> {
        loop {
            match timeout(PATIENCE, self.stream.next()).await.expect("a packet in time") {
                Some(Ok(Message::Text(text))) if text.as_str() == "2" => {
                    if self.answers {
                        self.send("3").await;
                    }
                }
                Some(Ok(Message::Text(text))) => return Ok(text.to_string()),
                Some(Ok(Message::Close(Some(frame)))) => return Err(Ended(frame.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(Ended(0)),
            }
        }
    }

    /// Reads until so many pings have come, and answers them.
    pub(crate) async fn answer_pings(&mut self, count: u32) {
        for _ in 0..count {
            loop {
                match timeout(PATIENCE, self.stream.next()).await.expect("a ping in time") {
                    Some(Ok(Message::Text(text))) if text.as_str() == "2" => break self.send("3").await,
                    Some(Ok(Message::Text(text))) => self.kept.push_back(text.to_string()),
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    /// Reads on until the connection ends; gives what came before.
    pub(crate) async fn ended(&mut self) -> (Vec<String>, Ended) {
        let mut packets: Vec<String> = std::mem::take(&mut self.kept).into();
        loop {
            match self.next().await {
                Ok(packet) => packets.push(packet),
                Err(ended) => return (packets, ended),
            }
        }
    }
}

impl Poller {
    /// Opens a session.
    pub(crate) async fn open(base: &str, query: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let base = format!("{base}/socket.io/?EIO=4&transport=polling");
        let answer = http.get(format!("{base}{query}")).send().await.expect("an answer");
        assert_eq!(answer.headers()["content-type"], "text/plain; charset=UTF-8");
        let body = answer.text().await.expect("a body");
        let open: Value = serde_json::from_str(body.strip_prefix('0').expect("an open packet")).expect("JSON");
        let sid = open["sid"].as_str().expect("a session").to_owned();
        Self { http, base, sid, open }
    }

    /// Signs in when it joins.
    pub(crate) async fn signed_in(base: &str, token: &str) -> Self {
        let poller = Self::open(base, "").await;
        poller.post(&format!("40{}", json!({ "token": token }))).await;
        let mut packets = poller.poll().await;
        while packets.len() < 2 {
            packets.extend(poller.poll().await);
        }
        assert!(packets[0].starts_with("40{") && packets[1].starts_with("42[\"authenticated\","), "{packets:?}");
        poller
    }

    /// A GET that must be answered with packets.
    pub(crate) async fn poll(&self) -> Vec<String> {
        let (status, body) = self.get().await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body.split('\u{1e}').map(str::to_owned).collect()
    }

    /// Polls until a packet fits; gives all that came up to then.
    pub(crate) async fn poll_until(&self, fits: impl Fn(&str) -> bool) -> Vec<String> {
        let mut packets = Vec::new();
        while !packets.iter().any(|packet: &String| fits(packet)) {
            let came = self.poll().await;
            if came.iter().any(|packet| packet == "2") {
                self.post("3").await;
            }
            packets.extend(came);
        }
        packets
    }

    /// A GET.
    pub(crate) async fn get(&self) -> (StatusCode, String) {
        let request = self.http.get(format!("{}&sid={}", self.base, self.sid));
        let answer = timeout(PATIENCE, request.send()).await.expect("in time").expect("an answer");
        (answer.status(), answer.text().await.expect("a body"))
    }

    /// A POST that must be taken.
    pub(crate) async fn post(&self, body: &str) {
        assert_eq!(self.try_post(body.to_owned()).await, (StatusCode::OK, "ok".to_owned()));
    }

    /// A POST.
    pub(crate) async fn try_post(&self, body: impl Into<reqwest::Body>) -> (StatusCode, String) {
        let request = self.http.post(format!("{}&sid={}", self.base, self.sid)).body(body);
        let answer = timeout(PATIENCE, request.send()).await.expect("in time").expect("an answer");
        (answer.status(), answer.text().await.expect("a body"))
    }
}
