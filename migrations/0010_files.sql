-- Files outside the database: what a row named goes after the commit that erased the row.  The outbox is filled
-- by the batch's own transaction, so that nothing is removed for a row that did not go, and nothing is
-- forgotten for one that did.

CREATE TABLE retention.file_outbox (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	job int NOT NULL REFERENCES retention.archive_journal,
	-- Where the job ran: a path means nothing elsewhere.
	host text NOT NULL,
	table_name text NOT NULL,
	location text NOT NULL,
	queued_at timestamptz NOT NULL DEFAULT now(),
	tried_at timestamptz,
	attempts int NOT NULL DEFAULT 0,
	error text
);
CREATE INDEX ON retention.file_outbox (job);
COMMENT ON TABLE retention.file_outbox IS 'files that are still to be removed, by the names of the model''s tables';

-- A path may hold a name: for the daemon, and for those who validate.  How many are left, everybody may know.
GRANT SELECT ON retention.file_outbox TO retention_approver;
GRANT SELECT, INSERT, DELETE, UPDATE (tried_at, attempts, error) ON retention.file_outbox TO retention_daemon;

CREATE VIEW retention.files_left AS
SELECT f.job, count(*) AS files, count(f.error) AS failed, min(f.queued_at) AS since
  FROM retention.file_outbox AS f GROUP BY f.job;
GRANT SELECT ON retention.files_left
	TO retention_auditor, retention_operator, retention_approver, retention_daemon;
