//! A field of a PATCH body: what is absent stays, null takes away, anything else replaces.

use crate::text::Fields;
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

/// What a PATCH says about one field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Change<T> {
    /// Nothing.
    #[default]
    Absent,
    /// Null: there is none from now on.
    Null,
    /// A new value.
    To(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Null, Self::To))
    }
}

impl<T> Change<T> {
    /// The change of a field that may be taken away, checked.
    pub(crate) fn clearable<V>(
        self,
        fields: &mut Fields,
        field: &'static str,
        check: impl FnOnce(T) -> Result<V, Cow<'static, str>>,
    ) -> Change<V> {
        match self {
            Self::Absent => Change::Absent,
            Self::Null => Change::Null,
            Self::To(value) => fields.take(field, check(value)).map_or(Change::Absent, Change::To),
        }
    }

    /// What a field that may be taken away comes to by this change.
    pub(crate) fn over(&self, old: Option<&T>) -> Option<T>
    where
        T: Clone,
    {
        match self {
            Self::Absent => old.cloned(),
            Self::Null => None,
            Self::To(value) => Some(value.clone()),
        }
    }

    /// The new value of a field that is always there.
    pub(crate) fn kept<V>(
        self,
        fields: &mut Fields,
        field: &'static str,
        check: impl FnOnce(T) -> Result<V, Cow<'static, str>>,
    ) -> Option<V> {
        match self {
            Self::Absent => None,
            Self::Null => {
                fields.wrong(field, "cannot be taken away");
                None
            }
            Self::To(value) => fields.take(field, check(value)),
        }
    }
}
