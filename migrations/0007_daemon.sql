-- The functions that the daemon calls.

-- Stores the settings that the functions of this schema read.
CREATE FUNCTION retention.configure(timezone text, four_eyes boolean, contact_key_type text)
RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
	INSERT INTO retention.setting AS s (name, value)
	VALUES ('timezone', timezone), ('four_eyes', four_eyes::text),
	       ('contact_key_type', retention.key_type(contact_key_type))
	ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE s.value <> excluded.value
$$;

-- Keeps the canonical text of a configuration under which a job works, and returns its SHA-256.  A text that is new here is
-- told by an event: its daemon has not accepted it in this database, because a restored backup has forgotten that.
CREATE FUNCTION retention.keep_configuration(content bytea) RETURNS text
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	digest text := encode(sha256(content), 'hex');
BEGIN
	IF retention.erasing_job() IS NOT NULL THEN
		RAISE EXCEPTION 'this session erases, and keeps no configuration'
			USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'retention.configuration_erasing';
	END IF;
	INSERT INTO retention.configuration (sha256, content) VALUES (digest, keep_configuration.content)
	    ON CONFLICT DO NOTHING;
	IF FOUND THEN
		INSERT INTO retention.journal_event (kind, details)
		VALUES ('configuration', jsonb_build_object('sha256', digest));
	END IF;
	RETURN digest;
END
$$;

-- Keeps the configuration that is in force from now on.  Where the daemon of this host and file had another one, an event
-- says so: which it was, which user of the host has asked for the reload (NULL: the daemon has started), and whether the
-- change has switched four_eyes.
CREATE FUNCTION retention.accept_configuration(content bytea, host text, file text, asked_by text, four_eyes boolean)
RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	digest text := encode(sha256(content), 'hex');
	was jsonb := (SELECT e.details FROM retention.journal_event AS e
		       WHERE e.kind = 'configuration' AND e.details->>'host' = accept_configuration.host
			 AND e.details->>'file' = accept_configuration.file
		       ORDER BY e.id DESC LIMIT 1);
BEGIN
	IF was->>'sha256' IS DISTINCT FROM digest AND retention.erasing_job() IS NULL THEN
		INSERT INTO retention.configuration (sha256, content) VALUES (digest, accept_configuration.content)
		    ON CONFLICT DO NOTHING;
		INSERT INTO retention.journal_event (kind, details)
		VALUES ('configuration', jsonb_strip_nulls(jsonb_build_object(
			'sha256', digest, 'was', was->'sha256', 'host', host, 'file', file, 'by', asked_by,
			'four_eyes', four_eyes,
			'four_eyes_was', nullif(was->'four_eyes', to_jsonb(four_eyes)))));
	END IF;
END
$$;

-- Stores archives.keep, after which check_archive_change() lets an archive expire; NULL: never.
CREATE FUNCTION retention.configure_keep(keep interval) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
	INSERT INTO retention.setting AS s (name, value) VALUES ('archives_keep', coalesce(keep::text, ''))
	ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE s.value <> excluded.value
$$;

-- Stores backups.keep, after which horizon() takes an erasure for complete; NULL: the configuration does not say.
CREATE FUNCTION retention.configure_backups(keep interval) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
	INSERT INTO retention.setting AS s (name, value) VALUES ('backups_keep', coalesce(keep::text, ''))
	ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE s.value <> excluded.value
$$;

-- Turns an occurrence of a policy into an action, once, however many daemons ask.  Returns NULL when there is
-- nothing to start: another daemon has it, the policy's last pass has not ended, or a replay comes first
-- because the database has forgotten erasures that its ledger file knows.  policy_version: of a policy of the page.
CREATE FUNCTION retention.begin_occurrence(policy text, schedule text, occurrence timestamptz,
					   next timestamptz, action text, depth interval,
					   archive text, policy_version int DEFAULT NULL) RETURNS int
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	new_id int;
BEGIN
	IF EXISTS (SELECT FROM retention.replay) THEN
		RETURN NULL;
	END IF;
	-- A pass that has not ended comes first.  The daemon asks for the occurrence again afterwards.
	IF EXISTS (SELECT FROM retention.archive_journal j
		   WHERE j.policy = begin_occurrence.policy
		     AND j.status IN ('saved', 'validated', 'running')) THEN
		RETURN NULL;
	END IF;
	INSERT INTO retention.archive_journal AS j
		(action, mode, status, policy, policy_version, occurrence, depth, archive)
	VALUES (begin_occurrence.action, 'automatic', 'saved', begin_occurrence.policy,
		begin_occurrence.policy_version, begin_occurrence.occurrence, begin_occurrence.depth, begin_occurrence.archive)
	ON CONFLICT ON CONSTRAINT archive_journal_policy_occurrence_part_key DO NOTHING
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

-- A policy that is new, or that has a new schedule, waits for its next occurrence.
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

-- Stores a policy of the configuration in force.  The figures of one that has changed are not its own any longer.
CREATE FUNCTION retention.configure_policy(name text, place int, action text, depth interval, schedule text,
					   archive text, scope text, approval boolean, enabled boolean,
					   source text) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
	DELETE FROM retention.policy AS p
	 WHERE p.name = configure_policy.name AND
	       (p.action, p.depth, p.schedule, p.archive, p.scope, p.approval, p.enabled, p.source) IS DISTINCT FROM
	       (configure_policy.action, configure_policy.depth, configure_policy.schedule, configure_policy.archive,
		configure_policy.scope, configure_policy.approval, configure_policy.enabled, configure_policy.source);
	INSERT INTO retention.policy AS p
		(name, place, action, depth, schedule, archive, scope, approval, enabled, source)
	VALUES (configure_policy.name, configure_policy.place, configure_policy.action, configure_policy.depth,
		configure_policy.schedule, configure_policy.archive, configure_policy.scope, configure_policy.approval,
		configure_policy.enabled, configure_policy.source)
	ON CONFLICT ON CONSTRAINT policy_pkey DO UPDATE SET place = excluded.place WHERE p.place <> excluded.place
$$;

-- Removes the policies that are not among those of the configuration in force.
CREATE FUNCTION retention.keep_policies(names text[]) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
	DELETE FROM retention.policy AS p WHERE p.name <> ALL (names)
$$;

-- Stores what the survey has found of a policy.
CREATE FUNCTION retention.measure_policy(name text, cutoff_next timestamptz, due_next bigint, held_next bigint,
					 overdue bigint, overdue_since timestamptz, refused text) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
	UPDATE retention.policy AS p
	   SET cutoff_next = measure_policy.cutoff_next, due_next = measure_policy.due_next,
	       held_next = measure_policy.held_next, overdue = measure_policy.overdue,
	       overdue_since = measure_policy.overdue_since, refused = measure_policy.refused, measured_at = now()
	 WHERE p.name = measure_policy.name
$$;

-- The actions that can run now.  Those that began on this host come first.  An action that began elsewhere is
-- offered too, because a container has a new host name each time: the job checks whether the archive's folder
-- can be reached from here, and leaves the action to the other host if it cannot.  An action with paused_by is
-- named, but must not be started.
CREATE FUNCTION retention.runnable(host text)
RETURNS TABLE (id int, action text, policy text, status text, paused_by text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT j.id, j.action, CASE WHEN j.replay THEN 'replay' ELSE j.policy END, j.status, p.paused_by
	  FROM retention.archive_journal j
	  LEFT JOIN retention.paused_action p ON p.job = j.id
	 WHERE (j.status IN ('validated', 'running') OR (j.status = 'saved' AND j.frozen_at IS NULL))
	   AND (j.replay OR NOT EXISTS (SELECT FROM retention.replay))
	 ORDER BY j.status <> 'running', j.host IS DISTINCT FROM runnable.host, j.id
$$;

-- The archives that the daemon on this host has to look at: those that were deleted and whose files may still
-- exist, and those that have expired after keep (NULL: never).  One that was deleted by expiry is among them only when
-- keep, which is the configuration's, has passed: the journal may have been told another.  name is the name of the folder, made of columns
-- that cannot be changed in the journal.  The name has the day of the request, which depends on the time zone that the
-- configuration had then.  So three days are possible, and archive_path only decides which of them it is.
-- here: the archive was written on this host into this directory.
CREATE FUNCTION retention.archives_to_remove(host text, directory text, keep interval, timezone text)
RETURNS TABLE (id int, name text, deleted boolean, here boolean, unknown boolean)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT j.id, n.name, j.archive_deleted_at IS NOT NULL,
	       j.host IS NOT DISTINCT FROM archives_to_remove.host AND
	       j.archive_path = archives_to_remove.directory || '/' || n.name, false
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
	   AND (j.archive_deleted_by <> 'expiry' OR
		retention.kept_until(j.finished_at, archives_to_remove.keep, archives_to_remove.timezone) <= now())
	 UNION ALL
	SELECT u.job, u.name, u.deleted_at IS NOT NULL,
	       u.host = archives_to_remove.host AND u.directory = archives_to_remove.directory, true
	  FROM retention.unknown_archive AS u
	 WHERE u.deleted_by <> 'expiry' OR
	       retention.kept_until(u.date, archives_to_remove.keep, archives_to_remove.timezone) <= now()
	 ORDER BY 1, 2
$$;

-- Takes the name of an archive's folder apart: day, action, policy, number, and what is behind it while the archive
-- is written or removed.
CREATE FUNCTION retention.archive_name_parts(entry text) RETURNS text[]
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT regexp_match(entry, '^(\d{8})-(export|delete_contacts|anonymize_contacts|anonymize_requests)'
		'-(.+)-(\d{1,9})((?:\.partial)?(?:\.deleted)?)$')
$$;

-- Sees to it that no number is given again that a folder of archives.directory or the ledger has used, because
-- otherwise folders and lines would lose their meaning.  Returns the folders that the journal does not know.
CREATE FUNCTION retention.unknown_archives(names text[])
RETURNS TABLE (entry text, name text, job int)
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT retention.skip_numbers(greatest(
		(SELECT max((retention.archive_name_parts(n))[4]::int) FROM unnest(names) AS n),
		(SELECT max(l.job) FROM retention.ledger AS l WHERE l.job < 1000000000),
		(SELECT max(r.job) FROM retention.replay AS r WHERE r.job < 1000000000)));

	SELECT n.entry, left(n.entry, length(n.entry) - length(p.part[5])), p.part[4]::int
	  FROM unnest(names) AS n(entry), LATERAL (SELECT retention.archive_name_parts(n.entry)) AS p(part)
	 WHERE p.part IS NOT NULL AND NOT EXISTS (
		SELECT FROM retention.archive_journal AS j
		 WHERE j.id = p.part[4]::int AND j.action = p.part[2] AND coalesce(j.policy, 'manual') = p.part[3]
		   AND j.archive_removed_at IS NULL
		   AND to_char((j.requested_at AT TIME ZONE 'UTC')::date - 1, 'YYYYMMDD') <= p.part[1]
		   AND to_char((j.requested_at AT TIME ZONE 'UTC')::date + 1, 'YYYYMMDD') >= p.part[1]
		   AND (j.status IN ('saved', 'validated') OR
			left(n.entry, length(n.entry) - length(p.part[5])) = regexp_replace(j.archive_path, '.*/', '')))
$$;

-- Gives the oldest open request that this host can answer and that no session which lives has taken; no row: none.  A
-- request is given up after five tries that did not end.  The survey answers "measure" (job/mode_measure.c).  started is
-- retention.session_start() of the caller.
CREATE FUNCTION retention.take_request(host text, started timestamptz)
RETURNS TABLE (id int, kind text, job int, subject text, document text)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	r retention.request;
BEGIN
	FOR r IN SELECT q.* FROM retention.request AS q
		   LEFT JOIN retention.archive_journal AS j ON j.id = q.job
		  WHERE q.ended_at IS NULL AND q.kind <> 'measure' AND (j.id IS NULL OR j.host = take_request.host)
		  ORDER BY q.id
	LOOP
		CONTINUE WHEN NOT retention.claim_action(-r.id, started);
		IF r.attempts >= 5 THEN
			PERFORM retention.end_request(r.id, 'failed',
				jsonb_build_object('text', 'the daemon has died of it five times'));
			CONTINUE;
		END IF;
		-- It may have ended since it was read.  The document's name says when it was asked for, because after a restored
		-- backup a number is given again.
		RETURN QUERY
		UPDATE retention.request AS q
		   SET host = take_request.host, taken_at = clock_timestamp(), attempts = q.attempts + 1,
		       document = CASE q.kind WHEN 'subject_export' THEN
				  format('%s-%s.json.age', to_char(q.asked_at AT TIME ZONE 'UTC', 'YYYYMMDD"T"HH24MISSMS'), q.id) END
		 WHERE q.id = r.id AND q.ended_at IS NULL
		RETURNING q.id, q.kind, q.job, q.subject, q.document;
		IF FOUND THEN
			RETURN;
		END IF;
	END LOOP;
END
$$;

-- Records the answer to a request.  outcome: ok, failed, or refused; result: sentences and counts.
CREATE FUNCTION retention.end_request(id int, outcome text, result jsonb) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	r retention.request;
BEGIN
	IF retention.erasing_job() IS NOT NULL THEN
		RAISE EXCEPTION 'this session erases, and answers no request'
			USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'retention.request_erasing';
	END IF;
	UPDATE retention.request AS q
	   SET ended_at = clock_timestamp(), outcome = end_request.outcome, result = end_request.result,
	       document = CASE WHEN end_request.outcome = 'ok' THEN q.document END
	 WHERE q.id = end_request.id AND q.ended_at IS NULL
	RETURNING q.* INTO r;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	DELETE FROM retention.claimed AS c WHERE c.job = -r.id;
	INSERT INTO retention.journal_event (job, kind, details)
	VALUES (r.job, 'answered', jsonb_build_object('request', r.id, 'what', r.kind, 'outcome', r.outcome));
	PERFORM pg_notify('retention', 'answered ' || r.id);
END
$$;

-- Gives the documents of this host, and whether their time is over: they are kept for 30 days.
CREATE FUNCTION retention.documents(host text) RETURNS TABLE (id int, document text, expired boolean)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT r.id, r.document, r.ended_at + interval '30 days' <= now()
	  FROM retention.request AS r
	 WHERE r.document IS NOT NULL AND r.document_removed_at IS NULL AND r.host = documents.host
$$;

-- Redeems a ticket for a file: once, within its minute.  No row: it is unknown, was used, or is too old.  elsewhere: it is
-- for a document that is not on this host, or not there any longer.
CREATE FUNCTION retention.take_download(ticket bytea, host text)
RETURNS TABLE (id int, job int, file text, asked_by text, elsewhere boolean)
LANGUAGE sql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	UPDATE retention.download AS d SET taken_at = clock_timestamp()
	 WHERE d.ticket_sha256 = sha256(ticket) AND d.taken_at IS NULL AND d.expires_at > clock_timestamp()
	   AND retention.erasing_job() IS NULL
	RETURNING d.id, d.job, d.file, d.asked_by,
		  EXISTS (SELECT FROM retention.request AS r
			   WHERE r.id = d.request AND
				 (r.host IS DISTINCT FROM take_download.host OR r.document_removed_at IS NOT NULL))
$$;

-- The time at which the text of a manifest.json was written; NULL: it does not say, or is not such a text.
CREATE FUNCTION retention.manifest_time(manifest text) RETURNS timestamptz
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $$
BEGIN
	RETURN (manifest::jsonb ->> 'finished')::timestamptz;
EXCEPTION WHEN data_exception THEN
	RETURN NULL;
END
$$;

-- Records what the daemon found in a folder of unknown_archives().  The digests stay those of the first time that the
-- folder was seen as it is, so that a later change is found.  A time that is yet to come is not believed.
CREATE FUNCTION retention.record_unknown_archive(entry text, host text, directory text, bytes bigint,
						 newest bigint, sums_sha256 text, manifest text,
						 manifest_sha256 text) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
	INSERT INTO retention.unknown_archive AS u (name, host, directory, sealed, job, action, policy, date, bytes,
						    sums_sha256, manifest_sha256)
	SELECT left(entry, length(entry) - length(p.part[5])), host, directory, p.part[5] !~ 'partial',
	       p.part[4]::int, p.part[2], nullif(p.part[3], 'manual'),
	       CASE WHEN retention.manifest_time(manifest) <= now() THEN retention.manifest_time(manifest)
		    ELSE to_timestamp(newest) END, bytes, sums_sha256, manifest_sha256
	  FROM retention.archive_name_parts(entry) AS p(part)
	    ON CONFLICT ON CONSTRAINT unknown_archive_pkey DO UPDATE
	   SET host = excluded.host, directory = excluded.directory, sealed = excluded.sealed, seen_at = now(),
	       bytes = excluded.bytes, date = excluded.date,
	       sums_sha256 = CASE WHEN u.sealed THEN u.sums_sha256 ELSE excluded.sums_sha256 END,
	       manifest_sha256 = CASE WHEN u.sealed THEN u.manifest_sha256 ELSE excluded.manifest_sha256 END
$$;

-- Up to which event of the journal somebody was told (notify.command); no row: nobody was asked to yet.  All daemons of
-- the database have it in common.
CREATE TABLE retention.told (
	only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
	event bigint NOT NULL,
	at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TRIGGER not_while_erasing BEFORE INSERT OR UPDATE OR DELETE ON retention.told
	FOR EACH STATEMENT EXECUTE FUNCTION retention.refuse_erasing();

-- Names the event for notify.on; NULL: nobody is told of it.  A list whose action is not `saved` any longer waits for
-- nobody.  A refusal is told when its reason is new: the event of each other change of the row repeats it.
CREATE FUNCTION retention.notice_of(e retention.journal_event) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE
		WHEN e.kind IN ('failed', 'crashed') THEN 'failed'
		WHEN e.kind = 'model_refused' THEN 'refused'
		WHEN e.kind = 'noted' AND e.details->>'status' IN ('saved', 'validated', 'running') AND
		     e.details->>'error' IS DISTINCT FROM (
			SELECT p.details->>'error' FROM retention.journal_event AS p
			 WHERE p.job = e.job AND p.id < e.id AND p.details ? 'requested_by'
			 ORDER BY p.id DESC LIMIT 1) AND e.details ? 'error' THEN 'refused'
		WHEN e.kind = 'listed' AND EXISTS (
			SELECT FROM retention.archive_journal AS j WHERE j.id = e.job AND j.status = 'saved') THEN 'waiting'
		WHEN e.kind = 'done' THEN
			CASE WHEN (e.details#>>'{counters,failed}')::bigint > 0 OR (e.details#>>'{counters,left}')::bigint > 0 OR
				  (NOT e.details ? 'policy' AND e.details#>'{counters,rest}' IS NOT NULL)
			     THEN 'incomplete' ELSE 'done' END
		WHEN e.kind IN ('restored', 'ledger_ahead') THEN 'restored'
	       END
$$;

-- What notify.command is told of an event: names of the configuration, numbers and times.  No key, no person and no
-- message, because a message of the server can quote a value.
CREATE FUNCTION retention.notice_content(e retention.journal_event) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT jsonb_strip_nulls(jsonb_build_object(
		'event', n.name, 'id', e.id, 'at', to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
		'database', current_database(), 'kind', e.kind,
		'job', e.job, 'action', j.action, 'mode', j.mode, 'policy', j.policy, 'replay', j.replay, 'status', j.status,
		'candidates', j.candidates,
		'treated', e.details#>'{counters,treated}', 'failed', e.details#>'{counters,failed}',
		'left', e.details#>'{counters,left}',
		'text', format('retentiond, %s: %s', current_database(), CASE
			WHEN e.kind = 'model_refused' THEN 'the model is refused, and nothing runs: see the log, or retentionctl model check'
			WHEN e.kind = 'ledger_ahead' THEN
				'the database was restored from a backup that has forgotten erasures: see retentionctl replay'
			WHEN e.job IS NULL THEN e.kind
			ELSE format('action %s (%s) %s: see retentionctl show %s', e.job,
				concat_ws(', ', j.policy, concat(CASE WHEN j.replay THEN 'replay of ' END, j.action)), CASE
				WHEN e.kind = 'crashed' THEN 'has died, and is tried again'
				WHEN e.kind = 'restored' THEN 'is undone: its archive was put back'
				WHEN n.name = 'failed' THEN 'has failed'
				WHEN n.name = 'refused' THEN 'is refused, and waits for a person'
				WHEN n.name = 'waiting' THEN format('waits for a person''s validation, with %s due', j.candidates)
				WHEN n.name = 'incomplete' THEN 'is done, but not with all'
				ELSE 'is done' END || CASE WHEN e.kind = 'done' THEN
					format(', %s treated', e.details#>>'{counters,treated}') ELSE '' END, e.job)
			END)))
	  FROM (SELECT retention.notice_of(e) AS name) AS n
	  LEFT JOIN retention.archive_journal AS j ON j.id = e.job
$$;

-- Notes that somebody was told of the event told, and of all before (NULL: of nothing new), and gives the next of which
-- somebody is to be told: the oldest one, wanted by name.  No row: there is none, and the next call begins behind the
-- newest event.  At the first call everything that has happened counts as told.  Where more than most wait, the oldest of
-- them are dropped, and what is told is how many.  Events become visible in the order of their numbers (chain_event()), so
-- that none comes later before the mark.
CREATE FUNCTION retention.next_notice(told bigint, wanted text[], most int) RETURNS TABLE (event bigint, content jsonb)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	top bigint := (SELECT coalesce(max(e.id), 0) FROM retention.journal_event AS e);
	mark bigint;
	cut bigint;
BEGIN
	INSERT INTO retention.told AS t (event)
	VALUES (coalesce(next_notice.told, top))
	    ON CONFLICT ON CONSTRAINT told_pkey DO UPDATE SET event = excluded.event, at = excluded.at
	 WHERE next_notice.told IS NOT NULL AND t.event < next_notice.told;
	SELECT t.event INTO mark FROM retention.told AS t;
	SELECT x.id INTO cut FROM (
		SELECT e.id FROM retention.journal_event AS e
		 WHERE e.id > mark AND e.id <= top AND retention.notice_of(e) = ANY (wanted)
		 ORDER BY e.id DESC OFFSET most LIMIT 1) AS x;
	IF cut IS NOT NULL THEN
		RETURN QUERY
		SELECT cut, jsonb_build_object('event', 'dropped', 'id', cut,
			'at', to_char(max(x.at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'database', current_database(),
			'dropped', jsonb_object_agg(x.name, x.n),
			'text', format('retentiond, %s: %s older events are not told, because notify.command has failed for long: see retentionctl journal',
				       current_database(), sum(x.n)))
		  FROM (SELECT retention.notice_of(e) AS name, count(*) AS n, max(e.at) AS at FROM retention.journal_event AS e
			 WHERE e.id > mark AND e.id <= cut AND retention.notice_of(e) = ANY (wanted) GROUP BY 1) AS x;
		RETURN;
	END IF;
	RETURN QUERY
	SELECT e.id, retention.notice_content(e) FROM retention.journal_event AS e
	 WHERE e.id > mark AND e.id <= top AND retention.notice_of(e) = ANY (wanted)
	 ORDER BY e.id LIMIT 1;
	IF NOT FOUND THEN
		UPDATE retention.told AS t SET event = top, at = now() WHERE t.event < top;
	END IF;
END
$$;

-- Tells the journal of a trouble that stands in no row of an action: its process has died (crashed), or the model does not
-- hold (model_refused).  Once an hour, because the daemon tries again and again.
CREATE FUNCTION retention.record_trouble(trouble text, job int) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
	INSERT INTO retention.journal_event (kind, job)
	SELECT record_trouble.trouble, record_trouble.job
	 WHERE NOT EXISTS (SELECT FROM (SELECT e.* FROM retention.journal_event AS e ORDER BY e.id DESC LIMIT 1000) AS e
			    WHERE e.kind = record_trouble.trouble AND e.job IS NOT DISTINCT FROM record_trouble.job AND
				  e.at > now() - interval '1 hour')
$$;
