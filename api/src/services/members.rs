//! Who comes into a room and who goes: letting in, adding, roles, removing, leaving, and muting for oneself.

use super::rooms::{from_seq, streams};
use crate::{
    actor::Actor,
    app::Api,
    power::{self, Act},
    problem, render,
    store::{
        MemberChange, Op,
        rows::{MemberRow, Mute, RoomRow},
    },
    writer::{Heads, Planned},
};
use rookery_shared::{
    clock::{self, Time},
    envelope::Kind,
    ids::{RoomId, StreamId, UserId},
    model::{Member, MemberRole},
    protocol::{Code, Problem},
};
use serde::Deserialize;
use utoipa::ToSchema;

/// The body of `POST /rooms/{id}/members`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AddMember {
    /// Who.
    #[schema(value_type = UserId)]
    user_id: Option<UserId>,
    /// What they may do: not more than who adds them; `member` if absent.
    role: Option<MemberRole>,
}

/// The body of `PATCH /rooms/{id}/members/{userId}`.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ChangeMember {
    /// What they may do from now on.
    #[schema(value_type = MemberRole)]
    role: Option<MemberRole>,
}

/// The body of `PUT /rooms/{id}/mute`.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct MuteRoom {
    /// A time to come; for good if absent.
    until: Option<Time>,
}

/// The entries and changes that let someone in, in this order: the room's entry, and the one of their own stream. Into
/// a room that is there already people come through [`Api::admit`].
pub(super) fn let_in<T>(room: &RoomRow, user: UserId, role: MemberRole, heads: &mut Heads, planned: &mut Planned<T>) {
    let joined = heads.entry(StreamId::Room(room.id), Kind::UserJoined, user.0, 0);
    let in_seq = joined.seq;
    let added = heads.entry(StreamId::User(user), Kind::RoomAdded, room.id.0, in_seq);
    planned.ops.push(Op::InsertMember(MemberRow {
        room: room.id,
        user,
        role,
        joined_at: clock::now(),
        in_seq,
        from_seq: from_seq(room, in_seq),
        // What was said before someone came is not unread.
        read_seq: in_seq,
        mute: None,
        hidden_seq: 0,
    }));
    planned.entries.extend([joined, added]);
}

/// The entries and the change that end a membership.
pub(super) fn put_out<T>(room: RoomId, user: UserId, heads: &mut Heads, planned: &mut Planned<T>) {
    let left = heads.entry(StreamId::Room(room), Kind::UserLeft, user.0, 0);
    let removed = heads.entry(StreamId::User(user), Kind::RoomRemoved, room.0, left.seq);
    planned.ops.push(Op::DeleteMember(room, user));
    planned.entries.extend([left, removed]);
}

/// What goes with that where the room's last member goes: it is marked deleted. [`Api::purge`] does the rest.
pub(super) fn end_room<T>(room: RoomRow, last: UserId, heads: &mut Heads, planned: &mut Planned<T>) {
    planned.entries.push(heads.entry(StreamId::User(last), Kind::RoomDeleted, room.id.0, 0));
    planned.ops.push(Op::ReplaceRoom(room.deleted(last)));
}

impl Api {
    /// Lets someone into a room that was read after `heads`, unless they are banned. Both this and a ban make the room's
    /// next version: of the two at once the slower one decides again, and sees the other's.
    pub(crate) async fn admit<T>(
        &self,
        room: &RoomRow,
        user: UserId,
        role: MemberRole,
        heads: &mut Heads,
        planned: &mut Planned<T>,
    ) -> Result<(), Problem> {
        if self.is_banned(room.id, user).await? {
            return Err(Code::Banned.into());
        }
        planned.ops.push(Op::ReplaceRoom(room.clone().next()));
        let_in(room, user, role, heads, planned);
        Ok(())
    }

    /// Whether there is such a person now: read anew, as a decision about them stands on it.
    pub(crate) async fn is_person(&self, user: UserId) -> Result<bool, Problem> {
        let found = self.reader.store().users(&[user]).await.map_err(problem::store)?;
        Ok(found.into_iter().flatten().any(|user| user.deleted_at.is_none() && !user.is_service))
    }

    /// A membership, read anew.
    pub(crate) async fn member_now(&self, room: RoomId, user: UserId) -> Result<Option<MemberRow>, Problem> {
        let found = self.reader.store().memberships(&[(room, user)]).await.map_err(problem::store)?;
        Ok(found.into_iter().next().flatten())
    }

    /// That a room in which others stay does not lose its last owner.
    pub(crate) async fn check_owner_stays(&self, member: &MemberRow, member_count: u64) -> Result<(), Problem> {
        if member.role == MemberRole::Owner && member_count > 1 {
            self.check_other_owner(member).await?;
        }
        Ok(())
    }

    async fn check_other_owner(&self, member: &MemberRow) -> Result<(), Problem> {
        let other = self.reader.store().has_other_owner(member.room, member.user).await.map_err(problem::store)?;
        if other { Ok(()) } else { Err(Code::LastOwner.into()) }
    }

    /// One member, as everyone sees them who sees the members.
    pub(crate) async fn room_member(&self, actor: Actor, room: RoomId, user: UserId) -> Result<Member, Problem> {
        self.check_sees_members(actor, room).await?;
        self.shown_member(room, user).await
    }

    async fn shown_member(&self, room: RoomId, user: UserId) -> Result<Member, Problem> {
        let row = self.member_now(room, user).await?.ok_or(Code::NotFound)?;
        let known = self.reader.users([user]).await.map_err(problem::store)?;
        let author = known.get(&user).map_or_else(|| render::unknown_author(user), |known| (*known.author).clone());
        let online = self.online(known.get(&user).map(|known| &known.row)).await;
        Ok(render::member(&row, author, online.contains(&user)))
    }

    /// Brings someone into a room; whether they came in now.
    pub(crate) async fn add_member(
        &self,
        actor: Actor,
        id: RoomId,
        body: AddMember,
    ) -> Result<(Member, bool), Problem> {
        let user = body.user_id.ok_or_else(|| Problem::field("userId", "is required"))?;
        let role = body.role.unwrap_or(MemberRole::Member);
        let is_new = self
            .change(streams(id, [user]), move |api, mut heads| async move {
                let seen = api.acted_room(actor, id).await?;
                seen.check(actor, Act::ManageMembers)?;
                power::check_given(actor, seen.role(), role)?;
                if !api.is_person(user).await? {
                    return Err(Problem::field("userId", "names someone who does not exist"));
                }
                let mut planned = Planned::nothing(false);
                if api.member_now(id, user).await?.is_none() {
                    let admitted = api.admit(&seen.room, user, role, &mut heads, &mut planned).await;
                    admitted.map_err(|refusal| match refusal.code {
                        Code::Banned => Problem::new(Code::Banned, "They are banned from this room").as_conflict(),
                        _ => refusal,
                    })?;
                    planned.value = true;
                }
                Ok(planned)
            })
            .await?;
        // They may have gone again already; then there is nothing to show.
        Ok((self.shown_member(id, user).await?, is_new))
    }

    /// Changes what a member may do.
    pub(crate) async fn change_member(
        &self,
        actor: Actor,
        id: RoomId,
        user: UserId,
        body: ChangeMember,
    ) -> Result<Member, Problem> {
        let role = body.role.ok_or_else(|| Problem::field("role", "is required"))?;
        self.change(streams(id, []), move |api, mut heads| async move {
            let seen = api.acted_room(actor, id).await?;
            seen.check(actor, Act::ChangeRoles)?;
            let member = api.member_now(id, user).await?.ok_or(Code::NotFound)?;
            let mut planned = Planned::nothing(());
            if member.role != role {
                if member.role == MemberRole::Owner {
                    api.check_other_owner(&member).await.map_err(|refusal| match refusal.code {
                        Code::LastOwner => Problem::new(Code::LastOwner, "Make someone else an owner first"),
                        _ => refusal,
                    })?;
                }
                planned.entries.push(heads.entry(StreamId::Room(id), Kind::RoomUpdated, user.0, 0));
                planned.ops.push(Op::UpdateMember(id, user, MemberChange::Role(role)));
            }
            Ok(planned)
        })
        .await?;
        self.shown_member(id, user).await
    }

    /// Takes someone out of a room. Nothing happens if they are not in it; for oneself it is leaving.
    pub(crate) async fn remove_member(&self, actor: Actor, id: RoomId, user: UserId) -> Result<(), Problem> {
        if actor.named() == Some(user) {
            return self.leave_room(user, id).await;
        }
        self.change(streams(id, [user]), move |api, mut heads| async move {
            let seen = api.acted_room(actor, id).await?;
            seen.check(actor, Act::ManageMembers)?;
            let mut planned = Planned::nothing(());
            if let Some(member) = api.member_now(id, user).await? {
                power::check_over(actor, seen.role(), member.role)?;
                api.check_owner_stays(&member, seen.member_count).await?;
                put_out(id, user, &mut heads, &mut planned);
            }
            Ok(planned)
        })
        .await
    }

    /// Takes someone out of a room at their own wish. Nothing happens if they are not in it. A room that nobody is left
    /// in is deleted; a conversation stays what it is, and is not listed until something is said in it.
    pub(crate) async fn leave_room(&self, user: UserId, id: RoomId) -> Result<(), Problem> {
        #[derive(Clone, Copy)]
        enum Left {
            Room,
            LastOfAll,
            Conversation,
        }
        let left = self
            .change(streams(id, [user]), move |api, mut heads| async move {
                let seen = api.seen_room(user, id).await?;
                let mut planned = Planned::nothing(Left::Room);
                let Some(member) = seen.member else {
                    return Ok(planned);
                };
                if seen.room.room_type.is_conversation() {
                    planned.value = Left::Conversation;
                    api.hide(&member, &mut heads, &mut planned).await?;
                    return Ok(planned);
                }
                api.check_owner_stays(&member, seen.member_count).await?;
                put_out(id, user, &mut heads, &mut planned);
                if seen.member_count <= 1 {
                    planned.value = Left::LastOfAll;
                    end_room(seen.room, user, &mut heads, &mut planned);
                }
                Ok(planned)
            })
            .await?;
        match left {
            Left::Room => {}
            Left::LastOfAll => self.purge(id),
            Left::Conversation => self.look_again_at(id),
        }
        Ok(())
    }

    /// Mutes a room for one of its members, until a time or for good.
    pub(crate) async fn mute_room(&self, user: UserId, id: RoomId, body: MuteRoom) -> Result<(), Problem> {
        if body.until.is_some_and(|until| until <= clock::now()) {
            return Err(Problem::field("until", "is a time to come"));
        }
        self.set_mute(user, id, Some(body.until.map_or(Mute::ForGood, Mute::Until))).await
    }

    /// Takes it back.
    pub(crate) async fn unmute_room(&self, user: UserId, id: RoomId) -> Result<(), Problem> {
        self.set_mute(user, id, None).await
    }

    async fn set_mute(&self, user: UserId, id: RoomId, mute: Option<Mute>) -> Result<(), Problem> {
        self.change(vec![StreamId::User(user)], move |api, _| async move {
            let member = api.seen_room(user, id).await?.member.ok_or(Code::NotAMember)?;
            let mut planned = Planned::nothing(());
            if member.mute != mute {
                planned.ops.push(Op::UpdateMember(id, user, MemberChange::Mute(mute)));
            }
            Ok(planned)
        })
        .await
    }
}
