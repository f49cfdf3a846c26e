-- The state of work between two batches: lists of keys, lengths of files, files to remove, pauses, and when each
-- policy ran.

-- The work list of a job that has not ended.  A key leaves it with the batch that treats it.  There is no
-- foreign key, because it would cost a third of the time of the listing and could find no error: the list is
-- written by one statement, in the transaction that updates the job's row, and rows of the journal are never
-- deleted.
CREATE TABLE retention.candidate (
	job int NOT NULL,
	n bigint NOT NULL,
	key text NOT NULL,
	weight bigint NOT NULL,		-- the contact and its requests: the size of a batch counts these
	shard text NOT NULL DEFAULT '',	-- the value of the model's shard column; '': it names none
	shard_group text NOT NULL DEFAULT '',	-- a batch holds keys of one: column and partition, or shard of Citus
	PRIMARY KEY (job, n)
);

-- The keys to which a replay or one contact's own action is restricted, until the action has ended.
CREATE TABLE retention.selection (
	job int NOT NULL REFERENCES retention.archive_journal,
	key text NOT NULL,
	PRIMARY KEY (job, key)
);

-- How many bytes of each worker's file are committed, and how many rows they hold, as of its last commit.
-- A table that is not archived has a row with 0 bytes, for its count of rows.
CREATE TABLE retention.archive_file (
	job int NOT NULL REFERENCES retention.archive_journal,
	worker int NOT NULL,
	table_name text NOT NULL,
	bytes bigint NOT NULL DEFAULT 0,
	rows bigint NOT NULL DEFAULT 0,
	-- These stand in worker 0's row, written once, before the first batch: which files the archive has, of
	-- which tables, and in which form.  No later try derives them again, so that no file gets a second form.
	relation text,
	header text,
	columns text[],
	types text,
	bom boolean,
	place integer,
	PRIMARY KEY (job, worker, table_name)
) WITH (fillfactor = 50);	-- each batch updates it: this leaves room for HOT
COMMENT ON COLUMN retention.archive_file.relation IS 'schema.table';
COMMENT ON COLUMN retention.archive_file.header IS 'the first line of the file';
COMMENT ON COLUMN retention.archive_file.types IS 'of its columns';
COMMENT ON COLUMN retention.archive_file.place IS 'in the archive; NULL: the table is not archived';

-- Files outside the database.  A row's file goes after the commit that erased the row.  The transaction of
-- the batch fills the outbox.  So a file is removed only if its row was erased, and is never forgotten then.
CREATE TABLE retention.file_outbox (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	job int NOT NULL REFERENCES retention.archive_journal,
	-- The host of the job, because a path means nothing on another host.
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

-- A session that erases takes keys off its own list, and changes its own files (refuse_erasing in 0002_journal).  One
-- that lists puts keys on the list of its action.
CREATE TRIGGER own_list AFTER INSERT ON retention.candidate REFERENCING NEW TABLE AS changed
	FOR EACH STATEMENT EXECUTE FUNCTION retention.refuse_erasing('listed');
CREATE TRIGGER own_rows AFTER DELETE ON retention.candidate REFERENCING OLD TABLE AS changed
	FOR EACH STATEMENT EXECUTE FUNCTION retention.refuse_erasing('list');
CREATE TRIGGER not_while_erasing BEFORE DELETE ON retention.selection
	FOR EACH STATEMENT EXECUTE FUNCTION retention.refuse_erasing();
CREATE TRIGGER own_rows AFTER INSERT ON retention.archive_file REFERENCING NEW TABLE AS changed
	FOR EACH STATEMENT EXECUTE FUNCTION retention.refuse_erasing('files');
CREATE TRIGGER own_updates AFTER UPDATE ON retention.archive_file REFERENCING NEW TABLE AS changed
	FOR EACH STATEMENT EXECUTE FUNCTION retention.refuse_erasing('files');
CREATE TRIGGER form_while_erasing BEFORE UPDATE OF relation, header, columns, types, bom, place ON retention.archive_file
	FOR EACH STATEMENT EXECUTE FUNCTION retention.refuse_erasing();
CREATE TRIGGER own_rows AFTER INSERT ON retention.file_outbox REFERENCING NEW TABLE AS changed
	FOR EACH STATEMENT EXECUTE FUNCTION retention.refuse_erasing('others');
CREATE TRIGGER not_while_erasing BEFORE UPDATE OR DELETE ON retention.file_outbox
	FOR EACH STATEMENT EXECUTE FUNCTION retention.refuse_erasing();

-- How many files are left, without their paths, which may hold a name.
CREATE VIEW retention.files_left AS
SELECT f.job, count(*) AS files, count(f.error) AS failed, min(f.queued_at) AS since
  FROM retention.file_outbox AS f GROUP BY f.job;

-- The pauses: of an action, or of everything (job NULL).  A paused action is not started, and a job that runs
-- begins no batch.  The functions pause_action and resume_action change it; the end of an action removes its row.
CREATE TABLE retention.pause (
	job int REFERENCES retention.archive_journal,
	paused_by text NOT NULL DEFAULT session_user,
	paused_at timestamptz NOT NULL DEFAULT now(),
	-- An operator does not end it then.  Kept because the role may lose that right later.
	by_approver boolean NOT NULL DEFAULT pg_has_role(session_user, 'retention_approver', 'MEMBER')
);
CREATE UNIQUE INDEX ON retention.pause (coalesce(job, 0));	-- no action has the number 0
-- Without a key, a publication of all tables would let the server refuse UPDATE and DELETE.
ALTER TABLE retention.pause REPLICA IDENTITY FULL;

-- The pause that each action is under: the one of everything comes before its own.
CREATE VIEW retention.paused_action AS
SELECT DISTINCT ON (j.id) j.id AS job, p.paused_by, p.paused_at, p.job IS NULL AS everything
  FROM retention.archive_journal AS j
  JOIN retention.pause AS p ON p.job = j.id OR p.job IS NULL
 ORDER BY j.id, p.job NULLS FIRST;

CREATE TABLE retention.policy_state (
	policy text PRIMARY KEY,
	schedule text NOT NULL,
	last_occurrence timestamptz NOT NULL,
	next_occurrence timestamptz,
	updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TRIGGER not_while_erasing BEFORE INSERT OR UPDATE ON retention.policy_state
	FOR EACH STATEMENT EXECUTE FUNCTION retention.refuse_erasing();

-- The policies in force, as the daemon has understood its configuration, in its order (place), and the figures of its last
-- survey.  The next pass would reach due_next subjects besides the held_next that a hold keeps.  The overdue ones are due
-- by the last occurrence, and still there; NULL: not counted.  The scope is the condition on the contacts.
CREATE TABLE retention.policy (
	name text PRIMARY KEY,
	place int NOT NULL,
	action text NOT NULL,
	depth interval NOT NULL,
	schedule text NOT NULL,
	archive text NOT NULL,
	scope text,
	approval boolean NOT NULL,
	enabled boolean NOT NULL,
	source text NOT NULL CHECK (source IN ('file', 'page')),
	cutoff_next timestamptz,
	due_next bigint,
	held_next bigint,
	overdue bigint,
	overdue_since timestamptz,
	refused text,
	measured_at timestamptz
);
COMMENT ON COLUMN retention.policy.refused IS 'why the policy cannot run as the database is now; NULL: it can';
CREATE TRIGGER not_while_erasing BEFORE INSERT OR UPDATE OR DELETE ON retention.policy
	FOR EACH STATEMENT EXECUTE FUNCTION retention.refuse_erasing();

-- The same with the last occurrence that began, its action, and the next one.
CREATE VIEW retention.policies AS
SELECT p.*, l.occurrence AS last_occurrence, CASE WHEN p.enabled THEN s.next_occurrence END AS next_occurrence,
       l.id AS last_action, l.status AS last_status, l.error AS last_error
  FROM retention.policy AS p
  LEFT JOIN retention.policy_state AS s ON s.policy = p.name
  LEFT JOIN LATERAL (SELECT j.id, j.occurrence, j.status, j.error FROM retention.archive_journal AS j
		      WHERE j.policy = p.name ORDER BY j.occurrence DESC, j.part DESC LIMIT 1) AS l ON true;

-- {number} of the column rules.
CREATE SEQUENCE retention.number;

-- Archives below archives.directory that the journal does not know, because a restored backup has forgotten their
-- action, or because the files of a removed archive came back.  The daemon fills it when it looks for expired archives.
CREATE TABLE retention.unknown_archive (
	name text PRIMARY KEY,
	host text NOT NULL,
	directory text NOT NULL,
	sealed boolean NOT NULL,
	-- By the name, except date: the time at which the manifest was written, or else that of the newest file.
	job int NOT NULL,
	action text NOT NULL,
	policy text,
	date timestamptz NOT NULL,
	bytes bigint NOT NULL,
	-- As they were when the daemon found the archive.
	sums_sha256 text,
	manifest_sha256 text,
	seen_at timestamptz NOT NULL DEFAULT now(),
	deleted_at timestamptz,
	deleted_by text,
	remark text
);
COMMENT ON COLUMN retention.unknown_archive.deleted_by IS 'a role, or "expiry": archives.keep has passed';
COMMENT ON COLUMN retention.unknown_archive.remark IS 'what stands in the way of removing the files of a deleted archive';
CREATE TRIGGER not_while_erasing BEFORE INSERT OR UPDATE OR DELETE ON retention.unknown_archive
	FOR EACH STATEMENT EXECUTE FUNCTION retention.refuse_erasing();

-- Such an archive is deleted by an approver (delete_unknown_archive), or expires when archives.keep has passed.  The
-- daemon finds anew what it takes off the list otherwise.
CREATE FUNCTION retention.check_unknown_archive() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT retention.is_owner() AND (OLD.deleted_at, OLD.deleted_by) IS DISTINCT FROM (NEW.deleted_at, NEW.deleted_by) AND
	   (OLD.deleted_at IS NULL AND NEW.deleted_by = 'expiry' AND
	    retention.kept_until(NEW.date, (SELECT nullif(s.value, '')::interval FROM retention.setting AS s
					     WHERE s.name = 'archives_keep')) <= now()) IS NOT TRUE THEN
		RAISE EXCEPTION 'archive "%": the role % may not delete it', OLD.name, current_user
			USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'retention.unknown_forbidden',
			      DETAIL = concat_ws(E'\n', OLD.name, current_user);
	END IF;
	RETURN NEW;
END
$$;
CREATE TRIGGER legal BEFORE UPDATE ON retention.unknown_archive
	FOR EACH ROW EXECUTE FUNCTION retention.check_unknown_archive();

-- Writes an event when such an archive is deleted, and when its files are removed, whichever way it was done.
CREATE FUNCTION retention.unknown_archive_change() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF TG_OP = 'DELETE' AND OLD.deleted_at IS NOT NULL THEN
		INSERT INTO retention.journal_event (kind, details)
		VALUES ('unknown_archive_removed', jsonb_build_object('name', OLD.name));
	ELSIF TG_OP = 'UPDATE' AND OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL THEN
		INSERT INTO retention.journal_event (kind, details)
		VALUES ('unknown_archive_deleted',
			jsonb_strip_nulls(to_jsonb(NEW) - ARRAY['seen_at', 'remark', 'host']));
	END IF;
	RETURN NULL;
END
$$;
CREATE TRIGGER journal AFTER UPDATE OR DELETE ON retention.unknown_archive
	FOR EACH ROW EXECUTE FUNCTION retention.unknown_archive_change();

-- What a person asks of the daemon, because only its host can do it.  A daemon takes a request by claim_action() under
-- the negative number, so that a request of a daemon that dies is taken again.  It writes no other way than through
-- take_request() and end_request() (0007_daemon).
CREATE TABLE retention.request (
	id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	kind text NOT NULL CHECK (kind IN ('verify_archive', 'subject_export', 'find_contact', 'measure')),
	job int REFERENCES retention.archive_journal,
	subject text,
	asked_by text NOT NULL DEFAULT session_user,
	asked_at timestamptz NOT NULL DEFAULT now(),
	host text,
	taken_at timestamptz,
	attempts int NOT NULL DEFAULT 0,
	ended_at timestamptz,
	outcome text CHECK (outcome IN ('ok', 'failed', 'refused')),
	-- Sentences and counts, never a row of the CRM.
	result jsonb,
	-- The file of a subject_export, below archives.directory of its host.
	document text,
	document_removed_at timestamptz,
	CONSTRAINT request_about CHECK (
		CASE kind WHEN 'verify_archive' THEN job IS NOT NULL AND subject IS NULL
			  WHEN 'subject_export' THEN job IS NULL AND subject IS NOT NULL
			  WHEN 'find_contact' THEN job IS NULL AND subject IS NOT NULL
			  ELSE num_nonnulls(job, subject) = 0 END),
	CONSTRAINT request_ended CHECK (num_nulls(ended_at, outcome) IN (0, 2))
);
COMMENT ON COLUMN retention.request.host IS 'the host whose daemon has taken it';
COMMENT ON COLUMN retention.request.attempts IS 'how often a daemon has taken it';
COMMENT ON COLUMN retention.request.document_removed_at IS 'since when the daemon has removed the file';
-- Each is asked once at a time.
CREATE UNIQUE INDEX ON retention.request (kind, coalesce(job, 0), coalesce(subject, '')) WHERE ended_at IS NULL;

-- Which person took which file: of an archive, or the document of a request.  The person's ticket is for one use, within
-- one minute.  The table knows the ticket's digest only, so that nobody who reads it can take the file.
CREATE TABLE retention.download (
	id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	job int REFERENCES retention.archive_journal,
	request int REFERENCES retention.request,
	file text NOT NULL,
	ticket_sha256 bytea NOT NULL UNIQUE,
	asked_by text NOT NULL DEFAULT session_user,
	asked_at timestamptz NOT NULL DEFAULT now(),
	expires_at timestamptz NOT NULL DEFAULT now() + interval '1 minute',
	taken_at timestamptz,
	ended_at timestamptz,
	bytes bigint,
	CONSTRAINT download_of CHECK (num_nonnulls(job, request) = 1)
);
COMMENT ON COLUMN retention.download.taken_at IS 'when the daemon opened the file for this ticket; NULL: not yet, or never';
COMMENT ON COLUMN retention.download.ended_at IS 'when the last byte was sent; NULL: not yet, or the connection broke';
CREATE INDEX ON retention.download (job);

CREATE TRIGGER not_while_erasing BEFORE INSERT OR UPDATE OR DELETE ON retention.request
	FOR EACH STATEMENT EXECUTE FUNCTION retention.refuse_erasing();
CREATE TRIGGER not_while_erasing BEFORE INSERT OR UPDATE OR DELETE ON retention.download
	FOR EACH STATEMENT EXECUTE FUNCTION retention.refuse_erasing();
