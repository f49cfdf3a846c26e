-- The journal: archive_journal has a row for each action, journal_event a row for each event.  The events
-- are chained by hashes.

CREATE TABLE retention.setting (
	name text PRIMARY KEY,
	value text NOT NULL
);
COMMENT ON TABLE retention.setting IS
	'written by the daemon from its configuration: timezone, four_eyes, contact_key_type, archives_keep, backups_keep, page_policies';

-- The sessions in which functions of the CRM's owner may run, each with its action.  A trigger runs in a session that
-- erases or restores, and an IMMUTABLE function of a constant that stands in an index runs in one that reads a table.
-- They have all rights of the session's role.  So a session enters itself here before it touches the CRM's tables.
-- From then to its end it changes nothing of this schema but what its own batches change, and calls none of the
-- functions for people.  It cannot take the entry back.
CREATE FUNCTION retention.session_start() RETURNS timestamptz
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT a.backend_start FROM pg_stat_get_activity(pg_backend_pid()) AS a
$$;
CREATE UNLOGGED TABLE retention.erasing (
	pid int NOT NULL DEFAULT pg_backend_pid(),
	-- Tells the session from an earlier one that had the same pid.
	started timestamptz NOT NULL DEFAULT retention.session_start(),
	-- Negative: the session lists the subjects of that action, and changes nothing else.
	job int NOT NULL,
	-- NULL: it has no file of the action's archive.
	worker int,
	PRIMARY KEY (pid, started)
);

-- Removes the entries of sessions that have ended.
CREATE FUNCTION retention.forget_ended_sessions() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	DELETE FROM retention.erasing AS e
	 WHERE NOT EXISTS (SELECT FROM pg_stat_get_activity(NULL) AS a WHERE a.pid = e.pid);
	RETURN NULL;
END
$$;
CREATE TRIGGER forget_ended AFTER INSERT ON retention.erasing
	FOR EACH STATEMENT EXECUTE FUNCTION retention.forget_ended_sessions();

-- Returns the action that this session erases for; NULL: it does not erase.  After SET ROLE the start of the session
-- cannot be read.  A session that erases gets 0 then, the number of no action, so that it may change nothing.
CREATE FUNCTION retention.erasing_job() RETURNS int
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT min(CASE WHEN s.started IS NULL THEN 0 ELSE e.job END)
	  FROM retention.erasing AS e, retention.session_start() AS s(started)
	 WHERE e.pid = pg_backend_pid() AND (s.started IS NULL OR e.started = s.started)
$$;

-- Tells whether the caller is a function of this schema (or its owner), and not the daemon's role itself.
CREATE FUNCTION retention.is_owner() RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT pg_get_userbyid(c.relowner) = current_user FROM pg_class AS c
	 WHERE c.oid = 'retention.setting'::regclass
$$;

-- Refuses a person's act in a session in which functions of the CRM's owner may run, because it may be theirs; restores:
-- the action that this session restores.  Refuses it under SET ROLE, too, where that role may do something else than the
-- role that logged in.  Acts are recorded under the role that logged in, so that a service that sets roles would save
-- and validate as one person.
CREATE FUNCTION retention.check_person(restores int DEFAULT NULL) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	acting text := current_setting('role');
BEGIN
	IF EXISTS (SELECT FROM retention.erasing AS e, retention.session_start() AS s(started)
		    WHERE e.pid = pg_backend_pid() AND (s.started IS NULL OR e.started = s.started) AND
			  e.job IS DISTINCT FROM restores) THEN
		RAISE EXCEPTION 'this session works on tables of the database, whose functions may not act for %', session_user
			USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'retention.person_hijacked',
			      DETAIL = session_user,
			      HINT = 'A trigger of these tables has tried it.';
	END IF;
	IF acting NOT IN ('none', session_user) AND
	   EXISTS (SELECT FROM unnest(ARRAY['retention_auditor', 'retention_operator', 'retention_approver',
					    'retention_daemon']::name[]) AS g
		    WHERE pg_has_role(acting, g, 'MEMBER') <> pg_has_role(session_user, g, 'MEMBER')) THEN
		RAISE EXCEPTION 'this session acts as %, and % has logged in, which has other rights', acting, session_user
			USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'retention.person_differs',
			      DETAIL = concat_ws(E'\n', acting, session_user),
			      HINT = 'The journal records the role that logged in: connect as the person, without SET ROLE.';
	END IF;
END
$$;

-- Refuses an act without a reason, where the journal keeps the reason.
CREATE FUNCTION retention.check_reason(reason text) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF coalesce(btrim(reason), '') = '' THEN
		RAISE EXCEPTION 'the reason is missing'
			USING ERRCODE = 'invalid_parameter_value', CONSTRAINT = 'retention.act_reason_missing',
			      COLUMN = 'reason',
			      HINT = 'The journal keeps it for ever: name the case, and no person.';
	END IF;
END
$$;

-- Returns a note as it is kept: without blanks around it, NULL if it is empty.  Refuses one that is too long.
CREATE FUNCTION retention.checked_note(note text) RETURNS text
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	note := nullif(btrim(note, E' \t\n\r'), '');
	IF length(note) > 200 THEN
		RAISE EXCEPTION 'the note has % characters, and 200 are allowed', length(note)
			USING ERRCODE = 'invalid_parameter_value', CONSTRAINT = 'retention.note_too_long',
			      COLUMN = 'note',
			      DETAIL = length(note),
			      HINT = 'The journal keeps it for ever: name the case, and no person.';
	END IF;
	RETURN note;
END
$$;

-- Refuses a change in a session that erases: the whole statement, or rows of other actions.
CREATE FUNCTION retention.refuse_erasing() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	mine int := retention.erasing_job();
	others boolean := true;
BEGIN
	IF mine IS NULL OR retention.is_owner() THEN
		RETURN NULL;
	END IF;
	IF TG_ARGV[0] = 'others' THEN
		SELECT EXISTS (SELECT FROM changed AS c WHERE c.job <> mine) INTO others;
	ELSIF TG_ARGV[0] = 'list' THEN
		SELECT EXISTS (SELECT FROM changed AS c WHERE c.job <> abs(mine)) INTO others;
	ELSIF TG_ARGV[0] = 'listed' THEN
		SELECT EXISTS (SELECT FROM changed AS c WHERE c.job <> -mine) INTO others;
	ELSIF TG_ARGV[0] = 'erased' THEN
		-- That an archive has brought a key back says record_restore() alone.
		SELECT EXISTS (SELECT FROM changed AS c WHERE c.job <> mine OR c.action = 'restored') INTO others;
	ELSIF TG_ARGV[0] = 'files' THEN
		SELECT EXISTS (SELECT FROM changed AS c WHERE c.job <> mine OR NOT EXISTS (
			SELECT FROM retention.erasing AS e WHERE e.pid = pg_backend_pid() AND e.worker = c.worker)) INTO others;
	END IF;
	IF others THEN
		RAISE EXCEPTION 'this session erases for action %: % of %.% is refused', mine, TG_OP,
				TG_TABLE_SCHEMA, TG_TABLE_NAME
			USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'retention.session_erases',
			      DETAIL = concat_ws(E'\n', mine, TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME),
			      HINT = 'A trigger of the erased tables has tried it.';
	END IF;
	RETURN NULL;
END
$$;
CREATE TRIGGER not_while_erasing BEFORE INSERT OR UPDATE OR DELETE ON retention.setting
	FOR EACH STATEMENT EXECUTE FUNCTION retention.refuse_erasing();

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

-- Each configuration that was accepted, or under which a job has worked, once.  content is the canonical file in UTF-8, as
-- retentiond -t -v prints it: with the model, without includes, and without a password, because none is accepted.  The
-- bytes stay as they are whatever the database's encoding is, so that sha256sum agrees.
CREATE TABLE retention.configuration (
	sha256 text PRIMARY KEY,
	content bytea NOT NULL,
	kept_by text NOT NULL DEFAULT session_user,
	kept_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON retention.configuration
	FOR EACH STATEMENT EXECUTE FUNCTION retention.refuse_change();

-- The administration page and an auditor read these columns.
CREATE TABLE retention.archive_journal (
	id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	action text NOT NULL CHECK (action IN
		('export', 'delete_contacts', 'anonymize_contacts', 'anonymize_requests')),
	mode text NOT NULL CHECK (mode IN ('manual', 'automatic')),
	status text NOT NULL CHECK (status IN
		('saved', 'validated', 'running', 'done', 'failed', 'cancelled')),
	policy text,
	-- The version of a policy that was made on the page.  NULL: the policy is the configuration's.
	policy_version int CHECK (policy_version IS NULL OR policy IS NOT NULL),
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
	waiting_for text,
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
	-- The action whose erasures a replay does again.  There is no foreign key: the database may have forgotten it.
	replay_of int CHECK (replay),
	archive_removed_at timestamptz,
	archive_remark text,
	restored_at timestamptz,
	restored_by text,
	-- Why it was asked for, and why its archive was deleted, in the words of the person who did it.
	note text CHECK (length(note) <= 200),
	archive_deleted_note text CHECK (length(archive_deleted_note) <= 200),
	-- Count of the subjects that holds kept off the frozen list, and what it would touch, where a person was asked to validate it.
	preview jsonb CHECK (preview IS NULL OR frozen_at IS NOT NULL),
	-- Under which the last job has worked on it.  The events have the earlier ones.
	configuration text REFERENCES retention.configuration,
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
-- The actions that one contact has asked for.
CREATE INDEX ON retention.archive_journal (subject) WHERE subject IS NOT NULL;
COMMENT ON COLUMN retention.archive_journal.preview IS
	'{held, oldest, newest, tables: [{table, what, rows}]}: counts and dates, and no key; null: not counted; only held where nobody is asked';
COMMENT ON COLUMN retention.archive_journal.waiting IS
	'what a job waits for right now: a lock, room on the disk, the window; NULL: nothing';
COMMENT ON COLUMN retention.archive_journal.waiting_for IS
	'the same in one word for programs: window, paused, standby, slot, archiver, snapshot, rows_per_second, courtesy, locks, other';
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
-- The daemon compares with the last of them at each check.
CREATE INDEX ON retention.journal_event (id) WHERE kind = 'configuration';

-- The locks of this schema are locks on its tables and rows (database/locks.h), because any role that can connect can
-- take any advisory lock.  Nobody but the owner and the daemon has a right to these tables.
--
-- A transaction that appends to the chain of events has chain_lock to its end.
CREATE TABLE retention.chain_lock ();
ALTER TABLE retention.chain_lock REPLICA IDENTITY FULL;
-- Batches share hold_lock, and a change of a hold excludes them.
CREATE TABLE retention.hold_lock ();
ALTER TABLE retention.hold_lock REPLICA IDENTITY FULL;
-- A row for each worker of an action.  A batch locks the row of its worker to its end, so that the next claim of the
-- action can wait for the batches of the last one.
CREATE TABLE retention.batch_lock (
	job int NOT NULL,
	worker int NOT NULL,
	PRIMARY KEY (job, worker)
);
-- The session that works on an action, or on its archive.  It is a session's entry and no lock, because a lock on a row
-- would need a transaction as long as the job.  The entry ends with its session.
CREATE UNLOGGED TABLE retention.claimed (
	job int PRIMARY KEY,
	pid int NOT NULL,
	started timestamptz NOT NULL
);

-- Names a session for a person.
CREATE FUNCTION retention.session_name(process int) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT format('%s (%s)', a.usename, concat_ws(', ', 'process ' || a.pid, nullif(a.application_name, ''), a.state))
	  FROM pg_stat_activity AS a WHERE a.pid = process
$$;

-- Names the sessions that have locks on a table of this schema: those that exclude others, or else all that change or
-- lock rows.
CREATE FUNCTION retention.lock_holders(held text) RETURNS text
LANGUAGE sql STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(string_agg(DISTINCT retention.session_name(x.pid), ', '), 'a session that has ended')
	  FROM (SELECT l.pid, l.mode ~ '^Row', bool_and(l.mode ~ '^Row') OVER ()
		  FROM pg_locks AS l
		 WHERE l.locktype = 'relation' AND l.relation = ('retention.' || held)::regclass
		   AND l.granted AND l.pid <> pg_backend_pid()
		   AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
		   AND l.mode <> 'AccessShareLock') AS x(pid, weak, all_weak)
	 WHERE x.weak = x.all_weak
$$;

-- Locks a table of this schema against all others until the transaction ends.  A session that would wait for ever
-- waits 10 seconds.
CREATE FUNCTION retention.take_lock(wanted text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	patience text := current_setting('lock_timeout');
	holders text;
BEGIN
	IF patience = '0' THEN
		PERFORM set_config('lock_timeout', '10s', true);
	END IF;
	EXECUTE format('LOCK TABLE retention.%I IN EXCLUSIVE MODE', wanted);
	PERFORM set_config('lock_timeout', patience, true);
EXCEPTION WHEN lock_not_available THEN
	holders := retention.lock_holders(wanted);
	RAISE EXCEPTION 'the lock % is held by %', 'retention.' || wanted, holders
		USING ERRCODE = 'lock_not_available', CONSTRAINT = 'retention.lock_held',
		      DETAIL = concat_ws(E'\n', 'retention.' || wanted, holders),
		      HINT = 'Try again when that transaction has ended; SELECT pg_terminate_backend(PROCESS) ends a session that has forgotten it.';
END
$$;

-- Takes an action, or its archive, for this session, unless another session that still lives has it.  Where the start of
-- that session cannot be read, its role decides: the number of a process is given again.  started is
-- retention.session_start() of the caller, because this function's owner may not read it.
CREATE FUNCTION retention.claim_action(id int, started timestamptz) RETURNS boolean
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	old retention.claimed;
BEGIN
	IF retention.erasing_job() IS NOT NULL THEN
		RETURN false;
	END IF;
	INSERT INTO retention.claimed (job, pid, started) VALUES (id, pg_backend_pid(), claim_action.started)
	    ON CONFLICT DO NOTHING;
	IF FOUND THEN
		RETURN true;
	END IF;
	SELECT * INTO old FROM retention.claimed AS c WHERE c.job = id FOR UPDATE;
	PERFORM pg_stat_clear_snapshot();	-- else a session that has come meanwhile would not be seen
	IF (old.pid, old.started) <> (pg_backend_pid(), claim_action.started) AND EXISTS (
		SELECT FROM pg_stat_get_activity(old.pid) AS a, pg_database AS d
		 WHERE d.datname = current_database() AND a.datid = d.oid AND
		       (a.backend_start = old.started OR
			(a.backend_start IS NULL AND
			 (pg_has_role(a.usesysid, 'retention_daemon', 'MEMBER') OR
			  pg_has_role(a.usesysid, 'retention_approver', 'MEMBER'))))) THEN
		RETURN false;
	END IF;
	UPDATE retention.claimed AS c SET pid = pg_backend_pid(), started = claim_action.started WHERE c.job = id;
	RETURN true;
END
$$;

-- Hashes the content as a jsonb array, so that no choice of values can produce another row's text.
CREATE FUNCTION retention.event_hash(previous bytea, e retention.journal_event) RETURNS bytea
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT sha256(previous || convert_to(jsonb_build_array(
		e.id, to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
		e.job, e.kind, e.actor, e.details)::text,
		-- In such a database a text need not be UTF-8.
		CASE getdatabaseencoding() WHEN 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END))
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
	PERFORM retention.take_lock('chain_lock');
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

-- The events of what people do, and of an action's row, are written by the functions of this schema alone.  A session
-- that erases tells only what became of its own action's subjects.
CREATE FUNCTION retention.check_event() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	mine int := retention.erasing_job();
BEGIN
	IF retention.is_owner() THEN
		RETURN NEW;
	END IF;
	IF NEW.kind ~ '^(hold|unknown|policy)_' OR NEW.kind IN
	   ('saved', 'validated', 'running', 'done', 'failed', 'cancelled', 'listed', 'noted', 'archive_deleted',
	    'archive_removed', 'restored', 'paused', 'resumed', 'configured', 'configuration', 'subject_exported', 'adopted', 'rebound',
	    'replay_waived', 'asked', 'answered', 'archive_download',
	    'verified', 'residue') OR
	   NEW.details ? 'requested_by' OR	-- by which verify knows the events of an action's row
	   (mine IS NOT NULL AND (mine IS DISTINCT FROM NEW.job OR
				  NEW.kind NOT IN ('failed_key', 'dropped', 'sliced', 'copied'))) THEN
		RAISE EXCEPTION 'the role % may not write the event "%" here', current_user, NEW.kind
			USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'retention.event_forbidden',
			      DETAIL = concat_ws(E'\n', current_user, NEW.kind);
	END IF;
	RETURN NEW;
END
$$;
CREATE TRIGGER legal BEFORE INSERT ON retention.journal_event
	FOR EACH ROW EXECUTE FUNCTION retention.check_event();

-- Writes an event for every change of a setting, because what may be validated and deleted depends on it.
CREATE FUNCTION retention.journal_setting() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	INSERT INTO retention.journal_event (kind, details)
	VALUES ('configured', jsonb_build_object('setting', NEW.name, 'value', NEW.value));
	RETURN NULL;
END
$$;
CREATE TRIGGER journal AFTER INSERT OR UPDATE ON retention.setting
	FOR EACH ROW EXECUTE FUNCTION retention.journal_setting();

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
	noise constant text[] := ARRAY['waiting', 'waiting_for', 'claim'];
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

-- Refuses what the daemon's role has no business to change, although it has the right to change the columns.  It
-- validates in the name of a policy, or a replay in the name of the role that began it.  It starts what was
-- validated, and cancels nothing.  It ends an action now, because the time that archives.keep gives an archive counts
-- from there.  When an action has ended, only the end of its archive is still to be told.
CREATE FUNCTION retention.check_change_of_daemon(old retention.archive_journal, new retention.archive_journal)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	step text := CASE WHEN old.status <> new.status THEN old.status || '>' || new.status ELSE '' END;
	later constant text[] := ARRAY['waiting', 'waiting_for', 'claim', 'archive_deleted_at', 'archive_deleted_by',
				       'archive_removed_at', 'archive_remark'];
BEGIN
	IF (CASE WHEN old.status IN ('done', 'failed', 'cancelled')
		THEN to_jsonb(old) - later <> to_jsonb(new) - later
		 WHEN step IN ('saved>cancelled', 'validated>cancelled') THEN true
		 WHEN step = 'saved>validated'
		 THEN (new.validated_by = CASE WHEN new.replay THEN new.requested_by
					       WHEN new.mode = 'automatic' THEN 'policy ' || new.policy END) IS NOT TRUE
		 ELSE (old.validated_by, old.validated_at) IS DISTINCT FROM (new.validated_by, new.validated_at)
	    END) OR
	   (old.finished_at IS DISTINCT FROM new.finished_at AND
	    (new.finished_at BETWEEN least(old.requested_at, now(), clock_timestamp())
				 AND greatest(now(), clock_timestamp())) IS NOT TRUE) OR
	   (step <> 'validated>running' AND
	    (old.archive_path, old.started_at, old.system_identifier) IS DISTINCT FROM
	    (new.archive_path, new.started_at, new.system_identifier)) OR
	   ((old.archive_deleted_at, old.archive_deleted_by) IS DISTINCT FROM
	    (new.archive_deleted_at, new.archive_deleted_by) AND new.archive_deleted_by IS DISTINCT FROM 'expiry') THEN
		RAISE EXCEPTION 'action % is %: the role % may not make this change', old.id, old.status, current_user
			USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'retention.change_forbidden',
			      DETAIL = concat_ws(E'\n', old.id, old.status, current_user),
			      HINT = 'People make it by the functions of the schema retention.';
	END IF;
END
$$;

-- Allows legal changes only, whichever way they are made: saved, validated, running, then done or failed.  What has
-- not begun can be cancelled.
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
	   ('saved>validated', 'saved>cancelled', 'saved>failed', 'validated>running', 'validated>cancelled',
	    'validated>failed', 'running>done', 'running>failed') THEN
		RAISE EXCEPTION 'action % is %: it cannot become %', OLD.id, OLD.status, NEW.status
			USING ERRCODE = 'check_violation', CONSTRAINT = 'retention.status_change',
			      COLUMN = 'status',
			      DETAIL = concat_ws(E'\n', OLD.id, OLD.status, NEW.status);
	END IF;
	IF NOT retention.is_owner() THEN
		PERFORM retention.check_change_of_daemon(OLD, NEW);
	END IF;
	IF (NEW.id, NEW.action, NEW.mode, NEW.policy, NEW.policy_version, NEW.occurrence, NEW.part, NEW.from_date, NEW.to_date,
	    NEW.depth, NEW.archive, NEW.requested_by, NEW.requested_at, NEW.subject, NEW.replay, NEW.replay_of, NEW.note)
	   IS DISTINCT FROM
	   (OLD.id, OLD.action, OLD.mode, OLD.policy, OLD.policy_version, OLD.occurrence, OLD.part, OLD.from_date, OLD.to_date,
	    OLD.depth, OLD.archive, OLD.requested_by, OLD.requested_at, OLD.subject, OLD.replay, OLD.replay_of, OLD.note) THEN
		RAISE EXCEPTION 'action %: what was asked for cannot be changed', OLD.id
			USING ERRCODE = 'check_violation', CONSTRAINT = 'retention.request_fixed',
			      DETAIL = OLD.id,
			      HINT = 'Cancel it and save a new one.';
	END IF;
	IF OLD.frozen_at IS NOT NULL AND
	   (NEW.cutoff, NEW.candidates, NEW.candidates_sha256, NEW.frozen_at, NEW.preview) IS DISTINCT FROM
	   (OLD.cutoff, OLD.candidates, OLD.candidates_sha256, OLD.frozen_at, OLD.preview) THEN
		RAISE EXCEPTION 'action %: its list of keys is frozen', OLD.id
			USING ERRCODE = 'check_violation', CONSTRAINT = 'retention.list_frozen',
			      DETAIL = OLD.id;
	END IF;
	RETURN NEW;
END
$$;
CREATE TRIGGER legal BEFORE INSERT OR UPDATE ON retention.archive_journal
	FOR EACH ROW EXECUTE FUNCTION retention.check_change();
CREATE TRIGGER not_while_erasing BEFORE INSERT OR UPDATE ON retention.archive_journal
	FOR EACH STATEMENT EXECUTE FUNCTION retention.refuse_erasing();

-- An archive is deleted in two steps: deleted (nobody may use it) and removed (its files are gone).  Only the
-- archive of an action that has ended is deleted, neither step is taken back, and the first comes first.  It expires
-- after archives.keep, as the daemon has stored it.
CREATE FUNCTION retention.check_archive_change() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF OLD.archive_deleted_at IS NOT NULL AND
	   (NEW.archive_deleted_at, NEW.archive_deleted_by, NEW.archive_deleted_note, NEW.archive_path) IS DISTINCT FROM
	   (OLD.archive_deleted_at, OLD.archive_deleted_by, OLD.archive_deleted_note, OLD.archive_path) THEN
		RAISE EXCEPTION 'the archive of action % is deleted: that cannot be taken back', OLD.id
			USING ERRCODE = 'check_violation', CONSTRAINT = 'retention.archive_deletion_final',
			      DETAIL = OLD.id;
	END IF;
	IF NEW.archive_deleted_at IS NOT NULL AND NEW.status NOT IN ('done', 'failed') THEN
		RAISE EXCEPTION 'action % is %: its archive cannot be deleted', OLD.id, NEW.status
			USING ERRCODE = 'check_violation', CONSTRAINT = 'retention.archive_not_ended',
			      DETAIL = concat_ws(E'\n', OLD.id, NEW.status);
	END IF;
	IF NEW.archive_deleted_by = 'expiry' AND OLD.archive_deleted_by IS NULL AND
	   (retention.kept_until(NEW.finished_at,
				 (SELECT nullif(s.value, '')::interval FROM retention.setting AS s
				   WHERE s.name = 'archives_keep')) <= now()) IS NOT TRUE THEN
		RAISE EXCEPTION 'the archive of action % has not expired', OLD.id
			USING ERRCODE = 'check_violation', CONSTRAINT = 'retention.archive_not_expired',
			      DETAIL = OLD.id;
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
