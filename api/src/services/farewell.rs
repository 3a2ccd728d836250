//! The end of an account: its rooms go to others, its name and its sessions go, what it wrote stays under "Deleted
//! user".

use super::{
    devices::ending,
    members::{end_room, put_out},
    rooms::streams,
    users::may_change,
};
use crate::{
    actor::Actor,
    app::Api,
    problem,
    store::{MemberChange, Op, rows::UserRow},
    writer::Planned,
};
use rookery_shared::{
    clock,
    envelope::Kind,
    ids::{RoomId, StreamId, UserId},
    model::{ChosenStatus, MemberRole, Role},
    protocol::{Code, Problem},
};

/// Rooms of one account that are looked through.
const MAX_ROOMS: u32 = 100_000;

/// The account as it stays: an id without a name.
fn nameless(user: &UserRow) -> UserRow {
    // No name or address looks like this, so that what it had is free for others.
    let key = format!("deleted:{}", user.id.0.simple());
    UserRow {
        username: String::new(),
        username_key: key.clone(),
        email: String::new(),
        email_key: key,
        password_hash: None,
        display_name: String::new(),
        first_name: None,
        last_name: None,
        bio: None,
        profile_picture: None,
        role: Role::User,
        deleted_at: Some(clock::now()),
        status: ChosenStatus::default(),
        status_text: None,
        status_at: None,
        version: user.version + 1,
        ..user.clone()
    }
}

impl Api {
    /// Deletes an account: one's own, or anyone's as an admin or a server. Nothing happens if it is deleted already.
    pub(crate) async fn delete_user(&self, actor: Actor, id: UserId) -> Result<(), Problem> {
        let user = self.reader.store().users(&[id]).await.map_err(problem::store)?.pop().flatten();
        let user = user.filter(|user| !user.is_service).ok_or(Code::NotFound)?;
        may_change(actor, id)?;
        if user.deleted_at.is_some() {
            return Ok(());
        }
        if user.role == Role::Admin {
            // Before anything is lost.
            self.remaining_admin(id).await?;
        }
        self.leave_all_rooms(id).await?;
        self.anonymise(id).await?;
        // Whoever was let into a room meanwhile.
        self.leave_all_rooms(id).await
    }

    async fn anonymise(&self, id: UserId) -> Result<(), Problem> {
        let ended = self
            .change(vec![StreamId::User(id)], move |api, mut heads| async move {
                let user = match api.person_now(id).await {
                    Ok(user) => user,
                    Err(gone) if gone.code == Code::NotFound => return Ok(Planned::nothing(Vec::new())),
                    Err(problem) => return Err(problem),
                };
                let mut ops = Vec::new();
                if user.role == Role::Admin {
                    ops.push(api.remaining_admin(id).await?);
                }
                let open = api.sessions_to_end(id, None).await?;
                let (entries, op) = ending(id, None, &open, &mut heads);
                ops.extend([Op::ReplaceUser(nameless(&user)), op]);
                Ok(Planned { entries, ops, value: open })
            })
            .await?;
        self.reader.forget_sessions(&ended);
        Ok(())
    }

    /// Takes someone out of every room. Conversations stay: they are of exactly these people.
    async fn leave_all_rooms(&self, user: UserId) -> Result<(), Problem> {
        let rooms = self.reader.store().rooms_of(user, MAX_ROOMS).await.map_err(problem::store)?;
        for of in rooms.into_iter().filter(|of| !of.room.room_type.is_conversation()) {
            self.leave_for_good(user, of.room.id).await?;
        }
        Ok(())
    }

    /// Takes someone out of a room whatever becomes of it: its last owner hands it over in the same transaction, and a
    /// room that nobody is left in is deleted.
    async fn leave_for_good(&self, user: UserId, id: RoomId) -> Result<(), Problem> {
        let last_of_all = self
            .change(streams(id, [user]), move |api, mut heads| async move {
                let store = api.reader.store();
                let mut planned = Planned::nothing(false);
                let member = api.member_now(id, user).await?;
                let room = store.rooms(&[id]).await.map_err(problem::store)?.pop().flatten();
                let (Some(member), Some((room, member_count))) = (member, room) else {
                    return Ok(planned);
                };
                planned.value = member_count <= 1;
                if member.role == MemberRole::Owner && member_count > 1 {
                    let heir = store.heir(id, user).await.map_err(problem::store)?;
                    if let Some(heir) = heir.filter(|heir| heir.role != MemberRole::Owner) {
                        planned.entries.push(heads.entry(StreamId::Room(id), Kind::RoomUpdated, heir.user.0, 0));
                        planned.ops.push(Op::UpdateMember(id, heir.user, MemberChange::Role(MemberRole::Owner)));
                    }
                }
                put_out(id, user, &mut heads, &mut planned);
                if planned.value {
                    end_room(room, user, &mut heads, &mut planned);
                }
                Ok(planned)
            })
            .await?;
        if last_of_all {
            self.purge(id);
        }
        Ok(())
    }
}
