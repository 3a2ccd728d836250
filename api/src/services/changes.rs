//! Changing messages: edits, tombstones, pins. Each change is an entry of the room's log that brings the message as it
//! is then.

use super::rooms::Seen;
use crate::{
    actor::Actor,
    app::Api,
    power::Act,
    problem,
    store::{Op, rows::MessageRow},
    text,
    writer::{Heads, Planned},
};
use rookery_shared::{
    clock,
    envelope::Kind,
    ids::{MessageId, StreamId},
    model::{Message, MessageType, Reaction},
    protocol::{Code, Problem, command::MessageChanged},
};
use std::future::ready;

/// A message that somebody wants to change, and their place in its room.
pub(crate) struct Found {
    pub(crate) seen: Seen,
    pub(crate) message: MessageRow,
}

impl Found {
    /// Refuses to change what is gone.
    pub(crate) fn there(&self) -> Result<(), Problem> {
        if self.message.deleted_at.is_some() {
            return Err(Problem::new(Code::Conflict, "This message was deleted"));
        }
        Ok(())
    }
}

/// What becomes of a message.
pub(crate) enum Change {
    /// It is that way already: no entry.
    Nothing,
    /// It is like this from now on.
    To {
        /// How, apart from its `rev`.
        message: Box<MessageRow>,
        /// What the entry reports.
        kind: Kind,
        /// What else changes with it.
        ops: Vec<Op>,
    },
}

impl Change {
    fn to(message: MessageRow, kind: Kind) -> Self {
        Self::To { message: Box::new(message), kind, ops: Vec::new() }
    }
}

/// What came of a change.
#[derive(Clone, Debug)]
pub(crate) struct Changed {
    /// The message as it is now.
    pub(crate) message: MessageRow,
    /// The place of the change, or the head of the log when there was nothing to change.
    pub(crate) seq: u64,
    /// The reactions that were under it before.
    pub(crate) reactions_before: Vec<Reaction>,
}

impl From<Changed> for MessageChanged {
    fn from(changed: Changed) -> Self {
        Self { message_id: changed.message.id, seq: changed.seq }
    }
}

impl Api {
    /// A message that somebody may see, read now.
    pub(crate) async fn found(&self, actor: Actor, id: MessageId) -> Result<Found, Problem> {
        let found = self.reader.store().messages(&[id]).await.map_err(problem::store)?;
        let message = found.into_iter().next().flatten().ok_or(Code::NotFound)?;
        let seen = if actor.is_key() {
            self.acted_room(actor, message.room).await?
        } else {
            self.seen_room(actor.id, message.room).await?
        };
        match &seen.member {
            Some(member) if message.seq < member.from_seq => return Err(Code::NotFound.into()),
            None if !actor.is_key() => return Err(Code::NotAMember.into()),
            _ => {}
        }
        Ok(Found { seen, message })
    }

    /// Changes a message. `decide` is given it as it is at the end of its room's log, and asked again when that moved
    /// meanwhile: whoever comes later decides on what the earlier one left.
    pub(crate) async fn change_message<D, F>(&self, actor: Actor, id: MessageId, decide: D) -> Result<Changed, Problem>
    where
        D: Fn(Api, Found) -> F + Clone + Send + 'static,
        F: Future<Output = Result<Change, Problem>> + Send + 'static,
    {
        // Whoever may not even see it is refused before they hold up the room.
        let room = self.found(actor, id).await?.message.room;
        let stream = StreamId::Room(room);
        let api = self.clone();
        let decided = move |mut heads: Heads| {
            let (api, decide) = (api.clone(), decide.clone());
            async move {
                let found = api.found(actor, id).await?;
                let before = found.message.clone();
                let reactions_before = before.reactions.clone();
                let Change::To { mut message, kind, mut ops } = decide(api, found).await? else {
                    let seq = heads.head(stream);
                    return Ok(Planned::nothing(Changed { message: before, seq, reactions_before }));
                };
                message.rev += 1;
                let entry = heads.entry(stream, kind, id.0, message.seq);
                ops.insert(0, Op::ReplaceMessage((*message).clone()));
                let changed = Changed { message: *message, seq: entry.seq, reactions_before };
                Ok(Planned { entries: vec![entry], ops, value: changed })
            }
        };
        self.writer.change(vec![stream], decided).await
    }

    /// Gives a message other words.
    pub(crate) async fn edit(&self, actor: Actor, id: MessageId, content: String) -> Result<Changed, Problem> {
        let content =
            text::content(content, self.config.limits.content).map_err(|message| Problem::field("content", message))?;
        let decide = move |api: Api, found: Found| {
            let content = content.clone();
            async move {
                if found.message.sender != actor.id {
                    return Err(Problem::new(Code::Forbidden, "Only its author edits a message"));
                }
                if found.message.message_type == MessageType::System {
                    return Err(Problem::new(Code::Forbidden, "System messages are not edited"));
                }
                found.there()?;
                if found.message.content == content {
                    return Ok(Change::Nothing);
                }
                // Words are words, whether they come as a message or into one.
                if api.is_blocked(&found.seen.room).await? {
                    return Err(Code::Blocked.into());
                }
                let message = MessageRow { content, edited_at: Some(clock::now()), ..found.message };
                Ok(Change::to(message, Kind::MessageUpdated))
            }
        };
        self.change_message(actor, id, decide).await
    }

    /// Makes a message a tombstone: its place stays, and nothing of what it said.
    pub(crate) async fn delete(&self, actor: Actor, id: MessageId) -> Result<Changed, Problem> {
        let decide = move |_: Api, found: Found| ready(tombstone(actor, found));
        let mut changed = self.change_message(actor, id, decide).await?;
        let reactions = std::mem::take(&mut changed.reactions_before);
        self.forget_reactions(MessageRow { reactions, ..changed.message.clone() }).await;
        Ok(changed)
    }

    /// Pins a message, or takes the pin off.
    pub(crate) async fn pin(&self, actor: Actor, id: MessageId, pinned: bool) -> Result<Changed, Problem> {
        let decide = move |_: Api, found: Found| ready(with_pin(actor, found, pinned));
        self.change_message(actor, id, decide).await
    }

    /// A message as its readers see it.
    pub(crate) async fn shown(&self, message: MessageRow) -> Result<Message, Problem> {
        self.messages(vec![message]).await?.pop().ok_or_else(|| Code::Internal.into())
    }
}

fn with_pin(actor: Actor, found: Found, pinned: bool) -> Result<Change, Problem> {
    found.seen.check(actor, Act::Pin)?;
    found.there()?;
    if found.message.pinned_at.is_some() == pinned {
        return Ok(Change::Nothing);
    }
    let message = MessageRow { pinned_at: pinned.then(clock::now), ..found.message };
    Ok(Change::to(message, Kind::MessageUpdated))
}

fn tombstone(actor: Actor, found: Found) -> Result<Change, Problem> {
    if found.message.sender != actor.id {
        found.seen.check(actor, Act::DeleteOthers)?;
    }
    if found.message.deleted_at.is_some() {
        return Ok(Change::Nothing);
    }
    let message = MessageRow {
        content: String::new(),
        attachment: None,
        reactions: Vec::new(),
        pinned_at: None,
        deleted_at: Some(clock::now()),
        ..found.message
    };
    Ok(Change::to(message, Kind::MessageDeleted))
}
