//! Accounts.

use super::{each, first};
use crate::store::{
    StoreError, Unique,
    codec::{Code, signed},
    rows::UserRow,
    sqlite::{cells::Cells, error::is_taken},
};
use rookery_shared::ids::UserId;
use rusqlite::{Connection, OptionalExtension, Result, params, types::Value};

macro_rules! columns {
    () => {
        "id, username, username_key, email, email_key, password_hash, display_name, first_name, last_name, bio, \
         profile_picture, user_type, role, created_at, deleted_at, version"
    };
}

const BY_ID: &str = concat!("SELECT ", columns!(), " FROM users WHERE id = ?1");

fn values(user: &UserRow) -> [Value; 16] {
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
        signed(version).into(),
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
        version: cells.number()?,
    })
}

pub(in crate::store::sqlite) fn insert(db: &Connection, user: &UserRow) -> Result<(), StoreError> {
    let sql = concat!(
        "INSERT INTO users (",
        columns!(),
        ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)"
    );
    written(db, user, db.prepare_cached(sql)?.execute(values(user))).map(drop)
}

pub(in crate::store::sqlite) fn replace(db: &Connection, user: &UserRow) -> Result<(), StoreError> {
    let sql = concat!(
        "UPDATE users SET (",
        columns!(),
        ") = (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16) \
         WHERE id = ?1 AND version = ?16 - 1"
    );
    match written(db, user, db.prepare_cached(sql)?.execute(values(user)))? {
        0 => Err(StoreError::Stale("the user")),
        _ => Ok(()),
    }
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
