-- Verification of the journal: an auditor runs it, and so may every role that reads the journal.

-- Whether the hash of the event was made when the event had this number.
CREATE FUNCTION retention.event_was(e retention.journal_event, number bigint) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT e.hash = retention.event_hash(e.previous_hash, ROW(number, e.at, e.job, e.kind, e.actor,
		e.details, e.previous_hash, e.hash)::retention.journal_event)
$$;

-- Returns the first place where the chain was tampered with, in one sentence; no row: the chain is whole.
-- Each hash covers the row and the hash before it, so an event that was changed, removed, swapped or inserted
-- shows, and an inserted event is told from those that it moved on.  Events cut off at the end show only
-- against a hash that was noted elsewhere: noted must be a hash of the chain.
CREATE FUNCTION retention.verify_chain(noted bytea DEFAULT NULL)
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

-- Returns the rows that differ from what the events say.  An action and a hold are what their last event says.
-- Not compared are the columns that say what an action waits for and which process works on it.
CREATE FUNCTION retention.verify_rows() RETURNS TABLE (finding text)
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
