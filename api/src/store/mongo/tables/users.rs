//! Accounts.

use super::{Paging, Tables, begins_with, writable};
use crate::{
    store::{
        Part, StoreError, Unique,
        codec::{Code, Unreadable, in_order, signed},
        mongo::{
            error::is_taken,
            fields::{Fields, all, compact, date, id},
            transaction::Stop,
        },
        rows::UserRow,
    },
    text::fold,
};
use mongodb::{
    ClientSession,
    bson::{Bson, Document, doc},
    options::ReadConcern,
};
use rookery_shared::{ids::UserId, model::Role};

/// Older users that get their `displayKey` in one command.
const NAMED_AT_ONCE: usize = 1_000;

/// Beyond the row: `displayKey`, the folded display name, as people are found by it, and `admin`, as admins are.
fn write(user: &UserRow) -> Document {
    compact(doc! {
        "_id": id(user.id.0),
        "username": &user.username,
        "usernameKey": &user.username_key,
        "email": &user.email,
        "emailKey": &user.email_key,
        "passwordHash": user.password_hash.as_deref(),
        "displayName": &user.display_name,
        "displayKey": fold(&user.display_name),
        "firstName": user.first_name.as_deref(),
        "lastName": user.last_name.as_deref(),
        "bio": user.bio.as_deref(),
        "profilePicture": user.profile_picture.as_deref(),
        "type": user.user_type.code(),
        "role": user.role.code(),
        "admin": (user.role == Role::Admin && user.deleted_at.is_none()).then_some(true),
        "createdAt": date(user.created_at),
        "deletedAt": user.deleted_at.map(date),
        "status": user.status.code(),
        "statusText": user.status_text.as_deref(),
        "statusAt": user.status_at.map(date),
        "isService": user.is_service.then_some(true),
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
        status: fields.optional_word("status")?.unwrap_or_default(),
        status_text: fields.owned_text("statusText")?,
        status_at: fields.optional_time("statusAt")?,
        is_service: fields.flag("isService")?,
        version: fields.number("version")?,
    })
}

impl Tables {
    pub(super) async fn insert_user(&self, session: &mut ClientSession, user: &UserRow) -> Result<(), Stop> {
        match writable(&self.users).insert_one(write(user)).session(session).await {
            Err(error) if is_taken(&error) => Err(self.taken_user_key(user).await?.into()),
            inserted => Ok(inserted.map(drop)?),
        }
    }

    pub(super) async fn replace_user(&self, session: &mut ClientSession, user: &UserRow) -> Result<(), Stop> {
        let before = doc! { "_id": id(user.id.0), "version": signed(user.version) - 1 };
        match writable(&self.users).replace_one(before, write(user)).session(&mut *session).await {
            Err(error) if is_taken(&error) => Err(self.taken_user_key(user).await?.into()),
            Ok(replaced) if replaced.matched_count == 0 => Err(StoreError::Stale("the user").into()),
            replaced => {
                replaced?;
                if user.deleted_at.is_some() {
                    // Members are listed by the name that stands beside their membership, and this one has gone.
                    let rename = doc! { "$set": { "usernameKey": &user.username_key } };
                    let of = doc! { "user": id(user.id.0) };
                    writable(&self.members).update_many(of, rename).session(&mut *session).await?;
                }
                Ok(())
            }
        }
    }

    /// Learns by reading which key of a refused row is taken; the driver does not pass on the server's `keyPattern`.
    /// Outside of the transaction, which is over, and of what this primary has: a majority may not yet.
    async fn taken_user_key(&self, user: &UserRow) -> Result<StoreError, StoreError> {
        let taken = async |field: &str, key: &str| {
            let other = doc! { field: key, "_id": { "$ne": id(user.id.0) } };
            Ok::<_, StoreError>(self.users.find_one(other).read_concern(ReadConcern::local()).await?.is_some())
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

    pub(in crate::store::mongo) async fn other_admin(&self, user: UserId) -> Result<Option<UserRow>, StoreError> {
        let other = doc! { "admin": true, "_id": { "$ne": id(user.0) } };
        let found = self.users.find_one(other).await?;
        Ok(found.map(|found| read(Fields::of(&found))).transpose()?)
    }

    pub(in crate::store::mongo) async fn find_users(
        &self,
        prefix: &str,
        part: Part<&str>,
        limit: u32,
    ) -> Result<Vec<UserRow>, StoreError> {
        let paging = Paging::of(part, 1);
        let mut wanted = paging.narrow(doc! { "deletedAt": null, "isService": { "$ne": true } }, "usernameKey");
        if !prefix.is_empty() {
            let begins = begins_with(prefix);
            wanted.insert("$or", vec![doc! { "usernameKey": begins.clone() }, doc! { "displayKey": begins }]);
        }
        let cursor = self
            .users
            .find(wanted)
            .sort(doc! { "usernameKey": paging.direction })
            .limit(i64::from(limit.max(1)))
            .await?;
        Ok(paging.in_order(all(cursor, |fields| Ok(read(fields)?)).await?))
    }

    /// Gives users of an older version their `displayKey`.
    pub(in crate::store::mongo) async fn name_users(&self) -> Result<(), StoreError> {
        let mut nameless = self.users.find(doc! { "displayKey": null }).projection(doc! { "displayName": 1 }).await?;
        let mut named = Vec::new();
        loop {
            let more = nameless.advance().await?;
            if more {
                let fields = Fields(nameless.current());
                let key = fold(&fields.text("displayName")?);
                named.push(doc! { "_id": id(fields.id("_id")?), "displayKey": key }.into());
            }
            if named.len() >= NAMED_AT_ONCE || !more {
                self.merge(std::mem::take(&mut named), "users", ("merge", "discard")).await?;
            }
            if !more {
                return Ok(());
            }
        }
    }
}
