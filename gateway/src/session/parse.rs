//! From the text of a frame to a command, with errors that name the field.

use rookery_shared::protocol::{
    Code, Problem,
    command::{
        Authenticate, Cursors, DeleteMessage, Draft, EditMessage, JoinRoom, MarkRead, RoomRef, SendMessage, Typing,
        UpdateStatus,
    },
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use std::borrow::Cow;

use super::ReplyTo;

/// The longest id that a command may have, in bytes of JSON.
const LONGEST_ID: usize = 128;

/// What a client wants.
#[derive(Debug)]
pub enum Command {
    /// `authenticate`
    Authenticate(Authenticate),
    /// `join_room`
    JoinRoom(JoinRoom),
    /// `leave_room`
    LeaveRoom(RoomRef),
    /// `send_message`
    SendMessage(SendMessage),
    /// `edit_message`
    EditMessage(EditMessage),
    /// `delete_message`
    DeleteMessage(DeleteMessage),
    /// `message_read`
    MessageRead(MarkRead),
    /// `typing`
    Typing(Typing),
    /// `update_status`
    UpdateStatus(UpdateStatus),
    /// `get_room_users`
    GetRoomUsers(RoomRef),
    /// `resume`
    Resume(Cursors),
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// Reads a frame. An error comes with the command's id where that could be read.
pub fn command(text: &str) -> Result<(ReplyTo, Command), (ReplyTo, Problem)> {
    let bad = || (None, Problem::new(Code::BadRequest, "expected a JSON object with a type"));
    if !text.trim_start().starts_with('{') {
        return Err(bad());
    }
    let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|_| bad())?;
    let id = match envelope.id.map(RawValue::get) {
        None | Some("null") => None,
        Some(id) if id.len() > LONGEST_ID || id.starts_with(['{', '[']) => {
            let message = format!("expected a number or a string of at most {LONGEST_ID} bytes");
            return Err((None, Problem::field("id", message)));
        }
        Some(id) => Some(Box::<str>::from(id)),
    };
    let data = envelope.data.map_or("{}", RawValue::get);
    match named(envelope.name.map_or("null", RawValue::get), data) {
        Ok(command) => Ok((id, command)),
        Err(problem) => Err((id, problem)),
    }
}

/// Reads a command of which the transport has found name and data, both JSON.
pub fn named(name: &str, data: &str) -> Result<Command, Problem> {
    let Ok(name) = serde_json::from_str::<Cow<'_, str>>(name) else {
        return Err(Problem::field("type", "expected the name of a command"));
    };
    by_name(&name, data)
}

fn by_name(name: &str, data: &str) -> Result<Command, Problem> {
    Ok(match name {
        "authenticate" => Command::Authenticate(fields(data)?),
        "join_room" => Command::JoinRoom(fields(data)?),
        "leave_room" => Command::LeaveRoom(fields(data)?),
        "send_message" => Command::SendMessage(send_message(data)?),
        "edit_message" => Command::EditMessage(fields(data)?),
        "delete_message" => Command::DeleteMessage(fields(data)?),
        "message_read" => Command::MessageRead(fields(data)?),
        "typing" => {
            let typing: Typing = fields(data)?;
            one_target(typing.room_id.is_some(), typing.to.is_some())?;
            Command::Typing(typing)
        }
        "update_status" => Command::UpdateStatus(fields(data)?),
        "get_room_users" => Command::GetRoomUsers(fields(data)?),
        "resume" => Command::Resume(fields(data)?),
        _ => return Err(Code::UnknownCommand.into()),
    })
}

/// The target and the draft are read apart: a flattened struct would lose the names of wrong fields.
fn send_message(data: &str) -> Result<SendMessage, Problem> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Target {
        room_id: Option<rookery_shared::ids::RoomId>,
        to: Option<rookery_shared::ids::UserId>,
    }
    let Target { room_id, to } = fields(data)?;
    let draft: Draft = fields(data)?;
    one_target(room_id.is_some(), to.is_some())?;
    Ok(SendMessage { room_id, to, draft })
}

fn one_target(room: bool, user: bool) -> Result<(), Problem> {
    match (room, user) {
        (true, false) | (false, true) => Ok(()),
        _ => Err(Problem::field("roomId", "expected exactly one of roomId and to")),
    }
}

/// Reads the data of a command.
pub fn fields<T: DeserializeOwned>(data: &str) -> Result<T, Problem> {
    if !data.starts_with('{') {
        return Err(Problem::field("data", "expected an object"));
    }
    let mut json = serde_json::Deserializer::from_str(data);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let message = error.inner().to_string();
        // Serde puts line and column behind its message; they mean nothing to who sees one frame.
        let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message).to_owned();
        match (path.as_str(), missing_field(&message)) {
            (".", Some(field)) => Problem::field(field, "is missing"),
            (".", None) => Problem::field("data", message),
            (path, Some(field)) => Problem::field(format!("{path}.{field}"), "is missing"),
            (_, None) => Problem::field(path, message),
        }
    })
}

/// The field that serde says is missing.
fn missing_field(message: &str) -> Option<String> {
    Some(message.strip_prefix("missing field `")?.strip_suffix('`')?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rookery_shared::protocol::vocabulary::COMMANDS;

    fn problem(text: &str) -> (Option<String>, Problem) {
        let (id, problem) = command(text).expect_err("wrong");
        (id.map(String::from), problem)
    }

    #[test]
    fn a_wrong_field_is_named() {
        let cases = [
            (r#"{"id":7,"type":"join_room","data":{"roomId":5}}"#, "roomId"),
            (r#"{"id":7,"type":"join_room","data":{"roomId":"x"}}"#, "roomId"),
            (r#"{"id":7,"type":"join_room","data":{}}"#, "roomId"),
            (r#"{"id":7,"type":"join_room"}"#, "roomId"),
            (r#"{"id":7,"type":"join_room","data":[]}"#, "data"),
            (r#"{"id":7,"type":5}"#, "type"),
            (r#"{"id":7}"#, "type"),
            (r#"{"id":7,"type":"send_message","data":{"content":"a"}}"#, "roomId"),
            (
                r#"{"id":7,"type":"send_message","data":{"roomId":"01900000-0000-7000-8000-000000000001","content":1}}"#,
                "content",
            ),
            (
                r#"{"id":7,"type":"send_message","data":{"to":"01900000-0000-7000-8000-000000000001","content":"a",
                "attachment":{"url":"http://a","name":"a","mime":"b","size":"big"}}}"#,
                "attachment.size",
            ),
            (r#"{"id":7,"type":"typing","data":{"roomId":"01900000-0000-7000-8000-000000000001"}}"#, "isTyping"),
            (
                r#"{"id":7,"type":"edit_message","data":{"messageId":"01900000-0000-7000-8000-000000000001"}}"#,
                "content",
            ),
            (r#"{"id":7,"type":"edit_message","data":{"messageId":"x","content":"a"}}"#, "messageId"),
            (r#"{"id":7,"type":"delete_message"}"#, "messageId"),
            (r#"{"id":7,"type":"message_read","data":{"messageId":null}}"#, "roomId"),
            (r#"{"id":7,"type":"update_status","data":{"status":"offline"}}"#, "status"),
            (r#"{"id":7,"type":"update_status","data":{"text":"no status"}}"#, "status"),
        ];
        for (text, field) in cases {
            let (id, problem) = problem(text);
            assert_eq!(id.as_deref(), Some("7"), "{text}");
            assert_eq!(problem.code, Code::Invalid, "{text}");
            assert_eq!(problem.errors[0].field, field, "{text}");
        }
    }

    #[test]
    fn what_is_no_command_is_told_so() {
        for text in ["", "x", "[]", "7", "{", "\"a\"", "{\"type\":\"a\"} x"] {
            assert_eq!(problem(text).1.code, Code::BadRequest, "{text}");
        }
        assert_eq!(problem(r#"{"type":"dance"}"#).1.code, Code::UnknownCommand);
        assert_eq!(problem(r#"{"id":{},"type":"dance"}"#).1.errors[0].field, "id");
    }

    #[test]
    fn unknown_fields_and_a_missing_id_do_no_harm() {
        let text = r#"{"type":"leave_room","data":{"roomId":"01900000-0000-7000-8000-000000000001","a":1},"b":2}"#;
        assert!(matches!(command(text), Ok((None, Command::LeaveRoom(_)))));
    }

    #[test]
    fn the_commands_that_are_understood_are_those_of_the_vocabulary() {
        for word in COMMANDS {
            let understood = by_name(word.name, "{}").map_err(|problem| problem.code);
            assert_ne!(understood.err(), Some(Code::UnknownCommand), "{}", word.name);
        }
        // The names that `by_name` matches, as they are written there.
        let matched = include_str!("parse.rs").lines().filter_map(|line| {
            let (name, rest) = line.trim().strip_prefix('"')?.split_once("\" => ")?;
            (rest.starts_with("Command::") || rest == "{").then_some(name)
        });
        for name in matched {
            assert!(COMMANDS.iter().any(|word| word.name == name), "{name} is not in the vocabulary");
        }
    }
}
