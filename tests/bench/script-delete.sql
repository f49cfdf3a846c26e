-- What a careful administrator writes by hand: one transaction, export of three tables, deletion.
BEGIN;
CREATE TEMP TABLE due_contact AS
SELECT contact_id AS id FROM crm.request GROUP BY 1
HAVING max(created_at) < date_trunc('day', now()) - interval '18 months';
CREATE TEMP TABLE due_request AS
SELECT r.id FROM crm.request AS r JOIN due_contact AS d ON d.id = r.contact_id;
ANALYZE due_contact;
ANALYZE due_request;
\copy (SELECT c.* FROM crm.contact c JOIN due_contact USING (id)) TO 'contact.csv' CSV HEADER
\copy (SELECT r.* FROM crm.request r JOIN due_request USING (id)) TO 'request.csv' CSV HEADER
\copy (SELECT h.* FROM crm.request_history h JOIN due_request d ON d.id = h.request_id) TO 'history.csv' CSV HEADER
DELETE FROM crm.attachment a USING crm.message m, due_request d WHERE m.id = a.message_id AND m.request_id = d.id;
DELETE FROM crm.message m USING due_request d WHERE m.request_id = d.id;
DELETE FROM crm.request_history h USING due_request d WHERE h.request_id = d.id;
DELETE FROM crm.request r USING due_request d WHERE r.id = d.id;
DELETE FROM crm.contact_social s USING due_contact d WHERE s.contact_id = d.id;
DELETE FROM crm.contact_document s USING due_contact d WHERE s.contact_id = d.id;
DELETE FROM crm.contact c USING due_contact d WHERE c.id = d.id;
COMMIT;
