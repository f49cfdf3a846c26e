-- The journal: one row an action (archive_journal), one row an event (journal_event, hash chained).

-- What the daemon's configuration says and the functions below must know.
CREATE TABLE retention.setting (
	name text PRIMARY KEY,
	value text NOT NULL
);
COMMENT ON TABLE retention.setting IS
	'written by the daemon from its configuration: timezone, four_eyes, contact_key_type';

-- One row an action.  Column by column what the administration page and an auditor ask for.
CREATE TABLE retention.archive_journal (
	-- int, not bigint: it is one half of the advisory lock that fences a job.
	id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	action text NOT NULL CHECK (action IN
		('export', 'delete_contacts', 'anonymize_contacts', 'anonymize_requests')),
	mode text NOT NULL CHECK (mode IN ('manual', 'automatic')),
	status text NOT NULL CHECK (status IN
		('saved', 'validated', 'running', 'done', 'failed', 'cancelled')),
	policy text,
	occurrence timestamptz,
	from_date date,
	to_date date,
	depth interval,
	cutoff timestamptz,
	archive text NOT NULL CHECK (archive IN ('none', 'listed', 'full')),
	requested_by text NOT NULL DEFAULT session_user,
	requested_at timestamptz NOT NULL DEFAULT now(),
	-- The keys found when the action was saved: what a person validates.
	candidates bigint,
	candidates_sha256 text,
	frozen_at timestamptz,
	validated_by text,
	validated_at timestamptz,
	started_at timestamptz,
	finished_at timestamptz,
	counters jsonb,
	archive_path text,
	archive_bytes bigint,
	error text,
	waiting text,
	archive_deleted_at timestamptz,
	archive_deleted_by text,
	host text,
	system_identifier text,
	-- Raised by each process that takes the job over; a batch of an older claim does not commit.
	claim int NOT NULL DEFAULT 0,
	CHECK ((mode = 'manual') = (policy IS NULL)),
	CHECK ((mode = 'manual') = (from_date IS NOT NULL AND to_date IS NOT NULL)),
	CHECK ((mode = 'automatic') = (depth IS NOT NULL AND occurrence IS NOT NULL)),
	CHECK (action NOT LIKE 'anonymize%' OR archive = 'none'),
	CHECK (action <> 'export' OR archive <> 'none'),
	UNIQUE (policy, occurrence)
);
CREATE INDEX ON retention.archive_journal (status) WHERE status IN ('saved', 'validated', 'running');
COMMENT ON COLUMN retention.archive_journal.waiting IS
	'what a job waits for right now: a lock, room on the disk, the window; NULL: nothing';

-- Append-only.  id has no gaps, so that a removed row shows; each hash covers the one before it.
CREATE TABLE retention.journal_event (
	id bigint PRIMARY KEY,
	at timestamptz NOT NULL,
	job int,
	kind text NOT NULL,
	actor text NOT NULL,
	details jsonb NOT NULL DEFAULT '{}',
	previous_hash bytea NOT NULL,
	hash bytea NOT NULL
);
CREATE INDEX ON retention.journal_event (job);

-- Canonical content: a jsonb array, so that no choice of values can imitate another row's text.
CREATE FUNCTION retention.event_hash(previous bytea, e retention.journal_event) RETURNS bytea
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT sha256(previous || convert_to(jsonb_build_array(
		e.id, to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
		e.job, e.kind, e.actor, e.details)::text, 'UTF8'))
$$;

CREATE FUNCTION retention.chain_event() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	last retention.journal_event;
BEGIN
	-- One chain: writers queue here until the transaction of the one before them has ended.
	-- Therefore batches write no event of their own, and who appends commits soon after.
	PERFORM pg_advisory_xact_lock(1380275200, 0);
	SELECT * INTO last FROM retention.journal_event ORDER BY id DESC LIMIT 1;
	NEW.id := coalesce(last.id, 0) + 1;
	NEW.at := clock_timestamp();
	NEW.actor := session_user;
	NEW.previous_hash := coalesce(last.hash, '\x');
	NEW.hash := retention.event_hash(NEW.previous_hash, NEW);
	RETURN NEW;
END
$$;
CREATE TRIGGER chain BEFORE INSERT ON retention.journal_event
	FOR EACH ROW EXECUTE FUNCTION retention.chain_event();

CREATE FUNCTION retention.refuse_change() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RAISE EXCEPTION '%.% is append-only: % is refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP
		USING ERRCODE = 'insufficient_privilege',
		      HINT = 'A wrong entry is corrected by a new one.';
END
$$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON retention.journal_event
	FOR EACH STATEMENT EXECUTE FUNCTION retention.refuse_change();
CREATE TRIGGER no_removal BEFORE DELETE OR TRUNCATE ON retention.archive_journal
	FOR EACH STATEMENT EXECUTE FUNCTION retention.refuse_change();

-- Every change of an action that matters is an event, whoever makes it and however.
CREATE FUNCTION retention.journal_change() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	noise constant text[] := ARRAY['waiting', 'claim'];
	row_now jsonb := to_jsonb(NEW) - noise;
BEGIN
	IF TG_OP = 'UPDATE' AND row_now = to_jsonb(OLD) - noise THEN
		RETURN NULL;
	END IF;
	INSERT INTO retention.journal_event (job, kind, details)
	VALUES (NEW.id,
		CASE WHEN TG_OP = 'INSERT' OR NEW.status <> OLD.status THEN NEW.status
		     WHEN OLD.frozen_at IS NULL AND NEW.frozen_at IS NOT NULL THEN 'listed'
		     WHEN OLD.archive_deleted_at IS NULL AND NEW.archive_deleted_at IS NOT NULL
		     THEN 'archive_deleted'
		     ELSE 'noted' END,
		jsonb_strip_nulls(row_now));
	RETURN NULL;
END
$$;
CREATE TRIGGER journal AFTER INSERT OR UPDATE ON retention.archive_journal
	FOR EACH ROW EXECUTE FUNCTION retention.journal_change();

-- Legal changes only, whoever makes them: saved -> validated -> running -> done or failed.
CREATE FUNCTION retention.check_change() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF TG_OP = 'INSERT' THEN
		IF NEW.status <> 'saved' THEN
			RAISE EXCEPTION 'an action begins as saved, not as %', NEW.status
				USING ERRCODE = 'check_violation';
		END IF;
		RETURN NEW;
	END IF;
	IF NEW.status <> OLD.status AND (OLD.status || '>' || NEW.status) NOT IN
	   ('saved>validated', 'saved>cancelled', 'saved>failed', 'validated>running',
	    'validated>failed', 'running>done', 'running>failed') THEN
		RAISE EXCEPTION 'action % is %: it cannot become %', OLD.id, OLD.status, NEW.status
			USING ERRCODE = 'check_violation';
	END IF;
	IF (NEW.id, NEW.action, NEW.mode, NEW.policy, NEW.occurrence, NEW.from_date, NEW.to_date,
	    NEW.depth, NEW.archive, NEW.requested_by, NEW.requested_at)
	   IS DISTINCT FROM
	   (OLD.id, OLD.action, OLD.mode, OLD.policy, OLD.occurrence, OLD.from_date, OLD.to_date,
	    OLD.depth, OLD.archive, OLD.requested_by, OLD.requested_at) THEN
		RAISE EXCEPTION 'action %: what was asked for cannot be changed', OLD.id
			USING ERRCODE = 'check_violation',
			      HINT = 'Cancel it and save a new one.';
	END IF;
	IF OLD.frozen_at IS NOT NULL AND
	   (NEW.cutoff, NEW.candidates, NEW.candidates_sha256, NEW.frozen_at) IS DISTINCT FROM
	   (OLD.cutoff, OLD.candidates, OLD.candidates_sha256, OLD.frozen_at) THEN
		RAISE EXCEPTION 'action %: its list of keys is frozen', OLD.id
			USING ERRCODE = 'check_violation';
	END IF;
	RETURN NEW;
END
$$;
CREATE TRIGGER legal BEFORE INSERT OR UPDATE ON retention.archive_journal
	FOR EACH ROW EXECUTE FUNCTION retention.check_change();

-- Committed lengths: what of a worker's file is true, and what it counted, as of its last commit.
-- A table that is not archived has a row too, with 0 bytes: its count.
CREATE TABLE retention.archive_file (
	job int NOT NULL REFERENCES retention.archive_journal,
	worker int NOT NULL,
	table_name text NOT NULL,
	bytes bigint NOT NULL DEFAULT 0,
	rows bigint NOT NULL DEFAULT 0,
	PRIMARY KEY (job, worker, table_name)
) WITH (fillfactor = 50);	-- updated by each batch: room for HOT

-- Keys that were erased; no personal data.
CREATE TABLE retention.ledger (
	job int NOT NULL REFERENCES retention.archive_journal,
	key text NOT NULL,
	erased_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (job, key)
);

-- The work list of a job that has not ended: keys leave it with the batch that treats them.
CREATE TABLE retention.candidate (
	job int NOT NULL REFERENCES retention.archive_journal,
	n bigint NOT NULL,
	key text NOT NULL,
	weight bigint NOT NULL,		-- the contact and its requests: what a batch is sized by
	PRIMARY KEY (job, n)
);

-- Legal holds (GDPR art. 17(3)(e), art. 18): what is held is due to nothing.
CREATE TABLE retention.hold (
	id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	contact_key text NOT NULL,
	reason text NOT NULL CHECK (btrim(reason) <> ''),
	placed_by text NOT NULL DEFAULT session_user,
	placed_at timestamptz NOT NULL DEFAULT now(),
	expires_at timestamptz,
	review_date date,
	released_by text,
	released_at timestamptz
);
CREATE UNIQUE INDEX hold_active ON retention.hold (contact_key) WHERE released_at IS NULL;

CREATE TABLE retention.policy_state (
	policy text PRIMARY KEY,
	schedule text NOT NULL,
	last_occurrence timestamptz NOT NULL,
	next_occurrence timestamptz,
	updated_at timestamptz NOT NULL DEFAULT now()
);

-- {number} of the column rules.
CREATE SEQUENCE retention.number;

-- What the administration page lists.
CREATE VIEW retention.archives AS
SELECT id, action AS type, coalesce(finished_at, started_at, requested_at) AS date, status, mode,
       policy, from_date, to_date, cutoff,
       CASE WHEN archive_deleted_at IS NULL THEN archive_path END AS file,
       archive_bytes AS bytes, counters, requested_by, validated_by, archive_deleted_at,
       archive_deleted_by, error, waiting
  FROM retention.archive_journal;

GRANT SELECT ON ALL TABLES IN SCHEMA retention
	TO retention_auditor, retention_operator, retention_approver, retention_daemon;
-- The work list names who is about to be erased: for the daemon, and for those who must approve it.
REVOKE SELECT ON retention.candidate FROM retention_auditor;
GRANT INSERT, UPDATE ON retention.setting, retention.policy_state, retention.archive_file
	TO retention_daemon;
GRANT INSERT ON retention.archive_journal, retention.journal_event, retention.ledger
	TO retention_daemon;
GRANT UPDATE (status, cutoff, candidates, candidates_sha256, frozen_at, validated_by, validated_at,
	      started_at, finished_at, counters, archive_path, archive_bytes, error, waiting,
	      archive_deleted_at, archive_deleted_by, host, system_identifier, claim)
	ON retention.archive_journal TO retention_daemon;
GRANT INSERT, DELETE ON retention.candidate TO retention_daemon;
GRANT USAGE ON SEQUENCE retention.number TO retention_daemon;
