//! Searching messages: where someone may look, what answers, and in which order.
//!
//! The store finds messages that have the words, newest first; each is looked at again as it is now. Newest first is the
//! store's order. For relevance the newest that match are ranked here: a rank that the store would know would have to be
//! the same in both.

use crate::{
    actor::Actor,
    app::Api,
    paging::{Cursor, Limited, Params},
    problem,
    search::{Highlight, Query},
    store::{Part, SearchQuery, rows::MessageRow},
    text::{self, Fields},
};
use rookery_shared::{
    clock::Time,
    ids::{MessageId, RoomId, UserId},
    model::{Message, Page},
    protocol::Problem,
};
use serde::Serialize;
use serde_json::Value;
use std::{borrow::Cow, str::FromStr};
use utoipa::ToSchema;
use uuid::Uuid;

/// Rooms that are looked through, those that someone joined last before others.
const MAX_ROOMS: u32 = 5_000;

/// Most characters of what is looked for.
const MAX_QUERY: usize = 256;

/// The newest matches that are ranked, unless together they have more content than this.
const RANKED: usize = 1_000;
const RANKED_BYTES: usize = 1 << 20;

/// Messages that the store is asked for at once, at least, and how often for one page of the newest. Nearly all that it
/// finds answer; a query is not to read a whole history where they do not.
const LOOK: u32 = 50;
const LOOKS: usize = 20;

/// A message that was found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FoundMessage {
    #[serde(flatten)]
    message: Message,
    /// What of its content answers, in order.
    highlights: Vec<Highlight>,
}

/// In which order messages are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Relevance,
    Newest,
}

/// Where a message stands among the newest.
type Place = (Time, MessageId);

/// Where it stands among the most relevant, and the newest one that was ranked with it: what is said while someone turns
/// pages does not move them.
type Rank = (u32, Place, Place);

/// A message that answers.
struct Found {
    row: MessageRow,
    score: u32,
    highlights: Vec<Highlight>,
}

impl Found {
    fn place(&self) -> Place {
        place(&self.row)
    }
}

fn place(row: &MessageRow) -> Place {
    (row.created_at, row.id)
}

/// A page of what was found, and the cursors on both sides.
type Shown = (Vec<Found>, Option<String>, Option<String>);

/// What is looked for, as the parameters say it.
struct Wanted {
    query: Query,
    room: Option<RoomId>,
    sender: Option<UserId>,
    since: Option<Time>,
    until: Option<Time>,
    order: Order,
    page: Limited,
}

impl Wanted {
    fn read(params: &Params) -> Result<Self, Problem> {
        let mut fields = Fields::default();
        let given = |name: &str| params.0.get(name).map(String::as_str);
        let query = fields.required("q", given("q"), |text| {
            let text = text::wanted(text, MAX_QUERY)?;
            if text.is_empty() { Err("has 1 to 256 characters".into()) } else { Ok(Query::parse(&text)) }
        });
        let room = fields.optional("roomId", given("roomId"), |text| id(text, "is the id of a room"));
        let sender = fields.optional("from", given("from"), |text| id(text, "is the id of a user"));
        let since = fields.optional("since", given("since"), time);
        let until = fields.optional("until", given("until"), time);
        let order = fields.optional("sort", given("sort"), |text| match text {
            "relevance" => Ok(Order::Relevance),
            "newest" => Ok(Order::Newest),
            _ => Err("is relevance or newest".into()),
        });
        let Some(query) = query else { return Err(fields.problem()) };
        fields.finish()?;
        let order = order.unwrap_or(Order::Relevance);
        Ok(Self { query, room, sender, since, until, order, page: params.page()? })
    }

    /// What the store is asked for.
    fn in_rooms(&self, mut rooms: Vec<(RoomId, u64)>) -> SearchQuery {
        rooms.sort_unstable();
        SearchQuery {
            rooms,
            words: self.query.wanted(),
            sender: self.sender,
            since: self.since,
            until: self.until,
            part: Part::First,
            limit: LOOK,
        }
    }

    /// The message with what answers, if it does. The store has looked at the rest as well; that nobody sees what they
    /// may not see is not left to one place.
    fn answer(&self, asked: &SearchQuery, row: MessageRow) -> Option<Found> {
        let place = asked.rooms.binary_search_by_key(&row.room, |(room, _)| *room).ok()?;
        let (_, from) = asked.rooms.get(place)?;
        if row.deleted_at.is_some() || row.seq < *from {
            return None;
        }
        let answer = self.query.answer(&row.content)?;
        Some(Found { row, score: answer.score, highlights: answer.highlights })
    }
}

fn id<T: FromStr>(text: &str, expected: &'static str) -> Result<T, Cow<'static, str>> {
    text.parse().map_err(|_| expected.into())
}

fn time(text: &str) -> Result<Time, Cow<'static, str>> {
    serde_json::from_value(Value::from(text)).map_err(|_| "is an RFC 3339 time like 2026-01-31T12:00:00Z".into())
}

/// Before this place there is everything from that message on.
fn from(anchor: Place) -> Part<Place> {
    let (at, MessageId(id)) = anchor;
    Part::After((at, MessageId(Uuid::from_u128(id.as_u128().saturating_add(1)))))
}

impl Api {
    /// Messages that someone may see and that have all the words.
    pub(crate) async fn search_messages(&self, reader: Actor, params: &Params) -> Result<Page<FoundMessage>, Problem> {
        let wanted = Wanted::read(params)?;
        let rooms = match wanted.room {
            Some(room) => vec![(room, self.readable_from(reader, room).await?)],
            None => self.reader.store().places_of(reader.user()?, MAX_ROOMS).await.map_err(problem::store)?,
        };
        let base = wanted.in_rooms(rooms);
        let (found, next, prev) = match wanted.order {
            Order::Newest => self.newest(&wanted, &base).await?,
            Order::Relevance => self.ranked(&wanted, &base).await?,
        };
        let (rows, highlights): (Vec<_>, Vec<_>) = found.into_iter().map(|found| (found.row, found.highlights)).unzip();
        let messages = self.messages(rows).await?.into_iter().zip(highlights);
        let items = messages.map(|(message, highlights)| FoundMessage { message, highlights }).collect();
        Ok(Page { items, next, prev })
    }

    async fn look(&self, base: &SearchQuery, part: Part<Place>, limit: u32) -> Result<Vec<MessageRow>, Problem> {
        // Nothing to look for is in no message.
        if base.rooms.is_empty() || base.words.is_empty() {
            return Ok(Vec::new());
        }
        let query = SearchQuery { part, limit, ..base.clone() };
        self.reader.store().search(&query).await.map_err(problem::store)
    }

    /// A page of what answers in the store's order.
    async fn newest(&self, wanted: &Wanted, base: &SearchQuery) -> Result<Shown, Problem> {
        let page = &wanted.page;
        let (back, limit) = (page.before.is_some(), page.limit as usize);
        let at_once = LOOK.max(page.limit + 1);
        let mut part = page.part::<Place>()?;
        let (mut found, mut stopped) = (Vec::new(), None);
        for look in 1..=LOOKS {
            let rows = self.look(base, part, at_once).await?;
            let edge = if back { rows.first() } else { rows.last() }.map(place);
            let ended = rows.len() < at_once as usize;
            let answers = rows.into_iter().filter_map(|row| wanted.answer(base, row));
            if back {
                drop(found.splice(0..0, answers));
            } else {
                found.extend(answers);
            }
            let Some(edge) = edge.filter(|_| !ended && found.len() <= limit) else { break };
            stopped = (look == LOOKS).then(|| Cursor::encode(&edge));
            part = if back { Part::Before(edge) } else { Part::After(edge) };
        }
        let (found, more) = page.cut(found);
        let ends = found.first().zip(found.last()).map(|(first, last)| (first.place(), last.place()));
        let beyond = match page.other_side(ends) {
            Some(part) => !self.look(base, part, 1).await?.is_empty(),
            None => false,
        };
        let (next, prev) = page.places(ends.as_ref(), more, beyond);
        // Where looking stopped before anything was found, the next page goes on.
        Ok(if back { (found, next, stopped.or(prev)) } else { (found, stopped.or(next), prev) })
    }

    /// A page of the newest that answer, ranked.
    async fn ranked(&self, wanted: &Wanted, base: &SearchQuery) -> Result<Shown, Problem> {
        let page = &wanted.page;
        let cursor = page.after.as_ref().or(page.before.as_ref());
        let cursor: Option<Rank> = cursor.map(Cursor::decode).transpose()?;
        let mut anchor = cursor.map(|(_, _, anchor)| anchor);
        let mut part = anchor.map_or(Part::First, from);
        let (mut found, mut seen, mut bytes) = (Vec::new(), 0, 0);
        while seen < RANKED && bytes < RANKED_BYTES {
            let rows = self.look(base, part, LOOK * 4).await?;
            anchor = anchor.or(rows.first().map(place));
            let Some(last) = rows.last().map(place) else { break };
            let ended = rows.len() < LOOK as usize * 4;
            seen += rows.len();
            bytes += rows.iter().map(|row| row.content.len()).sum::<usize>();
            found.extend(rows.into_iter().filter_map(|row| wanted.answer(base, row)));
            if ended {
                break;
            }
            part = Part::After(last);
        }
        let Some(anchor) = anchor else { return Ok((found, None, None)) };
        let rank = |found: &Found| -> Rank { (found.score, found.place(), anchor) };
        found.sort_by_key(|found| std::cmp::Reverse(rank(found)));
        let (shown, next, prev) = page.of_descending(found, rank)?;
        Ok((shown, next.as_ref().map(Cursor::encode), prev.as_ref().map(Cursor::encode)))
    }
}
