//! Invites: ways into a room for whoever has the token, with an end and a number of uses.

use super::rooms::streams;
use crate::{
    actor::Actor,
    app::Api,
    paging::Limited,
    power::Act,
    problem,
    store::{
        Op,
        records::{self, Area, Kept, Record},
    },
    text::Fields,
    writer::Planned,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rookery_shared::{
    clock::{self, Time},
    ids::{RoomId, UserId},
    model::{Invite, InvitePreview, MemberRole, OpenedConversation, Page},
    protocol::{Code, Problem},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{borrow::Cow, sync::Arc};
use utoipa::ToSchema;
use uuid::Uuid;

/// Seconds that an invite lives if nothing is said: 7 days; and at most: a year.
const DEFAULT_LIFETIME: u32 = 7 * 24 * 60 * 60;
const MAX_LIFETIME: u32 = 365 * 24 * 60 * 60;

/// The greatest number of uses that can be named.
const MAX_USES: u32 = 1_000_000;

/// The body of `POST /rooms/{id}/invites`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CreateInvite {
    /// Seconds until it ends; 7 days if absent.
    #[schema(minimum = 1, maximum = 31_536_000)]
    expires_in: Option<u64>,
    /// How many may come in by it; any number if absent.
    #[schema(minimum = 1, maximum = 1_000_000)]
    max_uses: Option<u64>,
}

/// An invite as it is kept. One that is taken back is nobody's, so that no room lists it; it is found all the same, and
/// said to be gone.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct InviteRecord {
    #[serde(flatten)]
    invite: Invite,
    #[serde(default)]
    revoked_at: Option<Time>,
}

impl Record for InviteRecord {
    const AREA: Area = Area::Invite;

    fn owner(&self) -> Uuid {
        if self.revoked_at.is_some() { Uuid::nil() } else { self.invite.room_id.0 }
    }

    fn id(&self) -> Uuid {
        record_id(&self.invite.token)
    }
}

/// Where the invite with this token is kept.
fn record_id(token: &str) -> Uuid {
    let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
    let mut id = [0; 16];
    id.copy_from_slice(&hash[..16]);
    Uuid::from_bytes(id)
}

/// A new token: 128 random bits behind the room's id, by which an invite to a room that was deleted is known as one
/// when everything of that room is gone.
fn new_token(room: RoomId) -> String {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(room.0.as_bytes());
    bytes[16..].copy_from_slice(&rand::random::<[u8; 16]>());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The room that a token names, if it is of our making.
fn room_of(token: &str) -> Option<RoomId> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok().filter(|bytes| bytes.len() == 32)?;
    Uuid::from_slice(&bytes[..16]).ok().map(RoomId)
}

/// A whole number from 1 on.
fn up_to(number: u64, max: u32) -> Result<u32, Cow<'static, str>> {
    let found = u32::try_from(number).ok().filter(|number| (1..=max).contains(number));
    found.ok_or_else(|| format!("is a number from 1 to {max}").into())
}

/// Whether an invite lets somebody in now.
fn is_open(invite: &Invite) -> bool {
    invite.expires_at > clock::now() && invite.max_uses.is_none_or(|max| invite.uses < max)
}

impl Api {
    /// Makes an invite.
    pub(crate) async fn create_invite(&self, actor: Actor, id: RoomId, body: CreateInvite) -> Result<Invite, Problem> {
        let mut fields = Fields::default();
        let lifetime = fields.optional("expiresIn", body.expires_in, |seconds| up_to(seconds, MAX_LIFETIME));
        let max_uses = fields.optional("maxUses", body.max_uses, |uses| up_to(uses, MAX_USES));
        // Whether someone may invite is said before what is wrong with the invite.
        self.acted_room(actor, id).await?.check(actor, Act::Invite)?;
        fields.finish()?;
        let created_at = clock::now();
        let invite = Invite {
            token: new_token(id),
            room_id: id,
            expires_at: created_at.plus_seconds(lifetime.unwrap_or(DEFAULT_LIFETIME).into()),
            max_uses,
            uses: 0,
            created_by: actor.named(),
            created_at,
        };
        let made = invite.clone();
        self.change(streams(id, []), move |api, _| {
            let record = InviteRecord { invite: invite.clone(), revoked_at: None };
            async move {
                let seen = api.acted_room(actor, id).await?;
                seen.check(actor, Act::Invite)?;
                let put = Kept::new(record).put().map_err(problem::store)?;
                // Nothing is made for a room that is deleted at the same time.
                let ops = vec![Op::ExpectRoom(id, seen.room.version), put];
                Ok(Planned { ops, ..Planned::nothing(()) })
            }
        })
        .await?;
        Ok(made)
    }

    /// The invites to a room that were not taken back, the newest first.
    pub(crate) async fn list_invites(&self, actor: Actor, id: RoomId, page: &Limited) -> Result<Page<Invite>, Problem> {
        self.acted_room(actor, id).await?.check(actor, Act::Invite)?;
        let (found, next, prev) = self.records_of::<InviteRecord>(id, page).await?;
        Ok(Page { items: found.into_iter().map(|record| record.invite).collect(), next, prev })
    }

    /// Takes an invite back. Nothing happens if that was done before.
    pub(crate) async fn revoke_invite(&self, actor: Actor, id: RoomId, token: &str) -> Result<(), Problem> {
        let token: Arc<str> = token.into();
        self.change(streams(id, []), move |api, _| {
            let token = token.clone();
            async move {
                api.acted_room(actor, id).await?.check(actor, Act::Invite)?;
                let found = api.kept_invite(&token).await?.filter(|kept| kept.record.invite.room_id == id);
                let kept = found.ok_or(Code::NotFound)?;
                if kept.record.revoked_at.is_some() {
                    return Ok(Planned::nothing(()));
                }
                let revoked = InviteRecord { revoked_at: Some(clock::now()), ..kept.record.clone() };
                let put = Kept::new(revoked).put().map_err(problem::store)?;
                Ok(Planned { ops: vec![kept.delete(), put], ..Planned::nothing(()) })
            }
        })
        .await
    }

    async fn kept_invite(&self, token: &str) -> Result<Option<Kept<InviteRecord>>, Problem> {
        let found = records::by_id(self.reader.store().as_ref(), record_id(token)).await.map_err(problem::store)?;
        Ok(found.filter(|kept: &Kept<InviteRecord>| kept.record.invite.token == token))
    }

    /// The invite with this token to a room that is there. `gone` if it was taken back or the room is no more.
    async fn invite(&self, token: &str) -> Result<Kept<InviteRecord>, Problem> {
        if let Some(kept) = self.kept_invite(token).await? {
            return if kept.record.revoked_at.is_some() { Err(gone()) } else { Ok(kept) };
        }
        let room = room_of(token).ok_or(Code::NotFound)?;
        let deleted = self.reader.store().deleted_room(room).await.map_err(problem::store)?;
        Err(if deleted.is_some() { gone() } else { Code::NotFound.into() })
    }

    /// What the room is that an invite opens.
    pub(crate) async fn preview_invite(&self, user: UserId, token: &str) -> Result<InvitePreview, Problem> {
        let invite = self.invite(token).await?.record.invite;
        let seen = self.room_of_invite(user, &invite).await?;
        if !is_open(&invite) {
            return Err(gone());
        }
        Ok(InvitePreview {
            room_id: invite.room_id,
            name: seen.room.name,
            description: seen.room.description,
            visibility: seen.room.visibility,
            member_count: seen.member_count,
            expires_at: invite.expires_at,
            is_member: seen.member.is_some(),
        })
    }

    async fn room_of_invite(&self, user: UserId, invite: &Invite) -> Result<super::rooms::Seen, Problem> {
        self.room_if(user, invite.room_id, |_| true).await.map_err(|refusal| match refusal.code {
            Code::NotFound => gone(),
            _ => refusal,
        })
    }

    /// Comes in by an invite. Who is in already spends nothing. A use is counted over the invite's version in the
    /// transaction that lets someone in, so that of many at once exactly as many come in as may.
    pub(crate) async fn join_by_invite(&self, user: UserId, token: &str) -> Result<OpenedConversation, Problem> {
        let room = self.invite(token).await?.record.invite.room_id;
        let token: Arc<str> = token.into();
        let is_new = self
            .change(streams(room, [user]), move |api, mut heads| {
                let token = token.clone();
                async move {
                    let mut kept = api.invite(&token).await?;
                    let seen = api.room_of_invite(user, &kept.record.invite).await?;
                    let mut planned = Planned::nothing(seen.member.is_none());
                    if seen.member.is_some() {
                        return Ok(planned);
                    }
                    if !is_open(&kept.record.invite) {
                        return Err(gone());
                    }
                    api.admit(&seen.room, user, MemberRole::Member, &mut heads, &mut planned).await?;
                    kept.record.invite.uses += 1;
                    planned.ops.push(kept.put().map_err(problem::store)?);
                    Ok(planned)
                }
            })
            .await?;
        let summaries = self.reader.summaries(&[(room, user)]).await.map_err(problem::store)?;
        let summary = summaries.into_values().next().ok_or_else(gone)?;
        Ok(OpenedConversation { summary, is_new })
    }
}

fn gone() -> Problem {
    Problem::new(Code::Gone, "This invite is spent, expired or taken back, or its room is no more")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_room_and_is_never_the_same() {
        let room = RoomId::new();
        let (one, other) = (new_token(room), new_token(room));
        assert_ne!(one, other);
        assert_ne!(record_id(&one), record_id(&other));
        assert_eq!(room_of(&one), Some(room));
        assert_eq!(room_of("made-up"), None);
    }
}
