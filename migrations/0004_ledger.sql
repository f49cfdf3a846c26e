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
COMMENT ON COLUMN retention.ledger.action IS
	'what was done to the key; restored: an archive has brought it back';
COMMENT ON COLUMN retention.ledger.archive IS
	'the archive mode of the action: a replay of the erasure archives as it did';

CREATE TRIGGER own_rows AFTER INSERT ON retention.ledger REFERENCING NEW TABLE AS changed
	FOR EACH STATEMENT EXECUTE FUNCTION retention.refuse_erasing('others');

-- Names the database to which the file belongs.  A backup keeps it, so that a restored database knows its file.
INSERT INTO retention.setting (name, value) VALUES ('ledger_id', gen_random_uuid());

-- One process at a time compares the ledger with its file, and has this table locked meanwhile.
CREATE TABLE retention.ledger_lock ();

-- Lines of the file that the ledger lacks.  The daemon fills it when the file is ahead of the table; otherwise
-- it is empty.  While it has rows, only their replay runs.
CREATE TABLE retention.replay (
	job int NOT NULL,
	action text NOT NULL,
	archive text NOT NULL,
	erased_at timestamptz NOT NULL,
	key text NOT NULL
);
CREATE INDEX ON retention.replay (job, key);
CREATE INDEX ON retention.replay (key);
CREATE TRIGGER not_while_erasing BEFORE INSERT OR UPDATE OR DELETE ON retention.replay
	FOR EACH STATEMENT EXECUTE FUNCTION retention.refuse_erasing();

-- Passes over the numbers up to this one, so that none is given twice.  It never goes back, not even behind a number
-- that another session takes meanwhile.
CREATE FUNCTION retention.skip_numbers(up_to int) RETURNS void
LANGUAGE sql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT setval('retention.archive_journal_id_seq'::regclass, up_to)
	  FROM retention.archive_journal_id_seq AS s
	 WHERE retention.erasing_job() IS NULL
	   AND (up_to > s.last_value OR (up_to = s.last_value AND NOT s.is_called))
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
	PERFORM retention.check_person();
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
