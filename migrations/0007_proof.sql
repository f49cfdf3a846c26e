-- The journal held against itself: what an auditor runs, and anybody who may read it.

-- Each row's hash covers its content and the row before it, so that one that was changed, removed,
-- swapped or put in between shows where it happened: the first such place is told, in one sentence.
-- What was cut off at the end shows only to who has noted a hash elsewhere: noted must be one of the
-- chain's.  No row: all is as it was written.
CREATE FUNCTION retention.verify_chain(noted bytea DEFAULT NULL)
RETURNS TABLE (event bigint, finding text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	WITH chain AS (
		SELECT e.id, e.previous_hash, e.hash, retention.event_hash(e.previous_hash, e) AS own,
		       coalesce(lag(e.id) OVER w, 0) AS last_id, lag(e.at) OVER w > e.at AS backwards,
		       coalesce(lag(e.hash) OVER w, '\x') AS last_hash
		  FROM retention.journal_event AS e WINDOW w AS (ORDER BY e.id)),
	findings AS (
		SELECT c.id AS at_id, CASE
			WHEN c.id < 1 THEN format('event %s was inserted: they count from 1', c.id)
			WHEN c.id <> c.last_id + 1 THEN format('event %s was removed%s', c.last_id + 1,
				CASE WHEN c.id > c.last_id + 2 THEN format(', and those up to %s', c.id - 1)
				     ELSE '' END)
			WHEN c.hash <> c.own THEN format('event %s was changed, or inserted', c.id)
			WHEN c.previous_hash <> c.last_hash AND c.last_id = 0
			THEN format('event %s is not the first that was written', c.id)
			WHEN c.previous_hash <> c.last_hash
			THEN format('event %s was replaced: event %s was written after another one',
				    c.last_id, c.id)
			WHEN c.backwards THEN format('event %s is older than the one before it', c.id)
		       END AS finding,
		       CASE WHEN c.id >= 1 AND c.id <> c.last_id + 1 THEN c.last_id + 1
			    WHEN c.hash = c.own AND c.previous_hash <> c.last_hash AND c.last_id > 0
			    THEN c.last_id ELSE c.id END AS named
		  FROM chain AS c)
	(SELECT f.named, f.finding FROM findings AS f WHERE f.finding IS NOT NULL
	  ORDER BY f.at_id LIMIT 1)
	UNION ALL
	SELECT m.n, format('event %s, and what came after it, was removed: no event has the hash that was noted', m.n)
	  FROM (SELECT coalesce(max(e.id), 0) + 1 AS n FROM retention.journal_event AS e) AS m
	 WHERE noted IS NOT NULL
	   AND NOT EXISTS (SELECT FROM findings AS f WHERE f.finding IS NOT NULL)
	   AND NOT EXISTS (SELECT FROM retention.journal_event AS n WHERE n.hash = noted)
$$;

-- The rows that events speak of: an action is what its last event says that it is (but for what it
-- waits for, and who works on it), a hold has the event of its placing.
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
	placed AS (
		SELECT (e.details->>'hold')::int AS id, e.details->>'contact' AS contact, e.actor
		  FROM retention.journal_event AS e WHERE e.kind = 'hold_placed'),
	released AS (
		SELECT DISTINCT (e.details->>'hold')::int AS id
		  FROM retention.journal_event AS e WHERE e.kind = 'hold_released'),
	holds AS (
		SELECT coalesce(h.id, p.id) AS id, CASE
			WHEN h.id IS NULL THEN format('hold %s was removed', p.id)
			WHEN p.id IS NULL THEN format('hold %s was inserted: no event speaks of it', h.id)
			WHEN (h.contact_key, h.placed_by) IS DISTINCT FROM (p.contact, p.actor)
			THEN format('hold %s was changed', h.id)
			WHEN r.id IS NULL AND h.released_at IS NOT NULL AND h.released_by <> 'expiry'
			THEN format('hold %s was released, and no event says so', h.id)
			WHEN r.id IS NOT NULL AND h.released_at IS NULL
			THEN format('hold %s was released, and its row does not say so', h.id)
		       END AS finding
		  FROM retention.hold AS h FULL JOIN placed AS p ON p.id = h.id
		  LEFT JOIN released AS r ON r.id = coalesce(h.id, p.id))
	SELECT * FROM (
		(SELECT a.finding FROM actions AS a WHERE a.finding IS NOT NULL ORDER BY a.id)
		UNION ALL
		(SELECT h.finding FROM holds AS h WHERE h.finding IS NOT NULL ORDER BY h.id)) AS x
$$;

REVOKE ALL ON FUNCTION retention.verify_chain(bytea), retention.verify_rows() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION retention.verify_chain(bytea), retention.verify_rows()
	TO retention_auditor, retention_operator, retention_approver, retention_daemon;
