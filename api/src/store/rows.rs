//! What a store keeps, in the words of the domain. Both stores map these rows to their own form.

use rookery_shared::{
    clock::{self, Time},
    envelope::Kind,
    ids::{MessageId, RoomId, SessionId, StreamId, UserId},
    model::{
        Attachment, ChosenStatus, HistoryFrom, MemberRole, MessageType, Reaction, ReplyTo, Role, RoomType, UserType,
        Visibility,
    },
};
use uuid::Uuid;

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRow {
    /// Its id.
    pub id: UserId,
    /// As the user wrote it (NFC).
    pub username: String,
    /// NFKC and case-folded; unique.
    pub username_key: String,
    /// As the user wrote it.
    pub email: String,
    /// Case-folded; unique.
    pub email_key: String,
    /// Argon2id in PHC form; none for accounts of a foreign identity provider.
    pub password_hash: Option<String>,
    /// The name that people read.
    pub display_name: String,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// A few words of their own.
    pub bio: Option<String>,
    /// URL.
    pub profile_picture: Option<String>,
    /// What they are in the product.
    pub user_type: UserType,
    /// What they may do to the installation.
    pub role: Role,
    /// When it was made.
    pub created_at: Time,
    /// When it was deleted; the row stays as the anonymous author.
    pub deleted_at: Option<Time>,
    /// How they want to be seen while they are connected.
    pub status: ChosenStatus,
    /// A few words beside it.
    pub status_text: Option<String>,
    /// When that was chosen: who went invisible was last seen then.
    pub status_at: Option<Time>,
    /// Whether this is not a person but an API key, whose name is the author of system messages. Never listed or found.
    pub is_service: bool,
    /// Grows with every change; compared when replaced.
    pub version: u64,
}

impl UserRow {
    /// A new account with a username and an e-mail address, each with the key that it is compared by, and nothing else
    /// of its own.
    pub fn new((username, username_key): (String, String), (email, email_key): (String, String), at: Time) -> Self {
        Self {
            id: UserId::new(),
            display_name: username.clone(),
            username,
            username_key,
            email,
            email_key,
            password_hash: None,
            first_name: None,
            last_name: None,
            bio: None,
            profile_picture: None,
            user_type: UserType::default(),
            role: Role::default(),
            created_at: at,
            deleted_at: None,
            status: ChosenStatus::default(),
            status_text: None,
            status_at: None,
            is_service: false,
            version: 1,
        }
    }
}

/// One signed-in device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// Its id; `sid` in tokens.
    pub id: SessionId,
    /// Whose.
    pub user: UserId,
    /// SHA-256 of the refresh token that works now.
    pub refresh_hash: Vec<u8>,
    /// SHA-256 of the one before, which works once more within the grace, and whether it did.
    pub previous_hash: Option<Vec<u8>>,
    /// When the last rotation was.
    pub rotated_at: Time,
    /// Whether the previous one has been used a second time.
    pub previous_used: bool,
    /// What the device said of itself (User-Agent), cut to 200 characters.
    pub device: Option<String>,
    /// When it began.
    pub created_at: Time,
    /// When it ends by itself.
    pub expires_at: Time,
    /// When it was ended.
    pub ended_at: Option<Time>,
    /// Grows with every change; compared when replaced.
    pub version: u64,
}

/// A room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomRow {
    /// Its id.
    pub id: RoomId,
    /// Its sort.
    pub room_type: RoomType,
    /// None for conversations.
    pub name: Option<String>,
    /// What it is about.
    pub description: Option<String>,
    /// Who finds it.
    pub visibility: Visibility,
    /// What newcomers see.
    pub history_from: HistoryFrom,
    /// Who made it.
    pub created_by: Option<UserId>,
    /// When it was made.
    pub created_at: Time,
    /// For conversations: the type and the sorted members in one text; unique.
    pub conversation_key: Option<String>,
    /// When it was marked deleted: every read and write refuses from then on.
    pub deleted_at: Option<Time>,
    /// Who did.
    pub deleted_by: Option<UserId>,
    /// Grows with every change of the room, with every ban and with everyone who is let in later; compared when replaced.
    pub version: u64,
}

impl RoomRow {
    /// The same as its next version.
    #[must_use]
    pub fn next(self) -> Self {
        Self { version: self.version + 1, ..self }
    }

    /// Its next version, marked deleted.
    #[must_use]
    pub fn deleted(self, by: UserId) -> Self {
        Self { deleted_at: Some(clock::now()), deleted_by: Some(by), ..self.next() }
    }
}

/// A membership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRow {
    /// Where.
    pub room: RoomId,
    /// Who.
    pub user: UserId,
    /// What they may do.
    pub role: MemberRole,
    /// Since when.
    pub joined_at: Time,
    /// The place of their `user_joined` in the room's log.
    pub in_seq: u64,
    /// The first place that they may see.
    pub from_seq: u64,
    /// The newest place that they have read.
    pub read_seq: u64,
    /// Whether they muted the room.
    pub mute: Option<Mute>,
    /// A conversation is not listed until its log has a message beyond this place; 0 for one that is listed.
    pub hidden_seq: u64,
}

/// For how long a room is muted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mute {
    /// Until it is taken back.
    ForGood,
    /// Until then.
    Until(Time),
}

impl Mute {
    /// Whether it holds at this time.
    pub fn holds(self, now: Time) -> bool {
        match self {
            Self::ForGood => true,
            Self::Until(until) => until > now,
        }
    }

    /// When it ends by itself.
    pub fn until(self) -> Option<Time> {
        match self {
            Self::ForGood => None,
            Self::Until(until) => Some(until),
        }
    }
}

/// A message as stored: its own log entry, and its state of now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageRow {
    /// Its id.
    pub id: MessageId,
    /// Where.
    pub room: RoomId,
    /// Its place, for good.
    pub seq: u64,
    /// Grows with every change; 1 at first.
    pub rev: u64,
    /// Who wrote it.
    pub sender: UserId,
    /// The sender's own key; unique with room and sender.
    pub client_id: String,
    /// SHA-256 over room, client id and what was first sent, to compare a repeat with, also after an edit or delete.
    pub first_hash: Vec<u8>,
    /// Its sort.
    pub message_type: MessageType,
    /// The words; empty in a tombstone.
    pub content: String,
    /// When it was stored.
    pub created_at: Time,
    /// When it was last edited.
    pub edited_at: Option<Time>,
    /// When it became a tombstone.
    pub deleted_at: Option<Time>,
    /// What it answers.
    pub reply_to: Option<ReplyTo>,
    /// A file that goes with it.
    pub attachment: Option<Attachment>,
    /// The emojis under it, as its readers see them; who else reacted is in the records.
    pub reactions: Vec<Reaction>,
    /// When it was pinned.
    pub pinned_at: Option<Time>,
}

/// A move of a read cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadRow {
    /// Where.
    pub room: RoomId,
    /// Who.
    pub user: UserId,
    /// The first place that they could see then.
    pub from_seq: u64,
    /// Everything up to this place is read.
    pub up_to: u64,
    /// When.
    pub at: Time,
}

/// One entry of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryRow {
    /// Whose log.
    pub stream: StreamId,
    /// Its place.
    pub seq: u64,
    /// What it reports.
    pub kind: Kind,
    /// Whom or what it is about, as [`Kind`] says.
    pub subject: Uuid,
    /// The place that it refers to, as [`Kind`] says.
    pub ref_seq: u64,
    /// When it was written.
    pub at: Time,
    /// The message, where the kind is [`Kind::Message`]; its state of now when read.
    pub message: Option<MessageRow>,
}
