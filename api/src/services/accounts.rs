//! Accounts: registering and signing in.

use super::{
    limit_keys,
    users::{MAX_NAME, taken},
};
use crate::{
    app::Api,
    openapi::words,
    problem,
    store::rows::UserRow,
    text::{self, Fields},
};
use rookery_shared::{
    clock,
    limits::{Take, Verdict},
    model::{Tokens, UserType},
    protocol::{Code, Problem},
};
use serde::Deserialize;
use std::net::IpAddr;
use utoipa::ToSchema;

/// The body of `POST /auth/register`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Register {
    #[schema(value_type = words::Username)]
    username: Option<String>,
    #[schema(value_type = words::Email)]
    email: Option<String>,
    #[schema(value_type = words::Password)]
    password: Option<String>,
    /// The password once more; if given, it is the same.
    confirm_password: Option<String>,
    /// The username if absent.
    #[schema(value_type = Option<words::Name>)]
    display_name: Option<String>,
    #[schema(value_type = Option<words::Name>)]
    first_name: Option<String>,
    #[schema(value_type = Option<words::Name>)]
    last_name: Option<String>,
    /// For admins and API keys only.
    #[serde(rename = "type")]
    user_type: Option<UserType>,
}

/// The body of `POST /auth/login`.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Login {
    /// A username or an e-mail address.
    #[schema(value_type = String)]
    identifier: Option<String>,
    #[schema(value_type = String)]
    password: Option<String>,
}

/// Who asks: where from, and with which device.
#[derive(Clone, Debug)]
pub(crate) struct Visitor {
    pub(crate) address: IpAddr,
    pub(crate) device: Option<String>,
}

/// A registration that is in order, but for the password's hash.
struct Registration {
    user: UserRow,
    password: String,
}

impl Register {
    fn check(self) -> Result<Registration, Problem> {
        let mut fields = Fields::default();
        let same = self.confirm_password.is_none() || self.confirm_password == self.password;
        let username = fields.required("username", self.username, text::username);
        let email = fields.required("email", self.email, text::email);
        let password = fields.required("password", self.password, text::password);
        if !same {
            fields.wrong("confirmPassword", "is the same as password");
        }
        let name = |text| text::line(text, MAX_NAME);
        let display_name = fields.optional("displayName", self.display_name, name);
        let first_name = fields.optional("firstName", self.first_name, name);
        let last_name = fields.optional("lastName", self.last_name, name);
        let (Some(username), Some(email), Some(password)) = (username, email, password) else {
            return Err(fields.problem());
        };
        fields.finish()?;
        let new = UserRow::new(username, email, clock::now());
        let user = UserRow {
            display_name: display_name.unwrap_or_else(|| new.display_name.clone()),
            first_name,
            last_name,
            user_type: self.user_type.unwrap_or_default(),
            ..new
        };
        Ok(Registration { user, password })
    }
}

impl Api {
    /// Makes an account and signs it in.
    pub(crate) async fn register(&self, body: Register, by_admin: bool, visitor: &Visitor) -> Result<Tokens, Problem> {
        let Registration { mut user, password } = body.check()?;
        if user.user_type != UserType::default() && !by_admin {
            return Err(Problem::new(Code::Forbidden, "Only an admin or an API key chooses the type of a user"));
        }
        user.password_hash = Some(self.passwords.hash(password).await?);
        self.reader.store().insert_user(user.clone()).await.map_err(taken)?;
        self.begin_session(&user, visitor.device.as_deref()).await
    }

    /// Signs in with a username or an e-mail address.
    pub(crate) async fn login(&self, body: Login, visitor: &Visitor) -> Result<Tokens, Problem> {
        let mut fields = Fields::default();
        let identifier = fields.required("identifier", body.identifier, Ok);
        let password = fields.required("password", body.password, Ok);
        let (Some(identifier), Some(password)) = (identifier, password) else {
            return Err(fields.problem());
        };
        let wrong = || Problem::from(Code::InvalidCredentials);
        // Nothing longer was ever accepted, and folding it would be work for nothing.
        if identifier.len() > 1_024 || password.len() > 8_192 {
            return Err(wrong());
        }
        let key = text::fold(&identifier);
        // Looked up before anything is counted: a store that is away costs nobody a try, and an account is one account,
        // whether it is named by its username or by its address.
        let user = self.reader.store().user_by_key(&key).await.map_err(problem::store)?;
        let user = user.filter(|user| user.deleted_at.is_none());
        let account = user.as_ref().map_or_else(|| limit_keys::account(&key), |user| user.id.to_string());
        let hash = user.as_ref().and_then(|user| user.password_hash.clone());
        let right = self.check_password(&account, visitor.address, password, hash).await?;
        let user = user.filter(|_| right).ok_or_else(wrong)?;
        let tokens = self.begin_session(&user, visitor.device.as_deref()).await?;
        // Whoever changed the password, or deleted the account, while it was looked at ended the sessions that there
        // were; this one came after.
        let now = self.reader.store().users(&[user.id]).await.map_err(problem::store)?.pop().flatten();
        if now.is_none_or(|now| now.deleted_at.is_some() || now.password_hash != user.password_hash) {
            self.end_all_sessions(user.id).await?;
            return Err(wrong());
        }
        Ok(tokens)
    }

    /// Whether this is the password of an account, counted as a failed sign-in if not: an account cannot be tried out
    /// faster by another route.
    pub(super) async fn check_password(
        &self,
        account: &str,
        address: IpAddr,
        entered: String,
        hash: Option<String>,
    ) -> Result<bool, Problem> {
        let limits = &self.config.limits;
        let here = limit_keys::failed_sign_in(account, address, limits.failed_sign_in);
        let everywhere = limit_keys::failed_sign_in_account(account, limits.failed_sign_in_account);
        // Taken before the password is looked at, so that many tries at once do not pass, and given back by a success.
        // One after the other: what the first refuses must not count for everyone.
        self.take(&here).await?;
        if let Err(refused) = self.take(&everywhere).await {
            self.limits.give_back(std::slice::from_ref(&here)).await;
            return Err(refused);
        }
        match self.passwords.verify(text::entered_password(entered), hash).await {
            Ok(true) => {
                self.limits.clear(&here.key).await;
                self.limits.give_back(std::slice::from_ref(&everywhere)).await;
                Ok(true)
            }
            Ok(false) => Ok(false),
            Err(failed) => {
                // Nobody knows whether it was the right one.
                self.limits.give_back(&[here, everywhere]).await;
                Err(failed)
            }
        }
    }

    /// Counts a try to sign in or to register from an address.
    pub(crate) async fn count_sign_in(&self, address: IpAddr) -> Result<(), Problem> {
        self.take(&limit_keys::sign_in(address, self.config.limits.sign_in)).await
    }

    async fn take(&self, take: &Take) -> Result<(), Problem> {
        match self.limits.take(std::slice::from_ref(take)).await.first() {
            Some(Verdict::Refused { retry_after }) => {
                Err(Problem::rate_limited(u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX)))
            }
            Some(Verdict::Passed { .. }) | None => Ok(()),
        }
    }
}
