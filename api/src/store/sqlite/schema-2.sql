-- Version 2: the name that members are listed by stands beside the membership, so that a page of a large room reads the
-- page alone.

ALTER TABLE members ADD COLUMN username_key TEXT;
UPDATE members SET username_key = (SELECT u.username_key FROM users u WHERE u.id = members.user);
CREATE INDEX members_by_name ON members (room, username_key);
