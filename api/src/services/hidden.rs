//! Conversations that someone left: they are not listed until something is said in them.
//!
//! A list looks at what was said after the place that its reader left at, so that it is right whatever happens here.
//! Here the reader's devices are told when that comes.

use super::{conversations::MAX_PEOPLE, facts::Facts};
use crate::{
    app::Api,
    cache::Cache,
    problem,
    store::{MemberChange, Op, Part, rows::MemberRow},
    writer::{Heads, Planned},
};
use rookery_shared::{
    envelope::Kind,
    ids::{RoomId, StreamId},
    protocol::Problem,
};
use std::{
    collections::HashSet,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// How long after it was hidden a conversation is looked at once more. Longer than it takes until every api looks for
/// who has hidden it.
const SETTLED_AFTER: Duration = Duration::from_millis(1_500);

/// How long that nobody has hidden a conversation is believed.
const SHOWN_FOR: Duration = Duration::from_millis(900);

/// Conversations that this is remembered of.
const MAX_SHOWN: usize = 100_000;

/// The conversations that were looked at a moment ago: a message is no reason to look for someone who has hidden them.
pub(crate) struct Shown(Cache<RoomId, ()>);

impl Shown {
    pub(crate) fn new() -> Self {
        Self(Cache::new(SHOWN_FOR, MAX_SHOWN))
    }

    /// Whether it is time to look at a room. Whoever is told so does it: the others need not.
    fn is_due(&self, room: RoomId) -> bool {
        let due = self.0.get(&room).is_none();
        if due {
            self.0.put(room, (), Instant::now());
        }
        due
    }
}

/// The change that lists a hidden conversation again, and tells its member so. Their connections follow it from what
/// was said after they left, if they do not follow it anyway.
pub(super) fn show<T>(member: &MemberRow, heads: &mut Heads, planned: &mut Planned<T>) {
    if member.hidden_seq > 0 {
        let stream = StreamId::User(member.user);
        planned.entries.push(heads.entry(stream, Kind::RoomAdded, member.room.0, member.hidden_seq + 1));
        planned.ops.push(Op::UpdateMember(member.room, member.user, MemberChange::Hidden(0)));
    }
}

impl Api {
    /// Hides a conversation from one of its members until something is said in it. Nothing happens if it is hidden.
    pub(super) async fn hide<T>(
        &self,
        member: &MemberRow,
        heads: &mut Heads,
        planned: &mut Planned<T>,
    ) -> Result<(), Problem> {
        if member.hidden_seq > 0 && self.hidden_of(&[member]).await?.contains(&member.room) {
            return Ok(());
        }
        let head = heads.head(StreamId::Room(member.room));
        // Nothing in the room's log says so: to the others it is the same as before.
        planned.entries.push(heads.entry(StreamId::User(member.user), Kind::RoomRemoved, member.room.0, 0));
        planned.ops.push(Op::UpdateMember(member.room, member.user, MemberChange::Hidden(head)));
        Ok(())
    }

    /// Which of these conversations are hidden from their members: nothing was said since they left.
    pub(super) async fn hidden_of(&self, members: &[&MemberRow]) -> Result<HashSet<RoomId>, Problem> {
        if members.is_empty() {
            return Ok(HashSet::new());
        }
        let of: Vec<_> = members.iter().map(|it| (it.room, it.user, it.hidden_seq + 1, it.hidden_seq)).collect();
        let said = self.reader.store().last_and_unread(&of).await.map_err(problem::store)?;
        Ok(members.iter().zip(said).filter(|(_, (last, _))| last.is_none()).map(|(member, _)| member.room).collect())
    }

    /// A message was stored in a room. If that is a conversation which someone has hidden, they see it again; this goes
    /// on beside the sending, and looks at a room once in a while only.
    pub(crate) fn unhide(&self, room: RoomId) {
        if self.rooms.get(&room) == Some(Facts::Room) || !self.shown.is_due(room) {
            return;
        }
        let api = self.clone();
        tokio::spawn(async move { api.show_again(room).await });
    }

    /// Someone has hidden a conversation. What was said at that very moment may have been said before anyone knew, here
    /// or at another api: a little later all do.
    pub(super) fn look_again_at(&self, room: RoomId) {
        self.shown.0.forget(&room);
        let api = self.clone();
        tokio::spawn(async move {
            sleep(SETTLED_AFTER).await;
            api.show_again(room).await;
        });
    }

    async fn show_again(&self, room: RoomId) {
        if let Err(refusal) = self.show_to_all(room).await {
            // It is listed again all the same: lists look at what was said.
            tracing::warn!(%refusal, "nobody could be told of a conversation that they had hidden");
        }
    }

    /// Shows a conversation again to everyone who had hidden it before the newest message.
    async fn show_to_all(&self, room: RoomId) -> Result<(), Problem> {
        let facts = self.facts([room]).await.map_err(problem::store)?;
        if facts.get(&room).is_none_or(|facts| *facts == Facts::Room) {
            return Ok(());
        }
        let store = self.reader.store();
        let most = u32::try_from(MAX_PEOPLE).unwrap_or(u32::MAX);
        let members = store.members(room, Part::First, most).await.map_err(problem::store)?;
        for (member, _) in members.into_iter().filter(|(member, _)| member.hidden_seq > 0) {
            let user = member.user;
            self.change(vec![StreamId::User(user)], move |api, mut heads| async move {
                let mut planned = Planned::nothing(());
                let member = api.member_now(room, user).await?.filter(|member| member.hidden_seq > 0);
                if let Some(member) = member
                    && api.hidden_of(&[&member]).await?.is_empty()
                {
                    show(&member, &mut heads, &mut planned);
                }
                Ok(planned)
            })
            .await?;
        }
        Ok(())
    }
}
