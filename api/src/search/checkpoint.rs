//! How far each api has brought the search index: what lets another one go on when it is killed.
//!
//! Every api keeps one record that says up to which time, by its own clock, everything that it stored is indexed. While
//! it lives, the record changes every few seconds. One that stands still, by the watch of whoever looks, belongs to an api
//! that is gone: what that one stored from a while before then is indexed again. No two clocks are compared: ids of
//! messages carry the time of the api that stored them, which is the one that the record is about.

use crate::store::{
    Part, Store, StoreError,
    records::{self, Area, Kept, Record},
};
use rookery_shared::{clock::Time, ids::MessageId};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};
use uuid::Uuid;

/// Which words the tokenizer makes. When it makes others, everything is indexed anew.
const TOKENIZER: u32 = 1;

/// The id of the record that says that everything from before the first checkpoint is indexed.
const WHOLE: Uuid = Uuid::nil();

/// Records that are looked at: far more than there are apis.
const MAX_RECORDS: u32 = 1_000;

/// A message may be committed so much later than its id was made, with time to spare.
const MARGIN: i64 = 60_000;

/// What one life of one api says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Checkpoint {
    life: Uuid,
    up_to: Time,
    #[serde(default)]
    tokenizer: u32,
}

impl Record for Checkpoint {
    const AREA: Area = Area::Indexer;

    fn owner(&self) -> Uuid {
        Uuid::nil()
    }

    fn id(&self) -> Uuid {
        self.life
    }
}

/// The first id that a message can have that was committed at or after this time of the machine that stored it.
pub(super) fn first_id(at: Time) -> MessageId {
    let milliseconds = u128::try_from(at.0.saturating_sub(MARGIN)).unwrap_or(0);
    MessageId(Uuid::from_u128(milliseconds << 80))
}

/// Something to be indexed again, and what to do when that is done.
#[derive(Clone, Debug)]
pub(super) enum Debt {
    /// What this api stored and could not keep in its queue, since then.
    Missed(Time),
    /// What another api left behind.
    Left(Kept<Checkpoint>),
    /// Everything.
    Whole(Kept<Checkpoint>),
}

impl Debt {
    /// Behind which message it begins.
    pub(super) fn from(&self) -> MessageId {
        match self {
            Self::Missed(since) => first_id(*since),
            Self::Left(left) => first_id(left.record.up_to),
            Self::Whole(_) => MessageId::NIL,
        }
    }

    /// Writes down that it is settled.
    pub(super) async fn settle(self, store: &dyn Store) -> Result<(), StoreError> {
        match self {
            Self::Missed(_) => Ok(()),
            // If the record went on, it is of an api that only stood still.
            Self::Left(left) => match records::one::<Checkpoint>(store, Uuid::nil(), left.record.life).await? {
                Some(now) if now.version == left.version => unless_gone(store.commit(&[], &[now.delete()]).await),
                _ => Ok(()),
            },
            Self::Whole(whole) => unless_gone(records::put(store, &whole).await),
        }
    }
}

/// Somebody else may have done the same.
fn unless_gone(done: Result<(), StoreError>) -> Result<(), StoreError> {
    match done {
        Err(StoreError::Stale(_) | StoreError::Taken(_)) => Ok(()),
        done => done,
    }
}

/// The records of all apis, as one of them sees them.
pub(super) struct Checkpoints {
    own: Kept<Checkpoint>,
    takeover_after: Duration,
    /// The version of each other record, and since when it is that.
    others: HashMap<Uuid, (u64, Instant)>,
    /// Whether it is known that all is indexed that was stored before there were checkpoints.
    whole: bool,
}

impl Checkpoints {
    pub(super) fn new(takeover_after: Duration) -> Self {
        let own = Kept::new(Checkpoint { life: Uuid::now_v7(), up_to: Time(0), tokenizer: TOKENIZER });
        Self { own, takeover_after, others: HashMap::new(), whole: false }
    }

    /// Says that everything is indexed that this api stored before then.
    pub(super) async fn keep(&mut self, store: &dyn Store, up_to: Time) -> Result<(), StoreError> {
        self.own.record.up_to = up_to;
        match records::put(store, &self.own).await {
            Ok(()) => {
                self.own.version += 1;
                Ok(())
            }
            // Another one took this api for dead, or an answer was lost.
            Err(StoreError::Stale(_) | StoreError::Taken(_)) => {
                let found = records::one::<Checkpoint>(store, Uuid::nil(), self.own.record.life).await?;
                self.own.version = found.map_or(0, |found| found.version);
                records::put(store, &self.own).await?;
                self.own.version += 1;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Takes it back at the end, when nothing is left to index.
    pub(super) async fn remove(&self, store: &dyn Store) -> Result<(), StoreError> {
        unless_gone(store.commit(&[], &[self.own.delete()]).await)
    }

    /// What others left behind, each taken by this api from now on.
    pub(super) async fn debts(&mut self, store: &dyn Store) -> Result<Vec<Debt>, StoreError> {
        let found = records::list::<Checkpoint>(store, Uuid::nil(), Part::First, MAX_RECORDS).await?;
        let mut debts = Vec::new();
        if !self.whole {
            let known = found.iter().find(|kept| kept.record.life == WHOLE).cloned();
            if known.as_ref().is_none_or(|known| known.record.tokenizer < TOKENIZER) {
                let record = Checkpoint { life: WHOLE, up_to: Time(0), tokenizer: TOKENIZER };
                debts.push(Debt::Whole(
                    known.map_or_else(|| Kept::new(record.clone()), |known| Kept { record: record.clone(), ..known }),
                ));
            }
            self.whole = true;
        }
        let apart = [WHOLE, self.own.record.life];
        let others: Vec<_> = found.into_iter().filter(|kept| !apart.contains(&kept.record.life)).collect();
        self.others.retain(|life, _| others.iter().any(|kept| kept.record.life == *life));
        for mut other in others {
            let seen = self.others.entry(other.record.life).or_insert_with(|| (other.version, Instant::now()));
            if seen.0 != other.version {
                *seen = (other.version, Instant::now());
                continue;
            }
            if seen.1.elapsed() < self.takeover_after {
                continue;
            }
            // The new version tells the others that someone is at it; if that one dies too, they will see it.
            match records::put(store, &other).await {
                Ok(()) => {
                    other.version += 1;
                    *seen = (other.version, Instant::now());
                    debts.push(Debt::Left(other));
                }
                Err(StoreError::Stale(_) | StoreError::Taken(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(debts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rookery_shared::clock;

    #[test]
    fn the_first_id_of_a_time_lies_a_while_before_those_made_then() {
        let (before, id, after) = (clock::now(), MessageId::new(), clock::now());
        assert!(first_id(after) < id);
        assert!(first_id(Time(before.0 + MARGIN - 1)) <= id);
        assert!(first_id(Time(after.0 + MARGIN + 1)) > id);
        assert_eq!(first_id(Time(0)), MessageId::NIL);
    }
}
