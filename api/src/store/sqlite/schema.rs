//! Opens connections to the file and brings its schema up to date.

use crate::{store::StoreError, text::fold};
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use std::{path::Path, time::Duration};
use uuid::Uuid;

/// The steps from one version of the schema to the next; `user_version` counts those that were taken.
const STEPS: &[&str] = &[
    include_str!("schema.sql"),
    include_str!("schema-2.sql"),
    include_str!("schema-3.sql"),
    include_str!("schema-4.sql"),
];

/// The version of the schema that has display names folded.
const FOLDED_NAMES: u32 = 3;

/// How long a connection waits for another process (a backup, a person with a shell) that holds the lock. Clients are
/// promised "unavailable" within 3 s.
const BUSY_TIMEOUT: Duration = Duration::from_millis(2_500);

/// Statements kept prepared per connection; more than there are in this store.
const CACHED_STATEMENTS: usize = 64;

/// The one connection that writes. Makes the file and its tables where they are missing.
pub(super) fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    let mut db = Connection::open(path)?;
    prepare(&db)?;
    db.pragma_update(None, "journal_mode", "wal")?;
    // With NORMAL a power cut could take back the newest commits, which are acknowledged messages.
    db.pragma_update(None, "synchronous", "full")?;
    db.pragma_update(None, "foreign_keys", true)?;
    migrate(&mut db)?;
    Ok(db)
}

/// A connection that cannot write, whatever it is told.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    prepare(&db)?;
    Ok(db)
}

fn prepare(db: &Connection) -> Result<(), StoreError> {
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    Ok(())
}

/// Writes the folded display names of an older version: SQLite folds ASCII alone.
fn fold_names(db: &Connection) -> Result<(), StoreError> {
    let mut names = db.prepare("SELECT id, display_name FROM users")?;
    let mut write = db.prepare("UPDATE users SET display_key = ?2 WHERE id = ?1")?;
    let mut rows = names.query([])?;
    while let Some(row) = rows.next()? {
        write.execute((row.get::<_, [u8; 16]>(0)?, fold(&row.get::<_, String>(1)?)))?;
    }
    Ok(())
}

/// Takes the missing steps in one transaction, so that a crash leaves the old version or the new one.
fn migrate(db: &mut Connection) -> Result<(), StoreError> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let Some(missing) = STEPS.get(version as usize..) else {
        return Err(StoreError::Failed(format!("the file is of version {version}, newer than this program")));
    };
    for (step, version) in missing.iter().zip(version + 1..) {
        transaction.execute_batch(step)?;
        if version == FOLDED_NAMES {
            fold_names(&transaction)?;
        }
        transaction.pragma_update(None, "user_version", version)?;
    }
    transaction.execute(
        "INSERT INTO meta (key, value) VALUES ('epoch', ?1) ON CONFLICT DO NOTHING",
        [Uuid::new_v4().to_string()],
    )?;
    Ok(transaction.commit()?)
}
