//! The accounts that the scenario speaks as, and their rooms: made once, kept in a file where wanted.
//!
//! Passwords are hashed slowly by intent, so a thousand sign-ups take minutes; a file saves that from the second run
//! on. It holds secrets of accounts that mean nothing, and belongs to a folder that git ignores.

use super::rest::Rest;
use crate::client::crowd;
use anyhow::{Context as _, Result, ensure};
use rookery_shared::{
    ids::{RoomId, SessionId, UserId},
    model::Tokens,
    token::{Claims, TokenKeys, random_secret},
};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    time::Duration,
};

/// How long a token holds that is made here.
const TOKEN_LIFE: Duration = Duration::from_hours(1);

/// Rooms that are made side by side, and tokens that are refreshed.
const AT_ONCE: usize = 8;

/// Someone to speak as.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Account {
    pub(super) user: UserId,
    /// Known where the secret was given that tokens are made with.
    session: Option<SessionId>,
    username: String,
    password: String,
    refresh_token: String,
    /// Of this run.
    #[serde(skip)]
    pub(super) token: String,
}

/// Accounts of one cluster and the rooms that they are in: `members` accounts a room, in their order.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Population {
    url: String,
    members: usize,
    pub(super) accounts: Vec<Account>,
    pub(super) rooms: Vec<RoomId>,
}

/// What a population needs to come to be.
pub(super) struct Maker<'a> {
    pub(super) rest: &'a Rest,
    pub(super) url: &'a str,
    pub(super) members: usize,
    pub(super) rooms: usize,
    /// Sign-ups side by side.
    pub(super) at_once: usize,
    /// What tokens are made with, where it is known here.
    pub(super) keys: Option<TokenKeys>,
    /// Where the population is kept between runs.
    pub(super) file: Option<&'a Path>,
}

impl Maker<'_> {
    /// Reads what there is, makes what is missing, and keeps it.
    pub(super) async fn population(&self) -> Result<Population> {
        let mut population = self.read()?;
        let wanted = self.members * self.rooms;
        let known = population.accounts.len().min(wanted);
        if known > 0 {
            let old: &[Account] = &population.accounts[..known];
            let fresh = crowd::for_each("tokens", known, AT_ONCE, |number| self.token_for(old[number].clone()));
            let fresh = fresh.await?;
            population.accounts.splice(..known, fresh);
            // At once: each refresh token works only once.
            self.keep(&population)?;
        }
        if wanted > known {
            let run = rookery_shared::clock::micros();
            let made = crowd::for_each("accounts", wanted - known, self.at_once, |number| {
                self.sign_up(format!("lt-{run:x}-{number}"))
            });
            population.accounts.extend(made.await?);
            self.keep(&population)?;
        }
        let known = population.rooms.len().min(self.rooms);
        if self.rooms > known {
            let accounts = &population.accounts;
            let made = crowd::for_each("rooms", self.rooms - known, AT_ONCE, |number| {
                let first = (known + number) * self.members;
                self.make_room(&accounts[first..first + self.members])
            });
            let made = made.await?;
            population.rooms.extend(made);
            self.keep(&population)?;
        }
        Ok(population)
    }

    fn read(&self) -> Result<Population> {
        let fresh =
            || Population { url: self.url.to_owned(), members: self.members, accounts: Vec::new(), rooms: Vec::new() };
        let Some(path) = self.file else { return Ok(fresh()) };
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(fresh()),
            Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
        };
        let mut population: Population =
            serde_json::from_str(&text).with_context(|| format!("{} holds no accounts", path.display()))?;
        ensure!(population.url == self.url, "{} belongs to {}", path.display(), population.url);
        if population.members != self.members {
            population.members = self.members;
            population.rooms.clear();
        }
        Ok(population)
    }

    fn keep(&self, population: &Population) -> Result<()> {
        let Some(path) = self.file else { return Ok(()) };
        let write = || {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
            file.write_all(&serde_json::to_vec(population)?)
        };
        write().with_context(|| format!("writing {}", path.display()))
    }

    async fn sign_up(&self, username: String) -> Result<Account> {
        let password = random_secret();
        let tokens = self.rest.register(&username, &password).await?;
        let user = tokens.user.public.id;
        let empty = String::new();
        let account = Account { user, session: None, username, password, refresh_token: empty.clone(), token: empty };
        Ok(self.with(account, tokens))
    }

    /// A token of a known account: made here where that is possible, else asked for.
    async fn token_for(&self, mut account: Account) -> Result<Account> {
        if let (Some(keys), Some(session)) = (&self.keys, account.session) {
            account.token = keys.issuer()?.issue(&Claims::new(account.user, session, TOKEN_LIFE))?;
            return Ok(account);
        }
        let tokens = match self.rest.refresh(&account.refresh_token).await? {
            Some(tokens) => tokens,
            None => self.rest.login(&account.username, &account.password).await.context(
                "an account of the file does not exist any more; remove the file if the cluster's data is new",
            )?,
        };
        Ok(self.with(account, tokens))
    }

    fn with(&self, account: Account, tokens: Tokens) -> Account {
        let claims = self.keys.as_ref().and_then(|keys| keys.verifier().verify(&tokens.access_token).ok());
        Account {
            session: claims.map(|claims| claims.sid),
            refresh_token: tokens.refresh_token,
            token: tokens.access_token,
            ..account
        }
    }

    async fn make_room(&self, members: &[Account]) -> Result<RoomId> {
        let (maker, others) = members.split_first().context("a room has members")?;
        let others: Vec<UserId> = others.iter().map(|account| account.user).collect();
        self.rest.make_room(&maker.token, "Load test", &others).await
    }
}
