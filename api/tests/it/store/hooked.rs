//! A store that asks a test before each call: to count calls, to hold one up, to let one fail.

use futures_util::future::BoxFuture;
use rookery_api::store::{
    Appended, MembershipOf, Op, Part, SharedStore, Store, StoreCall, StoreError, Stretch,
    rows::{EntryRow, MemberRow, MessageRow, RoomRow, SessionRow, UserRow},
};
use rookery_shared::ids::{MessageId, RoomId, SessionId, StreamId, UserId};

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
    insert_user<'a>(user: UserRow) -> ();
    users<'a>(ids: &'a [UserId]) -> Vec<Option<UserRow>>;
    user_by_key<'a>(key: &'a str) -> Option<UserRow>;
    replace_user<'a>(user: UserRow) -> ();
    insert_session<'a>(session: SessionRow) -> ();
    session<'a>(id: SessionId) -> Option<SessionRow>;
    replace_session<'a>(session: SessionRow) -> ();
    rooms<'a>(ids: &'a [RoomId]) -> Vec<Option<(RoomRow, u64)>>;
    visible_rooms<'a>(user: UserId, name: &'a str, part: Part<RoomId>, limit: u32) -> Vec<(RoomRow, u64)>;
    conversation<'a>(key: &'a str) -> Option<RoomRow>;
    memberships<'a>(of: &'a [(RoomId, UserId)]) -> Vec<Option<MemberRow>>;
    rooms_of<'a>(user: UserId, limit: u32) -> Vec<MembershipOf>;
    has_other_owner<'a>(room: RoomId, user: UserId) -> bool;
    members<'a>(room: RoomId, part: Part<&'a str>, limit: u32) -> Vec<(MemberRow, UserRow)>;
    append_messages<'a>(messages: &'a [MessageRow]) -> Appended;
    commit<'a>(entries: &'a [EntryRow], ops: &'a [Op]) -> ();
    heads<'a>(streams: &'a [StreamId]) -> Vec<u64>;
    entries<'a>(stream: StreamId, stretch: Stretch, limit: u32, messages_only: bool) -> Vec<EntryRow>;
    messages_by_client_id<'a>(keys: &'a [(RoomId, UserId, String)]) -> Vec<Option<MessageRow>>;
    messages<'a>(ids: &'a [MessageId]) -> Vec<Option<MessageRow>>;
    last_and_unread<'a>(of: &'a [(RoomId, UserId, u64, u64)]) -> Vec<(Option<MessageRow>, u64)>;
}
