//! People of a foreign identity provider: their tokens sign them in, and make their account at first sight.

use crate::{
    app::Api,
    identity::{Provider, Stranger},
    problem,
    store::{
        Op, StoreError, Unique,
        records::{self, Area, Kept, Record},
        rows::{SessionRow, UserRow},
    },
    text,
};
use rookery_shared::{
    clock::{self, Time},
    ids::{SessionId, UserId},
    protocol::{Code, Problem},
    token::{Claims, TokenError, may_be_foreign},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::time::Instant;
use unicode_normalization::char::is_combining_mark;
use unicode_segmentation::UnicodeSegmentation as _;
use uuid::{Builder, Uuid};

/// How often an account is tried to be made: each time with another name behind the same beginning.
const TRIES: usize = 8;

/// Characters of a username before something random goes behind it.
const NAME_BEFORE_SUFFIX: usize = 23;

/// Whose account it is, in the provider's words.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity {
    id: Uuid,
    issuer: String,
    subject: String,
    user: UserId,
    first_seen: Time,
}

impl Record for Identity {
    const AREA: Area = Area::Identity;

    fn owner(&self) -> Uuid {
        Uuid::nil()
    }

    fn id(&self) -> Uuid {
        self.id
    }
}

/// 16 bytes that stand for these texts and for nothing else.
fn digest(parts: &[&str]) -> [u8; 16] {
    let mut hash = Sha256::new();
    for part in parts {
        // Its length first: no two lists of texts are the same bytes.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let hash = hash.finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    bytes
}

/// The session of a token: the same wherever and whenever the token is shown, so that signing out ends it for good.
fn session_of(issuer: &str, stranger: &Stranger, token: &str) -> SessionId {
    let bytes = digest(&[issuer, &stranger.subject, stranger.token_id.as_deref().unwrap_or(token)]);
    let mut random = [0; 10];
    random.copy_from_slice(&bytes[..10]);
    let millis = u64::try_from(stranger.issued_at).unwrap_or(0).saturating_mul(1_000);
    SessionId(Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
}

/// A username out of what the provider says, made to fit.
fn username(stranger: &Stranger) -> String {
    let candidates = [&stranger.username, &stranger.email, &stranger.name];
    let fitting = candidates.into_iter().flatten().find_map(|candidate| {
        // The rest of an address is nobody's business.
        let local = candidate.split('@').next().unwrap_or_default();
        let allowed = |c: &char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-') || is_combining_mark(*c);
        let name: String = local.chars().filter(allowed).skip_while(|c| is_combining_mark(*c)).collect();
        let name: String = name.graphemes(true).take(30).collect();
        if name.is_empty() {
            return None;
        }
        [format!("{name}-user"), name].into_iter().rev().find(|name| text::username(name.clone()).is_ok())
    });
    fitting.unwrap_or_else(|| "user".to_owned())
}

/// The same with something random behind it.
fn another(name: &str) -> String {
    let name: String = name.graphemes(true).take(NAME_BEFORE_SUFFIX).collect();
    format!("{name}-{:06x}", rand::random::<u32>() & 0x00ff_ffff)
}

/// The account of someone who was never here. What does not fit is left out: the provider's words are no reason to turn
/// someone away.
fn account(stranger: &Stranger, username: (String, String), email: Option<(String, String)>) -> UserRow {
    let line = |text: &Option<String>| text.clone().and_then(|text| text::line(text, super::users::MAX_NAME).ok());
    // An address is unique where there is one, and so is what stands in its place.
    let email = email.unwrap_or_else(|| (String::new(), format!("none:{}", Uuid::now_v7().simple())));
    let new = UserRow::new(username, email, clock::now());
    UserRow {
        display_name: line(&stranger.name).unwrap_or_else(|| new.display_name.clone()),
        first_name: line(&stranger.first_name),
        last_name: line(&stranger.last_name),
        profile_picture: stranger.picture.clone().and_then(|url| text::web_url(url).ok()),
        ..new
    }
}

impl Api {
    /// What a token says, whoever signed it.
    pub(crate) async fn claims_of(&self, token: &str) -> Result<Claims, TokenError> {
        match self.verifier.verify(token) {
            Err(TokenError::Invalid) if may_be_foreign(token) => self.foreign_claims(token).await,
            known => known,
        }
    }

    /// What a token of the foreign provider comes to here: its user, who is made at first sight, and a session of the
    /// token's own. Whether that session goes on is looked at by whoever accepts the claims.
    pub(crate) async fn foreign_claims(&self, token: &str) -> Result<Claims, TokenError> {
        let provider = self.identity.as_ref().ok_or(TokenError::Invalid)?;
        let stranger = provider.verify(token).await?;
        let claims = self.recognise(provider, &stranger, token).await;
        claims.map_err(|problem| {
            tracing::debug!(%problem, "somebody of the identity provider could not be let in");
            TokenError::Unavailable
        })
    }

    async fn recognise(&self, provider: &Provider, stranger: &Stranger, token: &str) -> Result<Claims, Problem> {
        let user = self.user_of(provider.issuer(), stranger).await?;
        let id = session_of(provider.issuer(), stranger, token);
        if self.reader.session(id).await.map_err(problem::store)?.is_none() {
            let now = clock::now();
            let session = SessionRow {
                id,
                user,
                // Nobody has a refresh token for it: the provider gives out the next token.
                refresh_hash: rand::random::<[u8; 32]>().to_vec(),
                previous_hash: None,
                rotated_at: now,
                previous_used: false,
                device: None,
                created_at: now,
                expires_at: Time(stranger.expires_at.saturating_mul(1_000)),
                ended_at: None,
                version: 1,
            };
            match self.reader.store().insert_session(session).await {
                // Another api was faster.
                Ok(()) | Err(StoreError::Taken(_)) => self.reader.forget_sessions(&[id]),
                Err(error) => return Err(problem::store(error)),
            }
        }
        Ok(Claims { sub: user, sid: id, iat: stranger.issued_at, exp: stranger.expires_at })
    }

    /// The account of somebody at the provider.
    async fn user_of(&self, issuer: &str, stranger: &Stranger) -> Result<UserId, Problem> {
        let id = Uuid::from_bytes(digest(&[issuer, &stranger.subject]));
        if let Some(user) = self.identities.get(&id) {
            return Ok(user);
        }
        let store = self.reader.store();
        let plain = username(stranger);
        let mut name = plain.clone();
        let mut email = stranger.email.clone().and_then(|email| text::email(email).ok());
        for _ in 0..TRIES {
            let read_at = Instant::now();
            let known = records::one::<Identity>(&**store, Uuid::nil(), id).await.map_err(problem::store)?;
            if let Some(known) = known {
                self.identities.put(id, known.record.user, read_at);
                return Ok(known.record.user);
            }
            let checked = text::username(name.clone()).map_err(|_| Problem::from(Code::Internal))?;
            let user = account(stranger, checked, email.clone());
            let (issuer, subject) = (issuer.to_owned(), stranger.subject.clone());
            let identity = Identity { id, issuer, subject, user: user.id, first_seen: user.created_at };
            let ops = [Kept::new(identity).put().map_err(problem::store)?, Op::InsertUser(user)];
            match store.commit(&[], &ops).await {
                // Found by the next look, whoever made it.
                Ok(()) | Err(StoreError::Taken(Unique::Record)) => {}
                Err(StoreError::Taken(Unique::Username)) => name = another(&plain),
                // Somebody has the address here already; whether it is the same person, nobody has proved.
                Err(StoreError::Taken(Unique::Email)) => email = None,
                Err(error) => return Err(problem::store(error)),
            }
        }
        Err(Code::Unavailable.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(username: Option<&str>, email: Option<&str>, name: Option<&str>) -> Stranger {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Stranger { username: owned(username), email: owned(email), name: owned(name), ..Stranger::default() }
    }

    #[test]
    fn a_name_is_made_to_fit() {
        let long = "x".repeat(40);
        let cases = [
            (named(Some("ada"), Some("b@c.d"), None), "ada"),
            (named(Some("ada.l@example.org"), None, None), "ada.l"),
            (named(None, Some("ada@example.org"), Some("Eve")), "ada"),
            (named(None, None, Some("Ada Lovelace")), "AdaLovelace"),
            (named(Some("al"), None, None), "al-user"),
            (named(Some("!!!"), None, Some("日本語")), "日本語"),
            (named(Some("\u{301}ada"), None, None), "ada"),
            (named(None, None, None), "user"),
            (named(Some(&long), None, None), &long[..30]),
        ];
        for (stranger, expected) in cases {
            assert_eq!(username(&stranger), expected);
            assert!(text::username(another(&username(&stranger))).is_ok());
        }
    }

    #[test]
    fn a_session_belongs_to_one_token() {
        let stranger = Stranger { subject: "s".into(), issued_at: 1_700_000_000, ..Stranger::default() };
        assert_eq!(session_of("i", &stranger, "a"), session_of("i", &stranger, "a"));
        assert_ne!(session_of("i", &stranger, "a"), session_of("i", &stranger, "b"));
        assert_ne!(session_of("i", &stranger, "a"), session_of("j", &stranger, "a"));
        let told = Stranger { token_id: Some("t".into()), ..stranger.clone() };
        assert_eq!(session_of("i", &told, "a"), session_of("i", &told, "b"), "the token's own id says which it is");
    }
}
