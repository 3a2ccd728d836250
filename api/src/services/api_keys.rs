//! API keys: what a product's back end signs in with. Made by admins, stored as hashes, rotated with a grace.

use crate::{
    app::Api,
    cache::Cache,
    http::scopes::Scope,
    openapi::words,
    paging::Limited,
    problem,
    store::{
        Op, StoreError,
        records::{self, Area, Kept, Record},
        rows::UserRow,
    },
    text::{self, Fields},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rookery_shared::{
    clock::{self, Time},
    ids::{ApiKeyId, UserId},
    model::Page,
    protocol::{Code, Problem},
    token::random_secret,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use utoipa::ToSchema;
use uuid::Uuid;

/// What every key begins with, which no JWT does.
const PREFIX: &str = "rk_";

/// Most characters of a key's name.
const MAX_NAME: usize = 64;

/// How long a key is believed to be as it was read.
const MAX_AGE: Duration = Duration::from_millis(900);

/// Keys that are remembered.
const MAX_KEYS: usize = 10_000;

/// How often it is written down that a key is in use.
const USED_EVERY: Duration = Duration::from_mins(1);

/// How long the old key works after a rotation if nothing is said, and at most (seconds).
const DEFAULT_GRACE: i64 = 3_600;
const MAX_GRACE: i64 = 30 * 24 * 3_600;

/// How often a change is tried when others change the same key.
const TRIES: usize = 8;

/// A key as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApiKey {
    pub(crate) id: ApiKeyId,
    name: String,
    pub(crate) scopes: Vec<Scope>,
    created_at: Time,
    expires_at: Option<Time>,
    last_used_at: Option<Time>,
    /// SHA-256 of the text that works (base64url).
    hash: String,
    /// The one before it, for as long as the grace of its rotation lasts.
    previous: Option<Previous>,
}

/// A text that was replaced.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Previous {
    hash: String,
    until: Time,
}

impl Record for ApiKey {
    const AREA: Area = Area::ApiKey;

    fn owner(&self) -> Uuid {
        Uuid::nil()
    }

    fn id(&self) -> Uuid {
        self.id.0
    }
}

impl ApiKey {
    /// The account that the key's system messages are from.
    pub(crate) fn author(&self) -> UserId {
        UserId(self.id.0)
    }

    /// Whether this is the hash of a text that works now. Hashes are compared, so that the time it takes tells nothing
    /// about the text.
    fn accepts(&self, hash: &str, now: Time) -> bool {
        let previous = self.previous.as_ref().is_some_and(|previous| previous.hash == hash && now < previous.until);
        (self.hash == hash || previous) && self.expires_at.is_none_or(|end| now < end)
    }

    fn shown(&self) -> ShownKey {
        ShownKey {
            id: self.id,
            name: self.name.clone(),
            scopes: self.scopes.clone(),
            expires_at: self.expires_at,
            created_at: self.created_at,
            last_used_at: self.last_used_at,
        }
    }
}

/// The text of a new key, and its hash.
fn new_text(id: ApiKeyId) -> (String, String) {
    let text = format!("{PREFIX}{}_{}", id.0.simple(), random_secret());
    let hash = hash(&text);
    (text, hash)
}

fn hash(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(text.as_bytes()))
}

/// Whether somebody means this to be an API key.
pub(crate) fn is_key(token: &str) -> bool {
    token.starts_with(PREFIX)
}

fn id_of(text: &str) -> Option<ApiKeyId> {
    text.strip_prefix(PREFIX)?.split_once('_')?.0.parse().ok()
}

/// A key in the list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownKey {
    id: ApiKeyId,
    name: String,
    scopes: Vec<Scope>,
    #[schema(required = true)]
    expires_at: Option<Time>,
    created_at: Time,
    /// At most a minute late.
    #[schema(required = true)]
    last_used_at: Option<Time>,
}

/// A key that was made or rotated: the only time that its text is shown.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IssuedKey {
    #[serde(flatten)]
    shown: ShownKey,
    key: String,
}

impl IssuedKey {
    pub(crate) fn id(&self) -> ApiKeyId {
        self.shown.id
    }
}

/// The body of `POST /admin/api-keys`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CreateKey {
    #[schema(value_type = words::Name)]
    name: Option<String>,
    #[schema(value_type = Vec<Scope>, min_items = 1)]
    scopes: Option<Vec<String>>,
    /// A time to come; for good if absent.
    expires_at: Option<Time>,
}

/// The body of `POST /admin/api-keys/{id}/rotate`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RotateKey {
    /// How long the old text works.
    #[schema(minimum = 0, maximum = 2_592_000, default = 3_600)]
    grace_seconds: Option<i64>,
}

/// What an api remembers of keys.
pub(crate) struct RememberedKeys {
    keys: Cache<ApiKeyId, Option<Arc<ApiKey>>>,
    /// Whose use was written down of late.
    used: Cache<ApiKeyId, ()>,
}

impl RememberedKeys {
    pub(crate) fn new() -> Self {
        Self { keys: Cache::new(MAX_AGE, MAX_KEYS), used: Cache::new(USED_EVERY, MAX_KEYS) }
    }
}

/// The account that a key's system messages are from. Nobody registers such a name or address, and nobody signs in.
fn author(key: &ApiKey) -> UserRow {
    let nobodys = format!("key:{}", key.id.0.simple());
    let new = UserRow::new((key.name.clone(), nobodys.clone()), (String::new(), nobodys), key.created_at);
    UserRow { id: key.author(), is_service: true, ..new }
}

impl Api {
    /// The key with this text; at most a second old, but one that is new here works at once.
    pub(crate) async fn api_key(&self, text: &str) -> Result<Arc<ApiKey>, Problem> {
        let refused = || Problem::new(Code::Unauthorized, "This API key is not valid");
        let id = id_of(text).ok_or_else(refused)?;
        let (hash, now) = (hash(text), clock::now());
        let good = |key: Option<Arc<ApiKey>>| key.filter(|key| key.accepts(&hash, now));
        let mut key = self.api_keys.keys.get(&id).and_then(good);
        if key.is_none() {
            // Not known, or rotated somewhere else a moment ago.
            let read_at = Instant::now();
            let kept =
                records::one::<ApiKey>(&**self.reader.store(), Uuid::nil(), id.0).await.map_err(problem::store)?;
            let read = kept.map(|kept| Arc::new(kept.record));
            self.api_keys.keys.put(id, read.clone(), read_at);
            key = good(read);
        }
        let key = key.ok_or_else(refused)?;
        self.note_use(&key, now);
        Ok(key)
    }

    /// Writes down that a key is in use, beside the request and not every time.
    fn note_use(&self, key: &ApiKey, now: Time) {
        let id = key.id;
        let since = key.last_used_at.map_or(i64::MAX, |last| now.0.saturating_sub(last.0));
        if u128::try_from(since).is_ok_and(|since| since < USED_EVERY.as_millis())
            || self.api_keys.used.get(&id).is_some()
        {
            return;
        }
        self.api_keys.used.put(id, (), Instant::now());
        let api = self.clone();
        tokio::spawn(async move {
            // Whoever changes the key at the same time goes first; the next use tries again in a minute.
            let noted = api.change_key(id, |key| key.last_used_at = Some(now)).await;
            if let Err(problem) = noted {
                tracing::debug!(%problem, "the use of an API key was not noted");
            }
        });
    }

    /// Makes a key.
    pub(crate) async fn create_key(&self, body: CreateKey) -> Result<IssuedKey, Problem> {
        let now = clock::now();
        let mut fields = Fields::default();
        let name = fields.required("name", body.name, |name| text::line(name, MAX_NAME));
        let scopes = fields.required("scopes", body.scopes, |scopes| Scope::read_all(&scopes));
        let expires_at = fields.optional("expiresAt", body.expires_at, |end| {
            if end > now { Ok(end) } else { Err("is a time to come".into()) }
        });
        let (Some(name), Some(scopes)) = (name, scopes) else {
            return Err(fields.problem());
        };
        fields.finish()?;
        let id = ApiKeyId::new();
        let (text, hash) = new_text(id);
        let key = ApiKey { id, name, scopes, created_at: now, expires_at, last_used_at: None, hash, previous: None };
        let shown = key.shown();
        let ops = [Op::InsertUser(author(&key)), Kept::new(key).put().map_err(problem::store)?];
        self.reader.store().commit(&[], &ops).await.map_err(problem::store)?;
        Ok(IssuedKey { shown, key: text })
    }

    /// Every key, the newest first.
    pub(crate) async fn list_keys(&self, page: &Limited) -> Result<Page<ShownKey>, Problem> {
        let store = &**self.reader.store();
        let nobody = Uuid::nil();
        let kept =
            records::list::<ApiKey>(store, nobody, page.part()?, page.limit + 1).await.map_err(problem::store)?;
        let (kept, more) = page.cut(kept);
        let ends = kept.first().zip(kept.last()).map(|(first, last)| (first.place, last.place));
        let beyond = match page.other_side(ends) {
            Some(part) => !records::list::<ApiKey>(store, nobody, part, 1).await.map_err(problem::store)?.is_empty(),
            None => false,
        };
        let (next, prev) = page.places(ends.as_ref(), more, beyond);
        Ok(Page { items: kept.iter().map(|kept| kept.record.shown()).collect(), next, prev })
    }

    /// One key.
    pub(crate) async fn shown_key(&self, id: ApiKeyId) -> Result<ShownKey, Problem> {
        let kept = records::one::<ApiKey>(&**self.reader.store(), Uuid::nil(), id.0).await.map_err(problem::store)?;
        Ok(kept.ok_or(Code::NotFound)?.record.shown())
    }

    /// Ends a key. What was sent with it keeps its author. Nothing happens if it ended already.
    pub(crate) async fn delete_key(&self, id: ApiKeyId) -> Result<(), Problem> {
        let store = self.reader.store();
        let kept = records::one::<ApiKey>(&**store, Uuid::nil(), id.0).await.map_err(problem::store)?;
        let Some(kept) = kept else {
            let author = self.reader.users([UserId(id.0)]).await.map_err(problem::store)?.remove(&UserId(id.0));
            return if author.is_some_and(|user| user.row.is_service) { Ok(()) } else { Err(Code::NotFound.into()) };
        };
        let done = store.commit(&[], &[kept.delete()]).await;
        self.api_keys.keys.forget(&id);
        match done {
            Ok(()) | Err(StoreError::Stale(_)) => Ok(()),
            Err(error) => Err(problem::store(error)),
        }
    }

    /// Gives a key a new text. The one before works for the grace; one that was before that no longer.
    pub(crate) async fn rotate_key(&self, id: ApiKeyId, body: &RotateKey) -> Result<IssuedKey, Problem> {
        let grace = body.grace_seconds.unwrap_or(DEFAULT_GRACE);
        if !(0..=MAX_GRACE).contains(&grace) {
            return Err(Problem::field("graceSeconds", format!("is a number from 0 to {MAX_GRACE}")));
        }
        let (text, hash) = new_text(id);
        let until = clock::now().plus_seconds(grace);
        let key = self.change_key(id, |key| {
            let old = std::mem::replace(&mut key.hash, hash.clone());
            key.previous = Some(Previous { hash: old, until });
        });
        Ok(IssuedKey { shown: key.await?.shown(), key: text })
    }

    /// Changes a key, over whatever others change about it at the same time.
    async fn change_key(&self, id: ApiKeyId, change: impl Fn(&mut ApiKey)) -> Result<ApiKey, Problem> {
        let store = &**self.reader.store();
        for _ in 0..TRIES {
            let kept = records::one::<ApiKey>(store, Uuid::nil(), id.0).await.map_err(problem::store)?;
            let mut kept = kept.ok_or(Code::NotFound)?;
            change(&mut kept.record);
            let done = records::put(store, &kept).await;
            self.api_keys.keys.forget(&id);
            match done {
                Ok(()) => return Ok(kept.record),
                Err(StoreError::Stale(_)) => {}
                Err(error) => return Err(problem::store(error)),
            }
        }
        Err(Code::Unavailable.into())
    }
}
