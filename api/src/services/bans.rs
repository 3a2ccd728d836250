//! Who may not be in a room: a ban ends a membership, and outlives every invite.

use super::{members::put_out, rooms::streams};
use crate::{
    actor::Actor,
    app::Api,
    openapi::words,
    paging::Limited,
    power::{self, Act},
    problem, render,
    store::{
        Op, Part, StoreError,
        records::{self, Area, Kept, Record},
    },
    text,
    writer::Planned,
};
use rookery_shared::{
    clock::{self, Time},
    ids::{RoomId, UserId},
    model::{Ban, Page},
    protocol::{Code, Problem},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;
use uuid::Uuid;

/// Most characters of why someone is banned.
const MAX_REASON: usize = 500;

/// The body of `PUT /rooms/{id}/bans/{userId}`.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct BanUser {
    /// Why: at most 500 characters.
    #[schema(value_type = Option<words::Reason>)]
    reason: Option<String>,
}

/// A ban as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct BanRecord {
    room: RoomId,
    user: UserId,
    reason: Option<String>,
    by: Option<UserId>,
    at: Time,
}

impl Record for BanRecord {
    const AREA: Area = Area::Ban;

    fn owner(&self) -> Uuid {
        self.room.0
    }

    fn id(&self) -> Uuid {
        self.user.0
    }
}

impl Api {
    async fn ban(&self, room: RoomId, user: UserId) -> Result<Option<Kept<BanRecord>>, Problem> {
        records::one(self.reader.store().as_ref(), room.0, user.0).await.map_err(problem::store)
    }

    /// Whether someone is banned from a room, read anew.
    pub(crate) async fn is_banned(&self, room: RoomId, user: UserId) -> Result<bool, Problem> {
        Ok(self.ban(room, user).await?.is_some())
    }

    /// Who is banned from a room, the newest first.
    pub(crate) async fn list_bans(&self, actor: Actor, id: RoomId, page: &Limited) -> Result<Page<Ban>, Problem> {
        self.acted_room(actor, id).await?.check(actor, Act::Ban)?;
        let (bans, next, prev) = self.records_of(id, page).await?;
        let users = self.reader.users(bans.iter().map(|ban: &BanRecord| ban.user)).await.map_err(problem::store)?;
        let items = bans.into_iter().map(|ban| Ban {
            user: users.get(&ban.user).map_or_else(|| render::unknown_author(ban.user), |user| (*user.author).clone()),
            reason: ban.reason,
            banned_by: ban.by,
            created_at: ban.at,
        });
        Ok(Page { items: items.collect(), next, prev })
    }

    /// A page of the records of a room, the newest first, with the places of the next and the previous page.
    pub(super) async fn records_of<R: Record>(
        &self,
        room: RoomId,
        page: &Limited,
    ) -> Result<(Vec<R>, Option<String>, Option<String>), Problem> {
        let store = self.reader.store().as_ref();
        let list = async |part: Part<Uuid>, limit: u32| -> Result<Vec<Kept<R>>, StoreError> {
            records::list(store, room.0, part, limit).await
        };
        let read = list(page.part()?, page.limit + 1).await.map_err(problem::store)?;
        let (shown, more) = page.cut(read);
        let ends = shown.first().zip(shown.last()).map(|(first, last)| (first.place, last.place));
        let beyond = match page.other_side(ends) {
            Some(part) => !list(part, 1).await.map_err(problem::store)?.is_empty(),
            None => false,
        };
        let (next, prev) = page.places(ends.as_ref(), more, beyond);
        Ok((shown.into_iter().map(|kept| kept.record).collect(), next, prev))
    }

    /// Bans someone, whether they are in the room or not. Nothing happens if they are banned already.
    pub(crate) async fn ban_user(&self, actor: Actor, id: RoomId, user: UserId, body: BanUser) -> Result<(), Problem> {
        let reason = body.reason.map(|reason| text::lines(reason, MAX_REASON)).transpose();
        let reason: Arc<Option<String>> = Arc::new(reason.map_err(|message| Problem::field("reason", message))?);
        self.change(streams(id, [user]), move |api, mut heads| {
            let reason = reason.clone();
            async move {
                let seen = api.acted_room(actor, id).await?;
                seen.check(actor, Act::Ban)?;
                if actor.named() == Some(user) {
                    return Err(Problem::field("userId", "is someone else: nobody bans themselves"));
                }
                let mut planned = Planned::nothing(());
                if api.is_banned(id, user).await? {
                    return Ok(planned);
                }
                if !api.is_person(user).await? {
                    return Err(Code::NotFound.into());
                }
                if let Some(member) = api.member_now(id, user).await? {
                    power::check_over(actor, seen.role(), member.role)?;
                    api.check_owner_stays(&member, seen.member_count).await?;
                    put_out(id, user, &mut heads, &mut planned);
                }
                let ban = BanRecord { room: id, user, reason: (*reason).clone(), by: actor.named(), at: clock::now() };
                // The room's next version: whoever is let in on the strength of this one was so before, or is not.
                planned.ops.push(Op::ReplaceRoom(seen.room.next()));
                planned.ops.push(Kept::new(ban).put().map_err(problem::store)?);
                Ok(planned)
            }
        })
        .await
    }

    /// Takes a ban back. Nothing happens if there is none.
    pub(crate) async fn unban_user(&self, actor: Actor, id: RoomId, user: UserId) -> Result<(), Problem> {
        self.change(streams(id, []), move |api, _| async move {
            api.acted_room(actor, id).await?.check(actor, Act::Ban)?;
            let ban = api.ban(id, user).await?;
            Ok(Planned { ops: ban.iter().map(Kept::delete).collect(), ..Planned::nothing(()) })
        })
        .await
    }
}
