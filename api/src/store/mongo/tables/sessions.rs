//! Signed-in devices.

use super::{Tables, writable};
use crate::store::{
    StoreError, Unique,
    codec::{Unreadable, signed},
    mongo::{
        error::is_taken,
        fields::{Fields, all, bytes, compact, date, id},
        transaction::Stop,
    },
    rows::SessionRow,
};
use mongodb::{
    ClientSession,
    bson::{Document, doc},
};
use rookery_shared::{
    clock::Time,
    ids::{SessionId, UserId},
};

fn write(session: &SessionRow) -> Document {
    compact(doc! {
        "_id": id(session.id.0),
        "user": id(session.user.0),
        "refreshHash": bytes(&session.refresh_hash),
        "previousHash": session.previous_hash.as_deref().map(bytes),
        "rotatedAt": date(session.rotated_at),
        "previousUsed": session.previous_used,
        "device": session.device.as_deref(),
        "createdAt": date(session.created_at),
        "expiresAt": date(session.expires_at),
        "endedAt": session.ended_at.map(date),
        "version": signed(session.version),
    })
}

fn read(fields: Fields<'_>) -> Result<SessionRow, Unreadable> {
    Ok(SessionRow {
        id: SessionId(fields.id("_id")?),
        user: UserId(fields.id("user")?),
        refresh_hash: fields.bytes("refreshHash")?,
        previous_hash: fields.optional_bytes("previousHash")?,
        rotated_at: fields.time("rotatedAt")?,
        previous_used: fields.flag("previousUsed")?,
        device: fields.owned_text("device")?,
        created_at: fields.time("createdAt")?,
        expires_at: fields.time("expiresAt")?,
        ended_at: fields.optional_time("endedAt")?,
        version: fields.number("version")?,
    })
}

impl Tables {
    pub(in crate::store::mongo) async fn insert_session(&self, session: &SessionRow) -> Result<(), StoreError> {
        match writable(&self.sessions).insert_one(write(session)).await {
            Err(error) if is_taken(&error) => Err(StoreError::Taken(Unique::Other)),
            inserted => Ok(inserted.map(drop)?),
        }
    }

    pub(in crate::store::mongo) async fn session(&self, session: SessionId) -> Result<Option<SessionRow>, StoreError> {
        let found = self.sessions.find_one(doc! { "_id": id(session.0) }).await?;
        Ok(found.map(|found| read(Fields::of(&found))).transpose()?)
    }

    pub(in crate::store::mongo) async fn replace_session(&self, session: &SessionRow) -> Result<(), StoreError> {
        let before = doc! { "_id": id(session.id.0), "version": signed(session.version) - 1 };
        match writable(&self.sessions).replace_one(before, write(session)).await?.matched_count {
            0 => Err(StoreError::Stale("the session")),
            _ => Ok(()),
        }
    }

    pub(in crate::store::mongo) async fn sessions_of(
        &self,
        user: UserId,
        now: Time,
    ) -> Result<Vec<SessionRow>, StoreError> {
        let open = doc! { "user": id(user.0), "endedAt": null, "expiresAt": { "$gt": date(now) } };
        all(self.sessions.find(open).sort(doc! { "_id": -1 }).await?, |fields| Ok(read(fields)?)).await
    }

    /// Ends those that are open. Their version grows, so that a rotation under way finds them changed.
    pub(super) async fn end_sessions(
        &self,
        session: &mut ClientSession,
        user: UserId,
        (only, except): (Option<SessionId>, Option<SessionId>),
        at: Time,
    ) -> Result<(), Stop> {
        let mut open = doc! { "user": id(user.0), "endedAt": null };
        let named = compact(doc! { "$eq": only.map(|only| id(only.0)), "$ne": except.map(|except| id(except.0)) });
        if !named.is_empty() {
            open.insert("_id", named);
        }
        let end = doc! { "$set": { "endedAt": date(at) }, "$inc": { "version": 1_i64 } };
        self.sessions.update_many(open, end).session(session).await?;
        Ok(())
    }
}
