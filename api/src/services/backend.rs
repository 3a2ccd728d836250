//! What gateways ask, whether they are in this process or call over HTTP.

use super::{
    send::{Outgoing, trace_of},
    sessions::is_alive,
};
use crate::{
    actor::Actor,
    app::Api,
    problem, render,
    store::{Stretch, rows::UserRow},
};
use rookery_shared::{
    backend::{
        Backend, Call, CursorsOf, Deletion, Edit, EntriesAfter, Followed, Mark, PresenceRooms, RoomAccess, Send,
        SignIn, SignedIn, UpdateStatus,
    },
    envelope::Event,
    ids::{RoomId, StreamId, UserId},
    model::{Chosen, ChosenStatus},
    protocol::{
        Code, Problem,
        command::{MessageChanged, MessageSent, ReadCursors, ReadUpTo, RoomUser},
    },
    token::{Claims, TokenError},
};

/// Most entries that one call gives.
const MAX_ENTRIES: u32 = 1_000;

impl Backend for Api {
    fn exchange(&self, token: String) -> Call<'_, Result<Claims, TokenError>> {
        Box::pin(async move { Ok(self.foreign_claims(&token).await) })
    }

    fn sign_in(&self, request: SignIn) -> Call<'_, SignedIn> {
        Box::pin(async move {
            let store = self.reader.store();
            let user = request.user_id;
            // The head of the user's stream strictly first. What happens to the session or to the rooms after that has a
            // place beyond this head and will be told; the other way round, an end in between would be in neither.
            let heads = store.heads(&[StreamId::User(user)]).await.map_err(problem::store)?;
            // Read anew, not remembered: whoever signs in after a session ended must not get in.
            let users = [user];
            let (session, rows, rooms) = tokio::try_join!(
                store.session(request.session_id),
                store.users(&users),
                store.rooms_of(user, request.max_rooms)
            )
            .map_err(problem::store)?;
            let row = rows.into_iter().next().flatten().filter(|user| user.deleted_at.is_none());
            let alive = session.is_some_and(|session| is_alive(&session, user));
            let row = row.filter(|_| alive).ok_or(Code::Unauthorized)?;
            let store_epoch = self.epoch().await?.to_string();
            let followed = rooms.iter().map(|of| Followed {
                room_id: of.room.id,
                from: of.member.from_seq,
                member_count: u32::try_from(of.member_count).unwrap_or(u32::MAX),
            });
            Ok(SignedIn {
                user: render::own_user(&row),
                store_epoch,
                user_seq: heads.first().copied().unwrap_or(0),
                rooms: followed.collect(),
            })
        })
    }

    fn send(&self, sends: Vec<Send>) -> Call<'_, Vec<Result<MessageSent, Problem>>> {
        Box::pin(async move {
            let outgoing = sends.into_iter().map(|send| Outgoing {
                trace: trace_of(send.traceparent.as_deref()),
                sender: Actor::person(send.sender),
                target: send.target,
                draft: send.draft,
            });
            let sent = self.send_messages(outgoing.collect()).await;
            Ok(sent.into_iter().map(|sent| sent.map(|stored| stored.acknowledgement())).collect())
        })
    }

    fn edit_message(&self, request: Edit) -> Call<'_, MessageChanged> {
        let Edit { user_id, message_id, content } = request;
        Box::pin(async move { Ok(self.edit(Actor::person(user_id), message_id, content).await?.into()) })
    }

    fn delete_message(&self, request: Deletion) -> Call<'_, MessageChanged> {
        let Deletion { user_id, message_id } = request;
        Box::pin(async move { Ok(self.delete(Actor::person(user_id), message_id).await?.into()) })
    }

    fn mark_read(&self, request: Mark) -> Call<'_, ReadUpTo> {
        Box::pin(self.read_up_to(request))
    }

    fn read_cursors(&self, request: CursorsOf) -> Call<'_, ReadCursors> {
        Box::pin(self.cursors_of(request.user_id, request.rooms))
    }

    fn heads(&self, streams: Vec<StreamId>) -> Call<'_, Vec<u64>> {
        Box::pin(async move { self.reader.store().heads(&streams).await.map_err(problem::store) })
    }

    fn entries(&self, request: EntriesAfter) -> Call<'_, Vec<Event>> {
        Box::pin(async move {
            let EntriesAfter { stream, after, limit } = request;
            let limit = limit.min(MAX_ENTRIES);
            let entries = self.reader.store().entries(stream, Stretch::After(after), limit, false);
            let entries = entries.await.map_err(problem::store)?;
            self.reader.events(&entries).await.map_err(problem::store)
        })
    }

    fn room_access(&self, request: RoomAccess) -> Call<'_, Followed> {
        Box::pin(async move {
            let seen = self.seen_room(request.user_id, request.room_id).await?;
            let member = seen.member.ok_or(Code::NotAMember)?;
            let member_count = u32::try_from(seen.member_count).unwrap_or(u32::MAX);
            Ok(Followed { room_id: request.room_id, from: member.from_seq, member_count })
        })
    }

    fn room_users(&self, request: RoomAccess) -> Call<'_, Vec<RoomUser>> {
        Box::pin(async move {
            self.membership(request.user_id, request.room_id).await?;
            let members = self.all_members(request.room_id).await.map_err(problem::store)?;
            let online = self.online(&members).await;
            let users = members.iter().map(|user| RoomUser {
                user_id: user.id,
                username: render::author(user).username,
                is_online: online.contains(&user.id),
            });
            Ok(users.collect())
        })
    }

    fn conversation_of(&self, one: UserId, other: UserId) -> Call<'_, Option<RoomId>> {
        Box::pin(self.conversation_between(one, other))
    }

    fn update_status(&self, request: UpdateStatus) -> Call<'_, Chosen> {
        Box::pin(self.keep_status(request.user_id, request.chosen))
    }

    fn presence_rooms(&self, users: Vec<UserId>) -> Call<'_, Vec<PresenceRooms>> {
        Box::pin(async move {
            // Read anew, not remembered: who has just become invisible goes unseen.
            let rows = self.reader.store().users(&users).await.map_err(problem::store)?;
            let visible = |row: &UserRow| row.deleted_at.is_none() && row.status != ChosenStatus::Invisible;
            let mut told = Vec::with_capacity(users.len());
            for UserRow { id, username, .. } in rows.into_iter().flatten().filter(visible) {
                told.push(PresenceRooms { user_id: id, username, rooms: self.presence_rooms_of(id).await? });
            }
            Ok(told)
        })
    }
}
