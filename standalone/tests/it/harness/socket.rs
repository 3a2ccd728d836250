//! A client's socket, as one would write it against the documentation.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use std::{collections::VecDeque, time::Duration};
use tokio::{
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, client_async, connect_async,
    tungstenite::{Message, client::IntoClientRequest as _, http::HeaderValue},
};

/// Longest wait for a frame; generous because the machine may be busy with something else.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to `/ws`. Frames that nobody waited for yet are kept in their order.
pub(crate) struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    kept: VecDeque<Value>,
    next_id: u64,
    /// The node that answered the upgrade.
    pub(crate) node: String,
}

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Closed {
    /// The close code; 0 if there was none.
    pub(crate) code: u16,
    /// The reason behind it.
    pub(crate) reason: String,
}

impl Socket {
    /// Connects without signing in. `url` ends in `/ws`, perhaps with a query.
    pub(crate) async fn open(url: &str, bearer: Option<&str>) -> Self {
        let mut request = url.into_client_request().expect("a request");
        if let Some(token) = bearer {
            let value = HeaderValue::from_str(&format!("Bearer {token}")).expect("a header");
            request.headers_mut().insert("authorization", value);
        }
        let (stream, response) = connect_async(request).await.expect("the upgrade");
        let node = response.headers()["rookery-node"].to_str().expect("text").to_owned();
        Self { stream, kept: VecDeque::new(), next_id: 1, node }
    }

    /// Connects and signs in by the URL.
    pub(crate) async fn signed_in(url: &str, token: &str) -> Self {
        let mut socket = Self::open(&format!("{url}?token={token}"), None).await;
        socket.event("authenticated").await;
        socket
    }

    /// The same, with as little room for what was not read as the kernel allows.
    pub(crate) async fn with_little_room(url: &str, token: &str) -> Self {
        let url = format!("{url}?token={token}");
        let address =
            url.trim_start_matches("ws://").split('/').next().expect("an address").parse().expect("an address");
        let plain = TcpSocket::new_v4().expect("a socket");
        plain.set_recv_buffer_size(4_096).expect("a small buffer");
        let plain = MaybeTlsStream::Plain(plain.connect(address).await.expect("connects"));
        let (stream, response) = client_async(url, plain).await.expect("the upgrade");
        let node = response.headers()["rookery-node"].to_str().expect("text").to_owned();
        let mut socket = Self { stream, kept: VecDeque::new(), next_id: 1, node };
        socket.event("authenticated").await;
        socket
    }

    /// Sends text as it is.
    pub(crate) async fn raw(&mut self, text: &str) {
        self.stream.send(Message::text(text)).await.expect("sent");
    }

    /// Sends a message of any kind, whole.
    pub(crate) async fn message(&mut self, message: Message) {
        self.stream.send(message).await.expect("sent");
    }

    /// Sends a command and waits for the frame that has its id.
    pub(crate) async fn command(&mut self, name: &str, data: Value) -> Value {
        let id = self.post(name, data).await;
        self.frame(|frame| frame["id"] == id).await
    }

    /// Sends a command with an id and does not wait.
    pub(crate) async fn post(&mut self, name: &str, data: Value) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.raw(&json!({ "id": id, "type": name, "data": data }).to_string()).await;
        id
    }

    /// The first frame of this type, kept or to come; the others are kept.
    pub(crate) async fn event(&mut self, name: &str) -> Value {
        self.frame(|frame| frame["type"] == name && frame.get("id").is_none_or(Value::is_null)).await
    }

    /// The first frame that fits, kept or to come; the others are kept.
    pub(crate) async fn frame(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        if let Some(index) = self.kept.iter().position(&fits) {
            return self.kept.remove(index).expect("it is there");
        }
        loop {
            let frame = self.next().await.unwrap_or_else(|closed| panic!("closed with {closed:?}"));
            if fits(&frame) {
                return frame;
            }
            self.kept.push_back(frame);
        }
    }

    /// Frames that came and that nobody waited for.
    pub(crate) fn kept(&self) -> impl Iterator<Item = &Value> {
        self.kept.iter()
    }

    /// The next frame from the network, or how the connection ended.
    pub(crate) async fn next(&mut self) -> Result<Value, Closed> {
        loop {
            let message = timeout(PATIENCE, self.stream.next()).await.expect("a frame in time");
            match message {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).expect("frames are JSON")),
                Some(Ok(Message::Close(Some(frame)))) => {
                    return Err(Closed { code: frame.code.into(), reason: frame.reason.to_string() });
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(Closed { code: 0, reason: String::new() }),
            }
        }
    }

    /// Reads on until the connection ends.
    pub(crate) async fn closed(&mut self) -> Closed {
        loop {
            match self.next().await {
                Ok(frame) => self.kept.push_back(frame),
                Err(closed) => return closed,
            }
        }
    }
}
