//! Sending: from drafts to stored messages, with every check made once per batch and not once per message.
//!
//! The order of checks: what is said → where it goes → membership → what it answers → limits → the writer. Who is no
//! longer a member is thus refused first, and only what would be stored counts against the limit. A repeat of what is
//! stored is never refused for the limit or for what it answers: it gets its first acknowledgement again.

use super::{facts::Facts, limit_keys, rooms::is_public};
use crate::{
    actor::Actor,
    app::Api,
    config::ContentLimit,
    problem, render,
    text::{self, Fields},
    writer::{NewMessage, SendError, Stored},
};
use futures_util::{StreamExt as _, stream};
use rookery_shared::{
    backend::Target,
    clock,
    envelope::{Event, Header, Kind},
    ids::{MessageId, RoomId, StreamId, UserId},
    limits::{Take, Verdict},
    model::{Author, MessageType, ReplyTo},
    protocol::{Code, Problem, command::Draft},
};
use std::{
    collections::{HashMap, HashSet},
    fmt::Write as _,
    sync::Arc,
};

/// Conversations of one batch that are looked for, or made, at once.
const CONVERSATIONS_AT_ONCE: usize = 16;

/// A message that someone wants to send.
pub(crate) struct Outgoing {
    pub(crate) sender: Actor,
    pub(crate) target: Target,
    pub(crate) draft: Draft,
    pub(crate) trace: ([u8; 16], [u8; 8]),
}

/// What a sender gets.
type Sent = Result<Arc<Stored>, Problem>;

/// A message, and the place of its answer.
type Numbered = (usize, NewMessage);

/// The same with what is wrong with it, unless it is a repeat.
type Doubtful = (usize, NewMessage, Problem);

/// A message on its way through the checks; `index` is its place in the answers.
struct Going {
    index: usize,
    sender: Actor,
    room: RoomId,
    draft: Draft,
    client_id: String,
    /// From where on the sender may see the room.
    from_seq: u64,
    reply_to: Option<ReplyTo>,
    /// Whether a block stands between the two of a conversation.
    blocked: bool,
    trace: ([u8; 16], [u8; 8]),
}

impl Going {
    fn into_message(self, author: Arc<Author>) -> NewMessage {
        NewMessage {
            room: self.room,
            author,
            client_id: self.client_id,
            message_type: self.draft.message_type,
            content: self.draft.content,
            reply_to: self.reply_to,
            attachment: self.draft.attachment,
            trace: self.trace,
        }
    }
}

/// Checks what is said, without looking anything up. What a server says as itself is the product's word.
fn check(sender: Actor, draft: Draft, limit: ContentLimit) -> Result<Draft, Problem> {
    let mut fields = Fields::default();
    let content = fields.take("content", text::content(draft.content, limit));
    let client_id = fields.optional("clientId", draft.client_id, text::client_id);
    let attachment = fields.optional("attachment", draft.attachment, text::attachment);
    let Some(content) = content else { return Err(fields.problem()) };
    fields.finish()?;
    if sender.is_key() {
        return Ok(Draft { content, client_id, attachment, message_type: MessageType::System, ..draft });
    }
    if draft.message_type == MessageType::System {
        return Err(Problem::new(Code::Forbidden, "Only the product itself sends system messages"));
    }
    Ok(Draft { content, client_id, attachment, ..draft })
}

impl Api {
    /// Stores messages, in the order given for each sender and room; one answer for each, in the order asked.
    pub(crate) async fn send_messages(&self, sends: Vec<Outgoing>) -> Vec<Sent> {
        let mut answers: Vec<Option<Sent>> = sends.iter().map(|_| None).collect();
        let outcome = self.send_checked(sends, &mut answers).await;
        // An error that concerns all: the store could not be asked before anything was written.
        let all = outcome.err().unwrap_or_else(|| Code::Internal.into());
        answers.into_iter().map(|answer| answer.unwrap_or_else(|| Err(all.clone()))).collect()
    }

    async fn send_checked(&self, sends: Vec<Outgoing>, answers: &mut [Option<Sent>]) -> Result<(), Problem> {
        let going = self.addressed(sends, answers).await;
        let going = self.members_only(going, answers).await?;
        let authors = self.reader.users(going.iter().map(|going| going.sender.id)).await.map_err(problem::store)?;
        let (messages, doubtful) = self.with_replies(going, &authors, answers).await?;
        let (passed, takes, refused) = self.within_limits(messages).await;
        self.settle_refused(doubtful.into_iter().chain(refused).collect(), answers).await?;
        self.write(passed, takes, answers).await;
        Ok(())
    }

    /// Checks drafts, and finds the rooms of those that go to a user.
    async fn addressed(&self, sends: Vec<Outgoing>, answers: &mut [Option<Sent>]) -> Vec<Going> {
        let mut checked = Vec::with_capacity(sends.len());
        for (index, Outgoing { sender, target, draft, trace }) in sends.into_iter().enumerate() {
            match check(sender, draft, self.config.limits.content) {
                Ok(draft) => checked.push((index, sender, target, draft, trace)),
                Err(problem) => answers[index] = Some(Err(problem)),
            }
        }
        let to_people = checked.iter().filter_map(|(_, sender, target, ..)| match target {
            Target::User(user) if !sender.is_key() => Some((sender.id, *user)),
            Target::User(_) | Target::Room(_) => None,
        });
        let conversations = self.conversations_of(to_people.collect()).await;
        let mut going = Vec::with_capacity(checked.len());
        for (index, sender, target, draft, trace) in checked {
            let room = match target {
                Target::Room(room) => Ok(room),
                Target::User(user) => sender.user().and_then(|sender| {
                    conversations.get(&(sender, user)).cloned().unwrap_or(Err(Code::Internal.into()))
                }),
            };
            match room {
                Ok(room) => {
                    let client_id = draft.client_id.clone().unwrap_or_else(|| MessageId::new().to_string());
                    let (from_seq, reply_to, blocked) = (0, None, false);
                    going.push(Going { index, sender, room, draft, client_id, from_seq, reply_to, blocked, trace });
                }
                Err(problem) => answers[index] = Some(Err(problem)),
            }
        }
        going
    }

    /// The conversations of these pairs, made where they are not there. Several at once: a batch of first messages
    /// would otherwise wait for one transaction after the other.
    async fn conversations_of(
        &self,
        pairs: HashSet<(UserId, UserId)>,
    ) -> HashMap<(UserId, UserId), Result<RoomId, Problem>> {
        let opening = pairs
            .into_iter()
            .map(|(sender, user)| async move { ((sender, user), self.conversation_with(sender, user).await) });
        stream::iter(opening).buffer_unordered(CONVERSATIONS_AT_ONCE).collect().await
    }

    /// Keeps the messages of those who are in their room, with what else stands there. Servers with an API key are in none,
    /// and speak in all.
    async fn members_only(&self, going: Vec<Going>, answers: &mut [Option<Sent>]) -> Result<Vec<Going>, Problem> {
        let (by_servers, going): (Vec<_>, Vec<_>) = going.into_iter().partition(|going| going.sender.is_key());
        let keys: Vec<_> = going.iter().map(|going| (going.room, going.sender.id)).collect();
        let members = async { self.reader.memberships(&keys).await.map_err(problem::store) };
        let (members, blocked) = tokio::try_join!(members, self.blocked_rooms(&going))?;
        let (mut inside, mut outside) = (Vec::with_capacity(going.len()), Vec::new());
        for (mut going, member) in going.into_iter().zip(members) {
            match member {
                Some(member) => {
                    going.from_seq = member.from_seq;
                    going.blocked = blocked.contains(&going.room);
                    inside.push(going);
                }
                // Not remembered, but read just now.
                None => outside.push((going.index, going.room)),
            }
        }
        for (index, refusal) in self.refusals(outside).await? {
            answers[index] = Some(Err(refusal));
        }
        for going in by_servers {
            match self.acted_room(going.sender, going.room).await {
                Ok(_) => inside.push(going),
                Err(problem) => answers[going.index] = Some(Err(problem)),
            }
        }
        Ok(inside)
    }

    /// The conversations of two among these rooms in which nothing may be said.
    async fn blocked_rooms(&self, going: &[Going]) -> Result<HashSet<RoomId>, Problem> {
        let facts = self.facts(going.iter().map(|going| going.room)).await.map_err(problem::store)?;
        let pairs = facts.iter().filter_map(|(room, facts)| match facts {
            Facts::Pair(one, other) => Some((*room, (*one, *other))),
            Facts::Room | Facts::Conversation => None,
        });
        let (rooms, pairs): (Vec<RoomId>, Vec<(UserId, UserId)>) = pairs.unzip();
        let blocked = self.blocked_pairs(&pairs).await.map_err(problem::store)?;
        Ok(rooms.into_iter().zip(pairs).filter(|(_, pair)| blocked.contains(pair)).map(|(room, _)| room).collect())
    }

    /// What those are told who are not in a room: whether they can see it decides.
    async fn refusals(&self, outside: Vec<(usize, RoomId)>) -> Result<Vec<(usize, Problem)>, Problem> {
        if outside.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<RoomId> = outside.iter().map(|(_, room)| *room).collect();
        let rooms = self.reader.store().rooms(&ids).await.map_err(problem::store)?;
        let refusals = outside.into_iter().zip(rooms).map(|((index, _), room)| {
            let seen = room.is_some_and(|(room, _)| is_public(&room));
            (index, if seen { Code::NotAMember } else { Code::NotFound }.into())
        });
        Ok(refusals.collect())
    }

    /// Finds what messages answer. Doubtful are those that answer what cannot be answered, and those that a block stops.
    async fn with_replies(
        &self,
        going: Vec<Going>,
        authors: &HashMap<UserId, Arc<render::KnownUser>>,
        answers: &mut [Option<Sent>],
    ) -> Result<(Vec<Numbered>, Vec<Doubtful>), Problem> {
        let ids: Vec<MessageId> = going.iter().filter_map(|going| going.draft.reply_to).collect();
        let found = match ids.as_slice() {
            [] => Vec::new(),
            ids => self.reader.store().messages(ids).await.map_err(problem::store)?,
        };
        let found: HashMap<_, _> = found.into_iter().flatten().map(|row| (row.id, row)).collect();
        let (mut messages, mut doubtful) = (Vec::with_capacity(going.len()), Vec::new());
        for mut going in going {
            let author = authors.get(&going.sender.id).filter(|user| user.row.deleted_at.is_none());
            let Some(author) = author.map(|user| user.author.clone()) else {
                answers[going.index] = Some(Err(Code::Unauthorized.into()));
                continue;
            };
            let mut doubt = going.blocked.then(|| Problem::from(Code::Blocked));
            if let Some(id) = going.draft.reply_to {
                let answered = found.get(&id).filter(|row| row.room == going.room && row.seq >= going.from_seq);
                let wrong = match answered {
                    None => Some(Problem::field("replyTo", "is a message of this room")),
                    Some(row) if row.deleted_at.is_some() => {
                        Some(Problem::new(Code::Conflict, "The message that this answers was deleted"))
                    }
                    Some(_) => None,
                };
                doubt = doubt.or(wrong);
                let (seq, user_id) = answered.map_or((0, UserId::NIL), |row| (row.seq, row.sender));
                going.reply_to = Some(ReplyTo { message_id: id, seq, user_id });
            }
            let index = going.index;
            let message = going.into_message(author);
            match doubt {
                None => messages.push((index, message)),
                Some(problem) => doubtful.push((index, message, problem)),
            }
        }
        Ok((messages, doubtful))
    }

    /// Counts messages against the limit of their sender in their room. The token is what makes a message this message,
    /// so a repeat within the window counts once.
    async fn within_limits(&self, messages: Vec<Numbered>) -> (Vec<Numbered>, Vec<Take>, Vec<Doubtful>) {
        let limit = self.config.limits.messages;
        let takes: Vec<Take> = messages
            .iter()
            .map(|(_, message)| {
                limit_keys::message(message.author.user_id, message.room, hex(&message.first_hash()), limit)
            })
            .collect();
        let verdicts = self.limits.take(&takes).await;
        let (mut passed, mut counted, mut refused) = (Vec::with_capacity(messages.len()), Vec::new(), Vec::new());
        for (((index, message), take), verdict) in messages.into_iter().zip(takes).zip(verdicts) {
            match verdict {
                Verdict::Passed { .. } => {
                    passed.push((index, message));
                    counted.push(take);
                }
                Verdict::Refused { retry_after } => {
                    let retry = u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX).max(1);
                    refused.push((index, message, Problem::rate_limited(retry)));
                }
            }
        }
        (passed, counted, refused)
    }

    /// What is about to be refused may be a repeat of what is stored: then it gets its acknowledgement again.
    async fn settle_refused(&self, refused: Vec<Doubtful>, answers: &mut [Option<Sent>]) -> Result<(), Problem> {
        if refused.is_empty() {
            return Ok(());
        }
        let key = |message: &NewMessage| (message.room, message.author.user_id, message.client_id.clone());
        let keys: Vec<_> = refused.iter().map(|(_, message, _)| key(message)).collect();
        let found = self.reader.store().messages_by_client_id(&keys).await.map_err(problem::store)?;
        let mut events = Vec::new();
        for ((index, message, problem), found) in refused.into_iter().zip(found) {
            answers[index] = Some(match found {
                None => Err(problem),
                Some(row) if row.first_hash != message.first_hash() => Err(SendError::ClientIdReused.into()),
                Some(row) => {
                    let data = render::message_json(&row, &message.author);
                    let header = Header::new(Kind::Message, StreamId::Room(row.room), row.seq);
                    let header = Header { subject: row.sender.0, trace: message.trace, ..header };
                    events.push(Event { header, data: data.clone() });
                    Ok(Arc::new(Stored { row, data, repeated: true }))
                }
            });
        }
        self.publisher.publish(events);
        Ok(())
    }

    /// Hands messages to the writer, and gives back what was counted and did not happen.
    async fn write(&self, passed: Vec<Numbered>, takes: Vec<Take>, answers: &mut [Option<Sent>]) {
        let (indices, messages): (Vec<usize>, Vec<NewMessage>) = passed.into_iter().unzip();
        let mut unused = Vec::new();
        let window = i64::try_from(self.config.limits.messages.window.as_millis()).unwrap_or(i64::MAX);
        for ((index, take), answer) in indices.into_iter().zip(takes).zip(self.writer.send(messages).await) {
            if let Ok(stored) = &answer {
                self.unhide(stored.row.room);
            }
            match &answer {
                // A repeat within the window shares its token, and so its count, with the first send. A later one was
                // counted anew. A clock that is off makes this count wrong by one, and decides nothing else.
                Ok(stored) if stored.repeated && clock::now().0 - stored.row.created_at.0 >= window => {
                    unused.push(take);
                }
                Err(SendError::ClientIdReused | SendError::NotWritten) => unused.push(take),
                Ok(_) | Err(SendError::Unknown) => {}
            }
            answers[index] = Some(answer.map_err(Problem::from));
        }
        if !unused.is_empty() {
            self.limits.give_back(&unused).await;
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Trace and span of a W3C `traceparent`; zeros for anything else.
pub(crate) fn trace_of(traceparent: Option<&str>) -> ([u8; 16], [u8; 8]) {
    let parse = |text: &str| {
        let mut parts = text.split('-');
        let (_version, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
        let trace = u128::from_str_radix(trace, 16).ok().filter(|_| trace.len() == 32)?;
        let span = u64::from_str_radix(span, 16).ok().filter(|_| span.len() == 16)?;
        Some((trace.to_be_bytes(), span.to_be_bytes()))
    };
    traceparent.and_then(parse).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_read_and_nonsense_is_none() {
        let (trace, span) = trace_of(Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
        assert_eq!(
            (hex(&trace).as_str(), hex(&span).as_str()),
            ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
        );
        assert_eq!(trace_of(Some("00-zz-01")), ([0; 16], [0; 8]));
    }

    #[test]
    fn every_wrong_field_of_a_draft_is_named() {
        let draft = Draft {
            content: " ".into(),
            message_type: MessageType::Text,
            client_id: Some("x".repeat(129)),
            reply_to: None,
            attachment: None,
        };
        let sender = Actor::person(UserId::new());
        let named: Vec<_> = check(sender, draft, ContentLimit::default())
            .expect_err("wrong")
            .errors
            .into_iter()
            .map(|error| error.field)
            .collect();
        assert_eq!(named, ["content", "clientId"]);
    }
}
