-- What the proof of 0007 missed: a hold whose expiry, review, reason or times were changed (which lifts it
-- silently), an event put in between others, and a clock that was set back, which is no tampering.

-- The chain's order stays that of its times, so that a row dated before the one in front of it is always
-- somebody's doing, and the daemon, which stops for a clock behind its newest event, goes on standing still.
-- What such a clock said is in the details.
CREATE OR REPLACE FUNCTION retention.chain_event() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
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

-- What the journal keeps of a hold: all but the words of its reason, which may say too much for a table
-- from which nothing can be removed.
CREATE FUNCTION retention.hold_content(h retention.hold) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET TimeZone = 'UTC'
AS $$
	SELECT jsonb_strip_nulls(to_jsonb(h) - ARRAY['id', 'contact_key', 'reason'] ||
		jsonb_build_object('hold', h.id, 'contact', h.contact_key,
			'reason_sha256', encode(sha256(convert_to(h.reason, 'UTF8')), 'hex')))
$$;

-- As an action's: every change of a hold is an event, whoever makes it and however.
CREATE FUNCTION retention.journal_hold() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
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
CREATE TRIGGER journal AFTER INSERT OR UPDATE ON retention.hold
	FOR EACH ROW EXECUTE FUNCTION retention.journal_hold();
CREATE TRIGGER no_removal BEFORE DELETE OR TRUNCATE ON retention.hold
	FOR EACH STATEMENT EXECUTE FUNCTION retention.refuse_change();

-- Those that were placed before.
INSERT INTO retention.journal_event (kind, details)
SELECT 'hold_noted', retention.hold_content(h) FROM retention.hold AS h ORDER BY h.id;

-- As in 0003; the trigger above tells the journal.
CREATE OR REPLACE FUNCTION retention.place_hold(contact_key text, reason text,
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
	RETURN new_id;
EXCEPTION WHEN unique_violation THEN
	RAISE EXCEPTION 'contact % is on hold already', contact_key
		USING ERRCODE = 'object_not_in_prerequisite_state',
		      HINT = 'Release that hold first, or leave it.';
END
$$;

CREATE OR REPLACE FUNCTION retention.release_hold(contact_key text) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
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

-- Was the event's hash made when it had this number?
CREATE FUNCTION retention.event_was(e retention.journal_event, number bigint) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT e.hash = retention.event_hash(e.previous_hash, ROW(number, e.at, e.job, e.kind, e.actor,
		e.details, e.previous_hash, e.hash)::retention.journal_event)
$$;

-- As in 0007, but what was put in is told from what it moved on.
CREATE OR REPLACE FUNCTION retention.verify_chain(noted bytea DEFAULT NULL)
RETURNS TABLE (event bigint, finding text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
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

-- As in 0007, but a hold, too, is what its last event says that it is.
CREATE OR REPLACE FUNCTION retention.verify_rows() RETURNS TABLE (finding text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
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

REVOKE ALL ON FUNCTION retention.journal_hold(), retention.hold_content(retention.hold),
	retention.event_was(retention.journal_event, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION retention.hold_content(retention.hold),
	retention.event_was(retention.journal_event, bigint)
	TO retention_auditor, retention_operator, retention_approver, retention_daemon;
