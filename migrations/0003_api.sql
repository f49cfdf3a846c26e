-- The public API: what a person, a web page or the CRM calls.  Each function is atomic, records the
-- session's own role, and refuses with a message that says what to do.

-- Today, in the time zone of the configuration: what "in the future" is measured by.
CREATE FUNCTION retention.today() RETURNS date
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT (now() AT TIME ZONE coalesce(
		(SELECT value FROM retention.setting WHERE name = 'timezone'),
		current_setting('TimeZone')))::date
$$;

CREATE FUNCTION retention.save_action(action text, from_date date, to_date date,
				      archive text DEFAULT NULL) RETURNS int
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	mode_of_archive text := coalesce(archive, CASE action WHEN 'export' THEN 'listed' ELSE 'none' END);
	new_id int;
BEGIN
	IF action IS NULL OR action NOT IN
	   ('export', 'delete_contacts', 'anonymize_contacts', 'anonymize_requests') THEN
		RAISE EXCEPTION 'unknown action "%"', coalesce(action, 'NULL')
			USING ERRCODE = 'invalid_parameter_value',
			      HINT = 'Actions: export, delete_contacts, anonymize_contacts, anonymize_requests.';
	END IF;
	IF mode_of_archive NOT IN ('none', 'listed', 'full') THEN
		RAISE EXCEPTION 'unknown archive mode "%"', mode_of_archive
			USING ERRCODE = 'invalid_parameter_value', HINT = 'Modes: none, listed, full.';
	END IF;
	IF action LIKE 'anonymize%' AND mode_of_archive <> 'none' THEN
		RAISE EXCEPTION 'an anonymization cannot be archived: it leaves nothing to go back to'
			USING ERRCODE = 'invalid_parameter_value',
			      HINT = 'Leave the archive mode out, or give none.';
	END IF;
	IF action = 'export' AND mode_of_archive = 'none' THEN
		RAISE EXCEPTION 'an export without an archive would do nothing'
			USING ERRCODE = 'invalid_parameter_value', HINT = 'Give listed or full.';
	END IF;
	IF from_date IS NULL OR to_date IS NULL OR NOT isfinite(from_date) OR NOT isfinite(to_date) THEN
		RAISE EXCEPTION 'both days of the interval are needed'
			USING ERRCODE = 'invalid_parameter_value',
			      HINT = 'Give the first and the last day, as YYYY-MM-DD.';
	END IF;
	IF to_date < from_date THEN
		RAISE EXCEPTION 'the interval ends (%) before it starts (%)', to_date, from_date
			USING ERRCODE = 'invalid_parameter_value', HINT = 'Exchange the two days.';
	END IF;
	IF to_date >= from_date + interval '1 month' THEN
		RAISE EXCEPTION 'the interval from % to % is longer than one month', from_date, to_date
			USING ERRCODE = 'invalid_parameter_value',
			      HINT = format('Both days count: from %s, it can end on %s at the latest.',
					    from_date, (from_date + interval '1 month' - interval '1 day')::date);
	END IF;
	IF to_date > retention.today() THEN
		RAISE EXCEPTION 'the interval ends in the future (%; today is %)',
				to_date, retention.today()
			USING ERRCODE = 'invalid_parameter_value',
			      HINT = 'Requests can still be attached to a day to come: end it today or before.';
	END IF;

	INSERT INTO retention.archive_journal AS j (action, mode, status, from_date, to_date, archive)
	VALUES (action, 'manual', 'saved', from_date, to_date, mode_of_archive)
	RETURNING j.id INTO new_id;
	PERFORM pg_notify('retention', 'saved ' || new_id);
	RETURN new_id;
END
$$;

-- The row of an action, locked: whoever comes second sees what the first has made of it.
CREATE FUNCTION retention.lock_action(id int) RETURNS retention.archive_journal
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	j retention.archive_journal;
BEGIN
	SELECT * INTO j FROM retention.archive_journal WHERE archive_journal.id = lock_action.id FOR UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'there is no action %', coalesce(id::text, 'NULL')
			USING ERRCODE = 'no_data_found', HINT = 'See retention.archives for their numbers.';
	END IF;
	RETURN j;
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
	IF j.status <> 'saved' THEN
		RAISE EXCEPTION 'action % is %: only a saved action can be validated', id, j.status
			USING ERRCODE = 'object_not_in_prerequisite_state';
	END IF;
	IF j.frozen_at IS NULL THEN
		RAISE EXCEPTION 'action % is not listed yet: nobody knows what it would touch', id
			USING ERRCODE = 'object_not_in_prerequisite_state',
			      HINT = 'The daemon lists it when it is saved: is retentiond running?  Try again in a moment.';
	END IF;
	IF j.requested_by = session_user AND
	   (SELECT value FROM retention.setting WHERE name = 'four_eyes') = 'true' THEN
		RAISE EXCEPTION 'action % was saved by you: somebody else has to validate it', id
			USING ERRCODE = 'insufficient_privilege', HINT = 'The configuration asks for four eyes.';
	END IF;
	UPDATE retention.archive_journal SET status = 'validated', validated_by = session_user,
	       validated_at = clock_timestamp()
	 WHERE archive_journal.id = j.id;
	PERFORM pg_notify('retention', 'validated ' || id);
END
$$;

CREATE FUNCTION retention.cancel_action(id int) RETURNS void
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
	PERFORM pg_notify('retention', 'cancelled ' || id);
END
$$;

-- A key as the contact's table writes it, so that a hold on " 7F3A-..." or "007" covers its contact.
CREATE FUNCTION retention.contact_key(key text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	key_type text := (SELECT value FROM retention.setting WHERE name = 'contact_key_type');
	canonical text := btrim(key);
BEGIN
	IF canonical IS NULL OR canonical = '' THEN
		RAISE EXCEPTION 'the contact''s key is missing' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF key_type IN ('smallint', 'integer', 'bigint') THEN
		RETURN canonical::bigint;
	ELSIF key_type = 'uuid' THEN
		RETURN canonical::uuid;
	END IF;
	RETURN key;
EXCEPTION WHEN invalid_text_representation OR numeric_value_out_of_range THEN
	RAISE EXCEPTION '"%" is no key of a contact: it should be a %', key, key_type
		USING ERRCODE = 'invalid_parameter_value';
END
$$;

CREATE FUNCTION retention.place_hold(contact_key text, reason text,
				     expires_at timestamptz DEFAULT NULL,
				     review_date date DEFAULT NULL) RETURNS int
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	new_id int;
BEGIN
	IF coalesce(btrim(reason), '') = '' THEN
		RAISE EXCEPTION 'a hold needs a reason' USING ERRCODE = 'invalid_parameter_value',
			HINT = 'An auditor will ask for it: name the case, not the person.';
	END IF;
	IF expires_at <= now() THEN
		RAISE EXCEPTION 'the hold would have expired already (%)', expires_at
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	-- One that ran out is closed first: it is history, not a reason to refuse the new one.
	UPDATE retention.hold h SET released_at = h.expires_at, released_by = 'expiry'
	 WHERE h.contact_key = retention.contact_key(place_hold.contact_key)
	   AND h.released_at IS NULL AND h.expires_at <= now();
	INSERT INTO retention.hold AS h (contact_key, reason, expires_at, review_date)
	VALUES (retention.contact_key(place_hold.contact_key), place_hold.reason,
		place_hold.expires_at, place_hold.review_date)
	RETURNING h.id INTO new_id;
	INSERT INTO retention.journal_event (kind, details)
	VALUES ('hold_placed', jsonb_build_object('hold', new_id, 'contact',
		retention.contact_key(place_hold.contact_key)));
	RETURN new_id;
EXCEPTION WHEN unique_violation THEN
	RAISE EXCEPTION 'contact % is on hold already', contact_key
		USING ERRCODE = 'object_not_in_prerequisite_state',
		      HINT = 'Release that hold first, or leave it.';
END
$$;

CREATE FUNCTION retention.release_hold(contact_key text) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	old_id int;
BEGIN
	UPDATE retention.hold h SET released_at = now(), released_by = session_user
	 WHERE h.contact_key = retention.contact_key(release_hold.contact_key)
	   AND h.released_at IS NULL
	RETURNING h.id INTO old_id;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'contact % is not on hold', contact_key
			USING ERRCODE = 'no_data_found';
	END IF;
	INSERT INTO retention.journal_event (kind, details)
	VALUES ('hold_released', jsonb_build_object('hold', old_id, 'contact',
		retention.contact_key(release_hold.contact_key)));
END
$$;

-- For the daemon.

-- What the functions above must know of the configuration.
CREATE FUNCTION retention.configure(timezone text, four_eyes boolean, contact_key_type text)
RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
	INSERT INTO retention.setting AS s (name, value)
	VALUES ('timezone', timezone), ('four_eyes', four_eyes::text),
	       ('contact_key_type', contact_key_type)
	ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE s.value <> excluded.value
$$;

-- A policy's occurrence becomes an action, once, however many daemons ask.  NULL: there is nothing
-- to start, since another daemon has it or the policy's last pass has not ended.
CREATE FUNCTION retention.begin_occurrence(policy text, schedule text, occurrence timestamptz,
					   next timestamptz, action text, depth interval,
					   archive text) RETURNS int
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	new_id int;
BEGIN
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

-- A policy seen for the first time, or under a new schedule, waits for its next occurrence.
CREATE FUNCTION retention.watch_policy(policy text, schedule text, next timestamptz)
RETURNS timestamptz
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
	INSERT INTO retention.policy_state AS s (policy, schedule, last_occurrence, next_occurrence)
	VALUES (watch_policy.policy, watch_policy.schedule, now(), watch_policy.next)
	ON CONFLICT ON CONSTRAINT policy_state_pkey DO UPDATE
	SET schedule = excluded.schedule, next_occurrence = excluded.next_occurrence,
	    last_occurrence = CASE WHEN s.schedule = excluded.schedule THEN s.last_occurrence
				   ELSE now() END,
	    updated_at = now()
	RETURNING last_occurrence
$$;

-- The actions that can be taken on now, those that began on this host first.  One that began
-- elsewhere is offered too: the job looks whether its archive's folder can be reached from here (a
-- container has a new host name each time), and leaves it to that host if it cannot.
CREATE FUNCTION retention.runnable(host text)
RETURNS TABLE (id int, action text, policy text, status text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT j.id, j.action, j.policy, j.status
	  FROM retention.archive_journal j
	 WHERE (j.status IN ('validated', 'running') OR (j.status = 'saved' AND j.frozen_at IS NULL))
	 ORDER BY j.status <> 'running', j.host IS DISTINCT FROM runnable.host, j.id
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA retention FROM PUBLIC;
GRANT EXECUTE ON FUNCTION retention.today(), retention.event_hash(bytea, retention.journal_event)
	TO retention_auditor, retention_operator, retention_approver, retention_daemon;
GRANT EXECUTE ON FUNCTION retention.save_action(text, date, date, text),
	retention.cancel_action(int) TO retention_operator;
GRANT EXECUTE ON FUNCTION retention.validate_action(int) TO retention_approver;
GRANT EXECUTE ON FUNCTION retention.place_hold(text, text, timestamptz, date),
	retention.release_hold(text) TO retention_operator, retention_approver;
GRANT EXECUTE ON FUNCTION retention.configure(text, boolean, text),
	retention.begin_occurrence(text, text, timestamptz, timestamptz, text, interval, text),
	retention.watch_policy(text, text, timestamptz), retention.runnable(text)
	TO retention_daemon;
