//! Reading the store: with the little that may be remembered for at most a second, and rendered as clients see it.

use crate::{
    cache::Cache,
    render::{self, KnownUser},
    store::{
        Op, Part, SharedStore, StoreError,
        rows::{EntryRow, MemberRow, MessageRow, Mute, RoomRow, SessionRow},
    },
};
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use rookery_shared::{
    clock,
    envelope::{Event, Header, Kind},
    ids::{MessageId, RoomId, SessionId, StreamId, UserId},
    model::{Author, ChangedMember, MemberRole, Membership, RoomGone, RoomSummary, SessionEnded},
};
use serde::Serialize;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a membership, a session or a name is believed. A process that made a change forgets at once.
const MAX_AGE: Duration = Duration::from_millis(900);

/// Entries of each cache.
const MAX_ENTRIES: usize = 100_000;

/// People named in a room's summary.
const SUMMARY_MEMBERS: u32 = 10;

/// Reads of one list that go to the store at once.
const READS_AT_ONCE: usize = 8;

/// The store and what is remembered of it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Reader(Arc<Inner>);

struct Inner {
    store: SharedStore,
    users: Cache<UserId, Arc<KnownUser>>,
    members: Cache<(RoomId, UserId), Option<MemberRow>>,
    sessions: Cache<SessionId, Option<Arc<SessionRow>>>,
}

impl Reader {
    pub(crate) fn new(store: SharedStore) -> Self {
        Self(Arc::new(Inner {
            store,
            users: Cache::new(MAX_AGE, MAX_ENTRIES),
            members: Cache::new(MAX_AGE, MAX_ENTRIES),
            sessions: Cache::new(MAX_AGE, MAX_ENTRIES),
        }))
    }

    pub(crate) fn store(&self) -> &SharedStore {
        &self.0.store
    }

    /// Forgets what these changes changed.
    pub(crate) fn changed(&self, ops: &[Op]) {
        for op in ops {
            match op {
                Op::InsertMember(member) => self.0.members.forget(&(member.room, member.user)),
                Op::DeleteMember(room, user) => self.0.members.forget(&(*room, *user)),
                Op::EndSessions { only: Some(session), .. } => self.0.sessions.forget(session),
                Op::UpdateMember(room, user, _) | Op::ForgetMember(room, user) => {
                    self.0.members.forget(&(*room, *user));
                }
                Op::InsertUser(user) | Op::ReplaceUser(user) => self.0.users.forget(&user.id),
                // Which sessions these are is not known here; they are believed until their age ends.
                Op::EndSessions { only: None, .. }
                // Nothing of these is remembered here.
                | Op::InsertRoom(_)
                | Op::ReplaceRoom(_)
                | Op::ExpectRoom(..)
                | Op::ReplaceMessage(_)
                | Op::Index(_)
                | Op::PutRecord(_)
                | Op::DeleteRecord(_) => {}
            }
        }
    }

    /// Users by id, at most a second old. Unknown ids are left out.
    pub(crate) async fn users(
        &self,
        ids: impl IntoIterator<Item = UserId>,
    ) -> Result<HashMap<UserId, Arc<KnownUser>>, StoreError> {
        let mut known = HashMap::new();
        let mut missing = HashSet::new();
        for id in ids {
            match self.0.users.get(&id) {
                Some(user) => drop(known.insert(id, user)),
                None => drop(missing.insert(id)),
            }
        }
        if missing.is_empty() {
            return Ok(known);
        }
        let missing: Vec<UserId> = missing.into_iter().collect();
        let read_at = Instant::now();
        for row in self.0.store.users(&missing).await?.into_iter().flatten() {
            let user = Arc::new(KnownUser::new(row));
            self.0.users.put(user.row.id, user.clone(), read_at);
            known.insert(user.row.id, user);
        }
        Ok(known)
    }

    /// One user who exists and is not deleted.
    pub(crate) async fn user(&self, id: UserId) -> Result<Option<Arc<KnownUser>>, StoreError> {
        let user = self.users([id]).await?.remove(&id);
        Ok(user.filter(|user| user.row.deleted_at.is_none()))
    }

    /// Memberships in the order asked, at most a second old.
    pub(crate) async fn memberships(&self, keys: &[(RoomId, UserId)]) -> Result<Vec<Option<MemberRow>>, StoreError> {
        let mut answers: Vec<Option<Option<MemberRow>>> = keys.iter().map(|key| self.0.members.get(key)).collect();
        let missing: Vec<(RoomId, UserId)> =
            keys.iter().zip(&answers).filter(|(_, answer)| answer.is_none()).map(|(key, _)| *key).collect();
        if !missing.is_empty() {
            let read_at = Instant::now();
            let mut read = self.0.store.memberships(&missing).await?.into_iter();
            for (key, answer) in keys.iter().zip(&mut answers).filter(|(_, answer)| answer.is_none()) {
                let member = read.next().flatten();
                // That someone is not a member is not remembered: they may be let in at another api any moment, and
                // would rightly expect to be heard then.
                if member.is_some() {
                    self.0.members.put(*key, member.clone(), read_at);
                }
                *answer = Some(member);
            }
        }
        Ok(answers.into_iter().map(Option::flatten).collect())
    }

    /// A session, at most a second old.
    pub(crate) async fn session(&self, id: SessionId) -> Result<Option<Arc<SessionRow>>, StoreError> {
        if let Some(session) = self.0.sessions.get(&id) {
            return Ok(session);
        }
        let read_at = Instant::now();
        let session = self.0.store.session(id).await?.map(Arc::new);
        self.0.sessions.put(id, session.clone(), read_at);
        Ok(session)
    }

    /// Forgets sessions that ended, or that are there now.
    pub(crate) fn forget_sessions(&self, ids: &[SessionId]) {
        for id in ids {
            self.0.sessions.forget(id);
        }
    }

    /// Entries of logs as events, in the order given, as they are now and without regard to who reads them.
    pub(crate) async fn events(&self, entries: &[EntryRow]) -> Result<Vec<Event>, StoreError> {
        let messages = self.changed_messages(entries).await?;
        let named = entries.iter().filter_map(|entry| match entry.kind {
            Kind::Message => entry.message.as_ref().map(|message| message.sender),
            Kind::MessageUpdated | Kind::MessageDeleted => {
                messages.get(&MessageId(entry.subject)).map(|message| message.sender)
            }
            Kind::UserJoined | Kind::UserLeft | Kind::RoomUpdated => Some(UserId(entry.subject)),
            _ => None,
        });
        let named: Vec<UserId> = named.filter(|user| *user != UserId::NIL).collect();
        let users = self.users(named).await?;
        let added = entries.iter().filter(|entry| entry.kind == Kind::RoomAdded);
        let added = added.filter_map(|entry| match entry.stream {
            StreamId::User(user) => Some((RoomId(entry.subject), user)),
            StreamId::Room(_) => None,
        });
        let summaries = self.summaries(&added.collect::<Vec<_>>()).await?;
        let author =
            |id| users.get(&id).map_or_else(|| Arc::new(render::unknown_author(id)), |user| user.author.clone());
        let rooms = self.updated_rooms(entries).await?;
        Ok(entries.iter().map(|entry| event(entry, &author, &messages, &summaries, &rooms)).collect())
    }

    /// The messages that these entries change, as they are now.
    async fn changed_messages(&self, entries: &[EntryRow]) -> Result<HashMap<MessageId, MessageRow>, StoreError> {
        let changes = entries.iter().filter(|entry| entry.kind.changes_message());
        let ids: HashSet<MessageId> = changes.map(|entry| MessageId(entry.subject)).collect();
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let ids: Vec<MessageId> = ids.into_iter().collect();
        Ok(self.0.store.messages(&ids).await?.into_iter().flatten().map(|row| (row.id, row)).collect())
    }

    /// The rooms that entries say were changed, as they are now; those that are gone are left out.
    async fn updated_rooms(&self, entries: &[EntryRow]) -> Result<UpdatedRooms, StoreError> {
        let mut updated = UpdatedRooms::default();
        let about = entries.iter().filter(|entry| entry.kind == Kind::RoomUpdated);
        let about = about.filter_map(|entry| Some((entry.stream.room()?, UserId(entry.subject))));
        let about: HashSet<(RoomId, UserId)> = about.collect();
        if about.is_empty() {
            return Ok(updated);
        }
        let rooms: HashSet<RoomId> = about.iter().map(|(room, _)| *room).collect();
        let rooms: Vec<RoomId> = rooms.into_iter().collect();
        let found = self.0.store.rooms(&rooms).await?;
        updated.rooms = found.into_iter().flatten().map(|found| (found.0.id, found)).collect();
        let members: Vec<(RoomId, UserId)> = about.into_iter().filter(|(_, user)| *user != UserId::NIL).collect();
        let found = self.0.store.memberships(&members).await?;
        updated.roles = members.into_iter().zip(found).filter_map(|(key, member)| Some((key, member?.role))).collect();
        Ok(updated)
    }

    /// What a room looks like in a member's own list; rooms that someone is not in are left out.
    pub(crate) async fn summaries(
        &self,
        of: &[(RoomId, UserId)],
    ) -> Result<HashMap<(RoomId, UserId), RoomSummary>, StoreError> {
        if of.is_empty() {
            return Ok(HashMap::new());
        }
        let members = self.0.store.memberships(of).await?;
        let ids: Vec<RoomId> = of.iter().map(|(room, _)| *room).collect();
        let rooms = self.0.store.rooms(&ids).await?;
        let found = members.into_iter().zip(rooms).filter_map(|(member, room)| {
            let (room, count) = room?;
            Some((member?, room, count))
        });
        let summaries = self.summaries_of(found.collect()).await?;
        Ok(summaries.into_iter().collect())
    }

    /// The same for memberships that were read already, in their order.
    pub(crate) async fn summaries_of(
        &self,
        of: Vec<(MemberRow, RoomRow, u64)>,
    ) -> Result<Vec<((RoomId, UserId), RoomSummary)>, StoreError> {
        let unread: Vec<_> = of
            .iter()
            .map(|(member, ..)| {
                let after = member.read_seq.max(member.from_seq.saturating_sub(1));
                (member.room, member.user, member.from_seq, after)
            })
            .collect();
        let unread = self.0.store.last_and_unread(&unread).await?;
        let senders = unread.iter().filter_map(|(last, _)| last.as_ref().map(|last| last.sender));
        let senders = self.users(senders.collect::<Vec<_>>()).await?;
        let mut distinct: Vec<RoomId> = of.iter().map(|(member, ..)| member.room).collect();
        distinct.sort_unstable();
        distinct.dedup();
        let people: HashMap<RoomId, Vec<Author>> = stream::iter(distinct)
            .map(|room| async move {
                let people = self.0.store.members(room, Part::First, SUMMARY_MEMBERS).await?;
                Ok::<_, StoreError>((room, people.iter().map(|(_, user)| render::author(user)).collect()))
            })
            .buffer_unordered(READS_AT_ONCE)
            .try_collect()
            .await?;
        let now = clock::now();
        let summaries = of.into_iter().zip(unread).map(|((member, room, count), (last, unread_count))| {
            let mute = member.mute.filter(|mute| mute.holds(now));
            let last_message = last.map(|row| {
                let author = senders.get(&row.sender).map(|user| user.author.clone());
                render::message(&row, &author.unwrap_or_else(|| Arc::new(render::unknown_author(row.sender))))
            });
            let summary = RoomSummary {
                last_activity_at: last_message.as_ref().map_or(room.created_at, |last| last.created_at),
                room: render::room(&room, count, Some(member.role)),
                members: people.get(&member.room).cloned().unwrap_or_default(),
                last_message,
                unread_count,
                muted: mute.is_some(),
                muted_until: mute.and_then(Mute::until),
            };
            ((member.room, member.user), summary)
        });
        Ok(summaries.collect())
    }
}

/// Rooms with their member counts, and the roles of members in them.
#[derive(Default)]
struct UpdatedRooms {
    rooms: HashMap<RoomId, (RoomRow, u64)>,
    roles: HashMap<(RoomId, UserId), MemberRole>,
}

impl UpdatedRooms {
    /// The data of `room_updated`; `user` is whose role changed, if it was that.
    fn data(&self, room: RoomId, user: UserId, author: &impl Fn(UserId) -> Arc<Author>) -> Option<Bytes> {
        let (row, count) = self.rooms.get(&room)?;
        let member = self.roles.get(&(room, user)).map(|role| {
            let author = author(user);
            ChangedMember { user_id: user, username: author.username.clone(), role: *role }
        });
        json(&render::room_updated(row, *count, member))
    }
}

/// One entry as an event.
fn event(
    entry: &EntryRow,
    author: &impl Fn(UserId) -> Arc<Author>,
    messages: &HashMap<MessageId, MessageRow>,
    summaries: &HashMap<(RoomId, UserId), RoomSummary>,
    rooms: &UpdatedRooms,
) -> Event {
    let data = match (entry.kind, entry.stream) {
        (Kind::Message, _) => {
            entry.message.as_ref().map(|message| render::message_json(message, &author(message.sender)))
        }
        (Kind::MessageUpdated | Kind::MessageDeleted, _) => messages
            .get(&MessageId(entry.subject))
            .map(|message| render::message_json(message, &author(message.sender))),
        (Kind::UserJoined | Kind::UserLeft, StreamId::Room(room_id)) => {
            let author = author(UserId(entry.subject));
            json(&Membership { room_id, user_id: author.user_id, username: author.username.clone() })
        }
        (Kind::RoomAdded, StreamId::User(user)) => summaries.get(&(RoomId(entry.subject), user)).and_then(json),
        (Kind::RoomRemoved | Kind::RoomDeleted, _) => json(&RoomGone { room_id: RoomId(entry.subject) }),
        (Kind::RoomUpdated, StreamId::Room(room)) => rooms.data(room, UserId(entry.subject), author),
        (Kind::SessionEnded, _) => {
            json(&SessionEnded { session_id: (!entry.subject.is_nil()).then_some(SessionId(entry.subject)) })
        }
        (
            Kind::UserTyping
            | Kind::UserStatus
            | Kind::MessageRead
            | Kind::CloseConnection
            | Kind::DrainNode
            | Kind::Unknown,
            _,
        )
        | (Kind::UserJoined | Kind::UserLeft | Kind::RoomUpdated, StreamId::User(_))
        | (Kind::RoomAdded, StreamId::Room(_)) => None,
    };
    let header =
        Header { ref_seq: entry.ref_seq, subject: entry.subject, ..Header::new(entry.kind, entry.stream, entry.seq) };
    Event { header, data: data.unwrap_or_else(|| Bytes::from_static(b"null")) }
}

fn json(value: &impl Serialize) -> Option<Bytes> {
    serde_json::to_vec(value).ok().map(Bytes::from)
}
