//! What the programs do when they are not asked to serve: `admin create` and `admin promote`. They work on the store
//! alone, whether or not the service runs beside them; it sees a change within a second.

use crate::{
    password,
    store::{Op, Store, StoreError, Unique, rows::UserRow},
    text,
};
use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand};
use rookery_shared::{clock, model::Role, token::random_secret};
use std::io::{Read, Write};

/// Chat for one's own product. Without a command it serves; all settings come from the environment.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Arguments {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What can be done instead of serving.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make the first admin, or one more when nobody can sign in any more.
    #[command(subcommand)]
    Admin(AdminCommand),
}

/// How somebody becomes an admin.
#[derive(Debug, Subcommand)]
pub enum AdminCommand {
    /// Make an account that is an admin. Its password is made up and printed, this once.
    Create {
        /// 3 to 30 letters, digits, _, . or -.
        #[arg(long)]
        username: String,
        /// Its e-mail address.
        #[arg(long)]
        email: String,
        /// Read the password from the standard input (one line) and print nothing.
        #[arg(long)]
        password_stdin: bool,
    },
    /// Make an account that is there an admin.
    Promote {
        /// Its username or e-mail address.
        username: String,
    },
}

/// How often a change is tried when the service changes the same account.
const TRIES: usize = 8;

/// Does it.
pub async fn run(
    store: &dyn Store,
    command: Command,
    input: &mut impl Read,
    output: &mut impl Write,
) -> anyhow::Result<()> {
    let Command::Admin(command) = command;
    match command {
        AdminCommand::Create { username, email, password_stdin } => {
            let given = password_stdin.then(|| read_line(input)).transpose()?;
            let generated = given.is_none();
            let password = given.unwrap_or_else(random_secret);
            create(store, username.clone(), email, password.clone()).await?;
            let password = if generated { format!(", password {password}") } else { String::new() };
            writeln!(output, "admin {username}{password}")?;
        }
        AdminCommand::Promote { username } => {
            let user = promote(store, &username).await?;
            writeln!(output, "admin {}", user.username)?;
        }
    }
    Ok(())
}

fn read_line(input: &mut impl Read) -> anyhow::Result<String> {
    let mut text = String::new();
    // A password has at most 128 characters; what is longer is a mistake.
    input.take(16 * 1024).read_to_string(&mut text).context("the standard input cannot be read")?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

async fn create(store: &dyn Store, username: String, email: String, password: String) -> anyhow::Result<()> {
    let wrong = |what: &'static str| move |message| anyhow::anyhow!("{what}: {message}");
    let username = text::username(username).map_err(wrong("the username"))?;
    let email = text::email(email).map_err(wrong("the e-mail address"))?;
    let password = text::password(password).map_err(wrong("the password"))?;
    let hash = password::hash(&password).context("the password cannot be hashed")?;
    let new = UserRow::new(username, email, clock::now());
    let user = UserRow { password_hash: Some(hash), role: Role::Admin, ..new };
    match store.insert_user(user).await {
        Err(StoreError::Taken(Unique::Username)) => bail!("this username is taken: `admin promote` makes it an admin"),
        Err(StoreError::Taken(Unique::Email)) => bail!("this e-mail address is taken: `admin promote` takes it too"),
        result => Ok(result?),
    }
}

async fn promote(store: &dyn Store, name: &str) -> anyhow::Result<UserRow> {
    let key = text::fold(name);
    for _ in 0..TRIES {
        let user = store.user_by_key(&key).await?.filter(|user| user.deleted_at.is_none() && !user.is_service);
        let user = user.with_context(|| format!("there is no account {name}"))?;
        if user.role == Role::Admin {
            return Ok(user);
        }
        let next = UserRow { role: Role::Admin, version: user.version + 1, ..user };
        match store.commit(&[], &[Op::ReplaceUser(next.clone())]).await {
            Ok(()) => return Ok(next),
            // The service changed it at the same time.
            Err(StoreError::Stale(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    bail!("the account changes all the time; try again")
}
