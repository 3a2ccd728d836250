-- Version 1 of the embedded store. Times are milliseconds since 1970, ids the 16 bytes of a UUID, words of the domain
-- the numbers in store/codec.rs.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
    id              BLOB PRIMARY KEY NOT NULL,
    username        TEXT NOT NULL,
    username_key    TEXT NOT NULL UNIQUE,
    email           TEXT NOT NULL,
    email_key       TEXT NOT NULL UNIQUE,
    password_hash   TEXT,
    display_name    TEXT NOT NULL,
    first_name      TEXT,
    last_name       TEXT,
    bio             TEXT,
    profile_picture TEXT,
    user_type       INTEGER NOT NULL,
    role            INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    deleted_at      INTEGER,
    version         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    id            BLOB PRIMARY KEY NOT NULL,
    user          BLOB NOT NULL,
    refresh_hash  BLOB NOT NULL,
    previous_hash BLOB,
    rotated_at    INTEGER NOT NULL,
    previous_used INTEGER NOT NULL,
    device        TEXT,
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL,
    ended_at      INTEGER,
    version       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_by_user ON sessions (user);

CREATE TABLE rooms (
    id               BLOB PRIMARY KEY NOT NULL,
    room_type        INTEGER NOT NULL,
    name             TEXT,
    description      TEXT,
    visibility       INTEGER NOT NULL,
    history_from     INTEGER NOT NULL,
    created_by       BLOB,
    created_at       INTEGER NOT NULL,
    conversation_key TEXT,
    deleted_at       INTEGER,
    -- Folded, for the search in names.
    name_key         TEXT NOT NULL,
    -- Kept by the statements that change members, in their transaction: a list of rooms counts nothing.
    member_count     INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- A deleted conversation gives its key free.
CREATE UNIQUE INDEX rooms_by_conversation ON rooms (conversation_key)
    WHERE conversation_key IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX rooms_by_visibility ON rooms (visibility, id);

CREATE TABLE members (
    room      BLOB NOT NULL REFERENCES rooms (id),
    user      BLOB NOT NULL,
    role      INTEGER NOT NULL,
    joined_at INTEGER NOT NULL,
    in_seq    INTEGER NOT NULL,
    from_seq  INTEGER NOT NULL,
    read_seq  INTEGER NOT NULL,
    PRIMARY KEY (room, user)
) STRICT, WITHOUT ROWID;

CREATE INDEX members_by_user ON members (user);

-- Every log. Without a rowid, the entries of one stream lie together in the order in which they are read. The columns
-- from id on are a message's; its sender is the subject, its time the entry's.
CREATE TABLE log (
    stream       BLOB NOT NULL,
    seq          INTEGER NOT NULL,
    kind         INTEGER NOT NULL,
    subject      BLOB NOT NULL,
    ref_seq      INTEGER NOT NULL,
    at           INTEGER NOT NULL,
    id           BLOB,
    rev          INTEGER,
    client_id    TEXT,
    first_hash   BLOB,
    message_type INTEGER,
    content      TEXT,
    edited_at    INTEGER,
    deleted_at   INTEGER,
    reply_to     TEXT,
    attachment   TEXT,
    PRIMARY KEY (stream, seq)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX log_by_client_id ON log (stream, subject, client_id) WHERE client_id IS NOT NULL;
CREATE UNIQUE INDEX log_by_message ON log (id) WHERE id IS NOT NULL;
