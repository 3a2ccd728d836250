//! Opening a connection, and finding out where to: Sentinels and the slots of a cluster.

use super::{
    config::{Endpoints, Login},
    resp::{Incoming, NotResp, Parser, Value, encode},
};
use crate::keys::{Keys, SLOTS, TAGS, slot};
use bytes::BytesMut;
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("the connection broke: {0}")]
    Io(#[from] std::io::Error),
    #[error("the server was silent for too long")]
    Silent,
    #[error(transparent)]
    NotResp(#[from] NotResp),
    #[error("the server refused: {0}")]
    Refused(String),
    #[error("no Sentinel knows the master")]
    NoMaster,
}

/// A connection that speaks RESP3, before it is shared.
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    pub(crate) buffer: BytesMut,
    pub(crate) parser: Parser,
    patience: Duration,
}

impl Wire {
    /// Connects and signs in.
    pub(crate) async fn open(address: &str, login: &Login, patience: Duration) -> Result<Self, DialError> {
        let stream = timeout(patience, TcpStream::connect(address)).await.map_err(|_| DialError::Silent)??;
        stream.set_nodelay(true)?;
        let mut wire = Self { stream, buffer: BytesMut::new(), parser: Parser::default(), patience };
        let mut hello: Vec<&[u8]> = vec![b"HELLO", b"3"];
        if let Some(password) = &login.password {
            let user = login.user.as_deref().unwrap_or("default");
            hello.extend([b"AUTH".as_slice(), user.as_bytes(), password.as_bytes()]);
        }
        hello.extend([b"SETNAME".as_slice(), b"rookery-bus"]);
        wire.ask(&hello).await?;
        if login.database != 0 {
            wire.ask(&[b"SELECT", login.database.to_string().as_bytes()]).await?;
        }
        Ok(wire)
    }

    /// One command and its answer.
    pub(crate) async fn ask(&mut self, command: &[&[u8]]) -> Result<Value, DialError> {
        let patience = self.patience;
        timeout(patience, self.exchange(command)).await.map_err(|_| DialError::Silent)?
    }

    async fn exchange(&mut self, command: &[&[u8]]) -> Result<Value, DialError> {
        let mut out = BytesMut::new();
        encode(&mut out, command);
        self.stream.write_all(&out).await?;
        loop {
            match self.parser.next(&mut self.buffer)? {
                Some(Incoming::Reply(Value::Error(text))) => return Err(DialError::Refused(text)),
                Some(Incoming::Reply(value)) => return Ok(value),
                Some(_) => {}
                None => {
                    if self.stream.read_buf(&mut self.buffer).await? == 0 {
                        return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
                    }
                }
            }
        }
    }
}

/// Asks the Sentinels in turn for the master's address.
pub(crate) async fn master(endpoints: &Endpoints, patience: Duration) -> Result<String, DialError> {
    let login = Login { database: 0, ..endpoints.login.clone() };
    for address in &endpoints.addresses {
        let Ok(mut sentinel) = Wire::open(address, &login, patience).await else { continue };
        let question: [&[u8]; 3] = [b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", endpoints.sentinel_master.as_bytes()];
        let Ok(Value::List(answer)) = sentinel.ask(&question).await else { continue };
        if let [host, port] = answer.as_slice()
            && let (Some(host), Some(port)) = (host.as_str(), port.as_str())
        {
            return Ok(format!("{host}:{port}"));
        }
    }
    Err(DialError::NoMaster)
}

/// Which master serves what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Topology {
    /// By tag; `None` while nobody serves its slot.
    pub(crate) by_tag: Vec<Option<Arc<str>>>,
    /// The master that holds the generation.
    pub(crate) generation: Option<Arc<str>>,
    /// Every master, once.
    pub(crate) masters: Vec<Arc<str>>,
}

impl Topology {
    /// Reads the answer to `CLUSTER SLOTS`; a node without an address is the one at `asked`.
    pub(crate) fn read(answer: &Value, asked: &str, keys: &Keys) -> Option<Self> {
        let asked_host = asked.rsplit_once(':').map_or(asked, |(host, _)| host);
        let mut by_slot: Vec<Option<Arc<str>>> = vec![None; usize::from(SLOTS)];
        let mut masters: Vec<Arc<str>> = Vec::new();
        for range in answer.as_list()? {
            let [first, last, master, ..] = range.as_list()? else { return None };
            let [host, port, ..] = master.as_list()? else { return None };
            let host = host.as_str().filter(|host| !host.is_empty() && *host != "?").unwrap_or(asked_host);
            let address = format!("{host}:{}", port.as_int()?);
            let known = masters.iter().find(|known| ***known == *address).cloned();
            let address = known.unwrap_or_else(|| {
                masters.push(address.into());
                masters[masters.len() - 1].clone()
            });
            let (first, last) = (usize::try_from(first.as_int()?).ok()?, usize::try_from(last.as_int()?).ok()?);
            by_slot.get_mut(first..=last)?.fill(Some(address));
        }
        let owner = |slot: u16| by_slot[usize::from(slot)].clone();
        let by_tag = (0..TAGS).map(|tag| owner(Keys::slot_of_tag(tag))).collect();
        Some(Self { by_tag, generation: owner(slot(keys.generation().as_bytes())), masters })
    }
}

/// Asks these nodes in turn for the slots, until one of them answers.
pub(crate) async fn topology(
    nodes: &[String],
    login: &Login,
    keys: &Keys,
    patience: Duration,
) -> Result<Topology, DialError> {
    let mut last = DialError::NoMaster;
    for node in nodes {
        let answer = async { Wire::open(node, login, patience).await?.ask(&[b"CLUSTER", b"SLOTS"]).await };
        match answer.await {
            Ok(answer) => match Topology::read(&answer, node, keys) {
                Some(topology) if !topology.masters.is_empty() => return Ok(topology),
                _ => last = DialError::Refused("the answer about slots makes no sense".to_owned()),
            },
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &'static str) -> Value {
        Value::Text(text.into())
    }

    #[test]
    fn the_answer_about_slots_tells_every_tags_master() {
        let range = |first, last, host, port| {
            let node = Value::List(vec![text(host), Value::Int(port), text("id")]);
            Value::List(vec![Value::Int(first), Value::Int(last), node])
        };
        let keys = Keys::new("test", 1);
        let answer = Value::List(vec![range(0, 8191, "10.0.0.1", 1), range(8192, 16_383, "", 2)]);
        let topology = Topology::read(&answer, "10.0.0.9:5", &keys).expect("is read");
        assert_eq!(topology.masters.iter().map(|master| &**master).collect::<Vec<_>>(), ["10.0.0.1:1", "10.0.0.9:2"]);
        assert!(topology.by_tag.iter().all(Option::is_some));

        let answer = Value::List(vec![range(0, 0, "10.0.0.1", 1)]);
        let topology = Topology::read(&answer, "10.0.0.9:5", &keys).expect("is read");
        assert!(topology.by_tag.iter().any(Option::is_none));

        let answer = Value::List(vec![range(5, 99_999, "10.0.0.1", 1)]);
        assert_eq!(Topology::read(&answer, "10.0.0.9:5", &keys), None);
    }
}
