//! What an error of SQLite means to a caller of the store.

use crate::store::{StoreError, codec::Unreadable};
use rusqlite::{Error, ErrorCode, ffi, types::Type};

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        // The text of an error names tables and columns, never values.
        match error.sqlite_error_code() {
            Some(
                ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::FileLockingProtocolFailed,
            ) => Self::Unavailable(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl From<Unreadable> for Error {
    fn from(unreadable: Unreadable) -> Self {
        Self::FromSqlConversionFailure(0, Type::Null, Box::new(unreadable))
    }
}

/// Whether the statement found a unique key taken. It has changed nothing then, and its transaction goes on.
pub(super) fn is_taken(error: &Error) -> bool {
    matches!(
        error.sqlite_error().map(|error| error.extended_code),
        Some(ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY)
    )
}
