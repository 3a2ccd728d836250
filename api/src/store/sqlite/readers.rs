//! A small pool of connections that read, each call in a transaction of its own: one snapshot, taken after the call.

use super::schema;
use crate::store::StoreError;
use rusqlite::Connection;
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::Semaphore;

/// Reads are short and mostly from memory: more connections than this would only wait for cores.
const MOST: usize = 8;

/// The pool. SQLite blocks, so that reads run on tokio's blocking threads; the semaphore bounds how many there are.
pub(super) struct Readers {
    path: PathBuf,
    permits: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Readers {
    /// A pool for this file. Opens the first connection, so that a file that cannot be read is found out at once.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let first = schema::open_reader(path)?;
        let count = std::thread::available_parallelism().map_or(2, std::num::NonZero::get).clamp(2, MOST);
        Ok(Self {
            path: path.to_owned(),
            permits: Arc::new(Semaphore::new(count)),
            idle: Arc::new(Mutex::new(vec![first])),
        })
    }

    /// Runs one read and gives the connection back.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(|_| StoreError::Unavailable("the store is closed".into()))?;
        let (idle, path) = (Arc::clone(&self.idle), self.path.clone());
        let task = tokio::task::spawn_blocking(move || {
            let spare = lock(&idle).pop();
            let db = spare.map_or_else(|| schema::open_reader(&path), Ok)?;
            let result = snapshot(&db, work);
            // One that panicked is not given back; the next call opens another.
            lock(&idle).push(db);
            drop(permit);
            result
        });
        task.await.map_err(|error| StoreError::Failed(error.to_string()))?
    }
}

fn snapshot<T>(db: &Connection, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
    let transaction = db.unchecked_transaction()?;
    let result = work(&transaction);
    transaction.finish()?;
    result
}

/// The lock is held for a push or a pop alone, which leave the list whole whatever happens.
fn lock(idle: &Mutex<Vec<Connection>>) -> std::sync::MutexGuard<'_, Vec<Connection>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}
