-- The journal: archive_journal has a row for each action, journal_event a row for each event.  The events
-- are chained by hashes.

CREATE TABLE retention.setting (
	name text PRIMARY KEY,
	value text NOT NULL
);
COMMENT ON TABLE retention.setting IS
	'written by the daemon from its configuration: timezone, four_eyes, contact_key_type';

-- The administration page and an auditor read these columns.
CREATE TABLE retention.archive_journal (
	-- int, not bigint: the number is one half of the advisory lock that fences a job.
	id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	action text NOT NULL CHECK (action IN
		('export', 'delete_contacts', 'anonymize_contacts', 'anonymize_requests')),
	mode text NOT NULL CHECK (mode IN ('manual', 'automatic')),
	status text NOT NULL CHECK (status IN
		('saved', 'validated', 'running', 'done', 'failed', 'cancelled')),
	policy text,
	occurrence timestamptz,
	-- A job whose tables change under it ends there.  The rest of the occurrence is a new action, the next part.
	part int NOT NULL DEFAULT 1 CHECK (part = 1 OR policy IS NOT NULL),
	from_date date,
	to_date date,
	depth interval,
	cutoff timestamptz,
	archive text NOT NULL CHECK (archive IN ('none', 'listed', 'full')),
	requested_by text NOT NULL DEFAULT session_user,
	requested_at timestamptz NOT NULL DEFAULT now(),
	-- The list of keys that was frozen when the action was saved.  An approver validates this list.
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
	-- Each process that takes the job over raises it.  A batch under an older claim does not commit.
	claim int NOT NULL DEFAULT 0,
	-- The key of the contact that asked for its own erasure.
	subject text,
	-- true: erases again what the ledger's file knows and the database has forgotten.  Otherwise NULL and
	-- never false: an event drops NULL columns, so the events of other actions do not mention it.
	replay boolean CHECK (replay),
	archive_removed_at timestamptz,
	archive_remark text,
	restored_at timestamptz,
	restored_by text,
	-- An action is about a policy's occurrence, an interval, one contact, or a replay.
	CONSTRAINT archive_journal_about CHECK (
		CASE WHEN replay THEN
			num_nulls(policy, occurrence, depth, from_date, to_date, subject) = 6
		     WHEN subject IS NOT NULL THEN mode = 'manual'
			AND num_nulls(policy, occurrence, depth, from_date, to_date) = 5
		     WHEN mode = 'manual' THEN
			num_nulls(policy, occurrence, depth) = 3 AND num_nulls(from_date, to_date) = 0
		     ELSE num_nulls(policy, occurrence, depth) = 0 AND num_nulls(from_date, to_date) = 2
		END),
	CONSTRAINT archive_journal_anonymize CHECK (action NOT LIKE 'anonymize%' OR archive = 'none'),
	CONSTRAINT archive_journal_export CHECK (action <> 'export' OR archive <> 'none'),
	UNIQUE (policy, occurrence, part)
);
CREATE INDEX ON retention.archive_journal (status) WHERE status IN ('saved', 'validated', 'running');
COMMENT ON COLUMN retention.archive_journal.waiting IS
	'what a job waits for right now: a lock, room on the disk, the window; NULL: nothing';
COMMENT ON COLUMN retention.archive_journal.archive_deleted_by IS
	'a role, or "expiry": archives.keep has passed';
COMMENT ON COLUMN retention.archive_journal.archive_removed_at IS
	'since when the daemon has removed the files of a deleted archive; NULL: they may still be there';
COMMENT ON COLUMN retention.archive_journal.archive_remark IS
	'what stands in the way of removing the files of a deleted archive';

-- Append-only.  id has no gaps, so that a removed row shows.  Each hash covers the hash before it.
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

-- Hashes the content as a jsonb array, so that no choice of values can produce another row's text.
CREATE FUNCTION retention.event_hash(previous bytea, e retention.journal_event) RETURNS bytea
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT sha256(previous || convert_to(jsonb_build_array(
		e.id, to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
		e.job, e.kind, e.actor, e.details)::text, 'UTF8'))
$$;

-- Chains a new event to the newest one.  The chain keeps the order of its times even when the clock was
-- set back: a row that is dated before its predecessor is therefore always a forgery, and the daemon, which
-- stops while the clock is behind the newest event, stays stopped.  The details keep what the clock said.
CREATE FUNCTION retention.chain_event() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	last retention.journal_event;
BEGIN
	-- There is one chain: a writer waits here until the transaction of the writer before it has ended.
	-- So batches write no events, and a transaction that appends one commits soon after.
	PERFORM pg_advisory_xact_lock(1380275200, 0);	-- LOCK_RETENTION, LOCK_CHAIN
	SELECT * INTO last FROM retention.journal_event ORDER BY id DESC LIMIT 1;
	NEW.id := coalesce(last.id, 0) + 1;
	NEW.at := clock_timestamp();
	IF NEW.at < last.at THEN
		NEW.details := NEW.details || jsonb_build_object('clock', NEW.at);
		NEW.at := last.at;
	END IF;
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
		USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'retention.append_only',
		      DETAIL = concat_ws(E'\n', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP),
		      HINT = 'A wrong entry is corrected by a new one.';
END
$$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON retention.journal_event
	FOR EACH STATEMENT EXECUTE FUNCTION retention.refuse_change();
CREATE TRIGGER no_removal BEFORE DELETE OR TRUNCATE ON retention.archive_journal
	FOR EACH STATEMENT EXECUTE FUNCTION retention.refuse_change();

-- Writes an event for every change of an action that matters, whichever way it was made.  An action that has
-- ended is not paused.
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
		     WHEN OLD.archive_removed_at IS NULL AND NEW.archive_removed_at IS NOT NULL
		     THEN 'archive_removed'
		     WHEN OLD.restored_at IS NULL AND NEW.restored_at IS NOT NULL THEN 'restored'
		     ELSE 'noted' END,
		jsonb_strip_nulls(row_now));
	IF NEW.status IN ('done', 'failed', 'cancelled') THEN
		DELETE FROM retention.pause WHERE pause.job = NEW.id;
	END IF;
	RETURN NULL;
END
$$;
CREATE TRIGGER journal AFTER INSERT OR UPDATE ON retention.archive_journal
	FOR EACH ROW EXECUTE FUNCTION retention.journal_change();

-- Allows legal changes only, whichever way they are made: saved, validated, running, then done or failed.
CREATE FUNCTION retention.check_change() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF TG_OP = 'INSERT' THEN
		IF NEW.status <> 'saved' THEN
			RAISE EXCEPTION 'an action begins as saved, not as %', NEW.status
				USING ERRCODE = 'check_violation', CONSTRAINT = 'retention.begins_saved',
				      COLUMN = 'status',
				      DETAIL = NEW.status;
		END IF;
		RETURN NEW;
	END IF;
	IF NEW.status <> OLD.status AND (OLD.status || '>' || NEW.status) NOT IN
	   ('saved>validated', 'saved>cancelled', 'saved>failed', 'validated>running',
	    'validated>failed', 'running>done', 'running>failed') THEN
		RAISE EXCEPTION 'action % is %: it cannot become %', OLD.id, OLD.status, NEW.status
			USING ERRCODE = 'check_violation', CONSTRAINT = 'retention.status_change',
			      COLUMN = 'status',
			      DETAIL = concat_ws(E'\n', OLD.id, OLD.status, NEW.status);
	END IF;
	IF (NEW.id, NEW.action, NEW.mode, NEW.policy, NEW.occurrence, NEW.part, NEW.from_date, NEW.to_date,
	    NEW.depth, NEW.archive, NEW.requested_by, NEW.requested_at, NEW.subject, NEW.replay)
	   IS DISTINCT FROM
	   (OLD.id, OLD.action, OLD.mode, OLD.policy, OLD.occurrence, OLD.part, OLD.from_date, OLD.to_date,
	    OLD.depth, OLD.archive, OLD.requested_by, OLD.requested_at, OLD.subject, OLD.replay) THEN
		RAISE EXCEPTION 'action %: what was asked for cannot be changed', OLD.id
			USING ERRCODE = 'check_violation', CONSTRAINT = 'retention.request_fixed',
			      DETAIL = OLD.id,
			      HINT = 'Cancel it and save a new one.';
	END IF;
	IF OLD.frozen_at IS NOT NULL AND
	   (NEW.cutoff, NEW.candidates, NEW.candidates_sha256, NEW.frozen_at) IS DISTINCT FROM
	   (OLD.cutoff, OLD.candidates, OLD.candidates_sha256, OLD.frozen_at) THEN
		RAISE EXCEPTION 'action %: its list of keys is frozen', OLD.id
			USING ERRCODE = 'check_violation', CONSTRAINT = 'retention.list_frozen',
			      DETAIL = OLD.id;
	END IF;
	RETURN NEW;
END
$$;
CREATE TRIGGER legal BEFORE INSERT OR UPDATE ON retention.archive_journal
	FOR EACH ROW EXECUTE FUNCTION retention.check_change();

-- An archive is deleted in two steps: deleted (nobody may use it) and removed (its files are gone).  Only the
-- archive of an action that has ended is deleted, neither step is taken back, and the first comes first.
CREATE FUNCTION retention.check_archive_change() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF OLD.archive_deleted_at IS NOT NULL AND
	   (NEW.archive_deleted_at, NEW.archive_deleted_by, NEW.archive_path) IS DISTINCT FROM
	   (OLD.archive_deleted_at, OLD.archive_deleted_by, OLD.archive_path) THEN
		RAISE EXCEPTION 'the archive of action % is deleted: that cannot be taken back', OLD.id
			USING ERRCODE = 'check_violation', CONSTRAINT = 'retention.archive_deletion_final',
			      DETAIL = OLD.id;
	END IF;
	IF NEW.archive_deleted_at IS NOT NULL AND NEW.status NOT IN ('done', 'failed') THEN
		RAISE EXCEPTION 'action % is %: its archive cannot be deleted', OLD.id, NEW.status
			USING ERRCODE = 'check_violation', CONSTRAINT = 'retention.archive_not_ended',
			      DETAIL = concat_ws(E'\n', OLD.id, NEW.status);
	END IF;
	IF NEW.archive_removed_at IS NOT NULL AND NEW.archive_deleted_at IS NULL THEN
		RAISE EXCEPTION 'the archive of action % is not deleted: its files stay', OLD.id
			USING ERRCODE = 'check_violation', CONSTRAINT = 'retention.archive_not_deleted',
			      DETAIL = OLD.id;
	END IF;
	IF OLD.archive_removed_at IS NOT NULL AND
	   NEW.archive_removed_at IS DISTINCT FROM OLD.archive_removed_at THEN
		RAISE EXCEPTION 'the files of action % are gone: that cannot be taken back', OLD.id
			USING ERRCODE = 'check_violation', CONSTRAINT = 'retention.archive_removal_final',
			      DETAIL = OLD.id;
	END IF;
	RETURN NEW;
END
$$;
CREATE TRIGGER legal_archive BEFORE UPDATE ON retention.archive_journal
	FOR EACH ROW EXECUTE FUNCTION retention.check_archive_change();
