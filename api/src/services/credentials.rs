//! Passwords and roles: changed by oneself or by an admin. A new password ends what the old one opened.

use super::{accounts::Visitor, devices::ending, users::TRIES};
use crate::{
    app::Api,
    openapi::words,
    problem, render,
    store::{Op, StoreError, rows::UserRow},
    text::{self, Fields},
    writer::Planned,
};
use rookery_shared::{
    ids::{SessionId, StreamId, UserId},
    model::{OwnUser, Role},
    protocol::{Code, Problem},
};
use serde::Deserialize;
use utoipa::ToSchema;

/// The body of `PUT /auth/change-password`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names are the contract's")]
pub(crate) struct ChangePassword {
    #[schema(value_type = String)]
    current_password: Option<String>,
    #[schema(value_type = words::Password)]
    new_password: Option<String>,
    /// The new password once more; if given, it is the same.
    confirm_password: Option<String>,
}

/// The body of `PUT /admin/users/{id}/password`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ResetPassword {
    #[schema(value_type = words::Password)]
    new_password: Option<String>,
}

/// The body of `PUT /admin/users/{id}/role`.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ChangeRole {
    #[schema(value_type = Role)]
    role: Option<Role>,
}

impl Api {
    /// Changes the caller's password. Every session but `current` ends.
    pub(crate) async fn change_password(
        &self,
        user: UserId,
        current: Option<SessionId>,
        body: ChangePassword,
        visitor: &Visitor,
    ) -> Result<(), Problem> {
        let mut fields = Fields::default();
        let same = body.confirm_password.is_none() || body.confirm_password == body.new_password;
        let entered = fields.required("currentPassword", body.current_password, Ok);
        let new = fields.required("newPassword", body.new_password, text::password);
        if !same {
            fields.wrong("confirmPassword", "is the same as newPassword");
        }
        let (Some(entered), Some(new)) = (entered, new) else {
            return Err(fields.problem());
        };
        fields.finish()?;
        let row = self.person_now(user).await?;
        if !self.check_password(&user.to_string(), visitor.address, entered, row.password_hash.clone()).await? {
            return Err(Problem::new(Code::Forbidden, "This is not the current password"));
        }
        self.set_password(user, new, current, Some(row)).await
    }

    /// Gives someone a new password, as an admin. All of their sessions end.
    pub(crate) async fn reset_password(&self, user: UserId, body: ResetPassword) -> Result<(), Problem> {
        let new = body.new_password.ok_or_else(|| Problem::field("newPassword", "is required"))?;
        let new = text::password(new).map_err(|message| Problem::field("newPassword", message))?;
        self.person_now(user).await?;
        self.set_password(user, new, None, None).await
    }

    /// Writes the hash of a new password and ends every session but one, in one transaction. If `was` is given, the hash
    /// is still its, or else somebody was faster.
    async fn set_password(
        &self,
        user: UserId,
        new: String,
        except: Option<SessionId>,
        was: Option<UserRow>,
    ) -> Result<(), Problem> {
        let new = self.passwords.hash(new).await?;
        let ended = self
            .change(vec![StreamId::User(user)], move |api, mut heads| {
                let (new, was) = (new.clone(), was.clone());
                async move {
                    let row = api.person_now(user).await?;
                    if was.is_some_and(|was| was.password_hash != row.password_hash) {
                        return Err(Problem::new(
                            Code::Conflict,
                            "The password was changed by somebody else meanwhile",
                        ));
                    }
                    let open = api.sessions_to_end(user, except).await?;
                    let next = UserRow { password_hash: Some(new), version: row.version + 1, ..row };
                    let (entries, op) = ending(user, except, &open, &mut heads);
                    Ok(Planned { entries, ops: vec![Op::ReplaceUser(next), op], value: open })
                }
            })
            .await?;
        self.reader.forget_sessions(&ended);
        Ok(())
    }

    /// Makes someone an admin, or an admin a user again. The last admin stays one.
    pub(crate) async fn change_role(&self, id: UserId, body: &ChangeRole) -> Result<OwnUser, Problem> {
        let role = body.role.ok_or_else(|| Problem::field("role", "is required"))?;
        for _ in 0..TRIES {
            let user = self.person_now(id).await?;
            if user.role == role {
                return Ok(render::own_user(&user));
            }
            let next = UserRow { role, version: user.version + 1, ..user.clone() };
            let mut ops = vec![Op::ReplaceUser(next.clone())];
            if user.role == Role::Admin {
                ops.push(self.remaining_admin(id).await?);
            }
            let done = self.reader.store().commit(&[], &ops).await;
            self.reader.changed(&ops);
            match done {
                Ok(()) => return Ok(render::own_user(&next)),
                // One of the two accounts changed at the same time.
                Err(StoreError::Stale(_)) => {}
                Err(error) => return Err(problem::store(error)),
            }
        }
        Err(Code::Unavailable.into())
    }

    /// The change that goes with the end of an admin: another one is still there and is one. It changes nothing about
    /// them, but of two admins who end each other at the same time, one fails.
    pub(super) async fn remaining_admin(&self, id: UserId) -> Result<Op, Problem> {
        let other = self.reader.store().other_admin(id).await.map_err(problem::store)?;
        let other = other.ok_or_else(|| Problem::new(Code::Conflict, "The last admin stays one"))?;
        Ok(Op::ReplaceUser(UserRow { version: other.version + 1, ..other }))
    }
}
