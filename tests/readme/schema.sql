-- A helpdesk of a dozen tables as somebody's own: nothing of it is in the models that are shipped.  A third of the
-- contacts has had no request for three years.
CREATE SCHEMA crm;
CREATE TABLE crm.team (id int PRIMARY KEY, label text NOT NULL);
CREATE TABLE crm.agent (id int PRIMARY KEY, team_id int NOT NULL REFERENCES crm.team, login text NOT NULL UNIQUE);
CREATE TABLE crm.contact (
	id bigint PRIMARY KEY, first_name text, last_name text NOT NULL, email text, birth_date date,
	country char(2) NOT NULL, created_at timestamptz NOT NULL);
CREATE TABLE crm.contact_phone (
	id bigint PRIMARY KEY, contact_id bigint NOT NULL REFERENCES crm.contact, number text NOT NULL);
CREATE TABLE crm.contact_address (
	id bigint PRIMARY KEY, contact_id bigint NOT NULL REFERENCES crm.contact, street text, city text);
CREATE TABLE crm.consent (
	contact_id bigint REFERENCES crm.contact, purpose text, given_at timestamptz NOT NULL, PRIMARY KEY (contact_id, purpose));
CREATE TABLE crm.request (
	id bigint PRIMARY KEY, contact_id bigint NOT NULL REFERENCES crm.contact, agent_id int REFERENCES crm.agent,
	subject text, status text NOT NULL CHECK (status IN ('open', 'closed')), created_at timestamptz NOT NULL);
CREATE TABLE crm.message (
	id bigint PRIMARY KEY, request_id bigint NOT NULL REFERENCES crm.request, body text NOT NULL, sent_at timestamptz NOT NULL);
CREATE TABLE crm.attachment (
	id bigint PRIMARY KEY, message_id bigint NOT NULL REFERENCES crm.message, file_name text NOT NULL, content bytea);
CREATE TABLE crm.request_history (
	id bigint PRIMARY KEY, request_id bigint NOT NULL REFERENCES crm.request, status text NOT NULL, changed_at timestamptz NOT NULL);
CREATE TABLE crm.tag (id int PRIMARY KEY, label text NOT NULL);
CREATE TABLE crm.request_tag (
	request_id bigint REFERENCES crm.request, tag_id int REFERENCES crm.tag, PRIMARY KEY (request_id, tag_id));
CREATE INDEX ON crm.contact_phone (contact_id);
CREATE INDEX ON crm.contact_address (contact_id);
CREATE INDEX ON crm.request (contact_id);
CREATE INDEX ON crm.message (request_id);
CREATE INDEX ON crm.attachment (message_id);
CREATE INDEX ON crm.request_history (request_id);

INSERT INTO crm.team VALUES (1, 'north'), (2, 'south');
INSERT INTO crm.agent VALUES (1, 1, 'agent one'), (2, 2, 'agent two');
INSERT INTO crm.tag VALUES (1, 'delivery'), (2, 'invoice');
INSERT INTO crm.contact
SELECT n, 'Ada' || n || 'x', 'Lovelace' || n || 'x', 'ada' || n || '@mail.example', '1980-01-01'::date + n::int, 'FR', now() - interval '5 years'
FROM generate_series(1, 300) n;
INSERT INTO crm.contact_phone SELECT id, id, '+33 6 00 00 00 ' || id FROM crm.contact;
INSERT INTO crm.contact_address SELECT id, id, id || ' rue des Lilas', 'Lyon' FROM crm.contact;
INSERT INTO crm.consent SELECT id, 'newsletter', created_at FROM crm.contact;
-- Two requests each.
INSERT INTO crm.request
SELECT id * 2 + n, id, 1 + id % 2, 'Where is the parcel of Ada' || id || 'x?', 'closed',
	now() - CASE WHEN id % 3 = 0 THEN interval '4 years' ELSE interval '1 month' END
FROM crm.contact, generate_series(0, 1) n;
INSERT INTO crm.message SELECT id, id, 'Please call me: Ada' || contact_id || 'x', created_at FROM crm.request;
INSERT INTO crm.attachment SELECT id, id, 'letter.pdf', '\x25504446' FROM crm.message;
INSERT INTO crm.request_history SELECT id, id, 'closed', created_at FROM crm.request;
INSERT INTO crm.request_tag SELECT id, 1 + id % 2 FROM crm.request;
ANALYZE;
