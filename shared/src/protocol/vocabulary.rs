//! The words of the sockets, in two tables: what clients say and what is answered, and what they are told.
//!
//! The tables are what the description of the sockets is made of. The shapes are in [`command`](super::command) and in
//! [`model`](crate::model).

use super::{
    Problem,
    command::{
        Authenticate, Authenticated, Cursors, DeleteMessage, EditMessage, JoinRoom, MarkRead, MessageChanged,
        MessageSent, ReadUpTo, Resumed, RoomJoined, RoomRef, RoomUsers, SendMessage, StatusUpdated, Typing,
        UpdateStatus,
    },
};
use crate::{
    clock::Time,
    model::{
        Membership, Message, MessageRead, RoomGone, RoomSummary, RoomUpdated, SessionEnded, UserStatus, UserTyping,
    },
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::borrow::Cow;
use utoipa::{
    ToSchema,
    openapi::{RefOr, schema::Schema},
};

/// The data of `token_expiring` and `reconnect`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// A word for programs: `token_expiring`, `draining`.
    #[schema(value_type = String)]
    pub code: Cow<'static, str>,
    /// For people.
    #[schema(value_type = String)]
    pub message: Cow<'static, str>,
    /// Of `reconnect`: when to come again, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub retry_after_ms: Option<u64>,
    /// Of `token_expiring`: when the token ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub token_expires_at: Option<Time>,
}

/// A shape: its name, how it and the shapes inside of it are described, and how it is read and written.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// The name of the schema.
    pub name: fn() -> Cow<'static, str>,
    /// Its schema.
    pub schema: fn() -> RefOr<Schema>,
    /// The schemas that it refers to.
    pub inside: fn(&mut Vec<(String, RefOr<Schema>)>),
    /// Reads JSON text as this shape, and writes it again.
    pub again: fn(&str) -> serde_json::Result<Value>,
}

/// The shape of a type.
pub const fn shape<T: ToSchema + Serialize + DeserializeOwned>() -> Shape {
    Shape {
        name: T::name,
        schema: T::schema,
        inside: T::schemas,
        again: |json| serde_json::to_value(serde_json::from_str::<T>(json)?),
    }
}

/// What a client may say.
#[derive(Clone, Copy, Debug)]
pub struct CommandWord {
    /// Its type.
    pub name: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// Its data.
    pub data: Shape,
    /// The type and the data of its reply; none for a command that has none.
    pub reply: Option<(&'static str, Shape)>,
}

/// Every command.
pub const COMMANDS: &[CommandWord] = &[
    CommandWord {
        name: "authenticate",
        about: "Signs in, or shows a fresh token on a live connection",
        data: shape::<Authenticate>(),
        reply: Some(("authenticated", shape::<Authenticated>())),
    },
    CommandWord {
        name: "resume",
        about: "Says what the client has of each room, on a connection that was opened with `?resume=1`",
        data: shape::<Cursors>(),
        reply: Some(("resumed", shape::<Resumed>())),
    },
    CommandWord {
        name: "join_room",
        about: "Follows a room with this connection, or catches up in one",
        data: shape::<JoinRoom>(),
        reply: Some(("room_joined", shape::<RoomJoined>())),
    },
    CommandWord {
        name: "leave_room",
        about: "Follows a room no longer with this connection",
        data: shape::<RoomRef>(),
        reply: Some(("room_left", shape::<RoomRef>())),
    },
    CommandWord {
        name: "send_message",
        about: "Sends a message into a room, or to a user; repeatable with the same `clientId`",
        data: shape::<SendMessage>(),
        reply: Some(("message_sent", shape::<MessageSent>())),
    },
    CommandWord {
        name: "edit_message",
        about: "Changes the words of one's own message",
        data: shape::<EditMessage>(),
        reply: Some(("ok", shape::<MessageChanged>())),
    },
    CommandWord {
        name: "delete_message",
        about: "Deletes a message; a tombstone is left",
        data: shape::<DeleteMessage>(),
        reply: Some(("ok", shape::<MessageChanged>())),
    },
    CommandWord {
        name: "message_read",
        about: "Marks everything up to a message as read; the newest one if none is named",
        data: shape::<MarkRead>(),
        reply: Some(("ok", shape::<ReadUpTo>())),
    },
    CommandWord {
        name: "typing",
        about: "Says that the user begins or ends typing",
        data: shape::<Typing>(),
        reply: None,
    },
    CommandWord {
        name: "update_status",
        about: "Says how the user wants to be seen",
        data: shape::<UpdateStatus>(),
        reply: Some(("ok", shape::<StatusUpdated>())),
    },
    CommandWord {
        name: "get_room_users",
        about: "Asks who is in a room, and who of them is there",
        data: shape::<RoomRef>(),
        reply: Some(("room_users", shape::<RoomUsers>())),
    },
];

/// Whose log an event is an entry of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Log {
    /// The room's: the frame has `roomId` and `seq`.
    Room,
    /// The user's own stream: the frame has `seq`.
    User,
    /// None: of the moment, without a `seq`.
    None,
}

/// What a client is told without asking.
#[derive(Clone, Copy, Debug)]
pub struct EventWord {
    /// Its type.
    pub name: &'static str,
    /// What happened.
    pub about: &'static str,
    /// Whose log it is an entry of.
    pub log: Log,
    /// Its data.
    pub data: Shape,
}

/// Every event.
pub const EVENTS: &[EventWord] = &[
    event("new_message", "A message, with its author", Log::Room, shape::<Message>()),
    event("message_updated", "The message as it is now: edited, reacted to, pinned", Log::Room, shape::<Message>()),
    event("message_deleted", "The tombstone of a message", Log::Room, shape::<Message>()),
    event("user_joined", "Someone became a member", Log::Room, shape::<Membership>()),
    event("user_left", "Someone is a member no longer", Log::Room, shape::<Membership>()),
    event("room_updated", "The room as it is now, without anyone's own role", Log::Room, shape::<RoomUpdated>()),
    event("room_added", "One more room is in the user's list", Log::User, shape::<RoomSummary>()),
    event("room_removed", "The user is out of a room", Log::User, shape::<RoomGone>()),
    event("room_deleted", "A room of the user was deleted", Log::User, shape::<RoomGone>()),
    event("session_ended", "A session of the user ended, or all of them", Log::User, shape::<SessionEnded>()),
    event("message_read", "Someone read up to a message", Log::None, shape::<MessageRead>()),
    event("user_typing", "Someone begins or ends typing", Log::None, shape::<UserTyping>()),
    event("user_status", "Someone came, went, or is there differently", Log::None, shape::<UserStatus>()),
    event("token_expiring", "The token ends soon: authenticate with a fresh one", Log::None, shape::<Notice>()),
    event("reconnect", "The node goes away: come again after `retryAfterMs`", Log::None, shape::<Notice>()),
    event("error", "Something was refused that no reply could say", Log::None, shape::<Problem>()),
];

const fn event(name: &'static str, about: &'static str, log: Log, data: Shape) -> EventWord {
    EventWord { name, about, log, data }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::Kind;

    #[test]
    fn every_kind_of_event_on_the_bus_is_told_to_clients_under_its_name() {
        for kind in Kind::ALL.iter().filter(|kind| **kind != Kind::Unknown && !kind.is_order()) {
            let word = EVENTS.iter().find(|word| word.name == kind.event_type());
            let word = word.unwrap_or_else(|| panic!("{} is in no table", kind.event_type()));
            assert_eq!(word.log != Log::None, kind.is_durable(), "{}", word.name);
        }
    }
}
