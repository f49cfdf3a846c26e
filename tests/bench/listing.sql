-- Three ways to find who is due, each with what a batch is sized by (the anti-join cannot tell that), to be
-- measured against one another on data.sql: psql -v n=200000 -f tests/bench/data.sql; psql -f tests/bench/listing.sql
-- The daemon takes the first (plan/due.c).  Medians of three on two cores, PostgreSQL 15, 2026-11-25, in ms:
--   requests      10,000   100,000   1,000,000   10,000,000
--   aggregate         10       105         666        6,081
--   anti-join         10       106         519        7,516
--   index skip         9        87         566        6,926
-- None is far from the best anywhere; the first is the best where it takes long.
SET jit = off;
\set cutoff 'date_trunc(''day'', now()) - interval ''18 months'''
EXPLAIN (ANALYZE, TIMING off) CREATE TEMP TABLE a AS
SELECT c.id, 1 + r.n AS weight FROM crm.contact AS c
  JOIN (SELECT contact_id, count(*) AS n, max(created_at) AS last,
               count(*) FILTER (WHERE created_at IS NULL) AS keeping FROM crm.request WHERE contact_id IS NOT NULL GROUP BY 1) AS r ON r.contact_id = c.id
 WHERE r.keeping = 0 AND r.last < :cutoff;
EXPLAIN (ANALYZE, TIMING off) CREATE TEMP TABLE b AS
SELECT c.id FROM crm.contact AS c
 WHERE EXISTS (SELECT FROM crm.request AS r WHERE r.contact_id = c.id)
   AND NOT EXISTS (SELECT FROM crm.request AS r WHERE r.contact_id = c.id AND (r.created_at < :cutoff) IS NOT TRUE);
EXPLAIN (ANALYZE, TIMING off) CREATE TEMP TABLE d AS
SELECT c.id, 1 + r.n AS weight FROM crm.contact AS c
  CROSS JOIN LATERAL (SELECT count(*) AS n, max(created_at) AS last, count(*) FILTER (WHERE created_at IS NULL) AS keeping
                        FROM crm.request AS q WHERE q.contact_id = c.id) AS r
 WHERE r.n > 0 AND r.keeping = 0 AND r.last < :cutoff;
