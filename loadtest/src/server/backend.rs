//! An api that is pretended: it knows who is in which room, and its logs are empty.
//!
//! Entries that enter on the bus in order are delivered without it. A hole cannot be filled here, so one that the bus
//! makes shows as lost, which is right for what is measured.

use super::world::World;
use rookery_shared::{
    backend::{
        Backend, Call, CursorsOf, Deletion, Edit, EntriesAfter, Followed, Mark, PresenceRooms, RoomAccess, Send,
        SignIn, SignedIn, UpdateStatus,
    },
    clock::Time,
    envelope::Event,
    ids::{RoomId, StreamId, UserId},
    model::{Chosen, ChosenStatus, OwnUser, PublicUser, Role, UserType},
    protocol::{
        Code, Problem,
        command::{MessageChanged, MessageSent, ReadCursors, ReadUpTo, RoomUser},
    },
    token::{Claims, TokenError},
};
use std::future::ready;

/// The pretended api.
pub(super) struct Pretended(pub(super) World);

impl Pretended {
    fn followed(&self, user: UserId) -> Result<Followed, Problem> {
        let number = self.0.number_of(user).ok_or(Problem::from(Code::Unauthorized))?;
        let room_id = self.0.room(self.0.room_number(number));
        Ok(Followed { room_id, from: 1, member_count: self.0.members })
    }

    fn sign_in(&self, user: UserId) -> Result<SignedIn, Problem> {
        let rooms = vec![self.followed(user)?];
        let number = self.0.number_of(user).unwrap_or_default();
        let public = PublicUser {
            id: user,
            username: format!("user-{number}"),
            display_name: format!("User {number}"),
            first_name: None,
            last_name: None,
            bio: None,
            profile_picture: None,
            user_type: UserType::Consumer,
            created_at: Time(0),
        };
        let user = OwnUser {
            public,
            email: Some(format!("user-{number}@example.com")),
            role: Role::User,
            status: ChosenStatus::Online,
            status_text: None,
        };
        Ok(SignedIn { user, store_epoch: "loadtest".to_owned(), user_seq: 0, rooms })
    }
}

fn answer<'a, T: std::marker::Send + 'a>(result: Result<T, Problem>) -> Call<'a, T> {
    Box::pin(ready(result))
}

impl Backend for Pretended {
    fn exchange(&self, _token: String) -> Call<'_, Result<Claims, TokenError>> {
        answer(Ok(Err(TokenError::Invalid)))
    }

    fn sign_in(&self, request: SignIn) -> Call<'_, SignedIn> {
        answer(self.sign_in(request.user_id))
    }

    fn send(&self, _sends: Vec<Send>) -> Call<'_, Vec<Result<MessageSent, Problem>>> {
        answer(Err(Code::Unavailable.into()))
    }

    fn edit_message(&self, _request: Edit) -> Call<'_, MessageChanged> {
        answer(Err(Code::Unavailable.into()))
    }

    fn delete_message(&self, _request: Deletion) -> Call<'_, MessageChanged> {
        answer(Err(Code::Unavailable.into()))
    }

    fn mark_read(&self, _request: Mark) -> Call<'_, ReadUpTo> {
        answer(Err(Code::Unavailable.into()))
    }

    fn read_cursors(&self, _request: CursorsOf) -> Call<'_, ReadCursors> {
        answer(Ok(ReadCursors::new()))
    }

    fn heads(&self, streams: Vec<StreamId>) -> Call<'_, Vec<u64>> {
        answer(Ok(vec![0; streams.len()]))
    }

    fn entries(&self, _request: EntriesAfter) -> Call<'_, Vec<Event>> {
        answer(Ok(Vec::new()))
    }

    fn room_access(&self, request: RoomAccess) -> Call<'_, Followed> {
        let followed = self.followed(request.user_id);
        answer(
            followed.and_then(
                |found| if found.room_id == request.room_id { Ok(found) } else { Err(Code::NotFound.into()) },
            ),
        )
    }

    fn room_users(&self, _request: RoomAccess) -> Call<'_, Vec<RoomUser>> {
        answer(Ok(Vec::new()))
    }

    fn conversation_of(&self, _one: UserId, _other: UserId) -> Call<'_, Option<RoomId>> {
        answer(Ok(None))
    }

    fn update_status(&self, request: UpdateStatus) -> Call<'_, Chosen> {
        answer(Ok(request.chosen))
    }

    fn presence_rooms(&self, _users: Vec<UserId>) -> Call<'_, Vec<PresenceRooms>> {
        answer(Ok(Vec::new()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rookery_shared::ids::SessionId;

    #[tokio::test]
    async fn whoever_exists_by_number_follows_their_room() {
        let world = World { members: 5 };
        let api = Pretended(world);
        let request =
            |user_id| api.0.number_of(user_id).map(|_| SignIn { user_id, session_id: SessionId::new(), max_rooms: 5 });
        let asked = request(world.user(7)).expect("a user of this world");
        let signed_in = Backend::sign_in(&api, asked).await.expect("signed in");
        assert_eq!(signed_in.rooms[0].room_id, world.room(1));
        let foreign = RoomAccess { user_id: world.user(7), room_id: world.room(2) };
        assert!(api.room_access(foreign).await.is_err());
    }
}
