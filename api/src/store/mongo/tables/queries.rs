//! Reading the log.

use super::{CONCURRENT, Tables, documents, place};
use crate::store::{
    MAX_UNREAD, StoreError, Stretch,
    codec::{Code, in_order, signed},
    mongo::fields::{Fields, all, id},
    rows::{EntryRow, MessageRow},
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use mongodb::bson::{Bson, Document, RawDocumentBuf, doc};
use rookery_shared::{
    envelope::Kind,
    ids::{MessageId, RoomId, StreamId, UserId},
};
use std::collections::HashMap;

/// Client ids in one query, whose index bounds are every sender with every id: at most this number squared.
const KEYS_AT_ONCE: usize = 16;

/// Matches these client ids of these senders, and maybe those that one of them shares with another. A query for each
/// sender would be exact and, for a batch from a room of many, hundreds of queries.
fn any_of(room: RoomId, keys: &[(UserId, &str)]) -> Document {
    let mut senders: Vec<Bson> = keys.iter().map(|(sender, _)| id(sender.0).into()).collect();
    senders.dedup();
    let client_ids: Vec<Bson> = keys.iter().map(|(_, client_id)| (*client_id).into()).collect();
    let mut wanted = place(StreamId::Room(room));
    wanted.extend(doc! { "u": { "$in": senders }, "c": { "$in": client_ids } });
    wanted
}

/// Looks something up in the log for each of many streams, in one command whose answers come in the order asked.
/// `$documents` takes its values for expressions, so that only numbers and ids may be in it, never a client's text.
fn in_log(variables: Document, and: Vec<Bson>, plain: Document, then: Vec<Bson>, name: &str) -> Document {
    let mut place = doc! { "b": "$b", "s": "$s" };
    place.extend(variables);
    let mut equal = vec![doc! { "$eq": ["$b", "$$b"] }.into(), doc! { "$eq": ["$s", "$$s"] }.into()];
    equal.extend(and);
    let mut wanted = doc! { "$expr": { "$and": equal } };
    wanted.extend(plain);
    let mut pipeline: Vec<Bson> = vec![doc! { "$match": wanted }.into()];
    pipeline.extend(then);
    doc! { "$lookup": { "from": "log", "let": place, "pipeline": pipeline, "as": name } }
}

fn newest() -> [Bson; 2] {
    [doc! { "$sort": { "n": -1 } }.into(), doc! { "$limit": 1 }.into()]
}

impl Tables {
    pub(in crate::store::mongo) async fn heads(&self, streams: &[StreamId]) -> Result<Vec<u64>, StoreError> {
        if streams.is_empty() {
            return Ok(Vec::new());
        }
        let asked: Vec<Bson> = streams.iter().map(|stream| place(*stream).into()).collect();
        let [sort, limit] = newest();
        let then = vec![sort, limit, doc! { "$project": { "_id": 0, "n": 1 } }.into()];
        let pipeline = [doc! { "$documents": asked }, in_log(doc! {}, vec![], doc! {}, then, "head")];
        let cursor = self.database().aggregate(pipeline).with_type::<RawDocumentBuf>().await?;
        all(cursor, |fields| Ok(fields.first("head")?.map_or(Ok(0), |head| head.number("n"))?)).await
    }

    pub(in crate::store::mongo) async fn entries(
        &self,
        stream: StreamId,
        stretch: Stretch,
        limit: u32,
        messages_only: bool,
    ) -> Result<Vec<EntryRow>, StoreError> {
        let mut wanted = place(stream);
        let direction = match stretch {
            Stretch::After(seq) => {
                wanted.insert("n", doc! { "$gt": signed(seq) });
                1
            }
            Stretch::Before(seq) => {
                wanted.insert("n", doc! { "$lt": signed(seq) });
                -1
            }
            Stretch::Newest => -1,
        };
        if messages_only {
            wanted.insert("k", Kind::Message.code());
        }
        // Read in one direction along the index, and cut to the newest state at any point, the stretch has no holes:
        // entries are only ever added at the end.
        let cursor = self
            .log
            .find(wanted)
            .sort(doc! { "n": direction })
            .limit(i64::from(limit.max(1)))
            .batch_size(limit.max(2))
            .await?;
        let mut found = all(cursor, |fields| Ok(documents::entry(stream, fields)?)).await?;
        if direction < 0 {
            found.reverse();
        }
        Ok(found)
    }

    pub(in crate::store::mongo) async fn messages_by_client_id(
        &self,
        keys: &[(RoomId, UserId, String)],
    ) -> Result<Vec<Option<MessageRow>>, StoreError> {
        let mut by_room: HashMap<RoomId, Vec<(UserId, &str)>> = HashMap::new();
        for (room, sender, client_id) in keys {
            by_room.entry(*room).or_default().push((*sender, client_id));
        }
        let mut queries = Vec::new();
        for (room, mut wanted) in by_room {
            wanted.sort_unstable();
            queries.extend(wanted.chunks(KEYS_AT_ONCE).map(|keys| self.messages_where(any_of(room, keys))));
        }
        let found: Vec<_> = stream::iter(queries).buffer_unordered(CONCURRENT).try_collect().await?;
        let found = found.into_iter().flatten();
        let found = found.map(|message| ((message.room, message.sender, message.client_id.clone()), message)).collect();
        Ok(in_order(keys.iter().cloned(), &found))
    }

    pub(in crate::store::mongo) async fn messages(
        &self,
        ids: &[MessageId],
    ) -> Result<Vec<Option<MessageRow>>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let wanted: Vec<Bson> = ids.iter().map(|message| id(message.0).into()).collect();
        let found = self.messages_where(doc! { "_id": { "$in": wanted }, "k": Kind::Message.code() }).await?;
        Ok(in_order(ids.iter().copied(), &found.into_iter().map(|message| (message.id, message)).collect()))
    }

    async fn messages_where(&self, wanted: Document) -> Result<Vec<MessageRow>, StoreError> {
        all(self.log.find(wanted).await?, |fields| Ok(documents::message(fields)?)).await
    }

    pub(in crate::store::mongo) async fn messages_since(
        &self,
        message: MessageId,
        limit: u32,
    ) -> Result<Vec<MessageRow>, StoreError> {
        let later = doc! { "_id": { "$gt": id(message.0) }, "k": Kind::Message.code() };
        let cursor = self.log.find(later).sort(doc! { "_id": 1 }).limit(i64::from(limit.max(1))).await?;
        all(cursor, |fields| Ok(documents::message(fields)?)).await
    }

    pub(in crate::store::mongo) async fn last_and_unread(
        &self,
        of: &[(RoomId, UserId, u64, u64)],
    ) -> Result<Vec<(Option<MessageRow>, u64)>, StoreError> {
        if of.is_empty() {
            return Ok(Vec::new());
        }
        let asked: Vec<Bson> = of
            .iter()
            .map(|(room, user, from, after)| {
                let mut asked = place(StreamId::Room(*room));
                asked.extend(doc! { "user": id(user.0), "from": signed(*from), "after": signed(*after) });
                asked.into()
            })
            .collect();
        let message = Kind::Message.code();
        let last = in_log(
            doc! { "from": "$from" },
            vec![doc! { "$gte": ["$n", "$$from"] }.into()],
            doc! { "k": message },
            newest().into(),
            "last",
        );
        let unread = in_log(
            doc! { "after": "$after", "user": "$user" },
            vec![doc! { "$gt": ["$n", "$$after"] }.into(), doc! { "$ne": ["$u", "$$user"] }.into()],
            doc! { "k": message, "d": null },
            vec![doc! { "$limit": i64::from(MAX_UNREAD) }.into(), doc! { "$count": "count" }.into()],
            "unread",
        );
        let pipeline = [doc! { "$documents": asked }, last, unread];
        let cursor = self.database().aggregate(pipeline).with_type::<RawDocumentBuf>().await?;
        let message = |fields: Option<Fields<'_>>| fields.map(documents::message).transpose();
        all(cursor, |fields| {
            let count = fields.first("unread")?.map_or(Ok(0), |unread| unread.number("count"))?;
            Ok((message(fields.first("last")?)?, count))
        })
        .await
    }
}
