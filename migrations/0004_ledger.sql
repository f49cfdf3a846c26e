-- Actions on chosen keys: one person's request (GDPR art. 17), and the replay of erasures that a
-- restored backup has undone.  And the ledger as its file beside the archives knows it.

ALTER TABLE retention.archive_journal
	-- The key of the contact that a person's own request is about.
	ADD COLUMN subject text,
	-- Erases again what the ledger's file knows and the database has forgotten; NULL: no replay.
	-- (NULL, not false: what an event says of an older row must stay what the row says.)
	ADD COLUMN replay boolean CHECK (replay),
	DROP CONSTRAINT archive_journal_check,
	DROP CONSTRAINT archive_journal_check1,
	DROP CONSTRAINT archive_journal_check2;
-- What an action is about: a policy's occurrence, an interval, a person, or a replay.
ALTER TABLE retention.archive_journal ADD CONSTRAINT archive_journal_about CHECK (
	CASE WHEN replay THEN
		num_nulls(policy, occurrence, depth, from_date, to_date, subject) = 6
	     WHEN subject IS NOT NULL THEN mode = 'manual'
		AND num_nulls(policy, occurrence, depth, from_date, to_date) = 5
	     WHEN mode = 'manual' THEN
		num_nulls(policy, occurrence, depth) = 3 AND num_nulls(from_date, to_date) = 0
	     ELSE num_nulls(policy, occurrence, depth) = 0 AND num_nulls(from_date, to_date) = 2
	END);

CREATE OR REPLACE FUNCTION retention.check_change() RETURNS trigger
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
	    NEW.depth, NEW.archive, NEW.requested_by, NEW.requested_at, NEW.subject, NEW.replay)
	   IS DISTINCT FROM
	   (OLD.id, OLD.action, OLD.mode, OLD.policy, OLD.occurrence, OLD.from_date, OLD.to_date,
	    OLD.depth, OLD.archive, OLD.requested_by, OLD.requested_at, OLD.subject, OLD.replay) THEN
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

-- The keys that such an action is restricted to, until it has ended.
CREATE TABLE retention.selection (
	job int NOT NULL REFERENCES retention.archive_journal,
	key text NOT NULL,
	PRIMARY KEY (job, key)
);

-- The ledger's rows are lines of its file too.  After a restored backup it holds lines of actions
-- that the journal has forgotten, and a restored archive adds lines of its own: so no foreign key,
-- and the line says what was done.
ALTER TABLE retention.ledger
	DROP CONSTRAINT ledger_job_fkey,
	DROP CONSTRAINT ledger_pkey,
	ADD COLUMN action text CHECK (action IN
		('delete_contacts', 'anonymize_contacts', 'anonymize_requests', 'restored'));
UPDATE retention.ledger l SET action = j.action FROM retention.archive_journal j WHERE j.id = l.job;
ALTER TABLE retention.ledger ALTER COLUMN action SET NOT NULL;
CREATE INDEX ledger_line ON retention.ledger (job, key);
COMMENT ON COLUMN retention.ledger.action IS
	'what was done to the key; restored: an archive has brought it back';

-- Which database the file belongs to: kept by a backup, so that a restored one knows its file.
INSERT INTO retention.setting (name, value) VALUES ('ledger_id', gen_random_uuid());

-- Lines of the file that the ledger lacks: filled by the daemon when it finds the file ahead of the
-- table, empty otherwise.  While there are any, nothing but the replay of them is run.
CREATE TABLE retention.replay (
	job int NOT NULL,
	action text NOT NULL,
	erased_at timestamptz NOT NULL,
	key text NOT NULL
);
CREATE INDEX ON retention.replay (job, key);

CREATE FUNCTION retention.save_subject(action text, contact_key text) RETURNS int
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	canonical text := retention.contact_key(save_subject.contact_key);
	new_id int;
BEGIN
	IF action IS NULL OR action NOT IN ('delete_contacts', 'anonymize_contacts') THEN
		RAISE EXCEPTION 'action "%" cannot be done to one contact', coalesce(action, 'NULL')
			USING ERRCODE = 'invalid_parameter_value',
			      HINT = 'Actions: delete_contacts, anonymize_contacts.';
	END IF;
	IF NOT EXISTS (SELECT FROM retention.setting WHERE name = 'contact_key_type') THEN
		RAISE EXCEPTION 'the daemon has not looked at this database yet: nobody knows what a key is'
			USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Start retentiond first.';
	END IF;
	INSERT INTO retention.archive_journal AS j (action, mode, status, subject, archive)
	VALUES (action, 'manual', 'saved', canonical, 'none')
	RETURNING j.id INTO new_id;
	INSERT INTO retention.selection (job, key) VALUES (new_id, canonical);
	PERFORM pg_notify('retention', 'saved ' || new_id);
	RETURN new_id;
END
$$;

-- Who has been given what is known about a person (GDPR art. 15): an event, and nothing of the answer.
CREATE FUNCTION retention.record_subject_export(contact_key text) RETURNS void
LANGUAGE sql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	INSERT INTO retention.journal_event (kind, details)
	VALUES ('subject_exported', jsonb_build_object('contact', retention.contact_key(contact_key)))
$$;

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
	UPDATE retention.archive_journal SET status = 'cancelled', finished_at = clock_timestamp()
	 WHERE archive_journal.id = j.id;
	DELETE FROM retention.candidate WHERE job = j.id;
	DELETE FROM retention.selection WHERE job = j.id;
	PERFORM pg_notify('retention', 'cancelled ' || id);
END
$$;

-- The lines have become true again, or need nothing: they join the ledger.
CREATE FUNCTION retention.settle_replay() RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
	WITH settled AS (
		DELETE FROM retention.replay
		 WHERE NOT EXISTS (SELECT FROM retention.archive_journal j
				    WHERE j.replay AND j.status IN ('saved', 'validated', 'running'))
		RETURNING job, action, erased_at, key)
	INSERT INTO retention.ledger (job, action, erased_at, key)
	SELECT job, action, erased_at, key FROM settled
$$;

-- Erases again whom a backup brought back: an action for each kind of erasure.  Who was deleted, and
-- not brought back by an archive later, is deleted; who was anonymized, and is not deleted, is
-- anonymized.  The erasures were validated once: these need no second validation.
CREATE FUNCTION retention.replay_ledger(mode text DEFAULT 'manual') RETURNS SETOF int
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
		RAISE EXCEPTION 'there is nothing to replay: the database knows all that the ledger''s file knows'
			USING ERRCODE = 'object_not_in_prerequisite_state',
			      HINT = 'The daemon compares them when it starts and when it connects.';
	END IF;
	FOREACH one IN ARRAY ARRAY['delete_contacts', 'anonymize_contacts', 'anonymize_requests'] LOOP
		CONTINUE WHEN NOT EXISTS (SELECT FROM retention.replay r WHERE r.action = one);
		INSERT INTO retention.archive_journal AS j (action, mode, status, archive, replay)
		VALUES (one, replay_ledger.mode, 'saved', 'none', true)
		RETURNING j.id INTO new_id;
		INSERT INTO retention.selection (job, key)
		SELECT DISTINCT new_id, r.key
		  FROM retention.replay r
		  LEFT JOIN LATERAL (SELECT l.action FROM retention.replay l
				      WHERE l.key = r.key AND l.action IN ('delete_contacts', 'restored')
				      ORDER BY l.erased_at DESC LIMIT 1) AS last ON true
		 WHERE r.action = one
		   AND CASE one WHEN 'delete_contacts' THEN last.action = one
				WHEN 'anonymize_contacts'
				THEN last.action IS DISTINCT FROM 'delete_contacts'
				ELSE true END;
		IF FOUND THEN
			RETURN NEXT new_id;
		ELSE
			UPDATE retention.archive_journal
			   SET status = 'cancelled', finished_at = clock_timestamp()
			 WHERE archive_journal.id = new_id;
		END IF;
	END LOOP;
	PERFORM retention.settle_replay();	-- where no action was needed
	PERFORM pg_notify('retention', 'replay');
END
$$;

-- While the database has forgotten erasures that its file knows, only their replay is run.
CREATE OR REPLACE FUNCTION retention.begin_occurrence(policy text, schedule text, occurrence timestamptz,
						      next timestamptz, action text, depth interval,
						      archive text) RETURNS int
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	new_id int;
BEGIN
	IF EXISTS (SELECT FROM retention.replay) THEN
		RETURN NULL;
	END IF;
	-- A pass that has not ended comes first; the occurrence is asked for again afterwards.
	IF EXISTS (SELECT FROM retention.archive_journal j
		   WHERE j.policy = begin_occurrence.policy
		     AND j.status IN ('saved', 'validated', 'running')) THEN
		RETURN NULL;
	END IF;
	INSERT INTO retention.archive_journal AS j
		(action, mode, status, policy, occurrence, depth, archive)
	VALUES (begin_occurrence.action, 'automatic', 'saved', begin_occurrence.policy,
		begin_occurrence.occurrence, begin_occurrence.depth, begin_occurrence.archive)
	ON CONFLICT ON CONSTRAINT archive_journal_policy_occurrence_key DO NOTHING
	RETURNING j.id INTO new_id;
	INSERT INTO retention.policy_state AS s
		(policy, schedule, last_occurrence, next_occurrence)
	VALUES (begin_occurrence.policy, begin_occurrence.schedule, begin_occurrence.occurrence,
		begin_occurrence.next)
	ON CONFLICT ON CONSTRAINT policy_state_pkey DO UPDATE
	SET schedule = excluded.schedule, next_occurrence = excluded.next_occurrence,
	    last_occurrence = greatest(s.last_occurrence, excluded.last_occurrence),
	    updated_at = now();
	RETURN new_id;
END
$$;

CREATE OR REPLACE FUNCTION retention.runnable(host text)
RETURNS TABLE (id int, action text, policy text, status text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT j.id, j.action, CASE WHEN j.replay THEN 'replay' ELSE j.policy END, j.status
	  FROM retention.archive_journal j
	 WHERE (j.status IN ('validated', 'running') OR (j.status = 'saved' AND j.frozen_at IS NULL))
	   AND (j.replay OR NOT EXISTS (SELECT FROM retention.replay))
	 ORDER BY j.status <> 'running', j.host IS DISTINCT FROM runnable.host, j.id
$$;

-- What the administration page lists, with what a row is about.
CREATE OR REPLACE VIEW retention.archives AS
SELECT id, action AS type, coalesce(finished_at, started_at, requested_at) AS date, status, mode,
       policy, from_date, to_date, cutoff,
       CASE WHEN archive_deleted_at IS NULL THEN archive_path END AS file,
       archive_bytes AS bytes, counters, requested_by, validated_by, archive_deleted_at,
       archive_deleted_by, error, waiting, subject, replay
  FROM retention.archive_journal;

GRANT SELECT ON retention.selection TO retention_operator, retention_approver, retention_daemon;
GRANT SELECT ON retention.replay
	TO retention_auditor, retention_operator, retention_approver, retention_daemon;
GRANT INSERT, DELETE ON retention.replay TO retention_daemon;
GRANT DELETE ON retention.selection TO retention_daemon;
-- The numbers that the file knows are not given a second time.
GRANT SELECT, UPDATE ON SEQUENCE retention.archive_journal_id_seq TO retention_daemon;
REVOKE ALL ON FUNCTION retention.save_subject(text, text), retention.record_subject_export(text),
	retention.settle_replay(), retention.replay_ledger(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION retention.save_subject(text, text),
	retention.record_subject_export(text) TO retention_operator;
GRANT EXECUTE ON FUNCTION retention.replay_ledger(text) TO retention_approver, retention_daemon;
GRANT EXECUTE ON FUNCTION retention.settle_replay() TO retention_daemon;
