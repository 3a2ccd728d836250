//! Clients of others, as they are, in front of a cluster behind HAProxy: the official one for JavaScript with default
//! options, by WebSocket alone and by polling alone, its oldest release of this major version, and python-socketio.
//!
//! The scripts are in `clients/tests`; this side has the user of `/ws` that they talk with, and takes the gateway from
//! under all of them at once.

use crate::harness::{Haproxy, Installation, Person, Socket, cluster};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::Barrier,
    task::JoinSet,
    time::timeout,
};

/// The longest silence of a script. Its own waits are shorter, so that it can say what it waited for.
const PATIENCE: Duration = Duration::from_secs(90);

/// A client and what it is told to use; nothing means its own default.
const MATRIX: [(&str, Option<&str>); 9] = [
    ("socket.io-client", None),
    ("socket.io-client", Some("websocket")),
    ("socket.io-client", Some("polling")),
    ("socket.io-client-oldest", None),
    ("socket.io-client-oldest", Some("websocket")),
    ("socket.io-client-oldest", Some("polling")),
    ("python-socketio", None),
    ("python-socketio", Some("websocket")),
    ("python-socketio", Some("polling")),
];

/// How the gateway of all clients goes.
#[derive(Clone, Copy, PartialEq)]
enum Ending {
    /// Without a word.
    Killed,
    /// An admin drains it.
    Drained,
}

/// The people of one script.
struct Cast {
    /// The client's user.
    me: Person,
    /// Another user who is signed in once and signed out.
    other: Person,
    /// Who speaks `/ws`.
    peer: Person,
    /// Who comes in the middle.
    visitor: Person,
    room: String,
}

/// A script, and the other side of it.
struct Script {
    name: String,
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    cast: Cast,
    /// Where the peer and the visitor connect: a gateway that lives on.
    gateway: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

impl Cast {
    async fn new(installation: &Installation) -> Self {
        let (me, other) = (installation.person("me").await, installation.person("other").await);
        let (peer, visitor) = (installation.person("peer").await, installation.person("visitor").await);
        let room = me.make_room("private", &[&peer, &visitor]).await;
        Self { me, other, peer, visitor, room }
    }
}

impl Script {
    fn start(
        proxy: &Haproxy,
        (client, transport): (&str, Option<&str>),
        ending: Ending,
        cast: Cast,
        gateway: String,
    ) -> Self {
        let config = json!({
            "ending": if ending == Ending::Killed { "killed" } else { "drained" },
            "base": proxy.base(),
            "client": client,
            "modules": root().join(".cache/clients/node"),
            "transports": transport.map(|transport| [transport]),
            "room": cast.room,
            "id": cast.me.id,
            "token": cast.me.token,
            "otherToken": cast.other.token,
            "peer": cast.peer.id,
            "visitor": cast.visitor.id,
        });
        let python = root().join(".cache/clients/python/bin/python");
        let (program, script) = if client.starts_with("python") {
            (python.as_path(), "clients/tests/python/matrix.py")
        } else {
            (Path::new("node"), "clients/tests/node/matrix.js")
        };
        let started = Command::new(program)
            .arg(root().join(script))
            .arg(config.to_string())
            .env("NO_PROXY", "127.0.0.1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let mut child =
            started.unwrap_or_else(|error| panic!("{client}: {error}; scripts/install-test-deps installs it"));
        let input = child.stdin.take().expect("piped");
        let output = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self { name: format!("{client}, {}", transport.unwrap_or("default")), child, input, output, cast, gateway }
    }

    /// Does what the script asks for until it is done. `ending` is where all scripts meet before and after their gateway
    /// goes.
    async fn play(mut self, ending: Arc<Barrier>) {
        let mut peer = self.cast.peer.socket(&self.gateway).await;
        let mut visitors = Vec::new();
        loop {
            let line = timeout(PATIENCE, self.output.next_line()).await;
            let line = line.unwrap_or_else(|_| panic!("{} says nothing any more", self.name)).expect("a pipe");
            let line = line.unwrap_or_else(|| panic!("{} ended without a word", self.name));
            let asked: Value = serde_json::from_str(&line).expect("JSON");
            let data = || asked["data"].clone();
            let answer = match asked["ask"].as_str() {
                Some("peer") => peer.command(text(&asked, "command"), data()).await,
                Some("post") => json!(peer.post(text(&asked, "command"), data()).await),
                Some("frame") => peer.event(text(&asked, "type")).await,
                Some("visit") => {
                    visitors.push(self.cast.visitor.socket(&self.gateway).await);
                    Value::Null
                }
                Some("ending") => {
                    ending.wait().await;
                    ending.wait().await;
                    self.speak_meanwhile(&mut peer).await;
                    Value::Null
                }
                _ if asked["done"] == true => break,
                _ => panic!("{}: {}", self.name, asked["failed"].as_str().unwrap_or(&line)),
            };
            self.input.write_all(format!("{answer}\n").as_bytes()).await.expect("it reads");
        }
        let status = timeout(PATIENCE, self.child.wait()).await.expect("it ends").expect("a status");
        assert!(status.success(), "{}: {status}", self.name);
    }

    /// What is said while the client is away, or about to find out that it is.
    async fn speak_meanwhile(&self, peer: &mut Socket) {
        for content in ["1", "2", "3", "4", "last"] {
            let sent = peer.command("send_message", json!({ "roomId": self.cast.room, "content": content })).await;
            assert_eq!(sent["type"], "message_sent", "{sent}");
        }
    }
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().expect("text")
}

/// Plays all scripts of the matrix, and takes the gateway from under all clients when each is ready for it.
async fn play(ending: Ending) {
    let mut installation = cluster(2, 2, &[]).await;
    let boss = installation.admin("root").await;
    let proxy = Haproxy::start(&installation).await;
    // They all come from one address, and so to one gateway; their peers connect to the other.
    let node = proxy.node_of_socketio().await;
    let first: usize = node.strip_prefix("gateway-").and_then(|index| index.parse().ok()).expect("a gateway's name");
    let meeting = Arc::new(Barrier::new(MATRIX.len() + 1));
    let mut scripts = JoinSet::new();
    for client in MATRIX {
        let cast = Cast::new(&installation).await;
        let script = Script::start(&proxy, client, ending, cast, installation.gateway(1 - first));
        scripts.spawn(script.play(meeting.clone()));
    }
    let end = async {
        meeting.wait().await;
        match ending {
            Ending::Killed => installation.kill_gateway(first),
            Ending::Drained => boss.drain(&node).await,
        }
        meeting.wait().await;
        std::future::pending::<()>().await;
    };
    let all = async {
        while let Some(played) = scripts.join_next().await {
            played.expect("it plays to the end");
        }
    };
    tokio::select! {
        () = end => {}
        () = all => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_others_live_in_rooms_and_lose_nothing_when_their_gateway_is_killed() {
    play(Ending::Killed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_others_come_again_by_themselves_when_their_gateway_is_drained() {
    play(Ending::Drained).await;
}
