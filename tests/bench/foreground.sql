\set c random(1, :contacts)
\set k random(1, :alive)
SELECT id AS a FROM crm.bench_alive WHERE n = :k \gset
BEGIN;
SELECT * FROM crm.contact WHERE id = :c;
SELECT * FROM crm.request WHERE contact_id = :c ORDER BY created_at DESC LIMIT 10;
INSERT INTO crm.request VALUES (nextval('crm.bench_request'), :a, now(), 's', 'billing', 'open', 0, 0);
COMMIT;
