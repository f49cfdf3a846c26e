-- The columns that a segment of an archive was begun with: only the first worker's has them in the file.
ALTER TABLE retention.archive_file ADD COLUMN header text; -- NULL: nothing of it is archived, or begun by an earlier version
