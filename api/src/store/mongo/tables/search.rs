//! The words of messages. Like the log's, the fields have short names: `_id` is the message's id, `s` its room, `n` its
//! place, `u` who wrote it, `t` when it was stored, and `w` its words.

use super::{CONCURRENT, Tables, begins_with, writable};
use crate::store::{
    IndexedMessage, Part, SearchQuery, StoreError, WantedWord,
    codec::signed,
    mongo::{
        fields::{all, date, id},
        transaction::Stop,
    },
    rows::MessageRow,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use mongodb::{
    ClientSession,
    bson::{Bson, Document, doc},
};
use rookery_shared::{
    clock::Time,
    ids::{MessageId, RoomId},
};

/// Rooms of one query. The server reads so many stretches of an index side by side, newest first, and stops when it has
/// enough; of more than 200 it would read everything and sort it.
const ROOMS_AT_ONCE: usize = 100;

fn write(message: &IndexedMessage) -> Document {
    doc! {
        "_id": id(message.id.0),
        "s": id(message.room.0),
        "n": signed(message.seq),
        "u": id(message.sender.0),
        "t": date(message.created_at),
        "w": &message.words,
    }
}

fn word(wanted: &WantedWord) -> Document {
    if wanted.prefix {
        doc! { "w": { "$elemMatch": begins_with(&wanted.text) } }
    } else {
        doc! { "w": &wanted.text }
    }
}

/// What a message must be like in whichever room.
fn conditions(query: &SearchQuery) -> Vec<Document> {
    let mut all: Vec<Document> = query.words.iter().map(word).collect();
    if let Some(sender) = query.sender {
        all.push(doc! { "u": id(sender.0) });
    }
    if let Some(since) = query.since {
        all.push(doc! { "t": { "$gte": date(since) } });
    }
    if let Some(until) = query.until {
        all.push(doc! { "t": { "$lt": date(until) } });
    }
    let side = match query.part {
        Part::First => return all,
        Part::After(place) => (("$lte", "$lt"), place),
        Part::Before(place) => (("$gte", "$gt"), place),
    };
    let ((at_most, beyond), (time, message)) = side;
    all.push(doc! { "t": { at_most: date(time) } });
    all.push(doc! { "$or": [{ "t": { beyond: date(time) } }, { "_id": { beyond: id(message.0) } }] });
    all
}

/// Matches what the query looks for in these rooms. Each branch has all conditions, so that each is read by an index.
fn wanted(rooms: &[(RoomId, u64)], conditions: &[Document]) -> Document {
    let whole = rooms.iter().filter(|(_, from)| *from <= 1).map(|(room, _)| Bson::from(id(room.0)));
    let whole: Vec<Bson> = whole.collect();
    let clipped = rooms.iter().filter(|(_, from)| *from > 1);
    let clipped = clipped.map(|(room, from)| doc! { "s": id(room.0), "n": { "$gte": signed(*from) } });
    let whole = (!whole.is_empty()).then(|| doc! { "s": { "$in": whole } });
    let branches: Vec<Document> = whole
        .into_iter()
        .chain(clipped)
        .map(|mut branch| {
            branch.insert("$and", conditions);
            branch
        })
        .collect();
    doc! { "$or": branches }
}

impl Tables {
    pub(in crate::store::mongo) async fn index(&self, messages: &[IndexedMessage]) -> Result<(), StoreError> {
        let (worded, wordless): (Vec<_>, Vec<_>) = messages.iter().partition(|message| !message.words.is_empty());
        if !wordless.is_empty() {
            let gone: Vec<Bson> = wordless.into_iter().map(|message| id(message.id.0).into()).collect();
            self.search.delete_many(doc! { "_id": { "$in": gone } }).await?;
        }
        let worded = worded.into_iter().map(|message| write(message).into()).collect();
        self.merge(worded, "search", ("replace", "insert")).await
    }

    /// The same for one message, with what is committed together.
    pub(super) async fn index_with(&self, session: &mut ClientSession, message: &IndexedMessage) -> Result<(), Stop> {
        let one = doc! { "_id": id(message.id.0) };
        if message.words.is_empty() {
            self.search.delete_one(one).session(session).await?;
        } else {
            writable(&self.search).replace_one(one, write(message)).upsert(true).session(session).await?;
        }
        Ok(())
    }

    pub(in crate::store::mongo) async fn find_messages(
        &self,
        query: &SearchQuery,
    ) -> Result<Vec<MessageRow>, StoreError> {
        if query.words.is_empty() {
            return Ok(Vec::new());
        }
        let (mut query, limit) = (query.clone(), query.limit.max(1) as usize);
        let mut found = Vec::new();
        loop {
            let hits = self.hits(&query, limit).await?;
            let ids: Vec<MessageId> = hits.iter().map(|(_, message)| *message).collect();
            let messages = self.messages(&ids).await?.into_iter().flatten();
            found.extend(messages.filter(|message| message.deleted_at.is_none()));
            // Words of what is gone may still be there; a page is not short because of them.
            if hits.len() < limit || found.len() >= limit {
                found.truncate(limit);
                if matches!(query.part, Part::Before(_)) {
                    found.reverse();
                }
                return Ok(found);
            }
            let Some(last) = hits.last().copied() else { return Ok(found) };
            query.part = match query.part {
                Part::First | Part::After(_) => Part::After(last),
                Part::Before(_) => Part::Before(last),
            };
        }
    }

    /// The first that match in the direction of the query's part.
    async fn hits(&self, query: &SearchQuery, limit: usize) -> Result<Vec<(Time, MessageId)>, StoreError> {
        let conditions = conditions(query);
        let rooms = query.rooms.chunks(ROOMS_AT_ONCE);
        let direction = if matches!(query.part, Part::Before(_)) { 1 } else { -1 };
        let queries = rooms.map(|rooms| self.hits_in(wanted(rooms, &conditions), direction, query.limit));
        let queries: Vec<_> = queries.collect();
        let found: Vec<_> = stream::iter(queries).buffer_unordered(CONCURRENT).try_collect().await?;
        let mut hits: Vec<_> = found.into_iter().flatten().collect();
        hits.sort_unstable_by(|one, other| if direction < 0 { other.cmp(one) } else { one.cmp(other) });
        hits.truncate(limit);
        Ok(hits)
    }

    async fn hits_in(
        &self,
        wanted: Document,
        direction: i32,
        limit: u32,
    ) -> Result<Vec<(Time, MessageId)>, StoreError> {
        let sorted = self.search.find(wanted).sort(doc! { "t": direction, "_id": direction });
        let cursor = sorted.limit(i64::from(limit.max(1))).projection(doc! { "t": 1 }).await?;
        all(cursor, |fields| Ok((fields.time("t")?, MessageId(fields.id("_id")?)))).await
    }
}
