-- Version 4: who deleted a room may say so again.

ALTER TABLE rooms ADD COLUMN deleted_by BLOB;
