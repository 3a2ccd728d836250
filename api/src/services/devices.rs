//! The devices that someone is signed in with, and their ends.

use super::sessions::is_alive;
use crate::{
    app::Api,
    paging::{Cursor, Limited},
    problem,
    store::{
        Op,
        rows::{EntryRow, SessionRow},
    },
    writer::{Heads, Planned},
};
use rookery_shared::{
    clock::{self, Time},
    envelope::Kind,
    ids::{SessionId, StreamId, UserId},
    model::Page,
    protocol::{Code, Problem},
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// Sessions that end one by one in one change. Whoever has more is told that all ended, and the device that goes on
/// connects again.
const ONE_BY_ONE: usize = 1_000;

/// A device in the list of one's own.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Device {
    id: SessionId,
    /// What it said of itself.
    #[serde(rename = "device")]
    #[schema(required = true)]
    description: Option<String>,
    created_at: Time,
    /// When it last signed in or refreshed its token.
    last_used_at: Time,
    expires_at: Time,
    /// Whether it is the one that asks.
    current: bool,
}

impl Device {
    fn of(session: SessionRow, current: Option<SessionId>) -> Self {
        Self {
            id: session.id,
            description: session.device,
            created_at: session.created_at,
            last_used_at: session.rotated_at,
            expires_at: session.expires_at,
            current: current == Some(session.id),
        }
    }
}

impl Api {
    /// The devices that someone is signed in with, the newest first.
    pub(crate) async fn list_devices(
        &self,
        user: UserId,
        current: Option<SessionId>,
        page: &Limited,
    ) -> Result<Page<Device>, Problem> {
        let sessions = self.reader.store().sessions_of(user, clock::now()).await.map_err(problem::store)?;
        let (shown, next, prev) = page.of_descending(sessions, |session| session.id)?;
        let items = shown.into_iter().map(|session| Device::of(session, current)).collect();
        Ok(Page { items, next: next.as_ref().map(Cursor::encode), prev: prev.as_ref().map(Cursor::encode) })
    }

    /// Signs a device of the caller out. Nothing happens if it is signed out already.
    pub(crate) async fn end_device(&self, user: UserId, id: SessionId) -> Result<(), Problem> {
        let session = self.reader.store().session(id).await.map_err(problem::store)?;
        let session = session.filter(|session| session.user == user).ok_or(Code::NotFound)?;
        if is_alive(&session, user) { self.end_session(user, id).await } else { Ok(()) }
    }

    /// Signs someone out everywhere.
    pub(crate) async fn end_all_sessions(&self, user: UserId) -> Result<(), Problem> {
        let ended = self.sessions_to_end(user, None).await?;
        self.change(vec![StreamId::User(user)], move |_, mut heads| async move {
            let (entries, op) = ending(user, None, &[], &mut heads);
            Ok(Planned { entries, ops: vec![op], value: () })
        })
        .await?;
        self.reader.forget_sessions(&ended);
        Ok(())
    }

    /// The open sessions of someone but one, read now.
    pub(super) async fn sessions_to_end(
        &self,
        user: UserId,
        except: Option<SessionId>,
    ) -> Result<Vec<SessionId>, Problem> {
        let open = self.reader.store().sessions_of(user, clock::now()).await.map_err(problem::store)?;
        Ok(open.into_iter().map(|session| session.id).filter(|id| Some(*id) != except).collect())
    }
}

/// The end of all of a user's sessions but one: its entries, which close their connections, and the change. `open` are
/// those that end where one goes on.
pub(super) fn ending(
    user: UserId,
    except: Option<SessionId>,
    open: &[SessionId],
    heads: &mut Heads,
) -> (Vec<EntryRow>, Op) {
    let stream = StreamId::User(user);
    let entries = if except.is_none() || open.len() > ONE_BY_ONE {
        vec![heads.entry(stream, Kind::SessionEnded, Uuid::nil(), 0)]
    } else {
        open.iter().map(|id| heads.entry(stream, Kind::SessionEnded, id.0, 0)).collect()
    };
    (entries, Op::EndSessions { user, only: None, except, at: clock::now() })
}
