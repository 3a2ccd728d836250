//! Deleting rooms. A room is first marked deleted, and every read and write refuses from then on. Then its members are
//! told and forgotten, a few at a time; then what it held is deleted, and once more when nothing that was under way can
//! land in it any longer. Any api does this, also for one that died over it, and two that do it at once do no harm.

use super::rooms::streams;
use crate::{
    actor::Actor,
    app::Api,
    power::Act,
    problem,
    store::{
        Op, Stretch,
        rows::{MessageRow, RoomRow},
    },
    writer::Planned,
};
use rookery_shared::{
    envelope::Kind,
    ids::{RoomId, StreamId, UserId},
    protocol::{Code, Problem},
};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::sleep;

/// Members who are told in one transaction.
const TOLD_AT_ONCE: u32 = 50;

/// Messages that are looked through at once for what hangs on them.
const MESSAGES_AT_ONCE: u32 = 500;

/// How often an api looks for deletions that nobody finished.
const LOOK_EVERY: Duration = Duration::from_mins(1);

/// Such rooms that one look finds, and that are worked on at once.
const ROOMS_AT_ONCE: u32 = 16;

/// What may pass between the last look at a membership and a write, and between the write and its landing, beyond what
/// the writer grants.
const UNDER_WAY: Duration = Duration::from_secs(5);

/// Deleting goes on in steps, where a store says that time ran out.
const STEPS: u32 = 1_000;
const BETWEEN_STEPS: Duration = Duration::from_millis(100);

/// The rooms whose deletion this process works on.
#[derive(Debug, Default)]
pub(crate) struct Purges(Mutex<HashSet<RoomId>>);

impl Purges {
    fn begin(&self, room: RoomId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(room)
    }

    fn end(&self, room: RoomId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&room);
    }
}

impl Api {
    /// Deletes a room or conversation with everything in it. Who did, who made it, admins and servers may say so again.
    pub(crate) async fn delete_room(&self, actor: Actor, id: RoomId) -> Result<(), Problem> {
        let key = self
            .change(streams(id, []), move |api, _| async move {
                let seen = match api.acted_room(actor, id).await {
                    Err(refusal) if refusal.code == Code::NotFound => {
                        api.check_deleted(actor, id).await?;
                        return Ok(Planned::nothing(None));
                    }
                    seen => seen?,
                };
                seen.check(actor, Act::DeleteRoom)?;
                let key = seen.room.conversation_key.clone();
                Ok(Planned { ops: vec![Op::ReplaceRoom(seen.room.deleted(actor.id))], ..Planned::nothing(key) })
            })
            .await?;
        if let Some(key) = key {
            self.conversations.forget(&key);
        }
        self.purge(id);
        Ok(())
    }

    /// That a room was deleted, and that this actor may know it: nobody is in it any more.
    async fn check_deleted(&self, actor: Actor, id: RoomId) -> Result<(), Problem> {
        let room = self.reader.store().deleted_room(id).await.map_err(problem::store)?;
        let took_part = |room: &RoomRow| [room.created_by, room.deleted_by].contains(&Some(actor.id));
        match room {
            Some(room) if actor.is_admin() || actor.is_key() || took_part(&room) => Ok(()),
            _ => Err(Code::NotFound.into()),
        }
    }

    /// Looks for unfinished deletions now and from time to time, for as long as this api is there.
    pub(crate) fn purge_from_now_on(&self) {
        let weak = self.weak();
        tokio::spawn(async move {
            while let Some(api) = weak.upgrade() {
                match api.reader.store().rooms_to_purge(ROOMS_AT_ONCE).await {
                    Ok(rooms) => rooms.into_iter().for_each(|room| api.purge(room)),
                    Err(error) => tracing::debug!(%error, "deleted rooms could not be looked for"),
                }
                drop(api);
                // Apis that started together do not look together.
                sleep(LOOK_EVERY.mul_f64(0.5 + rand::random::<f64>())).await;
            }
        });
    }

    /// Finishes the deletion of a room, beside whatever else there is to do. What fails is taken up again later.
    pub(crate) fn purge(&self, room: RoomId) {
        if !self.purges.begin(room) {
            return;
        }
        let api = self.clone();
        tokio::spawn(async move {
            if let Err(refusal) = api.finish_deletion(room).await {
                tracing::warn!(%refusal, "the deletion of a room is not finished yet");
            }
            api.purges.end(room);
        });
    }

    async fn finish_deletion(&self, room: RoomId) -> Result<(), Problem> {
        self.tell_members(room).await?;
        self.remove_reactions_in(room).await?;
        self.empty(room, false).await?;
        // Measured here from here on: no two clocks are compared.
        let writer = &self.config.writer;
        sleep(writer.max_wait + writer.retry_for + UNDER_WAY).await;
        self.empty(room, true).await
    }

    /// Tells the members of a deleted room, and forgets that they were in it.
    async fn tell_members(&self, room: RoomId) -> Result<(), Problem> {
        loop {
            let left = self.reader.store().leftover_members(room, TOLD_AT_ONCE).await.map_err(problem::store)?;
            if left.is_empty() {
                return Ok(());
            }
            let users: Arc<[UserId]> = left.into();
            let streams = users.iter().map(|user| StreamId::User(*user)).collect();
            self.change(streams, move |api, mut heads| {
                let users = users.clone();
                async move {
                    // Another api may be at it as well: who was told by it is left over no longer.
                    let left = api.reader.store().leftover_members(room, TOLD_AT_ONCE).await.map_err(problem::store)?;
                    let mut planned = Planned::nothing(());
                    for user in users.iter().filter(|user| left.contains(user)) {
                        planned.entries.push(heads.entry(StreamId::User(*user), Kind::RoomDeleted, room.0, 0));
                        planned.ops.push(Op::ForgetMember(room, *user));
                    }
                    Ok(planned)
                }
            })
            .await?;
        }
    }

    /// Removes who reacted with what in a room: they are found by the messages, and so before these go.
    async fn remove_reactions_in(&self, room: RoomId) -> Result<(), Problem> {
        let (store, mut after) = (self.reader.store(), 0);
        loop {
            let part = Stretch::After(after);
            let entries =
                store.entries(StreamId::Room(room), part, MESSAGES_AT_ONCE, true).await.map_err(problem::store)?;
            let Some(last) = entries.last() else { return Ok(()) };
            after = last.seq;
            let messages = entries.into_iter().filter_map(|entry| entry.message);
            let messages: Vec<MessageRow> = messages.filter(|message| !message.reactions.is_empty()).collect();
            self.remove_reactions(&messages).await.map_err(problem::store)?;
        }
    }

    /// Deletes what a room holds.
    async fn empty(&self, room: RoomId, finally: bool) -> Result<(), Problem> {
        let mut step = 0;
        loop {
            match self.reader.store().purge_room(room, finally).await.map_err(problem::store) {
                Err(refusal) if refusal.code == Code::Unavailable && step < STEPS => step += 1,
                done => return done,
            }
            sleep(BETWEEN_STEPS).await;
        }
    }
}
