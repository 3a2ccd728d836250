//! Sessions: signed-in devices, their refresh tokens, and their end.

use crate::{
    app::Api,
    problem, render,
    store::{
        Op, StoreError,
        rows::{SessionRow, UserRow},
    },
    writer::Planned,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rookery_shared::{
    clock::{self, Time},
    envelope::Kind,
    ids::{SessionId, StreamId, UserId},
    model::Tokens,
    protocol::{Code, Problem},
    token::Claims,
};
use sha2::{Digest as _, Sha256};
use std::time::Duration;

/// Most characters kept of what a device says of itself.
const MAX_DEVICE: usize = 200;

/// How often a rotation is tried when others rotate the same session.
const ROTATIONS: usize = 8;

/// A refresh token: which session, and 256 random bits. Only its hash is stored.
struct RefreshToken(String);

impl RefreshToken {
    fn new(session: SessionId) -> Self {
        Self(format!("{}.{}", session.0.simple(), URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())))
    }

    fn session(&self) -> Option<SessionId> {
        self.0.split_once('.')?.0.parse().ok()
    }

    fn hash(&self) -> Vec<u8> {
        Sha256::digest(self.0.as_bytes()).to_vec()
    }
}

/// What a refresh token that was shown comes to.
#[derive(Debug, PartialEq, Eq)]
enum Shown {
    /// The one that works now.
    Current,
    /// The one before, for the one time that it works again: the answer may have been lost.
    Again,
    /// Anything else that names this session: someone has a copy.
    Copied,
    /// The session is over.
    Ended,
}

/// Decides what a token is to its session. The times are all this session's own, told by whichever api rotated it.
fn judge(session: &SessionRow, hash: &[u8], now: Time, grace: Duration) -> Shown {
    if session.ended_at.is_some() || session.expires_at <= now {
        return Shown::Ended;
    }
    if session.refresh_hash == hash {
        return Shown::Current;
    }
    let grace = i64::try_from(grace.as_millis()).unwrap_or(i64::MAX);
    let within = now.0.saturating_sub(session.rotated_at.0) <= grace;
    if session.previous_hash.as_deref() == Some(hash) && within && !session.previous_used {
        return Shown::Again;
    }
    Shown::Copied
}

/// The session after its token was shown, with a new token that works from now on.
fn rotate(session: &SessionRow, shown: &Shown, hash: Vec<u8>, now: Time, lifetime: i64) -> SessionRow {
    let mut next = session.clone();
    next.version += 1;
    next.expires_at = now.plus_seconds(lifetime);
    if *shown == Shown::Current {
        next.previous_hash = Some(std::mem::replace(&mut next.refresh_hash, hash));
        next.previous_used = false;
        next.rotated_at = now;
    } else {
        // The token that the lost answer held is replaced; the one shown is used up.
        next.refresh_hash = hash;
        next.previous_used = true;
    }
    next
}

impl Api {
    /// Begins a session and gives its tokens.
    pub(crate) async fn begin_session(&self, user: &UserRow, device: Option<&str>) -> Result<Tokens, Problem> {
        let now = clock::now();
        let id = SessionId::new();
        let refresh = RefreshToken::new(id);
        let session = SessionRow {
            id,
            user: user.id,
            refresh_hash: refresh.hash(),
            previous_hash: None,
            rotated_at: now,
            previous_used: false,
            device: device.map(|device| device.chars().take(MAX_DEVICE).collect()),
            created_at: now,
            expires_at: now.plus_seconds(self.refresh_seconds()),
            ended_at: None,
            version: 1,
        };
        self.reader.store().insert_session(session).await.map_err(problem::store)?;
        self.tokens(user, id, refresh)
    }

    /// Rotates a refresh token. One that was copied ends its session.
    pub(crate) async fn refresh(&self, token: String) -> Result<Tokens, Problem> {
        let refused = || Problem::new(Code::Unauthorized, "This refresh token is not valid");
        let token = RefreshToken(token);
        let id = token.session().ok_or_else(refused)?;
        let hash = token.hash();
        for _ in 0..ROTATIONS {
            let session = self.reader.store().session(id).await.map_err(problem::store)?.ok_or_else(refused)?;
            let now = clock::now();
            let shown = judge(&session, &hash, now, self.config.sessions.refresh_grace);
            match shown {
                Shown::Ended => return Err(refused()),
                Shown::Copied => {
                    self.end_session(session.user, id).await?;
                    return Err(refused());
                }
                Shown::Current | Shown::Again => {}
            }
            let user = self.reader.user(session.user).await.map_err(problem::store)?.ok_or_else(refused)?;
            let fresh = RefreshToken::new(id);
            let next = rotate(&session, &shown, fresh.hash(), now, self.refresh_seconds());
            match self.reader.store().replace_session(next).await {
                Ok(()) => return self.tokens(&user.row, id, fresh),
                // Someone else showed a token of this session at the same time: judge again.
                Err(StoreError::Stale(_)) => {}
                Err(error) => return Err(problem::store(error)),
            }
        }
        Err(Code::Unavailable.into())
    }

    /// Ends one session; its connections learn it from the user's stream. Ended ones stay as they are.
    pub(crate) async fn end_session(&self, user: UserId, id: SessionId) -> Result<(), Problem> {
        let stream = StreamId::User(user);
        let api = self.clone();
        self.writer
            .change(vec![stream], move |mut heads| {
                let api = api.clone();
                async move {
                    let session = api.reader.store().session(id).await.map_err(problem::store)?;
                    if session.is_none_or(|session| session.ended_at.is_some() || session.user != user) {
                        return Ok(Planned::nothing(()));
                    }
                    let entries = vec![heads.entry(stream, Kind::SessionEnded, id.0, 0)];
                    let ops = vec![Op::EndSessions { user, only: Some(id), except: None, at: clock::now() }];
                    Ok(Planned { entries, ops, value: () })
                }
            })
            .await
    }

    /// Whether this session goes on: not ended, not over, and its user is there. At most a second old.
    pub(crate) async fn session_is_alive(&self, user: UserId, id: SessionId) -> Result<bool, Problem> {
        let session = self.reader.session(id).await.map_err(problem::store)?;
        Ok(session.is_some_and(|session| is_alive(&session, user)))
    }

    fn refresh_seconds(&self) -> i64 {
        i64::try_from(self.config.sessions.refresh_lifetime.as_secs()).unwrap_or(i64::MAX)
    }

    fn tokens(&self, user: &UserRow, session: SessionId, refresh: RefreshToken) -> Result<Tokens, Problem> {
        let lifetime = self.config.sessions.access_lifetime;
        let claims = Claims::new(user.id, session, lifetime);
        let access_token = self.issuer.issue(&claims).map_err(|error| {
            tracing::error!(%error, "an access token could not be signed");
            Problem::from(Code::Internal)
        })?;
        Ok(Tokens {
            user: render::own_user(user),
            access_token,
            refresh_token: refresh.0,
            expires_in: lifetime.as_secs(),
        })
    }
}

/// Whether this is the user's session and it goes on.
pub(crate) fn is_alive(session: &SessionRow, user: UserId) -> bool {
    session.user == user && session.ended_at.is_none() && session.expires_at > clock::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(30);

    fn session() -> SessionRow {
        SessionRow {
            id: SessionId::new(),
            user: UserId::new(),
            refresh_hash: vec![0],
            previous_hash: None,
            rotated_at: Time(0),
            previous_used: false,
            device: None,
            created_at: Time(0),
            expires_at: Time(1_000_000),
            ended_at: None,
            version: 1,
        }
    }

    /// Shows a token at a time (ms), and rotates to `next` if it works.
    fn show(session: &mut SessionRow, token: u8, now: i64, next: u8) -> Shown {
        let shown = judge(session, &[token], Time(now), GRACE);
        if matches!(shown, Shown::Current | Shown::Again) {
            *session = rotate(session, &shown, vec![next], Time(now), 1_000);
        }
        shown
    }

    #[test]
    fn a_rotated_token_works_once_more_within_the_grace() {
        let mut session = session();
        assert_eq!(show(&mut session, 0, 0, 1), Shown::Current);
        assert_eq!(show(&mut session, 0, 30_000, 2), Shown::Again);
        assert_eq!(show(&mut session.clone(), 0, 30_000, 3), Shown::Copied, "a third use");
        assert_eq!(show(&mut session.clone(), 1, 30_000, 3), Shown::Copied, "the lost answer turned up elsewhere");
        assert_eq!(show(&mut session, 2, 500_000, 3), Shown::Current);
    }

    #[test]
    fn a_late_or_older_token_is_a_copy() {
        let mut session = session();
        assert_eq!(show(&mut session, 0, 0, 1), Shown::Current);
        assert_eq!(show(&mut session.clone(), 0, 30_001, 2), Shown::Copied);
        assert_eq!(show(&mut session, 1, 1, 2), Shown::Current);
        assert_eq!(show(&mut session, 0, 2, 3), Shown::Copied);
    }

    #[test]
    fn nothing_works_after_the_end() {
        let mut session = session();
        assert_eq!(show(&mut session.clone(), 0, 1_000_000, 1), Shown::Ended);
        session.ended_at = Some(Time(1));
        assert_eq!(show(&mut session, 0, 2, 1), Shown::Ended);
    }
}
