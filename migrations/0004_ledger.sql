-- The ledger of erased keys, and the replay of erasures that a restored backup has undone.

-- Keys that were erased; no personal data.  Each row is also a line of the ledger's file beside the archives.
-- There is no foreign key: after a restored backup the ledger holds lines of actions that the journal has
-- forgotten.  There is no unique key: a restored archive adds lines for the same keys.
CREATE TABLE retention.ledger (
	job int NOT NULL,
	key text NOT NULL,
	erased_at timestamptz NOT NULL DEFAULT now(),
	action text NOT NULL CHECK (action IN
		('delete_contacts', 'anonymize_contacts', 'anonymize_requests', 'restored')),
	archive text NOT NULL DEFAULT 'none' CHECK (archive IN ('none', 'listed', 'full'))
);
CREATE INDEX ledger_line ON retention.ledger (job, key);
ALTER TABLE retention.ledger REPLICA IDENTITY FULL;
COMMENT ON COLUMN retention.ledger.action IS
	'what was done to the key; restored: an archive has brought it back';
COMMENT ON COLUMN retention.ledger.archive IS
	'the archive mode of the action: a replay of the erasure archives as it did';

-- The digest of an action's lines, which its last event keeps, so that verify finds another line.  Of lines that are older than
-- the action none is its own: a restored backup has forgotten another action of that number.  Each batch has a digest, so that
-- no text grows with the ledger.  A dump in another encoding or collation has the same digest.
CREATE FUNCTION retention.ledger_digest(job int, since timestamptz) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT encode(sha256(coalesce(string_agg(batch.digest, '\x'::bytea
			ORDER BY batch.erased_at, batch.action COLLATE "C", batch.archive COLLATE "C"), '\x')), 'hex')
	  FROM (SELECT l.erased_at, l.action, l.archive, sha256(timestamptz_send(l.erased_at) || convert_to(
			concat_ws(E'\t', l.action, l.archive,
				  string_agg(length(l.key) || ':' || l.key, '' ORDER BY l.key COLLATE "C")),
			CASE getdatabaseencoding() WHEN 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END)) AS digest
		  FROM retention.ledger AS l
		 WHERE l.job = ledger_digest.job AND l.action <> 'restored' AND l.erased_at >= since
		 GROUP BY l.erased_at, l.action, l.archive) AS batch
$$;

CREATE TRIGGER own_rows AFTER INSERT ON retention.ledger REFERENCING NEW TABLE AS changed
	FOR EACH STATEMENT EXECUTE FUNCTION retention.refuse_erasing('erased');

-- The database to which archives.directory and the ledger's file belong.  The directory's file "identity" says the
-- same.  A backup and a copy keep the id.  The server's system identifier and the database's oid tell a copy from the
-- database.
CREATE TABLE retention.identity (
	one boolean PRIMARY KEY DEFAULT true CHECK (one),
	id uuid NOT NULL DEFAULT gen_random_uuid(),
	-- Where the database was when it wrote into its directory for the first time; NULL: it never has.
	system_identifier bigint,
	database_oid oid,
	-- When adopt_directory() said last what this database is, in seconds since 1970; 0: it never has.
	adopted bigint NOT NULL DEFAULT 0
);
INSERT INTO retention.identity DEFAULT VALUES;

-- Compares the database with what the file "identity" of its directory says (known; NULL: there is no such file) or,
-- without the file, with what the table says.  used: the directory holds a ledger.  fault says why nothing may be
-- written into the directory or replayed from it; NULL: the database may.  wanted is what the file has to say then;
-- NULL: the server is a standby.
--
-- Allowed is the database itself, and one that was restored in its place: on the same server, and no database has the
-- old oid now.  A server never goes back to an earlier timeline, except as a copy, or as an old primary that comes
-- back.  The later of two adoptions counts, so that a database that was replaced stays out.
CREATE FUNCTION retention.check_identity(known text, used boolean)
RETURNS TABLE (fault text, wanted text, was_system bigint, was_database oid)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	WITH now AS (
		SELECT i.id, i.adopted, i.system_identifier AS row_system, i.database_oid AS row_database,
		       s.system_identifier AS system, d.oid AS database,
		       CASE WHEN NOT pg_is_in_recovery()
			    THEN ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int END AS timeline,
		       (i.system_identifier, i.database_oid) IS NOT DISTINCT FROM (s.system_identifier, d.oid) AS here
		  FROM retention.identity AS i, pg_control_system() AS s, pg_database AS d
		 WHERE d.datname = current_database()),
	said AS (
		SELECT n.*, p.part[1] AS file_id, p.part[4]::int AS file_timeline, p.part[5]::bigint AS file_adopted,
		       CASE WHEN known IS NULL THEN 'this database was copied from' ELSE 'it belongs to' END AS origin,
		       CASE WHEN known IS NULL THEN n.row_system ELSE p.part[2]::bigint END AS was_system,
		       CASE WHEN known IS NULL THEN n.row_database ELSE p.part[3]::oid END AS was_database
		  FROM now AS n, LATERAL (SELECT regexp_match(known, '^# retentiond identity 1 '
			'([0-9a-f-]{36}) (-?\d{1,19}) (\d{1,10}) (\d{1,9}) (\d{1,12})\n$')) AS p(part)),
	judged AS (
		SELECT s.*, CASE
			WHEN known IS NOT NULL AND s.file_id IS NULL
			THEN 'its file "identity" is not what retentiond wrote: put it back from the backup of the host, '
			     'or remove it and run retentionctl adopt --replace'
			WHEN s.file_id <> s.id::text
			THEN 'it belongs to another database: each database needs an archives directory of its own'
			WHEN known IS NULL AND used AND NOT s.here
			THEN 'it holds a ledger and no file "identity": put the file back from the backup of the host, '
			     'or, if the ledger is this database''s, run retentionctl adopt --replace'
			WHEN s.file_adopted > s.adopted
			THEN format('another database (system identifier %s, oid %s) has taken this one''s place in it',
				    s.was_system, s.was_database)
			WHEN s.here AND (known IS NULL OR s.adopted > s.file_adopted) THEN NULL
			WHEN s.was_system <> s.system
			THEN format('%s a database on another server (system identifier %s; here it is %s)',
				    s.origin, s.was_system, s.system)
			WHEN s.was_database = s.database AND s.timeline < s.file_timeline
			THEN format('a server on timeline %s has written into it, and this one is on timeline %s: it is a '
				    'copy, or an old primary that came back', s.file_timeline, s.timeline)
			WHEN s.was_database <> s.database
			THEN (SELECT format('%s the database "%s" of the same server', s.origin, d.datname)
				FROM pg_database AS d WHERE d.oid = s.was_database) END AS why
		  FROM said AS s)
	SELECT j.why || CASE WHEN j.why !~ '^(its file|it holds|it belongs to another)'
			THEN ': if this database is a copy, give it an empty directory and run retentionctl adopt --new; '
			     'if it takes that one''s place, run retentionctl adopt --replace'
			ELSE '' END,
	       format('# retentiond identity 1 %s %s %s ', j.id, j.system, j.database) || j.timeline || ' ' ||
	       j.adopted || E'\n', j.was_system, j.was_database
	  FROM judged AS j
$$;

-- Notes in the table where the database is, before the file "identity", which said known, says so.  A restored database
-- is told by an event.
CREATE FUNCTION retention.bind_directory(known text) RETURNS void
LANGUAGE sql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	WITH bound AS (
		UPDATE retention.identity AS i SET system_identifier = s.system_identifier, database_oid = d.oid
		  FROM pg_control_system() AS s, pg_database AS d, retention.check_identity(known, false) AS was
		 WHERE d.datname = current_database() AND retention.erasing_job() IS NULL
		   AND (i.system_identifier, i.database_oid) IS DISTINCT FROM (s.system_identifier, d.oid)
		RETURNING was.was_system, was.was_database, i.system_identifier, i.database_oid)
	INSERT INTO retention.journal_event (kind, details)
	SELECT 'rebound', jsonb_build_object('system_identifier', b.system_identifier::text, 'database_oid', b.database_oid,
		'was', jsonb_build_object('system_identifier', b.was_system::text, 'database_oid', b.was_database))
	  FROM bound AS b
	 WHERE (b.was_system, b.was_database) IS DISTINCT FROM (b.system_identifier, b.database_oid)
	   AND b.was_system IS NOT NULL
$$;

-- Refuses what a person asks for in a copy of the database.
CREATE FUNCTION retention.refuse_copy() RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	i record;
BEGIN
	SELECT * INTO i FROM retention.check_identity(NULL, false);
	IF i.fault IS NOT NULL THEN
		RAISE EXCEPTION 'this database is a copy of another (system identifier %, oid %)', i.was_system,
				i.was_database
			USING ERRCODE = 'object_not_in_prerequisite_state', CONSTRAINT = 'retention.database_copied',
			      DETAIL = concat_ws(E'\n', i.was_system, i.was_database),
			      HINT = 'Give it an empty archives.directory and run retentionctl adopt --new; if it takes the place of the other, run retentionctl adopt --replace.';
	END IF;
END
$$;

-- The key under which the lines of the file are chained, for each id that the database had.  Only the daemon's role
-- reads it: nobody else writes a line that a replay would believe.  A backup keeps it, as it keeps the id.
CREATE TABLE retention.ledger_secret (
	id uuid PRIMARY KEY,
	secret text NOT NULL DEFAULT replace(concat(gen_random_uuid(), gen_random_uuid()), '-', '')
);
INSERT INTO retention.ledger_secret (id) SELECT i.id FROM retention.identity AS i;

-- Says what this database is: the one that takes the place of the one that its directory knows, or else a new one,
-- which begins with an empty directory and a ledger of its own.
CREATE FUNCTION retention.adopt_directory(replaces boolean, reason text) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	was retention.identity;
	is_now retention.identity;
BEGIN
	PERFORM retention.check_person();
	PERFORM retention.check_reason(reason);
	SELECT * INTO was FROM retention.identity FOR UPDATE;
	UPDATE retention.identity AS i
	   SET id = CASE WHEN replaces THEN i.id ELSE gen_random_uuid() END,
	       adopted = greatest(i.adopted + 1, extract(epoch FROM clock_timestamp())::bigint),
	       system_identifier = s.system_identifier, database_oid = d.oid
	  FROM pg_control_system() AS s, pg_database AS d WHERE d.datname = current_database()
	RETURNING i.* INTO is_now;
	-- A new id has a key of its own, so that nobody who knows one of the two keys can write lines of the other ledger.
	INSERT INTO retention.ledger_secret (id) SELECT is_now.id WHERE NOT replaces;
	INSERT INTO retention.journal_event (kind, details)
	VALUES ('adopted', jsonb_build_object('replaces', replaces, 'reason', reason,
		'was', to_jsonb(was) - 'one', 'is', to_jsonb(is_now) - 'one'));
	PERFORM pg_notify('retention', 'adopted');
END
$$;

-- One process at a time compares the ledger with its file, and has this table locked meanwhile.
CREATE TABLE retention.ledger_lock ();
ALTER TABLE retention.ledger_lock REPLICA IDENTITY FULL;

-- Lines of the file that the ledger lacks.  The daemon fills it when the file is ahead of the table; otherwise
-- it is empty.  While it has rows, only their replay runs.
CREATE TABLE retention.replay (
	job int NOT NULL,
	action text NOT NULL,
	archive text NOT NULL,
	erased_at timestamptz NOT NULL,
	key text NOT NULL
);
ALTER TABLE retention.replay REPLICA IDENTITY FULL;
CREATE INDEX ON retention.replay (job, key);
CREATE INDEX ON retention.replay (key);
CREATE TRIGGER not_while_erasing BEFORE INSERT OR UPDATE OR DELETE ON retention.replay
	FOR EACH STATEMENT EXECUTE FUNCTION retention.refuse_erasing();

-- Passes over the numbers up to this one, so that none is given twice.  It never goes back, not even behind a number
-- that another session takes meanwhile.  A number of ten digits is none that was given: it would leave none.
CREATE FUNCTION retention.skip_numbers(up_to int) RETURNS void
LANGUAGE sql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT setval('retention.archive_journal_id_seq'::regclass, up_to)
	  FROM retention.archive_journal_id_seq AS s
	 WHERE retention.erasing_job() IS NULL
	   AND (up_to > s.last_value OR (up_to = s.last_value AND NOT s.is_called))
	   AND up_to < 1000000000
$$;

-- The lines for which a replay has something to do.  A contact that was deleted, and that no archive brought
-- back later, is deleted.  A contact that was anonymized and is not deleted is anonymized.  Of a key that several
-- actions erased, this has the latest line.
CREATE VIEW retention.replay_due AS
SELECT DISTINCT ON (r.action, r.key) r.action, r.key, r.job, r.archive
  FROM retention.replay r
  LEFT JOIN LATERAL (SELECT l.action FROM retention.replay l
		      WHERE l.key = r.key AND l.action IN ('delete_contacts', 'restored')
		      ORDER BY l.erased_at DESC LIMIT 1) AS last ON true
 WHERE CASE r.action WHEN 'delete_contacts' THEN last.action = 'delete_contacts'
		     WHEN 'anonymize_contacts' THEN last.action IS DISTINCT FROM 'delete_contacts'
		     ELSE r.action = 'anonymize_requests' END
 ORDER BY r.action, r.key, r.erased_at DESC, r.job DESC;

-- Ends an action early whose archive holds more than the database knows, because the database was restored from a
-- backup of an earlier moment.  Its archive is ended as the disk has it, and what is left is another action's.
-- job NULL: every action that runs and whose erasures the database has forgotten.
CREATE FUNCTION retention.mark_restored(job int) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
	INSERT INTO retention.journal_event (job, kind, details)
	SELECT j.id, 'changed', jsonb_build_object('restored', true,
		'why', 'the database was restored from a backup that is older than its archive')
	  FROM retention.archive_journal AS j
	 WHERE (j.id = mark_restored.job OR
		(mark_restored.job IS NULL AND j.status = 'running' AND j.archive_path IS NOT NULL AND
		 EXISTS (SELECT FROM retention.replay AS r WHERE r.job = j.id)))
	   AND NOT EXISTS (SELECT FROM retention.journal_event AS e
			    WHERE e.job = j.id AND e.kind = 'changed' AND e.details ? 'restored')
$$;

-- Moves lines from the replay into the ledger when their erasure holds again.  These are the lines of the keys that
-- this replay has erased (they neither failed nor stayed locked, nor are on its list still because it ends early),
-- and the lines for which there is nothing to do.
-- The transaction that ends the action calls this function before it removes the selection.  If job is NULL, only
-- the lines with nothing to do are moved.
CREATE FUNCTION retention.settle_replay(job int) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
	WITH settled AS (
		DELETE FROM retention.replay r
		 USING retention.archive_journal j, retention.selection s
		 WHERE j.id = settle_replay.job AND j.replay AND j.status IN ('validated', 'running')
		   AND s.job = j.id AND s.key = r.key AND r.action = j.action
		   AND r.key NOT IN (SELECT jsonb_array_elements_text(e.details -> 'keys')
				       FROM retention.journal_event e
				      WHERE e.job = settle_replay.job
					AND e.kind IN ('failed_key', 'left')
				     UNION ALL
				     SELECT c.key FROM retention.candidate AS c WHERE c.job = settle_replay.job)
		RETURNING r.job, r.action, r.archive, r.erased_at, r.key)
	INSERT INTO retention.ledger (job, action, archive, erased_at, key)
	SELECT x.job, x.action, x.archive, x.erased_at, x.key FROM settled AS x;

	WITH settled AS (
		DELETE FROM retention.replay r
		 WHERE NOT EXISTS (SELECT FROM retention.replay_due d
				    WHERE d.action = r.action AND d.key = r.key)
		RETURNING r.job, r.action, r.archive, r.erased_at, r.key)
	INSERT INTO retention.ledger (job, action, archive, erased_at, key)
	SELECT x.job, x.action, x.archive, x.erased_at, x.key FROM settled AS x;
$$;

-- Refuses where nothing is to be replayed, or where a replay is under way; else nobody else begins one.
CREATE FUNCTION retention.lock_replay() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM retention.check_person();
	PERFORM retention.refuse_copy();
	LOCK TABLE retention.replay IN SHARE ROW EXCLUSIVE MODE;
	IF EXISTS (SELECT FROM retention.archive_journal j
		    WHERE j.replay AND j.status IN ('saved', 'validated', 'running')) THEN
		RAISE EXCEPTION 'a replay is under way already'
			USING ERRCODE = 'object_not_in_prerequisite_state',
			      CONSTRAINT = 'retention.replay_under_way';
	END IF;
	IF NOT EXISTS (SELECT FROM retention.replay) THEN
		RAISE EXCEPTION 'there is nothing to replay, as far as the daemon has compared the database with the ledger''s file'
			USING ERRCODE = 'object_not_in_prerequisite_state',
			      CONSTRAINT = 'retention.replay_nothing',
			      HINT = 'It compares them when it starts, reloads or connects: see its log.';
	END IF;
END
$$;

-- Leaves what a backup brought back: it was put back because the erasures were wrong.  A contact that had been deleted
-- gets a line "restored", as from an archive, so that no later replay deletes it either.  An anonymization is known
-- again as one that holds.  Returns how many erasures are not done again.
CREATE FUNCTION retention.waive_replay(reason text) RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	waived jsonb;
BEGIN
	PERFORM retention.check_reason(reason);
	PERFORM retention.lock_replay();
	SELECT coalesce(jsonb_object_agg(d.job, d.n), '{}') INTO waived
	  FROM (SELECT d.job, count(*) AS n FROM retention.replay_due AS d GROUP BY d.job) AS d;
	INSERT INTO retention.ledger (job, action, key, erased_at)
	SELECT d.job, 'restored', d.key, greatest(now(), max(r.erased_at) + interval '1 microsecond')
	  FROM retention.replay_due AS d JOIN retention.replay AS r ON r.key = d.key AND r.action = d.action
	 WHERE d.action = 'delete_contacts'
	 GROUP BY d.job, d.key;
	WITH gone AS (
		DELETE FROM retention.replay AS r RETURNING r.job, r.action, r.archive, r.erased_at, r.key)
	INSERT INTO retention.ledger (job, action, archive, erased_at, key)
	SELECT g.job, g.action, g.archive, g.erased_at, g.key FROM gone AS g;
	INSERT INTO retention.journal_event (kind, details)
	VALUES ('replay_waived', jsonb_build_object('reason', reason, 'erasures', waived));
	PERFORM pg_notify('retention', 'replay');
	RETURN (SELECT coalesce(sum(w.n::bigint), 0) FROM jsonb_each_text(waived) AS w(job, n));
END
$$;

-- Erases again the contacts that a backup brought back, by an action for each action that erased them.  It archives as
-- that action did, into an archive of its own: what came to a contact since it was brought back is archived, too.
-- The erasures were validated once: these actions need no second validation.
CREATE FUNCTION retention.replay_ledger(mode text DEFAULT 'manual') RETURNS SETOF int
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	one record;
	new_id int;
BEGIN
	PERFORM retention.lock_replay();
	-- Else verify would hold it against the daemon: a person begins a replay by hand.
	IF mode = 'manual' AND NOT pg_has_role(session_user, 'retention_approver', 'MEMBER') THEN
		RAISE EXCEPTION 'a replay by hand takes the role retention_approver'
			USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'retention.replay_by_hand';
	END IF;
	PERFORM retention.settle_replay(NULL);	-- where no action is needed
	-- Deletions come first.  What a replay had erased is replayed as the erasure of the action that it replayed.
	FOR one IN SELECT d.action, d.archive, coalesce(j.replay_of, d.job) AS job, array_agg(d.key) AS keys
		     FROM retention.replay_due AS d LEFT JOIN retention.archive_journal AS j ON j.id = d.job
		    GROUP BY 1, 2, 3 ORDER BY d.action = 'delete_contacts' DESC, 1, 3, 2 LOOP
		INSERT INTO retention.archive_journal AS j (action, mode, status, archive, replay, replay_of)
		VALUES (one.action, replay_ledger.mode, 'saved', one.archive, true, one.job)
		RETURNING j.id INTO new_id;
		INSERT INTO retention.selection (job, key) SELECT new_id, unnest(one.keys);
		RETURN NEXT new_id;
	END LOOP;
	PERFORM pg_notify('retention', 'replay');
END
$$;
