//! Accounts.

use super::{all, each, first};
use crate::{
    store::{
        Part, StoreError, Unique,
        codec::{Code, signed},
        rows::UserRow,
        sqlite::{cells::Cells, error::is_taken},
    },
    text::fold,
};
use rookery_shared::{ids::UserId, model::Role};
use rusqlite::{Connection, OptionalExtension, Result, params, types::Value};

macro_rules! columns {
    () => {
        "id, username, username_key, email, email_key, password_hash, display_name, first_name, last_name, bio, \
         profile_picture, user_type, role, created_at, deleted_at, status, status_text, status_at, is_service, \
         version"
    };
}

const BY_ID: &str = concat!("SELECT ", columns!(), " FROM users WHERE id = ?1");

fn values(user: &UserRow) -> [Value; 21] {
    let UserRow {
        id,
        username,
        username_key,
        email,
        email_key,
        password_hash,
        display_name,
        first_name,
        last_name,
        bio,
        profile_picture,
        user_type,
        role,
        created_at,
        deleted_at,
        status,
        status_text,
        status_at,
        is_service,
        version,
    } = user.clone();
    [
        id.0.as_bytes().to_vec().into(),
        username.into(),
        username_key.into(),
        email.into(),
        email_key.into(),
        password_hash.into(),
        display_name.into(),
        first_name.into(),
        last_name.into(),
        bio.into(),
        profile_picture.into(),
        user_type.code().into(),
        role.code().into(),
        created_at.0.into(),
        deleted_at.map(|time| time.0).into(),
        status.code().into(),
        status_text.into(),
        status_at.map(|time| time.0).into(),
        is_service.into(),
        signed(version).into(),
        fold(&user.display_name).into(),
    ]
}

fn read(cells: &mut Cells<'_>) -> Result<UserRow> {
    Ok(UserRow {
        id: UserId(cells.id()?),
        username: cells.plain()?,
        username_key: cells.plain()?,
        email: cells.plain()?,
        email_key: cells.plain()?,
        password_hash: cells.plain()?,
        display_name: cells.plain()?,
        first_name: cells.plain()?,
        last_name: cells.plain()?,
        bio: cells.plain()?,
        profile_picture: cells.plain()?,
        user_type: cells.word()?,
        role: cells.word()?,
        created_at: cells.time()?,
        deleted_at: cells.optional_time()?,
        status: cells.word()?,
        status_text: cells.plain()?,
        status_at: cells.optional_time()?,
        is_service: cells.plain()?,
        version: cells.number()?,
    })
}

pub(in crate::store::sqlite) fn insert(db: &Connection, user: &UserRow) -> Result<(), StoreError> {
    let sql = concat!(
        "INSERT INTO users (",
        columns!(),
        ", display_key) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, \
         ?19, ?20, ?21)"
    );
    written(db, user, db.prepare_cached(sql)?.execute(values(user))).map(drop)
}

pub(in crate::store::sqlite) fn replace(db: &Connection, user: &UserRow) -> Result<(), StoreError> {
    let sql = concat!(
        "UPDATE users SET (",
        columns!(),
        ", display_key) = (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, \
         ?20, ?21) WHERE id = ?1 AND version = ?20 - 1"
    );
    if written(db, user, db.prepare_cached(sql)?.execute(values(user)))? == 0 {
        return Err(StoreError::Stale("the user"));
    }
    if user.deleted_at.is_some() {
        // Members are listed by the name that stands beside their membership, and this one has gone.
        let sql = "UPDATE members SET username_key = ?2 WHERE user = ?1";
        db.prepare_cached(sql)?.execute(params![user.id.0.as_bytes(), user.username_key])?;
    }
    Ok(())
}

/// Learns by reading which key of a refused row is taken: the error says it in a text for people alone.
fn written(db: &Connection, user: &UserRow, result: Result<usize>) -> Result<usize, StoreError> {
    match result {
        Err(error) if is_taken(&error) => {
            let taken = |column: &str, key: &str| {
                let sql = format!("SELECT 1 FROM users WHERE {column} = ?1 AND id <> ?2");
                db.query_row(&sql, params![key, user.id.0.as_bytes()], |_| Ok(())).optional()
            };
            Err(StoreError::Taken(if taken("username_key", &user.username_key)?.is_some() {
                Unique::Username
            } else if taken("email_key", &user.email_key)?.is_some() {
                Unique::Email
            } else {
                Unique::Other
            }))
        }
        result => Ok(result?),
    }
}

pub(in crate::store::sqlite) fn by_ids(db: &Connection, ids: &[UserId]) -> Result<Vec<Option<UserRow>>, StoreError> {
    each(ids, |id| first(db, BY_ID, [id.0.as_bytes()], |row| read(&mut Cells::new(row))))
}

pub(in crate::store::sqlite) fn by_key(db: &Connection, key: &str) -> Result<Option<UserRow>, StoreError> {
    // Were one's username another's address, the username would win, in both stores.
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM users WHERE username_key = ?1 OR email_key = ?1 ORDER BY username_key = ?1 DESC LIMIT 1"
    );
    Ok(first(db, sql, [key], |row| read(&mut Cells::new(row)))?)
}

pub(in crate::store::sqlite) fn other_admin(db: &Connection, user: UserId) -> Result<Option<UserRow>, StoreError> {
    let sql = concat!("SELECT ", columns!(), " FROM users WHERE role = ?1 AND id <> ?2 AND deleted_at IS NULL LIMIT 1");
    Ok(first(db, sql, params![Role::Admin.code(), user.0.as_bytes()], |row| read(&mut Cells::new(row)))?)
}

/// People on one side of a name, in one direction.
macro_rules! found {
    ($side:literal, $direction:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM users WHERE ((username_key >= ?1 AND username_key < ?2) OR (display_key >= ?1 AND display_key < ?2)) \
             AND deleted_at IS NULL AND NOT is_service AND username_key ",
            $side,
            " ?3 ORDER BY username_key ",
            $direction,
            " LIMIT ?4"
        )
    };
}

pub(in crate::store::sqlite) fn find(
    db: &Connection,
    prefix: &str,
    part: &Part<String>,
    limit: u32,
) -> Result<Vec<UserRow>, StoreError> {
    let (sql, key) = match part {
        Part::First => (found!(">", "ASC"), ""),
        Part::After(key) => (found!(">", "ASC"), key.as_str()),
        Part::Before(key) => (found!("<", "DESC"), key.as_str()),
    };
    let params = params![prefix, beyond(prefix), key, limit];
    let mut users = all(db, sql, params, |row| read(&mut Cells::new(row)))?;
    if matches!(part, Part::Before(_)) {
        users.reverse();
    }
    Ok(users)
}

/// What is greater than every text that begins with this one: no text holds a greater character than the last of all.
pub(super) fn beyond(prefix: &str) -> String {
    format!("{prefix}{}", char::MAX)
}
