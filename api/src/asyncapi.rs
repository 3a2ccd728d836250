//! The description of the sockets as an `AsyncAPI` 3.0 document, made of the tables of words, codes and close reasons.
//!
//! Both transports speak the same words, and differ in what is around them: each is a channel, with the same messages
//! in its own frames.

use rookery_shared::protocol::{
    CloseReason, Code, Problem,
    vocabulary::{COMMANDS, EVENTS, Log, Shape},
};
use serde_json::{Map, Value, json};
use utoipa::{PartialSchema as _, ToSchema as _};

const ABOUT: &str = "Commands and events of live connections, the same words on both transports. How a client signs in, \
                     stays complete and resumes is in docs/protocol.md; what only REST does is in openapi.json.";

/// What is around a message on a transport.
#[derive(Clone, Copy)]
enum Transport {
    WebSocket,
    SocketIo,
}

impl Transport {
    const ALL: [Self; 2] = [Self::WebSocket, Self::SocketIo];

    /// The name of its channel, and the first part of its messages' names.
    fn name(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::SocketIo => "socketio",
        }
    }

    fn channel(self, messages: &[String]) -> Value {
        let address = match self {
            Self::WebSocket => "/ws",
            Self::SocketIo => "/socket.io/",
        };
        let about = match self {
            Self::WebSocket => {
                "JSON in text frames. A reply has the `id` of its command; a command without one gets none."
            }
            Self::SocketIo => {
                "Socket.IO v4: types are event names. A reply goes to the ack callback as one argument, its data or \
                 `{error: {…}}`, or comes as an event where the client passed no callback."
            }
        };
        let messages: Map<String, Value> = messages
            .iter()
            .map(|name| (name.clone(), json!({ "$ref": format!("#/components/messages/{}.{name}", self.name()) })))
            .collect();
        json!({ "address": address, "description": about, "messages": messages, "bindings": { "ws": self.opening() } })
    }

    /// What may stand in the URL and the headers of the upgrade.
    fn opening(self) -> Value {
        let token = |about: &str| json!({ "type": "string", "description": about });
        let mut query = json!({
            "token": token("An access token, where headers cannot be set"),
            "jwt": token("The same under another name"),
        });
        if matches!(self, Self::WebSocket) {
            query["resume"] = json!({ "const": "1", "description": "A `resume` follows within 5 s" });
        }
        json!({
            "query": { "type": "object", "properties": query },
            "headers": { "type": "object", "properties": { "Authorization": token("Bearer and an access token") } },
            "bindingVersion": "0.1.0",
        })
    }

    /// A command in its frame.
    fn command(self, name: &str, data: Value) -> Value {
        match self {
            Self::WebSocket => frame(name, data, &[("id", id(), false)]),
            Self::SocketIo => packet(name, data, None),
        }
    }

    /// A reply in its frame; `resumed` and errors come without an id where no command asked.
    fn reply(self, name: &str, data: Value) -> Value {
        match self {
            Self::WebSocket => frame(name, data, &[("id", id(), false)]),
            Self::SocketIo => packet(name, data, None),
        }
    }

    /// An event in its frame.
    fn event(self, name: &str, data: Value, log: Log) -> Value {
        let (seq, room) = (json!({ "type": "integer", "minimum": 1 }), json!({ "type": "string", "format": "uuid" }));
        let place: &[(&str, Value, bool)] = match log {
            Log::Room => &[("roomId", room, true), ("seq", seq, true)],
            Log::User => &[("seq", seq, true)],
            Log::None => &[],
        };
        // An entry about something that this reader may not see is its number alone.
        let data = if log == Log::Room { json!({ "oneOf": [data, { "type": "null" }] }) } else { data };
        match self {
            Self::WebSocket => frame(name, data, place),
            Self::SocketIo => packet(name, data, Some(object(place))),
        }
    }
}

fn id() -> Value {
    json!({ "type": ["integer", "string"], "description": "The client's own; at most 128 bytes of JSON" })
}

/// `{"type", "data", …}`
fn frame(name: &str, data: Value, more: &[(&str, Value, bool)]) -> Value {
    let own = [("type", json!({ "const": name }), true), ("data", data, true)];
    object(&own.into_iter().chain(more.iter().cloned()).collect::<Vec<_>>())
}

/// `[type, data, {roomId, seq}]`
fn packet(name: &str, data: Value, place: Option<Value>) -> Value {
    let items: Vec<Value> = [json!({ "const": name }), data].into_iter().chain(place).collect();
    json!({ "type": "array", "items": items })
}

fn object(fields: &[(&str, Value, bool)]) -> Value {
    let properties: Map<String, Value> = fields.iter().map(|(name, it, _)| ((*name).to_owned(), it.clone())).collect();
    let required: Vec<&str> = fields.iter().filter(|(.., required)| *required).map(|(name, ..)| *name).collect();
    json!({ "type": "object", "properties": properties, "required": required })
}

/// The schemas that messages refer to.
#[derive(Default)]
struct Schemas(Map<String, Value>);

impl Schemas {
    /// Takes a shape in, and gives a reference to it.
    fn take(&mut self, shape: Shape) -> Value {
        let name = (shape.name)().into_owned();
        let mut found = vec![(name.clone(), (shape.schema)())];
        (shape.inside)(&mut found);
        self.0.extend(found.into_iter().map(|(name, schema)| (name, json!(schema))));
        json!({ "$ref": format!("#/components/schemas/{name}") })
    }
}

/// The document.
pub(crate) fn document() -> Value {
    let (mut schemas, mut messages, mut operations) = (Schemas::default(), Map::new(), Map::new());
    let mut names: Vec<String> = Vec::new();
    let mut say = |name: &str, about: &str, payload: &dyn Fn(Transport) -> Value| {
        names.push(name.to_owned());
        for transport in Transport::ALL {
            let message = json!({ "name": name, "summary": about, "payload": payload(transport) });
            messages.insert(format!("{}.{name}", transport.name()), message);
        }
    };
    for word in COMMANDS {
        let data = schemas.take(word.data);
        say(word.name, word.about, &|transport| transport.command(word.name, data.clone()));
        if let Some((name, shape)) = word.reply {
            let data = schemas.take(shape);
            say(&reply_name(word.name, name), "The reply", &|transport| transport.reply(name, data.clone()));
        }
    }
    let problem = json!({ "$ref": format!("#/components/schemas/{}", Problem::name()) });
    say("refused", "A command was refused", &|transport| match transport {
        Transport::WebSocket => transport.reply("error", problem.clone()),
        Transport::SocketIo => object(&[("error", problem.clone(), true)]),
    });
    for word in EVENTS {
        let data = schemas.take(word.data);
        // A command of the same name is another message.
        let name = format!("{}_event", word.name);
        say(&name, word.about, &|transport| transport.event(word.name, data.clone(), word.log));
    }
    schemas.0.insert(Code::name().into_owned(), json!(Code::schema()));
    for transport in Transport::ALL {
        operations.extend(operations_of(transport));
    }
    let channels: Map<String, Value> =
        Transport::ALL.iter().map(|transport| (transport.name().to_owned(), transport.channel(&names))).collect();
    let closes: Vec<Value> = CloseReason::ALL
        .iter()
        .map(|it| json!({ "code": it.code(), "reason": it.as_str(), "comeAgain": it.should_reconnect() }))
        .collect();
    let codes: Vec<Value> =
        Code::ALL.iter().map(|it| json!({ "code": it.as_str(), "status": it.status(), "title": it.title() })).collect();
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Rookery",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": "Apache-2.0" },
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": { "messages": messages, "schemas": schemas.0 },
        "x-close-reasons": closes,
        "x-error-codes": codes,
    })
}

/// Replies of the same type to different commands have different data.
fn reply_name(command: &str, reply: &str) -> String {
    if reply == "ok" { format!("{command}_ok") } else { reply.to_owned() }
}

/// What the server takes and what it tells, on one transport.
fn operations_of(transport: Transport) -> impl Iterator<Item = (String, Value)> {
    let channel = json!({ "$ref": format!("#/channels/{}", transport.name()) });
    let message = move |name: &str| json!({ "$ref": format!("#/channels/{}/messages/{name}", transport.name()) });
    let commands = {
        let channel = channel.clone();
        COMMANDS.iter().map(move |word| {
            let answers = word.reply.map(|(name, _)| message(&reply_name(word.name, name)));
            let answers: Vec<Value> = answers.into_iter().chain([message("refused")]).collect();
            let operation = json!({
                "action": "receive",
                "channel": channel,
                "summary": word.about,
                "messages": [message(word.name)],
                "reply": { "channel": channel, "messages": answers },
            });
            (format!("{}.{}", transport.name(), word.name), operation)
        })
    };
    let events = EVENTS.iter().map(move |word| {
        let name = format!("{}_event", word.name);
        let operation = json!({
            "action": "send",
            "channel": channel,
            "summary": word.about,
            "messages": [message(&name)],
        });
        (format!("{}.{name}", transport.name()), operation)
    });
    commands.chain(events)
}
