//! Records, of every area in one collection.

use super::{Paging, Tables, any_of, writable};
use crate::store::{
    Part, StoreError, Unique,
    codec::{Code, Unreadable, in_order, signed},
    mongo::{
        error::is_taken,
        fields::{Fields, all, id},
        transaction::Stop,
    },
    records::{Area, RecordKey, RecordRow},
};
use mongodb::{
    ClientSession,
    bson::{Document, doc},
};
use std::collections::HashMap;
use uuid::Uuid;

/// Matches this record.
fn of(key: &RecordKey) -> Document {
    doc! { "area": key.area.code(), "owner": id(key.owner), "id": id(key.id) }
}

fn write(record: &RecordRow) -> Document {
    let mut document = of(&record.key);
    document.extend(doc! {
        "place": id(record.place),
        "version": signed(record.version),
        "data": &record.data,
    });
    document
}

fn read(fields: Fields<'_>) -> Result<RecordRow, Unreadable> {
    Ok(RecordRow {
        key: RecordKey { area: fields.word("area")?, owner: fields.id("owner")?, id: fields.id("id")? },
        place: fields.id("place")?,
        version: fields.number("version")?,
        data: fields.text("data")?,
    })
}

impl Tables {
    pub(super) async fn put_record(&self, session: &mut ClientSession, record: &RecordRow) -> Result<(), Stop> {
        let records = writable(&self.records);
        if record.version <= 1 {
            return match records.insert_one(write(record)).session(session).await {
                Err(error) if is_taken(&error) => Err(StoreError::Taken(Unique::Record).into()),
                inserted => Ok(inserted.map(drop)?),
            };
        }
        let mut before = of(&record.key);
        before.insert("version", signed(record.version) - 1);
        // The place stays what it was at first.
        let now = doc! { "$set": { "version": signed(record.version), "data": &record.data } };
        match records.update_one(before, now).session(session).await?.matched_count {
            0 => Err(StoreError::Stale("the record").into()),
            _ => Ok(()),
        }
    }

    pub(super) async fn delete_record(&self, session: &mut ClientSession, key: &RecordKey) -> Result<(), Stop> {
        match self.records.delete_one(of(key)).session(session).await?.deleted_count {
            0 => Err(StoreError::Stale("the record").into()),
            _ => Ok(()),
        }
    }

    pub(in crate::store::mongo) async fn records_by_keys(
        &self,
        keys: &[RecordKey],
    ) -> Result<Vec<Option<RecordRow>>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut by_area: HashMap<Area, Vec<(Uuid, Uuid)>> = HashMap::new();
        for key in keys {
            by_area.entry(key.area).or_default().push((key.owner, key.id));
        }
        let mut branches = Vec::new();
        for (area, pairs) in by_area {
            branches.extend(any_of(("owner", "id"), &pairs).into_iter().map(|mut branch| {
                branch.insert("area", area.code());
                branch
            }));
        }
        let found = all(self.records.find(doc! { "$or": branches }).await?, |fields| Ok(read(fields)?)).await?;
        Ok(in_order(keys.iter().copied(), &found.into_iter().map(|record| (record.key, record)).collect()))
    }

    pub(in crate::store::mongo) async fn record_by_id(
        &self,
        area: Area,
        record: Uuid,
    ) -> Result<Option<RecordRow>, StoreError> {
        let found = self.records.find_one(doc! { "area": area.code(), "id": id(record) }).await?;
        Ok(found.map(|found| read(Fields::of(&found))).transpose()?)
    }

    pub(in crate::store::mongo) async fn list_records(
        &self,
        area: Area,
        owner: Uuid,
        part: Part<Uuid>,
        limit: u32,
    ) -> Result<Vec<RecordRow>, StoreError> {
        let paging = Paging::of(part.map(id), -1);
        let wanted = paging.narrow(doc! { "area": area.code(), "owner": id(owner) }, "place");
        let sorted = self.records.find(wanted).sort(doc! { "place": paging.direction });
        let cursor = sorted.limit(i64::from(limit.max(1))).await?;
        Ok(paging.in_order(all(cursor, |fields| Ok(read(fields)?)).await?))
    }
}
