//! Reactions: a record for each emoji and user under a message, and in the message what its readers see of them.

use super::changes::{Change, Changed, Found};
use crate::{
    actor::Actor,
    app::Api,
    emoji, problem,
    store::{
        Part, SharedStore, StoreError,
        records::{self, Area, Kept, Record},
        rows::MessageRow,
    },
};
use rookery_shared::{
    clock::{self, Time},
    envelope::Kind,
    ids::{MessageId, UserId},
    model::Reaction,
    protocol::{Code, Problem},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::{Builder, Uuid};

/// Different emojis under one message.
const MAX_EMOJIS: usize = 50;

/// People who are named beside an emoji: the first ones.
const MAX_NAMED: u32 = 20;

/// Records that are removed in one go.
const REMOVED_AT_ONCE: u32 = 100;

/// Records that who deletes a message waits for.
const REMOVED_MEANWHILE: u64 = 500;

/// One person's emoji under one message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reacted {
    message_id: MessageId,
    emoji: String,
    user_id: UserId,
    at: Time,
}

impl Record for Reacted {
    const AREA: Area = Area::Reaction;

    fn owner(&self) -> Uuid {
        owner(self.message_id, &self.emoji)
    }

    fn id(&self) -> Uuid {
        self.user_id.0
    }
}

/// Whose the records of an emoji under a message are.
fn owner(message: MessageId, emoji: &str) -> Uuid {
    let digest = Sha256::new().chain_update(message.0.as_bytes()).chain_update(emoji).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Builder::from_custom_bytes(bytes).into_uuid()
}

impl Api {
    /// Puts someone's emoji under a message, or takes it away. It is there once, however often it is put.
    pub(crate) async fn react(
        &self,
        user: UserId,
        id: MessageId,
        emoji: &str,
        wanted: bool,
    ) -> Result<Changed, Problem> {
        let actor = Actor::person(user);
        let emoji = match emoji::one(emoji) {
            Ok(emoji) => emoji,
            Err(message) => {
                // Whoever cannot see the message is told that first.
                self.found(actor, id).await?;
                return Err(Problem::field("emoji", message));
            }
        };
        let decide = move |api: Api, found: Found| {
            let emoji = emoji.clone();
            async move {
                found.there()?;
                let message = found.message;
                let store = api.reader.store();
                let kept = records::one::<Reacted>(&**store, owner(message.id, &emoji), user.0).await;
                match (kept.map_err(problem::store)?, wanted) {
                    (None, true) => add(message, emoji, user),
                    (Some(kept), false) => take_away(store, message, &kept).await,
                    (Some(_), true) | (None, false) => Ok(Change::Nothing),
                }
            }
        };
        self.change_message(actor, id, decide).await
    }

    /// Removes the reactions of a message that became a tombstone. Few at once; of a message that half a town reacted to
    /// the rest goes while its author goes on.
    pub(crate) async fn forget_reactions(&self, message: MessageRow) {
        let count: u64 = message.reactions.iter().map(|reaction| reaction.count).sum();
        let api = self.clone();
        let removing = async move {
            if let Err(error) = api.remove_reactions(&[message]).await {
                tracing::warn!(%error, "reactions of a deleted message are left behind");
            }
        };
        if count <= REMOVED_MEANWHILE {
            removing.await;
        } else {
            tokio::spawn(removing);
        }
    }

    /// Removes the records of all reactions under these messages, which are, or are about to be, gone.
    pub(crate) async fn remove_reactions(&self, messages: &[MessageRow]) -> Result<(), StoreError> {
        for message in messages {
            for reaction in &message.reactions {
                remove_all(self.reader.store(), owner(message.id, &reaction.emoji)).await?;
            }
        }
        Ok(())
    }
}

async fn remove_all(store: &SharedStore, owner: Uuid) -> Result<(), StoreError> {
    loop {
        let left = records::list::<Reacted>(&**store, owner, Part::First, REMOVED_AT_ONCE).await?;
        if left.is_empty() {
            return Ok(());
        }
        let ops: Vec<_> = left.iter().map(Kept::delete).collect();
        match store.commit(&[], &ops).await {
            // Somebody else does the same.
            Ok(()) | Err(StoreError::Stale(_)) => {}
            Err(error) => return Err(error),
        }
    }
}

fn add(mut message: MessageRow, emoji: String, user: UserId) -> Result<Change, Problem> {
    match message.reactions.iter().position(|reaction| reaction.emoji == emoji) {
        Some(index) => {
            let reaction = &mut message.reactions[index];
            reaction.count += 1;
            if reaction.user_ids.len() < MAX_NAMED as usize {
                reaction.user_ids.push(user);
            }
        }
        None if message.reactions.len() >= MAX_EMOJIS => {
            let text = format!("A message has at most {MAX_EMOJIS} different emojis");
            return Err(Problem::new(Code::Conflict, text));
        }
        None => message.reactions.push(Reaction { emoji: emoji.clone(), count: 1, user_ids: vec![user] }),
    }
    let record = Kept::new(Reacted { message_id: message.id, emoji, user_id: user, at: clock::now() });
    let ops = vec![record.put().map_err(problem::store)?];
    Ok(Change::To { message: Box::new(message), kind: Kind::MessageUpdated, ops })
}

async fn take_away(store: &SharedStore, mut message: MessageRow, kept: &Kept<Reacted>) -> Result<Change, Problem> {
    let Reacted { emoji, user_id: user, .. } = &kept.record;
    if let Some(index) = message.reactions.iter().position(|reaction| reaction.emoji == *emoji) {
        let reaction = &mut message.reactions[index];
        reaction.count = reaction.count.saturating_sub(1);
        let named = reaction.user_ids.len();
        reaction.user_ids.retain(|other| other != user);
        if reaction.count == 0 {
            message.reactions.remove(index);
        } else if reaction.user_ids.len() < named && reaction.count > reaction.user_ids.len() as u64 {
            // One who was named goes, and one who was not is named instead. The oldest are the last in the list's order.
            let oldest = Part::Before(Uuid::nil());
            let first = records::list::<Reacted>(&**store, kept.record.owner(), oldest, MAX_NAMED + 1).await;
            let first = first.map_err(problem::store)?.into_iter().rev().map(|kept| kept.record.user_id);
            reaction.user_ids = first.filter(|other| other != user).take(MAX_NAMED as usize).collect();
        }
    }
    Ok(Change::To { message: Box::new(message), kind: Kind::MessageUpdated, ops: vec![kept.delete()] })
}
