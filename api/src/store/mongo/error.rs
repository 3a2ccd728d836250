//! What an error of the driver means to a caller of the store.
//!
//! Decided by its structure and its codes alone. The server's texts are neither parsed nor passed on: that of a
//! duplicate key contains the key, and names and addresses do not belong into logs.

use crate::store::StoreError;
use mongodb::error::{
    Error, ErrorKind, RETRYABLE_WRITE_ERROR, TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT,
    WriteFailure,
};

/// `DuplicateKey`.
pub(super) const DUPLICATE_KEY: i32 = 11_000;

/// Codes that tell of the deployment, not of the command: elections, shutdowns, lost hosts, time limits, conflicts.
/// From the server's `error_codes.yml`.
const PASSING: [i32; 22] =
    [6, 7, 24, 50, 64, 79, 89, 91, 100, 112, 133, 134, 189, 202, 251, 262, 290, 9001, 10_107, 11_600, 11_602, 13_435];

/// `NotPrimaryOrSecondary`, of the same sort.
const NOT_PRIMARY_OR_SECONDARY: i32 = 13_436;

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        let what = describe(&error);
        if is_passing(&error) { Self::Unavailable(what) } else { Self::Failed(what) }
    }
}

impl From<mongodb::bson::error::Error> for StoreError {
    fn from(_: mongodb::bson::error::Error) -> Self {
        Self::Failed("a document cannot be read or written".into())
    }
}

/// Whether the single write found a unique key taken.
pub(super) fn is_taken(error: &Error) -> bool {
    code(error) == Some(DUPLICATE_KEY)
}

fn is_passing(error: &Error) -> bool {
    match &*error.kind {
        ErrorKind::Io(_)
        | ErrorKind::ServerSelection { .. }
        | ErrorKind::ConnectionPoolCleared { .. }
        | ErrorKind::DnsResolve { .. }
        | ErrorKind::Shutdown
        | ErrorKind::Write(WriteFailure::WriteConcernError(_)) => true,
        // The driver gives this kind to the reply of a bulk; a failed write concern leaves the outcome open.
        ErrorKind::InsertMany(bulk) if bulk.write_concern_error.is_some() => true,
        _ => {
            code(error).is_some_and(|code| PASSING.contains(&code) || code == NOT_PRIMARY_OR_SECONDARY)
                || [RETRYABLE_WRITE_ERROR, TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT]
                    .iter()
                    .any(|label| error.contains_label(label))
        }
    }
}

fn code(error: &Error) -> Option<i32> {
    match &*error.kind {
        ErrorKind::Command(command) => Some(command.code),
        ErrorKind::Write(WriteFailure::WriteError(write)) => Some(write.code),
        ErrorKind::Write(WriteFailure::WriteConcernError(write)) => Some(write.code),
        ErrorKind::InsertMany(bulk) => bulk.write_errors.as_ref()?.first().map(|first| first.code),
        _ => None,
    }
}

fn describe(error: &Error) -> String {
    match (&*error.kind, code(error)) {
        (_, Some(code)) => format!("the server answered with error {code}"),
        (ErrorKind::Io(io), _) => format!("the connection failed: {}", io.kind()),
        (ErrorKind::ServerSelection { .. }, _) => "no primary was found".into(),
        (ErrorKind::ConnectionPoolCleared { .. }, _) => "the connections were closed".into(),
        (ErrorKind::DnsResolve { .. }, _) => "the name of a server was not resolved".into(),
        (ErrorKind::Authentication { .. }, _) => "authentication failed".into(),
        (ErrorKind::InvalidTlsConfig { .. }, _) => "the TLS configuration is invalid".into(),
        // A connection string in here may hold a password.
        (ErrorKind::InvalidArgument { .. }, _) => "an argument or the connection string is invalid".into(),
        _ => "the driver failed".into(),
    }
}
