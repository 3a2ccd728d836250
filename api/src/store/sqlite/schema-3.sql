-- Version 3: statuses, mutes, reactions and pins; records, the moves of read cursors, and the words of messages.

ALTER TABLE users ADD COLUMN status INTEGER NOT NULL DEFAULT 1;
ALTER TABLE users ADD COLUMN status_text TEXT;
ALTER TABLE users ADD COLUMN status_at INTEGER;
ALTER TABLE users ADD COLUMN is_service INTEGER NOT NULL DEFAULT 0;
-- The display name, folded, for the search by prefix.
ALTER TABLE users ADD COLUMN display_key TEXT NOT NULL DEFAULT '';
CREATE INDEX users_by_display_key ON users (display_key);

ALTER TABLE rooms ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
-- When everything of a deleted room was gone.
ALTER TABLE rooms ADD COLUMN purged_at INTEGER;
CREATE INDEX rooms_to_purge ON rooms (deleted_at) WHERE deleted_at IS NOT NULL AND purged_at IS NULL;

-- Until when; the greatest integer for good.
ALTER TABLE members ADD COLUMN mute INTEGER;
ALTER TABLE members ADD COLUMN hidden_seq INTEGER NOT NULL DEFAULT 0;

ALTER TABLE log ADD COLUMN reactions TEXT;
ALTER TABLE log ADD COLUMN pinned_at INTEGER;

CREATE TABLE records (
    area    INTEGER NOT NULL,
    owner   BLOB NOT NULL,
    id      BLOB NOT NULL,
    place   BLOB NOT NULL,
    version INTEGER NOT NULL,
    data    TEXT NOT NULL,
    PRIMARY KEY (area, owner, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX records_by_place ON records (area, owner, place);
CREATE INDEX records_by_id ON records (area, id);

CREATE TABLE reads (
    room     BLOB NOT NULL,
    user     BLOB NOT NULL,
    from_seq INTEGER NOT NULL,
    up_to    INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (room, up_to, user, at)
) STRICT, WITHOUT ROWID;

-- What is not in the log's row is here to be found without it.
CREATE TABLE words (
    room BLOB NOT NULL,
    word TEXT NOT NULL,
    id   BLOB NOT NULL,
    seq  INTEGER NOT NULL,
    PRIMARY KEY (room, word, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX words_by_message ON words (id);
