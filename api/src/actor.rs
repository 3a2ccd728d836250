//! Who wants something done: a user, an admin, or a server with an API key that acts as itself.

use rookery_shared::{
    ids::UserId,
    protocol::{Code, Problem},
};

/// What somebody is to the installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ActorKind {
    /// A user, who may do what is theirs.
    User,
    /// An admin, who is a user as well.
    Admin,
    /// A server with an API key: it belongs to no room, and manages all of them as far as its scopes allow, which were
    /// checked before.
    Key,
}

/// Somebody who wants something done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Actor {
    /// The user; of an API key the account that its system messages are from.
    pub(crate) id: UserId,
    /// What they are.
    pub(crate) kind: ActorKind,
}

impl Actor {
    /// A user who does what is theirs.
    pub(crate) fn person(id: UserId) -> Self {
        Self { id, kind: ActorKind::User }
    }

    pub(crate) fn is_admin(self) -> bool {
        self.kind == ActorKind::Admin
    }

    pub(crate) fn is_key(self) -> bool {
        self.kind == ActorKind::Key
    }

    /// Who is named as the maker of something; nobody where a server acts as itself.
    pub(crate) fn named(self) -> Option<UserId> {
        (!self.is_key()).then_some(self.id)
    }

    /// Whether they run the installation: they see and do what nobody else does.
    pub(crate) fn is_operator(self) -> bool {
        self.is_admin() || self.is_key()
    }

    /// Refuses who does not run the installation.
    pub(crate) fn operator(self) -> Result<(), Problem> {
        if self.is_operator() { Ok(()) } else { Err(Problem::new(Code::Forbidden, "Only an admin may do this")) }
    }

    /// The user, for what only people do.
    pub(crate) fn user(self) -> Result<UserId, Problem> {
        if self.is_key() {
            let message = "An API key does this as a user: name one in the header Rookery-Act-As";
            return Err(Problem::new(Code::Forbidden, message));
        }
        Ok(self.id)
    }
}
