//! Conversations: the one room of exactly these people and this type.

use super::{
    hidden::show,
    rooms::{new_room, streams},
};
use crate::{
    actor::{Actor, ActorKind},
    app::Api,
    paging::{Cursor, Limited, Params},
    problem,
    store::{
        MembershipOf,
        rows::{MemberRow, RoomRow},
    },
    writer::Planned,
};
use rookery_shared::{
    clock,
    ids::{RoomId, UserId},
    model::{HistoryFrom, MemberRole, Message, OpenedConversation, Page, RoomSummary, RoomType, UserType, Visibility},
    protocol::{Code, Problem},
};
use serde::Deserialize;
use std::{sync::Arc, time::Instant};
use utoipa::ToSchema;

/// Most people in a conversation.
pub(super) const MAX_PEOPLE: usize = 50;

/// Rooms of a user that are looked through for their conversations.
const MAX_ROOMS: u32 = 1_000;

/// The sort of a conversation.
#[derive(ToSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(dead_code, reason = "describes what is read as a RoomType")]
enum ConversationType {
    ConsumerToConsumer,
    ConsumerToSupport,
}

/// The body of `POST /conversations`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OpenConversation {
    /// The others; in any order, and the caller may be among them.
    #[schema(value_type = Vec<UserId>, min_items = 1)]
    user_ids: Option<Vec<UserId>>,
    /// `consumer-to-consumer` if absent; `consumer-to-support` needs someone of support among them.
    #[serde(rename = "type")]
    #[schema(value_type = Option<ConversationType>)]
    conversation_type: Option<RoomType>,
}

/// The key of a conversation: its type and its people, in one order.
fn key(conversation_type: RoomType, people: &[UserId]) -> String {
    let people: Vec<String> = people.iter().map(|user| user.0.simple().to_string()).collect();
    format!("{}:{}", conversation_type.as_str(), people.join(","))
}

fn sorted(mut people: Vec<UserId>) -> Vec<UserId> {
    people.sort_unstable();
    people.dedup();
    people
}

impl Api {
    /// Opens the conversation of the caller and others.
    pub(crate) async fn open_conversation(
        &self,
        caller: UserId,
        body: OpenConversation,
    ) -> Result<OpenedConversation, Problem> {
        let others = body.user_ids.ok_or_else(|| Problem::field("userIds", "is required"))?;
        let conversation_type = body.conversation_type.unwrap_or(RoomType::ConsumerToConsumer);
        if !conversation_type.is_conversation() {
            return Err(Problem::field("type", "is consumer-to-consumer or consumer-to-support"));
        }
        let people = sorted(others.into_iter().chain([caller]).collect());
        if people.len() < 2 {
            return Err(Problem::field("userIds", "names someone else"));
        }
        if people.len() > MAX_PEOPLE {
            return Err(Problem::field("userIds", format!("makes at most {MAX_PEOPLE} people")));
        }
        self.existing("userIds", &people).await?;
        self.refuse_blocked(caller, &people).await?;
        let (id, is_new) = self.conversation(caller, people, conversation_type).await?;
        let summaries = self.reader.summaries(&[(id, caller)]).await.map_err(problem::store)?;
        let summary = summaries.into_values().next().ok_or(Code::Unavailable)?;
        Ok(OpenedConversation { summary, is_new })
    }

    /// The conversation of exactly these people, made if it is not there; whether it was made now.
    async fn conversation(
        &self,
        maker: UserId,
        people: Vec<UserId>,
        conversation_type: RoomType,
    ) -> Result<(RoomId, bool), Problem> {
        if conversation_type == RoomType::ConsumerToSupport {
            let users = self.reader.users(people.iter().copied()).await.map_err(problem::store)?;
            if !users.values().any(|user| user.row.user_type == UserType::Support) {
                return Err(Problem::field("userIds", "names someone of support"));
            }
        }
        let key = key(conversation_type, &people);
        let room = RoomRow {
            id: RoomId::new(),
            room_type: conversation_type,
            name: None,
            description: None,
            visibility: Visibility::Private,
            history_from: HistoryFrom::Start,
            created_by: Some(maker),
            created_at: clock::now(),
            conversation_key: Some(key.clone()),
            deleted_at: None,
            deleted_by: None,
            version: 1,
        };
        let streams = streams(room.id, people.iter().copied());
        let members: Arc<[_]> = people.into_iter().map(|user| (user, MemberRole::Member)).collect();
        let api = self.clone();
        self.writer
            .change(streams, move |mut heads| {
                let (api, key, members, room) = (api.clone(), key.clone(), members.clone(), room.clone());
                async move {
                    // Two at once: the slower one finds the key taken, comes here again, and finds the other's.
                    let found = api.reader.store().conversation(&key).await.map_err(problem::store)?;
                    if let Some(found) = found {
                        let mut planned = Planned::nothing((found.id, false));
                        if let Some(member) = api.member_now(found.id, maker).await? {
                            show(&member, &mut heads, &mut planned);
                        }
                        return Ok(planned);
                    }
                    let id = room.id;
                    let Planned { entries, ops, value: () } = new_room(&room, &members, &mut heads);
                    Ok(Planned { entries, ops, value: (id, true) })
                }
            })
            .await
    }

    /// What two people have said to one another; nothing, if they never talked.
    pub(crate) async fn history_with(
        &self,
        caller: UserId,
        other: UserId,
        params: &Params,
    ) -> Result<Page<Message>, Problem> {
        if !self.is_person(other).await? {
            return Err(Code::NotFound.into());
        }
        let people = sorted(vec![caller, other]);
        for conversation_type in [RoomType::ConsumerToConsumer, RoomType::ConsumerToSupport] {
            let found = self.reader.store().conversation(&key(conversation_type, &people)).await;
            if let Some(found) = found.map_err(problem::store)? {
                let reader = Actor { id: caller, kind: ActorKind::User };
                return self.history(reader, found.id, params).await;
            }
        }
        // What is wrong with the request is wrong whether they talked or not.
        params.limit()?;
        params.number("before")?;
        params.number("after")?;
        Ok(Page { items: Vec::new(), next: None, prev: None })
    }

    /// The conversation of two, where there is one; at most a second old.
    pub(crate) async fn conversation_between(&self, one: UserId, other: UserId) -> Result<Option<RoomId>, Problem> {
        let key = key(RoomType::ConsumerToConsumer, &sorted(vec![one, other]));
        if let Some(room) = self.conversations.get(&key) {
            return Ok(Some(room));
        }
        let read_at = Instant::now();
        let found = self.reader.store().conversation(&key).await.map_err(problem::store)?;
        if let Some(room) = &found {
            self.conversations.put(key, room.id, read_at);
        }
        Ok(found.map(|room| room.id))
    }

    /// The conversation of two, made if it is not there.
    pub(crate) async fn conversation_with(&self, one: UserId, other: UserId) -> Result<RoomId, Problem> {
        if one == other {
            return Err(Problem::field("to", "is someone else"));
        }
        if let Some(room) = self.conversation_between(one, other).await? {
            return Ok(room);
        }
        self.existing("to", &[other]).await?;
        self.not_blocked(one, other).await?;
        let people = sorted(vec![one, other]);
        Ok(self.conversation(one, people, RoomType::ConsumerToConsumer).await?.0)
    }

    /// The caller's conversations, the one with the newest activity first.
    pub(crate) async fn list_conversations(
        &self,
        caller: UserId,
        page: &Limited,
    ) -> Result<Page<RoomSummary>, Problem> {
        self.list_own(caller, page, |of| of.room.room_type.is_conversation()).await
    }

    /// Everything that a user is in, rooms and conversations, to themselves, admins and servers.
    pub(crate) async fn rooms_of_user(
        &self,
        actor: Actor,
        user: UserId,
        page: &Limited,
    ) -> Result<Page<RoomSummary>, Problem> {
        if !self.is_person(user).await? {
            return Err(Code::NotFound.into());
        }
        if actor.id != user && !actor.is_admin() && !actor.is_key() {
            return Err(Problem::new(Code::Forbidden, "Only they themselves see what someone is in"));
        }
        self.list_own(user, page, |_| true).await
    }

    /// A page of what someone is in, the newest activity first; hidden conversations are left out.
    async fn list_own(
        &self,
        user: UserId,
        page: &Limited,
        wanted: impl Fn(&MembershipOf) -> bool,
    ) -> Result<Page<RoomSummary>, Problem> {
        let all = self.reader.store().rooms_of(user, MAX_ROOMS).await.map_err(problem::store)?;
        let mut all: Vec<MembershipOf> = all.into_iter().filter(wanted).collect();
        let hiding: Vec<&MemberRow> = all.iter().map(|of| &of.member).filter(|member| member.hidden_seq > 0).collect();
        let hidden = self.hidden_of(&hiding).await?;
        all.retain(|of| !hidden.contains(&of.room.id));
        all.sort_by_key(|of| std::cmp::Reverse(place(of)));
        let (shown, next, prev) = page.of_descending(all, place)?;
        let rows: Vec<(MemberRow, RoomRow, u64)> =
            shown.into_iter().map(|of| (of.member, of.room, of.member_count)).collect();
        let summaries = self.reader.summaries_of(rows).await.map_err(problem::store)?;
        let items = summaries.into_iter().map(|(_, summary)| summary).collect();
        Ok(Page { items, next: next.as_ref().map(Cursor::encode), prev: prev.as_ref().map(Cursor::encode) })
    }
}

/// Where a conversation stands in the list.
fn place(of: &MembershipOf) -> (i64, RoomId) {
    (of.last_activity_at.0, of.room.id)
}
