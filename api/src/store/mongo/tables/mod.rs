//! One module per collection: how a row becomes a document and a document a row, and every query on it.

mod documents;
mod log;
mod members;
mod queries;
mod rooms;
mod sessions;
mod users;

use mongodb::{
    Client, Collection, Database,
    bson::{Document, RawDocumentBuf},
};

/// The collections. What is read stays in the server's bytes until it becomes a row.
pub(super) struct Tables {
    database: Database,
    pub(super) users: Collection<RawDocumentBuf>,
    pub(super) sessions: Collection<RawDocumentBuf>,
    pub(super) rooms: Collection<RawDocumentBuf>,
    pub(super) members: Collection<RawDocumentBuf>,
    pub(super) log: Collection<RawDocumentBuf>,
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
}

/// The same collection, for writing documents that were put together field by field.
fn writable(collection: &Collection<RawDocumentBuf>) -> Collection<Document> {
    collection.clone_with_type()
}
