//! People: who there is, how they are found, and what is changed about them.

use crate::{
    actor::Actor,
    app::Api,
    http::Change,
    openapi::{self, words},
    paging::Limited,
    problem,
    render::{self, KnownUser},
    store::{Op, Part, StoreError, Unique, rows::UserRow},
    text::{self, Fields},
};
use rookery_shared::{
    ids::UserId,
    model::{OwnUser, Page, PublicUser, UserType},
    protocol::{Code, Problem},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

/// Most characters of what names are searched for.
const MAX_WANTED: usize = 64;

/// Most characters of a name that people read, and of what someone says of themselves.
pub(crate) const MAX_NAME: usize = 64;
const MAX_BIO: usize = 1_000;

/// How often a change is tried when others change the same account.
pub(super) const TRIES: usize = 8;

/// A user as the caller may see them.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Profile {
    Own(Box<OwnUser>),
    Public(Box<PublicUser>),
}

impl PartialSchema for Profile {
    fn schema() -> RefOr<Schema> {
        openapi::any_of::<OwnUser, PublicUser>("A user as the caller may see them.")
    }
}

impl ToSchema for Profile {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        openapi::schemas_of::<OwnUser, PublicUser>(schemas);
    }
}

impl Profile {
    /// With e-mail address and role for the user and for admins.
    fn of(viewer: Actor, user: &UserRow) -> Self {
        if viewer.id == user.id || viewer.is_admin() {
            Self::Own(Box::new(render::own_user(user)))
        } else {
            Self::Public(Box::new(render::public_user(user)))
        }
    }
}

/// The body of `PATCH /users/{id}`.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChangeUser {
    #[serde(default)]
    #[schema(value_type = words::Name, required = false)]
    display_name: Change<String>,
    #[serde(default)]
    #[schema(value_type = Option<words::Name>)]
    first_name: Change<String>,
    #[serde(default)]
    #[schema(value_type = Option<words::Name>)]
    last_name: Change<String>,
    #[serde(default)]
    #[schema(value_type = Option<words::Lines>)]
    bio: Change<String>,
    #[serde(default)]
    #[schema(value_type = Option<words::WebUrl>)]
    profile_picture: Change<String>,
    #[serde(default)]
    #[schema(value_type = words::Email, required = false)]
    email: Change<String>,
    /// For admins and API keys only.
    #[serde(default)]
    #[serde(rename = "type")]
    #[schema(value_type = UserType, required = false)]
    user_type: Change<UserType>,
}

/// What changes about a profile, checked.
struct NewProfile {
    display_name: Option<String>,
    first_name: Change<String>,
    last_name: Change<String>,
    bio: Change<String>,
    profile_picture: Change<String>,
    email: Option<(String, String)>,
    user_type: Option<UserType>,
}

impl ChangeUser {
    fn check(self) -> Result<NewProfile, Problem> {
        let mut fields = Fields::default();
        let name = |text| text::line(text, MAX_NAME);
        let new = NewProfile {
            display_name: self.display_name.kept(&mut fields, "displayName", name),
            first_name: self.first_name.clearable(&mut fields, "firstName", name),
            last_name: self.last_name.clearable(&mut fields, "lastName", name),
            bio: self.bio.clearable(&mut fields, "bio", |text| text::lines(text, MAX_BIO)),
            profile_picture: self.profile_picture.clearable(&mut fields, "profilePicture", text::web_url),
            email: self.email.kept(&mut fields, "email", text::email),
            user_type: self.user_type.kept(&mut fields, "type", Ok),
        };
        fields.finish()?;
        Ok(new)
    }
}

impl NewProfile {
    /// The account with these changes, one version later.
    fn apply(&self, user: &UserRow) -> UserRow {
        let mut next = user.clone();
        let Self { display_name, first_name, last_name, bio, profile_picture, email, user_type } = self;
        set(&mut next.display_name, display_name.as_ref());
        next.first_name = first_name.over(user.first_name.as_ref());
        next.last_name = last_name.over(user.last_name.as_ref());
        next.bio = bio.over(user.bio.as_ref());
        next.profile_picture = profile_picture.over(user.profile_picture.as_ref());
        set(&mut next.user_type, user_type.as_ref());
        if let Some((email, key)) = email {
            next.email.clone_from(email);
            next.email_key.clone_from(key);
        }
        if next != *user {
            next.version += 1;
        }
        next
    }
}

fn set<T: Clone>(field: &mut T, new: Option<&T>) {
    if let Some(new) = new {
        field.clone_from(new);
    }
}

/// The name or address of a new or changed account is somebody else's.
pub(super) fn taken(error: StoreError) -> Problem {
    let field = match error {
        StoreError::Taken(Unique::Username) => "username",
        StoreError::Taken(Unique::Email) => "email",
        other => return problem::store(other),
    };
    let Problem { errors, .. } = Problem::field(field, "is taken");
    Problem { errors, ..Problem::new(Code::Conflict, format!("This {field} is taken")) }
}

impl Api {
    /// Someone who has an account; deleted ones and API keys are not there.
    pub(crate) async fn person(&self, id: UserId) -> Result<Arc<KnownUser>, Problem> {
        let user = self.reader.user(id).await.map_err(problem::store)?;
        user.filter(|user| !user.row.is_service).ok_or_else(|| Code::NotFound.into())
    }

    /// The same, read now.
    pub(super) async fn person_now(&self, id: UserId) -> Result<UserRow, Problem> {
        let user = self.reader.store().users(&[id]).await.map_err(problem::store)?.pop().flatten();
        user.filter(|user| user.deleted_at.is_none() && !user.is_service).ok_or_else(|| Code::NotFound.into())
    }

    /// One profile.
    pub(crate) async fn profile(&self, viewer: Actor, id: UserId) -> Result<Profile, Problem> {
        Ok(Profile::of(viewer, &self.person(id).await?.row))
    }

    /// People whose username or display name begins with this (empty for all), by username.
    pub(crate) async fn list_users(
        &self,
        viewer: Actor,
        prefix: &str,
        page: &Limited,
    ) -> Result<Page<Profile>, Problem> {
        let store = self.reader.store();
        let part: Part<String> = page.part()?;
        let found = store.find_users(prefix, part.as_deref(), page.limit + 1).await.map_err(problem::store)?;
        let (found, more) = page.cut(found);
        let ends = found.first().zip(found.last());
        let ends = ends.map(|(first, last)| (first.username_key.as_str(), last.username_key.as_str()));
        let beyond = match page.other_side(ends) {
            Some(part) => !store.find_users(prefix, part, 1).await.map_err(problem::store)?.is_empty(),
            None => false,
        };
        let (next, prev) = page.places(ends.as_ref(), more, beyond);
        Ok(Page { items: found.iter().map(|user| Profile::of(viewer, user)).collect(), next, prev })
    }

    /// The same for a text that someone typed.
    pub(crate) async fn search_users(
        &self,
        viewer: Actor,
        typed: &str,
        page: &Limited,
    ) -> Result<Page<Profile>, Problem> {
        let wanted = text::wanted(typed, MAX_WANTED).map_err(|message| Problem::field("q", message))?;
        if wanted.is_empty() {
            return Err(Problem::field("q", "is what the name begins with"));
        }
        self.list_users(viewer, &text::fold(&wanted), page).await
    }

    /// Changes a profile: one's own, or anyone's as an admin or a server.
    pub(crate) async fn change_user(&self, actor: Actor, id: UserId, body: ChangeUser) -> Result<Profile, Problem> {
        self.person(id).await?;
        may_change(actor, id)?;
        let new = body.check()?;
        if new.user_type.is_some() && !actor.is_admin() && !actor.is_key() {
            return Err(Problem::new(Code::Forbidden, "Only an admin or an API key chooses the type of a user"));
        }
        for _ in 0..TRIES {
            let user = self.person_now(id).await?;
            let next = new.apply(&user);
            if next == user {
                return Ok(Profile::of(actor, &next));
            }
            let done = self.reader.store().replace_user(next.clone()).await;
            self.reader.changed(&[Op::ReplaceUser(next.clone())]);
            match done {
                Ok(()) => return Ok(Profile::of(actor, &next)),
                // Somebody changed something else about them at the same time.
                Err(StoreError::Stale(_)) => {}
                Err(error) => return Err(taken(error)),
            }
        }
        Err(Code::Unavailable.into())
    }
}

/// Whether somebody may change or delete an account.
pub(super) fn may_change(actor: Actor, id: UserId) -> Result<(), Problem> {
    if actor.id == id || actor.is_admin() || actor.is_key() {
        return Ok(());
    }
    Err(Problem::new(Code::Forbidden, "Only the user and admins may do this"))
}
