//! Passwords: Argon2id, off the async threads, and no more at once than there are cores.

use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use rookery_shared::protocol::{Code, Problem};
use std::{sync::Arc, thread};
use tokio::{sync::Semaphore, task};

/// Hashes and verifies. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Passwords {
    /// Each hash takes 19 MiB and a core for tens of milliseconds: more at once would only starve the rest.
    slots: Arc<Semaphore>,
    /// A hash that no password has been chosen for: verified against when the account does not exist, so that the
    /// answer takes as long.
    nobody: Arc<str>,
}

impl Passwords {
    pub(crate) fn new() -> Self {
        let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let nobody = hash(&rookery_shared::token::random_secret()).unwrap_or_default();
        Self { slots: Arc::new(Semaphore::new(cores)), nobody: nobody.into() }
    }

    /// The hash of a password in PHC form.
    pub(crate) async fn hash(&self, password: String) -> Result<String, Problem> {
        self.run(move || hash(&password)).await?.ok_or_else(|| {
            tracing::error!("a password could not be hashed");
            Code::Internal.into()
        })
    }

    /// Whether this is the password; takes as long where there is none to compare with.
    pub(crate) async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, Problem> {
        let nobody = self.nobody.clone();
        self.run(move || {
            let right = verify(&password, hash.as_deref().unwrap_or(&nobody));
            right && hash.is_some()
        })
        .await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
        let slot = self.slots.clone().acquire_owned().await.map_err(|_| Problem::from(Code::Unavailable))?;
        let work = move || {
            let done = work();
            drop(slot);
            done
        };
        task::spawn_blocking(work).await.map_err(|error| {
            tracing::error!(%error, "the hashing of a password panicked");
            Code::Internal.into()
        })
    }
}

/// The hash of a password in PHC form. Takes tens of milliseconds.
pub(crate) fn hash(password: &str) -> Option<String> {
    Argon2::default().hash_password(password.as_bytes()).map(|hash| hash.to_string()).ok()
}

fn verify(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_recognised_and_another_one_is_not() {
        let passwords = Passwords::new();
        let hash = passwords.hash("correct horse".into()).await.expect("hashes");
        assert!(hash.starts_with("$argon2id$"));
        assert_eq!(passwords.verify("correct horse".into(), Some(hash.clone())).await, Ok(true));
        assert_eq!(passwords.verify("wrong".into(), Some(hash)).await, Ok(false));
        assert_eq!(passwords.verify("correct horse".into(), None).await, Ok(false));
    }
}
