-- The bench's data: :n contacts with five requests each, three messages and four history rows a
-- request; about 70 % of the contacts have their last request more than 18 months ago.
-- No random(): the same bytes each time.
CREATE SCHEMA crm;
CREATE TABLE crm.contact (
	id bigint PRIMARY KEY, last_name text, first_name text, email text, phone text, address text,
	city text, picture bytea, language text, created_at timestamptz NOT NULL);
CREATE TABLE crm.contact_social (
	id bigint PRIMARY KEY, contact_id bigint NOT NULL, network text, url text);
CREATE TABLE crm.contact_document (
	id bigint PRIMARY KEY, contact_id bigint NOT NULL, name text, content bytea);
CREATE TABLE crm.request (
	id bigint PRIMARY KEY, contact_id bigint NOT NULL, created_at timestamptz NOT NULL,
	subject text, reason text, status text, handling_seconds int, first_reply_seconds int);
CREATE TABLE crm.message (
	id bigint PRIMARY KEY, request_id bigint NOT NULL, direction text, channel text, sender text,
	recipient text, body text, sent_at timestamptz);
CREATE TABLE crm.attachment (
	id bigint PRIMARY KEY, message_id bigint NOT NULL, file_name text, content bytea);
CREATE TABLE crm.request_history (
	id bigint PRIMARY KEY, request_id bigint NOT NULL, at timestamptz, kind text, from_value text,
	to_value text);

INSERT INTO crm.contact
SELECT c, 'Name ' || c, 'First ' || c, c || '@mail.example', '+336' || lpad(c::text, 8, '0'),
       c || ' main street', 'Lyon', decode(md5(c::text), 'hex'), 'fr', now() - interval '7 years'
  FROM generate_series(1, :n) AS c;
INSERT INTO crm.contact_social
SELECT c, c, 'social', 'https://social.example/' || c FROM generate_series(3, :n, 3) AS c;
INSERT INTO crm.contact_document
SELECT c, c, 'identity.pdf', decode(repeat(md5(c::text), 20), 'hex')
  FROM generate_series(10, :n, 10) AS c;
INSERT INTO crm.request
SELECT c * 5 + k, c, now() - (c::bigint * 7919 % 1825 + (4 - k) * 20)::int * interval '1 day',
       'About order ' || c, (ARRAY['billing', 'delivery', 'refund'])[1 + c % 3], 'closed',
       300 + c % 1000, 60
  FROM generate_series(1, :n) AS c, generate_series(0, 4) AS k;
INSERT INTO crm.message
SELECT r.id * 3 + k, r.id, CASE k % 2 WHEN 0 THEN 'in' ELSE 'out' END, 'mail',
       r.contact_id || '@mail.example', 'support@shop.example',
       repeat('Good day, this is contact ' || r.contact_id || ', the parcel is late. ', 6),
       r.created_at
  FROM crm.request AS r, generate_series(0, 2) AS k;
INSERT INTO crm.attachment
SELECT id, id, 'photo.png', decode(repeat(md5(id::text), 10), 'hex') FROM crm.message
 WHERE id % 5 = 0;
INSERT INTO crm.request_history
SELECT r.id * 4 + k, r.id, r.created_at, 'status', 'open', 'closed'
  FROM crm.request AS r, generate_series(0, 3) AS k;

CREATE INDEX ON crm.request (contact_id, created_at);
CREATE INDEX ON crm.message (request_id);
CREATE INDEX ON crm.attachment (message_id);
CREATE INDEX ON crm.request_history (request_id);
CREATE INDEX ON crm.contact_social (contact_id);
CREATE INDEX ON crm.contact_document (contact_id);
ALTER TABLE crm.request ADD FOREIGN KEY (contact_id) REFERENCES crm.contact;
ALTER TABLE crm.message ADD FOREIGN KEY (request_id) REFERENCES crm.request;
ALTER TABLE crm.attachment ADD FOREIGN KEY (message_id) REFERENCES crm.message;
ALTER TABLE crm.request_history ADD FOREIGN KEY (request_id) REFERENCES crm.request;
ALTER TABLE crm.contact_social ADD FOREIGN KEY (contact_id) REFERENCES crm.contact;
ALTER TABLE crm.contact_document ADD FOREIGN KEY (contact_id) REFERENCES crm.contact;
VACUUM ANALYZE;
