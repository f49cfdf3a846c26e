-- Which files an archive has, of which tables, is said once, when the job's end begins, and not found again at each
-- try: a table or a model that changes in between would have them joined anew, from what is gone by then.
ALTER TABLE retention.archive_file ADD COLUMN relation text;
ALTER TABLE retention.archive_file ADD COLUMN types text;
ALTER TABLE retention.archive_file ADD COLUMN bom boolean;
ALTER TABLE retention.archive_file ADD COLUMN place integer;
COMMENT ON COLUMN retention.archive_file.relation IS 'schema.table';
COMMENT ON COLUMN retention.archive_file.types IS 'of its columns: one file has one form of a value';
COMMENT ON COLUMN retention.archive_file.place IS 'in the archive, from when its end has begun; of worker 0';
