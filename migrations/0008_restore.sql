-- A deletion whose archive was put back.

ALTER TABLE retention.archive_journal
	ADD restored_at timestamptz,
	ADD restored_by text;

CREATE OR REPLACE FUNCTION retention.journal_change() RETURNS trigger
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
	RETURN NULL;
END
$$;

CREATE OR REPLACE VIEW retention.archives AS
SELECT id, action AS type, coalesce(finished_at, started_at, requested_at) AS date, status, mode,
       policy, from_date, to_date, cutoff,
       CASE WHEN archive_deleted_at IS NULL THEN archive_path END AS file,
       archive_bytes AS bytes, counters, requested_by, validated_by, archive_deleted_at,
       archive_deleted_by, error, waiting, subject, replay, archive_removed_at, archive_remark,
       restored_at, restored_by
  FROM retention.archive_journal;

-- Every reason for which an action's archive is not put back; nothing when it can be.
CREATE FUNCTION retention.check_restore(id int) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	j retention.archive_journal;
BEGIN
	SELECT * INTO j FROM retention.archive_journal WHERE archive_journal.id = check_restore.id;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'there is no action %', coalesce(id::text, 'NULL')
			USING ERRCODE = 'no_data_found', HINT = 'See retention.archives for their numbers.';
	END IF;
	IF j.action LIKE 'anonymize%' THEN
		RAISE EXCEPTION 'action % is an anonymization: it leaves nothing to go back to', id
			USING ERRCODE = 'object_not_in_prerequisite_state',
			      HINT = 'Only a deletion with archive = "full" can be restored.';
	END IF;
	IF j.action = 'export' THEN
		RAISE EXCEPTION 'action % is an export: it took nothing away, so there is nothing to restore', id
			USING ERRCODE = 'object_not_in_prerequisite_state',
			      HINT = 'Only a deletion with archive = "full" can be restored.';
	END IF;
	IF j.archive <> 'full' THEN
		RAISE EXCEPTION 'the archive of action % is "%": it lacks tables whose rows went too',
				id, j.archive
			USING ERRCODE = 'object_not_in_prerequisite_state',
			      HINT = 'Only a deletion with archive = "full" can be restored.';
	END IF;
	IF j.status NOT IN ('done', 'failed') THEN
		RAISE EXCEPTION 'action % is %: only one that has ended can be restored', id, j.status
			USING ERRCODE = 'object_not_in_prerequisite_state';
	END IF;
	IF j.restored_at IS NOT NULL THEN
		RAISE EXCEPTION 'action % was restored already, by % on %', id, j.restored_by,
				to_char(j.restored_at, 'YYYY-MM-DD HH24:MI')
			USING ERRCODE = 'object_not_in_prerequisite_state';
	END IF;
	IF j.archive_deleted_at IS NOT NULL THEN
		RAISE EXCEPTION 'the archive of action % was deleted by % on %', id, j.archive_deleted_by,
				to_char(j.archive_deleted_at, 'YYYY-MM-DD HH24:MI')
			USING ERRCODE = 'object_not_in_prerequisite_state';
	END IF;
	IF j.archive_path IS NULL THEN
		RAISE EXCEPTION 'action % has no archive: nobody was due, nothing went', id
			USING ERRCODE = 'object_not_in_prerequisite_state';
	END IF;
END
$$;

-- In the transaction that puts the rows back: the journal says so, and so does the ledger, or a replay
-- would erase them again.  rows: how many came back, table by table.  Returns how many keys they are.
-- Sequences stay as they are: they are past the numbers that come back.
CREATE FUNCTION retention.record_restore(id int, rows jsonb) RETURNS bigint
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
	RETURN keys;
END
$$;

-- Not for retention_daemon: it never restores, and must not be able to make the ledger forget.
REVOKE ALL ON FUNCTION retention.check_restore(int), retention.record_restore(int, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION retention.check_restore(int)
	TO retention_auditor, retention_operator, retention_approver, retention_daemon;
GRANT EXECUTE ON FUNCTION retention.record_restore(int, jsonb) TO retention_approver;
