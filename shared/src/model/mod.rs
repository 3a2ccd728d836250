//! What clients see: the JSON shapes of users, rooms, messages and lists, as the contract gives them.

mod event;
mod list;
mod message;
mod node;
mod room;
mod user;

pub use event::{Membership, MessageRead, RoomGone, SessionEnded, UserStatus, UserTyping};
pub use list::{LogData, LogEntry, Page, SyncPage};
pub use message::{Attachment, Message, MessageType, Reaction, ReplyTo};
pub use node::NodeReport;
pub use room::{
    Ban, ChangedMember, HistoryFrom, Invite, InvitePreview, Member, MemberRole, OpenedConversation, Room, RoomSummary,
    RoomType, RoomUpdated, Visibility,
};
pub use user::{
    Author, Chosen, ChosenStatus, OnlineUser, OwnUser, PublicUser, Role, Status, Tokens, UserPresence, UserType,
};
