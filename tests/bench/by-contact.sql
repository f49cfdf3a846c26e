-- Makes the bench's data over into a layout that can be split by contact: each table has contact_id, and the keys are
-- (contact_id, id).  :parts partitions of each table, by hash of the contact; 0: plain tables.  With the variable citus
-- they are distributed by the contact.
SET client_min_messages = warning;
ALTER SCHEMA crm RENAME TO plain;
CREATE SCHEMA crm;
SELECT set_config('bench.parts', :'parts', false) \g /dev/null
-- owner: the contact of a row t, by the numbers that data.sql gives.
CREATE TEMP TABLE layout (n int, name text, owner text);
INSERT INTO layout VALUES (1, 'contact', NULL), (2, 'contact_social', NULL), (3, 'contact_document', NULL), (4, 'request', NULL),
	(5, 'message', 't.id / 15'), (6, 'attachment', 't.id / 15'), (7, 'request_history', 't.id / 20');
DO $$
DECLARE
	l record;
	parts int := current_setting('bench.parts');
	shard text;
BEGIN
	FOR l IN SELECT * FROM layout ORDER BY n LOOP
		shard := CASE l.name WHEN 'contact' THEN 'id' ELSE 'contact_id' END;
		EXECUTE format('CREATE TABLE crm.%I (%s LIKE plain.%I) %s', l.name,
			CASE WHEN l.owner IS NOT NULL THEN 'contact_id bigint NOT NULL,' ELSE '' END, l.name,
			CASE WHEN parts > 0 THEN format('PARTITION BY HASH (%s)', shard) ELSE '' END);
		FOR part IN 0 .. parts - 1 LOOP
			EXECUTE format('CREATE TABLE crm.%I PARTITION OF crm.%I FOR VALUES WITH (MODULUS %s, REMAINDER %s)',
				l.name || '_' || part, l.name, parts, part);
		END LOOP;
		EXECUTE format('INSERT INTO crm.%I SELECT %s t.* FROM plain.%I AS t', l.name, l.owner || ',', l.name);
		EXECUTE format('ALTER TABLE crm.%I ADD PRIMARY KEY (%s)', l.name,
			CASE l.name WHEN 'contact' THEN 'id' ELSE 'contact_id, id' END);
	END LOOP;
END $$;
DROP SCHEMA plain CASCADE;
\if :{?citus}
SELECT create_distributed_table('crm.contact', 'id') \g /dev/null
SELECT create_distributed_table(format('crm.%I', name), 'contact_id', colocate_with => 'crm.contact')
  FROM layout WHERE name <> 'contact' ORDER BY n \g /dev/null
\endif
CREATE INDEX ON crm.request (contact_id, created_at);
CREATE INDEX ON crm.message (contact_id, request_id);
CREATE INDEX ON crm.attachment (contact_id, message_id);
CREATE INDEX ON crm.request_history (contact_id, request_id);
ALTER TABLE crm.contact_social ADD FOREIGN KEY (contact_id) REFERENCES crm.contact;
ALTER TABLE crm.contact_document ADD FOREIGN KEY (contact_id) REFERENCES crm.contact;
ALTER TABLE crm.request ADD FOREIGN KEY (contact_id) REFERENCES crm.contact;
ALTER TABLE crm.message ADD FOREIGN KEY (contact_id, request_id) REFERENCES crm.request (contact_id, id);
ALTER TABLE crm.attachment ADD FOREIGN KEY (contact_id, message_id) REFERENCES crm.message (contact_id, id);
ALTER TABLE crm.request_history ADD FOREIGN KEY (contact_id, request_id) REFERENCES crm.request (contact_id, id);
VACUUM ANALYZE;
