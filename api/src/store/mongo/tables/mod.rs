//! One module per collection: how a row becomes a document and a document a row, and every query on it.

mod documents;
mod log;
mod members;
mod purge;
mod queries;
mod reads;
mod records;
mod rooms;
mod search;
mod sessions;
mod users;

use super::fields::id;
use crate::store::{Part, StoreError};
use mongodb::{
    Client, Collection, Database,
    bson::{Bson, Document, RawDocumentBuf, doc},
};
use rookery_shared::ids::StreamId;
use std::collections::HashMap;
use uuid::Uuid;

/// Small queries of one call that are under way at the same time.
const CONCURRENT: usize = 8;

/// The collections. What is read stays in the server's bytes until it becomes a row.
pub(super) struct Tables {
    database: Database,
    pub(super) users: Collection<RawDocumentBuf>,
    pub(super) sessions: Collection<RawDocumentBuf>,
    pub(super) rooms: Collection<RawDocumentBuf>,
    pub(super) members: Collection<RawDocumentBuf>,
    pub(super) log: Collection<RawDocumentBuf>,
    pub(super) reads: Collection<RawDocumentBuf>,
    pub(super) records: Collection<RawDocumentBuf>,
    pub(super) search: Collection<RawDocumentBuf>,
}

impl Tables {
    /// The collections of a database.
    pub(super) fn of(database: Database) -> Self {
        Self {
            users: database.collection("users"),
            sessions: database.collection("sessions"),
            rooms: database.collection("rooms"),
            members: database.collection("members"),
            log: database.collection("log"),
            reads: database.collection("reads"),
            records: database.collection("records"),
            search: database.collection("search"),
            database,
        }
    }

    pub(super) fn client(&self) -> &Client {
        self.database.client()
    }

    pub(super) fn database(&self) -> &Database {
        &self.database
    }

    /// What there is one of: the epoch, the mark of the last check.
    pub(super) fn meta(&self) -> Collection<Document> {
        self.database.collection("meta")
    }

    /// Writes documents by their `_id`, all in one command; `actions` are those of `$merge`, for what is there and for
    /// what is not. The driver's own bulk needs a newer server than anything else here.
    async fn merge(&self, documents: Vec<Bson>, into: &str, (there, missing): (&str, &str)) -> Result<(), StoreError> {
        if documents.is_empty() {
            return Ok(());
        }
        // Without `$literal`, a text that begins with a dollar sign would be taken for an expression.
        let pipeline = [
            doc! { "$documents": { "$literal": documents } },
            doc! { "$merge": { "into": into, "on": "_id", "whenMatched": there, "whenNotMatched": missing } },
        ];
        self.database.aggregate(pipeline).await?;
        Ok(())
    }
}

/// What names a stream in a query of the log.
fn place(stream: StreamId) -> Document {
    doc! { "b": i32::from(stream.bucket()), "s": id(stream.uuid()) }
}

/// The update that makes a document this one, but keeps of the old one what `kept` computes from it.
fn over(now: Document, kept: Document) -> Document {
    doc! { "$replaceWith": { "$mergeObjects": [{ "$literal": now }, kept] } }
}

/// How a part of a list is read.
struct Paging {
    /// What the key must be like; empty at the beginning, where a condition would only draw the server to its index.
    key: Document,
    /// In which direction of the key.
    direction: i32,
    backwards: bool,
}

impl Paging {
    /// Of a list that goes in this direction of its key, 1 or -1.
    fn of(part: Part<impl Into<Bson>>, direction: i32) -> Self {
        let (follows, precedes) = if direction > 0 { ("$gt", "$lt") } else { ("$lt", "$gt") };
        match part {
            Part::First => Self { key: doc! {}, direction, backwards: false },
            Part::After(key) => Self { key: doc! { follows: key }, direction, backwards: false },
            Part::Before(key) => Self { key: doc! { precedes: key }, direction: -direction, backwards: true },
        }
    }

    /// Narrows what is wanted down to the part, by the field that holds the key.
    fn narrow(&self, mut wanted: Document, field: &str) -> Document {
        if !self.key.is_empty() {
            wanted.insert(field, self.key.clone());
        }
        wanted
    }

    /// What was found, in the order of the list.
    fn in_order<T>(&self, mut found: Vec<T>) -> Vec<T> {
        if self.backwards {
            found.reverse();
        }
        found
    }
}

/// Matches texts that begin with this one: an index finds them as one range.
fn begins_with(prefix: &str) -> Document {
    doc! { "$gte": prefix, "$lt": format!("{prefix}\u{10FFFF}") }
}

/// The same collection, for writing documents that were put together field by field.
fn writable(collection: &Collection<RawDocumentBuf>) -> Collection<Document> {
    collection.clone_with_type()
}

/// Matches exactly these pairs, with one branch per value of the first field, or of the second where those are fewer.
/// Authorising a batch asks for many people of a few rooms, a list of rooms for one person in many.
fn any_of(fields: (&str, &str), pairs: &[(Uuid, Uuid)]) -> Vec<Document> {
    let mut by_first: HashMap<Uuid, Vec<Bson>> = HashMap::new();
    let mut by_second: HashMap<Uuid, Vec<Bson>> = HashMap::new();
    for (first, second) in pairs {
        by_first.entry(*first).or_default().push(id(*second).into());
        by_second.entry(*second).or_default().push(id(*first).into());
    }
    let (one, many, groups) = if by_first.len() <= by_second.len() {
        (fields.0, fields.1, by_first)
    } else {
        (fields.1, fields.0, by_second)
    };
    groups.into_iter().map(|(key, others)| doc! { one: id(key), many: { "$in": others } }).collect()
}
