-- What a segment of an archive was begun with: only the first worker's has it in the file.  NULL: nothing of it is
-- archived, or it was begun by an earlier version.  A table that changes under a job goes on in a file of its own.
ALTER TABLE retention.archive_file ADD COLUMN header text;
ALTER TABLE retention.archive_file ADD COLUMN columns text[];
