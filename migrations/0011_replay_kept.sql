-- A replay that did not reach everybody: who is still there stays to be erased.

-- Of the lines that the file knows and the table lacks, those that a replay has something to do for.
-- Who was deleted, and not brought back by an archive later, is deleted; who was anonymized, and is not
-- deleted, is anonymized.
CREATE VIEW retention.replay_due AS
SELECT DISTINCT r.action, r.key
  FROM retention.replay r
  LEFT JOIN LATERAL (SELECT l.action FROM retention.replay l
		      WHERE l.key = r.key AND l.action IN ('delete_contacts', 'restored')
		      ORDER BY l.erased_at DESC LIMIT 1) AS last ON true
 WHERE CASE r.action WHEN 'delete_contacts' THEN last.action = 'delete_contacts'
		     WHEN 'anonymize_contacts' THEN last.action IS DISTINCT FROM 'delete_contacts'
		     ELSE r.action = 'anonymize_requests' END;
CREATE INDEX ON retention.replay (key);

DROP FUNCTION retention.settle_replay();

-- The lines that have become true again join the ledger: those of the keys that this replay was for
-- and that neither failed nor stayed locked, and those that need nothing.  In the transaction that
-- ends the action, before its selection goes.  job NULL: only what needs nothing.
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
					AND e.kind IN ('failed_key', 'left'))
		RETURNING r.job, r.action, r.erased_at, r.key)
	INSERT INTO retention.ledger (job, action, erased_at, key)
	SELECT x.job, x.action, x.erased_at, x.key FROM settled AS x;

	WITH settled AS (
		DELETE FROM retention.replay r
		 WHERE NOT EXISTS (SELECT FROM retention.replay_due d
				    WHERE d.action = r.action AND d.key = r.key)
		RETURNING r.job, r.action, r.erased_at, r.key)
	INSERT INTO retention.ledger (job, action, erased_at, key)
	SELECT x.job, x.action, x.erased_at, x.key FROM settled AS x;
$$;

CREATE OR REPLACE FUNCTION retention.replay_ledger(mode text DEFAULT 'manual') RETURNS SETOF int
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	one text;
	new_id int;
BEGIN
	LOCK TABLE retention.replay IN SHARE ROW EXCLUSIVE MODE;
	IF EXISTS (SELECT FROM retention.archive_journal j
		    WHERE j.replay AND j.status IN ('saved', 'validated', 'running')) THEN
		RAISE EXCEPTION 'a replay is under way already'
			USING ERRCODE = 'object_not_in_prerequisite_state';
	END IF;
	IF NOT EXISTS (SELECT FROM retention.replay) THEN
		RAISE EXCEPTION 'there is nothing to replay, as far as the daemon has compared the database with the ledger''s file'
			USING ERRCODE = 'object_not_in_prerequisite_state',
			      HINT = 'It compares them when it starts, reloads or connects: see its log.';
	END IF;
	PERFORM retention.settle_replay(NULL);	-- where no action is needed
	FOREACH one IN ARRAY ARRAY['delete_contacts', 'anonymize_contacts', 'anonymize_requests'] LOOP
		CONTINUE WHEN NOT EXISTS (SELECT FROM retention.replay_due d WHERE d.action = one);
		INSERT INTO retention.archive_journal AS j (action, mode, status, archive, replay)
		VALUES (one, replay_ledger.mode, 'saved', 'none', true)
		RETURNING j.id INTO new_id;
		INSERT INTO retention.selection (job, key)
		SELECT new_id, d.key FROM retention.replay_due d WHERE d.action = one;
		RETURN NEXT new_id;
	END LOOP;
	PERFORM pg_notify('retention', 'replay');
END
$$;

-- A replay is an approver's to begin, and so to give up.
CREATE OR REPLACE FUNCTION retention.cancel_action(id int) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	j retention.archive_journal := retention.lock_action(id);
BEGIN
	IF j.status <> 'saved' THEN
		RAISE EXCEPTION 'action % is %: only a saved action can be cancelled', id, j.status
			USING ERRCODE = 'object_not_in_prerequisite_state';
	END IF;
	IF j.replay AND NOT pg_has_role(session_user, 'retention_approver', 'MEMBER') THEN
		RAISE EXCEPTION 'action % is a replay: only an approver can cancel it', id
			USING ERRCODE = 'insufficient_privilege',
			      HINT = 'Its erasures stay to be replayed; until then no policy runs.';
	END IF;
	UPDATE retention.archive_journal SET status = 'cancelled', finished_at = clock_timestamp()
	 WHERE archive_journal.id = j.id;
	DELETE FROM retention.candidate WHERE job = j.id;
	DELETE FROM retention.selection WHERE job = j.id;
	PERFORM pg_notify('retention', 'cancelled ' || id);
END
$$;

-- Told to the daemon, whose ledger file must know of it before anybody puts a backup back.
CREATE OR REPLACE FUNCTION retention.record_restore(id int, rows jsonb) RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	j retention.archive_journal := retention.lock_action(id);
	keys bigint;
BEGIN
	PERFORM retention.check_restore(id);
	IF jsonb_typeof(rows) IS DISTINCT FROM 'object' OR
	   EXISTS (SELECT FROM jsonb_each(rows) AS r WHERE jsonb_typeof(r.value) <> 'number') THEN
		RAISE EXCEPTION 'the counts of a restore are an object of numbers'
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	INSERT INTO retention.ledger (job, action, key)
	SELECT l.job, 'restored', l.key FROM retention.ledger AS l
	 WHERE l.job = j.id AND l.action = 'delete_contacts';
	GET DIAGNOSTICS keys = ROW_COUNT;
	UPDATE retention.archive_journal
	   SET restored_at = clock_timestamp(), restored_by = session_user,
	       counters = coalesce(counters, '{}') || jsonb_build_object('restored', rows)
	 WHERE archive_journal.id = j.id;
	PERFORM pg_notify('retention', 'restored ' || id);
	RETURN keys;
END
$$;

GRANT SELECT ON retention.replay_due
	TO retention_auditor, retention_operator, retention_approver, retention_daemon;
REVOKE ALL ON FUNCTION retention.settle_replay(int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION retention.settle_replay(int) TO retention_daemon;
