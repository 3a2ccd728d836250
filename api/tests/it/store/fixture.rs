//! An empty store of either sort, and rows to put into it.

use super::hooked::{Hook, Hooked};
use mongodb::bson::{Document, Uuid, doc};
use rookery_api::store::{
    Op, SharedStore, StoreError,
    mongo::MongoStore,
    rows::{EntryRow, MemberRow, MessageRow, RoomRow, SessionRow, UserRow},
    sqlite::SqliteStore,
};
use rookery_shared::{
    clock::Time,
    envelope::Kind,
    ids::{MessageId, RoomId, SessionId, StreamId, UserId},
    model::{ChosenStatus, HistoryFrom, MemberRole, MessageType, Role, RoomType, UserType, Visibility},
    testing::MongoServer,
};
use std::{
    ops::Deref,
    sync::{Arc, Weak},
};
use tempfile::TempDir;
use tokio::sync::Mutex;

/// The server of all tests that run at the same time. A static is never dropped, so it holds the server weakly: the
/// last test that uses it ends it.
static SERVER: Mutex<Weak<MongoServer>> = Mutex::const_new(Weak::new());

/// A store and what it lives in.
pub(crate) struct Fixture {
    pub(crate) store: SharedStore,
    place: Place,
}

enum Place {
    Folder(TempDir),
    Server { server: Arc<MongoServer>, database: String },
}

impl Deref for Fixture {
    type Target = SharedStore;

    fn deref(&self) -> &SharedStore {
        &self.store
    }
}

/// An empty store in a folder of its own.
pub(crate) async fn sqlite() -> Fixture {
    Fixture::at(Place::Folder(tempfile::tempdir().expect("a folder"))).await
}

/// An empty store in a database of its own.
pub(crate) async fn mongo() -> Fixture {
    let mut shared = SERVER.lock().await;
    let server = if let Some(server) = shared.upgrade() { server } else { Arc::new(MongoServer::start().await) };
    *shared = Arc::downgrade(&server);
    drop(shared);
    Fixture::at(Place::Server { server, database: format!("test-{}", RoomId::new()) }).await
}

impl Fixture {
    async fn at(place: Place) -> Self {
        let store: SharedStore = match &place {
            Place::Folder(folder) => SqliteStore::open(&folder.path().join("store.db")).await.expect("the store opens"),
            Place::Server { server, database } => {
                MongoStore::open(&server.uri(), database).await.expect("the store opens")
            }
        };
        Self { store, place }
    }

    /// The settings of a program that uses the same database.
    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        match &self.place {
            Place::Folder(_) => Vec::new(),
            Place::Server { server, database } => {
                vec![("ROOKERY_MONGODB_URI", server.uri()), ("ROOKERY_MONGODB_DATABASE", database.clone())]
            }
        }
    }

    /// The same store; `hook` is asked before each call.
    pub(crate) fn hooked<F>(self, hook: impl Fn(&'static str) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), StoreError>> + Send + 'static,
    {
        let Self { store: inner, place } = self;
        let hook: Hook = Box::new(move |name| Box::pin(hook(name)));
        Self { store: Arc::new(Hooked { inner, hook }), place }
    }

    /// Closes the store and opens it again.
    pub(crate) async fn reopened(self) -> Self {
        let Self { store, place } = self;
        drop(store);
        Self::at(place).await
    }

    /// Whether there are words of this message in the search index, past everything that looks after it.
    pub(crate) async fn is_indexed(&self, message: MessageId) -> bool {
        match &self.place {
            Place::Folder(folder) => {
                let db = rusqlite::Connection::open(folder.path().join("store.db")).expect("opens");
                let sql = "SELECT EXISTS (SELECT 1 FROM words WHERE id = ?1)";
                db.query_row(sql, [message.0.as_bytes()], |row| row.get(0)).expect("read")
            }
            Place::Server { server, database } => {
                let client = mongodb::Client::with_uri_str(server.uri()).await.expect("connects");
                let words = client.database(database).collection::<Document>("search");
                let id = Uuid::from_bytes(message.0.into_bytes());
                words.find_one(doc! { "_id": id }).await.expect("read").is_some()
            }
        }
    }

    /// The store as another api has it: with a client of its own, where it can be more than one process's.
    pub(crate) async fn for_another_api(&self) -> SharedStore {
        match &self.place {
            Place::Folder(_) => self.store.clone(),
            Place::Server { server, database } => {
                MongoStore::open(&server.uri(), database).await.expect("the store opens")
            }
        }
    }

    /// Makes a room with these members, without entries in its log.
    pub(crate) async fn with_room(&self, room: &RoomRow, members: &[UserId]) {
        let members = members.iter().map(|user| Op::InsertMember(member(room.id, *user)));
        let ops: Vec<_> = [Op::InsertRoom(room.clone())].into_iter().chain(members).collect();
        self.commit(&[], &ops).await.expect("the room is made");
    }

    /// Makes an account of this name.
    pub(crate) async fn with_user(&self, name: &str) -> UserRow {
        let user = user(name);
        self.insert_user(user.clone()).await.expect("the user is made");
        user
    }
}

/// A time that says which one it is.
pub(crate) fn time(number: i64) -> Time {
    Time(1_700_000_000_000 + number)
}

/// An account without any of the optional parts.
pub(crate) fn user(name: &str) -> UserRow {
    UserRow {
        id: UserId::new(),
        username: name.to_owned(),
        username_key: name.to_lowercase(),
        email: format!("{name}@example.org"),
        email_key: format!("{}@example.org", name.to_lowercase()),
        password_hash: None,
        display_name: name.to_owned(),
        first_name: None,
        last_name: None,
        bio: None,
        profile_picture: None,
        user_type: UserType::Consumer,
        role: Role::User,
        created_at: time(0),
        deleted_at: None,
        status: ChosenStatus::Online,
        status_text: None,
        status_at: None,
        is_service: false,
        version: 1,
    }
}

/// An open session.
pub(crate) fn session(user: UserId) -> SessionRow {
    SessionRow {
        id: SessionId::new(),
        user,
        refresh_hash: vec![1; 32],
        previous_hash: None,
        rotated_at: time(1),
        previous_used: false,
        device: None,
        created_at: time(1),
        expires_at: time(1000),
        ended_at: None,
        version: 1,
    }
}

/// A public room.
pub(crate) fn room(name: &str) -> RoomRow {
    RoomRow {
        id: RoomId::new(),
        room_type: RoomType::Room,
        name: Some(name.to_owned()),
        description: None,
        visibility: Visibility::Public,
        history_from: HistoryFrom::Start,
        created_by: None,
        created_at: time(0),
        conversation_key: None,
        deleted_at: None,
        deleted_by: None,
        version: 1,
    }
}

/// A conversation with this key.
pub(crate) fn conversation(key: &str) -> RoomRow {
    RoomRow {
        room_type: RoomType::ConsumerToConsumer,
        name: None,
        visibility: Visibility::Private,
        conversation_key: Some(key.to_owned()),
        ..room("")
    }
}

/// An ordinary member since the beginning.
pub(crate) fn member(room: RoomId, user: UserId) -> MemberRow {
    MemberRow {
        room,
        user,
        role: MemberRole::Member,
        joined_at: time(2),
        in_seq: 1,
        from_seq: 1,
        read_seq: 0,
        mute: None,
        hidden_seq: 0,
    }
}

/// A message whose client id is `c` and its place.
pub(crate) fn message(room: RoomId, seq: u64, sender: UserId) -> MessageRow {
    MessageRow {
        id: MessageId::new(),
        room,
        seq,
        rev: 1,
        sender,
        client_id: format!("c{seq}"),
        first_hash: vec![7; 32],
        message_type: MessageType::Text,
        content: format!("message {seq}"),
        created_at: time(i64::try_from(seq).expect("a small place")),
        edited_at: None,
        deleted_at: None,
        reply_to: None,
        attachment: None,
        reactions: Vec::new(),
        pinned_at: None,
    }
}

/// Messages with these places.
pub(crate) fn messages(room: RoomId, seqs: std::ops::RangeInclusive<u64>, sender: UserId) -> Vec<MessageRow> {
    seqs.map(|seq| message(room, seq, sender)).collect()
}

/// An entry that is no message.
pub(crate) fn entry(stream: StreamId, seq: u64, kind: Kind) -> EntryRow {
    EntryRow { stream, seq, kind, subject: UserId::new().0, ref_seq: 3, at: time(9), message: None }
}

/// The entry that a message is.
pub(crate) fn entry_of(message: &MessageRow) -> EntryRow {
    EntryRow {
        stream: StreamId::Room(message.room),
        seq: message.seq,
        kind: Kind::Message,
        subject: message.sender.0,
        ref_seq: 0,
        at: message.created_at,
        message: Some(message.clone()),
    }
}
