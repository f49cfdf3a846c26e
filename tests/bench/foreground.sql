\set c random(1, :contacts)
BEGIN;
SELECT * FROM crm.contact WHERE id = :c;
SELECT * FROM crm.request WHERE contact_id = :c ORDER BY created_at DESC LIMIT 10;
INSERT INTO crm.request SELECT nextval('crm.bench_request'), id, now(), 's', 'billing', 'open', 0, 0 FROM crm.contact WHERE id = :c;
COMMIT;
