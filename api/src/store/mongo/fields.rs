//! Writes and reads the fields of documents: UUIDs as binary of subtype 4, places as 64-bit integers, times as dates.

use crate::store::{
    StoreError,
    codec::{Code, Unreadable, unsigned},
};
use mongodb::bson::{Binary, Bson, DateTime, Document, RawBsonRef, RawDocument, RawDocumentBuf, spec::BinarySubtype};
use rookery_shared::clock::Time;
use uuid::Uuid;

/// An id as it is written.
pub(super) fn id(id: Uuid) -> Binary {
    Binary { subtype: BinarySubtype::Uuid, bytes: id.as_bytes().to_vec() }
}

/// A time as it is written.
pub(super) fn date(time: Time) -> DateTime {
    DateTime::from_millis(time.0)
}

/// A hash as it is written.
pub(super) fn bytes(bytes: &[u8]) -> Binary {
    Binary { subtype: BinarySubtype::Generic, bytes: bytes.to_vec() }
}

/// The document without the fields that have no value. Partial indexes take a field for there even if it is null.
pub(super) fn compact(document: Document) -> Document {
    document.into_iter().filter(|(_, value)| !matches!(value, Bson::Null)).collect()
}

/// The fields of a document that was read.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a RawDocument);

type Result<T> = std::result::Result<T, Unreadable>;

impl<'a> Fields<'a> {
    /// All of a document.
    pub(super) fn of(document: &'a RawDocumentBuf) -> Self {
        Self(document)
    }

    fn get(self, name: &'static str) -> Result<Option<RawBsonRef<'a>>> {
        let value = self.0.get(name).map_err(|_| Unreadable(name))?;
        Ok(value.filter(|value| !matches!(value, RawBsonRef::Null)))
    }

    /// A field by the way in which its sort is read, if it is there.
    fn optional<T>(self, name: &'static str, read: impl FnOnce(RawBsonRef<'a>) -> Option<T>) -> Result<Option<T>> {
        self.get(name)?.map(|value| read(value).ok_or(Unreadable(name))).transpose()
    }

    /// An id that may be missing.
    pub(super) fn optional_id(self, name: &'static str) -> Result<Option<Uuid>> {
        self.optional(name, |value| match value {
            RawBsonRef::Binary(binary) => Uuid::from_slice(binary.bytes).ok(),
            _ => None,
        })
    }

    /// An id.
    pub(super) fn id(self, name: &'static str) -> Result<Uuid> {
        self.optional_id(name)?.ok_or(Unreadable(name))
    }

    /// A text that may be missing.
    pub(super) fn optional_text(self, name: &'static str) -> Result<Option<&'a str>> {
        self.optional(name, RawBsonRef::as_str)
    }

    /// A text.
    pub(super) fn text(self, name: &'static str) -> Result<String> {
        self.optional_text(name)?.map(str::to_owned).ok_or(Unreadable(name))
    }

    /// A text that may be missing, to keep.
    pub(super) fn owned_text(self, name: &'static str) -> Result<Option<String>> {
        Ok(self.optional_text(name)?.map(str::to_owned))
    }

    /// A time that may be missing.
    pub(super) fn optional_time(self, name: &'static str) -> Result<Option<Time>> {
        self.optional(name, |value| value.as_datetime().map(|date| Time(date.timestamp_millis())))
    }

    /// A time.
    pub(super) fn time(self, name: &'static str) -> Result<Time> {
        self.optional_time(name)?.ok_or(Unreadable(name))
    }

    /// A hash that may be missing.
    pub(super) fn optional_bytes(self, name: &'static str) -> Result<Option<Vec<u8>>> {
        self.optional(name, |value| match value {
            RawBsonRef::Binary(binary) => Some(binary.bytes.to_vec()),
            _ => None,
        })
    }

    /// A hash.
    pub(super) fn bytes(self, name: &'static str) -> Result<Vec<u8>> {
        self.optional_bytes(name)?.ok_or(Unreadable(name))
    }

    /// Whether something is so.
    pub(super) fn flag(self, name: &'static str) -> Result<bool> {
        Ok(self.optional(name, RawBsonRef::as_bool)?.unwrap_or_default())
    }

    /// A number of either sign that may be missing.
    pub(super) fn integer(self, name: &'static str) -> Result<Option<i64>> {
        // The server makes the small integer of what it counted.
        self.optional(name, |value| value.as_i64().or_else(|| value.as_i32().map(i64::from)))
    }

    /// A place, a version or a count; 0 if it is missing.
    pub(super) fn number(self, name: &'static str) -> Result<u64> {
        unsigned(self.integer(name)?.unwrap_or_default())
    }

    /// A word of the domain that may be missing.
    pub(super) fn optional_word<T: Code>(self, name: &'static str) -> Result<Option<T>> {
        self.integer(name)?.map(T::from_code).transpose()
    }

    /// A word of the domain.
    pub(super) fn word<T: Code>(self, name: &'static str) -> Result<T> {
        self.optional_word(name)?.ok_or(Unreadable(name))
    }

    /// A document inside.
    pub(super) fn inner(self, name: &'static str) -> Result<Fields<'a>> {
        self.optional(name, |value| value.as_document().map(Fields))?.ok_or(Unreadable(name))
    }

    /// The first document of an array inside, if it has one.
    pub(super) fn first(self, name: &'static str) -> Result<Option<Fields<'a>>> {
        let Some(array) = self.optional(name, RawBsonRef::as_array)? else { return Ok(None) };
        let first = array.into_iter().next().transpose().map_err(|_| Unreadable(name))?;
        first.map(|value| value.as_document().map(Fields).ok_or(Unreadable(name))).transpose()
    }
}

/// Reads every document of a cursor.
pub(super) async fn all<T>(
    mut cursor: mongodb::Cursor<RawDocumentBuf>,
    read: impl Fn(Fields<'_>) -> std::result::Result<T, StoreError>,
) -> std::result::Result<Vec<T>, StoreError> {
    let mut found = Vec::new();
    while cursor.advance().await? {
        found.push(read(Fields(cursor.current()))?);
    }
    Ok(found)
}
