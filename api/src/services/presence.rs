//! Who is there: what people choose to be seen as, and who sees whom.
//!
//! Who is invisible looks like someone who left when they chose it, to everyone. Statuses are read from the store each
//! time: what somebody chose holds at every api from its answer on.

use crate::{
    actor::Actor,
    app::Api,
    openapi::words,
    paging::{Cursor, Limited},
    problem, render,
    store::{Op, Part, StoreError, rows::UserRow},
    text::{self, Fields},
};
use rookery_shared::{
    clock,
    envelope::{Event, Header, Kind},
    ids::{RoomId, StreamId, UserId},
    model::{Chosen, ChosenStatus, OnlineUser, Page, Status, UserPresence, UserStatus},
    presence::Seen,
    protocol::{Code, Problem},
};
use serde::Deserialize;
use std::collections::HashSet;
use utoipa::ToSchema;

/// Most rooms in which a user's presence is told, the most recently active first.
pub(crate) const MAX_PRESENCE_ROOMS: u32 = 500;

/// Most characters of the words beside a status.
const MAX_TEXT: usize = 100;

/// How often a status is tried to be written when others change the account at the same time.
const WRITES: usize = 8;

/// People with whom someone shares rooms that are looked at for who of them is there.
const MAX_COMPANIONS: u32 = 5_000;

/// Accounts that are looked at for one page of everybody who is there; such a page may be short, and the list goes on.
const MAX_LOOKED_AT: usize = 2_000;

/// Accounts that are read at once for that.
const ACCOUNTS_AT_ONCE: u32 = 200;

/// The body of `PUT /users/me/status`.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ChooseStatus {
    /// How to be seen.
    #[schema(value_type = ChosenStatus)]
    status: Option<ChosenStatus>,
    /// A few words beside it; none if absent or empty.
    #[schema(value_type = Option<words::StatusText>)]
    text: Option<String>,
}

/// What others see of a user of whose devices this is known.
fn shown(user: &UserRow, seen: Seen) -> UserStatus {
    let invisible = user.status == ChosenStatus::Invisible;
    let status = if seen.status == Status::Offline { Status::Offline } else { user.status.shown() };
    let offline = status == Status::Offline;
    UserStatus {
        user_id: user.id,
        username: Some(user.username.clone()),
        status,
        last_seen: match (offline, invisible) {
            (false, _) => None,
            (true, true) => user.status_at,
            (true, false) => seen.last_seen,
        },
        text: user.status_text.clone().filter(|_| !offline),
        chosen: None,
    }
}

/// Nothing is known.
const UNSEEN: Seen = Seen { status: Status::Offline, last_seen: None };

impl Api {
    /// Reads and keeps what someone chose to be seen as.
    pub(crate) async fn choose_status(&self, user: UserId, body: ChooseStatus) -> Result<Chosen, Problem> {
        let status = body.status.ok_or_else(|| Problem::field("status", "is required"))?;
        self.keep_status(user, Chosen { status, text: body.text }).await
    }

    /// Keeps what someone chose to be seen as, and tells who may know.
    pub(crate) async fn keep_status(&self, user: UserId, chosen: Chosen) -> Result<Chosen, Problem> {
        let mut fields = Fields::default();
        let text = chosen.text.filter(|text| !text.is_empty());
        let text = fields.optional("text", text, |line| text::line(line, MAX_TEXT));
        fields.finish()?;
        let chosen = Chosen { status: chosen.status, text };
        if let Some((before, row)) = self.write_status(user, &chosen).await? {
            self.tell_status(before, &row, &chosen).await?;
        }
        Ok(chosen)
    }

    /// Writes a choice; gives the choice before it and the account as it is now, or nothing if that was chosen already.
    async fn write_status(&self, user: UserId, chosen: &Chosen) -> Result<Option<(ChosenStatus, UserRow)>, Problem> {
        let store = self.reader.store();
        for _ in 0..WRITES {
            let row = store.users(&[user]).await.map_err(problem::store)?.pop().flatten();
            let row = row.filter(|row| row.deleted_at.is_none()).ok_or(Code::Unauthorized)?;
            if (row.status, &row.status_text) == (chosen.status, &chosen.text) {
                return Ok(None);
            }
            let before = row.status;
            let next = UserRow {
                status: chosen.status,
                status_text: chosen.text.clone(),
                // New words of someone who stays invisible must not look like a sign of life.
                status_at: if row.status == chosen.status { row.status_at } else { Some(clock::now()) },
                version: row.version + 1,
                ..row
            };
            match store.replace_user(next.clone()).await {
                Ok(()) => {
                    self.reader.changed(&[Op::ReplaceUser(next.clone())]);
                    return Ok(Some((before, next)));
                }
                Err(StoreError::Stale(_)) => {}
                Err(error) => return Err(problem::store(error)),
            }
        }
        Err(Code::Unavailable.into())
    }

    /// Tells a user's devices what was chosen, and their rooms what has changed by it, if a device is there.
    async fn tell_status(&self, before: ChosenStatus, row: &UserRow, chosen: &Chosen) -> Result<(), Problem> {
        let event = |stream, data: Vec<u8>, number| Event {
            header: Header { subject: row.id.0, ref_seq: number, ..Header::new(Kind::UserStatus, stream, 0) },
            data: data.into(),
        };
        let seen = self.seen(&[row.id]).await.pop().unwrap_or(UNSEEN);
        // Who gets this is there: what they see is what others would.
        let own = shown(row, Seen { status: Status::Online, last_seen: None });
        let own = UserStatus { text: chosen.text.clone(), chosen: Some(chosen.status), ..own };
        let own = serde_json::to_vec(&own).map_err(|_| Problem::from(Code::Internal))?;
        let mut events = vec![event(StreamId::User(row.id), own, 0)];
        // Who stays invisible changes nothing for others, whatever the words are.
        let hidden = before == ChosenStatus::Invisible && row.status == ChosenStatus::Invisible;
        if seen.status != Status::Offline && !hidden {
            let status = serde_json::to_vec(&shown(row, seen)).map_err(|_| Problem::from(Code::Internal))?;
            // The same in every room: who shares several with the user is told once.
            let number = rand::random::<u64>() | 1;
            let rooms = self.presence_rooms_of(row.id).await?;
            events.extend(rooms.into_iter().map(|room| event(StreamId::Room(room), status.clone(), number)));
        }
        self.publisher.publish(events);
        Ok(())
    }

    /// The rooms of a user in which presence is told.
    pub(crate) async fn presence_rooms_of(&self, user: UserId) -> Result<Vec<RoomId>, Problem> {
        let rooms = self.reader.store().rooms_of(user, MAX_PRESENCE_ROOMS).await.map_err(problem::store)?;
        let small = rooms.into_iter().filter(|of| of.member_count <= self.config.presence.max_room);
        Ok(small.map(|of| of.room.id).collect())
    }

    /// What is known of devices. Nothing, as far as we know, while presence cannot be asked.
    async fn seen(&self, users: &[UserId]) -> Vec<Seen> {
        self.presence.seen(users).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "presence could not be asked");
            vec![UNSEEN; users.len()]
        })
    }

    /// Which of these are there for others.
    pub(crate) async fn online<'a>(&self, users: impl IntoIterator<Item = &'a UserRow>) -> HashSet<UserId> {
        let visible = users.into_iter().filter(|user| user.status != ChosenStatus::Invisible);
        let visible: Vec<UserId> = visible.map(|user| user.id).collect();
        let seen = self.seen(&visible).await;
        visible.into_iter().zip(seen).filter(|(_, seen)| seen.status != Status::Offline).map(|(user, _)| user).collect()
    }

    /// How someone is there. Who may not know sees them offline.
    pub(crate) async fn status_of(&self, actor: Actor, user: UserId) -> Result<UserPresence, Problem> {
        let row = self.reader.store().users(&[user]).await.map_err(problem::store)?.pop().flatten();
        let row = row.filter(|row| row.deleted_at.is_none() && !row.is_service).ok_or(Code::NotFound)?;
        let may_know = actor.id == user || actor.is_operator() || self.share_a_room(actor.id, user).await?;
        let seen = if may_know { self.seen(&[user]).await.pop().unwrap_or(UNSEEN) } else { UNSEEN };
        let UserStatus { status, last_seen, text, .. } = shown(&row, seen);
        Ok(UserPresence {
            user_id: user,
            username: row.username,
            status,
            last_seen: last_seen.filter(|_| may_know),
            text,
        })
    }

    /// Whether two share a room in which presence is told.
    async fn share_a_room(&self, one: UserId, other: UserId) -> Result<bool, Problem> {
        let keys: Vec<_> = self.presence_rooms_of(one).await?.into_iter().map(|room| (room, other)).collect();
        let found = self.reader.store().memberships(&keys).await.map_err(problem::store)?;
        Ok(found.iter().any(Option::is_some))
    }

    /// Who is there of those whom the caller may see, by username, themselves left out.
    pub(crate) async fn online_users(&self, actor: Actor, page: &Limited) -> Result<Page<OnlineUser>, Problem> {
        if actor.is_operator() {
            return self.everybody_online(actor.id, page).await;
        }
        let store = self.reader.store();
        let max_room = self.config.presence.max_room;
        let companions = store.companions(actor.id, max_room, MAX_COMPANIONS).await.map_err(problem::store)?;
        let seen = self.seen(&companions).await;
        let there = companions.into_iter().zip(seen).filter(|(_, seen)| seen.status != Status::Offline);
        let ids: Vec<UserId> = there.map(|(user, _)| user).collect();
        let mut users: Vec<UserRow> =
            store.users(&ids).await.map_err(problem::store)?.into_iter().flatten().filter(is_shown).collect();
        users.sort_unstable_by(|a, b| a.username_key.cmp(&b.username_key));
        let (users, next, prev) = page.of_ascending(users, |user| user.username_key.clone())?;
        let [next, prev] = [next, prev].map(|place| place.map(|place| Cursor::encode(&place)));
        Ok(Page { items: users.into_iter().map(online_user).collect(), next, prev })
    }

    /// Everybody who is there. Looks at so many accounts at most, and goes on from there on the next page.
    async fn everybody_online(&self, caller: UserId, page: &Limited) -> Result<Page<OnlineUser>, Problem> {
        let store = self.reader.store();
        let backwards = page.before.is_some();
        let limit = page.limit as usize;
        let mut part: Part<String> = page.part()?;
        let mut found: Vec<UserRow> = Vec::new();
        let (mut looked_at, mut more) = (0, true);
        // The accounts that were looked at first and last, in the order of the list.
        let (mut first, mut last) = (None, None);
        while more && found.len() < limit && looked_at < MAX_LOOKED_AT {
            let key = match &part {
                Part::First => Part::First,
                Part::After(key) => Part::After(key.as_str()),
                Part::Before(key) => Part::Before(key.as_str()),
            };
            let mut users = store.find_users("", key, ACCOUNTS_AT_ONCE).await.map_err(problem::store)?;
            more = users.len() == ACCOUNTS_AT_ONCE as usize;
            if backwards {
                users.reverse();
            }
            let seen = self.seen(&users.iter().map(|user| user.id).collect::<Vec<_>>()).await;
            for (user, seen) in users.into_iter().zip(seen) {
                if found.len() == limit {
                    more = true;
                    break;
                }
                looked_at += 1;
                let key = user.username_key.clone();
                first.get_or_insert_with(|| key.clone());
                part = if backwards { Part::Before(key.clone()) } else { Part::After(key.clone()) };
                last = Some(key);
                if seen.status != Status::Offline && is_shown(&user) && user.id != caller {
                    found.push(user);
                }
            }
        }
        if backwards {
            found.reverse();
            std::mem::swap(&mut first, &mut last);
        }
        let ends = first.zip(last);
        let ends = ends.as_ref().map(|(first, last)| (first.as_str(), last.as_str()));
        let beyond = match page.other_side(ends) {
            Some(part) => !store.find_users("", part, 1).await.map_err(problem::store)?.is_empty(),
            None => false,
        };
        let (next, prev) = page.places(ends.as_ref(), more, beyond);
        Ok(Page { items: found.into_iter().map(online_user).collect(), next, prev })
    }
}

/// Whether others see this account when a device of it is there.
fn is_shown(user: &UserRow) -> bool {
    user.deleted_at.is_none() && !user.is_service && user.status != ChosenStatus::Invisible
}

fn online_user(user: UserRow) -> OnlineUser {
    OnlineUser { public: render::public_user(&user), status: user.status.shown(), text: user.status_text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rookery_shared::{
        clock::Time,
        model::{Role, UserType},
    };

    fn user(status: ChosenStatus) -> UserRow {
        UserRow {
            id: UserId::new(),
            username: "ada".into(),
            username_key: "ada".into(),
            email: "a".into(),
            email_key: "a".into(),
            password_hash: None,
            display_name: "Ada".into(),
            first_name: None,
            last_name: None,
            bio: None,
            profile_picture: None,
            user_type: UserType::Consumer,
            role: Role::User,
            created_at: Time(1),
            deleted_at: None,
            status,
            status_text: Some("words".into()),
            status_at: Some(Time(7)),
            is_service: false,
            version: 1,
        }
    }

    #[test]
    fn who_is_invisible_looks_like_someone_who_left_when_they_chose_it() {
        let there = Seen { status: Status::Online, last_seen: None };
        let gone = Seen { status: Status::Offline, last_seen: Some(Time(9)) };
        for seen in [there, gone, UNSEEN] {
            let seen = shown(&user(ChosenStatus::Invisible), seen);
            assert_eq!((seen.status, seen.last_seen, seen.text), (Status::Offline, Some(Time(7)), None));
        }
        let seen = shown(&user(ChosenStatus::Busy), there);
        assert_eq!((seen.status, seen.last_seen, seen.text.as_deref()), (Status::Busy, None, Some("words")));
        let seen = shown(&user(ChosenStatus::Busy), gone);
        assert_eq!((seen.status, seen.last_seen, seen.text), (Status::Offline, Some(Time(9)), None));
    }
}
