//! Blocks: who will not be written to by whom. A block stands between two people in both directions; `facts` is who
//! looks whether there is one.

use crate::{
    app::Api,
    paging::Limited,
    problem,
    store::{
        StoreError,
        records::{self, Area, Kept, Record},
    },
};
use rookery_shared::{
    clock::{self, Time},
    ids::UserId,
    model::{Author, Page},
    protocol::{Code, Problem},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;
use uuid::Uuid;

/// One person blocks another.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Block {
    by: UserId,
    of: UserId,
    at: Time,
}

impl Record for Block {
    const AREA: Area = Area::Block;

    fn owner(&self) -> Uuid {
        self.by.0
    }

    fn id(&self) -> Uuid {
        self.of.0
    }
}

/// Someone in the list of those whom the caller blocks.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Blocked {
    #[serde(flatten)]
    person: Author,
    blocked_at: Time,
}

impl Api {
    /// Blocks someone. Nothing happens if they are blocked already.
    pub(crate) async fn block(&self, by: UserId, of: UserId) -> Result<(), Problem> {
        if by == of {
            return Err(Problem::field("id", "is someone else: nobody blocks themselves"));
        }
        let user = self.reader.user(of).await.map_err(problem::store)?;
        if user.is_none_or(|user| user.row.is_service) {
            return Err(Code::NotFound.into());
        }
        let done = records::put(&**self.reader.store(), &Kept::new(Block { by, of, at: clock::now() })).await;
        match done {
            Ok(()) | Err(StoreError::Taken(_)) => Ok(()),
            Err(error) => Err(problem::store(error)),
        }
    }

    /// Takes a block back. Nothing happens if there is none.
    pub(crate) async fn unblock(&self, by: UserId, of: UserId) -> Result<(), Problem> {
        let store = self.reader.store();
        let kept = records::one::<Block>(&**store, by.0, of.0).await.map_err(problem::store)?;
        let Some(kept) = kept else {
            // Whoever is not there was not blocked either; a deleted account may have been.
            let there = self.reader.users([of]).await.map_err(problem::store)?;
            return if there.contains_key(&of) { Ok(()) } else { Err(Code::NotFound.into()) };
        };
        let done = store.commit(&[], &[kept.delete()]).await;
        match done {
            Ok(()) | Err(StoreError::Stale(_)) => Ok(()),
            Err(error) => Err(problem::store(error)),
        }
    }

    /// Whom someone blocks, the newest first.
    pub(crate) async fn list_blocks(&self, by: UserId, page: &Limited) -> Result<Page<Blocked>, Problem> {
        let store = &**self.reader.store();
        let kept = records::list::<Block>(store, by.0, page.part()?, page.limit + 1).await.map_err(problem::store)?;
        let (kept, more) = page.cut(kept);
        let ends = kept.first().zip(kept.last()).map(|(first, last)| (first.place, last.place));
        let beyond = match page.other_side(ends) {
            Some(part) => !records::list::<Block>(store, by.0, part, 1).await.map_err(problem::store)?.is_empty(),
            None => false,
        };
        let (next, prev) = page.places(ends.as_ref(), more, beyond);
        let people = self.reader.users(kept.iter().map(|kept| kept.record.of)).await.map_err(problem::store)?;
        let items = kept.into_iter().filter_map(|kept| {
            let person: Arc<Author> = people.get(&kept.record.of)?.author.clone();
            Some(Blocked { person: (*person).clone(), blocked_at: kept.record.at })
        });
        Ok(Page { items: items.collect(), next, prev })
    }

    /// Refuses who wants to open a conversation with someone whom a block stands between.
    pub(crate) async fn refuse_blocked(&self, caller: UserId, people: &[UserId]) -> Result<(), Problem> {
        let pairs: Vec<_> = people.iter().filter(|other| **other != caller).map(|other| (caller, *other)).collect();
        let blocked = self.blocked_pairs(&pairs).await.map_err(problem::store)?;
        if blocked.is_empty() { Ok(()) } else { Err(Code::Blocked.into()) }
    }
}
