//! One multi-document transaction, tried again as the driver's specification recommends.

use super::tables::Tables;
use crate::store::{Op, StoreError};
use mongodb::{
    ClientSession,
    bson::{RawDocumentBuf, doc},
    error::{Error, TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT},
};
use std::time::Duration;
use tokio::time::Instant;

/// How long a transaction is tried again; shorter than a call may take, so that the caller learns what was in the way.
const RETRY_FOR: Duration = Duration::from_millis(2_500);

/// The first and the longest pause between two tries. The other side of a conflict is done within one commit.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// What is to be committed together.
pub(super) struct Change<'a> {
    pub(super) ops: &'a [Op],
    pub(super) entries: &'a [RawDocumentBuf],
}

/// Why the work inside a transaction stopped.
pub(super) enum Stop {
    /// The driver or the server said so; tried again if that may help.
    Driver(Error),
    /// The work itself decided; final.
    Refused(StoreError),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Driver(error)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

/// Makes the change in a transaction until it is majority-committed, refused, or out of time.
///
/// Two transactions that insert the same unique key make the server refuse one with `WriteConflict`, a transient
/// error, while the other is open; tried again after the other's commit it is a duplicate key, which is final.
pub(super) async fn run(tables: &Tables, change: &Change<'_>) -> Result<(), StoreError> {
    let deadline = Instant::now() + RETRY_FOR;
    let mut session = tables.client().start_session().await?;
    let mut pause = FIRST_PAUSE;
    loop {
        session.start_transaction().await?;
        let error = match tables.make(&mut session, change).await {
            Ok(()) => match commit(&mut session, deadline).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            },
            Err(stop) => {
                // If this fails, the server aborts it when it finds the session gone or the next one begun.
                let _ = session.abort_transaction().await;
                match stop {
                    Stop::Driver(error) => error,
                    Stop::Refused(refusal) => return told(tables, refusal).await,
                }
            }
        };
        if !error.contains_label(TRANSIENT_TRANSACTION_ERROR) || Instant::now() + pause >= deadline {
            return Err(error.into());
        }
        // Without the chance in it, two that collided would collide again.
        tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Committing again is safe: the server knows the transaction by its number.
async fn commit(session: &mut ClientSession, deadline: Instant) -> Result<(), Error> {
    loop {
        match session.commit_transaction().await {
            Err(error) if error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT) && Instant::now() < deadline => {}
            result => return result,
        }
    }
}

/// Tells a refusal when what caused it is majority-committed.
///
/// A transaction reads what its primary has, so that a key may be taken by a write which no majority read shows yet,
/// and a caller that looks for it would find nothing. A write that changes nothing waits, with its write concern, for
/// everything that this primary wrote before it.
async fn told(tables: &Tables, refusal: StoreError) -> Result<(), StoreError> {
    tables.meta().delete_one(doc! { "_id": "nothing has this id" }).await?;
    Err(refusal)
}
