//! Rooms: making, finding, joining, and who is in them.

use super::members::let_in;
use crate::{
    actor::Actor,
    app::Api,
    openapi::{self, words},
    paging::Limited,
    power::{self, Act},
    problem, render,
    store::{
        Op, Part, StoreError,
        rows::{MemberRow, RoomRow, UserRow},
    },
    text::{self, Fields},
    writer::{Heads, Planned},
};
use rookery_shared::{
    clock,
    ids::{RoomId, StreamId, UserId},
    model::{HistoryFrom, Member, MemberRole, Page, Room, RoomSummary, RoomType, Visibility},
    protocol::{Code, Problem},
};
use serde::{Deserialize, Serialize};
use std::{collections::HashSet, sync::Arc};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

/// Most characters of a room's name, and of what is searched for in names.
pub(super) const MAX_NAME: usize = 100;

/// Most characters of what a room is about.
pub(super) const MAX_DESCRIPTION: usize = 1_000;

/// Most members that a room can be made with.
const MAX_FIRST_MEMBERS: usize = 200;

/// Members read at once when all of them are looked through.
const MEMBERS_AT_ONCE: u32 = 200;

/// The body of `POST /rooms`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CreateRoom {
    #[schema(value_type = words::RoomName)]
    name: Option<String>,
    #[schema(value_type = Option<words::Lines>)]
    description: Option<String>,
    #[schema(value_type = Visibility)]
    visibility: Option<Visibility>,
    /// `start` for public rooms and `join` for private ones, if absent.
    history_from: Option<HistoryFrom>,
    /// Who is in it from the beginning, beside its maker.
    #[schema(max_items = 199)]
    member_ids: Option<Vec<UserId>>,
}

/// A room in the list of all that one can see: in full where one is in it.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Listed {
    Mine(Box<RoomSummary>),
    Public(Room),
}

impl PartialSchema for Listed {
    fn schema() -> RefOr<Schema> {
        openapi::any_of::<RoomSummary, Room>("A room: in full where one is in it.")
    }
}

impl ToSchema for Listed {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        openapi::schemas_of::<RoomSummary, Room>(schemas);
    }
}

/// A room and the caller's place in it.
pub(crate) struct Seen {
    pub(crate) room: RoomRow,
    pub(crate) member_count: u64,
    pub(crate) member: Option<MemberRow>,
}

impl Seen {
    /// What the caller is in the room.
    pub(crate) fn role(&self) -> Option<MemberRole> {
        self.member.as_ref().map(|member| member.role)
    }

    /// Whether an actor may do something here; a refusal says why not.
    pub(crate) fn check(&self, actor: Actor, act: Act) -> Result<(), Problem> {
        power::check(actor, &self.room, self.role(), act)
    }
}

/// Where a newcomer may begin to read.
pub(super) fn from_seq(room: &RoomRow, in_seq: u64) -> u64 {
    match room.history_from {
        HistoryFrom::Start => 1,
        HistoryFrom::Join => in_seq,
    }
}

/// Whether those see it who are not in it.
pub(crate) fn is_public(room: &RoomRow) -> bool {
    room.visibility == Visibility::Public && !room.room_type.is_conversation()
}

/// A new room with its first members, committed in one go.
pub(crate) fn new_room(room: &RoomRow, members: &[(UserId, MemberRole)], heads: &mut Heads) -> Planned<()> {
    let mut planned = Planned { entries: Vec::new(), ops: vec![Op::InsertRoom(room.clone())], value: () };
    for (user, role) in members {
        let_in(room, *user, *role, heads, &mut planned);
    }
    planned
}

/// The streams that such a change writes.
pub(crate) fn streams(room: RoomId, users: impl IntoIterator<Item = UserId>) -> Vec<StreamId> {
    std::iter::once(StreamId::Room(room)).chain(users.into_iter().map(StreamId::User)).collect()
}

impl Api {
    /// Which of these users exist; the others make the field wrong.
    pub(crate) async fn existing(&self, field: &'static str, users: &[UserId]) -> Result<(), Problem> {
        let known = self.reader.users(users.iter().copied()).await.map_err(problem::store)?;
        let there = |id| known.get(id).is_some_and(|user| user.row.deleted_at.is_none() && !user.row.is_service);
        if users.iter().all(there) { Ok(()) } else { Err(Problem::field(field, "names someone who does not exist")) }
    }

    /// Makes a room. Its maker is its first owner; a room that a server makes as itself has none.
    pub(crate) async fn create_room(&self, actor: Actor, body: CreateRoom) -> Result<Room, Problem> {
        let maker = actor.named();
        let mut fields = Fields::default();
        let name = fields.required("name", body.name, |name| text::line(name, MAX_NAME));
        let description = fields.optional("description", body.description, |text| text::lines(text, MAX_DESCRIPTION));
        let visibility = fields.required("visibility", body.visibility, Ok);
        let mut others = body.member_ids.unwrap_or_default();
        let mut seen: HashSet<UserId> = maker.into_iter().collect();
        others.retain(|user| seen.insert(*user));
        if others.len() >= MAX_FIRST_MEMBERS {
            fields.wrong("memberIds", format!("names fewer than {MAX_FIRST_MEMBERS} people"));
        }
        let (Some(name), Some(visibility)) = (name, visibility) else {
            return Err(fields.problem());
        };
        fields.finish()?;
        self.existing("memberIds", &others).await?;
        let default = match visibility {
            Visibility::Public => HistoryFrom::Start,
            Visibility::Private => HistoryFrom::Join,
        };
        let room = RoomRow {
            id: RoomId::new(),
            room_type: RoomType::Room,
            name: Some(name),
            description,
            visibility,
            history_from: body.history_from.unwrap_or(default),
            created_by: maker,
            created_at: clock::now(),
            conversation_key: None,
            deleted_at: None,
            deleted_by: None,
            version: 1,
        };
        let owner = maker.map(|maker| (maker, MemberRole::Owner));
        let members: Arc<[_]> =
            owner.into_iter().chain(others.iter().map(|user| (*user, MemberRole::Member))).collect();
        let made = render::room(&room, members.len() as u64, owner.map(|(_, role)| role));
        let streams = streams(room.id, members.iter().map(|(user, _)| *user));
        self.writer
            .change(streams, move |mut heads| {
                let planned = new_room(&room, &members, &mut heads);
                async { Ok(planned) }
            })
            .await?;
        Ok(made)
    }

    /// A room as an actor sees it: admins see every room, as they may delete it, and so do API keys.
    pub(crate) async fn acted_room(&self, actor: Actor, id: RoomId) -> Result<Seen, Problem> {
        self.room_if(actor.id, id, |room| is_public(room) || actor.is_admin() || actor.is_key()).await
    }

    /// A room that the caller can see: a public one, or one that they are in. Not remembered: read now.
    pub(crate) async fn seen_room(&self, user: UserId, id: RoomId) -> Result<Seen, Problem> {
        self.room_if(user, id, is_public).await
    }

    pub(super) async fn room_if(
        &self,
        user: UserId,
        id: RoomId,
        seen_by_others: impl Fn(&RoomRow) -> bool,
    ) -> Result<Seen, Problem> {
        let store = self.reader.store();
        let (ids, keys) = ([id], [(id, user)]);
        let (rooms, members) = tokio::try_join!(store.rooms(&ids), store.memberships(&keys)).map_err(problem::store)?;
        let (room, member_count) = rooms.into_iter().next().flatten().ok_or(Code::NotFound)?;
        let member = members.into_iter().next().flatten();
        if member.is_none() && !seen_by_others(&room) {
            return Err(Code::NotFound.into());
        }
        Ok(Seen { room, member_count, member })
    }

    /// The caller's membership, at most a second old; a room that they cannot see is not there.
    pub(crate) async fn membership(&self, user: UserId, room: RoomId) -> Result<MemberRow, Problem> {
        let found = self.reader.memberships(&[(room, user)]).await.map_err(problem::store)?;
        if let Some(member) = found.into_iter().next().flatten() {
            return Ok(member);
        }
        // They may have come in a moment ago.
        let seen = self.seen_room(user, room).await?;
        seen.member.ok_or_else(|| Code::NotAMember.into())
    }

    /// Lets someone into a public room. Nothing happens if they are in it.
    pub(crate) async fn join_room(&self, user: UserId, id: RoomId) -> Result<Room, Problem> {
        self.change(streams(id, [user]), move |api, mut heads| async move {
            let seen = api.seen_room(user, id).await?;
            let mut planned = Planned::nothing(());
            if seen.member.is_none() {
                api.admit(&seen.room, user, MemberRole::Member, &mut heads, &mut planned).await?;
            }
            Ok(planned)
        })
        .await?;
        let Seen { room, member_count, member } = self.seen_room(user, id).await?;
        Ok(render::room(&room, member_count, member.map(|member| member.role)))
    }

    /// Public rooms and the caller's own, newest first.
    pub(crate) async fn list_rooms(&self, user: UserId, name: &str, page: &Limited) -> Result<Page<Listed>, Problem> {
        let name = text::wanted(name, MAX_NAME).map_err(|message| Problem::field("q", message))?;
        let store = self.reader.store();
        let rooms = store.visible_rooms(user, &name, page.part()?, page.limit + 1).await.map_err(problem::store)?;
        let (rooms, more) = page.cut(rooms);
        let ends = rooms.first().zip(rooms.last()).map(|((first, _), (last, _))| (first.id, last.id));
        let beyond = match page.other_side(ends) {
            Some(part) => !store.visible_rooms(user, &name, part, 1).await.map_err(problem::store)?.is_empty(),
            None => false,
        };
        let (next, prev) = page.places(ends.as_ref(), more, beyond);
        let keys: Vec<_> = rooms.iter().map(|(room, _)| (room.id, user)).collect();
        let mut mine = self.reader.summaries(&keys).await.map_err(problem::store)?;
        let listed = rooms.into_iter().map(|(room, count)| match mine.remove(&(room.id, user)) {
            Some(summary) => Listed::Mine(Box::new(summary)),
            None => Listed::Public(render::room(&room, count, None)),
        });
        Ok(Page { items: listed.collect(), next, prev })
    }

    /// Members see who is in a room with them, and servers see it of every room.
    pub(crate) async fn check_sees_members(&self, actor: Actor, room: RoomId) -> Result<(), Problem> {
        if actor.is_key() {
            self.acted_room(actor, room).await.map(drop)
        } else {
            self.membership(actor.id, room).await.map(drop)
        }
    }

    /// Who is in a room, by username.
    pub(crate) async fn list_members(
        &self,
        actor: Actor,
        room: RoomId,
        page: &Limited,
    ) -> Result<Page<Member>, Problem> {
        self.check_sees_members(actor, room).await?;
        let part: Part<String> = page.part()?;
        let part = match &part {
            Part::First => Part::First,
            Part::After(key) => Part::After(key.as_str()),
            Part::Before(key) => Part::Before(key.as_str()),
        };
        let store = self.reader.store();
        let rows = store.members(room, part, page.limit + 1).await.map_err(problem::store)?;
        let (rows, more) = page.cut(rows);
        let ends = rows.first().zip(rows.last());
        let ends = ends.map(|((_, first), (_, last))| (first.username_key.as_str(), last.username_key.as_str()));
        let beyond = match page.other_side(ends) {
            Some(part) => !store.members(room, part, 1).await.map_err(problem::store)?.is_empty(),
            None => false,
        };
        let (next, prev) = page.places(ends.as_ref(), more, beyond);
        let online = self.online(rows.iter().map(|(_, user)| user)).await;
        let items = rows
            .iter()
            .map(|(member, user)| render::member(member, render::author(user), online.contains(&member.user)));
        Ok(Page { items: items.collect(), next, prev })
    }

    /// Everyone in a room, by username.
    pub(crate) async fn all_members(&self, room: RoomId) -> Result<Vec<UserRow>, StoreError> {
        let mut all = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let part = after.as_deref().map_or(Part::First, Part::After);
            let members = self.reader.store().members(room, part, MEMBERS_AT_ONCE).await?;
            let whole = members.len() == MEMBERS_AT_ONCE as usize;
            all.extend(members.into_iter().map(|(_, user)| user));
            if !whole {
                return Ok(all);
            }
            after = all.last().map(|user| user.username_key.clone());
        }
    }
}
