//! People, as they see themselves and as others see them.

use crate::{clock::Time, ids::UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The author of a message, or a person in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Author {
    /// Who.
    pub user_id: UserId,
    /// Null when the account was deleted.
    #[schema(required = true)]
    pub username: Option<String>,
    /// The name that people read.
    pub display_name: String,
}

/// What a user is in the customer's product.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum UserType {
    /// Someone who uses the product.
    #[default]
    Consumer,
    /// Someone who helps those.
    Support,
}

/// What a user may do to the installation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Nothing beyond their own.
    #[default]
    User,
    /// Everything.
    Admin,
}

/// A user as others see them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PublicUser {
    /// Their id.
    pub id: UserId,
    /// Unique, compared without case.
    pub username: String,
    /// The name that people read.
    pub display_name: String,
    /// Given name, where told.
    #[schema(required = true)]
    pub first_name: Option<String>,
    /// Family name, where told.
    #[schema(required = true)]
    pub last_name: Option<String>,
    /// A few words of their own.
    #[schema(required = true)]
    pub bio: Option<String>,
    /// URL of a picture.
    #[schema(required = true)]
    pub profile_picture: Option<String>,
    /// What they are in the product.
    #[serde(rename = "type")]
    pub user_type: UserType,
    /// When the account was made.
    pub created_at: Time,
}

/// A user as they see themselves, and as admins see them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OwnUser {
    /// What everyone sees.
    #[serde(flatten)]
    pub public: PublicUser,
    /// Seen by its owner and admins only; null where an identity provider told none.
    #[schema(required = true)]
    pub email: Option<String>,
    /// What they may do to the installation.
    pub role: Role,
    /// How they want to be seen while a device of theirs is connected.
    pub status: ChosenStatus,
    /// A few words beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_text: Option<String>,
}

/// How someone wants to be seen while a device of theirs is connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChosenStatus {
    /// There.
    #[default]
    Online,
    /// There, and not looking.
    Away,
    /// There, and not to be disturbed.
    Busy,
    /// Offline to everyone else.
    Invisible,
}

/// What someone chose, as the answer to choosing it, and as their own devices learn it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Chosen {
    /// How they want to be seen while a device of theirs is connected.
    pub status: ChosenStatus,
    /// A few words beside it.
    #[schema(required = true)]
    pub text: Option<String>,
}

impl ChosenStatus {
    /// What others see of someone who is connected.
    pub fn shown(self) -> Status {
        match self {
            Self::Online => Status::Online,
            Self::Away => Status::Away,
            Self::Busy => Status::Busy,
            Self::Invisible => Status::Offline,
        }
    }
}

/// The answer to sign-in, registration and refresh.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tokens {
    /// Who signed in.
    pub user: OwnUser,
    /// The bearer token for REST and sockets.
    pub access_token: String,
    /// Gets the next pair; each works once.
    pub refresh_token: String,
    /// Seconds until the access token ends.
    pub expires_in: u64,
}

/// Whether and how someone is there, as others see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserPresence {
    /// Who.
    pub user_id: UserId,
    /// Their name.
    pub username: String,
    /// How they are there.
    pub status: Status,
    /// When a device of theirs was last seen to be connected; null while one is, if none ever was, and for who may not
    /// know.
    #[schema(required = true)]
    pub last_seen: Option<Time>,
    /// A few words of theirs beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub text: Option<String>,
}

/// Someone who is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OnlineUser {
    /// What everyone sees.
    #[serde(flatten)]
    pub public: PublicUser,
    /// How they are there.
    pub status: Status,
    /// A few words of theirs beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub text: Option<String>,
}

/// Whether and how someone is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// No device connected, or invisible.
    #[default]
    Offline,
    /// There.
    Online,
    /// There, and not looking.
    Away,
    /// There, and not to be disturbed.
    Busy,
}
