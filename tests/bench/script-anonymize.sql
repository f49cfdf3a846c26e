BEGIN;
CREATE TEMP TABLE due_contact AS
SELECT contact_id AS id FROM crm.request GROUP BY 1
HAVING max(created_at) < date_trunc('day', now()) - interval '18 months';
CREATE TEMP TABLE due_request AS
SELECT r.id FROM crm.request AS r JOIN due_contact AS d ON d.id = r.contact_id;
ANALYZE due_contact;
ANALYZE due_request;
DELETE FROM crm.attachment a USING crm.message m, due_request d WHERE m.id = a.message_id AND m.request_id = d.id;
DELETE FROM crm.message m USING due_request d WHERE m.request_id = d.id;
UPDATE crm.request r SET subject = NULL FROM due_request d WHERE r.id = d.id;
DELETE FROM crm.contact_social s USING due_contact d WHERE s.contact_id = d.id;
DELETE FROM crm.contact_document s USING due_contact d WHERE s.contact_id = d.id;
UPDATE crm.contact c SET last_name = 'L_' || c.id, first_name = 'F_' || c.id, email = NULL, phone = NULL,
       address = NULL, city = NULL, picture = NULL FROM due_contact d WHERE c.id = d.id;
COMMIT;
