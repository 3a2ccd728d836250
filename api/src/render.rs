//! From rows to what clients see.

use crate::store::rows::{MemberRow, MessageRow, RoomRow, UserRow};
use bytes::Bytes;
use rookery_shared::{
    clock::Time,
    ids::{MessageId, RoomId, UserId},
    model::{
        Attachment, Author, ChangedMember, Member, MemberRole, Message, MessageType, OwnUser, PublicUser, Reaction,
        ReplyTo, Room, RoomUpdated,
    },
};
use serde::Serialize;
use std::sync::Arc;

/// What stands in the place of a deleted account's name.
const DELETED: &str = "Deleted user";

/// A user, and how they are named as an author.
#[derive(Debug)]
pub(crate) struct KnownUser {
    pub(crate) row: UserRow,
    pub(crate) author: Arc<Author>,
}

impl KnownUser {
    pub(crate) fn new(row: UserRow) -> Self {
        let author = Arc::new(author(&row));
        Self { row, author }
    }
}

pub(crate) fn author(user: &UserRow) -> Author {
    if user.deleted_at.is_some() {
        return unknown_author(user.id);
    }
    Author { user_id: user.id, username: Some(user.username.clone()), display_name: user.display_name.clone() }
}

/// The author of what a deleted account wrote.
pub(crate) fn unknown_author(user_id: UserId) -> Author {
    Author { user_id, username: None, display_name: DELETED.to_owned() }
}

pub(crate) fn public_user(user: &UserRow) -> PublicUser {
    PublicUser {
        id: user.id,
        username: user.username.clone(),
        display_name: user.display_name.clone(),
        first_name: user.first_name.clone(),
        last_name: user.last_name.clone(),
        bio: user.bio.clone(),
        profile_picture: user.profile_picture.clone(),
        user_type: user.user_type,
        created_at: user.created_at,
    }
}

pub(crate) fn own_user(user: &UserRow) -> OwnUser {
    OwnUser {
        public: public_user(user),
        email: (!user.email.is_empty()).then(|| user.email.clone()),
        role: user.role,
        status: user.status,
        status_text: user.status_text.clone(),
    }
}

pub(crate) fn room(room: &RoomRow, member_count: u64, role: Option<MemberRole>) -> Room {
    Room {
        id: room.id,
        room_type: room.room_type,
        name: room.name.clone(),
        description: room.description.clone(),
        visibility: room.visibility,
        history_from: room.history_from,
        created_by: room.created_by,
        created_at: room.created_at,
        member_count,
        role,
    }
}

/// A room as everyone in it is told of a change, with the member whose role it was.
pub(crate) fn room_updated(room: &RoomRow, member_count: u64, member: Option<ChangedMember>) -> RoomUpdated {
    RoomUpdated {
        id: room.id,
        room_type: room.room_type,
        name: room.name.clone(),
        description: room.description.clone(),
        visibility: room.visibility,
        history_from: room.history_from,
        created_by: room.created_by,
        created_at: room.created_at,
        member_count,
        member,
    }
}

pub(crate) fn member(row: &MemberRow, author: Author, is_online: bool) -> Member {
    Member {
        user_id: row.user,
        username: author.username,
        display_name: author.display_name,
        role: row.role,
        joined_at: row.joined_at,
        is_online,
    }
}

pub(crate) fn message(row: &MessageRow, author: &Author) -> Message {
    Message {
        id: row.id,
        room_id: row.room,
        seq: row.seq,
        rev: row.rev,
        client_id: row.client_id.clone(),
        message_type: row.message_type,
        content: row.content.clone(),
        author: author.clone(),
        created_at: row.created_at,
        edited_at: row.edited_at,
        deleted_at: row.deleted_at,
        reply_to: row.reply_to.clone(),
        attachment: row.attachment.clone(),
        reactions: row.reactions.clone(),
        pinned_at: row.pinned_at,
    }
}

/// [`Message`] by reference: what is written for every message is written without copying it first.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MessageView<'a> {
    id: MessageId,
    room_id: RoomId,
    seq: u64,
    rev: u64,
    client_id: &'a str,
    #[serde(rename = "type")]
    message_type: MessageType,
    content: &'a str,
    author: &'a Author,
    created_at: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    edited_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<&'a ReplyTo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attachment: Option<&'a Attachment>,
    reactions: &'a [Reaction],
    #[serde(skip_serializing_if = "Option::is_none")]
    pinned_at: Option<Time>,
}

/// The JSON of a message, as every client and every history sees it.
pub(crate) fn message_json(row: &MessageRow, author: &Author) -> Bytes {
    let view = MessageView {
        id: row.id,
        room_id: row.room,
        seq: row.seq,
        rev: row.rev,
        client_id: &row.client_id,
        message_type: row.message_type,
        content: &row.content,
        author,
        created_at: row.created_at,
        edited_at: row.edited_at,
        deleted_at: row.deleted_at,
        reply_to: row.reply_to.as_ref(),
        attachment: row.attachment.as_ref(),
        reactions: &row.reactions,
        pinned_at: row.pinned_at,
    };
    let mut json = Vec::with_capacity(384 + row.content.len());
    match serde_json::to_writer(&mut json, &view) {
        Ok(()) => json.into(),
        Err(error) => {
            // Only a time beyond the calendar cannot be written; the entry stays, as a number.
            tracing::error!(%error, "a message cannot be written as JSON");
            Bytes::from_static(b"null")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_view_of_a_message_is_the_message() {
        let row = MessageRow {
            id: MessageId::new(),
            room: RoomId::new(),
            seq: 7,
            rev: 2,
            sender: UserId::new(),
            client_id: "c".into(),
            first_hash: vec![],
            message_type: MessageType::File,
            content: "\"quoted\"\n".into(),
            created_at: Time(1),
            edited_at: Some(Time(2)),
            deleted_at: Some(Time(3)),
            reply_to: Some(ReplyTo { message_id: MessageId::new(), seq: 1, user_id: UserId::new() }),
            attachment: Some(Attachment { url: "https://a".into(), name: "a".into(), mime: "b/c".into(), size: 1 }),
            reactions: vec![Reaction { emoji: "👍".into(), count: 1, user_ids: vec![UserId::new()] }],
            pinned_at: Some(Time(4)),
        };
        let author = unknown_author(row.sender);
        let model = serde_json::to_string(&message(&row, &author)).expect("writes");
        assert_eq!(message_json(&row, &author), model);
    }
}
