--
-- PostgreSQL database dump
--


-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18 (Debian 15.18-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: retention; Type: SCHEMA; Schema: -; Owner: postgres
--

CREATE SCHEMA retention;


ALTER SCHEMA retention OWNER TO postgres;

--
-- Name: SCHEMA retention; Type: COMMENT; Schema: -; Owner: postgres
--

COMMENT ON SCHEMA retention IS 'retentiond: retention periods, their journal and proofs';


--
-- Name: archives_to_remove(text, text, interval, text); Type: FUNCTION; Schema: retention; Owner: postgres
--

CREATE FUNCTION retention.archives_to_remove(host text, directory text, keep interval, timezone text) RETURNS TABLE(id integer, name text, deleted boolean, here boolean)
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
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


ALTER FUNCTION retention.archives_to_remove(host text, directory text, keep interval, timezone text) OWNER TO postgres;

--
-- Name: begin_occurrence(text, text, timestamp with time zone, timestamp with time zone, text, interval, text); Type: FUNCTION; Schema: retention; Owner: postgres
--

CREATE FUNCTION retention.begin_occurrence(policy text, schedule text, occurrence timestamp with time zone, next timestamp with time zone, action text, depth interval, archive text) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
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


ALTER FUNCTION retention.begin_occurrence(policy text, schedule text, occurrence timestamp with time zone, next timestamp with time zone, action text, depth interval, archive text) OWNER TO postgres;

--
-- Name: cancel_action(integer); Type: FUNCTION; Schema: retention; Owner: postgres
--

CREATE FUNCTION retention.cancel_action(id integer) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
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


ALTER FUNCTION retention.cancel_action(id integer) OWNER TO postgres;

--
-- Name: chain_event(); Type: FUNCTION; Schema: retention; Owner: postgres
--

CREATE FUNCTION retention.chain_event() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
	last retention.journal_event;
BEGIN
	-- One chain: writers queue here until the transaction of the one before them has ended.
	-- Therefore batches write no event of their own, and who appends commits soon after.
	PERFORM pg_advisory_xact_lock(1380275200, 0);
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


ALTER FUNCTION retention.chain_event() OWNER TO postgres;

--
-- Name: check_archive_change(); Type: FUNCTION; Schema: retention; Owner: postgres
--

CREATE FUNCTION retention.check_archive_change() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
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


ALTER FUNCTION retention.check_archive_change() OWNER TO postgres;

--
-- Name: check_change(); Type: FUNCTION; Schema: retention; Owner: postgres
--

CREATE FUNCTION retention.check_change() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
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


ALTER FUNCTION retention.check_change() OWNER TO postgres;

--
-- Name: check_restore(integer); Type: FUNCTION; Schema: retention; Owner: postgres
--

CREATE FUNCTION retention.check_restore(id integer) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
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


ALTER FUNCTION retention.check_restore(id integer) OWNER TO postgres;

--
-- Name: configure(text, boolean, text); Type: FUNCTION; Schema: retention; Owner: postgres
--

CREATE FUNCTION retention.configure(timezone text, four_eyes boolean, contact_key_type text) RETURNS void
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
	INSERT INTO retention.setting AS s (name, value)
	VALUES ('timezone', timezone), ('four_eyes', four_eyes::text),
	       ('contact_key_type', contact_key_type)
	ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE s.value <> excluded.value
$$;


ALTER FUNCTION retention.configure(timezone text, four_eyes boolean, contact_key_type text) OWNER TO postgres;

--
-- Name: contact_key(text); Type: FUNCTION; Schema: retention; Owner: postgres
--

CREATE FUNCTION retention.contact_key(key text) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
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


ALTER FUNCTION retention.contact_key(key text) OWNER TO postgres;

--
-- Name: time_zone(); Type: FUNCTION; Schema: retention; Owner: postgres
--

CREATE FUNCTION retention.time_zone() RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
	SELECT coalesce((SELECT value FROM retention.setting WHERE name = 'timezone'),
			current_setting('TimeZone'))
$$;


ALTER FUNCTION retention.time_zone() OWNER TO postgres;

--
-- Name: cutoff(interval, text, timestamp with time zone); Type: FUNCTION; Schema: retention; Owner: postgres
--

CREATE FUNCTION retention.cutoff(depth interval, timezone text DEFAULT retention.time_zone(), at timestamp with time zone DEFAULT now()) RETURNS timestamp with time zone
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
	SELECT (date_trunc('day', at AT TIME ZONE timezone) - depth) AT TIME ZONE timezone
$$;


ALTER FUNCTION retention.cutoff(depth interval, timezone text, at timestamp with time zone) OWNER TO postgres;

--
-- Name: delete_archive(integer); Type: FUNCTION; Schema: retention; Owner: postgres
--

CREATE FUNCTION retention.delete_archive(id integer) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
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


ALTER FUNCTION retention.delete_archive(id integer) OWNER TO postgres;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: journal_event; Type: TABLE; Schema: retention; Owner: postgres
--

CREATE TABLE retention.journal_event (
    id bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    job integer,
    kind text NOT NULL,
    actor text NOT NULL,
    details jsonb DEFAULT '{}'::jsonb NOT NULL,
    previous_hash bytea NOT NULL,
    hash bytea NOT NULL
);


ALTER TABLE retention.journal_event OWNER TO postgres;

--
-- Name: event_hash(bytea, retention.journal_event); Type: FUNCTION; Schema: retention; Owner: postgres
--

CREATE FUNCTION retention.event_hash(previous bytea, e retention.journal_event) RETURNS bytea
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
	SELECT sha256(previous || convert_to(jsonb_build_array(
		e.id, to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
		e.job, e.kind, e.actor, e.details)::text, 'UTF8'))
$$;


ALTER FUNCTION retention.event_hash(previous bytea, e retention.journal_event) OWNER TO postgres;

--
-- Name: event_was(retention.journal_event, bigint); Type: FUNCTION; Schema: retention; Owner: postgres
--

CREATE FUNCTION retention.event_was(e retention.journal_event, number bigint) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
	SELECT e.hash = retention.event_hash(e.previous_hash, ROW(number, e.at, e.job, e.kind, e.actor,
		e.details, e.previous_hash, e.hash)::retention.journal_event)
$$;


ALTER FUNCTION retention.event_was(e retention.journal_event, number bigint) OWNER TO postgres;

--
-- Name: hold; Type: TABLE; Schema: retention; Owner: postgres
--

CREATE TABLE retention.hold (
    id integer NOT NULL,
    contact_key text NOT NULL,
    reason text NOT NULL,
    placed_by text DEFAULT SESSION_USER NOT NULL,
    placed_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone,
    review_date date,
    released_by text,
    released_at timestamp with time zone,
    CONSTRAINT hold_reason_check CHECK ((btrim(reason) <> ''::text))
);


ALTER TABLE retention.hold OWNER TO postgres;

--
-- Name: hold_content(retention.hold); Type: FUNCTION; Schema: retention; Owner: postgres
--

CREATE FUNCTION retention.hold_content(h retention.hold) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET "TimeZone" TO 'UTC'
    AS $$
	SELECT jsonb_strip_nulls(to_jsonb(h) - ARRAY['id', 'contact_key', 'reason'] ||
		jsonb_build_object('hold', h.id, 'contact', h.contact_key,
			'reason_sha256', encode(sha256(convert_to(h.reason, 'UTF8')), 'hex')))
$$;


ALTER FUNCTION retention.hold_content(h retention.hold) OWNER TO postgres;

--
-- Name: journal_change(); Type: FUNCTION; Schema: retention; Owner: postgres
--

CREATE FUNCTION retention.journal_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
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


ALTER FUNCTION retention.journal_change() OWNER TO postgres;

--
-- Name: journal_hold(); Type: FUNCTION; Schema: retention; Owner: postgres
--

CREATE FUNCTION retention.journal_hold() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
	INSERT INTO retention.journal_event (kind, details)
	VALUES (CASE WHEN TG_OP = 'INSERT' THEN 'hold_placed'
		     WHEN OLD.released_at IS NOT NULL OR NEW.released_at IS NULL THEN 'hold_noted'
		     WHEN NEW.released_by = 'expiry' THEN 'hold_expired'
		     ELSE 'hold_released' END, retention.hold_content(NEW));
	RETURN NULL;
END
$$;


ALTER FUNCTION retention.journal_hold() OWNER TO postgres;

--
-- Name: archive_journal; Type: TABLE; Schema: retention; Owner: postgres
--

CREATE TABLE retention.archive_journal (
    id integer NOT NULL,
    action text NOT NULL,
    mode text NOT NULL,
    status text NOT NULL,
    policy text,
    occurrence timestamp with time zone,
    from_date date,
    to_date date,
    depth interval,
    cutoff timestamp with time zone,
    archive text NOT NULL,
    requested_by text DEFAULT SESSION_USER NOT NULL,
    requested_at timestamp with time zone DEFAULT now() NOT NULL,
    candidates bigint,
    candidates_sha256 text,
    frozen_at timestamp with time zone,
    validated_by text,
    validated_at timestamp with time zone,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    counters jsonb,
    archive_path text,
    archive_bytes bigint,
    error text,
    waiting text,
    archive_deleted_at timestamp with time zone,
    archive_deleted_by text,
    host text,
    system_identifier text,
    claim integer DEFAULT 0 NOT NULL,
    subject text,
    replay boolean,
    archive_removed_at timestamp with time zone,
    archive_remark text,
    restored_at timestamp with time zone,
    restored_by text,
    CONSTRAINT archive_journal_about CHECK (
CASE
    WHEN replay THEN (num_nulls(policy, occurrence, depth, from_date, to_date, subject) = 6)
    WHEN (subject IS NOT NULL) THEN ((mode = 'manual'::text) AND (num_nulls(policy, occurrence, depth, from_date, to_date) = 5))
    WHEN (mode = 'manual'::text) THEN ((num_nulls(policy, occurrence, depth) = 3) AND (num_nulls(from_date, to_date) = 0))
    ELSE ((num_nulls(policy, occurrence, depth) = 0) AND (num_nulls(from_date, to_date) = 2))
END),
    CONSTRAINT archive_journal_action_check CHECK ((action = ANY (ARRAY['export'::text, 'delete_contacts'::text, 'anonymize_contacts'::text, 'anonymize_requests'::text]))),
    CONSTRAINT archive_journal_anonymize CHECK (((action !~~ 'anonymize%'::text) OR (archive = 'none'::text))),
    CONSTRAINT archive_journal_archive_check CHECK ((archive = ANY (ARRAY['none'::text, 'listed'::text, 'full'::text]))),
    CONSTRAINT archive_journal_export CHECK (((action <> 'export'::text) OR (archive <> 'none'::text))),
    CONSTRAINT archive_journal_mode_check CHECK ((mode = ANY (ARRAY['manual'::text, 'automatic'::text]))),
    CONSTRAINT archive_journal_replay_check CHECK (replay),
    CONSTRAINT archive_journal_status_check CHECK ((status = ANY (ARRAY['saved'::text, 'validated'::text, 'running'::text, 'done'::text, 'failed'::text, 'cancelled'::text])))
);


ALTER TABLE retention.archive_journal OWNER TO postgres;

--
-- Name: COLUMN archive_journal.waiting; Type: COMMENT; Schema: retention; Owner: postgres
--

COMMENT ON COLUMN retention.archive_journal.waiting IS 'what a job waits for right now: a lock, room on the disk, the window; NULL: nothing';


--
-- Name: COLUMN archive_journal.archive_deleted_by; Type: COMMENT; Schema: retention; Owner: postgres
--

COMMENT ON COLUMN retention.archive_journal.archive_deleted_by IS 'a role, or "expiry": archives.keep has passed';


--
-- Name: COLUMN archive_journal.archive_removed_at; Type: COMMENT; Schema: retention; Owner: postgres
--

COMMENT ON COLUMN retention.archive_journal.archive_removed_at IS 'since when the daemon has removed the files of a deleted archive; NULL: they may still be there';


--
-- Name: COLUMN archive_journal.archive_remark; Type: COMMENT; Schema: retention; Owner: postgres
--

COMMENT ON COLUMN retention.archive_journal.archive_remark IS 'what stands in the way of removing the files of a deleted archive';


--
-- Name: lock_action(integer); Type: FUNCTION; Schema: retention; Owner: postgres
--

CREATE FUNCTION retention.lock_action(id integer) RETURNS retention.archive_journal
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
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


ALTER FUNCTION retention.lock_action(id integer) OWNER TO postgres;

--
-- Name: place_hold(text, text, timestamp with time zone, date); Type: FUNCTION; Schema: retention; Owner: postgres
--

CREATE FUNCTION retention.place_hold(contact_key text, reason text, expires_at timestamp with time zone DEFAULT NULL::timestamp with time zone, review_date date DEFAULT NULL::date) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
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
	-- Closes a hold that has expired: it does not stand in the way of the new one.
	UPDATE retention.hold h SET released_at = h.expires_at, released_by = 'expiry'
	 WHERE h.contact_key = retention.contact_key(place_hold.contact_key)
	   AND h.released_at IS NULL
	   AND NOT EXISTS (SELECT FROM retention.holds_in_force f WHERE f.id = h.id);
	INSERT INTO retention.hold AS h (contact_key, reason, expires_at, review_date)
	VALUES (retention.contact_key(place_hold.contact_key), place_hold.reason,
		place_hold.expires_at, place_hold.review_date)
	RETURNING h.id INTO new_id;
	RETURN new_id;
EXCEPTION WHEN unique_violation THEN
	RAISE EXCEPTION 'contact % is on hold already', contact_key
		USING ERRCODE = 'object_not_in_prerequisite_state',
		      HINT = 'Release that hold first, or leave it.';
END
$$;


ALTER FUNCTION retention.place_hold(contact_key text, reason text, expires_at timestamp with time zone, review_date date) OWNER TO postgres;

--
-- Name: record_restore(integer, jsonb); Type: FUNCTION; Schema: retention; Owner: postgres
--

CREATE FUNCTION retention.record_restore(id integer, rows jsonb) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
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


ALTER FUNCTION retention.record_restore(id integer, rows jsonb) OWNER TO postgres;

--
-- Name: record_subject_export(text); Type: FUNCTION; Schema: retention; Owner: postgres
--

CREATE FUNCTION retention.record_subject_export(contact_key text) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
	INSERT INTO retention.journal_event (kind, details)
	VALUES ('subject_exported', jsonb_build_object('contact', retention.contact_key(contact_key)))
$$;


ALTER FUNCTION retention.record_subject_export(contact_key text) OWNER TO postgres;

--
-- Name: refuse_change(); Type: FUNCTION; Schema: retention; Owner: postgres
--

CREATE FUNCTION retention.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
	RAISE EXCEPTION '%.% is append-only: % is refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP
		USING ERRCODE = 'insufficient_privilege',
		      HINT = 'A wrong entry is corrected by a new one.';
END
$$;


ALTER FUNCTION retention.refuse_change() OWNER TO postgres;

--
-- Name: release_hold(text); Type: FUNCTION; Schema: retention; Owner: postgres
--

CREATE FUNCTION retention.release_hold(contact_key text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
	UPDATE retention.hold h SET released_at = now(), released_by = session_user
	 WHERE h.contact_key = retention.contact_key(release_hold.contact_key)
	   AND h.released_at IS NULL;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'contact % is not on hold', contact_key
			USING ERRCODE = 'no_data_found';
	END IF;
END
$$;


ALTER FUNCTION retention.release_hold(contact_key text) OWNER TO postgres;

--
-- Name: replay_ledger(text); Type: FUNCTION; Schema: retention; Owner: postgres
--

CREATE FUNCTION retention.replay_ledger(mode text DEFAULT 'manual'::text) RETURNS SETOF integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
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


ALTER FUNCTION retention.replay_ledger(mode text) OWNER TO postgres;

--
-- Name: runnable(text); Type: FUNCTION; Schema: retention; Owner: postgres
--

CREATE FUNCTION retention.runnable(host text) RETURNS TABLE(id integer, action text, policy text, status text)
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
	SELECT j.id, j.action, CASE WHEN j.replay THEN 'replay' ELSE j.policy END, j.status
	  FROM retention.archive_journal j
	 WHERE (j.status IN ('validated', 'running') OR (j.status = 'saved' AND j.frozen_at IS NULL))
	   AND (j.replay OR NOT EXISTS (SELECT FROM retention.replay))
	 ORDER BY j.status <> 'running', j.host IS DISTINCT FROM runnable.host, j.id
$$;


ALTER FUNCTION retention.runnable(host text) OWNER TO postgres;

--
-- Name: save_action(text, date, date, text); Type: FUNCTION; Schema: retention; Owner: postgres
--

CREATE FUNCTION retention.save_action(action text, from_date date, to_date date, archive text DEFAULT NULL::text) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
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


ALTER FUNCTION retention.save_action(action text, from_date date, to_date date, archive text) OWNER TO postgres;

--
-- Name: save_subject(text, text); Type: FUNCTION; Schema: retention; Owner: postgres
--

CREATE FUNCTION retention.save_subject(action text, contact_key text) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
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


ALTER FUNCTION retention.save_subject(action text, contact_key text) OWNER TO postgres;

--
-- Name: settle_replay(integer); Type: FUNCTION; Schema: retention; Owner: postgres
--

CREATE FUNCTION retention.settle_replay(job integer) RETURNS void
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
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


ALTER FUNCTION retention.settle_replay(job integer) OWNER TO postgres;

--
-- Name: today(); Type: FUNCTION; Schema: retention; Owner: postgres
--

CREATE FUNCTION retention.today() RETURNS date
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
	SELECT (now() AT TIME ZONE retention.time_zone())::date
$$;


ALTER FUNCTION retention.today() OWNER TO postgres;

--
-- Name: validate_action(integer); Type: FUNCTION; Schema: retention; Owner: postgres
--

CREATE FUNCTION retention.validate_action(id integer) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
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


ALTER FUNCTION retention.validate_action(id integer) OWNER TO postgres;

--
-- Name: verify_chain(bytea); Type: FUNCTION; Schema: retention; Owner: postgres
--

CREATE FUNCTION retention.verify_chain(noted bytea DEFAULT NULL::bytea) RETURNS TABLE(event bigint, finding text)
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
	WITH chain AS (
		SELECT e.id, e.previous_hash, e.hash, retention.event_hash(e.previous_hash, e) AS own,
		       coalesce(lag(e.id) OVER w, 0) AS last_id, lag(e.at) OVER w > e.at AS backwards,
		       coalesce(lag(e.hash) OVER w, '\x') AS last_hash,
		       lead(e.previous_hash) OVER w <> e.hash AS unfollowed, e AS event
		  FROM retention.journal_event AS e WINDOW w AS (ORDER BY e.id)),
	looked AS (
		-- What a row that is not whole was, its hash still tells.
		SELECT c.*,
		       c.id > 1 AND c.id = c.last_id + 1 AND c.hash IS DISTINCT FROM c.own
			AND c.hash <> c.last_hash AND retention.event_was(c.event, c.id - 1) AS pushed,
		       c.id > c.last_id + 1 AND CASE WHEN c.hash = c.own THEN c.previous_hash = c.last_hash
			ELSE retention.event_was(c.event, c.last_id + 1) IS NOT TRUE END AS put_in,
		       c.hash = c.own AND c.previous_hash <> c.last_hash AND c.last_id > 0
			AND c.unfollowed IS NOT TRUE AS misled
		  FROM chain AS c),
	findings AS (
		SELECT c.id AS at_id, CASE
			WHEN c.id < 1 THEN format('event %s was inserted: they count from 1', c.id)
			WHEN c.put_in THEN format('event %s was inserted: the one before it is event %s',
						  c.id, c.last_id)
			WHEN c.pushed THEN format('event %s was inserted: those behind it were moved on',
						  c.id - 1)
			WHEN c.id <> c.last_id + 1 THEN format('event %s was removed%s', c.last_id + 1,
				CASE WHEN c.id > c.last_id + 2 THEN format(', and those up to %s', c.id - 1)
				     ELSE '' END)
			WHEN c.hash IS DISTINCT FROM c.own THEN format('event %s was changed, or inserted', c.id)
			WHEN c.previous_hash <> c.last_hash AND c.last_id = 0
			THEN format('event %s is not the first that was written', c.id)
			WHEN c.previous_hash <> c.last_hash AND NOT c.misled
			THEN format('event %s was replaced: it was not written after event %s', c.id, c.last_id)
			WHEN c.previous_hash <> c.last_hash
			THEN format('event %s was replaced: event %s was written after another one',
				    c.last_id, c.id)
			WHEN c.backwards THEN format('event %s is older than the one before it', c.id)
		       END AS finding,
		       CASE WHEN c.put_in THEN c.id WHEN c.pushed THEN c.id - 1
			    WHEN c.id >= 1 AND c.id <> c.last_id + 1 THEN c.last_id + 1
			    WHEN c.misled THEN c.last_id ELSE c.id END AS named
		  FROM looked AS c)
	(SELECT f.named, f.finding FROM findings AS f WHERE f.finding IS NOT NULL
	  ORDER BY f.at_id LIMIT 1)
	UNION ALL
	SELECT m.n, format('event %s, and what came after it, was removed: no event has the hash that was noted', m.n)
	  FROM (SELECT coalesce(max(e.id), 0) + 1 AS n FROM retention.journal_event AS e) AS m
	 WHERE noted IS NOT NULL
	   AND NOT EXISTS (SELECT FROM findings AS f WHERE f.finding IS NOT NULL)
	   AND NOT EXISTS (SELECT FROM retention.journal_event AS n WHERE n.hash = noted)
$$;


ALTER FUNCTION retention.verify_chain(noted bytea) OWNER TO postgres;

--
-- Name: verify_rows(); Type: FUNCTION; Schema: retention; Owner: postgres
--

CREATE FUNCTION retention.verify_rows() RETURNS TABLE(finding text)
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
	WITH told AS (
		SELECT DISTINCT ON (e.job) e.job,
		       jsonb_strip_nulls(to_jsonb(jsonb_populate_record(
			NULL::retention.archive_journal, e.details)) - 'waiting' - 'claim') AS details
		  FROM retention.journal_event AS e
		 WHERE e.job IS NOT NULL AND e.details ? 'requested_by'
		 ORDER BY e.job, e.id DESC),
	actions AS (
		SELECT coalesce(j.id, t.job) AS id, CASE
			WHEN j.id IS NULL THEN format('action %s was removed', t.job)
			WHEN t.job IS NULL THEN format('action %s was inserted: no event speaks of it', j.id)
			WHEN jsonb_strip_nulls(to_jsonb(j) - 'waiting' - 'claim') <> t.details
			THEN format('action %s was changed: %s', j.id,
				(SELECT string_agg(k, ', ' ORDER BY k)
				   FROM (SELECT key FROM jsonb_object_keys(to_jsonb(j)) AS key
					  UNION SELECT key FROM jsonb_object_keys(t.details) AS key) AS keys(k)
				  WHERE k NOT IN ('waiting', 'claim')
				    AND jsonb_strip_nulls(to_jsonb(j))->k IS DISTINCT FROM t.details->k))
		       END AS finding
		  FROM retention.archive_journal AS j FULL JOIN told AS t ON t.job = j.id),
	kept AS (
		SELECT DISTINCT ON (e.details->'hold') (e.details->>'hold')::int AS id,
		       e.details - 'clock' AS details
		  FROM retention.journal_event AS e WHERE e.kind ~ '^hold_'
		 ORDER BY e.details->'hold', e.id DESC),
	held AS (
		SELECT coalesce(h.id, k.id) AS id, h.id IS NULL AS gone, k.details AS was,
		       retention.hold_content(h) AS now
		  FROM retention.hold AS h FULL JOIN kept AS k ON k.id = h.id),
	holds AS (
		SELECT c.id, CASE
			WHEN c.gone THEN format('hold %s was removed', c.id)
			WHEN c.was IS NULL THEN format('hold %s was inserted: no event speaks of it', c.id)
			WHEN c.now ? 'released_at' AND NOT c.was ? 'released_at'
			THEN format('hold %s was released, and no event says so', c.id)
			WHEN c.was ? 'released_at' AND NOT c.now ? 'released_at'
			THEN format('hold %s was released, and its row does not say so', c.id)
			WHEN c.was <> c.now THEN format('hold %s was changed: %s', c.id,
				(SELECT string_agg(coalesce(w.key, n.key), ', ' ORDER BY coalesce(w.key, n.key))
				   FROM jsonb_each(c.was) AS w FULL JOIN jsonb_each(c.now) AS n ON w.key = n.key
				  WHERE w.value IS DISTINCT FROM n.value)) END AS finding
		  FROM held AS c)
	SELECT * FROM (
		(SELECT a.finding FROM actions AS a WHERE a.finding IS NOT NULL ORDER BY a.id)
		UNION ALL
		(SELECT h.finding FROM holds AS h WHERE h.finding IS NOT NULL ORDER BY h.id)) AS x
$$;


ALTER FUNCTION retention.verify_rows() OWNER TO postgres;

--
-- Name: wait_for_batches(); Type: FUNCTION; Schema: retention; Owner: postgres
--

CREATE FUNCTION retention.wait_for_batches() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
	PERFORM pg_advisory_xact_lock(1380275200, 2);
	RETURN NULL;
END
$$;


ALTER FUNCTION retention.wait_for_batches() OWNER TO postgres;

--
-- Name: watch_policy(text, text, timestamp with time zone); Type: FUNCTION; Schema: retention; Owner: postgres
--

CREATE FUNCTION retention.watch_policy(policy text, schedule text, next timestamp with time zone) RETURNS timestamp with time zone
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
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


ALTER FUNCTION retention.watch_policy(policy text, schedule text, next timestamp with time zone) OWNER TO postgres;

--
-- Name: archive_file; Type: TABLE; Schema: retention; Owner: postgres
--

CREATE TABLE retention.archive_file (
    job integer NOT NULL,
    worker integer NOT NULL,
    table_name text NOT NULL,
    bytes bigint DEFAULT 0 NOT NULL,
    rows bigint DEFAULT 0 NOT NULL,
    header text,
    columns text[],
    relation text,
    types text,
    bom boolean,
    place integer
)
WITH (fillfactor='50');


ALTER TABLE retention.archive_file OWNER TO postgres;

--
-- Name: COLUMN archive_file.relation; Type: COMMENT; Schema: retention; Owner: postgres
--

COMMENT ON COLUMN retention.archive_file.relation IS 'schema.table';


--
-- Name: COLUMN archive_file.types; Type: COMMENT; Schema: retention; Owner: postgres
--

COMMENT ON COLUMN retention.archive_file.types IS 'of its columns: one file has one form of a value';


--
-- Name: COLUMN archive_file.place; Type: COMMENT; Schema: retention; Owner: postgres
--

COMMENT ON COLUMN retention.archive_file.place IS 'in the archive, from when its end has begun; of worker 0';


--
-- Name: archive_journal_id_seq; Type: SEQUENCE; Schema: retention; Owner: postgres
--

ALTER TABLE retention.archive_journal ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME retention.archive_journal_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: archives; Type: VIEW; Schema: retention; Owner: postgres
--

CREATE VIEW retention.archives AS
 SELECT archive_journal.id,
    archive_journal.action AS type,
    COALESCE(archive_journal.finished_at, archive_journal.started_at, archive_journal.requested_at) AS date,
    archive_journal.status,
    archive_journal.mode,
    archive_journal.policy,
    archive_journal.from_date,
    archive_journal.to_date,
    archive_journal.cutoff,
        CASE
            WHEN (archive_journal.archive_deleted_at IS NULL) THEN archive_journal.archive_path
            ELSE NULL::text
        END AS file,
    archive_journal.archive_bytes AS bytes,
    archive_journal.counters,
    archive_journal.requested_by,
    archive_journal.validated_by,
    archive_journal.archive_deleted_at,
    archive_journal.archive_deleted_by,
    archive_journal.error,
    archive_journal.waiting,
    archive_journal.subject,
    archive_journal.replay,
    archive_journal.archive_removed_at,
    archive_journal.archive_remark,
    archive_journal.restored_at,
    archive_journal.restored_by
   FROM retention.archive_journal;


ALTER TABLE retention.archives OWNER TO postgres;

--
-- Name: candidate; Type: TABLE; Schema: retention; Owner: postgres
--

CREATE TABLE retention.candidate (
    job integer NOT NULL,
    n bigint NOT NULL,
    key text NOT NULL,
    weight bigint NOT NULL
);


ALTER TABLE retention.candidate OWNER TO postgres;

--
-- Name: file_outbox; Type: TABLE; Schema: retention; Owner: postgres
--

CREATE TABLE retention.file_outbox (
    id bigint NOT NULL,
    job integer NOT NULL,
    host text NOT NULL,
    table_name text NOT NULL,
    location text NOT NULL,
    queued_at timestamp with time zone DEFAULT now() NOT NULL,
    tried_at timestamp with time zone,
    attempts integer DEFAULT 0 NOT NULL,
    error text
);


ALTER TABLE retention.file_outbox OWNER TO postgres;

--
-- Name: TABLE file_outbox; Type: COMMENT; Schema: retention; Owner: postgres
--

COMMENT ON TABLE retention.file_outbox IS 'files that are still to be removed, by the names of the model''s tables';


--
-- Name: file_outbox_id_seq; Type: SEQUENCE; Schema: retention; Owner: postgres
--

ALTER TABLE retention.file_outbox ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME retention.file_outbox_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: files_left; Type: VIEW; Schema: retention; Owner: postgres
--

CREATE VIEW retention.files_left AS
 SELECT f.job,
    count(*) AS files,
    count(f.error) AS failed,
    min(f.queued_at) AS since
   FROM retention.file_outbox f
  GROUP BY f.job;


ALTER TABLE retention.files_left OWNER TO postgres;

--
-- Name: hold_id_seq; Type: SEQUENCE; Schema: retention; Owner: postgres
--

ALTER TABLE retention.hold ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME retention.hold_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: holds_in_force; Type: VIEW; Schema: retention; Owner: postgres
--

CREATE VIEW retention.holds_in_force AS
 SELECT h.id,
    h.contact_key,
    h.reason,
    h.placed_by,
    h.placed_at,
    h.expires_at,
    h.review_date
   FROM retention.hold h
  WHERE ((h.released_at IS NULL) AND ((h.expires_at IS NULL) OR (h.expires_at > now())));


ALTER TABLE retention.holds_in_force OWNER TO postgres;

--
-- Name: ledger; Type: TABLE; Schema: retention; Owner: postgres
--

CREATE TABLE retention.ledger (
    job integer NOT NULL,
    key text NOT NULL,
    erased_at timestamp with time zone DEFAULT now() NOT NULL,
    action text NOT NULL,
    CONSTRAINT ledger_action_check CHECK ((action = ANY (ARRAY['delete_contacts'::text, 'anonymize_contacts'::text, 'anonymize_requests'::text, 'restored'::text])))
);


ALTER TABLE retention.ledger OWNER TO postgres;

--
-- Name: COLUMN ledger.action; Type: COMMENT; Schema: retention; Owner: postgres
--

COMMENT ON COLUMN retention.ledger.action IS 'what was done to the key; restored: an archive has brought it back';


--
-- Name: number; Type: SEQUENCE; Schema: retention; Owner: postgres
--

CREATE SEQUENCE retention.number
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


ALTER TABLE retention.number OWNER TO postgres;

--
-- Name: policy_state; Type: TABLE; Schema: retention; Owner: postgres
--

CREATE TABLE retention.policy_state (
    policy text NOT NULL,
    schedule text NOT NULL,
    last_occurrence timestamp with time zone NOT NULL,
    next_occurrence timestamp with time zone,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);


ALTER TABLE retention.policy_state OWNER TO postgres;

--
-- Name: replay; Type: TABLE; Schema: retention; Owner: postgres
--

CREATE TABLE retention.replay (
    job integer NOT NULL,
    action text NOT NULL,
    erased_at timestamp with time zone NOT NULL,
    key text NOT NULL
);


ALTER TABLE retention.replay OWNER TO postgres;

--
-- Name: replay_due; Type: VIEW; Schema: retention; Owner: postgres
--

CREATE VIEW retention.replay_due AS
 SELECT DISTINCT r.action,
    r.key
   FROM (retention.replay r
     LEFT JOIN LATERAL ( SELECT l.action
           FROM retention.replay l
          WHERE ((l.key = r.key) AND (l.action = ANY (ARRAY['delete_contacts'::text, 'restored'::text])))
          ORDER BY l.erased_at DESC
         LIMIT 1) last ON (true))
  WHERE
        CASE r.action
            WHEN 'delete_contacts'::text THEN (last.action = 'delete_contacts'::text)
            WHEN 'anonymize_contacts'::text THEN (last.action IS DISTINCT FROM 'delete_contacts'::text)
            ELSE (r.action = 'anonymize_requests'::text)
        END;


ALTER TABLE retention.replay_due OWNER TO postgres;

--
-- Name: schema_version; Type: TABLE; Schema: retention; Owner: postgres
--

CREATE TABLE retention.schema_version (
    version integer NOT NULL,
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL,
    applied_by text DEFAULT SESSION_USER NOT NULL
);


ALTER TABLE retention.schema_version OWNER TO postgres;

--
-- Name: TABLE schema_version; Type: COMMENT; Schema: retention; Owner: postgres
--

COMMENT ON TABLE retention.schema_version IS 'written by retentionctl migrate';


--
-- Name: selection; Type: TABLE; Schema: retention; Owner: postgres
--

CREATE TABLE retention.selection (
    job integer NOT NULL,
    key text NOT NULL
);


ALTER TABLE retention.selection OWNER TO postgres;

--
-- Name: setting; Type: TABLE; Schema: retention; Owner: postgres
--

CREATE TABLE retention.setting (
    name text NOT NULL,
    value text NOT NULL
);


ALTER TABLE retention.setting OWNER TO postgres;

--
-- Name: TABLE setting; Type: COMMENT; Schema: retention; Owner: postgres
--

COMMENT ON TABLE retention.setting IS 'written by the daemon from its configuration: timezone, four_eyes, contact_key_type';


--
-- Name: archive_file archive_file_pkey; Type: CONSTRAINT; Schema: retention; Owner: postgres
--

ALTER TABLE ONLY retention.archive_file
    ADD CONSTRAINT archive_file_pkey PRIMARY KEY (job, worker, table_name);


--
-- Name: archive_journal archive_journal_pkey; Type: CONSTRAINT; Schema: retention; Owner: postgres
--

ALTER TABLE ONLY retention.archive_journal
    ADD CONSTRAINT archive_journal_pkey PRIMARY KEY (id);


--
-- Name: archive_journal archive_journal_policy_occurrence_key; Type: CONSTRAINT; Schema: retention; Owner: postgres
--

ALTER TABLE ONLY retention.archive_journal
    ADD CONSTRAINT archive_journal_policy_occurrence_key UNIQUE (policy, occurrence);


--
-- Name: candidate candidate_pkey; Type: CONSTRAINT; Schema: retention; Owner: postgres
--

ALTER TABLE ONLY retention.candidate
    ADD CONSTRAINT candidate_pkey PRIMARY KEY (job, n);


--
-- Name: file_outbox file_outbox_pkey; Type: CONSTRAINT; Schema: retention; Owner: postgres
--

ALTER TABLE ONLY retention.file_outbox
    ADD CONSTRAINT file_outbox_pkey PRIMARY KEY (id);


--
-- Name: hold hold_pkey; Type: CONSTRAINT; Schema: retention; Owner: postgres
--

ALTER TABLE ONLY retention.hold
    ADD CONSTRAINT hold_pkey PRIMARY KEY (id);


--
-- Name: journal_event journal_event_pkey; Type: CONSTRAINT; Schema: retention; Owner: postgres
--

ALTER TABLE ONLY retention.journal_event
    ADD CONSTRAINT journal_event_pkey PRIMARY KEY (id);


--
-- Name: policy_state policy_state_pkey; Type: CONSTRAINT; Schema: retention; Owner: postgres
--

ALTER TABLE ONLY retention.policy_state
    ADD CONSTRAINT policy_state_pkey PRIMARY KEY (policy);


--
-- Name: schema_version schema_version_pkey; Type: CONSTRAINT; Schema: retention; Owner: postgres
--

ALTER TABLE ONLY retention.schema_version
    ADD CONSTRAINT schema_version_pkey PRIMARY KEY (version);


--
-- Name: selection selection_pkey; Type: CONSTRAINT; Schema: retention; Owner: postgres
--

ALTER TABLE ONLY retention.selection
    ADD CONSTRAINT selection_pkey PRIMARY KEY (job, key);


--
-- Name: setting setting_pkey; Type: CONSTRAINT; Schema: retention; Owner: postgres
--

ALTER TABLE ONLY retention.setting
    ADD CONSTRAINT setting_pkey PRIMARY KEY (name);


--
-- Name: archive_journal_status_idx; Type: INDEX; Schema: retention; Owner: postgres
--

CREATE INDEX archive_journal_status_idx ON retention.archive_journal USING btree (status) WHERE (status = ANY (ARRAY['saved'::text, 'validated'::text, 'running'::text]));


--
-- Name: file_outbox_job_idx; Type: INDEX; Schema: retention; Owner: postgres
--

CREATE INDEX file_outbox_job_idx ON retention.file_outbox USING btree (job);


--
-- Name: hold_active; Type: INDEX; Schema: retention; Owner: postgres
--

CREATE UNIQUE INDEX hold_active ON retention.hold USING btree (contact_key) WHERE (released_at IS NULL);


--
-- Name: journal_event_job_idx; Type: INDEX; Schema: retention; Owner: postgres
--

CREATE INDEX journal_event_job_idx ON retention.journal_event USING btree (job);


--
-- Name: ledger_line; Type: INDEX; Schema: retention; Owner: postgres
--

CREATE INDEX ledger_line ON retention.ledger USING btree (job, key);


--
-- Name: replay_job_key_idx; Type: INDEX; Schema: retention; Owner: postgres
--

CREATE INDEX replay_job_key_idx ON retention.replay USING btree (job, key);


--
-- Name: replay_key_idx; Type: INDEX; Schema: retention; Owner: postgres
--

CREATE INDEX replay_key_idx ON retention.replay USING btree (key);


--
-- Name: journal_event append_only; Type: TRIGGER; Schema: retention; Owner: postgres
--

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON retention.journal_event FOR EACH STATEMENT EXECUTE FUNCTION retention.refuse_change();


--
-- Name: hold before_or_after_batches; Type: TRIGGER; Schema: retention; Owner: postgres
--

CREATE TRIGGER before_or_after_batches BEFORE INSERT OR UPDATE ON retention.hold FOR EACH STATEMENT EXECUTE FUNCTION retention.wait_for_batches();


--
-- Name: journal_event chain; Type: TRIGGER; Schema: retention; Owner: postgres
--

CREATE TRIGGER chain BEFORE INSERT ON retention.journal_event FOR EACH ROW EXECUTE FUNCTION retention.chain_event();


--
-- Name: archive_journal journal; Type: TRIGGER; Schema: retention; Owner: postgres
--

CREATE TRIGGER journal AFTER INSERT OR UPDATE ON retention.archive_journal FOR EACH ROW EXECUTE FUNCTION retention.journal_change();


--
-- Name: hold journal; Type: TRIGGER; Schema: retention; Owner: postgres
--

CREATE TRIGGER journal AFTER INSERT OR UPDATE ON retention.hold FOR EACH ROW EXECUTE FUNCTION retention.journal_hold();


--
-- Name: archive_journal legal; Type: TRIGGER; Schema: retention; Owner: postgres
--

CREATE TRIGGER legal BEFORE INSERT OR UPDATE ON retention.archive_journal FOR EACH ROW EXECUTE FUNCTION retention.check_change();


--
-- Name: archive_journal legal_archive; Type: TRIGGER; Schema: retention; Owner: postgres
--

CREATE TRIGGER legal_archive BEFORE UPDATE ON retention.archive_journal FOR EACH ROW EXECUTE FUNCTION retention.check_archive_change();


--
-- Name: archive_journal no_removal; Type: TRIGGER; Schema: retention; Owner: postgres
--

CREATE TRIGGER no_removal BEFORE DELETE OR TRUNCATE ON retention.archive_journal FOR EACH STATEMENT EXECUTE FUNCTION retention.refuse_change();


--
-- Name: hold no_removal; Type: TRIGGER; Schema: retention; Owner: postgres
--

CREATE TRIGGER no_removal BEFORE DELETE OR TRUNCATE ON retention.hold FOR EACH STATEMENT EXECUTE FUNCTION retention.refuse_change();


--
-- Name: archive_file archive_file_job_fkey; Type: FK CONSTRAINT; Schema: retention; Owner: postgres
--

ALTER TABLE ONLY retention.archive_file
    ADD CONSTRAINT archive_file_job_fkey FOREIGN KEY (job) REFERENCES retention.archive_journal(id);


--
-- Name: file_outbox file_outbox_job_fkey; Type: FK CONSTRAINT; Schema: retention; Owner: postgres
--

ALTER TABLE ONLY retention.file_outbox
    ADD CONSTRAINT file_outbox_job_fkey FOREIGN KEY (job) REFERENCES retention.archive_journal(id);


--
-- Name: selection selection_job_fkey; Type: FK CONSTRAINT; Schema: retention; Owner: postgres
--

ALTER TABLE ONLY retention.selection
    ADD CONSTRAINT selection_job_fkey FOREIGN KEY (job) REFERENCES retention.archive_journal(id);


--
-- Name: SCHEMA retention; Type: ACL; Schema: -; Owner: postgres
--

GRANT USAGE ON SCHEMA retention TO retention_daemon;
GRANT USAGE ON SCHEMA retention TO retention_auditor;
GRANT USAGE ON SCHEMA retention TO retention_approver;
GRANT USAGE ON SCHEMA retention TO retention_operator;


--
-- Name: FUNCTION archives_to_remove(host text, directory text, keep interval, timezone text); Type: ACL; Schema: retention; Owner: postgres
--

REVOKE ALL ON FUNCTION retention.archives_to_remove(host text, directory text, keep interval, timezone text) FROM PUBLIC;
GRANT ALL ON FUNCTION retention.archives_to_remove(host text, directory text, keep interval, timezone text) TO retention_daemon;


--
-- Name: FUNCTION begin_occurrence(policy text, schedule text, occurrence timestamp with time zone, next timestamp with time zone, action text, depth interval, archive text); Type: ACL; Schema: retention; Owner: postgres
--

REVOKE ALL ON FUNCTION retention.begin_occurrence(policy text, schedule text, occurrence timestamp with time zone, next timestamp with time zone, action text, depth interval, archive text) FROM PUBLIC;
GRANT ALL ON FUNCTION retention.begin_occurrence(policy text, schedule text, occurrence timestamp with time zone, next timestamp with time zone, action text, depth interval, archive text) TO retention_daemon;


--
-- Name: FUNCTION cancel_action(id integer); Type: ACL; Schema: retention; Owner: postgres
--

REVOKE ALL ON FUNCTION retention.cancel_action(id integer) FROM PUBLIC;
GRANT ALL ON FUNCTION retention.cancel_action(id integer) TO retention_operator;


--
-- Name: FUNCTION chain_event(); Type: ACL; Schema: retention; Owner: postgres
--

REVOKE ALL ON FUNCTION retention.chain_event() FROM PUBLIC;


--
-- Name: FUNCTION check_archive_change(); Type: ACL; Schema: retention; Owner: postgres
--

REVOKE ALL ON FUNCTION retention.check_archive_change() FROM PUBLIC;


--
-- Name: FUNCTION check_change(); Type: ACL; Schema: retention; Owner: postgres
--

REVOKE ALL ON FUNCTION retention.check_change() FROM PUBLIC;


--
-- Name: FUNCTION check_restore(id integer); Type: ACL; Schema: retention; Owner: postgres
--

REVOKE ALL ON FUNCTION retention.check_restore(id integer) FROM PUBLIC;
GRANT ALL ON FUNCTION retention.check_restore(id integer) TO retention_daemon;
GRANT ALL ON FUNCTION retention.check_restore(id integer) TO retention_auditor;
GRANT ALL ON FUNCTION retention.check_restore(id integer) TO retention_approver;
GRANT ALL ON FUNCTION retention.check_restore(id integer) TO retention_operator;


--
-- Name: FUNCTION configure(timezone text, four_eyes boolean, contact_key_type text); Type: ACL; Schema: retention; Owner: postgres
--

REVOKE ALL ON FUNCTION retention.configure(timezone text, four_eyes boolean, contact_key_type text) FROM PUBLIC;
GRANT ALL ON FUNCTION retention.configure(timezone text, four_eyes boolean, contact_key_type text) TO retention_daemon;


--
-- Name: FUNCTION contact_key(key text); Type: ACL; Schema: retention; Owner: postgres
--

REVOKE ALL ON FUNCTION retention.contact_key(key text) FROM PUBLIC;


--
-- Name: FUNCTION time_zone(); Type: ACL; Schema: retention; Owner: postgres
--

REVOKE ALL ON FUNCTION retention.time_zone() FROM PUBLIC;
GRANT ALL ON FUNCTION retention.time_zone() TO retention_daemon;
GRANT ALL ON FUNCTION retention.time_zone() TO retention_auditor;
GRANT ALL ON FUNCTION retention.time_zone() TO retention_approver;
GRANT ALL ON FUNCTION retention.time_zone() TO retention_operator;


--
-- Name: FUNCTION cutoff(depth interval, timezone text, at timestamp with time zone); Type: ACL; Schema: retention; Owner: postgres
--

REVOKE ALL ON FUNCTION retention.cutoff(depth interval, timezone text, at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION retention.cutoff(depth interval, timezone text, at timestamp with time zone) TO retention_daemon;
GRANT ALL ON FUNCTION retention.cutoff(depth interval, timezone text, at timestamp with time zone) TO retention_auditor;
GRANT ALL ON FUNCTION retention.cutoff(depth interval, timezone text, at timestamp with time zone) TO retention_approver;
GRANT ALL ON FUNCTION retention.cutoff(depth interval, timezone text, at timestamp with time zone) TO retention_operator;


--
-- Name: FUNCTION delete_archive(id integer); Type: ACL; Schema: retention; Owner: postgres
--

REVOKE ALL ON FUNCTION retention.delete_archive(id integer) FROM PUBLIC;
GRANT ALL ON FUNCTION retention.delete_archive(id integer) TO retention_approver;


--
-- Name: TABLE journal_event; Type: ACL; Schema: retention; Owner: postgres
--

GRANT SELECT,INSERT ON TABLE retention.journal_event TO retention_daemon;
GRANT SELECT ON TABLE retention.journal_event TO retention_auditor;
GRANT SELECT ON TABLE retention.journal_event TO retention_approver;
GRANT SELECT ON TABLE retention.journal_event TO retention_operator;


--
-- Name: FUNCTION event_hash(previous bytea, e retention.journal_event); Type: ACL; Schema: retention; Owner: postgres
--

REVOKE ALL ON FUNCTION retention.event_hash(previous bytea, e retention.journal_event) FROM PUBLIC;
GRANT ALL ON FUNCTION retention.event_hash(previous bytea, e retention.journal_event) TO retention_daemon;
GRANT ALL ON FUNCTION retention.event_hash(previous bytea, e retention.journal_event) TO retention_auditor;
GRANT ALL ON FUNCTION retention.event_hash(previous bytea, e retention.journal_event) TO retention_approver;
GRANT ALL ON FUNCTION retention.event_hash(previous bytea, e retention.journal_event) TO retention_operator;


--
-- Name: FUNCTION event_was(e retention.journal_event, number bigint); Type: ACL; Schema: retention; Owner: postgres
--

REVOKE ALL ON FUNCTION retention.event_was(e retention.journal_event, number bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION retention.event_was(e retention.journal_event, number bigint) TO retention_daemon;
GRANT ALL ON FUNCTION retention.event_was(e retention.journal_event, number bigint) TO retention_auditor;
GRANT ALL ON FUNCTION retention.event_was(e retention.journal_event, number bigint) TO retention_approver;
GRANT ALL ON FUNCTION retention.event_was(e retention.journal_event, number bigint) TO retention_operator;


--
-- Name: TABLE hold; Type: ACL; Schema: retention; Owner: postgres
--

GRANT SELECT ON TABLE retention.hold TO retention_daemon;
GRANT SELECT ON TABLE retention.hold TO retention_auditor;
GRANT SELECT ON TABLE retention.hold TO retention_approver;
GRANT SELECT ON TABLE retention.hold TO retention_operator;


--
-- Name: FUNCTION hold_content(h retention.hold); Type: ACL; Schema: retention; Owner: postgres
--

REVOKE ALL ON FUNCTION retention.hold_content(h retention.hold) FROM PUBLIC;
GRANT ALL ON FUNCTION retention.hold_content(h retention.hold) TO retention_daemon;
GRANT ALL ON FUNCTION retention.hold_content(h retention.hold) TO retention_auditor;
GRANT ALL ON FUNCTION retention.hold_content(h retention.hold) TO retention_approver;
GRANT ALL ON FUNCTION retention.hold_content(h retention.hold) TO retention_operator;


--
-- Name: FUNCTION journal_change(); Type: ACL; Schema: retention; Owner: postgres
--

REVOKE ALL ON FUNCTION retention.journal_change() FROM PUBLIC;


--
-- Name: FUNCTION journal_hold(); Type: ACL; Schema: retention; Owner: postgres
--

REVOKE ALL ON FUNCTION retention.journal_hold() FROM PUBLIC;


--
-- Name: TABLE archive_journal; Type: ACL; Schema: retention; Owner: postgres
--

GRANT SELECT,INSERT ON TABLE retention.archive_journal TO retention_daemon;
GRANT SELECT ON TABLE retention.archive_journal TO retention_auditor;
GRANT SELECT ON TABLE retention.archive_journal TO retention_approver;
GRANT SELECT ON TABLE retention.archive_journal TO retention_operator;


--
-- Name: COLUMN archive_journal.status; Type: ACL; Schema: retention; Owner: postgres
--

GRANT UPDATE(status) ON TABLE retention.archive_journal TO retention_daemon;


--
-- Name: COLUMN archive_journal.cutoff; Type: ACL; Schema: retention; Owner: postgres
--

GRANT UPDATE(cutoff) ON TABLE retention.archive_journal TO retention_daemon;


--
-- Name: COLUMN archive_journal.candidates; Type: ACL; Schema: retention; Owner: postgres
--

GRANT UPDATE(candidates) ON TABLE retention.archive_journal TO retention_daemon;


--
-- Name: COLUMN archive_journal.candidates_sha256; Type: ACL; Schema: retention; Owner: postgres
--

GRANT UPDATE(candidates_sha256) ON TABLE retention.archive_journal TO retention_daemon;


--
-- Name: COLUMN archive_journal.frozen_at; Type: ACL; Schema: retention; Owner: postgres
--

GRANT UPDATE(frozen_at) ON TABLE retention.archive_journal TO retention_daemon;


--
-- Name: COLUMN archive_journal.validated_by; Type: ACL; Schema: retention; Owner: postgres
--

GRANT UPDATE(validated_by) ON TABLE retention.archive_journal TO retention_daemon;


--
-- Name: COLUMN archive_journal.validated_at; Type: ACL; Schema: retention; Owner: postgres
--

GRANT UPDATE(validated_at) ON TABLE retention.archive_journal TO retention_daemon;


--
-- Name: COLUMN archive_journal.started_at; Type: ACL; Schema: retention; Owner: postgres
--

GRANT UPDATE(started_at) ON TABLE retention.archive_journal TO retention_daemon;


--
-- Name: COLUMN archive_journal.finished_at; Type: ACL; Schema: retention; Owner: postgres
--

GRANT UPDATE(finished_at) ON TABLE retention.archive_journal TO retention_daemon;


--
-- Name: COLUMN archive_journal.counters; Type: ACL; Schema: retention; Owner: postgres
--

GRANT UPDATE(counters) ON TABLE retention.archive_journal TO retention_daemon;


--
-- Name: COLUMN archive_journal.archive_path; Type: ACL; Schema: retention; Owner: postgres
--

GRANT UPDATE(archive_path) ON TABLE retention.archive_journal TO retention_daemon;


--
-- Name: COLUMN archive_journal.archive_bytes; Type: ACL; Schema: retention; Owner: postgres
--

GRANT UPDATE(archive_bytes) ON TABLE retention.archive_journal TO retention_daemon;


--
-- Name: COLUMN archive_journal.error; Type: ACL; Schema: retention; Owner: postgres
--

GRANT UPDATE(error) ON TABLE retention.archive_journal TO retention_daemon;


--
-- Name: COLUMN archive_journal.waiting; Type: ACL; Schema: retention; Owner: postgres
--

GRANT UPDATE(waiting) ON TABLE retention.archive_journal TO retention_daemon;


--
-- Name: COLUMN archive_journal.archive_deleted_at; Type: ACL; Schema: retention; Owner: postgres
--

GRANT UPDATE(archive_deleted_at) ON TABLE retention.archive_journal TO retention_daemon;


--
-- Name: COLUMN archive_journal.archive_deleted_by; Type: ACL; Schema: retention; Owner: postgres
--

GRANT UPDATE(archive_deleted_by) ON TABLE retention.archive_journal TO retention_daemon;


--
-- Name: COLUMN archive_journal.host; Type: ACL; Schema: retention; Owner: postgres
--

GRANT UPDATE(host) ON TABLE retention.archive_journal TO retention_daemon;


--
-- Name: COLUMN archive_journal.system_identifier; Type: ACL; Schema: retention; Owner: postgres
--

GRANT UPDATE(system_identifier) ON TABLE retention.archive_journal TO retention_daemon;


--
-- Name: COLUMN archive_journal.claim; Type: ACL; Schema: retention; Owner: postgres
--

GRANT UPDATE(claim) ON TABLE retention.archive_journal TO retention_daemon;


--
-- Name: COLUMN archive_journal.archive_removed_at; Type: ACL; Schema: retention; Owner: postgres
--

GRANT UPDATE(archive_removed_at) ON TABLE retention.archive_journal TO retention_daemon;


--
-- Name: COLUMN archive_journal.archive_remark; Type: ACL; Schema: retention; Owner: postgres
--

GRANT UPDATE(archive_remark) ON TABLE retention.archive_journal TO retention_daemon;


--
-- Name: FUNCTION lock_action(id integer); Type: ACL; Schema: retention; Owner: postgres
--

REVOKE ALL ON FUNCTION retention.lock_action(id integer) FROM PUBLIC;


--
-- Name: FUNCTION place_hold(contact_key text, reason text, expires_at timestamp with time zone, review_date date); Type: ACL; Schema: retention; Owner: postgres
--

REVOKE ALL ON FUNCTION retention.place_hold(contact_key text, reason text, expires_at timestamp with time zone, review_date date) FROM PUBLIC;
GRANT ALL ON FUNCTION retention.place_hold(contact_key text, reason text, expires_at timestamp with time zone, review_date date) TO retention_approver;
GRANT ALL ON FUNCTION retention.place_hold(contact_key text, reason text, expires_at timestamp with time zone, review_date date) TO retention_operator;


--
-- Name: FUNCTION record_restore(id integer, rows jsonb); Type: ACL; Schema: retention; Owner: postgres
--

REVOKE ALL ON FUNCTION retention.record_restore(id integer, rows jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION retention.record_restore(id integer, rows jsonb) TO retention_approver;


--
-- Name: FUNCTION record_subject_export(contact_key text); Type: ACL; Schema: retention; Owner: postgres
--

REVOKE ALL ON FUNCTION retention.record_subject_export(contact_key text) FROM PUBLIC;
GRANT ALL ON FUNCTION retention.record_subject_export(contact_key text) TO retention_operator;


--
-- Name: FUNCTION refuse_change(); Type: ACL; Schema: retention; Owner: postgres
--

REVOKE ALL ON FUNCTION retention.refuse_change() FROM PUBLIC;


--
-- Name: FUNCTION release_hold(contact_key text); Type: ACL; Schema: retention; Owner: postgres
--

REVOKE ALL ON FUNCTION retention.release_hold(contact_key text) FROM PUBLIC;
GRANT ALL ON FUNCTION retention.release_hold(contact_key text) TO retention_approver;
GRANT ALL ON FUNCTION retention.release_hold(contact_key text) TO retention_operator;


--
-- Name: FUNCTION replay_ledger(mode text); Type: ACL; Schema: retention; Owner: postgres
--

REVOKE ALL ON FUNCTION retention.replay_ledger(mode text) FROM PUBLIC;
GRANT ALL ON FUNCTION retention.replay_ledger(mode text) TO retention_daemon;
GRANT ALL ON FUNCTION retention.replay_ledger(mode text) TO retention_approver;


--
-- Name: FUNCTION runnable(host text); Type: ACL; Schema: retention; Owner: postgres
--

REVOKE ALL ON FUNCTION retention.runnable(host text) FROM PUBLIC;
GRANT ALL ON FUNCTION retention.runnable(host text) TO retention_daemon;


--
-- Name: FUNCTION save_action(action text, from_date date, to_date date, archive text); Type: ACL; Schema: retention; Owner: postgres
--

REVOKE ALL ON FUNCTION retention.save_action(action text, from_date date, to_date date, archive text) FROM PUBLIC;
GRANT ALL ON FUNCTION retention.save_action(action text, from_date date, to_date date, archive text) TO retention_operator;


--
-- Name: FUNCTION save_subject(action text, contact_key text); Type: ACL; Schema: retention; Owner: postgres
--

REVOKE ALL ON FUNCTION retention.save_subject(action text, contact_key text) FROM PUBLIC;
GRANT ALL ON FUNCTION retention.save_subject(action text, contact_key text) TO retention_operator;


--
-- Name: FUNCTION settle_replay(job integer); Type: ACL; Schema: retention; Owner: postgres
--

REVOKE ALL ON FUNCTION retention.settle_replay(job integer) FROM PUBLIC;
GRANT ALL ON FUNCTION retention.settle_replay(job integer) TO retention_daemon;


--
-- Name: FUNCTION today(); Type: ACL; Schema: retention; Owner: postgres
--

REVOKE ALL ON FUNCTION retention.today() FROM PUBLIC;
GRANT ALL ON FUNCTION retention.today() TO retention_daemon;
GRANT ALL ON FUNCTION retention.today() TO retention_auditor;
GRANT ALL ON FUNCTION retention.today() TO retention_approver;
GRANT ALL ON FUNCTION retention.today() TO retention_operator;


--
-- Name: FUNCTION validate_action(id integer); Type: ACL; Schema: retention; Owner: postgres
--

REVOKE ALL ON FUNCTION retention.validate_action(id integer) FROM PUBLIC;
GRANT ALL ON FUNCTION retention.validate_action(id integer) TO retention_approver;


--
-- Name: FUNCTION verify_chain(noted bytea); Type: ACL; Schema: retention; Owner: postgres
--

REVOKE ALL ON FUNCTION retention.verify_chain(noted bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION retention.verify_chain(noted bytea) TO retention_daemon;
GRANT ALL ON FUNCTION retention.verify_chain(noted bytea) TO retention_auditor;
GRANT ALL ON FUNCTION retention.verify_chain(noted bytea) TO retention_approver;
GRANT ALL ON FUNCTION retention.verify_chain(noted bytea) TO retention_operator;


--
-- Name: FUNCTION verify_rows(); Type: ACL; Schema: retention; Owner: postgres
--

REVOKE ALL ON FUNCTION retention.verify_rows() FROM PUBLIC;
GRANT ALL ON FUNCTION retention.verify_rows() TO retention_daemon;
GRANT ALL ON FUNCTION retention.verify_rows() TO retention_auditor;
GRANT ALL ON FUNCTION retention.verify_rows() TO retention_approver;
GRANT ALL ON FUNCTION retention.verify_rows() TO retention_operator;


--
-- Name: FUNCTION wait_for_batches(); Type: ACL; Schema: retention; Owner: postgres
--

REVOKE ALL ON FUNCTION retention.wait_for_batches() FROM PUBLIC;


--
-- Name: FUNCTION watch_policy(policy text, schedule text, next timestamp with time zone); Type: ACL; Schema: retention; Owner: postgres
--

REVOKE ALL ON FUNCTION retention.watch_policy(policy text, schedule text, next timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION retention.watch_policy(policy text, schedule text, next timestamp with time zone) TO retention_daemon;


--
-- Name: TABLE archive_file; Type: ACL; Schema: retention; Owner: postgres
--

GRANT SELECT,INSERT,UPDATE ON TABLE retention.archive_file TO retention_daemon;
GRANT SELECT ON TABLE retention.archive_file TO retention_auditor;
GRANT SELECT ON TABLE retention.archive_file TO retention_approver;
GRANT SELECT ON TABLE retention.archive_file TO retention_operator;


--
-- Name: SEQUENCE archive_journal_id_seq; Type: ACL; Schema: retention; Owner: postgres
--

GRANT SELECT,UPDATE ON SEQUENCE retention.archive_journal_id_seq TO retention_daemon;


--
-- Name: TABLE archives; Type: ACL; Schema: retention; Owner: postgres
--

GRANT SELECT ON TABLE retention.archives TO retention_daemon;
GRANT SELECT ON TABLE retention.archives TO retention_auditor;
GRANT SELECT ON TABLE retention.archives TO retention_approver;
GRANT SELECT ON TABLE retention.archives TO retention_operator;


--
-- Name: TABLE candidate; Type: ACL; Schema: retention; Owner: postgres
--

GRANT SELECT,INSERT,DELETE ON TABLE retention.candidate TO retention_daemon;
GRANT SELECT ON TABLE retention.candidate TO retention_approver;
GRANT SELECT ON TABLE retention.candidate TO retention_operator;


--
-- Name: TABLE file_outbox; Type: ACL; Schema: retention; Owner: postgres
--

GRANT SELECT,INSERT,DELETE ON TABLE retention.file_outbox TO retention_daemon;
GRANT SELECT ON TABLE retention.file_outbox TO retention_approver;


--
-- Name: COLUMN file_outbox.tried_at; Type: ACL; Schema: retention; Owner: postgres
--

GRANT UPDATE(tried_at) ON TABLE retention.file_outbox TO retention_daemon;


--
-- Name: COLUMN file_outbox.attempts; Type: ACL; Schema: retention; Owner: postgres
--

GRANT UPDATE(attempts) ON TABLE retention.file_outbox TO retention_daemon;


--
-- Name: COLUMN file_outbox.error; Type: ACL; Schema: retention; Owner: postgres
--

GRANT UPDATE(error) ON TABLE retention.file_outbox TO retention_daemon;


--
-- Name: TABLE files_left; Type: ACL; Schema: retention; Owner: postgres
--

GRANT SELECT ON TABLE retention.files_left TO retention_daemon;
GRANT SELECT ON TABLE retention.files_left TO retention_auditor;
GRANT SELECT ON TABLE retention.files_left TO retention_approver;
GRANT SELECT ON TABLE retention.files_left TO retention_operator;


--
-- Name: TABLE holds_in_force; Type: ACL; Schema: retention; Owner: postgres
--

GRANT SELECT ON TABLE retention.holds_in_force TO retention_daemon;
GRANT SELECT ON TABLE retention.holds_in_force TO retention_auditor;
GRANT SELECT ON TABLE retention.holds_in_force TO retention_approver;
GRANT SELECT ON TABLE retention.holds_in_force TO retention_operator;


--
-- Name: TABLE ledger; Type: ACL; Schema: retention; Owner: postgres
--

GRANT SELECT,INSERT ON TABLE retention.ledger TO retention_daemon;
GRANT SELECT ON TABLE retention.ledger TO retention_auditor;
GRANT SELECT ON TABLE retention.ledger TO retention_approver;
GRANT SELECT ON TABLE retention.ledger TO retention_operator;


--
-- Name: SEQUENCE number; Type: ACL; Schema: retention; Owner: postgres
--

GRANT USAGE ON SEQUENCE retention.number TO retention_daemon;


--
-- Name: TABLE policy_state; Type: ACL; Schema: retention; Owner: postgres
--

GRANT SELECT,INSERT,UPDATE ON TABLE retention.policy_state TO retention_daemon;
GRANT SELECT ON TABLE retention.policy_state TO retention_auditor;
GRANT SELECT ON TABLE retention.policy_state TO retention_approver;
GRANT SELECT ON TABLE retention.policy_state TO retention_operator;


--
-- Name: TABLE replay; Type: ACL; Schema: retention; Owner: postgres
--

GRANT SELECT,INSERT,DELETE ON TABLE retention.replay TO retention_daemon;
GRANT SELECT ON TABLE retention.replay TO retention_auditor;
GRANT SELECT ON TABLE retention.replay TO retention_approver;
GRANT SELECT ON TABLE retention.replay TO retention_operator;


--
-- Name: TABLE replay_due; Type: ACL; Schema: retention; Owner: postgres
--

GRANT SELECT ON TABLE retention.replay_due TO retention_daemon;
GRANT SELECT ON TABLE retention.replay_due TO retention_auditor;
GRANT SELECT ON TABLE retention.replay_due TO retention_approver;
GRANT SELECT ON TABLE retention.replay_due TO retention_operator;


--
-- Name: TABLE schema_version; Type: ACL; Schema: retention; Owner: postgres
--

GRANT SELECT ON TABLE retention.schema_version TO retention_daemon;
GRANT SELECT ON TABLE retention.schema_version TO retention_auditor;
GRANT SELECT ON TABLE retention.schema_version TO retention_approver;
GRANT SELECT ON TABLE retention.schema_version TO retention_operator;


--
-- Name: TABLE selection; Type: ACL; Schema: retention; Owner: postgres
--

GRANT SELECT,DELETE ON TABLE retention.selection TO retention_daemon;
GRANT SELECT ON TABLE retention.selection TO retention_approver;
GRANT SELECT ON TABLE retention.selection TO retention_operator;


--
-- Name: TABLE setting; Type: ACL; Schema: retention; Owner: postgres
--

GRANT SELECT,INSERT,UPDATE ON TABLE retention.setting TO retention_daemon;
GRANT SELECT ON TABLE retention.setting TO retention_auditor;
GRANT SELECT ON TABLE retention.setting TO retention_approver;
GRANT SELECT ON TABLE retention.setting TO retention_operator;


--
-- PostgreSQL database dump complete
--


