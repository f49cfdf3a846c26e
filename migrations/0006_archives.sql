-- Deleting archives: by a person, or by archives.keep.  Two facts, each with its time: the archive was
-- deleted (nobody may use it any more), and its files are gone (the daemon has removed them).

ALTER TABLE retention.archive_journal
	ADD archive_removed_at timestamptz,
	ADD archive_remark text;
COMMENT ON COLUMN retention.archive_journal.archive_deleted_by IS
	'a role, or "expiry": archives.keep has passed';
COMMENT ON COLUMN retention.archive_journal.archive_removed_at IS
	'since when the daemon has removed the files of a deleted archive; NULL: they may still be there';
COMMENT ON COLUMN retention.archive_journal.archive_remark IS
	'what stands in the way of removing the files of a deleted archive';

-- Whoever writes: deleted once and for good, and only what is finished; removed only after that.
CREATE FUNCTION retention.check_archive_change() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF OLD.archive_deleted_at IS NOT NULL AND
	   (NEW.archive_deleted_at, NEW.archive_deleted_by, NEW.archive_path) IS DISTINCT FROM
	   (OLD.archive_deleted_at, OLD.archive_deleted_by, OLD.archive_path) THEN
		RAISE EXCEPTION 'the archive of action % is deleted: that cannot be taken back', OLD.id
			USING ERRCODE = 'check_violation';
	END IF;
	IF NEW.archive_deleted_at IS NOT NULL AND NEW.status NOT IN ('done', 'failed') THEN
		RAISE EXCEPTION 'action % is %: its archive cannot be deleted', OLD.id, NEW.status
			USING ERRCODE = 'check_violation';
	END IF;
	IF NEW.archive_removed_at IS NOT NULL AND NEW.archive_deleted_at IS NULL THEN
		RAISE EXCEPTION 'the archive of action % is not deleted: its files stay', OLD.id
			USING ERRCODE = 'check_violation';
	END IF;
	IF OLD.archive_removed_at IS NOT NULL AND
	   NEW.archive_removed_at IS DISTINCT FROM OLD.archive_removed_at THEN
		RAISE EXCEPTION 'the files of action % are gone: that cannot be taken back', OLD.id
			USING ERRCODE = 'check_violation';
	END IF;
	RETURN NEW;
END
$$;
CREATE TRIGGER legal_archive BEFORE UPDATE ON retention.archive_journal
	FOR EACH ROW EXECUTE FUNCTION retention.check_archive_change();

-- For the approver, and not for the operator: without its archive a deletion cannot be put back, so
-- that this is the last step of an irreversible act, as validating is its first.  With four eyes,
-- who saved the action cannot do it alone either.
CREATE FUNCTION retention.delete_archive(id int) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	j retention.archive_journal := retention.lock_action(id);
BEGIN
	IF j.status NOT IN ('done', 'failed') THEN
		RAISE EXCEPTION 'action % is %: only the archive of an action that has ended can be deleted',
				id, j.status
			USING ERRCODE = 'object_not_in_prerequisite_state';
	END IF;
	IF j.archive_path IS NULL THEN
		RAISE EXCEPTION 'action % has no archive', id
			USING ERRCODE = 'object_not_in_prerequisite_state';
	END IF;
	IF j.archive_deleted_at IS NOT NULL THEN
		RAISE EXCEPTION 'the archive of action % is deleted already, since % by %', id,
				to_char(j.archive_deleted_at, 'YYYY-MM-DD HH24:MI'), j.archive_deleted_by
			USING ERRCODE = 'object_not_in_prerequisite_state',
			      HINT = CASE WHEN j.archive_removed_at IS NULL
				     THEN coalesce('Its files: ' || j.archive_remark || '.',
						   'The daemon has still to remove its files: is retentiond running?')
				     ELSE 'Its files are gone.' END;
	END IF;
	IF j.requested_by = session_user AND
	   (SELECT value FROM retention.setting WHERE name = 'four_eyes') = 'true' THEN
		RAISE EXCEPTION 'action % was saved by you: somebody else has to delete its archive', id
			USING ERRCODE = 'insufficient_privilege', HINT = 'The configuration asks for four eyes.';
	END IF;
	UPDATE retention.archive_journal
	   SET archive_deleted_at = clock_timestamp(), archive_deleted_by = session_user
	 WHERE archive_journal.id = j.id;
	PERFORM pg_notify('retention', 'archive_deleted ' || id);
END
$$;

-- What the daemon on host has to look at: archives that were deleted and whose files are not known
-- to be gone, and those that keep (NULL: for ever) has let expire.  name is what the folder is
-- called, made of what cannot be changed in the journal; archive_path only says which of three days
-- stands in it: the one of its request in the time zone of then.  here: it was written on this host,
-- into this directory.
CREATE FUNCTION retention.archives_to_remove(host text, directory text, keep interval, timezone text)
RETURNS TABLE (id int, name text, deleted boolean, here boolean)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT j.id, n.name, j.archive_deleted_at IS NOT NULL,
	       j.host IS NOT DISTINCT FROM archives_to_remove.host AND
	       j.archive_path = archives_to_remove.directory || '/' || n.name
	  FROM retention.archive_journal AS j
	 CROSS JOIN LATERAL (
		SELECT c.name
		  FROM generate_series(-1, 1) AS days,
		       LATERAL (SELECT (j.requested_at AT TIME ZONE 'UTC')::date + days AS day) AS d,
		       LATERAL (SELECT format('%s-%s-%s-%s', to_char(d.day, 'YYYYMMDD'), j.action,
					      coalesce(j.policy, 'manual'), j.id) AS name) AS c
		 ORDER BY right(j.archive_path, length(c.name) + 1) = '/' || c.name DESC,
			  d.day = (j.requested_at AT TIME ZONE archives_to_remove.timezone)::date DESC
		 LIMIT 1) AS n
	 WHERE j.archive_path IS NOT NULL AND j.archive_removed_at IS NULL
	   AND j.status IN ('done', 'failed')
	   AND (j.archive_deleted_at IS NOT NULL OR
		(j.finished_at AT TIME ZONE archives_to_remove.timezone + archives_to_remove.keep)
		  AT TIME ZONE archives_to_remove.timezone <= now())
	 ORDER BY j.id
$$;

CREATE OR REPLACE VIEW retention.archives AS
SELECT id, action AS type, coalesce(finished_at, started_at, requested_at) AS date, status, mode,
       policy, from_date, to_date, cutoff,
       CASE WHEN archive_deleted_at IS NULL THEN archive_path END AS file,
       archive_bytes AS bytes, counters, requested_by, validated_by, archive_deleted_at,
       archive_deleted_by, error, waiting, subject, replay, archive_removed_at, archive_remark
  FROM retention.archive_journal;

GRANT UPDATE (archive_removed_at, archive_remark) ON retention.archive_journal TO retention_daemon;
REVOKE ALL ON FUNCTION retention.delete_archive(int),
	retention.archives_to_remove(text, text, interval, text), retention.check_archive_change()
	FROM PUBLIC;
GRANT EXECUTE ON FUNCTION retention.delete_archive(int) TO retention_approver;
GRANT EXECUTE ON FUNCTION retention.archives_to_remove(text, text, interval, text)
	TO retention_daemon;
