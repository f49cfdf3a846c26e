-- Verification of the journal: an auditor runs it, and so may every role that reads the journal.

-- Tells whether the hash of the event was made when the event had this number.
CREATE FUNCTION retention.event_was(e retention.journal_event, number bigint) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT e.hash = retention.event_hash(e.previous_hash, ROW(number, e.at, e.job, e.kind, e.actor,
		e.details, e.previous_hash, e.hash)::retention.journal_event)
$$;

-- Returns a finding twice: as a sentence for people, and as an id with its values, one on a line, for programs (like
-- a refusal in 0006_api).  The array said has the id first, and then the values.
CREATE FUNCTION retention.finding(said text[])
RETURNS TABLE (finding text, message text, details text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT format(CASE said[1]
		WHEN 'retention.event_number' THEN 'event %s was inserted: they count from 1'
		WHEN 'retention.event_put_in' THEN 'event %s was inserted: the one before it is event %s'
		WHEN 'retention.event_pushed' THEN 'event %s was inserted: those behind it were moved on'
		WHEN 'retention.events_removed' THEN 'event %s was removed, and those up to %s'
		WHEN 'retention.event_removed' THEN 'event %s was removed'
		WHEN 'retention.event_changed' THEN 'event %s was changed, or inserted'
		WHEN 'retention.event_not_first' THEN 'event %s is not the first that was written'
		WHEN 'retention.event_foreign' THEN 'event %s was replaced: it was not written after event %s'
		WHEN 'retention.event_replaced'
		THEN 'event %s was replaced: event %s was written after another one'
		WHEN 'retention.event_older' THEN 'event %s is older than the one before it'
		WHEN 'retention.events_cut'
		THEN 'event %s, and what came after it, was removed: no event has the hash that was noted'
		WHEN 'retention.hash_other'
		THEN 'event %s was replaced, or the hash that was noted is not its own: the journal was written anew, or is another one'
		WHEN 'retention.hash_unknown'
		THEN 'event %s and what came after it was removed, or the hash that was noted is mistyped, or of another journal: no event has it'
		WHEN 'retention.action_removed' THEN 'action %s was removed'
		WHEN 'retention.action_inserted' THEN 'action %s was inserted: no event speaks of it'
		WHEN 'retention.action_changed' THEN 'action %s was changed: %s'
		WHEN 'retention.hold_removed' THEN 'hold %s was removed'
		WHEN 'retention.hold_inserted' THEN 'hold %s was inserted: no event speaks of it'
		WHEN 'retention.hold_released' THEN 'hold %s was released, and no event says so'
		WHEN 'retention.hold_not_released' THEN 'hold %s was released, and its row does not say so'
		WHEN 'retention.hold_changed' THEN 'hold %s was changed: %s'
		WHEN 'retention.act_foreign' THEN 'event %s says "%s" by "%s" of action %s, and the role "%s" wrote it'
		WHEN 'retention.act_alone'
		THEN 'event %s says "%s" of action %s by "%s", the role that had saved it, while four eyes were asked for'
		WHEN 'retention.expired_early'
		THEN 'event %s says that the archive of action %s was deleted by expiry, and archives.keep had not passed'
		WHEN 'retention.policy_removed' THEN 'version %s of policy "%s" was removed'
		WHEN 'retention.policy_inserted' THEN 'version %s of policy "%s" was inserted: no event speaks of it'
		WHEN 'retention.policy_changed' THEN 'version %s of policy "%s" was changed: %s'
		WHEN 'retention.policy_act_foreign' THEN 'event %s says "%s" by "%s" of policy "%s", and the role "%s" wrote it'
		WHEN 'retention.policy_act_alone'
		THEN 'event %s says that policy "%s" was validated by "%s", the role that had saved it, while four eyes were asked for'
		WHEN 'retention.policy_not_validated'
		THEN 'event %s begins action %s by version %s of policy "%s", which was not in force'
		WHEN 'retention.configuration_removed' THEN 'configuration %s was removed'
		WHEN 'retention.configuration_inserted' THEN 'configuration %s was inserted: no event speaks of it'
		WHEN 'retention.configuration_changed' THEN 'configuration %s was changed: its text has another SHA-256'
		WHEN 'retention.ledger_lines_changed'
		THEN 'the ledger has other lines of action %s than when it ended: some were changed, added or removed'
		WHEN 'retention.ledger_lines_inserted'
		THEN 'the ledger has %s lines of action %s that no event explains: they were inserted'
		WHEN 'retention.ledger_changed'
		THEN '%s: line %s was changed, or lines before it were added or removed: put the file back from its backup; or move it away, so that the daemon writes it anew from the database'
		WHEN 'retention.ledger_cut'
		THEN '%s was cut, or is an older copy: it lacks the line that event %s has noted: put the newest copy back; or move it away, so that the daemon writes it anew from the database'
		WHEN 'retention.ledger_missing'
		THEN '%s is gone: put it back from its backup, because the next pass writes it anew from the database'
		WHEN 'retention.ledger_ahead'
		THEN '%s knows %s erasures that the database has forgotten, because it was restored from a backup: see retentionctl replay'
		WHEN 'retention.events_lost'
		THEN '%s: line %s has the hash of an event that the journal lacks: its end was removed, or the database was restored from a backup'
		WHEN 'retention.triggers_disabled'
		THEN 'triggers of retention.%s are disabled, so that its rows can be changed and are not chained: ALTER TABLE retention.%s ENABLE ALWAYS TRIGGER each of them'
		WHEN 'retention.setting_changed' THEN 'the setting %s was changed: no event says so'
		END, VARIADIC said[2:]), said[1], array_to_string(said[2:], E'\n')
$$;

-- Returns the first place where the chain was tampered with, in one sentence; no row: the chain is whole.
-- Each hash covers the row and the hash before it, so an event that was changed, removed, swapped or inserted
-- is found.  An inserted event is distinguished from the events that got higher numbers because of it.  If events
-- were cut off at the end, only a hash that was noted elsewhere shows it: "noted" must be a hash of the chain, that of event
-- "number" where that was noted, too.  Without a number, a hash that was removed and one that never was look the same.
CREATE FUNCTION retention.verify_chain(noted bytea DEFAULT NULL, number bigint DEFAULT NULL)
RETURNS TABLE (event bigint, finding text, message text, details text)
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
		-- The hash of a row that was changed still tells which number the row had.
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
			WHEN c.id < 1 THEN ARRAY['retention.event_number', c.id::text]
			WHEN c.put_in THEN ARRAY['retention.event_put_in', c.id::text, c.last_id::text]
			WHEN c.pushed THEN ARRAY['retention.event_pushed', (c.id - 1)::text]
			WHEN c.id > c.last_id + 2
			THEN ARRAY['retention.events_removed', (c.last_id + 1)::text, (c.id - 1)::text]
			WHEN c.id <> c.last_id + 1 THEN ARRAY['retention.event_removed', (c.last_id + 1)::text]
			WHEN c.hash IS DISTINCT FROM c.own THEN ARRAY['retention.event_changed', c.id::text]
			WHEN c.previous_hash <> c.last_hash AND c.last_id = 0
			THEN ARRAY['retention.event_not_first', c.id::text]
			WHEN c.previous_hash <> c.last_hash AND NOT c.misled
			THEN ARRAY['retention.event_foreign', c.id::text, c.last_id::text]
			WHEN c.previous_hash <> c.last_hash
			THEN ARRAY['retention.event_replaced', c.last_id::text, c.id::text]
			WHEN c.backwards THEN ARRAY['retention.event_older', c.id::text]
		       END AS said,
		       CASE WHEN c.put_in THEN c.id WHEN c.pushed THEN c.id - 1
			    WHEN c.id >= 1 AND c.id <> c.last_id + 1 THEN c.last_id + 1
			    WHEN c.misled THEN c.last_id ELSE c.id END AS named
		  FROM looked AS c)
	(SELECT f.named, x.* FROM findings AS f, retention.finding(f.said) AS x
	  WHERE f.said IS NOT NULL ORDER BY f.at_id LIMIT 1)
	UNION ALL
	SELECT m.n, x.*
	  FROM (SELECT coalesce(max(e.id), 0) + 1 AS n FROM retention.journal_event AS e) AS m,
	       retention.finding(CASE WHEN number IS NULL THEN ARRAY['retention.hash_unknown', m.n::text]
				      WHEN number >= m.n THEN ARRAY['retention.events_cut', m.n::text]
				      ELSE ARRAY['retention.hash_other', number::text] END) AS x
	 WHERE noted IS NOT NULL
	   AND NOT EXISTS (SELECT FROM findings AS f WHERE f.said IS NOT NULL)
	   AND NOT EXISTS (SELECT FROM retention.journal_event AS n
			    WHERE n.hash = noted AND n.id = coalesce(number, n.id))
$$;

-- verify_rows() reads a table that a later migration makes.
SET LOCAL check_function_bodies = off;

-- Returns the rows that differ from what the events say: each action, each hold and each version of a policy of the page
-- must agree with its last event.  Each configuration that an event names is there, and has the SHA-256 that it names.
-- Not compared: what an action waits for, and which process works on it.
CREATE FUNCTION retention.verify_rows()
RETURNS TABLE (finding text, message text, details text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	WITH told AS (
		SELECT DISTINCT ON (e.job) e.job,
		       jsonb_strip_nulls(to_jsonb(jsonb_populate_record(
			NULL::retention.archive_journal, e.details)) - 'waiting' - 'waiting_for' - 'claim') AS details
		  FROM retention.journal_event AS e
		 WHERE e.job IS NOT NULL AND e.details ? 'requested_by'
		 ORDER BY e.job, e.id DESC),
	actions AS (
		SELECT coalesce(j.id, t.job) AS id, CASE
			WHEN j.id IS NULL THEN ARRAY['retention.action_removed', t.job::text]
			WHEN t.job IS NULL THEN ARRAY['retention.action_inserted', j.id::text]
			WHEN jsonb_strip_nulls(to_jsonb(j) - 'waiting' - 'waiting_for' - 'claim') <> t.details
			THEN ARRAY['retention.action_changed', j.id::text,
				(SELECT string_agg(k, ', ' ORDER BY k)
				   FROM (SELECT key FROM jsonb_object_keys(to_jsonb(j)) AS key
					  UNION SELECT key FROM jsonb_object_keys(t.details) AS key) AS keys(k)
				  WHERE k NOT IN ('waiting', 'waiting_for', 'claim')
				    AND jsonb_strip_nulls(to_jsonb(j))->k IS DISTINCT FROM t.details->k)]
		       END AS said
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
			WHEN c.gone THEN ARRAY['retention.hold_removed', c.id::text]
			WHEN c.was IS NULL THEN ARRAY['retention.hold_inserted', c.id::text]
			WHEN c.now ? 'released_at' AND NOT c.was ? 'released_at'
			THEN ARRAY['retention.hold_released', c.id::text]
			WHEN c.was ? 'released_at' AND NOT c.now ? 'released_at'
			THEN ARRAY['retention.hold_not_released', c.id::text]
			WHEN c.was <> c.now THEN ARRAY['retention.hold_changed', c.id::text,
				(SELECT string_agg(coalesce(w.key, n.key), ', ' ORDER BY coalesce(w.key, n.key))
				   FROM jsonb_each(c.was) AS w FULL JOIN jsonb_each(c.now) AS n ON w.key = n.key
				  WHERE w.value IS DISTINCT FROM n.value)] END AS said
		  FROM held AS c),
	stated AS (
		SELECT DISTINCT ON (e.details->>'name', e.details->>'version') e.details->>'name' AS name,
		       (e.details->>'version')::int AS version, e.details - 'clock' AS was
		  FROM retention.journal_event AS e WHERE e.kind ~ '^policy_'
		 ORDER BY e.details->>'name', e.details->>'version', e.id DESC),
	policies AS (
		SELECT coalesce(p.name, s.name) AS name, coalesce(p.version, s.version) AS version, CASE
			WHEN p.name IS NULL THEN ARRAY['retention.policy_removed', s.version::text, s.name]
			WHEN s.name IS NULL THEN ARRAY['retention.policy_inserted', p.version::text, p.name]
			WHEN s.was <> c.now THEN ARRAY['retention.policy_changed', p.version::text, p.name,
				(SELECT string_agg(coalesce(w.key, n.key), ', ' ORDER BY coalesce(w.key, n.key))
				   FROM jsonb_each(s.was) AS w FULL JOIN jsonb_each(c.now) AS n ON w.key = n.key
				  WHERE w.value IS DISTINCT FROM n.value)] END AS said
		  FROM retention.page_policy AS p
		  FULL JOIN stated AS s ON s.name = p.name AND s.version = p.version
		 CROSS JOIN LATERAL (SELECT retention.page_policy_content(p)) AS c(now)),
	named AS (
		SELECT DISTINCT e.details->>CASE e.kind WHEN 'configuration' THEN 'sha256' ELSE 'configuration' END AS sha256
		  FROM retention.journal_event AS e
		 WHERE e.kind = 'configuration' OR (e.details ? 'requested_by' AND e.details ? 'configuration')),
	configurations AS (
		SELECT coalesce(c.sha256, n.sha256) AS sha256, CASE
			WHEN c.sha256 IS NULL THEN ARRAY['retention.configuration_removed', n.sha256]
			WHEN n.sha256 IS NULL THEN ARRAY['retention.configuration_inserted', c.sha256]
			WHEN encode(sha256(c.content), 'hex') <> c.sha256
			THEN ARRAY['retention.configuration_changed', c.sha256] END AS said
		  FROM retention.configuration AS c FULL JOIN named AS n ON n.sha256 = c.sha256)
	SELECT x.*
	  FROM ((SELECT a.said FROM actions AS a WHERE a.said IS NOT NULL ORDER BY a.id)
		UNION ALL
		(SELECT h.said FROM holds AS h WHERE h.said IS NOT NULL ORDER BY h.id)
		UNION ALL
		(SELECT p.said FROM policies AS p WHERE p.said IS NOT NULL ORDER BY p.name, p.version)
		UNION ALL
		(SELECT c.said FROM configurations AS c WHERE c.said IS NOT NULL ORDER BY c.sha256)) AS f,
	       retention.finding(f.said) AS x
$$;

SET LOCAL check_function_bodies = on;

-- The same of the policies of the page: each was saved, validated and retired by the role that the event names, under
-- four eyes by two, and each action that one began had its version in force.  said is for finding().
CREATE FUNCTION retention.verify_policy_acts() RETURNS TABLE (event bigint, said text[])
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	WITH stated AS (
		SELECT e.id, e.kind, e.actor, e.details AS d, CASE e.kind WHEN 'policy_saved' THEN 'saved_by'
			WHEN 'policy_validated' THEN 'validated_by' ELSE 'retired_by' END AS act
		  FROM retention.journal_event AS e WHERE e.kind ~ '^policy_')
	SELECT s.id, ARRAY['retention.policy_act_foreign', s.id::text, s.act, s.d->>s.act, s.d->>'name', s.actor]
	  FROM stated AS s
	 WHERE s.d->>s.act <> s.actor OR (s.d->>'retired_as' IS DISTINCT FROM 'restored' AND EXISTS (
		SELECT FROM pg_roles AS r
		 WHERE r.rolname = s.actor AND pg_has_role(r.oid, 'retention_daemon', 'MEMBER')
		   AND NOT pg_has_role(r.oid, 'retention_operator', 'MEMBER')
		   AND NOT pg_has_role(r.oid, 'retention_approver', 'MEMBER')))
	 UNION ALL
	SELECT s.id, ARRAY['retention.policy_act_alone', s.id::text, s.d->>'name', s.actor]
	  FROM stated AS s
	 WHERE s.kind = 'policy_validated' AND s.d->>'saved_by' = s.actor AND
	       (SELECT c.details->>'value' FROM retention.journal_event AS c
		 WHERE c.kind = 'configured' AND c.details->>'setting' = 'four_eyes' AND c.id < s.id
		 ORDER BY c.id DESC LIMIT 1) = 'true'
	 UNION ALL
	SELECT e.id, ARRAY['retention.policy_not_validated', e.id::text, e.job::text, e.details->>'policy_version',
			   e.details->>'policy']
	  FROM retention.journal_event AS e
	 WHERE e.kind = 'saved' AND e.details ? 'policy_version' AND NOT EXISTS (
		SELECT FROM stated AS s
		 WHERE s.kind = 'policy_validated' AND s.id < e.id AND s.d->>'name' = e.details->>'policy'
		   AND s.d->'version' = e.details->'policy_version' AND s.d->'action' = e.details->'action'
		   AND s.d->'archive' = e.details->'archive'
		   AND (s.d->>'depth')::interval = (e.details->>'depth')::interval
		   AND ((e.details->>'part')::int > 1 OR NOT EXISTS (
			SELECT FROM stated AS r
			 WHERE r.kind = 'policy_retired' AND r.id BETWEEN s.id AND e.id
			   AND r.d->>'name' = s.d->>'name' AND r.d->'version' = s.d->'version')))
$$;

-- Returns the events that no rule allows.  Each act of a person was written by that person's role, and that role is not
-- one that only the daemon uses.  With four eyes, the role that saved an action has not validated it or deleted its
-- archive.  An archive has not expired before archives.keep (a day is left open for time zones).  Each setting is what
-- its last event says.
CREATE FUNCTION retention.verify_acts()
RETURNS TABLE (finding text, message text, details text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	WITH told AS (
		SELECT e.id, e.at, e.job, e.actor, e.details AS now,
		       lag(e.details, 1, '{}') OVER (PARTITION BY e.job ORDER BY e.id) AS was
		  FROM retention.journal_event AS e
		 WHERE e.job IS NOT NULL AND e.details ? 'requested_by'),
	configured AS MATERIALIZED (
		SELECT e.id, e.details->>'setting' AS setting, e.details->>'value' AS value
		  FROM retention.journal_event AS e WHERE e.kind = 'configured'),
	acts AS (
		SELECT t.*, a.act, a.name,
		       a.act = 'archive_deleted_by' AND a.name = 'expiry' AS expiry,
		       a.act = 'validated_by' AND CASE WHEN t.now ? 'replay' THEN a.name = t.now->>'requested_by'
			WHEN t.now->>'mode' = 'automatic' THEN a.name = 'policy ' || (t.now->>'policy')
			END IS TRUE AS by_rule,
		       a.act = 'requested_by' AND t.now->>'mode' = 'automatic' AS by_schedule
		  FROM told AS t, LATERAL (
			SELECT k AS act, t.now->>k AS name
			  FROM unnest(ARRAY['requested_by', 'validated_by', 'archive_deleted_by',
					    'restored_by']) AS k
			 WHERE t.now ? k AND t.now->k IS DISTINCT FROM t.was->k
			UNION ALL
			SELECT 'cancelled', t.actor
			 WHERE t.now->>'status' = 'cancelled' AND t.was->>'status' <> 'cancelled') AS a),
	findings AS (
		SELECT a.id, CASE
			WHEN a.expiry AND (retention.kept_until((a.now->>'finished_at')::timestamptz,
				nullif((SELECT c.value FROM configured AS c
					 WHERE c.setting = 'archives_keep' AND c.id < a.id
					 ORDER BY c.id DESC LIMIT 1), '')::interval, 'UTC') - interval '24 hours'
				<= a.at) IS NOT TRUE
			THEN ARRAY['retention.expired_early', a.id::text, a.job::text]
			WHEN a.expiry OR a.by_rule THEN NULL
			WHEN a.name <> a.actor OR (NOT a.by_schedule AND EXISTS (
				SELECT FROM pg_roles AS r
				 WHERE r.rolname = a.actor AND pg_has_role(r.oid, 'retention_daemon', 'MEMBER')
				   AND NOT pg_has_role(r.oid, 'retention_operator', 'MEMBER')
				   AND NOT pg_has_role(r.oid, 'retention_approver', 'MEMBER')))
			THEN ARRAY['retention.act_foreign', a.id::text, a.act, a.name, a.job::text, a.actor]
			WHEN a.act IN ('validated_by', 'archive_deleted_by') AND a.name = a.now->>'requested_by' AND
			     (SELECT c.value FROM configured AS c
			       WHERE c.setting = 'four_eyes' AND c.id < a.id ORDER BY c.id DESC LIMIT 1) = 'true'
			THEN ARRAY['retention.act_alone', a.id::text, a.act, a.job::text, a.name] END AS said
		  FROM acts AS a
		UNION ALL
		SELECT * FROM retention.verify_policy_acts()
		UNION ALL
		SELECT NULL, ARRAY['retention.setting_changed', coalesce(s.name, c.setting)]
		  FROM retention.setting AS s
		  FULL JOIN (SELECT DISTINCT ON (setting) setting, value FROM configured ORDER BY setting, id DESC) AS c
		    ON c.setting = s.name
		 WHERE s.value IS DISTINCT FROM c.value)
	SELECT x.* FROM (SELECT f.said FROM findings AS f WHERE f.said IS NOT NULL ORDER BY f.id) AS f,
	       retention.finding(f.said) AS x
$$;

-- Returns the actions of which the table of erased keys is not what they left.  The last event of each has the digest of its
-- lines.  Not compared: an action that runs; lines "restored" of an archive that was put back or a replay that was waived,
-- beyond that somebody did so; and lines of the time of which a restored backup has forgotten erasures, because they
-- came back from the ledger's file, which has a chain of its own.
CREATE FUNCTION retention.verify_ledger()
RETURNS TABLE (finding text, message text, details text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET TimeZone = 'UTC'
AS $$
	WITH forgotten AS MATERIALIZED (
		SELECT (e.details->>'since')::timestamptz AS since, (e.details->>'until')::timestamptz AS until
		  FROM retention.journal_event AS e WHERE e.kind = 'ledger_ahead'),
	waived AS MATERIALIZED (
		SELECT w.job::int AS job FROM retention.journal_event AS e,
		       jsonb_object_keys(e.details->'erasures') AS w(job) WHERE e.kind = 'replay_waived'),
	findings AS (
		SELECT j.id, ARRAY['retention.ledger_lines_changed', j.id::text] AS said
		  FROM retention.archive_journal AS j
		 WHERE j.counters ? 'ledger_sha256' AND
		       CASE WHEN EXISTS (SELECT FROM retention.journal_event AS e
					  WHERE e.job = j.id AND e.kind = 'changed' AND e.details ? 'restored')
			    -- A replay gives such an action lines back after its end.
			    THEN (SELECT count(*) FROM retention.ledger AS l WHERE l.job = j.id) <
				 (j.counters->>'treated')::bigint
			    ELSE retention.ledger_digest(j.id, j.requested_at) <> j.counters->>'ledger_sha256' END
		UNION ALL
		SELECT x.job, ARRAY['retention.ledger_lines_inserted', x.n::text, x.job::text]
		  FROM (SELECT l.job, count(*) AS n
			  FROM retention.ledger AS l
			  LEFT JOIN retention.archive_journal AS j ON j.id = l.job AND j.requested_at <= l.erased_at
			 WHERE CASE WHEN l.action = 'restored'
				    THEN j.restored_at IS NULL AND l.job NOT IN (SELECT w.job FROM waived AS w)
				    ELSE j.id IS NULL OR j.action = 'export' OR j.status IN ('saved', 'validated', 'cancelled')
			       END
			   AND NOT EXISTS (SELECT FROM forgotten AS f WHERE l.erased_at BETWEEN f.since AND f.until)
			 GROUP BY l.job) AS x)
	SELECT x.* FROM (SELECT f.said FROM findings AS f ORDER BY f.id, f.said) AS f, retention.finding(f.said) AS x
$$;

-- Looks at the whole journal as it is at one moment: its size, its last hash, and all findings, those of the chain first.
CREATE FUNCTION retention.look_at_journal(noted bytea DEFAULT NULL, number bigint DEFAULT NULL)
RETURNS TABLE (events bigint, actions bigint, holds bigint, last_hash text, findings jsonb)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT (SELECT count(*) FROM retention.journal_event),
	       (SELECT count(*) FROM retention.archive_journal),
	       (SELECT count(*) FROM retention.hold),
	       (SELECT encode(e.hash, 'hex') FROM retention.journal_event AS e ORDER BY e.id DESC LIMIT 1),
	       (SELECT coalesce(jsonb_agg(to_jsonb(f) - 'part' - 'n' ORDER BY f.part, f.n), '[]')
		  FROM (SELECT 1 AS part, 1 AS n, c.finding, c.message, c.details
			  FROM retention.verify_chain(noted, number) AS c
			UNION ALL
			SELECT 2, r.n, r.finding, r.message, r.details
			  FROM retention.verify_rows() WITH ORDINALITY AS r(finding, message, details, n)
			UNION ALL
			SELECT 3, a.n, a.finding, a.message, a.details
			  FROM retention.verify_acts() WITH ORDINALITY AS a(finding, message, details, n)
			UNION ALL
			SELECT 4, l.n, l.finding, l.message, l.details
			  FROM retention.verify_ledger() WITH ORDINALITY AS l(finding, message, details, n)
			UNION ALL
			SELECT 5, t.n, x.finding, x.message, x.details
			  FROM (SELECT c.relname, row_number() OVER (ORDER BY c.relname) AS n
				  FROM pg_class AS c
				 WHERE c.relnamespace = 'retention'::regnamespace AND EXISTS (
				       SELECT FROM pg_trigger AS t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal
					  AND t.tgenabled IN ('D', 'R'))) AS t,
			       retention.finding(ARRAY['retention.triggers_disabled', t.relname, t.relname]::text[]) AS x) AS f)
$$;

-- The same, and tells the journal that the caller has verified it, with what result.  event: the number of that event;
-- NULL: it could not be written, because another session keeps the journal locked, or the triggers that number and chain
-- it are disabled.
CREATE FUNCTION retention.verify_journal(noted bytea DEFAULT NULL, number bigint DEFAULT NULL)
RETURNS TABLE (events bigint, actions bigint, holds bigint, last_hash text, findings jsonb, event bigint)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM retention.check_person();
	SELECT l.* INTO events, actions, holds, last_hash, findings FROM retention.look_at_journal(noted, number) AS l;
	BEGIN
		INSERT INTO retention.journal_event AS e (kind, details)
		VALUES ('verified', jsonb_strip_nulls(jsonb_build_object(
			'whole', findings = '[]', 'events', events, 'actions', actions, 'holds', holds,
			'findings', jsonb_array_length(findings), 'hash', last_hash, 'noted', encode(noted, 'hex'))))
		RETURNING e.id INTO event;
	EXCEPTION WHEN lock_not_available OR not_null_violation THEN
		event := NULL;
	END;
	RETURN NEXT;
END
$$;

-- When the journal was verified last, by which role, and with what result.
CREATE VIEW retention.last_verified AS
SELECT e.at, e.actor AS by, (e.details->>'whole')::boolean AS whole, (e.details->>'events')::bigint AS events,
       (e.details->>'actions')::bigint AS actions, (e.details->>'holds')::bigint AS holds,
       (e.details->>'findings')::int AS findings, e.details->>'hash' AS last_hash
  FROM retention.journal_event AS e WHERE e.kind = 'verified' ORDER BY e.id DESC LIMIT 1;

-- What retentionctl residue has found, so that an auditor sees when somebody searched last.  It holds counts, and names of
-- tables and columns.
CREATE TABLE retention.residue_report (
	id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	recorded_by text NOT NULL DEFAULT session_user,
	recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	action text NOT NULL CHECK (action IN ('delete_contacts', 'anonymize_contacts')),
	contacts bigint NOT NULL,
	searched_for bigint NOT NULL,
	tables bigint NOT NULL,
	not_searched bigint NOT NULL,
	found bigint NOT NULL,
	findings jsonb NOT NULL
);
COMMENT ON COLUMN retention.residue_report.searched_for IS 'how many values';
COMMENT ON COLUMN retention.residue_report.not_searched IS 'how many tables could not be read, or took too long';
COMMENT ON COLUMN retention.residue_report.found IS 'in how many columns the action would leave a value';
COMMENT ON COLUMN retention.residue_report.findings IS
	'[{table, column, of, exact, inside, covered}]: of is the contact''s column, the last three count rows';
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON retention.residue_report
	FOR EACH STATEMENT EXECUTE FUNCTION retention.refuse_change();

-- Records a report, {action, contacts, values, tables, not_searched, findings}, and returns its number.  Nothing but
-- numbers and names of this database's columns is taken, so that no value of a person can come along.
CREATE FUNCTION retention.record_residue(report jsonb) RETURNS int
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	counts constant text[] := ARRAY['contacts', 'values', 'tables', 'not_searched'];
	valid boolean := report->>'action' IN ('delete_contacts', 'anonymize_contacts') AND
		jsonb_typeof(report->'findings') = 'array' AND
		(SELECT bool_and(jsonb_typeof(report->k) = 'number') FROM unnest(counts) AS k);
	new_findings jsonb;
	new_found bigint;
	new_id int;
BEGIN
	PERFORM retention.check_person();
	IF valid THEN
		SELECT coalesce(jsonb_agg(jsonb_build_object('table', f->'table', 'column', f->'column', 'of', f->'of',
				'exact', f->'exact', 'inside', f->'inside', 'covered', f->'covered') ORDER BY a.n), '[]'),
		       count(*) FILTER (WHERE f->'exact' <> '0' OR f->'inside' <> '0'),
		       coalesce(bool_and(coalesce((SELECT bool_and(jsonb_typeof(f->k) = 'number')
				FROM unnest(ARRAY['exact', 'inside', 'covered']) AS k), false) AND EXISTS (
			SELECT FROM pg_class AS c JOIN pg_namespace AS s ON s.oid = c.relnamespace
			  JOIN pg_attribute AS b ON b.attrelid = c.oid AND b.attnum > 0 AND NOT b.attisdropped
			 WHERE b.attname = f->>'column' AND
			       f->>'table' = CASE c.oid WHEN 'pg_largeobject'::regclass THEN 'pg_largeobject'
						  ELSE s.nspname || '.' || c.relname END) AND
			(f->>'of' = 'value' OR EXISTS (
			SELECT FROM pg_attribute AS b WHERE b.attname = f->>'of' AND b.attnum > 0))), true)
		  INTO new_findings, new_found, valid
		  FROM jsonb_array_elements(report->'findings') WITH ORDINALITY AS a(f, n);
	END IF;
	IF valid IS NOT TRUE THEN
		RAISE EXCEPTION 'this is no report of retentionctl residue, about tables of this database'
			USING ERRCODE = 'invalid_parameter_value', CONSTRAINT = 'retention.residue_invalid',
			      COLUMN = 'report';
	END IF;
	INSERT INTO retention.residue_report AS r (action, contacts, searched_for, tables, not_searched, found, findings)
	VALUES (report->>'action', (report->>'contacts')::bigint, (report->>'values')::bigint,
		(report->>'tables')::bigint, (report->>'not_searched')::bigint, new_found, new_findings)
	RETURNING r.id INTO new_id;
	INSERT INTO retention.journal_event (kind, details)
	SELECT 'residue', jsonb_build_object('report', new_id) || (to_jsonb(r) - ARRAY['id', 'recorded_by', 'recorded_at', 'findings'])
	  FROM retention.residue_report AS r WHERE r.id = new_id;
	RETURN new_id;
END
$$;
