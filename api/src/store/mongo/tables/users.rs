//! Accounts.

use super::{Tables, writable};
use crate::store::{
    StoreError, Unique,
    codec::{Code, Unreadable, in_order, signed},
    mongo::{
        error::is_taken,
        fields::{Fields, all, compact, date, id},
    },
    rows::UserRow,
};
use mongodb::bson::{Bson, Document, doc};
use rookery_shared::ids::UserId;

fn write(user: &UserRow) -> Document {
    compact(doc! {
        "_id": id(user.id.0),
        "username": &user.username,
        "usernameKey": &user.username_key,
        "email": &user.email,
        "emailKey": &user.email_key,
        "passwordHash": user.password_hash.as_deref(),
        "displayName": &user.display_name,
        "firstName": user.first_name.as_deref(),
        "lastName": user.last_name.as_deref(),
        "bio": user.bio.as_deref(),
        "profilePicture": user.profile_picture.as_deref(),
        "type": user.user_type.code(),
        "role": user.role.code(),
        "createdAt": date(user.created_at),
        "deletedAt": user.deleted_at.map(date),
        "version": signed(user.version),
    })
}

pub(super) fn read(fields: Fields<'_>) -> Result<UserRow, Unreadable> {
    Ok(UserRow {
        id: UserId(fields.id("_id")?),
        username: fields.text("username")?,
        username_key: fields.text("usernameKey")?,
        email: fields.text("email")?,
        email_key: fields.text("emailKey")?,
        password_hash: fields.owned_text("passwordHash")?,
        display_name: fields.text("displayName")?,
        first_name: fields.owned_text("firstName")?,
        last_name: fields.owned_text("lastName")?,
        bio: fields.owned_text("bio")?,
        profile_picture: fields.owned_text("profilePicture")?,
        user_type: fields.word("type")?,
        role: fields.word("role")?,
        created_at: fields.time("createdAt")?,
        deleted_at: fields.optional_time("deletedAt")?,
        version: fields.number("version")?,
    })
}

impl Tables {
    pub(in crate::store::mongo) async fn insert_user(&self, user: &UserRow) -> Result<(), StoreError> {
        match writable(&self.users).insert_one(write(user)).await {
            Err(error) if is_taken(&error) => Err(self.taken_user_key(user).await?),
            inserted => Ok(inserted.map(drop)?),
        }
    }

    pub(in crate::store::mongo) async fn replace_user(&self, user: &UserRow) -> Result<(), StoreError> {
        let before = doc! { "_id": id(user.id.0), "version": signed(user.version) - 1 };
        match writable(&self.users).replace_one(before, write(user)).await {
            Err(error) if is_taken(&error) => Err(self.taken_user_key(user).await?),
            Ok(replaced) if replaced.matched_count == 0 => Err(StoreError::Stale("the user")),
            replaced => Ok(replaced.map(drop)?),
        }
    }

    /// Learns by reading which key of a refused row is taken; the driver does not pass on the server's `keyPattern`.
    /// The server waits with a refusal, too, until what it saw is majority-committed: these reads find it.
    async fn taken_user_key(&self, user: &UserRow) -> Result<StoreError, StoreError> {
        let taken = async |field: &str, key: &str| {
            let other = doc! { field: key, "_id": { "$ne": id(user.id.0) } };
            Ok::<_, StoreError>(self.users.find_one(other).await?.is_some())
        };
        Ok(StoreError::Taken(if taken("usernameKey", &user.username_key).await? {
            Unique::Username
        } else if taken("emailKey", &user.email_key).await? {
            Unique::Email
        } else {
            Unique::Other
        }))
    }

    pub(in crate::store::mongo) async fn users_by_ids(
        &self,
        ids: &[UserId],
    ) -> Result<Vec<Option<UserRow>>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let wanted: Vec<Bson> = ids.iter().map(|user| id(user.0).into()).collect();
        let cursor = self.users.find(doc! { "_id": { "$in": wanted } }).await?;
        let found = all(cursor, |fields| Ok(read(fields)?)).await?;
        Ok(in_order(ids.iter().copied(), &found.into_iter().map(|user| (user.id, user)).collect()))
    }

    pub(in crate::store::mongo) async fn user_by_key(&self, key: &str) -> Result<Option<UserRow>, StoreError> {
        // Were one's username another's address, the username would win, in both stores.
        for field in ["usernameKey", "emailKey"] {
            if let Some(found) = self.users.find_one(doc! { field: key }).await? {
                return Ok(Some(read(Fields::of(&found))?));
            }
        }
        Ok(None)
    }
}
