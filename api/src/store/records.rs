//! Records: small documents that the store keeps without knowing what is in them. Bans, invites, blocks, API keys and
//! their like are looked up by key or listed by owner, and never searched otherwise, so that both stores need no more
//! for all of them than for one.
//!
//! A record has an owner (a room, a user, or nobody) and an id within its area; its version guards it: a change is
//! written only over the version that it was decided on.

use super::{Op, Part, Store, StoreError};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

/// What records are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Area {
    /// Who is banned from a room; owner: the room, id: the user.
    Ban,
    /// Invites to a room; owner: the room, id: made from the token.
    Invite,
    /// Who blocks whom; owner: who blocks, id: the blocked one.
    Block,
    /// API keys; no owner, id: the key's.
    ApiKey,
    /// Accounts of foreign identity providers; no owner, id: made from issuer and subject.
    Identity,
    /// Who reacted with an emoji; owner: made from message and emoji, id: the user.
    Reaction,
    /// How far an api has brought the search index; no owner, id: that life of that api.
    Indexer,
}

/// Where a record is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RecordKey {
    /// What it is about.
    pub area: Area,
    /// Whose it is; nil for nobody's.
    pub owner: Uuid,
    /// Its id; unique within the area and owner.
    pub id: Uuid,
}

/// A record as a store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordRow {
    /// Where it is found.
    pub key: RecordKey,
    /// Its place among its owner's: records are listed by it. Unique, time-ordered (`UUIDv7`), never changed.
    pub place: Uuid,
    /// 1 at first; grows by one with every change.
    pub version: u64,
    /// What is in it, as JSON.
    pub data: String,
}

/// A type that is kept as records.
pub trait Record: Serialize + DeserializeOwned + Send {
    /// Its area.
    const AREA: Area;

    /// Whose it is.
    fn owner(&self) -> Uuid;

    /// Its id within the area and owner.
    fn id(&self) -> Uuid;
}

/// A record that was read, with what its next version needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept<R> {
    /// What is in it.
    pub record: R,
    /// Its place among its owner's.
    pub place: Uuid,
    /// The version that was read.
    pub version: u64,
}

impl<R: Record> Kept<R> {
    /// A record that is not there yet.
    pub fn new(record: R) -> Self {
        Self { record, place: Uuid::now_v7(), version: 0 }
    }

    /// Where it is found.
    pub fn key(&self) -> RecordKey {
        RecordKey { area: R::AREA, owner: self.record.owner(), id: self.record.id() }
    }

    /// The change that writes it as it is now, over the version that was read.
    pub fn put(&self) -> Result<Op, StoreError> {
        let data = serde_json::to_string(&self.record).map_err(|error| StoreError::Failed(error.to_string()))?;
        Ok(Op::PutRecord(RecordRow { key: self.key(), place: self.place, version: self.version + 1, data }))
    }

    /// The change that removes it.
    pub fn delete(&self) -> Op {
        Op::DeleteRecord(self.key())
    }
}

fn read<R: Record>(row: &RecordRow) -> Result<Kept<R>, StoreError> {
    let record = serde_json::from_str(&row.data).map_err(|error| StoreError::Failed(error.to_string()))?;
    Ok(Kept { record, place: row.place, version: row.version })
}

/// One record by owner and id.
pub async fn one<R: Record>(store: &dyn Store, owner: Uuid, id: Uuid) -> Result<Option<Kept<R>>, StoreError> {
    Ok(several(store, &[(owner, id)]).await?.pop().flatten())
}

/// Records by owner and id, in the order asked.
pub async fn several<R: Record>(store: &dyn Store, of: &[(Uuid, Uuid)]) -> Result<Vec<Option<Kept<R>>>, StoreError> {
    let keys: Vec<RecordKey> = of.iter().map(|&(owner, id)| RecordKey { area: R::AREA, owner, id }).collect();
    let rows = store.records(&keys).await?;
    rows.iter().map(|row| row.as_ref().map(read).transpose()).collect()
}

/// The record with this id, whoever it belongs to.
pub async fn by_id<R: Record>(store: &dyn Store, id: Uuid) -> Result<Option<Kept<R>>, StoreError> {
    store.record_by_id(R::AREA, id).await?.as_ref().map(read).transpose()
}

/// Records of an owner, newest first.
pub async fn list<R: Record>(
    store: &dyn Store,
    owner: Uuid,
    part: Part<Uuid>,
    limit: u32,
) -> Result<Vec<Kept<R>>, StoreError> {
    let rows = store.list_records(R::AREA, owner, part, limit).await?;
    rows.iter().map(read).collect()
}

/// Writes a record by itself. `Taken(Record)` if a new one is there already; `Stale` if another version is.
pub async fn put<R: Record>(store: &dyn Store, kept: &Kept<R>) -> Result<(), StoreError> {
    store.commit(&[], &[kept.put()?]).await
}
