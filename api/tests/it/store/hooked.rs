//! A store that asks a test before each call: to count calls, to hold one up, to let one fail.

use futures_util::future::BoxFuture;
use rookery_api::store::{
    Appended, IndexedMessage, MembershipOf, Op, Part, SearchQuery, SharedStore, Sizes, Store, StoreCall, StoreError,
    Stretch,
    records::{Area, RecordKey, RecordRow},
    rows::{EntryRow, MemberRow, MessageRow, ReadRow, RoomRow, SessionRow, UserRow},
};
use rookery_shared::{
    clock::Time,
    ids::{MessageId, RoomId, SessionId, StreamId, UserId},
};
use uuid::Uuid;

/// Is told the name of a call before it is made; its error is the call's.
pub(crate) type Hook = Box<dyn Fn(&'static str) -> BoxFuture<'static, Result<(), StoreError>> + Send + Sync>;

/// The store behind a hook.
pub(crate) struct Hooked {
    pub(crate) inner: SharedStore,
    pub(crate) hook: Hook,
}

macro_rules! hooked {
    ($($name:ident<$life:lifetime>($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        impl Store for Hooked {
            $(fn $name<$life>(&$life self, $($argument: $type),*) -> StoreCall<$life, $answer> {
                Box::pin(async move {
                    (self.hook)(stringify!($name)).await?;
                    self.inner.$name($($argument),*).await
                })
            })*
        }
    };
}

hooked! {
    epoch<'a>() -> String;
    ready<'a>() -> ();
    sizes<'a>() -> Sizes;
    insert_user<'a>(user: UserRow) -> ();
    users<'a>(ids: &'a [UserId]) -> Vec<Option<UserRow>>;
    user_by_key<'a>(key: &'a str) -> Option<UserRow>;
    replace_user<'a>(user: UserRow) -> ();
    find_users<'a>(prefix: &'a str, part: Part<&'a str>, limit: u32) -> Vec<UserRow>;
    other_admin<'a>(user: UserId) -> Option<UserRow>;
    companions<'a>(user: UserId, max_room: u64, limit: u32) -> Vec<UserId>;
    insert_session<'a>(session: SessionRow) -> ();
    session<'a>(id: SessionId) -> Option<SessionRow>;
    replace_session<'a>(session: SessionRow) -> ();
    sessions_of<'a>(user: UserId, now: Time) -> Vec<SessionRow>;
    rooms<'a>(ids: &'a [RoomId]) -> Vec<Option<(RoomRow, u64)>>;
    visible_rooms<'a>(user: UserId, name: &'a str, part: Part<RoomId>, limit: u32) -> Vec<(RoomRow, u64)>;
    conversation<'a>(key: &'a str) -> Option<RoomRow>;
    memberships<'a>(of: &'a [(RoomId, UserId)]) -> Vec<Option<MemberRow>>;
    rooms_of<'a>(user: UserId, limit: u32) -> Vec<MembershipOf>;
    places_of<'a>(user: UserId, limit: u32) -> Vec<(RoomId, u64)>;
    has_other_owner<'a>(room: RoomId, user: UserId) -> bool;
    heir<'a>(room: RoomId, user: UserId) -> Option<MemberRow>;
    move_read<'a>(read: ReadRow) -> bool;
    reads_of<'a>(room: RoomId, seq: u64, limit: u32) -> Vec<(UserId, Time)>;
    read_cursors<'a>(rooms: &'a [RoomId]) -> Vec<Vec<(UserId, u64)>>;
    members<'a>(room: RoomId, part: Part<&'a str>, limit: u32) -> Vec<(MemberRow, UserRow)>;
    append_messages<'a>(messages: &'a [MessageRow]) -> Appended;
    commit<'a>(entries: &'a [EntryRow], ops: &'a [Op]) -> ();
    heads<'a>(streams: &'a [StreamId]) -> Vec<u64>;
    entries<'a>(stream: StreamId, stretch: Stretch, limit: u32, messages_only: bool) -> Vec<EntryRow>;
    messages_by_client_id<'a>(keys: &'a [(RoomId, UserId, String)]) -> Vec<Option<MessageRow>>;
    messages<'a>(ids: &'a [MessageId]) -> Vec<Option<MessageRow>>;
    last_and_unread<'a>(of: &'a [(RoomId, UserId, u64, u64)]) -> Vec<(Option<MessageRow>, u64)>;
    messages_since<'a>(id: MessageId, limit: u32) -> Vec<MessageRow>;
    records<'a>(keys: &'a [RecordKey]) -> Vec<Option<RecordRow>>;
    record_by_id<'a>(area: Area, id: Uuid) -> Option<RecordRow>;
    list_records<'a>(area: Area, owner: Uuid, part: Part<Uuid>, limit: u32) -> Vec<RecordRow>;
    index<'a>(messages: &'a [IndexedMessage]) -> ();
    search<'a>(query: &'a SearchQuery) -> Vec<MessageRow>;
    deleted_room<'a>(id: RoomId) -> Option<RoomRow>;
    rooms_to_purge<'a>(limit: u32) -> Vec<RoomId>;
    leftover_members<'a>(room: RoomId, limit: u32) -> Vec<UserId>;
    purge_room<'a>(room: RoomId, finally: bool) -> ();
}
