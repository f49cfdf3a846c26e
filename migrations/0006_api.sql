-- The public API, for people, a web page and the CRM.  Each function is atomic, records the role of
-- the session, and refuses with a message that says what to do.
--
-- A refusal is also for programs, here and in the other files: the error's CONSTRAINT is the refusal's id, DETAIL
-- holds its values, one on a line, and COLUMN the name of the argument at fault.  retentionctl translates by the
-- id: daemon/po has a text for each id, and one for ID.hint where there is a HINT.  $1 in it is the first value.

-- The time zone of the configuration.  Until the daemon has stored it, the one of the session.
CREATE FUNCTION retention.time_zone() RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce((SELECT value FROM retention.setting WHERE name = 'timezone'),
			current_setting('TimeZone'))
$$;

CREATE FUNCTION retention.today() RETURNS date
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT (now() AT TIME ZONE retention.time_zone())::date
$$;

-- Returns the cutoff: data that is older is due.  It is the start of the local day on which "at" falls, minus the
-- depth, by the calendar.
CREATE FUNCTION retention.cutoff(depth interval, timezone text DEFAULT retention.time_zone(),
				 at timestamptz DEFAULT now()) RETURNS timestamptz
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT (date_trunc('day', at AT TIME ZONE timezone) - depth) AT TIME ZONE timezone
$$;

-- Returns the instant up to which an archive that was finished at "since" is kept, by the calendar; NULL: for ever.
CREATE FUNCTION retention.kept_until(since timestamptz, keep interval, timezone text DEFAULT retention.time_zone())
RETURNS timestamptz
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT (since AT TIME ZONE timezone + keep) AT TIME ZONE timezone
$$;

-- Returns the archive mode of an action, where none was given its default.  Refuses what does not go together.
CREATE FUNCTION retention.checked_archive(action text, archive text) RETURNS text
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	mode_of_archive text := coalesce(archive, CASE action WHEN 'export' THEN 'listed' ELSE 'none' END);
BEGIN
	IF action IS NULL OR action NOT IN
	   ('export', 'delete_contacts', 'anonymize_contacts', 'anonymize_requests') THEN
		RAISE EXCEPTION 'unknown action "%"', coalesce(action, 'NULL')
			USING ERRCODE = 'invalid_parameter_value', CONSTRAINT = 'retention.action_unknown',
			      COLUMN = 'action',
			      DETAIL = coalesce(action, 'NULL'),
			      HINT = 'Actions: export, delete_contacts, anonymize_contacts, anonymize_requests.';
	END IF;
	IF mode_of_archive NOT IN ('none', 'listed', 'full') THEN
		RAISE EXCEPTION 'unknown archive mode "%"', mode_of_archive
			USING ERRCODE = 'invalid_parameter_value',
			      CONSTRAINT = 'retention.archive_mode_unknown',
			      COLUMN = 'archive',
			      DETAIL = mode_of_archive,
			      HINT = 'Modes: none, listed, full.';
	END IF;
	IF action LIKE 'anonymize%' AND mode_of_archive <> 'none' THEN
		RAISE EXCEPTION 'an anonymization cannot be archived: it leaves nothing to go back to'
			USING ERRCODE = 'invalid_parameter_value', CONSTRAINT = 'retention.anonymize_archive',
			      COLUMN = 'archive',
			      HINT = 'Leave the archive mode out, or give none.';
	END IF;
	IF action = 'export' AND mode_of_archive = 'none' THEN
		RAISE EXCEPTION 'an export without an archive would do nothing'
			USING ERRCODE = 'invalid_parameter_value', CONSTRAINT = 'retention.export_archive',
			      COLUMN = 'archive',
			      HINT = 'Give listed or full.';
	END IF;
	RETURN mode_of_archive;
END
$$;

-- note: why, for who validates it; the journal keeps it.
CREATE FUNCTION retention.save_action(action text, from_date date, to_date date,
				      archive text DEFAULT NULL, note text DEFAULT NULL) RETURNS int
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	mode_of_archive text;
	last_day date := from_date + interval '1 month' - interval '1 day';
	new_id int;
BEGIN
	PERFORM retention.check_person();
	mode_of_archive := retention.checked_archive(action, archive);
	IF from_date IS NULL OR to_date IS NULL OR NOT isfinite(from_date) OR NOT isfinite(to_date) THEN
		RAISE EXCEPTION 'both days of the interval are needed'
			USING ERRCODE = 'invalid_parameter_value', CONSTRAINT = 'retention.days_missing',
			      COLUMN = CASE WHEN isfinite(from_date) THEN 'to_date' ELSE 'from_date' END,
			      HINT = 'Give the first and the last day, as YYYY-MM-DD.';
	END IF;
	IF to_date < from_date THEN
		RAISE EXCEPTION 'the interval ends (%) before it starts (%)', to_date, from_date
			USING ERRCODE = 'invalid_parameter_value', CONSTRAINT = 'retention.days_reversed',
			      COLUMN = 'to_date',
			      DETAIL = concat_ws(E'\n', to_date, from_date),
			      HINT = 'Exchange the two days.';
	END IF;
	IF to_date > last_day THEN
		RAISE EXCEPTION 'the interval from % to % is longer than one month', from_date, to_date
			USING ERRCODE = 'invalid_parameter_value', CONSTRAINT = 'retention.interval_too_long',
			      COLUMN = 'to_date',
			      DETAIL = concat_ws(E'\n', from_date, to_date, last_day),
			      HINT = format('Both days count: from %s, it can end on %s at the latest.',
					    from_date, last_day);
	END IF;
	IF to_date > retention.today() THEN
		RAISE EXCEPTION 'the interval ends in the future (%; today is %)', to_date, retention.today()
			USING ERRCODE = 'invalid_parameter_value', CONSTRAINT = 'retention.interval_in_future',
			      COLUMN = 'to_date',
			      DETAIL = concat_ws(E'\n', to_date, retention.today()),
			      HINT = 'Requests can still be attached to a day to come: end it today or before.';
	END IF;

	INSERT INTO retention.archive_journal AS j (action, mode, status, from_date, to_date, archive, note)
	VALUES (action, 'manual', 'saved', from_date, to_date, mode_of_archive,
		retention.checked_note(save_action.note))
	RETURNING j.id INTO new_id;
	PERFORM pg_notify('retention', 'saved ' || new_id);
	RETURN new_id;
END
$$;

-- Saves the erasure of one contact, who has asked for it (GDPR art. 17).
CREATE FUNCTION retention.save_subject(action text, contact_key text, note text DEFAULT NULL) RETURNS int
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	canonical text := retention.contact_key(save_subject.contact_key);
	new_id int;
BEGIN
	PERFORM retention.check_person();
	IF action IS NULL OR action NOT IN ('delete_contacts', 'anonymize_contacts') THEN
		RAISE EXCEPTION 'action "%" cannot be done to one contact', coalesce(action, 'NULL')
			USING ERRCODE = 'invalid_parameter_value',
			      CONSTRAINT = 'retention.subject_action_unknown',
			      COLUMN = 'action',
			      DETAIL = coalesce(action, 'NULL'),
			      HINT = 'Actions: delete_contacts, anonymize_contacts.';
	END IF;
	IF NOT EXISTS (SELECT FROM retention.setting WHERE name = 'contact_key_type') THEN
		RAISE EXCEPTION 'the daemon has not looked at this database yet: nobody knows what a key is'
			USING ERRCODE = 'object_not_in_prerequisite_state',
			      CONSTRAINT = 'retention.key_type_unknown',
			      HINT = 'Start retentiond first.';
	END IF;
	IF EXISTS (SELECT FROM retention.holds_in_force AS h WHERE h.contact_key = retention.hold_key(save_subject.contact_key)) THEN
		RAISE EXCEPTION 'contact % is on hold: nothing was saved', canonical
			USING ERRCODE = 'object_not_in_prerequisite_state', CONSTRAINT = 'retention.subject_held',
			      COLUMN = 'contact_key',
			      DETAIL = replace(canonical, E'\n', ' '),
			      HINT = 'The hold keeps the contact: retention.hold has its reason, and who has placed it.';
	END IF;
	INSERT INTO retention.archive_journal AS j (action, mode, status, subject, archive, note)
	VALUES (action, 'manual', 'saved', canonical, 'none', retention.checked_note(save_subject.note))
	RETURNING j.id INTO new_id;
	INSERT INTO retention.selection (job, key) VALUES (new_id, canonical);
	PERFORM pg_notify('retention', 'saved ' || new_id);
	RETURN new_id;
END
$$;

-- Returns the row of an action and locks it, so that a second caller sees what the first one made of it.
CREATE FUNCTION retention.lock_action(id int) RETURNS retention.archive_journal
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '10s'
AS $$
DECLARE
	j retention.archive_journal;
	holders text;
BEGIN
	BEGIN
		SELECT * INTO j FROM retention.archive_journal WHERE archive_journal.id = lock_action.id FOR UPDATE;
	EXCEPTION WHEN lock_not_available THEN
		holders := retention.lock_holders('archive_journal');
		RAISE EXCEPTION 'the lock % is held by %', 'of action ' || id, holders
			USING ERRCODE = 'lock_not_available', CONSTRAINT = 'retention.lock_held',
			      DETAIL = concat_ws(E'\n', 'of action ' || id, holders),
			      HINT = 'Try again when that transaction has ended; SELECT pg_terminate_backend(PROCESS) ends a session that has forgotten it.';
	END;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'there is no action %', coalesce(id::text, 'NULL')
			USING ERRCODE = 'no_data_found', CONSTRAINT = 'retention.id_unknown',
			      COLUMN = 'id',
			      DETAIL = coalesce(id::text, 'NULL'),
			      HINT = 'See retention.archives for their numbers.';
	END IF;
	RETURN j;
END
$$;

-- Keeps an action from every session until this transaction ends; false: a session that still lives works on it.  Others
-- that want it wait, and find no claim afterwards.  Comes before lock_action(), so that two callers wait in one order.
CREATE FUNCTION retention.claim_to_end(id int) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	mine boolean := retention.claim_action(coalesce(id, 0), clock_timestamp());
BEGIN
	DELETE FROM retention.claimed AS c WHERE c.job = id AND c.pid = pg_backend_pid();
	RETURN mine;
END
$$;

CREATE FUNCTION retention.validate_action(id int) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	j retention.archive_journal := retention.lock_action(id);
BEGIN
	PERFORM retention.check_person();
	IF j.status <> 'saved' THEN
		RAISE EXCEPTION 'action % is %: only a saved action can be validated', id, j.status
			USING ERRCODE = 'object_not_in_prerequisite_state',
			      CONSTRAINT = 'retention.validate_not_saved',
			      DETAIL = concat_ws(E'\n', id, j.status);
	END IF;
	IF j.frozen_at IS NULL THEN
		RAISE EXCEPTION 'action % is not listed yet: nobody knows what it would touch', id
			USING ERRCODE = 'object_not_in_prerequisite_state',
			      CONSTRAINT = 'retention.validate_not_listed',
			      DETAIL = id,
			      HINT = 'The daemon lists it when it is saved: is retentiond running?  Try again in a moment.';
	END IF;
	IF j.requested_by = session_user AND
	   (SELECT value FROM retention.setting WHERE name = 'four_eyes') = 'true' THEN
		RAISE EXCEPTION 'action % was saved by you: somebody else has to validate it', id
			USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'retention.validate_four_eyes',
			      DETAIL = id,
			      HINT = 'The configuration asks for four eyes.';
	END IF;
	UPDATE retention.archive_journal SET status = 'validated', validated_by = session_user,
	       validated_at = clock_timestamp()
	 WHERE archive_journal.id = j.id;
	PERFORM pg_notify('retention', 'validated ' || id);
END
$$;

-- The same, for a person who has seen how many keys the list has, and its digest: both are given again, so that
-- no other action is validated by mistake.  The digest may be left out.
CREATE FUNCTION retention.validate_action(id int, seen bigint, seen_sha256 text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	j retention.archive_journal := retention.lock_action(id);
BEGIN
	IF j.frozen_at IS NOT NULL AND
	   (j.candidates IS DISTINCT FROM seen OR
	    j.candidates_sha256 IS DISTINCT FROM coalesce(seen_sha256, j.candidates_sha256)) THEN
		RAISE EXCEPTION 'the list of action % has % keys, and is not the one that was seen, of %',
				id, j.candidates, coalesce(seen::text, 'NULL')
			USING ERRCODE = 'object_not_in_prerequisite_state', CONSTRAINT = 'retention.list_not_seen',
			      COLUMN = 'seen',
			      DETAIL = concat_ws(E'\n', id, j.candidates, coalesce(seen::text, 'NULL')),
			      HINT = 'Look at the action again: it may be another one.';
	END IF;
	PERFORM retention.validate_action(id);
END
$$;

-- The first keys of an action's list, at most ten: those who validate see whether it is the list that they mean.  None
-- once the list is worked through.
CREATE FUNCTION retention.first_keys(id int) RETURNS SETOF text
LANGUAGE sql STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT c.key FROM retention.candidate AS c WHERE c.job = first_keys.id ORDER BY c.n LIMIT 10
$$;

-- Cancels an action that has not begun.  An operator cancels what is saved.  What is validated is an approver's, and so
-- is a replay, because only an approver begins one.
CREATE FUNCTION retention.cancel_action(id int) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	approves constant boolean := pg_has_role(session_user, 'retention_approver', 'MEMBER');
	nobody_works boolean;
	j retention.archive_journal;
BEGIN
	PERFORM retention.check_person();
	-- A job that lists a saved action may go on: it finds the action cancelled at the end.
	nobody_works := approves AND retention.claim_to_end(id);
	j := retention.lock_action(id);
	IF j.status NOT IN ('saved', 'validated') THEN
		RAISE EXCEPTION 'action % is %: only an action that has not begun can be cancelled', id, j.status
			USING ERRCODE = 'object_not_in_prerequisite_state',
			      CONSTRAINT = 'retention.cancel_begun',
			      DETAIL = concat_ws(E'\n', id, j.status);
	END IF;
	IF j.status = 'validated' AND NOT approves THEN
		RAISE EXCEPTION 'action % is validated: only an approver can cancel it', id
			USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'retention.cancel_validated',
			      DETAIL = id;
	END IF;
	IF j.status = 'validated' AND NOT nobody_works THEN
		RAISE EXCEPTION 'a job works on action % at this moment', id
			USING ERRCODE = 'object_not_in_prerequisite_state', CONSTRAINT = 'retention.cancel_works',
			      DETAIL = id,
			      HINT = 'If it has begun, it can be abandoned; if it waits, try again in a moment.';
	END IF;
	IF j.replay AND NOT approves THEN
		RAISE EXCEPTION 'action % is a replay: only an approver can cancel it', id
			USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'retention.cancel_replay',
			      DETAIL = id,
			      HINT = 'Its erasures stay to be replayed; until then no policy runs.';
	END IF;
	UPDATE retention.archive_journal SET status = 'cancelled', finished_at = clock_timestamp()
	 WHERE archive_journal.id = j.id;
	DELETE FROM retention.candidate WHERE job = j.id;
	DELETE FROM retention.selection WHERE job = j.id;
	PERFORM pg_notify('retention', 'cancelled ' || id);
END
$$;

-- Ends an action that cannot go on, and returns its status.  One that runs ends with what it has done: a process
-- that works on it stops after its batch, and the next one finishes the archive as it is (job/finish.c).  If it cannot
-- end so, it is abandoned once more: it has failed then, like one that has not begun, and its files stay as they are
-- until its archive is deleted or expires.  What is left of the list is for the policy's next pass.
CREATE FUNCTION retention.abandon_action(id int, reason text) RETURNS text
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '10s'
AS $$
DECLARE
	j retention.archive_journal;
	why text := format('%s has abandoned it (%s)', session_user, reason);
	nobody_works boolean;
	before retention.journal_event;
BEGIN
	PERFORM retention.check_person();
	PERFORM retention.check_reason(reason);
	-- The claim and the batches' locks come before the action's row, because a batch asks for that row under its lock.
	nobody_works := retention.claim_to_end(id);
	BEGIN
		PERFORM FROM retention.batch_lock AS l WHERE nobody_works AND l.job = id ORDER BY l.worker FOR UPDATE;
	EXCEPTION WHEN lock_not_available THEN
		nobody_works := false;
	END;
	j := retention.lock_action(id);
	IF j.status NOT IN ('validated', 'running') THEN
		RAISE EXCEPTION 'action % is %: only an action that is validated or running can be abandoned', id, j.status
			USING ERRCODE = 'object_not_in_prerequisite_state', CONSTRAINT = 'retention.abandon_not_begun',
			      DETAIL = concat_ws(E'\n', id, j.status),
			      HINT = 'A saved action is cancelled.';
	END IF;
	DELETE FROM retention.pause AS p WHERE p.job = j.id;
	SELECT * INTO before FROM retention.journal_event AS e
	 WHERE e.job = j.id AND e.kind = 'changed' AND e.details ? 'abandoned' ORDER BY e.id DESC LIMIT 1;
	IF j.status = 'running' AND before.id IS NULL THEN
		INSERT INTO retention.journal_event (job, kind, details)
		VALUES (j.id, 'changed', jsonb_build_object('abandoned', true, 'why', why, 'claim', j.claim + 1));
		-- What kept it waiting is past; an attempt to end it that fails says so anew.
		UPDATE retention.archive_journal AS a SET claim = a.claim + 1, error = NULL, waiting = NULL, waiting_for = NULL
		 WHERE a.id = j.id;
		PERFORM pg_notify('retention', 'abandoned ' || id);
		RETURN j.status;
	END IF;
	IF NOT nobody_works THEN
		RAISE EXCEPTION 'a job works on action % at this moment', id
			USING ERRCODE = 'object_not_in_prerequisite_state', CONSTRAINT = 'retention.abandon_works',
			      DETAIL = id,
			      HINT = 'It stops after its batch: try again in a moment.';
	END IF;
	-- Its archive is sealed only by a job, so that one has to have tried it, or had the time to.
	IF j.status = 'running' AND j.error IS NULL AND j.claim <= (before.details->>'claim')::int AND
	   before.at > clock_timestamp() - interval '1 minute' THEN
		RAISE EXCEPTION 'action % was abandoned just now, and the daemon has still to end it', id
			USING ERRCODE = 'object_not_in_prerequisite_state', CONSTRAINT = 'retention.abandon_ends',
			      DETAIL = id,
			      HINT = 'If it has not ended in a minute, abandon it once more: then it has failed, and its archive stays unsealed.';
	END IF;
	IF j.replay THEN
		PERFORM retention.settle_replay(j.id);
	END IF;
	UPDATE retention.archive_journal AS a
	   SET status = 'failed', error = why, waiting = NULL, waiting_for = NULL, finished_at = clock_timestamp(),
	       claim = a.claim + 1,
	       counters = coalesce(a.counters, '{}') || jsonb_strip_nulls(jsonb_build_object(
			'treated', (SELECT count(*) FROM retention.ledger AS l WHERE l.job = j.id),
			'ledger_sha256', CASE WHEN j.action <> 'export' THEN retention.ledger_digest(j.id, j.requested_at) END,
			'rest', (SELECT nullif(count(*), 0) FROM retention.candidate AS c WHERE c.job = j.id)))
	 WHERE a.id = j.id;
	DELETE FROM retention.batch_lock WHERE job = j.id;
	DELETE FROM retention.candidate WHERE job = j.id;
	DELETE FROM retention.selection WHERE job = j.id;
	PERFORM pg_notify('retention', 'failed ' || id);
	RETURN 'failed';
END
$$;

-- Pauses an action that has not ended; id NULL: everything.  A batch that runs ends first.  The pause by an approver
-- takes the place of an operator's.
CREATE FUNCTION retention.pause_action(id int) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	j retention.archive_journal;
	old retention.pause;
BEGIN
	PERFORM retention.check_person();
	IF id IS NOT NULL THEN
		j := retention.lock_action(id);
		IF j.status NOT IN ('saved', 'validated', 'running') THEN
			RAISE EXCEPTION 'action % is %: only an action that has not ended can be paused',
					id, j.status
				USING ERRCODE = 'object_not_in_prerequisite_state',
				      CONSTRAINT = 'retention.pause_ended',
				      DETAIL = concat_ws(E'\n', id, j.status);
		END IF;
	END IF;
	PERFORM retention.take_lock('chain_lock');	-- an open transaction has it that pauses, too
	INSERT INTO retention.pause AS p (job) VALUES (pause_action.id)
	    ON CONFLICT (coalesce(job, 0)) DO UPDATE
	   SET paused_by = excluded.paused_by, paused_at = excluded.paused_at, by_approver = true
	 WHERE excluded.by_approver AND NOT p.by_approver;
	IF NOT FOUND THEN
		SELECT * INTO old FROM retention.pause AS p WHERE p.job IS NOT DISTINCT FROM pause_action.id;
		IF id IS NULL THEN
			RAISE EXCEPTION 'everything is paused already, since % by %',
					to_char(old.paused_at, 'YYYY-MM-DD HH24:MI'), old.paused_by
				USING ERRCODE = 'object_not_in_prerequisite_state',
				      CONSTRAINT = 'retention.pause_everything_twice',
				      DETAIL = concat_ws(E'\n', to_char(old.paused_at, 'YYYY-MM-DD HH24:MI'), old.paused_by);
		END IF;
		RAISE EXCEPTION 'action % is paused already, since % by %',
				id, to_char(old.paused_at, 'YYYY-MM-DD HH24:MI'), old.paused_by
			USING ERRCODE = 'object_not_in_prerequisite_state',
			      CONSTRAINT = 'retention.pause_twice',
			      DETAIL = concat_ws(E'\n', id, to_char(old.paused_at, 'YYYY-MM-DD HH24:MI'), old.paused_by);
	END IF;
	INSERT INTO retention.journal_event (job, kind, details)
	VALUES (pause_action.id, 'paused', jsonb_build_object('everything', id IS NULL));
	PERFORM pg_notify('retention', concat_ws(' ', 'paused', id));
END
$$;

-- Ends a pause: of an action, or of everything (id NULL).  An action that was paused by its number stays paused
-- when the pause of everything ends, and the pause of everything stays when one action is resumed.  Only an approver
-- ends the pause by an approver.
CREATE FUNCTION retention.resume_action(id int) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	j retention.archive_journal;
	old retention.pause;
BEGIN
	PERFORM retention.check_person();
	IF id IS NOT NULL THEN
		j := retention.lock_action(id);
		IF j.status NOT IN ('saved', 'validated', 'running') THEN
			RAISE EXCEPTION 'action % is %: only an action that has not ended can be resumed',
					id, j.status
				USING ERRCODE = 'object_not_in_prerequisite_state',
				      CONSTRAINT = 'retention.resume_ended',
				      DETAIL = concat_ws(E'\n', id, j.status);
		END IF;
	END IF;
	PERFORM retention.take_lock('chain_lock');
	DELETE FROM retention.pause AS p WHERE p.job IS NOT DISTINCT FROM resume_action.id RETURNING * INTO old;
	IF old.by_approver AND NOT pg_has_role(session_user, 'retention_approver', 'MEMBER') THEN
		RAISE EXCEPTION 'the pause was placed by %, an approver: only an approver can end it', old.paused_by
			USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'retention.pause_of_approver',
			      DETAIL = old.paused_by;
	ELSIF NOT FOUND AND id IS NULL THEN
		RAISE EXCEPTION 'there is no pause of everything'
			USING ERRCODE = 'object_not_in_prerequisite_state',
			      CONSTRAINT = 'retention.resume_everything_not_paused',
			      HINT = 'An action that was paused by itself is resumed by its number.';
	ELSIF NOT FOUND THEN
		RAISE EXCEPTION 'action % was not paused by itself', id
			USING ERRCODE = 'object_not_in_prerequisite_state',
			      CONSTRAINT = 'retention.resume_not_paused',
			      DETAIL = id,
			      HINT = 'A pause of everything is ended for everything.';
	END IF;
	INSERT INTO retention.journal_event (job, kind, details)
	VALUES (resume_action.id, 'resumed', jsonb_build_object('everything', id IS NULL));
	PERFORM pg_notify('retention', concat_ws(' ', 'resumed', id));
END
$$;

-- Records that the data about a contact was given out (GDPR art. 15).  The event holds nothing of the answer.
CREATE FUNCTION retention.record_subject_export(contact_key text) RETURNS void
LANGUAGE sql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT retention.check_person();
	INSERT INTO retention.journal_event (kind, details)
	VALUES ('subject_exported', jsonb_build_object('contact', retention.contact_key(contact_key)))
$$;

-- Asks the daemon for something that only its host can do, and returns the request's number:
--
--	verify_archive	compares the files of an action's archive with its sums; any of the three roles
--	subject_export	writes the document of all data about a contact (GDPR art. 15), encrypted; operators
--	find_contact	looks whether a contact has this key now, for a hold; operators and approvers
--	measure		measures again what the metrics and the page show; any of the three roles
CREATE FUNCTION retention.ask(kind text, job int DEFAULT NULL, subject text DEFAULT NULL) RETURNS int
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	canonical text;
	j retention.archive_journal;
	new_id int;
BEGIN
	PERFORM retention.check_person();
	IF kind IS NULL OR kind NOT IN ('verify_archive', 'subject_export', 'find_contact', 'measure') THEN
		RAISE EXCEPTION 'unknown request "%"', coalesce(kind, 'NULL')
			USING ERRCODE = 'invalid_parameter_value', CONSTRAINT = 'retention.request_unknown',
			      COLUMN = 'kind',
			      DETAIL = coalesce(kind, 'NULL'),
			      HINT = 'Requests: verify_archive, subject_export, find_contact, measure.';
	END IF;
	IF kind IN ('subject_export', 'find_contact') THEN
		IF NOT pg_has_role(session_user, 'retention_operator', 'MEMBER') AND
		   (kind = 'subject_export' OR NOT pg_has_role(session_user, 'retention_approver', 'MEMBER')) THEN
			RAISE EXCEPTION 'only an operator can ask for the data about a contact'
				USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'retention.request_operator';
		END IF;
		IF NOT EXISTS (SELECT FROM retention.setting WHERE name = 'contact_key_type') THEN
			RAISE EXCEPTION 'the daemon has not looked at this database yet: nobody knows what a key is'
				USING ERRCODE = 'object_not_in_prerequisite_state',
				      CONSTRAINT = 'retention.key_type_unknown',
				      HINT = 'Start retentiond first.';
		END IF;
		canonical := retention.contact_key(ask.subject);
	ELSIF kind = 'verify_archive' THEN
		j := retention.lock_action(ask.job);
		IF j.archive_path IS NULL OR j.archive_deleted_at IS NOT NULL OR j.status NOT IN ('done', 'failed') THEN
			RAISE EXCEPTION 'action % has no archive that could be verified', j.id
				USING ERRCODE = 'object_not_in_prerequisite_state',
				      CONSTRAINT = 'retention.request_no_archive',
				      DETAIL = j.id;
		END IF;
	END IF;
	INSERT INTO retention.request AS r (kind, job, subject) VALUES (ask.kind, j.id, canonical)
	    ON CONFLICT DO NOTHING RETURNING r.id INTO new_id;
	IF new_id IS NULL THEN
		RAISE EXCEPTION 'that is asked for already, and not answered yet'
			USING ERRCODE = 'object_not_in_prerequisite_state', CONSTRAINT = 'retention.request_twice',
			      HINT = 'The daemon answers it: is retentiond running?';
	END IF;
	INSERT INTO retention.journal_event (job, kind, details)
	VALUES (j.id, 'asked', jsonb_strip_nulls(jsonb_build_object('request', new_id, 'what', ask.kind,
								     'contact', canonical)));
	PERFORM pg_notify('retention', concat_ws(' ', 'asked', kind, new_id));
	RETURN new_id;
END
$$;

-- Refuses what is not the digest of a ticket.
CREATE FUNCTION retention.check_ticket(ticket_sha256 bytea) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF octet_length(ticket_sha256) IS DISTINCT FROM 32 THEN
		RAISE EXCEPTION 'the digest of a ticket has 32 bytes, not %', coalesce(octet_length(ticket_sha256), 0)
			USING ERRCODE = 'invalid_parameter_value', CONSTRAINT = 'retention.ticket_invalid',
			      COLUMN = 'ticket_sha256',
			      DETAIL = coalesce(octet_length(ticket_sha256), 0);
	END IF;
END
$$;

-- Records that this person takes a file of an action's archive, and returns the download's number.  ticket_sha256 is the
-- SHA-256 of the ticket that the daemon then takes for the open file (archives.web_socket).
CREATE FUNCTION retention.ask_download(job int, file text, ticket_sha256 bytea) RETURNS int
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	j retention.archive_journal := retention.lock_action(job);
	new_id int;
BEGIN
	PERFORM retention.check_person();
	PERFORM retention.refuse_copy();
	PERFORM retention.check_ticket(ticket_sha256);
	IF j.archive_path IS NULL OR j.archive_deleted_at IS NOT NULL OR j.status <> 'done' THEN
		RAISE EXCEPTION 'action % has no archive to download', j.id
			USING ERRCODE = 'object_not_in_prerequisite_state',
			      CONSTRAINT = CASE WHEN j.archive_deleted_at IS NOT NULL THEN 'retention.download_deleted'
						ELSE 'retention.download_no_archive' END,
			      DETAIL = j.id;
	END IF;
	IF file !~ '^[A-Za-z0-9_][A-Za-z0-9_.-]{0,120}$' IS NOT FALSE THEN
		RAISE EXCEPTION 'an archive has no file of that name'
			USING ERRCODE = 'invalid_parameter_value', CONSTRAINT = 'retention.download_file',
			      COLUMN = 'file';
	END IF;
	INSERT INTO retention.download AS d (job, file, ticket_sha256)
	VALUES (j.id, file, ask_download.ticket_sha256) RETURNING d.id INTO new_id;
	INSERT INTO retention.journal_event (job, kind, details)
	VALUES (j.id, 'archive_download', jsonb_build_object('download', new_id, 'file', file));
	RETURN new_id;
END
$$;

-- The same for the document of a request, which is of one contact.
CREATE FUNCTION retention.ask_document(request int, ticket_sha256 bytea) RETURNS int
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	r retention.request;
	new_id int;
BEGIN
	PERFORM retention.check_person();
	PERFORM retention.refuse_copy();
	PERFORM retention.check_ticket(ticket_sha256);
	SELECT * INTO r FROM retention.request AS q WHERE q.id = ask_document.request;
	IF r.document IS NULL OR r.document_removed_at IS NOT NULL OR r.outcome IS DISTINCT FROM 'ok' THEN
		RAISE EXCEPTION 'request % has no document to download', coalesce(request::text, 'NULL')
			USING ERRCODE = 'object_not_in_prerequisite_state',
			      CONSTRAINT = CASE WHEN r.document_removed_at IS NOT NULL THEN 'retention.document_removed'
						ELSE 'retention.document_missing' END,
			      DETAIL = coalesce(request::text, 'NULL');
	END IF;
	INSERT INTO retention.download AS d (request, file, ticket_sha256)
	VALUES (r.id, r.document, ask_document.ticket_sha256) RETURNING d.id INTO new_id;
	INSERT INTO retention.journal_event (kind, details)
	VALUES ('subject_exported', jsonb_build_object('contact', r.subject, 'request', r.id, 'download', new_id));
	RETURN new_id;
END
$$;

-- Records that this person's download has ended.  bytes: how many were sent.
CREATE FUNCTION retention.end_download(id int, bytes bigint) RETURNS void
LANGUAGE sql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT retention.check_person();
	UPDATE retention.download AS d SET ended_at = clock_timestamp(), bytes = end_download.bytes
	 WHERE d.id = end_download.id AND d.asked_by = session_user AND d.taken_at IS NOT NULL AND d.ended_at IS NULL
$$;

-- Deletes an archive.  Approvers may do it and operators may not: without its archive a deletion cannot be put
-- back, so this is the last step of an irreversible act, as validating is the first.  With four eyes, the role
-- that saved the action cannot do it alone.  note: why; the journal keeps it.
CREATE FUNCTION retention.delete_archive(id int, note text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	j retention.archive_journal := retention.lock_action(id);
BEGIN
	PERFORM retention.check_person();
	PERFORM retention.refuse_copy();
	IF j.status NOT IN ('done', 'failed') THEN
		RAISE EXCEPTION 'action % is %: only the archive of an action that has ended can be deleted',
				id, j.status
			USING ERRCODE = 'object_not_in_prerequisite_state',
			      CONSTRAINT = 'retention.delete_not_ended',
			      DETAIL = concat_ws(E'\n', id, j.status);
	END IF;
	IF j.archive_path IS NULL THEN
		RAISE EXCEPTION 'action % has no archive', id
			USING ERRCODE = 'object_not_in_prerequisite_state',
			      CONSTRAINT = 'retention.delete_no_archive',
			      DETAIL = id;
	END IF;
	IF j.archive_deleted_at IS NOT NULL THEN
		RAISE EXCEPTION 'the archive of action % is deleted already, since % by %', id,
				to_char(j.archive_deleted_at, 'YYYY-MM-DD HH24:MI'), j.archive_deleted_by
			USING ERRCODE = 'object_not_in_prerequisite_state',
			      CONSTRAINT = CASE WHEN j.archive_removed_at IS NOT NULL THEN 'retention.delete_removed'
						WHEN j.archive_remark IS NOT NULL THEN 'retention.delete_hindered'
						ELSE 'retention.delete_twice' END,
			      DETAIL = concat_ws(E'\n', id, to_char(j.archive_deleted_at, 'YYYY-MM-DD HH24:MI'),
						 j.archive_deleted_by, j.archive_remark),
			      HINT = CASE WHEN j.archive_removed_at IS NOT NULL THEN 'Its files are gone.'
					  WHEN j.archive_remark IS NOT NULL
					  THEN format('Its files: %s.', j.archive_remark)
					  ELSE 'The daemon has still to remove its files: is retentiond running?' END;
	END IF;
	IF j.requested_by = session_user AND
	   (SELECT value FROM retention.setting WHERE name = 'four_eyes') = 'true' THEN
		RAISE EXCEPTION 'action % was saved by you: somebody else has to delete its archive', id
			USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'retention.delete_four_eyes',
			      DETAIL = id,
			      HINT = 'The configuration asks for four eyes.';
	END IF;
	UPDATE retention.archive_journal
	   SET archive_deleted_at = clock_timestamp(), archive_deleted_by = session_user,
	       archive_deleted_note = retention.checked_note(delete_archive.note)
	 WHERE archive_journal.id = j.id;
	PERFORM pg_notify('retention', 'archive_deleted ' || id);
END
$$;

-- Deletes an archive that the journal does not know.  Approvers may do it, as for any other archive.
CREATE FUNCTION retention.delete_unknown_archive(name text) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	u retention.unknown_archive;
BEGIN
	PERFORM retention.check_person();
	PERFORM retention.refuse_copy();
	SELECT * INTO u FROM retention.unknown_archive AS a
	 WHERE a.name = delete_unknown_archive.name FOR UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'no archive "%" is unknown to the journal', coalesce(name, 'NULL')
			USING ERRCODE = 'no_data_found', CONSTRAINT = 'retention.archive_not_unknown',
			      COLUMN = 'name', DETAIL = coalesce(name, 'NULL'),
			      HINT = 'The archive of an action is named by the number of the action.';
	END IF;
	IF u.deleted_at IS NOT NULL THEN
		RAISE EXCEPTION 'archive "%" is deleted already, since % by %', name,
				to_char(u.deleted_at, 'YYYY-MM-DD HH24:MI'), u.deleted_by
			USING ERRCODE = 'object_not_in_prerequisite_state',
			      CONSTRAINT = 'retention.unknown_deleted_twice',
			      DETAIL = concat_ws(E'\n', name, to_char(u.deleted_at, 'YYYY-MM-DD HH24:MI'),
						 u.deleted_by),
			      HINT = 'The daemon has still to remove its files: see its log.';
	END IF;
	UPDATE retention.unknown_archive AS a
	   SET deleted_at = clock_timestamp(), deleted_by = session_user WHERE a.name = u.name;
	PERFORM pg_notify('retention', 'archive_deleted ' || u.name);
END
$$;

-- Refuses with the first reason why the archive of an action cannot be put back; returns when it can.
CREATE FUNCTION retention.check_restore(id int) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	j retention.archive_journal;
BEGIN
	PERFORM retention.refuse_copy();
	SELECT * INTO j FROM retention.archive_journal WHERE archive_journal.id = check_restore.id;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'there is no action %', coalesce(id::text, 'NULL')
			USING ERRCODE = 'no_data_found', CONSTRAINT = 'retention.id_unknown',
			      COLUMN = 'id',
			      DETAIL = coalesce(id::text, 'NULL'),
			      HINT = 'See retention.archives for their numbers.';
	END IF;
	IF j.action LIKE 'anonymize%' THEN
		RAISE EXCEPTION 'action % is an anonymization: it leaves nothing to go back to', id
			USING ERRCODE = 'object_not_in_prerequisite_state',
			      CONSTRAINT = 'retention.restore_anonymization',
			      DETAIL = id,
			      HINT = 'Only a deletion with archive = "full" can be restored.';
	END IF;
	IF j.action = 'export' THEN
		RAISE EXCEPTION 'action % is an export: it took nothing away, so there is nothing to restore',
				id
			USING ERRCODE = 'object_not_in_prerequisite_state',
			      CONSTRAINT = 'retention.restore_export',
			      DETAIL = id,
			      HINT = 'Only a deletion with archive = "full" can be restored.';
	END IF;
	IF j.archive <> 'full' THEN
		RAISE EXCEPTION 'the archive of action % is "%": it lacks tables whose rows went too',
				id, j.archive
			USING ERRCODE = 'object_not_in_prerequisite_state',
			      CONSTRAINT = 'retention.restore_not_full',
			      DETAIL = concat_ws(E'\n', id, j.archive),
			      HINT = 'Only a deletion with archive = "full" can be restored.';
	END IF;
	IF j.status NOT IN ('done', 'failed') THEN
		RAISE EXCEPTION 'action % is %: only one that has ended can be restored', id, j.status
			USING ERRCODE = 'object_not_in_prerequisite_state',
			      CONSTRAINT = 'retention.restore_not_ended',
			      DETAIL = concat_ws(E'\n', id, j.status);
	END IF;
	IF j.restored_at IS NOT NULL THEN
		RAISE EXCEPTION 'action % was restored already, by % on %',
				id, j.restored_by, to_char(j.restored_at, 'YYYY-MM-DD HH24:MI')
			USING ERRCODE = 'object_not_in_prerequisite_state',
			      CONSTRAINT = 'retention.restore_twice',
			      DETAIL = concat_ws(E'\n', id, j.restored_by, to_char(j.restored_at, 'YYYY-MM-DD HH24:MI'));
	END IF;
	IF j.archive_deleted_at IS NOT NULL THEN
		RAISE EXCEPTION 'the archive of action % was deleted by % on %',
				id, j.archive_deleted_by, to_char(j.archive_deleted_at, 'YYYY-MM-DD HH24:MI')
			USING ERRCODE = 'object_not_in_prerequisite_state',
			      CONSTRAINT = 'retention.restore_deleted',
			      DETAIL = concat_ws(E'\n', id, j.archive_deleted_by, to_char(j.archive_deleted_at, 'YYYY-MM-DD HH24:MI'));
	END IF;
	IF j.archive_path IS NULL THEN
		RAISE EXCEPTION 'action % has no archive: nobody was due, nothing went', id
			USING ERRCODE = 'object_not_in_prerequisite_state',
			      CONSTRAINT = 'retention.restore_no_archive',
			      DETAIL = id;
	END IF;
END
$$;

-- Records a restore, in the transaction that puts the rows back.  The ledger records it too, because otherwise
-- a replay would erase the rows again.  So its lines are later than those of the erasures, whatever the clock says.
-- Lines of before the action are those of another that had its number before a backup was put back.  The daemon is
-- told, because its ledger file must know before a backup is put back.  rows: how many rows came back, by table.
-- Returns the number of keys.  Sequences stay: they have already passed the numbers that come back.
CREATE FUNCTION retention.record_restore(id int, rows jsonb) RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	j retention.archive_journal := retention.lock_action(id);
	keys bigint;
BEGIN
	PERFORM retention.check_person(id);	-- called by the session in which the CRM's triggers have run
	PERFORM retention.check_restore(id);
	IF jsonb_typeof(rows) IS DISTINCT FROM 'object' OR
	   EXISTS (SELECT FROM jsonb_each(rows) AS r WHERE jsonb_typeof(r.value) <> 'number') THEN
		RAISE EXCEPTION 'the counts of a restore are an object of numbers'
			USING ERRCODE = 'invalid_parameter_value', CONSTRAINT = 'retention.restore_counts',
			      COLUMN = 'rows';
	END IF;
	INSERT INTO retention.ledger (job, action, key, erased_at)
	SELECT l.job, 'restored', l.key, greatest(now(), max(l.erased_at) + interval '1 microsecond')
	  FROM retention.ledger AS l
	 WHERE l.job = j.id AND l.action = 'delete_contacts' AND l.erased_at >= j.requested_at
	 GROUP BY l.job, l.key;
	GET DIAGNOSTICS keys = ROW_COUNT;
	UPDATE retention.archive_journal
	   SET restored_at = clock_timestamp(), restored_by = session_user,
	       counters = coalesce(counters, '{}') || jsonb_build_object('restored', rows)
	 WHERE archive_journal.id = j.id;
	PERFORM pg_notify('retention', 'restored ' || id);
	RETURN keys;
END
$$;

-- The list of the administration page.
CREATE VIEW retention.archives AS
SELECT j.id, j.action AS type, coalesce(j.finished_at, j.started_at, j.requested_at) AS date,
       j.status, j.mode, j.policy, j.from_date, j.to_date, j.cutoff,
       CASE WHEN j.archive_deleted_at IS NULL THEN j.archive_path END AS file,
       j.archive_bytes AS bytes, j.counters, j.requested_by, j.validated_by, j.archive_deleted_at,
       j.archive_deleted_by, j.error, j.waiting, j.subject, j.replay, j.archive_removed_at,
       j.archive_remark, j.restored_at, j.restored_by, p.paused_by, p.paused_at,
       j.part, j.replay_of, j.note, j.archive_deleted_note
  FROM retention.archive_journal AS j
  LEFT JOIN retention.paused_action AS p
    ON p.job = j.id AND j.status IN ('saved', 'validated', 'running');

-- The same, and the archives that the journal does not know.
CREATE VIEW retention.all_archives AS
SELECT a.* FROM retention.archives AS a
 UNION ALL
SELECT x.*
  FROM retention.unknown_archive AS u
 CROSS JOIN LATERAL jsonb_populate_record(NULL::retention.archives, to_jsonb(u) || jsonb_build_object(
	'type', u.action, 'status', 'not in the journal', 'archive_deleted_at', u.deleted_at,
	'archive_deleted_by', u.deleted_by, 'archive_remark', u.remark,
	'file', CASE WHEN u.deleted_at IS NULL THEN u.directory || '/' || u.name END)) AS x;

-- The session's user and what that user may do, in one row, so that a page draws only what will be accepted.
CREATE VIEW retention.me AS
SELECT session_user::text AS name,
       pg_has_role(session_user, 'retention_auditor', 'MEMBER') AS auditor,
       pg_has_role(session_user, 'retention_operator', 'MEMBER') AS operator,
       pg_has_role(session_user, 'retention_approver', 'MEMBER') AS approver,
       pg_has_role(session_user, 'retention_daemon', 'MEMBER') AS daemon,
       (SELECT r.rolsuper FROM pg_roles AS r WHERE r.rolname = session_user) AS superuser,
       coalesce((SELECT s.value = 'true' FROM retention.setting AS s WHERE s.name = 'four_eyes'), false) AS four_eyes,
       retention.time_zone() AS timezone,
       (SELECT s.value FROM retention.setting AS s WHERE s.name = 'contact_key_type') AS key_type,
       (SELECT max(v.version) FROM retention.schema_version AS v) AS schema,
       retention.today() AS today;

-- The progress of each action that has not ended.  It counts the work list for those who may not read its keys.
CREATE VIEW retention.progress AS
SELECT j.id, j.status, j.started_at, j.waiting, j.waiting_for, j.candidates AS due, c.keys AS keys_left, c.weight AS weight_left,
       clock_timestamp() AS at
  FROM retention.archive_journal AS j
 CROSS JOIN LATERAL (SELECT count(*) AS keys, coalesce(sum(k.weight), 0)::bigint AS weight
		       FROM retention.candidate AS k WHERE k.job = j.id) AS c
 WHERE j.status IN ('saved', 'validated', 'running');

-- The daemons that are connected to this database.  Their sessions say that they live, unless conninfo gives them
-- another application_name.
CREATE VIEW retention.daemons AS
SELECT a.pid, a.usename::text AS role
  FROM pg_stat_activity AS a
 WHERE a.datname = current_database() AND a.application_name = 'retentiond'
   AND pg_has_role(a.usesysid, 'retention_daemon', 'MEMBER');

-- Erasure status: erased rows are not gone everywhere at once (daemon/journal/horizon.h names the steps T0 to T3).  The
-- job records at its end what these functions compare with.  T1 is the difficult step, because PostgreSQL does not say
-- what a VACUUM has removed.  It counts as reached only when, for each table that lost rows, its partitions and its TOAST
-- table:
--
--   - a VACUUM has begun after the job's end.  Statistics count only those that have ended, and two of
--     one table never run at once: where none was under way at the job's end (nobody held the lock
--     that it takes) one more than then is enough, else two more;
--   - it could remove the rows: no snapshot of before the job's end was open when the job ended (all
--     later ones see the rows as gone), or it left no dead row, or the table is frozen beyond;
--   - and no snapshot, prepared transaction or slot of before is there now;
--   - and an ANALYZE has begun after the job's end, which is counted in the same way.  The statistics of a table that
--     is empty stay as they were, because PostgreSQL replaces them by those of rows only.
--
-- A materialized view that reads a table that lost rows keeps them until a REFRESH, and a REFRESH leaves no trace in
-- the catalog that a GRANT does not leave as well.  So T0 counts the job's own (job/refresh.c), and that of
-- a job that began after this one's end; nothing behind T0 is reached before.  After a REFRESH
-- CONCURRENTLY, which deletes rows, the view itself needs a VACUUM.
--
-- Where something cannot be seen, the state is "unknown" or "pending", never "reached".

-- The number of a transaction with its epoch: at most 2^31 behind, and not far ahead of, the next transaction.
CREATE FUNCTION retention.full_xid(xmin bigint) RETURNS bigint
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT x.next - (((x.next - xmin) & 4294967295) + 2147483648) % 4294967296 + 2147483648
	  FROM (SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS next) AS x
$$;

-- Everything that keeps dead rows from being removed, with the transaction from which on it does.  A role sees the
-- sessions of others only with pg_read_all_stats.
CREATE FUNCTION retention.snapshot_holders() RETURNS TABLE (who text, xid bigint)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT h.who, retention.full_xid(h.xmin)
	  FROM (SELECT 'session ' || a.pid AS who, a.backend_xmin::text::bigint AS xmin
		  FROM pg_stat_activity AS a
		 WHERE a.backend_xmin IS NOT NULL AND a.pid <> pg_backend_pid()
		   AND a.backend_type IS DISTINCT FROM 'autovacuum worker'
		   AND (a.datid IS NULL OR a.datid = 0 OR a.datname = current_database())
		UNION ALL SELECT 'replication slot ' || s.slot_name, s.xmin::text::bigint
		  FROM pg_replication_slots AS s WHERE s.xmin IS NOT NULL
		UNION ALL SELECT 'a prepared transaction', p.transaction::text::bigint
		  FROM pg_prepared_xacts AS p WHERE p.database = current_database()) AS h
	UNION ALL SELECT 'a transaction of before', pg_snapshot_xmin(pg_current_snapshot())::text::bigint
$$;

CREATE FUNCTION retention.vacuum_count(relation oid) RETURNS bigint
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(pg_stat_get_vacuum_count(relation), 0) + coalesce(pg_stat_get_autovacuum_count(relation), 0)
$$;

CREATE FUNCTION retention.analyze_count(relation oid) RETURNS bigint
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(pg_stat_get_analyze_count(relation), 0) + coalesce(pg_stat_get_autoanalyze_count(relation), 0)
$$;

CREATE FUNCTION retention.last_vacuum(relation oid) RETURNS timestamptz
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT greatest(pg_stat_get_last_vacuum_time(relation), pg_stat_get_last_autovacuum_time(relation))
$$;

CREATE FUNCTION retention.last_analyze(relation oid) RETURNS timestamptz
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT greatest(pg_stat_get_last_analyze_time(relation), pg_stat_get_last_autoanalyze_time(relation))
$$;

-- Citus: the rows are on other servers, its workers.  Each is asked for its part, and what does not answer is "unknown".
-- A worker has its own search_path when a query comes to it like this, so each name in a query is qualified with its
-- schema, and each operator has operands of exactly its types: nobody's function can take the place of PostgreSQL's.

-- What each worker of Citus answers to a query of one JSON value, or why it does not; whole: the coordinator as well.  No
-- row in a database without the extension.
CREATE FUNCTION retention.ask_nodes(query text, whole boolean)
RETURNS TABLE (node int, name text, answer jsonb, failure text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF to_regclass('pg_catalog.pg_dist_node') IS NULL THEN
		RETURN;
	END IF;
	RETURN QUERY EXECUTE format(
	  'SELECT n.groupid, n.nodename || '':'' || n.nodeport, CASE WHEN r.success THEN r.result::jsonb END,
		  CASE WHEN r.success IS NULL THEN ''it is disabled'' WHEN NOT r.success THEN r.result END
	     FROM pg_dist_node AS n
	     LEFT JOIN %s AS r ON %s
	    WHERE n.noderole = ''primary'' AND (n.groupid <> 0 OR $2)',
	  CASE WHEN whole THEN 'run_command_on_all_nodes($1)' ELSE 'run_command_on_workers($1)' END,
	  CASE WHEN whole THEN 'r.nodeid = n.nodeid' ELSE '(r.nodename, r.nodeport) = (n.nodename, n.nodeport)' END)
	  USING query, whole;
END
$$;

-- The shards of distributed tables by the number of their server, {"1": ["crm.contact_102008", ...]}; NULL: none.
CREATE FUNCTION retention.shards_of(tables oid[]) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	shards jsonb;
BEGIN
	IF to_regclass('pg_catalog.pg_dist_shard') IS NULL THEN
		RETURN NULL;
	END IF;
	EXECUTE 'SELECT jsonb_object_agg(g.groupid, g.shards)
		   FROM (SELECT p.groupid, jsonb_agg(shard_name(s.logicalrelid, s.shardid, false) ORDER BY s.shardid) AS shards
			   FROM pg_dist_shard AS s JOIN pg_dist_placement AS p ON p.shardid = s.shardid
			  WHERE s.logicalrelid = ANY ($1) GROUP BY 1) AS g'
	   INTO shards USING tables;
	RETURN shards;
END
$$;

-- What the servers know of their shards, given as shards_of() has them or by their oids.  undecided: transactions of
-- two phases that are committed here and not ended there, and shards that were moved away and still are there.  Erased
-- rows are visible in the former and stay in the latter.
CREATE FUNCTION retention.node_facts(shards jsonb)
RETURNS TABLE (node int, name text, facts jsonb, undecided text, failure text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	query text := format($query$
	WITH asked AS (
	  SELECT e.value AS item FROM pg_catalog.pg_dist_local_group AS g, pg_catalog.jsonb_each(%L::jsonb) AS s,
		 LATERAL pg_catalog.jsonb_array_elements_text(s.value) AS e
	   WHERE s.key = g.groupid::text),
	shard AS (
	  SELECT CASE WHEN a.item ~ '^[0-9]+$'::text THEN a.item::oid ELSE pg_catalog.to_regclass(a.item)::oid END AS oid
	    FROM asked AS a),
	heap AS (
	  SELECT c.*, pg_catalog.format('%%I.%%I'::text, n.nspname, pg_catalog.regexp_replace(c.relname::text, '_[0-9]+$'::text, ''::text)) AS name
	    FROM (SELECT h.oid FROM shard AS h
		  UNION SELECT p.relid::oid FROM shard AS h, pg_catalog.pg_partition_tree(h.oid::regclass) AS p) AS r
	    JOIN pg_catalog.pg_class AS c ON c.oid = r.oid
	    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
	   WHERE c.relkind = 'r'::"char" OR c.relkind = 't'::"char" OR (c.relkind = 'p'::"char"
		 AND pg_catalog.current_setting('server_version_num'::text)::int >= 140000)),
	part AS (
	  SELECT h.oid, h.name, h.relkind <> 'p'::"char" AS pages, h.relkind <> 't'::"char" AS statistics FROM heap AS h
	  UNION ALL SELECT h.reltoastrelid, pg_catalog.concat(h.name, ' (TOAST)'::text), true, false FROM heap AS h
	   WHERE h.reltoastrelid <> 0::oid),
	clock AS (SELECT pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::bigint AS next),
	holder AS (
	  SELECT pg_catalog.concat('session '::text, a.pid) AS who, a.backend_xmin::text::bigint AS xmin
	    FROM pg_catalog.pg_stat_activity AS a
	   WHERE a.backend_xmin IS NOT NULL AND a.pid <> pg_catalog.pg_backend_pid()
	     AND a.backend_type IS DISTINCT FROM 'autovacuum worker'::text
	     AND (a.datid IS NULL OR a.datid = 0::oid OR a.datname = pg_catalog.current_database())
	  UNION ALL SELECT pg_catalog.concat('replication slot '::text, s.slot_name), s.xmin::text::bigint
	    FROM pg_catalog.pg_replication_slots AS s WHERE s.xmin IS NOT NULL
	  UNION ALL SELECT 'a prepared transaction'::text, p.transaction::text::bigint
	    FROM pg_catalog.pg_prepared_xacts AS p WHERE p.database = pg_catalog.current_database()
	  UNION ALL SELECT 'a transaction of before'::text,
		 pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::text::bigint)
	SELECT pg_catalog.jsonb_build_object(
	  'system'::text, (SELECT c.system_identifier::text FROM pg_catalog.pg_control_system() AS c),
	  'xid'::text, c.next - 1::bigint,
	  'lsn'::text, pg_catalog.pg_current_wal_insert_lsn()::text,
	  'hidden'::text, NOT pg_catalog.pg_has_role('pg_read_all_stats'::name, 'USAGE'::text),
	  'prepared'::text, (SELECT pg_catalog.jsonb_agg(p.gid) FROM pg_catalog.pg_prepared_xacts AS p
			WHERE p.database = pg_catalog.current_database()),
	  'holders'::text, (SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('who'::text, h.who, 'xid'::text,
	       c.next - (((c.next - h.xmin) & 4294967295) + 2147483648::bigint) %% 4294967296 + 2147483648::bigint))
			FROM holder AS h),
	  'standbys'::text, (SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
	       'who'::text, coalesce(nullif(r.application_name, ''::text), r.pid::text),
	       'hidden'::text, r.state IS NULL OR r.replay_lsn IS NULL, 'lsn'::text, r.replay_lsn::text))
			FROM pg_catalog.pg_stat_replication AS r
		       WHERE r.state IS NULL OR r.state = 'streaming'::text OR r.state = 'catchup'::text),
	  'slots'::text, (SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('who'::text, s.slot_name,
	       'lsn'::text, coalesce(s.confirmed_flush_lsn, s.restart_lsn)::text))
			FROM pg_catalog.pg_replication_slots AS s WHERE s.restart_lsn IS NOT NULL),
	  'parts'::text, (SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('oid'::text, p.oid::bigint, 'name'::text, p.name,
	       'xmin'::text, CASE WHEN h.relfrozenxid::text <> '0'::text THEN c.next -
		    (((c.next - h.relfrozenxid::text::bigint) & 4294967295) + 2147483648::bigint) %% 4294967296 + 2147483648::bigint END,
	       'vacuums'::text, CASE WHEN p.pages THEN coalesce(pg_catalog.pg_stat_get_vacuum_count(p.oid), 0::bigint)
		    + coalesce(pg_catalog.pg_stat_get_autovacuum_count(p.oid), 0::bigint) END,
	       'analyses'::text, CASE WHEN p.statistics THEN coalesce(pg_catalog.pg_stat_get_analyze_count(p.oid), 0::bigint)
		    + coalesce(pg_catalog.pg_stat_get_autoanalyze_count(p.oid), 0::bigint) END,
	       'vacuumed'::text, greatest(pg_catalog.pg_stat_get_last_vacuum_time(p.oid), pg_catalog.pg_stat_get_last_autovacuum_time(p.oid)),
	       'analyzed'::text, greatest(pg_catalog.pg_stat_get_last_analyze_time(p.oid), pg_catalog.pg_stat_get_last_autoanalyze_time(p.oid)),
	       'dead'::text, pg_catalog.pg_stat_get_dead_tuples(p.oid),
	       'is_empty'::text, h.reltuples = 0::real AND (NOT pg_catalog.has_table_privilege(p.oid, 'SELECT'::text) OR EXISTS (
		    SELECT FROM pg_catalog.pg_stats AS s JOIN pg_catalog.pg_namespace AS n ON n.nspname = s.schemaname
		     WHERE s.tablename = h.relname AND n.oid = h.relnamespace)),
	       'vacuuming'::text, EXISTS (SELECT FROM pg_catalog.pg_locks AS l
		     WHERE l.locktype = 'relation'::text AND l.relation = p.oid AND l.granted
		       AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
		       AND l.mode = 'ShareUpdateExclusiveLock'::text)))
			FROM part AS p JOIN pg_catalog.pg_class AS h ON h.oid = p.oid))
	  FROM clock AS c $query$, shards);
BEGIN
	IF shards IS NULL OR to_regclass('pg_catalog.pg_dist_transaction') IS NULL THEN
		RETURN QUERY SELECT s.key::int, 'server ' || s.key, NULL::jsonb, NULL, 'the extension citus is not in this database'
			       FROM jsonb_object_keys(shards) AS s(key);
		RETURN;
	END IF;
	RETURN QUERY EXECUTE $sql$
	  SELECT s.key::int, coalesce(a.name, 'server ' || s.key), a.answer, CASE
		 WHEN EXISTS (SELECT FROM jsonb_array_elements_text(nullif(a.answer->'prepared', 'null')) AS g(gid)
			       WHERE g.gid IN (SELECT t.gid FROM pg_dist_transaction AS t))
		 THEN 'a transaction that Citus has not ended on ' || a.name || ' yet (recover_prepared_transactions)'
		 WHEN EXISTS (SELECT FROM pg_dist_cleanup AS o, jsonb_array_elements(nullif(a.answer->'parts', 'null')) AS p
			       WHERE o.node_group_id = s.key::int AND regexp_replace(o.object_name, '_\d+("?)$', '\1') = p->>'name')
		 THEN 'old copies of shards that Citus has not dropped on ' || a.name || ' yet (pg_dist_cleanup)' END,
		 CASE WHEN a.node IS NULL THEN 'it is not a server of Citus now' ELSE a.failure END
	    FROM jsonb_each($2) AS s
	    LEFT JOIN retention.ask_nodes($1, $2 ? '0') AS a ON a.node = s.key::int $sql$
	  USING query, shards;
END
$$;

-- What a job records at its end of the servers that have shards of its tables, for horizon().
CREATE FUNCTION retention.record_nodes(tables oid[]) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT jsonb_object_agg(f.node, CASE WHEN f.failure IS NOT NULL
	       THEN jsonb_build_object('name', f.name, 'failure', f.failure) ELSE jsonb_build_object('name', f.name,
	       'system', f.facts->'system', 'xid', f.facts->'xid', 'lsn', f.facts->'lsn',
	       'clear', NOT (f.facts->>'hidden')::boolean AND NOT EXISTS (
		  SELECT FROM jsonb_array_elements(f.facts->'holders') AS h
		   WHERE (h->>'xid')::bigint <= (f.facts->>'xid')::bigint),
	       'tables', (SELECT coalesce(jsonb_agg(jsonb_build_object('oid', p->'oid', 'name', p->'name', 'vacuums', p->'vacuums',
		    'analyses', p->'analyses', 'vacuuming', p->'vacuuming')), '[]')
		  FROM jsonb_array_elements(nullif(f.facts->'parts', 'null')) AS p)) END)
	  FROM retention.node_facts(retention.shards_of(tables)) AS f
$$;

-- How far the erasures of an action have come.  No row for an action that has erased nothing or has not ended.  A
-- restored action has one row: T0 is undone.  It sees what the schema's owner sees, because the people who ask for it
-- have no right to look at standbys and at other people's sessions.
CREATE FUNCTION retention.horizon(id int)
RETURNS TABLE (step text, what text, state text, since timestamptz, waits_for text)
LANGUAGE sql STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	WITH j AS (
	  SELECT a.finished_at AS t0, a.counters->'horizon' AS record,
		 (a.counters->'horizon'->>'xid')::bigint AS xid,
		 (a.counters->'horizon'->>'lsn')::pg_lsn AS lsn,
		 (a.counters->'horizon'->>'clear')::boolean AS clear,
		 CASE WHEN a.counters->'horizon' IS NULL
		      THEN 'not recorded when the action ended'
		      WHEN a.system_identifier::text IS DISTINCT FROM
			(SELECT system_identifier::text FROM pg_control_system())
		      THEN 'it was done on another server' END AS lost
	    FROM retention.archive_journal AS a
	   WHERE a.id = horizon.id AND a.status = 'done' AND a.action <> 'export'
	     AND a.restored_at IS NULL),
	-- Each view that reads what has changed, and its REFRESH since; a dropped or emptied one holds nothing.
	view AS (
	  SELECT v->>'name' AS name, e.at, e.lsn, e.how,
		 coalesce(retention.last_vacuum(c.oid) > e.at
			  AND pg_stat_get_dead_tuples(c.oid) = 0, false) AS vacuumed,
		 coalesce(retention.last_analyze(c.oid) > e.at, false) AS analyzed
	    FROM j, jsonb_array_elements(j.record->'views') AS v
	    JOIN pg_class AS c ON c.oid = (v->>'oid')::oid AND c.relispopulated
	    LEFT JOIN LATERAL (
	      SELECT e.at, (o.counters->'horizon'->>'lsn')::pg_lsn AS lsn,
		     e.details->'views'->>(v->>'name') AS how
		FROM retention.journal_event AS e
		JOIN retention.archive_journal AS o ON o.id = e.job
	       WHERE e.job >= horizon.id AND e.kind = 'refreshed'
		 AND e.details->'views' ? (v->>'name') AND o.finished_at IS NOT NULL
		 AND (o.id = horizon.id OR o.started_at > j.t0)
	       ORDER BY e.id LIMIT 1) AS e ON true),
	-- Each server of Citus that had shards of the tables: what was recorded of it, and what it says now.
	node AS (
	  SELECT f.name, n.value AS record, f.facts, f.undecided, f.failure, (n.value->>'xid')::bigint AS xid,
		 CASE WHEN n.value ? 'failure' THEN 'it was not asked when the action ended: ' || (n.value->>'failure')
		      WHEN n.value->>'system' IS DISTINCT FROM f.facts->>'system' AND f.facts IS NOT NULL
		      THEN 'another server has taken its place' ELSE f.failure END AS lost
	    FROM j, jsonb_each(j.record->'nodes') AS n
	    JOIN (SELECT f.* FROM j, retention.node_facts((
		    SELECT jsonb_object_agg(m.key, coalesce((SELECT jsonb_agg(t->'oid') FROM jsonb_array_elements(m.value->'tables') AS t), '[]'))
		      FROM jsonb_each(j.record->'nodes') AS m)) AS f) AS f ON f.node = n.key::int),
	silent AS (
	  SELECT string_agg(n.name || ' does not answer: ' || n.failure, ', ' ORDER BY n.name) AS now,
		 string_agg(n.name || ': ' || n.lost, ', ' ORDER BY n.name) AS ever
	    FROM node AS n),
	live AS (
	  SELECT greatest(j.t0, max(v.at)) AS since, greatest(j.lsn, max(v.lsn)) AS lsn,
		 nullif(concat_ws(', ', string_agg('REFRESH of ' || v.name, ', ' ORDER BY v.name) FILTER (WHERE v.at IS NULL),
				  (SELECT string_agg(n.undecided, ', ' ORDER BY n.name) FROM node AS n)), '') AS pending,
		 (SELECT s.now FROM silent AS s) AS silent
	    FROM j LEFT JOIN view AS v ON true GROUP BY j.t0, j.lsn),
	-- T1: a row for each reason to wait.
	part AS (
	  SELECT coalesce(t->>'name', '?') AS name, (t->>'vacuums')::bigint AS before,
		 CASE WHEN (t->>'vacuuming')::boolean THEN 2 ELSE 1 END AS needed,
		 '' AS place, (SELECT n.nspname || '.' || p.relname || CASE WHEN o.oid IS NOT NULL THEN ' (TOAST)' ELSE '' END
				 FROM pg_class AS p JOIN pg_namespace AS n ON n.oid = p.relnamespace
				WHERE p.oid = pg_partition_root(coalesce(o.oid, c.oid))) AS root,
		 retention.full_xid(c.relfrozenxid::text::bigint) AS xmin, j.xid, j.clear,
		 retention.vacuum_count(c.oid) AS vacuums,
		 (t->>'analyses')::bigint AS analyzed_before, retention.analyze_count(c.oid) AS analyses,
		 retention.last_analyze(c.oid) AS analyzed,
		 c.reltuples = 0 AND (NOT has_table_privilege(c.oid, 'SELECT') OR EXISTS (
		   SELECT FROM pg_stats AS s JOIN pg_namespace AS n ON n.nspname = s.schemaname
		    WHERE s.tablename = c.relname AND n.oid = c.relnamespace)) AS is_empty,
		 retention.last_vacuum(c.oid) AS last,
		 pg_stat_get_dead_tuples(c.oid) AS dead
	    FROM j, jsonb_array_elements(j.record->'tables') AS t
	-- Finds a table by its oid, whatever its name is now; the data of a dropped table is gone.
	    JOIN pg_class AS c ON c.oid = (t->>'oid')::oid
	    LEFT JOIN pg_class AS o ON c.relkind = 't' AND o.reltoastrelid = c.oid
	  UNION ALL
	  SELECT t->>'name', (t->>'vacuums')::bigint, CASE WHEN (t->>'vacuuming')::boolean THEN 2 ELSE 1 END,
		 ' on ' || n.name, NULL, (p->>'xmin')::bigint, n.xid, (n.record->>'clear')::boolean, (p->>'vacuums')::bigint,
		 (t->>'analyses')::bigint, (p->>'analyses')::bigint, (p->>'analyzed')::timestamptz, (p->>'is_empty')::boolean,
		 (p->>'vacuumed')::timestamptz, (p->>'dead')::bigint
	    FROM node AS n, jsonb_array_elements(n.record->'tables') AS t,
		 jsonb_array_elements(nullif(n.facts->'parts', 'null')) AS p
	   WHERE p->'oid' = t->'oid'),
	-- A reason is prefix, name, rest.  The partitions of a table that wait for the same are one reason.
	unclean AS (
	  SELECT h.name, h.root, CASE
		 WHEN h.before IS NULL THEN NULL
		 WHEN v.needed THEN 'VACUUM of '
		 WHEN NOT (h.clear OR h.dead = 0 OR coalesce(h.xmin > h.xid, false))
		 THEN 'another VACUUM of ' END AS prefix, h.place,
		 CASE WHEN v.needed THEN '' ELSE ': an older snapshot may have kept rows from the last' END AS rest
	    FROM j, part AS h, LATERAL (
		SELECT h.last IS NULL OR h.last <= j.t0 OR NOT (h.vacuums >= h.before + h.needed
	-- The statistics were reset: the second VACUUM that has ended since has begun since.
		      OR (h.vacuums < h.before AND h.vacuums >= 2)) AS needed) AS v
	  UNION ALL SELECT h.name, h.root, 'ANALYZE of ', h.place, CASE WHEN a.done THEN ' once it has rows' ELSE '' END
	    FROM j, part AS h, LATERAL (SELECT h.analyzed > j.t0 AND
		 (h.analyses >= h.analyzed_before + h.needed
		  OR (h.analyses < h.analyzed_before AND h.analyses >= 2)) AS done) AS a
	   WHERE h.analyzed_before IS NOT NULL AND (a.done IS NOT TRUE OR h.is_empty)
	  UNION ALL SELECT v.name, NULL, 'ANALYZE of ', '', '' FROM view AS v
	   WHERE v.at IS NOT NULL AND NOT v.analyzed
	  UNION ALL SELECT v.name, NULL, 'VACUUM of ', '', '' FROM view AS v
	   WHERE v.how = 'concurrently' AND NOT v.vacuumed
	  UNION ALL SELECT '', NULL, l.pending, '', '' FROM live AS l),
	held AS (
	  SELECT h.who FROM j, retention.snapshot_holders() AS h WHERE h.xid <= j.xid
	  UNION ALL SELECT (h->>'who') || ' on ' || n.name FROM node AS n, jsonb_array_elements(n.facts->'holders') AS h
	   WHERE (h->>'xid')::bigint <= n.xid),
	-- T2
	behind AS (
	  SELECT 'standby ' || coalesce(nullif(r.application_name, ''), r.pid::text) AS who,
		 r.state IS NULL OR r.replay_lsn IS NULL AS hidden
	    FROM live AS l, pg_stat_replication AS r
	   WHERE (r.state IS NULL OR r.state IN ('streaming', 'catchup'))
	     AND (r.replay_lsn IS NULL OR r.replay_lsn < l.lsn)
	  UNION ALL
	  SELECT 'replication slot ' || s.slot_name, false FROM live AS l, pg_replication_slots AS s
	   WHERE s.restart_lsn IS NOT NULL
	     AND coalesce(s.confirmed_flush_lsn, s.restart_lsn) < l.lsn
	  UNION ALL
	  SELECT 'standby ' || (r->>'who') || ' on ' || n.name, (r->>'hidden')::boolean
	    FROM node AS n, jsonb_array_elements(nullif(n.facts->'standbys', 'null')) AS r
	   WHERE coalesce((r->>'lsn')::pg_lsn < (n.record->>'lsn')::pg_lsn, true)
	  UNION ALL
	  SELECT 'replication slot ' || (s->>'who') || ' on ' || n.name, false
	    FROM node AS n, jsonb_array_elements(nullif(n.facts->'slots', 'null')) AS s
	   WHERE (s->>'lsn')::pg_lsn < (n.record->>'lsn')::pg_lsn
	  UNION ALL SELECT l.pending, false FROM live AS l WHERE l.pending IS NOT NULL),
	waits AS (
	  SELECT 'T1' AS step, 'pages of the tables' AS what, NOT pg_has_role('pg_read_all_stats', 'USAGE')
		   OR EXISTS (SELECT FROM node AS n WHERE (n.facts->>'hidden')::boolean) AS hidden,
		 nullif(concat_ws(', ', (SELECT string_agg(DISTINCT who, ', ') FROM held),
				  (SELECT string_agg(u.prefix || u.name || u.rest, ', ' ORDER BY u.first, u.prefix DESC)
				     FROM (SELECT min(d.name) AS first, d.prefix, d.place || d.rest AS rest,
						  CASE WHEN count(*) = 1 THEN min(d.name)
						       ELSE d.root || ' (' || count(*) || ' partitions)' END AS name
					     FROM (SELECT DISTINCT * FROM unclean) AS d
					    GROUP BY d.root, CASE WHEN d.root IS NULL THEN d.name END, d.prefix, d.place, d.rest) AS u)),
			'')
		   AS pending
	  UNION ALL
	  SELECT 'T2', 'standbys and slots', bool_or(hidden),
		 string_agg(DISTINCT who, ', ') FILTER (WHERE NOT hidden) FROM behind)
	SELECT 'T0' AS step, 'live tables' AS what,
	       s.state, CASE WHEN s.state = 'reached' THEN l.since END AS since, coalesce(l.pending, l.silent) AS waits_for
	  FROM live AS l, LATERAL (SELECT CASE WHEN l.pending IS NOT NULL THEN 'pending'
		 WHEN l.silent IS NOT NULL THEN 'unknown' ELSE 'reached' END AS state) AS s
	UNION ALL
	-- Its rows are back, and gone from nowhere.
	SELECT 'T0', 'live tables', 'undone', a.restored_at, NULL
	  FROM retention.archive_journal AS a
	 WHERE a.id = horizon.id AND a.restored_at IS NOT NULL
	UNION ALL
	SELECT w.step, w.what, s.state,
	       CASE WHEN s.state = 'reached' AND w.step = 'T1'
		    THEN greatest(l.since, (SELECT max(greatest(last, analyzed)) FROM part)) END,
	       coalesce(j.lost, CASE WHEN s.state <> 'unknown' THEN w.pending
				     ELSE coalesce(o.ever, 'grant pg_read_all_stats to the owner of schema retention') END)
	  FROM j, live AS l, silent AS o, waits AS w, LATERAL (SELECT CASE WHEN j.lost IS NOT NULL OR o.ever IS NOT NULL THEN 'unknown'
		 WHEN w.pending IS NOT NULL THEN 'pending'
		 WHEN w.hidden THEN 'unknown' ELSE 'reached' END AS state) AS s
	UNION ALL
	SELECT 'T3', 'backups and archived WAL', s.state, CASE WHEN s.state = 'reached' THEN b.until END,
	       CASE WHEN b.value IS NULL THEN 'no configuration was read'
		    WHEN b.keep IS NULL THEN 'backups.keep of the configuration'
		    WHEN coalesce(l.pending, l.silent) IS NOT NULL THEN coalesce(l.pending, l.silent)
		    WHEN s.state = 'pending'
		    THEN to_char(b.until AT TIME ZONE retention.time_zone(), 'YYYY-MM-DD HH24:MI') END
	  FROM live AS l
	 CROSS JOIN LATERAL (
		SELECT k.value, nullif(k.value, '')::interval AS keep,
		       retention.kept_until(l.since, nullif(k.value, '')::interval) AS until
		  FROM (SELECT (SELECT s.value FROM retention.setting AS s WHERE s.name = 'backups_keep') AS value) AS k) AS b
	 CROSS JOIN LATERAL (
		SELECT CASE WHEN b.value IS NULL THEN 'unknown'
			    WHEN b.keep IS NULL THEN 'not declared'
			    WHEN l.pending IS NULL AND l.silent IS NOT NULL THEN 'unknown'
			    WHEN l.pending IS NULL AND b.until <= now() THEN 'reached' ELSE 'pending' END AS state) AS s
$$;
